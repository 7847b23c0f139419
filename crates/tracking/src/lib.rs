//! What happened: clicks and postbacks taken in, attributed, decided and stored with their money and their sums.
//!
//! A click is walked in [`intake`]`::clicks`, a postback in [`intake`]`::postbacks`; both end in a journal, and `ingest`
//! brings them from there into Postgres. [`click_id`] and [`decide`] are pure; the other modules are one per table.

pub mod alerts;
mod attribution;
mod caps;
pub mod changes;
pub mod click_id;
mod click_record;
pub mod clicks;
pub mod condition;
pub mod conversions;
mod counts;
pub mod decide;
mod ingest;
pub mod intake;
mod journals;
mod judge;
pub mod ladder;
pub mod ledger;
mod postback_record;
pub mod postbacks;
pub mod pricing;
pub mod quarantine;
mod redaction;
pub mod replays;
mod rollups;
mod settings;
pub mod signature;
pub mod trace;
mod tracker;
pub mod verdict;
pub mod verify;
mod visits;
mod waiting;

pub use click_id::{ClickId, ClickIds};
pub use settings::{JournalSettings, Proxies, StorageSettings, TrackerSettings, WhenDiskFails};
pub use tracker::{InboundCall, Intake, StartError, Tracker};
pub use verdict::{Reason, Verdict};
pub use visits::VisitsError;
