-- Campaigns: campaigns with their targeting and caps, goals with their commission rules, links, coupons, integrations.

CREATE TABLE campaigns (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    advertiser_id integer NOT NULL,
    name text NOT NULL CHECK (name <> ''),
    external_id text CHECK (external_id <> ''),
    status text NOT NULL CHECK (status IN ('draft', 'testing', 'live', 'paused', 'ended')),
    access text NOT NULL DEFAULT 'open' CHECK (access IN ('open', 'approval', 'private')),
    starts_at timestamptz,
    ends_at timestamptz,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    destination text NOT NULL,
    destination_weight integer NOT NULL DEFAULT 1 CHECK (destination_weight BETWEEN 0 AND 1000),
    click_parameter text CHECK (click_parameter ~ '^[A-Za-z0-9_.-]{1,64}$'),
    extra_parameters text NOT NULL DEFAULT '',
    deep_link_hosts text[] NOT NULL DEFAULT '{}',
    fallback_url text,
    countries text[] NOT NULL DEFAULT '{}',
    devices text[] NOT NULL DEFAULT '{}'
        CHECK (devices <@ ARRAY['desktop', 'mobile', 'tablet', 'tv', 'other']),
    attribution_days integer NOT NULL CHECK (attribution_days BETWEEN 1 AND 3650),
    customer_days integer NOT NULL DEFAULT 365 CHECK (customer_days BETWEEN 1 AND 3650),
    attribution_min_seconds integer NOT NULL DEFAULT 0 CHECK (attribution_min_seconds BETWEEN 0 AND 86400),
    attribution_order text[] NOT NULL DEFAULT '{click,customer,coupon,affiliate}'
        CHECK (attribution_order <@ ARRAY['click', 'customer', 'coupon', 'affiliate'] AND cardinality(attribution_order) > 0),
    passed_parameters text[] NOT NULL DEFAULT '{}',
    categories text[] NOT NULL DEFAULT '{}',
    terms text NOT NULL DEFAULT '',
    notes text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, advertiser_id) REFERENCES advertisers (network_id, id),
    UNIQUE (network_id, external_id),
    CONSTRAINT campaigns_dates CHECK (ends_at > starts_at)
);
CREATE INDEX campaigns_of_advertiser ON campaigns (network_id, advertiser_id);
COMMENT ON TABLE campaigns IS 'An offer of an advertiser that affiliates promote.';
COMMENT ON COLUMN campaigns.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN campaigns.id IS 'Id of the campaign.';
COMMENT ON COLUMN campaigns.advertiser_id IS 'Advertiser of the campaign.';
COMMENT ON COLUMN campaigns.name IS 'Display name.';
COMMENT ON COLUMN campaigns.external_id IS 'Id of the campaign in the system of the advertiser or in a former system, accepted in postbacks; NULL if none.';
COMMENT ON COLUMN campaigns.status IS 'draft: no redirects. testing: test links only, unpaid. live: redirects and conversions. paused: clicks get a notice, earlier clicks still convert. ended: no redirects and no conversions.';
COMMENT ON COLUMN campaigns.access IS 'open: every affiliate may promote it. approval: approved affiliates only. private: invited affiliates only.';
COMMENT ON COLUMN campaigns.starts_at IS 'Start of redirects; NULL for at once.';
COMMENT ON COLUMN campaigns.ends_at IS 'End of redirects; NULL for no end.';
COMMENT ON COLUMN campaigns.currency IS 'ISO 4217: currency of fixed commissions, and of postbacks without a currency.';
COMMENT ON COLUMN campaigns.destination IS 'Destination URL with macros in path, query or fragment ({click_id}, {sub1} …).';
COMMENT ON COLUMN campaigns.destination_weight IS 'Share of the destination among clicks of links without a landing page, relative to the weights of landing pages.';
COMMENT ON COLUMN campaigns.click_parameter IS 'Query parameter for the click ID, added to destinations without {click_id}; NULL if every destination has the macro.';
COMMENT ON COLUMN campaigns.extra_parameters IS 'Query parameters added to every destination, as a=b&c={sub1}.';
COMMENT ON COLUMN campaigns.deep_link_hosts IS 'Hosts, with their subdomains, that deep links may lead to; empty for no deep links.';
COMMENT ON COLUMN campaigns.fallback_url IS 'URL for visitors outside of the targeting or above a cap; NULL redirects them to the destination.';
COMMENT ON COLUMN campaigns.countries IS 'Targeted countries (ISO 3166-1); empty for all.';
COMMENT ON COLUMN campaigns.devices IS 'Targeted device types; empty for all.';
COMMENT ON COLUMN campaigns.attribution_days IS 'Attribution window: days from click to conversion.';
COMMENT ON COLUMN campaigns.customer_days IS 'Customer window: maximum days since the latest conversion of a customer to which an order without a click is attributed.';
COMMENT ON COLUMN campaigns.attribution_min_seconds IS 'Minimum age of a click for a conversion, in seconds; faster conversions are rejected.';
COMMENT ON COLUMN campaigns.attribution_order IS 'Proofs that attribute a postback, the first that holds; a proof that is not listed never does.';
COMMENT ON COLUMN campaigns.passed_parameters IS 'Query parameters of the visitor''s URL that are added to the destination, as gclid or utm_*.';
COMMENT ON COLUMN campaigns.categories IS 'Categories for affiliates'' search.';
COMMENT ON COLUMN campaigns.terms IS 'Terms that affiliates agree to.';
COMMENT ON COLUMN campaigns.notes IS 'Notes for affiliates.';
COMMENT ON COLUMN campaigns.created_at IS 'Time of creation.';

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
COMMENT ON TABLE landing_pages IS 'An additional destination of a campaign.';
COMMENT ON COLUMN landing_pages.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN landing_pages.id IS 'Id of the landing page.';
COMMENT ON COLUMN landing_pages.campaign_id IS 'Campaign of the landing page.';
COMMENT ON COLUMN landing_pages.name IS 'Display name.';
COMMENT ON COLUMN landing_pages.url IS 'Destination URL with macros, as campaigns.destination.';
COMMENT ON COLUMN landing_pages.weight IS 'Share of clicks of links without a landing page; 0 for links with this landing page only.';
COMMENT ON COLUMN landing_pages.created_at IS 'Time of creation.';

