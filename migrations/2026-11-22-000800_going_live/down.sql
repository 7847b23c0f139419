DROP INDEX postbacks_of_tests;
ALTER TABLE networks DROP COLUMN require_tests;
