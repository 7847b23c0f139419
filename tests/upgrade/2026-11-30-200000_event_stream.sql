INSERT INTO event_streams (network_id, position) VALUES (10{n}, 1);
INSERT INTO event_consumers (network_id, name, position, created_at) VALUES (10{n}, 'warehouse', 1, now());