CREATE TABLE caps (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    campaign_id integer NOT NULL,
    affiliate_id integer,
    metric text NOT NULL CHECK (metric IN ('clicks', 'conversions', 'commission', 'revenue')),
    period text NOT NULL CHECK (period IN ('day', 'month', 'total')),
    most bigint NOT NULL CHECK (most > 0),
    currency text CHECK (currency ~ '^[A-Z]{3}$'),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, campaign_id) REFERENCES campaigns (network_id, id),
    FOREIGN KEY (network_id, affiliate_id) REFERENCES affiliates (network_id, id),
    CONSTRAINT caps_once UNIQUE NULLS NOT DISTINCT (network_id, campaign_id, affiliate_id, metric, period, currency),
    CONSTRAINT caps_currency CHECK (currency IS NULL OR metric IN ('commission', 'revenue'))
);
COMMENT ON TABLE caps IS 'A limit on clicks, conversions or money of a campaign per period.';
COMMENT ON COLUMN caps.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN caps.id IS 'Id of the cap.';
COMMENT ON COLUMN caps.campaign_id IS 'Campaign of the cap.';
COMMENT ON COLUMN caps.affiliate_id IS 'Affiliate the cap applies to; NULL for all affiliates together.';
COMMENT ON COLUMN caps.metric IS 'Limited quantity: valid clicks, conversions that are not rejected, or their commission or revenue.';
COMMENT ON COLUMN caps.period IS 'Day or month in the time zone of the network, or total.';
COMMENT ON COLUMN caps.most IS 'Limit: a number, or micro-units of the currency.';
COMMENT ON COLUMN caps.currency IS 'Currency of a money cap, which counts conversions in this currency only; NULL for the currency of the campaign.';
COMMENT ON COLUMN caps.created_at IS 'Time of creation.';

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
COMMENT ON TABLE promoters IS 'Access of an affiliate to a campaign that is not open to all.';
COMMENT ON COLUMN promoters.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN promoters.campaign_id IS 'Campaign concerned.';
COMMENT ON COLUMN promoters.affiliate_id IS 'Affiliate concerned.';
COMMENT ON COLUMN promoters.status IS 'asked: waits for the network''s decision. approved: may promote the campaign. declined: may not.';
COMMENT ON COLUMN promoters.note IS 'Message of the affiliate to the network.';
COMMENT ON COLUMN promoters.changed_at IS 'Time of the last change of the status.';

