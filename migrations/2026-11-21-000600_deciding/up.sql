-- What counts and what it pays, in full: everything a network configures about campaigns, goals, commission rules, links
-- and integrations; and what deciding needs beside it: postbacks that wait, changes of conversions, test conversions.

-- Campaigns -----------------------------------------------------------------------------------------------------

ALTER TABLE campaigns DROP CONSTRAINT campaigns_status_check;
ALTER TABLE campaigns
    ADD CONSTRAINT campaigns_status_check CHECK (status IN ('draft', 'testing', 'live', 'paused', 'ended')),
    ADD COLUMN external_id text CHECK (external_id <> ''),
    ADD COLUMN click_parameter text CHECK (click_parameter ~ '^[A-Za-z0-9_.-]{1,64}$'),
    ADD COLUMN extra_parameters text NOT NULL DEFAULT '',
    ADD COLUMN destination_weight integer NOT NULL DEFAULT 1 CHECK (destination_weight BETWEEN 0 AND 1000),
    ADD COLUMN deep_link_hosts text[] NOT NULL DEFAULT '{}',
    ADD COLUMN starts_at timestamptz,
    ADD COLUMN ends_at timestamptz,
    ADD COLUMN attribution_min_seconds integer NOT NULL DEFAULT 0 CHECK (attribution_min_seconds BETWEEN 0 AND 86400),
    ADD COLUMN fallback_url text,
    ADD COLUMN access text NOT NULL DEFAULT 'open' CHECK (access IN ('open', 'approval', 'private')),
    ADD COLUMN categories text[] NOT NULL DEFAULT '{}',
    ADD COLUMN terms text NOT NULL DEFAULT '',
    ADD COLUMN notes text NOT NULL DEFAULT '',
    ADD CONSTRAINT campaigns_dates CHECK (ends_at > starts_at),
    ADD UNIQUE (network_id, external_id);
COMMENT ON COLUMN campaigns.status IS 'draft: nobody is sent. testing: test links only; nothing is paid. live: clicks are sent on and conversions count. paused: clicks get a page that says so; those made before still count. ended: neither.';
COMMENT ON COLUMN campaigns.external_id IS 'What the advertiser''s or a former system calls it; postbacks may name it by this.';
COMMENT ON COLUMN campaigns.click_parameter IS 'What the destination calls the click id; added to destinations that have no {click_id}. NULL where each destination says it itself.';
COMMENT ON COLUMN campaigns.extra_parameters IS 'Parameters added to every destination, as a=b&c={sub1}.';
COMMENT ON COLUMN campaigns.destination_weight IS 'Share of the clicks without a landing page of their own that go to the destination, beside the weights of landing pages.';
COMMENT ON COLUMN campaigns.deep_link_hosts IS 'Hosts that links may lead to directly (with what is below them); none means no deep links.';
COMMENT ON COLUMN campaigns.starts_at IS 'From when on visitors are sent; NULL for at once.';
COMMENT ON COLUMN campaigns.ends_at IS 'Until when; NULL for as long as it is live.';
COMMENT ON COLUMN campaigns.attribution_min_seconds IS 'How old a click must be for a conversion to count: nobody buys within a second.';
COMMENT ON COLUMN campaigns.fallback_url IS 'Where visitors go whom the campaign does not want or who come beyond a cap; NULL sends them on all the same.';
COMMENT ON COLUMN campaigns.access IS 'open: every affiliate may promote it. approval: who asked and was let. private: who was invited.';
COMMENT ON COLUMN campaigns.categories IS 'Words affiliates find it by.';
COMMENT ON COLUMN campaigns.terms IS 'What affiliates agree to.';
COMMENT ON COLUMN campaigns.notes IS 'What affiliates should know.';

