-- Tracking: clicks in monthly partitions, their rollups, and the state of the journals' appliers.

-- Partitions stand in a separate schema, where only the role that copies events in has a grant: row-level security of
-- the parent does not protect a partition that is accessed directly.
CREATE SCHEMA clicks_by_month;
COMMENT ON SCHEMA clicks_by_month IS 'Partitions of clicks, one per month (y2026m11). Read through public.clicks only.';
GRANT USAGE ON SCHEMA clicks_by_month TO clickledger_ingest;

CREATE TABLE clicks (
    network_id integer NOT NULL,
    id uuid NOT NULL,
    clicked_at timestamptz NOT NULL,
    link_id integer NOT NULL,
    campaign_id integer NOT NULL,
    affiliate_id integer NOT NULL,
    is_unique boolean NOT NULL,
    flag text CHECK (flag IN
        ('prefetch', 'bot', 'blocked', 'data_center', 'not_targeted', 'velocity', 'duplicate', 'cap_reached')),
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
COMMENT ON TABLE clicks IS 'Append-only visits through tracking links, dropped month by month. No foreign keys, as for conversions.';
COMMENT ON COLUMN clicks.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN clicks.id IS 'Key of the click, part of its click ID: time (48 bits of milliseconds) · link (32) · random (48).';
COMMENT ON COLUMN clicks.clicked_at IS 'Time the request was received.';
COMMENT ON COLUMN clicks.link_id IS 'Tracking link.';
COMMENT ON COLUMN clicks.campaign_id IS 'Campaign of the link.';
COMMENT ON COLUMN clicks.affiliate_id IS 'Affiliate of the link.';
COMMENT ON COLUMN clicks.is_unique IS 'True for the first click of the visitor that day through this affiliate for this campaign.';
COMMENT ON COLUMN clicks.flag IS 'Reason the click is invalid, although it was redirected; NULL for a valid click.';
COMMENT ON COLUMN clicks.visitor IS 'Keyed hash of the visitor''s address and browser, equal only within one day and node, because the key is discarded; NULL if unknown.';
COMMENT ON COLUMN clicks.country IS 'ISO 3166-1 code; NULL if unknown.';
COMMENT ON COLUMN clicks.asn IS 'Autonomous system number of the visitor; NULL if unknown.';
COMMENT ON COLUMN clicks.device IS 'desktop, mobile, tablet, tv or other.';
COMMENT ON COLUMN clicks.os IS 'Operating system family; NULL if unknown.';
COMMENT ON COLUMN clicks.browser IS 'Browser family, or name of the robot; NULL if unknown.';
COMMENT ON COLUMN clicks.sub1 IS 'Sub ID of the affiliate; NULL if none.';
COMMENT ON COLUMN clicks.sub2 IS 'Sub ID of the affiliate; NULL if none.';
COMMENT ON COLUMN clicks.sub3 IS 'Sub ID of the affiliate; NULL if none.';
COMMENT ON COLUMN clicks.sub4 IS 'Sub ID of the affiliate; NULL if none.';
COMMENT ON COLUMN clicks.sub5 IS 'Sub ID of the affiliate; NULL if none.';
COMMENT ON COLUMN clicks.ip_prefix IS 'Network of the visitor: /24 of IPv4, /48 of IPv6. The full address is never stored. NULL if unknown.';
COMMENT ON COLUMN clicks.referrer IS 'Referer header, at most 1024 characters; NULL if none.';

CREATE FUNCTION click_key_floor(month timestamp) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (lpad(to_hex((extract(epoch FROM month) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
COMMENT ON FUNCTION click_key_floor(timestamp) IS 'Smallest click key of a time (UTC).';

-- These two functions run with the rights of the owner, because the role that copies events in owns nothing. They
-- create and drop partitions of clicks and do nothing else.
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
        -- Attached instead of created as a partition, which would block reads and writes of clicks.
        EXECUTE format('ALTER TABLE clicks ATTACH PARTITION clicks_by_month.%I FOR VALUES FROM (%L) TO (%L)',
            name, click_key_floor(month), click_key_floor(month + interval '1 month'));
    END IF;
    RETURN name;
END
$$;
COMMENT ON FUNCTION make_click_month(timestamptz) IS 'Creates the partition for the clicks of this month (UTC) if missing; returns its name.';

CREATE FUNCTION drop_click_months(before timestamptz) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    month text;
    dropped integer := 0;
BEGIN
    -- A month before the end of March is 28 days long.
    IF before > now() - interval '28 days' THEN
        RAISE EXCEPTION 'clicks are retained for at least a month';
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
COMMENT ON FUNCTION drop_click_months(timestamptz) IS 'Drops the partitions of clicks that ended before this time; returns their number. Rollups remain.';
REVOKE ALL ON FUNCTION make_click_month(timestamptz), drop_click_months(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_click_month(timestamptz), drop_click_months(timestamptz) TO clickledger_ingest;

SELECT make_click_month(month) FROM generate_series(now(), now() + interval '2 months', interval '1 month') AS month;

CREATE TABLE click_rollups (
    network_id integer NOT NULL REFERENCES networks (id),
    hour timestamptz NOT NULL,
    campaign_id integer NOT NULL,
    affiliate_id integer NOT NULL,
    link_id integer NOT NULL,
    clicks bigint NOT NULL,
    unique_clicks bigint NOT NULL DEFAULT 0,
    invalid_clicks bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (network_id, hour, campaign_id, affiliate_id, link_id)
);
COMMENT ON TABLE click_rollups IS 'Clicks per hour and link, updated in the transaction that stores the clicks.';
COMMENT ON COLUMN click_rollups.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN click_rollups.hour IS 'Start of the hour in the time zone of the network, so that half-hour time zones have exact days.';
COMMENT ON COLUMN click_rollups.campaign_id IS 'Campaign.';
COMMENT ON COLUMN click_rollups.affiliate_id IS 'Affiliate.';
COMMENT ON COLUMN click_rollups.link_id IS 'Tracking link.';
COMMENT ON COLUMN click_rollups.clicks IS 'Number of clicks.';
COMMENT ON COLUMN click_rollups.unique_clicks IS 'Number of unique clicks among them.';
COMMENT ON COLUMN click_rollups.invalid_clicks IS 'Number of flagged clicks among them.';

-- From the journals ---------------------------------------------------------------------------------------------

CREATE TABLE ingest_cursors (
    journal uuid NOT NULL PRIMARY KEY,
    stream text NOT NULL CHECK (stream IN ('clicks', 'postbacks')),
    node text NOT NULL,
    next_seq bigint NOT NULL,
    moved_at timestamptz NOT NULL
);
COMMENT ON TABLE ingest_cursors IS 'Position of the applier in each journal. Moves in the transaction that stores the events, so each is stored exactly once.';
COMMENT ON COLUMN ingest_cursors.journal IS 'Identity of the journal''s folder.';
COMMENT ON COLUMN ingest_cursors.stream IS 'Kind of records in the journal.';
COMMENT ON COLUMN ingest_cursors.node IS 'Machine and folder of the latest applier.';
COMMENT ON COLUMN ingest_cursors.next_seq IS 'Number of the first record not yet applied.';
COMMENT ON COLUMN ingest_cursors.moved_at IS 'Time of the latest move.';

CREATE TABLE quarantine (
    journal uuid NOT NULL,
    seq bigint NOT NULL,
    network_id integer,
    event_id uuid,
    quarantined_at timestamptz NOT NULL,
    reason text NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (journal, seq)
);
COMMENT ON TABLE quarantine IS 'Journal records that Postgres refuses, and gaps in journals: set apart so that the applier continues.';
COMMENT ON COLUMN quarantine.journal IS 'Identity of the journal''s folder.';
COMMENT ON COLUMN quarantine.seq IS 'Number of the record, or of the first missing one.';
COMMENT ON COLUMN quarantine.network_id IS 'Network of the record; NULL if unreadable.';
COMMENT ON COLUMN quarantine.event_id IS 'Click or postback of the record; NULL if unreadable.';
COMMENT ON COLUMN quarantine.quarantined_at IS 'Time of the quarantine.';
COMMENT ON COLUMN quarantine.reason IS 'Error of Postgres or of the journal''s reader.';
COMMENT ON COLUMN quarantine.record IS 'Record as journaled; empty for a gap.';

-- Row-level security --------------------------------------------------------------------------------------------

CALL enclose('click_rollups', 'clicks', 'quarantine');
CALL admit_applier('click_rollups');
CREATE POLICY ingest ON clicks FOR SELECT TO clickledger_ingest USING (true);
CREATE POLICY ingest ON quarantine FOR INSERT TO clickledger_ingest WITH CHECK (true);
CREATE POLICY operators_look ON quarantine FOR SELECT USING (operating());

GRANT SELECT ON clicks, click_rollups, ingest_cursors, quarantine TO clickledger_web;
-- Clicks are copied into the partitions directly; COPY is refused on a table with row-level security.
GRANT SELECT ON clicks TO clickledger_ingest;
GRANT INSERT ON quarantine TO clickledger_ingest;
GRANT SELECT, INSERT, UPDATE ON click_rollups, ingest_cursors TO clickledger_ingest;
