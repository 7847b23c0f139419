INSERT INTO conversion_events (network_id, conversion_id, version, kind, at, affiliate_id, campaign_id, goal_id, link_id,
    status, commission_micros, revenue_micros, currency, is_queued)
VALUES (10{n}, '01930000-0000-7000-8000-000000000101', 1, 'created', now(), 321, 401, 432, 451, 'pending', 1000000,
    1500000, 'EUR', true);
INSERT INTO destinations (network_id, id, kind, affiliate_id, name, events, method, url, created_at)
VALUES (10{n}, 741, 'postback', 321, 'Tracker', 'created,approved', 'GET', 'https://tracker.example/?c={sub1}', now());
INSERT INTO deliveries (network_id, id, destination_id, conversion_id, version, event, state, attempts, finished_at, code)
VALUES (10{n}, '01930000-0000-7000-8000-000000000742', 741, '01930000-0000-7000-8000-000000000101', 1, 'created',
    'delivered', 1, now(), 200);
INSERT INTO delivery_attempts (network_id, delivery_id, number, at, method, url, code, duration_ms, answer)
VALUES (10{n}, '01930000-0000-7000-8000-000000000742', 1, now(), 'GET', 'https://tracker.example/?c=a', 200, 12, 'OK');
