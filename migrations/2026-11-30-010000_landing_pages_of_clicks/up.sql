ALTER TABLE clicks ADD COLUMN landing_page_id integer;
COMMENT ON COLUMN clicks.landing_page_id IS 'Landing page that was chosen for the click; NULL for the campaign''s own destination.';
