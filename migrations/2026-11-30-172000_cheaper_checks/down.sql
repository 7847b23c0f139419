CREATE OR REPLACE FUNCTION minor_unit(currency text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN currency IN ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI', 'VND',
                          'VUV', 'XAF', 'XOF', 'XPF') THEN 1000000
        WHEN currency IN ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') THEN 1000
        WHEN currency IN ('CLF', 'UYW') THEN 100
        ELSE 10000
    END
$$;
ALTER TABLE ledger_entries
    DROP CONSTRAINT ledger_entries_payable,
    ADD CHECK (commission_pending_micros % minor_unit(currency) = 0),
    ADD CHECK (commission_payable_micros % minor_unit(currency) = 0),
    ADD CHECK (revenue_pending_micros % minor_unit(currency) = 0),
    ADD CHECK (revenue_payable_micros % minor_unit(currency) = 0);
ALTER TABLE conversions
    DROP CONSTRAINT conversions_payable,
    ADD CONSTRAINT conversions_payable CHECK (commission_micros % minor_unit(currency) = 0
        AND revenue_micros % minor_unit(currency) = 0);
