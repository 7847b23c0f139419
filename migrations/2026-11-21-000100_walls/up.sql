-- The walls between networks: row-level security on every tenant's table, and the role that the server works as.
--
-- The server connects, then becomes clickledger_web for good (schema/src/db.rs). That role owns nothing, bypasses
-- nothing, and has no right it does not need: what happened (clicks, postbacks, ledger) it can add and read, never
-- change. A query that forgets its network finds nothing.

-- Roles belong to the whole cluster; another database of ours may have made it already.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'clickledger_web') THEN
        CREATE ROLE clickledger_web NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    END IF;
    -- A superuser may become anyone; an ordinary owner must be a member.
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT clickledger_web TO %I', current_user);
    END IF;
END
$$;

CREATE FUNCTION current_network() RETURNS integer
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('clickledger.network_id', true), '')::integer;
COMMENT ON FUNCTION current_network() IS 'The network this transaction is for. NULL where none was told: no row matches. (After a SET LOCAL the setting is empty, not NULL.)';

CREATE FUNCTION current_person() RETURNS integer
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('clickledger.person_id', true), '')::integer;
COMMENT ON FUNCTION current_person() IS 'The person who is signing in, while it is not yet known in which network.';

DO $$
DECLARE
    tenants_table text;
BEGIN
    FOREACH tenants_table IN ARRAY ARRAY[
        'advertisers', 'affiliates', 'campaigns', 'click_rollups', 'clicks', 'conversion_rollups', 'conversions',
        'goals', 'integrations', 'ledger_entries', 'memberships', 'postbacks', 'tracking_links'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenants_table);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenants_table);
        EXECUTE format(
            'CREATE POLICY own_network ON %I USING (network_id = current_network()) WITH CHECK (network_id = current_network())',
            tenants_table);
    END LOOP;
END
$$;

ALTER TABLE networks ENABLE ROW LEVEL SECURITY;
ALTER TABLE networks FORCE ROW LEVEL SECURITY;
CREATE POLICY own_network ON networks USING (id = current_network()) WITH CHECK (id = current_network());

-- Someone who signs in sees where they may, before a network is chosen.
CREATE POLICY own_memberships ON memberships FOR SELECT USING (person_id = current_person());

GRANT USAGE ON SEQUENCE configuration_ids TO clickledger_web;
GRANT SELECT ON __diesel_schema_migrations TO clickledger_web;
GRANT SELECT, INSERT ON installation TO clickledger_web;
GRANT SELECT, INSERT, UPDATE ON networks, people, memberships, advertisers, affiliates, campaigns, goals,
    tracking_links, integrations TO clickledger_web;
GRANT SELECT, INSERT, DELETE ON sessions, tracking_hosts TO clickledger_web;
GRANT SELECT, INSERT ON clicks, postbacks, conversions, ledger_entries TO clickledger_web;
GRANT UPDATE (status) ON conversions TO clickledger_web;
GRANT SELECT, INSERT, UPDATE ON click_rollups, conversion_rollups TO clickledger_web;
