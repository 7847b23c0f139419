//! Handover from one server process to another, without a refused, failed or lost request; and the figures of a node.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

use std::fs;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Client, StatusCode, redirect::Policy};
use schema::Db;
use tenancy::Secret;
use testkit::{Scene, TestDatabase};

/// A server that is killed when dropped. Its log is printed if the test fails.
struct Serving(Child, PathBuf);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        if std::thread::panicking() {
            println!("{}", fs::read_to_string(&self.1).unwrap_or_default());
        }
    }
}

/// Starts `clickledger serve` with two listeners handed over, as systemd does.
fn serve(
    database: &TestDatabase,
    secret: &Secret,
    data_dir: &Path,
    listeners: [&TcpListener; 2],
    metrics: u16,
) -> Serving {
    let [dashboard, tracking] = listeners.map(|listener| {
        fcntl(listener, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        listener.as_raw_fd()
    });
    let log = data_dir.join(format!("{metrics}.log"));
    let handing = format!("exec \"$@\" 3<&{dashboard} 4<&{tracking}");
    let child = Command::new("bash")
        .args(["-c", &handing, "bash", env!("CARGO_BIN_EXE_clickledger"), "serve"])
        .arg("--data-dir")
        .arg(data_dir)
        .args(["--journal-segment-mib", "4", "--metrics-listen"])
        .arg(format!("127.0.0.1:{metrics}"))
        .env("DATABASE_URL", database.url.replace("clickledger@", "serving@"))
        .env("OWNER_DATABASE_URL", &database.url)
        .env("CLICKLEDGER_SECRET", secret.to_text())
        .env("LISTEN_FDS", "2")
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    Serving(child, log)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

async fn until_ready(metrics: u16) {
    let begun = Instant::now();
    while reqwest::get(format!("http://127.0.0.1:{metrics}/metrics"))
        .await
        .is_err()
    {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the server does not start"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the process has kept the links that it redirects, as one that was not started just now has.
async fn until_links_are_kept(data_dir: &Path) {
    let begun = Instant::now();
    while !data_dir.join("journal/routing.json").exists() {
        assert!(begun.elapsed() < Duration::from_secs(30), "links are not kept");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_takes_over_from_another_without_a_lost_or_failed_request() {
    let database = TestDatabase::create().await;
    database
        .operate("DO $$ BEGIN CREATE ROLE serving LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
        .await;
    let folder = tempfile::tempdir().unwrap();
    let [dashboard, tracking] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let host = tracking.local_addr().unwrap().to_string();
    let db = Db::new(&database.url, 2, Duration::from_secs(15));
    let scene = Scene::set(&db, "Orbit", &host).await;
    let (secret, first_metrics, second_metrics) = (Secret::random(), free_port(), free_port());
    let listeners = [&dashboard, &tracking];
    let mut first = serve(&database, &secret, folder.path(), listeners, first_metrics);
    until_ready(first_metrics).await;

    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|client| {
            let (stop, acknowledged) = (stop.clone(), acknowledged.clone());
            let url = format!("http://{host}/{}?sub1=c{client}", scene.alias);
            tokio::spawn(async move {
                // Every other client keeps its connection, and must learn of its end before using it again.
                let http = Client::builder().redirect(Policy::none()).no_proxy();
                let http = if client % 2 == 0 {
                    http.pool_max_idle_per_host(0)
                } else {
                    http
                };
                let http = http.build().unwrap();
                while !stop.load(Ordering::Relaxed) {
                    let answer = http.get(&url).send().await.expect("no request fails");
                    assert_eq!(answer.status(), StatusCode::FOUND);
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            })
        })
        .collect();
    until_links_are_kept(folder.path()).await;
    let second = serve(&database, &secret, folder.path(), listeners, second_metrics);
    until_ready(second_metrics).await;
    kill(
        Pid::from_raw(i32::try_from(first.0.id()).unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    let ended = tokio::task::spawn_blocking(move || first.0.wait().unwrap());
    let ended = tokio::time::timeout(Duration::from_secs(15), ended)
        .await
        .expect("the process ends in time");
    assert!(ended.unwrap().success());
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }

    // Each process had its own journal, and both journals are applied.
    let stored = "SELECT count(*) FROM clicks";
    let expected = i64::try_from(acknowledged.load(Ordering::Relaxed)).unwrap();
    let begun = Instant::now();
    while count(&database, stored).await < expected {
        assert!(begun.elapsed() < Duration::from_secs(10), "clicks are missing");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(count(&database, stored).await, expected);
    assert_eq!(
        count(
            &database,
            "SELECT count(*) FROM ingest_cursors WHERE stream = 'clicks'"
        )
        .await,
        2
    );

    let metrics = reqwest::get(format!("http://127.0.0.1:{second_metrics}/metrics"))
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    for line in [
        "clickledger_ready 1",
        "clickledger_unrecorded_clicks_total 0",
        "clickledger_quarantined_records 0",
        "clickledger_alarm{name=\"journal_late\"} 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(
        !metrics.contains("clickledger_clicks_total 0"),
        "clicks are counted"
    );
    let ready = reqwest::get(format!("http://{host}/health/ready")).await.unwrap();
    assert_eq!(ready.status(), StatusCode::OK);
    let ready: serde_json::Value = ready.json().await.unwrap();
    assert_eq!(
        (&ready["ready"], ready["journals"][0]["stream"].as_str()),
        (&true.into(), Some("clicks"))
    );
    drop(second);
}

async fn count(database: &TestDatabase, sql: &str) -> i64 {
    use diesel_async::RunQueryDsl;
    #[derive(diesel::QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    let mut conn = database.owner().await;
    let found: Count = diesel::sql_query(sql).get_result(&mut conn).await.unwrap();
    found.count
}
