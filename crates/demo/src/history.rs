//! Thirty days of traffic: clicks in the rhythm of days and weeks, conversions at believable rates, some common mistakes
//! of advertisers, and decisions on the conversions older than a week.

use std::collections::HashMap;
use std::sync::LazyLock;

use campaigns::ClickFlag;
use campaigns::{ClickId, ClickIds};
use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use conversions::{ConversionFilter, ConversionStatus, Correction};
use postbacks::InboundRequest;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use schema::{CampaignId, Db, clock};
use tenancy::Author;
use tracking::clicks::{NewClick, Visitor};
use tracking::{Intake, Tracker};
use visitors::Agents;

use crate::dialect::PostbackValues;
use crate::network::{DemoNetwork, LinkTraffic};
use crate::{DemoError, Progress, scenarios};

/// Days of history, today included.
const DAYS: u64 = 30;
/// Clicks on a usual weekday.
const CLICKS_PER_DAY: u32 = 1_400;
/// Clicks journaled together.
const CLICK_BATCH: usize = 2_000;
/// Postbacks in flight together.
const POSTBACK_BATCH: usize = 64;

const SUB1: [&str; 8] = [
    "newsletter",
    "header-banner",
    "review-page",
    "push",
    "ig-story",
    "sidebar",
    "yt-desc",
    "footer",
];
const BROWSERS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
];

const COUNTRIES: [&str; 6] = ["PL", "DE", "PL", "CZ", "AT", "GB"];

static AGENTS: LazyLock<Agents> = LazyLock::new(Agents::new);

/// Order that the advertiser will report at its time.
struct Order<'a> {
    at: DateTime<Utc>,
    click_id: String,
    link: &'a LinkTraffic,
}

/// Creates the history up to now.
pub(crate) async fn create(
    db: &Db,
    tracker: &Tracker,
    demo: &DemoNetwork,
    progress: Progress,
) -> Result<(), DemoError> {
    let mut random = StdRng::seed_from_u64(11);
    let now = clock::now();
    let visits = random_visits(&mut random, demo, now);
    let mut orders = Vec::new();
    let mut stored = 0;
    let mut capped = Capped::default();
    let intake = tracker.intake();
    for batch in visits.chunks(CLICK_BATCH) {
        let mut clicks: Vec<_> = batch
            .iter()
            .map(|(at, link)| new_click(&mut random, *at, link))
            .collect();
        for (click, (_, link)) in clicks.iter_mut().zip(batch) {
            capped.count(click, link, demo.network.time_zone());
        }
        let recording = clicks.iter().map(|click| intake.record(&demo.network, click));
        futures_util::future::try_join_all(recording).await?;
        for (click, (at, link)) in clicks.iter().zip(batch) {
            if random.random_ratio(link.per_thousand.min(1000), 1000) {
                // Most customers order within the hour, some days later.
                let minutes = if random.random_ratio(4, 5) {
                    random.random_range(2..60)
                } else {
                    random.random_range(60..4_000)
                };
                let id = ClickId {
                    network_id: demo.network.id,
                    key: click.key,
                };
                let at = *at + TimeDelta::minutes(minutes);
                orders.push(Order {
                    at,
                    click_id: tracker.click_ids().write(id, demo.network.click_key),
                    link,
                });
            }
        }
        stored += batch.len();
        progress("Clicks of the last 30 days", stored, visits.len());
    }
    tracker.settled().await;
    orders.retain(|order| order.at < now);
    orders.sort_by_key(|order| order.at);
    report_orders(&intake, demo, &mut random, &orders, progress).await?;
    scenarios::play(&intake, demo, now).await?;
    tracker.settled().await;
    decide_old_ones(db, demo, &mut random, now, progress).await
}

