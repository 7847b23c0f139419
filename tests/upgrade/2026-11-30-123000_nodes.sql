INSERT INTO nodes (id, name, version, started_at, seen_at, health)
VALUES ('00000000-0000-0000-0000-00000000010{n}', 'host:/journal/0', '0.1.0', now(), now(), '{}');
