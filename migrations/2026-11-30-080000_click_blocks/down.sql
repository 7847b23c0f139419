DROP POLICY ingest ON networks;
REVOKE SELECT (id, time_zone) ON networks FROM clickledger_ingest;
DROP FUNCTION visit_of(clicks);
DROP FUNCTION referrer_host(text);
ALTER TABLE conversions DROP COLUMN visit;
DROP TABLE click_block_columns, click_blocks;
