//! Reference rates of the installation, and the progress of the task that fetches them.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use schema::{Currency, reference_rate_fetches};

use super::network::{COLUMNS, NEEDED, NewRate, draft};
use super::per_euro::{PerEuro, RateSource};
use crate::error::ChangeError;
use crate::table::Table;

/// Time after a failed or interrupted fetch until the next one.
const RETRY_DELAY: TimeDelta = TimeDelta::hours(1);
/// Longest stored problem, in characters.
const MAX_PROBLEM: usize = 300;

/// Rate of a currency from a day on, for all networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReferenceRate {
    /// First day of the rate.
    pub day: NaiveDate,
    /// Currency of the rate.
    pub currency: Currency,
    /// Value of one euro.
    pub per_euro: PerEuro,
}

/// Reads rates from CSV with the columns `currency`, `day` and `rate`.
///
/// # Errors
/// [`ChangeError::Fields`] if the text is not such a file, or for its first invalid row.
pub fn parse_csv(text: &str, today: NaiveDate) -> Result<Vec<ReferenceRate>, ChangeError> {
    let table = Table::read(text, &COLUMNS, &NEEDED)?;
    let rates = table.rows().map(|cells| {
        let checked = NewRate::checked(draft(&cells), today);
        let rate =
            checked.map_err(|error| ChangeError::field("csv", format!("Line {}: {error}", cells.line())))?;
        Ok(ReferenceRate {
            day: rate.id.day,
            currency: rate.id.currency,
            per_euro: rate.per_euro,
        })
    });
    rates.collect()
}

/// Stores rates, and returns the number of those that are new or differ from the stored ones. Of two rates of a currency
/// and day, the last counts.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn store_reference_rates(
    conn: &mut AsyncPgConnection,
    rates: &[ReferenceRate],
    source: RateSource,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let days: Vec<_> = rates.iter().map(|rate| rate.day).collect();
    let currencies: Vec<_> = rates.iter().map(|rate| rate.currency.code()).collect();
    let nanos: Vec<_> = rates.iter().map(|rate| rate.per_euro.nanos()).collect();
    diesel::sql_query(
        "INSERT INTO reference_rates AS r (day, currency, nanos_per_euro, source, stored_at)
         SELECT DISTINCT ON (k.day, k.currency) k.day, k.currency, k.nanos, $4, $5
         FROM unnest($1, $2, $3) WITH ORDINALITY AS k (day, currency, nanos, position)
         ORDER BY k.day, k.currency, k.position DESC
         ON CONFLICT (day, currency) DO UPDATE
         SET nanos_per_euro = excluded.nanos_per_euro, source = excluded.source, stored_at = excluded.stored_at
         WHERE r.nanos_per_euro <> excluded.nanos_per_euro",
    )
    .bind::<Array<Date>, _>(days)
    .bind::<Array<Text>, _>(currencies)
    .bind::<Array<BigInt>, _>(nanos)
    .bind::<Text, _>(source)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await
}

/// Progress of the task that fetches reference rates.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = reference_rate_fetches)]
pub struct FetchStatus {
    /// Time of the last attempt.
    pub tried_at: DateTime<Utc>,
    /// Time of the last attempt that succeeded; None until then.
    pub fetched_at: Option<DateTime<Utc>>,
    /// Problem of the last attempt that ended; empty if it succeeded.
    pub problem: String,
}

/// Progress of the task; None if no node ever fetched.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn fetch_status(conn: &mut AsyncPgConnection) -> QueryResult<Option<FetchStatus>> {
    FetchStatus::query()
        .filter(reference_rate_fetches::source.eq(RateSource::Ecb))
        .first(conn)
        .await
        .optional()
}

/// Claims the next fetch and returns true, if it is due and no other node has claimed it. A node that stops meanwhile
/// loses its claim after an hour.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn claim_fetch(conn: &mut AsyncPgConnection, now: DateTime<Utc>) -> QueryResult<bool> {
    let claimed = diesel::sql_query(
        "INSERT INTO reference_rate_fetches AS f (source, next_at, tried_at, problem) VALUES ($1, $2, $3, '')
         ON CONFLICT (source) DO UPDATE SET next_at = excluded.next_at, tried_at = excluded.tried_at
         WHERE f.next_at <= excluded.tried_at",
    )
    .bind::<Text, _>(RateSource::Ecb)
    .bind::<Timestamptz, _>(now + RETRY_DELAY)
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(claimed == 1)
}

/// Records a fetch that succeeded, and the time of the next one.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn fetch_succeeded(
    conn: &mut AsyncPgConnection,
    next_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::update(reference_rate_fetches::table.find(RateSource::Ecb))
        .set((
            reference_rate_fetches::next_at.eq(next_at),
            reference_rate_fetches::fetched_at.eq(Some(now)),
            reference_rate_fetches::problem.eq(""),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Records the problem of a fetch that failed. The next one follows an hour after its claim.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn fetch_failed(conn: &mut AsyncPgConnection, problem: &str) -> QueryResult<()> {
    let problem: String = problem
        .chars()
        .filter(|character| !character.is_control())
        .take(MAX_PROBLEM)
        .collect();
    diesel::update(reference_rate_fetches::table.find(RateSource::Ecb))
        .set(reference_rate_fetches::problem.eq(problem))
        .execute(conn)
        .await?;
    Ok(())
}
