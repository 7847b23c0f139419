ALTER TABLE tracking_links DROP COLUMN version;
