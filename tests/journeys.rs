//! The journeys of people, in a real Chromium, as they click them.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use std::time::Duration;

use testkit::TestApp;
use testkit::browser::{Browser, Client, Locator};

const PASSWORD: &str = "four unlikely words here";

async fn type_into(page: &Client, field: &str, text: &str) {
    let element = page
        .find(Locator::Id(field))
        .await
        .unwrap_or_else(|_| panic!("no field {field}"));
    element.clear().await.unwrap();
    element.send_keys(text).await.unwrap();
}

async fn choose(page: &Client, field: &str, label: &str) {
    let select = page.find(Locator::Id(field)).await.unwrap();
    select
        .select_by_label(label)
        .await
        .unwrap_or_else(|_| panic!("no {label} in {field}"));
}

async fn pick(page: &Client, field: &str, value: &str) {
    let select = page.find(Locator::Id(field)).await.unwrap();
    select
        .select_by_value(value)
        .await
        .unwrap_or_else(|_| panic!("no {value} in {field}"));
}

async fn press(page: &Client, button: &str) {
    let path = format!("//main//button[normalize-space()='{button}']");
    click(page, Locator::XPath(&path), button).await;
}

async fn follow(page: &Client, link: &str) {
    click(page, Locator::LinkText(link), link).await;
}

/// Clicks an element, which a page that is being loaded may not have yet.
async fn click(page: &Client, place: Locator<'_>, name: &str) {
    for _ in 0..50 {
        if let Ok(found) = page.find(place).await
            && found.click().await.is_ok()
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing to click: {name}");
}

async fn text(page: &Client, id: &str) -> String {
    for _ in 0..50 {
        let shown = async { page.find(Locator::Id(id)).await?.text().await };
        // Pages that are live put a new one in its place each second, also between finding and reading it.
        if let Ok(text) = shown.await {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing shows {id}")
}

async fn sees(page: &Client, words: &str) {
    let mut seen = String::new();
    for _ in 0..50 {
        if let Ok(body) = page.find(Locator::Css("body")).await {
            seen = body.text().await.unwrap_or_default();
        }
        if seen.contains(words) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("“{words}” is not seen within five seconds, but: {seen}");
}

async fn sign_in(app: &TestApp, page: &Client, email: &str, password: &str) {
    page.goto(&format!("{}/sign-in", app.dashboard_url))
        .await
        .unwrap();
    type_into(page, "email", email).await;
    type_into(page, "password", password).await;
    press(page, "Sign in").await;
}

async fn sign_out(page: &Client) {
    click(page, Locator::Css("#user-menu > summary"), "user menu").await;
    let button = page
        .find(Locator::XPath("//button[normalize-space()='Sign out']"))
        .await
        .unwrap();
    button.click().await.unwrap();
    sees(page, "Sign in to Clickledger").await;
}

async fn navigation(page: &Client) -> Vec<String> {
    let mut entries = Vec::new();
    for link in page
        .find_all(Locator::Css("nav[aria-label='Main'] a"))
        .await
        .unwrap()
    {
        entries.push(link.text().await.unwrap());
    }
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_signs_up_and_its_advertisers_developer_sees_the_integration_only() {
    let app = TestApp::spawn().await;
    let browser = Browser::start().await;
    let page = &browser.client;
    page.goto(&format!("{}/sign-in", app.dashboard_url))
        .await
        .unwrap();
    follow(page, "Create your network").await;
    type_into(page, "network", "Nova Partners").await;
    type_into(page, "your_name", "Nina Novak").await;
    type_into(page, "email", "nina@nova.example").await;
    type_into(page, "password", PASSWORD).await;
    press(page, "Create network").await;
    sees(page, "New campaign").await;
    type_into(page, "advertiser", "Nova Shop").await;
    type_into(page, "destination", "https://nova.example/?click_id={click_id}").await;
    type_into(page, "commission", "10 %").await;
    type_into(page, "revenue", "12 %").await;
    press(page, "Create campaign").await;
    sees(page, "New advertiser token").await;
    follow(page, "People").await;
    type_into(page, "email", "dev@nova-shop.example").await;
    pick(page, "role", "advertiser_developer").await;
    choose(page, "advertiser", "Nova Shop").await;
    press(page, "Invite").await;
    let link = text(page, "fresh-link").await;
    sign_out(page).await;
    // The developer, without a password.
    page.goto(&link).await.unwrap();
    sees(page, "Invitation to Nova Partners").await;
    type_into(page, "name", "Dev").await;
    press(page, "Accept").await;
    sees(page, "Integration of Nova Shop").await;
    assert_eq!(navigation(page).await, ["Integration", "Postbacks", "API keys"]);
    // A postback of the shop's server appears without a reload.
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let wrong = format!("{}/nova-partners/postback?token=wrong", app.tracking_url);
    http.get(wrong).send().await.unwrap();
    page.find(Locator::XPath("//summary[normalize-space()='Create new token']"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    press(page, "Create token").await;
    let token = text(page, "fresh-token").await;
    let call = format!(
        "{}/nova-partners/postback?token={token}&click_id=CLICKED&goal=sale",
        app.tracking_url
    );
    http.get(call).send().await.unwrap();
    sees(page, "click_not_found").await;
    browser.client.clone().close().await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_affiliate_applies_is_approved_and_sees_its_own_figures_only() {
    let app = TestApp::spawn().await;
    for _ in 0..3 {
        app.visitor().click("").await;
    }
    let browser = Browser::start().await;
    let page = &browser.client;
    page.goto(&format!("{}/join/orbit", app.dashboard_url))
        .await
        .unwrap();
    type_into(page, "name", "Fresh Blog").await;
    type_into(page, "email", "fred@fresh.example").await;
    type_into(page, "website", "https://fresh.example").await;
    press(page, "Apply").await;
    sees(page, "pending review by Orbit").await;
    sign_in(&app, page, &app.scene.owner.email, &app.scene.owner.password).await;
    follow(page, "Applications").await;
    follow(page, "Fresh Blog").await;
    press(page, "Approve and invite").await;
    let link = text(page, "fresh-link").await;
    // The affiliate's first link, created by the network.
    follow(page, "Campaigns").await;
    follow(page, "Orbit campaign").await;
    follow(page, "Create link").await;
    choose(page, "affiliate", "Fresh Blog").await;
    type_into(page, "alias", "fresh").await;
    press(page, "Create link").await;
    sees(page, "/fresh").await;
    // The link and its destination contain the input before the form is submitted.
    type_into(page, "sub1", "mail").await;
    sees(page, "/fresh?sub1=mail").await;
    sees(page, "&s=mail").await;
    sign_out(page).await;
    page.goto(&link).await.unwrap();
    type_into(page, "name", "Fred").await;
    type_into(page, "password", PASSWORD).await;
    press(page, "Accept").await;
    sees(page, "Earned today").await;
    assert_eq!(
        navigation(page).await,
        [
            "Home",
            "Reports",
            "Conversions",
            "Postbacks",
            "Campaigns",
            "API keys"
        ]
    );
    assert_eq!(
        text(page, "kpi-clicks").await,
        "0",
        "the others' clicks are not its own"
    );
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap();
    http.get(format!("{}/fresh", app.tracking_url))
        .send()
        .await
        .unwrap();
    for _ in 0..50 {
        if text(page, "kpi-clicks").await == "1" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(text(page, "kpi-clicks").await, "1");
    browser.client.clone().close().await.unwrap();
    app.finish().await;
}
