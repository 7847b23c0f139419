-- Advertisers whose postbacks stopped, or are rejected much more often than before.

CREATE TABLE alerts (
    network_id integer NOT NULL REFERENCES networks (id),
    id uuid NOT NULL,
    advertiser_id integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('silent', 'rejections')),
    since timestamptz NOT NULL,
    opened_at timestamptz NOT NULL,
    finding jsonb NOT NULL,
    closed_at timestamptz,
    seen_at timestamptz,
    seen_by text,
    told_at timestamptz,
    end_told_at timestamptz,
    tell_after timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, advertiser_id) REFERENCES advertisers (network_id, id),
    CONSTRAINT alerts_seen CHECK ((seen_at IS NULL) = (seen_by IS NULL))
);
CREATE UNIQUE INDEX alerts_open ON alerts (network_id, advertiser_id, kind) WHERE closed_at IS NULL;
COMMENT ON TABLE alerts IS 'Integrations that seem to have failed: what made us think so, since when, and whether it is over.';
COMMENT ON COLUMN alerts.network_id IS 'The tenant.';
COMMENT ON COLUMN alerts.id IS 'The alert; sorts by when it was opened.';
COMMENT ON COLUMN alerts.advertiser_id IS 'Whose postbacks they are.';
COMMENT ON COLUMN alerts.kind IS 'silent: nothing comes although visitors do. rejections: much more is rejected than before.';
COMMENT ON COLUMN alerts.since IS 'When the last postback came, or the first of the rejected ones that are counted.';
COMMENT ON COLUMN alerts.opened_at IS 'When it was noticed.';
COMMENT ON COLUMN alerts.finding IS 'The figures it was last seen with.';
COMMENT ON COLUMN alerts.closed_at IS 'When it was over; NULL while it is not.';
COMMENT ON COLUMN alerts.seen_at IS 'When somebody of the network said that they know; NULL until then.';
COMMENT ON COLUMN alerts.seen_by IS 'Who, in words.';
COMMENT ON COLUMN alerts.told_at IS 'When it had been mailed; NULL until then.';
COMMENT ON COLUMN alerts.end_told_at IS 'When its end had been mailed; NULL until then.';
COMMENT ON COLUMN alerts.tell_after IS 'Before this, nobody else mails it: who mails it puts this off first.';
ALTER TABLE alerts ENABLE ROW LEVEL SECURITY;
ALTER TABLE alerts FORCE ROW LEVEL SECURITY;
CREATE POLICY own_network ON alerts USING (network_id = current_network()) WITH CHECK (network_id = current_network());
GRANT SELECT, INSERT, UPDATE ON alerts TO clickledger_web;

-- Accepted postbacks, which are most, are not in it.
CREATE INDEX postbacks_rejected ON postbacks (network_id, received_at) INCLUDE (advertiser_id, reason)
    WHERE status = 'rejected' AND advertiser_id IS NOT NULL AND NOT is_test;

-- The function that erases a network learns the new table.
CREATE OR REPLACE FUNCTION erase_network() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    doomed CONSTANT integer := current_network();
    tenants_table text;
    removed bigint;
    total bigint := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM networks WHERE id = doomed AND status = 'closed') THEN
        RAISE EXCEPTION 'only a closed network can be erased';
    END IF;
    DELETE FROM sessions WHERE network_id = doomed;
    DELETE FROM tracking_hosts WHERE network_id = doomed;
    DELETE FROM network_slugs WHERE network_id = doomed;
    UPDATE goals SET parent_goal_id = NULL WHERE network_id = doomed AND parent_goal_id IS NOT NULL;
    FOREACH tenants_table IN ARRAY ARRAY[
        'alerts', 'url_templates', 'replays', 'verifications', 'audit_log', 'idempotency_keys', 'api_keys', 'invitations', 'applications', 'memberships', 'ledger_entries',
        'conversion_rollups', 'click_rollups', 'held_postbacks', 'conversion_changes', 'test_conversions', 'conversions',
        'postbacks', 'clicks', 'tracking_links', 'coupons', 'commission_rules', 'goals', 'promoters', 'caps',
        'landing_pages', 'integrations', 'campaigns', 'affiliates', 'affiliate_groups', 'advertisers'
    ] LOOP
        EXECUTE format('DELETE FROM %I WHERE network_id = $1', tenants_table) USING doomed;
        GET DIAGNOSTICS removed = ROW_COUNT;
        total := total + removed;
    END LOOP;
    DELETE FROM quarantine WHERE network_id = doomed;
    DELETE FROM networks WHERE id = doomed;
    RETURN total;
END
$$;
