-- The host of the network has its claim from the migration.
UPDATE tracking_hosts SET proven_at = now(), proof = 'txt' WHERE host = 'trk{n}.example';
UPDATE host_claims SET checked_at = now(), answers = '{}' WHERE network_id = 10{n};
INSERT INTO host_claims (network_id, host, token, claimed_at, check_after, lost_at, notified_at)
VALUES (10{n}, 'lost{n}.example', 'abcdefghijklmnopqrstuvwx', now(), now(), now(), now());
