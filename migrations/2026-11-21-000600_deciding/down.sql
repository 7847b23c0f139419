-- What the older tables have no room for is lost on the way down.

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
        'verifications', 'audit_log', 'idempotency_keys', 'api_keys', 'invitations', 'applications', 'memberships', 'ledger_entries',
        'conversion_rollups', 'click_rollups', 'conversions', 'postbacks', 'clicks', 'tracking_links', 'goals',
        'campaigns', 'integrations', 'affiliates', 'affiliate_groups', 'advertisers'
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
CREATE OR REPLACE FUNCTION export_network() RETURNS TABLE (table_name text, row_json text)
    LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN QUERY SELECT 'networks'::text, to_jsonb(n)::text FROM networks n WHERE n.id = current_network();
    FOR table_name IN
        SELECT t.relname FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = 'network_id'
        WHERE t.relnamespace = 'public'::regnamespace AND t.relkind IN ('r', 'p') AND NOT t.relispartition
          AND t.relrowsecurity AND NOT a.attisdropped
        ORDER BY t.relname
    LOOP
        RETURN QUERY EXECUTE format(
            'SELECT %L::text, (to_jsonb(t) - ARRAY[''token_hash'', ''key_hash'', ''request_hash''])::text FROM %I t WHERE network_id = current_network()',
            table_name, table_name);
    END LOOP;
END
$$;

DROP POLICY ingest ON postbacks;
CREATE POLICY ingest ON postbacks FOR INSERT TO clickledger_ingest WITH CHECK (true);
REVOKE SELECT, UPDATE ON postbacks FROM clickledger_ingest;
DROP POLICY ingest ON clicks;
REVOKE SELECT ON clicks FROM clickledger_ingest;
REVOKE UPDATE ON conversions FROM clickledger_ingest;

-- An owner who is no superuser would see none of the rows.
ALTER TABLE ledger_entries NO FORCE ROW LEVEL SECURITY;
ALTER TABLE conversions NO FORCE ROW LEVEL SECURITY;
ALTER TABLE postbacks NO FORCE ROW LEVEL SECURITY;
ALTER TABLE goals NO FORCE ROW LEVEL SECURITY;
ALTER TABLE campaigns NO FORCE ROW LEVEL SECURITY;
ALTER TABLE caps NO FORCE ROW LEVEL SECURITY;

UPDATE ledger_entries SET kind = 'earned' WHERE kind = 'adjusted';
ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_kind_check;
ALTER TABLE ledger_entries ADD CONSTRAINT ledger_entries_kind_check CHECK (kind IN ('earned', 'rejected'));
COMMENT ON COLUMN ledger_entries.kind IS 'earned: the conversion was made. rejected: it was rejected, and this entry takes the earned one back.';
DROP TABLE test_conversions, held_postbacks, conversion_changes;

DROP INDEX conversions_on_hold, conversions_of_parent, conversions_of_customer;
-- Those without a click keep their money, under the number that no click has.
UPDATE conversions SET click_id = '00000000-0000-0000-0000-000000000000' WHERE click_id IS NULL;
ALTER TABLE conversion_rollups NO FORCE ROW LEVEL SECURITY;
INSERT INTO conversion_rollups (network_id, hour, campaign_id, affiliate_id, link_id, goal_id, currency, status, conversions,
    amount_micros, commission_micros, revenue_micros)
SELECT network_id, hour, campaign_id, affiliate_id, link_id, goal_id, currency, 'rejected', conversions, amount_micros,
    commission_micros, revenue_micros FROM conversion_rollups WHERE status = 'reversed'
ON CONFLICT (network_id, hour, campaign_id, affiliate_id, link_id, goal_id, currency, status) DO UPDATE
SET conversions = conversion_rollups.conversions + EXCLUDED.conversions,
    amount_micros = conversion_rollups.amount_micros + EXCLUDED.amount_micros,
    commission_micros = conversion_rollups.commission_micros + EXCLUDED.commission_micros,
    revenue_micros = conversion_rollups.revenue_micros + EXCLUDED.revenue_micros;
DELETE FROM conversion_rollups WHERE status = 'reversed';
ALTER TABLE conversion_rollups FORCE ROW LEVEL SECURITY;
UPDATE conversions SET status = 'rejected' WHERE status = 'reversed';
ALTER TABLE conversions
    DROP CONSTRAINT conversions_click,
    DROP COLUMN terms, DROP COLUMN hold_until, DROP COLUMN unpaid_because, DROP COLUMN country, DROP COLUMN coupon,
    DROP COLUMN customer_id, DROP COLUMN parent_id, DROP COLUMN attributed_by,
    ALTER COLUMN click_id SET NOT NULL,
    DROP CONSTRAINT conversions_status_check;
