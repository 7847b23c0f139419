//! Statements that read the young clicks and the conversions, grouped by the fields of a plan.
//!
//! Their texts are made of fixed parts; everything that a caller sent is a parameter.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use schema::{Currency, NetworkConn};
use tenancy::Scope;

use crate::field::Field;
use crate::groups::{Clicks, Conversions, Groups, MAX_GROUPS, Translator};
use crate::keys::Keys;
use crate::plan::{Plan, PlannedField};
use crate::query::{Basis, Test};
use crate::{Dimension, ReportError, ReportQuery, Sums};

/// What clicks had, of conversions whose `visit` is not filled in yet.
const VISIT: &str = "
    LEFT JOIN LATERAL (
        SELECT ARRAY[k.sub1, k.sub2, k.sub3, k.sub4, k.sub5, k.country, k.device, k.os, k.browser,
                     referrer_host(k.referrer), k.flag, k.landing_page_id::text] AS of_click
        FROM clicks k WHERE v.visit IS NULL AND k.network_id = $1 AND k.id = v.click_id OFFSET 0
    ) k ON true
    CROSS JOIN LATERAL (SELECT coalesce(v.visit, k.of_click) AS visited) known";

/// Conversions of goals that follow another goal.
const LATER_STEPS: &str = "count(*) FILTER (WHERE v.goal_id IN (SELECT id FROM goals WHERE network_id = $1 AND parent_goal_id IS NOT NULL))";

const BY_CONVERSION: (&str, &str) = ("v.converted_at", "v.converted_at >= $2 AND v.converted_at < $3");

