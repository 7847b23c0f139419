//! Proof that stored conversions follow from their statements and terms.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Date, Integer, Text};
use diesel_async::RunQueryDsl;
use schema::{ConversionId, NetworkConn, conversion_changes, conversion_proofs, conversions};

use crate::changes::{self, Change};
use crate::conversion::Conversion;
use crate::list;
use crate::outcome::outcome;
use crate::revision::Revision;

/// Number of conversions that are checked at once.
const BATCH: i64 = 2_000;

/// Content of the conversions of a day with their statements and ledger entries, as a number: whatever is altered, it
/// differs. Days whose number was proven need no second proof.
const FINGERPRINTS: &str = "
    WITH rows AS (
        SELECT (converted_at AT TIME ZONE 'UTC')::date AS day, hashtextextended(c::text, 0) AS hash
        FROM conversions c WHERE network_id = $1
        UNION ALL
        SELECT (c.converted_at AT TIME ZONE 'UTC')::date, hashtextextended(h::text, 1)
        FROM conversion_changes h JOIN conversions c ON c.network_id = h.network_id AND c.id = h.conversion_id
        WHERE h.network_id = $1),
    days AS (SELECT day, (count(*)::text || ':' || sum(hash)::text) AS fingerprint FROM rows GROUP BY day)
    SELECT days.day, days.fingerprint FROM days
    LEFT JOIN conversion_proofs p ON p.network_id = $1 AND p.day = days.day
    WHERE p.fingerprint IS DISTINCT FROM days.fingerprint ORDER BY days.day";

#[derive(QueryableByName)]
struct Day {
    #[diesel(sql_type = Date)]
    day: NaiveDate,
    #[diesel(sql_type = Text)]
    fingerprint: String,
}

/// Result of a proof.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// Number of conversions.
    pub conversions: i64,
    /// Conversions that do not follow from their statements and terms, with their differences.
    pub differing: Vec<String>,
}

/// Proves every conversion of the network: its status and sums are those that its statements and terms yield. A day that
/// was proven and has not changed since is not computed again.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn prove(conn: &mut NetworkConn) -> QueryResult<Proof> {
    let network_id = conn.network_id();
    let conversions: i64 = conversions::table
        .filter(conversions::network_id.eq(network_id))
        .count()
        .get_result(&mut **conn)
        .await?;
    let days: Vec<Day> = diesel::sql_query(FINGERPRINTS)
        .bind::<Integer, _>(network_id)
        .load(&mut **conn)
        .await?;
    let (differing, unproven) = differences(conn, &days).await?;
    for day in days.iter().filter(|day| !unproven.contains(&day.day)) {
        diesel::insert_into(conversion_proofs::table)
            .values((
                conversion_proofs::network_id.eq(network_id),
                conversion_proofs::day.eq(day.day),
                conversion_proofs::fingerprint.eq(&day.fingerprint),
            ))
            .on_conflict((conversion_proofs::network_id, conversion_proofs::day))
            .do_update()
            .set(conversion_proofs::fingerprint.eq(&day.fingerprint))
            .execute(&mut **conn)
            .await?;
    }
    Ok(Proof {
        conversions,
        differing,
    })
}

/// Differences of the conversions of these days, and the days that have some.
async fn differences(conn: &mut NetworkConn, days: &[Day]) -> QueryResult<(Vec<String>, HashSet<NaiveDate>)> {
    let network_id = conn.network_id();
    let days: Vec<NaiveDate> = days.iter().map(|day| day.day).collect();
    let (mut differing, mut unproven) = (Vec::new(), HashSet::new());
    if days.is_empty() {
        return Ok((differing, unproven));
    }
    let mut after: Option<ConversionId> = None;
    loop {
        let of_days = sql::<Bool>("(converted_at AT TIME ZONE 'UTC')::date = ANY (")
            .bind::<Array<Date>, _>(days.clone())
            .sql(")");
        let mut query = Conversion::query()
            .filter(conversions::network_id.eq(network_id))
            .filter(of_days)
            .order(conversions::id)
            .limit(BATCH)
            .into_boxed();
        if let Some(after) = after {
            query = query.filter(conversions::id.gt(after));
        }
        let batch: Vec<Conversion> = query.load(&mut **conn).await?;
        let Some(last) = batch.last() else {
            return Ok((differing, unproven));
        };
        after = Some(last.id);
        let ids: Vec<ConversionId> = batch.iter().map(|conversion| conversion.id).collect();
        let changes: Vec<Change> = Change::query()
            .filter(conversion_changes::network_id.eq(network_id))
            .filter(conversion_changes::conversion_id.eq_any(ids))
            .load(&mut **conn)
            .await?;
        let mut histories: HashMap<ConversionId, Vec<Change>> = HashMap::new();
        for change in changes {
            histories.entry(change.conversion_id).or_default().push(change);
        }
        for conversion in batch {
            let (id, day) = (conversion.id, conversion.converted_at.date_naive());
            let history = histories.remove(&id).unwrap_or_default();
            if difference(conversion, history).is_none() {
                continue;
            }
            // It may have changed between the two statements: only what differs while it is locked does differ.
            let Some(conversion) = list::lock(conn, id).await? else {
                continue;
            };
            let history = changes::history(conn, id).await?;
            if let Some(difference) = difference(conversion, history) {
                differing.push(difference);
                unproven.insert(day);
            }
        }
    }
}

/// Difference of a conversion from the state that its statements and terms yield; `None` if they agree.
fn difference(conversion: Conversion, history: Vec<Change>) -> Option<String> {
    let id = conversion.id;
    let revision = match Revision::new(conversion, history) {
        Ok(revision) => revision,
        Err(error) => return Some(format!("{id}: its terms are unreadable: {error}")),
    };
    let stored = revision.before();
    let mut expected = stored.clone();
    outcome(revision.history(), revision.pricing(), stored.currency).apply_to(&mut expected);
    if expected == *stored {
        return None;
    }
    let sums = |conversion: &Conversion| {
        format!(
            "{} {:?} commission {} revenue {} review {:?} hold {:?}",
            conversion.status,
            conversion.amount_micros,
            conversion.commission_micros,
            conversion.revenue_micros,
            conversion.review_because,
            conversion.hold_until
        )
    };
    Some(format!(
        "{id}: stored {}, but its statements yield {}",
        sums(stored),
        sums(&expected)
    ))
}
