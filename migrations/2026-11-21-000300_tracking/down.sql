DROP TABLE verifications;
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
    FOREACH tenants_table IN ARRAY ARRAY[
        'audit_log', 'idempotency_keys', 'api_keys', 'invitations', 'applications', 'memberships', 'ledger_entries',
        'conversion_rollups', 'click_rollups', 'conversions', 'postbacks', 'clicks', 'tracking_links', 'goals',
        'campaigns', 'integrations', 'affiliates', 'affiliate_groups', 'advertisers'
    ] LOOP
        EXECUTE format('DELETE FROM %I WHERE network_id = $1', tenants_table) USING doomed;
        GET DIAGNOSTICS removed = ROW_COUNT;
        total := total + removed;
    END LOOP;
    DELETE FROM networks WHERE id = doomed;
    RETURN total;
END
$$;

DROP POLICY ingest ON conversion_rollups;
DROP POLICY ingest ON click_rollups;
DROP POLICY ingest ON conversions;
DROP POLICY ingest ON ledger_entries;
DROP POLICY ingest ON postbacks;
REVOKE ALL ON conversions, ledger_entries, click_rollups, conversion_rollups FROM clickledger_ingest;
GRANT INSERT ON conversions, postbacks TO clickledger_web;
GRANT INSERT, UPDATE ON click_rollups TO clickledger_web;
DROP TABLE quarantine;
DROP TABLE ingest_cursors;
ALTER TABLE networks DROP COLUMN blocked_addresses, DROP COLUMN click_key_since, DROP COLUMN click_key_number;
ALTER TABLE click_rollups DROP COLUMN unique_clicks, DROP COLUMN invalid_clicks;

-- What is known of the clicks beyond what the table held before is lost on the way down.
CREATE TABLE clicks_before (
    network_id integer NOT NULL,
    id uuid NOT NULL,
    clicked_at timestamptz NOT NULL,
    link_id integer NOT NULL,
    campaign_id integer NOT NULL,
    affiliate_id integer NOT NULL,
    sub1 text,
    sub2 text,
    sub3 text,
    sub4 text,
    sub5 text,
    ip_prefix inet,
    user_agent text,
    referrer text
);
ALTER TABLE clicks NO FORCE ROW LEVEL SECURITY;
INSERT INTO clicks_before
SELECT network_id, id, clicked_at, link_id, campaign_id, affiliate_id, sub1, sub2, sub3, sub4, sub5, ip_prefix, NULL,
       referrer FROM clicks;
DROP TABLE clicks;
DROP FUNCTION make_click_month(timestamptz);
DROP FUNCTION drop_click_months(timestamptz);
DROP FUNCTION click_key_floor(timestamp);
DROP SCHEMA clicks_by_month CASCADE;
ALTER TABLE clicks_before RENAME TO clicks;
ALTER TABLE clicks ADD PRIMARY KEY (network_id, id);
ALTER TABLE clicks ENABLE ROW LEVEL SECURITY;
ALTER TABLE clicks FORCE ROW LEVEL SECURITY;
CREATE POLICY own_network ON clicks USING (network_id = current_network()) WITH CHECK (network_id = current_network());
GRANT SELECT, INSERT ON clicks TO clickledger_web;
GRANT INSERT ON clicks TO clickledger_ingest;
COMMENT ON TABLE clicks IS 'One visit through a tracking link. No foreign keys: the ids come from the link that was just looked up, and checking them again would cost the visitor time.';
COMMENT ON COLUMN clicks.network_id IS 'The tenant.';
COMMENT ON COLUMN clicks.id IS 'time (48 bits, ms) · link (32) · random (48): the heart of the click id, so it sorts by time.';
COMMENT ON COLUMN clicks.clicked_at IS 'When the visit reached us.';
COMMENT ON COLUMN clicks.link_id IS 'The tracking link.';
COMMENT ON COLUMN clicks.campaign_id IS 'The link''s campaign at that time.';
COMMENT ON COLUMN clicks.affiliate_id IS 'The link''s affiliate at that time.';
COMMENT ON COLUMN clicks.sub1 IS 'The affiliate''s own first sub id.';
COMMENT ON COLUMN clicks.sub2 IS 'The affiliate''s own second sub id.';
COMMENT ON COLUMN clicks.sub3 IS 'The affiliate''s own third sub id.';
COMMENT ON COLUMN clicks.sub4 IS 'The affiliate''s own fourth sub id.';
COMMENT ON COLUMN clicks.sub5 IS 'The affiliate''s own fifth sub id.';
COMMENT ON COLUMN clicks.ip_prefix IS 'The visitor''s /24 (IPv4) or /48 (IPv6). The full address is never stored.';
COMMENT ON COLUMN clicks.user_agent IS 'User-Agent header, at most 512 characters.';
COMMENT ON COLUMN clicks.referrer IS 'Referer header, at most 1024 characters.';
