//! From a draft to a live campaign: test progress, simulation, certificate, and the override of required tests.

use reqwest::StatusCode;
use serde_json::json;
use tenancy::RoleKind;
use testkit::TestApp;
use testkit::people::{see_other, shown};

fn campaign(app: &TestApp) -> String {
    format!("/campaigns/{}", app.scene.campaign.id)
}

/// Sets the campaign to testing, in a network that requires tests.
async fn in_testing(app: &TestApp) {
    let program = app.program(&app.scene.owner).await;
    let response = program.patch("/network", &json!({ "require_tests": true })).await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.text);
    let response = program
        .patch(&campaign(app), &json!({ "status": "testing" }))
        .await;
    assert_eq!(response.status, StatusCode::OK, "{}", response.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_completes_its_tests_and_goes_live() {
    let app = TestApp::spawn().await;
    in_testing(&app).await;
    let owner = app.sign_in(&app.scene.owner).await;
    let advertiser = app.sign_in(&app.scene.advertiser).await;
    let page = format!("{}/test", campaign(&app));
    let reached = async || advertiser.get(&page).await.html.matches(">done<").count();
    assert_eq!(see_other(&owner.submit(&page, &page, &[]).await), page);
    assert_eq!(reached().await, 0, "both goals wait for a click");
    let link = shown(&owner.get(&page).await, "test-link").to_owned();
    let (_, alias) = link.rsplit_once('/').unwrap();

    let click = app.visitor_of(alias).click("").await;
    app.settled().await;
    assert_eq!(reached().await, 2, "click seen");
    let order = async |goal: &str, order: &str| {
        let sent = [
            ("click_id", click.id.as_str()),
            ("goal", goal),
            ("order_id", order),
            ("amount", "50"),
        ];
        let response = app.advertiser().postback(&sent).await;
        app.settled().await;
        response.reason().to_owned()
    };
    assert_eq!(order("salle", "T-1").await, "goal_unknown");
    assert_eq!(reached().await, 4, "postback received");
    assert_eq!(order("sale", "T-1").await, "test_accepted");
    order("sale", "T-1").await;
    assert_eq!(
        reached().await,
        5,
        "matched, and a repeated order does not count as a second"
    );
    let go = format!("{page}/go-live");
    let early = owner.submit(&page, &go, &[]).await;
    assert_eq!(early.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        early
            .html
            .contains("2 test orders have to arrive first for: Lead, Sale"),
        "{}",
        early.html
    );
    let program = app.program(&app.scene.owner).await;
    for paying in ["live", "paused"] {
        let response = program.patch(&campaign(&app), &json!({ "status": paying })).await;
        assert!(
            response.json["fields"]["status"].is_string(),
            "{paying}: {}",
            response.text
        );
    }
    let fresh = json!({
        "advertiser": app.scene.advertiser_id.to_string(), "currency": "EUR", "name": "Fresh",
        "destination": "https://x.example/?c={click_id}", "status": "paused",
    });
    let response = program.post("/campaigns", &fresh).await;
    assert!(response.json["fields"]["status"].is_string(), "{}", response.text);
    let mut empty = fresh;
    empty["status"] = json!("testing");
    let empty = program.post("/campaigns", &empty).await;
    let empty = format!("/campaigns/{}", empty.get("id"));
    let response = program.patch(&empty, &json!({ "status": "live" })).await;
    assert!(response.text.contains("no goal yet"), "{}", response.text);

    order("sale", "T-2").await;
    assert_eq!(order("lead", "L-1").await, "test_accepted");
    let other = app.visitor_of(alias).click("").await;
    let sent = [("click_id", other.id.as_str()), ("goal", "lead")];
    assert_eq!(app.advertiser().postback(&sent).await.reason(), "test_accepted");
    app.settled().await;
    assert_eq!(reached().await, 8, "verified");
    let certificate = format!("{}/certificate", campaign(&app));
    let kept = advertiser.get(&certificate).await.html;
    assert!(kept.contains(">passed<") && kept.contains("T-2"), "{kept}");
    // All test orders are listed apart, on violet ground; an affiliate sees neither them nor the switch.
    let listed = owner.get("/test").await.html;
    assert!(listed.contains("T-2") && listed.contains("5.00 EUR"), "{listed}");
    assert!(listed.contains("class=\"shell tests\""), "{listed}");
    assert!(listed.contains("<a class=\"bare\" href=\"/test\" aria-current=\"true\">Test</a>"));
    let of_advertiser = advertiser.get("/test").await.html;
    assert!(of_advertiser.contains("T-2") && !of_advertiser.contains("5.00 EUR"));
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    assert_eq!(affiliate.get("/test").await.status, StatusCode::FORBIDDEN);
    assert!(!affiliate.get("/").await.html.contains("href=\"/test\""));
    assert_eq!(see_other(&owner.submit(&page, &go, &[]).await), page);
    assert_eq!(reached().await, 10, "live");
    assert_eq!(
        app.count("SELECT count(*) FROM conversions").await,
        0,
        "test conversions are not conversions"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_on_a_staging_page_alone_do_not_clear_a_campaign() {
    let app = TestApp::spawn().await;
    in_testing(&app).await;
    app.execute("DELETE FROM goals WHERE code = 'lead'").await;
    let program = app.program(&app.scene.owner).await;
    let staging = json!({
        "campaign": app.scene.campaign.id.to_string(), "name": "Staging",
        "url": "https://staging.shop.example/?id={click_id}", "weight": 0,
    });
    let staging = program.post("/landing-pages", &staging).await;
    let link = |page: Option<&str>| {
        json!({
            "campaign": app.scene.campaign.id.to_string(), "affiliate": app.scene.affiliate_id.to_string(),
            "landing_page": page, "is_test": true,
        })
    };
    let on_staging = program.post("/links", &link(Some(staging.get("id")))).await;
    let on_live = program.post("/links", &link(None)).await;
    assert_eq!(on_live.status, StatusCode::CREATED, "{}", on_live.text);
    let test = format!("{}/test", campaign(&app));
    let order = async |alias: &str, order: &str| {
        let click = app.visitor_of(alias).click("").await;
        let sent = [
            ("click_id", click.id.as_str()),
            ("order_id", order),
            ("amount", "50"),
        ];
        assert_eq!(app.advertiser().postback(&sent).await.reason(), "test_accepted");
        app.settled().await;
        program.get(&test).await.json["goals"][0].clone()
    };
    order(on_staging.get("alias"), "T-1").await;
    let progress = order(on_staging.get("alias"), "T-2").await;
    assert_eq!(progress["stage"], "matched", "{progress}");
    assert_eq!(progress["orders"][0]["host"], "staging.shop.example");
    let early = program
        .post(&format!("{}/go-live", campaign(&app)), &json!({}))
        .await;
    assert!(
        early.text.contains("a page that live visitors are sent to"),
        "{}",
        early.text
    );
    let progress = order(on_live.get("alias"), "T-3").await;
    assert_eq!(progress["stage"], "verified", "{progress}");
    let live = program
        .post(&format!("{}/go-live", campaign(&app)), &json!({}))
        .await;
    assert_eq!(live.status, StatusCode::OK, "{}", live.text);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_is_decided_like_every_postback_and_does_not_count_as_test_progress() {
    let app = TestApp::spawn().await;
    in_testing(&app).await;
    let owner = app.sign_in(&app.scene.owner).await;
    let page = format!("{}/test", campaign(&app));
    let simulate = format!("{page}/simulate");
    owner.submit(&page, &page, &[]).await;
    let simulated = owner.submit(&page, &simulate, &[]).await.html;
    assert!(
        simulated.contains("with the click id in it") && simulated.contains("GET /postback?"),
        "{simulated}"
    );
    assert!(
        !simulated.contains(">401<"),
        "the network needs no token: {simulated}"
    );
    app.settled().await;
    let orders = "SELECT count(*) FROM test_conversions WHERE order_id LIKE 'SIMULATED-%'";
    assert_eq!(
        app.count(orders).await,
        3,
        "two sales, and a lead once per click: {simulated}"
    );
    let certificate = owner.get(&format!("{}/certificate", campaign(&app))).await.html;
    let progress = owner.get(&page).await.html;
    assert_eq!(
        progress.matches(">done<").count(),
        2,
        "a click for both goals, and no postback of the advertiser: {progress}"
    );
    assert_eq!(
        progress.matches(">simulated<").count(),
        4,
        "both goals: postback received and matched, by simulated orders alone: {progress}"
    );
    assert!(
        certificate.contains("not passed yet") && !certificate.contains("SIMULATED"),
        "{certificate}"
    );

    // In the format of the integration, which is the path of Partnerize.
    app.change_integration(|integration| integration.dialect = Some("partnerize".to_owned()))
        .await;
    let simulated = owner.submit(&page, &simulate, &[]).await.html;
    assert!(
        simulated.contains("GET /conversion/") && !simulated.contains("badge rejected"),
        "{simulated}"
    );

    // A destination with the click ID inside a longer value.
    let program = app.program(&app.scene.owner).await;
    let hidden = json!({ "destination": "https://shop.example/?p=a-{click_id}-b" });
    program.patch(&campaign(&app), &hidden).await;
    let simulated = owner.submit(&page, &simulate, &[]).await.html;
    assert!(simulated.contains("the shop does not receive it"), "{simulated}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_who_overrides_the_tests_gives_a_reason() {
    let app = TestApp::spawn().await;
    in_testing(&app).await;
    let page = format!("{}/test", campaign(&app));
    let go = format!("{page}/go-live");
    let manager = app.sign_in(app.scene.person(RoleKind::Manager)).await;
    let why = [("how", "override"), ("reason", "Known from before")];
    assert_eq!(
        manager.submit(&page, &go, &why).await.status,
        StatusCode::FORBIDDEN
    );
    let admin = app.sign_in(app.scene.person(RoleKind::Admin)).await;
    let without_reason = admin.submit(&page, &go, &[("how", "override")]).await;
    assert_eq!(without_reason.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        without_reason.html.contains("Enter a reason"),
        "{}",
        without_reason.html
    );
    assert_eq!(see_other(&admin.submit(&page, &go, &why).await), page);
    let noted = app
        .text("SELECT after->>'reason' FROM audit_log WHERE action = 'campaign.override_tests'")
        .await;
    assert_eq!(noted, "Known from before");
    assert_eq!(app.text("SELECT status FROM campaigns").await, "live");
    let shown = admin.get(&page).await.html;
    assert_eq!(
        shown.matches(">done<").count(),
        2,
        "live, without test progress: {shown}"
    );
    let click = app.visitor().click("").await;
    let sent = [
        ("click_id", click.id.as_str()),
        ("goal", "sale"),
        ("order_id", "1"),
        ("amount", "1"),
    ];
    assert_eq!(app.advertiser().postback(&sent).await.reason(), "accepted");
    app.finish().await;
}
