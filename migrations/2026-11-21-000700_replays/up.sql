-- Postbacks that are to be decided once more under today's configuration, for real or to see what would change.

CREATE TABLE replays (
    network_id integer NOT NULL REFERENCES networks (id),
    id uuid NOT NULL,
    batch uuid NOT NULL,
    postback_id uuid NOT NULL,
    asked_at timestamptz NOT NULL,
    asked_by text NOT NULL,
    is_dry boolean NOT NULL,
    done_at timestamptz,
    reason_before text NOT NULL,
    reason text,
    message text,
    conversion_id uuid,
    commission_micros bigint,
    revenue_micros bigint,
    currency text CHECK (currency ~ '^[A-Z]{3}$'),
    PRIMARY KEY (network_id, id)
);
CREATE INDEX replays_of_batch ON replays (network_id, batch, id);
CREATE INDEX replays_to_do ON replays (network_id, id) WHERE done_at IS NULL;
COMMENT ON TABLE replays IS 'Postbacks that were decided once more, or are to be.';
COMMENT ON COLUMN replays.network_id IS 'The tenant.';
COMMENT ON COLUMN replays.id IS 'The replay; sorts by time.';
COMMENT ON COLUMN replays.batch IS 'All that were asked for at once.';
COMMENT ON COLUMN replays.postback_id IS 'The postback.';
COMMENT ON COLUMN replays.asked_at IS 'When it was asked for.';
COMMENT ON COLUMN replays.asked_by IS 'By whom, in words.';
COMMENT ON COLUMN replays.is_dry IS 'Whether only what would come of it is wanted: nothing is changed.';
COMMENT ON COLUMN replays.done_at IS 'When it was decided; NULL while it is to be done.';
COMMENT ON COLUMN replays.reason_before IS 'The reason the postback had.';
COMMENT ON COLUMN replays.reason IS 'The reason it has or would have.';
COMMENT ON COLUMN replays.message IS 'What happened, or would happen, in a sentence.';
COMMENT ON COLUMN replays.conversion_id IS 'The conversion it makes or is about.';
COMMENT ON COLUMN replays.commission_micros IS 'What the affiliate earns by a conversion that it makes.';
COMMENT ON COLUMN replays.revenue_micros IS 'What the advertiser owes for it.';
COMMENT ON COLUMN replays.currency IS 'ISO 4217: of both.';
ALTER TABLE replays ENABLE ROW LEVEL SECURITY;
ALTER TABLE replays FORCE ROW LEVEL SECURITY;
CREATE POLICY own_network ON replays USING (network_id = current_network()) WITH CHECK (network_id = current_network());
CREATE POLICY ingest ON replays TO clickledger_ingest USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON replays TO clickledger_web;
GRANT SELECT, UPDATE ON replays TO clickledger_ingest;

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
        'replays', 'verifications', 'audit_log', 'idempotency_keys', 'api_keys', 'invitations', 'applications', 'memberships', 'ledger_entries',
        'conversion_rollups', 'click_rollups', 'held_postbacks', 'conversion_changes', 'test_conversions', 'conversions',
        'postbacks', 'clicks', 'tracking_links', 'coupons', 'commission_rules', 'goals', 'promoters', 'caps',
        'landing_pages', 'campaigns', 'integrations', 'affiliates', 'affiliate_groups', 'advertisers'
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
