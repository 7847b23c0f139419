-- Who may act, for real: roles, invitations, applications, second factors, API keys, limits, the audit log, operators.

-- Networks ------------------------------------------------------------------------------------------------------

ALTER TABLE networks
    ADD COLUMN status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'closed')),
    ADD COLUMN status_reason text NOT NULL DEFAULT '',
    ADD COLUMN max_postbacks_per_second integer NOT NULL DEFAULT 200 CHECK (max_postbacks_per_second BETWEEN 1 AND 1000000),
    ADD COLUMN max_seats integer NOT NULL DEFAULT 25 CHECK (max_seats BETWEEN 1 AND 100000),
    ADD COLUMN max_links integer NOT NULL DEFAULT 100000 CHECK (max_links BETWEEN 1 AND 100000000),
    ADD COLUMN require_two_factor boolean NOT NULL DEFAULT false,
    ADD COLUMN join_open boolean NOT NULL DEFAULT false,
    ADD COLUMN join_greeting text NOT NULL DEFAULT '',
    ADD COLUMN join_questions text[] NOT NULL DEFAULT '{}',
    ADD COLUMN auto_approve text NOT NULL DEFAULT 'none' CHECK (auto_approve IN ('none', 'listed', 'all')),
    ADD COLUMN auto_approve_domains text[] NOT NULL DEFAULT '{}';
ALTER TABLE networks
    ALTER COLUMN status DROP DEFAULT, ALTER COLUMN status_reason DROP DEFAULT,
    ALTER COLUMN max_postbacks_per_second DROP DEFAULT, ALTER COLUMN max_seats DROP DEFAULT,
    ALTER COLUMN max_links DROP DEFAULT, ALTER COLUMN require_two_factor DROP DEFAULT,
    ALTER COLUMN join_open DROP DEFAULT, ALTER COLUMN join_greeting DROP DEFAULT,
    ALTER COLUMN join_questions DROP DEFAULT, ALTER COLUMN auto_approve DROP DEFAULT,
    ALTER COLUMN auto_approve_domains DROP DEFAULT;
COMMENT ON COLUMN networks.status IS 'active: all works. suspended: clicks and postbacks are refused, data is kept and can be read. closed: its owner deleted it; what is left is being erased.';
COMMENT ON COLUMN networks.status_reason IS 'Why it is not active, as its people are told; empty while it is.';
COMMENT ON COLUMN networks.max_postbacks_per_second IS 'Limit of one node; more get 429 with Retry-After.';
COMMENT ON COLUMN networks.max_seats IS 'How many people may work for the network itself (advertisers'' and affiliates'' people do not count).';
COMMENT ON COLUMN networks.max_links IS 'How many tracking links there may be.';
COMMENT ON COLUMN networks.require_two_factor IS 'Whether everyone must have a second factor to see anything.';
COMMENT ON COLUMN networks.join_open IS 'Whether affiliates may apply on the page /join/{slug}.';
COMMENT ON COLUMN networks.join_greeting IS 'What applicants read first.';
COMMENT ON COLUMN networks.join_questions IS 'What applicants are asked besides name, e-mail address and website. A question that ends with * must be answered.';
COMMENT ON COLUMN networks.auto_approve IS 'Whose application is approved at once: nobody''s, everybody''s, or of the listed e-mail domains.';
COMMENT ON COLUMN networks.auto_approve_domains IS 'The e-mail domains that are approved at once, in lower case.';

CREATE TABLE network_slugs (
    slug text NOT NULL PRIMARY KEY CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])$'),
    network_id integer NOT NULL UNIQUE REFERENCES networks (id)
);
-- An owner who is no superuser is held by the wall too, and would see no network to give a slug.
ALTER TABLE networks NO FORCE ROW LEVEL SECURITY;
INSERT INTO network_slugs (slug, network_id) SELECT 'network-' || id, id FROM networks;
ALTER TABLE networks FORCE ROW LEVEL SECURITY;
COMMENT ON TABLE network_slugs IS 'The name of a network in addresses: /join/{slug}, and /{slug}/{alias} on the shared tracking host. A reference table: slugs are unique across networks.';
COMMENT ON COLUMN network_slugs.slug IS 'Two to forty lower-case letters, digits and hyphens.';
COMMENT ON COLUMN network_slugs.network_id IS 'The network.';

-- Parties -------------------------------------------------------------------------------------------------------

