-- Foundation: ids, roles, and the settings that row-level security reads.
--
-- Rules every table follows (ARCHITECTURE.md, "Data rules"; checked by tests/data_rules.rs):
--   * a tenant table has network_id first in its primary key, unique keys, foreign keys and indexes, and row-level
--     security enabled and forced;
--   * money is integer micro-units (1 EUR = 1 000 000) next to an ISO 4217 currency;
--   * configuration has a scattered 31-bit number as id, events have a time-ordered uuid;
--   * each table belongs to one crate, whose migration creates it.

-- An odd multiplier permutes the numbers modulo 2^31, so ids stay unique and do not reveal how many exist.
CREATE FUNCTION scatter(n bigint) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ((n * 1580030173) & 2147483647)::integer;
COMMENT ON FUNCTION scatter(bigint) IS 'Permutes 1 … 2^31-1, so that ids from a sequence do not reveal how many exist.';

CREATE SEQUENCE configuration_ids MAXVALUE 2147483647;
COMMENT ON SEQUENCE configuration_ids IS 'Feeds scatter(): the ids of all configuration (networks, people, campaigns, links …).';

-- Roles ---------------------------------------------------------------------------------------------------------
-- Roles belong to the cluster, so another database of Clickledger may have created them already. Sessions of the server
-- switch to clickledger_web or clickledger_ingest and stay there (crates/schema/src/session.rs). Neither role owns
-- anything or bypasses row-level security; each has only the grants it needs.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['clickledger_web', 'clickledger_ingest'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', role_name);
        END IF;
        -- A superuser can become any role; an ordinary owner must be a member.
        IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
            EXECUTE format('GRANT %I TO %I', role_name, current_user);
        END IF;
    END LOOP;
END
$$;

-- Settings of a transaction -------------------------------------------------------------------------------------
-- After a SET LOCAL has ended, the setting is empty instead of NULL.

CREATE FUNCTION current_network() RETURNS integer
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('clickledger.network_id', true), '')::integer;
COMMENT ON FUNCTION current_network() IS 'Network of this transaction; NULL, which matches no row, if the transaction has none.';

CREATE FUNCTION current_person() RETURNS integer
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('clickledger.person_id', true), '')::integer;
COMMENT ON FUNCTION current_person() IS 'Person who is signing in, before a network is chosen; NULL in any other transaction.';

CREATE FUNCTION operating() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce(current_setting('clickledger.operating', true), '') = 'yes';
COMMENT ON FUNCTION operating() IS 'True in a transaction of an operator, who sees the list of networks but none of their rows.';

-- The installation ----------------------------------------------------------------------------------------------

CREATE TABLE installation (
    single boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (single),
    secret_fingerprint bytea NOT NULL,
    setup_token_hash bytea CHECK (length(setup_token_hash) = 32)
);
COMMENT ON TABLE installation IS 'One row: facts that all nodes on this database must agree on.';
COMMENT ON COLUMN installation.single IS 'Always true: limits the table to one row.';
COMMENT ON COLUMN installation.secret_fingerprint IS 'Fingerprint of the installation secret. A node with another secret could not verify the click IDs of its peers, so it refuses to start.';
COMMENT ON COLUMN installation.setup_token_hash IS 'SHA-256 of the token in the link that creates the first operator; NULL once an operator exists.';

GRANT USAGE ON SEQUENCE configuration_ids TO clickledger_web;
GRANT SELECT ON __diesel_schema_migrations TO clickledger_web;
GRANT SELECT, INSERT ON installation TO clickledger_web;
GRANT UPDATE (setup_token_hash) ON installation TO clickledger_web;

-- Walls between networks ----------------------------------------------------------------------------------------

CREATE PROCEDURE enclose(VARIADIC tables text[]) LANGUAGE plpgsql AS $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY tables LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY own_network ON %I USING (network_id = current_network())
                        WITH CHECK (network_id = current_network())', tenant_table);
    END LOOP;
END
$$;
COMMENT ON PROCEDURE enclose(text[]) IS 'Restricts tables to the rows of the network of the transaction.';

CREATE PROCEDURE admit_applier(VARIADIC tables text[]) LANGUAGE plpgsql AS $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY tables LOOP
        EXECUTE format('CREATE POLICY ingest ON %I TO clickledger_ingest USING (true) WITH CHECK (true)', tenant_table);
    END LOOP;
END
$$;
COMMENT ON PROCEDURE admit_applier(text[]) IS 'Opens enclosed tables to the appliers, who handle the events of all networks.';
