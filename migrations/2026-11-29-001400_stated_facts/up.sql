ALTER TABLE postbacks
    ADD COLUMN incomplete text CHECK (incomplete IN ('truncated', 'redacted')),
    ADD COLUMN is_simulated boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN postbacks.incomplete IS 'Reason why the stored request cannot be replayed. truncated: only the beginning of the body is stored, because the sender was not authenticated. redacted: a field that decisions depend on is redacted. NULL: it is complete.';
COMMENT ON COLUMN postbacks.is_simulated IS 'True if our simulation sent it.';
ALTER TABLE test_conversions ADD COLUMN is_simulated boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN test_conversions.is_simulated IS 'True if our simulation made it, which proves nothing of the advertiser.';
ALTER TABLE held_postbacks RENAME COLUMN is_proven TO is_authenticated;
COMMENT ON COLUMN held_postbacks.is_authenticated IS 'True if a token, a signature or an allowed address identified the sender on arrival.';