CREATE TABLE affiliate_groups (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    name text NOT NULL CHECK (name <> ''),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    UNIQUE (network_id, name)
);
COMMENT ON TABLE affiliate_groups IS 'Affiliates that are treated alike, such as by commission rules.';
COMMENT ON COLUMN affiliate_groups.network_id IS 'The tenant.';
COMMENT ON COLUMN affiliate_groups.id IS 'The group.';
COMMENT ON COLUMN affiliate_groups.name IS 'As people see it.';
COMMENT ON COLUMN affiliate_groups.created_at IS 'When the group was created.';

ALTER TABLE advertisers
    ADD COLUMN status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'archived')),
    ADD COLUMN external_id text,
    ADD COLUMN notes text NOT NULL DEFAULT '',
    ADD COLUMN tags text[] NOT NULL DEFAULT '{}',
    ADD COLUMN version integer NOT NULL DEFAULT 1;
ALTER TABLE advertisers
    ALTER COLUMN status DROP DEFAULT, ALTER COLUMN notes DROP DEFAULT, ALTER COLUMN tags DROP DEFAULT,
    ALTER COLUMN version DROP DEFAULT,
    ADD UNIQUE (network_id, external_id);
COMMENT ON COLUMN advertisers.status IS 'archived: not offered for new campaigns; its running ones go on.';
COMMENT ON COLUMN advertisers.external_id IS 'What another system calls it; unique within the network.';
COMMENT ON COLUMN advertisers.notes IS 'For the network''s own people.';
COMMENT ON COLUMN advertisers.tags IS 'Words to find it by.';
COMMENT ON COLUMN advertisers.version IS 'Counts changes: two people''s edits do not overwrite each other.';

ALTER TABLE affiliates
    ADD COLUMN status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'blocked', 'archived')),
    ADD COLUMN group_id integer,
    ADD COLUMN external_id text,
    ADD COLUMN notes text NOT NULL DEFAULT '',
    ADD COLUMN tags text[] NOT NULL DEFAULT '{}',
    ADD COLUMN version integer NOT NULL DEFAULT 1;
ALTER TABLE affiliates
    ALTER COLUMN status DROP DEFAULT, ALTER COLUMN notes DROP DEFAULT, ALTER COLUMN tags DROP DEFAULT,
    ALTER COLUMN version DROP DEFAULT,
    ADD FOREIGN KEY (network_id, group_id) REFERENCES affiliate_groups (network_id, id),
    ADD UNIQUE (network_id, external_id);
CREATE INDEX affiliates_of_group ON affiliates (network_id, group_id);
COMMENT ON COLUMN affiliates.status IS 'paused: no new clicks, earlier clicks still convert. blocked: neither. archived: as paused, and out of the lists.';
COMMENT ON COLUMN affiliates.group_id IS 'The group it is treated with, if any.';
COMMENT ON COLUMN affiliates.external_id IS 'What another system calls it; unique within the network.';
COMMENT ON COLUMN affiliates.notes IS 'For the network''s own people.';
COMMENT ON COLUMN affiliates.tags IS 'Words to find it by.';
COMMENT ON COLUMN affiliates.version IS 'Counts changes: two people''s edits do not overwrite each other.';

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
COMMENT ON TABLE applications IS 'Somebody who asks to become an affiliate.';
COMMENT ON COLUMN applications.network_id IS 'The tenant.';
COMMENT ON COLUMN applications.id IS 'The application.';
COMMENT ON COLUMN applications.token_hash IS 'SHA-256 of the token in the address of the applicant''s status page.';
COMMENT ON COLUMN applications.name IS 'What the affiliate will be called.';
COMMENT ON COLUMN applications.email IS 'Lower case; who will be invited.';
COMMENT ON COLUMN applications.website IS 'Where the visitors will come from, as typed.';
COMMENT ON COLUMN applications.answers IS 'An array of {question, answer}, as the questions were when they were asked.';
COMMENT ON COLUMN applications.status IS 'pending until somebody, or a rule, decides.';
COMMENT ON COLUMN applications.reason IS 'Why it was declined, as the applicant is told; empty otherwise.';
COMMENT ON COLUMN applications.affiliate_id IS 'What became of an approved one.';
COMMENT ON COLUMN applications.created_at IS 'When it was sent.';
COMMENT ON COLUMN applications.decided_at IS 'When it was decided.';

-- People --------------------------------------------------------------------------------------------------------

ALTER TABLE people
    ALTER COLUMN password_hash DROP NOT NULL,
    ADD COLUMN is_operator boolean NOT NULL DEFAULT false,
    ADD COLUMN totp_sealed bytea,
    ADD COLUMN totp_last_step bigint;
