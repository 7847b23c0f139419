//! Proofs of an affiliate: clicks that do not count beside other proofs, values that are not used, and equal orders of
//! other advertisers.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first unexpected result"
)]

use std::time::Duration;

use campaigns::click_id::{ClickId, ClickIds};
use campaigns::goals::UniqueBy;
use chrono::TimeDelta;
use reqwest::StatusCode;
use schema::clock;
use serde_json::{Value, json};
use testkit::{ApiClient, TestApp};

/// Creates an object and returns it.
async fn make(program: &ApiClient, list: &str, body: Value) -> Value {
    let made = program.post(list, &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{list}: {}", made.text);
    made.json
}

/// Token of a second advertiser, and the alias of a link to its campaign, which has the goal `sale`.
async fn second_advertiser(app: &TestApp, program: &ApiClient) -> (String, String) {
    let advertiser = make(program, "/advertisers", json!({ "name": "Second" })).await["id"].clone();
    let campaign = make(
        program,
        "/campaigns",
        json!({
            "advertiser": advertiser, "currency": "EUR", "name": "Second", "status": "live",
            "destination": "https://second.example/?id={click_id}",
        }),
    )
    .await["id"]
        .clone();
    let goal = json!({
        "campaign": campaign, "code": "sale", "name": "Sale", "kind": "sale", "commission": "1", "revenue": "2",
    });
    make(program, "/goals", goal).await;
    let link = json!({ "campaign": campaign, "affiliate": app.scene.affiliate_id.to_string() });
    let link = make(program, "/links", link).await["alias"].clone();
    let path = format!("/integrations/{}/token", advertiser.as_str().unwrap());
    let token = make(program, &path, json!({})).await["secret"].clone();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    (
        token.as_str().unwrap().to_owned(),
        link.as_str().unwrap().to_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_or_foreign_click_gives_way_to_a_partner_key_or_a_coupon() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let (_, alias) = second_advertiser(&app, &program).await;
    let foreign = app.visitor_of(&alias).click("").await.id;
    let network = &app.scene.network;
    let expired = ClickId {
        network_id: network.id,
        key: ClickIds::fresh_key(app.scene.link_id, clock::now() - TimeDelta::days(31)),
    };
    let expired = app
        .running()
        .tracker
        .click_ids()
        .write(expired, network.click_key);
    let (server, affiliate) = (app.advertiser(), app.scene.affiliate_id.to_string());
    let campaign = app.scene.campaign.id.to_string();
    for (order, click, proof, by, because) in [
        (
            "1",
            &expired,
            ("partner_key", affiliate.as_str()),
            "affiliate",
            "The click is older",
        ),
        (
            "2",
            &foreign,
            ("partner_key", affiliate.as_str()),
            "affiliate",
            "a campaign of another advertiser",
        ),
        (
            "3",
            &expired,
            ("coupon", " SCENE "),
            "coupon",
            "The click is older",
        ),
        (
            "4",
            &foreign,
            ("coupon", "A,scene"),
            "coupon",
            "a campaign of another advertiser",
        ),
    ] {
        let sent = [
            ("click_id", click.as_str()),
            ("campaign", campaign.as_str()),
            ("order_id", order),
            ("amount", "10"),
            proof,
        ];
        let answer = server.postback(&sent).await;
        assert_eq!(answer.reason(), "accepted", "{order}: {}", answer.text);
        let notes = answer.json["notes"].to_string();
        assert!(
            notes.contains("click_id: ") && notes.contains(because),
            "{order}: {notes}"
        );
        let found = format!("SELECT attributed_by FROM conversions WHERE order_id = '{order}'");
        assert_eq!(app.text(&found).await, by, "{order}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_order_and_token_leaves_the_equal_order_of_another_advertiser() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let (token, alias) = second_advertiser(&app, &program).await;
    let (first, second) = (app.advertiser(), app.advertiser().with_token(&token));
    for (server, click) in [
        (&first, app.visitor().click("").await),
        (&second, app.visitor_of(&alias).click("").await),
    ] {
        let made = server
            .postback(&[("click_id", &click.id), ("order_id", "A-1"), ("amount", "10")])
            .await;
        assert_eq!(made.reason(), "accepted", "{}", made.text);
    }
    let rejected = second
        .postback(&[("order_id", "A-1"), ("status", "rejected")])
        .await;
    assert_eq!(rejected.reason(), "updated", "{}", rejected.text);
    let states = "SELECT string_agg(c.status, ' ' ORDER BY a.name <> 'Second')
                  FROM conversions c JOIN advertisers a ON a.id = c.advertiser_id";
    assert!(app.text(states).await.starts_with("rejected "));
    assert!(!app.text(states).await.ends_with(" rejected"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commission_that_is_not_paid_is_named_with_the_reason() {
    let app = TestApp::spawn().await;
    app.execute("DELETE FROM goals WHERE code = 'lead'").await;
    app.change_sale(|sale| {
        sale.unique_by = UniqueBy::Fire;
        sale.terms = campaigns::terms::Terms::default().into();
    })
    .await;
    let click = app.visitor().click("").await.id;
    let call = |more: &str| format!("/postback?click_id={click}&goal=sale&amount=10&{more}");
    let token = format!("token={}", app.scene.token);
    for (takes, requires, more, note) in [
        (
            false,
            true,
            format!("commission=1&{token}"),
            "does not take commissions from you",
        ),
        (
            true,
            false,
            "commission=1".to_owned(),
            "commission: the sender is not authenticated",
        ),
        (
            true,
            true,
            format!("commission_percent=150&{token}"),
            "it is more than 100 %",
        ),
    ] {
        app.change_integration(|integration| {
            integration.takes_commission = takes;
            integration.requires_token = requires;
        })
        .await;
        let answer = app.advertiser().call(&call(&more)).await;
        assert_eq!(answer.reason(), "accepted", "{more}: {}", answer.text);
        let notes = answer.json["notes"].to_string();
        assert!(notes.contains(note), "{more}: {notes}");
    }
    assert_eq!(
        app.text("SELECT sum(commission_micros)::text FROM conversions")
            .await,
        "0"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goal_once_per_customer_is_refused_in_true_words_through_another_click() {
    let app = TestApp::spawn().await;
    app.change_sale(|sale| sale.unique_by = UniqueBy::Customer).await;
    let server = app.advertiser();
    for (order, reason) in [("1", "accepted"), ("2", "goal_once")] {
        let click = app.visitor().click("").await;
        let sent = [
            ("click_id", click.id.as_str()),
            ("order_id", order),
            ("amount", "10"),
            ("customer_id", "c-1"),
        ];
        let answer = server.postback(&sent).await;
        assert_eq!(answer.reason(), reason, "{}", answer.text);
        if reason == "goal_once" {
            assert_eq!(
                answer.get("message"),
                "Customer c-1 reached the goal before, and the goal counts once per customer."
            );
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_goals_counts_once_in_the_rate_of_all_goals() {
    let app = TestApp::spawn().await;
    app.execute(
        "UPDATE goals SET parent_goal_id = (SELECT id FROM goals WHERE code = 'lead') WHERE code = 'sale'",
    )
    .await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let click = app.visitor().click("").await;
    for (goal, order) in [("lead", "1"), ("sale", "2"), ("sale", "3")] {
        let sent = [
            ("click_id", click.id.as_str()),
            ("goal", goal),
            ("order_id", order),
            ("amount", "10"),
        ];
        let made = app.advertiser().postback(&sent).await;
        assert_eq!(made.reason(), "accepted", "{}", made.text);
    }
    app.settled().await;
    // The visitor of a test is a program.
    app.execute("UPDATE clicks SET flag = NULL").await;
    app.execute("UPDATE click_rollups SET invalid_clicks = 0").await;
    let program = app.program(&app.scene.owner).await;
    let all = program.get("/reports?group=campaign").await;
    let total = &all.json["total"];
    assert_eq!(
        (&total["conversions"], &total["conversion_rate"]),
        (&json!(3), &json!(1.0))
    );
    let by_goal = program.get("/reports?group=goal").await;
    let rates: Vec<f64> = by_goal.json["rows"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|row| row["figures"]["conversion_rate"].as_f64())
        .filter(|rate| *rate > 0.0)
        .collect();
    assert_eq!(rates.len(), 2, "{}", by_goal.text);
    assert!(rates.contains(&1.0) && rates.contains(&2.0), "{}", by_goal.text);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_enters_a_conversion_of_a_campaign_with_a_separate_token_without_it() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let campaign = app.scene.campaign.id;
    make(&program, &format!("/campaigns/{campaign}/integration"), json!({})).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let entry = json!({
        "campaign": campaign.to_string(), "affiliate": app.scene.affiliate_id.to_string(), "goal": "sale",
        "order_id": "E-1", "amount": "10", "reason": "The shop's server was down.",
    });
    let made = program.post("/conversions", &entry).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integration_may_pay_orders_that_the_sender_credits_to_another_channel() {
    let app = TestApp::spawn().await;
    app.execute("DELETE FROM goals WHERE code = 'lead'").await;
    app.change_campaign(|campaign| campaign.external_id = Some("1234".to_owned()))
        .await;
    let click = app.visitor().click("").await.id;
    let order = async |number: &str| {
        let target = format!(
            "/sread.php?tt=ss&tv=2&merchant=1234&amount=30.00&ch=ppc&cr=EUR&ref={number}&parts=DEFAULT:30.00&cks={click}&token={}",
            app.scene.token
        );
        app.advertiser().call(&target).await.reason().to_owned()
    };
    assert_eq!(order("1").await, "other_channel");
    app.change_integration(|integration| integration.status_map = json!({ "ppc": "pending" }))
        .await;
    assert_eq!(order("2").await, "accepted");
    app.change_integration(|integration| integration.status_map = json!({ "ppc": "ignored" }))
        .await;
    assert_eq!(order("3").await, "status_ignored");
    app.finish().await;
}
