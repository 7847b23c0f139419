//! Spans: which part of a network's clicks is closed next, and which blocks become one.

use chrono::{DateTime, Datelike, Months, TimeDelta, Utc};
use schema::clock;

/// Clicks from which on a span is closed within a day: they take a report 30 ms to read one by one.
const WORTHWHILE_CLICKS: i64 = 20_000;
/// Age of the first click from which on a span is closed however few clicks it has.
const OVERDUE: TimeDelta = TimeDelta::hours(24);
/// Clicks from which on a part of a quarter of an hour is closed.
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

/// Returns the end of the next span to close, and its clicks. `quarters` are the quarters of an hour with clicks from
/// `from_at` on, and their clicks. Spans end with a quarter, so that reports may go on with the sums.
pub(super) fn next(
    from_at: DateTime<Utc>,
    quarters: &[(DateTime<Utc>, i64)],
    now: DateTime<Utc>,
) -> Option<(DateTime<Utc>, i64)> {
    let settled = now - SETTLED;
    let this_quarter = clock::quarter_hour(settled);
    let month = end_of_month(from_at);
    let mut clicks = 0;
    let mut until_at = from_at;
    for (quarter, of_quarter) in quarters
        .iter()
        .filter(|(quarter, _)| *quarter < this_quarter && *quarter < month)
    {
        if clicks > 0 && clicks + of_quarter > BLOCK_CLICKS {
            return Some((until_at, clicks));
        }
        clicks += of_quarter;
        until_at = *quarter + TimeDelta::minutes(15);
    }
    if clicks > 0 && (until_at >= month || clicks >= WORTHWHILE_CLICKS || now - from_at >= OVERDUE) {
        return Some((until_at, clicks));
    }
    // A month without further clicks is closed empty, so that spans have no gaps that a late click could fall into.
    if clicks == 0 && month <= this_quarter && quarters.iter().any(|(quarter, _)| *quarter >= month) {
        return Some((month, 0));
    }
    // The rows of a busy quarter before its end. What is open before it goes with it.
    let of_quarter = quarters
        .iter()
        .find(|(quarter, _)| *quarter == this_quarter)
        .map_or(0, |(_, of_quarter)| *of_quarter);
    let minute = settled - TimeDelta::seconds(settled.timestamp().rem_euclid(60));
    let minute = DateTime::from_timestamp(minute.timestamp(), 0)?.min(month);
    if of_quarter >= BUSY_CLICKS && minute > from_at {
        return if clicks > 0 {
            Some((until_at, clicks))
        } else {
            let share = minute - from_at.max(this_quarter);
            let whole = now - this_quarter;
            let clicks = of_quarter * share.num_seconds() / whole.num_seconds().max(1);
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
pub(super) fn merged(blocks: &[Block], at: usize) -> std::ops::RangeInclusive<usize> {
    let Some(last) = blocks.get(at) else {
        return at..=at;
    };
    let is_quarter = |at: DateTime<Utc>| clock::quarter_hour(at) == at;
    let (mut first, mut clicks, mut from_at) = (at, last.clicks, last.from_at);
    while let Some(before) = first.checked_sub(1).and_then(|before| blocks.get(before)) {
        let is_near =
            before.until_at == from_at && end_of_month(before.from_at) == end_of_month(last.from_at);
        let is_small = before.clicks <= 2 * clicks && before.clicks + clicks <= BLOCK_CLICKS;
        // A part of a quarter stays apart from what is before it, so that a report can read them without it.
        let is_apart = is_quarter(from_at) && !is_quarter(last.until_at);
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
        let quarters = |clicks| {
            [
                (at("11-20T08:00"), clicks),
                (at("11-20T09:15"), clicks),
                (at("11-20T11:15"), 7),
            ]
        };
        let next = |clicks, now| next(at("11-20T08:00"), &quarters(clicks), at(now));
        assert_eq!(next(9_000, "11-20T11:29"), None);
        assert_eq!(next(10_000, "11-20T11:29"), Some((at("11-20T09:30"), 20_000)));
        assert_eq!(next(10, "11-21T08:00"), Some((at("11-20T11:30"), 27)));
        assert_eq!(next(300_000, "11-20T11:29"), Some((at("11-20T08:15"), 300_000)));
    }

    #[test]
    fn a_span_ends_with_its_month() {
        let quarters = [(at("10-31T23:45"), 30_000), (at("11-01T00:00"), 30_000)];
        let closed = next(at("10-31T23:45"), &quarters, at("11-02T00:00"));
        assert_eq!(closed, Some((at("11-01T00:00"), 30_000)));
    }

    #[test]
    fn the_rest_of_a_month_without_clicks_is_closed_before_the_next() {
        let quarters = [(at("11-20T08:00"), 30_000)];
        let next = |from| next(at(from), &quarters, at("11-20T12:00"));
        assert_eq!(next("09-20T08:00"), Some((at("10-01T00:00"), 0)));
        assert_eq!(next("10-01T00:00"), Some((at("11-01T00:00"), 0)));
        assert_eq!(next("11-01T00:00"), Some((at("11-20T08:15"), 30_000)));
    }

    #[test]
    fn a_busy_quarter_is_closed_in_parts() {
        let quarters = [(at("11-20T08:00"), 500_000)];
        let closed = next(at("11-20T08:00"), &quarters, at("11-20T08:10"));
        assert_eq!(closed.map(|(until, _)| until), Some(at("11-20T08:09")));
        let closed = next(at("11-20T08:09"), &quarters, at("11-20T08:10"));
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
        assert_eq!(merged(&blocks, 3), 0..=3);
        assert_eq!(merged(&blocks, 1), 1..=1);
        let mut blocks = blocks;
        blocks[1].is_sealed = true;
        assert_eq!(merged(&blocks, 3), 2..=3);
        blocks[3].until_at = at("11-20T12:41");
        assert_eq!(merged(&blocks, 3), 3..=3);
    }
}
