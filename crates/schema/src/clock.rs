//! The one place that reads the wall clock.
//!
//! Everything below a handler takes the time as a parameter, so that tests and the demo's history can choose it.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, SubsecRound, TimeZone, Utc};
use chrono_tz::Tz;

/// The current time, cut to the microseconds that Postgres keeps.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one home of the clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// The first instant of a day on this clock. Where clocks jump over midnight, the day starts after the jump.
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

/// A time as what has passed since 1970, for counting windows.
#[must_use]
pub fn since_epoch(at: DateTime<Utc>) -> Duration {
    Duration::from_micros(u64::try_from(at.timestamp_micros()).unwrap_or(0))
}