/// Returns the time and link of every visit, in order of time.
fn random_visits<'a>(
    random: &mut StdRng,
    demo: &'a DemoNetwork,
    now: DateTime<Utc>,
) -> Vec<(DateTime<Utc>, &'a LinkTraffic)> {
    let zone = demo.network.time_zone();
    let today = now.with_timezone(&zone).date_naive();
    let weights: u32 = demo.links.iter().map(|link| link.weight).sum();
    let mut visits = Vec::new();
    for back in 0..DAYS {
        let Some(day) = today.checked_sub_days(Days::new(back)) else {
            continue;
        };
        for _ in 0..clicks_of(random, day) {
            let Some(local) = day.and_hms_opt(
                hour_of_day(random),
                random.random_range(0..60),
                random.random_range(0..60),
            ) else {
                continue;
            };
            let Some(at) = local.and_local_timezone(zone).earliest() else {
                continue;
            };
            let at = at.with_timezone(&Utc) + TimeDelta::milliseconds(random.random_range(0..1000));
            let mut ticket = random.random_range(0..weights);
            let link = demo
                .links
                .iter()
                .find(|link| match ticket.checked_sub(link.weight) {
                    Some(left) => {
                        ticket = left;
                        false
                    }
                    None => true,
                });
            if let (Some(link), true) = (link, at < now) {
                visits.push((at, link));
            }
        }
    }
    visits.sort_by_key(|(at, _)| *at);
    visits
}

fn clicks_of(random: &mut StdRng, day: NaiveDate) -> u32 {
    let percent = match day.weekday() {
        Weekday::Sat => 72,
        Weekday::Sun => 84,
        Weekday::Mon => 108,
        _ => 100,
    };
    CLICKS_PER_DAY * percent / 100 * random.random_range(88..113) / 100
}

/// Returns a random hour: few visits at night, more at noon, most in the evening.
fn hour_of_day(random: &mut StdRng) -> u32 {
    const SHAPE: [u32; 24] = [
        6, 4, 3, 2, 2, 3, 6, 12, 18, 22, 24, 26, 30, 28, 24, 23, 24, 27, 32, 38, 42, 38, 26, 14,
    ];
    let mut ticket = random.random_range(0..SHAPE.iter().sum());
    for (hour, weight) in (0..).zip(SHAPE) {
        match ticket.checked_sub(weight) {
            Some(left) => ticket = left,
            None => return hour,
        }
    }
    0
}

pub(crate) fn new_click(random: &mut StdRng, at: DateTime<Utc>, link: &LinkTraffic) -> NewClick {
    let pick = |random: &mut StdRng, from: &[&str]| {
        from.get(random.random_range(0..from.len()))
            .map(|text| (*text).to_owned())
    };
    let sub2 = random
        .random_ratio(1, 2)
        .then(|| format!("w{}", at.iso_week().week()));
    let prefix = format!(
        "{}.{}.{}.0/24",
        random.random_range(11..200),
        random.random_range(0..256),
        random.random_range(0..256)
    );
    NewClick {
        key: ClickIds::fresh_key(link.link_id, at),
        clicked_at: at,
        link_id: link.link_id,
        campaign_id: link.campaign_id,
        affiliate_id: link.affiliate_id,
        landing_page_id: None,
        subs: [pick(random, &SUB1), sub2, None, None, None],
        ip_prefix: prefix.parse().ok(),
        referrer: None,
        visitor: random_visitor(random),
    }
}

/// Valid clicks of capped campaigns, by campaign and day in the network's time zone.
#[derive(Default)]
struct Capped(HashMap<(CampaignId, NaiveDate), i64>);

impl Capped {
    /// Counts a valid click, or flags it if the campaign has reached its cap of that day.
    fn count(&mut self, click: &mut NewClick, link: &LinkTraffic, zone: Tz) {
        let Some(cap) = link.daily_cap.filter(|_| click.visitor.flag.is_none()) else {
            return;
        };
        let day = click.clicked_at.with_timezone(&zone).date_naive();
        let so_far = self.0.entry((click.campaign_id, day)).or_default();
        if *so_far < cap {
            *so_far += 1;
        } else {
            click.visitor.flag = Some(ClickFlag::CapReached);
        }
    }
}

