-- People who have no password, and roles that did not exist before, cannot be kept: they are refused by the old rules,
-- and the statement that restores the rule says so. Everyone is signed out. The role clickledger_ingest stays: it
-- belongs to the cluster.
REVOKE ALL ON clicks, postbacks FROM clickledger_ingest;
REVOKE UPDATE (setup_token_hash) ON installation FROM clickledger_web;
ALTER TABLE installation DROP COLUMN setup_token_hash;
DROP FUNCTION erase_network();
DROP FUNCTION export_network();
DROP POLICY operators_list ON networks;
DROP FUNCTION operating();
DROP TABLE operator_log, audit_log, idempotency_keys, api_keys, invitations, mailed_links, recovery_codes,
    applications, network_slugs, sessions;

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
GRANT SELECT, INSERT, DELETE ON sessions TO clickledger_web;

ALTER TABLE memberships
    DROP CONSTRAINT memberships_role_check,
    DROP CONSTRAINT memberships_party,
    DROP COLUMN ended_at,
    ADD CONSTRAINT memberships_role_check CHECK (role IN ('owner', 'advertiser', 'affiliate')),
    ADD CONSTRAINT memberships_party CHECK ((role = 'advertiser') = (advertiser_id IS NOT NULL)
        AND (role = 'affiliate') = (affiliate_id IS NOT NULL));
COMMENT ON COLUMN memberships.role IS 'owner: everything in the network. advertiser, affiliate: what belongs to that party.';
COMMENT ON COLUMN memberships.advertiser_id IS 'The advertiser acted for; set with role advertiser only.';

ALTER TABLE people
    DROP COLUMN is_operator, DROP COLUMN totp_sealed, DROP COLUMN totp_last_step,
    ALTER COLUMN password_hash SET NOT NULL;
COMMENT ON COLUMN people.password_hash IS 'argon2id, PHC string format.';

ALTER TABLE affiliates
    DROP COLUMN status, DROP COLUMN group_id, DROP COLUMN external_id, DROP COLUMN notes, DROP COLUMN tags,
    DROP COLUMN version;
DROP TABLE affiliate_groups;
ALTER TABLE advertisers
    DROP COLUMN status, DROP COLUMN external_id, DROP COLUMN notes, DROP COLUMN tags, DROP COLUMN version;
ALTER TABLE networks
    DROP COLUMN status, DROP COLUMN status_reason, DROP COLUMN max_postbacks_per_second, DROP COLUMN max_seats,
    DROP COLUMN max_links, DROP COLUMN require_two_factor, DROP COLUMN join_open, DROP COLUMN join_greeting,
    DROP COLUMN join_questions, DROP COLUMN auto_approve, DROP COLUMN auto_approve_domains;