CREATE TABLE goals (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    version integer NOT NULL DEFAULT 1,
    campaign_id integer NOT NULL,
    code text NOT NULL CHECK (code ~ '^[a-z0-9_-]{1,40}$'),
    name text NOT NULL CHECK (name <> ''),
    kind text NOT NULL DEFAULT 'custom' CHECK (kind IN ('lead', 'sale', 'install', 'deposit', 'custom')),
    external_id text CHECK (external_id <> ''),
    unique_by text NOT NULL CHECK (unique_by IN ('order', 'click', 'customer', 'fire')),
    has_other_keys boolean NOT NULL DEFAULT false,
    auto_approve boolean NOT NULL,
    hold_days integer NOT NULL DEFAULT 0 CHECK (hold_days BETWEEN 0 AND 365),
    review_above_micros bigint CHECK (review_above_micros >= 0),
    required_parameters text[] NOT NULL DEFAULT '{}',
    forbidden_parameters text[] NOT NULL DEFAULT '{}',
    default_amount_micros bigint CHECK (default_amount_micros >= 0),
    parent_goal_id integer,
    wait_hours integer NOT NULL DEFAULT 72 CHECK (wait_hours BETWEEN 0 AND 2160),
    times_per_parent integer CHECK (times_per_parent > 0),
    commission_fixed_micros bigint NOT NULL CHECK (commission_fixed_micros >= 0),
    commission_rate_ppm integer NOT NULL CHECK (commission_rate_ppm BETWEEN 0 AND 1000000),
    revenue_fixed_micros bigint NOT NULL CHECK (revenue_fixed_micros >= 0),
    revenue_rate_ppm integer NOT NULL CHECK (revenue_rate_ppm BETWEEN 0 AND 1000000),
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, campaign_id) REFERENCES campaigns (network_id, id),
    FOREIGN KEY (network_id, parent_goal_id) REFERENCES goals (network_id, id),
    UNIQUE (network_id, campaign_id, code),
    UNIQUE (network_id, campaign_id, external_id),
    CONSTRAINT goals_parent CHECK (parent_goal_id <> id)
);
COMMENT ON TABLE goals IS 'A kind of conversion of a campaign, with its commission and revenue.';
COMMENT ON COLUMN goals.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN goals.id IS 'Id of the goal.';
COMMENT ON COLUMN goals.version IS 'Number of the version of commission and revenue.';
COMMENT ON COLUMN goals.campaign_id IS 'Campaign of the goal.';
COMMENT ON COLUMN goals.code IS 'Identifier of the goal in postbacks.';
COMMENT ON COLUMN goals.name IS 'Display name.';
COMMENT ON COLUMN goals.kind IS 'Type of conversion.';
COMMENT ON COLUMN goals.external_id IS 'Id of the goal in the system of the advertiser or in a former system, accepted in postbacks; NULL if none.';
COMMENT ON COLUMN goals.unique_by IS 'Deduplication of conversions: by order ID, click, customer, or not at all (fire).';
COMMENT ON COLUMN goals.has_other_keys IS 'True if conversions may have another deduplication key than unique_by says, because it was changed.';
COMMENT ON COLUMN goals.auto_approve IS 'True if conversions are approved automatically: at once, or after hold_days.';
COMMENT ON COLUMN goals.hold_days IS 'Hold period: days a conversion stays pending before auto-approval.';
COMMENT ON COLUMN goals.review_above_micros IS 'Amount, in micro-units of the campaign''s currency, above which a user of the network must review a conversion before it is approved; NULL for no review.';
COMMENT ON COLUMN goals.required_parameters IS 'Parameters that a postback must have.';
COMMENT ON COLUMN goals.forbidden_parameters IS 'Parameters that a postback must not have.';
COMMENT ON COLUMN goals.default_amount_micros IS 'Amount of a postback without one, in micro-units of the campaign''s currency; NULL if none.';
COMMENT ON COLUMN goals.parent_goal_id IS 'Parent goal, which the same click or customer must have reached before; NULL if none.';
COMMENT ON COLUMN goals.wait_hours IS 'Hours a postback is held for its parent conversion, or for the order it changes.';
COMMENT ON COLUMN goals.times_per_parent IS 'Maximum number of conversions per parent conversion, such as paid renewals; NULL for no limit.';
COMMENT ON COLUMN goals.commission_fixed_micros IS 'Commission of the affiliate per conversion, in micro-units of the campaign''s currency.';
COMMENT ON COLUMN goals.commission_rate_ppm IS 'Commission of the affiliate as a share of the order amount, in parts per million (10 % = 100 000).';
COMMENT ON COLUMN goals.revenue_fixed_micros IS 'Revenue owed by the advertiser per conversion, in micro-units of the campaign''s currency.';
COMMENT ON COLUMN goals.revenue_rate_ppm IS 'Revenue owed by the advertiser as a share of the order amount, in parts per million.';
COMMENT ON COLUMN goals.created_at IS 'Time of creation.';
COMMENT ON COLUMN goals.changed_at IS 'Start of the current version of commission and revenue.';

