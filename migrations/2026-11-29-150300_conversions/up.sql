-- Conversions: conversions with their changes, the ledger, and the rollups of both.
--
-- Events have no foreign keys: each would cost a look-up per row, with a plan retained from when the table was small.
-- The applier takes every id from the configuration, which is only deleted together with its network, and
-- `clickledger verify` checks that each id exists.

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
    review_because text CHECK (review_because IN ('amount', 'currency')),
    unpaid_because text CHECK (unpaid_because IN ('cap_reached', 'not_targeted')),
    amount_micros bigint,
    commission_micros bigint NOT NULL CHECK (commission_micros >= 0),
    revenue_micros bigint NOT NULL CHECK (revenue_micros >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    terms jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (network_id, id),
    UNIQUE (network_id, goal_id, unique_key),
    CONSTRAINT conversions_click CHECK (attributed_by <> 'click' OR click_id IS NOT NULL)
);
CREATE INDEX conversions_of_affiliate ON conversions (network_id, affiliate_id, id);
CREATE INDEX conversions_of_advertiser ON conversions (network_id, advertiser_id, id);
CREATE INDEX conversions_of_click ON conversions (network_id, click_id);
CREATE INDEX conversions_of_order ON conversions (network_id, order_id) WHERE order_id IS NOT NULL;
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
COMMENT ON COLUMN conversions.review_because IS 'Reason for the manual review: amount above the limit of the goal, or in a currency not comparable with the limit. NULL if no review is pending.';
COMMENT ON COLUMN conversions.unpaid_because IS 'Reason the conversion pays nothing although its goal does; NULL if it pays.';
COMMENT ON COLUMN conversions.amount_micros IS 'Order amount in micro-units; NULL if none was sent.';
COMMENT ON COLUMN conversions.commission_micros IS 'Commission of the affiliate in micro-units.';
COMMENT ON COLUMN conversions.revenue_micros IS 'Revenue owed by the advertiser in micro-units.';
COMMENT ON COLUMN conversions.currency IS 'ISO 4217: currency of all three amounts.';
COMMENT ON COLUMN conversions.terms IS 'Inputs of the pricing: rules, versions, rates and amounts.';

CREATE TABLE conversion_changes (
    network_id integer NOT NULL REFERENCES networks (id),
    conversion_id uuid NOT NULL,
    id uuid NOT NULL,
    changed_at timestamptz NOT NULL,
    event_time timestamptz,
    source text NOT NULL CHECK (source IN ('report', 'postback', 'person', 'hold')),
    status text CHECK (status IN ('pending', 'approved', 'rejected')),
    amount_micros bigint,
    refund_micros bigint CHECK (refund_micros > 0),
    PRIMARY KEY (network_id, conversion_id, id)
);
COMMENT ON TABLE conversion_changes IS 'Change events of a conversion, its creation included. The state of the conversion follows from the set of events, in any order of arrival.';
COMMENT ON COLUMN conversion_changes.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN conversion_changes.conversion_id IS 'Changed conversion.';
COMMENT ON COLUMN conversion_changes.id IS 'Postback of the change, or a generated id.';
COMMENT ON COLUMN conversion_changes.changed_at IS 'Time the change was received.';
COMMENT ON COLUMN conversion_changes.event_time IS 'Time of the event as reported by the sender; NULL if none was sent.';
COMMENT ON COLUMN conversion_changes.source IS 'report: the postback that created the conversion. postback: a change by the advertiser. person: a decision by a user of the network. hold: the end of the hold period.';
COMMENT ON COLUMN conversion_changes.status IS 'New status; NULL if unchanged.';
COMMENT ON COLUMN conversion_changes.amount_micros IS 'New order amount in micro-units; NULL if unchanged.';
COMMENT ON COLUMN conversion_changes.refund_micros IS 'Refunded part of the order amount in micro-units; NULL if none.';

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
COMMENT ON COLUMN test_conversions.amount_micros IS 'Order amount in micro-units; NULL if none was sent.';
COMMENT ON COLUMN test_conversions.currency IS 'ISO 4217: currency of all three amounts.';
COMMENT ON COLUMN test_conversions.commission_micros IS 'Commission the affiliate would have earned, in micro-units.';
COMMENT ON COLUMN test_conversions.revenue_micros IS 'Revenue the advertiser would have owed, in micro-units.';
COMMENT ON COLUMN test_conversions.is_simulated IS 'True if our simulation made it, which proves nothing of the advertiser.';

