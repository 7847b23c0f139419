INSERT INTO postbacks (network_id, id, received_at, method, target, body, status, reason, http_status, message, took_us,
    advertiser_id, campaign_id, goal_id, click_id, conversion_id, order_id, amount_micros, currency, extra)
VALUES (10{n}, '01930000-0000-7000-8000-000000000201', now(), 'GET', '/postback?order_id=1001', '', 'accepted',
    'accepted', 200,
    'Conversion recorded.', 900, 301, 401, 432, '01930000-0000-7000-8000-000000000301',
    '01930000-0000-7000-8000-000000000101', '1001', 10000000, 'EUR', '{}');
INSERT INTO held_postbacks (network_id, postback_id, held_at, until, waits_for, goal_id, customer_id, is_authenticated,
    record)
VALUES (10{n}, '01930000-0000-7000-8000-000000000203', now(), now() + interval '10 years', 'parent', 431, 'customer',
    true, '');
INSERT INTO replays (network_id, id, batch, postback_id, requested_at, requested_by, is_dry, done_at, reason_before, reason,
    message)
VALUES (10{n}, '01930000-0000-7000-8000-000000000211', '01930000-0000-7000-8000-000000000212',
    '01930000-0000-7000-8000-000000000201', now(), 'Owner {n}', true, now(), 'accepted', 'duplicate',
    'Nothing is new.');
