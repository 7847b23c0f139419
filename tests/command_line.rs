//! Command line for people and scripts: the real binary against a real server.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first unexpected result"
)]

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use testkit::TestApp;

#[path = "command_line/feed.rs"]
mod feed;
#[path = "command_line/files.rs"]
mod files;
#[path = "command_line/listening.rs"]
mod listening;
#[path = "command_line/operators.rs"]
mod operators;

/// Result of a command.
#[derive(Debug)]
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Done {
    /// Standard output as one JSON value.
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// Last line of standard error as JSON.
    fn error(&self) -> Value {
        let last = self.err.trim_end().lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The same result, which has this exit code.
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}

/// Shell of a user with a home of their own.
struct Shell {
    home: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Shell {
    /// Shell without a key.
    fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
        }
    }

    /// Shell of a script, with URL and key in the environment.
    fn with_key(app: &TestApp, key: &str) -> Self {
        let variables = vec![
            ("CLICKLEDGER_URL", app.dashboard_url.clone()),
            ("CLICKLEDGER_API_KEY", key.to_owned()),
        ];
        Self {
            variables,
            ..Self::new()
        }
    }

    fn credentials(&self) -> PathBuf {
        self.home.path().join("clickledger/credentials.toml")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clickledger"));
        command.args(arguments);
        for name in [
            "CLICKLEDGER_URL",
            "CLICKLEDGER_API_KEY",
            "CLICKLEDGER_PROFILE",
            "CLICKLEDGER_CA_FILE",
            "CLICKLEDGER_LOG",
            "DATABASE_URL",
            "OWNER_DATABASE_URL",
        ] {
            command.env_remove(name);
        }
        command.env("XDG_CONFIG_HOME", self.home.path());
        command.env("HOME", self.home.path());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn run(&self, arguments: &[&str]) -> Done {
        self.run_with(arguments, "")
    }

    fn run_with(&self, arguments: &[&str], input: &str) -> Done {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that reads no input may have ended.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Done {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_stored_for_its_owner_after_a_check_and_used_by_later_commands() {
    let app = TestApp::spawn().await;
    let owner = app.program(&app.scene.owner).await.credential;
    let affiliate = app.program(&app.scene.affiliate).await.credential;
    let shell = Shell::new();
    let url = app.dashboard_url.as_str();

    let missing = shell.run(&["whoami", "--json", "--url", url]).exits(1).error();
    assert_eq!(missing["code"], "unauthenticated");
    let wrong = shell.run_with(&["login", "--json", "--url", url], "clk_key_wrong\n");
    assert_eq!(wrong.exits(1).error()["code"], "unauthenticated");
    assert!(!shell.credentials().exists(), "a refused key is not stored");

    let done = shell
        .run_with(&["login", "--url", url], &format!("{owner}\n"))
        .exits(0);
    assert!(
        done.out.contains("(owner) in Orbit") && !done.out.contains(&owner),
        "{done:?}"
    );
    assert_eq!(mode(&shell.credentials()), 0o600);
    assert_eq!(mode(shell.credentials().parent().unwrap()), 0o700);
    let me = shell.run(&["whoami", "--json"]).exits(0).json();
    assert_eq!(
        (&me["role"], &me["profile"]),
        (&json!("owner"), &json!("default")),
        "{me}"
    );
    assert_eq!(me["network"]["id"], json!(app.scene.network.id), "{me}");

    // Another profile; the environment takes precedence over both.
    let login = ["login", "--url", url, "--profile", "blog"];
    shell.run_with(&login, &affiliate).exits(0);
    let me = shell
        .run(&["whoami", "--json", "--profile", "blog"])
        .exits(0)
        .json();
    assert_eq!(me["role"], "affiliate");
    let script = shell
        .command(&["whoami", "--json"])
        .env("CLICKLEDGER_API_KEY", &affiliate)
        .output();
    let me: Value = serde_json::from_slice(&script.unwrap().stdout).unwrap();
    assert_eq!((&me["role"], &me["profile"]), (&json!("affiliate"), &Value::Null));

    // A stored key is sent to its own server only.
    let foreign = shell.run(&["whoami", "--url", "http://127.0.0.1:9"]).exits(2);
    assert!(foreign.err.contains("is for http://127.0.0.1"), "{foreign:?}");

    let exposed = shell.credentials();
    std::fs::set_permissions(&exposed, Permissions::from_mode(0o644)).unwrap();
    let refused = shell.run(&["whoami"]).exits(1);
    assert!(refused.err.contains("chmod 600"), "{refused:?}");
    std::fs::set_permissions(&exposed, Permissions::from_mode(0o600)).unwrap();

    shell.run(&["logout", "--profile", "blog"]).exits(0);
    shell.run(&["whoami", "--profile", "blog"]).exits(1);
    shell.run(&["logout", "--profile", "blog"]).exits(2);
    shell.run(&["whoami"]).exits(0);
    let removed = shell.run(&["logout", "--all", "--json"]).exits(0).json();
    assert_eq!(removed["removed"], json!(["default"]));
    assert!(
        !std::fs::read_to_string(shell.credentials())
            .unwrap()
            .contains("clk_key")
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_order_goes_through_the_intake_and_a_rejected_one_fails() {
    let app = TestApp::spawn().await;
    let shell = Shell::with_key(&app, &app.program(&app.scene.owner).await.credential);
    let campaign = app.scene.campaign.name.clone();
    let trigger =
        |more: &[&str]| shell.run(&[&["trigger", "--json", "--campaign", &campaign][..], more].concat());

    let unlinked = trigger(&[]).exits(1).error();
    assert_eq!(unlinked["code"], "conflict");
    assert!(
        unlinked["message"]
            .as_str()
            .unwrap()
            .contains("--create-test-link"),
        "{unlinked}"
    );
    let order = ["--goal", "sale", "--order", "T-1", "--amount", "12.50"];
    let sent = trigger(&[&order[..], &["--create-test-link"]].concat())
        .exits(0)
        .json();
    assert_eq!(
        (&sent["status"], &sent["reason"]),
        (&json!("accepted"), &json!("test_accepted")),
        "{sent}"
    );
    let receipt = sent["postback"].as_str().unwrap();
    assert_eq!(
        sent["page"],
        json!(format!("{}/postbacks/{receipt}", app.dashboard_url))
    );
    assert_eq!(sent["steps"].as_array().unwrap().len(), 2, "{sent}");
    let stored = "SELECT order_id || ' ' || amount_micros || ' ' || is_simulated FROM postbacks";
    assert_eq!(app.text(stored).await, "T-1 12500000 true");
    let page = app
        .sign_in(&app.scene.owner)
        .await
        .get(&format!("/postbacks/{receipt}"))
        .await;
    assert_eq!(page.status, 200);

    let again = trigger(&order).exits(0).json();
    assert_eq!(again["status"], "duplicate", "{again}");
    let rejected = trigger(&["--goal", "lead", "--currency", "USD"]).exits(1);
    assert_eq!(rejected.json()["reason"], "currency_mismatch", "{rejected:?}");
    assert_eq!(rejected.error()["code"], "currency_mismatch");
    let text = shell
        .run(&[
            "trigger",
            "--campaign",
            &campaign,
            "--goal",
            "lead",
            "--currency",
            "USD",
        ])
        .exits(1);
    assert!(
        text.out.contains("Send the amount in the campaign's currency"),
        "{text:?}"
    );
    assert!(
        text.out.contains(&format!("{}/postbacks/pb_", app.dashboard_url)),
        "{text:?}"
    );

    let invalid = trigger(&["--goal", "nope"]).exits(1).error();
    assert_eq!(
        (&invalid["code"], invalid["fields"]["goal"].is_string()),
        (&json!("invalid"), true),
        "{invalid}"
    );
    let invalid = trigger(&["--amount", "1,5"]).exits(1).error();
    assert!(invalid["fields"]["amount"].is_string(), "{invalid}");
    let unknown = shell
        .run(&["trigger", "--campaign", "No such", "--json"])
        .exits(2)
        .error();
    assert_eq!(unknown["code"], "usage");
    // Test orders of the API verify no goal.
    let path = format!("/campaigns/{}/test", app.scene.campaign.id);
    let progress = app.program(&app.scene.owner).await.get(&path).await.json;
    let goals = progress["goals"].as_array().unwrap();
    let simulated: i64 = goals
        .iter()
        .filter_map(|goal| goal["simulated_orders"].as_i64())
        .sum();
    assert_eq!((&progress["is_verified"], simulated), (&json!(false), 1));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postbacks_are_listed_explained_and_replayed_through_the_api() {
    let app = TestApp::spawn().await;
    let shell = Shell::with_key(&app, &app.program(&app.scene.owner).await.credential);
    let click = app.visitor().click("").await;
    let fields = [
        ("click_id", click.id.as_str()),
        ("order_id", "A-1"),
        ("amount", "200"),
        ("goal", "signup"),
    ];
    let answer = app.advertiser().postback(&fields).await;
    assert_eq!(answer.reason(), "goal_unknown");
    let receipt = answer.get("request_id").to_owned();
    app.settled().await;

    let listed = shell
        .run(&[
            "postbacks",
            "list",
            "--status",
            "rejected",
            "--campaign",
            "Orbit campaign",
        ])
        .exits(0);
    assert!(
        listed.out.contains("goal_unknown") && listed.out.contains(&receipt),
        "{listed:?}"
    );
    assert_eq!(
        shell.run(&["postbacks", "list", "--status", "held"]).exits(0).out,
        ""
    );
    let shown = shell.run(&["postbacks", "show", &receipt]).exits(0);
    assert!(
        shown.out.contains("/postback?") && shown.out.contains("signup"),
        "{shown:?}"
    );
    let absent = shell
        .run(&["postbacks", "show", "pb_06crz6hq5xw7d1qk3w5m8t2n9g", "--json"])
        .exits(1)
        .error();
    assert_eq!(absent["code"], "not_found");

    let sale = format!("/goals/{}", app.scene.sale_id);
    let patched = app
        .program(&app.scene.owner)
        .await
        .patch(&sale, &json!({ "code": "signup" }))
        .await;
    assert_eq!(patched.status, 200, "{}", patched.text);
    let dry = shell
        .run(&["postbacks", "replay", &receipt, "--json"])
        .exits(0)
        .json();
    assert_eq!(
        (&dry["dry_run"], &dry["changed"]),
        (&json!(true), &json!(1)),
        "{dry}"
    );
    assert_eq!(app.count("SELECT count(*) FROM conversions").await, 0);
    let real = shell
        .run(&["postbacks", "replay", "--reason", "goal_unknown", "--for-real"])
        .exits(0);
    assert!(real.out.contains("goal_unknown → accepted"), "{real:?}");
    assert_eq!(app.count("SELECT count(*) FROM conversions").await, 1);
    let nothing = shell
        .run(&["postbacks", "replay", "--reason", "goal_unknown", "--json"])
        .exits(1)
        .error();
    assert_eq!(nothing["code"], "conflict");
    shell.run(&["postbacks", "replay"]).exits(2);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_their_cause_and_what_helps() {
    let app = TestApp::spawn().await;
    let analyst = app
        .program(app.scene.person(tenancy::RoleKind::Analyst))
        .await
        .credential;
    let shell = Shell::with_key(&app, &analyst);
    let refused = shell
        .run(&["trigger", "--campaign", "Orbit campaign", "--json"])
        .exits(1)
        .error();
    assert_eq!(refused["code"], "not_permitted");
    assert!(
        refused["request_id"].is_string() && refused["fields"].is_object(),
        "{refused}"
    );

    let away = Shell {
        variables: vec![
            ("CLICKLEDGER_URL", "http://127.0.0.1:1".to_owned()),
            ("CLICKLEDGER_API_KEY", analyst.clone()),
        ],
        ..Shell::new()
    };
    let unreachable = away.run(&["whoami"]).exits(1);
    assert!(
        unreachable.err.contains("Cannot connect to http://127.0.0.1:1")
            && unreachable.err.contains("running")
    );
    assert_eq!(
        away.run(&["whoami", "--json"]).exits(1).error()["code"],
        "unreachable"
    );
    let tracking = away
        .run(&["whoami", "--json", "--url", &app.tracking_url])
        .exits(1)
        .error();
    assert_eq!(tracking["code"], "not_the_api");

    let usage = shell
        .run(&["listen", "--status", "odd", "--json"])
        .exits(2)
        .error();
    assert!(
        usage["code"] == "usage" && usage["message"].as_str().unwrap().contains("odd"),
        "{usage}"
    );
    let usage = shell.run(&["no-such-command"]).exits(2);
    assert!(usage.err.contains("Usage:"), "{usage:?}");

    // A key that is revoked later names the command that helps.
    let program = app.program(&app.scene.owner).await;
    let revoked = Shell::with_key(&app, &program.credential);
    revoked.run(&["whoami"]).exits(0);
    let keys = program.get("/keys").await.json;
    let path = format!("/keys/{}", keys["items"][0]["id"].as_str().unwrap());
    assert_eq!(program.delete(&path).await.status, 204);
    let refused = revoked.run(&["whoami"]).exits(1);
    assert!(refused.err.contains("clickledger login"), "{refused:?}");
    app.finish().await;
}
