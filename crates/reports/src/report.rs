//! Execution of a report: one statement, folded into rows.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use schema::{Currency, NetworkConn};
use tenancy::Scope;
use tenancy::networks::Network;

use crate::query::{QueryProblem, Sort};
use crate::statement::{MAX_SUMS, Statement};
use crate::{Dimension, Figures, ReportQuery, Sums};

/// Key of a row in one dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Value, as filters take it: an ID, a text, a span of time; empty for none.
    pub value: String,
    /// Name to show: of an ID the name of the object, otherwise the value.
    pub label: String,
}

/// Row of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Keys of the row: one per dimension of the query, in its order.
    pub keys: Vec<Key>,
    /// Figures of the row.
    pub figures: Figures,
    /// Figures of the same keys in the period that is compared; `None` if no period is compared or the rows are spans of
    /// time.
    pub before: Option<Figures>,
}

/// Result of a [`ReportQuery`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Sums over all rows.
    pub total: Figures,
    /// Sums over all rows of the period that is compared; `None` if no period is compared.
    pub total_before: Option<Figures>,
    /// Rows in the order of the query.
    pub rows: Vec<Row>,
}

/// Reason why a report has no result.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The database fails.
    #[error(transparent)]
    Db(#[from] diesel::result::Error),
    /// The report is too large.
    #[error("the report has more than {MAX_SUMS} rows")]
    TooLarge,
}

impl ReportError {
    /// The problem, for the user who asked; the error itself if it is ours.
    ///
    /// # Errors
    /// The error of the database.
    pub fn into_problem(self) -> QueryResult<QueryProblem> {
        match self {
            Self::Db(error) => Err(error),
            Self::TooLarge => Ok(QueryProblem::new(
                "group",
                format!(
                    "The report has more than {MAX_SUMS} rows. Choose fewer dimensions, a shorter period, or a filter."
                ),
            )),
        }
    }
}

#[derive(QueryableByName)]
struct Sum {
    #[diesel(sql_type = Array<Text>)]
    keys: Vec<String>,
    #[diesel(sql_type = Nullable<Text>)]
    currency: Option<Currency>,
    #[diesel(sql_type = Nullable<Text>)]
    status: Option<String>,
    #[diesel(sql_type = BigInt)]
    clicks: i64,
    #[diesel(sql_type = BigInt)]
    unique_clicks: i64,
    #[diesel(sql_type = BigInt)]
    invalid_clicks: i64,
    #[diesel(sql_type = BigInt)]
    conversions: i64,
    #[diesel(sql_type = BigInt)]
    later_steps: i64,
    #[diesel(sql_type = BigInt)]
    amount_micros: i64,
    #[diesel(sql_type = BigInt)]
    commission_micros: i64,
    #[diesel(sql_type = BigInt)]
    revenue_micros: i64,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Integer)]
    id: i32,
    #[diesel(sql_type = Text)]
    name: String,
}

/// Figures by the stored values of the keys.
type ByKeys = BTreeMap<Vec<String>, Figures>;

/// Runs a report over the events in `scope`. A filter outside of the scope finds nothing.
///
/// # Errors
/// [`ReportError`].
pub async fn run(
    conn: &mut NetworkConn,
    network: &Network,
    scope: Scope,
    query: &ReportQuery,
) -> Result<Report, ReportError> {
    let mut sums = sums(conn, network, scope, query).await?;
    let mut before = match query.compared() {
        Some(compared) => Some(self::sums(conn, network, scope, &compared).await?),
        None => None,
    };
    let allows = |figures: &Figures| {
        let mut thresholds = query.thresholds.iter();
        thresholds.all(|threshold| threshold.allows(figures))
    };
    let has_time = query.group.iter().any(|dimension| dimension.is_time());
    let total_before = before.as_mut().map(|before| {
        if has_time {
            // The spans of one period have no counterparts in the other: each period keeps to the bounds.
            before.retain(|_, figures| allows(figures));
        } else {
            // Keys of the period before alone, which had figures then, are rows too.
            for keys in before.keys() {
                sums.entry(keys.clone()).or_default();
            }
            before.retain(|keys, _| sums.get(keys).is_some_and(allows));
        }
        total(before)
    });
    sums.retain(|_, figures| allows(figures));
    let total = total(&sums);
    let mut rows = Vec::with_capacity(sums.len());
    for (keys, figures) in sums {
        let before = before
            .as_mut()
            .filter(|_| !has_time)
            .map(|before| before.remove(&keys).unwrap_or_default());
        rows.push((keys, figures, before));
    }
    let names = names(conn, query, &rows).await?;
    let mut rows: Vec<Row> = rows
        .into_iter()
        .map(|(keys, figures, before)| Row {
            keys: named(&query.group, keys, &names),
            figures,
            before,
        })
        .collect();
    rows.sort_by(|one, other| order(query, one, other));
    Ok(Report {
        total,
        total_before,
        rows,
    })
}

