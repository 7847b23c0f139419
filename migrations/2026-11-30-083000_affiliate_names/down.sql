ALTER TABLE networks DROP COLUMN names_affiliates;
