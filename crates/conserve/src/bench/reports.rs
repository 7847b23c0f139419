//! Questions to reports of one busy network, asked over HTTP, beside the same questions to the raw rows.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::sync::{oneshot, watch};
use tokio_postgres::Client;

use super::Effort;
use super::figures::{Line, median, percentile};
use super::testbed::Testbed;
use super::traffic;
use crate::Outcome;
use crate::http::Connection;
use crate::ids::BASE32;
use crate::scene;

/// Requests of a question in a round.
const REQUESTS: usize = 20;
/// Refreshes of Home in a round.
const REFRESHES: usize = 50;
/// Days of the questions.
const DAYS: i32 = 30;
/// Clicks per second beside reports.
const CLICK_RATE: f64 = 2000.0;
/// Timeout of the blocks of the clicks.
const BUILD_TIMEOUT: Duration = Duration::from_secs(900);

/// Parties of the network: ten campaigns, a hundred affiliates, and a link for each pair.
const PARTIES: &str = "
    WITH advertiser AS (
        INSERT INTO advertisers (network_id, name, created_at, status, notes, tags, version)
        VALUES ($1, 'Advertiser', now(), 'active', '', '{}', 1) RETURNING id),
    affiliate AS (
        INSERT INTO affiliates (network_id, name, created_at, status, notes, tags, version)
        SELECT $1, 'Affiliate ' || n, now(), 'active', '', '{}', 1 FROM generate_series(1, 100) n RETURNING id),
    campaign AS (
        INSERT INTO campaigns (network_id, advertiser_id, name, status, destination, currency, attribution_days, created_at)
        SELECT $1, id, 'Campaign ' || n, 'live', 'https://shop.example/', 'EUR', 30, now()
        FROM advertiser, generate_series(1, 10) n RETURNING id),
    goal AS (
        INSERT INTO goals (network_id, campaign_id, code, name, unique_by, auto_approve, commission_fixed_micros,
                           commission_rate_ppm, revenue_fixed_micros, revenue_rate_ppm, created_at, changed_at)
        SELECT $1, id, 'sale', 'Sale', 'order', false, 0, 100000, 0, 150000, now(), now() FROM campaign)
    INSERT INTO tracking_links (network_id, alias, affiliate_id, campaign_id, created_at)
    SELECT $1, 'report-' || campaign.id || '-' || affiliate.id, affiliate.id, campaign.id, now()
    FROM affiliate, campaign";

/// Clicks of thirty days whose properties do not depend on each other: the worst case for columns. The first campaign has as
/// many values of `sub1` as a fifth of its clicks, the others share two thousand.
const CLICKS: &str = "
    INSERT INTO clicks (network_id, id, clicked_at, link_id, campaign_id, affiliate_id, is_unique, flag, visitor, country,
                        device, os, browser, sub1, sub2, ip_prefix, referrer)
    SELECT $1, (lpad(to_hex(ms), 12, '0') || lpad(to_hex(l.id), 8, '0') || lpad(to_hex(n), 12, '0'))::uuid,
           to_timestamp(ms / 1000.0), l.id, l.campaign_id, l.affiliate_id, h % 3 > 0,
           CASE WHEN h % 20 = 0 THEN 'bot' END, n, chr(65 + (h / 7 % 4)::int) || chr(65 + (h / 50 % 3)::int),
           (ARRAY['desktop', 'mobile', 'tablet'])[1 + h / 600 % 3], 'OS ' || h / 2000 % 8, 'Browser ' || h / 20000 % 8,
           'sub-' || CASE WHEN l.is_first THEN 10000 + g % ($2::bigint / 50) ELSE g % 2000 END, 'ad-' || h / 300000 % 50,
           '198.18.0.0/24', 'https://site-' || h / 9000 % 30 || '.example/page'
    FROM (SELECT n, $3::bigint + n * ($4::bigint / $2::bigint) AS ms, abs(hashint8extended(n, 1)) AS h,
                 abs(hashint8extended(n, 2)) AS g
          FROM generate_series($5::bigint, $6::bigint) n) visit
    JOIN (SELECT id, campaign_id, affiliate_id, row_number() OVER (ORDER BY id) - 1 AS number,
                 campaign_id = min(campaign_id) OVER () AS is_first
          FROM tracking_links WHERE network_id = $1) l ON l.number = h / 11 % 1000";

