//! Share links of reports: secret, limited in time, and never more than their owner sees.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::{ApiClient, TestApp};

/// App with an approved conversion of 100 EUR: commission 10, revenue 15.
async fn world() -> TestApp {
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
    app
}

/// Path of a new link, and its ID.
async fn link(app: &TestApp, program: &ApiClient, body: Value) -> (String, String) {
    let made = program.post("/report-links", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let url = made.json.get("url").and_then(Value::as_str).unwrap();
    let path = url.strip_prefix(&app.dashboard_url).unwrap().to_owned();
    let id = made.json.pointer("/link/id").and_then(Value::as_str).unwrap();
    (path, id.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_sees_the_report_of_its_owner_and_can_change_nothing() {
    let app = world().await;
    let affiliate = app.program(&app.scene.affiliate).await;
    let body = json!({ "name": "Partner", "query": "group=campaign", "period": "today" });
    let (path, id) = link(&app, &affiliate, body).await;
    let stranger = app.stranger();
    let page = stranger.get(&path).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.html);
    assert!(
        page.html.contains("Partner") && page.html.contains("10.00 EUR"),
        "{}",
        page.html
    );
    assert!(
        !page.html.contains("Revenue") && !page.html.contains("15.00"),
        "{}",
        page.html
    );
    assert!(page.html.contains("name=\"robots\" content=\"noindex\""));
    let response = reqwest::get(format!("{}{path}", app.dashboard_url))
        .await
        .unwrap();
    assert_eq!(response.headers().get("x-robots-tag").unwrap(), "noindex");
    // Parameters of reports do nothing.
    let changed = stranger
        .get(&format!("{path}?group=affiliate&metrics=revenue&page=7"))
        .await;
    let without_pages = |html: &str| html.replace("?page=7", "");
    assert_eq!(without_pages(&changed.html), without_pages(&page.html));
    // The token stands hashed in the database, and the view was recorded.
    let token = path.strip_prefix("/shared/").unwrap();
    let stored =
        format!("SELECT count(*) FROM report_links WHERE encode(token_hash, 'escape') LIKE '%{token}%'");
    assert_eq!(app.count(&stored).await, 0);
    let shown = affiliate.get(&format!("/report-links/{id}")).await;
    assert!(
        shown.json.get("last_used_at").is_some_and(Value::is_string),
        "{}",
        shown.text
    );
    let unknown = format!("{}0", path.strip_suffix(|_: char| true).unwrap());
    let unknown = stranger.get(&unknown).await.status;
    assert!(unknown == StatusCode::NOT_FOUND || path.ends_with('0'));
    // An affiliate cannot share revenue.
    let body = json!({ "name": "x", "query": "metrics=revenue" });
    let refused = affiliate.post("/report-links", &body).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        refused.text
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_or_expired_link_and_that_of_a_former_member_are_gone() {
    let app = world().await;
    let owner = app.program(&app.scene.owner).await;
    let analyst = app.program(app.scene.person(tenancy::RoleKind::Analyst)).await;
    let body = json!({ "name": "Days", "query": "group=day", "expires_in_days": 1 });
    let (revoked, id) = link(&app, &owner, body.clone()).await;
    let (expired, expired_id) = link(&app, &owner, body.clone()).await;
    let (former, _) = link(&app, &analyst, body.clone()).await;
    let stranger = app.stranger();
    for path in [&revoked, &expired, &former] {
        assert_eq!(stranger.get(path).await.status, StatusCode::OK, "{path}");
    }
    // An analyst neither sees nor revokes the links of others.
    let one = format!("/report-links/{id}");
    assert_eq!(analyst.delete(&one).await.status, StatusCode::NOT_FOUND);
    assert_eq!(owner.delete(&one).await.status, StatusCode::NO_CONTENT);
    let number: schema::ReportLinkId = expired_id.parse().unwrap();
    app.execute(&format!(
        "UPDATE report_links SET created_at = now() - interval '2 days', expires_at = now() - interval '1 second'
         WHERE id = {}",
        number.0
    ))
    .await;
    app.execute("UPDATE memberships SET ended_at = now() WHERE role = 'analyst'")
        .await;
    for path in [&revoked, &expired, &former] {
        let page = stranger.get(path).await;
        assert_eq!(page.status, StatusCode::GONE, "{path}");
        assert!(page.html.contains("No longer shared"), "{}", page.html);
    }
    let too_long = json!({ "name": "x", "query": "group=day", "expires_in_days": 366 });
    assert_eq!(
        owner.post("/report-links", &too_long).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    let page = app.sign_in(&app.scene.owner).await.get("/reports/links").await;
    for state in ["revoked", "expired"] {
        assert!(page.html.contains(&format!("<td>{state}</td>")), "{}", page.html);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_dies_when_the_role_of_its_owner_no_longer_sees_a_part_of_it() {
    let app = world().await;
    let owner = app.program(&app.scene.owner).await;
    let body = json!({ "name": "Money", "query": "group=day&metrics=clicks,revenue" });
    let (path, _) = link(&app, &owner, body).await;
    let page = app.stranger().get(&path).await;
    assert!(page.html.contains("15.00 EUR"), "{}", page.html);
    // The membership becomes that of the affiliate, who sees no revenue.
    app.execute("UPDATE report_links SET owner_id = (SELECT id FROM memberships WHERE role = 'affiliate')")
        .await;
    let page = app.stranger().get(&path).await;
    assert_eq!(page.status, StatusCode::GONE);
    assert!(!page.html.contains("15.00"), "{}", page.html);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_checked_throttled_and_remembered_by_the_browser() {
    let app = world().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let form = [
        ("name", "Locked"),
        ("query", "group=day"),
        ("period", "today"),
        ("password", "open sesame 42"),
    ];
    let weak = [("name", "Locked"), ("query", "group=day"), ("password", "short")];
    let refused = owner.submit("/reports", "/reports/links", &weak).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        refused.html
    );
    let made = owner.submit("/reports", "/reports/links", &form).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.html);
    let list = owner.get("/reports/links").await;
    let (_, rest) = list.html.split_once("id=\"fresh-link\">").unwrap();
    let path = rest
        .split('<')
        .next()
        .unwrap()
        .strip_prefix(&app.dashboard_url)
        .unwrap()
        .to_owned();
    assert!(
        !owner.get("/reports/links").await.html.contains("fresh-link"),
        "shown once"
    );

    let visitor = app.stranger();
    let asked = visitor.get(&path).await;
    assert!(
        asked.html.contains("protected by a password") && !asked.html.contains("10.00"),
        "{}",
        asked.html
    );
    let wrong = visitor
        .submit(&path, &path, &[("password", "open sesame 41")])
        .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let right = visitor
        .submit(&path, &path, &[("password", "open sesame 42")])
        .await;
    assert_eq!(right.status, StatusCode::SEE_OTHER, "{}", right.html);
    assert!(visitor.get(&path).await.html.contains("10.00 EUR"));
    // Another browser has to enter it too, and cannot try for ever.
    let other = app.stranger();
    assert!(other.get(&path).await.html.contains("protected by a password"));
    let mut last = StatusCode::OK;
    for _ in 0..11 {
        last = other
            .submit(&path, &path, &[("password", "open sesame 43")])
            .await
            .status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    let hashed = "SELECT count(*) FROM report_links WHERE password_hash LIKE '$argon2id$%'";
    assert_eq!(app.count(hashed).await, 1);
    let exported = "SELECT count(*) FROM export_network() WHERE row_json LIKE '%argon2id%'";
    let mut conn = app.network().await;
    let found: i64 = diesel_async::RunQueryDsl::get_result::<Count>(
        diesel::sql_query(exported.replace("count(*)", "count(*) AS count")),
        &mut *conn,
    )
    .await
    .unwrap()
    .count;
    assert_eq!(found, 0, "an export has no hash of a password");
    app.finish().await;
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}
