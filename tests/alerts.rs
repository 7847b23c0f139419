//! Alerts about failing integrations, on the pages and by mail, mailed once when they open and once when they close.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use campaigns::{ClickId, ClickIds};
use chrono::{DateTime, TimeDelta, Utc};
use postbacks::InboundRequest;
use reqwest::StatusCode;
use schema::clock;
use testkit::{MailSink, TestApp, TestOptions};
use tracking::clicks::{NewClick, Visitor};
use visitors::Agents;

/// Records clicks in the hour that began `back` hours before `now`, and an order for the first `orders` of them.
async fn hour(app: &TestApp, now: DateTime<Utc>, back: i64, clicks: usize, orders: usize) {
    let at = now - TimeDelta::hours(back);
    let tracker = &app.running().tracker;
    let intake = tracker.intake();
    let scene = &app.scene;
    for number in 0..clicks {
        let click = NewClick {
            key: ClickIds::fresh_key(scene.link_id, at),
            clicked_at: at,
            link_id: scene.link_id,
            campaign_id: scene.campaign.id,
            affiliate_id: scene.affiliate_id,
            landing_page_id: None,
            subs: Default::default(),
            ip_prefix: None,
            referrer: None,
            visitor: Visitor {
                hash: None,
                is_unique: true,
                flag: None,
                country: None,
                asn: None,
                agent: Agents::new().read(None),
            },
        };
        intake.record(&scene.network, &click).await.unwrap();
        if number >= orders {
            continue;
        }
        let id = ClickId {
            network_id: scene.network.id,
            key: click.key,
        };
        let id = tracker.click_ids().write(id, scene.network.click_key);
        let token = &scene.token;
        let target =
            format!("/postback?click_id={id}&goal=sale&order_id={back}-{number}&amount=10&token={token}");
        let request = InboundRequest::get(&target, at, None);
        let parsed = request.parse();
        let reply = intake.receive(&scene.network, request, parsed).await;
        assert_eq!(
            reply.verdict.reason.code(),
            "accepted",
            "{}",
            reply.verdict.message
        );
    }
}

