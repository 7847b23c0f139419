//! Data stored about visitors, data deliberately not stored, and targeting and caps of clicks.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use std::fs;
use std::path::Path;

use campaigns::caps::{self, CapPeriod, Metric, NewCap};
use reqwest::{Client, Method, StatusCode, redirect::Policy};
use schema::{Words, clock};
use tenancy::Author;
use testkit::people::see_other;
use testkit::{TestApp, TestOptions};

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1";

/// A server that trusts proxies on this machine, so that requests can have any address.
async fn behind_a_proxy() -> TestApp {
    TestApp::spawn_with(TestOptions {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        country_header: Some("CF-IPCountry".to_owned()),
        ..TestOptions::default()
    })
    .await
}

/// Clicks the scene's link with these headers and returns the URL of the redirect.
async fn click(app: &TestApp, method: Method, sub1: &str, headers: &[(&str, &str)]) -> String {
    let http = Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .build()
        .unwrap();
    let url = format!("{}/{}?sub1={sub1}", app.tracking_url, app.scene.alias);
    let mut request = http.request(method, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    assert_eq!(
        answer.status(),
        StatusCode::FOUND,
        "{sub1}: every click is sent on"
    );
    answer.headers()["location"].to_str().unwrap().to_owned()
}

async fn column(app: &TestApp, column: &str, sub1: &str) -> String {
    let sql = format!("SELECT coalesce(({column})::text, 'none') FROM clicks WHERE sub1 = '{sub1}'");
    app.text(&sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_click_is_redirected_and_flagged() {
    let app = behind_a_proxy().await;
    let from = |address: &'static str| ("X-Forwarded-For", address);
    let chrome = ("User-Agent", CHROME);
    let get = Method::GET;
    click(&app, get.clone(), "person", &[from("203.0.113.1"), chrome]).await;
    click(&app, get.clone(), "again", &[from("203.0.113.1"), chrome]).await;
    click(
        &app,
        get.clone(),
        "curl",
        &[from("203.0.113.2"), ("User-Agent", "curl/8.5.0")],
    )
    .await;
    click(&app, get.clone(), "no-agent", &[from("203.0.113.3")]).await;
    let early = ("Sec-Purpose", "prefetch;prerender");
    click(&app, get.clone(), "early", &[from("203.0.113.4"), chrome, early]).await;
    click(&app, Method::HEAD, "head", &[from("203.0.113.5"), chrome]).await;
    for (sub1, flag) in [
        ("person", "none"),
        ("again", "duplicate"),
        ("curl", "bot"),
        ("no-agent", "bot"),
        ("early", "prefetch"),
        ("head", "prefetch"),
    ] {
        assert_eq!(column(&app, "flag", sub1).await, flag, "{sub1}");
    }
    assert_eq!(column(&app, "is_unique", "person").await, "true");
    assert_eq!(column(&app, "is_unique", "again").await, "false");
    let sums =
        "SELECT concat_ws(' ', sum(clicks), sum(unique_clicks), sum(invalid_clicks)) FROM click_rollups";
    assert_eq!(app.text(sums).await, "6 1 5", "machines are no visitors");
    // A prefetch or a preview before the click of a person does not make that click a repetition.
    let machine = [from("203.0.113.6"), chrome, early];
    click(&app, get.clone(), "preview", &machine).await;
    click(&app, Method::HEAD, "look", &machine).await;
    click(&app, get.clone(), "human", &[from("203.0.113.6"), chrome]).await;
    assert_eq!(column(&app, "flag", "human").await, "none");
    assert_eq!(column(&app, "is_unique", "human").await, "true");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn device_system_browser_and_country_are_stored_and_only_a_proxy_can_set_the_country() {
    let app = behind_a_proxy().await;
    let headers = [
        ("X-Forwarded-For", "198.51.100.7"),
        ("CF-IPCountry", "PL"),
        ("User-Agent", IPHONE),
    ];
    click(&app, Method::GET, "phone", &headers).await;
    let known = "concat_ws('|', device, os, browser, country, ip_prefix)";
    assert_eq!(
        column(&app, known, "phone").await,
        "mobile|iOS|Mobile Safari|PL|198.51.100.0/24"
    );
    let nonsense = [("CF-IPCountry", "Poland"), ("User-Agent", CHROME)];
    click(&app, Method::GET, "nonsense", &nonsense).await;
    assert_eq!(column(&app, "country", "nonsense").await, "none");
    app.finish().await;

    let direct = TestApp::spawn_with(TestOptions {
        country_header: Some("CF-IPCountry".to_owned()),
        ..TestOptions::default()
    })
    .await;
    click(&direct, Method::GET, "direct", &headers).await;
    assert_eq!(column(&direct, "country", "direct").await, "none");
    assert_eq!(column(&direct, "ip_prefix", "direct").await, "127.0.0.0/24");
    direct.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clicks_from_blocked_addresses_are_flagged_as_soon_as_they_are_blocked() {
    let app = behind_a_proxy().await;
    let headers = [("X-Forwarded-For", "192.0.2.77"), ("User-Agent", CHROME)];
    click(&app, Method::GET, "before", &headers).await;
    let id = app.scene.network.id.0;
    let mut conn = app.database.owner().await;
    diesel_async::SimpleAsyncConnection::batch_execute(
        &mut conn,
        &format!(
            "UPDATE networks SET blocked_addresses = '{{192.0.2.0/24,2001:db8::1}}';
             SELECT pg_notify('clickledger_changes', '{id} network x')"
        ),
    )
    .await
    .unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let elsewhere = [("X-Forwarded-For", "192.0.3.77"), ("User-Agent", CHROME)];
    click(&app, Method::GET, "blocked", &headers).await;
    click(&app, Method::GET, "elsewhere", &elsewhere).await;
    assert_eq!(column(&app, "flag", "before").await, "none");
    assert_eq!(column(&app, "flag", "blocked").await, "blocked");
    assert_eq!(column(&app, "flag", "elsewhere").await, "none");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_address_and_no_user_agent_is_stored_anywhere() {
    let app = behind_a_proxy().await;
    let canary = "CanaryBrowser-7f3a91/1.0";
    for last in 1..=200 {
        let address = format!("203.0.113.{last}");
        let agent = format!("{CHROME} {canary}");
        let headers = [("X-Forwarded-For", address.as_str()), ("User-Agent", &agent)];
        click(&app, Method::GET, &format!("v{last}"), &headers).await;
    }
    assert_eq!(app.count("SELECT count(DISTINCT visitor) FROM clicks").await, 200);
    let rows = app.text("SELECT string_agg(c::text, '|') FROM clicks c").await;
    let mut journal = Vec::new();
    collect(app.journal.path(), &mut journal);
    assert!(contains(&journal, b"v200"), "the journal was not found");
    assert!(!rows.contains(canary) && !contains(&journal, canary.as_bytes()));
    for last in 1..=200_u8 {
        let address = format!("203.0.113.{last}");
        // As text, and as bytes with the prefix that Postgres puts before a whole address.
        assert!(!rows.contains(&format!("{address}/32")) && !rows.contains(&format!("{address},")));
        assert!(last < 10 || !contains(&journal, address.as_bytes()), "{address}");
        assert!(last == 0 || !contains(&journal, &[2, 32, 0, 4, 203, 0, 113, last]));
    }
    app.finish().await;
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn collect(folder: &Path, bytes: &mut Vec<u8>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            collect(&entry.path(), bytes);
        } else {
            // Spare space of a segment is zeros, which need no search.
            let content = fs::read(entry.path()).unwrap_or_default();
            let end = content
                .iter()
                .rposition(|byte| *byte != 0)
                .map_or(0, |end| end + 1);
            bytes.extend_from_slice(content.get(..end).unwrap_or_default());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clicks_outside_the_targeting_or_beyond_a_cap_are_redirected_and_flagged() {
    let app = behind_a_proxy().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let page = format!("/campaigns/{}/settings", app.scene.campaign.id);
    let settings = |countries: &'static str| {
        vec![
            ("name", "Shoes"),
            ("status", "live"),
            ("destination", "https://shop.example/?id={click_id}"),
            ("attribution_days", "30"),
            ("countries", countries),
            ("devices", "mobile"),
            ("devices", "desktop"),
            ("destination_weight", "1"),
            ("access", "open"),
        ]
    };
    let wrong = owner.submit(&page, &page, &settings("Germany")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let message = "“Germany” is not a country code";
    assert!(wrong.html.contains(message), "{message} is not in {}", wrong.html);
    let saved = owner.submit(&page, &page, &settings("de at")).await;
    assert_eq!(see_other(&saved), page);
    let caps = page.replace("/settings", "/caps");
    let cap = |most: &'static str| {
        [
            ("cap_most", most),
            ("cap_metric", "clicks"),
            ("cap_period", "day"),
        ]
    };
    let wrong = owner.submit(&page, &caps, &cap("0")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.html.contains("Enter a number above 0"), "{}", wrong.html);
    let saved = owner.submit(&page, &caps, &cap("2")).await;
    assert_eq!(see_other(&saved), page);
    let shown = owner.get(&page).await.html;
    for kept in ["value=\"DE, AT\"", "value=\"mobile\" checked", "2 clicks a day"] {
        assert!(shown.contains(kept), "{kept} is not in {shown}");
    }

    const IPAD: &str = "Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1";
    for (sub1, address, country, browser, flag) in [
        ("german", "203.0.113.1", Some("DE"), CHROME, "none"),
        ("french", "203.0.113.2", Some("FR"), CHROME, "not_targeted"),
        ("tablet", "203.0.113.3", Some("DE"), IPAD, "not_targeted"),
        ("from-nowhere", "203.0.113.4", None, IPHONE, "none"),
        ("third", "203.0.113.5", Some("AT"), IPHONE, "cap_reached"),
    ] {
        let mut headers = vec![("X-Forwarded-For", address), ("User-Agent", browser)];
        headers.extend(country.map(|country| ("CF-IPCountry", country)));
        click(&app, Method::GET, sub1, &headers).await;
        assert_eq!(column(&app, "flag", sub1).await, flag, "{sub1}");
    }

    // Another node knows the counts of this one after its next query.
    let other = app.another_node().await;
    let link = format!("{}/{}", other.tracking_url, app.scene.alias);
    let http = Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .build()
        .unwrap();
    for attempt in 0..100 {
        // A new visitor for each attempt.
        let browser = format!("{CHROME} Number/{attempt}");
        let request = http.get(format!("{link}?sub1=other-{attempt}"));
        let answer = request.header("User-Agent", browser).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FOUND);
        other.tracker.settled().await;
        if column(&app, "flag", &format!("other-{attempt}")).await == "cap_reached" {
            break;
        }
        assert!(attempt < 10, "the other node does not apply the cap");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    other.stop().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_go_to_the_fallback_while_a_cap_of_conversions_is_reached() {
    let app = behind_a_proxy().await;
    app.change_campaign(|campaign| {
        campaign.sending.fallback_url = Some("https://elsewhere.example/".to_owned());
    })
    .await;
    let owner = app.sign_in(&app.scene.owner).await;
    let page = format!("/campaigns/{}/settings", app.scene.campaign.id);
    let caps = page.replace("/settings", "/caps");
    for (most, metric) in [("1", "conversions"), ("500", "revenue")] {
        let cap = [
            ("cap_most", most),
            ("cap_metric", metric),
            ("cap_period", "day"),
            ("cap_affiliate", &app.scene.affiliate_id.to_string()),
        ];
        let saved = owner.submit(&page, &caps, &cap).await;
        assert_eq!(see_other(&saved), page);
    }
    let mut number = 0;
    let mut sent_to = async |host: &str| {
        for _ in 0..50 {
            number += 1;
            let sub1 = format!("visitor-{number}");
            let address = format!("203.0.113.{number}");
            let headers = [("X-Forwarded-For", address.as_str()), ("User-Agent", CHROME)];
            let location = click(&app, Method::GET, &sub1, &headers).await;
            let flag = if location.starts_with("https://elsewhere.example/") {
                "cap_reached"
            } else {
                "none"
            };
            assert_eq!(column(&app, "flag", &sub1).await, flag);
            if location.starts_with(host) {
                return location;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        panic!("no visitor is redirected to {host}");
    };
    let first = sent_to("https://shop.example/").await;
    let (_, rest) = first.split_once("id=").unwrap();
    let click_id = rest.split('&').next().unwrap();
    let order = async |order: &str, amount: &str| {
        let order = [("click_id", click_id), ("order_id", order), ("amount", amount)];
        app.advertiser().postback(&order).await
    };
    let accepted = order("1", "10").await;
    assert_eq!(accepted.reason(), "accepted");
    sent_to("https://elsewhere.example/").await;
    // Visitors redirected before may still buy: the conversion is recorded and pays nothing.
    let beyond = order("2", "10").await;
    assert_eq!(beyond.reason(), "cap_reached", "{}", beyond.text);
    // A rejected conversion no longer counts towards the cap.
    for id in [accepted.get("conversion_id"), beyond.get("conversion_id")] {
        let decided = owner
            .submit(
                "/conversions",
                &format!("/conversions/{id}"),
                &[("decision", "reject")],
            )
            .await;
        assert_eq!(decided.status, StatusCode::SEE_OTHER, "{}", decided.html);
    }
    sent_to("https://shop.example/").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conversions_of_clicks_outside_the_targeting_or_beyond_a_cap_pay_nothing() {
    let app = behind_a_proxy().await;
    app.change_campaign(|campaign| {
        campaign.audience.countries = Words(vec!["DE".to_owned(), "AT".to_owned()])
    })
    .await;
    let cap = NewCap {
        campaign_id: app.scene.campaign.id,
        affiliate_id: None,
        metric: Metric::Clicks,
        period: CapPeriod::Total,
        most: 1,
        currency: None,
    };
    let mut conn = app.network().await;
    caps::create(&mut conn, &Author::system(), &cap, clock::now())
        .await
        .unwrap();
    conn.commit().await.unwrap();
    let order = async |order: &str, parameter: (&str, &str)| {
        let order = [parameter, ("order_id", order), ("amount", "100")];
        app.advertiser().postback(&order).await
    };
    let mut clicks = Vec::new();
    for (order_id, address, country, flag, reason) in [
        ("1", "203.0.113.1", "DE", "none", "accepted"),
        ("2", "203.0.113.2", "FR", "not_targeted", "not_targeted"),
        ("3", "203.0.113.3", "DE", "cap_reached", "cap_reached"),
    ] {
        let headers = [
            ("X-Forwarded-For", address),
            ("CF-IPCountry", country),
            ("User-Agent", CHROME),
        ];
        let location = click(&app, Method::GET, order_id, &headers).await;
        assert_eq!(column(&app, "flag", order_id).await, flag);
        let (_, rest) = location.split_once("id=").unwrap();
        let click_id = rest.split('&').next().unwrap().to_owned();
        let answer = order(order_id, ("click_id", &click_id)).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (StatusCode::OK, reason),
            "{}",
            answer.text
        );
        clicks.push((click_id, answer));
    }
    let explanation = "the campaign accepts visitors from DE or AT only, and this one is from FR";
    let message = clicks[1].1.get("message");
    assert!(message.contains(explanation), "{message}");
    assert_eq!(
        order("2", ("click_id", &clicks[1].0)).await.reason(),
        "duplicate_order"
    );
    // Without a click, targeting does not apply.
    let by_coupon = order("4", ("coupon", "SCENE")).await;
    assert_eq!(by_coupon.reason(), "accepted", "{}", by_coupon.text);
    let paid = "SELECT string_agg(concat_ws(' ', order_id, commission_micros / 1000000, unpaid_because), ', '
                ORDER BY order_id) FROM conversions";
    assert_eq!(
        app.text(paid).await,
        "1 10, 2 0 not_targeted, 3 0 cap_reached, 4 10"
    );
    let page = format!("/postbacks/{}", clicks[1].1.get("request_id"));
    let shown = app.sign_in(&app.scene.advertiser).await.get(&page).await.html;
    assert!(shown.contains(explanation), "{shown}");
    // Without targeting, the same click pays.
    app.change_campaign(|_| {}).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(order("5", ("click_id", &clicks[1].0)).await.reason(), "accepted");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_not_trusted_is_an_alarm() {
    let forwarded = [("X-Forwarded-For", "192.0.2.77"), ("User-Agent", CHROME)];
    for (app, alarms) in [
        (TestApp::spawn().await, &["untrusted_proxy"][..]),
        (behind_a_proxy().await, &[]),
    ] {
        click(&app, Method::GET, "plain", &[("User-Agent", CHROME)]).await;
        click(&app, Method::GET, "forwarded", &forwarded).await;
        let url = format!("{}/health/ready", app.dashboard_url);
        let health: serde_json::Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        let fired = health["alarms"].as_array().unwrap().iter();
        let fired: Vec<_> = fired.filter(|alarm| alarm["name"] == "untrusted_proxy").collect();
        assert_eq!(fired.len(), alarms.len(), "{health}");
        if let [alarm] = fired[..] {
            let message = alarm["message"].as_str().unwrap();
            assert!(message.contains("--trusted-proxy 127.0.0.1"), "{message}");
        }
        app.finish().await;
    }
}
