-- A block whose clicks retention has dropped, with a column of no rows.
INSERT INTO click_blocks (network_id, from_at, until_at, build, built_late, is_sealed)
VALUES (10{n}, '2025-01-01T00:00Z', '2025-01-02T00:00Z', '01930000-0000-7000-8000-00000000050{n}', 0, true);
INSERT INTO click_block_columns (network_id, build, name, data)
VALUES (10{n}, '01930000-0000-7000-8000-00000000050{n}', 'sub1', '\x010100000100');
