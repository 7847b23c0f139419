INSERT INTO networks (id, name, status, status_reason, time_zone, currency, max_postbacks_per_second, max_seats,
    max_links,
    require_two_factor, require_tests, join_open, join_greeting, join_questions, auto_approve, auto_approve_domains,
    blocked_addresses, created_at)
VALUES (10{n}, 'Network {n}', 'active', '', CASE {n} WHEN 1 THEN 'Europe/Warsaw' ELSE 'Asia/Kolkata' END, 'EUR', 200,
    25, 1000,
    false, false, true, 'Welcome', '{"Traffic sources?*"}', 'listed', '{example.com}', '{192.0.2.0/24}', now());
INSERT INTO network_slugs (slug, network_id) VALUES ('network-{n}', 10{n});
INSERT INTO tracking_hosts (host, network_id) VALUES ('trk{n}.example', 10{n});
INSERT INTO people (id, email, name, password_hash, is_operator, created_at)
VALUES (20{n}, 'owner@network{n}.example', 'Owner {n}', '$argon2id$', false, now());
INSERT INTO recovery_codes (person_id, code_hash) VALUES (20{n}, sha256('code'));
INSERT INTO mailed_links (token_hash, person_id, purpose, created_at, expires_at)
VALUES (sha256('mailed {n}'), 20{n}, 'reset', now(), now() + interval '1 day');
INSERT INTO advertisers (network_id, id, version, name, status, external_id, notes, tags, created_at)
VALUES (10{n}, 301, 1, 'Shop', 'active', 'shop', '', '{retail}', now());
INSERT INTO affiliate_groups (network_id, id, name, created_at) VALUES (10{n}, 311, 'Blogs', now());
INSERT INTO affiliates (network_id, id, version, name, status, group_id, external_id, notes, tags, created_at)
VALUES (10{n}, 321, 1, 'Blog', 'active', 311, 'blog', '', '{}', now());
INSERT INTO applications (network_id, id, token_hash, name, email, website, answers, status, reason, affiliate_id,
    created_at,
    decided_at)
VALUES (10{n}, 331, sha256('application'), 'Blog', 'blog@example.com', 'https://blog.example', '[]', 'approved', '',
    321, now(),
    now());
INSERT INTO memberships (network_id, id, person_id, role, created_at) VALUES (10{n}, 341, 20{n}, 'owner', now());
INSERT INTO sessions (token_hash, id, person_id, network_id, membership_id, awaits_second_factor, user_agent,
    created_at,
    seen_at, expires_at)
VALUES (sha256('session {n}'), 35{n}, 20{n}, 10{n}, 341, false, 'Firefox', now(), now(), now() + interval '1 day');
INSERT INTO invitations (network_id, id, token_hash, email, role, affiliate_id, created_at, expires_at)
VALUES (10{n}, 361, sha256('invitation'), 'partner@example.com', 'affiliate', 321, now(), now() + interval '7 days');
INSERT INTO api_keys (network_id, id, membership_id, name, key_hash, key_hint, scopes, created_at)
VALUES (10{n}, 371, 341, 'Reports', sha256('key'), 'abcd', '{read}', now());
INSERT INTO idempotency_keys (network_id, membership_id, key, request_hash, status, body, created_at)
VALUES (10{n}, 341, 'k', sha256('request'), 201, '{}', now());
INSERT INTO audit_log (network_id, id, at, person_id, author, via, action, object, object_name, before, after)
VALUES (10{n}, '01930000-0000-7000-8000-000000000001', now(), 20{n}, 'Owner {n}', 'page', 'network.create', 'net',
    'Network {n}',
    '{}', '{}');
INSERT INTO operator_log (id, at, author, action, about_network, detail)
VALUES ('01930000-0000-7000-8000-00000000000{n}', now(), 'Operator', 'network.create', 'Network {n}', '');
