//! Statement of a report: the events of the period, filtered, and summed by the dimensions.
//!
//! The text is made of fixed parts; everything that a caller sent is a parameter.

use crate::query::{Basis, Test};
use crate::{Dimension, ReportQuery};

/// Maximum number of rows of the statement. A report with more is refused: it must ask for less.
pub(crate) const MAX_SUMS: usize = 200_000;

/// Number of the first parameter that belongs to a filter. The ones before are the network, start and end of the period,
/// the time zone, and the scope: affiliate and advertiser.
const FIRST_FILTER: usize = 7;

/// Events from the sums per hour, which have few dimensions.
const OF_SUMS: &str = "
    SELECT hour AS at, campaign_id, affiliate_id, link_id, NULL::integer AS goal_id, NULL AS currency, NULL AS status,
           clicks, unique_clicks, invalid_clicks,
           0 AS conversions, 0 AS amount_micros, 0 AS commission_micros, 0 AS revenue_micros
    FROM click_rollups WHERE network_id = $1 AND hour >= $2 AND hour < $3 AND {not_test}
    UNION ALL
    SELECT hour, campaign_id, affiliate_id, link_id, goal_id, currency, status, 0, 0, 0,
           conversions, amount_micros, commission_micros, revenue_micros
    FROM conversion_rollups WHERE network_id = $1 AND hour >= $2 AND hour < $3";

/// Events from the single clicks and conversions. The key of a click begins with its time in milliseconds.
const OF_EVENTS: &str = "
    SELECT clicked_at AS at, campaign_id, affiliate_id, link_id, NULL::integer AS goal_id, NULL AS currency,
           NULL AS status, sub1, sub2, sub3, sub4, sub5, country, device, os, browser, referrer, landing_page_id, flag,
           NULL AS coupon, NULL AS customer_type, NULL AS attributed_by,
           1 AS clicks, is_unique::integer AS unique_clicks, (flag IS NOT NULL)::integer AS invalid_clicks,
           0 AS conversions, 0 AS amount_micros, 0 AS commission_micros, 0 AS revenue_micros
    FROM clicks
    WHERE network_id = $1 AND id >= click_key_floor($2 AT TIME ZONE 'UTC') AND id < click_key_floor($3 AT TIME ZONE 'UTC')
      AND {not_test}
    UNION ALL
    SELECT {at}, v.campaign_id, v.affiliate_id, v.link_id, v.goal_id, v.currency, v.status,
           k.sub1, k.sub2, k.sub3, k.sub4, k.sub5, k.country, k.device, k.os, k.browser, k.referrer, k.landing_page_id, k.flag,
           v.coupon, {customer_type}, v.attributed_by, 0, 0, 0,
           1, coalesce(v.amount_micros, 0), v.commission_micros, v.revenue_micros
    FROM conversions v LEFT JOIN clicks k ON k.network_id = $1 AND k.id = v.click_id
    WHERE v.network_id = $1 AND {in_period}";

/// An earlier conversion of the customer that was not rejected makes an order one of a returning customer. The key of a
/// conversion begins with its time.
const CUSTOMER_TYPE: &str = "
    CASE WHEN v.customer_id IS NULL THEN NULL
         WHEN EXISTS (SELECT FROM conversions e WHERE e.network_id = $1 AND e.customer_id = v.customer_id
                      AND e.advertiser_id = v.advertiser_id AND e.id < v.id AND e.status IN ('pending', 'approved'))
         THEN 'returning' ELSE 'new' END";

/// Conversions of goals that follow another goal.
const LATER_STEPS: &str = "
    coalesce(sum(conversions) FILTER (WHERE goal_id IN (
        SELECT id FROM goals WHERE network_id = $1 AND parent_goal_id IS NOT NULL)), 0)::bigint";

/// Links whose clicks count in no figure.
const NOT_TEST: &str = "link_id NOT IN (SELECT id FROM tracking_links WHERE network_id = $1 AND is_test)";

const BY_CONVERSION: (&str, &str) = ("v.converted_at", "v.converted_at >= $2 AND v.converted_at < $3");

