INSERT INTO verifications (network_id, id, run_at, period_from, period_to, holds, checks)
VALUES (10{n}, '01930000-0000-7000-8000-000000000501', now(), now() - interval '1 day', now(), true, '[]');
INSERT INTO alerts (network_id, id, advertiser_id, kind, since, opened_at, finding, notify_after)
VALUES (10{n}, '01930000-0000-7000-8000-000000000511', 301, 'silent', now(), now(), '{}', now() + interval '10 years');
