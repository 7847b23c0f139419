//! Model of reports: every row is read, and summed in the plainest way. It shares nothing with the engine but the query.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Datelike, Days, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};
use diesel_async::RunQueryDsl;
use reports::{Basis, Dimension, Filter, Report, ReportQuery, Test};
use schema::{AdvertiserId, AffiliateId, CampaignId, GoalId, GroupId, LandingPageId, LinkId, MembershipId};
use tenancy::Scope;
use testkit::TestApp;

/// Properties of an event by name.
type Event = HashMap<&'static str, String>;

/// Clicks, unique and invalid ones; pending, approved and rejected conversions.
type Counts = [i64; 6];

/// Amount, commission and revenue of pending and approved conversions by currency.
type Money = BTreeMap<String, [i64; 3]>;

/// Sums by the keys of the rows.
pub(crate) type Expected = BTreeMap<Vec<String>, (Counts, Money)>;

const NAMES: [&str; 16] = [
    "campaign",
    "affiliate",
    "link",
    "landing_page",
    "sub1",
    "sub2",
    "sub3",
    "sub4",
    "sub5",
    "country",
    "device",
    "os",
    "browser",
    "referrer",
    "flag",
    "advertiser",
];

/// Properties of a row `k` of clicks, in the order of [`NAMES`] but for the objects that a conversion has too.
const VISIT: &str =
    "k.landing_page_id::text, k.sub1, k.sub2, k.sub3, k.sub4, k.sub5, k.country, k.device, k.os, k.browser,
     k.referrer, k.flag";

/// Sub IDs of a click, and those of the first click of the customer.
const SUBS: [(&str, &str); 5] = [
    ("sub1", "first_sub1"),
    ("sub2", "first_sub2"),
    ("sub3", "first_sub3"),
    ("sub4", "first_sub4"),
    ("sub5", "first_sub5"),
];

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
    #[diesel(sql_type = Timestamptz)]
    clicked_at: DateTime<Utc>,
    #[diesel(sql_type = Array<Nullable<Text>>)]
    values: Vec<Option<String>>,
    #[diesel(sql_type = Array<Nullable<Text>>)]
    more: Vec<Option<String>>,
    #[diesel(sql_type = Array<BigInt>)]
    numbers: Vec<i64>,
}

/// Time, time of the click, properties, amount, commission and revenue.
type Conversion = (DateTime<Utc>, DateTime<Utc>, Event, [i64; 3]);

/// All rows of the scene's network.
pub(crate) struct Model {
    clicks: Vec<(DateTime<Utc>, Event, Counts)>,
    conversions: Vec<Conversion>,
}

