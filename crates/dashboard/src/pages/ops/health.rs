//! Health of this node, for operators: its journals, alarms, and quarantined records.

use askama::Template;
use monitoring::quarantine::{self, QuarantinedRecord};
use tracking::health::{Alarm, Health, JournalHealth};

use crate::auth::SignedIn;
use crate::format;
use crate::shell::{PageResult, html};

/// Maximum number of quarantined records on the page.
const ROWS: i64 = 50;

/// `GET /ops/node`
pub(super) async fn show(user: SignedIn) -> PageResult {
    let count = quarantine::count(&user.request.dashboard.db).await?;
    let newest = quarantine::newest(&user.request.dashboard.db, ROWS).await?;
    let (theme, person) = (user.request.theme(), user.person.name.clone());
    html(&Show::new(
        theme,
        person,
        user.request.dashboard.tracker.health(),
        count,
        newest,
    ))
}

struct JournalRow {
    stream: &'static str,
    records: String,
    unapplied: String,
    oldest: String,
    room: String,
    sync: String,
}

impl JournalRow {
    fn new(journal: &JournalHealth) -> Self {
        let unapplied = journal.next.saturating_sub(journal.applied);
        let oldest = match unapplied {
            0 => "—".to_owned(),
            _ => seconds(journal.oldest_unapplied_seconds),
        };
        Self {
            stream: journal.stream,
            records: count(journal.next),
            unapplied: count(unapplied),
            oldest,
            room: format!("{:.0} %", journal.free * 100.0),
            sync: seconds(journal.sync_p99_seconds),
        }
    }
}

fn count(number: u64) -> String {
    format::count(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Duration as text; in minutes from two minutes on.
fn seconds(seconds: f64) -> String {
    match seconds {
        ..120.0 => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "below two minutes in microseconds"
            )]
            let micros = (seconds * 1e6).round() as i32;
            format::duration(micros)
        }
        _ => format!("{:.0} min", seconds / 60.0),
    }
}

struct QuarantineRow {
    at: String,
    journal: String,
    seq: i64,
    reason: String,
}

#[derive(Template)]
#[template(path = "ops/health/show.html")]
struct Show {
    theme: &'static str,
    person: String,
    badge: &'static str,
    state: &'static str,
    alarms: Vec<Alarm>,
    journals: Vec<JournalRow>,
    quarantined: String,
    rows: Vec<QuarantineRow>,
}

impl Show {
    fn new(
        theme: &'static str,
        person: String,
        health: Health,
        quarantined: i64,
        newest: Vec<QuarantinedRecord>,
    ) -> Self {
        let (badge, state) = match (health.draining, health.ready) {
            (true, _) => ("paused", "draining"),
            (false, true) => ("ok", "ready"),
            (false, false) => ("rejected", "not ready"),
        };
        let rows = newest.into_iter().map(|aside| QuarantineRow {
            at: format::minute(aside.quarantined_at),
            journal: aside.journal.to_string(),
            seq: aside.seq,
            reason: aside.reason,
        });
        Self {
            theme,
            person,
            badge,
            state,
            journals: health.journals.iter().map(JournalRow::new).collect(),
            alarms: health.alarms,
            quarantined: format::count(quarantined),
            rows: rows.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> JournalHealth {
        JournalHealth {
            stream: "clicks",
            next: 12_384,
            applied: 12_380,
            oldest_unapplied_seconds: 42.0,
            free: 0.17,
            bytes: 0,
            sync_p99_seconds: 0.0034,
            refused: 0,
            damaged: 0,
            failing: false,
        }
    }

    fn shown(health: Health) -> String {
        Show::new("light", "Olga".to_owned(), health, 0, Vec::new())
            .render()
            .unwrap()
    }

    #[test]
    fn a_node_in_trouble_shows_its_alarms_as_sentences() {
        let late = Alarm {
            name: "journal_late",
            message: "The oldest <of the clicks> is 42 s old.".to_owned(),
        };
        let health = Health {
            ready: false,
            draining: false,
            journals: vec![journal()],
            alarms: vec![late],
        };
        let page = shown(health.clone());
        assert!(page.contains("not ready") && !page.contains("No alarms."));
        assert!(page.contains("The oldest &#60;of the clicks&#62; is 42 s old."));
        for cell in ["12,384", ">4<", "42.0 s", "17 %", "3 ms"] {
            assert!(page.contains(cell), "{cell}");
        }
        let draining = shown(Health {
            draining: true,
            ..health
        });
        assert!(draining.contains(">draining<") && !draining.contains("not ready"));
    }

    #[test]
    fn ages_have_a_fitting_unit() {
        for (age, text) in [(0.000_4, "400 µs"), (119.9, "119.9 s"), (7_200.0, "120 min")] {
            assert_eq!(seconds(age), text);
        }
    }
}
