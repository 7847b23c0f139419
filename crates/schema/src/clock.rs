//! The only place that reads the wall clock.
//!
//! Functions below a handler take the time as a parameter, so that tests and the history of the demo can set it.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, SubsecRound, TimeZone, Utc};
use chrono_tz::Tz;

/// Returns the current time, truncated to microseconds as Postgres stores it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the only place that reads the clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// Returns the first instant of a day in this time zone: after the jump if clocks skip midnight.
#[must_use]
pub fn start_of_day(day: NaiveDate, time_zone: Tz) -> DateTime<Utc> {
    (0..24)
        .filter_map(|hour| day.and_hms_opt(hour, 0, 0))
        .find_map(|local| time_zone.from_local_datetime(&local).earliest())
        .map_or_else(
            || day.and_time(NaiveTime::MIN).and_utc(),
            |start| start.with_timezone(&Utc),
        )
}

/// Returns the time since 1970, for numbering time windows.
#[must_use]
pub fn since_epoch(at: DateTime<Utc>) -> Duration {
    Duration::from_micros(u64::try_from(at.timestamp_micros()).unwrap_or(0))
}
