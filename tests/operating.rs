//! Operation of an installation: set-up link, commands, impersonation.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chrono::TimeDelta;
use reqwest::StatusCode;
use tenancy::impersonation::{self, NewImpersonation};
use tenancy::memberships::{self, MemberFilter};
use tenancy::{Author, ChangeError, Permission, Role, Via, operators, people, sessions, unscoped};
use testkit::people::{PASSWORD, operator, see_other};
use testkit::{Answer, Member, TestApp};

fn command(data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clickledger"));
    command
        .args(arguments)
        .arg("--data-dir")
        .arg(data_dir)
        .env_remove("DATABASE_URL");
    command
}

/// Runs a command and returns true if it succeeded, with its output.
fn run(data_dir: &Path, arguments: &[&str]) -> (bool, String) {
    let output = command(data_dir, arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.success(),
        text(&output.stdout) + &text(&output.stderr),
    )
}

/// A server that is killed when dropped.
struct Serving(Child);

impl Serving {
    fn start(data_dir: &Path) -> Self {
        let listen = [
            "--dashboard-listen",
            "127.0.0.1:0",
            "--tracking-listen",
            "127.0.0.1:0",
        ];
        let arguments = [&["serve"][..], &listen].concat();
        let started = command(data_dir, &arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Self(started.unwrap())
    }

    fn first_line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        line
    }