CREATE TABLE landing_pages (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    campaign_id integer NOT NULL,
    name text NOT NULL CHECK (name <> ''),
    url text NOT NULL,
    weight integer NOT NULL CHECK (weight BETWEEN 0 AND 1000),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, campaign_id) REFERENCES campaigns (network_id, id)
);
CREATE INDEX landing_pages_of_campaign ON landing_pages (network_id, campaign_id);
COMMENT ON TABLE landing_pages IS 'Further destinations of a campaign.';
COMMENT ON COLUMN landing_pages.network_id IS 'The tenant.';
COMMENT ON COLUMN landing_pages.id IS 'The landing page.';
COMMENT ON COLUMN landing_pages.campaign_id IS 'The campaign it belongs to.';
COMMENT ON COLUMN landing_pages.name IS 'As people see it.';
COMMENT ON COLUMN landing_pages.url IS 'A destination with macros, as campaigns.destination.';
COMMENT ON COLUMN landing_pages.weight IS 'Its share of the clicks of links that name no landing page; 0 for links that name it only.';
COMMENT ON COLUMN landing_pages.created_at IS 'When it was added.';

CREATE TABLE caps (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    campaign_id integer NOT NULL,
    affiliate_id integer,
    metric text NOT NULL CHECK (metric IN ('clicks', 'conversions', 'commission', 'revenue')),
    period text NOT NULL CHECK (period IN ('day', 'month', 'total')),
    most bigint NOT NULL CHECK (most > 0),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, campaign_id) REFERENCES campaigns (network_id, id),
    FOREIGN KEY (network_id, affiliate_id) REFERENCES affiliates (network_id, id),
    UNIQUE NULLS NOT DISTINCT (network_id, campaign_id, affiliate_id, metric, period)
);
COMMENT ON TABLE caps IS 'How much of something a campaign wants, of everybody together or of one affiliate.';
COMMENT ON COLUMN caps.network_id IS 'The tenant.';
COMMENT ON COLUMN caps.id IS 'The cap.';
COMMENT ON COLUMN caps.campaign_id IS 'The campaign.';
COMMENT ON COLUMN caps.affiliate_id IS 'Of this affiliate only; NULL for all together.';
COMMENT ON COLUMN caps.metric IS 'Of what: valid clicks, conversions that are not rejected, their commission or revenue.';
COMMENT ON COLUMN caps.period IS 'In a day or month on the network''s clock, or ever.';
COMMENT ON COLUMN caps.most IS 'A number, or micro-units of the campaign''s currency.';
COMMENT ON COLUMN caps.created_at IS 'When it was set.';
-- An owner who is no superuser would see none of them.
ALTER TABLE campaigns NO FORCE ROW LEVEL SECURITY;
INSERT INTO caps (network_id, campaign_id, metric, period, most, created_at)
SELECT network_id, id, 'clicks', 'day', daily_clicks, now() FROM campaigns WHERE daily_clicks IS NOT NULL;
ALTER TABLE campaigns FORCE ROW LEVEL SECURITY;
ALTER TABLE campaigns DROP COLUMN daily_clicks;

CREATE TABLE promoters (
    network_id integer NOT NULL REFERENCES networks (id),
    campaign_id integer NOT NULL,
    affiliate_id integer NOT NULL,
    status text NOT NULL CHECK (status IN ('asked', 'approved', 'declined')),
    note text NOT NULL DEFAULT '',
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, campaign_id, affiliate_id),
    FOREIGN KEY (network_id, campaign_id) REFERENCES campaigns (network_id, id),
    FOREIGN KEY (network_id, affiliate_id) REFERENCES affiliates (network_id, id)
);
COMMENT ON TABLE promoters IS 'Who may promote a campaign that is not open to all.';
COMMENT ON COLUMN promoters.network_id IS 'The tenant.';
COMMENT ON COLUMN promoters.campaign_id IS 'The campaign.';
COMMENT ON COLUMN promoters.affiliate_id IS 'The affiliate.';
COMMENT ON COLUMN promoters.status IS 'asked: waits for the network. approved: may promote it. declined: may not.';
COMMENT ON COLUMN promoters.note IS 'What the affiliate said when asking.';
COMMENT ON COLUMN promoters.changed_at IS 'When the status last changed.';

