//! A server that starts while its database is away or frozen: known links redirect, postbacks are queued, and the server
//! connects when it can.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::header::HOST;
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};
use tempfile::TempDir;
use testkit::{TestApp, TestOptions, TestPostgres};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Longest answer of a known link or a postback, whatever the database does: 250 ms, and the time of a busy machine.
const PROMPT: Duration = Duration::from_millis(1_500);

/// Page of a network that does not exist, which only the database knows.
const OPENED: &str = "/join/nowhere";

/// Treatment of connections by a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Lets them through.
    Open,
    /// Closes them.
    Away,
    /// Accepts them and forwards nothing, as a frozen server does.
    Frozen,
}

/// Gate in front of Postgres.
struct Gate {
    port: u16,
    pass: watch::Sender<Pass>,
}

impl Gate {
    async fn before(postgres: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let pass = watch::Sender::new(Pass::Open);
        let set = pass.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(forward(client, postgres, set.subscribe()));
            }
        });
        Self { port, pass }
    }

    fn set(&self, pass: Pass) {
        self.pass.send_replace(pass);
    }
}

/// Forwards a connection while the gate is open, and holds it while the gate is frozen.
async fn forward(mut client: TcpStream, postgres: u16, mut pass: watch::Receiver<Pass>) {
    let mut server = None;
    loop {
        let now = *pass.borrow_and_update();
        match now {
            Pass::Away => return,
            Pass::Frozen => drop(pass.changed().await),
            Pass::Open => {
                let server = match &mut server {
                    Some(server) => server,
                    none => none.insert(TcpStream::connect(("127.0.0.1", postgres)).await.unwrap()),
                };
                tokio::select! {
                    _ = copy_bidirectional(&mut client, server) => return,
                    _ = pass.changed() => {}
                }
            }
        }
    }
}

/// Process of `clickledger serve` on the journals of the app, killed when dropped.
struct Server {
    child: Child,
    dashboard: String,
    tracking: String,
    /// Tracking host of the network.
    host: String,
}

impl Server {
    fn start(world: &World, secret: &str, log: Stdio) -> Self {
        let (dashboard, tracking) = (free_address(), free_address());
        let child = Command::new(env!("CARGO_BIN_EXE_clickledger"))
            .args([
                "serve",
                "--dashboard-listen",
                &dashboard,
                "--tracking-listen",
                &tracking,
            ])
            .arg("--data-dir")
            .arg(world.data_dir.path())
            .env("DATABASE_URL", &world.app.database.url)
            .env("CLICKLEDGER_SECRET", secret)
            .stderr(log)
            .spawn()
            .unwrap();
        let url = |text: &str| text.strip_prefix("http://").unwrap().to_owned();
        Self {
            child,
            dashboard,
            tracking,
            host: url(&world.app.tracking_url),
        }
    }

    async fn get(&self, address: &str, path: &str) -> Option<Response> {
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .build()
            .unwrap();
        let request = client
            .get(format!("http://{address}{path}"))
            .header(HOST, &self.host);
        request.send().await.ok()
    }

    /// Answer of the tracking host, and the time that it took.
    async fn track(&self, path: &str) -> (StatusCode, Duration) {
        let began = Instant::now();
        let answer = self.get(&self.tracking, path).await.unwrap();
        (answer.status(), began.elapsed())
    }

