//! Crawl as each role in a real Chromium: no link is dead or forbidden, no page fails, no message in the console, no violation
//! of the policy, and no serious or critical finding of axe, in both themes, on a desktop and on a phone.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first unexpected result"
)]

#[path = "snapshots/fixture.rs"]
#[expect(
    dead_code,
    reason = "the fixture of the snapshots, of which a crawl needs the app only"
)]
mod fixture;
#[path = "snapshots/redaction.rs"]
mod redaction;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tenancy::RoleKind;
use testkit::browser::Browser;
use testkit::people::{PASSWORD, operator};
use testkit::{Member, SignIn};

use crate::fixture::Fixture;

/// Rules of axe that depend on the theme.
const OF_THEME: [&str; 2] = ["color-contrast", "link-in-text-block"];

/// Script of axe, which `./x test` installs.
fn axe() -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| here.join("../../target"), Into::into);
    let script = target.join("tools/axe/node_modules/axe-core/axe.min.js");
    std::fs::read_to_string(&script)
        .unwrap_or_else(|error| panic!("{}: {error}; run ./x test", script.display()))
}

/// Addresses of the links of a page.
fn links(html: &str) -> Vec<String> {
    let main = html.split("href=\"").skip(1);
    main.filter_map(|rest| rest.split('"').next())
        .map(|link| {
            let entities = [("&#38;", "&"), ("&amp;", "&"), ("&#34;", "\""), ("&#39;", "'")];
            entities
                .iter()
                .fold(link.to_owned(), |text, (entity, character)| {
                    text.replace(entity, character)
                })
        })
        .filter(|link| {
            !link.starts_with("/static/") && !link.starts_with("http") && !link.starts_with("mailto:")
        })
        .collect()
}

/// Kind of a page: its path without IDs, and the names of its parameters. Pages of one kind are visited once.
fn kind(link: &str) -> (String, Vec<String>) {
    let (path, query) = link.split_once('?').unwrap_or((link, ""));
    let is_id = |segment: &str| {
        segment
            .split_once('_')
            .is_some_and(|(prefix, rest)| prefix.len() <= 5 && rest.len() >= 6)
            || segment.len() >= 26
    };
    let segments = path
        .split('/')
        .map(|segment| if is_id(segment) { "{id}" } else { segment });
    let mut names: Vec<_> = query
        .split('&')
        .filter_map(|pair| pair.split('=').next())
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    names.dedup();
    (segments.collect::<Vec<_>>().join("/"), names)
}

/// Follows every kind of link from the pages on, and returns a page of each path.
async fn crawl(member: &Member, begin: &[&str]) -> BTreeMap<String, String> {
    let mut waiting: VecDeque<(String, String)> = begin
        .iter()
        .map(|path| (String::new(), (*path).to_owned()))
        .collect();
    let (mut seen, mut pages) = (BTreeSet::new(), BTreeMap::new());
    while let Some((from, link)) = waiting.pop_front() {
        let (address, fragment) = link.split_once('#').unwrap_or((&link, ""));
        let known = kind(address);
        if address.is_empty() || !seen.insert((known.clone(), fragment.to_owned())) {
            continue;
        }
        assert!(address.starts_with('/'), "{from} links to {link}");
        let page = member.get(address).await;
        let is_fine = page.status.is_success() || page.status == StatusCode::SEE_OTHER;
        assert!(is_fine, "{from} links to {link}: {}", page.status);
        if page.status == StatusCode::SEE_OTHER {
            waiting.push_back((link.clone(), page.location().to_owned()));
            continue;
        }
        let media_type = page.headers.get("content-type").unwrap().to_str().unwrap();
        if !media_type.starts_with("text/html") {
            continue;
        }
        let has_target = page.html.contains(&format!("id=\"{fragment}\""));
        assert!(
            fragment.is_empty() || has_target,
            "{from} links to {link}, which has no such part"
        );
        for found in links(&page.html) {
            if let Some(part) = found.strip_prefix('#') {
                let has_target = page.html.contains(&format!("id=\"{part}\""));
                assert!(has_target, "{address} links to {found}, which it does not have");
            } else {
                waiting.push_back((address.to_owned(), found));
            }
        }
        pages.entry(known.0).or_insert_with(|| address.to_owned());
    }
    pages
}

