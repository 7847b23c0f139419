DROP TABLE report_file_parts;
DROP TABLE report_files;
