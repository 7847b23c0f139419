-- Proof of tracking hosts by DNS. A network that enters a host claims it and gets a token; the row of tracking_hosts stays
-- the one network of the host, whose primary key keeps two networks from holding it at a time.
ALTER TABLE tracking_hosts
    ADD COLUMN proven_at timestamptz,
    ADD COLUMN proof text CHECK (proof IN ('txt', 'cname')),
    ADD COLUMN contested_at timestamptz,
    ADD CONSTRAINT tracking_hosts_proven CHECK ((proven_at IS NULL) = (proof IS NULL));
COMMENT ON COLUMN tracking_hosts.proven_at IS 'Time at which DNS proved that the network controls the host; NULL while it only claims it.';
COMMENT ON COLUMN tracking_hosts.proof IS 'Record that proved it. txt: it has the token of the network, and is final. cname: it points to this installation, and gives way to the txt of another network. NULL without proof.';
COMMENT ON COLUMN tracking_hosts.contested_at IS 'Time at which another network claimed the host too; from then on only txt proves it. NULL if none has.';
GRANT UPDATE (network_id, proven_at, proof, contested_at) ON tracking_hosts TO clickledger_web;

CREATE TABLE host_claims (
    network_id integer NOT NULL REFERENCES networks (id),
    host text NOT NULL CHECK (host = lower(host)),
    token text NOT NULL CHECK (length(token) BETWEEN 16 AND 64),
    claimed_at timestamptz NOT NULL,
    check_after timestamptz NOT NULL,
    checked_at timestamptz,
    answers jsonb,
    lost_at timestamptz,
    notified_at timestamptz,
    PRIMARY KEY (network_id, host),
    CONSTRAINT host_claims_checked CHECK ((checked_at IS NULL) = (answers IS NULL)),
    CONSTRAINT host_claims_notified CHECK (notified_at IS NULL OR lost_at IS NOT NULL)
);
COMMENT ON TABLE host_claims IS 'Tracking hosts that networks have entered, each with the token that proves it and the last check of its DNS records.';
COMMENT ON COLUMN host_claims.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN host_claims.host IS 'Lower-case host name, as in tracking_hosts.';
COMMENT ON COLUMN host_claims.token IS 'Token of the TXT record; the same until the network removes the host.';
COMMENT ON COLUMN host_claims.claimed_at IS 'Time at which the network entered the host.';
COMMENT ON COLUMN host_claims.check_after IS 'Earliest next check in the background; of a lost claim, earliest next attempt to notify.';
COMMENT ON COLUMN host_claims.checked_at IS 'Time of the last check; NULL before the first.';
COMMENT ON COLUMN host_claims.answers IS 'Answers of DNS to the last check; NULL before the first.';
COMMENT ON COLUMN host_claims.lost_at IS 'Time at which another network proved the host; NULL while the claim stands.';
COMMENT ON COLUMN host_claims.notified_at IS 'Time at which the network was notified of the loss by mail; NULL until then.';

INSERT INTO host_claims (network_id, host, token, claimed_at, check_after)
SELECT network_id, host, replace(gen_random_uuid()::text, '-', ''), now(), now() FROM tracking_hosts;

CALL enclose('host_claims');
GRANT SELECT, INSERT, UPDATE, DELETE ON host_claims TO clickledger_web;
