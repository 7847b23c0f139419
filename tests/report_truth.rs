//! Reports equal the same sums over the raw rows: random events, orders of arrival, periods, time zones, dimensions and
//! filters, from blocks and without.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first unexpected result"
)]

#[path = "report_truth/events.rs"]
mod events;
#[path = "report_truth/model.rs"]
mod model;

use std::time::Duration;

use campaigns::ClickIds;
use chrono::TimeDelta;
use events::{DAYS, convert, random_click, random_query, record};
use model::Model;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use reports::{Engine, ReportQuery};
use schema::{MembershipId, clock};
use tenancy::Scope;
use testkit::TestApp;
use tracking::blocks;

/// Waits until every click of yesterday and before is in a block with exact columns.
async fn built(app: &TestApp) {
    let open = "SELECT (SELECT count(*) FROM click_blocks WHERE built_late IS DISTINCT FROM late)
                + (SELECT count(*) FROM clicks k WHERE clicked_at < now() - interval '26 hours' AND NOT EXISTS (
                       SELECT FROM click_blocks b WHERE b.network_id = k.network_id
                       AND b.from_at <= k.clicked_at AND b.until_at > k.clicked_at))";
    for _ in 0..900 {
        if app.count(open).await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the blocks were not built within ninety seconds");
}

/// Blocks that verify finds to differ from their clicks.
async fn differing(app: &TestApp) -> usize {
    let mut conn = app.network().await;
    let now = clock::now();
    let proof = blocks::prove(&mut conn, now - TimeDelta::days(DAYS + 1), now)
        .await
        .unwrap();
    assert!(proof.blocks > 0);
    proof.differing.len()
}

/// Compares random reports with the model of the rows as they are.
async fn compare(app: &TestApp, engine: &Engine, random: &mut StdRng, count: usize) {
    let model = Model::load(app).await;
    let manager = app.count("SELECT max(manager_id) FROM affiliates").await;
    let manager = MembershipId(i32::try_from(manager).unwrap());
    let now = clock::now();
    let mut conn = app.network().await;
    for _ in 0..count {
        let (text, scope) = random_query(random, app, now, manager);
        let query = ReportQuery::parse(&text, &[], now.date_naive()).unwrap();
        let report = engine
            .run(&mut conn, &app.scene.network, scope, &query, usize::MAX)
            .await
            .unwrap();
        let expected = model.report(&query, scope);
        model::assert_equal(&report, &expected, &format!("{text} {scope:?}"));
        if text.contains("time_to_conversion") {
            let total = &report.total;
            let counted = i64::try_from(total.times.len()).unwrap();
            assert_eq!(counted, total.pending + total.approved, "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_keep_the_clicks_that_retention_drops() {
    let app = TestApp::spawn().await;
    let intake = app.running().tracker.intake();
    let now = clock::now();
    let mut random = StdRng::seed_from_u64(1);
    // Two months and the rest of one, at most.
    for days in [0, 1, 100, 105, 105, 130] {
        let mut click = random_click(&mut random, &app, now);
        click.clicked_at = now - TimeDelta::days(days) - TimeDelta::minutes(2);
        click.key = ClickIds::fresh_key(click.link_id, click.clicked_at);
        click.subs[0] = Some(format!("{days} days old"));
        intake.record(&app.scene.network, &click).await.unwrap();
    }
    app.settled().await;
    let report = async |engine: &Engine| {
        let mut conn = app.network().await;
        let text = format!(
            "from={}&group=sub1&metrics=clicks",
            now.date_naive() - TimeDelta::days(150)
        );
        let query = ReportQuery::parse(&text, &[], now.date_naive()).unwrap();
        let report = engine
            .run(
                &mut conn,
                &app.scene.network,
                Scope::default(),
                &query,
                usize::MAX,
            )
            .await
            .unwrap();
        let rows = report.rows(0..usize::MAX);
        rows.map(|row| (row.keys[0].value.clone(), row.figures.clicks))
            .collect::<Vec<_>>()
    };
    let before = report(&Engine::default()).await;
    assert_eq!(before.iter().map(|(_, clicks)| clicks).sum::<i64>(), 6);
    built(&app).await;
    let node = app
        .another_node_with(|storage| storage.keep_clicks_months = Some(2))
        .await;
    let old = "SELECT count(*) FROM clicks WHERE clicked_at < now() - interval '99 days'";
    for _ in 0..100 {
        if app.count(old).await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(app.count(old).await, 0);
    assert!(
        app.count("SELECT count(*) FROM click_blocks WHERE is_sealed")
            .await
            > 0
    );
    assert_eq!(report(&Engine::default()).await, before);

    // A click of a dropped month that comes now is counted beside the sealed block.
    let mut late = random_click(&mut random, &app, now);
    late.clicked_at = now - TimeDelta::days(105) - TimeDelta::minutes(2);
    late.key = ClickIds::fresh_key(late.link_id, late.clicked_at);
    late.subs[0] = Some("105 days old".to_owned());
    intake.record(&app.scene.network, &late).await.unwrap();
    app.settled().await;
    let with_late = report(&Engine::default()).await;
    assert_eq!(with_late.iter().map(|(_, clicks)| clicks).sum::<i64>(), 7);
    node.stop().await;
    // The journal holds clicks of dropped months, which no real one does: it keeps three days.
    app.stop_unverified().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_equal_the_sums_of_the_raw_rows() {
    let app = TestApp::spawn().await;
    let seed = clock::now().timestamp_micros().unsigned_abs();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let engine = Engine::default();
    app.execute(&format!(
        "UPDATE affiliates SET manager_id = (SELECT min(id) FROM memberships WHERE role = 'manager') WHERE id = {}",
        app.scene.affiliate_id.0
    ))
    .await;

    let clicks = record(&app, &mut random, 1_500).await;
    convert(&app, &mut random, &clicks, 0..150).await;
    let with_hats = "SELECT count(*) FROM conversions WHERE item_categories = 'hats, shoes'";
    assert!(app.count(with_hats).await > 10);
    compare(&app, &engine, &mut random, 60).await;

    built(&app).await;
    let in_blocks = app.count("SELECT sum(clicks) FROM click_blocks").await;
    assert!(in_blocks > 1_400, "{in_blocks}");
    app.eventually(
        "SELECT count(*) FROM conversions WHERE visit IS NULL AND click_id IS NOT NULL",
        "0",
    )
    .await;
    compare(&app, &engine, &mut random, 150).await;

    assert_eq!(differing(&app).await, 0);
    for (change, back) in [
        (
            "UPDATE click_blocks SET unique_clicks = unique_clicks + 1",
            "UPDATE click_blocks SET unique_clicks = unique_clicks - 1",
        ),
        (
            "UPDATE click_block_columns SET name = 'x' || name WHERE name = 'sub2'",
            "UPDATE click_block_columns SET name = 'sub2' WHERE name = 'xsub2'",
        ),
    ] {
        app.execute(change).await;
        assert!(differing(&app).await > 0, "{change}");
        app.execute(back).await;
    }

    // Late clicks belong to closed spans: their blocks are not used until they are built again.
    record(&app, &mut random, 200).await;
    compare(&app, &engine, &mut random, 60).await;
    built(&app).await;
    compare(&app, &engine, &mut random, 100).await;
    // Conversions of spans whose sums are kept in memory, and a decision on one.
    convert(&app, &mut random, &clicks, 150..200).await;
    let owner = app.program(&app.scene.owner).await;
    let pending = owner.get("/conversions?status=pending&limit=1").await;
    let id = pending.json["items"][0]["id"].as_str().unwrap().to_owned();
    let approved = owner
        .post(&format!("/conversions/{id}/approve"), &serde_json::json!({}))
        .await;
    assert!(approved.status.is_success(), "{}", approved.text);
    compare(&app, &engine, &mut random, 100).await;

    // History follows the network to a time zone whose hours begin at other minutes.
    let changed = owner
        .patch("/network", &serde_json::json!({ "time_zone": "Asia/Kathmandu" }))
        .await;
    assert!(changed.status.is_success(), "{}", changed.text);
    let clicks = record(&app, &mut random, 200).await;
    convert(&app, &mut random, &clicks, 200..230).await;
    compare(&app, &engine, &mut random, 60).await;
    app.finish().await;
}