    fn stop(mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_server_prints_a_set_up_link_for_one_operator_and_commands_do_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    // The user that runs Postgres must be able to enter the folder.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut server = Serving::start(folder.path());
    let line = server.first_line();
    let (_, link) = line.trim().split_once("Become its operator: ").unwrap();
    let (url, token) = link.split_once("/setup/").unwrap();
    let path = format!("/setup/{token}");
    let newcomer = Member::stranger(url);
    let fields = [
        ("name", "Olga"),
        ("email", "olga@example.com"),
        ("password", "password123"),
    ];
    let weak = newcomer.submit(&path, &path, &fields).await;
    assert_eq!(weak.status, StatusCode::UNPROCESSABLE_ENTITY);
    let fields = [
        ("name", "Olga"),
        ("email", "olga@example.com"),
        ("password", PASSWORD),
    ];
    assert_eq!(see_other(&newcomer.submit(&path, &path, &fields).await), "/ops");
    assert_eq!(
        Member::stranger(url).get(&path).await.status,
        StatusCode::NOT_FOUND,
        "the link works once"
    );
    assert_eq!(
        Member::stranger(url).get("/sign-up").await.status,
        StatusCode::NOT_FOUND,
        "sign-up is closed by default"
    );
    let network = [
        ("name", "Nova Partners"),
        ("email", "nina@nova.example"),
        ("time_zone", "Europe/Warsaw"),
        ("currency", "EUR"),
    ];
    assert_eq!(
        see_other(&newcomer.submit("/ops", "/ops/networks", &network).await),
        "/ops"
    );
    assert!(
        newcomer.get("/ops").await.html.contains("/invitations/"),
        "the owner's link is shown"
    );
    server.stop();

    let (listed, networks) = run(folder.path(), &["list-networks"]);
    assert!(
        listed && networks.contains("active") && networks.contains("Nova Partners"),
        "{networks}"
    );
    let id = networks
        .split_whitespace()
        .find(|word| word.starts_with("net_"))
        .unwrap();
    let (changed, output) = run(
        folder.path(),
        &[
            "change-network",
            "--network",
            id,
            "--suspend",
            "Unpaid",
            "--max-seats",
            "7",
        ],
    );
    assert!(
        changed && output.contains("is suspended") && output.contains("7 seats"),
        "{output}"
    );
    let (refused, output) = run(
        folder.path(),
        &["change-network", "--network", id, "--max-seats", "0"],
    );
    assert!(!refused && output.contains("max_seats"), "{output}");
    let (exported, rows) = run(folder.path(), &["export-network", "--network", id]);
    assert!(exported && rows.contains("{\"table\":\"invitations\""), "{rows}");
    let (mistyped, output) = run(
        folder.path(),
        &["delete-network", "--network", id, "--name", "Nova"],
    );
    assert!(
        !mistyped && output.contains("is called “Nova Partners”"),
        "{output}"
    );
    let (deleted, output) = run(
        folder.path(),
        &["delete-network", "--network", id, "--name", "Nova Partners"],
    );
    assert!(
        deleted && folder.path().join(format!("exports/{id}.ndjson")).exists(),
        "{output}"
    );
    assert_eq!(run(folder.path(), &["list-networks"]), (true, String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_impersonates_a_member_and_ends_it_with_log_entries() {
    let app = TestApp::spawn().await;
    operator(&app).await;
    let now = schema::clock::now();
    let mut conn = app.db.unscoped().await.unwrap();
    let olga = people::by_email(&mut conn, "ops@example.com")
        .await
        .unwrap()
        .unwrap();
    let session = sessions::of_person(&mut conn, olga.id, now)
        .await
        .unwrap()
        .remove(0);
    let owner = people::by_email(&mut conn, &app.scene.owner.email)
        .await
        .unwrap()
        .unwrap();
    let mut conn = app.network().await;
    let members = memberships::list(&mut conn, &MemberFilter::default(), 50)
        .await
        .unwrap();
    let member = members
        .iter()
        .find(|member| member.role == Role::Manager)
        .unwrap();
    let author = Author {
        person_id: Some(olga.id),
        name: olga.name.clone(),
        via: Via::Page,
        address: None,
        scope: tenancy::Scope::default(),
    };
    let new = NewImpersonation {
        operator_id: olga.id,
        session_id: session.id,
        membership_id: member.id,
        reason: " \u{7} ",
        user_agent: "Test".to_owned(),
        address: None,
    };

    let without_reason = impersonation::start(&mut conn, &author, new.clone(), now).await;
    assert!(matches!(without_reason, Err(ChangeError::Fields(errors)) if !errors.of("reason").is_empty()));
    let new = NewImpersonation {
        reason: "Ticket 77",
        ..new
    };
    let by_an_owner = NewImpersonation {
        operator_id: owner.id,
        ..new.clone()
    };
    let refused = impersonation::start(&mut conn, &author, by_an_owner, now).await;
    assert!(
        matches!(refused, Err(ChangeError::NotFound)),
        "only operators impersonate"
    );
    let token = impersonation::start(&mut conn, &author, new.clone(), now)
        .await
        .unwrap();
    let again = impersonation::start(&mut conn, &author, new.clone(), now).await;
    assert!(
        matches!(again, Err(ChangeError::NotFound)),
        "the session has ended"
    );
    conn.commit().await.unwrap();

    let visit = unscoped::visit(&app.db, &token, None, now)
        .await
        .unwrap()
        .unwrap();
    let actor = visit.actor.unwrap();
    assert!(visit.session.is_impersonation() && actor.role == Role::Manager);
    assert!(actor.may(Permission::Configure) && !actor.may(Permission::RotateToken));
    assert_eq!(actor.impersonation.unwrap().reason, "Ticket 77");
    assert_eq!(
        visit.session.expires_at - visit.session.created_at,
        TimeDelta::hours(1)
    );
    let nested = NewImpersonation {
        session_id: visit.session.id,
        ..new
    };
    let mut conn = app.network().await;
    let nested = impersonation::start(&mut conn, &author, nested, now).await;
    assert!(
        matches!(nested, Err(ChangeError::NotFound)),
        "not within an impersonation"
    );
    conn.commit().await.unwrap();

    let later = now + TimeDelta::seconds(1);
    let end = async || impersonation::end(&app.db, &author, &visit.session, String::new(), None, later).await;
    let ended = end().await.unwrap().unwrap();
    assert!(end().await.unwrap().is_none(), "it ends once");
    let visit = unscoped::visit(&app.db, &ended.token, None, now)
        .await
        .unwrap()
        .unwrap();
    assert!(!visit.session.is_impersonation() && visit.person.id == olga.id);
    let mut conn = app.db.unscoped().await.unwrap();
    let log: Vec<_> = operators::log(&mut conn, None, 2)
        .await
        .unwrap()
        .into_iter()
        .map(|entry| (entry.action, entry.about_network, entry.detail))
        .collect();
    let network = format!("{} Orbit", app.scene.network.id);
    let detail = format!("as {} (Manager): Ticket 77", member.person_name);
    let expected = [
        ("operator.leave".to_owned(), network.clone(), String::new()),
        ("operator.act_as".to_owned(), network, detail),
    ];
    assert_eq!(log, expected);
    let audit =
        "SELECT count(*) FROM audit_log WHERE action = 'operator.act_as' AND after->>'reason' = 'Ticket 77'";
    assert_eq!(app.count(audit).await, 1);
    app.finish().await;
}

/// Process id of the private Postgres of a data directory.
fn postmaster(data_dir: &Path) -> Option<nix::unistd::Pid> {
    let file = std::fs::read_to_string(data_dir.join("postgres/postmaster.pid")).ok()?;
    file.lines()
        .next()?
        .trim()
        .parse()
        .ok()
        .map(nix::unistd::Pid::from_raw)
}

/// Sends a signal to a postmaster and its processes.
fn signal_all(postmaster: nix::unistd::Pid, signal: nix::sys::signal::Signal) {
    for entry in std::fs::read_dir("/proc").unwrap() {
        let name = entry.unwrap().file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        let is_child = parent.is_some_and(|parent| parent.trim() == postmaster.to_string());
        if is_child || pid == postmaster.as_raw() {
            // One that has ended meanwhile needs no signal.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_postgres_that_is_killed_is_started_again_and_pages_answer_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut server = Serving::start(folder.path());
    let line = server.first_line();
    let (_, link) = line.trim().split_once("Become its operator: ").unwrap();
    let (url, _) = link.split_once("/setup/").unwrap();
    let health = async || {
        let answer = reqwest::get(format!("{url}/health/ready")).await.unwrap();
        answer.text().await.unwrap()
    };
    for times in ["once", "2 times"] {
        let before = postmaster(folder.path()).unwrap();
        nix::sys::signal::kill(before, nix::sys::signal::Signal::SIGKILL).unwrap();
        let began = std::time::Instant::now();
        loop {
            let asked = std::time::Instant::now();
            let page = reqwest::get(format!("{url}/sign-in")).await.unwrap().status();
            assert!(
                asked.elapsed() < Duration::from_secs(4),
                "{page} after {:?}",
                asked.elapsed()
            );
            let is_new = postmaster(folder.path()).is_some_and(|now| now != before);
            let restarted = format!("ended by itself {times} since");
            if is_new && page.is_success() && health().await.contains(&restarted) {
                break;
            }
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "{page}: {}",
                health().await
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let last = postmaster(folder.path()).unwrap();

    // A page that asks a frozen one gives up in time, and works again with it.
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let home = async || {
        let cookie = format!("session={}", "a".repeat(52));
        let began = std::time::Instant::now();
        let answer = client.get(url).header("cookie", cookie).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap(), began.elapsed())
    };
    assert_eq!(home().await.0, StatusCode::SEE_OTHER);
    signal_all(last, nix::sys::signal::Signal::SIGSTOP);
    for _ in 0..2 {
        let (status, page, time) = home().await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{page}");
        assert!(page.contains("The database does not answer"), "{page}");
        assert!(time < Duration::from_secs(3), "{time:?}");
    }
    let api = reqwest::get(format!("{url}/api/v1/me")).await.unwrap();
    assert_eq!(api.status(), StatusCode::UNAUTHORIZED, "needs no database");
    signal_all(last, nix::sys::signal::Signal::SIGCONT);
    for _ in 0..50 {
        if home().await.0 == StatusCode::SEE_OTHER {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(home().await.0, StatusCode::SEE_OTHER);
    server.stop();
    assert!(
        nix::sys::signal::kill(last, None).is_err(),
        "it stops with the server"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_gets_certificates_for_hosts_of_the_installation_only() {
    let app = TestApp::spawn().await;
    let owner = app.program(&app.scene.owner).await;
    let hosts = serde_json::json!({ "tracking_hosts": ["go.orbit.example"] });
    assert_eq!(owner.patch("/network", &hosts).await.status, StatusCode::OK);
    let ask = async |query: &str| {
        let url = format!("{}/tls/ask{query}", app.dashboard_url);
        reqwest::get(url).await.unwrap().status()
    };
    let dashboard = app.dashboard_url.strip_prefix("http://").unwrap();
    for (query, status) in [
        ("?domain=go.orbit.example", StatusCode::OK),
        ("?domain=GO.orbit.example.", StatusCode::OK),
        (&format!("?domain={dashboard}"), StatusCode::OK),
        ("?domain=orbit.example", StatusCode::NOT_FOUND),
        ("?domain=other.go.orbit.example", StatusCode::NOT_FOUND),
        ("", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(ask(query).await, status, "{query}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_postbacks_are_removed_by_verdict_and_the_verdicts_stay() {
    let app = TestApp::spawn().await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let order = [
        ("click_id", click.id.as_str()),
        ("order_id", "1"),
        ("amount", "10"),
    ];
    let accepted = server.postback(&order).await;
    let rejected = server
        .postback(&[("click_id", "nonsense"), ("order_id", "2"), ("amount", "10")])
        .await;
    app.settled().await;
    let node = app
        .another_node_with(|storage| storage.keep_accepted_calls_days = Some(0))
        .await;
    let removed = "SELECT count(*) FROM postbacks WHERE incomplete = 'removed'";
    app.eventually(removed, "1").await;
    let program = app.program(&app.scene.owner).await;
    let of = |answer: &Answer| format!("/postbacks/{}", answer.get("request_id"));
    let shown = program.get(&of(&accepted)).await.json;
    assert_eq!(shown["incomplete"], "removed", "{shown}");
    assert_eq!(shown["request"], "GET /postback", "{shown}");
    assert_eq!(
        (&shown["reason"], &shown["order_id"]),
        (&"accepted".into(), &"1".into())
    );
    assert!(shown["trace"].as_array().unwrap().len() > 4, "{shown}");
    let kept = program.get(&of(&rejected)).await.json;
    assert!(kept["incomplete"].is_null(), "{kept}");
    assert!(kept["request"].as_str().unwrap().contains("order_id=2"), "{kept}");
    let owner = app.sign_in(&app.scene.owner).await;
    let page = owner.get(&of(&accepted)).await;
    assert!(
        page.html.contains("removed when its retention ended"),
        "{}",
        page.html
    );
    // A repeat is found by the conversion.
    assert_eq!(server.postback(&order).await.reason(), "duplicate_order");
    node.stop().await;
    app.finish().await;
}