ALTER TABLE conversions ADD CONSTRAINT conversions_status_check CHECK (status IN ('pending', 'approved', 'rejected'));
COMMENT ON COLUMN conversions.click_id IS 'The click it is attributed to.';
COMMENT ON COLUMN conversions.status IS 'pending, then approved or rejected.';

UPDATE postbacks SET status = 'rejected' WHERE status = 'held';
ALTER TABLE postbacks
    DROP COLUMN decided_at, DROP COLUMN is_test, DROP COLUMN trace, DROP COLUMN token_hash, DROP COLUMN dialect,
    DROP CONSTRAINT postbacks_status_check;
ALTER TABLE postbacks ADD CONSTRAINT postbacks_status_check CHECK (status IN ('accepted', 'duplicate', 'rejected'));
COMMENT ON COLUMN postbacks.status IS 'accepted: a conversion was made. duplicate: it had been made before. rejected: it was not made.';

DROP TABLE coupons;
ALTER TABLE integrations
    DROP CONSTRAINT integrations_signature, DROP CONSTRAINT integrations_previous,
    DROP COLUMN ignores_letter_case, DROP COLUMN takes_commission, DROP COLUMN status_map, DROP COLUMN answer_format,
    DROP COLUMN is_monitoring, DROP COLUMN allowed_addresses, DROP COLUMN signature_seconds,
    DROP COLUMN requires_signature, DROP COLUMN signing_secret, DROP COLUMN previous_token_until,
    DROP COLUMN previous_token_hash, DROP COLUMN requires_token, DROP COLUMN dialect;
ALTER TABLE tracking_links
    DROP COLUMN is_test, DROP COLUMN sub5, DROP COLUMN sub4, DROP COLUMN sub3, DROP COLUMN sub2, DROP COLUMN sub1,
    DROP COLUMN landing_page_id;

DROP TABLE commission_rules;
UPDATE goals SET unique_by = 'click' WHERE unique_by IN ('customer', 'fire');
ALTER TABLE goals
    DROP CONSTRAINT goals_parent,
    DROP COLUMN changed_at, DROP COLUMN version, DROP COLUMN times_per_parent, DROP COLUMN wait_hours,
    DROP COLUMN parent_goal_id, DROP COLUMN default_amount_micros, DROP COLUMN forbidden_parameters,
    DROP COLUMN required_parameters, DROP COLUMN hold_days, DROP COLUMN external_id, DROP COLUMN kind,
    DROP CONSTRAINT goals_unique_by_check;
ALTER TABLE goals ADD CONSTRAINT goals_unique_by_check CHECK (unique_by IN ('order', 'click'));
COMMENT ON COLUMN goals.unique_by IS 'What makes a conversion the same one again: its order id, or its click.';

ALTER TABLE campaigns ADD COLUMN daily_clicks integer CHECK (daily_clicks > 0);
COMMENT ON COLUMN campaigns.daily_clicks IS 'How many valid clicks it wants in a day on the network''s clock; NULL for as many as come.';
UPDATE campaigns SET daily_clicks = least(most, 2147483647)::integer FROM caps
WHERE caps.network_id = campaigns.network_id AND caps.campaign_id = campaigns.id AND affiliate_id IS NULL
  AND metric = 'clicks' AND period = 'day';
DROP TABLE promoters, caps, landing_pages;
UPDATE campaigns SET status = 'paused' WHERE status NOT IN ('live', 'paused');
ALTER TABLE campaigns
    DROP CONSTRAINT campaigns_dates,
    DROP COLUMN notes, DROP COLUMN terms, DROP COLUMN categories, DROP COLUMN access, DROP COLUMN fallback_url,
    DROP COLUMN attribution_min_seconds, DROP COLUMN ends_at, DROP COLUMN starts_at, DROP COLUMN deep_link_hosts,
    DROP COLUMN destination_weight, DROP COLUMN extra_parameters, DROP COLUMN click_parameter, DROP COLUMN external_id,
    DROP CONSTRAINT campaigns_status_check;
ALTER TABLE campaigns ADD CONSTRAINT campaigns_status_check CHECK (status IN ('live', 'paused'));
COMMENT ON COLUMN campaigns.status IS 'live: clicks are sent on and conversions count. paused: clicks get a page that says so.';

ALTER TABLE ledger_entries FORCE ROW LEVEL SECURITY;
ALTER TABLE conversions FORCE ROW LEVEL SECURITY;
ALTER TABLE postbacks FORCE ROW LEVEL SECURITY;
ALTER TABLE goals FORCE ROW LEVEL SECURITY;
ALTER TABLE campaigns FORCE ROW LEVEL SECURITY;
