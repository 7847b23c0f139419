//! Running an installation: the set-up link of a fresh server, and the commands of its operator.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use reqwest::StatusCode;
use testkit::Member;
use testkit::people::{PASSWORD, see_other};

fn command(data_dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clickledger"));
    command
        .args(arguments)
        .arg("--data-dir")
        .arg(data_dir)
        .env_remove("DATABASE_URL");
    command
}

/// What a command prints, and whether it succeeded.
fn run(data_dir: &Path, arguments: &[&str]) -> (bool, String) {
    let output = command(data_dir, arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.success(),
        text(&output.stdout) + &text(&output.stderr),
    )
}

/// A server that is told to stop when dropped.
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
async fn a_fresh_server_prints_a_link_that_makes_one_operator_and_commands_do_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    // The database's user must be able to enter it.
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
        "it works once"
    );
    assert_eq!(
        Member::stranger(url).get("/sign-up").await.status,
        StatusCode::NOT_FOUND,
        "strangers do not sign up unless they are let"
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
    let (changed, said) = run(
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
        changed && said.contains("is suspended") && said.contains("7 seats"),
        "{said}"
    );
    let (refused, said) = run(
        folder.path(),
        &["change-network", "--network", id, "--max-seats", "0"],
    );
    assert!(!refused && said.contains("max_seats"), "{said}");
    let (exported, rows) = run(folder.path(), &["export-network", "--network", id]);
    assert!(exported && rows.contains("{\"table\":\"invitations\""), "{rows}");
    let (mistyped, said) = run(
        folder.path(),
        &["delete-network", "--network", id, "--name", "Nova"],
    );
    assert!(!mistyped && said.contains("is called “Nova Partners”"), "{said}");
    let (deleted, said) = run(
        folder.path(),
        &["delete-network", "--network", id, "--name", "Nova Partners"],
    );
    assert!(
        deleted && folder.path().join(format!("exports/{id}.ndjson")).exists(),
        "{said}"
    );
    assert_eq!(run(folder.path(), &["list-networks"]), (true, String::new()));
}
