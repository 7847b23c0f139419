//! Docs page of the API in a real browser, under its policy.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::TestApp;
use testkit::browser::{Browser, Client, Locator};

/// Time limit for the page to render.
const RENDER_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum number of screens to scroll through.
const MAX_SCREENS: usize = 200;

/// Scrolls to a screen, and returns the result of a script: of many operations, the page renders those in view only.
async fn scroll(client: &Client, screen: usize, script: &str) -> Value {
    let to = "window.scrollTo(0, arguments[0] * window.innerHeight / 2);";
    client.execute(to, vec![json!(screen)]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    client.execute(script, vec![]).await.unwrap()
}

/// Scrolls until an element is rendered.
async fn reveal(client: &Client, css: &str) {
    let is_there = format!("return document.querySelector('{css}') !== null");
    for at in 0..MAX_SCREENS {
        if scroll(client, at, &is_there).await == json!(true) {
            return;
        }
    }
    panic!("{css} is not on the page");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_docs_page_shows_every_operation_without_violating_its_policy() {
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
    let wait = || client.wait().at_most(RENDER_TIMEOUT);
    wait().for_element(Locator::Css(".opblock")).await.unwrap();
    // Violations from here on are recorded in the page; earlier ones are in the log of the browser.
    let watch = "window.broken = []; document.addEventListener('securitypolicyviolation', \
                 e => window.broken.push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample));";
    client.execute(watch, vec![]).await.unwrap();
    let mut shown = BTreeSet::new();
    for at in 0..MAX_SCREENS {
        let found = scroll(
            client,
            at,
            "return [...document.querySelectorAll('.opblock')].map(block => block.id)",
        )
        .await;
        let ids = found
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_str().unwrap().to_owned());
        shown.extend(ids);
        if shown.len() == api::ROUTES.len() {
            break;
        }
    }
    assert_eq!(shown.len(), api::ROUTES.len(), "{shown:?}");
    scroll(client, 0, "").await;

    // Enters a key, opens an operation and executes it.
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
    let me = "#operations-Authentication-get_me";
    reveal(client, me).await;
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
    reveal(client, other).await;
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
    // Control: both record a violation of the policy.
    let forbidden = "const script = document.createElement('script'); script.textContent = 'window.ran = 1'; \
                     document.body.append(script); return new Promise(done => setTimeout(() => done(window.broken.length), 200))";
    let violations = client.execute(forbidden, vec![]).await.unwrap();
    assert_eq!((violations, browser.log().await.len()), (json!(1), 1));
    app.finish().await;
}