async fn watch(app: &TestApp, mails: &MailSink, at: DateTime<Utc>) {
    let network = app.scene.network.id;
    monitoring::alerts::watch(&app.db, network, &mails.mailer(), &app.dashboard_url, at)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_postbacks_are_reported_once_and_so_is_their_return() {
    let mails = MailSink::start().await;
    let app = TestApp::spawn_with(TestOptions::default()).await;
    // A program that fetches the network's events.
    app.execute(
        "INSERT INTO event_consumers (network_id, name, position, created_at) SELECT id, 'pager', 0, now() FROM networks",
    )
    .await;
    let now = clock::now();
    // Orders a week ago, yesterday, and five hours ago; clicks only since then.
    for back in (24 * 7..=24 * 7 + 6).chain(24..=30).rev() {
        hour(&app, now, back, 8, 4).await;
    }
    hour(&app, now, 5, 8, 4).await;
    for back in 0..5 {
        hour(&app, now, back, 8, 0).await;
    }
    app.settled().await;
    watch(&app, &mails, now).await;
    let mail = mails.newest_to(&app.scene.owner.email).await;
    assert!(
        mail.text.contains("Subject: Orbit Shop: postbacks have stopped"),
        "{}",
        mail.text
    );
    let link = format!("{}/integration/{}", app.dashboard_url, app.scene.advertiser_id);
    assert_eq!(mail.link("http"), link);
    // The advertiser is notified too; affiliates are not.
    mails.newest_to(&app.scene.advertiser.email).await;
    assert!(mails.all_to(&app.scene.affiliate.email).is_empty());

    let owner = app.sign_in(&app.scene.owner).await;
    for path in [
        "/",
        "/alerts?open=yes",
        &format!("/integration/{}", app.scene.advertiser_id),
    ] {
        let page = owner.get(path).await;
        assert!(
            page.html.contains("Postbacks have stopped"),
            "{path}: {}",
            page.html
        );
    }
    let advertiser = app.sign_in(&app.scene.advertiser).await;
    let page = advertiser.get("/").await;
    assert!(page.html.contains("Postbacks have stopped") && !page.html.contains("/seen"));
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    assert!(!affiliate.get("/").await.html.contains("Postbacks have stopped"));
    let page = owner.get("/alerts").await.html;
    let action = page
        .split("action=\"")
        .find(|rest| rest.starts_with("/alerts/"))
        .unwrap();
    let action = action.split('"').next().unwrap();
    let seen = owner.submit("/alerts", action, &[]).await;
    assert_eq!(seen.status, StatusCode::SEE_OTHER);
    assert!(owner.get("/alerts").await.html.contains("Acknowledged by"));
    assert!(!owner.get("/").await.html.contains("Postbacks have stopped"));

    watch(&app, &mails, now + TimeDelta::minutes(20)).await;
    assert_eq!(
        mails.all_to(&app.scene.owner.email).len(),
        1,
        "each alert is mailed once"
    );
    let click = app.visitor().click("").await;
    let again = [
        ("click_id", click.id.as_str()),
        ("order_id", "again"),
        ("amount", "10"),
    ];
    assert_eq!(app.advertiser().postback(&again).await.reason(), "accepted");
    watch(&app, &mails, clock::now() + TimeDelta::minutes(30)).await;
    let end = mails.newest_to(&app.scene.owner.email).await;
    assert!(
        end.text.contains("the alert about missing postbacks is over"),
        "{}",
        end.text
    );
    watch(&app, &mails, clock::now() + TimeDelta::minutes(60)).await;
    assert_eq!(
        mails.all_to(&app.scene.owner.email).len(),
        2,
        "the end of an alert is mailed once"
    );
    assert!(
        owner
            .get("/alerts?open=yes")
            .await
            .html
            .contains("<p>No alerts.</p>")
    );
    let events = "SELECT coalesce(string_agg(kind || ' ' || (data->>'kind'), ', ' ORDER BY position), '')
                  FROM network_events WHERE position IS NOT NULL";
    app.eventually(events, "integration.failing silent, integration.recovered silent")
        .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_in_rejections_is_reported_with_its_reason_and_mailed_once_the_mail_server_works() {
    let app = TestApp::spawn().await;
    let server = app.advertiser();
    let click = app.visitor().click("").await;
    for order in 0..12 {
        let order = order.to_string();
        let wrong = [
            ("click_id", "banana"),
            ("order_id", order.as_str()),
            ("amount", "1"),
        ];
        assert_eq!(server.postback(&wrong).await.reason(), "click_not_found");
    }
    let good = [
        ("click_id", click.id.as_str()),
        ("order_id", "good"),
        ("amount", "1"),
    ];
    assert_eq!(server.postback(&good).await.reason(), "accepted");
    let now = clock::now();
    // Port without a mail server.
    let broken = tenancy::Mailer::new(&tenancy::MailSettings {
        smtp_url: Some("smtp://127.0.0.1:9".to_owned()),
        sender: "x@clickledger.example".to_owned(),
    })
    .unwrap();
    let network = app.scene.network.id;
    monitoring::alerts::watch(&app.db, network, &broken, &app.dashboard_url, now)
        .await
        .unwrap();
    assert_eq!(
        app.count("SELECT count(*) FROM alerts WHERE notified_at IS NULL")
            .await,
        1
    );
    let mails = MailSink::start().await;
    watch(&app, &mails, now + TimeDelta::minutes(1)).await;
    assert!(
        mails.all_to(&app.scene.owner.email).is_empty(),
        "the mail is not retried at once"
    );
    watch(&app, &mails, now + TimeDelta::minutes(11)).await;
    let mail = mails.newest_to(&app.scene.owner.email).await;
    assert!(
        mail.text.contains("12 of 13 postbacks were rejected"),
        "{}",
        mail.text
    );
    assert!(mail.text.contains("click_not_found"), "{}", mail.text);
    let page = app.sign_in(&app.scene.owner).await.get("/alerts").await;
    assert!(
        page.html.contains("12 of 13 postbacks were rejected"),
        "{}",
        page.html
    );
    watch(&app, &mails, now + TimeDelta::hours(25)).await;
    assert!(
        mails
            .newest_to(&app.scene.owner.email)
            .await
            .text
            .contains("the alert about rejected postbacks is over")
    );
    app.finish().await;
}
