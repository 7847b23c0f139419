-- The sums stay those of quarters of an hour.
ALTER TABLE click_rollups RENAME COLUMN quarter_hour TO hour;
ALTER TABLE conversion_rollups RENAME COLUMN quarter_hour TO hour;
