DROP TABLE conversion_rollups, ledger_entries, test_conversions, conversion_changes, conversions;
