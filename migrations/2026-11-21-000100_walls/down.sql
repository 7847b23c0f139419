-- The role stays: it belongs to the cluster, and another database may use it.
DO $$
DECLARE
    tenants_table text;
BEGIN
    FOREACH tenants_table IN ARRAY ARRAY[
        'advertisers', 'affiliates', 'campaigns', 'click_rollups', 'clicks', 'conversion_rollups', 'conversions',
        'goals', 'integrations', 'ledger_entries', 'memberships', 'networks', 'postbacks', 'tracking_links'
    ] LOOP
        EXECUTE format('DROP POLICY own_network ON %I', tenants_table);
        EXECUTE format('ALTER TABLE %I NO FORCE ROW LEVEL SECURITY', tenants_table);
        EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', tenants_table);
    END LOOP;
END
$$;
DROP POLICY own_memberships ON memberships;
DROP FUNCTION current_person();
DROP FUNCTION current_network();
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM clickledger_web;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM clickledger_web;
