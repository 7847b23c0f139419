-- Tenancy: networks, their parties, the people who act for them, credentials, limits and logs.

-- Networks ------------------------------------------------------------------------------------------------------

CREATE TABLE networks (
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')) PRIMARY KEY,
    name text NOT NULL CHECK (name <> ''),
    status text NOT NULL CHECK (status IN ('active', 'suspended', 'closed')),
    status_reason text NOT NULL,
    time_zone text NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    max_postbacks_per_second integer NOT NULL CHECK (max_postbacks_per_second BETWEEN 1 AND 1000000),
    max_seats integer NOT NULL CHECK (max_seats BETWEEN 1 AND 100000),
    max_links integer NOT NULL CHECK (max_links BETWEEN 1 AND 100000000),
    require_two_factor boolean NOT NULL,
    require_tests boolean NOT NULL,
    second_user_above_micros bigint CHECK (second_user_above_micros >= 0),
    join_open boolean NOT NULL,
    join_greeting text NOT NULL,
    join_questions text[] NOT NULL,
    auto_approve text NOT NULL CHECK (auto_approve IN ('none', 'listed', 'all')),
    auto_approve_domains text[] NOT NULL,
    click_key_number smallint NOT NULL DEFAULT 1 CHECK (click_key_number BETWEEN 1 AND 127),
    click_key_since timestamptz NOT NULL DEFAULT '1970-01-01Z',
    blocked_addresses text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE networks IS 'A network is the tenant: it owns every row that carries its id.';
COMMENT ON COLUMN networks.id IS 'Id of the network; also the second field of its click IDs.';
COMMENT ON COLUMN networks.name IS 'Display name.';
COMMENT ON COLUMN networks.status IS 'active: everything works. suspended: clicks and postbacks are refused, data stays readable. closed: deleted by its owner, waiting to be erased.';
COMMENT ON COLUMN networks.status_reason IS 'Reason shown to its members if the network is not active; empty otherwise.';
COMMENT ON COLUMN networks.time_zone IS 'IANA name. Days of reports and hours of rollups follow this zone.';
COMMENT ON COLUMN networks.currency IS 'ISO 4217. Default of new campaigns; sums are never converted.';
COMMENT ON COLUMN networks.max_postbacks_per_second IS 'Rate limit per node; requests above it get 429 with Retry-After.';
COMMENT ON COLUMN networks.max_seats IS 'Limit on members of the network itself; users of advertisers and affiliates do not count.';
COMMENT ON COLUMN networks.max_links IS 'Limit on tracking links.';
COMMENT ON COLUMN networks.require_two_factor IS 'True if every member must use two-factor authentication.';
COMMENT ON COLUMN networks.require_tests IS 'True if a campaign can go live only after test orders of every goal have arrived.';
COMMENT ON COLUMN networks.second_user_above_micros IS 'Commission or revenue, in micro-units of the currency of a conversion, above which a correction needs a second user; NULL for never.';
COMMENT ON COLUMN networks.join_open IS 'True if affiliates may apply on the page /join/{slug}.';
COMMENT ON COLUMN networks.join_greeting IS 'Introduction of the application form.';
COMMENT ON COLUMN networks.join_questions IS 'Questions of the application form besides name, e-mail address and website. A trailing * marks a required answer.';
COMMENT ON COLUMN networks.auto_approve IS 'Applications approved at once: none, those of auto_approve_domains, or all.';
COMMENT ON COLUMN networks.auto_approve_domains IS 'E-mail domains whose applications are approved at once, in lower case.';
COMMENT ON COLUMN networks.click_key_number IS 'Number of the key that signs new click IDs.';
COMMENT ON COLUMN networks.click_key_since IS 'Start of that key''s validity; click IDs signed by an earlier key are accepted only if they are older.';
COMMENT ON COLUMN networks.blocked_addresses IS 'IP addresses and CIDR ranges whose clicks are flagged as blocked.';
COMMENT ON COLUMN networks.created_at IS 'Time of creation.';

CREATE TABLE network_slugs (
    slug text NOT NULL PRIMARY KEY CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])$'),
    network_id integer NOT NULL UNIQUE REFERENCES networks (id)
);
COMMENT ON TABLE network_slugs IS 'Name of a network in URLs: /join/{slug}, and /{slug}/{alias} on the shared tracking host. A reference table: slugs are unique across networks.';
COMMENT ON COLUMN network_slugs.slug IS 'Two to forty lower-case letters, digits and hyphens.';
COMMENT ON COLUMN network_slugs.network_id IS 'Network with that slug.';

