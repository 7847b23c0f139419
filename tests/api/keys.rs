//! API keys: their scopes, limits and end.

use diesel_async::RunQueryDsl;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tenancy::{ApiScope, RoleKind};
use testkit::{Answer, ApiClient, Scene, TestApp};

/// Requests for each scope, which succeed in authorisation only with that scope. A malformed body is reported only to
/// callers with the permission.
const CALLS: [(&str, &str, ApiScope); 16] = [
    ("GET", "/network", ApiScope::NetworkRead),
    ("GET", "/network/joining", ApiScope::NetworkRead),
    ("PATCH", "/network", ApiScope::NetworkWrite),
    ("GET", "/advertisers", ApiScope::PartiesRead),
    ("GET", "/affiliates/export", ApiScope::PartiesRead),
    ("GET", "/applications", ApiScope::PartiesRead),
    ("POST", "/advertisers", ApiScope::PartiesWrite),
    ("POST", "/affiliates/import", ApiScope::PartiesWrite),
    (
        "POST",
        "/applications/app_0000010/approve",
        ApiScope::PartiesWrite,
    ),
    ("GET", "/members", ApiScope::MembersRead),
    ("PATCH", "/members/mbr_0000010", ApiScope::MembersWrite),
    ("POST", "/invitations", ApiScope::MembersWrite),
    ("GET", "/audit", ApiScope::AuditRead),
    ("GET", "/keys", ApiScope::KeysWrite),
    ("POST", "/keys", ApiScope::KeysWrite),
    ("DELETE", "/keys/key_0000010", ApiScope::KeysWrite),
];

async fn new_key(program: &ApiClient, scopes: &[&str]) -> Answer {
    let body = json!({ "name": "made", "scopes": scopes });
    program.post("/keys", &body).await
}

async fn call(program: &ApiClient, method: &str, path: &str) -> Answer {
    let headers = [("Content-Type", "application/json")];
    program.call(method.parse().unwrap(), path, &headers, "[").await
}

