//! Files of large reports: prepared in the background, equal to the report, mailed, removed when they expire.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

use std::time::Duration;

use reports::files::prepare_due;
use reports::mails::Sender;
use reqwest::StatusCode;
use schema::clock;
use serde_json::{Value, json};
use tenancy::Mailer;
use tenancy::work::Works;
use testkit::{ApiClient, MailSink, TestApp, TestOptions};

const DAY: &str = "from=2026-11-20&to=2026-11-20";

/// Adds clicks of a day, each with its own sub ID.
async fn add_clicks(app: &TestApp, count: u32) {
    let (network, scene) = (app.scene.network.id.0, &app.scene);
    app.execute("SELECT make_click_month('2026-11-20T12:00:00Z')")
        .await;
    app.execute(&format!(
        "INSERT INTO clicks (network_id, id, clicked_at, link_id, campaign_id, affiliate_id, is_unique, visitor, device, sub1)
         SELECT {network}, (lpad(to_hex(1795176000000 + n), 12, '0') || lpad(to_hex(n), 20, '0'))::uuid,
                to_timestamp((1795176000000 + n) / 1000.0), {}, {}, {}, true, n, 'desktop', 'sub-' || n
         FROM generate_series(1, {count}) n",
        scene.link_id.0, scene.campaign.id.0, scene.affiliate_id.0
    ))
    .await;
    app.execute(
        "INSERT INTO click_rollups (network_id, quarter_hour, campaign_id, affiliate_id, link_id, clicks, unique_clicks)
         SELECT network_id, date_bin('15 minutes', clicked_at, 'epoch'), campaign_id, affiliate_id, link_id, count(*), count(*)
         FROM clicks GROUP BY 1, 2, 3, 4, 5",
    )
    .await;
}

async fn asked(program: &ApiClient, query: &str, format: &str) -> String {
    let answer = program
        .post("/report-files", &json!({ "query": query, "format": format }))
        .await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    text(&answer.json, "id").to_owned()
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap()
}

