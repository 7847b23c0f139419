INSERT INTO report_files (network_id, id, owner_id, query, format, status, rows_total, rows_written, bytes, attempts,
                          created_at, finished_at, expires_at)
VALUES (10{n}, 731, 341, 'group=day&from=2026-11-01&to=2026-11-30', 'csv', 'ready', 1, 1, 3, 1, now(), now(),
        now() + interval '1 day');
INSERT INTO report_file_parts (network_id, file_id, part, data) VALUES (10{n}, 731, 0, 'a,b');
