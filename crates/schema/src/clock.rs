//! The one place that reads the wall clock.
//!
//! Everything below a handler takes the time as a parameter, so that tests and the demo's history can choose it.

use chrono::{DateTime, SubsecRound, Utc};

/// The current time, cut to the microseconds that Postgres keeps.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one home of the clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
