//! The API does what its description says, as Schemathesis reads it: thousands of right and wrong calls.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use diesel_async::RunQueryDsl;
use reqwest::StatusCode;
use testkit::{ApiClient, TestApp, TestOptions};
use tokio::process::Command;

/// As `./x` installs it.
const VERSION: &str = "4.32.5";

/// What would end the run's own key: tried apart, without what was learned of ids before.
const OWN_GRAVE: [&str; 3] = ["delete_keys_id", "delete_members_id", "patch_members_id"];

/// How much a run may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(900);

/// `$SCHEMATHESIS`, what `./x` has installed, or what is in the path.
fn schemathesis() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    let in_path = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .flat_map(|folder| [folder.join("schemathesis"), folder.join("st")]);
    std::env::var_os("SCHEMATHESIS")
        .map(PathBuf::from)
        .into_iter()
        .chain([target.join("tools/schemathesis/bin/schemathesis")])
        .chain(in_path)
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!(
                "schemathesis is missing. `./x test` installs it (PyPI: schemathesis {VERSION}); \
                 or say in $SCHEMATHESIS where it is."
            )
        })
}

/// Runs it over as many operations as it must find.
async fn run(program: &ApiClient, app: &TestApp, operations: usize, options: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/api/schemathesis.toml");
    let child = Command::new(schemathesis())
        .arg("--config-file")
        .arg(settings)
        .args(["--no-color", "run"])
        .arg(format!("{}/api/v1/openapi.json", app.dashboard_url))
        .args([
            "--header",
            &format!("Authorization: Bearer {}", program.credential),
        ])
        .args([
            "--checks",
            "all",
            "--warnings",
            "off",
            "--suppress-health-check",
            "all",
        ])
        .args(options)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = ended.expect("schemathesis ends in time").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    assert!(said.contains(&format!("Tested: {operations}\n")), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_does_what_its_description_says() {
    let app = TestApp::spawn_with(TestOptions {
        calls_per_minute: Some(u32::MAX),
        ..TestOptions::default()
    })
    .await;
    let program = app.program(&app.scene.owner).await;
    let expendable = app.program(&app.scene.owner).await;
    // The run may come to demand a second factor of everybody: its key's owner has one.
    diesel::sql_query("UPDATE people SET totp_sealed = '\\x00'")
        .execute(&mut app.database.owner().await)
        .await
        .unwrap();
    // It leaves the operation out that it has the description from.
    let most = api::ROUTES.len() - OWN_GRAVE.len() - 1;
    for (program, which, operations) in [
        (&program, "--exclude-operation-id", most),
        (&expendable, "--include-operation-id", OWN_GRAVE.len()),
    ] {
        let mut options = vec!["--phases", "examples,coverage,fuzzing", "--max-examples", "20"];
        options.extend(OWN_GRAVE.iter().flat_map(|operation| [which, *operation]));
        run(program, &app, operations, &options).await;
        let me = program.get("/me").await.status;
        assert_eq!(me, StatusCode::OK, "the run has locked itself out");
    }
    app.finish().await;
}
