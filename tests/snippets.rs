//! Code snippets of the Integration page, run as a developer would: by the real interpreters, with only those values
//! replaced that the page asks to replace.
#![expect(clippy::unwrap_used, reason = "a test fails on any error")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use reqwest::StatusCode;
use tenancy::memberships::RoleKind;
use testkit::people::{see_other, shown};
use testkit::{Member, Page, TestApp, site};
use tokio::process::Command;

/// A language of the page, its interpreter, and the Debian packages of the programs it calls.
struct Language {
    name: &'static str,
    interpreter: &'static str,
    programs: &'static [(&'static str, &'static str)],
}

/// Suffix of order IDs that must arrive unchanged: spaces, letters beyond ASCII, and separators.
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

/// Output and exit code of a program.
struct Run {
    program: String,
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Run {
    fn new(program: String, output: Output) -> Self {
        Self {
            program,
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn report(&self) -> String {
        let Self { program, code, .. } = self;
        format!("{program} ended with {code:?}: {}\n{}", self.stdout, self.stderr)
    }

    /// Asserts success: a snippet must report neither a false success nor a false failure.
    fn succeeded(&self) {
        assert_eq!(self.code, Some(0), "{}", self.report());
        assert!(
            self.stdout.contains("\"reason\":\"accepted\""),
            "{}",
            self.report()
        );
    }
}

impl Language {
    /// Runs the code without settings of this machine except the path of its programs.
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

/// Snippets of the Integration page while it shows a new token, which happens once.
struct Integration {
    snippets: HashMap<String, String>,
    one_liners: Vec<String>,
}

impl Integration {
    /// Creates a token as the advertiser's developer.
    async fn of(app: &TestApp) -> Self {
        let developer = app.sign_in(app.scene.person(RoleKind::AdvertiserDeveloper)).await;
        let home = home(&developer).await;
        let made = developer
            .submit(&home, &format!("{home}/token"), &[("overlap_hours", "0")])
            .await;
        assert_eq!(see_other(&made), home);
        let page = developer.get(&home).await;
        let token = shown(&page, "fresh-token");
        let blocks = page.html.split("<pre id=\"way-").skip(1);
        let one_liners: Vec<_> = blocks
            .map(|rest| {
                let (code, _) = rest.split_once("</pre>").unwrap();
                text(code.split_once('>').unwrap().1)
            })
            .collect();
        let snippets = page.html.split("<details class=\"snippet\"").skip(1);
        let snippets: HashMap<_, _> = snippets
            .map(|rest| {
                let (language, rest) = rest.split_once("</summary><pre id=\"snippet-").unwrap();
                let (_, language) = language.split_once("<summary>").unwrap();
                let (_, code) = rest.split_once('>').unwrap();
                let (code, _) = code.split_once("</pre>").unwrap();
                (text(language), text(code))
            })
            .collect();
        assert_eq!((snippets.len(), one_liners.len()), (9, 2), "{}", page.html);
        for code in snippets.values().chain(&one_liners) {
            assert!(code.contains(token), "{token} is not in {code}");
        }
        Self { snippets, one_liners }
    }

    /// Runs the code of every language, each with its click and order; `change` may alter the code first.
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

/// Path of the Integration page of the member's advertiser.
async fn home(member: &Member) -> String {
    see_other(&member.get("/integration").await).to_owned()
}

/// Text of a part of a page, as a browser shows it.
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

/// Asserts that exactly the sent orders of all languages are stored.
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

/// Submits the settings form of the Integration page with these fields and the required ones.
async fn configure(app: &TestApp, fields: &[(&str, &str)]) -> Page {
    let owner = app.sign_in(&app.scene.owner).await;
    let home = home(&app.sign_in(&app.scene.advertiser).await).await;
    let fields = [fields, &[("requires_token", "yes"), ("signature_seconds", "300")]].concat();
    let saved = owner.submit(&home, &home, &fields).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.html);
    owner.get(&home).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_snippet_reports_an_order_unchanged() {
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
        let line = line.replace("CLICK_ID", &click.id);
        LANGUAGES[0].run(&line).await.succeeded();
    }
    assert_eq!(
        app.count("SELECT count(DISTINCT goal_id) FROM conversions").await,
        2
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_snippet_signs_if_a_signature_is_required() {
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
        assert_eq!(run.code, Some(1), "{}", run.report());
        assert!(run.stderr.contains("signature_invalid"), "{}", run.report());
    }
    let runs = integration
        .run(&app, |_, code| code.replace("YOUR_SIGNING_SECRET", secret))
        .await;
    runs.iter().for_each(Run::succeeded);
    assert_stored(&app).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_snippet_reports_the_reason_of_a_rejection() {
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
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", run.report());
        for text in [
            "422",
            "click_not_found",
            "its format is right, but this network did not issue it",
            "exactly as the landing page received it",
        ] {
            assert!(run.stderr.contains(text), "{text} is missing: {}", run.report());
        }
    }
    assert_eq!(app.count("SELECT count(*) FROM conversions").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_warns_if_refusals_are_answered_with_200() {
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

/// Requests a server received, with their number.
type Calls = Arc<Mutex<BTreeMap<String, usize>>>;

/// A faulty tracking host: hangs up, is busy, and then works. `/moved/…` always redirects.
async fn faulty_host(calls: &Calls) -> u16 {
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
async fn each_snippet_retries_temporary_failures_and_follows_no_redirect() {
    let app = TestApp::spawn().await;
    let integration = Integration::of(&app).await;
    let calls = Calls::default();
    let server = format!("http://127.0.0.1:{}", faulty_host(&calls).await);
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
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", run.report());
        assert!(run.stderr.contains("302"), "{}", run.report());
    }
    let expected = LANGUAGES.iter().flat_map(|language| {
        let path = |path| format!("/{path}/{}", language.interpreter);
        [(path("late"), 3), (path("moved"), 1)]
    });
    assert_eq!(*calls.lock().unwrap(), expected.collect());
    app.finish().await;
}
