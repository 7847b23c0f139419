//! Exchange rates that a network sets: by hand, by the API, and from CSV.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{Currency, NetworkConn, exchange_rates, reference_rates};
use serde_json::json;

use super::per_euro::{PerEuro, RateSource};
use super::rate_id::{RateId, parse_day};
use crate::audit::{self, Change};
use crate::author::Author;
use crate::csv_export;
use crate::draft::Draft;
use crate::error::ChangeError;
use crate::networks;
use crate::table::{Cells, Column, Outcome, Report, Table};

/// Fields of a rate as text.
pub const FIELDS: [&str; 3] = ["currency", "day", "rate"];

/// Columns of a file; the export has the last one for the reader.
pub(super) const COLUMNS: [Column; 4] = [
    ("currency", &["code"]),
    ("day", &["date"]),
    ("rate", &["per_euro"]),
    ("source", &[]),
];
/// Columns that a file must have.
pub(super) const NEEDED: [&str; 3] = FIELDS;

/// Checked rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NewRate {
    pub(super) id: RateId,
    pub(super) per_euro: PerEuro,
}

impl NewRate {
    /// Checks the fields of a rate. `today` bounds its day.
    pub(super) fn checked(mut draft: Draft, today: NaiveDate) -> Result<Self, ChangeError> {
        let currency = draft.take("currency", check_currency);
        let day = draft.take("day", |text| check_day(text, today));
        let per_euro = draft.take("rate", |text| text.trim().parse::<PerEuro>());
        let checked = currency.zip(day).zip(per_euro);
        draft.accepted(checked.map(|((currency, day), per_euro)| Self {
            id: RateId { day, currency },
            per_euro,
        }))
    }
}

fn check_currency(text: &str) -> Result<Currency, String> {
    let code = text.trim().to_uppercase();
    match code.parse::<Currency>() {
        Ok(currency) if currency.code() == "EUR" => {
            Err("All rates are against the euro, so the euro has none.".to_owned())
        }
        Ok(currency) => Ok(currency),
        Err(_) => Err("Enter a currency code of ISO 4217, such as USD.".to_owned()),
    }
}

/// Checks the day of a rate, which is at most tomorrow.
pub(super) fn check_day(text: &str, today: NaiveDate) -> Result<NaiveDate, String> {
    let day = parse_day(text)?;
    let latest = today.checked_add_days(Days::new(1)).unwrap_or(today);
    if day > latest {
        return Err(format!("Enter a day up to tomorrow, {latest}."));
    }
    Ok(day)
}

/// Day of the network's clock.
async fn today(conn: &mut NetworkConn, now: DateTime<Utc>) -> QueryResult<NaiveDate> {
    let zone = networks::current(conn).await?.time_zone();
    Ok(now.with_timezone(&zone).date_naive())
}

/// A rate in the list of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRate {
    /// Day and currency.
    pub id: RateId,
    /// Value of one euro.
    pub per_euro: PerEuro,
    /// Origin of the rate.
    pub source: RateSource,
    /// True for a rate of the installation, false for one that the network set.
    pub is_reference: bool,
    /// Time of the last change.
    pub set_at: DateTime<Utc>,
    /// Name of the author of the last change; None for a rate of the installation.
    pub set_by: Option<String>,
}

/// Filter for rates; None matches all.
#[derive(Debug, Clone, Copy, Default)]
pub struct RateFilter {
    /// Currency.
    pub currency: Option<Currency>,
    /// First day.
    pub from: Option<NaiveDate>,
    /// Last day.
    pub to: Option<NaiveDate>,
    /// Rate to start after.
    pub after: Option<RateId>,
}

