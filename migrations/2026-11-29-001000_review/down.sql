ALTER TABLE postbacks DROP COLUMN over_https;
COMMENT ON COLUMN integrations.is_monitoring IS 'Whether token, signature and address are only looked at: what would be refused is taken, and marked.';
ALTER TABLE integrations DROP COLUMN requires_https;
