-- The whole path, once: who may act, what counts and what it pays, what happened, and the sums of it.
--
-- Rules every table follows (ARCHITECTURE.md, "Data rules"; checked by tests/data_rules.rs):
--   * a tenant's table has network_id first in its primary key, its unique keys and its foreign keys;
--   * money is integer micro-units (1 EUR = 1 000 000) next to an ISO 4217 currency;
--   * configuration has a scattered 31-bit number as id, events have a time-ordered uuid.

-- Ids of configuration: unique like a sequence, unguessable at a glance like a random number. An odd multiplier
-- permutes the numbers modulo 2^31, so no two inputs below 2^31 meet.
CREATE FUNCTION scatter(n bigint) RETURNS integer
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ((n * 1580030173) & 2147483647)::integer;
COMMENT ON FUNCTION scatter(bigint) IS 'Permutes 1 … 2^31-1, so that ids from a sequence do not reveal how many there are.';

CREATE SEQUENCE configuration_ids MAXVALUE 2147483647;
COMMENT ON SEQUENCE configuration_ids IS 'Feeds scatter(): the ids of networks, people, advertisers, affiliates, campaigns, goals, links, integrations and memberships.';

-- Who may act -------------------------------------------------------------------------------------------------

CREATE TABLE installation (
    single boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (single),
    secret_fingerprint bytea NOT NULL
);
COMMENT ON TABLE installation IS 'One row: what all nodes on this database must agree on.';
COMMENT ON COLUMN installation.single IS 'Always true: keeps the table at one row.';
COMMENT ON COLUMN installation.secret_fingerprint IS 'Fingerprint of the installation secret. A node with another secret could not verify the click ids of its peers, so it refuses to start.';

CREATE TABLE networks (
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')) PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    time_zone text NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE networks IS 'A network is the tenant: it owns every row that carries its id.';
COMMENT ON COLUMN networks.id IS 'Also the second field of every click id of this network.';
COMMENT ON COLUMN networks.name IS 'As people see it.';
COMMENT ON COLUMN networks.time_zone IS 'IANA name. Days in reports and the hours of rollups are of this zone.';
COMMENT ON COLUMN networks.currency IS 'ISO 4217. Proposed for new campaigns; sums are never converted silently.';
COMMENT ON COLUMN networks.created_at IS 'When the network was created.';

CREATE TABLE tracking_hosts (
    host text NOT NULL PRIMARY KEY CHECK (host = lower(host)),
    network_id integer NOT NULL REFERENCES networks (id)
);
COMMENT ON TABLE tracking_hosts IS 'Which network a click or postback belongs to, by its Host header. A reference table: host names are unique across networks.';
COMMENT ON COLUMN tracking_hosts.host IS 'Lower case, with the port where it is not the scheme''s own.';
COMMENT ON COLUMN tracking_hosts.network_id IS 'The network that owns the host.';

CREATE TABLE people (
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')) PRIMARY KEY,
    email text NOT NULL UNIQUE CHECK (email = lower(email)),
    name text NOT NULL,
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE people IS 'One row per human being, whatever networks they work for.';
COMMENT ON COLUMN people.id IS 'The person.';
COMMENT ON COLUMN people.email IS 'Lower case; what a person signs in with.';
COMMENT ON COLUMN people.name IS 'As colleagues see it.';
COMMENT ON COLUMN people.password_hash IS 'argon2id, PHC string format.';
COMMENT ON COLUMN people.created_at IS 'When the person was created.';

CREATE TABLE advertisers (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    name text NOT NULL CHECK (name <> ''),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id)
);
COMMENT ON TABLE advertisers IS 'A brand (merchant) whose server sends postbacks.';
COMMENT ON COLUMN advertisers.network_id IS 'The tenant.';
COMMENT ON COLUMN advertisers.id IS 'The advertiser.';
COMMENT ON COLUMN advertisers.name IS 'As people see it.';
COMMENT ON COLUMN advertisers.created_at IS 'When the advertiser was created.';

CREATE TABLE affiliates (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    name text NOT NULL CHECK (name <> ''),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id)
);
COMMENT ON TABLE affiliates IS 'A partner (publisher) who sends visitors and earns commission.';
COMMENT ON COLUMN affiliates.network_id IS 'The tenant.';
COMMENT ON COLUMN affiliates.id IS 'The affiliate.';
COMMENT ON COLUMN affiliates.name IS 'As people see it.';
COMMENT ON COLUMN affiliates.created_at IS 'When the affiliate was created.';

