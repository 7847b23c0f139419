-- Exchange rates: those that a network sets, and reference rates of the installation.

CREATE TABLE exchange_rates (
    network_id integer NOT NULL REFERENCES networks (id),
    day date NOT NULL,
    currency text NOT NULL CHECK (currency <> 'EUR'),
    nanos_per_euro bigint NOT NULL CHECK (nanos_per_euro > 0),
    source text NOT NULL CHECK (source IN ('user', 'csv')),
    set_at timestamptz NOT NULL,
    set_by text NOT NULL,
    PRIMARY KEY (network_id, day, currency)
);
COMMENT ON TABLE exchange_rates IS 'Exchange rates that a network sets. A rate holds from its day until the next one of its currency, at most 14 days on, and replaces the reference rate of its day.';
COMMENT ON COLUMN exchange_rates.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN exchange_rates.day IS 'First day of the rate.';
COMMENT ON COLUMN exchange_rates.currency IS 'ISO 4217 code, never EUR.';
COMMENT ON COLUMN exchange_rates.nanos_per_euro IS 'Value of one euro, in billionths of a unit of the currency.';
COMMENT ON COLUMN exchange_rates.source IS 'user: set by hand or by the API. csv: imported from a file.';
COMMENT ON COLUMN exchange_rates.set_at IS 'Time of the last change.';
COMMENT ON COLUMN exchange_rates.set_by IS 'Name of the author of the last change.';

CREATE TABLE reference_rates (
    day date NOT NULL,
    currency text NOT NULL CHECK (currency <> 'EUR'),
    nanos_per_euro bigint NOT NULL CHECK (nanos_per_euro > 0),
    source text NOT NULL CHECK (source IN ('csv', 'ecb')),
    stored_at timestamptz NOT NULL,
    PRIMARY KEY (day, currency)
);
COMMENT ON TABLE reference_rates IS 'Exchange rates of the European Central Bank, for all networks of the installation.';
COMMENT ON COLUMN reference_rates.day IS 'First day of the rate.';
COMMENT ON COLUMN reference_rates.currency IS 'ISO 4217 code, never EUR.';
COMMENT ON COLUMN reference_rates.nanos_per_euro IS 'Value of one euro, in billionths of a unit of the currency.';
COMMENT ON COLUMN reference_rates.source IS 'ecb: from a file of the European Central Bank. csv: imported from another file by an operator.';
COMMENT ON COLUMN reference_rates.stored_at IS 'Time of the last change.';

CREATE TABLE reference_rate_fetches (
    source text PRIMARY KEY CHECK (source = 'ecb'),
    next_at timestamptz NOT NULL,
    tried_at timestamptz NOT NULL,
    fetched_at timestamptz,
    problem text NOT NULL
);
COMMENT ON TABLE reference_rate_fetches IS 'Progress of the task that fetches reference rates; empty until a node fetches them.';
COMMENT ON COLUMN reference_rate_fetches.source IS 'Source of the rates.';
COMMENT ON COLUMN reference_rate_fetches.next_at IS 'Earliest next attempt; a node postpones it before it fetches, so that no other node fetches too.';
COMMENT ON COLUMN reference_rate_fetches.tried_at IS 'Time of the last attempt.';
COMMENT ON COLUMN reference_rate_fetches.fetched_at IS 'Time of the last attempt that succeeded; NULL until then.';
COMMENT ON COLUMN reference_rate_fetches.problem IS 'Problem of the last attempt that ended; empty if it succeeded.';

CALL enclose('exchange_rates');
GRANT SELECT, INSERT, UPDATE, DELETE ON exchange_rates TO clickledger_web;
GRANT SELECT, INSERT, UPDATE ON reference_rates, reference_rate_fetches TO clickledger_web;