ALTER TABLE people ALTER COLUMN is_operator DROP DEFAULT;
COMMENT ON COLUMN people.password_hash IS 'argon2id, PHC string format. NULL: signs in by links in mails only.';
COMMENT ON COLUMN people.is_operator IS 'Whether the person runs this installation and may see /ops.';
COMMENT ON COLUMN people.totp_sealed IS 'The second factor''s secret, encrypted with a key derived from the installation''s secret. NULL: no second factor.';
COMMENT ON COLUMN people.totp_last_step IS 'The last 30-second step whose code was used: a code works once.';

CREATE TABLE recovery_codes (
    person_id integer NOT NULL REFERENCES people (id),
    code_hash bytea NOT NULL CHECK (length(code_hash) = 32),
    PRIMARY KEY (person_id, code_hash)
);
COMMENT ON TABLE recovery_codes IS 'What signs a person in who has lost the second factor; each works once and is removed.';
COMMENT ON COLUMN recovery_codes.person_id IS 'The person.';
COMMENT ON COLUMN recovery_codes.code_hash IS 'SHA-256 of the code''s 80 random bits.';

CREATE TABLE mailed_links (
    token_hash bytea NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    person_id integer NOT NULL REFERENCES people (id),
    purpose text NOT NULL CHECK (purpose IN ('reset', 'sign_in')),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX mailed_links_of_person ON mailed_links (person_id);
COMMENT ON TABLE mailed_links IS 'Links that were mailed to people: to choose a new password, or to sign in without one. Each works once and is removed.';
COMMENT ON COLUMN mailed_links.token_hash IS 'SHA-256 of the token in the link.';
COMMENT ON COLUMN mailed_links.person_id IS 'Whose link it is.';
COMMENT ON COLUMN mailed_links.purpose IS 'reset: choose a new password. sign_in: sign in.';
COMMENT ON COLUMN mailed_links.created_at IS 'When it was made.';
COMMENT ON COLUMN mailed_links.expires_at IS 'When it stops working.';

ALTER TABLE memberships
    DROP CONSTRAINT memberships_role_check,
    DROP CONSTRAINT memberships_party,
    ADD COLUMN ended_at timestamptz,
    ADD CONSTRAINT memberships_role_check CHECK (role IN
        ('owner', 'admin', 'manager', 'analyst', 'advertiser', 'advertiser_developer', 'affiliate')),
    ADD CONSTRAINT memberships_party CHECK ((role IN ('advertiser', 'advertiser_developer')) = (advertiser_id IS NOT NULL)
        AND (role = 'affiliate') = (affiliate_id IS NOT NULL));
COMMENT ON COLUMN memberships.role IS 'What the person may do; the table of permissions is in tenancy/src/permissions.rs.';
COMMENT ON COLUMN memberships.advertiser_id IS 'The advertiser acted for; set with the advertiser''s roles only.';
COMMENT ON COLUMN memberships.ended_at IS 'When it was taken away; NULL while it holds. Never deleted: the audit log speaks of it.';

DROP TABLE sessions;
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
COMMENT ON TABLE sessions IS 'Who is signed in. Not a tenant''s table: the cookie says nothing of a network, so it is found by its hash alone.';
COMMENT ON COLUMN sessions.token_hash IS 'SHA-256 of the cookie''s 256 random bits; the cookie itself is not kept.';
COMMENT ON COLUMN sessions.id IS 'What the session is called where it is shown.';
COMMENT ON COLUMN sessions.person_id IS 'Who signed in.';
COMMENT ON COLUMN sessions.network_id IS 'The network acted in; NULL for an operator who acts in none.';
COMMENT ON COLUMN sessions.membership_id IS 'The membership acted under: the person''s own, or with operator_reason somebody else''s.';
COMMENT ON COLUMN sessions.operator_reason IS 'Why an operator acts under somebody else''s membership; NULL otherwise.';
COMMENT ON COLUMN sessions.awaits_second_factor IS 'Whether the password was right and the code has not come yet: such a session opens nothing.';
COMMENT ON COLUMN sessions.user_agent IS 'The browser, as it called itself when it signed in.';
COMMENT ON COLUMN sessions.remote_ip IS 'The address it signed in from.';
COMMENT ON COLUMN sessions.created_at IS 'When the person signed in.';
COMMENT ON COLUMN sessions.seen_at IS 'When it was last used, to the minute: an idle session ends.';
COMMENT ON COLUMN sessions.expires_at IS 'When it ends, whatever happens.';

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
COMMENT ON COLUMN invitations.network_id IS 'The tenant.';
COMMENT ON COLUMN invitations.id IS 'The invitation.';
COMMENT ON COLUMN invitations.token_hash IS 'SHA-256 of the token in the link.';
COMMENT ON COLUMN invitations.email IS 'Lower case; who is invited.';
COMMENT ON COLUMN invitations.role IS 'What the person will be able to do.';
COMMENT ON COLUMN invitations.advertiser_id IS 'For which advertiser; set with the advertiser''s roles only.';
COMMENT ON COLUMN invitations.affiliate_id IS 'For which affiliate; set with role affiliate only.';
COMMENT ON COLUMN invitations.created_at IS 'When it was made.';
COMMENT ON COLUMN invitations.expires_at IS 'When it stops working.';
COMMENT ON COLUMN invitations.ended_at IS 'When it was accepted or withdrawn; NULL while it is open.';

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
COMMENT ON TABLE api_keys IS 'What a program signs in with: never more than its maker may do, and of that only its scopes.';
COMMENT ON COLUMN api_keys.network_id IS 'The tenant.';
COMMENT ON COLUMN api_keys.id IS 'The key.';
COMMENT ON COLUMN api_keys.membership_id IS 'Under whose membership it acts; it ends with that.';
COMMENT ON COLUMN api_keys.name IS 'What it is for, as people see it.';
COMMENT ON COLUMN api_keys.key_hash IS 'SHA-256 of the key; the key itself is shown once and not kept.';
COMMENT ON COLUMN api_keys.key_hint IS 'The key''s last four characters, so that people can tell keys apart.';
COMMENT ON COLUMN api_keys.scopes IS 'What it may be used for.';
COMMENT ON COLUMN api_keys.created_at IS 'When it was made.';
COMMENT ON COLUMN api_keys.expires_at IS 'When it stops working by itself, if it does.';
COMMENT ON COLUMN api_keys.used_at IS 'When it was last used, to the minute.';
COMMENT ON COLUMN api_keys.ended_at IS 'When it was revoked; NULL while it works.';

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
COMMENT ON TABLE idempotency_keys IS 'The answers of API calls that carried an Idempotency-Key, kept in the transaction of the change itself: repeated, the call changes nothing and is answered the same. Kept for a day.';
COMMENT ON COLUMN idempotency_keys.network_id IS 'The tenant.';
COMMENT ON COLUMN idempotency_keys.membership_id IS 'Whose key it is: keys of different callers do not meet.';
COMMENT ON COLUMN idempotency_keys.key IS 'As the caller sent it.';
COMMENT ON COLUMN idempotency_keys.request_hash IS 'SHA-256 of method, path and body: the same key with another request is an error.';
COMMENT ON COLUMN idempotency_keys.status IS 'HTTP status of the answer.';
COMMENT ON COLUMN idempotency_keys.body IS 'Body of the answer. A secret in it is left out: it is shown once.';
COMMENT ON COLUMN idempotency_keys.created_at IS 'When the call was made.';

-- What people did -----------------------------------------------------------------------------------------------

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
COMMENT ON TABLE audit_log IS 'Every change of configuration, money, roles and keys, and every sign-in: who, when, from where, before and after. Only ever added to.';
COMMENT ON COLUMN audit_log.network_id IS 'The tenant.';
COMMENT ON COLUMN audit_log.id IS 'The entry; sorts by time.';
COMMENT ON COLUMN audit_log.at IS 'When it happened.';
COMMENT ON COLUMN audit_log.person_id IS 'Who did it; NULL where no person did.';
COMMENT ON COLUMN audit_log.author IS 'Who did it, in words, as they were called then.';
COMMENT ON COLUMN audit_log.via IS 'By what means.';
COMMENT ON COLUMN audit_log.remote_ip IS 'From where.';
COMMENT ON COLUMN audit_log.action IS 'What was done: a thing and a verb, such as campaign.update.';
COMMENT ON COLUMN audit_log.object IS 'The id of what it was done to.';
COMMENT ON COLUMN audit_log.object_name IS 'What that was called then.';
COMMENT ON COLUMN audit_log.before IS 'The fields that changed, as they were; an empty object where there was nothing.';
COMMENT ON COLUMN audit_log.after IS 'The fields that changed, as they are; an empty object where there is nothing.';

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
COMMENT ON TABLE operator_log IS 'What those who run the installation did. Only ever added to; outlives the networks it speaks of.';
COMMENT ON COLUMN operator_log.id IS 'The entry; sorts by time.';
COMMENT ON COLUMN operator_log.at IS 'When it happened.';
COMMENT ON COLUMN operator_log.person_id IS 'Who did it; NULL where no person did.';
COMMENT ON COLUMN operator_log.author IS 'Who did it, in words, as they were called then.';
COMMENT ON COLUMN operator_log.remote_ip IS 'From where.';
COMMENT ON COLUMN operator_log.action IS 'What was done: a thing and a verb, such as network.suspend.';
COMMENT ON COLUMN operator_log.about_network IS 'Id and name of the network it was done to; empty where to none.';
COMMENT ON COLUMN operator_log.detail IS 'The reason given, or what else there is to say.';

ALTER TABLE installation ADD COLUMN setup_token_hash bytea CHECK (length(setup_token_hash) = 32);
COMMENT ON COLUMN installation.setup_token_hash IS 'SHA-256 of the token in the link that makes the first operator; NULL once there is one.';

-- Walls ---------------------------------------------------------------------------------------------------------

DO $$
DECLARE
    tenants_table text;
BEGIN
    FOREACH tenants_table IN ARRAY ARRAY[
        'affiliate_groups', 'api_keys', 'applications', 'audit_log', 'idempotency_keys', 'invitations'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenants_table);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenants_table);
        EXECUTE format(
            'CREATE POLICY own_network ON %I USING (network_id = current_network()) WITH CHECK (network_id = current_network())',
            tenants_table);
    END LOOP;