/// Runs a statement as the owner of the database.
async fn execute(app: &TestApp, statement: &str) {
    let mut conn = app.database.owner().await;
    assert!(
        diesel::sql_query(statement).execute(&mut conn).await.unwrap() > 0,
        "{statement}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_grants_exactly_its_scopes() {
    let app = TestApp::spawn().await;
    let owner = app.program(&app.scene.owner).await;
    for scope in ApiScope::ALL {
        let made = new_key(&owner, &[scope.as_str()]).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        let program = owner.with(made.get("secret"));
        assert_eq!(program.get("/me").await.json["scopes"], json!([scope.as_str()]));
        assert_eq!(
            program.post("/tokens", &json!({})).await.status,
            StatusCode::CREATED
        );
        for (method, path, needed) in CALLS {
            let answer = call(&program, method, path).await;
            let is_forbidden =
                answer.status == StatusCode::FORBIDDEN && answer.get("code") == "not_permitted";
            assert_eq!(
                is_forbidden,
                *scope != needed,
                "{scope} at {method} {path}: {}",
                answer.text
            );
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_never_has_more_permissions_than_its_creator() {
    let app = TestApp::spawn().await;
    for kind in RoleKind::ALL {
        let program = app.program(app.scene.person(*kind)).await;
        let me = program.get("/me").await;
        assert_eq!(me.get("role"), kind.as_str());
        let own: Vec<String> = serde_json::from_value(me.json["scopes"].clone()).unwrap();
        // Scopes beyond the role cannot be granted, and grant nothing even if the row contains them.
        for scope in ApiScope::ALL.iter().map(|scope| scope.as_str()) {
            let made = new_key(&program, &[scope]).await;
            let expected = if own.iter().any(|word| word == scope) {
                StatusCode::CREATED
            } else {
                StatusCode::UNPROCESSABLE_ENTITY
            };
            assert_eq!(made.status, expected, "{kind:?} {scope}: {}", made.text);
        }
        let permissions: Value = me.json["permissions"].clone();
        let all: Vec<_> = ApiScope::ALL.iter().map(ToString::to_string).collect();
        execute(
            &app,
            &format!("UPDATE api_keys SET scopes = '{{{}}}'", all.join(",")),
        )
        .await;
        assert_eq!(
            program.get("/me").await.json["permissions"],
            permissions,
            "{kind:?}"
        );
        let seen = program.get("/audit").await.status == StatusCode::OK;
        assert_eq!(
            seen,
            matches!(kind, RoleKind::Owner | RoleKind::Admin),
            "{kind:?}"
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_creates_no_key_with_more_scopes() {
    let app = TestApp::spawn().await;
    let owner = app.program(&app.scene.owner).await;
    let made = new_key(&owner, &["keys:write", "parties:read"]).await;
    let lesser = owner.with(made.get("secret"));
    let same = new_key(&lesser, &["parties:read", "keys:write"]).await;
    assert_eq!(same.status, StatusCode::CREATED);
    for scope in ["parties:write", "network:write", "members:write"] {
        let more = new_key(&lesser, &["parties:read", scope]).await;
        assert_eq!(more.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", more.text);
        assert!(more.json["fields"]["scopes"].is_string());
    }
    // Nor does it reach the keys of other members: it lists and revokes those of its creator.
    let listed = lesser.get("/keys?limit=200").await;
    assert!(listed.json["items"].as_array().unwrap().len() >= 3);
    app.finish().await;
}

/// Visible part of a response, without the parts that differ every time.
fn seen(answer: &Answer) -> (StatusCode, HeaderMap, String) {
    let mut headers = answer.headers.clone();
    headers.remove("x-request-id");
    headers.remove("date");
    (
        answer.status,
        headers,
        answer.text.replace(answer.get("request_id"), "ID"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn invalidated_keys_get_the_same_response_as_unknown_keys() {
    let app = TestApp::spawn().await;
    let rival = Scene::set(&app.db, "Rival", "rival.example").await;
    let owner = app.program(&app.scene.owner).await;
    let id = |made: &Answer| made.json["key"]["id"].as_str().unwrap().to_owned();

    let revoked = new_key(&owner, &["parties:read"]).await;
    let expired = new_key(&owner, &["parties:read"]).await;
    let due = json!({ "name": "made", "scopes": ["parties:read"], "expires_in_days": 1 });
    let due = owner.post("/keys", &due).await;
    for key in [&revoked, &expired, &due] {
        assert_eq!(
            owner.with(key.get("secret")).get("/affiliates").await.status,
            StatusCode::OK
        );
    }
    assert_eq!(
        owner.delete(&format!("/keys/{}", id(&revoked))).await.status,
        StatusCode::NO_CONTENT
    );
    execute(
        &app,
        "UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE expires_at IS NOT NULL",
    )
    .await;

    let removed = app.program(app.scene.person(RoleKind::Manager)).await;
    let manager = removed.get("/me").await.get("membership_id").to_owned();
    assert_eq!(
        owner.delete(&format!("/members/{manager}")).await.status,
        StatusCode::NO_CONTENT
    );
    let demoted = app.program(app.scene.person(RoleKind::Admin)).await;
    let admin = demoted.get("/me").await.get("membership_id").to_owned();
    let analyst = owner
        .patch(&format!("/members/{admin}"), &json!({ "role": "analyst" }))
        .await;
    assert_eq!(analyst.get("role"), "analyst", "{}", analyst.text);

    let live = expired.get("secret");
    let foreign = app.program(&rival.owner).await.credential;
    let of = |bytes: &[u8]| format!("clk_key_{}", schema::BASE32.encode(bytes));
    let bytes = schema::BASE32
        .decode(live.trim_start_matches("clk_key_").as_bytes())
        .unwrap();
    let other_bytes = schema::BASE32
        .decode(foreign.trim_start_matches("clk_key_").as_bytes())
        .unwrap();
    let never = of(&[&bytes[..4], &[1; 21]].concat());
    let in_another = of(&[&other_bytes[..4], &bytes[4..]].concat());
    let nowhere = of(&[&[0x7f, 0xff, 0xff, 0xf1], &bytes[4..]].concat());

    let expected = seen(&owner.with(&never).get("/affiliates").await);
    assert_eq!(expected.0, StatusCode::UNAUTHORIZED);
    for (what, key) in [
        ("revoked", revoked.get("secret")),
        ("expired", due.get("secret")),
        ("removed", &removed.credential),
        ("demoted", &demoted.credential),
        ("of another network", &in_another),
        ("of no network", &nowhere),
        ("upper case", &live.to_uppercase()),
        ("cut", &live[..live.len() - 1]),
        ("longer", &format!("{live}0")),
        ("no key", "secret"),
        ("absent", ""),
    ] {
        for path in [
            "/affiliates",
            "/members",
            "/nothing",
            "/affiliates?nonsense=1",
            "/advertisers/adv_0000010",
        ] {
            let response = owner.with(key).get(path).await;
            assert_eq!(seen(&response), expected, "{what} at {path}");
        }
    }
    assert_eq!(owner.with(live).get("/affiliates").await.status, StatusCode::OK);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_authorization_headers_get_401() {
    let app = TestApp::spawn().await;
    let key = app.program(&app.scene.owner).await.credential;
    let anonymous = app.program_with("");
    let with = async |values: &[&str]| {
        let headers: Vec<_> = values.iter().map(|value| ("Authorization", *value)).collect();
        anonymous.call(Method::GET, "/me", &headers, "").await.status
    };
    let bearer = format!("Bearer {key}");
    assert_eq!(with(&[&bearer]).await, StatusCode::OK);
    // RFC 9110, 11.1: the scheme is case-insensitive.
    assert_eq!(with(&[&format!("bearer {key}")]).await, StatusCode::OK);
    assert_eq!(with(&[&format!("BEARER   {key}")]).await, StatusCode::OK);
    for odd in [
        &[bearer.as_str(), bearer.as_str()][..],
        &["Basic b3duZXI6eA==", &bearer],
        &[&key],
        &[&format!("Bearer{key}")],
        &[&format!("Bearer\t{key}")],
        &[&format!("Token {key}")],
        &[&format!("Bearer {key}, Bearer {key}")],
        &[&format!("Bearer Bearer {key}")],
        &[&format!("Bearer \"{key}\"")],
        &["Bearer"],
        &["Bearer "],
        &[""],
    ] {
        assert_eq!(with(odd).await, StatusCode::UNAUTHORIZED, "{odd:?}");
    }
    let elsewhere = [
        format!("/me?access_token={key}"),
        format!("/me?key={key}"),
        format!("/me?authorization=Bearer%20{key}"),
    ];
    for path in &elsewhere {
        assert_eq!(
            anonymous.get(path).await.status,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
    }
    app.finish().await;
}
