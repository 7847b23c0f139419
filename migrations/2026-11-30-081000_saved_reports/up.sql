-- Saved views of reports, and the views that roles open by default.

CREATE TABLE saved_reports (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    owner_id integer NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    audience text NOT NULL CHECK (audience IN ('personal', 'party', 'team')),
    roles text[] NOT NULL CHECK (roles <@ ARRAY['owner', 'admin', 'manager', 'analyst', 'advertiser', 'affiliate']),
    period text CHECK (period IN ('today', 'yesterday', 'last_7_days', 'last_30_days', 'last_90_days', 'this_week',
        'last_week', 'this_month', 'last_month', 'this_year')),
    query text NOT NULL CHECK (length(query) <= 8000),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, owner_id) REFERENCES memberships (network_id, id),
    CONSTRAINT saved_reports_roles CHECK ((audience = 'team') = (cardinality(roles) > 0))
);
CREATE INDEX saved_reports_of_owner ON saved_reports (network_id, owner_id);
COMMENT ON TABLE saved_reports IS 'Saved views: reports under a name.';
COMMENT ON COLUMN saved_reports.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN saved_reports.id IS 'Id of the view.';
COMMENT ON COLUMN saved_reports.owner_id IS 'Membership of the user who saved it.';
COMMENT ON COLUMN saved_reports.name IS 'Name on pages.';
COMMENT ON COLUMN saved_reports.audience IS 'personal: its owner. party: users of the owner''s advertiser or affiliate. team: members with one of the roles.';
COMMENT ON COLUMN saved_reports.roles IS 'Roles that a view of the team is offered to; empty for the other audiences.';
COMMENT ON COLUMN saved_reports.period IS 'Period relative to the day on which the report runs; NULL for the fixed days of the query.';
COMMENT ON COLUMN saved_reports.query IS 'Query string of the report; without days if the period is relative.';
COMMENT ON COLUMN saved_reports.created_at IS 'Time of creation.';
COMMENT ON COLUMN saved_reports.updated_at IS 'Time of the last change.';

CREATE TABLE report_defaults (
    network_id integer NOT NULL REFERENCES networks (id),
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'manager', 'analyst', 'advertiser', 'affiliate')),
    saved_report_id integer NOT NULL,
    PRIMARY KEY (network_id, role),
    FOREIGN KEY (network_id, saved_report_id) REFERENCES saved_reports (network_id, id) ON DELETE CASCADE
);
CREATE INDEX report_defaults_of_view ON report_defaults (network_id, saved_report_id);
COMMENT ON TABLE report_defaults IS 'Views that the page of reports opens, by role.';
COMMENT ON COLUMN report_defaults.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN report_defaults.role IS 'Role of the members who see the view first.';
COMMENT ON COLUMN report_defaults.saved_report_id IS 'View of the team that is offered to the role.';

CALL enclose('report_defaults', 'saved_reports');
GRANT SELECT, INSERT, UPDATE, DELETE ON report_defaults, saved_reports TO clickledger_web;