CREATE TABLE goal_versions (
    network_id integer NOT NULL REFERENCES networks (id),
    goal_id integer NOT NULL,
    version integer NOT NULL,
    valid_to timestamptz NOT NULL,
    commission_fixed_micros bigint NOT NULL CHECK (commission_fixed_micros >= 0),
    commission_rate_ppm integer NOT NULL CHECK (commission_rate_ppm BETWEEN 0 AND 1000000),
    revenue_fixed_micros bigint NOT NULL CHECK (revenue_fixed_micros >= 0),
    revenue_rate_ppm integer NOT NULL CHECK (revenue_rate_ppm BETWEEN 0 AND 1000000),
    PRIMARY KEY (network_id, goal_id, version),
    FOREIGN KEY (network_id, goal_id) REFERENCES goals (network_id, id)
);
COMMENT ON TABLE goal_versions IS 'Former commission and revenue of a goal: an order is paid by what was in force at its time, whenever it is decided.';
COMMENT ON COLUMN goal_versions.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN goal_versions.goal_id IS 'Goal.';
COMMENT ON COLUMN goal_versions.version IS 'Number of the version.';
COMMENT ON COLUMN goal_versions.valid_to IS 'End of the version, when the next one began.';
COMMENT ON COLUMN goal_versions.commission_fixed_micros IS 'As goals.commission_fixed_micros.';
COMMENT ON COLUMN goal_versions.commission_rate_ppm IS 'As goals.commission_rate_ppm.';
COMMENT ON COLUMN goal_versions.revenue_fixed_micros IS 'As goals.revenue_fixed_micros.';
COMMENT ON COLUMN goal_versions.revenue_rate_ppm IS 'As goals.revenue_rate_ppm.';

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
COMMENT ON TABLE commission_rules IS 'Commission and revenue of a goal under conditions; the first matching rule applies. Versions are immutable: a change closes one version and adds the next.';
COMMENT ON COLUMN commission_rules.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN commission_rules.id IS 'Id of the rule, equal in all its versions.';
COMMENT ON COLUMN commission_rules.version IS 'Number of the version.';
COMMENT ON COLUMN commission_rules.goal_id IS 'Goal of the rule.';
COMMENT ON COLUMN commission_rules.position IS 'Order of evaluation, lowest first.';
COMMENT ON COLUMN commission_rules.name IS 'Display name.';
COMMENT ON COLUMN commission_rules.affiliate_id IS 'Condition: this affiliate; NULL for all.';
COMMENT ON COLUMN commission_rules.group_id IS 'Condition: affiliates of this group; NULL for all.';
COMMENT ON COLUMN commission_rules.sub_number IS 'Condition: number of the sub ID that must equal sub_value; NULL for none.';
COMMENT ON COLUMN commission_rules.sub_value IS 'Required value of that sub ID; NULL for none.';
COMMENT ON COLUMN commission_rules.country IS 'Condition: country of the order (ISO 3166-1); NULL for all.';
COMMENT ON COLUMN commission_rules.coupon IS 'Condition: coupon code of the order, compared case-insensitively; NULL for all.';
COMMENT ON COLUMN commission_rules.category IS 'Condition: category of the item, because each item is paid by the rule it matches; NULL for all.';
COMMENT ON COLUMN commission_rules.month_from IS 'Condition: lowest number of the conversion among those of the affiliate, the goal and the month (tier); NULL for all.';
COMMENT ON COLUMN commission_rules.commission_fixed_micros IS 'As goals.commission_fixed_micros.';
COMMENT ON COLUMN commission_rules.commission_rate_ppm IS 'As goals.commission_rate_ppm.';
COMMENT ON COLUMN commission_rules.revenue_fixed_micros IS 'As goals.revenue_fixed_micros.';
COMMENT ON COLUMN commission_rules.revenue_rate_ppm IS 'As goals.revenue_rate_ppm.';
COMMENT ON COLUMN commission_rules.valid_from IS 'Start of validity.';
COMMENT ON COLUMN commission_rules.valid_to IS 'End of validity; NULL for the current version.';

