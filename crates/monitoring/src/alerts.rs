//! Alerts: advertisers whose postbacks stopped, or are rejected much more often than before. Every few minutes the
//! rollups and the rejected postbacks are checked; alerts are shown on the dashboard, and mailed once to the members
//! who can act.

mod activity;
mod alert;
mod check;
mod notify;
mod rules;

pub use alert::{Alert, AlertFilter, AlertKind, acknowledge, find, list};
pub use notify::{keep_watch, watch};
pub use rules::Finding;
