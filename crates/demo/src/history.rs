//! Thirty days of traffic: clicks with the shape of days and weeks, conversions at believable rates, some of the
//! mistakes advertisers make, and a network that decides most of what is older than a week.

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use schema::{CampaignId, Db, clock};
use tenancy::Author;
use tracking::clicks::{Flag, NewClick, Visitor};
use tracking::conversions::{self, ConversionFilter, ConversionStatus};
use tracking::{ClickId, ClickIds, InboundCall, Intake, Tracker};
use visitors::Agents;

use crate::cast::{Cast, Stage};
use crate::spelling::Said;
use crate::{DemoError, Progress, stories};

/// Days of history, today included.
const DAYS: u64 = 30;
/// Clicks of an ordinary weekday.
const CLICKS_A_DAY: u32 = 1_400;
/// Clicks stored in one transaction.
const BATCH: usize = 2_000;
/// Postbacks decided at once.
const AT_ONCE: usize = 64;

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

/// A conversion that is going to be reported, at its time.
struct Order<'a> {
    at: DateTime<Utc>,
    click_id: String,
    stage: &'a Stage,
}

/// Plays the history up to now.
pub(crate) async fn play(
    db: &Db,
    tracker: &Tracker,
    cast: &Cast,
    progress: Progress,
) -> Result<(), DemoError> {
    let mut random = StdRng::seed_from_u64(11);
    let now = clock::now();
    let visits = imagine_visits(&mut random, cast, now);
    let mut orders = Vec::new();
    let mut stored = 0;
    let mut capped = Capped::default();
    let intake = tracker.intake();
    for batch in visits.chunks(BATCH) {
        let mut clicks: Vec<_> = batch
            .iter()
            .map(|(at, stage)| new_click(&mut random, *at, stage))
            .collect();
        for (click, (_, stage)) in clicks.iter_mut().zip(batch) {
            capped.count(click, stage, cast.network.time_zone());
        }
        let recording = clicks.iter().map(|click| intake.record(&cast.network, click));
        futures_util::future::try_join_all(recording).await?;
        for (click, (at, stage)) in clicks.iter().zip(batch) {
            if random.random_ratio(stage.per_thousand.min(1000), 1000) {
                // Most decide within the hour, some sleep on it.
                let minutes = if random.random_ratio(4, 5) {
                    random.random_range(2..60)
                } else {
                    random.random_range(60..4_000)
                };
                let id = ClickId {
                    network_id: cast.network.id,
                    key: click.key,
                };
                let at = *at + TimeDelta::minutes(minutes);
                orders.push(Order {
                    at,
                    click_id: tracker.click_ids().write(id, cast.network.click_key),
                    stage,
                });
            }
        }
        stored += batch.len();
        progress("Clicks of the last 30 days", stored, visits.len());
    }
    tracker.settled().await;
    orders.retain(|order| order.at < now);
    orders.sort_by_key(|order| order.at);
    report_orders(&intake, cast, &mut random, &orders, progress).await?;
    stories::play(&intake, cast, now).await?;
    tracker.settled().await;
    decide_old_ones(db, cast, &mut random, now, progress).await
}

/// When visitors came and through which link, in order of time.
fn imagine_visits<'a>(
    random: &mut StdRng,
    cast: &'a Cast,
    now: DateTime<Utc>,
) -> Vec<(DateTime<Utc>, &'a Stage)> {
    let zone = cast.network.time_zone();
    let today = now.with_timezone(&zone).date_naive();
    let weights: u32 = cast.stages.iter().map(|stage| stage.weight).sum();
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
            let stage = cast
                .stages
                .iter()
                .find(|stage| match ticket.checked_sub(stage.weight) {
                    Some(left) => {
                        ticket = left;
                        false
                    }
                    None => true,
                });
            if let (Some(stage), true) = (stage, at < now) {
                visits.push((at, stage));
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
    CLICKS_A_DAY * percent / 100 * random.random_range(88..113) / 100
}

/// Few at night, a shoulder at noon, most in the evening.
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

pub(crate) fn new_click(random: &mut StdRng, at: DateTime<Utc>, stage: &Stage) -> NewClick {
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
        key: ClickIds::fresh_key(stage.link_id, at),
        clicked_at: at,
        link_id: stage.link_id,
        campaign_id: stage.campaign_id,
        affiliate_id: stage.affiliate_id,
        subs: [pick(random, &SUB1), sub2, None, None, None],
        ip_prefix: prefix.parse().ok(),
        referrer: None,
        visitor: imagine_visitor(random),
    }
}

