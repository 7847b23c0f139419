//! Postbacks of every kind: accepted, rejected, unreadable, of senders that are not authenticated or not active.

use campaigns::{ClickId, ClickIds};
use chrono::TimeDelta;
use reqwest::Method;
use schema::clock;
use serde_json::json;
use testkit::TestApp;
use testkit::people::{operator, see_other};

use super::Verdicts;
use crate::fixture::PHONE;

/// Orders that are accepted, and what follows them.
pub(super) async fn accepted(verdicts: &mut Verdicts, id: &str) {
    let server = verdicts.app.advertiser();
    let other = verdicts.app.visitor().click("").await.id;
    let test = verdicts.app.visitor_of("try-it").click("").await.id;
    let capped = verdicts.app.visitor_of("capped").click("").await.id;
    verdicts.redaction.add(&other, "[other click]");
    let unwanted = server
        .call_with(Method::GET, "/desktop", &[("User-Agent", PHONE)], "")
        .await;
    let (_, unwanted) = unwanted.headers["location"]
        .to_str()
        .unwrap()
        .split_once("id=")
        .unwrap();
    verdicts.app.settled().await;
    let campaign = verdicts.app.scene.campaign.id;
    let affiliate = verdicts.app.scene.affiliate_id;
    let of = |click: &str, rest: &str| format!("click_id={click}&{rest}");
    for (name, query) in [
        ("accepted", of(id, "order_id=1&amount=49.99&gift=A B")),
        ("duplicate_order", of(id, "order_id=1&amount=49.99")),
        ("duplicate_conflict.amount", of(id, "order_id=1&amount=50")),
        ("duplicate_conflict.click", of(&other, "order_id=1&amount=49.99")),
        ("accepted.once", of(id, "goal=lead")),
        ("goal_once", of(id, "goal=lead")),
        ("updated.amount", of(id, "order_id=1&action=update&amount=40")),
        ("updated.approved", of(id, "order_id=1&status=approved")),
        ("unchanged", of(id, "order_id=1&status=approved")),
        ("updated.refund", of(id, "order_id=1&refund=10")),
        ("updated.rejected", of(id, "order_id=1&status=rejected")),
        (
            "accepted.status_unknown",
            of(id, "order_id=7&status=shipped&amount=1"),
        ),
        ("status_unknown", of(id, "order_id=7&status=shipped&amount=1")),
        ("status_ignored", of(id, "order_id=2&status=spam&amount=1")),
        ("accepted.coupon", "coupon=scene&order_id=3&amount=10".to_owned()),
        (
            "affiliate_unknown.several_campaigns",
            format!("partner_key={affiliate}&order_id=4&amount=10"),
        ),
        (
            "accepted.affiliate",
            format!("partner_key={affiliate}&campaign={campaign}&order_id=4&amount=10"),
        ),
        ("accepted.currency", of(id, "order_id=5&amount=10&currency=USD")),
        ("test_accepted", of(&test, "order_id=T-1&amount=10")),
        (
            "held_for_review",
            of(id, "goal=reviewed&order_id=6&amount=100.01"),
        ),
        (
            "waiting_for_parent",
            of(id, "goal=upgrade&customer_id=c-1&order_id=7&amount=10"),
        ),
        ("accepted.parent", of(id, "goal=signup&customer_id=c-1")),
        ("waiting_for_conversion", of(id, "order_id=8&refund=all")),
        (
            "waiting_for_customer",
            "customer_id=c-2&order_id=9&amount=10".to_owned(),
        ),
        ("accepted.cap", of(&capped, "order_id=1&amount=10")),
        ("cap_reached", of(&capped, "order_id=2&amount=10")),
        ("not_targeted", of(unwanted, "order_id=1&amount=10")),
        (
            "accepted.several_clicks",
            of(&format!("{id},{other}"), "order_id=10&amount=1"),
        ),
    ] {
        let answer = server.postback(&pairs(&query)).await;
        verdicts.check(name, &answer).await;
    }
}

