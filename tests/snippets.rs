//! The code on the Integration page, run as a reader would run it: by the real interpreters, with only those values
//! replaced that the page asks its reader to replace.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use reqwest::StatusCode;
use tenancy::memberships::RoleKind;
use testkit::people::{see_other, shown};
use testkit::{Member, Page, TestApp, site};
use tokio::process::Command;

/// A language of the page, what runs it, and the Debian packages of the programs it calls.
struct Language {
    name: &'static str,
    interpreter: &'static str,
    programs: &'static [(&'static str, &'static str)],
}

/// What an order of ours must not lose on its way: spaces, letters beyond ASCII, and what separates fields.
const ORDER: &str = "№ 7/ä+&=%25;";

const LANGUAGES: [Language; 5] = [
    Language {
        name: "curl",
        interpreter: "bash",
        programs: &[("bash", "bash"), ("curl", "curl"), ("openssl", "openssl")],
    },
    Language {
        name: "curl",
        interpreter: "sh",
        programs: &[("sh", "dash"), ("curl", "curl"), ("openssl", "openssl")],
    },
    Language {
        name: "Node.js",
        interpreter: "node",
        programs: &[("node", "nodejs")],
    },
    Language {
        name: "Python",
        interpreter: "python3",
        programs: &[("python3", "python3")],
    },
    Language {
        name: "PHP",
        interpreter: "php",
        programs: &[("php", "php-cli")],
    },
];

/// What a program said, and with which code it ended.
struct Run {
    who: String,
    code: Option<i32>,
    said: String,
    complained: String,
}