-- Goals and what they pay -----------------------------------------------------------------------------------------

ALTER TABLE goals DROP CONSTRAINT goals_unique_by_check;
ALTER TABLE goals
    ADD CONSTRAINT goals_unique_by_check CHECK (unique_by IN ('order', 'click', 'customer', 'fire')),
    ADD COLUMN kind text NOT NULL DEFAULT 'custom' CHECK (kind IN ('lead', 'sale', 'install', 'deposit', 'custom')),
    ADD COLUMN external_id text CHECK (external_id <> ''),
    ADD COLUMN hold_days integer NOT NULL DEFAULT 0 CHECK (hold_days BETWEEN 0 AND 365),
    ADD COLUMN required_parameters text[] NOT NULL DEFAULT '{}',
    ADD COLUMN forbidden_parameters text[] NOT NULL DEFAULT '{}',
    ADD COLUMN default_amount_micros bigint CHECK (default_amount_micros >= 0),
    ADD COLUMN parent_goal_id integer,
    ADD COLUMN wait_hours integer NOT NULL DEFAULT 72 CHECK (wait_hours BETWEEN 0 AND 2160),
    ADD COLUMN times_per_parent integer CHECK (times_per_parent > 0),
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    ADD COLUMN changed_at timestamptz,
    ADD FOREIGN KEY (network_id, parent_goal_id) REFERENCES goals (network_id, id),
    ADD UNIQUE (network_id, campaign_id, external_id),
    ADD CONSTRAINT goals_parent CHECK (parent_goal_id <> id);
ALTER TABLE goals NO FORCE ROW LEVEL SECURITY;
UPDATE goals SET changed_at = created_at;
ALTER TABLE goals FORCE ROW LEVEL SECURITY;
ALTER TABLE goals ALTER COLUMN changed_at SET NOT NULL;
COMMENT ON COLUMN goals.unique_by IS 'What makes a conversion the same one again: its order id, its click, its customer, or nothing (every fire counts).';
COMMENT ON COLUMN goals.kind IS 'What kind of thing it is.';
COMMENT ON COLUMN goals.external_id IS 'What the advertiser''s or a former system calls it; postbacks may name it by this.';
COMMENT ON COLUMN goals.hold_days IS 'How many days a conversion waits before it approves itself, where the goal approves.';
COMMENT ON COLUMN goals.required_parameters IS 'Names that a postback must carry.';
COMMENT ON COLUMN goals.forbidden_parameters IS 'Names that a postback must not carry.';
COMMENT ON COLUMN goals.default_amount_micros IS 'The amount of a postback that carries none, in micro-units of the campaign''s currency.';
COMMENT ON COLUMN goals.parent_goal_id IS 'The goal that must have been reached before, by the same click or customer.';
COMMENT ON COLUMN goals.wait_hours IS 'How long a postback waits for its parent, or for the order it changes.';
COMMENT ON COLUMN goals.times_per_parent IS 'How often it counts after one conversion of its parent: the number of paid renewals. NULL for always.';
COMMENT ON COLUMN goals.version IS 'Counts changes of what it pays.';
COMMENT ON COLUMN goals.changed_at IS 'Since when it pays what it pays.';