CREATE TABLE tracking_links (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    version integer NOT NULL DEFAULT 1,
    alias text NOT NULL CHECK (alias ~ '^[A-Za-z0-9_-]{1,64}$'),
    affiliate_id integer NOT NULL,
    campaign_id integer NOT NULL,
    landing_page_id integer,
    is_test boolean NOT NULL DEFAULT false,
    sub1 text,
    sub2 text,
    sub3 text,
    sub4 text,
    sub5 text,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, affiliate_id) REFERENCES affiliates (network_id, id),
    FOREIGN KEY (network_id, campaign_id) REFERENCES campaigns (network_id, id),
    FOREIGN KEY (network_id, landing_page_id) REFERENCES landing_pages (network_id, id),
    UNIQUE (network_id, alias)
);
CREATE INDEX tracking_links_of_campaign ON tracking_links (network_id, campaign_id);
CREATE INDEX tracking_links_of_affiliate ON tracking_links (network_id, affiliate_id);
COMMENT ON TABLE tracking_links IS 'A link of an affiliate to a campaign.';
COMMENT ON COLUMN tracking_links.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN tracking_links.id IS 'Id of the link; also the third field of its click IDs.';
COMMENT ON COLUMN tracking_links.version IS 'Number of the edit, so that concurrent edits are detected.';
COMMENT ON COLUMN tracking_links.alias IS 'Case-sensitive path of the link on the tracking host.';
COMMENT ON COLUMN tracking_links.affiliate_id IS 'Affiliate who earns the commission.';
COMMENT ON COLUMN tracking_links.campaign_id IS 'Promoted campaign.';
COMMENT ON COLUMN tracking_links.landing_page_id IS 'Landing page of the link; NULL for the destinations of the campaign by weight.';
COMMENT ON COLUMN tracking_links.is_test IS 'True if its conversions are tests, which are never paid.';
COMMENT ON COLUMN tracking_links.sub1 IS 'Default of sub1 for clicks without one; NULL if none.';
COMMENT ON COLUMN tracking_links.sub2 IS 'Default of sub2 for clicks without one; NULL if none.';
COMMENT ON COLUMN tracking_links.sub3 IS 'Default of sub3 for clicks without one; NULL if none.';
COMMENT ON COLUMN tracking_links.sub4 IS 'Default of sub4 for clicks without one; NULL if none.';
COMMENT ON COLUMN tracking_links.sub5 IS 'Default of sub5 for clicks without one; NULL if none.';
COMMENT ON COLUMN tracking_links.created_at IS 'Time of creation.';

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
COMMENT ON TABLE coupons IS 'A coupon code that attributes orders without a click to an affiliate.';
COMMENT ON COLUMN coupons.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN coupons.campaign_id IS 'Campaign of the orders.';
COMMENT ON COLUMN coupons.code IS 'Code in upper case, because codes are compared case-insensitively.';
COMMENT ON COLUMN coupons.affiliate_id IS 'Affiliate who distributes the code.';
COMMENT ON COLUMN coupons.created_at IS 'Time of creation.';

