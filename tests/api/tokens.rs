//! API tokens: created from a key or a session, invalid without it, and not forgeable.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::Sha256;
use tenancy::RoleKind;
use testkit::{Member, Scene, TestApp};

/// Token that a user creates on the page of API keys.
async fn session_token(member: &Member) -> String {
    let made = member.submit("/settings/keys", "/settings/keys/token", &[]).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.html);
    let shown = member.get("/settings/keys").await;
    let (_, rest) = shown
        .html
        .split_once("id=\"fresh-token\">")
        .expect("the token is shown");
    rest.split('<').next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_has_the_permissions_of_its_key_and_ends_with_it() {
    let app = TestApp::spawn().await;
    let owner = app.program(&app.scene.owner).await;
    let new = json!({ "name": "narrow", "scopes": ["parties:read"] });
    let made = owner.post("/keys", &new).await;
    let narrow = owner.with(made.get("secret"));
    let issued = narrow.post("/tokens", &json!({})).await;
    assert_eq!(issued.status, StatusCode::CREATED);
    let token = owner.with(issued.get("token"));
    assert_eq!(token.get("/me").await.json, narrow.get("/me").await.json);
    assert_eq!(token.get("/affiliates").await.status, StatusCode::OK);
    assert_eq!(token.get("/members").await.status, StatusCode::FORBIDDEN);
    let another = token.post("/tokens", &json!({})).await;
    assert_eq!(
        (another.status, another.get("code")),
        (StatusCode::FORBIDDEN, "not_permitted")
    );
    let id = made.json["key"]["id"].as_str().unwrap();
    assert_eq!(
        owner.delete(&format!("/keys/{id}")).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(token.get("/affiliates").await.status, StatusCode::UNAUTHORIZED);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_from_a_session_has_the_permissions_of_the_member_and_ends_with_the_session() {
    let app = TestApp::spawn().await;
    let member = app.sign_in(&app.scene.owner).await;
    let token = app.program_with(&session_token(&member).await);
    let me = token.get("/me").await;
    assert_eq!((me.get("role"), &me.json["scopes"]), ("owner", &Value::Null));
    assert_eq!(token.get("/members").await.status, StatusCode::OK);
    assert_eq!(
        token.post("/tokens", &json!({})).await.status,
        StatusCode::FORBIDDEN
    );
    // Another session of the same person stays valid.
    let elsewhere = app.sign_in(&app.scene.owner).await;
    let other = app.program_with(&session_token(&elsewhere).await);
    member.submit("/", "/sign-out", &[]).await;
    assert_eq!(token.get("/me").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(other.get("/me").await.status, StatusCode::OK);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_token_of_a_membership_ends_with_it() {
    let app = TestApp::spawn().await;
    let owner = app.program(&app.scene.owner).await;
    let manager = app.scene.person(RoleKind::Manager);
    let from_session = app.program_with(&session_token(&app.sign_in(manager).await).await);
    let key = app.program(manager).await;
    let from_key = owner.with(key.post("/tokens", &json!({})).await.get("token"));
    for program in [&from_session, &from_key] {
        assert_eq!(program.get("/affiliates").await.status, StatusCode::OK);
    }
    let id = key.get("/me").await.get("membership_id").to_owned();
    assert_eq!(
        owner.delete(&format!("/members/{id}")).await.status,
        StatusCode::NO_CONTENT
    );
    for program in [&from_session, &from_key, &key] {
        assert_eq!(program.get("/affiliates").await.status, StatusCode::UNAUTHORIZED);
    }
    app.finish().await;
}

fn encoded(text: &str) -> String {
    BASE64URL_NOPAD.encode(text.as_bytes())
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
}

fn with(object: &Value, field: &str, value: Value) -> String {
    let mut object = object.clone();
    object[field] = value;
    encoded(&object.to_string())
}

fn signed(message: &str, key: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message.as_bytes());
    format!(
        "{message}.{}",
        BASE64URL_NOPAD.encode(&mac.finalize().into_bytes())
    )
}

/// Invalid variants of a valid token.
fn hostile(token: &str) -> Vec<String> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!("{token}")
    };
    let (head, claims) = (decoded(header), decoded(payload));
    let message = format!("{header}.{payload}");
    let mut texts = Vec::new();
    for alg in [
        "none", "None", "NONE", "nOnE", "", "HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA", "hs256",
    ] {
        let header = with(&head, "alg", json!(alg));
        texts.push(format!("{header}.{payload}."));
        texts.push(format!("{header}.{payload}.{signature}"));
        texts.push(signed(&format!("{header}.{payload}"), b""));
    }
    let exp = claims["exp"].as_i64().unwrap();
    for (field, value) in [
        ("aud", json!("another-api")),
        ("aud", json!(["clickledger-api"])),
        ("iss", json!("https://evil.example")),
        ("exp", json!((exp + 900).to_string())),
        ("exp", json!(exp + 100_000)),
        ("exp", json!(1e300)),
        ("exp", json!(-1)),
        ("exp", Value::Null),
        ("net", json!("net_0000010")),
        ("net", json!(1)),
        ("mbr", json!("mbr_0000010")),
        ("sub", json!("prs_0000010")),
        ("sub", json!("key_0000010")),
        ("role", json!("owner")),
    ] {
        let payload = with(&claims, field, value);
        texts.push(format!("{header}.{payload}.{signature}"));
        texts.push(signed(&format!("{header}.{payload}"), b"secret"));
    }
    for (field, value) in [
        ("kid", json!("../../../../dev/null")),
        ("kid", json!("' OR 1=1 --")),
        ("kid", Value::Null),
        ("jwk", json!({ "kty": "oct", "k": "AAAA" })),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/cert")),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
    ] {
        texts.push(format!("{}.{payload}.{signature}", with(&head, field, value)));
    }
    for key in [&b""[..], b"secret", &[0; 32], &[0; 64]] {
        texts.push(signed(&message, key));
    }
    let mut flipped = signature.to_owned().into_bytes();
    flipped[0] = if flipped[0] == b'A' { b'B' } else { b'A' };
    texts.extend([
        message.clone(),
        format!("{message}."),
        format!("{message}.{}", String::from_utf8(flipped).unwrap()),
        format!("{message}.{}", "A".repeat(43)),
        format!("{message}.{signature}AA"),
        format!("{message}.{signature}="),
        format!("{token}.{signature}"),
        format!(".{token}"),
        format!("{token}."),
        token.to_uppercase(),
        encoded(token),
        signed(&format!("{header}.{}", encoded(&json!(token).to_string())), b""),
        "A".repeat(60_000),
        format!("{token}{}", "A".repeat(60_000)),
        "..".to_owned(),
        "a.b.c".to_owned(),
        "e30.e30.e30".to_owned(),
    ]);
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_modified_tokens_are_refused() {
    let elsewhere = TestApp::spawn().await;
    let issued = elsewhere
        .program(&elsewhere.scene.owner)
        .await
        .post("/tokens", &json!({}))
        .await;
    elsewhere.finish().await;
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let token = program.post("/tokens", &json!({})).await.get("token").to_owned();
    assert_eq!(program.with(&token).get("/me").await.status, StatusCode::OK);
    let mut texts = hostile(&token);
    texts.push(issued.get("token").to_owned());
    // After a hundred invalid tokens, this address is refused, and the rest would not be tested.
    assert!((80..100).contains(&texts.len()), "{}", texts.len());
    for text in &texts {
        let response = program.with(text).get("/me").await;
        let start: String = text.chars().take(120).collect();
        assert_eq!(
            (response.status, response.get("code")),
            (StatusCode::UNAUTHORIZED, "unauthenticated"),
            "{start}"
        );
    }
    assert_eq!(program.with(&token).get("/me").await.status, StatusCode::OK);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_impersonates_a_member_by_a_token() {
    let app = TestApp::spawn().await;
    let rival = Scene::set(&app.db, "Rival", "rival.example").await;
    let keys = app.program(&app.scene.owner).await;
    let member = app.sign_in(&app.scene.owner).await;
    let own = app.program_with(&session_token(&member).await);
    let manager = app.program(rival.person(RoleKind::Manager)).await;
    let me = manager.get("/me").await;
    let body = |reason: &str| {
        let (network, membership) = (&me.json["network"]["id"], &me.json["membership_id"]);
        json!({ "network": network, "membership": membership, "reason": reason })
    };
    let refused = own.post("/impersonations", &body("Ticket 77")).await;
    assert_eq!(
        refused.status,
        StatusCode::NOT_FOUND,
        "only operators impersonate"
    );
    let email = &app.scene.owner.email;
    app.execute(&format!(
        "UPDATE people SET is_operator = true WHERE email = '{email}'"
    ))
    .await;
    let by_key = keys.post("/impersonations", &body("Ticket 77")).await;
    assert_eq!(by_key.status, StatusCode::FORBIDDEN, "{}", by_key.text);
    let silent = own.post("/impersonations", &body(" ")).await;
    assert!(silent.json["fields"]["reason"].is_string(), "{}", silent.text);
    let mut absent = body("Ticket 77");
    absent["network"] = json!(app.scene.network.id);
    let absent = own.post("/impersonations", &absent).await;
    assert_eq!(
        absent.status,
        StatusCode::NOT_FOUND,
        "the member is of another network"
    );

    let issued = own.post("/impersonations", &body("Ticket 77")).await;
    assert_eq!(issued.status, StatusCode::CREATED, "{}", issued.text);
    let acting = app.program_with(issued.get("token"));
    let acted = acting.get("/me").await;
    assert_eq!(acted.get("role"), "manager");
    let permitted = acted.json["permissions"].as_array().unwrap();
    let may = |name: &str| permitted.contains(&json!(name));
    assert!(may("configure"), "{}", acted.text);
    for forbidden in ["use_api", "rotate_token", "invite_parties", "manage_members"] {
        assert!(!may(forbidden), "{forbidden}: {}", acted.text);
    }
    let token = format!("/integrations/{}/token", rival.advertiser_id);
    assert_eq!(
        acting.post(&token, &json!({})).await.status,
        StatusCode::FORBIDDEN
    );
    for path in ["/tokens", "/impersonations"] {
        let nested = acting.post(path, &body("Ticket 78")).await;
        assert!(nested.status.is_client_error(), "{path}: {}", nested.text);
    }
    let group = acting.post("/affiliate-groups", &json!({ "name": "Gold" })).await;
    assert_eq!(group.status, StatusCode::CREATED, "{}", group.text);
    let noted = "SELECT count(*) FROM audit_log WHERE via = 'api' AND action = 'operator.act_as'
                 AND after->>'reason' = 'Ticket 77'";
    assert_eq!(app.count(noted).await, 1);
    let by_operator =
        "SELECT count(*) FROM audit_log WHERE action LIKE 'group.%' AND author LIKE '%(operator) as%'";
    assert_eq!(app.count(by_operator).await, 1);
    assert_eq!(
        app.count("SELECT count(*) FROM operator_log WHERE action = 'operator.act_as'")
            .await,
        1
    );

    member.submit("/", "/sign-out", &[]).await;
    for ended in [&own, &acting] {
        assert_eq!(ended.get("/me").await.status, StatusCode::UNAUTHORIZED);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impersonation_ends_when_the_person_is_no_operator_any_more() {
    let app = TestApp::spawn().await;
    let member = app.sign_in(&app.scene.owner).await;
    let own = app.program_with(&session_token(&member).await);
    let analyst = app.program(app.scene.person(RoleKind::Analyst)).await;
    let me = analyst.get("/me").await;
    let body = json!({
        "network": me.json["network"]["id"], "membership": me.json["membership_id"], "reason": "Ticket 77",
    });
    let set = async |operator: bool| {
        let email = &app.scene.owner.email;
        app.execute(&format!(
            "UPDATE people SET is_operator = {operator} WHERE email = '{email}'"
        ))
        .await;
    };
    set(true).await;
    let issued = own.post("/impersonations", &body).await;
    let acting = app.program_with(issued.get("token"));
    assert_eq!(acting.get("/me").await.get("role"), "analyst");
    set(false).await;
    assert_eq!(acting.get("/me").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(own.get("/me").await.status, StatusCode::OK);
    app.finish().await;
}
