//! Statements that read what is not in blocks, grouped by the fields of a plan: young clicks here, conversions and
//! postbacks in the modules below.
//!
//! Their texts are made of fixed parts; everything that a caller sent is a parameter.

mod conversions;
mod postbacks;
mod spans;

pub(crate) use spans::SpanCache;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use schema::NetworkConn;
use tenancy::Scope;
use tenancy::exchange_rates::Rates;

use crate::field::Field;
use crate::groups::{Clicks, Groups, MAX_GROUPS, Translator};
use crate::keys::Keys;
use crate::plan::{Plan, PlannedField};
use crate::query::Test;
use crate::{Dimension, ReportError, ReportQuery};

/// The scope of the actor, and filters by whole ids of a query, which narrow the rows that are read.
const NARROWED: &str = "
    AND ($4::integer[] IS NULL OR affiliate_id = ANY ($4))
    AND ($5::integer IS NULL OR campaign_id IN (SELECT id FROM campaigns WHERE network_id = $1 AND advertiser_id = $5))
    AND ($6::integer[] IS NULL OR campaign_id = ANY ($6)) AND ($7::integer[] IS NULL OR affiliate_id = ANY ($7))
    AND ($8::integer[] IS NULL OR link_id = ANY ($8)) AND $9::text IS NOT NULL";

#[derive(QueryableByName)]
struct ClickRow {
    #[diesel(sql_type = Array<Nullable<Text>>)]
    fields: Vec<Option<String>>,
    #[diesel(sql_type = BigInt)]
    clicks: i64,
    #[diesel(sql_type = BigInt)]
    unique_clicks: i64,
    #[diesel(sql_type = BigInt)]
    invalid_clicks: i64,
}

/// Reader of the events of a query that are not in blocks.
pub(crate) struct Events<'a> {
    pub(crate) query: &'a ReportQuery,
    pub(crate) plan: &'a Plan,
    pub(crate) keys: &'a Keys,
    pub(crate) scope: Scope,
    /// Memory of conversions, and the text of this question in it; `None` if they depend on more than their span.
    pub(crate) kept: Option<(&'a SpanCache, Arc<str>)>,
    /// Rates of the days of the report, if its money is converted.
    pub(crate) rates: Option<Rates>,
}

