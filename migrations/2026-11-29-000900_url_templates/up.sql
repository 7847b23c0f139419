-- URLs that people save in the URL builder: for other systems to call us at, and of trackers that we call.

CREATE TABLE url_templates (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    advertiser_id integer,
    affiliate_id integer,
    name text NOT NULL CHECK (name <> ''),
    direction text NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    url text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    CONSTRAINT url_templates_name_key
        UNIQUE NULLS NOT DISTINCT (network_id, advertiser_id, affiliate_id, direction, name),
    FOREIGN KEY (network_id, advertiser_id) REFERENCES advertisers (network_id, id),
    FOREIGN KEY (network_id, affiliate_id) REFERENCES affiliates (network_id, id),
    CHECK (advertiser_id IS NULL OR affiliate_id IS NULL)
);
COMMENT ON TABLE url_templates IS 'URLs with macros that people have saved in the URL builder.';
COMMENT ON COLUMN url_templates.network_id IS 'The tenant.';
COMMENT ON COLUMN url_templates.id IS 'The template.';
COMMENT ON COLUMN url_templates.advertiser_id IS 'The advertiser whose people saved it; NULL where others did.';
COMMENT ON COLUMN url_templates.affiliate_id IS 'The affiliate whose people saved it; NULL where others did. With neither, it is the network''s own.';
COMMENT ON COLUMN url_templates.name IS 'As people see it.';
COMMENT ON COLUMN url_templates.direction IS 'inbound: another system calls us, and its macros are in the URL. outbound: we call a tracker, and our macros are in the URL.';
COMMENT ON COLUMN url_templates.url IS 'The URL with its macros; no secret stands in it.';
COMMENT ON COLUMN url_templates.created_at IS 'When it was saved first.';
ALTER TABLE url_templates ENABLE ROW LEVEL SECURITY;
ALTER TABLE url_templates FORCE ROW LEVEL SECURITY;
CREATE POLICY own_network ON url_templates USING (network_id = current_network()) WITH CHECK (network_id = current_network());
GRANT SELECT, INSERT, UPDATE, DELETE ON url_templates TO clickledger_web;

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
        'url_templates', 'replays', 'verifications', 'audit_log', 'idempotency_keys', 'api_keys', 'invitations', 'applications', 'memberships', 'ledger_entries',
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