const BY_CLICK: (&str, &str) = (
    "CASE WHEN v.click_id IS NULL THEN v.converted_at
          ELSE to_timestamp(('x' || left(replace(v.click_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) END",
    "(v.click_id >= click_key_floor($2 AT TIME ZONE 'UTC') AND v.click_id < click_key_floor($3 AT TIME ZONE 'UTC')
      OR v.click_id IS NULL AND v.converted_at >= $2 AND v.converted_at < $3)",
);

/// Text and parameters of a statement.
pub(crate) struct Statement {
    pub(crate) text: String,
    /// Values of the filters, from parameter [`FIRST_FILTER`] on.
    pub(crate) filters: Vec<Vec<String>>,
}

impl Statement {
    /// Statement of a query. With `is_in_zone`, the hours of the sums are those of the report's time zone.
    pub(crate) fn of(query: &ReportQuery, is_in_zone: bool) -> Self {
        let used = query.group.iter().copied();
        let filtered = query.filters.iter().map(|filter| filter.dimension);
        let needs_events = used.chain(filtered).any(Dimension::needs_events);
        let events = if needs_events || !is_in_zone || query.by == Basis::Click {
            let (at, in_period) = match query.by {
                Basis::Conversion => BY_CONVERSION,
                Basis::Click => BY_CLICK,
            };
            OF_EVENTS
                .replace("{at}", at)
                .replace("{in_period}", in_period)
                .replace("{customer_type}", CUSTOMER_TYPE)
        } else {
            OF_SUMS.to_owned()
        };
        let events = events.replace("{not_test}", NOT_TEST);
        let mut filters = Vec::new();
        let mut conditions = String::new();
        for filter in &query.filters {
            let parameter = format!("${}", FIRST_FILTER + filters.len());
            let expression = filter.dimension.expression();
            let (condition, values) = condition(filter.dimension, &filter.test, expression, &parameter);
            match (filter.dimension, &filter.test) {
                // Clicks lead to every goal.
                (Dimension::Goal, Test::Is(_)) => {
                    conditions.push_str(&format!(" AND (goal_id IS NULL OR {condition})"));
                }
                _ => conditions.push_str(&format!(" AND {condition}")),
            }
            filters.push(values);
        }
        let has_goal_filter = query
            .filters
            .iter()
            .any(|filter| filter.dimension == Dimension::Goal);
        // Of goals that were chosen, every one counts.
        let later_steps = if has_goal_filter { "0::bigint" } else { LATER_STEPS };
        let keys: Vec<_> = query
            .group
            .iter()
            .map(|dimension| format!("coalesce({}, '')", dimension.expression()))
            .collect();
        let keys = keys.join(", ");
        let text = format!(
            "SELECT ARRAY[{keys}]::text[] AS keys, currency, status,
                    sum(clicks)::bigint AS clicks, sum(unique_clicks)::bigint AS unique_clicks,
                    sum(invalid_clicks)::bigint AS invalid_clicks, sum(conversions)::bigint AS conversions,
                    {later_steps} AS later_steps,
                    least(sum(amount_micros), 9223372036854775807)::bigint AS amount_micros,
                    least(sum(commission_micros), 9223372036854775807)::bigint AS commission_micros,
                    least(sum(revenue_micros), 9223372036854775807)::bigint AS revenue_micros
             FROM ({events}) events
             WHERE ($4 IS NOT NULL)
               AND ($5 IS NULL OR affiliate_id = $5)
               AND ($6 IS NULL OR campaign_id IN (SELECT id FROM campaigns WHERE network_id = $1 AND advertiser_id = $6))
               {conditions}
             GROUP BY 1, 2, 3 LIMIT {}",
            MAX_SUMS + 1
        );
        Self { text, filters }
    }
}

/// Condition of a filter, and the values of its parameter, which is an array of text.
fn condition(dimension: Dimension, test: &Test, expression: &str, parameter: &str) -> (String, Vec<String>) {
    let stored = |values: &[String]| {
        values
            .iter()
            .filter_map(|value| dimension.stored(value).ok())
            .collect()
    };
    match test {
        Test::Is(values) => (format!("{expression} = ANY ({parameter})"), stored(values)),
        Test::IsNot(values) => (
            format!("coalesce({expression} <> ALL ({parameter}), true)"),
            stored(values),
        ),
        // Compared as text, so that % and _ are themselves.
        Test::Contains(text) => (
            format!("strpos(lower({expression}), lower(({parameter})[1])) > 0"),
            vec![text.clone()],
        ),
        Test::Begins(text) => (
            format!("starts_with(lower({expression}), lower(({parameter})[1]))"),
            vec![text.clone()],
        ),
        Test::Empty(is_empty) => {
            let not = if *is_empty { "" } else { "NOT " };
            (
                format!("{not}coalesce({expression}, '') = '' AND {parameter}::text[] IS NOT NULL"),
                Vec::new(),
            )
        }
    }
}