CREATE TABLE memberships (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    person_id integer NOT NULL REFERENCES people (id),
    role text NOT NULL CHECK (role IN ('owner', 'advertiser', 'affiliate')),
    advertiser_id integer,
    affiliate_id integer,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, advertiser_id) REFERENCES advertisers (network_id, id),
    FOREIGN KEY (network_id, affiliate_id) REFERENCES affiliates (network_id, id),
    UNIQUE NULLS NOT DISTINCT (network_id, person_id, role, advertiser_id, affiliate_id),
    CONSTRAINT memberships_party CHECK ((role = 'advertiser') = (advertiser_id IS NOT NULL)
        AND (role = 'affiliate') = (affiliate_id IS NOT NULL))
);
COMMENT ON TABLE memberships IS 'What a person may do in a network, and for whom.';
COMMENT ON COLUMN memberships.network_id IS 'The tenant.';
COMMENT ON COLUMN memberships.id IS 'The membership.';
COMMENT ON COLUMN memberships.person_id IS 'Who.';
COMMENT ON COLUMN memberships.role IS 'owner: everything in the network. advertiser, affiliate: what belongs to that party.';
COMMENT ON COLUMN memberships.advertiser_id IS 'The advertiser acted for; set with role advertiser only.';
COMMENT ON COLUMN memberships.affiliate_id IS 'The affiliate acted for; set with role affiliate only.';
COMMENT ON COLUMN memberships.created_at IS 'When the membership was given.';

CREATE TABLE sessions (
    token_hash bytea NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    network_id integer NOT NULL,
    membership_id integer NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    FOREIGN KEY (network_id, membership_id) REFERENCES memberships (network_id, id)
);
COMMENT ON TABLE sessions IS 'Who is signed in. Not a tenant''s table: the cookie says nothing of a network, so it is found by its hash alone.';
COMMENT ON COLUMN sessions.token_hash IS 'SHA-256 of the cookie''s 256 random bits; the cookie itself is not kept.';
COMMENT ON COLUMN sessions.network_id IS 'The network signed in to.';
COMMENT ON COLUMN sessions.membership_id IS 'The membership acted under.';
COMMENT ON COLUMN sessions.created_at IS 'When the person signed in.';
COMMENT ON COLUMN sessions.expires_at IS 'When the session ends, whatever happens.';

-- What counts and what it pays ----------------------------------------------------------------------------------

CREATE TABLE integrations (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    advertiser_id integer NOT NULL,
    token_hash bytea NOT NULL CHECK (length(token_hash) = 32),
    token_hint text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, advertiser_id) REFERENCES advertisers (network_id, id),
    UNIQUE (network_id, advertiser_id),
    UNIQUE (network_id, token_hash)
);
COMMENT ON TABLE integrations IS 'How one advertiser''s server talks to us.';
COMMENT ON COLUMN integrations.network_id IS 'The tenant.';
COMMENT ON COLUMN integrations.id IS 'The integration.';
COMMENT ON COLUMN integrations.advertiser_id IS 'The advertiser whose server calls.';
COMMENT ON COLUMN integrations.token_hash IS 'SHA-256 of the postback token; the token itself is shown once and not kept.';
COMMENT ON COLUMN integrations.token_hint IS 'The token''s last four characters, so that people can tell tokens apart.';
COMMENT ON COLUMN integrations.created_at IS 'When the current token was made.';

CREATE TABLE campaigns (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    advertiser_id integer NOT NULL,
    name text NOT NULL CHECK (name <> ''),
    status text NOT NULL CHECK (status IN ('live', 'paused')),
    destination text NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    attribution_days integer NOT NULL CHECK (attribution_days BETWEEN 1 AND 3650),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, advertiser_id) REFERENCES advertisers (network_id, id)
);
CREATE INDEX campaigns_of_advertiser ON campaigns (network_id, advertiser_id);
COMMENT ON TABLE campaigns IS 'What an advertiser wants promoted.';
COMMENT ON COLUMN campaigns.network_id IS 'The tenant.';
COMMENT ON COLUMN campaigns.id IS 'The campaign.';
COMMENT ON COLUMN campaigns.advertiser_id IS 'Whose campaign it is.';
COMMENT ON COLUMN campaigns.name IS 'As people see it.';
COMMENT ON COLUMN campaigns.status IS 'live: clicks are sent on and conversions count. paused: clicks get a page that says so.';
COMMENT ON COLUMN campaigns.destination IS 'Where a click is sent: a URL with macros in path, query or fragment ({click_id}, {sub1} …).';
COMMENT ON COLUMN campaigns.currency IS 'ISO 4217: the currency of fixed commissions, and of postbacks that name none.';
COMMENT ON COLUMN campaigns.attribution_days IS 'How many days after a click a conversion still counts.';
COMMENT ON COLUMN campaigns.created_at IS 'When the campaign was created.';