CREATE TABLE tracking_hosts (
    host text NOT NULL PRIMARY KEY CHECK (host = lower(host)),
    network_id integer NOT NULL REFERENCES networks (id)
);
COMMENT ON TABLE tracking_hosts IS 'Network of a click or postback by its Host header. A reference table: host names are unique across networks.';
COMMENT ON COLUMN tracking_hosts.host IS 'Lower-case host name, with the port unless it is the default port of the scheme.';
COMMENT ON COLUMN tracking_hosts.network_id IS 'Network that owns the host.';

-- Parties -------------------------------------------------------------------------------------------------------

CREATE TABLE advertisers (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    version integer NOT NULL,
    name text NOT NULL CHECK (name <> ''),
    status text NOT NULL CHECK (status IN ('active', 'paused', 'archived')),
    paused_at timestamptz,
    external_id text,
    notes text NOT NULL,
    tags text[] NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    UNIQUE (network_id, external_id),
    CONSTRAINT advertisers_paused CHECK ((status = 'paused') = (paused_at IS NOT NULL))
);
COMMENT ON TABLE advertisers IS 'A brand whose server sends postbacks.';
COMMENT ON COLUMN advertisers.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN advertisers.id IS 'Id of the advertiser.';
COMMENT ON COLUMN advertisers.version IS 'Number of the edit, so that concurrent edits are detected.';
COMMENT ON COLUMN advertisers.name IS 'Display name.';
COMMENT ON COLUMN advertisers.status IS 'paused: its campaigns get no clicks and no new conversions; existing conversions can change. archived: not offered for new campaigns; live campaigns continue.';
COMMENT ON COLUMN advertisers.paused_at IS 'Start of the pause; NULL unless paused.';
COMMENT ON COLUMN advertisers.external_id IS 'Id of the advertiser in another system, unique within the network; NULL if none.';
COMMENT ON COLUMN advertisers.notes IS 'Internal notes, visible to members of the network only.';
COMMENT ON COLUMN advertisers.tags IS 'Tags for search.';
COMMENT ON COLUMN advertisers.created_at IS 'Time of creation.';

CREATE TABLE affiliate_groups (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    name text NOT NULL CHECK (name <> ''),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    UNIQUE (network_id, name)
);
COMMENT ON TABLE affiliate_groups IS 'A group of affiliates that commission rules can address together.';
COMMENT ON COLUMN affiliate_groups.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN affiliate_groups.id IS 'Id of the group.';
COMMENT ON COLUMN affiliate_groups.name IS 'Display name.';
COMMENT ON COLUMN affiliate_groups.created_at IS 'Time of creation.';

CREATE TABLE affiliates (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    version integer NOT NULL,
    name text NOT NULL CHECK (name <> ''),
    status text NOT NULL CHECK (status IN ('active', 'paused', 'blocked', 'archived')),
    group_id integer,
    external_id text,
    notes text NOT NULL,
    tags text[] NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, group_id) REFERENCES affiliate_groups (network_id, id),
    UNIQUE (network_id, external_id)
);
CREATE INDEX affiliates_of_group ON affiliates (network_id, group_id);
COMMENT ON TABLE affiliates IS 'A partner who sends visitors and earns commission.';
COMMENT ON COLUMN affiliates.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN affiliates.id IS 'Id of the affiliate.';
COMMENT ON COLUMN affiliates.version IS 'Number of the edit, so that concurrent edits are detected.';
COMMENT ON COLUMN affiliates.name IS 'Display name.';
COMMENT ON COLUMN affiliates.status IS 'paused: no new clicks, earlier clicks still convert. blocked: no clicks and no conversions. archived: as paused, and hidden from lists.';
COMMENT ON COLUMN affiliates.group_id IS 'Group of the affiliate; NULL if none.';
COMMENT ON COLUMN affiliates.external_id IS 'Id of the affiliate in another system, unique within the network; NULL if none.';
COMMENT ON COLUMN affiliates.notes IS 'Internal notes, visible to members of the network only.';
COMMENT ON COLUMN affiliates.tags IS 'Tags for search.';
COMMENT ON COLUMN affiliates.created_at IS 'Time of creation.';

