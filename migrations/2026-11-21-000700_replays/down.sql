DROP TABLE replays;
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
        'verifications', 'audit_log', 'idempotency_keys', 'api_keys', 'invitations', 'applications', 'memberships', 'ledger_entries',
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
