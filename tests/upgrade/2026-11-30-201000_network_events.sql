INSERT INTO network_events (network_id, id, kind, at, data, is_queued, position, queued_at)
VALUES (10{n}, '01930000-0000-7000-8000-000000000743', 'affiliate.applied', now(), '{}', true, 1, now());
