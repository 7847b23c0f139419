//! The only place that reads the wall clock.
//!
//! Functions below a handler take the time as a parameter, so that tests and the history of the demo can set it.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, SubsecRound, TimeDelta, TimeZone, Utc};
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

/// The start of the quarter of an hour, by which sums are stored: the offsets of all time zones are multiples of it.
#[must_use]
pub fn quarter_hour(at: DateTime<Utc>) -> DateTime<Utc> {
    at - TimeDelta::nanoseconds(at.timestamp_subsec_nanos().into())
        - TimeDelta::seconds(at.timestamp().rem_euclid(900))
}

/// A duration in words: `3 days`, `2 h 5 min`, `12 s`.
#[must_use]
pub fn in_words(duration: TimeDelta) -> String {
    match (duration.num_days(), duration.num_hours(), duration.num_minutes()) {
        (days @ 2.., _, _) => format!("{days} days"),
        (_, hours @ 1.., minutes) => format!("{hours} h {} min", minutes % 60),
        (_, _, minutes @ 1..) => format!("{minutes} min"),
        _ => format!("{} s", duration.num_seconds()),
    }
}