impl Model {
    pub(crate) async fn load(app: &TestApp) -> Self {
        app.settled().await;
        let mut owner = app.database.owner().await;
        let id = app.scene.network.id.0;
        let advertiser = "(SELECT c.advertiser_id::text FROM campaigns c WHERE c.id = e.campaign_id)";
        let group = "(SELECT a.group_id::text FROM affiliates a WHERE a.id = e.affiliate_id)";
        let manager = "(SELECT a.manager_id::text FROM affiliates a WHERE a.id = e.affiliate_id)";
        let tags = "(SELECT array_to_string(a.tags, ', ') FROM affiliates a WHERE a.id = e.affiliate_id)";
        let categories =
            "(SELECT array_to_string(c.categories, ', ') FROM campaigns c WHERE c.id = e.campaign_id)";
        let objects = "e.campaign_id::text, e.affiliate_id::text, e.link_id::text";
        let clicks: Vec<Row> = diesel::sql_query(format!(
            "SELECT e.clicked_at AS at, e.clicked_at, ARRAY[{objects}, {}, {advertiser}] AS values,
                    ARRAY[{group}, {tags}, {categories}, {manager}] AS more, ARRAY[e.is_unique::int::bigint] AS numbers
             FROM clicks e WHERE e.network_id = {id}",
            VISIT.replace("k.", "e.")
        ))
        .load(&mut owner)
        .await
        .unwrap();
        let conversions: Vec<Row> = diesel::sql_query(format!(
            "SELECT e.converted_at AS at, k.clicked_at, ARRAY[{objects}, {VISIT}, {advertiser}] AS values,
                    ARRAY[{group}, {tags}, {categories}, {manager}, e.goal_id::text, e.status, e.currency, e.coupon,
                          e.attributed_by, e.item_categories, e.customer_id] AS more,
                    ARRAY[coalesce(e.amount_micros, 0), e.commission_micros, e.revenue_micros] AS numbers
             FROM conversions e JOIN clicks k ON k.network_id = e.network_id AND k.id = e.click_id
             WHERE e.network_id = {id} ORDER BY e.id"
        ))
        .load(&mut owner)
        .await
        .unwrap();
        let event = |row: &Row| -> Event {
            let more = [
                "group",
                "tags",
                "categories",
                "affiliate_manager",
                "goal",
                "status",
                "currency",
                "coupon",
                "attributed_by",
                "item_categories",
                "customer",
            ];
            let values = NAMES
                .into_iter()
                .zip(&row.values)
                .chain(more.into_iter().zip(&row.more));
            values
                .filter_map(|(name, value)| Some((name, value.clone()?)))
                .collect()
        };
        // First conversion of each customer that was not rejected.
        let mut first: HashMap<String, Event> = HashMap::new();
        for event in conversions.iter().map(&event) {
            if matches!(event["status"].as_str(), "pending" | "approved")
                && let Some(customer) = event.get("customer")
            {
                first.entry(customer.clone()).or_insert(event);
            }
        }
        let mut known = Vec::new();
        let mut path = |event: &mut Event| {
            let Some(customer) = event.get("customer").cloned() else {
                for (sub, of_first) in SUBS {
                    let own = event.get(sub).cloned();
                    event.extend(own.map(|own| (of_first, own)));
                }
                return;
            };
            let kind = if known.contains(&customer) {
                "returning"
            } else {
                "new"
            };
            event.insert("customer_type", kind.to_owned());
            let of_path = first.get(&customer).unwrap_or(event).clone();
            for (sub, of_first) in SUBS {
                event.extend(of_path.get(sub).map(|value| (of_first, value.clone())));
            }
            if matches!(event["status"].as_str(), "pending" | "approved") {
                known.push(customer);
            }
        };
        Self {
            clicks: clicks
                .iter()
                .map(|row| {
                    let event = event(row);
                    let is_invalid = i64::from(event.contains_key("flag"));
                    (row.at, event, [1, row.numbers[0], is_invalid, 0, 0, 0])
                })
                .collect(),
            conversions: conversions
                .iter()
                .map(|row| {
                    let mut event = event(row);
                    path(&mut event);
                    let days = (row.at - row.clicked_at)
                        .num_milliseconds()
                        .div_euclid(86_400_000);
                    event.insert("days_since_click", days.to_string());
                    event.insert("weeks_since_click", (days / 7).to_string());
                    let money = row.numbers.clone().try_into().unwrap();
                    (row.at, row.clicked_at, event, money)
                })
                .collect(),
        }
    }

    pub(crate) fn report(&self, query: &ReportQuery, scope: Scope) -> Expected {
        let zone = query.zone.unwrap();
        let mut expected = Expected::new();
        for (at, event, counts) in &self.clicks {
            if counted(query, scope, event, *at, zone, true) {
                let row = &mut expected.entry(keys(query, event, *at, zone)).or_default().0;
                row.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            }
        }
        for (at, clicked_at, event, money) in &self.conversions {
            let at = if query.by == Basis::Click { clicked_at } else { at };
            if counted(query, scope, event, *at, zone, false) {
                let (counts, sums) = expected.entry(keys(query, event, *at, zone)).or_default();
                let index = match event["status"].as_str() {
                    "pending" => 3,
                    "approved" => 4,
                    _ => 5,
                };
                counts[index] += 1;
                if index < 5 {
                    let sums = sums.entry(event["currency"].clone()).or_default();
                    sums.iter_mut()
                        .zip(money)
                        .for_each(|(sum, micros)| *sum += micros);
                }
            }
        }
        expected
    }
}

fn counted(
    query: &ReportQuery,
    scope: Scope,
    event: &Event,
    at: DateTime<Utc>,
    zone: Tz,
    is_click: bool,
) -> bool {
    let day = at.with_timezone(&zone).date_naive();
    let is = |name: &str, id: Option<i32>| id.is_none_or(|id| event.get(name) == Some(&id.to_string()));
    (query.from..=query.to).contains(&day)
        && is("affiliate", scope.affiliate.map(|id| id.0))
        && is("advertiser", scope.advertiser.map(|id| id.0))
        && is("affiliate_manager", scope.manager.map(|id| id.0))
        && query.filters.iter().all(|filter| passes(filter, event, is_click))
}