CREATE TABLE integrations (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    advertiser_id integer NOT NULL,
    campaign_id integer,
    dialect text,
    requires_token boolean NOT NULL DEFAULT true,
    token_hash bytea NOT NULL CHECK (length(token_hash) = 32),
    token_hint text NOT NULL,
    previous_token_hash bytea CHECK (length(previous_token_hash) = 32),
    previous_token_until timestamptz,
    advertiser_token_until timestamptz,
    requires_signature boolean NOT NULL DEFAULT false,
    signing_secret bytea,
    signature_seconds integer NOT NULL DEFAULT 300 CHECK (signature_seconds BETWEEN 10 AND 86400),
    requires_https boolean NOT NULL DEFAULT false,
    allowed_addresses text[] NOT NULL DEFAULT '{}',
    is_monitoring boolean NOT NULL DEFAULT false,
    answer_format text NOT NULL DEFAULT 'dialect' CHECK (answer_format IN ('ours', 'dialect', 'always_ok', 'gif')),
    status_map jsonb NOT NULL DEFAULT '{}',
    takes_commission boolean NOT NULL DEFAULT false,
    counts_orders_once boolean NOT NULL DEFAULT false,
    ignores_letter_case boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, advertiser_id) REFERENCES advertisers (network_id, id),
    FOREIGN KEY (network_id, campaign_id) REFERENCES campaigns (network_id, id),
    UNIQUE NULLS NOT DISTINCT (network_id, advertiser_id, campaign_id),
    UNIQUE (network_id, token_hash),
    UNIQUE (network_id, previous_token_hash),
    CONSTRAINT integrations_previous CHECK ((previous_token_hash IS NULL) = (previous_token_until IS NULL)),
    CONSTRAINT integrations_signature CHECK (NOT requires_signature OR signing_secret IS NOT NULL),
    CONSTRAINT integrations_campaign CHECK ((campaign_id IS NULL) = (advertiser_token_until IS NULL))
);
COMMENT ON TABLE integrations IS 'Settings and credentials for the postbacks of an advertiser, or of one campaign with a separate integration.';
COMMENT ON COLUMN integrations.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN integrations.id IS 'Id of the integration.';
COMMENT ON COLUMN integrations.advertiser_id IS 'Advertiser who sends the postbacks.';
COMMENT ON COLUMN integrations.campaign_id IS 'Campaign of the integration; NULL for the integration of the advertiser, which serves all campaigns without one.';
COMMENT ON COLUMN integrations.dialect IS 'Dialect of the postbacks; NULL if each postback''s dialect is detected.';
COMMENT ON COLUMN integrations.requires_token IS 'True if a postback must carry the token; otherwise the signed click ID identifies the advertiser.';
COMMENT ON COLUMN integrations.token_hash IS 'SHA-256 of the postback token; the token itself is shown once and not stored.';
COMMENT ON COLUMN integrations.token_hint IS 'Last four characters of the token, so that users can tell tokens apart.';
COMMENT ON COLUMN integrations.previous_token_hash IS 'SHA-256 of the previous token, accepted until previous_token_until; NULL if none.';
COMMENT ON COLUMN integrations.previous_token_until IS 'End of validity of the previous token; NULL if none.';
COMMENT ON COLUMN integrations.advertiser_token_until IS 'End of the period in which the campaign also accepts the token of the advertiser; NULL for the integration of the advertiser.';
COMMENT ON COLUMN integrations.requires_signature IS 'True if a postback must be signed.';
COMMENT ON COLUMN integrations.signing_secret IS 'HMAC secret, encrypted under the installation secret; NULL if none.';
COMMENT ON COLUMN integrations.signature_seconds IS 'Maximum difference between the time of a signature and the server''s clock, in seconds.';
COMMENT ON COLUMN integrations.requires_https IS 'True if a postback must arrive over https, as reported by a trusted proxy.';
COMMENT ON COLUMN integrations.allowed_addresses IS 'IP addresses and CIDR ranges that postbacks may come from; empty for all.';
COMMENT ON COLUMN integrations.is_monitoring IS 'True for monitor only: postbacks that fail the checks of https, token, signature or address are accepted and flagged.';
COMMENT ON COLUMN integrations.answer_format IS 'Response format. ours: JSON of Clickledger. dialect: the response of the sender''s system. always_ok: status 200 with an honest body. gif: an image of one pixel.';
COMMENT ON COLUMN integrations.status_map IS 'Object of the advertiser''s status words to pending, held, approved, rejected or ignored.';
COMMENT ON COLUMN integrations.takes_commission IS 'True if the commission in a postback is paid where the goal''s commission is zero.';
COMMENT ON COLUMN integrations.counts_orders_once IS 'True if an order ID counts once for all campaigns of the advertiser.';
COMMENT ON COLUMN integrations.ignores_letter_case IS 'True if a click ID that differs in letter case only is accepted.';
COMMENT ON COLUMN integrations.created_at IS 'Time the current token was created.';