/// Rates that match the filter, newest day first, then by currency, at most `limit`: the network's, and the
/// installation's where the network has none of that day.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn list(conn: &mut NetworkConn, filter: &RateFilter, limit: i64) -> QueryResult<Vec<ListedRate>> {
    macro_rules! matching {
        ($query:expr, $table:ident) => {{
            let mut query = $query
                .order(($table::day.desc(), $table::currency))
                .limit(limit)
                .into_boxed();
            if let Some(currency) = filter.currency {
                query = query.filter($table::currency.eq(currency));
            }
            if let Some(from) = filter.from {
                query = query.filter($table::day.ge(from));
            }
            if let Some(to) = filter.to {
                query = query.filter($table::day.le(to));
            }
            if let Some(RateId { day, currency }) = filter.after {
                query = query.filter(
                    $table::day
                        .lt(day)
                        .or($table::day.eq(day).and($table::currency.gt(currency))),
                );
            }
            query
        }};
    }
    let references = reference_rates::table.select((
        reference_rates::day,
        reference_rates::currency,
        reference_rates::nanos_per_euro,
        reference_rates::source,
        reference_rates::stored_at,
    ));
    let references: Vec<(NaiveDate, Currency, i64, RateSource, DateTime<Utc>)> =
        matching!(references, reference_rates).load(&mut **conn).await?;
    let own = exchange_rates::table
        .filter(exchange_rates::network_id.eq(conn.network_id()))
        .select((
            exchange_rates::day,
            exchange_rates::currency,
            exchange_rates::nanos_per_euro,
            exchange_rates::source,
            exchange_rates::set_at,
            exchange_rates::set_by,
        ));
    let own: Vec<(NaiveDate, Currency, i64, RateSource, DateTime<Utc>, String)> =
        matching!(own, exchange_rates).load(&mut **conn).await?;

    // The first rows of both lists together contain the first rows of the merged one.
    let mut merged = BTreeMap::new();
    for (day, currency, nanos, source, set_at) in references {
        let rate = ListedRate {
            id: RateId { day, currency },
            per_euro: PerEuro::of_nanos(nanos),
            source,
            is_reference: true,
            set_at,
            set_by: None,
        };
        merged.insert((Reverse(day), currency), rate);
    }
    for (day, currency, nanos, source, set_at, set_by) in own {
        let rate = ListedRate {
            id: RateId { day, currency },
            per_euro: PerEuro::of_nanos(nanos),
            source,
            is_reference: false,
            set_at,
            set_by: Some(set_by),
        };
        merged.insert((Reverse(day), currency), rate);
    }
    let limit = usize::try_from(limit).unwrap_or_default();
    Ok(merged.into_values().take(limit).collect())
}

/// Adds or replaces a rate of the network. `draft` has the [`FIELDS`].
///
/// # Errors
/// [`ChangeError::Fields`].
pub async fn set(
    conn: &mut NetworkConn,
    author: &Author,
    draft: Draft,
    now: DateTime<Utc>,
) -> Result<ListedRate, ChangeError> {
    let today = today(conn, now).await?;
    let rate = NewRate::checked(draft, today)?;
    store(conn, author, rate, RateSource::User, now).await?;
    let set = find(conn, rate.id).await?;
    set.ok_or(ChangeError::NotFound)
}

/// Stores a rate, unless the network has the same.
async fn store(
    conn: &mut NetworkConn,
    author: &Author,
    rate: NewRate,
    source: RateSource,
    now: DateTime<Utc>,
) -> Result<Outcome, ChangeError> {
    let old = find(conn, rate.id).await?;
    if old.as_ref().is_some_and(|old| old.per_euro == rate.per_euro) {
        return Ok(Outcome::Unchanged);
    }
    let values = (
        exchange_rates::nanos_per_euro.eq(rate.per_euro.nanos()),
        exchange_rates::source.eq(source),
        exchange_rates::set_at.eq(now),
        exchange_rates::set_by.eq(&author.name),
    );
    diesel::insert_into(exchange_rates::table)
        .values((
            exchange_rates::network_id.eq(conn.network_id()),
            exchange_rates::day.eq(rate.id.day),
            exchange_rates::currency.eq(rate.id.currency),
            values,
        ))
        .on_conflict((
            exchange_rates::network_id,
            exchange_rates::day,
            exchange_rates::currency,
        ))
        .do_update()
        .set(values)
        .execute(&mut **conn)
        .await?;
    let as_json =
        |rate: PerEuro, source: RateSource| json!({ "rate": rate.to_string(), "source": source.as_str() });
    let after = as_json(rate.per_euro, source);
    let (outcome, change) = match old {
        None => (
            Outcome::Create,
            Change::created("exchange_rate.create", rate.id, &name(rate.id), after),
        ),
        Some(old) => {
            let before = as_json(old.per_euro, old.source);
            let change = Change::between("exchange_rate.update", rate.id, &name(rate.id), before, after);
            (Outcome::Update, change)
        }
    };
    audit::record(conn, author, change, now).await?;
    Ok(outcome)
}

/// Name of a rate in the audit log and in imports.
fn name(id: RateId) -> String {
    format!("{} of {}", id.currency, id.day)
}

/// Rate that the network set for this day, locked until the end of the transaction.
async fn find(conn: &mut NetworkConn, id: RateId) -> QueryResult<Option<ListedRate>> {
    let key = (conn.network_id(), id.day, id.currency);
    let found: Option<(i64, RateSource, DateTime<Utc>, String)> = exchange_rates::table
        .find(key)
        .select((
            exchange_rates::nanos_per_euro,
            exchange_rates::source,
            exchange_rates::set_at,
            exchange_rates::set_by,
        ))
        .for_update()
        .first(&mut **conn)
        .await
        .optional()?;
    Ok(found.map(|(nanos, source, set_at, set_by)| ListedRate {
        id,
        per_euro: PerEuro::of_nanos(nanos),
        source,
        is_reference: false,
        set_at,
        set_by: Some(set_by),
    }))
}

