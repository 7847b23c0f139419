//! Pages of deliveries: trackers of affiliates, webhooks of a network, the log, and who sees what.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::Sha256;
use testkit::browser::{Browser, Locator};
use testkit::people::see_other;
use testkit::{Behaviour, Received, Receiver, TestApp};

async fn convert(app: &TestApp, order: &str) {
    let click = app.visitor().click("?sub1=first").await;
    let answer = app
        .advertiser()
        .postback(&[("click_id", &click.id), ("order_id", order), ("amount", "10")])
        .await;
    assert_eq!(answer.reason(), "accepted", "{}", answer.text);
}

/// Signature that a receiver expects by Standard Webhooks.
fn expected_signature(secret: &str, request: &Received) -> String {
    let key = BASE64
        .decode(secret.strip_prefix("whsec_").unwrap().as_bytes())
        .unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let (id, timestamp) = (request.header("webhook-id"), request.header("webhook-timestamp"));
    mac.update(format!("{id}.{timestamp}.{}", request.body).as_bytes());
    format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
}

/// Verifies a webhook with the official libraries for Python and Node, which `./x test` installs.
fn verify_by_libraries(secret: &str, request: &Received, is_genuine: bool) {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    let tools = target.join("tools/standardwebhooks");
    let python = "import json, sys; from standardwebhooks import Webhook; m = json.load(sys.stdin); \
                  Webhook(m['secret']).verify(m['body'], m['headers'])";
    let node = "const m = JSON.parse(require('fs').readFileSync(0)); \
                new (require('standardwebhooks').Webhook)(m.secret).verify(m.body, m.headers)";
    let headers: HashMap<_, _> = request.headers.iter().cloned().collect();
    let message = json!({ "secret": secret, "body": request.body, "headers": headers }).to_string();
    for (program, script) in [
        (tools.join("python/bin/python"), ["-c", python]),
        ("node".into(), ["-e", node]),
    ] {
        let mut child = Command::new(&program)
            .args(script)
            .env("NODE_PATH", tools.join("node/node_modules"))
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; ./x test installs it", program.display()));
        child.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
        let ended = child.wait_with_output().unwrap();
        let problem = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(
            ended.status.success(),
            is_genuine,
            "{}: {problem}",
            program.display()
        );
        assert!(
            is_genuine || problem.contains("signature"),
            "{}: {problem}",
            program.display()
        );
    }
}

