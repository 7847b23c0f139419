-- Postbacks: every request of an advertiser with its verdict, the held ones, and replays. No foreign keys, as for
-- conversions.

CREATE TABLE postbacks (
    network_id integer NOT NULL,
    id uuid NOT NULL,
    received_at timestamptz NOT NULL,
    decided_at timestamptz,
    method text NOT NULL,
    target text NOT NULL,
    content_type text,
    body bytea NOT NULL,
    remote_ip inet,
    over_https boolean,
    token_hash bytea,
    dialect text NOT NULL DEFAULT 'clickledger',
    is_test boolean NOT NULL DEFAULT false,
    is_simulated boolean NOT NULL DEFAULT false,
    incomplete text CHECK (incomplete IN ('truncated', 'redacted')),
    status text NOT NULL CHECK (status IN ('accepted', 'duplicate', 'rejected', 'held')),
    reason text NOT NULL,
    http_status integer NOT NULL,
    message text NOT NULL,
    hint text,
    trace text NOT NULL DEFAULT '[]',
    took_us integer NOT NULL,
    advertiser_id integer,
    campaign_id integer,
    integration_campaign_id integer,
    goal_id integer,
    click_id uuid,
    conversion_id uuid,
    order_id text,
    amount_micros bigint,
    currency text,
    extra jsonb NOT NULL,
    PRIMARY KEY (network_id, id)
);
CREATE INDEX postbacks_of_click ON postbacks (network_id, click_id) WHERE click_id IS NOT NULL;
CREATE INDEX postbacks_of_advertiser ON postbacks (network_id, advertiser_id, id);
CREATE INDEX postbacks_of_tests ON postbacks (network_id, campaign_id, id) WHERE is_test;
CREATE INDEX postbacks_of_integration ON postbacks (network_id, integration_campaign_id, id)
    WHERE integration_campaign_id IS NOT NULL;
-- Most postbacks are accepted: lists of those go along the key, which sorts by time, and only the others have an entry.
CREATE INDEX postbacks_not_accepted ON postbacks (network_id, status, id) WHERE status <> 'accepted';
CREATE INDEX postbacks_by_reason ON postbacks (network_id, reason, id) WHERE status <> 'accepted';
-- An accepted postback is found by the order ID of its conversion.
CREATE INDEX postbacks_of_order ON postbacks (network_id, order_id, id)
    WHERE status <> 'accepted' AND order_id IS NOT NULL;
CREATE INDEX postbacks_rejected ON postbacks (network_id, received_at) INCLUDE (advertiser_id, reason)
    WHERE status = 'rejected' AND advertiser_id IS NOT NULL AND NOT is_test;