CREATE TABLE url_templates (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    advertiser_id integer,
    affiliate_id integer,
    name text NOT NULL CHECK (name <> ''),
    direction text NOT NULL CHECK (direction IN ('inbound', 'outbound')),
    url text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    CONSTRAINT url_templates_name_key
        UNIQUE NULLS NOT DISTINCT (network_id, advertiser_id, affiliate_id, direction, name),
    FOREIGN KEY (network_id, advertiser_id) REFERENCES advertisers (network_id, id),
    FOREIGN KEY (network_id, affiliate_id) REFERENCES affiliates (network_id, id),
    CHECK (advertiser_id IS NULL OR affiliate_id IS NULL)
);
COMMENT ON TABLE url_templates IS 'A URL with macros, saved in the URL builder.';
COMMENT ON COLUMN url_templates.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN url_templates.id IS 'Id of the template.';
COMMENT ON COLUMN url_templates.advertiser_id IS 'Advertiser that owns the template; NULL otherwise.';
COMMENT ON COLUMN url_templates.affiliate_id IS 'Affiliate that owns the template; NULL otherwise. The network owns templates with neither.';
COMMENT ON COLUMN url_templates.name IS 'Display name.';
COMMENT ON COLUMN url_templates.direction IS 'inbound: postback URL for another system, with its macros. outbound: URL of a tracker that we call, with our macros.';
COMMENT ON COLUMN url_templates.url IS 'URL with macros and without secrets.';
COMMENT ON COLUMN url_templates.created_at IS 'Time of creation.';

-- Row-level security --------------------------------------------------------------------------------------------

CALL enclose('campaigns', 'caps', 'commission_rules', 'coupons', 'goal_versions', 'goals', 'integrations',
             'landing_pages', 'promoters', 'tracking_links', 'url_templates');

GRANT SELECT, INSERT, UPDATE ON campaigns, goals, tracking_links TO clickledger_web;
GRANT SELECT, INSERT, UPDATE, DELETE ON landing_pages, caps, promoters, coupons, integrations, url_templates
    TO clickledger_web;
-- A version is closed, never changed.
GRANT SELECT, INSERT ON commission_rules, goal_versions TO clickledger_web;
GRANT UPDATE (valid_to) ON commission_rules TO clickledger_web;
