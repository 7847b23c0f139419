//! Orders reported by browsers: the tracking pixel, its limits, and the code of the Integration page in real Chromium.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use std::time::Duration;

use campaigns::integrations::{self, AnswerFormat};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Method, StatusCode};
use schema::{Words, clock};
use sha2::{Digest, Sha256};
use tenancy::Author;
use testkit::browser::Browser;
use testkit::{Answer, TestApp, site};

/// Requests the tracking pixel with a click ID and more parameters.
async fn pixel(app: &TestApp, click: &str, more: &str) -> Answer {
    app.advertiser()
        .call(&format!("/postback.gif?click_id={click}&goal=sale{more}"))
        .await
}

fn assert_pixel(answer: &Answer, status: StatusCode, reason: &str) {
    let header = |name: &str| answer.headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(
        (answer.status, header("x-postback-reason").as_str()),
        (status, reason)
    );
    assert_eq!(header("content-type"), "image/gif");
    assert!(answer.text.starts_with("GIF89a"), "{}", answer.text);
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("cross-origin-resource-policy"), "cross-origin");
    assert!(header("x-request-id").starts_with("pb_"));
}

async fn require_no_token(app: &TestApp) {
    app.change_integration(|integration| integration.requires_token = false)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pixel_request_is_decided_like_every_postback_with_the_verdict_in_its_headers() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await.id;
    require_no_token(&app).await;
    for format in [AnswerFormat::Dialect, AnswerFormat::Ours, AnswerFormat::Gif] {
        app.change_integration(|integration| integration.answer_format = format)
            .await;
        let order = format!("&order_id={format}&amount=10&currency=EUR");
        let made = pixel(&app, &click, &order).await;
        assert_pixel(&made, StatusCode::OK, "accepted");
        assert_eq!(made.headers["x-postback-status"], "accepted");
        assert_pixel(
            &pixel(&app, &click, &order).await,
            StatusCode::OK,
            "duplicate_order",
        );
    }
    let refused = pixel(&app, &click, "&order_id=1&amount=1,5").await;
    assert_pixel(&refused, StatusCode::BAD_REQUEST, "amount_invalid");
    assert_eq!(refused.headers["x-postback-status"], "rejected");
    app.change_integration(|integration| integration.answer_format = AnswerFormat::AlwaysOk)
        .await;
    let unknown = pixel(&app, "nonsense", "&order_id=1").await;
    assert_pixel(&unknown, StatusCode::UNPROCESSABLE_ENTITY, "click_not_found");
    let refused = pixel(&app, &click, "&order_id=1&currency=XYZ").await;
    assert_pixel(&refused, StatusCode::OK, "currency_unknown");
    let sums = "SELECT concat_ws(' ', count(*), sum(amount_micros)) FROM conversions";
    assert_eq!(app.text(sums).await, "3 30000000");
    let in_front = format!("/orbit/postback.gif?click_id={click}&goal=sale&order_id=2&amount=1&currency=XYZ");
    assert_pixel(
        &app.advertiser().call(&in_front).await,
        StatusCode::OK,
        "currency_unknown",
    );
    assert_eq!(
        app.advertiser()
            .call_with(Method::HEAD, "/postback.gif", &[], "")
            .await
            .status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_may_report_an_order_and_nothing_else() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await.id;
    require_no_token(&app).await;
    app.change_integration(|integration| integration.takes_commission = true)
        .await;
    let order = "&order_id=A-1&amount=10";
    assert_pixel(&pixel(&app, &click, order).await, StatusCode::OK, "accepted");
    let token = format!("&token={}", app.scene.token);
    for more in [
        "&status=approved",
        "&action=update",
        "&refund=all",
        "&commission=900",
        "&commission_percent=90",
        "&revenue=0",
    ] {
        for token in ["", &token] {
            let answer = pixel(&app, &click, &format!("{order}{more}{token}")).await;
            assert_pixel(&answer, StatusCode::FORBIDDEN, "report_only");
        }
    }
    let other = pixel(&app, &click, "&order_id=A-1&amount=900").await;
    assert_pixel(&other, StatusCode::OK, "duplicate_conflict");
    let stands = "SELECT concat_ws(' ', count(*), min(status), sum(amount_micros)) FROM conversions";
    assert_eq!(app.text(stands).await, "1 pending 10000000");
    let approved = app
        .advertiser()
        .postback(&[("click_id", &click), ("order_id", "A-1"), ("status", "approved")])
        .await;
    assert_eq!(approved.reason(), "updated", "the server may change orders");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_sent_by_a_browser_authenticates_nothing() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await.id;
    let with_token = format!("&order_id=A-1&amount=10&token={}", app.scene.token);
    for order in ["&order_id=A-1&amount=10", &with_token] {
        let answer = pixel(&app, &click, order).await;
        assert_pixel(&answer, StatusCode::UNAUTHORIZED, "token_missing");
    }
    let message = app
        .text("SELECT message FROM postbacks ORDER BY id DESC LIMIT 1")
        .await;
    assert_eq!(
        message,
        "A token is required, and a token from a browser is not secret."
    );
    app.change_integration(|integration| integration.is_monitoring = true)
        .await;
    let monitored = pixel(&app, &click, "&order_id=A-2&amount=10").await;
    assert_pixel(&monitored, StatusCode::OK, "accepted");
    let steps = app.trace("true").await;
    assert!(steps.contains(r#"["token","!","token_missing: "#), "{steps}");
    assert!(
        steps.contains(r#"["browser","~","a browser sent it: every visitor with the click could have"#),
        "{steps}"
    );
    app.change_integration(|integration| {
        integration.requires_token = false;
        integration.is_monitoring = false;
        integration.allowed_addresses = Words(vec!["127.0.0.1".into()]);
    })
    .await;
    let from_here = pixel(&app, &click, &format!("{with_token}&status=approved")).await;
    assert_pixel(&from_here, StatusCode::FORBIDDEN, "report_only");
    assert_pixel(
        &pixel(&app, &click, &with_token).await,
        StatusCode::OK,
        "accepted",
    );
    let steps = app.trace("true").await;
    assert!(
        steps.contains("a browser sent it, so it is public and proves nothing"),
        "{steps}"
    );
    let coupon = app
        .advertiser()
        .call(&format!("/postback.gif?goal=sale&coupon=SCENE{with_token}"))
        .await;
    assert_pixel(&coupon, StatusCode::UNAUTHORIZED, "token_missing");
    assert_eq!(app.count("SELECT count(*) FROM conversions").await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pixel_url_signed_by_the_advertisers_server_is_authenticated() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await.id;
    let mut conn = app.network().await;
    let (author, id) = (Author::system(), app.scene.advertiser_id);
    let secret = integrations::new_signing_secret(&mut conn, &author, &app.secret, id, clock::now());
    let secret = secret.await.unwrap().unwrap();
    conn.commit().await.unwrap();
    app.change_integration(|integration| {
        integration.requires_token = false;
        integration.requires_signature = true;
    })
    .await;
    let now = clock::now().timestamp();
    let target = format!(
        "/postback.gif?click_id={click}&goal=sale&order_id=A-1&amount=10&status=approved&timestamp={now}"
    );
    let digest = HEXLOWER.encode(&Sha256::digest(format!("{target}\n").as_bytes()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{now}.{digest}").as_bytes());
    let signature = HEXLOWER.encode(&mac.finalize().into_bytes());
    let changed = target.replace("amount=10", "amount=90");
    let forged = app
        .advertiser()
        .call(&format!("{changed}&signature={signature}"))
        .await;
    assert_pixel(&forged, StatusCode::UNAUTHORIZED, "signature_invalid");
    let signed = app
        .advertiser()
        .call(&format!("{target}&signature={signature}"))
        .await;
    assert_pixel(&signed, StatusCode::OK, "accepted");
    assert_eq!(app.text("SELECT status FROM conversions").await, "approved");
    app.finish().await;
}

/// Code of the Integration page: the pixel, and the tag without `<script>` and `</script>`.
async fn code(app: &TestApp) -> (String, String) {
    let developer = app.sign_in(&app.scene.advertiser).await;
    let home = developer.get("/integration").await.location().to_owned();
    let page = developer.get(&home).await;
    let shown = |id: &str| {
        let (_, rest) = page.html.split_once(&format!("<pre id=\"{id}\">")).unwrap();
        let (code, _) = rest.split_once("</pre>").unwrap();
        let entities = [
            ("&#60;", "<"),
            ("&#62;", ">"),
            ("&#34;", "\""),
            ("&#39;", "'"),
            ("&#38;", "&"),
        ];
        let plain = [("&lt;", "<"), ("&gt;", ">")];
        let text = plain.iter().fold(code.to_owned(), |text, (entity, character)| {
            text.replace(entity, character)
        });
        entities
            .iter()
            .fold(text, |text, (entity, character)| text.replace(entity, character))
    };
    let tag = shown("tag");
    let inside = tag
        .strip_prefix("<script>")
        .unwrap()
        .strip_suffix("</script>")
        .unwrap();
    (shown("pixel"), inside.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tag_reports_orders_of_the_data_layer_from_a_page_with_a_strict_policy() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await.id;
    require_no_token(&app).await;
    let (_, tag) = code(&app).await;
    let tag = tag.replace("\"lead\"", "\"sale\"");
    let (dashboard, tracking) = (app.dashboard_url.clone(), app.tracking_url.clone());
    let port = site::serve(move |target| {
        let policy = format!(
            "Content-Security-Policy: default-src 'none'; script-src 'self' {dashboard}; img-src {tracking}\r\n\
             Cross-Origin-Embedder-Policy: require-corp\r\n"
        );
        let layer = |entry: &str| format!("window.dataLayer = [{{ecommerce: null}}, {entry}, {{event: 'later'}}]");
        let script = |text: &str| site::http("200 OK", "Content-Type: text/javascript; charset=utf-8\r\n", text);
        let page = |scripts: &str| {
            let headers = format!("{policy}Content-Type: text/html\r\n");
            site::http("200 OK", &headers, &format!("<!doctype html><title>Shop</title>{scripts}"))
        };
        let capture = format!("<script src={dashboard}/capture.js defer></script>");
        match target.split('?').next().unwrap_or_default() {
            "/" => page(&capture),
            // The tag comes before the capture script, and works without it.
            "/thanks" => page(&format!("<script src=/first.js></script><script src=/tag.js></script>{capture}")),
            "/alone" => page("<script src=/second.js></script><script src=/tag.js></script>"),
            "/first.js" => script(&layer(
                "{event: 'purchase', ecommerce: {transaction_id: '№ 7/ä+&=%', value: 0.1 + 0.2, currency: 'EUR'}}",
            )),
            "/second.js" => script(&layer("{0: 'event', 1: 'purchase', 2: {transaction_id: 'A-2', value: '12.50'}}")),
            "/tag.js" => script(&tag),
            _ => site::http("404 Not Found", "", ""),
        }
    })
    .await;
    let browser = Browser::start().await;
    let open = async |target: &str| {
        let url = format!("http://127.0.0.1:{port}{target}");
        browser.client.goto(&url).await.unwrap();
    };
    open("/thanks").await;
    open("/").await;
    assert_eq!(
        app.count("SELECT count(*) FROM postbacks").await,
        0,
        "no click is stored yet"
    );
    open(&format!("/?click_id={click}")).await;
    for target in ["/thanks", "/thanks", "/alone"] {
        open(target).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    app.eventually("SELECT count(*) FROM postbacks", "3").await;
    let made = "SELECT string_agg(concat_ws(' ', order_id, amount_micros, currency), '; ' ORDER BY order_id COLLATE \"C\")
                FROM conversions";
    assert_eq!(app.text(made).await, "A-2 12500000 EUR; № 7/ä+&=% 300000 EUR");
    let log = browser.log().await;
    let ours = log
        .iter()
        .map(ToString::to_string)
        .filter(|entry| !entry.contains("favicon"));
    assert_eq!(ours.collect::<Vec<_>>(), Vec::<String>::new());
    browser.client.clone().close().await.unwrap();
    drop(browser);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pixel_reports_the_values_filled_into_its_url() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await.id;
    let (pixel, _) = code(&app).await;
    let developer = app.sign_in(&app.scene.advertiser).await;
    let home = developer.get("/integration").await.location().to_owned();
    let refused = "browser requests are rejected";
    assert!(
        developer.get(&home).await.html.contains(refused),
        "a token is required"
    );
    require_no_token(&app).await;
    assert!(!developer.get(&home).await.html.contains(refused));
    let page = pixel
        .replace("CLICK_ID&", &format!("{click}&"))
        .replace("ORDER_ID&", "A%2F1&")
        .replace("AMOUNT&", "49.90&");
    let port = site::serve(move |_| {
        site::http(
            "200 OK",
            "Content-Type: text/html\r\n",
            &format!("<!doctype html>{page}"),
        )
    })
    .await;
    let browser = Browser::start().await;
    browser
        .client
        .goto(&format!("http://127.0.0.1:{port}/"))
        .await
        .unwrap();
    let width = "return document.querySelector('img').naturalWidth";
    let width = browser.client.execute(width, Vec::new()).await.unwrap();
    assert_eq!(width, 1, "the response is an image");
    app.eventually(
        "SELECT concat_ws(' ', order_id, amount_micros) FROM conversions",
        "A/1 49900000",
    )
    .await;
    browser.client.clone().close().await.unwrap();
    drop(browser);
    app.finish().await;
}
