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

ALTER TABLE goals ADD COLUMN review_above_micros bigint CHECK (review_above_micros >= 0);
COMMENT ON COLUMN goals.review_above_micros IS 'Above which amount, in micro-units of the campaign''s currency, somebody of the network must look at a conversion before it is approved; NULL for never.';
ALTER TABLE conversions ADD COLUMN review_because text CHECK (review_because IN ('amount', 'currency'));
COMMENT ON COLUMN conversions.review_because IS 'Why it is pending until somebody of the network has looked: its amount is above the goal''s limit, or in a currency that cannot be compared with it. NULL where nobody must look, or somebody has.';
-- The few that wait, newest first.
CREATE INDEX conversions_in_review ON conversions (network_id, id) WHERE review_because IS NOT NULL;
-- Whoever decides ends the review.
GRANT UPDATE (review_because, amount_micros, commission_micros, revenue_micros, terms, hold_until) ON conversions TO clickledger_web;
COMMENT ON COLUMN conversions.hold_until IS 'When it approves itself, unless somebody must look first; NULL where a person decides or it was decided.';
COMMENT ON COLUMN postbacks.status IS 'accepted: a conversion was made or changed. duplicate: nothing was new. rejected: it was not taken. held: it waits for another one, or the conversion that it made for somebody of the network.';
