ALTER TABLE destinations DROP COLUMN format;
