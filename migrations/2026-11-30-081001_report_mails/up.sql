-- Reports by mail: a saved view at regular times.

CREATE TABLE report_mails (
    network_id integer NOT NULL REFERENCES networks (id),
    id integer NOT NULL DEFAULT scatter(nextval('configuration_ids')),
    saved_report_id integer NOT NULL,
    owner_id integer NOT NULL,
    rhythm text NOT NULL CHECK (rhythm IN ('daily', 'weekly', 'monthly')),
    on_day smallint,
    at_hour smallint NOT NULL CHECK (at_hour BETWEEN 0 AND 23),
    format text NOT NULL CHECK (format IN ('csv', 'xlsx')),
    created_at timestamptz NOT NULL,
    next_at timestamptz NOT NULL,
    claimed_until timestamptz,
    failures integer NOT NULL DEFAULT 0,
    last_failure text,
    last_failed_at timestamptz,
    last_sent_at timestamptz,
    PRIMARY KEY (network_id, id),
    FOREIGN KEY (network_id, saved_report_id) REFERENCES saved_reports (network_id, id) ON DELETE CASCADE,
    FOREIGN KEY (network_id, owner_id) REFERENCES memberships (network_id, id),
    CONSTRAINT report_mails_day CHECK (CASE rhythm
        WHEN 'daily' THEN on_day IS NULL
        WHEN 'weekly' THEN on_day IS NOT NULL AND on_day BETWEEN 1 AND 7
        ELSE on_day IS NOT NULL AND on_day BETWEEN 1 AND 28 END),
    CONSTRAINT report_mails_failed CHECK ((last_failure IS NULL) = (last_failed_at IS NULL))
);
CREATE INDEX report_mails_of_view ON report_mails (network_id, saved_report_id);
CREATE INDEX report_mails_due ON report_mails (network_id, next_at);
COMMENT ON TABLE report_mails IS 'Saved views that are mailed at regular times.';
COMMENT ON COLUMN report_mails.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN report_mails.id IS 'Id of the scheduled mail.';
COMMENT ON COLUMN report_mails.saved_report_id IS 'View that is mailed.';
COMMENT ON COLUMN report_mails.owner_id IS 'Membership of the user who scheduled it.';
COMMENT ON COLUMN report_mails.rhythm IS 'daily, weekly on a day of the week, or monthly on a day of the month.';
COMMENT ON COLUMN report_mails.on_day IS 'weekly: 1 for Monday to 7 for Sunday. monthly: 1 to 28. NULL for daily.';
COMMENT ON COLUMN report_mails.at_hour IS 'Hour of the day in the time zone of the network.';
COMMENT ON COLUMN report_mails.format IS 'Format of the attached file.';
COMMENT ON COLUMN report_mails.created_at IS 'Time of creation.';
COMMENT ON COLUMN report_mails.next_at IS 'Time at which it is due next.';
COMMENT ON COLUMN report_mails.claimed_until IS 'Earliest next attempt: the end of the claim of the node that sends it, or of the pause after a failure. NULL if neither.';
COMMENT ON COLUMN report_mails.failures IS 'Number of failed attempts at the present due time.';
COMMENT ON COLUMN report_mails.last_failure IS 'Reason of the last failed attempt; NULL if the last one succeeded.';
COMMENT ON COLUMN report_mails.last_failed_at IS 'Time of that failure; NULL without one.';
COMMENT ON COLUMN report_mails.last_sent_at IS 'Time at which it was last sent to all recipients; NULL until then.';

CREATE TABLE report_mail_recipients (
    network_id integer NOT NULL REFERENCES networks (id),
    report_mail_id integer NOT NULL,
    membership_id integer NOT NULL,
    sent_for timestamptz,
    skipped_because text,
    stopped_at timestamptz,
    PRIMARY KEY (network_id, report_mail_id, membership_id),
    FOREIGN KEY (network_id, report_mail_id) REFERENCES report_mails (network_id, id) ON DELETE CASCADE,
    FOREIGN KEY (network_id, membership_id) REFERENCES memberships (network_id, id)
);
COMMENT ON TABLE report_mail_recipients IS 'Members who receive a scheduled mail.';
COMMENT ON COLUMN report_mail_recipients.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN report_mail_recipients.report_mail_id IS 'Scheduled mail.';
COMMENT ON COLUMN report_mail_recipients.membership_id IS 'Membership of the recipient, whose role decides about the figures.';
COMMENT ON COLUMN report_mail_recipients.sent_for IS 'Due time for which the mail was last sent or skipped; NULL until then.';
COMMENT ON COLUMN report_mail_recipients.skipped_because IS 'Reason why the recipient was skipped last time; NULL if the mail was sent.';
COMMENT ON COLUMN report_mail_recipients.stopped_at IS 'Time at which the recipient stopped the mail; NULL until then.';

CALL enclose('report_mail_recipients', 'report_mails');
GRANT SELECT, INSERT, UPDATE, DELETE ON report_mail_recipients, report_mails TO clickledger_web;
