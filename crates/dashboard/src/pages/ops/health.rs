//! Health of all nodes, for operators: journals, alarms, background work, and quarantined records.

use actix_web::web;
use askama::Template;
use chrono::{DateTime, Utc};
use monitoring::quarantine::{self, QuarantinedRecord};
use schema::clock;
use tenancy::work::WorkState;
use tracking::health::{Alarm, Health, JournalHealth};
use tracking::nodes::{self, Node};
use uuid::Uuid;

use crate::auth::SignedIn;
use crate::format;
use crate::forms::PostedForm;
use crate::shell::{PageResult, Shell, done, html};

/// Maximum number of quarantined records on the page.
const ROWS: i64 = 50;

/// `GET /ops/node`
pub(super) async fn show(user: SignedIn) -> PageResult {
    let db = &user.request.dashboard.db;
    let quarantined = quarantine::count(db).await?;
    let newest = quarantine::newest(db, ROWS).await?;
    let nodes = nodes::list(db).await?;
    let now = clock::now();
    let own = user.request.dashboard.tracker.node_id();
    let mut shown = vec![NodeView::own(&user.request.dashboard.tracker.health())];
    for node in nodes.iter().filter(|node| node.id != own) {
        shown.push(NodeView::other(node, now));
    }
    html(&Show {
        shell: user.operator_shell("Health", "Health"),
        nodes: shown,
        quarantined: format::count(quarantined),
        rows: newest.into_iter().map(QuarantineRow::new).collect(),
    })
}

/// `POST /ops/node/{id}/forget`
pub(super) async fn forget(user: SignedIn, path: web::Path<Uuid>, _: PostedForm) -> PageResult {
    nodes::forget(&user.request.dashboard.db, path.into_inner()).await?;
    done("/ops/node", "The node was forgotten.")
}

/// Node on the page.
struct NodeView {
    /// Identity in the form that forgets it; `None` if it is not lost.
    lost: Option<Uuid>,
    heading: String,
    seen: String,
    badge: &'static str,
    state: &'static str,
    alarms: Vec<Alarm>,
    journals: Vec<JournalRow>,
    work: Vec<WorkRow>,
}

impl NodeView {
    fn own(health: &Health) -> Self {
        Self {
            heading: "This node".to_owned(),
            ..Self::of(health)
        }
    }

    fn other(node: &Node, now: DateTime<Utc>) -> Self {
        let view = node.health().as_ref().map_or_else(Self::unreadable, Self::of);
        let view = Self {
            heading: node.name.clone(),
            seen: format!(
                "Version {}, started {}, last seen {}.",
                node.version,
                format::minute(node.started_at),
                format::minute(node.seen_at)
            ),
            ..view
        };
        if !node.is_lost(now) {
            return view;
        }
        Self {
            lost: Some(node.id),
            badge: "rejected",
            state: "lost",
            ..view
        }
    }

    fn of(health: &Health) -> Self {
        let (badge, state) = match (health.draining, health.ready) {
            (true, _) => ("paused", "draining"),
            (false, true) => ("ok", "ready"),
            (false, false) => ("rejected", "not ready"),
        };
        Self {
            lost: None,
            heading: String::new(),
            seen: String::new(),
            badge,
            state,
            alarms: health.alarms.clone(),
            journals: health.journals.iter().map(JournalRow::new).collect(),
            work: health.work.iter().map(WorkRow::new).collect(),
        }
    }

    fn unreadable() -> Self {
        Self {
            lost: None,
            heading: String::new(),
            seen: String::new(),
            badge: "paused",
            state: "another release",
            alarms: Vec::new(),
            journals: Vec::new(),
            work: Vec::new(),
        }
    }
}

/// Background work on the page.
struct WorkRow {
    work: String,
    ran: String,
    done: String,
    failure: Option<String>,
}

impl WorkRow {
    fn new(state: &WorkState) -> Self {
        let failure = state.failure.as_ref().zip(state.failed_at);
        Self {
            work: state.work.clone(),
            ran: state.ran_at.map_or("—".to_owned(), format::minute),
            done: count(state.done),
            failure: failure
                .filter(|_| state.is_failing())
                .map(|(reason, at)| format!("{}: {reason}", format::minute(at))),
        }
    }
}

struct JournalRow {
    stream: String,
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
            stream: journal.stream.to_string(),
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

impl QuarantineRow {
    fn new(aside: QuarantinedRecord) -> Self {
        Self {
            at: format::minute(aside.quarantined_at),
            journal: aside.journal.to_string(),
            seq: aside.seq,
            reason: aside.reason,
        }
    }
}

#[derive(Template)]
#[template(path = "ops/health/show.html")]
struct Show {
    shell: Shell,
    nodes: Vec<NodeView>,
    quarantined: String,
    rows: Vec<QuarantineRow>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> JournalHealth {
        JournalHealth {
            stream: "clicks".into(),
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
        let show = Show {
            shell: Shell::sample("Health"),
            nodes: vec![NodeView::own(&health)],
            quarantined: "0".to_owned(),
            rows: Vec::new(),
        };
        show.render().unwrap()
    }

    #[test]
    fn a_node_in_trouble_shows_its_alarms_as_sentences() {
        let late = Alarm {
            name: "journal_late".into(),
            message: "The oldest <of the clicks> is 42 s old.".to_owned(),
        };
        let health = Health {
            ready: false,
            draining: false,
            journals: vec![journal()],
            alarms: vec![late],
            work: vec![WorkState {
                work: "report files".to_owned(),
                failed_at: Some(clock::now()),
                failure: Some("no <space>".to_owned()),
                ..WorkState::default()
            }],
        };
        let page = shown(health.clone());
        assert!(page.contains("not ready") && !page.contains("No alarms."));
        assert!(page.contains("The oldest &#60;of the clicks&#62; is 42 s old."));
        for cell in ["12,384", ">4<", "42.0 s", "17 %", "3 ms", ": no &#60;space&#62;"] {
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
