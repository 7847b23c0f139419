ALTER TABLE clicks ADD COLUMN landing_page_id integer;
COMMENT ON COLUMN clicks.landing_page_id IS 'Landing page that the visitor was sent to; NULL for the campaign''s own destination.';