/// Signing secret on a page that was just saved.
fn secret_of(html: &str) -> String {
    let (_, rest) = html.split_once("id=\"fresh-secret\">").unwrap();
    rest.split('<').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_affiliate_adds_a_tracker_tests_it_and_sees_its_log() {
    let app = TestApp::spawn().await;
    let receiver = Receiver::start(Behaviour::Status(200)).await;
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    let begun = affiliate.get("/destinations/new?tracker=keitaro").await.html;
    assert!(
        begun.contains("your-tracker.example/postback?subid={aff_click_id}"),
        "{begun}"
    );
    let url = format!("{}/pb?c={{sub1}}&s={{status}}&token=abc", receiver.url());
    let fields = [
        ("kind", "postback"),
        ("name", "Mine"),
        ("url", &url),
        ("method", "GET"),
        ("events", "created"),
        ("events", "approved"),
        ("value_maps", "status pending = lead"),
    ];
    let made = affiliate
        .submit("/destinations/new", "/destinations", &fields)
        .await;
    let page = see_other(&made);
    let shown = affiliate.get(page).await.html;
    assert!(
        shown.contains("token=YOUR_TOKEN") && !shown.contains("token=abc"),
        "{shown}"
    );
    let tested = affiliate.submit(page, &format!("{page}/test"), &[]).await.html;
    assert!(
        tested.contains("The answer is 200.") && tested.contains("status 200"),
        "{tested}"
    );
    let received = receiver.wait_for(1).await;
    assert_eq!(received[0].target, "/pb?c=newsletter&s=approved&token=abc");
    convert(&app, "A-1").await;
    let received = receiver.wait_for(2).await;
    assert_eq!(received[1].target, "/pb?c=first&s=lead&token=abc");
    let log = loop {
        let log = affiliate.get("/deliveries").await.html;
        if log.contains(">Delivered</span>") {
            break log;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let (_, rest) = log.split_once("href=\"/deliveries/dlv_").unwrap();
    let delivery = format!("/deliveries/dlv_{}", rest.split('"').next().unwrap());
    let attempts = affiliate.get(&delivery).await.html;
    assert!(
        attempts.contains("token=YOUR_TOKEN") && !attempts.contains("token=abc"),
        "{attempts}"
    );
    let again = affiliate
        .submit(&delivery, &format!("{delivery}/resend"), &[])
        .await;
    assert_eq!(see_other(&again), delivery);
    let received = receiver.wait_for(3).await;
    assert_eq!(received[1].header("webhook-id"), received[2].header("webhook-id"));
    let paused = affiliate
        .submit(page, &format!("{page}/state"), &[("state", "paused")])
        .await;
    assert_eq!(see_other(&paused), page);
    assert!(
        affiliate
            .get("/destinations")
            .await
            .html
            .contains(">Paused</span>")
    );
    let removed = affiliate.submit(page, &format!("{page}/remove"), &[]).await;
    assert_eq!(see_other(&removed), "/destinations");
    assert_eq!(app.count("SELECT count(*) FROM deliveries").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_macros_are_flagged_while_a_user_types() {
    let app = TestApp::spawn().await;
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    let fields = [("url", "https://t.example/?a={subid}&b={payuot}")];
    let checked = affiliate
        .submit("/destinations/new", "/destinations/check?kind=postback", &fields)
        .await;
    assert_eq!(checked.status, StatusCode::OK);
    for name in ["{subid} is not a macro.", "{payuot} is not a macro."] {
        assert!(checked.html.contains(name), "{}", checked.html);
    }
    let browser = Browser::start().await;
    let page = &browser.client;
    page.goto(&format!("{}/sign-in", app.dashboard_url))
        .await
        .unwrap();
    for (field, text) in [
        ("email", &app.scene.affiliate.email),
        ("password", &app.scene.affiliate.password),
    ] {
        let field = page.find(Locator::Id(field)).await.unwrap();
        field.send_keys(text).await.unwrap();
    }
    page.find(Locator::Css("button"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    let form = format!("{}/destinations/new", app.dashboard_url);
    page.goto(&form).await.unwrap();
    let field = page.find(Locator::Id("url")).await.unwrap();
    field.send_keys("https://t.example/?a={subid}").await.unwrap();
    let flagged = page
        .wait()
        .for_element(Locator::Css("#url-check .error"))
        .await
        .unwrap();
    assert_eq!(flagged.text().await.unwrap(), "{subid} is not a macro.");
    page.clone().close().await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_affiliate_tells_advertising_platforms_in_their_words() {
    let app = TestApp::spawn().await;
    let receiver = Receiver::start(Behaviour::Answer(r#"{"code":0,"message":"OK"}"#)).await;
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    for (format, query) in [
        (
            "meta",
            "access_token=abc&event_name=Purchase&fbclid={sub1}&value={amount}&currency={currency}&test_event_code=T1",
        ),
        (
            "tiktok",
            "access_token=abc&pixel=C1&event=CompletePayment&ttclid={sub1}&value={amount}&currency={currency}",
        ),
        (
            "openai",
            "pid=P1&api_key=abc&type=order_created&oppref={sub1}&amount={amount}&currency={currency}",
        ),
    ] {
        let begun = affiliate
            .get(&format!("/destinations/new?tracker={format}"))
            .await
            .html;
        assert!(begun.contains("YOUR_TOKEN"), "{begun}");
        let url = format!("{}/{format}?{query}", receiver.url());
        let fields = [
            ("kind", "postback"),
            ("format", format),
            ("name", format),
            ("url", &*url),
            ("method", "GET"),
            ("events", "created"),
        ];
        let made = affiliate
            .submit("/destinations/new", "/destinations", &fields)
            .await;
        let shown = affiliate.get(see_other(&made)).await.html;
        assert!(!shown.contains("=abc"), "{shown}");
    }
    convert(&app, "A-1").await;
    let mut received = receiver.wait_for(3).await;
    received.sort_by(|one, other| one.target.cmp(&other.target));
    let bodies: Vec<Value> = received
        .iter()
        .map(|request| serde_json::from_str(&request.body).unwrap())
        .collect();
    let targets: Vec<&str> = received.iter().map(|request| request.target.as_str()).collect();
    assert_eq!(targets, ["/meta?access_token=abc", "/openai?pid=P1", "/tiktok"]);
    let event = &bodies[0]["data"][0];
    assert!(
        event["user_data"]["fbc"].as_str().unwrap().ends_with(".first"),
        "{event}"
    );
    assert_eq!(
        (&event["custom_data"]["value"], &bodies[0]["test_event_code"]),
        (&10.0.into(), &"T1".into())
    );
    assert_eq!(received[1].header("authorization"), "Bearer abc");
    assert_eq!(bodies[1]["events"][0]["data"]["amount"], 1000);
    assert_eq!(received[2].header("access-token"), "abc");
    assert_eq!(bodies[2]["data"][0]["user"]["ttclid"], "first");
    app.eventually("SELECT count(*) FROM deliveries WHERE state = 'delivered'", "3")
        .await;
    // TikTok reports errors with the status 200.
    receiver.behave(Behaviour::Answer(r#"{"code":40001,"message":"Invalid token"}"#));
    convert(&app, "A-2").await;
    let problems =
        "SELECT coalesce(string_agg(problem, ' '), '') FROM delivery_attempts WHERE problem IS NOT NULL";
    app.eventually(problems, "The answer has the code 40001: Invalid token")
        .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn microsoft_gets_its_token_and_google_an_access_token_that_is_fetched_once() {
    let app = TestApp::spawn().await;
    let token = r#"{"access_token":"ya29","expires_in":3600,"token_type":"Bearer"}"#;
    let receiver = Receiver::start(Behaviour::Answer(token)).await;
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    let (at, exchange) = (receiver.url(), format!("{}/token", receiver.url()));
    let google = format!(
        "{at}/google?client_id=app&client_secret=hidden&refresh_token=1%2F%2Fabc&token_url={exchange}&account=1&action=2\
         &gclid={{sub1}}&value={{amount}}&currency={{currency}}"
    );
    let microsoft = format!("{at}/microsoft?token=hidden&event_name=purchase&msclkid={{sub1}}");
    for (format, url) in [("google", &google), ("microsoft", &microsoft)] {
        let fields = [
            ("kind", "postback"),
            ("format", format),
            ("name", format),
            ("url", &**url),
            ("method", "POST"),
            ("events", "created"),
        ];
        let made = affiliate
            .submit("/destinations/new", "/destinations", &fields)
            .await;
        let shown = affiliate.get(see_other(&made)).await.html;
        assert!(!shown.contains("hidden") && !shown.contains("abc"), "{shown}");
    }
    convert(&app, "A-1").await;
    app.eventually("SELECT count(*) FROM deliveries WHERE state = 'delivered'", "2")
        .await;
    let of = |target: &str| {
        let received = receiver.received().into_iter();
        received
            .filter(|request| request.target == target)
            .collect::<Vec<_>>()
    };
    let exchanged = of("/token");
    assert_eq!(
        exchanged[0].body,
        "grant_type=refresh_token&client_id=app&client_secret=hidden&refresh_token=1%2F%2Fabc"
    );
    let (to_google, to_microsoft) = (of("/google"), of("/microsoft"));
    assert_eq!(to_google[0].header("authorization"), "Bearer ya29");
    let body: Value = serde_json::from_str(&to_google[0].body).unwrap();
    assert_eq!(body["events"][0]["adIdentifiers"]["gclid"], "first");
    assert_eq!(body["events"][0]["conversionValue"], 10.0);
    assert_eq!(to_microsoft[0].header("authorization"), "Bearer hidden");
    let body: Value = serde_json::from_str(&to_microsoft[0].body).unwrap();
    assert_eq!(body["data"][0]["userData"]["msclkid"], "first");

    // The next call uses the same access token; one that is refused is fetched anew.
    receiver.behave(Behaviour::Status(401));
    convert(&app, "A-2").await;
    let refused = "SELECT count(*) FROM delivery_attempts WHERE code = 401";
    app.eventually(refused, "2").await;
    assert_eq!(of("/token").len(), 1);
    receiver.behave(Behaviour::Answer(token));
    app.eventually("SELECT count(*) FROM deliveries WHERE state = 'delivered'", "4")
        .await;
    assert_eq!(of("/token").len(), 2);

    // The owner of the account has withdrawn the permission.
    receiver.behave(Behaviour::Status(401));
    convert(&app, "A-3").await;
    let problems = "SELECT count(*) > 0 FROM delivery_attempts WHERE problem LIKE 'The refresh token was not exchanged.%'";
    app.eventually(problems, "true").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_can_be_a_message_whose_secret_is_shown_nowhere() {
    let app = TestApp::spawn().await;
    let receiver = Receiver::start(Behaviour::Status(200)).await;
    let owner = app.sign_in(&app.scene.owner).await;
    let url = format!("{}/bot123:abc/sendMessage?chat_id=-100", receiver.url());
    let fields = [
        ("kind", "webhook"),
        ("format", "telegram"),
        ("name", "Team"),
        ("url", &*url),
        ("events", "created"),
        ("events", "affiliate.applied"),
    ];
    let made = owner
        .submit("/destinations/new?kind=webhook", "/destinations", &fields)
        .await;
    let page = see_other(&made);
    convert(&app, "A-1").await;
    let received = receiver.wait_for(1).await;
    assert_eq!(received[0].target, "/bot123:abc/sendMessage");
    let body: Value = serde_json::from_str(&received[0].body).unwrap();
    assert_eq!(body["chat_id"], "-100");
    let text = body["text"].as_str().unwrap();
    assert!(text.contains("order A-1, amount 10.00 EUR"), "{text}");
    let shown = owner.get(page).await.html;
    assert!(
        shown.contains("/botYOUR_TOKEN/sendMessage") && !shown.contains("123:abc"),
        "{shown}"
    );
    // Saved unchanged, the form keeps the secret.
    let masked = url.replace("123:abc", "YOUR_TOKEN");
    let again: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (*name, if *name == "url" { masked.as_str() } else { *value }))
        .collect();
    let saved = owner.submit(page, page, &again).await;
    assert_eq!(see_other(&saved), page);
    // An application reaches it too.
    let mut conn = app.network().await;
    let network = tenancy::networks::current(&mut conn).await.unwrap();
    let joining = tenancy::networks::Joining {
        join_open: true,
        ..network.joining
    };
    let draft = tenancy::applications::ApplicationDraft {
        name: "Night & Day".to_owned(),
        email: "hello@night.example".to_owned(),
        website: "https://night.example".to_owned(),
        answers: Vec::new(),
    };
    let applied = tenancy::applications::apply(&mut conn, &joining, &draft, schema::clock::now()).await;
    applied.map(|_| ()).unwrap();
    conn.commit().await.unwrap();
    let received = receiver.wait_for(2).await;
    assert_eq!(received[1].target, "/bot123:abc/sendMessage");
    assert!(
        received[1].body.contains("Night & Day, hello@night.example"),
        "{}",
        received[1].body
    );
    let log = owner.get("/deliveries").await.html;
    assert!(
        log.contains("affiliate.applied") && !log.contains("123:abc"),
        "{log}"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_destination_is_refused_with_its_reason() {
    let app = TestApp::spawn().await;
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    for (url, reason) in [
        ("https://t.example/?c={nothing}", "{nothing} is not a macro."),
        ("https://{sub1}.example/", "a macro is not allowed in the host"),
        ("http://10.0.0.1/", "10.0.0.1 is not an address on the internet"),
        ("http://93.184.216.34:22/", "Port 22 is not open to deliveries"),
        ("https://a:b@t.example/", "user name or password"),
        ("https://t.example/%0d%0a\r\nX: 1", "must be percent-encoded"),
    ] {
        let fields = [
            ("kind", "postback"),
            ("name", "Mine"),
            ("url", url),
            ("method", "GET"),
            ("events", "created"),
        ];
        let refused = affiliate
            .submit("/destinations/new", "/destinations", &fields)
            .await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{url}");
        assert!(refused.html.contains(reason), "{url}: {}", refused.html);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_signed_also_while_its_secret_is_rotated() {
    let app = TestApp::spawn().await;
    let receiver = Receiver::start(Behaviour::Status(200)).await;
    let owner = app.sign_in(&app.scene.owner).await;
    let url = format!("{}/hook", receiver.url());
    let fields = [
        ("kind", "webhook"),
        ("name", "Warehouse"),
        ("url", &*url),
        ("events", "created"),
    ];
    let made = owner
        .submit("/destinations/new?kind=webhook", "/destinations", &fields)
        .await;
    let page = see_other(&made);
    let first = secret_of(&owner.get(page).await.html);
    assert!(!owner.get(page).await.html.contains("fresh-secret"), "shown once");
    convert(&app, "A-1").await;
    let received = receiver.wait_for(1).await;
    assert_eq!(
        received[0].header("webhook-signature"),
        expected_signature(&first, &received[0])
    );
    verify_by_libraries(&first, &received[0], true);
    let mut forged = received[0].clone();
    forged.body = forged.body.replace("A-1", "A-2");
    verify_by_libraries(&first, &forged, false);
    let body: Value = serde_json::from_str(&received[0].body).unwrap();
    assert_eq!(
        (&body["type"], &body["schema"]),
        (&"conversion.created".into(), &1.into())
    );
    assert_eq!(
        (&body["data"]["order_id"], &body["data"]["sub1"]),
        (&"A-1".into(), &"first".into())
    );
    let rotated = owner.submit(page, &format!("{page}/secret"), &[]).await;
    let second = secret_of(&owner.get(see_other(&rotated)).await.html);
    convert(&app, "A-2").await;
    let received = receiver.wait_for(2).await;
    let signatures: Vec<&str> = received[1].header("webhook-signature").split(' ').collect();
    assert_eq!(
        signatures,
        [
            expected_signature(&second, &received[1]),
            expected_signature(&first, &received[1])
        ]
    );
    for secret in [&first, &second] {
        verify_by_libraries(secret, &received[1], true);
    }
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    assert_eq!(affiliate.get(page).await.status, StatusCode::NOT_FOUND);
    assert!(!affiliate.get("/deliveries").await.html.contains("Warehouse"));
    let refused = affiliate
        .submit("/destinations/new", "/destinations", &fields)
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.html);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_in_a_row_are_mailed_to_the_users_of_the_affiliate() {
    let app = TestApp::spawn().await;
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    let fields = [
        ("kind", "postback"),
        ("name", "Mine"),
        ("url", "http://127.0.0.1:9/"),
        ("method", "GET"),
        ("events", "created"),
    ];
    let made = affiliate
        .submit("/destinations/new", "/destinations", &fields)
        .await;
    let _ = see_other(&made);
    let sink = testkit::MailSink::start().await;
    let network = app.scene.network.id;
    for (failures, mails) in [(4, 0), (5, 1), (9, 1), (12, 2), (25, 3)] {
        app.execute(&format!("UPDATE destinations SET failures = {failures}"))
            .await;
        let notified = delivery::notify(&app.db, network, &sink.mailer(), "https://app.example").await;
        notified.unwrap();
        assert_eq!(sink.all_to(&app.scene.affiliate.email).len(), mails, "{failures}");
    }
    let mail = &sink.all_to(&app.scene.affiliate.email)[0];
    assert!(
        mail.text
            .contains("5 deliveries in a row to Mine (Orbit) have failed."),
        "{}",
        mail.text
    );
    app.finish().await;
}