CREATE TABLE commission_rules (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    version integer NOT NULL DEFAULT 1,
    goal_id integer NOT NULL,
    position integer NOT NULL,
    name text NOT NULL,
    affiliate_id integer,
    group_id integer,
    sub_number smallint CHECK (sub_number BETWEEN 1 AND 5),
    sub_value text,
    country text CHECK (length(country) = 2),
    coupon text,
    category text,
    month_from integer CHECK (month_from > 0),
    commission_fixed_micros bigint NOT NULL CHECK (commission_fixed_micros >= 0),
    commission_rate_ppm integer NOT NULL CHECK (commission_rate_ppm BETWEEN 0 AND 1000000),
    revenue_fixed_micros bigint NOT NULL CHECK (revenue_fixed_micros >= 0),
    revenue_rate_ppm integer NOT NULL CHECK (revenue_rate_ppm BETWEEN 0 AND 1000000),
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    PRIMARY KEY (network_id, id, version),
    FOREIGN KEY (network_id, goal_id) REFERENCES goals (network_id, id),
    FOREIGN KEY (network_id, affiliate_id) REFERENCES affiliates (network_id, id),
    FOREIGN KEY (network_id, group_id) REFERENCES affiliate_groups (network_id, id),
    CONSTRAINT commission_rules_sub CHECK ((sub_number IS NULL) = (sub_value IS NULL))
);
CREATE INDEX commission_rules_of_goal ON commission_rules (network_id, goal_id);
COMMENT ON TABLE commission_rules IS 'What a goal pays to some: the first rule that fits wins. A row is never changed: a change closes it and adds the next version.';
COMMENT ON COLUMN commission_rules.network_id IS 'The tenant.';
COMMENT ON COLUMN commission_rules.id IS 'The rule, the same in all its versions.';
COMMENT ON COLUMN commission_rules.version IS 'Counts its changes.';
COMMENT ON COLUMN commission_rules.goal_id IS 'The goal.';
COMMENT ON COLUMN commission_rules.position IS 'Its place: lower ones are looked at first.';
COMMENT ON COLUMN commission_rules.name IS 'As people see it.';
COMMENT ON COLUMN commission_rules.affiliate_id IS 'For this affiliate only.';
COMMENT ON COLUMN commission_rules.group_id IS 'For affiliates of this group only.';
COMMENT ON COLUMN commission_rules.sub_number IS 'Which sub id of the click must have the value.';
COMMENT ON COLUMN commission_rules.sub_value IS 'The value it must have.';
COMMENT ON COLUMN commission_rules.country IS 'For orders from this country (ISO 3166-1) only.';
COMMENT ON COLUMN commission_rules.coupon IS 'For orders with this coupon code only; letter case does not count.';
COMMENT ON COLUMN commission_rules.category IS 'For the items of this category only: each item is paid by its own rule.';
COMMENT ON COLUMN commission_rules.month_from IS 'From the affiliate''s so-many-th conversion of the goal in a month on: a tier.';
COMMENT ON COLUMN commission_rules.commission_fixed_micros IS 'As goals.commission_fixed_micros.';
COMMENT ON COLUMN commission_rules.commission_rate_ppm IS 'As goals.commission_rate_ppm.';
COMMENT ON COLUMN commission_rules.revenue_fixed_micros IS 'As goals.revenue_fixed_micros.';
COMMENT ON COLUMN commission_rules.revenue_rate_ppm IS 'As goals.revenue_rate_ppm.';
COMMENT ON COLUMN commission_rules.valid_from IS 'From when on it is in force.';
COMMENT ON COLUMN commission_rules.valid_to IS 'Until when; NULL for the current version.';

-- Links, affiliates, integrations -----------------------------------------------------------------------------------

ALTER TABLE tracking_links
    ADD COLUMN landing_page_id integer,
    ADD COLUMN sub1 text,
    ADD COLUMN sub2 text,
    ADD COLUMN sub3 text,
    ADD COLUMN sub4 text,
    ADD COLUMN sub5 text,
    ADD COLUMN is_test boolean NOT NULL DEFAULT false,
    ADD FOREIGN KEY (network_id, landing_page_id) REFERENCES landing_pages (network_id, id);
COMMENT ON COLUMN tracking_links.landing_page_id IS 'The landing page it leads to; NULL for the campaign''s destinations by weight.';
COMMENT ON COLUMN tracking_links.sub1 IS 'The value of sub1 where a visit brings none.';
COMMENT ON COLUMN tracking_links.sub2 IS 'The value of sub2 where a visit brings none.';
COMMENT ON COLUMN tracking_links.sub3 IS 'The value of sub3 where a visit brings none.';
COMMENT ON COLUMN tracking_links.sub4 IS 'The value of sub4 where a visit brings none.';
COMMENT ON COLUMN tracking_links.sub5 IS 'The value of sub5 where a visit brings none.';
COMMENT ON COLUMN tracking_links.is_test IS 'Whether its conversions are tests, which are never paid.';

