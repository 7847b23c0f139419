//! Orders that a browser reports: the picture, what it may say, and the code of the Integration page in a real Chromium.
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

/// What of the last call people see: each step with what was found.
const STEPS: &str = "SELECT trace FROM postbacks ORDER BY id DESC LIMIT 1";

/// A picture that says this besides its click.
async fn picture(app: &TestApp, click: &str, more: &str) -> Answer {
    app.advertiser()
        .call(&format!("/postback.gif?click_id={click}&goal=sale{more}"))
        .await
}

fn assert_picture(answer: &Answer, status: StatusCode, reason: &str) {
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

async fn demand_nothing(app: &TestApp) {
    app.change_integration(|it| it.requires_token = false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_decided_like_every_postback_and_says_so_in_its_headers() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await.id;
    demand_nothing(&app).await;
    for format in [AnswerFormat::Dialect, AnswerFormat::Ours, AnswerFormat::Gif] {
        app.change_integration(|it| it.answer_format = format).await;
        let order = format!("&order_id={format}&amount=10&currency=EUR");
        let made = picture(&app, &click, &order).await;
        assert_picture(&made, StatusCode::OK, "accepted");
        assert_eq!(made.headers["x-postback-status"], "accepted");
        assert_picture(
            &picture(&app, &click, &order).await,
            StatusCode::OK,
            "duplicate_order",
        );
    }
    let refused = picture(&app, &click, "&order_id=1&amount=1,5").await;
    assert_picture(&refused, StatusCode::BAD_REQUEST, "amount_invalid");
    assert_eq!(refused.headers["x-postback-status"], "rejected");
    app.change_integration(|it| it.answer_format = AnswerFormat::AlwaysOk)
        .await;
    let nobody = picture(&app, "nonsense", "&order_id=1").await;
    assert_picture(&nobody, StatusCode::UNPROCESSABLE_ENTITY, "click_not_found");
    let refused = picture(&app, &click, "&order_id=1&currency=XYZ").await;
    assert_picture(&refused, StatusCode::OK, "currency_unknown");
    let sums = "SELECT concat_ws(' ', count(*), sum(amount_micros)) FROM conversions";
    assert_eq!(app.text(sums).await, "3 30000000");
    let in_front = format!("/orbit/postback.gif?click_id={click}&goal=sale&order_id=2&amount=1&currency=XYZ");
    assert_picture(
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
    demand_nothing(&app).await;
    app.change_integration(|it| it.takes_commission = true).await;
    let order = "&order_id=A-1&amount=10";
    assert_picture(&picture(&app, &click, order).await, StatusCode::OK, "accepted");
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
            let answer = picture(&app, &click, &format!("{order}{more}{token}")).await;
            assert_picture(&answer, StatusCode::FORBIDDEN, "report_only");
        }
    }
    let other = picture(&app, &click, "&order_id=A-1&amount=900").await;
    assert_picture(&other, StatusCode::OK, "duplicate_conflict");
    let stands = "SELECT concat_ws(' ', count(*), min(status), sum(amount_micros)) FROM conversions";
    assert_eq!(app.text(stands).await, "1 pending 10000000");
    let approved = app
        .advertiser()
        .postback(&[("click_id", &click), ("order_id", "A-1"), ("status", "approved")])
        .await;
    assert_eq!(approved.reason(), "updated", "the server may say more");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_browser_sends_is_no_secret_and_proves_nothing() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await.id;
    let with_token = format!("&order_id=A-1&amount=10&token={}", app.scene.token);
    for order in ["&order_id=A-1&amount=10", &with_token] {
        let answer = picture(&app, &click, order).await;
        assert_picture(&answer, StatusCode::UNAUTHORIZED, "token_missing");
    }
    let message = app
        .text("SELECT message FROM postbacks ORDER BY id DESC LIMIT 1")
        .await;
    assert_eq!(
        message,
        "A token is demanded, and what a browser sends is no secret."
    );
    app.change_integration(|it| it.is_monitoring = true).await;
    let looked_at = picture(&app, &click, "&order_id=A-2&amount=10").await;
    assert_picture(&looked_at, StatusCode::OK, "accepted");
    let steps = app.text(STEPS).await;
    assert!(steps.contains(r#"["token","!","token_missing: "#), "{steps}");
    assert!(
        steps.contains(r#"["browser","~","it came from a browser"#),
        "{steps}"
    );
    app.change_integration(|it| {
        it.requires_token = false;
        it.is_monitoring = false;
        it.allowed_addresses = Words(vec!["127.0.0.1".into()]);
    })
    .await;
    let from_here = picture(&app, &click, &format!("{with_token}&status=approved")).await;
    assert_picture(&from_here, StatusCode::FORBIDDEN, "report_only");
    assert_picture(
        &picture(&app, &click, &with_token).await,
        StatusCode::OK,
        "accepted",
    );
    let steps = app.text(STEPS).await;
    assert!(
        steps.contains("for everybody to read: it proves nothing"),
        "{steps}"
    );
    let coupon = app
        .advertiser()
        .call(&format!("/postback.gif?goal=sale&coupon=SCENE{with_token}"))
        .await;
    assert_picture(&coupon, StatusCode::UNAUTHORIZED, "token_missing");
    assert_eq!(app.count("SELECT count(*) FROM conversions").await, 2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_the_advertisers_server_has_signed_is_its_own_word() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await.id;
    let mut conn = app.network().await;
    let (author, id) = (Author::system(), app.scene.advertiser_id);
    let secret = integrations::new_signing_secret(&mut conn, &author, &app.secret, id, clock::now());
    let secret = secret.await.unwrap().unwrap();
    conn.commit().await.unwrap();
    app.change_integration(|it| {
        it.requires_token = false;
        it.requires_signature = true;
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
    assert_picture(&forged, StatusCode::UNAUTHORIZED, "signature_invalid");
    let signed = app
        .advertiser()
        .call(&format!("{target}&signature={signature}"))
        .await;
    assert_picture(&signed, StatusCode::OK, "accepted");
    assert_eq!(app.text("SELECT status FROM conversions").await, "approved");
    app.finish().await;
}

/// The code of the Integration page: the pixel and what stands between the tag's `<script>` and `</script>`.
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
        let text = plain
            .iter()
            .fold(code.to_owned(), |text, (entity, it)| text.replace(entity, it));
        entities
            .iter()
            .fold(text, |text, (entity, it)| text.replace(entity, it))
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
async fn the_tag_reports_what_the_data_layer_says_from_a_page_that_trusts_nothing_else() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await.id;
    demand_nothing(&app).await;
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
            // The script comes before the one that it needs, and is there without it.
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
        "nobody has clicked"
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
async fn the_pixel_reports_what_is_put_into_it() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await.id;
    let (pixel, _) = code(&app).await;
    let developer = app.sign_in(&app.scene.advertiser).await;
    let home = developer.get("/integration").await.location().to_owned();
    let refused = "browser requests are rejected";
    assert!(
        developer.get(&home).await.html.contains(refused),
        "a token is demanded"
    );
    demand_nothing(&app).await;
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
    assert_eq!(width, 1, "it is a picture");
    app.eventually(
        "SELECT concat_ws(' ', order_id, amount_micros) FROM conversions",
        "A/1 49900000",
    )
    .await;
    browser.client.clone().close().await.unwrap();
    drop(browser);
    app.finish().await;
}
