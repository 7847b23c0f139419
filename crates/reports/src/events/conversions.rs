//! Conversions of a period: from the sums per quarter of an hour if those have all fields, otherwise one by one.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date, Integer, Nullable, Text};
use schema::{Currency, NetworkConn};
use tenancy::exchange_rates::UsedRate;

use super::spans::SPAN;
use super::{Events, NARROWED, grouped};
use crate::blocks::Interval;
use crate::field::{CLICKED_AT, Field};
use crate::groups::{Conversions, Groups, Translator};
use crate::keys::GroupKey;
use crate::query::Basis;
use crate::{Dimension, Metric, ReportError, Sums};

/// Values of the clicks, of conversions whose `visit` is not filled in yet.
const VISIT: &str = "
    LEFT JOIN LATERAL (
        SELECT visit_of(k) AS of_click FROM clicks k WHERE v.visit IS NULL AND k.network_id = $1 AND k.id = v.click_id OFFSET 0
    ) k ON true
    CROSS JOIN LATERAL (SELECT coalesce(v.visit, k.of_click) AS visited) known";

/// Values of the clicks that led to the first conversions of the customers; without one, the conversion's own.
const FIRST_VISIT: &str = "
    LEFT JOIN LATERAL (
        SELECT coalesce(e.visit, (SELECT visit_of(c) FROM clicks c WHERE c.network_id = $1 AND c.id = e.click_id)) AS visit
        FROM conversions e
        WHERE e.network_id = $1 AND e.customer_id = v.customer_id AND e.advertiser_id = v.advertiser_id
          AND e.status IN ('pending', 'approved') ORDER BY e.id LIMIT 1
    ) first ON true
    CROSS JOIN LATERAL (
        SELECT CASE WHEN first IS NULL THEN visited ELSE first.visit END AS first_visited) path";

/// Goals that follow another goal.
const LATER_GOALS: &str =
    "v.goal_id IN (SELECT id FROM goals WHERE network_id = $1 AND parent_goal_id IS NOT NULL)";

/// Times of rows without any.
const NO_TIMES: &str = "'{}'::integer[]";

/// Time of the conversion that another follows.
const PARENT: &str =
    "(SELECT p.converted_at FROM conversions p WHERE p.network_id = $1 AND p.id = v.parent_id)";

/// The key of a click begins with its time.
const CLICKED_IN_PERIOD: &str = "
    (v.click_id >= click_key_floor($2 AT TIME ZONE 'UTC') AND v.click_id < click_key_floor($3 AT TIME ZONE 'UTC')
     OR v.click_id IS NULL AND v.converted_at >= $2 AND v.converted_at < $3)";

#[derive(QueryableByName)]
struct ConversionRow {
    #[diesel(sql_type = Array<Nullable<Text>>)]
    fields: Vec<Option<String>>,
    #[diesel(sql_type = Text)]
    of_currency: Currency,
    #[diesel(sql_type = Text)]
    of_status: String,
    /// Day on the clock of the report, if money is converted.
    #[diesel(sql_type = Nullable<Date>)]
    of_day: Option<NaiveDate>,
    /// Span of six hours, of conversions that are kept; 0 otherwise.
    #[diesel(sql_type = BigInt)]
    of_span: i64,
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
    #[diesel(sql_type = Array<Integer>)]
    times: Vec<i32>,
    #[diesel(sql_type = Array<Integer>)]
    step_times: Vec<i32>,
}

/// Sums of rows, each of which stands for `count` conversions. Sums of money are capped: beyond that, no currency is paid.
fn sums(count: &str, later_steps: &str, [times, step_times]: [&str; 2]) -> String {
    let money = ["amount_micros", "commission_micros", "revenue_micros"];
    let money =
        money.map(|sum| format!("least(coalesce(sum({sum}), 0), 9223372036854775807)::bigint AS {sum}"));
    format!(
        "{count} AS conversions, {later_steps} AS later_steps, {}, {times} AS times, {step_times} AS step_times",
        money.join(", ")
    )
}

/// Seconds of pending and approved conversions since a time, which some do not have.
fn times_since(time: &str) -> String {
    format!(
        "array_remove(array_agg(CASE WHEN v.status IN ('pending', 'approved')
             THEN extract(epoch FROM v.converted_at - {time})::integer END), NULL)"
    )
}