ALTER TABLE integrations
    ADD COLUMN dialect text,
    ADD COLUMN requires_token boolean NOT NULL DEFAULT true,
    ADD COLUMN previous_token_hash bytea CHECK (length(previous_token_hash) = 32),
    ADD COLUMN previous_token_until timestamptz,
    ADD COLUMN signing_secret bytea,
    ADD COLUMN requires_signature boolean NOT NULL DEFAULT false,
    ADD COLUMN signature_seconds integer NOT NULL DEFAULT 300 CHECK (signature_seconds BETWEEN 10 AND 86400),
    ADD COLUMN allowed_addresses text[] NOT NULL DEFAULT '{}',
    ADD COLUMN is_monitoring boolean NOT NULL DEFAULT false,
    ADD COLUMN answer_format text NOT NULL DEFAULT 'dialect' CHECK (answer_format IN ('ours', 'dialect', 'always_ok', 'gif')),
    ADD COLUMN status_map jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN takes_commission boolean NOT NULL DEFAULT false,
    ADD COLUMN ignores_letter_case boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT integrations_previous CHECK ((previous_token_hash IS NULL) = (previous_token_until IS NULL)),
    ADD CONSTRAINT integrations_signature CHECK (NOT requires_signature OR signing_secret IS NOT NULL),
    ADD UNIQUE (network_id, previous_token_hash);
COMMENT ON COLUMN integrations.dialect IS 'Key of the system whose spelling the advertiser''s calls are in; NULL where each call is recognised by itself.';
COMMENT ON COLUMN integrations.requires_token IS 'Whether a call must carry the token. Without, the click id, which we signed, says whose call it is.';
COMMENT ON COLUMN integrations.previous_token_hash IS 'SHA-256 of the token before, which is still taken for a while.';
COMMENT ON COLUMN integrations.previous_token_until IS 'Until when.';
COMMENT ON COLUMN integrations.signing_secret IS 'Secret of the advertiser''s signatures, sealed under the installation''s secret.';
COMMENT ON COLUMN integrations.requires_signature IS 'Whether a call must be signed.';
COMMENT ON COLUMN integrations.signature_seconds IS 'How far the time of a signature may be from ours.';
COMMENT ON COLUMN integrations.allowed_addresses IS 'Addresses and networks (CIDR) that calls may come from; none means anywhere.';
COMMENT ON COLUMN integrations.is_monitoring IS 'Whether token, signature and address are only looked at: what would be refused is taken, and marked.';
COMMENT ON COLUMN integrations.answer_format IS 'ours: our JSON. dialect: what the sender''s system would answer. always_ok: 200 whatever happened, with an honest body. gif: a picture of one pixel.';
COMMENT ON COLUMN integrations.status_map IS 'What the advertiser''s own words for statuses mean: an object of words to pending, held, approved, rejected or ignored.';
COMMENT ON COLUMN integrations.takes_commission IS 'Whether a commission that the advertiser sends is paid where the goal''s own is zero.';
COMMENT ON COLUMN integrations.ignores_letter_case IS 'Whether a click id that differs in letter case only is taken.';

CREATE TABLE coupons (
    network_id integer NOT NULL REFERENCES networks (id),
    campaign_id integer NOT NULL,
    code text NOT NULL CHECK (code = upper(code) AND code <> ''),
    affiliate_id integer NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, campaign_id, code),
    FOREIGN KEY (network_id, campaign_id) REFERENCES campaigns (network_id, id),
    FOREIGN KEY (network_id, affiliate_id) REFERENCES affiliates (network_id, id)
);
COMMENT ON TABLE coupons IS 'Coupon codes by which an order without a click is an affiliate''s.';
COMMENT ON COLUMN coupons.network_id IS 'The tenant.';
COMMENT ON COLUMN coupons.campaign_id IS 'The campaign whose orders carry it.';
COMMENT ON COLUMN coupons.code IS 'In upper case: letter case does not count.';
COMMENT ON COLUMN coupons.affiliate_id IS 'Who hands it out.';
COMMENT ON COLUMN coupons.created_at IS 'When it was entered.';