impl Run {
    fn new(who: String, output: Output) -> Self {
        Self {
            who,
            code: output.status.code(),
            said: String::from_utf8(output.stdout).unwrap(),
            complained: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn told(&self) -> String {
        let Self { who, code, .. } = self;
        format!("{who} ended with {code:?}: {}\n{}", self.said, self.complained)
    }

    /// Nobody is told of a success that is none, nor of a trouble that is none.
    fn succeeded(&self) {
        assert_eq!(self.code, Some(0), "{}", self.told());
        assert!(self.said.contains("\"reason\":\"accepted\""), "{}", self.told());
    }
}

impl Language {
    /// Runs this code, without anything of this machine's settings but where its programs are.
    async fn run(&self, code: &str) -> Run {
        for (program, package) in self.programs {
            let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
                .any(|folder| folder.join(program).is_file());
            assert!(found, "{program} is missing; install the package {package}");
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report-order");
        std::fs::write(&file, code).unwrap();
        let output = Command::new(self.interpreter)
            .arg(&file)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await;
        Run::new(format!("{} ({})", self.name, self.interpreter), output.unwrap())
    }
}

/// What is on the Integration page while it shows a new token, which it does once.
struct Integration {
    snippets: HashMap<String, String>,
    one_liners: Vec<String>,
}

impl Integration {
    /// Makes a token as the advertiser's developer does.
    async fn of(app: &TestApp) -> Self {
        let developer = app.sign_in(app.scene.person(RoleKind::AdvertiserDeveloper)).await;
        let home = home(&developer).await;
        let made = developer
            .submit(&home, &format!("{home}/token"), &[("overlap_hours", "0")])
            .await;
        assert_eq!(see_other(&made), home);
        let page = developer.get(&home).await;
        let token = shown(&page, "fresh-token");
        let blocks = page.html.split("<pre>").skip(1);
        let blocks = blocks.map(|rest| text(rest.split("</pre>").next().unwrap()));
        let one_liners: Vec<_> = blocks.filter(|code| code.starts_with("curl ")).collect();
        let snippets = page.html.split("<details class=\"snippet\"><summary>").skip(1);
        let snippets: HashMap<_, _> = snippets
            .map(|rest| {
                let (language, rest) = rest.split_once("</summary><pre>").unwrap();
                let (code, _) = rest.split_once("</pre>").unwrap();
                (text(language), text(code))
            })
            .collect();
        assert_eq!((snippets.len(), one_liners.len()), (9, 2), "{}", page.html);
        for code in snippets.values().chain(&one_liners) {
            assert!(code.contains(token), "{token} is not in {code}");
        }
        Self { snippets, one_liners }
    }

    /// Runs the code of every language, each for a click and an order of its own; `change` may alter it first.
    async fn run(&self, app: &TestApp, change: impl Fn(&Language, String) -> String) -> Vec<Run> {
        let visitor = &app.visitor();
        let runs = LANGUAGES.iter().map(|language| {
            let code = change(language, self.snippets.get(language.name).unwrap().clone())
                .replace("A-1001", &format!("{}{ORDER}", language.interpreter))
                .replace("49.90", "12.50");
            async move {
                let click = visitor.click("").await;
                language.run(&code.replace("CLICK_ID", &click.id)).await
            }
        });
        join_all(runs).await
    }
}

/// Where the page of one's own advertiser is.
async fn home(member: &Member) -> String {
    see_other(&member.get("/integration").await).to_owned()
}

/// What a browser shows of this part of a page.
fn text(html: &str) -> String {
    let entities = [
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#38;", "&"),
    ];
    entities
        .iter()
        .fold(html.to_owned(), |text, (entity, character)| {
            text.replace(entity, character)
        })
}

/// That the orders of all languages are stored as they were sent, and no others.
async fn assert_stored(app: &TestApp) {
    let stored =
        "SELECT string_agg(concat_ws(' ', order_id, amount_micros, currency), E'\n') FROM conversions";
    let stored = app.text(stored).await;
    let stored: BTreeSet<_> = stored.lines().map(str::to_owned).collect();
    let sent = LANGUAGES
        .iter()
        .map(|language| format!("{}{ORDER} 12500000 EUR", language.interpreter));
    assert_eq!(stored, sent.collect());
}

/// Sends the settings' form of the Integration page, with these fields besides those that have no default.
async fn configure(app: &TestApp, fields: &[(&str, &str)]) -> Page {
    let owner = app.sign_in(&app.scene.owner).await;
    let home = home(&app.sign_in(&app.scene.advertiser).await).await;
    let fields = [fields, &[("requires_token", "yes"), ("signature_seconds", "300")]].concat();
    let saved = owner.submit(&home, &home, &fields).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.html);
    owner.get(&home).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_snippet_reports_an_order_as_it_stands_on_the_page() {
    let app = TestApp::spawn().await;
    let integration = Integration::of(&app).await;
    let runs = integration.run(&app, |_, code| code).await;
    runs.iter().for_each(Run::succeeded);
    assert_stored(&app).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_for_a_goal_reports_it() {
    let app = TestApp::spawn().await;
    let integration = Integration::of(&app).await;
    for line in &integration.one_liners {
        let click = app.visitor().click("").await;
        let line = line
            .replace("CLICK_ID", &click.id)
            .replace("ORDER_ID", "A-1001")
            .replace("AMOUNT", "49.90")
            .replace("CURRENCY", "EUR");
        LANGUAGES[0].run(&line).await.succeeded();
    }
    assert_eq!(
        app.count("SELECT count(DISTINCT goal_id) FROM conversions").await,
        2
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_snippet_signs_where_a_signature_is_demanded() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let home = home(&app.sign_in(&app.scene.advertiser).await).await;
    assert_eq!(
        see_other(&owner.submit(&home, &format!("{home}/secret"), &[]).await),
        home
    );
    let page = owner.get(&home).await;
    let secret = shown(&page, "fresh-signing-secret");
    assert_eq!(
        page.html.matches(secret).count(),
        10,
        "shown, and in nine snippets"
    );
    configure(
        &app,
        &[("answer_format", "dialect"), ("requires_signature", "yes")],
    )
    .await;
    let integration = Integration::of(&app).await;
    let unsigned = integration.run(&app, |_, code| code).await;
    for run in unsigned {
        assert_eq!(run.code, Some(1), "{}", run.told());
        assert!(run.complained.contains("signature_invalid"), "{}", run.told());
    }
    let runs = integration
        .run(&app, |_, code| code.replace("YOUR_SIGNING_SECRET", secret))
        .await;
    runs.iter().for_each(Run::succeeded);
    assert_stored(&app).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_snippet_says_what_is_wrong_with_a_call() {
    let app = TestApp::spawn().await;
    let integration = Integration::of(&app).await;
    let mut forged = app.visitor().click("").await.id;
    let at = forged.len() / 2;
    let other = if forged[at..].starts_with('a') { "b" } else { "a" };
    forged.replace_range(at..=at, other);
    for run in integration
        .run(&app, |_, code| code.replace("CLICK_ID", &forged))
        .await
    {
        assert_eq!((run.code, run.said.as_str()), (Some(1), ""), "{}", run.told());
        for told in [
            "422",
            "click_not_found",
            "this network never gave it out",
            "exactly as the landing page received it",
        ] {
            assert!(
                run.complained.contains(told),
                "{told} is not said: {}",
                run.told()
            );
        }
    }
    assert_eq!(app.count("SELECT count(*) FROM conversions").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_refusals_get_200_the_page_says_that_the_code_cannot_tell() {
    let app = TestApp::spawn().await;
    for (answers, warned) in [
        ("always_ok", true),
        ("gif", true),
        ("ours", false),
        ("dialect", false),
    ] {
        let page = configure(&app, &[("answer_format", answers)]).await;
        let warning = "this code cannot detect rejections";
        assert_eq!(page.html.contains(warning), warned, "{answers}");
    }
    app.finish().await;
}

/// What a server has been asked for, and how often.
type Calls = Arc<Mutex<BTreeMap<String, usize>>>;

/// A tracking host on a bad day: hangs up, has no time, and then does its work. `/moved/…` is always elsewhere.
async fn bad_day(calls: &Calls) -> u16 {
    let calls = calls.clone();
    site::serve(move |target| {
        let mut calls = calls.lock().unwrap();
        let count = calls.entry(target.to_owned()).or_default();
        *count += 1;
        match *count {
            _ if target.starts_with("/moved/") => site::http("302 Found", "Location: /elsewhere\r\n", ""),
            1 => String::new(),
            2 => site::http("503 Service Unavailable", "Retry-After: 1\r\n", "busy"),
            _ => site::http("200 OK", "", r#"{"status":"accepted","reason":"accepted"}"#),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_snippet_tries_again_what_may_succeed_later_and_follows_nobody_elsewhere() {
    let app = TestApp::spawn().await;
    let integration = Integration::of(&app).await;
    let calls = Calls::default();
    let server = format!("http://127.0.0.1:{}", bad_day(&calls).await);
    let ours = format!("{}/postback", app.tracking_url);
    let there = |path: &str, language: &Language, code: String| {
        code.replace(&ours, &format!("{server}/{path}/{}", language.interpreter))
    };
    let (late, moved) = tokio::join!(
        integration.run(&app, |language, code| there("late", language, code)),
        integration.run(&app, |language, code| there("moved", language, code)),
    );
    late.iter().for_each(Run::succeeded);
    for run in moved {
        assert_eq!((run.code, run.said.as_str()), (Some(1), ""), "{}", run.told());
        assert!(run.complained.contains("302"), "{}", run.told());
    }
    let expected = LANGUAGES.iter().flat_map(|language| {
        let path = |path| format!("/{path}/{}", language.interpreter);
        [(path("late"), 3), (path("moved"), 1)]
    });
    assert_eq!(*calls.lock().unwrap(), expected.collect());
    app.finish().await;
}