fn passes(filter: &Filter, event: &Event, is_click: bool) -> bool {
    let value = property(filter.dimension, event);
    match &filter.test {
        // Clicks lead to every goal.
        Test::Is(_) if is_click && filter.dimension == Dimension::Goal => true,
        Test::Is(values) => value.is_some_and(|value| values.contains(&value)),
        Test::IsNot(values) => value.is_none_or(|value| !values.contains(&value)),
        Test::Contains(text) => {
            value.is_some_and(|value| value.to_lowercase().contains(&text.to_lowercase()))
        }
        Test::Begins(text) => {
            value.is_some_and(|value| value.to_lowercase().starts_with(&text.to_lowercase()))
        }
        Test::Empty(is_empty) => value.unwrap_or_default().is_empty() == *is_empty,
    }
}

fn keys(query: &ReportQuery, event: &Event, at: DateTime<Utc>, zone: Tz) -> Vec<String> {
    let local = at.with_timezone(&zone);
    let key = |dimension: &Dimension| match dimension {
        Dimension::Day => local.format("%Y-%m-%d").to_string(),
        Dimension::Hour => local.format("%Y-%m-%d %H:00").to_string(),
        Dimension::Week => local.format("%G-W%V").to_string(),
        Dimension::SundayWeek => {
            let mut day = local.date_naive();
            while day.weekday() != chrono::Weekday::Sun {
                day = day - Days::new(1);
            }
            day.format("%Y-%m-%d").to_string()
        }
        Dimension::Month => local.format("%Y-%m").to_string(),
        Dimension::Quarter => format!("{}-Q{}", local.year(), local.month().div_ceil(3)),
        Dimension::HourOfDay => local.format("%H").to_string(),
        Dimension::Weekday => local.format("%u").to_string(),
        other => property(*other, event).unwrap_or_default(),
    };
    query.group.iter().map(key).collect()
}

/// Public value of a dimension.
fn property(dimension: Dimension, event: &Event) -> Option<String> {
    let name = match dimension {
        Dimension::Categories => "categories",
        Dimension::Group => "group",
        Dimension::Tags => "tags",
        Dimension::InvalidBecause => "flag",
        Dimension::ReferrerHost => "referrer",
        other => other.as_str(),
    };
    let value = event.get(name)?;
    let id = || value.parse().unwrap();
    Some(match dimension {
        Dimension::Advertiser => AdvertiserId(id()).to_string(),
        Dimension::Campaign => CampaignId(id()).to_string(),
        Dimension::Goal => GoalId(id()).to_string(),
        Dimension::Affiliate => AffiliateId(id()).to_string(),
        Dimension::Group => GroupId(id()).to_string(),
        Dimension::Manager => MembershipId(id()).to_string(),
        Dimension::Link => LinkId(id()).to_string(),
        Dimension::LandingPage => LandingPageId(id()).to_string(),
        Dimension::ReferrerHost => host(value)?.to_lowercase(),
        _ => value.clone(),
    })
}

fn host(referrer: &str) -> Option<&str> {
    let (_, rest) = referrer.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    host.split(':').next().filter(|host| !host.is_empty())
}

pub(crate) fn assert_equal(report: &Report, expected: &Expected, text: &str) {
    let mut found = Expected::new();
    let mut total = Counts::default();
    for row in report.rows(0..usize::MAX) {
        let keys = row.keys.into_iter().map(|key| key.value).collect();
        let figures = row.figures;
        let counts = [
            figures.clicks,
            figures.unique_clicks,
            figures.invalid_clicks,
            figures.pending,
            figures.approved,
            figures.rejected,
        ];
        total
            .iter_mut()
            .zip(counts)
            .for_each(|(sum, count)| *sum += count);
        let money = figures.money.iter().map(|(currency, sums)| {
            let sums = [sums.amount_micros, sums.commission_micros, sums.revenue_micros];
            (currency.to_string(), sums)
        });
        assert!(
            found.insert(keys, (counts, money.collect())).is_none(),
            "{text}: a key twice"
        );
    }
    assert_eq!(&found, expected, "{text}");
    let figures = &report.total;
    let sums = [
        figures.clicks,
        figures.unique_clicks,
        figures.invalid_clicks,
        figures.pending,
        figures.approved,
        figures.rejected,
    ];
    assert_eq!(sums, total, "{text}: the total");
}
