//! Tracking: tracking hosts, clicks, journals, and the appliers that copy the journals into Postgres.
//!
//! [`intake`]`::clicks` receives clicks and [`intake`]`::postbacks` postbacks; both write to a journal, and `ingest`
//! applies the journals.

pub mod blocks;
mod caps;
mod click_record;
pub mod clicks;
mod counts;
pub mod entering;
pub mod health;
mod ingest;
pub mod intake;
mod journals;
pub mod nodes;
mod settings;
pub mod simulation;
mod tracker;
mod visits;
mod waiting;

pub use click_record::ClickRecord;
pub use journals::{ApplyJournalsError, apply_journals};
pub use settings::{JournalSettings, Proxies, StorageSettings, TrackerSettings, WhenDiskFails};
pub use tracker::{Intake, StartError, Tracker};
pub use visitors::{Places, PlacesError};
pub use visits::VisitsError;