/// Orders that are rejected for what they carry.
pub(super) async fn rejected(verdicts: &mut Verdicts, id: &str) {
    let server = verdicts.app.advertiser();
    let slow = verdicts.app.visitor_of("slow").click("").await.id;
    let expired = old_click(&verdicts.app);
    let (upper, cut) = (id.to_uppercase(), &id[..40]);
    for (value, name) in [
        (upper.as_str(), "[CLICK]"),
        (id, "[click]"),
        (cut, "[cut-off click]"),
    ] {
        verdicts.redaction.add(value, name);
    }
    let of = |click: &str, rest: &str| format!("click_id={click}&{rest}");
    let order = "order_id=R-1&amount=10";
    for first in [
        "order_id=R-0&amount=10&customer_id=c-3",
        "goal=renewal&customer_id=c-3&order_id=R-2&amount=10",
    ] {
        let answer = server.postback(&pairs(&of(id, first))).await;
        assert_eq!(answer.reason(), "accepted", "{}", answer.text);
    }
    for (name, query) in [
        ("click_id_missing", order.to_owned()),
        ("macro_unreplaced", of("{click_id}", order)),
        ("click_not_found.foreign", of("banana", order)),
        ("click_not_found.upper_case", of(&upper, order)),
        ("click_not_found.cut_off", of(cut, order)),
        ("click_expired", of(&expired, order)),
        ("too_fast", of(&slow, order)),
        ("wrong_mode", of(id, "order_id=R-1&amount=10&test=1")),
        ("goal_unknown", of(id, "order_id=R-1&amount=10&goal=salle")),
        (
            "parent_exhausted",
            of(id, "goal=renewal&customer_id=c-3&order_id=R-3&amount=10"),
        ),
        ("coupon_unknown", format!("{order}&coupon=NONE")),
        ("affiliate_unknown", format!("{order}&partner_key=unknown")),
        ("order_id_missing", of(id, "amount=10")),
        ("customer_id_missing", of(id, "goal=signup")),
        ("param_missing", of(id, "order_id=R-1&amount=10&goal=strict")),
        (
            "param_forbidden",
            of(id, "order_id=R-1&amount=10&goal=strict&plan=x&debug=1"),
        ),
        ("amount_missing", of(id, "order_id=R-1")),
        ("amount_invalid.comma", of(id, "order_id=R-1&amount=1,5")),
        ("amount_invalid.negative", of(id, "order_id=R-1&amount=-1")),
        ("currency_unknown", of(id, "order_id=R-1&amount=10&currency=EURO")),
        (
            "currency_mismatch",
            of(id, "order_id=R-1&amount=10&goal=fixed&currency=USD"),
        ),
    ] {
        let answer = server.postback(&pairs(&query)).await;
        verdicts.check(name, &answer).await;
    }
}

/// Parameters of a query without percent-encoding.
fn pairs(query: &str) -> Vec<(&str, &str)> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .collect()
}

/// Id of a click that is older than the campaign allows.
fn old_click(app: &TestApp) -> String {
    let key = ClickIds::fresh_key(app.scene.link_id, clock::now() - TimeDelta::days(31));
    let network = &app.scene.network;
    let id = ClickId {
        network_id: network.id,
        key,
    };
    app.running().tracker.click_ids().write(id, network.click_key)
}

/// Requests that cannot be read.
pub(super) async fn unreadable(verdicts: &mut Verdicts, id: &str) {
    let server = verdicts.app.advertiser();
    let form = "application/x-www-form-urlencoded";
    let answers = [
        (
            "param_undecodable",
            server.raw("click_id=abc&order_id=1%FF").await,
        ),
        ("param_repeated", server.raw("amount=1&amount=2").await),
        (
            "param_too_long",
            server.raw(&format!("order_id={}", "x".repeat(300))).await,
        ),
        (
            "too_many_params",
            server
                .raw(&(0..101).map(|n| format!("p{n}=1&")).collect::<String>())
                .await,
        ),
        (
            "url_too_long",
            server.raw(&format!("note={}", "x".repeat(9_000))).await,
        ),
        (
            "body_unparseable.json",
            server.post("application/json", "{\"click_id\":").await,
        ),
        ("body_unparseable.xml", server.post("text/xml", "<a/>").await),
        ("body_too_large", server.post(form, "x".repeat(70_000)).await),
    ];
    for (name, answer) in &answers {
        verdicts.check(name, answer).await;
    }
    let token = verdicts.app.scene.token.clone();
    let anonymous = format!("click_id={id}&goal=sale&order_id=text&amount=1");
    let query = format!("{anonymous}&token={token}");
    for (name, query) in [
        ("accepted.text", query.as_str()),
        ("token_missing.text", anonymous.as_str()),
    ] {
        let answer = server.get_text(query).await;
        verdicts.check(name, &answer).await;
    }
    let body = json!({ "click_id": id, "goal": "sale", "order_id": "json", "amount": 1.5, "token": token });
    let answer = server.post("application/json", body.to_string()).await;
    verdicts.check("accepted.json", &answer).await;
}

