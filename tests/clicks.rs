//! Clicks, isolation of networks, and operation without a database, through the real server and its public HTTP.

use std::collections::HashSet;

use reqwest::{Method, StatusCode};
use tenancy::Author;
use testkit::{Scene, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn a_click_is_stored_before_the_visitor_is_redirected() {
    let app = TestApp::spawn().await;
    let click = app
        .visitor()
        .click("?sub1=a%26b%2520c&sub3=%F0%9F%92%A1&unknown=1")
        .await;
    let affiliate = app.scene.affiliate_id;
    let expected = format!(
        "https://shop.example/p?own=1&id={}&s=a%26b%2520c&a={affiliate}#top",
        click.id
    );
    assert_eq!(click.location, expected);
    assert_eq!(
        app.text("SELECT concat_ws('|', sub1, sub2, sub3) FROM clicks")
            .await,
        "a&b%20c|💡"
    );
    assert_eq!(app.text("SELECT ip_prefix FROM clicks").await, "127.0.0.0/24");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clicks_at_once_are_each_stored_once() {
    let app = TestApp::spawn().await;
    let visitors: Vec<_> = (0..20).map(|_| app.visitor()).collect();
    let rounds = visitors.iter().map(|visitor| async {
        let mut ids = Vec::new();
        for _ in 0..10 {
            ids.push(visitor.click("").await.id);
        }
        ids
    });
    let ids: HashSet<_> = futures_util::future::join_all(rounds)
        .await
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(
        (ids.len(), app.count("SELECT count(*) FROM clicks").await),
        (200, 200)
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_a_valid_link_get_a_defined_response() {
    let app = TestApp::spawn().await;
    let visitor = app.visitor();
    let status = |path: &str| {
        let url = format!("{}{path}", app.tracking_url);
        async move { reqwest::get(url).await.unwrap().status() }
    };
    assert_eq!(status("/unknown-alias").await, StatusCode::NOT_FOUND);
    assert_eq!(status("/").await, StatusCode::NOT_FOUND);
    assert_eq!(status("/a/b/c").await, StatusCode::NOT_FOUND);
    assert_eq!(status("/%FF%00").await, StatusCode::NOT_FOUND);
    // A broken sub ID loses no visitor.
    assert_eq!(
        visitor.request(Method::GET, "?sub1=%FF").await.status(),
        StatusCode::FOUND
    );
    assert_eq!(status("/robots.txt").await, StatusCode::OK);
    let long = format!("?sub1={}", "x".repeat(8 * 1024));
    assert_eq!(
        visitor.request(Method::GET, &long).await.status(),
        StatusCode::URI_TOO_LONG
    );
    let elsewhere = reqwest::Client::new()
        .get(format!("{}/{}", app.tracking_url, app.scene.alias))
        .header("Host", "unknown.example")
        .send()
        .await
        .unwrap();
    assert_eq!(elsewhere.status(), StatusCode::NOT_FOUND);
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let refused = visitor.request(method, "").await;
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(refused.headers()["allow"], "GET, HEAD");
    }
    assert_eq!(app.count("SELECT count(*) FROM clicks").await, 1);
    let head = visitor.request(Method::HEAD, "").await;
    assert_eq!(
        (head.status(), head.headers().contains_key("location")),
        (StatusCode::FOUND, true)
    );
    assert_eq!(app.count("SELECT count(*) FROM clicks").await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clicks_and_tokens_are_valid_in_their_own_network_only() {
    let app = TestApp::spawn().await;
    let other = Scene::set(&app.db, "Rival", "rival.example").await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let at_rival = |token: String, click_id: String| {
        let url = format!(
            "{}/postback?click_id={click_id}&goal=sale&order_id=1&amount=1&token={token}",
            app.tracking_url
        );
        async move {
            let request = reqwest::Client::new().get(url).header("Host", "rival.example");
            request
                .send()
                .await
                .unwrap()
                .json::<serde_json::Value>()
                .await
                .unwrap()
        }
    };
    let foreign_click = at_rival(other.token.clone(), click.id.clone()).await;
    let forged_click = at_rival(other.token.clone(), format!("{}0", &click.id[..43])).await;
    assert_eq!(foreign_click["reason"], "click_not_found");
    assert_eq!(
        foreign_click["message"], forged_click["message"],
        "the response must not reveal that the click exists in another network"
    );
    assert_eq!(
        at_rival(app.scene.token.clone(), click.id.clone()).await["reason"],
        "token_invalid"
    );
    let parameters = [
        ("click_id", click.id.as_str()),
        ("order_id", "1"),
        ("amount", "1"),
    ];
    assert_eq!(
        server
            .with_token(&other.token)
            .postback(&parameters)
            .await
            .reason(),
        "token_invalid"
    );
    assert_eq!(app.count("SELECT count(*) FROM conversions").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_campaign_stops_redirecting_within_a_second() {
    use campaigns::campaigns::{CampaignSettings, CampaignStatus, update};
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await;
    let campaign = &app.scene.campaign;
    let settings = CampaignSettings {
        status: CampaignStatus::Paused,
        ..campaign.settings()
    };
    let mut conn = app.network().await;
    assert!(
        update(
            &mut conn,
            &Author::system(),
            campaign.id,
            &settings,
            schema::clock::now()
        )
        .await
        .unwrap()
    );
    conn.commit().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(
        app.visitor().request(Method::GET, "").await.status(),
        StatusCode::NOT_FOUND
    );
    let answer = app
        .advertiser()
        .postback(&[("click_id", &click.id), ("order_id", "1"), ("amount", "1")])
        .await;
    assert_eq!(answer.reason(), "accepted", "the click is from before the pause");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_visitors_are_redirected_and_verdicts_follow_in_order() {
    let app = TestApp::spawn().await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    app.settled().await;
    let name = &app.database.name;
    let stop = format!(
        "ALTER DATABASE {name} ALLOW_CONNECTIONS false; \
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    );
    app.database.operate(&stop).await;
    let mut receipts = Vec::new();
    for amount in ["1", "2", "1"] {
        let parameters = [
            ("click_id", click.id.as_str()),
            ("order_id", "1"),
            ("amount", amount),
        ];
        let answer = server.postback(&parameters).await;
        assert_eq!((answer.status.as_u16(), answer.reason()), (202, "queued"));
        assert_eq!(answer.get("status"), "queued");
        receipts.push(answer.get("request_id").to_owned());
    }
    let during = app.visitor().click("?sub1=during").await;
    app.database
        .operate(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
        .await;
    tokio::time::timeout(std::time::Duration::from_secs(20), app.settled())
        .await
        .expect("the server recovers without a restart");
    let mut conn = app.network().await;
    let mut reasons = Vec::new();
    for receipt in &receipts {
        let id = receipt.parse().unwrap();
        let kept = postbacks::find(&mut conn, tenancy::Scope::default(), id).await;
        reasons.push(kept.unwrap().expect("the receipt leads to the verdict").reason);
    }
    assert_eq!(reasons, ["accepted", "duplicate_conflict", "duplicate_order"]);
    conn.commit().await.unwrap();
    assert_eq!(
        app.count("SELECT count(*) FROM clicks WHERE sub1 = 'during'")
            .await,
        1,
        "{}",
        during.id
    );
    app.finish().await;
}