-- What happened ---------------------------------------------------------------------------------------------------

ALTER TABLE postbacks DROP CONSTRAINT postbacks_status_check;
ALTER TABLE postbacks
    ADD CONSTRAINT postbacks_status_check CHECK (status IN ('accepted', 'duplicate', 'rejected', 'held')),
    ADD COLUMN dialect text NOT NULL DEFAULT 'clickledger',
    ADD COLUMN token_hash bytea,
    ADD COLUMN trace text NOT NULL DEFAULT '[]',
    ADD COLUMN is_test boolean NOT NULL DEFAULT false,
    ADD COLUMN decided_at timestamptz;
COMMENT ON COLUMN postbacks.status IS 'accepted: a conversion was made or changed. duplicate: nothing was new. rejected: it was not taken. held: it waits for another one.';
COMMENT ON COLUMN postbacks.dialect IS 'Key of the system whose spelling it is in.';
COMMENT ON COLUMN postbacks.token_hash IS 'SHA-256 of the token that came with it, so that it can be decided again; NULL where none came.';
COMMENT ON COLUMN postbacks.trace IS 'What was looked at, in order: an array of [check, result, words].';
COMMENT ON COLUMN postbacks.is_test IS 'Whether it was of a test, which is never paid.';
COMMENT ON COLUMN postbacks.decided_at IS 'When the verdict was last decided anew, after waiting or by a replay; NULL where the first one stands.';

ALTER TABLE conversions DROP CONSTRAINT conversions_status_check;
ALTER TABLE conversions
    ADD CONSTRAINT conversions_status_check CHECK (status IN ('pending', 'approved', 'rejected', 'reversed')),
    ALTER COLUMN click_id DROP NOT NULL,
    ADD COLUMN attributed_by text NOT NULL DEFAULT 'click' CHECK (attributed_by IN ('click', 'customer', 'coupon', 'affiliate')),
    ADD COLUMN parent_id uuid,
    ADD COLUMN customer_id text,
    ADD COLUMN coupon text,
    ADD COLUMN country text,
    ADD COLUMN unpaid_because text CHECK (unpaid_because IN ('cap_reached', 'not_targeted')),
    ADD COLUMN hold_until timestamptz,
    ADD COLUMN terms jsonb NOT NULL DEFAULT '{}',
    ADD CONSTRAINT conversions_click CHECK (attributed_by <> 'click' OR click_id IS NOT NULL);
