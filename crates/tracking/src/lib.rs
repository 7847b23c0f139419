//! What happened: clicks and postbacks taken in, attributed, decided and stored with their money and their sums.
//!
//! A click is walked in [`intake`]`::clicks`, a postback in [`intake`]`::postbacks`. [`click_id`] and [`decide`] are
//! pure; the other modules are one per table.

pub mod click_id;
mod click_writer;
pub mod clicks;
pub mod conversions;
pub mod decide;
pub mod intake;
pub mod ledger;
pub mod postbacks;
mod redaction;
mod rollups;
mod tracker;
pub mod verdict;

pub use click_id::{ClickId, ClickIds};
pub use tracker::{InboundCall, Tracker, TrackerSettings};
pub use verdict::{Reason, Verdict};
