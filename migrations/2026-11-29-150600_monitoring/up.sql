-- Monitoring: results of `clickledger verify`, and alerts about failing integrations.

CREATE TABLE verifications (
    network_id integer NOT NULL REFERENCES networks (id),
    id uuid NOT NULL,
    run_at timestamptz NOT NULL,
    period_from timestamptz NOT NULL,
    period_to timestamptz NOT NULL,
    holds boolean NOT NULL,
    checks jsonb NOT NULL,
    PRIMARY KEY (network_id, id)
);
COMMENT ON TABLE verifications IS 'Runs of clickledger verify, which checks that every acknowledged event is stored, in the rollups and in the ledger.';
COMMENT ON COLUMN verifications.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN verifications.id IS 'Id of the run; sorts by time.';
COMMENT ON COLUMN verifications.run_at IS 'Time of the run.';
COMMENT ON COLUMN verifications.period_from IS 'Start of the verified period.';
COMMENT ON COLUMN verifications.period_to IS 'End of the verified period, exclusive.';
COMMENT ON COLUMN verifications.holds IS 'True if every check passed.';
COMMENT ON COLUMN verifications.checks IS 'Checks with their counts and their first differing rows.';

CREATE TABLE alerts (
    network_id integer NOT NULL REFERENCES networks (id),
    id uuid NOT NULL,
    advertiser_id integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('silent', 'rejections')),
    since timestamptz NOT NULL,
    opened_at timestamptz NOT NULL,
    finding jsonb NOT NULL,
    closed_at timestamptz,
    seen_at timestamptz,
    seen_by text,
    notified_at timestamptz,
    end_notified_at timestamptz,
    notify_after timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, advertiser_id) REFERENCES advertisers (network_id, id),
    CONSTRAINT alerts_seen CHECK ((seen_at IS NULL) = (seen_by IS NULL))
);
CREATE UNIQUE INDEX alerts_open ON alerts (network_id, advertiser_id, kind) WHERE closed_at IS NULL;
COMMENT ON TABLE alerts IS 'Alerts about integrations that seem to fail.';
COMMENT ON COLUMN alerts.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN alerts.id IS 'Id of the alert; sorts by its opening.';
COMMENT ON COLUMN alerts.advertiser_id IS 'Advertiser whose postbacks are concerned.';
COMMENT ON COLUMN alerts.kind IS 'silent: no conversions in spite of clicks. rejections: far more rejections than before.';
COMMENT ON COLUMN alerts.since IS 'Time of the last postback, or of the first counted rejection.';
COMMENT ON COLUMN alerts.opened_at IS 'Time of the detection.';
COMMENT ON COLUMN alerts.finding IS 'Figures of the latest check.';
COMMENT ON COLUMN alerts.closed_at IS 'Time of the recovery; NULL while open.';
COMMENT ON COLUMN alerts.seen_at IS 'Time of the acknowledgement by a user of the network; NULL until then.';
COMMENT ON COLUMN alerts.seen_by IS 'Name of that user; NULL until then.';
COMMENT ON COLUMN alerts.notified_at IS 'Time of the notification by mail; NULL until then.';
COMMENT ON COLUMN alerts.end_notified_at IS 'Time of the notification of the recovery; NULL until then.';
COMMENT ON COLUMN alerts.notify_after IS 'Earliest next attempt to notify; a node postpones it before it sends, so that no other node sends too.';

ALTER TABLE verifications ENABLE ROW LEVEL SECURITY;
ALTER TABLE verifications FORCE ROW LEVEL SECURITY;
CREATE POLICY own_network ON verifications
    USING (network_id = current_network()) WITH CHECK (network_id = current_network());
ALTER TABLE alerts ENABLE ROW LEVEL SECURITY;
ALTER TABLE alerts FORCE ROW LEVEL SECURITY;
CREATE POLICY own_network ON alerts
    USING (network_id = current_network()) WITH CHECK (network_id = current_network());
GRANT SELECT, INSERT ON verifications TO clickledger_web;
GRANT SELECT, INSERT, UPDATE ON alerts TO clickledger_web;
