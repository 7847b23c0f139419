DROP INDEX postbacks_feed;
ALTER TABLE postbacks DROP COLUMN decided_in;
