INSERT INTO report_links (network_id, id, owner_id, name, token_hash, query, created_at, expires_at)
VALUES (10{n}, 721, 341, 'Clicks', sha256('link'), 'group=day&from=2026-11-01&to=2026-11-02', now(), now() + interval '30 days');
