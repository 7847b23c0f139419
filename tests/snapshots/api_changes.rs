//! Requests to the API that change something, and requests that are refused.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::ApiClient;

use super::text_of;
use crate::fixture::Fixture;
use crate::recorder::Recorder;

/// Requests that change something, in an order in which each works.
async fn changes(fixture: &Fixture, owner: &ApiClient) -> Vec<(&'static str, Method, String, Value)> {
    let scene = &fixture.app.scene;
    let (campaign, affiliate) = (scene.campaign.id.to_string(), scene.affiliate_id.to_string());
    let pending = owner.get("/applications").await.json["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (sale, group, advertiser) = (
        scene.sale_id.to_string(),
        scene.group_id.to_string(),
        scene.advertiser_id.to_string(),
    );
    let (analyst, admin) = (
        fixture.member_id("analyst").await,
        fixture.member_id("admin").await,
    );
    let invitation = fixture.invitation_id().await;
    let url = "https://shop.example/boots?id={click_id}";
    let new = |name, path: &str, body| (name, Method::POST, path.to_owned(), body);
    let change = |name, path: String, body| (name, Method::PATCH, path, body);
    let delete = |name, path: String| (name, Method::DELETE, path, Value::Null);
    vec![
        new(
            "advertisers.create",
            "/advertisers",
            json!({ "name": "Nova Shop" }),
        ),
        new(
            "affiliates.create",
            "/affiliates",
            json!({ "name": "Nova Blog", "group": group }),
        ),
        new(
            "exchange-rates.set",
            "/exchange-rates",
            json!({ "currency": "USD", "day": "2026-11-03", "rate": "1.0834" }),
        ),
        new(
            "affiliate-groups.create",
            "/affiliate-groups",
            json!({ "name": "Gold" }),
        ),
        new(
            "campaigns.create",
            "/campaigns",
            json!({ "advertiser": advertiser, "currency": "EUR", "name": "Nova", "destination": url }),
        ),
        new(
            "goals.create",
            "/goals",
            json!({ "campaign": campaign, "code": "renewal", "name": "Renewal", "kind": "sale", "parent_goal": sale,
                "commission": "1.50 + 2 %", "revenue": "3 + 4 %" }),
        ),
        new(
            "rules.create",
            "/rules",
            json!({ "goal": sale, "name": "VIP", "affiliate": affiliate, "commission": "12 %", "revenue": "18 %" }),
        ),
        new(
            "landing-pages.create",
            "/landing-pages",
            json!({ "campaign": campaign, "name": "Boots", "url": url }),
        ),
        new(
            "caps.create",
            "/caps",
            json!({ "campaign": campaign, "affiliate": affiliate, "metric": "revenue", "period": "month", "most": "900" }),
        ),
        new(
            "coupons.create",
            "/coupons",
            json!({ "campaign": campaign, "affiliate": affiliate, "code": "spring" }),
        ),
        new(
            "promoters.set",
            "/promoters",
            json!({ "campaign": campaign, "affiliate": affiliate, "status": "approved" }),
        ),
        new(
            "links.create",
            "/links",
            json!({ "campaign": campaign, "affiliate": affiliate, "alias": "spring" }),
        ),
        new(
            "url-templates.create",
            "/url-templates",
            json!({ "name": "Tracker", "direction": "outbound", "url": "https://t.example/?p={payout}" }),
        ),
        new(
            "invitations.create",
            "/invitations",
            json!({ "email": "bo@orbit.example", "role": "manager" }),
        ),
        new(
            "keys.create",
            "/keys",
            json!({ "name": "made", "scopes": ["parties:read"] }),
        ),
        new("tokens.create", "/tokens", json!({})),
        new(
            "integrations.token",
            &format!("/integrations/{advertiser}/token"),
            json!({}),
        ),
        new(
            "integrations.signing-secret",
            &format!("/integrations/{advertiser}/signing-secret"),
            json!({}),
        ),
        new(
            "applications.decline",
            &format!("/applications/{pending}/decline"),
            json!({ "reason": "Too small" }),
        ),
        new(
            "conversions.approve",
            &format!("/conversions/{}/approve", fixture.conversions["pending"]),
            json!({}),
        ),
        new(
            "replays.create",
            "/replays",
            json!({ "reason": "goal_unknown", "dry_run": true }),
        ),
        new(
            "alerts.seen",
            &format!("/alerts/{}/seen", fixture.alert),
            json!({}),
        ),
        change(
            "network.update",
            "/network".to_owned(),
            json!({ "name": "Orbit Partners" }),
        ),
        change(
            "network-joining.update",
            "/network/joining".to_owned(),
            json!({ "join_greeting": "Welcome" }),
        ),
        change(
            "campaigns.update",
            format!("/campaigns/{campaign}"),
            json!({ "countries": ["DE", "AT"] }),
        ),
        change(
            "goals.update",
            format!("/goals/{sale}"),
            json!({ "hold_days": 7 }),
        ),
        change(
            "integrations.update",
            format!("/integrations/{advertiser}"),
            json!({ "answer_format": "always_ok" }),
        ),
        change(
            "members.update",
            format!("/members/{analyst}"),
            json!({ "role": "manager" }),
        ),
        delete("invitations.withdraw", format!("/invitations/{invitation}")),
        delete("members.remove", format!("/members/{admin}")),
        delete("coupons.remove", format!("/coupons/{campaign}.SCENE")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_and_errors_of_the_api() {
    let fixture = Fixture::new().await;
    let owner = fixture.app.program(&fixture.app.scene.owner).await;
    let mut snapshots = Recorder::new("api/changes");
    for (name, method, path, body) in changes(&fixture, &owner).await {
        let answer = match body {
            Value::Null => owner.delete(&path).await,
            body => owner.json(method, &path, &[], &body).await,
        };
        assert!(
            answer.status.is_success(),
            "{name}: {} {}",
            answer.status,
            answer.text
        );
        snapshots.check(name, &fixture.redact(&text_of(&answer)));
    }
    snapshots.finish();
    errors(&fixture, &owner).await;
    fixture.app.finish().await;
}

async fn errors(fixture: &Fixture, owner: &ApiClient) {
    let mut snapshots = Recorder::new("api/errors");
    let affiliate = fixture.app.program(&fixture.app.scene.affiliate).await;
    let campaign = format!("/campaigns/{}", fixture.app.scene.campaign.id);
    let advertiser = format!("/advertisers/{}", fixture.app.scene.advertiser_id);
    let undone = format!(
        "/conversions/{}/corrections/{}/undo",
        fixture.conversions["approved"],
        uuid::Uuid::nil()
    );
    let json = [("Content-Type", "application/json")];
    let send = async |method: Method, path: &str, headers: &[(&str, &str)], body: &'static str| {
        owner.call(method, path, headers, body).await
    };
    let once = [
        ("Content-Type", "application/json"),
        ("Idempotency-Key", "one-and-the-same"),
    ];
    let first = send(Method::POST, "/advertisers", &once, r#"{"name": "Once"}"#).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    let stale = [("Content-Type", "application/json"), ("If-Match", "\"v0\"")];
    let goal = r#"{"campaign": "cmp_0000010", "code": "Sale!", "name": "", "kind": "gift", "commission": "x", "revenue": "1 %"}"#;
    for (name, answer) in [
        ("401.no-credential", owner.with("").get("/me").await),
        ("401.unknown-key", owner.with("clk_key_unknown").get("/me").await),
        ("403.role", affiliate.get("/network").await),
        ("404.absent", owner.get("/campaigns/cmp_0000010").await),
        ("404.no-such-path", owner.get("/nowhere").await),
        ("405.method", owner.delete("/me").await),
        (
            "400.json",
            send(Method::POST, "/advertisers", &json, r#"{"name": "#).await,
        ),
        (
            "400.unknown-field",
            send(Method::POST, "/advertisers", &json, r#"{"nmae": "x"}"#).await,
        ),
        (
            "400.wrong-type",
            send(Method::POST, "/advertisers", &json, r#"{"name": 7}"#).await,
        ),
        (
            "415.media-type",
            send(
                Method::POST,
                "/advertisers",
                &[("Content-Type", "text/xml")],
                "<a/>",
            )
            .await,
        ),
        ("422.fields", send(Method::POST, "/goals", &json, goal).await),
        (
            "422.campaign",
            send(
                Method::PATCH,
                &campaign,
                &json,
                r#"{"destination": "x", "countries": ["Germany"]}"#,
            )
            .await,
        ),
        ("422.parameter", owner.get("/conversions?limit=0").await),
        (
            "422.unknown-parameter",
            owner.get("/conversions?colour=red").await,
        ),
        ("409.undone", send(Method::POST, &undone, &json, "{}").await),
        (
            "412.stale",
            send(Method::PATCH, &advertiser, &stale, r#"{"name": "x"}"#).await,
        ),
        (
            "422.idempotency",
            send(Method::POST, "/advertisers", &once, r#"{"name": "Twice"}"#).await,
        ),
    ] {
        assert!(answer.status.is_client_error(), "{name}: {}", answer.text);
        snapshots.check(name, &fixture.redact(&text_of(&answer)));
    }
    snapshots.finish();
}