CREATE TABLE goals (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    campaign_id integer NOT NULL,
    code text NOT NULL CHECK (code ~ '^[a-z0-9_-]{1,40}$'),
    name text NOT NULL CHECK (name <> ''),
    unique_by text NOT NULL CHECK (unique_by IN ('order', 'click')),
    auto_approve boolean NOT NULL,
    commission_fixed_micros bigint NOT NULL CHECK (commission_fixed_micros >= 0),
    commission_rate_ppm integer NOT NULL CHECK (commission_rate_ppm BETWEEN 0 AND 1000000),
    revenue_fixed_micros bigint NOT NULL CHECK (revenue_fixed_micros >= 0),
    revenue_rate_ppm integer NOT NULL CHECK (revenue_rate_ppm BETWEEN 0 AND 1000000),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, campaign_id) REFERENCES campaigns (network_id, id),
    UNIQUE (network_id, campaign_id, code)
);
COMMENT ON TABLE goals IS 'One kind of conversion of a campaign, with what it pays.';
COMMENT ON COLUMN goals.network_id IS 'The tenant.';
COMMENT ON COLUMN goals.id IS 'The goal.';
COMMENT ON COLUMN goals.campaign_id IS 'The campaign it belongs to.';
COMMENT ON COLUMN goals.code IS 'What a postback names it by.';
COMMENT ON COLUMN goals.name IS 'As people see it.';
COMMENT ON COLUMN goals.unique_by IS 'What makes a conversion the same one again: its order id, or its click.';
COMMENT ON COLUMN goals.auto_approve IS 'Whether conversions start approved instead of pending.';
COMMENT ON COLUMN goals.commission_fixed_micros IS 'What the affiliate earns per conversion, in micro-units of the campaign''s currency.';
COMMENT ON COLUMN goals.commission_rate_ppm IS 'What the affiliate earns of the order amount, in parts per million (10 % = 100 000).';
COMMENT ON COLUMN goals.revenue_fixed_micros IS 'What the advertiser owes per conversion, in micro-units of the campaign''s currency.';
COMMENT ON COLUMN goals.revenue_rate_ppm IS 'What the advertiser owes of the order amount, in parts per million.';
COMMENT ON COLUMN goals.created_at IS 'When the goal was created.';

CREATE TABLE tracking_links (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    alias text NOT NULL CHECK (alias ~ '^[A-Za-z0-9_-]{1,64}$'),
    affiliate_id integer NOT NULL,
    campaign_id integer NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, affiliate_id) REFERENCES affiliates (network_id, id),
    FOREIGN KEY (network_id, campaign_id) REFERENCES campaigns (network_id, id),
    UNIQUE (network_id, alias)
);
CREATE INDEX tracking_links_of_campaign ON tracking_links (network_id, campaign_id);
CREATE INDEX tracking_links_of_affiliate ON tracking_links (network_id, affiliate_id);
COMMENT ON TABLE tracking_links IS 'One affiliate''s way into one campaign.';
COMMENT ON COLUMN tracking_links.network_id IS 'The tenant.';
COMMENT ON COLUMN tracking_links.id IS 'The link; the third field of every click id it gives out.';
COMMENT ON COLUMN tracking_links.alias IS 'The path of the link on the network''s tracking host; case counts.';
COMMENT ON COLUMN tracking_links.affiliate_id IS 'Who earns.';
COMMENT ON COLUMN tracking_links.campaign_id IS 'What is promoted.';
COMMENT ON COLUMN tracking_links.created_at IS 'When the link was created.';

-- What happened --------------------------------------------------------------------------------------------------

