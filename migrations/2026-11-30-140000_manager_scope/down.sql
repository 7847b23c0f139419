ALTER TABLE networks DROP COLUMN managers_see_all;