/// Sums, and an order of every fiftieth click an hour later.
const DERIVED: &str = "
    INSERT INTO click_rollups
    SELECT network_id, date_bin('15 minutes', clicked_at, 'epoch'), campaign_id, affiliate_id, link_id, count(*),
           count(*) FILTER (WHERE is_unique), count(flag)
    FROM clicks WHERE network_id = {n} GROUP BY 1, 2, 3, 4, 5;
    INSERT INTO conversions (network_id, id, converted_at, advertiser_id, campaign_id, goal_id, affiliate_id, link_id,
                             click_id, postback_id, unique_key, status, amount_micros, commission_micros, revenue_micros,
                             currency, changed_at)
    SELECT k.network_id, k.id, k.clicked_at + interval '1 hour', c.advertiser_id, k.campaign_id, g.id, k.affiliate_id,
           k.link_id, k.id, k.id, k.id::text, CASE WHEN k.visitor % 3 = 0 THEN 'pending' ELSE 'approved' END, 50000000,
           5000000, 7500000, 'EUR', k.clicked_at + interval '1 hour'
    FROM clicks k JOIN campaigns c ON (c.network_id, c.id) = (k.network_id, k.campaign_id)
    JOIN goals g ON (g.network_id, g.campaign_id) = (k.network_id, k.campaign_id)
    WHERE k.network_id = {n} AND k.visitor % 50 = 0 AND k.clicked_at < now() - interval '1 hour';
    INSERT INTO conversion_rollups
    SELECT network_id, date_bin('15 minutes', converted_at, 'epoch'), campaign_id, affiliate_id, link_id, goal_id, currency, status,
           count(*), count(*), sum(amount_micros), sum(commission_micros), sum(revenue_micros)
    FROM conversions WHERE network_id = {n} GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;
    VACUUM (ANALYZE) clicks, click_rollups, conversions, conversion_rollups";

/// A question: its words, its parameters, the columns of its raw rows, and the milliseconds it may take with five million
/// clicks.
struct Question {
    words: &'static str,
    parameters: &'static str,
    columns: &'static str,
    reach_ms: f64,
}

const QUESTIONS: [Question; 4] = [
    Question {
        words: "30 days by affiliate and day",
        parameters: "group=affiliate,day",
        columns: "affiliate_id, (clicked_at AT TIME ZONE 'Europe/Warsaw')::date",
        reach_ms: 60.0,
    },
    Question {
        words: "30 days by country, device and system",
        parameters: "group=country,device,os",
        columns: "country, device, os",
        reach_ms: 250.0,
    },
    Question {
        words: "30 days by sub1 in a campaign",
        parameters: "group=sub1&campaign={campaign}",
        columns: "sub1",
        reach_ms: 150.0,
    },
    Question {
        words: "30 days by sub1, sub2 and country",
        parameters: "group=sub1,sub2,country&sort=-clicks",
        columns: "sub1, sub2, country",
        reach_ms: 1000.0,
    },
];

/// The network of the questions.
struct Ground {
    network: i32,
    /// First campaign, and its public ID.
    campaign: (i32, String),
    key: String,
    session: String,
    clicks: u64,
}

/// Measures the questions, and the refresh of Home. With `keep`, leaves the network up until Enter.
pub(super) async fn questions(
    testbed: &mut Testbed,
    effort: Effort,
    clicks: u64,
    keep: bool,
) -> Outcome<Vec<Line>> {
    let ground = Ground::set(&testbed.client, clicks).await?;
    ground.wait_for_blocks(&testbed.client).await?;
    let raw = testbed.cluster.client().await?;
    raw.batch_execute(&format!(
        "SET ROLE clickledger_web; SET clickledger.network_id = '{}'; SET jit = off",
        ground.network
    ))
    .await?;
    let mut lines = Vec::new();
    for question in &QUESTIONS {
        lines.extend(question.measure(testbed, &ground, &raw, effort).await?);
    }
    lines.push(home(testbed, &ground, effort).await?);
    lines.extend(beside_clicks(testbed, &ground, effort).await?);
    let size: f64 = testbed
        .client
        .query_one(
            "SELECT sum(pg_column_size(data))::float8 / (SELECT sum(clicks) FROM click_blocks WHERE network_id = $1)::float8
             FROM click_block_columns WHERE network_id = $1",
            &[&ground.network],
        )
        .await?
        .get(0);
    lines.push(Line::of("kept per click for reports", "B", vec![size]).at_most(12.0));
    if keep {
        ground.keep(testbed).await?;
    }
    // These conversions have no postbacks, by which the tables are compared with the acknowledgements.
    let remove = "DELETE FROM conversions WHERE network_id = {n}; DELETE FROM conversion_rollups WHERE network_id = {n}";
    let remove = remove.replace("{n}", &ground.network.to_string());
    testbed.client.batch_execute(&remove).await?;
    Ok(lines)
}

