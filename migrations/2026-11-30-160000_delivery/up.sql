-- Delivery of events of conversions to trackers of affiliates and systems of networks.

CREATE TABLE conversion_events (
    network_id integer NOT NULL,
    conversion_id uuid NOT NULL,
    version integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('created', 'approved', 'rejected', 'reversed', 'reopened', 'adjusted')),
    at timestamptz NOT NULL,
    affiliate_id integer NOT NULL,
    campaign_id integer NOT NULL,
    goal_id integer NOT NULL,
    link_id integer NOT NULL,
    click_id uuid,
    status text NOT NULL,
    amount_micros bigint,
    commission_micros bigint NOT NULL,
    revenue_micros bigint NOT NULL,
    currency text NOT NULL,
    is_queued boolean NOT NULL DEFAULT false,
    stored_in bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    PRIMARY KEY (network_id, conversion_id, version)
);
CREATE INDEX conversion_events_new ON conversion_events (network_id, at) WHERE NOT is_queued;
CREATE INDEX conversion_events_order ON conversion_events (network_id, stored_in);
CREATE INDEX conversion_events_time ON conversion_events (network_id, at);
COMMENT ON TABLE conversion_events IS 'Events of conversions of networks with destinations, stored by the transaction that changes the conversion.';
COMMENT ON COLUMN conversion_events.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN conversion_events.conversion_id IS 'Conversion.';
COMMENT ON COLUMN conversion_events.version IS 'Version of the conversion after the event.';
COMMENT ON COLUMN conversion_events.kind IS 'created, approved, rejected, reversed, reopened or adjusted.';
COMMENT ON COLUMN conversion_events.at IS 'Time of the event.';
COMMENT ON COLUMN conversion_events.affiliate_id IS 'Affiliate after the event.';
COMMENT ON COLUMN conversion_events.campaign_id IS 'Campaign.';
COMMENT ON COLUMN conversion_events.goal_id IS 'Goal.';
COMMENT ON COLUMN conversion_events.link_id IS 'Tracking link after the event.';
COMMENT ON COLUMN conversion_events.click_id IS 'Click after the event; NULL if attributed without one.';
COMMENT ON COLUMN conversion_events.status IS 'Status of the conversion after the event.';
COMMENT ON COLUMN conversion_events.amount_micros IS 'Order amount after refunds, in micro-units; NULL if none was sent.';
COMMENT ON COLUMN conversion_events.commission_micros IS 'Commission after the event, in micro-units.';
COMMENT ON COLUMN conversion_events.revenue_micros IS 'Revenue after the event, in micro-units.';
COMMENT ON COLUMN conversion_events.currency IS 'Currency of the amounts, ISO 4217.';
COMMENT ON COLUMN conversion_events.is_queued IS 'True once its deliveries are queued.';
COMMENT ON COLUMN conversion_events.stored_in IS 'Identifier of the transaction that stored it, which orders the events.';