/// Valid clicks by campaign and day on the network's clock, where a campaign wants only so many.
#[derive(Default)]
struct Capped(HashMap<(CampaignId, NaiveDate), i64>);

impl Capped {
    /// Counts a valid click, or flags it when the campaign has had as many that day as it wants.
    fn count(&mut self, click: &mut NewClick, stage: &Stage, zone: Tz) {
        let Some(most) = stage.clicks_a_day.filter(|_| click.visitor.flag.is_none()) else {
            return;
        };
        let day = click.clicked_at.with_timezone(&zone).date_naive();
        let so_far = self.0.entry((click.campaign_id, day)).or_default();
        match *so_far < most {
            true => *so_far += 1,
            false => click.visitor.flag = Some(Flag::CapReached),
        }
    }
}

/// Most come for the first time that day; a few are robots.
fn imagine_visitor(random: &mut StdRng) -> Visitor {
    let flag = match random.random_range(0..100) {
        0..=2 => Some(Flag::Bot),
        3 => Some(Flag::DataCenter),
        4 => Some(Flag::Duplicate),
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
        agent: AGENTS.read(browser.copied().filter(|_| flag != Some(Flag::Bot))),
    }
}

/// Sends every order's postback through the real intake, a few at once.
async fn report_orders(
    intake: &Intake,
    cast: &Cast,
    random: &mut StdRng,
    orders: &[Order<'_>],
    progress: Progress,
) -> Result<(), DemoError> {
    let mut reported = 0;
    for batch in orders.chunks(AT_ONCE) {
        let mut calls = Vec::new();
        for order in batch {
            let target = imagine_call(random, order);
            for _ in 0..if random.random_ratio(1, 60) { 2 } else { 1 } {
                calls.push(intake.receive(&cast.network, call(order.at, &target)));
            }
        }
        futures_util::future::join_all(calls).await;
        reported += batch.len();
        progress("Postbacks of the last 30 days", reported, orders.len());
    }
    Ok(())
}

/// What the advertiser's server sends; now and then one of the mistakes they make.
fn imagine_call(random: &mut StdRng, order: &Order<'_>) -> String {
    let stage = order.stage;
    let (low, high) = stage.order;
    let mut click_id = order.click_id.clone();
    let mut goal = stage.goal.to_owned();
    let mut token = stage.token.as_str().to_owned();
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
    let order_id = stage.needs_order.then(|| format!("{}-{number}", stage.currency));
    stage.spelling.target(&Said {
        click_id: &click_id,
        goal: &goal,
        order_id: order_id.as_deref(),
        amount: amount.as_deref(),
        currency: stage.currency.code(),
        token: &token,
    })
}

/// A call of an advertiser's server at a time.
pub(crate) fn call(at: DateTime<Utc>, target: &str) -> InboundCall {
    InboundCall::get(target, at, "198.51.100.23/32".parse().ok())
}

/// Approves nine of ten conversions that are older than a week and rejects the others; younger ones wait.
async fn decide_old_ones(
    db: &Db,
    cast: &Cast,
    random: &mut StdRng,
    now: DateTime<Utc>,
    progress: Progress,
) -> Result<(), DemoError> {
    let mut conn = db.network(cast.network.id).await?;
    let filter = ConversionFilter {
        status: Some(ConversionStatus::Pending),
        ..ConversionFilter::default()
    };
    let mut waiting = conversions::list(&mut conn, &filter, 100_000).await?;
    waiting.retain(|named| named.conversion.converted_at < now - TimeDelta::days(7));
    let of = waiting.len();
    for (done, named) in waiting.into_iter().enumerate() {
        let decided_at =
            named.conversion.converted_at + TimeDelta::days(7) + TimeDelta::minutes(i64::from(now.minute()));
        let approve = random.random_ratio(9, 10);
        conversions::settle(
            &mut conn,
            &Author::system(),
            cast.network.time_zone(),
            named.conversion.id,
            approve,
            decided_at.min(now),
        )
        .await?;
        progress("Decisions on old conversions", done + 1, of);
    }
    Ok(conn.commit().await?)
}