CREATE INDEX conversions_of_customer ON conversions (network_id, customer_id, id) WHERE customer_id IS NOT NULL;
CREATE INDEX conversions_of_parent ON conversions (network_id, parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX conversions_on_hold ON conversions (network_id, hold_until) WHERE hold_until IS NOT NULL AND status = 'pending';
COMMENT ON COLUMN conversions.click_id IS 'The click it is attributed to; NULL where a coupon or the affiliate''s key says whose it is.';
COMMENT ON COLUMN conversions.status IS 'pending, then approved or rejected; reversed where an approved one was taken back.';
COMMENT ON COLUMN conversions.attributed_by IS 'What says whose it is: its click, the customer''s earlier conversion, a coupon, or the affiliate named by the sender.';
COMMENT ON COLUMN conversions.parent_id IS 'The conversion of the parent goal it came after.';
COMMENT ON COLUMN conversions.customer_id IS 'The advertiser''s own id of the customer.';
COMMENT ON COLUMN conversions.coupon IS 'The coupon code it came with.';
COMMENT ON COLUMN conversions.country IS 'The country it came from, as the advertiser says.';
COMMENT ON COLUMN conversions.unpaid_because IS 'Why it pays nothing although the goal does; NULL where it pays.';
COMMENT ON COLUMN conversions.hold_until IS 'When it approves itself; NULL where a person decides or it was decided.';
COMMENT ON COLUMN conversions.terms IS 'How the money was computed: rule, version, rates, and what went in.';

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
COMMENT ON TABLE conversion_changes IS 'What was said of a conversion after it was made, and what it was made with. What it is now follows from the set of these, in whatever order they came.';
COMMENT ON COLUMN conversion_changes.network_id IS 'The tenant.';
COMMENT ON COLUMN conversion_changes.conversion_id IS 'The conversion.';
COMMENT ON COLUMN conversion_changes.id IS 'The postback that said it, or a number of its own.';
COMMENT ON COLUMN conversion_changes.changed_at IS 'When it reached us.';
COMMENT ON COLUMN conversion_changes.event_time IS 'When it happened, as the sender says.';
COMMENT ON COLUMN conversion_changes.source IS 'report: what it was made with. postback: the advertiser changed it. person: somebody of the network did. hold: its time was over.';
COMMENT ON COLUMN conversion_changes.status IS 'The status it was given.';
COMMENT ON COLUMN conversion_changes.amount_micros IS 'The amount it was given.';
COMMENT ON COLUMN conversion_changes.refund_micros IS 'How much of the amount was taken back.';

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
    is_proven boolean NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (network_id, postback_id)
);
CREATE INDEX held_postbacks_of_click ON held_postbacks (network_id, goal_id, click_id) WHERE waits_for = 'parent';
CREATE INDEX held_postbacks_of_customer ON held_postbacks (network_id, goal_id, customer_id) WHERE waits_for = 'parent';
CREATE INDEX held_postbacks_of_conversion ON held_postbacks (network_id, goal_id, unique_key) WHERE waits_for = 'conversion';
CREATE INDEX held_postbacks_of_newcomer ON held_postbacks (network_id, customer_id) WHERE waits_for = 'customer';
COMMENT ON TABLE held_postbacks IS 'Postbacks that came before what they belong to: a sale before its signup, a refund before its sale.';
COMMENT ON COLUMN held_postbacks.network_id IS 'The tenant.';
COMMENT ON COLUMN held_postbacks.postback_id IS 'The postback.';
COMMENT ON COLUMN held_postbacks.held_at IS 'Since when it waits.';
COMMENT ON COLUMN held_postbacks.until IS 'How long at most.';
COMMENT ON COLUMN held_postbacks.waits_for IS 'parent: a conversion of the parent goal. conversion: the one it changes. customer: their first conversion. click: its row, which the terms depend on.';
COMMENT ON COLUMN held_postbacks.goal_id IS 'The goal of the conversion it waits for; NULL where any of the customer will do.';
COMMENT ON COLUMN held_postbacks.click_id IS 'The click of the parent it waits for.';
COMMENT ON COLUMN held_postbacks.customer_id IS 'The customer of the parent it waits for.';
COMMENT ON COLUMN held_postbacks.unique_key IS 'What the conversion it changes is unique by.';
COMMENT ON COLUMN held_postbacks.advertiser_id IS 'Whose call it is.';
COMMENT ON COLUMN held_postbacks.is_proven IS 'Whether its token, signature or address proved that when it came.';
COMMENT ON COLUMN held_postbacks.record IS 'The postback as it stood in the journal.';

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
    PRIMARY KEY (network_id, id),
    UNIQUE (network_id, goal_id, unique_key)
);
COMMENT ON TABLE test_conversions IS 'What test postbacks would have made. In no sum, no report and no ledger.';
COMMENT ON COLUMN test_conversions.network_id IS 'The tenant.';
COMMENT ON COLUMN test_conversions.id IS 'The number of its postback.';
COMMENT ON COLUMN test_conversions.converted_at IS 'When the postback reached us.';
COMMENT ON COLUMN test_conversions.campaign_id IS 'The campaign.';
COMMENT ON COLUMN test_conversions.goal_id IS 'The goal reached.';
COMMENT ON COLUMN test_conversions.link_id IS 'The test link.';
COMMENT ON COLUMN test_conversions.click_id IS 'The click.';
COMMENT ON COLUMN test_conversions.unique_key IS 'As conversions.unique_key.';
COMMENT ON COLUMN test_conversions.order_id IS 'The advertiser''s order id.';
COMMENT ON COLUMN test_conversions.amount_micros IS 'The order amount.';
COMMENT ON COLUMN test_conversions.currency IS 'ISO 4217.';
COMMENT ON COLUMN test_conversions.commission_micros IS 'What the affiliate would have earned.';
COMMENT ON COLUMN test_conversions.revenue_micros IS 'What the advertiser would have owed.';

ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_kind_check;
ALTER TABLE ledger_entries
    ADD CONSTRAINT ledger_entries_kind_check CHECK (kind IN ('earned', 'rejected', 'adjusted'));
