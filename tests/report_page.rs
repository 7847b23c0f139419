//! Report page: rows that open, filters, columns, chart, period and keys, in a real Chromium and without JavaScript.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::browser::{Browser, Client, Locator};
use testkit::people::see_other;
use testkit::{Member, TestApp};

/// Clicks with sub IDs, and orders of large sums.
async fn world() -> TestApp {
    let app = TestApp::spawn().await;
    let server = app.advertiser();
    for (order, sub, amount) in [
        ("1", "autumn-newsletter-of-the-whole-year", "1204500.50"),
        ("2", "autumn-newsletter-of-the-whole-year", "88000.25"),
        ("3", "blog", "999999.99"),
        ("", "video", ""),
    ] {
        let click = app.visitor().click(&format!("?sub1={sub}&sub2=top")).await;
        if order.is_empty() {
            continue;
        }
        let sent = [
            ("click_id", click.id.as_str()),
            ("goal", "sale"),
            ("order_id", order),
            ("amount", amount),
            ("currency", "EUR"),
        ];
        let made = server.postback(&sent).await;
        assert_eq!(made.reason(), "accepted", "{}", made.text);
    }
    app.settled().await;
    app
}

/// Value of an expression on the page.
async fn value(page: &Client, expression: &str) -> Value {
    page.execute(&format!("return {expression}"), Vec::new())
        .await
        .unwrap()
}

