-- Conversions: conversions with their changes, the ledger, and the rollups of both.
--
-- Events have no foreign keys: each would cost a look-up per row, with a plan retained from when the table was small.
-- The applier takes every id from the configuration, which is only deleted together with its network, and
-- `clickledger verify` checks that each id exists.

CREATE FUNCTION minor_unit(currency text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN currency IN ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI', 'VND',
                          'VUV', 'XAF', 'XOF', 'XPF') THEN 1000000
        WHEN currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 1000
        WHEN currency IN ('CLF', 'UYW') THEN 100
        ELSE 10000
    END
$$;
COMMENT ON FUNCTION minor_unit(text) IS 'Micro-units of the minor unit of a currency (ISO 4217): 10000 for a cent. Every booked amount is a multiple of it.';

CREATE TABLE conversions (
    network_id integer NOT NULL,
    id uuid NOT NULL,
    converted_at timestamptz NOT NULL,
    advertiser_id integer NOT NULL,
    campaign_id integer NOT NULL,
    goal_id integer NOT NULL,
    affiliate_id integer NOT NULL,
    link_id integer NOT NULL,
    click_id uuid,
    postback_id uuid NOT NULL,
    parent_id uuid,
    attributed_by text NOT NULL DEFAULT 'click'
        CHECK (attributed_by IN ('click', 'customer', 'coupon', 'affiliate')),
    unique_key text NOT NULL,
    order_id text,
    customer_id text,
    coupon text,
    country text,
    status text NOT NULL CHECK (status IN ('pending', 'approved', 'rejected', 'reversed')),
    hold_until timestamptz,
    review_because text CHECK (review_because IN ('amount', 'currency', 'commission', 'cap', 'parent', 'person')),
    unpaid_because text CHECK (unpaid_because IN ('cap_reached', 'not_targeted')),
    amount_micros bigint,
    commission_micros bigint NOT NULL CHECK (commission_micros >= 0),
    revenue_micros bigint NOT NULL CHECK (revenue_micros >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    terms jsonb NOT NULL DEFAULT '{}',
    version integer NOT NULL DEFAULT 1,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    UNIQUE (network_id, goal_id, unique_key),
    -- A user may move it to a link without a click.
    CONSTRAINT conversions_click CHECK (attributed_by <> 'click' OR click_id IS NOT NULL OR version > 1),
    CONSTRAINT conversions_payable CHECK (commission_micros % minor_unit(currency) = 0
        AND revenue_micros % minor_unit(currency) = 0)
);
CREATE INDEX conversions_of_affiliate ON conversions (network_id, affiliate_id, id);
CREATE INDEX conversions_of_advertiser ON conversions (network_id, advertiser_id, id);
CREATE INDEX conversions_of_click ON conversions (network_id, click_id);
CREATE INDEX conversions_of_order ON conversions (network_id, order_id) WHERE order_id IS NOT NULL;
-- Conversions with an order ID that is not their deduplication key: an order counts once whatever the key of its goal is.
CREATE INDEX conversions_of_order_by_goal ON conversions (network_id, goal_id, order_id)
    WHERE order_id IS NOT NULL AND order_id <> unique_key;
CREATE INDEX conversions_of_customer ON conversions (network_id, customer_id, id) WHERE customer_id IS NOT NULL;
CREATE INDEX conversions_of_parent ON conversions (network_id, parent_id) WHERE parent_id IS NOT NULL;
-- Most conversions are approved: lists of those go along the key, which sorts by time; only the others have an entry.
CREATE INDEX conversions_not_approved ON conversions (network_id, status, id) WHERE status <> 'approved';
CREATE INDEX conversions_on_hold ON conversions (network_id, hold_until)
    WHERE hold_until IS NOT NULL AND status = 'pending';
CREATE INDEX conversions_in_review ON conversions (network_id, id) WHERE review_because IS NOT NULL;
COMMENT ON TABLE conversions IS 'A postback that was accepted for a goal. Outlives the rows of its click and its postback.';
COMMENT ON COLUMN conversions.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN conversions.id IS 'Id of the conversion (cnv_…); sorts by time.';
COMMENT ON COLUMN conversions.converted_at IS 'Time the postback was received.';
COMMENT ON COLUMN conversions.advertiser_id IS 'Advertiser who owes the revenue.';
COMMENT ON COLUMN conversions.campaign_id IS 'Campaign of the conversion.';
COMMENT ON COLUMN conversions.goal_id IS 'Goal reached.';
COMMENT ON COLUMN conversions.affiliate_id IS 'Affiliate who earns the commission.';
COMMENT ON COLUMN conversions.link_id IS 'Tracking link the conversion is attributed to.';
COMMENT ON COLUMN conversions.click_id IS 'Click the conversion is attributed to; NULL if attributed without a click.';
COMMENT ON COLUMN conversions.postback_id IS 'Postback that created the conversion.';
COMMENT ON COLUMN conversions.parent_id IS 'Conversion of the parent goal; NULL if none.';
COMMENT ON COLUMN conversions.attributed_by IS 'Basis of the attribution: click, earlier conversion of the customer, coupon, or affiliate named by the sender.';
COMMENT ON COLUMN conversions.unique_key IS 'Deduplication key of the goal (order ID, click ID or customer ID), unique for ever.';
COMMENT ON COLUMN conversions.order_id IS 'Order ID of the advertiser; NULL if none was sent.';
COMMENT ON COLUMN conversions.customer_id IS 'Customer ID of the advertiser; NULL if none was sent.';
COMMENT ON COLUMN conversions.coupon IS 'Coupon code of the order; NULL if none was sent.';
COMMENT ON COLUMN conversions.country IS 'Country reported by the advertiser; NULL if none was sent.';
COMMENT ON COLUMN conversions.status IS 'pending, then approved or rejected; reversed if it was rejected after approval.';
COMMENT ON COLUMN conversions.hold_until IS 'End of the hold period, at which the conversion is approved unless it is in review; NULL if it is decided or needs a decision by a user.';
COMMENT ON COLUMN conversions.review_because IS 'Reason for the manual review. amount: above the limit of the goal. currency: not comparable with the limit. commission: the commission sent is more than the revenue or the order. cap: it exceeds a cap. parent: its parent conversion no longer counts. person: a user put it on hold. NULL if no review is pending.';
COMMENT ON COLUMN conversions.unpaid_because IS 'Reason the conversion pays nothing although its goal does; NULL if it pays.';
COMMENT ON COLUMN conversions.amount_micros IS 'Order amount after refunds, in micro-units; NULL if none was sent.';
COMMENT ON COLUMN conversions.commission_micros IS 'Commission of the affiliate in micro-units.';
COMMENT ON COLUMN conversions.revenue_micros IS 'Revenue owed by the advertiser in micro-units.';
COMMENT ON COLUMN conversions.currency IS 'ISO 4217: currency of all three amounts.';
COMMENT ON COLUMN conversions.terms IS 'Terms that price the conversion and each later change: rates by rule and category, versions, review limit. Never changed.';
COMMENT ON COLUMN conversions.version IS 'Number of changes, from 1 for the report. A decision of a user names the version it is based on.';
COMMENT ON COLUMN conversions.changed_at IS 'Time of the last change.';

CREATE TABLE conversion_changes (
    network_id integer NOT NULL REFERENCES networks (id),
    conversion_id uuid NOT NULL,
    id uuid NOT NULL,
    changed_at timestamptz NOT NULL,
    event_time timestamptz,
    source text NOT NULL CHECK (source IN ('report', 'postback', 'person', 'hold', 'parent')),
    is_proven boolean NOT NULL DEFAULT true,
    status text CHECK (status IN ('pending', 'approved', 'rejected')),
    is_released boolean NOT NULL DEFAULT false,
    amount_micros bigint CHECK (amount_micros >= 0),
    remaining_micros bigint CHECK (remaining_micros >= 0),
    refund_micros bigint CHECK (refund_micros > 0),
    items jsonb,
    commission_micros bigint CHECK (commission_micros >= 0),
    revenue_micros bigint CHECK (revenue_micros >= 0),
    event_id text,
    exceeds_cap boolean NOT NULL DEFAULT false,
    seen_amount_micros bigint,
    seen_commission_micros bigint,
    affiliate_id integer,
    link_id integer,
    click_id uuid,
    postback_id uuid,
    author text,
    reason_code text CHECK (reason_code IN ('returned', 'payment_failed', 'test', 'duplicate', 'other_channel', 'voucher',
                                            'terms_broken', 'fraud', 'agreement', 'correction')),
    reason text,
    batch uuid,
    undoes uuid,
    PRIMARY KEY (network_id, conversion_id, id),
    CONSTRAINT conversion_changes_money CHECK (num_nonnulls(amount_micros, remaining_micros, refund_micros) <= 1),
    CONSTRAINT conversion_changes_author CHECK ((source = 'person') = (author IS NOT NULL))
);
CREATE INDEX conversion_changes_of_batch ON conversion_changes (network_id, batch) WHERE batch IS NOT NULL;
COMMENT ON TABLE conversion_changes IS 'Everything that was stated about a conversion. Its state follows from these statements and its terms (crates/conversions/src/outcome.rs). A conversion without one has only its report, whose values its row has.';
COMMENT ON COLUMN conversion_changes.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN conversion_changes.conversion_id IS 'Changed conversion.';
COMMENT ON COLUMN conversion_changes.id IS 'Id of the change: that of its postback, or a generated one.';
COMMENT ON COLUMN conversion_changes.changed_at IS 'Time the change was received.';
COMMENT ON COLUMN conversion_changes.event_time IS 'Time of the event as reported by an authenticated sender; NULL if none was sent.';
COMMENT ON COLUMN conversion_changes.source IS 'report: the postback that created the conversion. postback: a change by the advertiser. person: a decision by a user of the network. hold: the end of the hold period. parent: its parent conversion no longer counts.';
COMMENT ON COLUMN conversion_changes.is_proven IS 'False if the sender of the postback was not authenticated.';
COMMENT ON COLUMN conversion_changes.status IS 'New status; NULL if unchanged.';
COMMENT ON COLUMN conversion_changes.is_released IS 'True if a user returns the decision on the status to the advertiser.';
COMMENT ON COLUMN conversion_changes.amount_micros IS 'New order total before refunds, in micro-units; NULL if unchanged.';
COMMENT ON COLUMN conversion_changes.remaining_micros IS 'New order total after refunds, in micro-units, 0 for a full refund; NULL if unchanged.';
COMMENT ON COLUMN conversion_changes.refund_micros IS 'Refunded part of the order, in micro-units; NULL if none.';
COMMENT ON COLUMN conversion_changes.items IS 'Items of the total or of the refund, summed by category; NULL if none or irrelevant.';
COMMENT ON COLUMN conversion_changes.commission_micros IS 'Commission of the whole order in micro-units, sent by the advertiser or set by a user; NULL if unchanged.';
COMMENT ON COLUMN conversion_changes.revenue_micros IS 'Revenue of the whole order in micro-units, set by a user; NULL if unchanged.';
COMMENT ON COLUMN conversion_changes.event_id IS 'Id of the event or refund in the system of the sender; NULL if none was sent.';
COMMENT ON COLUMN conversion_changes.exceeds_cap IS 'True if the change exceeded a cap, so that the conversion needs a review.';
COMMENT ON COLUMN conversion_changes.seen_amount_micros IS 'Order amount that the user saw or set, in micro-units; NULL for other sources.';
COMMENT ON COLUMN conversion_changes.seen_commission_micros IS 'Commission that the user saw or set, in micro-units; NULL for other sources.';
COMMENT ON COLUMN conversion_changes.affiliate_id IS 'Affiliate of the report, or that a user moved the conversion to; NULL if unchanged.';
COMMENT ON COLUMN conversion_changes.link_id IS 'Tracking link of the report, or that a user moved the conversion to; NULL if unchanged.';
COMMENT ON COLUMN conversion_changes.click_id IS 'Click of the report, or that a user moved the conversion to; NULL if unchanged or none.';
COMMENT ON COLUMN conversion_changes.postback_id IS 'Postback that made the change; NULL for other sources.';
COMMENT ON COLUMN conversion_changes.author IS 'Name of the user who made the change; NULL for other sources.';
COMMENT ON COLUMN conversion_changes.reason_code IS 'Reason of the user; NULL if none was given.';
COMMENT ON COLUMN conversion_changes.reason IS 'Reason of the user in words; NULL if none was given.';
COMMENT ON COLUMN conversion_changes.batch IS 'Id shared by the corrections of a user that were made together; NULL for single ones.';
COMMENT ON COLUMN conversion_changes.undoes IS 'Correction that this change undoes: neither counts any more; NULL for other changes.';

CREATE TABLE test_conversions (
    network_id integer NOT NULL REFERENCES networks (id),
    id uuid NOT NULL,
    converted_at timestamptz NOT NULL,
    campaign_id integer NOT NULL,
    goal_id integer NOT NULL,
    link_id integer NOT NULL,
    click_id uuid,
    unique_key text NOT NULL,
    order_id text,
    amount_micros bigint,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    commission_micros bigint NOT NULL,
    revenue_micros bigint NOT NULL,
    is_simulated boolean NOT NULL DEFAULT false,
    host text,
    PRIMARY KEY (network_id, id),
    UNIQUE (network_id, goal_id, unique_key)
);
COMMENT ON TABLE test_conversions IS 'Conversions that test postbacks would have created; in no rollup, report or ledger.';
COMMENT ON COLUMN test_conversions.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN test_conversions.id IS 'Id of the postback.';
COMMENT ON COLUMN test_conversions.converted_at IS 'Time the postback was received.';
COMMENT ON COLUMN test_conversions.campaign_id IS 'Campaign of the test.';
COMMENT ON COLUMN test_conversions.goal_id IS 'Goal reached.';
COMMENT ON COLUMN test_conversions.link_id IS 'Test link.';
COMMENT ON COLUMN test_conversions.click_id IS 'Click of the test; NULL if attributed without a click.';
COMMENT ON COLUMN test_conversions.unique_key IS 'As conversions.unique_key.';
COMMENT ON COLUMN test_conversions.order_id IS 'Order ID of the advertiser; NULL if none was sent.';
COMMENT ON COLUMN test_conversions.host IS 'Host of the landing page that the click led to; NULL if attributed without a click.';
COMMENT ON COLUMN test_conversions.amount_micros IS 'Order amount in micro-units; NULL if none was sent.';
COMMENT ON COLUMN test_conversions.currency IS 'ISO 4217: currency of all three amounts.';
COMMENT ON COLUMN test_conversions.commission_micros IS 'Commission the affiliate would have earned, in micro-units.';
COMMENT ON COLUMN test_conversions.revenue_micros IS 'Revenue the advertiser would have owed, in micro-units.';
COMMENT ON COLUMN test_conversions.is_simulated IS 'True if our simulation made it, which proves nothing of the advertiser.';

CREATE TABLE ledger_entries (
    network_id integer NOT NULL,
    id uuid NOT NULL,
    booked_at timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    conversion_id uuid,
    change_id uuid,
    kind text NOT NULL CHECK (kind IN ('earned', 'approved', 'reopened', 'refunded', 'amended', 'rejected', 'reversed',
                                       'reinstated', 'adjusted', 'moved')),
    reason_code text,
    advertiser_id integer NOT NULL,
    affiliate_id integer NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    commission_pending_micros bigint NOT NULL CHECK (commission_pending_micros % minor_unit(currency) = 0),
    commission_payable_micros bigint NOT NULL CHECK (commission_payable_micros % minor_unit(currency) = 0),
    revenue_pending_micros bigint NOT NULL CHECK (revenue_pending_micros % minor_unit(currency) = 0),
    revenue_payable_micros bigint NOT NULL CHECK (revenue_payable_micros % minor_unit(currency) = 0),
    PRIMARY KEY (network_id, id)
);
CREATE INDEX ledger_entries_of_conversion ON ledger_entries (network_id, conversion_id) WHERE conversion_id IS NOT NULL;
CREATE INDEX ledger_entries_of_affiliate ON ledger_entries (network_id, affiliate_id, currency, booked_at);
CREATE INDEX ledger_entries_of_advertiser ON ledger_entries (network_id, advertiser_id, currency, booked_at);
COMMENT ON TABLE ledger_entries IS 'Append-only movements of what advertisers owe and affiliates earn, pending and payable apart. The margin of the network is their difference. A balance is a sum.';
COMMENT ON COLUMN ledger_entries.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN ledger_entries.id IS 'Id of the entry; sorts by the time of booking.';
COMMENT ON COLUMN ledger_entries.booked_at IS 'Time of booking. A period that is over gets no more entries.';
COMMENT ON COLUMN ledger_entries.effective_at IS 'Time of the event: of the order, refund or decision.';
COMMENT ON COLUMN ledger_entries.conversion_id IS 'Conversion of the entry; NULL for an entry made by hand.';
COMMENT ON COLUMN ledger_entries.change_id IS 'Change that caused the entry (conversion_changes.id); the id of the conversion for its report.';
COMMENT ON COLUMN ledger_entries.kind IS 'earned: created. approved: pending became payable. reopened: payable became pending. refunded: a refund. amended: another amount or commission from the advertiser. rejected, reversed: no longer counts, without or after an approval. reinstated: counts again. adjusted: changed by a user. moved: to another affiliate.';
COMMENT ON COLUMN ledger_entries.reason_code IS 'Reason of the user; NULL if none was given.';
COMMENT ON COLUMN ledger_entries.advertiser_id IS 'Advertiser who owes the revenue.';
COMMENT ON COLUMN ledger_entries.affiliate_id IS 'Affiliate who earns the commission.';
COMMENT ON COLUMN ledger_entries.currency IS 'ISO 4217.';
COMMENT ON COLUMN ledger_entries.commission_pending_micros IS 'Movement of the commission awaiting approval, in micro-units.';
COMMENT ON COLUMN ledger_entries.commission_payable_micros IS 'Movement of the approved commission, in micro-units.';
COMMENT ON COLUMN ledger_entries.revenue_pending_micros IS 'Movement of the revenue awaiting approval, in micro-units.';
COMMENT ON COLUMN ledger_entries.revenue_payable_micros IS 'Movement of the approved revenue, in micro-units.';

CREATE TABLE conversion_proofs (
    network_id integer NOT NULL REFERENCES networks (id),
    day date NOT NULL,
    fingerprint text NOT NULL,
    PRIMARY KEY (network_id, day)
);
COMMENT ON TABLE conversion_proofs IS 'Days whose conversions were proven to follow from their statements and terms (clickledger verify).';
COMMENT ON COLUMN conversion_proofs.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN conversion_proofs.day IS 'Day of the conversions in UTC.';
COMMENT ON COLUMN conversion_proofs.fingerprint IS 'Fingerprint of the proven rows: if it differs from the present rows, the day is proven again.';

CREATE TABLE waiting_corrections (
    network_id integer NOT NULL REFERENCES networks (id),
    id uuid NOT NULL,
    conversion_id uuid NOT NULL,
    version integer NOT NULL,
    requested_at timestamptz NOT NULL,
    requested_by integer NOT NULL,
    author text NOT NULL,
    correction jsonb NOT NULL,
    effect text NOT NULL,
    reason_code text,
    reason text,
    batch uuid,
    PRIMARY KEY (network_id, id),
    UNIQUE (network_id, conversion_id)
);
COMMENT ON TABLE waiting_corrections IS 'Corrections of conversions that wait for a second user; removed when decided.';
COMMENT ON COLUMN waiting_corrections.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN waiting_corrections.id IS 'Id of the correction; sorts by time.';
COMMENT ON COLUMN waiting_corrections.conversion_id IS 'Conversion to correct.';
COMMENT ON COLUMN waiting_corrections.version IS 'Version of the conversion that the first user saw.';
COMMENT ON COLUMN waiting_corrections.requested_at IS 'Time of the request.';
COMMENT ON COLUMN waiting_corrections.requested_by IS 'Person who asked for it, and may not approve it.';
COMMENT ON COLUMN waiting_corrections.author IS 'Name of that person.';
COMMENT ON COLUMN waiting_corrections.correction IS 'The correction.';
COMMENT ON COLUMN waiting_corrections.effect IS 'Its effect in words.';
COMMENT ON COLUMN waiting_corrections.reason_code IS 'Reason; NULL if none was given.';
COMMENT ON COLUMN waiting_corrections.reason IS 'Reason in words; NULL if none was given.';
COMMENT ON COLUMN waiting_corrections.batch IS 'Id shared by corrections that were asked for together; NULL for single ones.';

CREATE TABLE conversion_rollups (
    network_id integer NOT NULL REFERENCES networks (id),
    hour timestamptz NOT NULL,
    campaign_id integer NOT NULL,
    affiliate_id integer NOT NULL,
    link_id integer NOT NULL,
    goal_id integer NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,
    conversions bigint NOT NULL,
    paid bigint NOT NULL,
    amount_micros numeric NOT NULL,
    commission_micros numeric NOT NULL,
    revenue_micros numeric NOT NULL,
    PRIMARY KEY (network_id, hour, campaign_id, affiliate_id, link_id, goal_id, currency, status)
);
-- Sums of caps over long periods.
CREATE INDEX conversion_rollups_of_campaign ON conversion_rollups (network_id, campaign_id, hour);
COMMENT ON TABLE conversion_rollups IS 'Conversions and their money per hour, link, goal, currency and status, updated in the transaction that stores the conversion. A change of status moves sums between rows.';
COMMENT ON COLUMN conversion_rollups.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN conversion_rollups.hour IS 'Start of the hour of the conversion in the time zone of the network.';
COMMENT ON COLUMN conversion_rollups.campaign_id IS 'Campaign.';
COMMENT ON COLUMN conversion_rollups.affiliate_id IS 'Affiliate.';
COMMENT ON COLUMN conversion_rollups.link_id IS 'Tracking link.';
COMMENT ON COLUMN conversion_rollups.goal_id IS 'Goal.';
COMMENT ON COLUMN conversion_rollups.currency IS 'ISO 4217: sums are per currency.';
COMMENT ON COLUMN conversion_rollups.status IS 'Status of the conversions.';
COMMENT ON COLUMN conversion_rollups.conversions IS 'Number of conversions.';
COMMENT ON COLUMN conversion_rollups.paid IS 'Number of those that are pending or approved, and paid: what caps and tiers count.';
COMMENT ON COLUMN conversion_rollups.amount_micros IS 'Sum of the order amounts in micro-units.';
COMMENT ON COLUMN conversion_rollups.commission_micros IS 'Sum of the commissions in micro-units.';
COMMENT ON COLUMN conversion_rollups.revenue_micros IS 'Sum of the revenue in micro-units.';

-- Row-level security --------------------------------------------------------------------------------------------

CALL enclose('conversion_changes', 'conversion_proofs', 'conversion_rollups', 'conversions', 'ledger_entries', 'test_conversions',
             'waiting_corrections');
CALL admit_applier('conversion_changes', 'conversion_rollups', 'conversions', 'test_conversions');
CREATE POLICY ingest ON ledger_entries FOR INSERT TO clickledger_ingest WITH CHECK (true);

-- Events are added and read, never rewritten; of a conversion, a user's correction changes the columns named here.
GRANT SELECT ON conversions, test_conversions TO clickledger_web;
GRANT UPDATE (affiliate_id, link_id, click_id, status, amount_micros, commission_micros, revenue_micros, hold_until,
              review_because, version, changed_at) ON conversions TO clickledger_web;
GRANT SELECT, INSERT ON conversion_changes, ledger_entries TO clickledger_web;
GRANT SELECT, INSERT, UPDATE ON conversion_proofs TO clickledger_web;
GRANT SELECT, INSERT, DELETE ON waiting_corrections TO clickledger_web;
GRANT SELECT, INSERT, UPDATE ON conversion_rollups TO clickledger_web;
GRANT INSERT ON ledger_entries TO clickledger_ingest;
GRANT SELECT, INSERT ON conversion_changes, test_conversions TO clickledger_ingest;
GRANT SELECT, INSERT, UPDATE ON conversions, conversion_rollups TO clickledger_ingest;
