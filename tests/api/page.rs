//! The page to try the API on, in a real browser under its policy.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::TestApp;
use testkit::browser::{Browser, Locator};

/// How long the page may take to draw itself.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_every_operation_and_breaks_no_rule_of_its_policy() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let page = app.stranger().get("/docs/api").await;
    assert_eq!(page.status, StatusCode::OK);
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("script-src 'self';") && !policy.contains("unsafe-eval"),
        "{policy}"
    );

    let browser = Browser::start().await;
    let client = &browser.client;
    client
        .goto(&format!("{}/docs/api", app.dashboard_url))
        .await
        .unwrap();
    let wait = || client.wait().at_most(PATIENCE);
    wait().for_element(Locator::Css(".opblock")).await.unwrap();
    // What is broken from here on is noted by the page itself; what was before, by the browser's own log.
    let watch = "window.broken = []; document.addEventListener('securitypolicyviolation', \
                 e => window.broken.push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample));";
    client.execute(watch, vec![]).await.unwrap();
    let count = "return document.querySelectorAll('.opblock').length";
    let shown = client.execute(count, vec![]).await.unwrap();
    assert_eq!(shown, json!(api::ROUTES.len()));

    // Somebody gives a key, opens an operation and calls it.
    client
        .find(Locator::Css("button.authorize"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    let field = wait()
        .for_element(Locator::Css(".auth-container input"))
        .await
        .unwrap();
    field.send_keys(&program.credential).await.unwrap();
    client
        .find(Locator::Css(".auth-btn-wrapper button.authorize"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    client
        .find(Locator::Css(".auth-btn-wrapper button.btn-done"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    let me = "#operations-You-get_me";
    client
        .find(Locator::Css(&format!("{me} .opblock-summary-control")))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    wait()
        .for_element(Locator::Css(&format!("{me} .try-out__btn")))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    wait()
        .for_element(Locator::Css(&format!("{me} button.execute")))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    let answer = wait()
        .for_element(Locator::Css(&format!(
            "{me} .live-responses-table tr.response .response-col_description"
        )))
        .await
        .unwrap();
    let text = answer.text().await.unwrap();
    assert!(text.contains("membership_id") && text.contains("Orbit"), "{text}");
    let other = "#operations-Affiliates-post_affiliates .opblock-summary-control";
    client
        .find(Locator::Css(other))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    wait()
        .for_element(Locator::Css(
            "#operations-Affiliates-post_affiliates .opblock-body",
        ))
        .await
        .unwrap();

    assert_eq!(
        client.execute("return window.broken", vec![]).await.unwrap(),
        json!([])
    );
    let log: Vec<Value> = browser.log().await;
    assert!(log.is_empty(), "{log:#?}");
    // That both would have told: what the policy forbids.
    let forbidden = "const it = document.createElement('script'); it.textContent = 'window.ran = 1'; \
                     document.body.append(it); return new Promise(done => setTimeout(() => done(window.broken.length), 200))";
    let told = client.execute(forbidden, vec![]).await.unwrap();
    assert_eq!((told, browser.log().await.len()), (json!(1), 1));
    app.finish().await;
}
