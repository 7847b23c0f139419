DROP TABLE waiting_corrections, conversion_rollups, conversion_proofs, ledger_entries, test_conversions, conversion_changes, conversions;
DROP FUNCTION minor_unit(text);
