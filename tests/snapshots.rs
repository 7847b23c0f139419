//! Snapshots of everything people and programs read: pages, API responses, verdicts with their traces, mails, CSV files.
//!
//! A change of wording or layout is one diff of `tests/snapshots/`. Accept it with plain cargo, and review the diff:
//! `INSTA_UPDATE=always cargo nextest run -p server --test snapshots`.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first unexpected value"
)]

#[path = "snapshots/api.rs"]
mod api;
#[path = "snapshots/files.rs"]
mod files;
#[path = "snapshots/fixture.rs"]
mod fixture;
#[path = "snapshots/forms.rs"]
mod forms;
#[path = "snapshots/html.rs"]
mod html;
#[path = "snapshots/mails.rs"]
mod mails;
#[path = "snapshots/pages.rs"]
mod pages;
#[path = "snapshots/recorder.rs"]
mod recorder;
#[path = "snapshots/redaction.rs"]
mod redaction;
#[path = "snapshots/sent_reports.rs"]
mod sent_reports;
#[path = "snapshots/states.rs"]
mod states;
#[path = "snapshots/verdicts.rs"]
mod verdicts;
#[path = "snapshots/visitors.rs"]
mod visitors;
