//! Spans: which part of a network's clicks is closed next, and which blocks become one.

use chrono::{DateTime, Datelike, Months, TimeDelta, Utc};
use chrono_tz::Tz;
use schema::clock;

/// Clicks from which on a span is closed within a day: they take a report 30 ms to read one by one.
const WORTHWHILE_CLICKS: i64 = 20_000;
/// Age of the first click from which on a span is closed however few clicks it has.
const OVERDUE: TimeDelta = TimeDelta::hours(24);
/// Clicks from which on a part of an hour is closed.
const BUSY_CLICKS: i64 = 100_000;
/// Clicks of a block, beyond which it is not merged.
pub(super) const BLOCK_CLICKS: i64 = 500_000;
/// Age of a click by which it has arrived, unless its node is behind. A later click costs no more than a second build.
const SETTLED: TimeDelta = TimeDelta::seconds(20);

/// Closed span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) from_at: DateTime<Utc>,
    pub(super) until_at: DateTime<Utc>,
    pub(super) clicks: i64,
    pub(super) is_sealed: bool,
}

/// Returns the end of the next span to close, and its clicks. `hours` are the hours with clicks from `from_at` on, on the
/// network's clock, and their clicks. Spans end with an hour, so that reports may go on with the sums per hour.
pub(super) fn next(
    from_at: DateTime<Utc>,
    hours: &[(DateTime<Utc>, i64)],
    zone: Tz,
    now: DateTime<Utc>,
) -> Option<(DateTime<Utc>, i64)> {
    let settled = now - SETTLED;
    let this_hour = clock::start_of_hour(settled, zone);
    let month = end_of_month(from_at);
    let mut clicks = 0;
    let mut until_at = from_at;
    for (hour, of_hour) in hours
        .iter()
        .filter(|(hour, _)| *hour < this_hour && *hour < month)
    {
        if clicks > 0 && clicks + of_hour > BLOCK_CLICKS {
            return Some((until_at, clicks));
        }
        clicks += of_hour;
        until_at = (*hour + TimeDelta::hours(1)).min(month);
    }
    if clicks > 0 && (until_at >= month || clicks >= WORTHWHILE_CLICKS || now - from_at >= OVERDUE) {
        return Some((until_at, clicks));
    }
    // A month without further clicks is closed empty, so that spans have no gaps that a late click could fall into.
    if clicks == 0 && month <= this_hour && hours.iter().any(|(hour, _)| *hour >= month) {
        return Some((month, 0));
    }
    // The rows of a busy hour before its end. What is open before it goes with it.
    let of_hour = hours
        .iter()
        .find(|(hour, _)| *hour == this_hour)
        .map_or(0, |(_, of_hour)| *of_hour);
    let minute = settled - TimeDelta::seconds(settled.timestamp().rem_euclid(60));
    let minute = DateTime::from_timestamp(minute.timestamp(), 0)?.min(month);
    if of_hour >= BUSY_CLICKS && minute > from_at {
        return if clicks > 0 {
            Some((until_at, clicks))
        } else {
            let share = minute - from_at.max(this_hour);
            let whole = now - this_hour;
            let clicks = of_hour * share.num_seconds() / whole.num_seconds().max(1);
            (clicks >= BUSY_CLICKS).then_some((minute, clicks))
        };
    }
    None
}

/// First instant after the month of a time (UTC), by which clicks are dropped.
fn end_of_month(at: DateTime<Utc>) -> DateTime<Utc> {
    let first = at.date_naive().with_day(1).unwrap_or(at.date_naive());
    let next = first.checked_add_months(Months::new(1)).unwrap_or(first);
    next.and_time(chrono::NaiveTime::MIN).and_utc()
}

