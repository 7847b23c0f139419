-- Files of large reports, prepared in the background.

CREATE TABLE report_files (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    owner_id integer NOT NULL,
    query text NOT NULL CHECK (length(query) <= 8000),
    format text NOT NULL CHECK (format IN ('csv', 'xlsx')),
    status text NOT NULL CHECK (status IN ('waiting', 'running', 'ready', 'failed')),
    problem text,
    rows_total bigint,
    rows_written bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    claimed_until timestamptz,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, owner_id) REFERENCES memberships (network_id, id),
    CONSTRAINT report_files_finished CHECK ((status IN ('ready', 'failed')) = (finished_at IS NOT NULL)),
    CONSTRAINT report_files_problem CHECK ((status = 'failed') = (problem IS NOT NULL))
);
CREATE INDEX report_files_to_prepare ON report_files (network_id, created_at) WHERE status IN ('waiting', 'running');
COMMENT ON TABLE report_files IS 'Files of reports that are prepared in the background.';
COMMENT ON COLUMN report_files.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN report_files.id IS 'Id of the file.';
COMMENT ON COLUMN report_files.owner_id IS 'Membership of the user who asked for the file, whose role decides about the figures.';
COMMENT ON COLUMN report_files.query IS 'Query string of the report, with fixed days.';
COMMENT ON COLUMN report_files.format IS 'Format of the file.';
COMMENT ON COLUMN report_files.status IS 'waiting: no node has begun. running: a node prepares it. ready: it can be downloaded. failed: see problem.';
COMMENT ON COLUMN report_files.problem IS 'Reason why it failed, for its owner; NULL otherwise.';
COMMENT ON COLUMN report_files.rows_total IS 'Number of rows of the report; NULL until it is computed.';
COMMENT ON COLUMN report_files.rows_written IS 'Number of rows that are written.';
COMMENT ON COLUMN report_files.bytes IS 'Size of the parts that are written, in bytes.';
COMMENT ON COLUMN report_files.attempts IS 'Number of times that a node began to prepare it.';
COMMENT ON COLUMN report_files.claimed_until IS 'End of the claim of the node that prepares it; NULL without one.';
COMMENT ON COLUMN report_files.created_at IS 'Time of the request.';
COMMENT ON COLUMN report_files.finished_at IS 'Time at which it was ready or failed; NULL until then.';
COMMENT ON COLUMN report_files.expires_at IS 'Time at which it is removed.';

CREATE TABLE report_file_parts (
    network_id integer NOT NULL,
    file_id integer NOT NULL,
    part integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (network_id, file_id, part),
    FOREIGN KEY (network_id, file_id) REFERENCES report_files (network_id, id) ON DELETE CASCADE
);
COMMENT ON TABLE report_file_parts IS 'Content of the files of reports.';
COMMENT ON COLUMN report_file_parts.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN report_file_parts.file_id IS 'File.';
COMMENT ON COLUMN report_file_parts.part IS 'Number of the part, from 0.';
COMMENT ON COLUMN report_file_parts.data IS 'Bytes of the part.';

CALL enclose('report_files', 'report_file_parts');
GRANT SELECT, INSERT, UPDATE, DELETE ON report_files, report_file_parts TO clickledger_web;
