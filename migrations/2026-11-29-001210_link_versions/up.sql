-- A link can be changed: where it leads and what its sub ids are.

ALTER TABLE tracking_links ADD COLUMN version integer NOT NULL DEFAULT 1;
COMMENT ON COLUMN tracking_links.version IS 'Counts changes: two people''s edits do not overwrite each other.';