impl Question {
    async fn measure(
        &self,
        testbed: &Testbed,
        ground: &Ground,
        raw: &Client,
        effort: Effort,
    ) -> Outcome<Vec<Line>> {
        let campaign = ground.campaign.0;
        let target = ground.target(self, &ground.period(raw).await?);
        let narrowed = if self.parameters.contains("campaign=") {
            format!("AND campaign_id = {campaign}")
        } else {
            String::new()
        };
        let statement = format!(
            "SELECT sum(clicks)::bigint FROM (
                 SELECT {}, count(*) AS clicks, count(*) FILTER (WHERE is_unique) AS unique_clicks, count(flag) AS invalid
                 FROM clicks WHERE network_id = {} AND id >= click_key_floor((now() - interval '{DAYS} days') AT TIME ZONE 'UTC')
                 {narrowed} GROUP BY {}) sums",
            self.columns, ground.network, self.columns
        );
        let (mut medians, mut rows, mut all) = (vec![], vec![], vec![]);
        for _ in 0..effort.rounds {
            let began = Instant::now();
            raw.query_one(&statement, &[]).await?;
            rows.push(began.elapsed().as_secs_f64() * 1e3);
            let mut times = vec![];
            for _ in 0..REQUESTS {
                times.push(ask(testbed.node.dashboard, &ground.key, &target).await?);
            }
            medians.push(median(&times));
            all.extend(times);
        }
        let words = format!("{}, {} clicks", self.words, ground.clicks);
        Ok(vec![
            Line::of(words, "ms", medians)
                .against("clicks alone from raw rows", &rows)
                .at_most(0.2),
            Line::of("that report, p95 of all", "ms", vec![percentile(&all, 95.0)]).at_most(self.reach_ms),
        ])
    }
}

/// Measures redirects while all questions are asked one after the other, beside redirects alone.
async fn beside_clicks(testbed: &mut Testbed, ground: &Ground, effort: Effort) -> Outcome<Vec<Line>> {
    let period = ground.period(&testbed.client).await?;
    let targets: Vec<String> = QUESTIONS
        .iter()
        .map(|question| ground.target(question, &period))
        .collect();
    let (mut alone, mut beside, mut times) = (vec![], vec![], vec![vec![]; targets.len()]);
    for _ in 0..effort.rounds {
        for with_reports in [false, true] {
            let (stop, stopped) = watch::channel(());
            let asking = with_reports.then(|| {
                let asker = (testbed.node.dashboard, ground.key.clone(), targets.clone());
                tokio::spawn(ask_until(asker, stopped))
            });
            let pump = testbed.pump(64, traffic::clicks(testbed.preloaded.links.clone()));
            let tally = pump.open(CLICK_RATE, Duration::from_secs(effort.seconds)).await?;
            drop(stop);
            if let Some(asking) = asking {
                for (all, of_round) in times.iter_mut().zip(asking.await??) {
                    all.extend(of_round);
                }
            }
            let took: Vec<f64> = tally.answers.iter().map(|answer| answer.took_ms).collect();
            let p99 = percentile(&took, 99.0);
            if with_reports { &mut beside } else { &mut alone }.push(p99);
            testbed.acknowledgements.clicks(&tally);
            testbed.settle().await?;
        }
    }
    let mut lines = vec![
        Line::of(
            format!("redirect at {CLICK_RATE:.0}/s beside reports, p99"),
            "ms",
            beside,
        )
        .against("without reports", &alone)
        .at_most(1.1),
    ];
    for (question, times) in QUESTIONS.iter().zip(times) {
        let words = format!("{} beside {CLICK_RATE:.0} clicks/s, p95", question.words);
        lines.push(Line::of(words, "ms", vec![percentile(&times, 95.0)]));
    }
    Ok(lines)
}