/// The key of a click begins with its time in milliseconds.
const BY_CLICK: (&str, &str) = (
    "CASE WHEN v.click_id IS NULL THEN v.converted_at
          ELSE to_timestamp(('x' || left(replace(v.click_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) END",
    "(v.click_id >= click_key_floor($2 AT TIME ZONE 'UTC') AND v.click_id < click_key_floor($3 AT TIME ZONE 'UTC')
      OR v.click_id IS NULL AND v.converted_at >= $2 AND v.converted_at < $3)",
);

/// The scope of the actor, and filters by whole ids of a query, which narrow the rows that are read.
const NARROWED: &str = "
    AND ($4::integer IS NULL OR affiliate_id = $4)
    AND ($5::integer IS NULL OR campaign_id IN (SELECT id FROM campaigns WHERE network_id = $1 AND advertiser_id = $5))
    AND ($6::integer[] IS NULL OR campaign_id = ANY ($6)) AND ($7::integer[] IS NULL OR affiliate_id = ANY ($7))
    AND ($8::integer[] IS NULL OR link_id = ANY ($8))";

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

#[derive(QueryableByName)]
struct ConversionRow {
    #[diesel(sql_type = Array<Nullable<Text>>)]
    fields: Vec<Option<String>>,
    #[diesel(sql_type = Text)]
    of_currency: Currency,
    #[diesel(sql_type = Text)]
    of_status: String,
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

/// Reader of the events of a query that are not in blocks.
pub(crate) struct Events<'a> {
    pub(crate) query: &'a ReportQuery,
    pub(crate) plan: &'a Plan,
    pub(crate) keys: &'a Keys,
    pub(crate) scope: Scope,
    /// True if the hours of the sums are hours in the time zone of the report.
    pub(crate) has_hours: bool,
}

impl Events<'_> {
    /// True if the sums per hour have every field that the query needs of clicks.
    pub(crate) fn uses_sums(&self) -> bool {
        self.has_hours
            && self
                .plan
                .click_fields()
                .all(|planned| planned.field.of_sums().is_some())
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
                fields.map(|planned| (planned, planned.field.of_sums().unwrap_or_default().to_owned())),
                "sum(clicks)::bigint AS clicks, sum(unique_clicks)::bigint AS unique_clicks,
                 sum(invalid_clicks)::bigint AS invalid_clicks",
                "",
                &format!("click_rollups WHERE network_id = $1 AND hour >= $2 AND hour < $3 {NARROWED}"),
            )
        } else {
            let fields = self.plan.click_fields();
            grouped(
                fields.map(|planned| (planned, planned.field.of_click().to_owned())),
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

    /// Adds the conversions of the period.
    pub(crate) async fn add_conversions(
        &self,
        conn: &mut NetworkConn,
        groups: &mut Groups,
    ) -> Result<(), ReportError> {
        let fields = self.plan.fields.iter();
        let mut of_sums = self.plan.fields.iter().map(|planned| planned.field.of_sums());
        let is_summed =
            self.query.by == Basis::Conversion && self.has_hours && of_sums.all(|field| field.is_some());
        // Of goals that were chosen, every one counts.
        let mut filters = self.query.filters.iter();
        let has_goal_filter = filters.any(|filter| filter.dimension == Dimension::Goal);
        let text = if is_summed {
            let later_steps = LATER_STEPS.replace("count(*)", "sum(conversions)");
            let sums = "sum(conversions)::bigint AS conversions, {later_steps} AS later_steps,
                 least(sum(amount_micros), 9223372036854775807)::bigint AS amount_micros,
                 least(sum(commission_micros), 9223372036854775807)::bigint AS commission_micros,
                 least(sum(revenue_micros), 9223372036854775807)::bigint AS revenue_micros";
            let later_steps = format!("coalesce({later_steps}, 0)::bigint");
            grouped(
                fields.map(|planned| (planned, planned.field.of_sums().unwrap_or_default().to_owned())),
                &sums.replace(
                    "{later_steps}",
                    if has_goal_filter {
                        "0::bigint"
                    } else {
                        &later_steps
                    },
                ),
                ", currency AS of_currency, status AS of_status",
                &format!(
                    "conversion_rollups v WHERE network_id = $1 AND hour >= $2 AND hour < $3 {NARROWED}"
                ),
            )
        } else {
            let (at, in_period) = match self.query.by {
                Basis::Conversion => BY_CONVERSION,
                Basis::Click => BY_CLICK,
            };
            let visit = if self.plan.fields.iter().any(|planned| planned.field.is_of_visit()) {
                VISIT
            } else {
                ""
            };
            let sums = "count(*) AS conversions, {later_steps} AS later_steps,
                 least(coalesce(sum(amount_micros), 0), 9223372036854775807)::bigint AS amount_micros,
                 least(sum(commission_micros), 9223372036854775807)::bigint AS commission_micros,
                 least(sum(revenue_micros), 9223372036854775807)::bigint AS revenue_micros";
            grouped(
                fields.map(|planned| (planned, planned.field.of_conversion(at))),
                &sums.replace(
                    "{later_steps}",
                    if has_goal_filter { "0::bigint" } else { LATER_STEPS },
                ),
                ", v.currency AS of_currency, v.status AS of_status",
                &format!("conversions v {visit} WHERE v.network_id = $1 AND {in_period} {NARROWED}"),
            )
        };
        let rows: Vec<ConversionRow> = self.load(conn, text, (self.plan.from, self.plan.to)).await?;
        let mut translator = Translator::new(self.plan, self.keys);
        for row in rows {
            if let Some(key) = translator.key(&row.fields)? {
                let conversions = Conversions {
                    currency: row.of_currency,
                    status: row.of_status,
                    conversions: row.conversions,
                    later_steps: row.later_steps,
                    sums: Sums {
                        conversions: row.conversions,
                        amount_micros: row.amount_micros,
                        commission_micros: row.commission_micros,
                        revenue_micros: row.revenue_micros,
                    },
                };
                groups.add_conversions(key, &conversions);
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
            .bind::<Nullable<Integer>, _>(self.scope.affiliate)
            .bind::<Nullable<Integer>, _>(self.scope.advertiser)
            .bind::<Nullable<Array<Integer>>, _>(self.ids(Dimension::Campaign))
            .bind::<Nullable<Array<Integer>>, _>(self.ids(Dimension::Affiliate))
            .bind::<Nullable<Array<Integer>>, _>(self.ids(Dimension::Link));
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

/// Statement that sums the rows of a table by fields, each with its expression, and by `more` columns.
fn grouped<'a>(
    fields: impl Iterator<Item = (&'a PlannedField, String)>,
    sums: &str,
    more: &str,
    table: &str,
) -> String {
    let (mut columns, mut texts) = (String::new(), Vec::new());
    let mut count = 0;
    for (at, (planned, expression)) in fields.enumerate() {
        columns.push_str(&format!("{expression} AS f{at}, "));
        texts.push(planned.field.text(&format!("f{at}")));
        count = at + 1;
    }
    let texts = texts.join(", ");
    let group = (1..=count + 2 * usize::from(!more.is_empty())).map(|column| column.to_string());
    let group: Vec<_> = group.collect();
    // The columns of the groups stand first: a GROUP BY refers to them by number.
    let more_first = more.trim_start_matches(", ");
    let comma = if more.is_empty() { "" } else { ", " };
    let group_by = if group.is_empty() {
        "HAVING count(*) > 0".to_owned()
    } else {
        format!("GROUP BY {}", group.join(", "))
    };
    format!(
        "SELECT ARRAY[{texts}]::text[] AS fields, sums.*
         FROM (SELECT {columns}{more_first}{comma}{sums} FROM {table} {group_by} LIMIT {}) sums",
        MAX_GROUPS + 1
    )
}

/// Order of fields on which [`Events::add_clicks`] relies: those of clicks come first.
const _: () = assert!((Field::Flag as u8) < (Field::Goal as u8));
