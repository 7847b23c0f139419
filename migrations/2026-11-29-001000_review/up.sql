-- Reasons that were promised: calls over plain http, advertisers who are paused, and orders that somebody must look at.

ALTER TABLE integrations ADD COLUMN requires_https boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN integrations.requires_https IS 'Whether a call must have come over https, as a trusted proxy says.';
COMMENT ON COLUMN integrations.is_monitoring IS 'Whether https, token, signature and address are only looked at: what would be refused is taken, and marked.';
ALTER TABLE postbacks ADD COLUMN over_https boolean;
COMMENT ON COLUMN postbacks.over_https IS 'Whether it came over https, as a trusted proxy said; NULL where nothing is known.';

ALTER TABLE advertisers DROP CONSTRAINT advertisers_status_check;
ALTER TABLE advertisers
    ADD CONSTRAINT advertisers_status_check CHECK (status IN ('active', 'paused', 'archived')),
    ADD COLUMN paused_at timestamptz,
    ADD CONSTRAINT advertisers_paused CHECK ((status = 'paused') = (paused_at IS NOT NULL));
COMMENT ON COLUMN advertisers.status IS 'paused: nobody is sent to its campaigns and no conversion is made for it; those there are can be changed. archived: not offered for new campaigns; its running ones go on.';
COMMENT ON COLUMN advertisers.paused_at IS 'Since when it is paused; NULL where it is not.';
