INSERT INTO campaigns (network_id, id, advertiser_id, name, external_id, status, currency, destination,
    attribution_days,
    countries, devices, created_at)
VALUES (10{n}, 401, 301, 'Campaign', 'spring', 'live', 'EUR', 'https://shop.example/?id={click_id}', 30, '{DE,PL}',
    '{mobile}',
    now());
INSERT INTO landing_pages (network_id, id, campaign_id, name, url, weight, created_at)
VALUES (10{n}, 411, 401, 'Sale', 'https://shop.example/sale?id={click_id}', 1, now());
INSERT INTO caps (network_id, id, campaign_id, affiliate_id, metric, period, most, created_at)
VALUES (10{n}, 421, 401, 321, 'clicks', 'day', 1000000, now());
INSERT INTO promoters (network_id, campaign_id, affiliate_id, status, changed_at) VALUES (10{n}, 401, 321, 'approved',
    now());
INSERT INTO goals (network_id, id, campaign_id, code, name, kind, unique_by, auto_approve, parent_goal_id,
    commission_fixed_micros, commission_rate_ppm, revenue_fixed_micros, revenue_rate_ppm, created_at, changed_at)
VALUES (10{n}, 431, 401, 'lead', 'Lead', 'lead', 'click', true, NULL, 1000000, 0, 2000000, 0, now(), now()),
       (10{n}, 432, 401, 'sale', 'Sale', 'sale', 'order', false, 431, 0, 100000, 0, 150000, now(), now());
INSERT INTO goal_versions (network_id, goal_id, version, valid_to, commission_fixed_micros, commission_rate_ppm,
    revenue_fixed_micros, revenue_rate_ppm)
VALUES (10{n}, 432, 0, now(), 0, 90000, 0, 140000);
INSERT INTO commission_rules (network_id, id, goal_id, position, name, affiliate_id, group_id, commission_fixed_micros,
    commission_rate_ppm, revenue_fixed_micros, revenue_rate_ppm, valid_from)
VALUES (10{n}, 441, 432, 1, 'Blogs', 321, 311, 0, 120000, 0, 170000, now());
INSERT INTO tracking_links (network_id, id, alias, affiliate_id, campaign_id, landing_page_id, sub1, created_at)
VALUES (10{n}, 451, 'blog', 321, 401, 411, 'sidebar', now());
INSERT INTO coupons (network_id, campaign_id, code, affiliate_id, created_at) VALUES (10{n}, 401, 'BLOG10', 321, now());
INSERT INTO integrations (network_id, id, advertiser_id, campaign_id, token_hash, token_hint, advertiser_token_until,
    created_at)
VALUES (10{n}, 461, 301, NULL, sha256('token'), 'abcd', NULL, now()),
       (10{n}, 462, 301, 401, sha256('campaign token'), 'efgh', now(), now());
INSERT INTO url_templates (network_id, id, affiliate_id, name, direction, url, created_at)
VALUES (10{n}, 471, 321, 'Tracker', 'outbound', 'https://tracker.example/?cid={click_id}', now());
