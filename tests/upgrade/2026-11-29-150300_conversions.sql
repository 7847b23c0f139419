-- One order of 10.00 EUR: 1.00 for the affiliate, 0.50 for the network. Rollups and ledger agree with the conversion,
-- as
-- `clickledger verify` checks.
INSERT INTO conversions (network_id, id, converted_at, advertiser_id, campaign_id, goal_id, affiliate_id, link_id,
    click_id,
    postback_id, unique_key, order_id, status, amount_micros, commission_micros, revenue_micros, currency, terms,
    changed_at)
VALUES (10{n}, '01930000-0000-7000-8000-000000000101', now(), 301, 401, 432, 321, 451,
    '01930000-0000-7000-8000-000000000301', '01930000-0000-7000-8000-000000000201', '1001', '1001', 'pending', 10000000,
    1000000, 1500000, 'EUR', '{"rates": [{"commission": [0, 100000], "revenue": [0, 150000]}]}', now());
INSERT INTO conversion_changes (network_id, conversion_id, id, changed_at, source, amount_micros)
VALUES (10{n}, '01930000-0000-7000-8000-000000000101', '01930000-0000-7000-8000-000000000101', now(), 'report',
    10000000);
INSERT INTO test_conversions (network_id, id, converted_at, campaign_id, goal_id, link_id, unique_key, currency,
    commission_micros, revenue_micros)
VALUES (10{n}, '01930000-0000-7000-8000-000000000202', now(), 401, 432, 451, 'TEST-1', 'EUR', 0, 0);
INSERT INTO ledger_entries (network_id, id, booked_at, effective_at, conversion_id, change_id, kind, advertiser_id,
    affiliate_id, currency, commission_pending_micros, commission_payable_micros, revenue_pending_micros,
    revenue_payable_micros)
VALUES (10{n}, '01930000-0000-7000-8000-000000000111', now(), now(), '01930000-0000-7000-8000-000000000101',
    '01930000-0000-7000-8000-000000000101', 'earned', 301, 321, 'EUR', 1000000, 0, 1500000, 0);
INSERT INTO conversion_proofs (network_id, day, fingerprint) VALUES (10{n}, '2020-01-01', '0:0');
INSERT INTO conversion_rollups (network_id, hour, campaign_id, affiliate_id, link_id, goal_id, currency, status,
    conversions, paid,
    amount_micros, commission_micros, revenue_micros)
SELECT 10{n}, date_trunc('hour', now(), time_zone), 401, 321, 451, 432, 'EUR', 'pending', 1, 1, 10000000, 1000000, 1500000
FROM networks WHERE id = 10{n};
INSERT INTO waiting_corrections (network_id, id, conversion_id, version, requested_at, requested_by, author, correction,
    effect)
VALUES (10{n}, '01930000-0000-7000-8000-000000000121', '01930000-0000-7000-8000-000000000101', 1, now(), 1, 'Ann',
    '"approve"', 'commission 0.00 EUR, revenue 0.00 EUR');
