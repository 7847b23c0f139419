ALTER TABLE clicks DROP COLUMN landing_page_id;