/// Returns the blocks that become one with the block at `at`, as a range: those before it that are not much larger. So a click is
/// encoded a few times, and a network has few blocks.
pub(super) fn merged(blocks: &[Block], at: usize, zone: Tz) -> std::ops::RangeInclusive<usize> {
    let Some(last) = blocks.get(at) else {
        return at..=at;
    };
    let is_full_hour = |at: DateTime<Utc>| clock::start_of_hour(at, zone) == at;
    let (mut first, mut clicks, mut from_at) = (at, last.clicks, last.from_at);
    while let Some(before) = first.checked_sub(1).and_then(|before| blocks.get(before)) {
        let is_near =
            before.until_at == from_at && end_of_month(before.from_at) == end_of_month(last.from_at);
        let is_small = before.clicks <= 2 * clicks && before.clicks + clicks <= BLOCK_CLICKS;
        // A part of an hour stays apart from the hours before it, so that a report can read them without it.
        let is_apart = is_full_hour(from_at) && !is_full_hour(last.until_at);
        if before.is_sealed || !is_near || !is_small || is_apart {
            break;
        }
        first -= 1;
        clicks += before.clicks;
        from_at = before.from_at;
    }
    first..=at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        format!("2026-{text}:00Z").parse().unwrap()
    }

    fn block(from: &str, until: &str, clicks: i64) -> Block {
        Block {
            from_at: at(from),
            until_at: at(until),
            clicks,
            is_sealed: false,
        }
    }

    #[test]
    fn a_span_is_closed_when_it_is_worthwhile_or_a_day_old() {
        let hours = |clicks| {
            [
                (at("11-20T08:00"), clicks),
                (at("11-20T09:00"), clicks),
                (at("11-20T11:00"), 7),
            ]
        };
        let next = |clicks, now| next(at("11-20T08:00"), &hours(clicks), Tz::UTC, at(now));
        assert_eq!(next(9_000, "11-20T11:30"), None);
        assert_eq!(next(10_000, "11-20T11:30"), Some((at("11-20T10:00"), 20_000)));
        assert_eq!(next(10, "11-21T08:00"), Some((at("11-20T12:00"), 27)));
        assert_eq!(next(300_000, "11-20T11:30"), Some((at("11-20T09:00"), 300_000)));
    }

    #[test]
    fn a_span_ends_with_its_month() {
        let hours = [(at("10-31T23:00"), 30_000), (at("11-01T00:00"), 30_000)];
        let closed = next(at("10-31T23:00"), &hours, Tz::UTC, at("11-02T00:00"));
        assert_eq!(closed, Some((at("11-01T00:00"), 30_000)));
        // The hour of this network's clock contains the end of the month (UTC).
        let hours = [(at("10-31T23:30"), 30_000)];
        let closed = next(at("10-31T23:30"), &hours, Tz::Asia__Kolkata, at("11-02T00:00"));
        assert_eq!(closed, Some((at("11-01T00:00"), 30_000)));
    }

    #[test]
    fn the_rest_of_a_month_without_clicks_is_closed_before_the_next() {
        let hours = [(at("11-20T08:00"), 30_000)];
        let next = |from| next(at(from), &hours, Tz::UTC, at("11-20T12:00"));
        assert_eq!(next("09-20T08:00"), Some((at("10-01T00:00"), 0)));
        assert_eq!(next("10-01T00:00"), Some((at("11-01T00:00"), 0)));
        assert_eq!(next("11-01T00:00"), Some((at("11-20T09:00"), 30_000)));
    }

    #[test]
    fn a_busy_hour_is_closed_in_parts() {
        let hours = [(at("11-20T08:00"), 500_000)];
        let closed = next(at("11-20T08:00"), &hours, Tz::UTC, at("11-20T08:30"));
        assert_eq!(closed.map(|(until, _)| until), Some(at("11-20T08:29")));
        let closed = next(at("11-20T08:29"), &hours, Tz::UTC, at("11-20T08:30"));
        assert_eq!(closed, None);
    }

    #[test]
    fn small_neighbours_become_one_block() {
        let blocks = [
            block("11-18T00:00", "11-19T00:00", 90_000),
            block("11-19T00:00", "11-20T00:00", 30_000),
            block("11-20T00:00", "11-20T12:00", 20_000),
            block("11-20T12:00", "11-20T13:00", 20_000),
        ];
        assert_eq!(merged(&blocks, 3, Tz::UTC), 0..=3);
        assert_eq!(merged(&blocks, 1, Tz::UTC), 1..=1);
        let mut blocks = blocks;
        blocks[1].is_sealed = true;
        assert_eq!(merged(&blocks, 3, Tz::UTC), 2..=3);
        blocks[3].until_at = at("11-20T12:41");
        assert_eq!(merged(&blocks, 3, Tz::UTC), 3..=3);
    }
}