CREATE TABLE clicks (
    network_id integer NOT NULL,
    id uuid NOT NULL,
    clicked_at timestamptz NOT NULL,
    link_id integer NOT NULL,
    campaign_id integer NOT NULL,
    affiliate_id integer NOT NULL,
    sub1 text,
    sub2 text,
    sub3 text,
    sub4 text,
    sub5 text,
    ip_prefix inet,
    user_agent text,
    referrer text,
    PRIMARY KEY (network_id, id)
);
COMMENT ON TABLE clicks IS 'One visit through a tracking link. No foreign keys: the ids come from the link that was just looked up, and checking them again would cost the visitor time.';
COMMENT ON COLUMN clicks.network_id IS 'The tenant.';
COMMENT ON COLUMN clicks.id IS 'time (48 bits, ms) · link (32) · random (48): the heart of the click id, so it sorts by time.';
COMMENT ON COLUMN clicks.clicked_at IS 'When the visit reached us.';
COMMENT ON COLUMN clicks.link_id IS 'The tracking link.';
COMMENT ON COLUMN clicks.campaign_id IS 'The link''s campaign at that time.';
COMMENT ON COLUMN clicks.affiliate_id IS 'The link''s affiliate at that time.';
COMMENT ON COLUMN clicks.sub1 IS 'The affiliate''s own first sub id.';
COMMENT ON COLUMN clicks.sub2 IS 'The affiliate''s own second sub id.';
COMMENT ON COLUMN clicks.sub3 IS 'The affiliate''s own third sub id.';
COMMENT ON COLUMN clicks.sub4 IS 'The affiliate''s own fourth sub id.';
COMMENT ON COLUMN clicks.sub5 IS 'The affiliate''s own fifth sub id.';
COMMENT ON COLUMN clicks.ip_prefix IS 'The visitor''s /24 (IPv4) or /48 (IPv6). The full address is never stored.';
COMMENT ON COLUMN clicks.user_agent IS 'User-Agent header, at most 512 characters.';
COMMENT ON COLUMN clicks.referrer IS 'Referer header, at most 1024 characters.';