/// Runs axe on the open page, but for Swagger UI, whose colours are its makers'. Empty `rules` are all.
async fn findings(browser: &Browser, rules: &[&str]) -> Vec<String> {
    let script = "const done = arguments[arguments.length - 1];
        const options = { resultTypes: ['violations'], iframes: false, rules: { 'target-size': { enabled: true } } };
        if (arguments[0].length > 0) options.runOnly = arguments[0];
        // The page follows a new width in its next frame.
        requestAnimationFrame(() => requestAnimationFrame(() => axe.run({ exclude: ['.swagger-ui'] }, options).then(
            (result) => done(result.violations
                .filter((one) => ['serious', 'critical'].includes(one.impact))
                .flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.html.slice(0, 200)} (${node.failureSummary?.split('\\n').slice(1).join(' ').trim()})`))),
            (error) => done([`axe: ${error}`]))));";
    let found = browser
        .client
        .execute_async(script, vec![json!(rules)])
        .await
        .unwrap();
    let found = found.as_array().unwrap().iter();
    found.map(|one| one.as_str().unwrap().to_owned()).collect()
}

/// Windows, each with its themes.
type Views<'a> = &'a [((u32, u32), &'a [&'a str])];

const ALL_VIEWS: Views<'_> = &[
    ((1280, 900), &["light", "dark"]),
    ((390, 844), &["light", "dark"]),
];

/// Opens each page in Chromium and looks at it in these views. Returns what is wrong.
async fn inspect(
    app_url: &str,
    browser: &Browser,
    pages: &BTreeMap<String, String>,
    views: Views<'_>,
) -> Vec<String> {
    let (axe, page) = (axe(), &browser.client);
    let mut wrong = Vec::new();
    let script = async |text: &str| page.execute(text, Vec::new()).await.unwrap();
    for address in pages.values() {
        browser.resize(1280, 900).await;
        page.goto(&format!("{app_url}{address}")).await.unwrap();
        script(&axe).await;
        // What is folded is looked at, too; a menu would lie above other parts.
        script("document.querySelectorAll('details:not(.menu)').forEach((part) => (part.open = true))").await;
        for ((width, height), themes) in views {
            browser.resize(*width, *height).await;
            for theme in *themes {
                let rules = if *theme == "light" { &[][..] } else { &OF_THEME };
                script(&format!("document.documentElement.dataset.theme = '{theme}'")).await;
                let found = findings(browser, rules).await;
                wrong.extend(
                    found
                        .into_iter()
                        .map(|one| format!("{address} {width} {theme}: {one}")),
                );
            }
            let overflow = script("return document.documentElement.scrollWidth - innerWidth").await;
            if overflow.as_i64().unwrap() > 0 {
                wrong.push(format!(
                    "{address} {width}: {overflow} pixels are outside the window"
                ));
            }
        }
        let log = browser.log().await;
        let messages = log.iter().filter(|entry| entry["source"] != "recommendation");
        wrong.extend(messages.map(|entry: &Value| format!("{address}: {}", entry["message"])));
    }
    wrong
}

/// Crawls as these people, one after the other. The documentation is the same for all, and looked at once, by a stranger.
async fn crawl_as(fixture: &Fixture, people: &[&SignIn], least: usize, views: Views<'_>) {
    for person in people {
        let member = fixture.app.sign_in(person).await;
        let mut pages = crawl(&member, &["/", "/account", "/docs/postback"]).await;
        pages.retain(|path, _| !path.starts_with("/docs/"));
        assert!(pages.len() >= least, "{}: {:?}", person.email, pages.keys());
        let browser = Browser::start().await;
        browser.sign_in(&fixture.app, person).await;
        browser.log().await;
        let wrong = inspect(&fixture.app.dashboard_url, &browser, &pages, views).await;
        assert!(wrong.is_empty(), "{}:\n{}", person.email, wrong.join("\n"));
        browser.client.clone().close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_the_owner_are_sound() {
    let fixture = Fixture::new().await;
    crawl_as(&fixture, &[&fixture.app.scene.owner], 40, ALL_VIEWS).await;
    fixture.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_the_rest_of_the_staff_are_sound() {
    // They are the owner's with fewer actions.
    let fixture = Fixture::new().await;
    let people = [RoleKind::Admin, RoleKind::Manager, RoleKind::Analyst];
    let people = people.map(|role| fixture.app.scene.person(role));
    crawl_as(&fixture, &people, 20, &[((390, 844), &["light"])]).await;
    fixture.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_affiliates_are_sound() {
    let fixture = Fixture::new().await;
    crawl_as(&fixture, &[&fixture.app.scene.affiliate], 10, ALL_VIEWS).await;
    fixture.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_advertisers_and_their_developers_are_sound() {
    let fixture = Fixture::new().await;
    let developer = fixture.app.scene.person(RoleKind::AdvertiserDeveloper);
    crawl_as(
        &fixture,
        &[&fixture.app.scene.advertiser, developer],
        5,
        ALL_VIEWS,
    )
    .await;
    fixture.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_operators_and_strangers_are_sound() {
    let fixture = Fixture::new().await;
    let app = &fixture.app;
    let member = operator(app).await;
    let pages = crawl(&member, &["/ops", "/account"]).await;
    assert!(pages.len() >= 6, "{:?}", pages.keys());
    let browser = Browser::start().await;
    let person = SignIn {
        email: "ops@example.com".to_owned(),
        password: PASSWORD.to_owned(),
    };
    browser.sign_in(app, &person).await;
    browser.log().await;
    let mut wrong = inspect(&app.dashboard_url, &browser, &pages, ALL_VIEWS).await;
    browser.client.delete_all_cookies().await.unwrap();
    let public = crawl(&app.stranger(), &["/sign-in", "/join/orbit", "/docs/postback"]).await;
    assert!(public.len() >= 6, "{:?}", public.keys());
    wrong.extend(inspect(&app.dashboard_url, &browser, &public, ALL_VIEWS).await);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    browser.client.clone().close().await.unwrap();
    fixture.app.finish().await;
}
