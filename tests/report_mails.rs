//! Scheduled mails of reports: sent once, with the figures of each recipient, until a recipient stops them.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

use chrono::{DateTime, TimeDelta, Utc};
use reports::mails::{Sender, send_due};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tenancy::work::Works;
use tenancy::{MailSettings, Mailer, RoleKind};
use testkit::{ApiClient, MailSink, TestApp};

/// App with an approved conversion of 100 EUR (commission 10, revenue 15).
async fn world() -> (TestApp, MailSink) {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("?sub1=news").await;
    let order = [
        ("click_id", click.id.as_str()),
        ("goal", "sale"),
        ("order_id", "1"),
        ("amount", "100"),
    ];
    assert_eq!(app.advertiser().postback(&order).await.reason(), "accepted");
    app.settled().await;
    (app, MailSink::start().await)
}

fn sender(app: &TestApp, mailer: Mailer) -> Sender {
    Sender {
        reports: reports::Engine::default(),
        db: app.db.clone(),
        mailer,
        dashboard_url: app.dashboard_url.clone(),
        secret: app.secret.clone(),
        works: Works::default(),
    }
}

async fn send(app: &TestApp, mails: &MailSink, at: DateTime<Utc>) {
    let sender = sender(app, mails.mailer());
    send_due(&sender, app.scene.network.id, at).await.unwrap();
}