/// Deletes a rate of the network. The installation's rate of the day, if any, holds again.
///
/// # Errors
/// [`ChangeError::NotFound`].
pub async fn remove(
    conn: &mut NetworkConn,
    author: &Author,
    id: RateId,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let old = find(conn, id).await?.ok_or(ChangeError::NotFound)?;
    diesel::delete(exchange_rates::table.find((conn.network_id(), id.day, id.currency)))
        .execute(&mut **conn)
        .await?;
    let before = json!({ "rate": old.per_euro.to_string(), "source": old.source.as_str() });
    let change = Change::between("exchange_rate.remove", id, &name(id), before, json!({}));
    Ok(audit::record(conn, author, change, now).await?)
}

/// Fields of a row.
pub(super) fn draft(cells: &Cells<'_>) -> Draft {
    Draft::of_fields(&FIELDS, |field| cells.get(field).to_owned())
}

/// Reads a CSV file with the columns `currency`, `day` and `rate`, and sets the rate of each row. If a row is refused,
/// the caller must not commit: the file is imported as a whole.
///
/// # Errors
/// [`ChangeError::Fields`] if the text is not CSV, lacks a column, or has too many rows.
pub async fn import(
    conn: &mut NetworkConn,
    author: &Author,
    text: &str,
    now: DateTime<Utc>,
) -> Result<Report, ChangeError> {
    let table = Table::read(text, &COLUMNS, &NEEDED)?;
    let today = today(conn, now).await?;
    let named = |cells: &Cells<'_>| format!("{} of {}", cells.get("currency"), cells.get("day"));
    let reference =
        |cells: &Cells<'_>| format!("{} {}", cells.get("currency").to_uppercase(), cells.get("day"));
    let make = async |conn: &mut NetworkConn, cells: &Cells<'_>| {
        let rate = NewRate::checked(draft(cells), today)?;
        store(conn, author, rate, RateSource::Csv, now).await
    };
    let report = table.apply_rows(conn, named, reference, make).await?;
    Ok(Report {
        is_whole: true,
        ..report
    })
}

/// Rates as CSV, in the columns of the import and with their source.
#[must_use]
pub fn to_csv(list: &[ListedRate]) -> String {
    let rows = list.iter().map(|rate| {
        vec![
            rate.id.currency.to_string(),
            rate.id.day.to_string(),
            rate.per_euro.to_string(),
            rate.source.to_string(),
        ]
    });
    csv_export::to_csv(&["currency", "day", "rate", "source"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_input_is_refused_by_field() {
        let today = "2026-11-27".parse().unwrap();
        let check = |currency: &str, day: &str, rate: &str| {
            let values = [("currency", currency), ("day", day), ("rate", rate)];
            NewRate::checked(
                Draft::with(values.map(|(field, text)| (field, text.to_owned()))),
                today,
            )
        };
        let set = check(" usd ", "2026-11-28", "1.0834").unwrap();
        assert_eq!(
            (set.id.to_string(), set.per_euro.to_string()),
            ("2026-11-28-USD".into(), "1.0834".into())
        );
        for (currency, day, rate, field, message) in [
            ("EUR", "2026-11-27", "1", "currency", "so the euro has none"),
            ("XAU", "2026-11-27", "1", "currency", "ISO 4217"),
            ("", "2026-11-27", "1", "currency", "ISO 4217"),
            ("USD", "2026-11-29", "1", "day", "up to tomorrow, 2026-11-28"),
            ("USD", "1998-12-31", "1", "day", "1999-01-01"),
            ("USD", "27.11.2026", "1", "day", "such as 2026-11-27"),
            ("USD", "2026-11-27", "0", "rate", "above 0"),
            ("USD", "2026-11-27", "-1", "rate", "decimal point"),
            ("USD", "2026-11-27", "1e30", "rate", "decimal point"),
            ("USD", "2026-11-27", "12345678901", "rate", "1000000000"),
        ] {
            let ChangeError::Fields(errors) = check(currency, day, rate).unwrap_err() else {
                panic!("{currency} {day} {rate}");
            };
            assert_eq!(errors.iter().count(), 1, "{errors:?}");
            assert!(errors.of(field).contains(message), "{errors:?}");
        }
        let ChangeError::Fields(errors) = check("", "", "").unwrap_err() else {
            panic!("an empty draft was accepted");
        };
        assert_eq!(errors.iter().count(), 3);
    }
}
