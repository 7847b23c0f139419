-- Share links: reports for visitors without an account.

CREATE TABLE report_links (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    owner_id integer NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    token_hash bytea NOT NULL CHECK (length(token_hash) = 32),
    password_hash text,
    period text CHECK (period IN ('today', 'yesterday', 'last_7_days', 'last_30_days', 'last_90_days', 'this_week',
        'last_week', 'this_month', 'last_month', 'this_year')),
    query text NOT NULL CHECK (length(query) <= 8000),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    last_used_at timestamptz,
    PRIMARY KEY (network_id, id),
    UNIQUE (network_id, token_hash),
    FOREIGN KEY (network_id, owner_id) REFERENCES memberships (network_id, id),
    CONSTRAINT report_links_lifetime CHECK (expires_at > created_at AND expires_at <= created_at + interval '366 days')
);
COMMENT ON TABLE report_links IS 'Share links: secret addresses of reports.';
COMMENT ON COLUMN report_links.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN report_links.id IS 'Id of the link.';
COMMENT ON COLUMN report_links.owner_id IS 'Membership of the user who made the link, whose role decides about the figures.';
COMMENT ON COLUMN report_links.name IS 'Name of the report on its page.';
COMMENT ON COLUMN report_links.token_hash IS 'SHA-256 of the token in the link.';
COMMENT ON COLUMN report_links.password_hash IS 'Argon2id of the password that visitors enter; NULL for none.';
COMMENT ON COLUMN report_links.period IS 'Period relative to the day on which the report runs; NULL for the fixed days of the query.';
COMMENT ON COLUMN report_links.query IS 'Query string of the report; without days if the period is relative.';
COMMENT ON COLUMN report_links.created_at IS 'Time of creation.';
COMMENT ON COLUMN report_links.expires_at IS 'End of validity.';
COMMENT ON COLUMN report_links.revoked_at IS 'Time at which a user revoked it; NULL until then.';
COMMENT ON COLUMN report_links.last_used_at IS 'Time of the last view; NULL until then.';

CALL enclose('report_links');
GRANT SELECT, INSERT, UPDATE ON report_links TO clickledger_web;

-- Passwords of share links are no part of an export either.
CREATE OR REPLACE FUNCTION export_network() RETURNS TABLE (table_name text, row_json text)
    LANGUAGE plpgsql STABLE
AS $$
DECLARE
    secrets CONSTANT text[] := ARRAY['token_hash', 'previous_token_hash', 'signing_secret', 'key_hash', 'request_hash',
        'password_hash'];
BEGIN
    RETURN QUERY SELECT 'networks'::text, to_jsonb(n)::text FROM networks n WHERE n.id = current_network();
    FOR table_name IN SELECT t.name::text FROM network_tables() t WHERE t.is_exported LOOP
        RETURN QUERY EXECUTE format(
            'SELECT %L::text, (to_jsonb(t) - $1)::text FROM %s t WHERE network_id = current_network()',
            table_name, table_name) USING secrets;
    END LOOP;
END
$$;