/// Waits until an expression is true, for ten seconds at most.
async fn becomes(page: &Client, expression: &str) {
    for _ in 0..100 {
        if value(page, expression).await == true {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!(
        "{expression} is not true on {}",
        page.current_url().await.unwrap()
    );
}

/// Messages of the browser, but for its advice.
async fn messages(browser: &Browser) -> Vec<Value> {
    let mut log = browser.log().await;
    log.retain(|entry| entry["source"] != "recommendation");
    log
}

async fn click(page: &Client, selector: &str) {
    let element = page.find(Locator::Css(selector)).await.unwrap();
    element.click().await.unwrap();
}

async fn press(page: &Client, key: &str) {
    let focused = page.active_element().await.unwrap();
    focused.send_keys(key).await.unwrap();
}

/// Names of the rows of the table.
const NAMES: &str =
    "[...document.querySelectorAll('.report-table tbody th .group-key')].map(key => key.textContent)";

#[tokio::test(flavor = "multi_thread")]
async fn rows_open_filter_and_chart_in_place_by_clicks_and_by_keys() {
    let app = world().await;
    let browser = Browser::start().await;
    let page = &browser.client;
    browser.sign_in(&app, &app.scene.owner).await;
    page.goto(&format!(
        "{}/reports?period=today&group=campaign,sub1",
        app.dashboard_url
    ))
    .await
    .unwrap();
    // The page is not loaded again by what follows.
    value(page, "window.same = true").await;
    let news = "autumn-newsletter-of-the-whole-year";
    assert_eq!(
        value(page, NAMES).await,
        json!(["Orbit campaign", news, "blog", "video"])
    );
    // A row closes, and the focus stays on it.
    click(page, "a.toggle").await;
    becomes(page, &format!("{NAMES}.length === 1")).await;
    assert_eq!(value(page, "document.activeElement.className").await, "toggle");
    assert_eq!(
        value(page, "document.activeElement.getAttribute('aria-expanded')").await,
        "false"
    );
    assert_eq!(value(page, "location.search.includes('open=')").await, true);
    press(page, "\u{e007}").await;
    becomes(page, &format!("{NAMES}.length === 4")).await;
    // Two rows on, f filters by the row.
    for key in ["j", "j"] {
        press(page, key).await;
    }
    assert_eq!(value(page, "document.activeElement.textContent").await, "blog");
    press(page, "f").await;
    becomes(page, &format!("{NAMES}.includes('blog') && {NAMES}.length === 2")).await;
    let chips = "[...document.querySelectorAll('a.chip:not(.clear)')].map(chip => chip.firstChild.textContent.trim())";
    assert_eq!(
        value(page, chips).await,
        json!(["Campaign: Orbit campaign", "Sub ID 1: blog"])
    );
    click(page, "#clear-filters").await;
    becomes(page, &format!("{NAMES}.length === 4")).await;
    // A figure above the table is charted when it is clicked.
    let title = "document.querySelector('figcaption').textContent";
    assert_eq!(value(page, title).await, "Conversions by hour");
    page.find(Locator::XPath("//dt[text()='Commission']/..//a"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    becomes(page, &format!("{title} === 'Commission in EUR by hour'")).await;
    assert_eq!(value(page, "window.same").await, true);
    // Back is the page before.
    page.back().await.unwrap();
    becomes(page, &format!("{title} === 'Conversions by hour'")).await;
    assert_eq!(messages(&browser).await, Vec::<Value>::new());
    browser.client.clone().close().await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_cut_off_at_1280_pixels_and_a_phone_has_a_list() {
    let app = world().await;
    let browser = Browser::start().await;
    let page = &browser.client;
    browser.sign_in(&app, &app.scene.owner).await;
    browser.resize(1280, 900).await;
    let url = format!(
        "{}/reports?period=last_7_days&compare=previous&group=campaign,sub1&sub2=top",
        app.dashboard_url
    );
    page.goto(&url).await.unwrap();
    let fits = "document.documentElement.scrollWidth <= innerWidth";
    let table = "(() => { const table = document.querySelector('.report-table');
        return [table.scrollWidth - table.clientWidth, table.querySelectorAll('thead tr:first-child th').length]; })()";
    assert_eq!(value(page, fits).await, true);
    assert_eq!(value(page, table).await, json!([0, 13]));
    let name = "document.querySelectorAll('.report-table tbody .group-key')[1].offsetWidth > 100";
    assert_eq!(value(page, name).await, true);
    // In a table wider than its place, the names and the sums stay in sight.
    let metrics = "clicks,valid_clicks,unique_clicks,invalid_clicks,conversions,conversion_rate,pending,approved,rejected,approval_rate,rejection_rate,amount,average_order,commission,earnings_per_click,revenue,revenue_per_click,margin";
    page.goto(&format!("{url}&metrics={metrics}")).await.unwrap();
    browser.resize(1280, 420).await;
    let kept = "(() => { const table = document.querySelector('.report-table');
        table.scrollTo(400, 60);
        const place = selector => table.querySelector(selector).getBoundingClientRect();
        const box = table.getBoundingClientRect();
        return [table.scrollLeft > 100, Math.abs(place('tbody th').left - box.left) < 3,
            place('tr.total').top - box.top < 80 && place('tr.total').top >= box.top]; })()";
    assert_eq!(value(page, kept).await, json!([true, true, true]));
    assert_eq!(value(page, fits).await, true);
    browser.resize(390, 844).await;
    page.goto(&url).await.unwrap();
    assert_eq!(value(page, fits).await, true);
    let row = "(() => { const row = document.querySelectorAll('.report-table tbody tr')[1];
        const shown = [...row.cells].filter(cell => cell.checkVisibility());
        return [row.cells[0].innerText.trim(), shown.length,
            getComputedStyle(row.cells[4], '::before').content,
            shown.every(cell => cell.getBoundingClientRect().right <= innerWidth)]; })()";
    assert_eq!(
        value(page, row).await,
        json!(["autumn-newsletter-of-the-whole-year", 5, "\"Conversions\"", true])
    );
    // A menu is inside the window.
    click(page, "#columns summary").await;
    let inside = "(() => { const box = document.querySelector('#columns .panel').getBoundingClientRect();
        return box.left >= 0 && box.right <= innerWidth && box.bottom <= innerHeight; })()";
    assert_eq!(value(page, inside).await, true);
    assert_eq!(messages(&browser).await, Vec::<Value>::new());
    browser.client.clone().close().await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_list_the_shortcuts_go_to_pages_and_walk_through_periods() {
    let app = world().await;
    let browser = Browser::start().await;
    let page = &browser.client;
    browser.sign_in(&app, &app.scene.owner).await;
    page.goto(&format!(
        "{}/reports?period=last_7_days&group=campaign",
        app.dashboard_url
    ))
    .await
    .unwrap();
    let is_open = "document.getElementById('shortcuts').matches(':popover-open')";
    assert_eq!(value(page, is_open).await, false);
    press(page, "?").await;
    becomes(page, is_open).await;
    let lists = "document.getElementById('shortcuts').innerText.includes('Next and previous row')";
    assert_eq!(value(page, lists).await, true);
    press(page, "\u{e00c}").await;
    becomes(page, &format!("!{is_open}")).await;
    // A letter in a field is text.
    click(page, "#search").await;
    press(page, "?").await;
    assert_eq!(value(page, "document.getElementById('search').value").await, "?");
    assert_eq!(value(page, is_open).await, false);
    value(page, "document.activeElement.blur()").await;
    press(page, "[").await;
    becomes(page, "!location.search.includes('last_7_days')").await;
    press(page, "]").await;
    becomes(
        page,
        "document.querySelector('.period-bar .label').textContent === 'Last 7 days'",
    )
    .await;
    for key in ["g", "c"] {
        press(page, key).await;
    }
    becomes(page, "location.pathname === '/conversions'").await;
    browser.client.clone().close().await.unwrap();
    app.finish().await;
}

/// URL of the first link with this text.
fn link(html: &str, text: &str) -> String {
    let (before, _) = html
        .split_once(&format!(">{text}</a>"))
        .unwrap_or_else(|| panic!("no link {text} in {html}"));
    let (_, url) = before.rsplit_once("href=\"").unwrap();
    url.split('"')
        .next()
        .unwrap()
        .replace("&#38;", "&")
        .replace("&amp;", "&")
}

