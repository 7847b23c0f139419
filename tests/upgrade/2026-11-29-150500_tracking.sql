-- A click of now, because its partition exists.
INSERT INTO clicks (network_id, id, clicked_at, link_id, campaign_id, affiliate_id, is_unique, device, sub1)
VALUES (10{n}, overlay(click_key_floor(now() AT TIME ZONE 'UTC')::text PLACING '30{n}' FROM 34)::uuid, now(), 451,
    401, 321,
    true, 'mobile', 'sidebar');
INSERT INTO click_rollups (network_id, hour, campaign_id, affiliate_id, link_id, clicks, unique_clicks, invalid_clicks)
SELECT 10{n}, date_trunc('hour', now(), time_zone), 401, 321, 451, 1, 1, 0 FROM networks WHERE id = 10{n};
INSERT INTO ingest_cursors (journal, stream, node, next_seq, moved_at)
VALUES ('01930000-0000-7000-8000-00000000040{n}', 'clicks', 'node', 7, now());
INSERT INTO quarantine (journal, seq, network_id, quarantined_at, reason, record)
VALUES ('01930000-0000-7000-8000-00000000040{n}', 3, 10{n}, now(), 'unreadable', '\x00');