COMMENT ON COLUMN ledger_entries.kind IS 'earned: the conversion was made. rejected: it does not count any more, and this entry takes the earned one back. adjusted: what it is worth changed by so much.';

-- Walls -----------------------------------------------------------------------------------------------------------

DO $$
DECLARE
    tenants_table text;
BEGIN
    FOREACH tenants_table IN ARRAY ARRAY['landing_pages', 'caps', 'promoters', 'commission_rules', 'coupons',
                                         'conversion_changes', 'held_postbacks', 'test_conversions'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenants_table);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenants_table);
        EXECUTE format('CREATE POLICY own_network ON %I USING (network_id = current_network()) WITH CHECK (network_id = current_network())', tenants_table);
    END LOOP;
END
$$;
GRANT SELECT, INSERT, UPDATE, DELETE ON landing_pages, caps, promoters, coupons TO clickledger_web;
GRANT SELECT, INSERT ON commission_rules, conversion_changes TO clickledger_web;
GRANT UPDATE (valid_to) ON commission_rules TO clickledger_web;
GRANT SELECT ON held_postbacks, test_conversions TO clickledger_web;
GRANT SELECT, INSERT ON conversion_changes, test_conversions TO clickledger_ingest;
-- UPDATE only to be able to lock a row.
GRANT SELECT, INSERT, UPDATE, DELETE ON held_postbacks TO clickledger_ingest;
GRANT UPDATE ON conversions, postbacks TO clickledger_ingest;
GRANT SELECT ON postbacks, clicks TO clickledger_ingest;
CREATE POLICY ingest ON clicks FOR SELECT TO clickledger_ingest USING (true);
CREATE POLICY ingest ON conversion_changes TO clickledger_ingest USING (true) WITH CHECK (true);
CREATE POLICY ingest ON test_conversions TO clickledger_ingest USING (true) WITH CHECK (true);
CREATE POLICY ingest ON held_postbacks TO clickledger_ingest USING (true) WITH CHECK (true);
DROP POLICY ingest ON postbacks;
CREATE POLICY ingest ON postbacks TO clickledger_ingest USING (true) WITH CHECK (true);

-- What goes over every table learns of the new ones, and of the new secrets.
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
            'SELECT %L::text, (to_jsonb(t) - ARRAY[''token_hash'', ''previous_token_hash'', ''signing_secret'', ''key_hash'', ''request_hash''])::text FROM %I t WHERE network_id = current_network()',
            table_name, table_name);
    END LOOP;
END
$$;

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
    UPDATE goals SET parent_goal_id = NULL WHERE network_id = doomed AND parent_goal_id IS NOT NULL;
    FOREACH tenants_table IN ARRAY ARRAY[
        'verifications', 'audit_log', 'idempotency_keys', 'api_keys', 'invitations', 'applications', 'memberships', 'ledger_entries',
        'conversion_rollups', 'click_rollups', 'held_postbacks', 'conversion_changes', 'test_conversions', 'conversions',
        'postbacks', 'clicks', 'tracking_links', 'coupons', 'commission_rules', 'goals', 'promoters', 'caps',
        'landing_pages', 'campaigns', 'integrations', 'affiliates', 'affiliate_groups', 'advertisers'
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