/// Waits until a file is neither waiting nor running.
async fn finished(program: &ApiClient, id: &str) -> Value {
    for _ in 0..600 {
        let file = program.get(&format!("/report-files/{id}")).await.json;
        if matches!(text(&file, "status"), "ready" | "failed") {
            return file;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{id} was not finished within thirty seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_the_rows_of_the_report_and_a_large_report_is_not_downloaded_at_once() {
    let mails = MailSink::start().await;
    let app = TestApp::spawn_with(TestOptions {
        mailer: mails.mailer(),
        ..TestOptions::default()
    })
    .await;
    add_clicks(&app, 100_001).await;
    let owner = app.program(&app.scene.owner).await;
    let all = format!("group=sub1&metrics=clicks&{DAY}");
    let refused = owner.get(&format!("/reports/export?{all}")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused.text.contains("100001 rows") && refused.text.contains("POST /report-files"),
        "{}",
        refused.text
    );

    let id = asked(&owner, &all, "csv").await;
    let file = finished(&owner, &id).await;
    assert_eq!(
        (&file["status"], &file["rows_total"], &file["rows_written"]),
        (&json!("ready"), &json!(100_001), &json!(100_001)),
        "{file}"
    );
    let content = owner.get(&format!("/report-files/{id}/content")).await;
    assert_eq!(content.text.len() as u64, file["bytes"].as_u64().unwrap());
    assert_eq!(content.text.lines().count(), 100_002);
    assert!(content.text.starts_with("sub1,clicks,currency\r\nsub-1,1,\r\n"));
    let mail = mails.newest_to(&app.scene.owner.email).await.text;
    assert!(
        mail.contains("your report is ready") && mail.contains("/reports/files"),
        "{mail}"
    );

    // A smaller one equals the immediate export.
    let part = format!("group=sub1&metrics=clicks&{DAY}&sub1.begins=sub-77");
    let immediate = owner.get(&format!("/reports/export?{part}")).await;
    let id = asked(&owner, &part, "csv").await;
    finished(&owner, &id).await;
    let content = owner.get(&format!("/report-files/{id}/content")).await;
    assert_eq!(content.text, immediate.text);
    let id = asked(&owner, &part, "xlsx").await;
    let file = finished(&owner, &id).await;
    assert_eq!(file["status"], "ready", "{file}");

    // The page offers the file, shows its state, and downloads it with a mark for spreadsheets.
    let session = app.sign_in(&app.scene.owner).await;
    let page = session.get(&format!("/reports?{all}")).await;
    assert!(page.html.contains("Prepare CSV") && !page.html.contains("Download CSV"));
    let page = session.get(&format!("/reports?{part}")).await;
    assert!(page.html.contains("Download CSV"));
    let asked_on_page = session
        .submit(
            &format!("/reports?{all}"),
            "/reports/files",
            &[("query", &all), ("format", "csv")],
        )
        .await;
    assert_eq!(
        asked_on_page.status,
        StatusCode::SEE_OTHER,
        "{}",
        asked_on_page.html
    );
    app.eventually("SELECT count(*) FROM report_files WHERE status = 'ready'", "4")
        .await;
    let page = session.get("/reports/files").await;
    assert!(page.html.contains("Ready: 100001 rows"), "{}", page.html);
    assert!(!page.html.contains("hx-trigger=\"every"), "nothing to wait for");
    app.stop_unverified().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_node_that_stopped_is_prepared_again_and_a_removed_one_is_not() {
    let app = TestApp::spawn().await;
    add_clicks(&app, 25_000).await;
    let owner = app.program(&app.scene.owner).await;
    let query = format!("group=sub1&metrics=clicks&{DAY}");
    let id = asked(&owner, &query, "csv").await;
    finished(&owner, &id).await;
    // As a node leaves it that stopped in the middle.
    app.execute(
        "UPDATE report_files SET status = 'running', finished_at = NULL, rows_written = 10000,
                claimed_until = now() + interval '5 minutes'",
    )
    .await;
    app.execute("DELETE FROM report_file_parts WHERE part > 0").await;
    let sender = Sender {
        reports: reports::Engine::default(),
        db: app.db.clone(),
        mailer: Mailer::default(),
        dashboard_url: app.dashboard_url.clone(),
        secret: app.secret.clone(),
        works: Works::default(),
    };
    let network = app.scene.network.id;
    prepare_due(&sender, network, clock::now()).await.unwrap();
    assert_eq!(
        app.count("SELECT count(*) FROM report_files WHERE status = 'running'")
            .await,
        1,
        "its claim holds"
    );
    app.execute("UPDATE report_files SET claimed_until = now() - interval '1 second'")
        .await;
    let now = clock::now();
    let (one, other) = tokio::join!(
        prepare_due(&sender, network, now),
        prepare_due(&sender, network, now)
    );
    one.unwrap();
    other.unwrap();
    let content = owner.get(&format!("/report-files/{id}/content")).await;
    assert_eq!(content.text.lines().count(), 25_001);
    assert_eq!(app.count("SELECT attempts FROM report_files").await, 2);

    // A third stop is the last.
    app.execute(
        "UPDATE report_files SET status = 'running', finished_at = NULL, attempts = 3, claimed_until = now() - interval '1 second'",
    )
    .await;
    prepare_due(&sender, network, clock::now()).await.unwrap();
    let file = finished(&owner, &id).await;
    assert!(text(&file, "problem").contains("3 attempts"), "{file}");
    let content = owner.get(&format!("/report-files/{id}/content")).await;
    assert_eq!(content.status, StatusCode::CONFLICT);

    // An expired file is gone with its parts.
    let id = asked(&owner, &query, "csv").await;
    finished(&owner, &id).await;
    app.execute("UPDATE report_files SET expires_at = now() - interval '1 second'")
        .await;
    let found = owner.get(&format!("/report-files/{id}")).await;
    assert_eq!(found.status, StatusCode::NOT_FOUND);
    prepare_due(&sender, network, clock::now()).await.unwrap();
    assert_eq!(
        app.count("SELECT (SELECT count(*) FROM report_files) + (SELECT count(*) FROM report_file_parts)")
            .await,
        0
    );
    app.stop_unverified().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_what_its_owner_may_see_and_is_its_owner_s() {
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
    let affiliate = app.program(&app.scene.affiliate).await;
    let refused = affiliate
        .post(
            "/report-files",
            &json!({ "query": "group=affiliate_group&metrics=revenue" }),
        )
        .await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let id = asked(&affiliate, "group=campaign", "csv").await;
    finished(&affiliate, &id).await;
    let content = affiliate.get(&format!("/report-files/{id}/content")).await;
    assert!(
        content.text.contains("commission") && !content.text.contains("revenue"),
        "{}",
        content.text
    );
    let owner = app.program(&app.scene.owner).await;
    for path in [
        format!("/report-files/{id}"),
        format!("/report-files/{id}/content"),
    ] {
        assert_eq!(owner.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(
        owner.delete(&format!("/report-files/{id}")).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        affiliate.delete(&format!("/report-files/{id}")).await.status,
        StatusCode::NO_CONTENT
    );

    // The figures are those of the role when the file is prepared.
    app.execute("UPDATE memberships SET ended_at = now() WHERE role = 'analyst'")
        .await;
    let analyst = "SELECT id FROM memberships WHERE role = 'analyst'";
    app.execute(&format!(
        "INSERT INTO report_files (network_id, owner_id, query, format, status, created_at, expires_at)
         SELECT network_id, id, 'group=day&{DAY}', 'csv', 'waiting', now(), now() + interval '1 day'
         FROM memberships WHERE id = ({analyst})"
    ))
    .await;
    // Announces it.
    asked(&owner, "group=day", "csv").await;
    app.eventually(
        "SELECT count(*) FROM report_files WHERE problem = 'Its owner is no longer a member.'",
        "1",
    )
    .await;
    app.finish().await;
}