async fn created(program: &ApiClient, path: &str, body: Value) -> Value {
    let answer = program.post(path, &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{path}: {}", answer.text);
    answer.json
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap()
}

/// Membership of a person of the scene, as the API names it.
async fn member(app: &TestApp, kind: RoleKind) -> String {
    let sql = format!("SELECT id FROM memberships WHERE role = '{}'", kind.as_str());
    let id = i32::try_from(app.count(&sql).await).unwrap();
    schema::MembershipId(id).to_string()
}

/// Daily mail of a team's view to these roles, and its due time.
async fn scheduled(app: &TestApp, query: &str, to: &[RoleKind]) -> (String, DateTime<Utc>) {
    let owner = app.program(&app.scene.owner).await;
    let view = json!({ "name": "Week", "period": "last_7_days", "query": query, "audience": "team" });
    let view = created(&owner, "/saved-reports", view).await;
    let mut recipients = Vec::new();
    for kind in to {
        recipients.push(member(app, *kind).await);
    }
    let mail = json!({ "view": text(&view, "id"), "rhythm": "daily", "recipients": recipients });
    let mail = created(&owner, "/report-mails", mail).await;
    (
        text(&mail, "id").to_owned(),
        text(&mail, "next_at").parse().unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_is_sent_once_between_two_nodes_with_the_figures_of_each_recipient() {
    let (app, mails) = world().await;
    let to = [RoleKind::Owner, RoleKind::Affiliate];
    let (_, due) = scheduled(&app, "group=campaign", &to).await;
    send(&app, &mails, due - TimeDelta::seconds(1)).await;
    assert!(mails.all_to(&app.scene.owner.email).is_empty(), "not due yet");
    tokio::join!(
        send(&app, &mails, due),
        send(&app, &mails, due),
        send(&app, &mails, due)
    );
    send(&app, &mails, due + TimeDelta::minutes(30)).await;
    for person in [&app.scene.owner, &app.scene.affiliate] {
        assert_eq!(mails.all_to(&person.email).len(), 1);
    }
    let mail = mails.newest_to(&app.scene.owner.email).await.text;
    for part in [
        "Clicks: 1\n",
        "Revenue: 15.00 EUR\n",
        "filename=\"report_",
        "List-Unsubscribe: <http",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        "scheduled this mail",
    ] {
        assert!(mail.contains(part), "{part}: {mail}");
    }
    let mail = mails.newest_to(&app.scene.affiliate.email).await.text;
    assert!(mail.contains("Commission: 10.00 EUR\n"), "{mail}");
    // Neither the text nor the attached file has revenue.
    assert!(mail.contains("commission,earnings_per_click,currency"), "{mail}");
    assert!(
        !mail.to_lowercase().contains("revenue") && !mail.contains("15.00"),
        "{mail}"
    );
    send(&app, &mails, due + TimeDelta::hours(25)).await;
    assert_eq!(
        mails.all_to(&app.scene.owner.email).len(),
        2,
        "the next day has its mail"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_who_may_not_see_the_view_is_skipped_with_one_notice_to_the_owner() {
    let (app, mails) = world().await;
    let to = [RoleKind::Affiliate, RoleKind::Analyst];
    let (id, due) = scheduled(&app, "group=campaign&metrics=clicks,revenue", &to).await;
    send(&app, &mails, due).await;
    assert!(mails.all_to(&app.scene.affiliate.email).is_empty());
    mails.newest_to(&app.scene.person(RoleKind::Analyst).email).await;
    let notice = mails.newest_to(&app.scene.owner.email).await.text;
    assert!(notice.contains("was not mailed to every recipient"), "{notice}");
    let owner = app.program(&app.scene.owner).await;
    let mail = owner.get(&format!("/report-mails/{id}")).await;
    assert!(
        mail.text.contains("The role does not see “revenue”."),
        "{}",
        mail.text
    );
    let page = app.sign_in(&app.scene.owner).await.get("/reports/mails").await;
    assert!(
        page.html.contains("was skipped: sees no such report."),
        "{}",
        page.html
    );
    send(&app, &mails, due + TimeDelta::days(1)).await;
    assert_eq!(
        mails.all_to(&app.scene.owner.email).len(),
        1,
        "one notice per reason"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_mail_is_retried_with_pauses_and_shown_on_the_page() {
    let (app, mails) = world().await;
    let (_, due) = scheduled(&app, "group=day", &[RoleKind::Owner]).await;
    // Port without a mail server.
    let broken = Mailer::new(&MailSettings {
        smtp_url: Some("smtp://127.0.0.1:9".to_owned()),
        sender: "x@clickledger.example".to_owned(),
    });
    let broken = sender(&app, broken.unwrap());
    let network = app.scene.network.id;
    send_due(&broken, network, due).await.unwrap();
    let page = app.sign_in(&app.scene.owner).await.get("/reports/mails").await;
    assert!(page.html.contains("<div class=\"error\" title="), "{}", page.html);
    send(&app, &mails, due + TimeDelta::minutes(4)).await;
    assert!(
        mails.all_to(&app.scene.owner.email).is_empty(),
        "not retried at once"
    );
    send_due(&broken, network, due + TimeDelta::minutes(5))
        .await
        .unwrap();
    send(&app, &mails, due + TimeDelta::minutes(19)).await;
    assert!(
        mails.all_to(&app.scene.owner.email).is_empty(),
        "the second pause is longer"
    );
    send(&app, &mails, due + TimeDelta::minutes(20)).await;
    mails.newest_to(&app.scene.owner.email).await;
    let failed = "SELECT count(*) FROM report_mails WHERE last_failure IS NOT NULL OR failures <> 0";
    assert_eq!(app.count(failed).await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_resumes_a_mail_whose_node_was_killed() {
    let (app, mails) = world().await;
    let to = [RoleKind::Owner, RoleKind::Analyst];
    let (_, due) = scheduled(&app, "group=day", &to).await;
    // A node claimed the mail, sent it to the owner, and was killed.
    app.execute(&format!(
        "UPDATE report_mails SET claimed_until = '{}'",
        (due + TimeDelta::minutes(10)).to_rfc3339()
    ))
    .await;
    app.execute(&format!(
        "UPDATE report_mail_recipients SET sent_for = '{}' WHERE membership_id =
         (SELECT id FROM memberships WHERE role = 'owner')",
        due.to_rfc3339()
    ))
    .await;
    let analyst = &app.scene.person(RoleKind::Analyst).email;
    send(&app, &mails, due + TimeDelta::minutes(9)).await;
    assert!(mails.all_to(analyst).is_empty(), "the claim holds");
    send(&app, &mails, due + TimeDelta::minutes(10)).await;
    assert_eq!(mails.all_to(analyst).len(), 1);
    assert!(mails.all_to(&app.scene.owner.email).is_empty());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_stops_a_mail_by_its_link_without_signing_in() {
    let (app, mails) = world().await;
    let to = [RoleKind::Owner, RoleKind::Analyst];
    let (_, due) = scheduled(&app, "group=day", &to).await;
    send(&app, &mails, due).await;
    let analyst = app.scene.person(RoleKind::Analyst).email.clone();
    let mail = mails.newest_to(&analyst).await;
    let (_, rest) = mail.text.split_once("List-Unsubscribe: <").unwrap();
    let url = rest.split('>').next().unwrap();
    let path = url.strip_prefix(&app.dashboard_url).unwrap();
    let stranger = app.stranger();
    let asked = stranger.get(path).await;
    assert!(
        asked.html.contains("Stop this mail?") && asked.html.contains("Week"),
        "{}",
        asked.html
    );
    let forged = format!("{}0/stop", path.strip_suffix("/stop").unwrap());
    assert_eq!(stranger.get(&forged).await.status, StatusCode::NOT_FOUND);
    // As mail programs post it: without a form token.
    let stopped = stranger
        .post(path, &[("List-Unsubscribe", "One-Click")], &[])
        .await;
    assert_eq!(stopped.status, StatusCode::OK, "{}", stopped.html);
    assert!(stranger.get(path).await.html.contains("Mail stopped"));
    send(&app, &mails, due + TimeDelta::days(1)).await;
    assert_eq!(mails.all_to(&analyst).len(), 1);
    assert_eq!(mails.all_to(&app.scene.owner.email).len(), 2);
    let page = app.sign_in(&app.scene.owner).await.get("/reports/mails").await;
    assert!(page.html.contains("stopped the mail"), "{}", page.html);
    let audit = "SELECT count(*) FROM audit_log WHERE action = 'report_mail.stop'";
    assert_eq!(app.count(audit).await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_are_members_whom_the_owner_may_choose() {
    let (app, mails) = world().await;
    let affiliate = app.program(&app.scene.affiliate).await;
    let view = json!({ "name": "Mine", "query": "group=day" });
    let view = created(&affiliate, "/saved-reports", view).await;
    let id = text(&view, "id");
    let to = async |kind: RoleKind| json!({ "view": id, "rhythm": "daily", "recipients": [member(&app, kind).await] });
    let refused = affiliate.post("/report-mails", &to(RoleKind::Owner).await).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        refused.text
    );
    let own = to(RoleKind::Affiliate).await;
    let mail = created(&affiliate, "/report-mails", own.clone()).await;
    let due: DateTime<Utc> = text(&mail, "next_at").parse().unwrap();
    // Another member's personal view is unknown, and so is its mail.
    let owner = app.program(&app.scene.owner).await;
    assert_eq!(
        owner.post("/report-mails", &own).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let path = format!("/report-mails/{}", text(&mail, "id"));
    assert_eq!(owner.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(owner.delete(&path).await.status, StatusCode::NOT_FOUND);
    // A mail whose owner is no longer a member is not sent.
    app.execute("UPDATE memberships SET ended_at = now() WHERE role = 'affiliate'")
        .await;
    send(&app, &mails, due).await;
    assert!(mails.all_to(&app.scene.affiliate.email).is_empty());
    let failed = "SELECT count(*) FROM report_mails WHERE last_failure LIKE 'Its owner%'";
    assert_eq!(app.count(failed).await, 1);
    app.finish().await;
}