/// Asks for these targets, one after the other, until the sender is dropped; returns the milliseconds of each.
async fn ask_until(
    (address, key, targets): (SocketAddr, String, Vec<String>),
    stopped: watch::Receiver<()>,
) -> Outcome<Vec<Vec<f64>>> {
    let mut times = vec![vec![]; targets.len()];
    loop {
        for (target, times) in targets.iter().zip(&mut times) {
            times.push(ask(address, &key, target).await?);
            if stopped.has_changed().is_err() {
                break;
            }
        }
        if stopped.has_changed().is_err() {
            return Ok(times);
        }
    }
}

/// Measures the CPU time of a refresh of Home.
async fn home(testbed: &Testbed, ground: &Ground, effort: Effort) -> Outcome<Line> {
    let mut connection = Connection::open(testbed.node.dashboard).await?;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nCookie: session={}\r\n\r\n",
        ground.session
    );
    let mut cpu = vec![];
    for _ in 0..effort.rounds {
        let before = testbed.spent().all();
        for _ in 0..REFRESHES {
            let response = connection.send(&request).await?;
            if response.status != 200 {
                return Err(format!("Home answers {}", response.status).into());
            }
        }
        cpu.push((testbed.spent().all() - before) / 1e3 / REFRESHES as f64);
    }
    let what = format!("CPU of a refresh of Home, 1000 links, {} clicks", ground.clicks);
    Ok(Line::of(what, "ms", cpu).at_most(10.0))
}

impl Ground {
    async fn set(client: &Client, count: u64) -> Outcome<Self> {
        let began = Instant::now();
        let network = scene::set_network(client, "bench-reports", "Europe/Warsaw").await?;
        client.execute(PARTIES, &[&network]).await?;
        client
            .batch_execute("SELECT make_click_month(now() - interval '31 days' + day * interval '1 day') FROM generate_series(0, 31) day")
            .await?;
        let span = i64::from(DAYS) * 86_400_000;
        let row = client
            .query_one("SELECT (extract(epoch FROM now()) * 1000)::bigint", &[])
            .await?;
        let start = row.get::<_, i64>(0) - span - 60_000;
        let count = i64::try_from(count)?;
        let step = 500_000;
        for from in (0..count).step_by(step as usize) {
            let last = (from + step).min(count) - 1;
            client
                .execute(CLICKS, &[&network, &count, &start, &span, &from, &last])
                .await?;
            eprintln!(
                "conserve: {} of {count} clicks of the reports, {:.0?}",
                last + 1,
                began.elapsed()
            );
        }
        for statement in DERIVED.replace("{n}", &network.to_string()).split(';') {
            client.batch_execute(statement).await?;
        }
        let row = client
            .query_one(
                "SELECT min(campaign_id) FROM tracking_links WHERE network_id = $1",
                &[&network],
            )
            .await?;
        let campaign: i32 = row.get(0);
        let public = format!("cmp_{}", BASE32.encode(&campaign.to_be_bytes()));
        let [key, session] = credentials(client, network).await?;
        Ok(Self {
            network,
            campaign: (campaign, public),
            key,
            session,
            clicks: count.unsigned_abs(),
        })
    }

