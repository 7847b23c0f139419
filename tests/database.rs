//! Sessions of the server and their settings, and the versions of the database it accepts.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use schema::Db;
use testkit::{TestApp, TestDatabase, TestOptions};
use tokio::process::Command;

#[derive(QueryableByName)]
struct Jit {
    #[diesel(sql_type = Text)]
    jit: String,
}

async fn jit(conn: &mut AsyncPgConnection) -> String {
    let setting: Jit = diesel::sql_query("SHOW jit").get_result(conn).await.unwrap();
    setting.jit
}

/// Records the setting of each session that changes a row of the table.
const RECORD_JIT: &str = "
    CREATE TABLE recorded (session text, jit text);
    CREATE FUNCTION record() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN INSERT INTO public.recorded VALUES (TG_TABLE_NAME, current_setting('jit')); RETURN NULL; END $$;
    CREATE TRIGGER record AFTER INSERT OR UPDATE ON ingest_cursors FOR EACH ROW EXECUTE FUNCTION record();
    CREATE TRIGGER record AFTER INSERT ON networks FOR EACH ROW EXECUTE FUNCTION record();";

#[tokio::test(flavor = "multi_thread")]
async fn no_session_uses_the_just_in_time_compiler_whatever_the_cluster_sets() {
    let database = TestDatabase::create().await;
    database
        .operate(&format!("ALTER DATABASE {} SET jit = on", database.name))
        .await;
    let mut owner = database.owner().await;
    assert_eq!(
        jit(&mut owner).await,
        "on",
        "the cluster's setting, seen by a foreign session"
    );
    diesel_async::SimpleAsyncConnection::batch_execute(&mut owner, RECORD_JIT)
        .await
        .unwrap();

    assert_eq!(
        jit(&mut schema::connect(&database.url).await.unwrap()).await,
        "off"
    );
    let db = Db::new(&database.url, 1, Duration::from_secs(15));
    assert_eq!(jit(&mut db.unscoped().await.unwrap()).await, "off");
    assert_eq!(jit(&mut db.operator().await.unwrap()).await, "off");
    let (client, connection) = schema::connect_client(&database.url).await.unwrap();
    let driver = tokio::spawn(connection);
    let setting = client.query_one("SHOW jit", &[]).await.unwrap();
    assert_eq!(setting.get::<_, &str>(0), "off");
    drop(client);
    driver.await.unwrap().unwrap();

    let app = TestApp::spawn_with(TestOptions {
        database: Some(database),
        ..TestOptions::default()
    })
    .await;
    let click = app.visitor().click("").await;
    app.advertiser()
        .postback(&[("click_id", &click.id), ("order_id", "1"), ("amount", "10")])
        .await;
    let recorded = app
        .text("SELECT string_agg(DISTINCT session || ' ' || jit, ', ' ORDER BY session || ' ' || jit) FROM recorded")
        .await;
    assert_eq!(recorded, "ingest_cursors off, networks off");
    app.finish().await;
}

/// Rust files below `crates/`, without tools for development.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && !["conserve", "testkit", "target"].contains(&name.as_str()) {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn sessions_are_opened_in_one_place() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    sources(&crates, &mut files);
    let using = |calls: &[&str]| -> Vec<_> {
        let mut found: Vec<_> = files
            .iter()
            .filter(|path| {
                let text = std::fs::read_to_string(path).unwrap();
                calls.iter().any(|call| text.contains(call))
            })
            .map(|path| path.strip_prefix(&crates).unwrap())
            .collect();
        found.sort();
        found
    };
    let opening = using(&[
        "Connection::establish",
        "tokio_postgres::connect",
        "NoTls",
        "Config::connect",
        "try_from_client_and_connection",
    ]);
    assert_eq!(opening, [Path::new("schema/src/session.rs")]);
    // Code that parses an address elsewhere could open a session without TLS.
    assert_eq!(
        using(&["tokio_postgres::Config", "use tokio_postgres::config"]),
        [
            Path::new("schema/src/address.rs"),
            Path::new("schema/src/session.rs")
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_older_than_its_database_refuses_to_serve() {
    let database = TestDatabase::create().await;
    let login = database.login().await;
    let refusal = async |owner: Option<&str>| {
        let data_dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_clickledger"));
        command
            .args(["serve", "--data-dir"])
            .arg(data_dir.path())
            .args([
                "--dashboard-listen",
                "127.0.0.1:0",
                "--tracking-listen",
                "127.0.0.1:0",
            ])
            .env("DATABASE_URL", &login)
            .env_remove("OWNER_DATABASE_URL")
            .kill_on_drop(true);
        if let Some(owner) = owner {
            command.env("OWNER_DATABASE_URL", owner);
        }
        let output = tokio::time::timeout(Duration::from_secs(30), command.output());
        let output = output.await.unwrap().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let newer =
        "INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231235958'), ('20991231235959')";
    let mut owner = database.owner().await;
    diesel::sql_query(newer).execute(&mut owner).await.unwrap();
    for owner_url in [None, Some(database.url.as_str())] {
        let refused = refusal(owner_url).await;
        assert!(
            refused.contains("the migration 20991231235959, which this binary does not have"),
            "{refused}"
        );
        assert!(refused.contains("Run that version or a later one"), "{refused}");
    }
    // Refused before anything was applied, so the older migrations can be pending too.
    diesel::sql_query("DELETE FROM __diesel_schema_migrations WHERE version < '2099'")
        .execute(&mut owner)
        .await
        .unwrap();
    let refused = refusal(Some(&database.url)).await;
    assert!(refused.contains("which this binary does not have"), "{refused}");
}
