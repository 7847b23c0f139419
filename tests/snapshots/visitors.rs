//! Responses of the tracking host to visitors: redirects, and the pages of links that lead nowhere.

use std::fmt::Write as _;

use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use testkit::{ApiClient, TestApp};

use crate::html::outline;
use crate::recorder::Recorder;
use crate::redaction::Redaction;

async fn text_of(response: Response, redaction: &Redaction) -> String {
    let mut text = format!("{}\n", response.status());
    for name in [
        "location",
        "content-type",
        "cache-control",
        "referrer-policy",
        "set-cookie",
    ] {
        if let Some(value) = response.headers().get(name) {
            writeln!(text, "{name}: {}", value.to_str().unwrap()).unwrap();
        }
    }
    let body = response.text().await.unwrap();
    redaction.apply(&(text + &outline(&body)))
}

async fn change(owner: &ApiClient, path: &str, status: &str) {
    let changed = owner.patch(path, &json!({ "status": status })).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
}

/// Response to a click once the link leads nowhere, or leads somewhere again.
async fn until(app: &TestApp, status: StatusCode) -> Response {
    for _ in 0..200 {
        let response = app.visitor().request(Method::GET, "?sub1=x").await;
        if response.status() == status {
            return response;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("no {status} within ten seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_to_clicks() {
    let app = TestApp::spawn().await;
    let redaction = Redaction::of(&app);
    let mut snapshots = Recorder::new("visitors");
    let owner = app.program(&app.scene.owner).await;
    let visitor = app.visitor();
    let redirect = visitor.request(Method::GET, "?sub1=a%20b&unknown=1").await;
    snapshots.check("redirect", &text_of(redirect, &redaction).await);
    let undecodable = visitor.request(Method::GET, "?sub1=%FF").await;
    snapshots.check("undecodable", &text_of(undecodable, &redaction).await);
    let unknown = app.visitor_of("no-such-link").request(Method::GET, "").await;
    snapshots.check("unknown_link", &text_of(unknown, &redaction).await);
    let method = visitor.request(Method::DELETE, "").await;
    snapshots.check("method", &text_of(method, &redaction).await);
    let scene = &app.scene;
    for (name, path, status, again) in [
        (
            "campaign_paused",
            format!("/campaigns/{}", scene.campaign.id),
            "paused",
            "live",
        ),
        (
            "affiliate_blocked",
            format!("/affiliates/{}", scene.affiliate_id),
            "blocked",
            "active",
        ),
        (
            "advertiser_paused",
            format!("/advertisers/{}", scene.advertiser_id),
            "paused",
            "active",
        ),
        (
            "campaign_ended",
            format!("/campaigns/{}", scene.campaign.id),
            "ended",
            "live",
        ),
    ] {
        change(&owner, &path, status).await;
        let refused = until(&app, StatusCode::NOT_FOUND).await;
        snapshots.check(name, &text_of(refused, &redaction).await);
        change(&owner, &path, again).await;
        until(&app, StatusCode::FOUND).await;
    }
    snapshots.finish();
    app.finish().await;
}
