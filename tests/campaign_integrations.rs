//! Campaign integrations: the campaigns a token is valid for, whose settings apply, and the change of tokens.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use std::time::Duration;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Method, StatusCode};
use schema::{Words, clock};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use testkit::{AdvertiserServer, Answer, ApiClient, TestApp};

/// Maximum time until a change takes effect.
const AT_ONCE: Duration = Duration::from_millis(1_100);

/// The scene's campaign, “plain”, and two more of its advertiser, “own” and “other”, which have campaign integrations.
struct Shops {
    app: TestApp,
    program: ApiClient,
    own: Shop,
    other: Shop,
    plain: Shop,
}

/// A campaign, the alias of its link, and its campaign token; empty if it has none.
struct Shop {
    path: String,
    alias: String,
    token: String,
}

impl Shop {
    fn id(&self) -> &str {
        self.path.rsplit('/').next().unwrap()
    }

    fn integration(&self) -> String {
        format!("{}/integration", self.path)
    }
}

impl Shops {
    async fn open() -> Self {
        let app = TestApp::spawn().await;
        let program = app.program(&app.scene.owner).await;
        let plain = Shop {
            path: format!("/campaigns/{}", app.scene.campaign.id),
            alias: app.scene.alias.clone(),
            token: String::new(),
        };
        let shops = Self {
            own: shop(&app, &program, "own").await,
            other: shop(&app, &program, "other").await,
            plain,
            app,
            program,
        };
        tokio::time::sleep(AT_ONCE).await;
        shops
    }

    fn general(&self) -> AdvertiserServer {
        self.app.advertiser()
    }

    fn server_of(&self, shop: &Shop) -> AdvertiserServer {
        self.app.advertiser().with_token(&shop.token)
    }

    async fn click(&self, shop: &Shop) -> String {
        self.app.visitor_of(&shop.alias).click("").await.id
    }

    /// Changes the settings of a campaign's integration.
    async fn set(&self, shop: &Shop, settings: Value) {
        let set = self.program.patch(&shop.integration(), &settings).await;
        assert_eq!(set.status, StatusCode::OK, "{}", set.text);
        tokio::time::sleep(AT_ONCE).await;
    }

