-- Tracking at full speed: clicks in monthly partitions that know who came, events copied in from the nodes' journals
-- by a role of its own, and what proves that none was lost.

-- The months of clicks live apart, where only the role that copies events in can reach them. Row-level security stands
-- on the parent; it does not protect a partition, so nobody else has a right there.
CREATE SCHEMA clicks_by_month;
COMMENT ON SCHEMA clicks_by_month IS 'The partitions of clicks, one a month (y2026m11). Read through public.clicks only.';

ALTER TABLE clicks RENAME TO clicks_before;
ALTER TABLE clicks_before RENAME CONSTRAINT clicks_pkey TO clicks_before_pkey;
-- An owner who is no superuser would see none of them, and copy none.
ALTER TABLE clicks_before NO FORCE ROW LEVEL SECURITY;

CREATE TABLE clicks (
    network_id integer NOT NULL,
    id uuid NOT NULL,
    clicked_at timestamptz NOT NULL,
    link_id integer NOT NULL,
    campaign_id integer NOT NULL,
    affiliate_id integer NOT NULL,
    is_unique boolean NOT NULL,
    flag text CHECK (flag IN ('prefetch', 'bot', 'blocked', 'data_center', 'velocity', 'duplicate')),
    visitor bigint,
    country text CHECK (length(country) = 2),
    asn bigint,
    device text NOT NULL,
    os text,
    browser text,
    sub1 text,
    sub2 text,
    sub3 text,
    sub4 text,
    sub5 text,
    ip_prefix inet,
    referrer text,
    PRIMARY KEY (network_id, id)
) PARTITION BY RANGE (id);
COMMENT ON TABLE clicks IS 'Visits through tracking links. Only ever added to; a month is dropped as a whole.';
COMMENT ON COLUMN clicks.network_id IS 'The tenant.';
COMMENT ON COLUMN clicks.id IS 'time (48 bits of milliseconds) · link (32) · random (48): the key of the click, part of its click id.';
COMMENT ON COLUMN clicks.clicked_at IS 'When the visitor reached us.';
COMMENT ON COLUMN clicks.link_id IS 'The tracking link.';
COMMENT ON COLUMN clicks.campaign_id IS 'The link''s campaign.';
COMMENT ON COLUMN clicks.affiliate_id IS 'The link''s affiliate.';
COMMENT ON COLUMN clicks.is_unique IS 'The visitor''s first of the day through this affiliate for this campaign.';
COMMENT ON COLUMN clicks.flag IS 'Why the click is not a valid one; NULL for a valid one. It was redirected and counts as what it is.';
COMMENT ON COLUMN clicks.visitor IS 'Keyed hash of the visitor''s address and browser, under a key of the node and the day that is thrown away: equal only on that day.';
COMMENT ON COLUMN clicks.country IS 'ISO 3166-1 code; NULL where it is not known.';
COMMENT ON COLUMN clicks.asn IS 'Number of the autonomous system the visitor came from; NULL where it is not known.';
COMMENT ON COLUMN clicks.device IS 'desktop, mobile, tablet, tv or other.';
COMMENT ON COLUMN clicks.os IS 'Family of the operating system.';
COMMENT ON COLUMN clicks.browser IS 'Family of the browser, or name of the robot.';
COMMENT ON COLUMN clicks.sub1 IS 'The affiliate''s own value.';
COMMENT ON COLUMN clicks.sub2 IS 'The affiliate''s own value.';
COMMENT ON COLUMN clicks.sub3 IS 'The affiliate''s own value.';
COMMENT ON COLUMN clicks.sub4 IS 'The affiliate''s own value.';
COMMENT ON COLUMN clicks.sub5 IS 'The affiliate''s own value.';
COMMENT ON COLUMN clicks.ip_prefix IS 'The visitor''s network: /24 of IPv4, /48 of IPv6. The address itself is not kept.';
COMMENT ON COLUMN clicks.referrer IS 'Referer header, at most 1024 characters.';