    async fn wait_for_blocks(&self, client: &Client) -> Outcome {
        let began = Instant::now();
        loop {
            let row = client
                .query_one(
                    "SELECT coalesce(sum(clicks) FILTER (WHERE built_late = late), 0)::bigint,
                            count(*) FILTER (WHERE built_late IS DISTINCT FROM late) FROM click_blocks WHERE network_id = $1",
                    &[&self.network],
                )
                .await?;
            let (built, waiting): (i64, i64) = (row.get(0), row.get(1));
            if waiting == 0 && built.unsigned_abs() > self.clicks * 9 / 10 {
                let unfilled = client
                    .query_one(
                        "SELECT count(*) FROM conversions WHERE network_id = $1 AND visit IS NULL",
                        &[&self.network],
                    )
                    .await?;
                if unfilled.get::<_, i64>(0) == 0 {
                    eprintln!("conserve: the blocks were built within {:.0?}", began.elapsed());
                    break;
                }
            }
            if began.elapsed() > BUILD_TIMEOUT {
                return Err(format!("{built} of {} clicks are in blocks", self.clicks).into());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        client
            .batch_execute("VACUUM (ANALYZE) conversions, click_blocks, click_block_columns")
            .await?;
        Ok(client.batch_execute("CHECKPOINT").await?)
    }

    /// Parameters of the last thirty days on the network's clock.
    async fn period(&self, client: &Client) -> Outcome<String> {
        let row = client
            .query_one(
                "SELECT ((now() AT TIME ZONE 'Europe/Warsaw')::date - $1::integer)::text, (now() AT TIME ZONE 'Europe/Warsaw')::date::text",
                &[&(DAYS - 1)],
            )
            .await?;
        let (from, to): (String, String) = (row.get(0), row.get(1));
        Ok(format!("from={from}&to={to}"))
    }

    /// Prints the command that compares other column stores with this network, and waits for Enter.
    async fn keep(&self, testbed: &Testbed) -> Outcome {
        eprintln!(
            "conserve: the network of the reports is up; Enter continues\n\
             crates/conserve/compare_columns.py --postgres '{}' --network {} --clickledger http://{} --key {}",
            testbed.cluster.url("postgres"),
            self.network,
            testbed.node.dashboard,
            self.key
        );
        let (sender, entered) = oneshot::channel();
        // A blocking task of the runtime would delay the end of the process after Ctrl-C.
        std::thread::spawn(move || {
            let read = std::io::stdin().read_line(&mut String::new());
            // After an error elsewhere, the receiver has gone.
            let _ = sender.send(read);
        });
        entered.await??;
        Ok(())
    }

    /// Path and query of a question about a period.
    fn target(&self, question: &Question, period: &str) -> String {
        let parameters = question.parameters.replace("{campaign}", &self.campaign.1);
        format!("/api/v1/reports?{period}&{parameters}&limit=100")
    }
}

/// Returns the milliseconds from the request to the last byte of the answer.
async fn ask(address: SocketAddr, key: &str, target: &str) -> Outcome<f64> {
    let mut connection = Connection::open(address).await?;
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n");
    loop {
        let began = Instant::now();
        let response = connection.send(&request).await?;
        match response.status {
            200 => return Ok(began.elapsed().as_secs_f64() * 1e3),
            // The rate limit of the API.
            429 => tokio::time::sleep(Duration::from_secs(2)).await,
            status => {
                let body = String::from_utf8_lossy(&response.body).into_owned();
                return Err(format!("{target}: {status} {body}").into());
            }
        }
    }
}

/// API key and session of an owner of the network.
async fn credentials(client: &Client, network: i32) -> Outcome<[String; 2]> {
    let key = format!(
        "clk_key_{}",
        BASE32.encode(&[network.to_be_bytes().as_slice(), &[7; 21]].concat())
    );
    let session = BASE32.encode(&[7; 32]);
    let hash = |text: &str| Sha256::digest(text.as_bytes()).to_vec();
    client
        .execute(
            "WITH person AS (
                 INSERT INTO people (email, name, is_operator, created_at)
                 VALUES ('owner@reports.example', 'Owner', false, now()) RETURNING id),
             membership AS (
                 INSERT INTO memberships (network_id, person_id, role, created_at)
                 SELECT $1, id, 'owner', now() FROM person RETURNING id, person_id),
             key AS (
                 INSERT INTO api_keys (network_id, membership_id, name, key_hash, key_hint, scopes, created_at)
                 SELECT $1, id, 'Benchmark', $2, 'key', '{reports:read,conversions:read}', now() FROM membership)
             INSERT INTO sessions (token_hash, person_id, network_id, membership_id, awaits_second_factor, user_agent,
                                   created_at, seen_at, expires_at)
             SELECT $3, person_id, $1, id, false, '', now(), now(), now() + interval '1 day' FROM membership",
            &[&network, &hash(&key), &hash(&session)],
        )
        .await?;
    Ok([key, session])
}
