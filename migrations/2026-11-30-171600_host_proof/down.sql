DROP TABLE host_claims;
REVOKE UPDATE (network_id, proven_at, proof, contested_at) ON tracking_hosts FROM clickledger_web;
ALTER TABLE tracking_hosts
    DROP COLUMN proven_at,
    DROP COLUMN proof,
    DROP COLUMN contested_at;