CREATE TABLE postbacks (
    network_id integer NOT NULL REFERENCES networks (id),
    id uuid NOT NULL,
    received_at timestamptz NOT NULL,
    method text NOT NULL,
    target text NOT NULL,
    content_type text,
    body bytea NOT NULL,
    remote_ip inet,
    status text NOT NULL CHECK (status IN ('accepted', 'duplicate', 'rejected')),
    reason text NOT NULL,
    http_status integer NOT NULL,
    message text NOT NULL,
    hint text,
    took_us integer NOT NULL,
    advertiser_id integer,
    campaign_id integer,
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
CREATE INDEX postbacks_by_reason ON postbacks (network_id, reason, id);
CREATE INDEX postbacks_by_status ON postbacks (network_id, status, id);
CREATE INDEX postbacks_of_advertiser ON postbacks (network_id, advertiser_id, id);
COMMENT ON TABLE postbacks IS 'Every call of an advertiser''s server, as it came, with the verdict it got; also the rejected and the unreadable ones.';
COMMENT ON COLUMN postbacks.network_id IS 'The tenant.';
COMMENT ON COLUMN postbacks.id IS 'The receipt (pb_…) that the answer carries; sorts by time.';
COMMENT ON COLUMN postbacks.received_at IS 'When the call reached us.';
COMMENT ON COLUMN postbacks.method IS 'GET or POST.';
COMMENT ON COLUMN postbacks.target IS 'Request target as received, the token blanked but for its last four characters.';
COMMENT ON COLUMN postbacks.content_type IS 'Content-Type header as received.';
COMMENT ON COLUMN postbacks.body IS 'Body as received, the token blanked; empty for GET.';
COMMENT ON COLUMN postbacks.remote_ip IS 'Address of the advertiser''s server (a company''s machine, not a visitor).';
COMMENT ON COLUMN postbacks.status IS 'accepted: a conversion was made. duplicate: it had been made before. rejected: it was not made.';
COMMENT ON COLUMN postbacks.reason IS 'The reason code of the answer.';
COMMENT ON COLUMN postbacks.http_status IS 'Status of the answer.';
COMMENT ON COLUMN postbacks.message IS 'What happened, in a sentence.';
COMMENT ON COLUMN postbacks.hint IS 'What to do about it.';
COMMENT ON COLUMN postbacks.took_us IS 'Microseconds from the last byte of the call to the verdict.';
COMMENT ON COLUMN postbacks.advertiser_id IS 'The advertiser whose token it carried, when known.';
COMMENT ON COLUMN postbacks.campaign_id IS 'The campaign of the click, when known.';
COMMENT ON COLUMN postbacks.goal_id IS 'The goal reached, for accepted and duplicate ones.';
COMMENT ON COLUMN postbacks.click_id IS 'The click named, when its id is genuine.';
COMMENT ON COLUMN postbacks.conversion_id IS 'The conversion made, or the first one for a duplicate.';
COMMENT ON COLUMN postbacks.order_id IS 'order_id as sent.';
COMMENT ON COLUMN postbacks.amount_micros IS 'amount as sent, in micro-units.';
COMMENT ON COLUMN postbacks.currency IS 'currency as sent; empty where the campaign''s was meant.';
COMMENT ON COLUMN postbacks.extra IS 'Parameters we have no field for, kept as an object of strings.';

CREATE TABLE conversions (
    network_id integer NOT NULL REFERENCES networks (id),
    id uuid NOT NULL,
    converted_at timestamptz NOT NULL,
    advertiser_id integer NOT NULL,
    campaign_id integer NOT NULL,
    goal_id integer NOT NULL,
    affiliate_id integer NOT NULL,
    link_id integer NOT NULL,
    click_id uuid NOT NULL,
    postback_id uuid NOT NULL,
    unique_key text NOT NULL,
    order_id text,
    amount_micros bigint,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    commission_micros bigint NOT NULL CHECK (commission_micros >= 0),
    revenue_micros bigint NOT NULL CHECK (revenue_micros >= 0),
    status text NOT NULL CHECK (status IN ('pending', 'approved', 'rejected')),
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, advertiser_id) REFERENCES advertisers (network_id, id),
    FOREIGN KEY (network_id, campaign_id) REFERENCES campaigns (network_id, id),
    FOREIGN KEY (network_id, goal_id) REFERENCES goals (network_id, id),
    FOREIGN KEY (network_id, affiliate_id) REFERENCES affiliates (network_id, id),
    FOREIGN KEY (network_id, link_id) REFERENCES tracking_links (network_id, id),
    UNIQUE (network_id, goal_id, unique_key)
);
CREATE INDEX conversions_by_status ON conversions (network_id, status, id);
CREATE INDEX conversions_of_affiliate ON conversions (network_id, affiliate_id, id);
CREATE INDEX conversions_of_advertiser ON conversions (network_id, advertiser_id, id);
CREATE INDEX conversions_of_click ON conversions (network_id, click_id);
CREATE INDEX conversions_of_order ON conversions (network_id, order_id) WHERE order_id IS NOT NULL;
COMMENT ON TABLE conversions IS 'A postback that was accepted for a goal. Survives the purge of its click and postback rows, so it does not refer to them by foreign key.';
COMMENT ON COLUMN conversions.network_id IS 'The tenant.';
COMMENT ON COLUMN conversions.id IS 'The conversion (cnv_…); sorts by time.';
COMMENT ON COLUMN conversions.converted_at IS 'When the postback reached us.';
COMMENT ON COLUMN conversions.advertiser_id IS 'Who owes.';
COMMENT ON COLUMN conversions.campaign_id IS 'The campaign of the click.';
COMMENT ON COLUMN conversions.goal_id IS 'The goal reached.';
COMMENT ON COLUMN conversions.affiliate_id IS 'Who earns.';
COMMENT ON COLUMN conversions.link_id IS 'The tracking link of the click.';
COMMENT ON COLUMN conversions.click_id IS 'The click it is attributed to.';
COMMENT ON COLUMN conversions.postback_id IS 'The postback that made it.';
COMMENT ON COLUMN conversions.unique_key IS 'What the goal is unique by (order id or click id). The unique key makes duplicates impossible, for ever.';
COMMENT ON COLUMN conversions.order_id IS 'The advertiser''s order id.';
COMMENT ON COLUMN conversions.amount_micros IS 'Order amount; empty where none was sent.';
COMMENT ON COLUMN conversions.currency IS 'ISO 4217: the currency of all three amounts.';
COMMENT ON COLUMN conversions.commission_micros IS 'What the affiliate earns.';
COMMENT ON COLUMN conversions.revenue_micros IS 'What the advertiser owes.';
COMMENT ON COLUMN conversions.status IS 'pending, then approved or rejected.';

