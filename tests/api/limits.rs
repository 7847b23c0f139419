//! Rate limits, and callers that are refused despite a valid key.

use std::time::Duration;

use diesel_async::RunQueryDsl;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tenancy::RoleKind;
use testkit::{Answer, ApiClient, Scene, TestApp};

/// Remaining requests, and seconds until the window ends.
fn left(answer: &Answer) -> (u32, u64) {
    assert_eq!(answer.headers["ratelimit-policy"], "\"default\";q=600;w=60");
    let text = answer.headers["ratelimit"].to_str().unwrap();
    let (left, seconds) = text
        .strip_prefix("\"default\";r=")
        .unwrap()
        .split_once(";t=")
        .unwrap();
    (left.parse().unwrap(), seconds.parse().unwrap())
}

/// Waits for a window with enough time left for 600 requests, and returns the remaining requests.
async fn early_in_a_minute(program: &ApiClient) -> u32 {
    let (calls, seconds) = left(&program.get("/me").await);
    if seconds > 25 {
        return calls;
    }
    tokio::time::sleep(Duration::from_secs(seconds + 1)).await;
    left(&program.get("/me").await).0
}

#[tokio::test(flavor = "multi_thread")]
async fn after_six_hundred_requests_in_a_minute_a_network_gets_429() {
    let app = TestApp::spawn().await;
    let rival = Scene::set(&app.db, "Rival", "rival.example").await;
    let owner = app.program(&app.scene.owner).await;
    let analyst = app.program(app.scene.person(RoleKind::Analyst)).await;
    let neighbour = app.program(&rival.owner).await;
    let mut calls = early_in_a_minute(&owner).await;
    // Every request counts against the network, for every caller and with every result.
    for (program, path) in [
        (&owner, "/me"),
        (&analyst, "/me"),
        (&analyst, "/keys/x"),
        (&owner, "/nothing"),
    ] {
        calls -= 1;
        assert_eq!(left(&program.get(path).await).0, calls, "{path}");
    }
    let before = app.count("SELECT count(*) FROM affiliates").await;
    while calls > 0 {
        let answers = futures_util::future::join_all((0..calls.min(10)).map(|_| owner.get("/me"))).await;
        assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
        calls -= u32::try_from(answers.len()).unwrap();
    }
    let refused = analyst.get("/me").await;
    assert_eq!(
        (refused.status, refused.get("code")),
        (StatusCode::TOO_MANY_REQUESTS, "rate_limited")
    );
    let (calls, seconds) = left(&refused);
    let retry: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert_eq!(calls, 0);
    assert!((1..=60).contains(&retry) && retry == seconds, "{retry} {seconds}");
    let refused = owner.post("/affiliates", &json!({ "name": "Late" })).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(app.count("SELECT count(*) FROM affiliates").await, before);
    let theirs = neighbour.get("/me").await;
    assert!(theirs.status == StatusCode::OK && left(&theirs).0 > 590);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_a_hundred_invalid_keys_is_refused() {
    let app = TestApp::spawn().await;
    let owner = app.program(&app.scene.owner).await;
    let guess = |number: u8| {
        format!(
            "clk_key_{}",
            schema::BASE32.encode(&[[0, 0, 0, 7].as_slice(), &[number; 21]].concat())
        )
    };
    for number in 0..100 {
        // Requests without a key do not count, and valid keys in between do not reset the count.
        assert_eq!(owner.with("").get("/me").await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(
            owner.with(&guess(number)).get("/me").await.status,
            StatusCode::UNAUTHORIZED,
            "{number}"
        );
        if number % 20 == 0 {
            assert_eq!(owner.get("/me").await.status, StatusCode::OK);
        }
    }
    for program in [&owner.with(&guess(200)), &owner] {
        let refused = program.get("/me").await;
        assert_eq!(
            (refused.status, refused.get("code")),
            (StatusCode::TOO_MANY_REQUESTS, "rate_limited")
        );
        assert_eq!(refused.headers["retry-after"], "900");
    }
    // Without trusted proxies, the header is ignored.
    let forged = owner
        .call(Method::GET, "/me", &[("X-Forwarded-For", "203.0.113.9")], "")
        .await;
    assert_eq!(forged.status, StatusCode::TOO_MANY_REQUESTS);
    // Users with that address can still sign in.
    assert_eq!(
        app.sign_in(&app.scene.owner).await.get("/").await.status,
        StatusCode::OK
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_requires_two_factor_authentication_requires_it_of_programs_too() {
    let app = TestApp::spawn().await;
    let owner = app.program(&app.scene.owner).await;
    let analyst = app.program(app.scene.person(RoleKind::Analyst)).await;
    let token = owner.with(analyst.post("/tokens", &json!({})).await.get("token"));
    let updated = owner
        .patch("/network", &json!({ "require_two_factor": true }))
        .await;
    assert_eq!(
        updated.json["require_two_factor"],
        json!(true),
        "{}",
        updated.text
    );
    let refused = async || {
        for program in [&analyst, &token] {
            for path in ["/me", "/affiliates", "/members", "/nothing"] {
                let answer = program.get(path).await;
                assert_eq!(
                    (answer.status, answer.get("code")),
                    (StatusCode::FORBIDDEN, "second_factor_required"),
                    "{path}"
                );
            }
        }
    };
    refused().await;
    let issued = analyst.post("/tokens", &json!({})).await;
    assert_eq!(issued.get("code"), "second_factor_required");
    // Each member is admitted once two-factor authentication is enabled for that member.
    let set = async |role: &str| {
        let whose = format!(
            "UPDATE people SET totp_sealed = '\\x00' WHERE id IN (SELECT person_id FROM memberships WHERE role = '{role}')"
        );
        let mut conn = app.database.owner().await;
        assert_eq!(diesel::sql_query(whose).execute(&mut conn).await.unwrap(), 1);
    };
    set("owner").await;
    assert_eq!(owner.get("/me").await.status, StatusCode::OK);
    refused().await;
    set("analyst").await;
    assert_eq!(analyst.get("/affiliates").await.status, StatusCode::OK);
    assert_eq!(token.get("/affiliates").await.status, StatusCode::OK);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_of_a_suspended_network_work_and_those_of_a_closed_one_do_not() {
    let app = TestApp::spawn().await;
    let owner = app.program(&app.scene.owner).await;
    let become_ = async |status: &str| {
        let statement = format!("UPDATE networks SET status = '{status}', status_reason = 'unpaid'");
        let mut conn = app.database.owner().await;
        assert_eq!(diesel::sql_query(statement).execute(&mut conn).await.unwrap(), 1);
    };
    become_("suspended").await;
    let network = owner.get("/network").await;
    assert_eq!(
        (network.get("status"), network.get("status_reason")),
        ("suspended", "unpaid")
    );
    assert_eq!(owner.get("/affiliates").await.status, StatusCode::OK);
    // Suspension stops the traffic only, so the staff can fix its cause.
    let made = owner
        .post("/affiliates", &json!({ "name": "While suspended" }))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    become_("closed").await;
    let refused = owner.get("/network").await;
    assert_eq!(
        (refused.status, refused.get("code")),
        (StatusCode::UNAUTHORIZED, "unauthenticated")
    );
    app.finish().await;
}
