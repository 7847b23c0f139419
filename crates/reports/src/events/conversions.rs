//! Conversions of a period: from the sums per hour if those have all fields, otherwise one by one.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text};
use schema::{Currency, NetworkConn};

use super::{Events, NARROWED, grouped};
use crate::field::CLICKED_AT;
use crate::groups::{Conversions, Groups, Translator};
use crate::query::Basis;
use crate::{Dimension, Metric, ReportError, Sums};

/// Values of the clicks, of conversions whose `visit` is not filled in yet.
const VISIT: &str = "
    LEFT JOIN LATERAL (
        SELECT ARRAY[k.sub1, k.sub2, k.sub3, k.sub4, k.sub5, k.country, k.device, k.os, k.browser,
                     referrer_host(k.referrer), k.flag, k.landing_page_id::text] AS of_click
        FROM clicks k WHERE v.visit IS NULL AND k.network_id = $1 AND k.id = v.click_id OFFSET 0
    ) k ON true
    CROSS JOIN LATERAL (SELECT coalesce(v.visit, k.of_click) AS visited) known";

/// Goals that follow another goal.
const LATER_GOALS: &str =
    "v.goal_id IN (SELECT id FROM goals WHERE network_id = $1 AND parent_goal_id IS NOT NULL)";

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
}

/// Sums of rows, each of which stands for `count` conversions. Sums of money are capped: beyond that, no currency is paid.
fn sums(count: &str, later_steps: &str, times: &str) -> String {
    let money = ["amount_micros", "commission_micros", "revenue_micros"];
    let money =
        money.map(|sum| format!("least(coalesce(sum({sum}), 0), 9223372036854775807)::bigint AS {sum}"));
    format!(
        "{count} AS conversions, {later_steps} AS later_steps, {}, {times} AS times",
        money.join(", ")
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
            && self.has_hours
            && !has_times
            && fields.all(|planned| planned.field.of_sums().is_some());
        let text = if is_summed {
            self.of_sums()
        } else {
            self.of_rows(has_times)
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
                    times: row.times,
                };
                groups.add_conversions(key, &conversions);
            }
        }
        groups.check_size()
    }

    fn of_sums(&self) -> String {
        let later_steps = format!(
            "coalesce(sum(conversions) FILTER (WHERE {}), 0)::bigint",
            self.later_steps()
        );
        let fields = self.plan.fields.iter();
        grouped(
            fields.map(|planned| (planned, planned.field.of_sums().unwrap_or_default().to_owned())),
            &sums("sum(conversions)::bigint", &later_steps, "'{}'::integer[]"),
            "currency AS of_currency, status AS of_status, ",
            &format!("conversion_rollups v WHERE network_id = $1 AND hour >= $2 AND hour < $3 {NARROWED}"),
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
        let mut fields = self.plan.fields.iter();
        let visit = if fields.any(|planned| planned.field.is_of_visit()) {
            VISIT
        } else {
            ""
        };
        let times = if has_times {
            format!(
                "array_remove(array_agg(CASE WHEN v.status IN ('pending', 'approved')
                     THEN extract(epoch FROM v.converted_at - {CLICKED_AT})::integer END), NULL)"
            )
        } else {
            "'{}'::integer[]".to_owned()
        };
        let later_steps = format!("count(*) FILTER (WHERE {})", self.later_steps());
        let fields = self.plan.fields.iter();
        grouped(
            fields.map(|planned| (planned, planned.field.of_conversion(&at))),
            &sums("count(*)", &later_steps, &times),
            "v.currency AS of_currency, v.status AS of_status, ",
            &format!("conversions v {visit} WHERE v.network_id = $1 AND {in_period} {NARROWED}"),
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
