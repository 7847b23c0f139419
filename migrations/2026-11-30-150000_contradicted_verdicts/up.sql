-- After a restore, postbacks of the journal are decided again. The journal of verdicts has what their senders received: where
-- the second decision differs, a user has to look at it.
ALTER TABLE ingest_cursors DROP CONSTRAINT ingest_cursors_stream_check;
ALTER TABLE ingest_cursors
    ADD CONSTRAINT ingest_cursors_stream_check CHECK (stream IN ('clicks', 'postbacks', 'verdicts'));

CREATE TABLE contradicted_verdicts (
    network_id integer NOT NULL REFERENCES networks (id),
    postback_id uuid NOT NULL,
    answered_reason text NOT NULL,
    answered_conversion_id uuid,
    decided_reason text NOT NULL,
    found_at timestamptz NOT NULL,
    settled_at timestamptz,
    settled_by text,
    PRIMARY KEY (network_id, postback_id),
    CONSTRAINT contradicted_verdicts_settled CHECK ((settled_at IS NULL) = (settled_by IS NULL))
);
COMMENT ON TABLE contradicted_verdicts IS 'Postbacks whose decision after a restore differs from the verdict that their sender received.';
COMMENT ON COLUMN contradicted_verdicts.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN contradicted_verdicts.postback_id IS 'Postback.';
COMMENT ON COLUMN contradicted_verdicts.answered_reason IS 'Reason code of the verdict that its sender received.';
COMMENT ON COLUMN contradicted_verdicts.answered_conversion_id IS 'Conversion in that verdict; NULL if none.';
COMMENT ON COLUMN contradicted_verdicts.decided_reason IS 'Reason code of the decision after the restore.';
COMMENT ON COLUMN contradicted_verdicts.found_at IS 'Time of that decision.';
COMMENT ON COLUMN contradicted_verdicts.settled_at IS 'Time at which a user accepted the difference; NULL while open.';
COMMENT ON COLUMN contradicted_verdicts.settled_by IS 'Name of that user; NULL while open.';

CALL enclose('contradicted_verdicts');
CALL admit_applier('contradicted_verdicts');
GRANT SELECT, INSERT ON contradicted_verdicts TO clickledger_ingest;
GRANT SELECT, UPDATE (settled_at, settled_by) ON contradicted_verdicts TO clickledger_web;