COMMENT ON TABLE postbacks IS 'Every postback request as received, with its verdict; rejected and unreadable ones included.';
COMMENT ON COLUMN postbacks.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN postbacks.id IS 'Receipt (pb_…) returned in the response; sorts by time.';
COMMENT ON COLUMN postbacks.received_at IS 'Time the request was received.';
COMMENT ON COLUMN postbacks.decided_at IS 'Time of the latest verdict, reached after a hold or by a replay; NULL if the first verdict stands.';
COMMENT ON COLUMN postbacks.method IS 'GET or POST.';
COMMENT ON COLUMN postbacks.target IS 'Request target as received, with the token redacted except its last four characters.';
COMMENT ON COLUMN postbacks.content_type IS 'Content-Type header; NULL if none.';
COMMENT ON COLUMN postbacks.body IS 'Body as received, with the token redacted; empty for GET.';
COMMENT ON COLUMN postbacks.remote_ip IS 'IP address of the sender, a server of the advertiser; NULL if unknown.';
COMMENT ON COLUMN postbacks.over_https IS 'True if the request arrived over https, as reported by a trusted proxy; NULL if unknown.';
COMMENT ON COLUMN postbacks.token_hash IS 'SHA-256 of the token in the request, for later decisions; NULL if none was sent.';
COMMENT ON COLUMN postbacks.dialect IS 'Dialect of the request.';
COMMENT ON COLUMN postbacks.is_test IS 'True for a test, which is never paid.';
COMMENT ON COLUMN postbacks.is_simulated IS 'True if our simulation sent it.';
COMMENT ON COLUMN postbacks.incomplete IS 'Reason why the stored request cannot be replayed. truncated: only the beginning of the body is stored, because the sender was not authenticated. redacted: a field that decisions depend on is redacted. NULL: it is complete.';
COMMENT ON COLUMN postbacks.status IS 'accepted: a conversion was created or changed. duplicate: nothing was new. rejected: not accepted. held: waits for another postback or a click, or its conversion waits for a manual review.';
COMMENT ON COLUMN postbacks.reason IS 'Reason code of the verdict.';
COMMENT ON COLUMN postbacks.http_status IS 'HTTP status of the response.';
COMMENT ON COLUMN postbacks.message IS 'Verdict in one sentence.';
COMMENT ON COLUMN postbacks.hint IS 'Advice to the sender; NULL if none.';
COMMENT ON COLUMN postbacks.trace IS 'Steps that led to the verdict, in order: an array of [check, result, text].';
COMMENT ON COLUMN postbacks.took_us IS 'Microseconds from the last byte of the request to the verdict.';
COMMENT ON COLUMN postbacks.advertiser_id IS 'Advertiser who sent the postback; NULL if unknown.';
COMMENT ON COLUMN postbacks.campaign_id IS 'Campaign of the click; NULL if unknown.';
COMMENT ON COLUMN postbacks.integration_campaign_id IS 'Campaign whose separate integration was used; NULL for the integration of the advertiser.';
COMMENT ON COLUMN postbacks.goal_id IS 'Goal of an accepted or duplicate postback; NULL otherwise.';
COMMENT ON COLUMN postbacks.click_id IS 'Click named by the postback; NULL if none or not genuine.';
COMMENT ON COLUMN postbacks.conversion_id IS 'Conversion created or changed, or the first conversion for a duplicate; NULL if none.';
COMMENT ON COLUMN postbacks.order_id IS 'Order ID as sent; NULL if none.';
COMMENT ON COLUMN postbacks.amount_micros IS 'Amount as sent, in micro-units; NULL if none.';
COMMENT ON COLUMN postbacks.currency IS 'Currency as sent; NULL for the currency of the campaign.';
COMMENT ON COLUMN postbacks.extra IS 'Parameters without a column, as an object of strings.';

CREATE TABLE held_postbacks (
    network_id integer NOT NULL REFERENCES networks (id),
    postback_id uuid NOT NULL,
    held_at timestamptz NOT NULL,
    until timestamptz NOT NULL,
    waits_for text NOT NULL CHECK (waits_for IN ('parent', 'conversion', 'customer', 'click')),
    goal_id integer,
    click_id uuid,
    customer_id text,
    unique_key text,
    advertiser_id integer,
    integration_campaign_id integer,
    is_authenticated boolean NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (network_id, postback_id)
);
CREATE INDEX held_postbacks_of_click ON held_postbacks (network_id, goal_id, click_id) WHERE waits_for = 'parent';
CREATE INDEX held_postbacks_of_customer ON held_postbacks (network_id, goal_id, customer_id)
    WHERE waits_for = 'parent';
CREATE INDEX held_postbacks_of_conversion ON held_postbacks (network_id, goal_id, unique_key)
    WHERE waits_for = 'conversion';