    /// Waits until the dashboard's listener answers this status.
    async fn answers(&self, path: &str, status: StatusCode) {
        for _ in 0..600 {
            let answer = self.get(&self.dashboard, path).await;
            if answer.is_some_and(|answer| answer.status() == status) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{path} did not answer {status} within a minute");
    }

    /// A known link redirects, a postback is queued, an unknown link and a page are refused: all in time.
    async fn goes_on_without_database(&self, world: &World, order: &str) {
        let scene = &world.app.scene;
        let click = self.track(&format!("/{}?sub1={order}", scene.alias)).await;
        assert!(click.0 == StatusCode::FOUND && click.1 < PROMPT, "{click:?}");
        let postback = format!(
            "/postback?token={}&goal=sale&click_id={}&order_id={order}&amount=10",
            scene.token, world.click
        );
        let postback = self.track(&postback).await;
        assert!(
            postback.0 == StatusCode::ACCEPTED && postback.1 < PROMPT,
            "{postback:?}"
        );
        let unknown = self.track("/never-clicked").await;
        assert_eq!(unknown.0, StatusCode::SERVICE_UNAVAILABLE);
        let began = Instant::now();
        let page = self.get(&self.dashboard, OPENED).await.unwrap();
        assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

struct World {
    gate: Gate,
    app: TestApp,
    /// Click before the database went away.
    click: String,
    /// Data directory with the journals of the app.
    data_dir: TempDir,
    _postgres: TestPostgres,
}

impl World {
    /// Installation behind a gate, whose node has redirected a click and kept its link.
    async fn new() -> Self {
        let postgres = TestPostgres::start(|_| Vec::new()).await;
        let gate = Gate::before(postgres.port).await;
        let url = format!(
            "postgres://app@127.0.0.1:{}/clickledger?sslmode=disable",
            gate.port
        );
        let database = postgres.database(url);
        let login = "CREATE ROLE app LOGIN IN ROLE clickledger_web, clickledger_ingest";
        database.operate(login).await;
        let app = TestApp::spawn_with(TestOptions {
            database: Some(database),
            ..TestOptions::default()
        })
        .await;
        let data_dir = TempDir::new().unwrap();
        symlink(app.journal.path(), data_dir.path().join("journal")).unwrap();
        let click = app.visitor().click("").await.id;
        app.settled().await;
        let kept = app.journal.path().join("routing.json");
        for _ in 0..300 {
            if std::fs::read_to_string(&kept).is_ok_and(|text| text.contains(&app.scene.alias)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Self {
            gate,
            app,
            click,
            data_dir,
            _postgres: postgres,
        }
    }

    fn start(&self) -> Server {
        Server::start(self, &self.app.secret.to_text(), Stdio::inherit())
    }

    /// Waits until the database has this number of clicks, and the verdicts of the queued postbacks.
    async fn holds(&self, clicks: usize, verdicts: usize) {
        let stored = "SELECT concat((SELECT count(*) FROM clicks), ' ', (SELECT string_agg(reason, ' ') FROM postbacks))";
        let verdicts = vec!["accepted"; verdicts].join(" ");
        self.app.eventually(stored, &format!("{clicks} {verdicts}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_without_its_database_and_connects_when_it_can() {
    let world = World::new().await;
    for (at, pass) in [Pass::Away, Pass::Frozen].into_iter().enumerate() {
        world.gate.set(pass);
        let server = world.start();
        server.answers("/health/ready", StatusCode::OK).await;
        server
            .goes_on_without_database(&world, &format!("start-{at}"))
            .await;
        world.gate.set(Pass::Open);
        server.answers(OPENED, StatusCode::NOT_FOUND).await;
        world.holds(2 + at, 1 + at).await;
    }
    world.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_freezes_delays_no_known_link_and_no_postback() {
    let world = World::new().await;
    let server = world.start();
    server.answers(OPENED, StatusCode::NOT_FOUND).await;
    world.gate.set(Pass::Frozen);
    server.goes_on_without_database(&world, "frozen").await;
    world.gate.set(Pass::Open);
    world.holds(2, 1).await;
    world.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_another_installation_ends_once_it_reaches_the_database() {
    let world = World::new().await;
    let first = world.start();
    first.answers(OPENED, StatusCode::NOT_FOUND).await;
    drop(first);
    world.gate.set(Pass::Away);
    let mut server = Server::start(&world, &tenancy::Secret::random().to_text(), Stdio::piped());
    server.answers("/health/ready", StatusCode::OK).await;
    world.gate.set(Pass::Open);
    let mut log = server.child.stderr.take().unwrap();
    let ended = tokio::task::spawn_blocking(move || {
        let status = server.child.wait().unwrap();
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        (status, text)
    });
    let (status, log) = tokio::time::timeout(Duration::from_secs(60), ended)
        .await
        .unwrap()
        .unwrap();
    assert!(!status.success() && log.contains("secret"), "{status}: {log}");
    world.app.finish().await;
}
