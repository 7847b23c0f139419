//! Verification, as a page and as a command.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use std::path::Path;
use std::process::Command;

use diesel_async::SimpleAsyncConnection;
use reqwest::StatusCode;
use testkit::people::see_other;
use testkit::{Scene, TestApp};

/// Runs statements that no role of the product may run.
pub(crate) async fn tamper(app: &TestApp, statements: &str) {
    app.settled().await;
    let mut conn = app.database.owner().await;
    conn.batch_execute(statements).await.unwrap();
}

async fn one_conversion(app: &TestApp) {
    let click = app.visitor().click("").await;
    let fields = [
        ("click_id", click.id.as_str()),
        ("order_id", "A-1"),
        ("amount", "200"),
    ];
    assert_eq!(app.advertiser().postback(&fields).await.reason(), "accepted");
    app.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_holds_until_a_rollup_is_changed_and_then_names_the_row() {
    let app = TestApp::spawn().await;
    one_conversion(&app).await;
    let owner = app.sign_in(&app.scene.owner).await;
    let page = owner.get("/settings/proof").await.html;
    assert!(page.contains("No verification has run yet.") && page.contains("Verify the last 7 days"));
    let run = async || {
        let done = owner.submit("/settings/proof", "/settings/proof", &[]).await;
        assert_eq!(see_other(&done), "/settings/proof");
        owner.get("/settings/proof").await.html
    };
    let page = run().await;
    assert!(page.contains("<span class=\"badge ok\">holds</span>"), "{page}");
    assert!(page.contains("All clicks of the journals on this machine are in the database, once"));
    let looked_up = "</th><td class=\"num\">1</td><td class=\"num\">1</td>";
    assert!(
        page.contains(looked_up) && !page.contains("Examples of differences"),
        "{page}"
    );

    tamper(&app, "UPDATE click_rollups SET clicks = clicks + 1").await;
    let page = run().await;
    // The expected row, and the row found.
    assert!(
        page.contains("<span class=\"badge rejected\">2 differences</span>"),
        "{page}"
    );
    assert!(page.contains("expected, not found") && page.contains("found, not expected"));
    assert_eq!(page.matches("Examples of differences").count(), 1);
    let analyst = app.sign_in(app.scene.person(tenancy::RoleKind::Analyst)).await;
    let seen = analyst.get("/settings/proof").await.html;
    assert!(seen.contains("2 differences") && !seen.contains("Verify the last 7 days"));
    let rival = Scene::set(&app.db, "Rival", "rival.example").await;
    let seen = app.sign_in(&rival.owner).await.get("/settings/proof").await.html;
    assert!(
        seen.contains("No verification has run yet."),
        "a verification is visible to its own network only"
    );
    tamper(&app, "UPDATE click_rollups SET clicks = clicks - 1").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_verification_names_the_command_and_stores_no_result() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let broken = app.journal.path().join("1/clicks");
    std::fs::create_dir_all(&broken).unwrap();
    std::fs::write(broken.join("identity"), "nonsense").unwrap();
    let failed = owner.submit("/settings/proof", "/settings/proof", &[]).await;
    assert_eq!(failed.status, StatusCode::SERVICE_UNAVAILABLE);
    let command = format!("clickledger verify --network {}", app.scene.network.id);
    assert!(failed.html.contains(&command), "{}", failed.html);
    assert!(
        !failed.html.contains(&*broken.to_string_lossy()),
        "the page does not reveal folders of the server"
    );
    assert_eq!(app.count("SELECT count(*) FROM verifications").await, 0);
    std::fs::remove_dir_all(broken.parent().unwrap()).unwrap();
    let done = owner.submit("/settings/proof", "/settings/proof", &[]).await;
    assert_eq!(see_other(&done), "/settings/proof");
    app.finish().await;
}

/// Runs a command and returns true if it succeeded, with its output.
fn run(login: &str, data: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_clickledger"))
        .args(arguments)
        .arg("--data-dir")
        .arg(data)
        .env("DATABASE_URL", login)
        .env_remove("OWNER_DATABASE_URL")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.success(),
        text(&output.stdout) + &text(&output.stderr),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_verifies_every_network_and_fails_if_a_check_does_not_hold() {
    let app = TestApp::spawn().await;
    one_conversion(&app).await;
    let rival = Scene::set(&app.db, "Rival", "rival.example").await;
    let (login, data) = (app.database.login().await, tempfile::tempdir().unwrap());
    let journals = app.journal.path().to_str().unwrap();
    let id = app.scene.network.id.to_string();
    let verify = |arguments: &[&str]| {
        run(
            &login,
            data.path(),
            &[&["verify", "--journals", journals][..], arguments].concat(),
        )
    };
    let (holds, output) = verify(&[]);
    assert!(holds && output.contains("All 28 checks hold."), "{output}");
    assert!(
        output.contains("Orbit") && output.contains("Rival") && !output.contains("DIFFERS"),
        "{output}"
    );
    assert!(output.contains("holds    All clicks of the journals on this machine are in the database, once: 1 expected, 1 found"), "{output}");

    tamper(
        &app,
        "UPDATE conversion_rollups SET commission_micros = commission_micros + 1",
    )
    .await;
    let (holds, output) = verify(&["--network", &id, "--days", "1"]);
    assert!(
        !holds && output.contains("1 of 14 checks do not hold"),
        "{output}"
    );
    assert!(
        output.contains("DIFFERS  The rollups of conversions equal the conversions, by quarters of an hour")
            && output.contains("\"commission\": 20000001"),
        "{output}"
    );
    assert!(!output.contains("Rival"), "{output}");
    let (holds, output) = verify(&["--network", &rival.network.id.to_string()]);
    assert!(holds && output.contains("All 14 checks hold."), "{output}");
    tamper(
        &app,
        "UPDATE conversion_rollups SET commission_micros = commission_micros - 1",
    )
    .await;

    // A row that foreign keys would refuse.
    tamper(
        &app,
        "UPDATE ledger_entries SET conversion_id = gen_random_uuid()",
    )
    .await;
    let (holds, output) = verify(&["--network", &id]);
    assert!(
        !holds && output.contains("DIFFERS  Every ledger entry has its cause"),
        "{output}"
    );
    tamper(
        &app,
        "UPDATE ledger_entries SET conversion_id = (SELECT id FROM conversions)",
    )
    .await;

    let (_, output) = run(&login, data.path(), &["replace-click-key", "--network", &id]);
    assert!(
        output.contains("Orbit signs click ids with key number 2 from 2"),
        "{output}"
    );
    assert_eq!(app.count("SELECT max(click_key_number) FROM networks").await, 2);
    for command in ["verify", "replace-click-key"] {
        let unknown = schema::NetworkId(1).to_string();
        let (found, output) = run(&login, data.path(), &[command, "--network", &unknown]);
        assert!(
            !found && output.contains("no network has the id"),
            "{command}: {output}"
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_of_a_journal_fails_verification_with_its_position() {
    let app = TestApp::spawn().await;
    for sub in ["one", "a-sub-to-find", "three"] {
        app.visitor().click(&format!("?sub1={sub}")).await;
    }
    app.settled().await;
    let folder = app.journal.path().join("0/clicks");
    let segment = std::fs::read_dir(&folder).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(13).position(|part| part == b"a-sub-to-find")?;
        Some((path, bytes, at))
    });
    let (path, bytes, at) = segment.unwrap();
    let write = |flip: u8| {
        use std::os::unix::fs::FileExt as _;
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.write_all_at(&[bytes[at] ^ flip], at as u64).unwrap();
    };
    let (login, data) = (app.database.login().await, tempfile::tempdir().unwrap());
    let verify = || {
        run(
            &login,
            data.path(),
            &["verify", "--journals", app.journal.path().to_str().unwrap()],
        )
    };
    write(1);
    let (holds, output) = verify();
    assert!(
        !holds
            && output.contains(
                "DIFFERS  Every record of the journals on this machine can be read: 3 expected, 2 found"
            ),
        "{output}"
    );
    assert!(
        output.contains("records 1 to 1 of the clicks in slot 0 are damaged, from byte"),
        "{output}"
    );
    write(0);
    let (holds, output) = verify();
    assert!(holds, "{output}");
    app.finish().await;
}