impl Events<'_> {
    /// Adds the conversions of the period.
    pub(crate) async fn add_conversions(
        &self,
        conn: &mut NetworkConn,
        groups: &mut Groups,
    ) -> Result<(), ReportError> {
        let has_times = self.query.used_metrics().any(Metric::is_time);
        let mut fields = self.plan.fields.iter();
        let is_summed = self.query.by == Basis::Conversion
            && !has_times
            && fields.all(|planned| planned.field.of_sums().is_some());
        match &self.kept {
            Some((cache, question)) if !has_times => {
                self.add_spans(conn, cache, question, is_summed, groups).await?;
            }
            _ => {
                let text = if is_summed {
                    self.of_sums()
                } else {
                    self.of_rows(has_times)
                };
                let rows = self.load(conn, text, (self.plan.from, self.plan.to)).await?;
                for (_, key, conversions) in self.translated(rows, &mut groups.rates)? {
                    groups.add_conversions(key, &conversions);
                }
            }
        }
        groups.check_size()
    }

    /// Conversions of an interval, from the sums or one by one, with their span and key.
    pub(super) async fn conversions_of(
        &self,
        conn: &mut NetworkConn,
        interval: Interval,
        is_summed: bool,
    ) -> Result<Vec<(i64, GroupKey, Conversions)>, ReportError> {
        let text = if is_summed {
            self.of_sums()
        } else {
            self.of_rows(false)
        };
        let rows = self.load(conn, text, interval).await?;
        self.translated(rows, &mut BTreeSet::new())
    }

    /// Span, key and conversions of the rows that the filters let through.
    fn translated(
        &self,
        rows: Vec<ConversionRow>,
        used: &mut BTreeSet<UsedRate>,
    ) -> Result<Vec<(i64, GroupKey, Conversions)>, ReportError> {
        let mut translator = Translator::new(self.plan, self.keys);
        let mut translated = Vec::with_capacity(rows.len());
        // Sums that decisions have emptied are no rows.
        for row in rows.into_iter().filter(|row| row.conversions != 0) {
            if let Some(key) = translator.key(&row.fields)? {
                let (currency, sums) = self.converted(&row, used)?;
                let conversions = Conversions {
                    currency,
                    status: row.of_status,
                    conversions: row.conversions,
                    later_steps: row.later_steps,
                    sums,
                    times: row.times,
                    step_times: row.step_times,
                };
                translated.push((row.of_span, key, conversions));
            }
        }
        Ok(translated)
    }

    /// Currency and sums of a row, converted by the rate of its day, to the micro-unit.
    fn converted(
        &self,
        row: &ConversionRow,
        used: &mut BTreeSet<UsedRate>,
    ) -> Result<(Currency, Sums), ReportError> {
        let sums = Sums {
            conversions: row.conversions,
            amount_micros: row.amount_micros,
            commission_micros: row.commission_micros,
            revenue_micros: row.revenue_micros,
        };
        let (Some(currency), Some(rates), Some(day)) = (self.query.convert, &self.rates, row.of_day) else {
            return Ok((row.of_currency, sums));
        };
        // Rejected conversions have no money in reports.
        if currency == row.of_currency || !matches!(row.of_status.as_str(), "pending" | "approved") {
            return Ok((currency, sums));
        }
        let rate = rates.rate(row.of_currency, currency, day)?;
        used.extend(rate.used());
        let micros = |micros: i64| i64::try_from(rate.convert(micros.into()).micros()).unwrap_or(i64::MAX);
        let sums = Sums {
            conversions: sums.conversions,
            amount_micros: micros(sums.amount_micros),
            commission_micros: micros(sums.commission_micros),
            revenue_micros: micros(sums.revenue_micros),
        };
        Ok((currency, sums))
    }

    /// Columns of the rows of a statement besides their fields; `at` is the time by which they count.
    fn more(&self, at: &str) -> String {
        let day = match self.query.convert {
            Some(_) => format!("({at} AT TIME ZONE $9)::date"),
            None => "NULL::date".to_owned(),
        };
        let span = match self.kept {
            Some(_) => format!("floor(extract(epoch FROM {at}) / {SPAN})::bigint"),
            _ => "0::bigint".to_owned(),
        };
        format!("v.currency AS of_currency, v.status AS of_status, {day} AS of_day, {span} AS of_span, ")
    }

    fn of_sums(&self) -> String {
        let later_steps = format!(
            "coalesce(sum(conversions) FILTER (WHERE {}), 0)::bigint",
            self.later_steps()
        );
        let fields = self.plan.fields.iter();
        grouped(
            fields.map(|planned| (planned, self.of_sums_field(planned.field))),
            &sums("sum(conversions)::bigint", &later_steps, [NO_TIMES; 2]),
            &self.more("quarter_hour"),
            &format!(
                "conversion_rollups v WHERE network_id = $1 AND quarter_hour >= $2 AND quarter_hour < $3 {NARROWED}"
            ),
        )
    }

    fn of_rows(&self, has_times: bool) -> String {
        let (at, in_period) = match self.query.by {
            Basis::Conversion => (
                "v.converted_at".to_owned(),
                "v.converted_at >= $2 AND v.converted_at < $3",
            ),
            Basis::Click => (
                format!("coalesce({CLICKED_AT}, v.converted_at)"),
                CLICKED_IN_PERIOD,
            ),
        };
        let uses = |is_used: fn(Field) -> bool| {
            let mut fields = self.plan.fields.iter();
            fields.any(|planned| is_used(planned.field))
        };
        let first_visit = if uses(|field| field.of_first_visit().is_some()) {
            FIRST_VISIT
        } else {
            ""
        };
        let visit = if uses(Field::is_of_visit) || !first_visit.is_empty() {
            VISIT
        } else {
            ""
        };
        let (times, step_times) = if has_times {
            (
                times_since(CLICKED_AT),
                times_since(&format!("coalesce({PARENT}, {CLICKED_AT})")),
            )
        } else {
            (NO_TIMES.to_owned(), NO_TIMES.to_owned())
        };
        let later_steps = format!("count(*) FILTER (WHERE {})", self.later_steps());
        let fields = self.plan.fields.iter();
        grouped(
            fields.map(|planned| {
                let expression = match planned.field {
                    Field::Time => self.time(&at),
                    other => other.of_conversion(),
                };
                (planned, expression)
            }),
            &sums("count(*)", &later_steps, [&times, &step_times]),
            &self.more(&at),
            &format!(
                "conversions v {visit} {first_visit} WHERE v.network_id = $1 AND {in_period} {NARROWED}"
            ),
        )
    }

    /// Condition of conversions that a rate leaves out. Of goals that were chosen, every one counts.
    fn later_steps(&self) -> &'static str {
        let mut filters = self.query.filters.iter();
        if filters.any(|filter| filter.dimension == Dimension::Goal) {
            "false"
        } else {
            LATER_GOALS
        }
    }
}
