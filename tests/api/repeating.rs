//! Idempotency, and concurrent updates.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tenancy::RoleKind;
use testkit::{Answer, ApiClient, TestApp};

async fn create(program: &ApiClient, path: &str, key: &str, body: &Value) -> Answer {
    program
        .json(Method::POST, path, &[("Idempotency-Key", key)], body)
        .await
}

fn replayed(answer: &Answer) -> bool {
    answer
        .headers
        .get("idempotent-replayed")
        .is_some_and(|value| value == "true")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_gets_the_first_response_and_has_no_effect() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let advertiser = app.scene.advertiser_id.to_string();
    for (path, table, body, shown_once) in [
        (
            "/advertisers",
            "advertisers",
            json!({ "name": "Nova", "external_id": "1" }),
            None,
        ),
        (
            "/affiliates",
            "affiliates",
            json!({ "name": "Deals", "tags": ["vip"] }),
            None,
        ),
        (
            "/affiliate-groups",
            "affiliate_groups",
            json!({ "name": "Fresh" }),
            None,
        ),
        (
            "/keys",
            "api_keys",
            json!({ "name": "x", "scopes": ["parties:read"] }),
            Some("secret"),
        ),
        (
            "/invitations",
            "invitations",
            json!({ "email": "a@b.example", "role": "advertiser", "advertiser": advertiser }),
            Some("link"),
        ),
    ] {
        let count = format!("SELECT count(*) FROM {table}");
        let before = app.count(&count).await;
        let first = create(&program, path, "one", &body).await;
        assert_eq!(first.status, StatusCode::CREATED, "{path}: {}", first.text);
        assert!(!replayed(&first));
        let again = create(&program, path, "one", &body).await;
        assert_eq!(
            (again.status, replayed(&again)),
            (StatusCode::CREATED, true),
            "{path}"
        );
        let mut expected = first.json.clone();
        if let Some(field) = shown_once {
            assert!(
                first.json[field].is_string() && again.json[field].is_null(),
                "{path}: {}",
                again.text
            );
            expected[field] = Value::Null;
            if field == "link" {
                expected["mail"] = Value::Null;
            }
        }
        assert_eq!(again.json, expected, "{path}");
        assert_eq!(again.headers["content-type"], first.headers["content-type"]);
        assert_eq!(app.count(&count).await, before + 1, "{path}");
        // The same key for another request is an error until the key expires.
        let other = create(&program, "/affiliate-groups", "one", &json!({ "name": "Other" })).await;
        assert_eq!(
            (other.status, other.get("code")),
            (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_mismatch")
        );
        diesel_async::RunQueryDsl::execute(
            diesel::sql_query(
                "UPDATE idempotency_keys SET created_at = created_at - interval '24 hours 1 second'",
            ),
            &mut app.database.owner().await,
        )
        .await
        .unwrap();
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_belongs_to_one_request_of_one_member() {
    let app = TestApp::spawn().await;
    let owner = app.program(&app.scene.owner).await;
    let manager = app.program(app.scene.person(RoleKind::Manager)).await;
    let body = json!({ "name": "Nova" });
    let first = create(&owner, "/affiliates", "k", &body).await;
    for (path, other) in [
        ("/affiliates", json!({ "name": "Nova " })),
        ("/affiliates?", body.clone()),
        ("/advertisers", body.clone()),
    ] {
        let refused = create(&owner, path, "k", &other).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{path} {other}: {}",
            refused.text
        );
        assert_eq!(refused.get("code"), "idempotency_mismatch");
    }
    let theirs = create(&manager, "/affiliates", "k", &body).await;
    assert_eq!((theirs.status, replayed(&theirs)), (StatusCode::CREATED, false));
    assert_ne!(theirs.get("id"), first.get("id"));
    // All API keys of a member share the idempotency keys.
    let second = app.program(&app.scene.owner).await;
    let again = create(&second, "/affiliates", "k", &body).await;
    assert_eq!((again.get("id"), replayed(&again)), (first.get("id"), true));
    for odd in ["", "a b", &"x".repeat(201), "\u{fc}"] {
        let refused = create(&owner, "/affiliates", odd, &body).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{odd}: {}",
            refused.text
        );
        assert!(refused.json["fields"]["Idempotency-Key"].is_string());
    }
    let two = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")];
    let refused = owner.json(Method::POST, "/affiliates", &two, &body).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_arrives_twice_at_once_takes_effect_once() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    for round in 0..20 {
        let (key, body) = (
            format!("round-{round}"),
            json!({ "name": format!("Twin {round}") }),
        );
        let call = || create(&program, "/affiliates", &key, &body);
        let (one, other, third) = tokio::join!(call(), call(), call());
        let answers = [one, other, third];
        assert!(
            answers.iter().all(|answer| answer.status == StatusCode::CREATED),
            "{answers:?}"
        );
        assert_eq!(
            answers.iter().filter(|answer| !replayed(answer)).count(),
            1,
            "{answers:?}"
        );
        let ids: BTreeSet<&str> = answers.iter().map(|answer| answer.get("id")).collect();
        assert_eq!(ids.len(), 1, "{answers:?}");
    }
    assert_eq!(
        app.count("SELECT count(*) FROM affiliates WHERE name LIKE 'Twin %'")
            .await,
        20
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_can_be_corrected_under_the_same_key() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let taken = json!({ "name": "First", "external_id": "7" });
    assert_eq!(
        program.post("/affiliates", &taken).await.status,
        StatusCode::CREATED
    );
    for wrong in [
        json!({ "name": "" }),
        json!({ "nme": "x" }),
        json!({ "name": "Second", "external_id": "7" }),
    ] {
        let refused = create(&program, "/affiliates", "k", &wrong).await;
        assert!(refused.status.is_client_error(), "{}", refused.text);
    }
    let corrected = json!({ "name": "Second", "external_id": "8" });
    let made = create(&program, "/affiliates", "k", &corrected).await;
    assert_eq!(
        (made.status, replayed(&made)),
        (StatusCode::CREATED, false),
        "{}",
        made.text
    );
    assert_eq!(app.count("SELECT count(*) FROM idempotency_keys").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_and_decisions_are_idempotent_too() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let import = async |key: &str, path: &str, csv: &'static str| {
        let headers = [("Content-Type", "text/csv"), ("Idempotency-Key", key)];
        program.call(Method::POST, path, &headers, csv).await
    };
    let first = import("file", "/affiliates/import", "name\nOne\n").await;
    assert_eq!(
        (first.status, &first.json["created"]),
        (StatusCode::OK, &json!(1)),
        "{}",
        first.text
    );
    let again = import("file", "/affiliates/import", "name\nOne\n").await;
    assert_eq!((&again.json, replayed(&again)), (&first.json, true));
    let other = import("file", "/affiliates/import", "name\nTwo\n").await;
    assert_eq!(other.get("code"), "idempotency_mismatch");
    // A dry run changes nothing, so its response is not stored.
    for _ in 0..2 {
        let preview = import("preview", "/affiliates/import?dry_run=true", "name\nTwo\n").await;
        assert_eq!((&preview.json["created"], replayed(&preview)), (&json!(1), false));
    }
    let approve = format!("/applications/{}/approve", app.scene.application_id);
    let first = create(&program, &approve, "decide", &Value::Null).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text);
    let again = create(&program, &approve, "decide", &Value::Null).await;
    assert_eq!((again.status, replayed(&again)), (StatusCode::OK, true));
    assert_eq!(again.json["application"], first.json["application"]);
    assert!(first.json["link"].is_string() && again.json["link"].is_null());
    let anew = program.post(&approve, &Value::Null).await;
    assert_eq!(
        (anew.status, anew.get("code")),
        (StatusCode::CONFLICT, "conflict")
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_updates_with_if_match_are_not_lost() {
    let app = TestApp::spawn().await;
    let one = app.program(&app.scene.owner).await;
    let other = app.program(app.scene.person(RoleKind::Manager)).await;
    for (path, id) in [
        ("affiliates", app.scene.affiliate_id.to_string()),
        ("advertisers", app.scene.advertiser_id.to_string()),
    ] {
        let path = format!("/{path}/{id}");
        let (seen, seen_too) = (one.get(&path).await, other.get(&path).await);
        let tag = seen.headers["etag"].to_str().unwrap().to_owned();
        assert_eq!(seen_too.headers["etag"], *tag);
        let if_match = [("If-Match", tag.as_str())];
        let first = one
            .json(Method::PATCH, &path, &if_match, &json!({ "notes": "first" }))
            .await;
        assert_eq!(first.status, StatusCode::OK, "{}", first.text);
        let second = other
            .json(Method::PATCH, &path, &if_match, &json!({ "notes": "second" }))
            .await;
        assert_eq!(
            (second.status, second.get("code")),
            (StatusCode::PRECONDITION_FAILED, "stale")
        );
        let now = one.get(&path).await;
        assert_eq!(
            (now.get("notes"), &now.headers["etag"]),
            ("first", &first.headers["etag"])
        );
        assert_eq!(
            now.json["version"],
            json!(seen.json["version"].as_i64().unwrap() + 1)
        );
        // With the current version, the second member succeeds.
        let fresh = now.headers["etag"].to_str().unwrap();
        let third = other
            .json(
                Method::PATCH,
                &path,
                &[("If-Match", fresh)],
                &json!({ "tags": ["vip"] }),
            )
            .await;
        assert_eq!(
            (third.status, third.get("notes")),
            (StatusCode::OK, "first"),
            "{}",
            third.text
        );
        for odd in ["", "\"\"", "1", "W/\"3\"", "\"99\"", "nonsense"] {
            let refused = one
                .json(
                    Method::PATCH,
                    &path,
                    &[("If-Match", odd)],
                    &json!({ "notes": "odd" }),
                )
                .await;
            assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED, "{odd:?}");
        }
        let any = one
            .json(
                Method::PATCH,
                &path,
                &[("If-Match", "*")],
                &json!({ "notes": "any" }),
            )
            .await;
        assert_eq!(any.get("notes"), "any");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_updated_with_permission_and_current_version_only() {
    let app = TestApp::spawn().await;
    let owner = app.program(&app.scene.owner).await;
    let affiliate = app.program(&app.scene.affiliate).await;
    let path = format!("/links/{}", app.scene.link_id);
    let landing_page = app.scene.landing_page_id.to_string();
    let pages = owner.get("/landing-pages").await;
    let mut pages = pages.json["items"].as_array().unwrap().iter();
    let page = pages.find(|page| page["id"] == landing_page.as_str()).unwrap();
    let seen = affiliate.get(&path).await;
    let tag = seen.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!((tag.as_str(), &seen.json["version"]), ("\"1\"", &json!(1)));
    let if_match = [("If-Match", tag.as_str())];
    let changed = affiliate
        .json(
            Method::PATCH,
            &path,
            &if_match,
            &json!({ "landing_page": page["name"], "sub1": "mail" }),
        )
        .await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    assert_eq!(
        (
            changed.get("landing_page"),
            changed.get("sub1"),
            changed.get("alias")
        ),
        (landing_page.as_str(), "mail", app.scene.alias.as_str())
    );
    let late = owner
        .json(Method::PATCH, &path, &if_match, &json!({ "sub1": "late" }))
        .await;
    assert_eq!(
        (late.status, late.get("code")),
        (StatusCode::PRECONDITION_FAILED, "stale")
    );
    let again = owner
        .patch(&path, &json!({ "landing_page": null, "sub2": "x" }))
        .await;
    assert_eq!(
        (&again.json["landing_page"], again.get("sub1"), again.get("sub2")),
        (&json!(null), "mail", "x"),
        "absent fields keep their values"
    );
    assert_eq!(again.headers["etag"], "\"3\"");
    for stays in ["alias", "affiliate", "campaign", "is_test"] {
        let refused = owner.patch(&path, &json!({ stays: "x" })).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text);
    }
    let odd = owner.patch(&path, &json!({ "landing_page": "Boots" })).await;
    assert_eq!(odd.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", odd.text);

    let theirs = json!({ "name": "Other" });
    let theirs = owner.post("/affiliates", &theirs).await;
    let theirs = json!({ "campaign": app.scene.campaign.id.to_string(), "affiliate": theirs.get("id") });
    let theirs = owner.post("/links", &theirs).await;
    let theirs = format!("/links/{}", theirs.get("id"));
    let refused = affiliate.patch(&theirs, &json!({ "sub1": "mine" })).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    assert_eq!(owner.get(&theirs).await.json["version"], 1);

    // Empty cells of an imported file keep the values as well.
    let file = format!(
        "campaign,affiliate,alias,sub1,sub3\nOrbit campaign,Orbit Blog,{},,file\n",
        app.scene.alias
    );
    let headers = [("Content-Type", "text/csv")];
    let report = owner.call(Method::POST, "/links/import", &headers, file).await;
    assert_eq!(report.json["updated"], 1, "{}", report.text);
    let now = owner.get(&path).await;
    assert_eq!(
        (now.get("sub1"), now.get("sub2"), now.get("sub3")),
        ("mail", "x", "file")
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_updates_of_different_fields_both_hold_or_one_fails() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let path = format!("/affiliates/{}", app.scene.affiliate_id);
    for round in 0..20 {
        let (notes, tag) = (format!("note {round}"), format!("tag{round}"));
        let (with_notes, with_tags) = (json!({ "notes": notes }), json!({ "tags": [tag] }));
        let (one, other) = tokio::join!(
            program.patch(&path, &with_notes),
            program.patch(&path, &with_tags)
        );
        let now = program.get(&path).await;
        for (answer, holds) in [
            (&one, now.get("notes") == notes),
            (&other, now.json["tags"] == json!([tag])),
        ] {
            match answer.status {
                StatusCode::OK => assert!(holds, "lost: {} {}", answer.text, now.text),
                status => assert_eq!(status, StatusCode::PRECONDITION_FAILED, "{}", answer.text),
            }
        }
        assert!(one.status == StatusCode::OK || other.status == StatusCode::OK);
    }
    app.finish().await;
}