CREATE TABLE applications (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    token_hash bytea NOT NULL CHECK (length(token_hash) = 32),
    name text NOT NULL CHECK (name <> ''),
    email text NOT NULL CHECK (email = lower(email)),
    website text NOT NULL,
    answers jsonb NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'approved', 'declined')),
    reason text NOT NULL,
    affiliate_id integer,
    created_at timestamptz NOT NULL,
    decided_at timestamptz,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, affiliate_id) REFERENCES affiliates (network_id, id),
    UNIQUE (network_id, token_hash),
    CONSTRAINT applications_decided CHECK ((status = 'pending') = (decided_at IS NULL)
        AND (status = 'approved') = (affiliate_id IS NOT NULL))
);
CREATE INDEX applications_by_status ON applications (network_id, status, created_at);
COMMENT ON TABLE applications IS 'An application to become an affiliate.';
COMMENT ON COLUMN applications.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN applications.id IS 'Id of the application.';
COMMENT ON COLUMN applications.token_hash IS 'SHA-256 of the token in the URL of the applicant''s status page.';
COMMENT ON COLUMN applications.name IS 'Name of the future affiliate.';
COMMENT ON COLUMN applications.email IS 'Address that gets the invitation, in lower case.';
COMMENT ON COLUMN applications.website IS 'Source of the affiliate''s visitors, as entered.';
COMMENT ON COLUMN applications.answers IS 'Array of {question, answer}, with the questions as the form showed them.';
COMMENT ON COLUMN applications.status IS 'pending until a member or the auto-approval decides.';
COMMENT ON COLUMN applications.reason IS 'Reason of a decline, shown to the applicant; empty otherwise.';
COMMENT ON COLUMN applications.affiliate_id IS 'Affiliate created by the approval; NULL unless approved.';
COMMENT ON COLUMN applications.created_at IS 'Time of submission.';
COMMENT ON COLUMN applications.decided_at IS 'Time of the decision; NULL while pending.';

-- People --------------------------------------------------------------------------------------------------------

