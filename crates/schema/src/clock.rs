//! The one place that reads the wall clock.
//!
//! Everything below a handler takes the time as a parameter, so that tests and the demo's history can choose it.

use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};

/// The current time, cut to the microseconds that Postgres keeps.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one home of the clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// A time as what has passed since 1970, for counting windows.
#[must_use]
pub fn since_epoch(at: DateTime<Utc>) -> Duration {
    Duration::from_micros(u64::try_from(at.timestamp_micros()).unwrap_or(0))
}
