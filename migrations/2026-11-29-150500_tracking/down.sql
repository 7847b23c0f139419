DROP TABLE quarantine, ingest_cursors, click_rollups, clicks;
DROP FUNCTION drop_click_months(timestamptz);
DROP FUNCTION make_click_month(timestamptz);
DROP FUNCTION click_key_floor(timestamp);
DROP SCHEMA clicks_by_month;