impl Events<'_> {
    /// True if the sums have every field that the query needs of clicks.
    pub(crate) fn uses_sums(&self) -> bool {
        let mut fields = self.plan.click_fields();
        fields.all(|planned| planned.field.of_sums().is_some())
    }

    /// Expression of a field over the time `at`, no finer than the report needs it.
    fn time(&self, at: &str) -> String {
        let mut spans = self.query.dimensions().filter(|dimension| dimension.is_time());
        if spans.all(|dimension| !matches!(dimension, Dimension::Hour | Dimension::HourOfDay)) {
            format!("date_trunc('day', {at}, $9)")
        } else {
            format!("date_bin('15 minutes', {at}, 'epoch')")
        }
    }

    /// Expression of a field over the sums.
    fn of_sums_field(&self, field: Field) -> String {
        match field {
            Field::Time => self.time("quarter_hour"),
            other => other.of_sums().unwrap_or_default().to_owned(),
        }
    }

    /// Adds the clicks of an interval.
    pub(crate) async fn add_clicks(
        &self,
        conn: &mut NetworkConn,
        interval: (DateTime<Utc>, DateTime<Utc>),
        groups: &mut Groups,
    ) -> Result<(), ReportError> {
        let text = if self.uses_sums() {
            let fields = self.plan.click_fields();
            grouped(
                fields.map(|planned| (planned, self.of_sums_field(planned.field))),
                "sum(clicks)::bigint AS clicks, sum(unique_clicks)::bigint AS unique_clicks,
                 sum(invalid_clicks)::bigint AS invalid_clicks",
                "",
                &format!(
                    "click_rollups WHERE network_id = $1 AND quarter_hour >= $2 AND quarter_hour < $3 {NARROWED}"
                ),
            )
        } else {
            let fields = self.plan.click_fields();
            grouped(
                fields.map(|planned| {
                    let expression = match planned.field {
                        Field::Time => self.time("k.clicked_at"),
                        other => other.of_click().to_owned(),
                    };
                    (planned, expression)
                }),
                "count(*) AS clicks, count(*) FILTER (WHERE is_unique) AS unique_clicks, count(flag) AS invalid_clicks",
                "",
                &format!(
                    "clicks k WHERE network_id = $1 AND id >= click_key_floor($2 AT TIME ZONE 'UTC')
                     AND id < click_key_floor($3 AT TIME ZONE 'UTC') {NARROWED}"
                ),
            )
        };
        let rows: Vec<ClickRow> = self.load(conn, text, interval).await?;
        let mut translator = Translator::new(self.plan, self.keys);
        for row in rows {
            if let Some(key) = translator.key(&row.fields)? {
                let clicks = Clicks {
                    clicks: row.clicks,
                    unique: row.unique_clicks,
                    invalid: row.invalid_clicks,
                };
                groups.add_clicks(key, clicks);
            }
        }
        groups.check_size()
    }

    async fn load<R>(
        &self,
        conn: &mut NetworkConn,
        text: String,
        (from, to): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<Vec<R>, ReportError>
    where
        R: QueryableByName<diesel::pg::Pg> + Send + 'static,
    {
        let query = diesel::sql_query(text)
            .bind::<Integer, _>(conn.network_id())
            .bind::<Timestamptz, _>(from)
            .bind::<Timestamptz, _>(to)
            .bind::<Nullable<Array<Integer>>, _>(self.plan.visible_affiliates())
            .bind::<Nullable<Integer>, _>(self.scope.advertiser)
            .bind::<Nullable<Array<Integer>>, _>(self.ids(Dimension::Campaign))
            .bind::<Nullable<Array<Integer>>, _>(self.ids(Dimension::Affiliate))
            .bind::<Nullable<Array<Integer>>, _>(self.ids(Dimension::Link))
            .bind::<Text, _>(self.plan.zone.name());
        let rows: Vec<R> = query.load(&mut **conn).await?;
        if rows.len() > MAX_GROUPS {
            return Err(ReportError::TooLarge);
        }
        Ok(rows)
    }

    /// Ids that a filter of the query lets through; `None` without one.
    fn ids(&self, dimension: Dimension) -> Option<Vec<i32>> {
        let mut filters = self.query.filters.iter();
        let filter =
            filters.find(|filter| filter.dimension == dimension && matches!(filter.test, Test::Is(_)))?;
        let Test::Is(values) = &filter.test else {
            return None;
        };
        let stored = values
            .iter()
            .filter_map(|value| dimension.stored(value).ok()?.parse().ok());
        Some(stored.collect())
    }
}

/// Statement that sums the rows of a table by fields, each with its expression, and by `more` columns, each with a comma
/// behind it.
fn grouped<'a>(
    fields: impl Iterator<Item = (&'a PlannedField, String)>,
    sums: &str,
    more: &str,
    table: &str,
) -> String {
    let (mut columns, mut texts, mut group) = (String::new(), Vec::new(), Vec::new());
    for (at, (planned, expression)) in fields.enumerate() {
        columns.push_str(&format!("{expression} AS f{at}, "));
        texts.push(planned.field.text(&format!("f{at}")));
        group.push((at + 1).to_string());
    }
    // A GROUP BY refers to columns by their number.
    let first = group.len() + 1;
    group.extend((0..more.matches(" AS ").count()).map(|at| (first + at).to_string()));
    let group = if group.is_empty() {
        "HAVING count(*) > 0".to_owned()
    } else {
        format!("GROUP BY {}", group.join(", "))
    };
    format!(
        "SELECT ARRAY[{}]::text[] AS fields, sums.*
         FROM (SELECT {columns}{more}{sums} FROM {table} {group} LIMIT {}) sums",
        texts.join(", "),
        MAX_GROUPS + 1
    )
}