CREATE TABLE people (
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')) PRIMARY KEY,
    email text NOT NULL UNIQUE CHECK (email = lower(email)),
    name text NOT NULL,
    password_hash text,
    totp_sealed bytea,
    totp_last_step bigint,
    is_operator boolean NOT NULL,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE people IS 'Account of a human, one per e-mail address, across networks.';
COMMENT ON COLUMN people.id IS 'Id of the person.';
COMMENT ON COLUMN people.email IS 'Lower-case address to sign in with.';
COMMENT ON COLUMN people.name IS 'Display name.';
COMMENT ON COLUMN people.password_hash IS 'argon2id in PHC string format; NULL if the person signs in by mailed links only.';
COMMENT ON COLUMN people.totp_sealed IS 'TOTP secret, encrypted with a key derived from the installation secret; NULL without two-factor authentication.';
COMMENT ON COLUMN people.totp_last_step IS 'Last 30-second step whose code was used, so that each code works once; NULL before the first use.';
COMMENT ON COLUMN people.is_operator IS 'True if the person runs this installation and may open /ops.';
COMMENT ON COLUMN people.created_at IS 'Time of creation.';

CREATE TABLE recovery_codes (
    person_id integer NOT NULL REFERENCES people (id),
    code_hash bytea NOT NULL CHECK (length(code_hash) = 32),
    PRIMARY KEY (person_id, code_hash)
);
COMMENT ON TABLE recovery_codes IS 'Single-use codes for two-factor authentication after the loss of the device; removed once used.';
COMMENT ON COLUMN recovery_codes.person_id IS 'Person the code signs in.';
COMMENT ON COLUMN recovery_codes.code_hash IS 'SHA-256 of the 80 random bits of the code.';

CREATE TABLE mailed_links (
    token_hash bytea NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    person_id integer NOT NULL REFERENCES people (id),
    purpose text NOT NULL CHECK (purpose IN ('reset', 'sign_in')),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX mailed_links_of_person ON mailed_links (person_id);
COMMENT ON TABLE mailed_links IS 'One-time links sent by mail; removed once used.';
COMMENT ON COLUMN mailed_links.token_hash IS 'SHA-256 of the token in the link.';
COMMENT ON COLUMN mailed_links.person_id IS 'Person the link was sent to.';
COMMENT ON COLUMN mailed_links.purpose IS 'reset: choose a new password. sign_in: sign in without one.';
COMMENT ON COLUMN mailed_links.created_at IS 'Time of creation.';
COMMENT ON COLUMN mailed_links.expires_at IS 'End of validity.';

CREATE TABLE memberships (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    person_id integer NOT NULL REFERENCES people (id),
    role text NOT NULL CHECK (role IN
        ('owner', 'admin', 'manager', 'analyst', 'advertiser', 'advertiser_developer', 'affiliate')),
    advertiser_id integer,
    affiliate_id integer,
    created_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, advertiser_id) REFERENCES advertisers (network_id, id),
    FOREIGN KEY (network_id, affiliate_id) REFERENCES affiliates (network_id, id),
    UNIQUE NULLS NOT DISTINCT (network_id, person_id, role, advertiser_id, affiliate_id),
    CONSTRAINT memberships_party CHECK ((role IN ('advertiser', 'advertiser_developer')) = (advertiser_id IS NOT NULL)
        AND (role = 'affiliate') = (affiliate_id IS NOT NULL))
);
COMMENT ON TABLE memberships IS 'A role of a person in a network.';
COMMENT ON COLUMN memberships.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN memberships.id IS 'Id of the membership.';
COMMENT ON COLUMN memberships.person_id IS 'Person with the role.';
COMMENT ON COLUMN memberships.role IS 'Role, whose permissions are listed in tenancy/src/permissions.rs.';
COMMENT ON COLUMN memberships.advertiser_id IS 'Advertiser the person acts for; set with the roles of advertisers only.';
COMMENT ON COLUMN memberships.affiliate_id IS 'Affiliate the person acts for; set with role affiliate only.';
COMMENT ON COLUMN memberships.created_at IS 'Time of creation.';
COMMENT ON COLUMN memberships.ended_at IS 'Time of removal; NULL while active. Rows are never deleted, because the audit log refers to them.';

CREATE TABLE sessions (
    token_hash bytea NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    id integer NOT NULL UNIQUE DEFAULT scatter(nextval('configuration_ids')),
    person_id integer NOT NULL REFERENCES people (id),
    network_id integer,
    membership_id integer,
    operator_reason text,
    awaits_second_factor boolean NOT NULL,
    user_agent text NOT NULL,
    remote_ip inet,
    created_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    FOREIGN KEY (network_id, membership_id) REFERENCES memberships (network_id, id),
    CONSTRAINT sessions_membership CHECK ((network_id IS NULL) = (membership_id IS NULL)
        AND (operator_reason IS NULL OR membership_id IS NOT NULL))
);
CREATE INDEX sessions_of_person ON sessions (person_id);
CREATE INDEX sessions_of_membership ON sessions (network_id, membership_id);
COMMENT ON TABLE sessions IS 'Sessions of signed-in users. Not a tenant table: the cookie names no network, so a session is found by its hash alone.';
COMMENT ON COLUMN sessions.token_hash IS 'SHA-256 of the 256 random bits of the cookie; the cookie itself is not stored.';
COMMENT ON COLUMN sessions.id IS 'Id of the session where sessions are listed.';
COMMENT ON COLUMN sessions.person_id IS 'Person who signed in.';
COMMENT ON COLUMN sessions.network_id IS 'Current network; NULL for an operator outside of any network.';
COMMENT ON COLUMN sessions.membership_id IS 'Membership in use: the person''s own, or the impersonated one if operator_reason is set.';
COMMENT ON COLUMN sessions.operator_reason IS 'Reason an operator gave for impersonating a member; NULL otherwise.';
COMMENT ON COLUMN sessions.awaits_second_factor IS 'True between password and code of two-factor authentication; such a session gives no access.';
COMMENT ON COLUMN sessions.user_agent IS 'User-Agent header at sign-in.';
COMMENT ON COLUMN sessions.remote_ip IS 'IP address at sign-in.';
COMMENT ON COLUMN sessions.created_at IS 'Time of sign-in.';
COMMENT ON COLUMN sessions.seen_at IS 'Time of the last use, to the minute: an idle session ends.';
COMMENT ON COLUMN sessions.expires_at IS 'Latest end of the session.';

CREATE TABLE invitations (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    token_hash bytea NOT NULL CHECK (length(token_hash) = 32),
    email text NOT NULL CHECK (email = lower(email)),
    role text NOT NULL CHECK (role IN
        ('owner', 'admin', 'manager', 'analyst', 'advertiser', 'advertiser_developer', 'affiliate')),
    advertiser_id integer,
    affiliate_id integer,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, advertiser_id) REFERENCES advertisers (network_id, id),
    FOREIGN KEY (network_id, affiliate_id) REFERENCES affiliates (network_id, id),
    UNIQUE (network_id, token_hash),
    CONSTRAINT invitations_party CHECK ((role IN ('advertiser', 'advertiser_developer')) = (advertiser_id IS NOT NULL)
        AND (role = 'affiliate') = (affiliate_id IS NOT NULL))
);
COMMENT ON TABLE invitations IS 'A role offered to an e-mail address; accepted once, within seven days.';
COMMENT ON COLUMN invitations.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN invitations.id IS 'Id of the invitation.';
COMMENT ON COLUMN invitations.token_hash IS 'SHA-256 of the token in the link.';
COMMENT ON COLUMN invitations.email IS 'Invited address, in lower case.';
COMMENT ON COLUMN invitations.role IS 'Role of the future membership.';
COMMENT ON COLUMN invitations.advertiser_id IS 'Advertiser to act for; set with the roles of advertisers only.';
COMMENT ON COLUMN invitations.affiliate_id IS 'Affiliate to act for; set with role affiliate only.';
COMMENT ON COLUMN invitations.created_at IS 'Time of creation.';
COMMENT ON COLUMN invitations.expires_at IS 'End of validity.';
COMMENT ON COLUMN invitations.ended_at IS 'Time of acceptance or withdrawal; NULL while open.';

