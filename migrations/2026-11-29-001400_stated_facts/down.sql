ALTER TABLE held_postbacks RENAME COLUMN is_authenticated TO is_proven;
COMMENT ON COLUMN held_postbacks.is_proven IS 'Whether its token, signature or address proved that when it came.';
ALTER TABLE test_conversions DROP COLUMN is_simulated;
ALTER TABLE postbacks DROP COLUMN is_simulated, DROP COLUMN incomplete;
