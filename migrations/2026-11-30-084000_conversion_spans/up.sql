-- Versions of spans of six hours of the rollups of conversions, so that reports which are open all day read again only what
-- has changed.
CREATE TABLE conversion_spans (
    network_id integer NOT NULL REFERENCES networks (id),
    span integer NOT NULL,
    slot integer NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (network_id, span, slot)
);
COMMENT ON TABLE conversion_spans IS 'Number of changes of the rollups of conversions, by spans of time. Moves in the transaction that changes them.';
COMMENT ON COLUMN conversion_spans.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN conversion_spans.span IS 'Span of the hours of the rollups: six hours, counted since 1970.';
COMMENT ON COLUMN conversion_spans.slot IS 'Part of the count, by the connection that changes it, so that connections do not wait for each other.';
COMMENT ON COLUMN conversion_spans.version IS 'Number of changes.';
CALL enclose('conversion_spans');
CALL admit_applier('conversion_spans');
GRANT SELECT, INSERT, UPDATE ON conversion_spans TO clickledger_web, clickledger_ingest;