CREATE TABLE destinations (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    kind text NOT NULL CHECK (kind IN ('postback', 'webhook')),
    affiliate_id integer,
    name text NOT NULL,
    campaign_id integer,
    goal_id integer,
    events text NOT NULL CHECK (events ~ '^(created|approved|rejected|reversed|reopened|adjusted)(,(created|approved|rejected|reversed|reopened|adjusted))*$'),
    method text NOT NULL CHECK (method IN ('GET', 'POST')),
    url text NOT NULL CHECK (length(url) <= 2048),
    sealed_url bytea,
    value_maps jsonb NOT NULL DEFAULT '{}',
    sends_order_ids boolean NOT NULL DEFAULT false,
    secret bytea,
    former_secret bytea,
    former_secret_until timestamptz,
    state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused')),
    paused_because text CHECK (paused_because IN ('user', 'gone', 'failing')),
    created_at timestamptz NOT NULL,
    delivered_at timestamptz,
    failed_at timestamptz,
    failing_since timestamptz,
    failures integer NOT NULL DEFAULT 0,
    mailed_failures integer NOT NULL DEFAULT 0,
    quiet_until timestamptz,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, affiliate_id) REFERENCES affiliates (network_id, id),
    FOREIGN KEY (network_id, campaign_id) REFERENCES campaigns (network_id, id),
    FOREIGN KEY (network_id, goal_id) REFERENCES goals (network_id, id),
    CONSTRAINT destinations_owner CHECK ((kind = 'postback') = (affiliate_id IS NOT NULL)),
    CONSTRAINT destinations_signed CHECK ((kind = 'webhook') = (secret IS NOT NULL)),
    CONSTRAINT destinations_former_secret CHECK ((former_secret IS NULL) = (former_secret_until IS NULL)),
    CONSTRAINT destinations_paused CHECK ((state = 'paused') = (paused_because IS NOT NULL))
);
CREATE INDEX destinations_of_affiliate ON destinations (network_id, affiliate_id);
COMMENT ON TABLE destinations IS 'Addresses that events of conversions are delivered to: trackers of affiliates and webhooks of networks.';
COMMENT ON COLUMN destinations.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN destinations.id IS 'Id of the destination.';
COMMENT ON COLUMN destinations.kind IS 'postback: tracker of an affiliate. webhook: system of the network.';
COMMENT ON COLUMN destinations.affiliate_id IS 'Affiliate whose conversions are delivered; NULL for a webhook.';
COMMENT ON COLUMN destinations.name IS 'Name shown to users.';
COMMENT ON COLUMN destinations.campaign_id IS 'Only conversions of this campaign are delivered; NULL for all.';
COMMENT ON COLUMN destinations.goal_id IS 'Only conversions of this goal are delivered; NULL for all.';
COMMENT ON COLUMN destinations.events IS 'Kinds of events that are delivered, separated by commas.';
COMMENT ON COLUMN destinations.method IS 'HTTP method.';
COMMENT ON COLUMN destinations.url IS 'URL with macros, in which a placeholder replaces each secret.';
COMMENT ON COLUMN destinations.sealed_url IS 'URL with its secrets, encrypted; NULL if it has none.';
COMMENT ON COLUMN destinations.value_maps IS 'Words of the receiver by macro and value.';
COMMENT ON COLUMN destinations.sends_order_ids IS 'True if order IDs are sent as they are; otherwise a hash is sent.';
COMMENT ON COLUMN destinations.secret IS 'Signing secret of a webhook, encrypted; NULL for a postback.';
COMMENT ON COLUMN destinations.former_secret IS 'Secret before the last rotation, encrypted; NULL if it is not used any more.';
COMMENT ON COLUMN destinations.former_secret_until IS 'Time until which the former secret signs too; NULL without one.';
COMMENT ON COLUMN destinations.state IS 'active or paused. Events of a paused destination are queued.';
COMMENT ON COLUMN destinations.paused_because IS 'user: a user paused it. gone: it answered 410. failing: it failed for days. NULL if active.';
COMMENT ON COLUMN destinations.created_at IS 'Time of creation; earlier events are not delivered unless a user asks for them.';
COMMENT ON COLUMN destinations.delivered_at IS 'Time of the last success; NULL before the first.';
COMMENT ON COLUMN destinations.failed_at IS 'Time of the last failure; NULL before the first.';
COMMENT ON COLUMN destinations.failing_since IS 'Time of the first failure after the last success; NULL if the last attempt succeeded.';
COMMENT ON COLUMN destinations.failures IS 'Number of failures in a row.';
COMMENT ON COLUMN destinations.mailed_failures IS 'Number of failures in a row that its users were last mailed about.';
COMMENT ON COLUMN destinations.quiet_until IS 'Time before which the receiver asked for no request (Retry-After); NULL if it did not.';

CREATE TABLE deliveries (
    network_id integer NOT NULL,
    -- Sorts by time, like all ids of events.
    id uuid NOT NULL DEFAULT (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
        || substr(replace(gen_random_uuid()::text, '-', ''), 13))::uuid,
    destination_id integer NOT NULL,
    conversion_id uuid NOT NULL,
    version integer NOT NULL,
    event text NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT now(),
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'given_up')),
    attempts integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    is_retry boolean NOT NULL DEFAULT false,
    next_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    code integer,
    problem text,
    PRIMARY KEY (network_id, id),
    UNIQUE (network_id, destination_id, conversion_id, version),
    FOREIGN KEY (network_id, destination_id) REFERENCES destinations (network_id, id) ON DELETE CASCADE,
    CONSTRAINT deliveries_finished CHECK ((state = 'waiting') = (finished_at IS NULL))
);
CREATE INDEX deliveries_due ON deliveries (network_id, destination_id, is_retry, next_at) WHERE state = 'waiting';
CREATE INDEX deliveries_log ON deliveries (network_id, destination_id, id);
COMMENT ON TABLE deliveries IS 'Events to deliver to destinations, one row per destination and event.';
COMMENT ON COLUMN deliveries.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN deliveries.id IS 'Id of the delivery, the same in every attempt.';
COMMENT ON COLUMN deliveries.destination_id IS 'Destination.';
COMMENT ON COLUMN deliveries.conversion_id IS 'Conversion of the event.';
COMMENT ON COLUMN deliveries.version IS 'Version of the conversion after the event; with the conversion, the event.';
COMMENT ON COLUMN deliveries.event IS 'Kind of the event.';
COMMENT ON COLUMN deliveries.queued_at IS 'Time at which it was queued.';
COMMENT ON COLUMN deliveries.state IS 'waiting, delivered, or given_up after the last retry.';
COMMENT ON COLUMN deliveries.attempts IS 'Number of attempts.';
COMMENT ON COLUMN deliveries.failures IS 'Number of failed attempts since it was queued or resent.';
COMMENT ON COLUMN deliveries.is_retry IS 'True if an attempt failed since it was queued or resent: first attempts go first.';
COMMENT ON COLUMN deliveries.next_at IS 'Time of the next attempt; while an attempt runs, the end of its lease.';
COMMENT ON COLUMN deliveries.finished_at IS 'Time at which it was delivered or given up; NULL while it waits.';
COMMENT ON COLUMN deliveries.code IS 'HTTP status of the last answer; NULL without one.';
COMMENT ON COLUMN deliveries.problem IS 'Reason why the last attempt failed; NULL if it did not.';