async fn report(owner: &Member, url: &str) -> String {
    let page = owner.get(url).await;
    assert_eq!(page.status, StatusCode::OK, "{url}");
    page.html
}

#[tokio::test(flavor = "multi_thread")]
async fn every_choice_is_a_link_or_a_form_that_works_without_javascript() {
    let app = world().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let html = report(&owner, "/reports?period=today&group=campaign,sub1").await;
    // Group by another dimension, show flat rows, choose columns, sort.
    let deeper = link(&html, "Sub ID 2");
    assert!(deeper.contains("group=campaign%2Csub1%2Csub2"), "{deeper}");
    let html = report(&owner, &deeper).await;
    assert!(
        html.contains("aria-expanded=\"true\"") && html.contains("blog"),
        "{html}"
    );
    let flat = report(&owner, &link(&html, "Flat rows")).await;
    assert!(
        !flat.contains("aria-expanded") && flat.contains("rows=flat"),
        "{flat}"
    );
    let chosen = report(
        &owner,
        "/reports?period=today&group=campaign,sub1&metrics=clicks&metrics=revenue",
    )
    .await;
    assert!(
        chosen.contains("Revenue<span class=\"unit\">, EUR</span>"),
        "{chosen}"
    );
    assert!(!chosen.contains("data-label=\"Commission\""));
    let usual = link(&chosen, "Usual columns");
    assert!(!usual.contains("metrics="), "{usual}");
    let by_hour = report(&owner, &link(&html, "Week")).await;
    assert!(by_hour.contains("Conversions by week"), "{by_hour}");
    // The table of the chart has the sum of the report.
    assert!(by_hour.contains("</th><td class=\"num\">3</td>"), "{by_hour}");
    // The height of rows is kept in the browser.
    let compact = owner
        .submit(
            "/reports",
            "/density",
            &[("density", "compact"), ("here", "/reports")],
        )
        .await;
    assert_eq!(see_other(&compact), "/reports");
    assert!(report(&owner, "/reports").await.contains("report-table compact"));
    // The request to the API returns the rows of the page.
    let (_, rest) = html.split_once("/api/v1/reports?").unwrap();
    let query = rest.split('\'').next().unwrap().split("&#39;").next().unwrap();
    let query = query.replace("&#38;", "&").replace("&amp;", "&");
    let program = app.program(&app.scene.owner).await;
    let answer = program.get(&format!("/reports?{query}")).await;
    assert_eq!(
        (answer.status, &answer.json["row_count"]),
        (StatusCode::OK, &json!(3))
    );
    // Parameters of the page are refused by name, too.
    let refused = owner.get("/reports?group=campaign&chart=colour&rows=round").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused
            .html
            .contains("<strong>rows</strong>: Send flat or grouped.")
    );
    // A report without rows says how to find some.
    let empty = report(
        &owner,
        "/reports?from=2020-01-01&to=2020-01-02&group=campaign&sub1=x",
    )
    .await;
    assert!(empty.contains("<em>Sub ID 1: x</em>"), "{empty}");
    assert!(link(&empty, "Clear filters").ends_with("group=campaign"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_period_stays_while_a_user_walks_between_pages() {
    let app = world().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let label = |html: &str| {
        let (_, rest) = html.split_once("class=\"period-bar\"").unwrap();
        let (_, rest) = rest.split_once("<span class=\"label\">").unwrap();
        rest.split('<').next().unwrap().to_owned()
    };
    assert_eq!(label(&report(&owner, "/").await), "Last 7 days");
    assert_eq!(label(&report(&owner, "/reports").await), "Last 30 days");
    let chosen = report(&owner, "/reports?period=yesterday&compare=year&group=campaign").await;
    assert!(chosen.contains("vs year before"), "{chosen}");
    let home = report(&owner, "/").await;
    assert_eq!(label(&home), "Yesterday");
    assert!(home.contains("vs year before"), "{home}");
    // Another window that refreshes itself chooses nothing.
    let refresh = owner.get_with("/?period=today", &[("HX-Request", "true")]).await;
    assert_eq!(refresh.status, StatusCode::OK);
    let again = report(&owner, "/reports?group=campaign").await;
    assert_eq!(label(&again), "Yesterday");
    assert!(again.contains("vs year before"), "{again}");
    // Fixed days and no comparison stay likewise.
    report(&owner, "/reports?from=2026-01-05&to=2026-01-06&group=campaign").await;
    let fixed = report(&owner, "/reports?group=day").await;
    assert_eq!(label(&fixed), "Custom");
    assert!(fixed.contains("value=\"2026-01-05\""), "{fixed}");
    assert!(!fixed.contains("vs year before"));
    // Another browser has its own period.
    let other = app.sign_in(&app.scene.owner).await;
    assert_eq!(label(&report(&other, "/reports").await), "Last 30 days");
    app.finish().await;
}