    /// Creates a secret, which the response shows once.
    async fn fresh(&self, path: &str, body: Value) -> String {
        let made = self.program.post(path, &body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{path}: {}", made.text);
        tokio::time::sleep(AT_ONCE).await;
        made.json["secret"].as_str().unwrap().to_owned()
    }
}

/// Creates a campaign of the scene's advertiser, with goals, a link, and a campaign integration.
async fn shop(app: &TestApp, program: &ApiClient, name: &str) -> Shop {
    let make = async |list: &str, body: Value| {
        let made = program.post(list, &body).await;
        assert!(made.status.is_success(), "{list} {body}: {}", made.text);
        made.json
    };
    let campaign = json!({
        "advertiser": app.scene.advertiser_id.to_string(), "currency": "EUR", "name": name, "status": "live",
        "destination": format!("https://{name}.example/?id={{click_id}}"), "external_id": name,
    });
    let campaign = make("/campaigns", campaign).await;
    let signup = json!({
        "campaign": name, "code": "signup", "name": "Sign-up", "kind": "lead", "commission": "1", "revenue": "2",
        "unique_by": "customer",
    });
    let signup = make("/goals", signup).await;
    for (code, parent) in [("sale", Value::Null), ("renewal", signup["id"].clone())] {
        let goal = json!({
            "campaign": name, "code": code, "name": code, "kind": "sale", "commission": "1", "revenue": "2",
            "parent_goal": parent,
        });
        make("/goals", goal).await;
    }
    let affiliate = app.scene.affiliate_id.to_string();
    let link = make("/links", json!({ "campaign": name, "affiliate": affiliate })).await;
    let path = format!("/campaigns/{}", campaign["id"].as_str().unwrap());
    let token = make(&format!("{path}/integration"), json!({})).await;
    Shop {
        alias: link["alias"].as_str().unwrap().to_owned(),
        token: token["secret"].as_str().unwrap().to_owned(),
        path,
    }
}

async fn order(server: &AdvertiserServer, click: &str, order: &str) -> Answer {
    let sent = [
        ("click_id", click),
        ("goal", "sale"),
        ("order_id", order),
        ("amount", "5"),
    ];
    server.postback(&sent).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_valid_for_its_own_campaigns_only() {
    let shops = Shops::open().await;
    let servers = [
        ("the advertiser's", shops.general()),
        ("own's", shops.server_of(&shops.own)),
        ("other's", shops.server_of(&shops.other)),
    ];
    for (shop, reasons) in [
        (&shops.plain, ["accepted", "wrong_campaign", "wrong_campaign"]),
        (&shops.own, ["token_invalid", "accepted", "wrong_campaign"]),
        (&shops.other, ["token_invalid", "wrong_campaign", "accepted"]),
    ] {
        let click = shops.click(shop).await;
        for ((whose, server), reason) in servers.iter().zip(reasons) {
            let answer = order(server, &click, &format!("{} by {whose}", shop.alias)).await;
            assert_eq!(
                answer.reason(),
                reason,
                "{whose} token for {}: {}",
                shop.path,
                answer.text
            );
            if reason == "token_invalid" {
                let message = answer.get("message");
                assert!(
                    message.contains("The campaign has its own token"),
                    "{}",
                    answer.text
                );
                for token in [&shops.own.token, &shops.other.token] {
                    assert!(
                        !answer.text.contains(&token[token.len() - 4..]),
                        "{}",
                        answer.text
                    );
                }
            }
        }
    }
    let app = shops.app;
    assert_eq!(app.count("SELECT count(*) FROM conversions").await, 3);
    let trace = app
        .trace("reason = 'accepted' AND integration_campaign_id IS NOT NULL")
        .await;
    for step in [
        "[\"integration\",\"+\",\"that of the campaign, in place of the advertiser's\"",
        "[\"token\",\"+\",\"campaign token\"]",
    ] {
        assert!(trace.contains(step), "{step} is not in {trace}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_integration_sets_the_response_format_and_the_status_map() {
    let shops = Shops::open().await;
    shops
        .set(
            &shops.own,
            json!({ "answer_format": "gif", "status_map": { "7": "approved" } }),
        )
        .await;
    shops
        .set(&shops.other, json!({ "answer_format": "always_ok" }))
        .await;
    let (own, other) = (shops.click(&shops.own).await, shops.click(&shops.other).await);
    let pixel = order(&shops.server_of(&shops.own), &own, "1").await;
    assert_eq!(pixel.headers["content-type"], "image/gif");
    assert_eq!(pixel.headers["x-postback-reason"], "accepted");
    let shown = order(&shops.general(), &own, "2").await;
    assert_eq!(
        shown.headers["content-type"], "image/gif",
        "the click identifies the campaign"
    );
    assert_eq!(shown.headers["x-postback-reason"], "token_invalid");
    let refused = order(&shops.general(), &other, "3").await;
    assert_eq!(
        (refused.status, refused.reason()),
        (StatusCode::OK, "token_invalid")
    );
    let plain = order(&shops.general(), "banana", "4").await;
    assert_eq!(plain.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", plain.text);
    // The same status, sent through two integrations of one advertiser.
    for (shop, click, status) in [(&shops.own, &own, "approved"), (&shops.other, &other, "pending")] {
        let id = format!("S-{status}");
        let sent = [
            ("click_id", click.as_str()),
            ("goal", "sale"),
            ("order_id", &id),
            ("amount", "5"),
            ("status", "7"),
        ];
        shops.server_of(shop).postback(&sent).await;
        let sql = format!("SELECT status FROM conversions WHERE order_id = '{id}'");
        assert_eq!(shops.app.text(&sql).await, status);
    }
    shops.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_campaigns_are_signed_with_two_secrets() {
    let shops = Shops::open().await;
    let mut secrets = Vec::new();
    for shop in [&shops.own, &shops.other] {
        let path = format!("{}/signing-secret", shop.integration());
        secrets.push(shops.fresh(&path, json!({})).await);
        shops.set(shop, json!({ "requires_signature": true })).await;
    }
    let call = async |shop: &Shop, click: &str, id: &str, secret: &str| {
        let token = &shop.token;
        let target = format!("/postback?click_id={click}&goal=sale&order_id={id}&amount=5&token={token}");
        let now = clock::now().timestamp();
        let header = format!("t={now},v1={}", sign(secret, now, &target));
        let headers = [("X-Clickledger-Signature", header.as_str())];
        shops
            .general()
            .call_with(Method::GET, &target, &headers, "")
            .await
    };
    let (own, other) = (shops.click(&shops.own).await, shops.click(&shops.other).await);
    assert_eq!(
        call(&shops.own, &own, "1", &secrets[0]).await.reason(),
        "accepted"
    );
    assert_eq!(
        call(&shops.other, &other, "2", &secrets[1]).await.reason(),
        "accepted"
    );
    assert_eq!(
        call(&shops.own, &own, "3", &secrets[1]).await.reason(),
        "signature_invalid"
    );
    assert_eq!(
        call(&shops.other, &other, "4", &secrets[0]).await.reason(),
        "signature_invalid"
    );
    let unsigned = order(&shops.server_of(&shops.own), &own, "5").await;
    assert_eq!(unsigned.reason(), "signature_missing");
    let plain = shops.click(&shops.plain).await;
    assert_eq!(order(&shops.general(), &plain, "6").await.reason(), "accepted");
    shops.app.finish().await;
}

/// Signs a request without a body, as the documentation describes.
fn sign(secret: &str, timestamp: i64, target: &str) -> String {
    let digest = HEXLOWER.encode(&Sha256::digest(format!("{target}\n").as_bytes()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{timestamp}.{digest}").as_bytes());
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_switches_to_the_campaign_token_and_back_without_a_lost_order() {
    let shops = Shops::open().await;
    let app = &shops.app;
    let plain = &shops.plain;
    app.change_integration(|integration| integration.allowed_addresses = Words(vec!["127.0.0.1".into()]))
        .await;
    // The advertiser's token stays valid for an hour; the campaign token is valid at once.
    let first = shops
        .fresh(&plain.integration(), json!({ "overlap_hours": 1 }))
        .await;
    let copied = shops.program.get(&plain.integration()).await;
    assert_eq!(copied.json["campaign"], plain.id(), "{}", copied.text);
    assert_eq!(copied.json["allowed_addresses"], json!(["127.0.0.1"]));
    let again = shops.program.post(&plain.integration(), &json!({})).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
    let click = shops.click(plain).await;
    let with = |token: &str| app.advertiser().with_token(token);
    assert_eq!(order(&shops.general(), &click, "1").await.reason(), "accepted");
    assert_eq!(order(&with(&first), &click, "2").await.reason(), "accepted");
    app.execute("UPDATE integrations SET advertiser_token_until = now() - interval '1 second' WHERE campaign_id IS NOT NULL")
        .await;
    announce(app).await;
    assert_eq!(
        order(&shops.general(), &click, "3").await.reason(),
        "token_invalid"
    );
    // A failed check is only flagged if the campaign integration is set to monitor only.
    shops.set(plain, json!({ "is_monitoring": true })).await;
    assert_eq!(order(&shops.general(), &click, "4").await.reason(), "accepted");
    let trace = app.trace("order_id = '4'").await;
    assert!(trace.contains("[\"token\",\"!\",\"token_invalid:"), "{trace}");
    shops.set(plain, json!({ "is_monitoring": false })).await;
    // A new campaign token; the previous one stays valid for an hour.
    let path = format!("{}/token", plain.integration());
    let second = shops.fresh(&path, json!({ "overlap_hours": 1 })).await;
    assert_eq!(order(&with(&first), &click, "5").await.reason(), "accepted");
    assert_eq!(order(&with(&second), &click, "6").await.reason(), "accepted");
    app.execute("UPDATE integrations SET previous_token_until = now() - interval '1 second' WHERE previous_token_until > now()")
        .await;
    announce(app).await;
    assert_eq!(order(&with(&first), &click, "7").await.reason(), "token_expired");
    // Back to the advertiser's integration.
    let removed = shops.program.delete(&plain.integration()).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT, "{}", removed.text);
    let once_more = shops.program.delete(&plain.integration()).await;
    assert_eq!(once_more.status, StatusCode::NOT_FOUND, "{}", once_more.text);
    let nothing = shops.program.post(&path, &json!({})).await;
    assert_eq!(nothing.status, StatusCode::CONFLICT, "{}", nothing.text);
    tokio::time::sleep(AT_ONCE).await;
    assert_eq!(order(&with(&second), &click, "8").await.reason(), "token_invalid");
    assert_eq!(order(&shops.general(), &click, "9").await.reason(), "accepted");
    let decides = shops.program.get(&plain.integration()).await;
    assert_eq!(decides.json["campaign"], Value::Null, "{}", decides.text);
    let log = "SELECT string_agg(action, ' ' ORDER BY id) FROM audit_log WHERE object = '";
    let log = app
        .text(&format!("{log}{}' AND action LIKE 'integration.%'", plain.id()))
        .await;
    assert_eq!(
        log,
        "integration.new_token integration.update integration.update integration.new_token integration.remove"
    );
    shops.app.finish().await;
}

/// Notifies the server of a change made directly in the database.
async fn announce(app: &TestApp) {
    let mut conn = app.network().await;
    schema::changes::announce(&mut conn, "integration", "")
        .await
        .unwrap();
    conn.commit().await.unwrap();
    tokio::time::sleep(AT_ONCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_click_a_campaigns_token_reaches_that_campaign_only() {
    let shops = Shops::open().await;
    let affiliate = shops.app.scene.affiliate_id.to_string();
    for (campaign, code) in [("own", "BOTH"), ("other", "BOTH"), ("other", "OTHERS")] {
        let coupon = json!({ "campaign": campaign, "code": code, "affiliate": affiliate });
        let made = shops.program.post("/coupons", &coupon).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    }
    // A customer of both campaigns, of “own” most recently.
    for shop in [&shops.other, &shops.own] {
        let click = shops.click(shop).await;
        let sent = [
            ("click_id", click.as_str()),
            ("goal", "signup"),
            ("customer_id", "c-1"),
        ];
        let answer = shops.server_of(shop).postback(&sent).await;
        assert_eq!(answer.reason(), "accepted", "{}", answer.text);
    }
    let (own, other, general) = (
        shops.server_of(&shops.own),
        shops.server_of(&shops.other),
        shops.general(),
    );
    let call = async |server: &AdvertiserServer, id: &str, (name, value): (&str, &str)| {
        let sent = [(name, value), ("goal", "sale"), ("order_id", id), ("amount", "5")];
        server.postback(&sent).await
    };
    for (server, id, what, reason) in [
        (&own, "own-1", ("customer_id", "c-1"), "accepted"),
        (&other, "other-1", ("customer_id", "c-1"), "accepted"),
        (&own, "own-2", ("coupon", "both"), "accepted"),
        (&other, "other-2", ("coupon", "both"), "accepted"),
        (&own, "own-3", ("partner_key", affiliate.as_str()), "accepted"),
        (&other, "other-3", ("partner_key", affiliate.as_str()), "accepted"),
        (&own, "x-1", ("coupon", "others"), "coupon_unknown"),
        // The advertiser's token is valid for “plain” only.
        (&general, "plain-1", ("coupon", "scene"), "accepted"),
        (
            &general,
            "plain-2",
            ("partner_key", affiliate.as_str()),
            "accepted",
        ),
        (&general, "x-2", ("coupon", "others"), "token_invalid"),
        (&general, "x-3", ("customer_id", "c-1"), "token_invalid"),
        (&own, "x-4", ("coupon", "scene"), "coupon_unknown"),
    ] {
        let answer = call(server, id, what).await;
        assert_eq!(answer.reason(), reason, "{id}: {}", answer.text);
    }
    let made = "SELECT string_agg(c.order_id, ' ' ORDER BY c.order_id) FROM conversions c
        JOIN campaigns m ON m.network_id = c.network_id AND m.id = c.campaign_id WHERE m.external_id";
    let app = &shops.app;
    assert_eq!(app.text(&format!("{made} = 'own'")).await, "own-1 own-2 own-3");
    assert_eq!(
        app.text(&format!("{made} = 'other'")).await,
        "other-1 other-2 other-3"
    );
    assert_eq!(app.text(&format!("{made} IS NULL")).await, "plain-1 plain-2");
    shops.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_postback_keeps_its_sender() {
    let shops = Shops::open().await;
    let app = &shops.app;
    let own = shops.server_of(&shops.own);
    let waits = async |server: &AdvertiserServer, sent: &[(&str, &str)], reason: &str| {
        let answer = server.postback(sent).await;
        assert_eq!(answer.reason(), reason, "{}", answer.text);
    };
    let click = shops.click(&shops.own).await;
    let renewal = [
        ("click_id", click.as_str()),
        ("goal", "renewal"),
        ("order_id", "R-1"),
        ("amount", "5"),
    ];
    waits(&own, &renewal, "waiting_for_parent").await;
    let newcomer = |id: &'static str| {
        [
            ("customer_id", "c-1"),
            ("goal", "sale"),
            ("order_id", id),
            ("amount", "5"),
        ]
    };
    waits(&own, &newcomer("N-1"), "waiting_for_customer").await;
    waits(&shops.general(), &newcomer("N-2"), "waiting_for_customer").await;
    // The token of the held postbacks is replaced meanwhile.
    let path = format!("{}/token", shops.own.integration());
    let fresh = shops.fresh(&path, json!({})).await;
    let signup = async |server: &AdvertiserServer, click: &str| {
        let sent = [("click_id", click), ("goal", "signup"), ("customer_id", "c-1")];
        let answer = server.postback(&sent).await;
        assert_eq!(answer.reason(), "accepted", "{}", answer.text);
    };
    // The customer first comes through “other”: a postback with the token of “own” stays held for a click of “own”, and
    // the advertiser's token is not valid for “other”.
    let elsewhere = shops.click(&shops.other).await;
    signup(&shops.server_of(&shops.other), &elsewhere).await;
    let reason = |order: &str| format!("SELECT reason FROM postbacks WHERE order_id = '{order}'");
    app.eventually(&reason("N-2"), "token_invalid").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(app.text(&reason("N-1")).await, "waiting_for_customer");
    let decided = "SELECT count(*) FROM postbacks WHERE order_id = 'N-1' AND decided_at IS NOT NULL";
    assert_eq!(
        app.count(decided).await,
        0,
        "the postback stays held without another decision"
    );
    signup(&app.advertiser().with_token(&fresh), &click).await;
    for order in ["R-1", "N-1"] {
        app.eventually(&reason(order), "accepted").await;
    }
    shops.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postback_held_before_the_campaign_integration_existed_is_accepted() {
    let shops = Shops::open().await;
    let sent = [
        ("customer_id", "c-1"),
        ("goal", "sale"),
        ("order_id", "N-1"),
        ("amount", "5"),
    ];
    assert_eq!(
        shops.general().postback(&sent).await.reason(),
        "waiting_for_customer"
    );
    let token = shops.fresh(&shops.plain.integration(), json!({})).await;
    let click = shops.click(&shops.plain).await;
    let first = [
        ("click_id", click.as_str()),
        ("goal", "sale"),
        ("order_id", "1"),
        ("amount", "5"),
        ("customer_id", "c-1"),
    ];
    let answer = shops.app.advertiser().with_token(&token).postback(&first).await;
    assert_eq!(answer.reason(), "accepted", "{}", answer.text);
    shops
        .app
        .eventually("SELECT reason FROM postbacks WHERE order_id = 'N-1'", "accepted")
        .await;
    shops.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_integration_of_the_clicks_campaign_decides_if_letter_case_is_ignored() {
    let shops = Shops::open().await;
    shops
        .set(&shops.own, json!({ "ignores_letter_case": true }))
        .await;
    let upper = async |shop: &Shop| shops.click(shop).await.to_uppercase();
    let (own, other, plain) = (
        upper(&shops.own).await,
        upper(&shops.other).await,
        upper(&shops.plain).await,
    );
    for (server, click, id, reason) in [
        (shops.server_of(&shops.own), &own, "1", "accepted"),
        (shops.server_of(&shops.other), &other, "2", "click_not_found"),
        (shops.general(), &plain, "3", "click_not_found"),
        (shops.general(), &own, "4", "token_invalid"),
        (shops.server_of(&shops.other), &own, "5", "wrong_campaign"),
    ] {
        let answer = order(&server, click, id).await;
        assert_eq!(answer.reason(), reason, "{id}: {}", answer.text);
    }
    shops
        .app
        .change_integration(|integration| integration.ignores_letter_case = true)
        .await;
    shops
        .set(&shops.own, json!({ "ignores_letter_case": false }))
        .await;
    for (server, click, id, reason) in [
        (shops.general(), &plain, "6", "accepted"),
        (shops.server_of(&shops.own), &own, "7", "click_not_found"),
    ] {
        let answer = order(&server, click, id).await;
        assert_eq!(answer.reason(), reason, "{id}: {}", answer.text);
    }
    shops.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_decides_by_the_token_of_the_stored_request() {
    let shops = Shops::open().await;
    let app = &shops.app;
    let click = shops.click(&shops.own).await;
    let answer = order(&shops.server_of(&shops.other), &click, "1").await;
    assert_eq!(answer.reason(), "wrong_campaign", "{}", answer.text);
    // The token of the stored request is replaced, so no integration has it.
    shops
        .fresh(&format!("{}/token", shops.other.integration()), json!({}))
        .await;
    let asked = shops
        .program
        .post(
            "/replays",
            &json!({ "reason": "wrong_campaign", "dry_run": false }),
        )
        .await;
    assert!(asked.status.is_success(), "{}", asked.text);
    app.eventually(
        "SELECT coalesce((SELECT reason FROM replays WHERE done_at IS NOT NULL), '')",
        "wrong_campaign",
    )
    .await;
    assert_eq!(app.count("SELECT count(*) FROM conversions").await, 0);
    shops.app.finish().await;
}