CREATE TABLE ledger_entries (
    network_id integer NOT NULL REFERENCES networks (id),
    id uuid NOT NULL,
    booked_at timestamptz NOT NULL,
    conversion_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('earned', 'rejected')),
    account text NOT NULL CHECK (account IN ('advertiser', 'affiliate', 'network')),
    advertiser_id integer,
    affiliate_id integer,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    amount_micros bigint NOT NULL,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, conversion_id) REFERENCES conversions (network_id, id),
    FOREIGN KEY (network_id, advertiser_id) REFERENCES advertisers (network_id, id),
    FOREIGN KEY (network_id, affiliate_id) REFERENCES affiliates (network_id, id),
    CONSTRAINT ledger_entries_party CHECK ((account = 'advertiser') = (advertiser_id IS NOT NULL)
        AND (account = 'affiliate') = (affiliate_id IS NOT NULL))
);
CREATE INDEX ledger_entries_of_conversion ON ledger_entries (network_id, conversion_id);
COMMENT ON TABLE ledger_entries IS 'Append-only money movements. The entries of one conversion sum to zero: the advertiser''s debt is the affiliate''s commission plus the network''s margin. A balance is a sum; nothing is overwritten.';
COMMENT ON COLUMN ledger_entries.network_id IS 'The tenant.';
COMMENT ON COLUMN ledger_entries.id IS 'The entry; sorts by time.';
COMMENT ON COLUMN ledger_entries.booked_at IS 'When it was booked.';
COMMENT ON COLUMN ledger_entries.conversion_id IS 'What it was booked for.';
COMMENT ON COLUMN ledger_entries.kind IS 'earned: the conversion was made. rejected: it was rejected, and this entry takes the earned one back.';
COMMENT ON COLUMN ledger_entries.account IS 'Whose account moves.';
COMMENT ON COLUMN ledger_entries.advertiser_id IS 'Set for an advertiser''s account.';
COMMENT ON COLUMN ledger_entries.affiliate_id IS 'Set for an affiliate''s account.';
COMMENT ON COLUMN ledger_entries.currency IS 'ISO 4217.';
COMMENT ON COLUMN ledger_entries.amount_micros IS 'Positive: the account gains. Negative: it owes.';

-- The sums of it, kept in the transaction that stores the events ----------------------------------------------------

CREATE TABLE click_rollups (
    network_id integer NOT NULL REFERENCES networks (id),
    hour timestamptz NOT NULL,
    campaign_id integer NOT NULL,
    affiliate_id integer NOT NULL,
    link_id integer NOT NULL,
    clicks bigint NOT NULL,
    PRIMARY KEY (network_id, hour, campaign_id, affiliate_id, link_id)
);
COMMENT ON TABLE click_rollups IS 'Clicks per hour and link.';
COMMENT ON COLUMN click_rollups.network_id IS 'The tenant.';
COMMENT ON COLUMN click_rollups.hour IS 'Start of the hour on the network''s clock (so half-hour time zones have exact days).';
COMMENT ON COLUMN click_rollups.campaign_id IS 'The campaign.';
COMMENT ON COLUMN click_rollups.affiliate_id IS 'The affiliate.';
COMMENT ON COLUMN click_rollups.link_id IS 'The tracking link.';
COMMENT ON COLUMN click_rollups.clicks IS 'How many.';

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
COMMENT ON TABLE conversion_rollups IS 'Conversions and their money per hour, link, goal, currency and status. A change of status moves the sums from one row to another.';
COMMENT ON COLUMN conversion_rollups.network_id IS 'The tenant.';
COMMENT ON COLUMN conversion_rollups.hour IS 'Start of the hour of the conversion on the network''s clock.';
COMMENT ON COLUMN conversion_rollups.campaign_id IS 'The campaign.';
COMMENT ON COLUMN conversion_rollups.affiliate_id IS 'The affiliate.';
COMMENT ON COLUMN conversion_rollups.link_id IS 'The tracking link.';
COMMENT ON COLUMN conversion_rollups.goal_id IS 'The goal.';
COMMENT ON COLUMN conversion_rollups.currency IS 'ISO 4217: sums are kept per currency.';
COMMENT ON COLUMN conversion_rollups.status IS 'Status of the conversions summed here.';
COMMENT ON COLUMN conversion_rollups.conversions IS 'How many.';
COMMENT ON COLUMN conversion_rollups.amount_micros IS 'Sum of order amounts.';
COMMENT ON COLUMN conversion_rollups.commission_micros IS 'Sum of commissions.';
COMMENT ON COLUMN conversion_rollups.revenue_micros IS 'Sum of revenue.';
