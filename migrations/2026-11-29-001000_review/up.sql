-- Reasons that were promised: calls over plain http, advertisers who are paused, and orders that somebody must look at.

ALTER TABLE integrations ADD COLUMN requires_https boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN integrations.requires_https IS 'Whether a call must have come over https, as a trusted proxy says.';
COMMENT ON COLUMN integrations.is_monitoring IS 'Whether https, token, signature and address are only looked at: what would be refused is taken, and marked.';
ALTER TABLE postbacks ADD COLUMN over_https boolean;
COMMENT ON COLUMN postbacks.over_https IS 'Whether it came over https, as a trusted proxy said; NULL where nothing is known.';
