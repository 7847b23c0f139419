-- What each node publishes of itself, so that reports and operators know of all.
CREATE TABLE nodes (
    id uuid NOT NULL PRIMARY KEY,
    name text NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    behind_since timestamptz,
    health jsonb NOT NULL
);
COMMENT ON TABLE nodes IS 'Nodes whose journals may hold events that are not in the tables yet. Removed when a node has stopped and its journals are applied.';
COMMENT ON COLUMN nodes.id IS 'Identity of its journal of clicks.';
COMMENT ON COLUMN nodes.name IS 'Host and folder of its journals.';
COMMENT ON COLUMN nodes.version IS 'Version of its program.';
COMMENT ON COLUMN nodes.started_at IS 'Time of its start.';
COMMENT ON COLUMN nodes.seen_at IS 'Time at which it published this.';
COMMENT ON COLUMN nodes.behind_since IS 'Time up to which all its events are in the tables, if some are not; NULL otherwise.';
COMMENT ON COLUMN nodes.health IS 'Health as on /health/ready: journals, alarms, background work.';
GRANT SELECT, DELETE ON nodes TO clickledger_web;
GRANT SELECT, INSERT, UPDATE, DELETE ON nodes TO clickledger_ingest;