/// Returns a random visitor: most are on their first visit of the day, a few are robots.
fn random_visitor(random: &mut StdRng) -> Visitor {
    let flag = match random.random_range(0..100) {
        0..=2 => Some(ClickFlag::Bot),
        3 => Some(ClickFlag::DataCenter),
        4 => Some(ClickFlag::Duplicate),
        _ => None,
    };
    let browser = BROWSERS.get(random.random_range(0..BROWSERS.len()));
    let country = COUNTRIES.get(random.random_range(0..COUNTRIES.len()));
    Visitor {
        hash: Some(random.random()),
        is_unique: flag.is_none() && random.random_ratio(9, 10),
        flag,
        country: country.and_then(|code| code.parse().ok()),
        asn: None,
        agent: AGENTS.read(browser.copied().filter(|_| flag != Some(ClickFlag::Bot))),
    }
}

/// Sends the postback of every order through the real intake, in batches.
async fn report_orders(
    intake: &Intake,
    demo: &DemoNetwork,
    random: &mut StdRng,
    orders: &[Order<'_>],
    progress: Progress,
) -> Result<(), DemoError> {
    let mut reported = 0;
    for batch in orders.chunks(POSTBACK_BATCH) {
        let mut calls = Vec::new();
        for order in batch {
            let target = random_target(random, order);
            for _ in 0..if random.random_ratio(1, 60) { 2 } else { 1 } {
                let request = call(order.at, &target);
                let parsed = request.parse();
                calls.push(intake.receive(&demo.network, request, parsed));
            }
        }
        futures_util::future::join_all(calls).await;
        reported += batch.len();
        progress("Postbacks of the last 30 days", reported, orders.len());
    }
    Ok(())
}

/// Returns the request target of an order's postback, sometimes with a common mistake.
fn random_target(random: &mut StdRng, order: &Order<'_>) -> String {
    let link = order.link;
    let (low, high) = link.order;
    let mut click_id = order.click_id.clone();
    let mut goal = link.goal.to_owned();
    let mut token = link.token.as_str().to_owned();
    let mut amount = match high {
        0 => None,
        _ => Some(format!(
            "{}.{:02}",
            random.random_range(low..=high),
            random.random_range(0..100)
        )),
    };
    match random.random_range(0..400) {
        0..=2 => click_id = click_id.to_uppercase(),
        3..=4 => click_id = "{click_id}".to_owned(),
        5 => click_id.truncate(32),
        6..=7 => "purchase".clone_into(&mut goal),
        8 => token = "old-token".to_owned(),
        9..=10 => amount = amount.map(|amount| amount.replace('.', ",")),
        _ => {}
    }
    let number = order.at.timestamp_millis() % 10_000_000_000;
    let order_id = link.needs_order.then(|| format!("{}-{number}", link.currency));
    link.dialect.target(&PostbackValues {
        click_id: &click_id,
        goal: &goal,
        order_id: order_id.as_deref(),
        amount: amount.as_deref(),
        currency: link.currency.code(),
        token: &token,
    })
}

/// Returns a postback of an advertiser's server, received at a time.
pub(crate) fn call(at: DateTime<Utc>, target: &str) -> InboundRequest {
    InboundRequest::get(target, at, "198.51.100.23/32".parse().ok())
}

/// Approves nine of ten conversions older than a week and rejects the others; younger ones stay pending.
async fn decide_old_ones(
    db: &Db,
    demo: &DemoNetwork,
    random: &mut StdRng,
    now: DateTime<Utc>,
    progress: Progress,
) -> Result<(), DemoError> {
    let mut conn = db.network(demo.network.id).await?;
    let filter = ConversionFilter {
        status: Some(ConversionStatus::Pending),
        ..ConversionFilter::default()
    };
    let mut waiting = conversions::list(&mut conn, &filter, 100_000).await?;
    waiting.retain(|named| named.conversion.converted_at < now - TimeDelta::days(7));
    let total = waiting.len();
    for (done, named) in waiting.into_iter().enumerate() {
        let decided_at =
            named.conversion.converted_at + TimeDelta::days(7) + TimeDelta::minutes(i64::from(now.minute()));
        let correction = if random.random_ratio(9, 10) {
            Correction::Approve
        } else {
            Correction::Reject
        };
        conversions::correct(
            &mut conn,
            &Author::system(),
            named.conversion.id,
            &correction.into(),
            decided_at.min(now),
        )
        .await?;
        progress("Decisions on old conversions", done + 1, total);
    }
    Ok(conn.commit().await?)
}
