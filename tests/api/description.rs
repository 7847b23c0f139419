//! Schemathesis checks that the API conforms to its OpenAPI document, with thousands of valid and invalid requests.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use diesel_async::RunQueryDsl;
use reqwest::StatusCode;
use testkit::{ApiClient, TestApp, TestOptions};
use tokio::process::Command;

/// Version that `./x` installs.
const VERSION: &str = "4.32.5";

/// Operations that can invalidate the key of the run, tested in a separate run without the IDs of the first.
const SELF_DESTRUCTIVE: [&str; 3] = ["delete_keys_id", "delete_members_id", "patch_members_id"];

/// Time limit of a run on a busy machine.
const RUN_TIMEOUT: Duration = Duration::from_secs(900);

/// Path of the program: `$SCHEMATHESIS`, the installation of `./x`, or the one on `PATH`.
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
                 or set $SCHEMATHESIS to its path."
            )
        })
}

/// Runs Schemathesis from this address, which must find this number of operations.
async fn run(program: &ApiClient, app: &TestApp, address: &str, operations: usize, options: &[&str]) {
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
        .args(["--header", &format!("X-Forwarded-For: {address}")])
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
    let ended = tokio::time::timeout(RUN_TIMEOUT, child.wait_with_output()).await;
    let output = ended.expect("schemathesis ends in time").unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains(&format!("Tested: {operations}\n")), "{stdout}");
}

/// Tag of operations that are tried on another server, at the same time.
const APART: &str = "Reports";

/// Phases of a run.
const ALL_PHASES: &str = "examples,coverage,fuzzing";
/// Maximum number of examples of each phase and operation.
const MAX_EXAMPLES: &str = "20";

/// Number of operations with a tag.
fn tagged(tag: &str) -> usize {
    let document = serde_json::to_value(api::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|path| path.as_object().unwrap().values());
    let has_tag = |operation: &&serde_json::Value| operation["tags"][0] == tag;
    operations.filter(has_tag).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_conforms_to_its_openapi_document() {
    let app = TestApp::spawn_with(TestOptions {
        calls_per_minute: Some(u32::MAX),
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..TestOptions::default()
    })
    .await;
    let program = app.program(&app.scene.owner).await;
    let expendable = app.program(&app.scene.owner).await;
    // The run may make the network require two-factor authentication, so the owner of the key gets it.
    diesel::sql_query("UPDATE people SET totp_sealed = '\\x00'")
        .execute(&mut app.database.owner().await)
        .await
        .unwrap();
    // Schemathesis skips the operation that it loads the document from.
    let most = api::ROUTES.len() - SELF_DESTRUCTIVE.len() - 1 - tagged(APART);
    // A run tries each operation with a wrong key, and an address has a hundred wrong keys.
    let destructive = SELF_DESTRUCTIVE.len();
    for (program, address, phases, which, operations) in [
        (
            &program,
            "203.0.113.1",
            "examples,coverage",
            "--exclude-operation-id",
            most,
        ),
        (&program, "203.0.113.2", "fuzzing", "--exclude-operation-id", most),
        (
            &expendable,
            "203.0.113.3",
            ALL_PHASES,
            "--include-operation-id",
            destructive,
        ),
    ] {
        let mut options = vec!["--phases", phases, "--max-examples", MAX_EXAMPLES];
        options.extend(["--exclude-tag", APART]);
        options.extend(SELF_DESTRUCTIVE.iter().flat_map(|operation| [which, *operation]));
        run(program, &app, address, operations, &options).await;
        let me = program.get("/me").await.status;
        assert_eq!(me, StatusCode::OK, "the run has locked itself out");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_conform_to_the_openapi_document() {
    let app = TestApp::spawn_with(TestOptions {
        calls_per_minute: Some(u32::MAX),
        ..TestOptions::default()
    })
    .await;
    let program = app.program(&app.scene.owner).await;
    let options = [
        "--phases",
        ALL_PHASES,
        "--max-examples",
        MAX_EXAMPLES,
        "--include-tag",
        APART,
    ];
    run(&program, &app, "203.0.113.1", tagged(APART), &options).await;
    app.finish().await;
}
