//! Shell around the pages in a real Chromium: rail, menus, icons, letters, answers after actions, decisions by ticking rows.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;
use tenancy::RoleKind;
use testkit::TestApp;
use testkit::browser::{Browser, Client, Locator};
use testkit::people::see_other;

/// Value of an expression on the page.
async fn value(page: &Client, expression: &str) -> Value {
    page.execute(&format!("return {expression}"), Vec::new())
        .await
        .unwrap()
}

async fn click(page: &Client, selector: &str) {
    let element = page.find(Locator::Css(selector)).await.unwrap();
    element.click().await.unwrap();
}

/// Five conversions.
async fn orders(app: &TestApp) {
    let (visitor, server) = (app.visitor(), app.advertiser());
    for order in ["A-1", "A-2", "A-3", "A-4", "A-5"] {
        let click = visitor.click("").await.id;
        let sent = [
            ("click_id", click.as_str()),
            ("order_id", order),
            ("amount", "100"),
        ];
        assert_eq!(server.postback(&sent).await.reason(), "accepted");
    }
    app.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rail_folds_slides_in_on_a_phone_and_leaves_the_page_its_room() {
    let app = TestApp::spawn().await;
    orders(&app).await;
    let browser = Browser::start().await;
    let page = &browser.client;
    browser.sign_in(&app, &app.scene.owner).await;
    let width = "Math.round(document.querySelector('.rail').getBoundingClientRect().width)";
    assert_eq!(value(page, width).await, 232);
    // Icons are drawn from the sprite under the policy of the page.
    let drawn = "[...document.querySelectorAll('.rail nav use')].every(use => use.getBBox().width > 5)";
    page.wait()
        .at_most(Duration::from_secs(5))
        .for_element(Locator::Css(".rail nav use"))
        .await
        .unwrap();
    for _ in 0..50 {
        if value(page, drawn).await == true {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(value(page, drawn).await, true);
    click(page, ".fold button").await;
    page.wait().for_element(Locator::Css(".narrow")).await.unwrap();
    assert_eq!(value(page, width).await, 56);
    // Screen readers still read the names.
    let names = "document.querySelector('.rail nav').textContent.includes('Campaigns')";
    assert_eq!(value(page, names).await, true);
    click(page, ".fold button").await;
    page.wait()
        .for_element(Locator::Css(".shell:not(.narrow)"))
        .await
        .unwrap();

    // Hyphens are narrower than digits, and code has no ligatures.
    let widths = "(() => {
        const width = (text, tag) => {
            const line = document.body.appendChild(document.createElement(tag));
            line.textContent = text;
            line.setAttribute('class', 'nowrap');
            const box = document.createRange();
            box.selectNodeContents(line);
            const found = box.getBoundingClientRect().width;
            line.remove();
            return found;
        };
        return [width('----------', 'p') < 0.9 * width('0000000000', 'p'),
            getComputedStyle(document.body.appendChild(document.createElement('code'))).fontVariantLigatures];
    })()";
    assert_eq!(value(page, widths).await, serde_json::json!([true, "none"]));

    page.set_window_size(500, 844).await.unwrap();
    page.goto(&format!("{}/conversions", app.dashboard_url))
        .await
        .unwrap();
    let top = "document.querySelector('main').getBoundingClientRect().top";
    assert!(value(page, top).await.as_f64().unwrap() < 80.0);
    let shown = "document.querySelector('.rail').checkVisibility()";
    assert_eq!(value(page, shown).await, false);
    // Nothing is wider than the window, and a row can be decided without scrolling sideways.
    let fits = "document.documentElement.scrollWidth <= innerWidth
        && document.querySelector('.card-action button').getBoundingClientRect().right <= innerWidth";
    assert_eq!(value(page, fits).await, true);
    click(page, ".open-rail").await;
    assert_eq!(value(page, shown).await, true);
    page.find(Locator::LinkText("Campaigns"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    page.wait()
        .for_element(Locator::XPath("//h1[text()='Campaigns']"))
        .await
        .unwrap();
    let violations = browser.log().await;
    assert!(violations.is_empty(), "{violations:?}");
    browser.client.clone().close().await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_ticked_by_keys_and_decided_together_after_their_effect_was_shown() {
    let app = TestApp::spawn().await;
    orders(&app).await;
    let browser = Browser::start().await;
    let page = &browser.client;
    browser.sign_in(&app, &app.scene.owner).await;
    page.goto(&format!("{}/conversions", app.dashboard_url))
        .await
        .unwrap();
    // Newest first: the second and the third.
    for key in ["j", "j", "x", "j", "x"] {
        let focused = page.active_element().await.unwrap();
        focused.send_keys(key).await.unwrap();
    }
    let ticked = page.find(Locator::Id("ticked")).await.unwrap();
    assert_eq!(ticked.text().await.unwrap(), "2 conversions selected");
    click(page, "#bulk button[value=reject]").await;
    let preview = page
        .wait()
        .for_element(Locator::XPath("//p[contains(., 'conversions change')]"))
        .await
        .unwrap();
    assert!(preview.text().await.unwrap().starts_with("2 conversions change"));
    assert_eq!(
        app.count("SELECT count(*) FROM conversions WHERE status = 'rejected'")
            .await,
        0
    );
    click(page, "button[name=confirm]").await;
    let done = page
        .wait()
        .for_element(Locator::Css("#done .notice"))
        .await
        .unwrap();
    assert_eq!(done.text().await.unwrap(), "2 conversions were corrected.");
    assert_eq!(
        app.text(
            "SELECT string_agg(order_id, ' ' ORDER BY order_id) FROM conversions WHERE status = 'rejected'"
        )
        .await,
        "A-3 A-4"
    );
    browser.client.clone().close().await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn home_shows_what_needs_attention_and_every_number_leads_to_its_rows() {
    let app = TestApp::spawn().await;
    orders(&app).await;
    let owner = app.sign_in(&app.scene.owner).await;
    let home = owner.get("/").await.html;
    for expected in [
        "<strong class=\"number\">5</strong> conversions await a decision",
        "50.00 EUR commission",
        "affiliate has applied",
        "Top campaigns",
        "Top affiliates",
        "none before",
    ] {
        assert!(home.contains(expected), "{expected} is missing in {home}");
    }
    // The part that refreshes itself is sent alone.
    let part = owner.get_with("/?period=today", &[("HX-Request", "true")]).await;
    assert!(
        part.html.trim_start().starts_with("<div id=\"live\""),
        "{}",
        part.html
    );
    let links = home.split("href=\"").skip(1);
    let links: Vec<_> = links
        .map(|rest| {
            rest.split('"')
                .next()
                .unwrap()
                .replace("&#38;", "&")
                .replace("&amp;", "&")
        })
        .filter(|link| link.starts_with('/') && !link.starts_with("/static"))
        .collect();
    assert!(links.len() > 30, "{links:?}");
    for link in links {
        let status = owner.get(&link).await.status;
        assert!(
            status.is_success() || status == StatusCode::SEE_OTHER,
            "{link}: {status}"
        );
    }
    assert!(owner.get("/?period=never").await.status.is_client_error());

    // An affiliate sees its balance, an advertiser what it owes; a developer has no home.
    let affiliate = app.sign_in(&app.scene.affiliate).await.get("/").await.html;
    assert!(
        affiliate.contains("Earned today") && affiliate.contains("50.00 EUR"),
        "{affiliate}"
    );
    assert!(!affiliate.contains("conversions await a decision"));
    let advertiser = app.sign_in(&app.scene.advertiser).await.get("/").await.html;
    assert!(advertiser.contains("Owed for today") && advertiser.contains("75.00 EUR"));
    assert!(!advertiser.contains("50.00 EUR"), "{advertiser}");
    let developer = app.sign_in(app.scene.person(RoleKind::AdvertiserDeveloper)).await;
    assert_eq!(developer.get("/").await.location(), "/integration");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_and_documentation_are_inside_the_shell_of_signed_in_people_only() {
    let app = TestApp::spawn().await;
    let (owner, stranger) = (app.sign_in(&app.scene.owner).await, app.stranger());
    let rail = "<nav aria-label=\"Main\">";
    for path in [
        "/nowhere",
        "/campaigns/cmp_0000001",
        "/ops",
        "/docs/postback",
        "/account",
    ] {
        let page = owner.get(path).await.html;
        assert!(
            page.contains(rail) && page.contains(">Campaigns</span>"),
            "{path}: {page}"
        );
    }
    let docs = stranger.get("/docs/postback").await.html;
    assert!(
        docs.contains("Sign in") && !docs.contains(">Campaigns</span>"),
        "{docs}"
    );
    let used = stranger.get("/invitations/none").await;
    assert_eq!(used.status, StatusCode::NOT_FOUND);
    assert!(!used.html.contains(rail));
    // The menu of networks is filled from the page of the account.
    assert!(
        owner
            .get("/account")
            .await
            .html
            .contains("<section id=\"networks\"")
    );
    let folded = owner
        .submit("/", "/rail", &[("rail", "narrow"), ("here", "/reports")])
        .await;
    assert_eq!(see_other(&folded), "/reports");
    assert!(owner.get("/").await.html.contains("class=\"shell narrow\""));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_pages_are_compressed_and_sent_once() {
    let app = TestApp::spawn().await;
    let stranger = app.stranger();
    let page = stranger.get("/sign-in").await.html;
    let (_, rest) = page.split_once("href=\"/static/").unwrap();
    let hashed = format!("/static/{}", rest.split('"').next().unwrap());
    let file = hashed.rsplit('/').next().unwrap();
    let other = format!("/static/another/{file}");
    let first = stranger.get(&other).await;
    assert_eq!(
        (first.status, &first.headers["cache-control"]),
        (StatusCode::OK, &"no-cache".parse().unwrap())
    );
    let tag = first.headers["etag"].to_str().unwrap();
    let second = stranger.get_with(&other, &[("If-None-Match", tag)]).await;
    assert_eq!(
        (second.status, second.html.as_str()),
        (StatusCode::NOT_MODIFIED, "")
    );
    let changed = stranger
        .get_with(&other, &[("If-None-Match", "W/\"former\"")])
        .await;
    assert_eq!(changed.status, StatusCode::OK);
    for path in [other.as_str(), "/sign-in"] {
        let packed = stranger.get_with(path, &[("Accept-Encoding", "gzip")]).await;
        assert_eq!(packed.headers["content-encoding"], "gzip", "{path}");
    }
    app.finish().await;
}