/// Requests whose sender is not authenticated, and those of integrations that only monitor.
pub(super) async fn senders(verdicts: &mut Verdicts, id: &str) {
    let order = [("click_id", id), ("order_id", "S-1"), ("amount", "10")];
    let signed = verdicts
        .advertiser("Signed Shop", json!({ "requires_signature": true }))
        .await;
    let elsewhere = json!({ "allowed_addresses": ["203.0.113.0/24"] });
    let elsewhere = verdicts.advertiser("Elsewhere Shop", elsewhere).await;
    let https = verdicts
        .advertiser("Secure Shop", json!({ "requires_https": true }))
        .await;
    let lenient = json!({ "requires_signature": true, "requires_https": true, "is_monitoring": true });
    let lenient = verdicts.advertiser("Lenient Shop", lenient).await;
    let pixel = verdicts
        .advertiser("Pixel Shop", json!({ "answer_format": "gif" }))
        .await;
    let calm = verdicts
        .advertiser("Calm Shop", json!({ "answer_format": "always_ok" }))
        .await;
    let server = verdicts.app.advertiser();
    for (name, server) in [
        ("token_missing", server.with_token("")),
        ("token_invalid", server.with_token("wrong")),
        ("signature_missing", signed),
        ("ip_not_allowed", elsewhere),
        ("https_required", https),
        ("wrong_campaign.monitored", lenient),
        ("wrong_campaign.always_ok", calm),
        ("wrong_campaign.gif", pixel),
    ] {
        let answer = server.postback(&order).await;
        verdicts.check(name, &answer).await;
    }
}

/// Orders of a campaign, an affiliate, an advertiser and a network that are not active any more.
pub(super) async fn inactive(verdicts: &mut Verdicts, id: &str) {
    let server = verdicts.app.advertiser();
    let capped = verdicts.app.visitor_of("capped").click("").await.id;
    let scene = &verdicts.app.scene;
    let (affiliate, advertiser) = (
        format!("/affiliates/{}", scene.affiliate_id),
        format!("/advertisers/{}", scene.advertiser_id),
    );
    let campaigns = verdicts.owner.get("/campaigns").await;
    let campaigns = campaigns.json["items"].as_array().unwrap();
    let of_name = campaigns
        .iter()
        .find(|campaign| campaign["name"] == "capped")
        .unwrap();
    let campaign = format!("/campaigns/{}", of_name["id"].as_str().unwrap());
    for (reason, click, path, status, again) in [
        ("campaign_inactive", capped.as_str(), &campaign, "ended", ""),
        ("affiliate_blocked", id, &affiliate, "blocked", "active"),
        ("advertiser_paused", id, &advertiser, "paused", "active"),
    ] {
        verdicts.change(path, json!({ "status": status })).await;
        let order = [("click_id", click), ("amount", "10")];
        verdicts.until(&server, reason, &order).await;
        let answer = server
            .postback(&[&order[..], &[("order_id", "I-1")]].concat())
            .await;
        verdicts.check(reason, &answer).await;
        if !again.is_empty() {
            verdicts.change(path, json!({ "status": again })).await;
            verdicts.until(&server, "accepted", &order).await;
        }
    }
    let operator = operator(&verdicts.app).await;
    let network = format!("/ops/networks/{}", verdicts.app.scene.network.id);
    let suspend = [("status", "suspended"), ("reason", "Unpaid")];
    let suspended = operator
        .submit(&network, &format!("{network}/status"), &suspend)
        .await;
    assert_eq!(see_other(&suspended), network);
    let order = [("click_id", id), ("amount", "10")];
    verdicts.until(&server, "network_suspended", &order).await;
    let answer = server
        .postback(&[&order[..], &[("order_id", "I-1")]].concat())
        .await;
    verdicts.check("network_suspended", &answer).await;
}
