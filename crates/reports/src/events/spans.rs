//! Sums of conversions by spans of time, kept while the spans do not change: a page that is open all day reads only what is
//! new.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer};
use diesel_async::RunQueryDsl;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use schema::{NetworkConn, NetworkId};

use super::Events;
use crate::ReportError;
use crate::blocks::Interval;
use crate::groups::{Conversions, Groups};

/// Seconds of a span, as in `conversion_spans`.
pub(super) const SPAN: i64 = 6 * 3600;
/// Memory of all kept sums, in groups.
const KEPT_GROUPS: u64 = 300_000;

/// Groups of a span: their values and conversions.
type Sums = Vec<(Vec<Arc<str>>, Conversions)>;
/// Network, span and its version, and the question.
type SumsKey = (NetworkId, i64, i64, Arc<str>);

#[derive(Clone)]
struct GroupsOfSpan;

impl Weighter<SumsKey, Arc<Sums>> for GroupsOfSpan {
    fn weight(&self, _: &SumsKey, sums: &Arc<Sums>) -> u64 {
        sums.len() as u64 + 1
    }
}

/// Sums of spans for the questions that were asked, in bounded space.
pub(crate) struct SpanCache(Cache<SumsKey, Arc<Sums>, GroupsOfSpan>);

impl SpanCache {
    pub(crate) fn new() -> Self {
        Self(Cache::with_weighter(50_000, KEPT_GROUPS, GroupsOfSpan))
    }
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Integer)]
    span: i32,
    #[diesel(sql_type = BigInt)]
    version: i64,
}

impl Events<'_> {
    /// Adds the conversions of the period, those of unchanged spans from memory.
    pub(super) async fn add_spans(
        &self,
        conn: &mut NetworkConn,
        cache: &SpanCache,
        question: &Arc<str>,
        is_summed: bool,
        groups: &mut Groups,
    ) -> Result<(), ReportError> {
        let network_id = conn.network_id();
        let (from, to) = (self.plan.from, self.plan.to);
        let first = from.timestamp().div_euclid(SPAN) + i64::from(from.timestamp().rem_euclid(SPAN) > 0);
        let last = to.timestamp().div_euclid(SPAN).max(first);
        // Before the sums: what changes in between is read again the next time.
        let versions = versions(conn, first, last).await?;
        let key = |span: i64| {
            let version = versions.get(&span).copied().unwrap_or_default();
            (network_id, span, version, question.clone())
        };
        let mut missing = Vec::new();
        for span in first..last {
            match cache.0.get(&key(span)) {
                Some(sums) => {
                    for (values, conversions) in &*sums {
                        let key = self.keys.key(values).ok_or(ReportError::TooLarge)?;
                        groups.add_conversions(key, conversions);
                    }
                }
                None => missing.push(span),
            }
        }
        let mut found: HashMap<i64, Sums> = missing.iter().map(|span| (*span, Sums::new())).collect();
        for interval in intervals((from, to), (first, last), &missing) {
            for (span, key, conversions) in self.conversions_of(conn, interval, is_summed).await? {
                groups.add_conversions(key, &conversions);
                if let Some(sums) = found.get_mut(&span) {
                    sums.push((self.keys.texts_of(key), conversions));
                }
            }
        }
        for (span, sums) in found {
            cache.0.insert(key(span), Arc::new(sums));
        }
        Ok(())
    }
}

async fn versions(conn: &mut NetworkConn, first: i64, last: i64) -> QueryResult<BTreeMap<i64, i64>> {
    let versions: Vec<Version> = diesel::sql_query(
        "SELECT span, sum(version)::bigint AS version FROM conversion_spans
         WHERE network_id = $1 AND span >= $2 AND span < $3 GROUP BY span",
    )
    .bind::<Integer, _>(conn.network_id())
    .bind::<BigInt, _>(first)
    .bind::<BigInt, _>(last)
    .load(&mut **conn)
    .await?;
    Ok(versions
        .into_iter()
        .map(|found| (found.span.into(), found.version))
        .collect())
}

/// Intervals to read: the ends of the period beside its whole spans, and the missing spans, neighbours together.
fn intervals((from, to): Interval, (first, last): (i64, i64), missing: &[i64]) -> Vec<Interval> {
    let start = |span: i64| DateTime::from_timestamp(span * SPAN, 0).unwrap_or(DateTime::UNIX_EPOCH);
    let mut bounds: Vec<(DateTime<Utc>, DateTime<Utc>)> = vec![(from, start(first).min(to))];
    bounds.extend(missing.iter().map(|span| (start(*span), start(span + 1))));
    bounds.push((start(last).max(from), to));
    let mut intervals: Vec<Interval> = Vec::new();
    for (from, to) in bounds.into_iter().filter(|(from, to)| from < to) {
        match intervals.last_mut() {
            Some((_, end)) if *end >= from => *end = to.max(*end),
            _ => intervals.push((from, to)),
        }
    }
    intervals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_spans_and_the_ends_of_the_period_are_read() {
        let at = |hours: i64| DateTime::from_timestamp(hours * 3600, 0).unwrap();
        let read = |from: i64, to: i64, spans: (i64, i64), missing: &[i64]| {
            let found = intervals((at(from), at(to)), spans, missing);
            let hours = |(from, to): Interval| (from.timestamp() / 3600, to.timestamp() / 3600);
            found.into_iter().map(hours).collect::<Vec<_>>()
        };
        assert_eq!(read(5, 49, (1, 8), &[]), [(5, 6), (48, 49)]);
        assert_eq!(read(5, 49, (1, 8), &[1, 3, 4]), [(5, 12), (18, 30), (48, 49)]);
        assert_eq!(read(6, 48, (1, 8), &[7]), [(42, 48)]);
        assert_eq!(read(7, 11, (2, 2), &[]), [(7, 11)]);
        assert_eq!(read(7, 13, (2, 2), &[]), [(7, 13)]);
    }
}
