//! Quick start, tests, simulation and going live: the API offers the functions of the pages, with the same sentences.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tenancy::RoleKind;
use testkit::people::see_other;
use testkit::{Answer, ApiClient, TestApp};

/// Error message of a field of an answer.
fn field<'a>(answer: &'a Answer, name: &str) -> &'a str {
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
    answer.json["fields"][name].as_str().unwrap()
}

fn campaign(app: &TestApp) -> String {
    format!("/campaigns/{}", app.scene.campaign.id)
}

/// Requires tests in the network, and sets its campaign to testing.
async fn require_tests(app: &TestApp, owner: &ApiClient) {
    let network = owner.patch("/network", &json!({ "require_tests": true })).await;
    assert_eq!(network.status, StatusCode::OK, "{}", network.text);
    let testing = owner.patch(&campaign(app), &json!({ "status": "testing" })).await;
    assert_eq!(testing.status, StatusCode::OK, "{}", testing.text);
}

async fn is_live(owner: &ApiClient, path: &str) -> bool {
    owner.get(path).await.get("status") == "live"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quick_start_creates_a_campaign_that_works() {
    let app = TestApp::spawn().await;
    let owner = app.program(&app.scene.owner).await;
    let body = json!({
        "advertiser": "Fresh Brand", "destination": "https://fresh.example/?id={click_id}",
        "commission": "1.00 + 10 %", "revenue": "2.00 + 12 %",
    });
    let key = [("Idempotency-Key", "start-1")];
    let started = owner.json(Method::POST, "/quick-start", &key, &body).await;
    assert_eq!(started.status, StatusCode::CREATED, "{}", started.text);
    let (_, alias) = started.get("link_url").rsplit_once('/').unwrap();
    let click = app.visitor_of(alias).click("").await;
    let server = app.advertiser().with_token(started.get("token"));
    let order = [
        ("click_id", click.id.as_str()),
        ("order_id", "1"),
        ("amount", "50"),
    ];
    assert_eq!(server.postback(&order).await.reason(), "test_accepted");
    let path = format!("/campaigns/{}", started.get("campaign"));
    let created = owner.get(&path).await;
    assert_eq!(
        (created.get("name"), created.get("status")),
        ("Fresh Brand sale", "testing")
    );
    let live = owner.post(&format!("{path}/go-live"), &json!({})).await;
    assert!(live.status.is_success(), "{}", live.text);
    let link = json!({
        "campaign": started.get("campaign"),
        "affiliate": app.scene.affiliate_id.to_string(),
        "alias": "fresh",
    });
    let link = owner.post("/links", &link).await;
    assert_eq!(link.status, StatusCode::CREATED, "{}", link.text);
    let click = app.visitor_of("fresh").click("").await;
    let order = [
        ("click_id", click.id.as_str()),
        ("order_id", "1"),
        ("amount", "50"),
    ];
    assert_eq!(server.postback(&order).await.reason(), "accepted");
    assert_eq!(
        app.count("SELECT commission_micros FROM conversions").await,
        6_000_000
    );

    let replayed = owner.json(Method::POST, "/quick-start", &key, &body).await;
    assert_eq!(replayed.get("campaign"), started.get("campaign"));
    assert_eq!(replayed.json["token"], Value::Null, "the token is shown once");
    let second = owner.post("/quick-start", &body).await;
    assert_ne!(second.get("campaign"), started.get("campaign"));
    assert_eq!(
        second.json["token"],
        Value::Null,
        "the advertiser keeps its token"
    );

    let mut named = body;
    named["name"] = json!("Boots and shoes");
    let named = owner.post("/quick-start", &named).await;
    let path = format!("/campaigns/{}", named.get("campaign"));
    assert_eq!(owner.get(&path).await.get("name"), "Boots and shoes");
    let link = owner.get(&format!("/links/{}", named.get("link"))).await;
    assert_eq!(link.json["is_test"], true);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn page_and_api_refuse_a_quick_start_with_the_same_sentences() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let owner = app.sign_in(&app.scene.owner).await;
    let refused = program
        .post(
            "/quick-start",
            &json!({
                "advertiser": " ", "name": "x".repeat(300), "destination": "x", "kind": "gift", "commission": "ten", "revenue": "-1",
                "currency": "EURO", "attribution_days": 0,
            }),
        )
        .await;
    let long = "x".repeat(300);
    let form = [
        ("advertiser", " "),
        ("name", long.as_str()),
        ("destination", "x"),
        ("kind", "gift"),
        ("commission", "ten"),
        ("revenue", "-1"),
        ("currency", "EURO"),
        ("attribution_days", "0"),
    ];
    let page = owner.submit("/start", "/start", &form).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    for (name, _) in form {
        let sentence = field(&refused, name);
        assert!(page.html.contains(sentence), "{name}: {sentence}: {}", page.html);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_is_tested_and_goes_live_without_the_dashboard() {
    let app = TestApp::spawn().await;
    let owner = app.program(&app.scene.owner).await;
    require_tests(&app, &owner).await;
    let campaign = campaign(&app);
    let (test, go) = (format!("{campaign}/test"), format!("{campaign}/go-live"));
    assert_eq!(owner.get(&test).await.json["test_link_url"], Value::Null);
    let key = [("Idempotency-Key", "link-1")];
    let path = format!("{campaign}/test-link");
    let link = owner.json(Method::POST, &path, &key, &json!({})).await;
    assert_eq!(link.status, StatusCode::CREATED, "{}", link.text);
    let again = owner.json(Method::POST, &path, &key, &json!({})).await;
    assert_eq!(again.get("id"), link.get("id"), "one link per key");
    assert_eq!(owner.get(&test).await.json["test_link_url"], link.json["url"]);

    let click = app.visitor_of(link.get("alias")).click("").await;
    let other = app.visitor_of(link.get("alias")).click("").await;
    let early = owner.post(&go, &json!({})).await;
    let sentence = field(&early, "status");
    let page = app.sign_in(&app.scene.owner).await;
    let html = page.submit(&test, &go_live_page(&campaign), &[]).await.html;
    let html = html.replace("&#39;", "'");
    assert!(html.contains(sentence), "{sentence}: {html}");
    for (click, goal, order) in [
        (&click, "sale", "T-1"),
        (&click, "sale", "T-2"),
        (&click, "lead", "L-1"),
        (&other, "lead", "L-2"),
    ] {
        let sent = [
            ("click_id", click.id.as_str()),
            ("goal", goal),
            ("order_id", order),
            ("amount", "50"),
        ];
        assert_eq!(app.advertiser().postback(&sent).await.reason(), "test_accepted");
    }
    app.settled().await;
    let advertiser = app.program(&app.scene.advertiser).await;
    let report = advertiser.get(&test).await.json;
    assert_eq!(report["is_verified"], true, "{report}");
    for goal in report["goals"].as_array().unwrap() {
        assert_eq!(goal["stage"], "verified", "{goal}");
        assert_eq!(goal["orders"].as_array().unwrap().len(), 2, "{goal}");
    }
    assert_eq!(
        advertiser.post(&go, &json!({})).await.status,
        StatusCode::FORBIDDEN
    );
    let live = owner.post(&go, &json!({})).await;
    assert_eq!(live.get("status"), "live", "{}", live.text);
    assert_eq!(
        owner.post(&go, &json!({})).await.status,
        StatusCode::OK,
        "going live twice has no effect"
    );
    app.finish().await;
}

fn go_live_page(campaign: &str) -> String {
    format!("{campaign}/test/go-live")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_override_of_the_tests_needs_a_permission_and_a_reason() {
    let app = TestApp::spawn().await;
    let owner = app.program(&app.scene.owner).await;
    require_tests(&app, &owner).await;
    let campaign = campaign(&app);
    let go = format!("{campaign}/go-live");
    let reason = json!({ "override_reason": "Known from before" });
    let manager = app.program(app.scene.person(RoleKind::Manager)).await;
    assert_eq!(manager.post(&go, &reason).await.status, StatusCode::FORBIDDEN);
    let admin = app.program(app.scene.person(RoleKind::Admin)).await;
    let silent = admin.post(&go, &json!({ "override_reason": " " })).await;
    let page = app.sign_in(app.scene.person(RoleKind::Admin)).await;
    let form = [("how", "override"), ("reason", "")];
    let html = page
        .submit(&format!("{campaign}/test"), &go_live_page(&campaign), &form)
        .await
        .html;
    assert!(html.contains(field(&silent, "override_reason")), "{html}");
    assert!(!is_live(&owner, &campaign).await);
    assert_eq!(admin.post(&go, &reason).await.get("status"), "live");
    let noted = "SELECT after->>'reason' FROM audit_log WHERE action = 'campaign.override_tests'";
    assert_eq!(app.text(noted).await, "Known from before");
    let again = admin.post(&go, &reason).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_reports_the_steps_of_the_page() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let owner = app.sign_in(&app.scene.owner).await;
    require_tests(&app, &program).await;
    let campaign = campaign(&app);
    let simulation = format!("{campaign}/simulation");
    let (page, simulate) = (format!("{campaign}/test"), format!("{campaign}/test/simulate"));
    let early = program.post(&simulation, &json!({})).await;
    assert_eq!(early.status, StatusCode::CONFLICT, "{}", early.text);
    let html = owner.submit(&page, &simulate, &[]).await.html;
    assert!(html.contains(early.get("message")), "{html}");

    assert_eq!(see_other(&owner.submit(&page, &page, &[]).await), page);
    let report = program.post(&simulation, &json!({})).await;
    assert_eq!(report.status, StatusCode::OK, "{}", report.text);
    let steps = report.json["steps"].as_array().unwrap();
    // A click, and two orders of two goals. Leads count once per click.
    let results: Vec<_> = steps.iter().map(|step| step["is_successful"] == true).collect();
    assert_eq!(results, [true; 5], "{}", report.text);
    let html = owner.submit(&page, &simulate, &[]).await.html;
    for step in steps {
        let event = step["event"].as_str().unwrap();
        assert!(html.contains(event), "{event}: {html}");
    }
    app.settled().await;
    assert_eq!(
        program.get(&page).await.json["is_verified"],
        false,
        "simulated orders verify nothing"
    );
    let goals = program.get(&page).await.json["goals"].clone();
    let simulated: Vec<_> = goals
        .as_array()
        .unwrap()
        .iter()
        .map(|goal| &goal["simulated_orders"])
        .collect();
    assert_eq!(
        simulated,
        [&json!(2), &json!(4)],
        "two runs: a lead once per click, and two sales"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn page_and_api_refuse_a_second_integration_of_a_campaign() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let owner = app.sign_in(&app.scene.owner).await;
    let page = format!("{}/integration", campaign(&app));
    let first = program.post(&page, &json!({})).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    let second = program.post(&page, &json!({})).await;
    assert_eq!(second.status, StatusCode::CONFLICT, "{}", second.text);
    let refused = owner.submit(&page, &format!("{page}/make"), &[]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.html);
    assert!(refused.html.contains(second.get("message")), "{}", refused.html);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn page_and_api_accept_files_of_the_same_size() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let owner = app.sign_in(&app.scene.owner).await;
    let page = "/advertisers/import";
    let csv = |bytes: usize| format!("name\n{}", "x".repeat(bytes - "name\n".len()));
    let send = async |file: String| {
        let headers = [("Content-Type", "text/csv")];
        program.call(Method::POST, page, &headers, file).await
    };
    let fits = csv(tenancy::table::MAX_BYTES);
    let imported = send(fits.clone()).await;
    assert_eq!(imported.status, StatusCode::OK, "{}", imported.text);
    let preview = owner.submit(page, page, &[("csv", &fits)]).await;
    assert_eq!(preview.status, StatusCode::OK);

    let large = csv(tenancy::table::MAX_BYTES + 1);
    let refused = send(large.clone()).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    let html = owner.submit(page, page, &[("csv", &large)]).await;
    assert_eq!(html.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(html.html.contains(refused.get("message")));
    // A body beyond the limit of all forms is not read to its end.
    let huge = csv(2 * tenancy::table::MAX_BYTES);
    let html = owner.submit(page, page, &[("csv", &huge)]).await;
    assert_eq!(html.status, StatusCode::BAD_REQUEST);
    assert!(html.html.contains(refused.get("message")), "{}", html.html);
    app.finish().await;
}
