//! Search for an order: its conversion, or the postbacks with its order ID.

use reqwest::StatusCode;
use tenancy::RoleKind;
use testkit::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_found_among_the_postbacks_that_were_not_accepted() {
    let app = TestApp::spawn().await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let call = async |order: &str, goal: &str| {
        let parameters = [
            ("click_id", click.id.as_str()),
            ("goal", goal),
            ("order_id", order),
            ("amount", "10"),
        ];
        server.postback(&parameters).await
    };
    let lost = call("LOST 1/7", "deposit").await;
    assert_eq!(lost.reason(), "goal_unknown");
    assert_eq!(call("FOUND-2", "sale").await.reason(), "accepted");
    assert_eq!(call("FOUND-2", "sale").await.reason(), "duplicate_order");
    let stranger = server.with_token("wrong");
    let anonymous = stranger
        .postback(&[("order_id", "LOST 1/7"), ("click_id", "made-up")])
        .await;
    assert_eq!(anonymous.status, StatusCode::UNAUTHORIZED, "{}", anonymous.text);

    // The search leads to the conversion, or to the postbacks if the order has none.
    let owner = app.sign_in(&app.scene.owner).await;
    let search = "/search?q=LOST+1%2F7";
    let list = owner.get(search).await.location().to_owned();
    assert_eq!(list, "/postbacks?order=LOST+1%2F7");
    let shown = owner.get(&list).await.html;
    for answer in [&lost, &anonymous] {
        assert!(shown.contains(answer.get("request_id")), "{shown}");
    }
    assert!(
        !shown.contains("FOUND-2") && !shown.contains("Replay rejected postbacks"),
        "{shown}"
    );
    let found = owner.get("/search?q=FOUND-2").await.location().to_owned();
    assert_eq!(found, "/conversions?order=FOUND-2");
    assert!(
        owner.get(&found).await.html.contains("/postbacks?order=FOUND-2"),
        "the duplicate postback is one link away"
    );
    let nothing = owner.get("/search?q=nothing").await;
    assert_eq!(nothing.status, StatusCode::OK);
    assert!(
        nothing.html.contains("matches “nothing”") && nothing.html.contains("sub1.contains=nothing"),
        "{}",
        nothing.html
    );

    // An advertiser sees its own postbacks only, the network also those without a sender, and an affiliate none.
    for role in [RoleKind::Advertiser, RoleKind::AdvertiserDeveloper] {
        let member = app.sign_in(app.scene.person(role)).await;
        let list = member.get(search).await.location().to_owned();
        let shown = member.get(&list).await.html;
        assert!(shown.contains(lost.get("request_id")), "{role:?}: {shown}");
        assert!(!shown.contains(anonymous.get("request_id")), "{role:?}: {shown}");
    }
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    let nothing = affiliate.get(search).await;
    assert_eq!(nothing.status, StatusCode::OK);
    assert!(nothing.html.contains("matches “LOST 1/7”"), "{}", nothing.html);

    let program = app.program(app.scene.person(RoleKind::Advertiser)).await;
    let listed = program.get("/postbacks?order_id=LOST%201%2F7").await;
    let ids: Vec<_> = listed.json["items"].as_array().unwrap().iter().collect();
    assert_eq!(ids.len(), 1, "{}", listed.text);
    assert_eq!(ids[0]["id"], lost.get("request_id"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_among_many_postbacks_is_found_by_an_index_without_accepted_postbacks() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await;
    let parameters = [
        ("click_id", click.id.as_str()),
        ("order_id", "first"),
        ("amount", "10"),
    ];
    assert_eq!(app.advertiser().postback(&parameters).await.reason(), "accepted");
    app.settled().await;
    // Enough rows for the planner to choose the index; every tenth is rejected.
    app.execute(
        "INSERT INTO postbacks (network_id, id, received_at, method, target, body, status, reason, http_status, message, took_us,
             order_id, extra)
         SELECT network_id, gen_random_uuid(), received_at, method, target, body,
             CASE WHEN n % 10 = 0 THEN 'rejected' ELSE 'accepted' END, reason, http_status, message, took_us, 'made-' || n, extra
         FROM postbacks, generate_series(1, 20000) AS n",
    )
    .await;
    app.execute("ANALYZE postbacks").await;
    assert_eq!(
        app.count("SELECT reltuples::bigint FROM pg_class WHERE relname = 'postbacks_of_order'")
            .await,
        2_000
    );
    let scans = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'postbacks_of_order'";
    assert_eq!(app.count(scans).await, 0);
    let owner = app.sign_in(&app.scene.owner).await;
    let shown = owner.get("/postbacks?order=made-17770").await.html;
    assert!(shown.contains("made-17770"), "{shown}");
    app.eventually(scans, "1").await;
    let accepted = owner.get("/postbacks?order=made-17771").await.html;
    assert!(accepted.contains("<p>No postbacks.</p>"), "{accepted}");
    app.execute("DELETE FROM postbacks WHERE order_id LIKE 'made-%'")
        .await;
    app.finish().await;
}
