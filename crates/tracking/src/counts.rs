//! Metrics of clicks, postbacks and conversions.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use actix_http::StatusCode;
use conversions::{Event, EventKind};
use dialects::Status;
use postbacks::{Reason, Reply};
use schema::{PostbackId, clock};
use telemetry::{Counter, Histogram, catalog};

use crate::ingest::{ClickStream, PostbackStream, Stream, VERDICTS};

static CLICK_SYNCS: LazyLock<Arc<Histogram>> =
    LazyLock::new(|| catalog::JOURNAL_SYNC_DURATION.with(&[ClickStream::NAME]));
static POSTBACK_SYNCS: LazyLock<Arc<Histogram>> =
    LazyLock::new(|| catalog::JOURNAL_SYNC_DURATION.with(&[PostbackStream::NAME]));
static VERDICT_SYNCS: LazyLock<Arc<Histogram>> =
    LazyLock::new(|| catalog::JOURNAL_SYNC_DURATION.with(&[VERDICTS]));

/// Handles of metrics, so that recording needs no look-up.
#[derive(Clone)]
pub(crate) struct Counts {
    pub(crate) clicks: Arc<Counter>,
    pub(crate) unrecorded_clicks: Arc<Counter>,
    redirects: Redirects,
    postbacks: Vec<(Reason, Arc<Counter>)>,
    postback_durations: Vec<(Status, Arc<Histogram>)>,
}

/// Durations of responses to clicks, by their kind.
#[derive(Clone)]
struct Redirects {
    recorded: Arc<Histogram>,
    unrecorded: Arc<Histogram>,
    no_link: Arc<Histogram>,
    invalid: Arc<Histogram>,
    unavailable: Arc<Histogram>,
}

/// Counts committed events of conversions, by kind.
pub(crate) fn events(events: &[Event]) {
    for kind in EventKind::ALL {
        let count = events.iter().filter(|event| event.kind == *kind).count();
        if count > 0 {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            catalog::CONVERSION_EVENTS.with(&[kind.as_str()]).add(count);
        }
    }
}

/// Counts committed first verdicts, with the time since the postbacks arrived.
pub(crate) fn verdicts<'a>(replies: impl Iterator<Item = (PostbackId, &'a Reply)>) {
    let now = clock::since_epoch(clock::now());
    for (id, reply) in replies {
        let reason = reply.verdict.reason;
        let status = reason.status().to_string();
        catalog::VERDICTS.with(&[&status, reason.code()]).add(1);
        if let Some(time) = id.0.get_timestamp() {
            let (seconds, nanos) = time.to_unix();
            let waited = now.saturating_sub(Duration::new(seconds, nanos));
            catalog::DECISION_DURATION.record(&[&status], waited);
        }
    }
}

/// Counts a committed transaction of an applier.
pub(crate) fn applied(stream: &str, records: usize, took: Duration) {
    catalog::APPLY_DURATION.record(&[stream], took);
    let records = u64::try_from(records).unwrap_or(u64::MAX);
    catalog::APPLIED_RECORDS.with(&[stream]).add(records);
}

/// Function that records the syncs of a journal.
pub(crate) fn syncs(stream: &str) -> fn(Duration) {
    match stream {
        PostbackStream::NAME => |took| POSTBACK_SYNCS.record(took),
        VERDICTS => |took| VERDICT_SYNCS.record(took),
        _ => |took| CLICK_SYNCS.record(took),
    }
}

impl Counts {
    pub(crate) fn new() -> Self {
        // All series exist from the start: an increase from no value is not seen as one.
        for kind in EventKind::ALL {
            catalog::CONVERSION_EVENTS.with(&[kind.as_str()]);
        }
        for stream in [ClickStream::NAME, PostbackStream::NAME] {
            catalog::APPLY_DURATION.with(&[stream]);
            catalog::APPLIED_RECORDS.with(&[stream]);
        }
        let decided = |reason: &&Reason| reason.is_stored() && reason.status() != Status::Queued;
        for reason in Reason::ALL.iter().filter(decided) {
            let status = reason.status().to_string();
            catalog::VERDICTS.with(&[&status, reason.code()]);
            catalog::DECISION_DURATION.with(&[&status]);
        }
        let redirect = |answer| catalog::REDIRECT_DURATION.with(&[answer]);
        let statuses = [
            Status::Accepted,
            Status::Duplicate,
            Status::Held,
            Status::Rejected,
            Status::Queued,
            Status::Unavailable,
        ];
        let duration = |status: Status| (status, catalog::POSTBACK_DURATION.with(&[&status.to_string()]));
        Self {
            clicks: catalog::CLICKS.with(&[]),
            unrecorded_clicks: catalog::UNRECORDED_CLICKS.with(&[]),
            redirects: Redirects {
                recorded: redirect("recorded"),
                unrecorded: redirect("unrecorded"),
                no_link: redirect("no_link"),
                invalid: redirect("invalid"),
                unavailable: redirect("unavailable"),
            },
            postbacks: Reason::ALL
                .map(|reason| (reason, catalog::POSTBACKS.with(&[reason.code()])))
                .into(),
            postback_durations: statuses.map(duration).into(),
        }
    }

    /// Counts the response to a click.
    pub(crate) fn redirect(&self, status: StatusCode, took: Duration) {
        let histogram = match status {
            StatusCode::FOUND => &self.redirects.recorded,
            StatusCode::TEMPORARY_REDIRECT => &self.redirects.unrecorded,
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => &self.redirects.no_link,
            status if status.is_server_error() => &self.redirects.unavailable,
            _ => &self.redirects.invalid,
        };
        histogram.record(took);
    }

    /// Counts the response to a postback.
    pub(crate) fn postback(&self, reason: Reason, took: Duration) {
        if let Some((_, counter)) = self.postbacks.iter().find(|(counted, _)| *counted == reason) {
            counter.add(1);
        }
        let mut durations = self.postback_durations.iter();
        if let Some((_, histogram)) = durations.find(|(status, _)| *status == reason.status()) {
            histogram.record(took);
        }
    }
}
