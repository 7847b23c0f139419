//! Responses to postbacks: one of every verdict that a test can bring about, with the steps that led to it.

use std::fmt::Write as _;

use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::{AdvertiserServer, Answer, ApiClient, TestApp, TestOptions};

use crate::recorder::Recorder;
use crate::redaction::Redaction;

#[path = "verdict_cases.rs"]
mod cases;

struct Verdicts {
    app: TestApp,
    owner: ApiClient,
    redaction: Redaction,
    snapshots: Recorder,
}

impl Verdicts {
    /// Creates a resource and returns its id, or its alias for links.
    async fn create(&self, path: &str, body: Value) -> String {
        let made = self.owner.post(path, &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{path}: {}", made.text);
        made.get("id").to_owned()
    }

    async fn change(&self, path: &str, body: Value) {
        let changed = self.owner.patch(path, &body).await;
        assert_eq!(changed.status, StatusCode::OK, "{path}: {}", changed.text);
    }

    /// Creates an advertiser with this integration, and returns its server.
    async fn advertiser(&mut self, name: &str, integration: Value) -> AdvertiserServer {
        let id = self.create("/advertisers", json!({ "name": name })).await;
        let path = format!("/integrations/{id}");
        let made = self.owner.post(&format!("{path}/token"), &json!({})).await;
        assert!(made.status.is_success(), "{}", made.text);
        let secret = self
            .owner
            .post(&format!("{path}/signing-secret"), &json!({}))
            .await;
        assert!(secret.status.is_success(), "{}", secret.text);
        self.change(&path, integration).await;
        let token = made.get("secret");
        self.redaction.add(token, "[token]");
        self.redaction
            .add(&format!("…{}", &token[token.len() - 4..]), "…[tail]");
        self.app.advertiser().with_token(token)
    }

    /// Creates a campaign of the scene's advertiser with a goal and a link of this name.
    async fn campaign(&self, alias: &str, mut settings: Value) -> String {
        let new = json!({
            "advertiser": self.app.scene.advertiser_id.to_string(), "currency": "EUR", "name": alias, "status": "live",
            "destination": "https://shop.example/?id={click_id}",
        });
        settings
            .as_object_mut()
            .unwrap()
            .extend(new.as_object().unwrap().clone());
        let id = self.create("/campaigns", settings).await;
        let goal = json!({
            "campaign": id, "code": "sale", "name": "Sale", "kind": "sale", "commission": "10 %", "revenue": "15 %",
        });
        self.create("/goals", goal).await;
        let affiliate = self.app.scene.affiliate_id.to_string();
        self.create(
            "/links",
            json!({ "campaign": id, "affiliate": affiliate, "alias": alias }),
        )
        .await;
        id
    }

    /// Makes a snapshot of a response and of the trace of its postback; its reason must be the one it is named after.
    async fn check(&mut self, name: &str, answer: &Answer) {
        let reason = answer
            .headers
            .get("x-postback-reason")
            .map_or("", |reason| reason.to_str().unwrap());
        assert_eq!(name.split('.').next().unwrap(), reason, "{}", answer.text);
        let mut text = response(answer);
        let receipt = answer
            .headers
            .get("x-request-id")
            .map_or("", |id| id.to_str().unwrap());
        self.app.settled().await;
        let stored = self.owner.get(&format!("/postbacks/{receipt}")).await;
        if stored.status == StatusCode::OK {
            write!(text, "\nRequest: {}\n", stored.get("request")).unwrap();
            if !stored.get("body").is_empty() {
                writeln!(text, "Body: {}", stored.get("body")).unwrap();
            }
            text += "Trace:\n";
            for step in stored.json["trace"].as_array().unwrap() {
                let word = |name: &str| step[name].as_str().unwrap();
                writeln!(text, "  {} {}: {}", word("found"), word("check"), word("words")).unwrap();
            }
        } else {
            writeln!(text, "\nNot stored: {}", stored.status).unwrap();
        }
        self.snapshots.check(name, &self.redaction.apply(&text));
    }

    /// Sends orders with these parameters until a change of the configuration has reached the node.
    async fn until(&self, server: &AdvertiserServer, reason: &str, parameters: &[(&str, &str)]) {
        let mut last = String::new();
        for number in 0..200 {
            let order = format!("probe-{reason}-{number}");
            let answer = server
                .postback(&[parameters, &[("order_id", &order)]].concat())
                .await;
            if answer.reason() == reason {
                return;
            }
            last = answer.text;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("not {reason} within ten seconds: {last}");
    }
}

/// Status, the headers that programs read, and the body.
fn response(answer: &Answer) -> String {
    let mut text = format!("{}\n", answer.status);
    for name in ["content-type", "x-postback-reason", "retry-after"] {
        if let Some(value) = answer.headers.get(name) {
            writeln!(text, "{name}: {}", value.to_str().unwrap()).unwrap();
        }
    }
    match &answer.json {
        Value::Null => text + answer.text.trim_end() + "\n",
        json => text + &serde_json::to_string_pretty(json).unwrap() + "\n",
    }
}

async fn set_up() -> Verdicts {
    let app = TestApp::spawn_with(TestOptions {
        calls_per_minute: Some(u32::MAX),
        ..TestOptions::default()
    })
    .await;
    let owner = app.program(&app.scene.owner).await;
    let redaction = Redaction::of(&app);
    let verdicts = Verdicts {
        app,
        owner,
        redaction,
        snapshots: Recorder::new("verdicts"),
    };
    let (campaign, sale) = (
        verdicts.app.scene.campaign.id.to_string(),
        verdicts.app.scene.sale_id.to_string(),
    );
    let integration = format!("/integrations/{}", verdicts.app.scene.advertiser_id);
    verdicts
        .change(&integration, json!({ "status_map": { "spam": "ignored" } }))
        .await;
    let goal = |code: &str, more: Value| {
        let mut goal = json!({
            "campaign": campaign, "code": code, "name": code, "kind": "sale", "commission": "10 %", "revenue": "15 %",
        });
        goal.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        goal
    };
    let signup = goal(
        "signup",
        json!({ "kind": "lead", "unique_by": "customer", "commission": "1", "revenue": "2" }),
    );
    let signup = verdicts.create("/goals", signup).await;
    for (code, more) in [
        ("upgrade", json!({ "parent_goal": signup })),
        ("renewal", json!({ "parent_goal": sale, "times_per_parent": 1 })),
        ("reviewed", json!({ "review_above": "100" })),
        (
            "strict",
            json!({ "required_parameters": ["plan"], "forbidden_parameters": ["debug"] }),
        ),
        ("fixed", json!({ "commission": "1", "revenue": "2" })),
    ] {
        verdicts.create("/goals", goal(code, more)).await;
    }
    let affiliate = verdicts.app.scene.affiliate_id.to_string();
    let test = json!({ "campaign": campaign, "affiliate": affiliate, "alias": "try-it", "is_test": true });
    verdicts.create("/links", test).await;
    verdicts
        .campaign("desktop", json!({ "devices": ["desktop"] }))
        .await;
    verdicts
        .campaign("slow", json!({ "attribution_min_seconds": 3600 }))
        .await;
    let capped = verdicts.campaign("capped", json!({})).await;
    let cap = json!({ "campaign": capped, "metric": "conversions", "period": "total", "most": "1" });
    verdicts.create("/caps", cap).await;
    verdicts
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_and_traces_of_postbacks() {
    let mut verdicts = set_up().await;
    let click = verdicts.app.visitor().click("?sub1=newsletter").await.id;
    verdicts.app.settled().await;
    cases::accepted(&mut verdicts, &click).await;
    cases::rejected(&mut verdicts, &click).await;
    cases::unreadable(&mut verdicts, &click).await;
    cases::senders(&mut verdicts, &click).await;
    cases::inactive(&mut verdicts, &click).await;
    verdicts.snapshots.finish();
    verdicts.app.finish().await;
}
