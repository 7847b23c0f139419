//! Authentication of postbacks, response formats, traces, and campaign integrations on the pages.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use campaigns::integrations::{self, AnswerFormat};
use chrono::TimeDelta;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Method, StatusCode};
use schema::{Words, clock};
use sha2::{Digest, Sha256};
use tenancy::Author;
use testkit::people::{see_other, shown};
use testkit::{AdvertiserServer, Answer, TestApp, TestOptions};

/// Signs a request as the documentation describes.
fn sign(secret: &str, timestamp: i64, target: &str, body: &str) -> String {
    let digest = HEXLOWER.encode(&Sha256::digest(format!("{target}\n{body}").as_bytes()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{timestamp}.{digest}").as_bytes());
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_integration_decides_how_requests_are_authenticated() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await;
    let server = app.advertiser();
    let mut conn = app.network().await;
    let author = Author::system();
    let secret = integrations::new_signing_secret(
        &mut conn,
        &author,
        &app.secret,
        app.scene.advertiser_id,
        clock::now(),
    );
    let secret = secret.await.unwrap().unwrap();
    conn.commit().await.unwrap();
    app.change_integration(|integration| {
        integration.requires_token = false;
        integration.requires_signature = true;
        integration.allowed_addresses = Words(vec!["127.0.0.1".into()]);
    })
    .await;
    let call = async |order: &str, skew: i64, change: &str| {
        let target = format!(
            "/postback?click_id={}&goal=sale&order_id={order}&amount=5",
            click.id
        );
        let now = clock::now().timestamp() + skew;
        let header = format!("t={now},v1={}", sign(&secret, now, &target, ""));
        let headers = [("X-Clickledger-Signature", header.as_str())];
        let (headers, change) = match change {
            "unsigned" => (&headers[..0], ""),
            change => (&headers[..], change),
        };
        server
            .call_with(Method::GET, &format!("{target}{change}"), headers, "")
            .await
    };
    assert_eq!(call("1", 0, "").await.reason(), "accepted");
    assert_eq!(call("2", 0, "&x=1").await.reason(), "signature_invalid");
    assert_eq!(call("3", -400, "").await.reason(), "timestamp_skew");
    assert_eq!(call("4", 0, "unsigned").await.reason(), "signature_missing");
    app.change_integration(|integration| {
        integration.allowed_addresses = Words(vec!["203.0.113.0/24".into()]);
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let refused = call("5", 0, "").await;
    assert_eq!(refused.reason(), "ip_not_allowed");
    assert!(refused.get("message").contains("127.0.0.1"), "{}", refused.text);
    app.change_integration(|integration| integration.is_monitoring = true)
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let tolerated = call("6", 0, "unsigned").await;
    assert_eq!(tolerated.reason(), "accepted", "{}", tolerated.text);
    let trace = app.trace("order_id = '6'").await;
    for step in ["[\"signature\",\"!\"", "[\"address\",\"!\"", "[\"token\",\"+\""] {
        assert!(trace.contains(step), "{step} is not in {trace}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_over_plain_http_is_refused_if_https_is_required() {
    let app = TestApp::spawn_with(TestOptions {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..TestOptions::default()
    })
    .await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let call = async |order: &str, proto: &[&str]| {
        let target = format!(
            "/postback?click_id={}&goal=sale&order_id={order}&amount=5&token={}",
            click.id, app.scene.token
        );
        let headers: Vec<_> = proto.iter().map(|proto| ("X-Forwarded-Proto", *proto)).collect();
        server.call_with(Method::GET, &target, &headers, "").await
    };
    let trace = async |order: &str| app.trace(&format!("order_id = '{order}'")).await;
    assert_eq!(
        call("1", &[]).await.reason(),
        "accepted",
        "HTTPS is not required yet"
    );
    let owner = app.sign_in(&app.scene.owner).await;
    let page = format!("/integration/{}", app.scene.advertiser_id);
    let set = async |more: &[(&str, &str)]| {
        let demanded = [
            ("answer_format", "dialect"),
            ("requires_https", "yes"),
            ("requires_token", "yes"),
        ];
        let saved = owner.submit(&page, &page, &[&demanded[..], more].concat()).await;
        assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.html);
    };
    set(&[]).await;
    app.eventually("SELECT count(*) FROM integrations WHERE requires_https", "1")
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    for (order, proto, reason) in [
        ("2", &[][..], "https_required"),
        ("3", &["http"], "https_required"),
        ("4", &["https, http"], "https_required"),
        ("5", &["https"], "accepted"),
    ] {
        let answer = call(order, proto).await;
        assert_eq!(answer.reason(), reason, "{proto:?}: {}", answer.text);
    }
    assert_eq!(call("2", &["http"]).await.status, StatusCode::BAD_REQUEST);
    assert!(
        trace("5")
            .await
            .contains("[\"https\",\"+\",\"the postback was sent over it\"]")
    );
    // A replay uses the stored scheme of the request; rows from before the scheme was stored have none.
    app.execute("UPDATE postbacks SET over_https = NULL WHERE order_id = '3'")
        .await;
    let list = "/postbacks?reason=https_required";
    let asked = owner
        .submit(
            list,
            "/postbacks/replay",
            &[("reason", "https_required"), ("how", "real")],
        )
        .await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.html);
    app.eventually("SELECT count(*) FROM replays WHERE done_at IS NULL", "0")
        .await;
    let reasons =
        "SELECT string_agg(DISTINCT order_id || ' ' || reason, ', ' ORDER BY order_id || ' ' || reason)
                   FROM postbacks WHERE order_id BETWEEN '2' AND '4'";
    assert_eq!(
        app.text(reasons).await,
        "2 https_required, 3 accepted, 4 https_required"
    );
    let unknown = trace("3").await;
    assert!(
        unknown.contains("not checked: it is unknown how the postback was sent"),
        "{unknown}"
    );
    set(&[("is_monitoring", "yes")]).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(call("6", &["http"]).await.reason(), "accepted");
    let tolerated = trace("6").await;
    assert!(tolerated.contains("[\"https\",\"!\""), "{tolerated}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_token_stays_valid_for_its_overlap() {
    let app = TestApp::spawn().await;
    let (click, old) = (app.visitor().click("").await, app.advertiser());
    let mut conn = app.network().await;
    let overlap = TimeDelta::hours(1);
    let (author, id) = (Author::system(), app.scene.advertiser_id);
    let token = integrations::new_token(&mut conn, &author, id, overlap, clock::now())
        .await
        .unwrap();
    conn.commit().await.unwrap();
    let new = old.with_token(token.as_str());
    let order = async |server: &AdvertiserServer, order: &str| -> Answer {
        server
            .postback(&[("click_id", &click.id), ("order_id", order), ("amount", "1")])
            .await
    };
    assert_eq!(order(&old, "1").await.reason(), "accepted");
    assert_eq!(order(&new, "2").await.reason(), "accepted");
    app.execute("UPDATE integrations SET previous_token_until = now() - interval '1 second'")
        .await;
    let mut conn = app.network().await;
    schema::changes::announce(&mut conn, "integration", "")
        .await
        .unwrap();
    conn.commit().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(order(&old, "3").await.reason(), "token_expired");
    assert_eq!(order(&new, "4").await.reason(), "accepted");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_have_the_format_of_the_integration() {
    let app = TestApp::spawn().await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    app.change_integration(|integration| integration.answer_format = AnswerFormat::AlwaysOk)
        .await;
    let token = &app.scene.token;
    let rejected = server
        .call(&format!("/postback?click_id=banana&token={token}"))
        .await;
    assert_eq!(
        (rejected.status, rejected.reason()),
        (StatusCode::OK, "click_not_found")
    );
    app.change_integration(|integration| integration.answer_format = AnswerFormat::Gif)
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let pixel = server
        .call(&format!(
            "/postback?click_id={}&goal=sale&order_id=1&amount=1&token={token}",
            click.id
        ))
        .await;
    assert_eq!(pixel.headers["content-type"], "image/gif");
    assert_eq!(pixel.headers["x-postback-reason"], "accepted");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_shows_each_step_and_the_commission_to_the_network_only() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await;
    let answer = app
        .advertiser()
        .postback(&[("click_id", &click.id), ("order_id", "1"), ("amount", "100")])
        .await;
    let page = format!("/postbacks/{}", answer.get("request_id"));
    let owner = app.sign_in(&app.scene.owner).await.get(&page).await;
    for words in [
        "advertiser token",
        "by order: 1",
        "10 % to the affiliate",
        "commission 10.00 EUR",
    ] {
        assert!(owner.html.contains(words), "{words} is not in {}", owner.html);
    }
    let advertiser = app.sign_in(&app.scene.advertiser).await.get(&page).await;
    assert!(advertiser.html.contains("by order: 1"), "{}", advertiser.html);
    assert!(!advertiser.html.contains("to the affiliate") && !advertiser.html.contains("10.00 EUR"));
    let tools = app
        .sign_in(&app.scene.affiliate)
        .await
        .get("/tools/postback?tracker=keitaro")
        .await;
    assert!(tools.html.contains("subid={aff_click_id}"), "{}", tools.html);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_gets_its_own_integration_on_its_page_and_the_developer_sees_it() {
    let app = TestApp::spawn().await;
    let id = app.scene.campaign.id;
    let page = format!("/campaigns/{id}/integration");
    let (owner, developer) = (
        app.sign_in(&app.scene.owner).await,
        app.sign_in(app.scene.person(tenancy::RoleKind::AdvertiserDeveloper))
            .await,
    );
    let before = developer.get(&page).await;
    let decides = "This campaign uses the advertiser's integration";
    assert!(before.html.contains(decides), "{}", before.html);
    assert!(
        !before.html.contains("Create campaign integration"),
        "only the network creates it"
    );
    let made = owner
        .submit(&page, &format!("{page}/make"), &[("overlap_hours", "0")])
        .await;
    assert_eq!(see_other(&made), page);
    let fresh = owner.get(&page).await;
    let token = shown(&fresh, "fresh-token").to_owned();
    assert!(
        fresh.html.contains(&format!("token={token}")),
        "the URL contains the token, once"
    );
    assert!(!owner.get(&page).await.html.contains(&token));
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let click = app.visitor().click("").await;
    let order = async |server: &AdvertiserServer, order: &str| -> Answer {
        server
            .postback(&[("click_id", &click.id), ("order_id", order), ("amount", "1")])
            .await
    };
    assert_eq!(
        order(&app.advertiser().with_token(&token), "1").await.reason(),
        "accepted"
    );
    assert_eq!(order(&app.advertiser(), "2").await.reason(), "token_invalid");
    let hint = &token[token.len() - 4..];
    for there in [&page, &format!("/campaigns/{id}/test")] {
        let seen = developer.get(there).await;
        assert!(
            seen.html.contains(&format!("<code>{hint}</code>")),
            "{there}: {}",
            seen.html
        );
    }
    let campaign = owner.get(&format!("/campaigns/{id}")).await;
    assert!(
        campaign
            .html
            .contains(&format!("Campaign token ending in <code>{hint}</code>")),
        "{}",
        campaign.html
    );
    let advertisers = developer
        .get(&format!("/integration/{}", app.scene.advertiser_id))
        .await;
    assert!(advertisers.html.contains(&page), "{}", advertisers.html);
    assert!(
        !advertisers.html.contains("<pre>curl \""),
        "the advertiser's token is not valid for the campaign"
    );
    // Settings, secret and token are changed as on the advertiser's page.
    let saved = owner
        .submit(
            &page,
            &page,
            &[
                ("answer_format", "gif"),
                ("requires_token", "yes"),
                ("signature_seconds", "300"),
            ],
        )
        .await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.html);
    let wrong = owner
        .submit(
            &page,
            &page,
            &[("answer_format", "gif"), ("signature_seconds", "3")],
        )
        .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    developer.submit(&page, &format!("{page}/secret"), &[]).await;
    assert!(!shown(&developer.get(&page).await, "fresh-signing-secret").is_empty());
    developer
        .submit(&page, &format!("{page}/token"), &[("overlap_hours", "1")])
        .await;
    let second = shown(&developer.get(&page).await, "fresh-token").to_owned();
    let mut conn = app.network().await;
    let stored = integrations::find(&mut conn, &app.scene.campaign)
        .await
        .unwrap()
        .unwrap();
    conn.commit().await.unwrap();
    assert_eq!(stored.token_hint, second[second.len() - 4..]);
    assert!(stored.has_signing_secret() && stored.previous_token_until.is_some());
    let removed = owner.submit(&page, &format!("{page}/remove"), &[]).await;
    assert_eq!(see_other(&removed), page);
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(order(&app.advertiser(), "3").await.reason(), "accepted");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_advertiser_sees_its_postback_format_and_the_trace_names_a_different_one() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let page = format!("/integration/{}", app.scene.advertiser_id);
    let set = async |dialect: &str| {
        let fields = [
            ("dialect", dialect),
            ("answer_format", "ours"),
            ("requires_token", "yes"),
            ("signature_seconds", "300"),
        ];
        owner.submit(&page, &page, &fields).await
    };
    let refused = set("morse").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused.html.contains("“morse” is not a known postback format"),
        "{}",
        refused.html
    );
    assert_eq!(set("tune").await.status, StatusCode::SEE_OTHER);
    let shown = app.sign_in(&app.scene.advertiser).await.get(&page).await.html;
    for expected in ["/aff_lsr", "/postback/tune", "<code>transaction_id</code>"] {
        assert!(shown.contains(expected), "{expected} is not in {shown}");
    }
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let (click, token) = (app.visitor().click("").await, &app.scene.token);
    let steps = async |target: String| {
        let answer = app.advertiser().call(&target).await;
        assert_eq!(answer.reason(), "accepted", "{}", answer.text);
        app.trace("true").await
    };
    let (id, other) = (&click.id, "the integration uses the format of TUNE");
    let theirs =
        format!("/aff_lsr?transaction_id={id}&goal_id=sale&adv_unique1=1&amount=1&security_token={token}");
    assert!(!steps(theirs).await.contains(other));
    let ours = format!("/postback?click_id={id}&goal=sale&order_id=2&amount=1&token={token}");
    let trace = steps(ours).await;
    assert!(trace.contains(other), "{trace}");
    app.finish().await;
}
