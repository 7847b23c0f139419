//! Pages of the dashboard: each GET route as the owner sees it, and as others do where they see something else.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use regex::Regex;
use testkit::people::operator;
use testkit::{Member, Page};

use crate::fixture::Fixture;
use crate::html::{element, outline};
use crate::recorder::Recorder;
use crate::redaction::Redaction;
use crate::states;

/// GET routes of the dashboard.
fn routes() -> impl Iterator<Item = &'static str> {
    dashboard::routes()
        .into_iter()
        .filter(|(method, _)| *method == "get")
        .map(|(_, path)| path)
}

/// Name of the snapshot of a path.
fn name(path: &str) -> String {
    let words: Vec<_> = path
        .split(['/', '{', '}', '.', '?', '=', '&'])
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() {
        "home".to_owned()
    } else {
        words.join("-")
    }
}

/// Path of a route with ids of the fixture in it; none for routes with a token, which are checked apart.
fn target(fixture: &Fixture, replay: &str, path: &str) -> Option<String> {
    let scene = &fixture.app.scene;
    let with = |id: &dyn std::fmt::Display| path.replace("{id}", &id.to_string());
    let segments: Vec<_> = path.split('/').collect();
    Some(match segments[1..] {
        _ if !path.contains('{') && path != "/search" => path.to_owned(),
        ["search"] => "/search?q=A-2".to_owned(),
        ["campaigns", "files", ..] => path.replace("{sheet}", "goals"),
        ["campaigns", ..] => with(&scene.campaign.id),
        ["goals", ..] => with(&scene.sale_id),
        ["links", ..] => with(&scene.link_id),
        ["advertisers" | "integration", ..] => with(&scene.advertiser_id),
        ["affiliates", ..] => with(&scene.affiliate_id),
        ["applications", ..] => with(&scene.application_id),
        ["tools", "templates", ..] => with(&scene.url_template_id),
        ["ops", "networks", ..] => with(&scene.network.id),
        ["conversions", ..] => with(&fixture.conversions["approved"]),
        ["postbacks", ..] => with(&fixture.postbacks["goal_unknown"]),
        ["clicks", ..] => path.replace("{click_id}", &fixture.click),
        ["replays", ..] => replay.to_owned(),
        ["docs", "reasons", ..] => path.replace("{code}", "click_not_found"),
        ["reports", "views", ..] => with(&fixture.saved[0]),
        ["reports", "mails", ..] => with(&fixture.saved[1]),
        ["reports", "files", ..] => with(&fixture.saved[3]),
        ["destinations", ..] => with(&fixture.delivery[0]),
        ["deliveries", ..] => with(&fixture.delivery[1]),
        ["join", "{slug}"] => "/join/orbit".to_owned(),
        _ if path.contains("{token}") => return None,
        _ => panic!("{path}: which id of the fixture belongs in it?"),
    })
}

fn content_type(page: &Page) -> &str {
    page.headers
        .get("content-type")
        .map_or("", |value| value.to_str().unwrap())
}

/// Response as a snapshot: status, location, and the content of the page without its shell.
pub(crate) fn text_of(redaction: &Redaction, page: &Page) -> String {
    let mut text = format!("{}\n", page.status);
    if !page.location().is_empty() {
        writeln!(text, "Location: {}", page.location()).unwrap();
    }
    match content_type(page) {
        _ if page.html.is_empty() => {}
        kind if kind.starts_with("text/html") => {
            text += &outline(&redaction.apply(element(&page.html, "main")))
        }
        kind if kind.starts_with("image/svg") => {
            let svg = outline(&redaction.apply(&page.html));
            writeln!(text, "{kind}\n{}", svg.lines().next().unwrap()).unwrap();
        }
        kind => writeln!(text, "{kind}\n{}", page.html).unwrap(),
    }
    redaction.apply(&text)
}

/// Everything around the content of a page.
fn shell(redaction: &Redaction, page: &Page) -> String {
    let main = element(&page.html, "main");
    outline(&redaction.apply(&page.html.replace(main, "<main></main>")))
}

/// True for downloads, which the snapshots of files hold.
fn is_download(page: &Page) -> bool {
    page.headers.contains_key("content-disposition")
}

/// Page of a node without its alarms: a slow disk of the machine that runs the test is one.
fn without_alarms(text: &str) -> String {
    let alarms =
        Regex::new("  (?:p class=\"notice ok\".*|div class=\"notice err\" role=\"alert\"\n(?:    .*\n)+)\n?")
            .unwrap();
    assert!(alarms.is_match(text), "{text}");
    let text = alarms.replace(text, "  [alarms]\n");
    // Kinds of background work appear when they have run.
    let work = Regex::new(
        "  div class=\"table\"\n    table\n      thead\n        tr\n          th scope=\"col\" \\| Background work\n(?:    .*\n)+",
    );
    work.unwrap().replace(&text, "").into_owned()
}

struct Walk<'a> {
    fixture: &'a Fixture,
    replay: String,
    /// Status and target by route and role.
    access: BTreeMap<&'static str, String>,
    /// Pages as the owner sees them.
    owners: BTreeMap<&'static str, String>,
}

impl Walk<'_> {
    /// Opens every route, and makes snapshots of pages that the owner does not see alike.
    async fn role(&mut self, role: &str, member: &Member) {
        let mut snapshots = Recorder::new(&format!("pages/{role}"));
        for path in routes() {
            let Some(target) = target(self.fixture, &self.replay, path) else {
                continue;
            };
            let page = member.get(&target).await;
            let access = self.access.entry(path).or_default();
            let location = self.fixture.redact(&page.location().replace("%2F", "/"));
            write!(access, "\n  {role} {} {location}", page.status.as_u16()).unwrap();
            access.truncate(access.trim_end().len());
            if !page.status.is_success() || is_download(&page) {
                continue;
            }
            let mut text = text_of(&self.fixture.redaction, &page);
            if path == "/ops/node" {
                text = without_alarms(&text);
            }
            if role == "owner" {
                self.owners.insert(path, text.clone());
            } else if self.owners.get(path) == Some(&text) {
                continue;
            }
            snapshots.check(&name(path), &text);
        }
        let page = member.get(if role == "operator" { "/ops" } else { "/" }).await;
        if page.status.is_success() {
            snapshots.check("shell", &shell(&self.fixture.redaction, &page));
        }
        snapshots.finish();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_each_role() {
    let fixture = Fixture::new().await;
    let mut walk = Walk {
        fixture: &fixture,
        replay: fixture.replay().await,
        access: BTreeMap::new(),
        owners: BTreeMap::new(),
    };
    let app = &fixture.app;
    walk.role("owner", &fixture.owner).await;
    walk.role("advertiser", &app.sign_in(&app.scene.advertiser).await)
        .await;
    walk.role("affiliate", &app.sign_in(&app.scene.affiliate).await)
        .await;
    walk.role("operator", &operator(app).await).await;
    walk.role("signed_out", &app.stranger()).await;
    let access = walk
        .access
        .iter()
        .map(|(path, roles)| format!("{path}{roles}\n"))
        .collect::<String>();
    let mut snapshots = Recorder::new("pages");
    snapshots.check("access", &access);
    snapshots.finish();
    states::check(&fixture).await;
    fixture.app.finish().await;
}