-- The first key of a month: its first millisecond with nothing behind it.
CREATE FUNCTION click_key_floor(month timestamp) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (lpad(to_hex((extract(epoch FROM month) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
COMMENT ON FUNCTION click_key_floor(timestamp) IS 'The smallest click key of a moment (UTC).';

-- The role that copies events in. It passes no wall: policies let it add what happened to any network, and it can read
-- only what it must not add twice. (An earlier migration gave it BYPASSRLS where the owner was a superuser.)
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'clickledger_ingest') THEN
        CREATE ROLE clickledger_ingest NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
    ELSIF (SELECT rolbypassrls FROM pg_roles WHERE rolname = 'clickledger_ingest') THEN
        ALTER ROLE clickledger_ingest NOBYPASSRLS;
    END IF;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT clickledger_ingest TO %I', current_user);
    END IF;
END
$$;

-- These two run with their owner's rights: the role that copies events in owns nothing. They make and drop months of
-- clicks and do nothing else.
CREATE FUNCTION make_click_month(at timestamptz) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    month CONSTANT timestamp := date_trunc('month', at AT TIME ZONE 'UTC');
    name CONSTANT text := to_char(month, '"y"YYYY"m"MM');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('clicks_by_month'));
    IF to_regclass(format('clicks_by_month.%I', name)) IS NULL THEN
        EXECUTE format('CREATE TABLE clicks_by_month.%I (LIKE clicks INCLUDING ALL)', name);
        EXECUTE format('GRANT INSERT ON clicks_by_month.%I TO clickledger_ingest', name);
        -- Attached, not created as a partition: so nobody who reads or writes clicks has to wait.
        EXECUTE format('ALTER TABLE clicks ATTACH PARTITION clicks_by_month.%I FOR VALUES FROM (%L) TO (%L)',
            name, click_key_floor(month), click_key_floor(month + interval '1 month'));
    END IF;
    RETURN name;
END
$$;
COMMENT ON FUNCTION make_click_month(timestamptz) IS 'Makes sure there is a partition for the clicks of this month (UTC); returns its name.';

CREATE FUNCTION drop_click_months(before timestamptz) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    month text;
    dropped integer := 0;
BEGIN
    -- A month before the end of March is 28 days.
    IF before > now() - interval '28 days' THEN
        RAISE EXCEPTION 'clicks are kept for a month at least';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('clicks_by_month'));
    FOR month IN
        SELECT relname FROM pg_class WHERE relnamespace = 'clicks_by_month'::regnamespace AND relkind = 'r'
           AND relname < to_char(before AT TIME ZONE 'UTC', '"y"YYYY"m"MM')
    LOOP
        EXECUTE format('DROP TABLE clicks_by_month.%I', month);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
COMMENT ON FUNCTION drop_click_months(timestamptz) IS 'Drops the months of clicks that ended before this moment; returns how many. Their sums stay.';
REVOKE ALL ON FUNCTION make_click_month(timestamptz), drop_click_months(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_click_month(timestamptz), drop_click_months(timestamptz) TO clickledger_ingest;

SELECT make_click_month(month) FROM (
    SELECT generate_series(now(), now() + interval '2 months', interval '1 month') AS month
    UNION SELECT DISTINCT date_trunc('month', clicked_at, 'UTC') FROM clicks_before) months;

INSERT INTO clicks (network_id, id, clicked_at, link_id, campaign_id, affiliate_id, is_unique, device, sub1, sub2, sub3,
                    sub4, sub5, ip_prefix, referrer)
SELECT network_id, id, clicked_at, link_id, campaign_id, affiliate_id, false, 'other', sub1, sub2, sub3, sub4, sub5,
       ip_prefix, referrer FROM clicks_before;
DROP TABLE clicks_before;

ALTER TABLE clicks ENABLE ROW LEVEL SECURITY;
ALTER TABLE clicks FORCE ROW LEVEL SECURITY;
CREATE POLICY own_network ON clicks USING (network_id = current_network()) WITH CHECK (network_id = current_network());
GRANT SELECT ON clicks TO clickledger_web;

ALTER TABLE click_rollups ADD COLUMN unique_clicks bigint NOT NULL DEFAULT 0,
    ADD COLUMN invalid_clicks bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN click_rollups.unique_clicks IS 'How many of them were the visitor''s first of the day.';
COMMENT ON COLUMN click_rollups.invalid_clicks IS 'How many of them carry a flag.';

-- Keys of click ids can be replaced: ids under an older key are good only if they were given out before.
ALTER TABLE networks ADD COLUMN click_key_number smallint NOT NULL DEFAULT 1 CHECK (click_key_number BETWEEN 1 AND 127),
    ADD COLUMN click_key_since timestamptz NOT NULL DEFAULT '1970-01-01Z',
    ADD COLUMN blocked_addresses text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN networks.click_key_number IS 'Number of the key that signs its click ids now.';
COMMENT ON COLUMN networks.click_key_since IS 'Since when; ids under earlier keys count only from before.';
COMMENT ON COLUMN networks.blocked_addresses IS 'Addresses and networks (CIDR) whose clicks are flagged as blocked.';

-- From the journals ---------------------------------------------------------------------------------------------

CREATE TABLE ingest_cursors (
    journal uuid NOT NULL PRIMARY KEY,
    stream text NOT NULL CHECK (stream IN ('clicks', 'postbacks')),
    node text NOT NULL,
    next_seq bigint NOT NULL,
    moved_at timestamptz NOT NULL
);
COMMENT ON TABLE ingest_cursors IS 'How far each journal has been applied. Moves in the transaction that stores the events, so that each is stored exactly once.';
COMMENT ON COLUMN ingest_cursors.journal IS 'Identity of the journal''s folder.';
COMMENT ON COLUMN ingest_cursors.stream IS 'What is in it.';
COMMENT ON COLUMN ingest_cursors.node IS 'The machine and folder it was last applied from.';
COMMENT ON COLUMN ingest_cursors.next_seq IS 'Number of the first record that is not applied yet.';
COMMENT ON COLUMN ingest_cursors.moved_at IS 'When it last moved.';

CREATE TABLE quarantine (
    journal uuid NOT NULL,
    seq bigint NOT NULL,
    network_id integer,
    put_aside_at timestamptz NOT NULL,
    reason text NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (journal, seq)
);
COMMENT ON TABLE quarantine IS 'Records of a journal that could not be applied, and gaps in a journal: put aside so that all others go on.';
COMMENT ON COLUMN quarantine.journal IS 'Identity of the journal''s folder.';
COMMENT ON COLUMN quarantine.seq IS 'Number of the record; the first one, for a gap.';
COMMENT ON COLUMN quarantine.network_id IS 'Whose it is, as far as it can be told.';
COMMENT ON COLUMN quarantine.put_aside_at IS 'When it was put aside.';
COMMENT ON COLUMN quarantine.reason IS 'Why, as Postgres or the reader said.';
COMMENT ON COLUMN quarantine.record IS 'The record as journaled; empty for a gap.';
ALTER TABLE quarantine ENABLE ROW LEVEL SECURITY;
ALTER TABLE quarantine FORCE ROW LEVEL SECURITY;
CREATE POLICY own_network ON quarantine USING (network_id = current_network()) WITH CHECK (network_id = current_network());
CREATE POLICY operators_look ON quarantine FOR SELECT USING (operating());
CREATE POLICY ingest ON quarantine FOR INSERT TO clickledger_ingest WITH CHECK (true);
GRANT SELECT ON quarantine, ingest_cursors TO clickledger_web;
GRANT INSERT ON quarantine TO clickledger_ingest;
GRANT SELECT, INSERT, UPDATE ON ingest_cursors TO clickledger_ingest;

REVOKE INSERT ON clicks, postbacks FROM clickledger_web;
REVOKE INSERT ON clicks FROM clickledger_ingest;
REVOKE INSERT ON conversions, click_rollups FROM clickledger_web;
REVOKE UPDATE ON click_rollups FROM clickledger_web;
GRANT INSERT ON postbacks, ledger_entries TO clickledger_ingest;
GRANT SELECT, INSERT ON conversions TO clickledger_ingest;
GRANT SELECT, INSERT, UPDATE ON click_rollups, conversion_rollups TO clickledger_ingest;
CREATE POLICY ingest ON postbacks FOR INSERT TO clickledger_ingest WITH CHECK (true);
CREATE POLICY ingest ON ledger_entries FOR INSERT TO clickledger_ingest WITH CHECK (true);
CREATE POLICY ingest ON conversions TO clickledger_ingest USING (true) WITH CHECK (true);
CREATE POLICY ingest ON click_rollups TO clickledger_ingest USING (true) WITH CHECK (true);
CREATE POLICY ingest ON conversion_rollups TO clickledger_ingest USING (true) WITH CHECK (true);
GRANT USAGE ON SCHEMA clicks_by_month TO clickledger_ingest;

-- Proof ---------------------------------------------------------------------------------------------------------

CREATE TABLE verifications (
    network_id integer NOT NULL REFERENCES networks (id),
    id uuid NOT NULL,
    run_at timestamptz NOT NULL,
    period_from timestamptz NOT NULL,
    period_to timestamptz NOT NULL,
    holds boolean NOT NULL,
    checks jsonb NOT NULL,
    PRIMARY KEY (network_id, id)
);
COMMENT ON TABLE verifications IS 'Runs of clickledger verify: whether everything acknowledged is stored, counted and booked.';
COMMENT ON COLUMN verifications.network_id IS 'The tenant.';
COMMENT ON COLUMN verifications.id IS 'The run; sorts by time.';
COMMENT ON COLUMN verifications.run_at IS 'When.';
COMMENT ON COLUMN verifications.period_from IS 'Start of the period that was looked at.';
COMMENT ON COLUMN verifications.period_to IS 'Its end, not included.';
COMMENT ON COLUMN verifications.holds IS 'Whether every check held.';
COMMENT ON COLUMN verifications.checks IS 'Each check with its counts and the first rows that differ.';
ALTER TABLE verifications ENABLE ROW LEVEL SECURITY;
ALTER TABLE verifications FORCE ROW LEVEL SECURITY;
CREATE POLICY own_network ON verifications USING (network_id = current_network()) WITH CHECK (network_id = current_network());
GRANT SELECT, INSERT ON verifications TO clickledger_web;

-- The function that erases a network learns the new table, and that its clicks stand in partitions.
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
