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

REVOKE SELECT (status, click_key_number, click_key_since) ON networks FROM clickledger_ingest;
REVOKE SELECT (network_id, id, name, code) ON goals FROM clickledger_ingest;
REVOKE SELECT (network_id, id, name) ON campaigns, affiliates FROM clickledger_ingest;
DROP POLICY ingest ON affiliates;
DROP POLICY ingest ON goals;
DROP POLICY ingest ON campaigns;
DROP TABLE delivery_attempts;
DROP TABLE deliveries;
DROP TABLE destinations;
DROP TABLE conversion_events;
