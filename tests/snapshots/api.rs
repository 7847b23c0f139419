//! API: a JSON response of every resource, and the errors that programs handle. `crates/api` holds its OpenAPI document.

use std::fmt::Write as _;

use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::Answer;

use crate::files;
use crate::fixture::Fixture;
use crate::recorder::Recorder;

#[path = "api_changes.rs"]
mod changes;

/// Path after `/api/v1` of a route, with ids of the fixture in it.
fn target(fixture: &Fixture, replay: &str, path: &str) -> String {
    let scene = &fixture.app.scene;
    let with = |id: &dyn std::fmt::Display| path.replace("{id}", &id.to_string());
    let segments: Vec<_> = path.split('/').collect();
    match segments[1..] {
        ["balances"] => format!("{path}?affiliate={}", scene.affiliate_id),
        _ if !path.contains('{') => path.to_owned(),
        ["campaigns", ..] => with(&scene.campaign.id),
        ["goals", _] => with(&scene.sale_id),
        ["links", _] => with(&scene.link_id),
        ["advertisers" | "integrations", _] => with(&scene.advertiser_id),
        ["affiliates", _] => with(&scene.affiliate_id),
        ["applications", _] => with(&scene.application_id),
        ["url-templates", _] => with(&scene.url_template_id),
        ["clicks", _] => with(&fixture.click),
        ["conversions", ..] => with(&fixture.conversions["approved"]),
        ["postbacks", _] => with(&fixture.postbacks["goal_unknown"]),
        ["saved-reports", _] => with(&fixture.saved[0]),
        ["report-mails", _] => with(&fixture.saved[1]),
        ["report-links", _] => with(&fixture.saved[2]),
        ["report-files", ..] => with(&fixture.saved[3]),
        ["destinations", ..] => with(&fixture.delivery[0]),
        ["deliveries", ..] => with(&fixture.delivery[1]),
        ["event-consumers", ..] => path.replace("{name}", "warehouse"),
        ["replays", _] => with(&replay.trim_start_matches("/replays/")),
        _ => panic!("{path}: which id of the fixture belongs in it?"),
    }
}

fn name(path: &str) -> String {
    path.split(['/', '{', '}'])
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

fn text_of(answer: &Answer) -> String {
    let mut text = format!("{}\n", answer.status);
    for name in [
        "location",
        "etag",
        "allow",
        "www-authenticate",
        "retry-after",
        "idempotency-replayed",
    ] {
        if let Some(value) = answer.headers.get(name) {
            writeln!(text, "{name}: {}", value.to_str().unwrap()).unwrap();
        }
    }
    match &answer.json {
        Value::Null => text + &answer.text,
        json => text + &serde_json::to_string_pretty(json).unwrap() + "\n",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_of_the_api() {
    let fixture = Fixture::new().await;
    let replay = fixture.replay().await;
    let mut snapshots = Recorder::new("api/resources");
    let owner = fixture.app.program(&fixture.app.scene.owner).await;
    let campaign = format!("/campaigns/{}", fixture.app.scene.campaign.id);
    let own = owner.post(&format!("{campaign}/integration"), &json!({})).await;
    assert!(own.status.is_success(), "{}", own.text);
    for (method, path) in api::ROUTES {
        let path = path.strip_prefix("/api/v1").unwrap();
        // Exports are files, and the description is held by its own test.
        if *method != "GET" || path.ends_with("/export") || path == "/openapi.json" {
            continue;
        }
        let answer = owner.get(&target(&fixture, &replay, path)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        snapshots.check(&name(path), &fixture.redact(&text_of(&answer)));
    }
    for (name, postback) in &fixture.postbacks {
        let answer = owner.get(&format!("/postbacks/{postback}")).await;
        snapshots.check(
            &format!("postbacks-id.{name}"),
            &fixture.redact(&text_of(&answer)),
        );
    }
    for (role, member) in [
        ("affiliate", &fixture.app.scene.affiliate),
        ("advertiser", &fixture.app.scene.advertiser),
    ] {
        let program = fixture.app.program(member).await;
        for path in ["/me", "/conversions", "/links", "/postbacks"] {
            let answer = program.get(path).await;
            snapshots.check(
                &format!("{}.{role}", name(path)),
                &fixture.redact(&text_of(&answer)),
            );
        }
    }
    snapshots.finish();
    files::check(&fixture, &owner).await;
    fixture.app.finish().await;
}
