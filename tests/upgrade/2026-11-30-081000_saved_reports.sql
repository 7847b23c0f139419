INSERT INTO saved_reports (network_id, id, owner_id, name, audience, roles, period, query, created_at, updated_at)
VALUES (10{n}, 701, 341, 'Clicks', 'team', '{owner,affiliate}', 'last_7_days', 'group=day', now(), now());
INSERT INTO report_defaults (network_id, role, saved_report_id) VALUES (10{n}, 'affiliate', 701);
