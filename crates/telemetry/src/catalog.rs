//! Table of all metrics. Names, labels, meanings and alarms of the documentation come from here.

use crate::definition::{Definition, Label, Subject};
use crate::family::{Counters, Gauges, Histograms, Metric, Totals};
use crate::histogram::Bounds;

macro_rules! catalog {
    ($($subject:ident {
        $($name:ident: $kind:ident($metric:literal, [$($label:literal = $values:literal),*] $(, $bounds:ident)?)
            $meaning:literal $(; alarm $alarm:literal)?,)+
    })+) => {
        $($(
            #[doc = $meaning]
            pub static $name: $kind = $kind::new(
                Definition {
                    name: $metric,
                    subject: Subject::$subject,
                    labels: &[$(Label { name: $label, values: $values }),*],
                    meaning: $meaning,
                    alarm: catalog!(@alarm $($alarm)?),
                }
                $(, Bounds::$bounds)?
            );
        )+)+

        /// All metrics, in the order of the documentation.
        pub static ALL: &[Metric] = &[$($(Metric::$kind(&$name)),+),+];
    };
    (@alarm) => { None };
    (@alarm $alarm:literal) => { Some($alarm) };
}

catalog! {
    Clicks {
        CLICKS: Counters("clickledger_clicks_total", [])
            "Journaled and redirected clicks.",
        UNRECORDED_CLICKS: Counters("clickledger_unrecorded_clicks_total", [])
            "Clicks that could not be journaled because the disk is full or failing."; alarm "any increase",
        REDIRECT_DURATION: Histograms(
            "clickledger_redirect_duration_seconds",
            ["answer" = "recorded (302), unrecorded (307), no_link (unknown, paused or closed), invalid, unavailable (503)"],
            INTAKE)
            "Time from the head of a click's request to its response, with the sync of the journal.";
            alarm "99th percentile above 0.25 s, or an answer unavailable",
    }
    Postbacks {
        POSTBACKS: Counters("clickledger_postbacks_total", ["reason" = "reasons of /docs/postback"])
            "Responses to postbacks, by the reason that they name.",
        POSTBACK_DURATION: Histograms(
            "clickledger_postback_duration_seconds",
            ["status" = "accepted, duplicate, held, rejected, queued, unavailable"],
            WAITS)
            "Time from the head of a postback's request to its response.";
            alarm "an answer unavailable, or more than one in ten queued",
        VERDICTS: Counters(
            "clickledger_verdicts_total",
            ["status" = "accepted, duplicate, held, rejected", "reason" = "reasons of /docs/postback"])
            "First verdicts on postbacks, once they are committed.";
            alarm "more than half of an hour's verdicts rejected, twice the share of the day before",
        DECISION_DURATION: Histograms(
            "clickledger_decision_duration_seconds",
            ["status" = "accepted, duplicate, held, rejected"],
            WAITS)
            "Time from the arrival of a postback to the commit of its first verdict.";
            alarm "95th percentile above 2 s",
        CONVERSION_EVENTS: Counters("clickledger_conversion_events_total", ["kind" = "kinds of events of conversions"])
            "Committed events of conversions.",
    }
    Journals {
        JOURNAL_SYNC_DURATION: Histograms("clickledger_journal_sync_duration_seconds", ["stream" = "clicks, postbacks, verdicts"], INTAKE)
            "Duration of the syncs of a journal, for each of which clicks or postbacks wait.",
        JOURNAL_SYNC_P99: Gauges("clickledger_journal_sync_p99_seconds", ["stream" = "clicks, postbacks, verdicts"])
            "99th percentile of the duration of the last 1,024 syncs."; alarm "above 0.05 s",
        JOURNAL_OLDEST_UNAPPLIED: Gauges("clickledger_journal_oldest_unapplied_seconds", ["stream" = "clicks, postbacks, verdicts"])
            "Age of the oldest record that is not in Postgres."; alarm "above 30 s",
        JOURNAL_UNAPPLIED: Gauges("clickledger_journal_unapplied_records", ["stream" = "clicks, postbacks, verdicts"])
            "Acknowledged records that are not durably in Postgres yet.",
        JOURNAL_FREE: Gauges("clickledger_journal_free_ratio", ["stream" = "clicks, postbacks, verdicts"])
            "Free share of the journal's quota, as far as the disk has that space."; alarm "below 0.2",
        JOURNAL_BYTES: Gauges("clickledger_journal_bytes", ["stream" = "clicks, postbacks, verdicts"])
            "Size of the journal on disk.",
        JOURNAL_REFUSED: Totals("clickledger_journal_refused_records_total", ["stream" = "clicks, postbacks, verdicts"])
            "Records that the journal refused."; alarm "any increase",
        JOURNAL_DAMAGED: Totals("clickledger_journal_damaged_places_total", ["stream" = "clicks, postbacks, verdicts"])
            "Damaged places found in the journal."; alarm "any",
        QUARANTINED: Gauges("clickledger_quarantined_records", [])
            "Records that Postgres refused, of all nodes. Left out while the database does not answer."; alarm "any",
        APPLY_DURATION: Histograms("clickledger_apply_duration_seconds", ["stream" = "clicks, postbacks"], DATABASE)
            "Duration of the transactions that bring a batch of a journal into Postgres.",
        APPLIED_RECORDS: Counters("clickledger_applied_records_total", ["stream" = "clicks, postbacks"])
            "Records of journals that were brought into Postgres.",
    }
    Database {
        POOL_WAIT: Histograms(
            "clickledger_pool_wait_seconds",
            ["pool" = "tracking, pages", "outcome" = "connection, none (after 2 s, or because Postgres refused)"],
            DATABASE)
            "Time that a request waited for a connection to Postgres.";
            alarm "an outcome none, or 99th percentile above 0.5 s",
        POOL_CONNECTIONS: Gauges("clickledger_pool_connections", ["pool" = "tracking, pages", "state" = "busy, idle"])
            "Open connections of a pool.",
        POOL_LIMIT: Gauges("clickledger_pool_limit_connections", ["pool" = "tracking, pages"])
            "Most connections of a pool.",
        STATEMENT_DURATION: Histograms("clickledger_statement_duration_seconds", ["pool" = "tracking, pages"], DATABASE)
            "Duration of the statements of a pool. Appliers have separate connections; their time is that of their transactions.",
    }
    Requests {
        PAGE_DURATION: Histograms(
            "clickledger_page_duration_seconds",
            ["method" = "GET, POST …, OTHER", "route" = "template of the path, or none", "status" = "2xx, 3xx, 4xx, 5xx"],
            REQUESTS)
            "Time from the head of a request to the head of its response, on the dashboard.";
            alarm "more than one in twenty 5xx, or 95th percentile above 2.5 s",
        API_DURATION: Histograms(
            "clickledger_api_duration_seconds",
            ["method" = "GET, POST …, OTHER", "route" = "template of the path, or none", "status" = "2xx, 3xx, 4xx, 5xx"],
            REQUESTS)
            "Time from the head of a request of the API to the head of its response.";
            alarm "more than one in twenty 5xx",
        REPORT_DURATION: Histograms("clickledger_report_duration_seconds", ["outcome" = "answered, failed"], REQUESTS)
            "Time to compute a report, on pages, in the API, in mails and files.",
    }
    Background {
        MAIL_DURATION: Histograms("clickledger_mail_duration_seconds", ["outcome" = "sent, failed, not_configured"], WAITS)
            "Time to hand a mail to the mail server."; alarm "an outcome failed",
        DELIVERY_DURATION: Histograms("clickledger_delivery_duration_seconds", ["outcome" = "delivered, failed"], WAITS)
            "Time of an attempt to deliver an event to a tracker or a webhook.",
        DELIVERIES_LATE: Gauges("clickledger_deliveries_late_seconds", [])
            "Time for which the oldest delivery has been due, or the oldest event has not been queued, without any node working on it.";
            alarm "above 60 s",
        WORK_LAST_SUCCESS: Gauges(
            "clickledger_work_last_success_timestamp_seconds",
            ["work" = "blocks (one node of all), mails, files, alerts, hosts, backup, deliveries"])
            "Time of the last run of background work on this node that failed nowhere, in seconds since 1970.";
            alarm "more than 15 minutes ago on all nodes",
        WORK_FAILING: Gauges("clickledger_work_failing", ["work" = "blocks, mails, files, alerts, hosts, backup, deliveries"])
            "1 if the last run of background work failed."; alarm "1 for 15 minutes",
        WORK_DONE: Totals("clickledger_work_done_total", ["work" = "blocks, mails, files, alerts, hosts, backup, deliveries"])
            "Blocks built, mails sent, files prepared, networks and hosts checked, copies to the backup, mails about failing destinations.",
        REFERENCE_RATES_FETCHED: Gauges("clickledger_reference_rates_last_fetch_timestamp_seconds", [])
            "Time of the last fetch of reference exchange rates by any node, in seconds since 1970. Left out without a fetch.";
            alarm "more than four days ago",
    }
    Node {
        READY: Gauges("clickledger_ready", [])
            "1 while the node takes clicks and postbacks."; alarm "0 for a minute",
        ALARM: Gauges("clickledger_alarm", ["name" = "names of the alarms of /ops/node"])
            "1 for each firing alarm of the node."; alarm "1 for 2 minutes",
        BUILD_INFO: Gauges("clickledger_build_info", ["version" = "version of the program", "commit" = "commit that it was built from, or empty"])
            "Version of the program; the value is 1.",
        DISK_FREE: Gauges("clickledger_disk_free_bytes", ["folder" = "data, journal"])
            "Space on the disk of a folder that the server can use."; alarm "below a tenth of the disk, or full within four hours",
        DISK_SIZE: Gauges("clickledger_disk_size_bytes", ["folder" = "data, journal"])
            "Size of the disk of a folder.",
        TRACE_SPANS: Counters("clickledger_trace_spans_total", ["outcome" = "exported, dropped (too many waited), failed (the collector did not take them)"])
            "Spans of traces for the collector of --otlp-endpoint."; alarm "any dropped or failed for 30 minutes",
        PROCESS_CPU: Totals("process_cpu_seconds_total", [])
            "Processor time of the process.",
        PROCESS_MEMORY: Gauges("process_resident_memory_bytes", [])
            "Resident memory of the process.",
        PROCESS_OPEN_FDS: Gauges("process_open_fds", [])
            "Open file descriptors of the process."; alarm "above four fifths of the limit",
        PROCESS_MAX_FDS: Gauges("process_max_fds", [])
            "Limit of open file descriptors.",
        PROCESS_THREADS: Gauges("process_threads", [])
            "Threads of the process.",
        PROCESS_START: Gauges("process_start_time_seconds", [])
            "Start of the process, in seconds since 1970."; alarm "more than three starts in an hour",
    }
}
