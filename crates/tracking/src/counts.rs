//! Metrics of clicks, postbacks and conversions for Prometheus.

use metrics::{Counter, counter, describe_counter};

use conversions::{Event, EventKind};
use postbacks::Reason;

/// Handles of counters, so that counting costs one addition.
#[derive(Clone)]
pub(crate) struct Counts {
    pub(crate) clicks: Counter,
    pub(crate) unrecorded_clicks: Counter,
    postbacks: Vec<(Reason, Counter)>,
}

/// Counts committed events of conversions, by kind.
pub(crate) fn events(events: &[Event]) {
    for kind in EventKind::ALL {
        let count = events.iter().filter(|event| event.kind == *kind).count();
        if count > 0 {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            counter!("clickledger_conversion_events_total", "kind" => kind.as_str()).increment(count);
        }
    }
}

impl Counts {
    pub(crate) fn new() -> Self {
        describe_counter!("clickledger_clicks_total", "Journaled and redirected clicks.");
        describe_counter!(
            "clickledger_unrecorded_clicks_total",
            "Clicks that could not be journaled because the disk is full or failing. Alert on any increase."
        );
        describe_counter!(
            "clickledger_postbacks_total",
            "Postbacks by reason of the response."
        );
        describe_counter!(
            "clickledger_conversion_events_total",
            "Conversion events by kind."
        );
        let of_reason = |reason: Reason| {
            (
                reason,
                counter!("clickledger_postbacks_total", "reason" => reason.code()),
            )
        };
        Self {
            clicks: counter!("clickledger_clicks_total"),
            unrecorded_clicks: counter!("clickledger_unrecorded_clicks_total"),
            postbacks: Reason::ALL.map(of_reason).into(),
        }
    }

    pub(crate) fn postback(&self, reason: Reason) {
        if let Some((_, counter)) = self.postbacks.iter().find(|(counted, _)| *counted == reason) {
            counter.increment(1);
        }
    }
}
