INSERT INTO exchange_rates (network_id, day, currency, nanos_per_euro, source, set_at, set_by)
VALUES (10{n}, '2026-11-2{n}', 'USD', 1080000000, 'user', now(), 'Ada');
INSERT INTO reference_rates (day, currency, nanos_per_euro, source, stored_at)
VALUES ('2026-11-2{n}', 'USD', 1083400000, 'ecb', now());
INSERT INTO reference_rate_fetches (source, next_at, tried_at, fetched_at, problem)
VALUES ('ecb', now() + interval '10 years', now(), now(), '') ON CONFLICT DO NOTHING;
