ALTER TABLE advertisers NO FORCE ROW LEVEL SECURITY;
UPDATE advertisers SET status = 'archived', paused_at = NULL WHERE status = 'paused';
ALTER TABLE advertisers FORCE ROW LEVEL SECURITY;
ALTER TABLE advertisers DROP CONSTRAINT advertisers_paused, DROP CONSTRAINT advertisers_status_check, DROP COLUMN paused_at;
ALTER TABLE advertisers ADD CONSTRAINT advertisers_status_check CHECK (status IN ('active', 'archived'));
COMMENT ON COLUMN advertisers.status IS 'archived: not offered for new campaigns; its running ones go on.';
ALTER TABLE postbacks DROP COLUMN over_https;
COMMENT ON COLUMN integrations.is_monitoring IS 'Whether token, signature and address are only looked at: what would be refused is taken, and marked.';
ALTER TABLE integrations DROP COLUMN requires_https;
