-- Going live: a network may want to see test orders before a campaign pays.

ALTER TABLE networks ADD COLUMN require_tests boolean NOT NULL DEFAULT false;
ALTER TABLE networks ALTER COLUMN require_tests DROP DEFAULT;
COMMENT ON COLUMN networks.require_tests IS 'Whether a campaign goes live only when test orders of every goal have arrived.';

-- The few that were of tests, among all that were not.
CREATE INDEX postbacks_of_tests ON postbacks (network_id, campaign_id, id) WHERE is_test;