async fn sums(
    conn: &mut NetworkConn,
    network: &Network,
    scope: Scope,
    query: &ReportQuery,
) -> Result<ByKeys, ReportError> {
    let zone = query.zone.unwrap_or(network.time_zone());
    let statement = Statement::of(query, zone == network.time_zone());
    let (from, to) = query.bounds(zone);
    let mut bound = diesel::sql_query(statement.text)
        .into_boxed::<diesel::pg::Pg>()
        .bind::<Integer, _>(conn.network_id())
        .bind::<Timestamptz, _>(from)
        .bind::<Timestamptz, _>(to)
        .bind::<Text, _>(zone.name())
        .bind::<Nullable<Integer>, _>(scope.affiliate)
        .bind::<Nullable<Integer>, _>(scope.advertiser);
    for values in statement.filters {
        bound = bound.bind::<Array<Text>, _>(values);
    }
    let found: Vec<Sum> = bound.load(&mut **conn).await?;
    if found.len() > MAX_SUMS {
        return Err(ReportError::TooLarge);
    }
    let mut sums = ByKeys::new();
    for sum in found {
        let figures = figures(&sum);
        *sums.entry(sum.keys).or_default() += &figures;
    }
    set_base_clicks(query, &mut sums);
    if query.group.contains(&Dimension::Goal) {
        for figures in sums.values_mut() {
            figures.is_of_one_goal = true;
        }
    }
    Ok(sums)
}

/// Sets the clicks that rates divide by in rows by dimensions that clicks lack.
fn set_base_clicks(query: &ReportQuery, sums: &mut ByKeys) {
    if !query.group.iter().any(|dimension| dimension.is_of_conversion()) {
        return;
    }
    let of_click = |keys: &[String]| -> Vec<String> {
        let kept = |(dimension, key): (&Dimension, &String)| {
            if dimension.is_of_conversion() {
                String::new()
            } else {
                key.clone()
            }
        };
        query.group.iter().zip(keys).map(kept).collect()
    };
    let bases: Vec<i64> = sums
        .keys()
        .map(|keys| sums.get(&of_click(keys)).map_or(0, Figures::valid_clicks))
        .collect();
    for (figures, base) in sums.values_mut().zip(bases) {
        figures.base_clicks = Some(base);
    }
}

fn total(sums: &ByKeys) -> Figures {
    let mut total = Figures::default();
    for figures in sums.values() {
        total += figures;
    }
    total
}

fn figures(sum: &Sum) -> Figures {
    let mut figures = Figures {
        clicks: sum.clicks,
        unique_clicks: sum.unique_clicks,
        invalid_clicks: sum.invalid_clicks,
        ..Figures::default()
    };
    match sum.status.as_deref() {
        Some("pending") => figures.pending = sum.conversions,
        Some("approved") => figures.approved = sum.conversions,
        Some("rejected" | "reversed") => figures.rejected = sum.conversions,
        _ => {}
    }
    if let (Some(currency), Some("pending" | "approved")) = (sum.currency, sum.status.as_deref()) {
        let sums = Sums {
            conversions: sum.conversions,
            amount_micros: sum.amount_micros,
            commission_micros: sum.commission_micros,
            revenue_micros: sum.revenue_micros,
        };
        figures.money.insert(currency, sums);
        figures.later_steps = sum.later_steps;
    }
    figures
}

/// Names of the objects in the keys, by dimension and stored ID.
async fn names<T>(
    conn: &mut NetworkConn,
    query: &ReportQuery,
    rows: &[(Vec<String>, Figures, T)],
) -> QueryResult<HashMap<(Dimension, i32), String>> {
    let mut names = HashMap::new();
    for (at, dimension) in query.group.iter().enumerate() {
        let Some(object) = dimension.object() else {
            continue;
        };
        let mut ids: Vec<i32> = rows
            .iter()
            .filter_map(|(keys, ..)| keys.get(at)?.parse().ok())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let found: Vec<Name> = diesel::sql_query(object.names())
            .bind::<Integer, _>(conn.network_id())
            .bind::<Array<Integer>, _>(ids)
            .load(&mut **conn)
            .await?;
        names.extend(
            found
                .into_iter()
                .map(|found| ((*dimension, found.id), found.name)),
        );
    }
    Ok(names)
}

fn named(group: &[Dimension], keys: Vec<String>, names: &HashMap<(Dimension, i32), String>) -> Vec<Key> {
    let key = |(dimension, stored): (&Dimension, String)| {
        let id = dimension
            .object()
            .and_then(|object| Some((object, stored.parse::<i32>().ok()?)));
        match id {
            Some((object, id)) => {
                let value = object.public(id);
                let label = names.get(&(*dimension, id)).cloned();
                Key {
                    label: label.unwrap_or_else(|| value.clone()),
                    value,
                }
            }
            None => Key {
                label: stored.clone(),
                value: stored,
            },
        }
    };
    group.iter().zip(keys).map(key).collect()
}

/// Order of two rows: by the metric that is sorted by, then by the keys: spans of time newest first, names alphabetically.
fn order(query: &ReportQuery, one: &Row, other: &Row) -> Ordering {
    let by_keys = |time_first: bool| {
        let pairs = query.group.iter().zip(one.keys.iter().zip(&other.keys));
        for (dimension, (one, other)) in pairs {
            let compared = if dimension.is_time() && time_first {
                other.value.cmp(&one.value)
            } else {
                (&one.label, &one.value).cmp(&(&other.label, &other.value))
            };
            if compared != Ordering::Equal {
                return compared;
            }
        }
        Ordering::Equal
    };
    match query.sort {
        None => by_keys(true),
        Some(Sort {
            metric: None,
            is_descending,
        }) => {
            let compared = by_keys(false);
            if is_descending {
                compared.reverse()
            } else {
                compared
            }
        }
        Some(Sort {
            metric: Some(metric),
            is_descending,
        }) => {
            let value = |row: &Row| row.figures.value(metric).sort_key();
            let compared = value(one).total_cmp(&value(other));
            let compared = if is_descending {
                compared.reverse()
            } else {
                compared
            };
            compared.then_with(|| by_keys(true))
        }
    }
}
