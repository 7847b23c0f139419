//! Reports that leave the dashboard: scheduled mails with the page that stops them, and shared reports.

use chrono::{DateTime, TimeDelta, Utc};
use reports::mails::{Sender, send_due};
use serde_json::{Value, json};
use testkit::{MailSink, TestApp};

use crate::mails::{with_text, without_date};
use crate::pages::text_of;
use crate::recorder::Recorder;
use crate::redaction::Redaction;

/// Text of a field of a response.
fn text<'a>(answer: &'a Value, pointer: &str) -> &'a str {
    answer.pointer(pointer).and_then(Value::as_str).unwrap()
}

/// Mail without the boundary of its parts.
fn without_boundary(text: &str) -> String {
    let (_, rest) = text.split_once("boundary=\"").unwrap();
    let boundary = rest.split('"').next().unwrap();
    text.replace(boundary, "[boundary]")
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_by_mail_and_by_link() {
    let (app, sink) = (TestApp::spawn().await, MailSink::start().await);
    let click = app.visitor().click("").await;
    let order = [
        ("click_id", click.id.as_str()),
        ("order_id", "1"),
        ("amount", "100"),
    ];
    assert_eq!(app.advertiser().postback(&order).await.reason(), "accepted");
    app.settled().await;
    let redaction = Redaction::of(&app);
    let owner = app.program(&app.scene.owner).await;
    let query = "group=campaign&metrics=conversions,revenue";
    let view = json!({ "name": "Week", "period": "last_7_days", "query": query, "audience": "team" });
    let view = owner.post("/saved-reports", &view).await.json;
    let members = owner.get("/members").await.json;
    let member = |role: &str| {
        let items = members["items"].as_array().unwrap();
        let found = items.iter().find(|member| member["role"] == role).unwrap();
        text(found, "/id").to_owned()
    };
    let mail = json!({
        "view": text(&view, "/id"),
        "rhythm": "daily",
        "recipients": [member("owner"), member("affiliate")],
    });
    let mail = owner.post("/report-mails", &mail).await.json;
    let due: DateTime<Utc> = text(&mail, "/next_at").parse().unwrap();
    let sender = Sender {
        reports: reports::Engine::default(),
        db: app.db.clone(),
        mailer: sink.mailer(),
        dashboard_url: app.dashboard_url.clone(),
        secret: app.secret.clone(),
        works: tenancy::work::Works::default(),
    };
    let network = app.scene.network.id;
    send_due(&sender, network, due + TimeDelta::seconds(1))
        .await
        .unwrap();
    let email = &app.scene.owner.email;
    let report = with_text(&sink, email, "scheduled this mail").await.text;
    let notice = with_text(&sink, email, "was not mailed to every recipient")
        .await
        .text;
    let mut mails = Recorder::new("mails/reports");
    let sent = without_boundary(&without_date(&report));
    mails.check("report", &redaction.apply(&sent));
    mails.check("skipped", &redaction.apply(&without_date(&notice)));
    mails.finish();

    let stranger = app.stranger();
    let mut pages = Recorder::new("pages/sent_reports");
    let (_, rest) = report.split_once("List-Unsubscribe: <").unwrap();
    let stop = rest
        .split('>')
        .next()
        .unwrap()
        .strip_prefix(&app.dashboard_url)
        .unwrap();
    pages.check("stop", &text_of(&redaction, &stranger.get(stop).await));
    pages.check(
        "stopped",
        &text_of(&redaction, &stranger.post(stop, &[], &[]).await),
    );
    for (name, password) in [("open", Value::Null), ("locked", json!("open sesame 42"))] {
        let link = json!({ "name": "For the board", "query": query, "password": password });
        let link = owner.post("/report-links", &link).await.json;
        let path = text(&link, "/url")
            .strip_prefix(&app.dashboard_url)
            .unwrap()
            .to_owned();
        pages.check(name, &text_of(&redaction, &stranger.get(&path).await));
        let revoked = owner
            .delete(&format!("/report-links/{}", text(&link, "/link/id")))
            .await;
        assert!(revoked.status.is_success(), "{}", revoked.text);
        if password.is_null() {
            pages.check("gone", &text_of(&redaction, &stranger.get(&path).await));
        }
    }
    pages.finish();
    app.finish().await;
}
