//! Configuration: file, environment and flags together, and `clickledger check-config`.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::{MailSink, TestDatabase};

/// Variables that the machine of the test may have.
const VARIABLES: [&str; 4] = [
    "DATABASE_URL",
    "OWNER_DATABASE_URL",
    "CLICKLEDGER_CONFIG",
    "CREDENTIALS_DIRECTORY",
];

/// Runs `check-config` and returns its exit code and output.
fn check(folder: &Path, file: &str, more: impl FnOnce(&mut Command)) -> (i32, String) {
    let path = folder.join("clickledger.toml");
    fs::write(&path, file).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_clickledger"));
    command.arg("check-config").arg("--config").arg(&path);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    more(&mut command);
    let output = command.output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text)
}

fn assert_lines(output: &str, lines: &[&str]) {
    for line in lines {
        assert!(output.contains(line), "{line:?} is missing in\n{output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_configuration_is_fine() {
    let database = TestDatabase::create().await;
    let login = database.login().await;
    let mail = MailSink::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = format!(
        "dashboard-url = \"https://app.example.com\"\n\
         tracking-url = \"https://trk.example.com\"\n\
         trusted-proxy = \"127.0.0.1\"\n\
         data-dir = \"{}\"\n\
         database-url = \"{login}\"\n\
         smtp-url = \"{}\"\n\
         mail-from = \"Clickledger <no-reply@example.com>\"\n",
        folder.path().join("data").display(),
        mail.url()
    );
    let (code, output) = check(folder.path(), &file, |command| {
        command.arg("--connect");
    });
    assert_eq!(code, 0, "{output}");
    assert_lines(
        &output,
        &[
            "ok       configuration file  /",
            "ok       dashboard-url       https://app.example.com",
            "will be created",
            "owns nothing",
            "the mail server accepts the login",
        ],
    );
    assert!(!output.contains("warning"), "{output}");
    assert!(!folder.path().join("data").exists(), "the check creates nothing");
    let (code, output) = check(folder.path(), &file, |command| {
        command.arg("--json");
    });
    assert_eq!(code, 0, "{output}");
    assert_lines(
        &output,
        &[r#"{"level":"ok","subject":"dashboard-url","text":"https://app.example.com"}"#],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_has_a_line() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let no_folder = folder.path().join("file");
    fs::write(&no_folder, "").unwrap();
    let file = format!(
        "dashboard-url = \"app.example.com\"\n\
         dashboard-listen = \"127.0.0.1:8081\"\n\
         data-dir = \"{0}/data\"\n\
         places = [\"{0}\", \"/nowhere.mmdb\"]\n\
         secret = \"short\"\n\
         smtp-url = \"http://mail.example\"\n\
         database-url = \"{1}\"\n",
        no_folder.display(),
        database.url
    );
    let (code, output) = check(folder.path(), &file, |_| ());
    assert_eq!(code, 1, "{output}");
    assert_lines(
        &output,
        &[
            "problem  listeners           dashboard-listen and tracking-listen are the same address, 127.0.0.1:8081",
            "problem  dashboard-url       app.example.com must be a URL such as https://app.example.com, without a path",
            "problem  data-dir            /",
            "file is not a folder",
            "problem  places              /",
            "problem  places              /nowhere.mmdb: No such file",
            "problem  secret              --secret: the secret must be 52 characters",
            "problem  smtp-url            the mail server URL must be smtp://",
            "problem  database-url        DATABASE_URL signs in as clickledger, which is a superuser",
            "clickledger: the configuration has 8 problems",
        ],
    );
    assert!(!output.contains("short"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_answer_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!(
        "data-dir = \"{}\"\ndatabase-url = \"postgres://app@127.0.0.1:1/click\"\n",
        folder.path().display()
    );
    let (code, output) = check(folder.path(), &file, |_| ());
    assert_eq!(code, 1, "{output}");
    assert_lines(
        &output,
        &["Connection refused", "the configuration has a problem"],
    );
    let fresh = TestDatabase::empty().await;
    let file = format!(
        "data-dir = \"{}\"\ndatabase-url = \"{}\"\n",
        folder.path().display(),
        fresh.login().await
    );
    let (code, output) = check(folder.path(), &file, |_| ());
    assert_eq!(code, 1, "{output}");
    assert_lines(
        &output,
        &["problem  database-url        the database is not up to date"],
    );
}

#[test]
fn the_environment_stands_between_flags_and_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = "dashboard-listen = \"127.0.0.1:1001\"\ntracking-listen = \"127.0.0.1:1002\"\n\
                metrics-listen = \"127.0.0.1:1003\"\n";
    let (_, output) = check(folder.path(), file, |command| {
        command
            .env("CLICKLEDGER_TRACKING_LISTEN", "127.0.0.1:2002")
            .env("CLICKLEDGER_METRICS_LISTEN", "127.0.0.1:2003")
            .args(["--metrics-listen", "127.0.0.1:3003"]);
    });
    assert_lines(
        &output,
        &["dashboard-listen 127.0.0.1:1001, tracking-listen 127.0.0.1:2002, metrics-listen 127.0.0.1:3003"],
    );
}

#[test]
fn a_file_with_mistakes_is_refused_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (code, output) = check(
        folder.path(),
        "dashboard-lissten = \"x\"\n\nallow-signup = 1\n",
        |_| (),
    );
    assert_eq!(code, 2, "{output}");
    assert_lines(
        &output,
        &[
            "clickledger.toml:1: the key dashboard-lissten does not exist; did you mean dashboard-listen?",
            "clickledger.toml:3: allow-signup must be true or false, and is of type integer",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_systemd_are_found_by_their_name() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let secret = tenancy::Secret::random().to_text();
    fs::write(folder.path().join("secret"), format!("{secret}\n")).unwrap();
    fs::write(folder.path().join("database-password"), "unused by trust\n").unwrap();
    let file = format!(
        "data-dir = \"{}\"\ndatabase-url = \"{}\"\n",
        folder.path().display(),
        database.login().await
    );
    let (code, output) = check(folder.path(), &file, |command| {
        command.env("CREDENTIALS_DIRECTORY", folder.path());
    });
    assert_eq!(code, 0, "{output}");
    let found = format!("ok       secret              {}/secret", folder.path().display());
    assert_lines(&output, &[&found]);
    // The same password in the address is a contradiction, which shows that the credential is read.
    let file = file.replace(
        "database-url = \"postgresql://test_commands@",
        "database-url = \"postgresql://test_commands:x@",
    );
    let (code, output) = check(folder.path(), &file, |command| {
        command.env("CREDENTIALS_DIRECTORY", folder.path());
    });
    assert_eq!(code, 1, "{output}");
    assert_lines(&output, &["--database-url: the address contains a password"]);
}