CREATE TABLE delivery_attempts (
    network_id integer NOT NULL,
    delivery_id uuid NOT NULL,
    number integer NOT NULL,
    at timestamptz NOT NULL,
    method text NOT NULL,
    url text NOT NULL,
    code integer,
    problem text,
    duration_ms integer NOT NULL,
    answer text NOT NULL CHECK (octet_length(answer) <= 8192),
    PRIMARY KEY (network_id, delivery_id, number),
    FOREIGN KEY (network_id, delivery_id) REFERENCES deliveries (network_id, id) ON DELETE CASCADE
);
COMMENT ON TABLE delivery_attempts IS 'Attempts of deliveries.';
COMMENT ON COLUMN delivery_attempts.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN delivery_attempts.delivery_id IS 'Delivery.';
COMMENT ON COLUMN delivery_attempts.number IS 'Number of the attempt, from 1.';
COMMENT ON COLUMN delivery_attempts.at IS 'Time at which the attempt ended.';
COMMENT ON COLUMN delivery_attempts.method IS 'HTTP method.';
COMMENT ON COLUMN delivery_attempts.url IS 'URL that was called, in which a placeholder replaces each secret.';
COMMENT ON COLUMN delivery_attempts.code IS 'HTTP status of the answer; NULL without one.';
COMMENT ON COLUMN delivery_attempts.problem IS 'Reason why it failed; NULL if it did not.';
COMMENT ON COLUMN delivery_attempts.duration_ms IS 'Duration in milliseconds.';
COMMENT ON COLUMN delivery_attempts.answer IS 'First 2 KiB of the answer as text.';

CALL enclose('conversion_events', 'destinations', 'deliveries', 'delivery_attempts');
CALL admit_applier('conversion_events', 'destinations', 'deliveries', 'delivery_attempts');
GRANT SELECT, INSERT, DELETE ON conversion_events TO clickledger_web;
GRANT SELECT, INSERT, UPDATE, DELETE ON destinations, deliveries TO clickledger_web;
GRANT SELECT ON delivery_attempts TO clickledger_web;
GRANT SELECT, INSERT, UPDATE ON conversion_events, deliveries TO clickledger_ingest;
GRANT SELECT, UPDATE ON destinations TO clickledger_ingest;
GRANT SELECT, INSERT ON delivery_attempts TO clickledger_ingest;

-- Names that macros and webhooks carry, of all networks.
CREATE POLICY ingest ON campaigns FOR SELECT TO clickledger_ingest USING (true);
CREATE POLICY ingest ON goals FOR SELECT TO clickledger_ingest USING (true);
CREATE POLICY ingest ON affiliates FOR SELECT TO clickledger_ingest USING (true);
GRANT SELECT (network_id, id, name) ON campaigns, affiliates TO clickledger_ingest;
GRANT SELECT (network_id, id, name, code) ON goals TO clickledger_ingest;
GRANT SELECT (status, click_key_number, click_key_since) ON networks TO clickledger_ingest;

-- Secrets of destinations are no part of an export, not even encrypted.
CREATE OR REPLACE FUNCTION export_network() RETURNS TABLE (table_name text, row_json text)
    LANGUAGE plpgsql STABLE
AS $$
DECLARE
    secrets CONSTANT text[] := ARRAY['token_hash', 'previous_token_hash', 'signing_secret', 'key_hash', 'request_hash',
        'password_hash', 'secret', 'former_secret', 'sealed_url'];
BEGIN
    RETURN QUERY SELECT 'networks'::text, to_jsonb(n)::text FROM networks n WHERE n.id = current_network();
    FOR table_name IN SELECT t.name::text FROM network_tables() t WHERE t.is_exported LOOP
        RETURN QUERY EXECUTE format(
            'SELECT %L::text, (to_jsonb(t) - $1)::text FROM %s t WHERE network_id = current_network()',
            table_name, table_name) USING secrets;
    END LOOP;
END
$$;
