DROP TABLE report_defaults, saved_reports;