-- The API -------------------------------------------------------------------------------------------------------

CREATE TABLE api_keys (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    membership_id integer NOT NULL,
    name text NOT NULL CHECK (name <> ''),
    key_hash bytea NOT NULL CHECK (length(key_hash) = 32),
    key_hint text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    used_at timestamptz,
    ended_at timestamptz,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, membership_id) REFERENCES memberships (network_id, id),
    UNIQUE (network_id, key_hash)
);
CREATE INDEX api_keys_of_membership ON api_keys (network_id, membership_id);
COMMENT ON TABLE api_keys IS 'Credential of a program, limited to the permissions of its membership and to its scopes.';
COMMENT ON COLUMN api_keys.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN api_keys.id IS 'Id of the key.';
COMMENT ON COLUMN api_keys.membership_id IS 'Membership the key acts under; the key ends with it.';
COMMENT ON COLUMN api_keys.name IS 'Display name.';
COMMENT ON COLUMN api_keys.key_hash IS 'SHA-256 of the key; the key itself is shown once and not stored.';
COMMENT ON COLUMN api_keys.key_hint IS 'Last four characters of the key, so that users can tell keys apart.';
COMMENT ON COLUMN api_keys.scopes IS 'Scopes of the key.';
COMMENT ON COLUMN api_keys.created_at IS 'Time of creation.';
COMMENT ON COLUMN api_keys.expires_at IS 'End of validity; NULL if it never expires.';
COMMENT ON COLUMN api_keys.used_at IS 'Time of the last use, to the minute; NULL if never used.';
COMMENT ON COLUMN api_keys.ended_at IS 'Time of revocation; NULL while valid.';

CREATE TABLE idempotency_keys (
    network_id integer NOT NULL REFERENCES networks (id),
    membership_id integer NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL CHECK (length(request_hash) = 32),
    status integer NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, membership_id, key),
    FOREIGN KEY (network_id, membership_id) REFERENCES memberships (network_id, id)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (network_id, created_at);
COMMENT ON TABLE idempotency_keys IS 'Responses to API requests with an Idempotency-Key, stored in the transaction of the change: a repeated request changes nothing and gets the same response. Retained for a day.';
COMMENT ON COLUMN idempotency_keys.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN idempotency_keys.membership_id IS 'Membership of the caller; keys of different callers never collide.';
COMMENT ON COLUMN idempotency_keys.key IS 'Idempotency-Key header of the request.';
COMMENT ON COLUMN idempotency_keys.request_hash IS 'SHA-256 of method, path and body; the same key with another request is an error.';
COMMENT ON COLUMN idempotency_keys.status IS 'HTTP status of the response.';
COMMENT ON COLUMN idempotency_keys.body IS 'Body of the response without secrets, which are shown once.';
COMMENT ON COLUMN idempotency_keys.created_at IS 'Time of the request.';