CREATE TABLE ledger_entries (
    network_id integer NOT NULL,
    id uuid NOT NULL,
    booked_at timestamptz NOT NULL,
    conversion_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('earned', 'rejected', 'adjusted')),
    account text NOT NULL CHECK (account IN ('advertiser', 'affiliate', 'network')),
    advertiser_id integer,
    affiliate_id integer,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_micros bigint NOT NULL,
    -- Entries are only looked up by their conversion, so the key is the one index.
    PRIMARY KEY (network_id, conversion_id, id),
    CONSTRAINT ledger_entries_party CHECK ((account = 'advertiser') = (advertiser_id IS NOT NULL)
        AND (account = 'affiliate') = (affiliate_id IS NOT NULL))
);
COMMENT ON TABLE ledger_entries IS 'Append-only money movements. The entries of a conversion sum to zero: the debt of the advertiser equals the commission of the affiliate plus the margin of the network. A balance is a sum.';
COMMENT ON COLUMN ledger_entries.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN ledger_entries.id IS 'Id of the entry; sorts by time.';
COMMENT ON COLUMN ledger_entries.booked_at IS 'Time of the entry.';
COMMENT ON COLUMN ledger_entries.conversion_id IS 'Conversion of the entry.';
COMMENT ON COLUMN ledger_entries.kind IS 'earned: the conversion was created. rejected: the conversion no longer counts, and this entry cancels the earlier ones. adjusted: difference after a change of the conversion.';
COMMENT ON COLUMN ledger_entries.account IS 'Owner of the account.';
COMMENT ON COLUMN ledger_entries.advertiser_id IS 'Advertiser of the account; NULL unless account is advertiser.';
COMMENT ON COLUMN ledger_entries.affiliate_id IS 'Affiliate of the account; NULL unless account is affiliate.';
COMMENT ON COLUMN ledger_entries.currency IS 'ISO 4217.';
COMMENT ON COLUMN ledger_entries.amount_micros IS 'Amount in micro-units: positive for a credit, negative for a debit.';

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
    amount_micros bigint NOT NULL,
    commission_micros bigint NOT NULL,
    revenue_micros bigint NOT NULL,
    PRIMARY KEY (network_id, hour, campaign_id, affiliate_id, link_id, goal_id, currency, status)
);
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
COMMENT ON COLUMN conversion_rollups.amount_micros IS 'Sum of the order amounts in micro-units.';
COMMENT ON COLUMN conversion_rollups.commission_micros IS 'Sum of the commissions in micro-units.';
COMMENT ON COLUMN conversion_rollups.revenue_micros IS 'Sum of the revenue in micro-units.';

-- Row-level security --------------------------------------------------------------------------------------------

DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['conversion_changes', 'conversion_rollups', 'conversions', 'ledger_entries',
                                        'test_conversions'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY own_network ON %I USING (network_id = current_network())
                        WITH CHECK (network_id = current_network())', tenant_table);
    END LOOP;
    -- The applier handles the postbacks of all networks.
    FOREACH tenant_table IN ARRAY ARRAY['conversion_changes', 'conversion_rollups', 'conversions',
                                        'test_conversions'] LOOP
        EXECUTE format('CREATE POLICY ingest ON %I TO clickledger_ingest USING (true) WITH CHECK (true)', tenant_table);
    END LOOP;
END
$$;
CREATE POLICY ingest ON ledger_entries FOR INSERT TO clickledger_ingest WITH CHECK (true);

-- Events are added and read, never rewritten; of a conversion, a user's decision changes the columns named here.
GRANT SELECT ON conversions, test_conversions TO clickledger_web;
GRANT UPDATE (status, review_because, hold_until) ON conversions TO clickledger_web;
GRANT SELECT, INSERT ON conversion_changes, ledger_entries TO clickledger_web;
GRANT SELECT, INSERT, UPDATE ON conversion_rollups TO clickledger_web;
GRANT INSERT ON ledger_entries TO clickledger_ingest;
GRANT SELECT, INSERT ON conversion_changes, test_conversions TO clickledger_ingest;
GRANT SELECT, INSERT, UPDATE ON conversions, conversion_rollups TO clickledger_ingest;
