//! Saved views of reports: each shows what its viewer may see, and no more.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

use reqwest::StatusCode;
use serde_json::{Value, json};
use tenancy::RoleKind;
use testkit::{ApiClient, Member, TestApp};

/// App with a click and an approved conversion of 100 EUR: commission 10, revenue 15.
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

async fn created(program: &ApiClient, path: &str, body: Value) -> Value {
    let answer = program.post(path, &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{path}: {}", answer.text);
    answer.json
}

fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| item["name"].as_str().unwrap()).collect()
}

async fn status(member: &Member, path: &str) -> StatusCode {
    member.get(path).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_saved_opened_changed_and_deleted_on_the_pages() {
    let app = world().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let form = [
        ("name", "By day"),
        ("period", "last_7_days"),
        (
            "query",
            "from=2026-01-01&to=2026-01-02&group=day&metrics=clicks,revenue",
        ),
    ];
    let saved = owner.submit("/reports", "/reports/views", &form).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.html);
    let opened = saved.location().to_owned();
    let page = owner.get(&opened).await;
    assert!(
        page.html.contains("aria-current=\"page\">By day</a>"),
        "{}",
        page.html
    );
    // The period moves with the day: the click of today is in it.
    assert!(page.html.contains("15.00"), "{}", page.html);
    let view = opened.split_once("view=").unwrap().1;
    let edit = format!("/reports/views/{view}");
    let renamed = [("name", "Daily"), ("period", "today"), ("query", "group=hour")];
    let changed = owner.submit(&edit, &edit, &renamed).await;
    assert_eq!(changed.status, StatusCode::SEE_OTHER, "{}", changed.html);
    let list = owner.get("/reports/views").await;
    assert!(
        list.html.contains(">Daily</a>") && !list.html.contains("By day"),
        "{}",
        list.html
    );
    let refused = owner
        .submit(&edit, &edit, &[("name", ""), ("period", "today")])
        .await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let only_query = [
        ("only", "query"),
        ("query", "group=month"),
        ("period", "this_month"),
    ];
    assert_eq!(
        owner.submit(&edit, &edit, &only_query).await.status,
        StatusCode::SEE_OTHER
    );
    let stored = app
        .text("SELECT name || ' ' || period || ' ' || query FROM saved_reports")
        .await;
    assert_eq!(stored, "Daily this_month group=month");
    let removed = owner.submit(&edit, &format!("{edit}/remove"), &[]).await;
    assert_eq!(removed.status, StatusCode::SEE_OTHER);
    assert_eq!(status(&owner, &opened).await, StatusCode::NOT_FOUND);
    let audit = "SELECT count(*) FROM audit_log WHERE action LIKE 'saved_report.%'";
    assert_eq!(app.count(audit).await, 4);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_see_their_own_views_and_those_of_the_team_for_their_role() {
    let app = world().await;
    let owner = app.program(&app.scene.owner).await;
    let affiliate = app.program(&app.scene.affiliate).await;
    let analyst = app.program(app.scene.person(RoleKind::Analyst)).await;
    let path = "/saved-reports";
    created(&owner, path, json!({ "name": "Secret", "query": "group=day" })).await;
    let everyone = json!({ "name": "Everyone", "query": "group=day", "audience": "team" });
    created(&owner, path, everyone).await;
    let staff = json!({ "name": "Staff", "query": "group=day", "audience": "team", "roles": ["analyst"] });
    let staff = created(&owner, path, staff).await;
    let own = created(
        &affiliate,
        path,
        json!({ "name": "Own", "query": "group=sub1", "audience": "party" }),
    )
    .await;
    assert_eq!(names(&affiliate.get(path).await.json), ["Everyone", "Own"]);
    assert_eq!(names(&analyst.get(path).await.json), ["Everyone", "Staff"]);
    assert_eq!(
        names(&owner.get(path).await.json),
        ["Everyone", "Secret", "Staff"]
    );
    // A view that a member does not see is a 404, and one that a member may not change a 403.
    let staff = format!("{path}/{}", id(&staff));
    assert_eq!(affiliate.get(&staff).await.status, StatusCode::NOT_FOUND);
    assert_eq!(affiliate.delete(&staff).await.status, StatusCode::NOT_FOUND);
    assert_eq!(analyst.delete(&staff).await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        owner.get(&format!("{path}/{}", id(&own))).await.status,
        StatusCode::NOT_FOUND
    );
    let of_team = json!({ "name": "x", "query": "group=day", "audience": "team" });
    let refused = analyst.post(path, &of_team).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        refused.text
    );
    // A manager changes views of the team.
    let manager = app.program(app.scene.person(RoleKind::Manager)).await;
    let renamed = manager.patch(&staff, &json!({ "name": "Analysts" })).await;
    assert_eq!(renamed.json["name"], "Analysts", "{}", renamed.text);
    let taken = manager.patch(&staff, &json!({ "audience": "personal" })).await;
    assert_eq!(taken.status, StatusCode::CONFLICT, "{}", taken.text);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_with_revenue_names_it_to_an_affiliate_and_never_shows_it() {
    let app = world().await;
    let owner = app.program(&app.scene.owner).await;
    let affiliate = app.program(&app.scene.affiliate).await;
    let view =
        json!({ "name": "Money", "query": "group=campaign&metrics=clicks,revenue", "audience": "team" });
    let view = id(&created(&owner, "/saved-reports", view).await);
    let run = owner.get(&format!("/reports?view={view}")).await;
    assert_eq!(run.json["total"]["revenue"], json!(["15.00 EUR"]), "{}", run.text);
    let refused = affiliate.get(&format!("/reports?view={view}")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused.text.contains("Your role does not see “revenue”."),
        "{}",
        refused.text
    );
    let page = app
        .sign_in(&app.scene.affiliate)
        .await
        .get(&format!("/reports?view={view}"))
        .await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        page.html.contains("Your role does not see “revenue”."),
        "{}",
        page.html
    );
    assert!(!page.html.contains("15.00"), "{}", page.html);
    // Nor can an affiliate save it.
    let body = json!({ "name": "x", "query": "metrics=revenue" });
    let saved = affiliate.post("/saved-reports", &body).await;
    assert_eq!(saved.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(saved.text.contains("“revenue”"), "{}", saved.text);
    let mixed = owner.get(&format!("/reports?view={view}&group=day")).await;
    assert_eq!(mixed.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", mixed.text);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_opens_its_default_view() {
    let app = world().await;
    let owner = app.program(&app.scene.owner).await;
    let body = json!({ "name": "Start", "query": "group=sub1&metrics=clicks", "audience": "team", "roles": ["affiliate"] });
    let view = id(&created(&owner, "/saved-reports", body).await);
    let default = format!("/saved-reports/{view}/default");
    let refused = owner.post(&default, &json!({ "roles": ["analyst"] })).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        refused.text
    );
    let manager = app.program(app.scene.person(RoleKind::Manager)).await;
    let roles = json!({ "roles": ["affiliate"] });
    assert_eq!(manager.post(&default, &roles).await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        owner.post(&default, &roles).await.json["default_for"],
        json!(["affiliate"])
    );
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    let opened = |html: &str| html.contains("aria-current=\"page\">Start</a>");
    assert!(opened(&affiliate.get("/reports").await.html));
    assert!(!opened(&affiliate.get("/reports?group=day").await.html));
    let analyst = app.sign_in(app.scene.person(RoleKind::Analyst)).await;
    assert!(!opened(&analyst.get("/reports").await.html));
    // A view that is no longer offered to the role is no default either.
    let moved = owner
        .patch(
            &format!("/saved-reports/{view}"),
            &json!({ "roles": ["analyst"] }),
        )
        .await;
    assert_eq!(moved.json["default_for"], json!([]), "{}", moved.text);
    assert_eq!(app.count("SELECT count(*) FROM report_defaults").await, 0);
    app.finish().await;
}