END
$$;

CREATE FUNCTION operating() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce(current_setting('clickledger.operating', true), '') = 'yes';
COMMENT ON FUNCTION operating() IS 'Whether this transaction is an operator''s, who may see which networks there are (and nothing in them).';
CREATE POLICY operators_list ON networks FOR SELECT USING (operating());

-- Everything a network owns, row by row, without what was hashed or encrypted: for its owner, and before it is erased.
CREATE FUNCTION export_network() RETURNS TABLE (table_name text, row_json text)
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
            'SELECT %L::text, (to_jsonb(t) - ARRAY[''token_hash'', ''key_hash'', ''request_hash''])::text FROM %I t WHERE network_id = current_network()',
            table_name, table_name);
    END LOOP;
END
$$;
COMMENT ON FUNCTION export_network() IS 'Every row of the current network as JSON, table by table, without hashes.';

-- The one function that runs with its owner's rights: the server itself can delete hardly anything.
CREATE FUNCTION erase_network() RETURNS bigint
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
        'audit_log', 'idempotency_keys', 'api_keys', 'invitations', 'applications', 'memberships', 'ledger_entries',
        'conversion_rollups', 'click_rollups', 'conversions', 'postbacks', 'clicks', 'tracking_links', 'goals',
        'campaigns', 'integrations', 'affiliates', 'affiliate_groups', 'advertisers'
    ] LOOP
        EXECUTE format('DELETE FROM %I WHERE network_id = $1', tenants_table) USING doomed;
        GET DIAGNOSTICS removed = ROW_COUNT;
        total := total + removed;
    END LOOP;
    DELETE FROM networks WHERE id = doomed;
    RETURN total;
END
$$;
COMMENT ON FUNCTION erase_network() IS 'Removes the current network, if it is closed, and everything it owns; returns how many rows that were besides its own. People stay: they may work elsewhere.';
REVOKE ALL ON FUNCTION erase_network() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_network() TO clickledger_web;

-- The role that will copy events in: it may add them to any network and do nothing else. Only a superuser can make a
-- role that passes row-level security; where the owner is not one, an operator makes it (README).
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'clickledger_ingest') THEN
        IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
            CREATE ROLE clickledger_ingest NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE BYPASSRLS;
        ELSE
            RAISE NOTICE 'role clickledger_ingest was not made: it needs a superuser';
        END IF;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'clickledger_ingest') THEN
        GRANT INSERT ON clicks, postbacks TO clickledger_ingest;
    END IF;
END
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON network_slugs, sessions, affiliate_groups, idempotency_keys TO clickledger_web;
GRANT SELECT, INSERT, UPDATE ON invitations, applications, api_keys TO clickledger_web;
GRANT SELECT, INSERT, DELETE ON recovery_codes, mailed_links TO clickledger_web;
GRANT SELECT, INSERT ON audit_log, operator_log TO clickledger_web;
GRANT UPDATE (setup_token_hash) ON installation TO clickledger_web;