CREATE INDEX held_postbacks_of_newcomer ON held_postbacks (network_id, customer_id) WHERE waits_for = 'customer';
COMMENT ON TABLE held_postbacks IS 'Held postbacks, which arrived before the event they depend on: a sale before its signup, a refund before its sale.';
COMMENT ON COLUMN held_postbacks.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN held_postbacks.postback_id IS 'Held postback.';
COMMENT ON COLUMN held_postbacks.held_at IS 'Start of the hold.';
COMMENT ON COLUMN held_postbacks.until IS 'Latest end of the hold.';
COMMENT ON COLUMN held_postbacks.waits_for IS 'parent: a conversion of the parent goal. conversion: the conversion to change. customer: the first conversion of the customer. click: the row of the click, which the commission depends on.';
COMMENT ON COLUMN held_postbacks.goal_id IS 'Goal of the awaited conversion; NULL for any goal.';
COMMENT ON COLUMN held_postbacks.click_id IS 'Click of the awaited conversion, or the awaited click; NULL if not used.';
COMMENT ON COLUMN held_postbacks.customer_id IS 'Customer of the awaited conversion; NULL if not used.';
COMMENT ON COLUMN held_postbacks.unique_key IS 'Deduplication key of the conversion to change; NULL if not used.';
COMMENT ON COLUMN held_postbacks.advertiser_id IS 'Advertiser who sent the postback; NULL if unknown.';
COMMENT ON COLUMN held_postbacks.integration_campaign_id IS 'Campaign whose separate integration was used; NULL for the integration of the advertiser.';
COMMENT ON COLUMN held_postbacks.is_authenticated IS 'True if token, signature or address authenticated the advertiser on arrival.';
COMMENT ON COLUMN held_postbacks.record IS 'Journal record of the postback.';

CREATE TABLE replays (
    network_id integer NOT NULL REFERENCES networks (id),
    id uuid NOT NULL,
    batch uuid NOT NULL,
    postback_id uuid NOT NULL,
    requested_at timestamptz NOT NULL,
    requested_by text NOT NULL,
    is_dry boolean NOT NULL,
    done_at timestamptz,
    reason_before text NOT NULL,
    reason text,
    message text,
    conversion_id uuid,
    commission_micros bigint,
    revenue_micros bigint,
    currency text CHECK (currency ~ '^[A-Z]{3}$'),
    PRIMARY KEY (network_id, id)
);
CREATE INDEX replays_of_batch ON replays (network_id, batch, id);
CREATE INDEX replays_to_do ON replays (network_id, id) WHERE done_at IS NULL;
COMMENT ON TABLE replays IS 'Stored postbacks to be decided again under the current configuration, for real or as a dry run.';
COMMENT ON COLUMN replays.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN replays.id IS 'Id of the replay; sorts by time.';
COMMENT ON COLUMN replays.batch IS 'Id shared by all replays of one request.';
COMMENT ON COLUMN replays.postback_id IS 'Replayed postback.';
COMMENT ON COLUMN replays.requested_at IS 'Time of the request.';
COMMENT ON COLUMN replays.requested_by IS 'Name of the user or program that requested the replay.';
COMMENT ON COLUMN replays.is_dry IS 'True for a dry run, which changes nothing.';
COMMENT ON COLUMN replays.done_at IS 'Time of the decision; NULL while queued.';
COMMENT ON COLUMN replays.reason_before IS 'Reason code of the verdict before the replay.';
COMMENT ON COLUMN replays.reason IS 'Reason code of the new verdict; NULL while queued.';
COMMENT ON COLUMN replays.message IS 'New verdict in one sentence; NULL while queued.';
COMMENT ON COLUMN replays.conversion_id IS 'Conversion created or concerned; NULL if none.';
COMMENT ON COLUMN replays.commission_micros IS 'Commission of a conversion created by the replay, in micro-units; NULL if none.';
COMMENT ON COLUMN replays.revenue_micros IS 'Revenue of that conversion, in micro-units; NULL if none.';
COMMENT ON COLUMN replays.currency IS 'ISO 4217: currency of both amounts; NULL if none.';

-- Row-level security --------------------------------------------------------------------------------------------

CALL enclose('held_postbacks', 'postbacks', 'replays');
CALL admit_applier('held_postbacks', 'postbacks', 'replays');

GRANT SELECT ON postbacks, held_postbacks TO clickledger_web;
GRANT SELECT, INSERT ON replays TO clickledger_web;
GRANT SELECT, INSERT, UPDATE ON postbacks TO clickledger_ingest;
-- A held row is locked before it is deleted, which takes UPDATE.
GRANT SELECT, INSERT, UPDATE, DELETE ON held_postbacks TO clickledger_ingest;
GRANT SELECT, UPDATE ON replays TO clickledger_ingest;
