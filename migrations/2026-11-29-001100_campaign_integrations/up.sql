-- A campaign may have an integration of its own, which takes the place of its advertiser's.
--
-- All rows there are stay what they are: the advertisers' own. While an older process runs beside this schema, it can make
-- no new tokens; it reads and takes everything else as before.

ALTER TABLE integrations
    ADD COLUMN campaign_id integer,
    ADD COLUMN advertiser_token_until timestamptz,
    DROP CONSTRAINT integrations_network_id_advertiser_id_key,
    ADD UNIQUE NULLS NOT DISTINCT (network_id, advertiser_id, campaign_id),
    ADD FOREIGN KEY (network_id, campaign_id) REFERENCES campaigns (network_id, id),
    ADD CONSTRAINT integrations_campaign CHECK ((campaign_id IS NULL) = (advertiser_token_until IS NULL));
COMMENT ON TABLE integrations IS 'How one advertiser''s server talks to us: for all its campaigns, or for one that has an integration of its own.';
COMMENT ON COLUMN integrations.campaign_id IS 'The campaign whose own it is; NULL for the advertiser''s, which decides for all campaigns without one.';
COMMENT ON COLUMN integrations.advertiser_token_until IS 'Until when the advertiser''s token is taken for the campaign as well; NULL for the advertiser''s own integration.';
GRANT DELETE ON integrations TO clickledger_web;

ALTER TABLE held_postbacks ADD COLUMN integration_campaign_id integer;
COMMENT ON COLUMN held_postbacks.integration_campaign_id IS 'The campaign whose own integration it was checked by when it came; NULL for the advertiser''s.';

ALTER TABLE postbacks ADD COLUMN integration_campaign_id integer;
COMMENT ON COLUMN postbacks.integration_campaign_id IS 'The campaign whose own integration it was checked by; NULL for the advertiser''s.';
-- The few that were checked by a campaign's own, among all that were not.
CREATE INDEX postbacks_of_integration ON postbacks (network_id, integration_campaign_id, id)
    WHERE integration_campaign_id IS NOT NULL;

-- Integrations go before the campaigns they are of.
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