-- Logs ----------------------------------------------------------------------------------------------------------

CREATE TABLE audit_log (
    network_id integer NOT NULL REFERENCES networks (id),
    id uuid NOT NULL,
    at timestamptz NOT NULL,
    person_id integer REFERENCES people (id),
    author text NOT NULL,
    via text NOT NULL CHECK (via IN ('page', 'api', 'command_line', 'system')),
    remote_ip inet,
    action text NOT NULL,
    object text NOT NULL,
    object_name text NOT NULL,
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    PRIMARY KEY (network_id, id)
);
CREATE INDEX audit_log_by_action ON audit_log (network_id, action, id);
CREATE INDEX audit_log_of_object ON audit_log (network_id, object, id);
CREATE INDEX audit_log_of_person ON audit_log (network_id, person_id, id);
COMMENT ON TABLE audit_log IS 'Append-only log of every sign-in and every change of configuration, money, roles and keys: author, time, origin, values before and after.';
COMMENT ON COLUMN audit_log.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN audit_log.id IS 'Id of the entry; sorts by time.';
COMMENT ON COLUMN audit_log.at IS 'Time of the action.';
COMMENT ON COLUMN audit_log.person_id IS 'Person who acted; NULL if a program or the system did.';
COMMENT ON COLUMN audit_log.author IS 'Name of the author at that time.';
COMMENT ON COLUMN audit_log.via IS 'Interface in use.';
COMMENT ON COLUMN audit_log.remote_ip IS 'IP address of the request; NULL without a request.';
COMMENT ON COLUMN audit_log.action IS 'Object type and verb, such as campaign.update.';
COMMENT ON COLUMN audit_log.object IS 'Id of the object.';
COMMENT ON COLUMN audit_log.object_name IS 'Name of the object at that time.';
COMMENT ON COLUMN audit_log.before IS 'Changed fields with their values before; an empty object for a new one.';
COMMENT ON COLUMN audit_log.after IS 'Changed fields with their values after; an empty object for a removed one.';

CREATE TABLE operator_log (
    id uuid NOT NULL PRIMARY KEY,
    at timestamptz NOT NULL,
    person_id integer REFERENCES people (id),
    author text NOT NULL,
    remote_ip inet,
    action text NOT NULL,
    about_network text NOT NULL,
    detail text NOT NULL
);
COMMENT ON TABLE operator_log IS 'Append-only log of operators'' actions. Outlives the networks it refers to, so it names them in a text instead of a network_id.';
COMMENT ON COLUMN operator_log.id IS 'Id of the entry; sorts by time.';
COMMENT ON COLUMN operator_log.at IS 'Time of the action.';
COMMENT ON COLUMN operator_log.person_id IS 'Person who acted; NULL if a command or the system did.';
COMMENT ON COLUMN operator_log.author IS 'Name of the author at that time.';
COMMENT ON COLUMN operator_log.remote_ip IS 'IP address of the request; NULL without a request.';
COMMENT ON COLUMN operator_log.action IS 'Object type and verb, such as network.suspend.';
COMMENT ON COLUMN operator_log.about_network IS 'Id and name of the network concerned; empty if none.';
COMMENT ON COLUMN operator_log.detail IS 'Reason given, or other details.';

-- Row-level security --------------------------------------------------------------------------------------------

CALL enclose('advertisers', 'affiliate_groups', 'affiliates', 'api_keys', 'applications', 'audit_log',
             'idempotency_keys', 'invitations', 'memberships');
ALTER TABLE networks ENABLE ROW LEVEL SECURITY;
ALTER TABLE networks FORCE ROW LEVEL SECURITY;
CREATE POLICY own_network ON networks USING (id = current_network()) WITH CHECK (id = current_network());
CREATE POLICY operators_list ON networks FOR SELECT USING (operating());
-- A person who signs in sees the own memberships before a network is chosen.
CREATE POLICY own_memberships ON memberships FOR SELECT USING (person_id = current_person());

