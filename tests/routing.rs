//! Configuration in memory: changes take effect at once on every node, and stay in effect without Postgres.
#![expect(clippy::unwrap_used, reason = "a test fails on any error")]

use std::time::{Duration, Instant};

use campaigns::campaigns::{self as campaign_table, CampaignSettings, CampaignStatus};
use campaigns::integrations;
use campaigns::links::{self, NewLink};
use chrono::TimeDelta;
use reqwest::{Client, StatusCode, redirect::Policy};
use schema::clock;
use tenancy::Author;
use testkit::TestApp;

/// Maximum time until a change takes effect.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(1);

async fn follow(tracking_url: &str, alias: &str) -> (StatusCode, String) {
    let http = Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .build()
        .unwrap();
    let answer = http.get(format!("{tracking_url}/{alias}")).send().await.unwrap();
    let location = answer
        .headers()
        .get("location")
        .map(|location| location.to_str().unwrap().to_owned());
    (answer.status(), location.unwrap_or_default())
}

/// Waits until a click on the node at this address gets the expected response.
async fn until(what: &str, tracking_url: &str, alias: &str, wanted: impl Fn(&(StatusCode, String)) -> bool) {
    let begun = Instant::now();
    loop {
        let answer = follow(tracking_url, alias).await;
        if wanted(&answer) {
            return;
        }
        assert!(
            begun.elapsed() < CHANGE_TIMEOUT,
            "{what} is not in effect after a second: {answer:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_takes_effect_on_every_node_within_a_second() {
    let app = TestApp::spawn().await;
    let other = app.another_node().await;
    let nodes = [app.tracking_url.clone(), other.tracking_url.clone()];
    for node in &nodes {
        assert_eq!(follow(node, &app.scene.alias).await.0, StatusCode::FOUND);
        assert_eq!(follow(node, "fresh-link").await.0, StatusCode::NOT_FOUND);
    }
    let now = clock::now();
    let author = Author::system();
    let mut conn = app.network().await;
    let link = NewLink::plain(app.scene.affiliate_id, app.scene.campaign.id, "fresh-link");
    links::create(&mut conn, &author, &link, now).await.unwrap();
    conn.commit().await.unwrap();
    for node in &nodes {
        until("a new link", node, "fresh-link", |answer| {
            answer.0 == StatusCode::FOUND
        })
        .await;
    }
    let mut settings = CampaignSettings {
        audience: app.scene.campaign.audience.clone(),
        ..CampaignSettings::live("New name", "https://elsewhere.example/?id={click_id}")
    };
    let save = async |settings: &CampaignSettings| {
        let mut conn = app.network().await;
        campaign_table::update(&mut conn, &author, app.scene.campaign.id, settings, now)
            .await
            .unwrap();
        conn.commit().await.unwrap();
    };
    save(&settings).await;
    for node in &nodes {
        let there = |answer: &(StatusCode, String)| answer.1.starts_with("https://elsewhere.example/");
        until("a new destination", node, &app.scene.alias, there).await;
    }
    settings.status = CampaignStatus::Paused;
    save(&settings).await;
    for node in &nodes {
        until("a pause", node, &app.scene.alias, |answer| {
            answer.0 == StatusCode::NOT_FOUND
        })
        .await;
    }
    other.stop().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_token_stops_working_at_once_and_the_new_one_works() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await;
    let order = |order: &'static str| {
        [
            ("click_id", click.id.clone()),
            ("order_id", order.to_owned()),
            ("amount", "1".to_owned()),
        ]
    };
    let send = async |server: &testkit::AdvertiserServer, id: &'static str| {
        let parameters = order(id);
        let parameters: Vec<_> = parameters
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        server.postback(&parameters).await.reason().to_owned()
    };
    assert_eq!(send(&app.advertiser(), "1").await, "accepted");
    let mut conn = app.network().await;
    let token = integrations::new_token(
        &mut conn,
        &Author::system(),
        app.scene.advertiser_id,
        TimeDelta::zero(),
        clock::now(),
    )
    .await
    .unwrap();
    conn.commit().await.unwrap();
    tokio::time::sleep(CHANGE_TIMEOUT).await;
    assert_eq!(send(&app.advertiser(), "2").await, "token_invalid");
    assert_eq!(
        send(&app.advertiser().with_token(token.as_str()), "3").await,
        "accepted"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cached_configuration_stays_in_use_without_postgres() {
    let app = TestApp::spawn().await;
    let visitor = app.visitor();
    visitor.click("").await;
    app.settled().await;
    let name = &app.database.name;
    app.database
        .operate(&format!(
            "ALTER DATABASE {name} ALLOW_CONNECTIONS false; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        ))
        .await;
    // Longer than any entry is used without notifications.
    let until = Instant::now() + Duration::from_secs(4);
    let mut clicks = 1;
    while Instant::now() < until {
        visitor.click("").await;
        clicks += 1;
    }
    // A link that was never queried cannot be known, which is no 404.
    let (status, _) = follow(&app.tracking_url, "never-seen").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    app.database
        .operate(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
        .await;
    assert_eq!(app.count("SELECT count(*) FROM clicks").await, clicks);
    app.finish().await;
}