GRANT SELECT, INSERT ON audit_log, operator_log TO clickledger_web;
GRANT SELECT, INSERT, UPDATE ON networks, people, advertisers, affiliates, applications, memberships, invitations,
    api_keys TO clickledger_web;
GRANT SELECT, INSERT, DELETE ON tracking_hosts, recovery_codes, mailed_links TO clickledger_web;
GRANT SELECT, INSERT, UPDATE, DELETE ON network_slugs, affiliate_groups, sessions, idempotency_keys TO clickledger_web;

-- Export and erasure --------------------------------------------------------------------------------------------
-- Both go by the catalogue: a table with a column network_id is a network's, whatever migration creates it. Facts that
-- must outlive a network stand in a table without that column, which names the network in words (operator_log).

CREATE FUNCTION network_tables() RETURNS TABLE (name regclass, is_exported boolean)
    LANGUAGE sql STABLE
AS $$
    -- A partition is read and emptied through its parent. Tables without row-level security (sessions, host names,
    -- slugs) are no data of the network and not part of its export.
    SELECT t.oid::regclass, t.relrowsecurity FROM pg_class t
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = 'network_id' AND NOT a.attisdropped
    WHERE t.relnamespace = 'public'::regnamespace AND t.relkind IN ('r', 'p') AND NOT t.relispartition
    ORDER BY t.relname
$$;
COMMENT ON FUNCTION network_tables() IS 'Every table with rows of networks, and whether its rows are part of a network''s export.';

CREATE FUNCTION export_network() RETURNS TABLE (table_name text, row_json text)
    LANGUAGE plpgsql STABLE
AS $$
DECLARE
    secrets CONSTANT text[] := ARRAY['token_hash', 'previous_token_hash', 'signing_secret', 'key_hash', 'request_hash'];
BEGIN
    RETURN QUERY SELECT 'networks'::text, to_jsonb(n)::text FROM networks n WHERE n.id = current_network();
    FOR table_name IN SELECT t.name::text FROM network_tables() t WHERE t.is_exported LOOP
        RETURN QUERY EXECUTE format(
            'SELECT %L::text, (to_jsonb(t) - $1)::text FROM %s t WHERE network_id = current_network()',
            table_name, table_name) USING secrets;
    END LOOP;
END
$$;
COMMENT ON FUNCTION export_network() IS 'Every row of the current network as JSON, table by table, without hashes and secrets.';

-- Runs with the rights of the owner, because the server itself may delete hardly anything.
CREATE FUNCTION erase_network() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    erased CONSTANT integer := current_network();
    remaining regclass[] := ARRAY(SELECT name FROM network_tables());
    unreferenced regclass[];
    emptied regclass;
    removed bigint;
    total bigint := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM networks WHERE id = erased AND status = 'closed') THEN
        RAISE EXCEPTION 'only a closed network can be erased';
    END IF;
    WHILE remaining <> '{}' LOOP
        -- Foreign keys decide the order: a table is emptied once no other remaining table refers to it. A table may
        -- refer to itself, because one statement removes all rows of the network.
        unreferenced := ARRAY(SELECT t FROM unnest(remaining) t WHERE NOT EXISTS (
            SELECT FROM pg_constraint k WHERE k.contype = 'f' AND k.confrelid = t AND k.conrelid <> t
               AND k.conrelid = ANY (remaining)));
        IF unreferenced = '{}' THEN
            RAISE EXCEPTION 'no order of erasure: the foreign keys of % form a circle', remaining;
        END IF;
        FOREACH emptied IN ARRAY unreferenced LOOP
            EXECUTE format('DELETE FROM %s WHERE network_id = $1', emptied) USING erased;
            GET DIAGNOSTICS removed = ROW_COUNT;
            IF (SELECT is_exported FROM network_tables() WHERE name = emptied) THEN
                total := total + removed;
            END IF;
        END LOOP;
        remaining := ARRAY(SELECT t FROM unnest(remaining) t WHERE t <> ALL (unreferenced));
    END LOOP;
    DELETE FROM networks WHERE id = erased;
    RETURN total;
END
$$;
COMMENT ON FUNCTION erase_network() IS 'Removes the current network, which must be closed, and every row with its network_id; returns how many exported rows that were besides its own. People remain: they may be members of other networks.';
REVOKE ALL ON FUNCTION erase_network() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_network() TO clickledger_web;
