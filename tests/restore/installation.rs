//! Server with a private Postgres, a network on it, and its traffic.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use campaigns::campaigns as campaign_table;
use campaigns::campaigns::CampaignStatus;
use campaigns::goals;
use chrono::{DateTime, Utc};
use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use reqwest::StatusCode;
use schema::{Db, clock};
use serde_json::Value;
use tenancy::Author;
use testkit::{Member, Scene, api_key};

/// Longest wait for anything.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(120);

pub(crate) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    // The user that runs Postgres must be able to enter the folder.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn command(arguments: &[&str], data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clickledger"));
    command.args(arguments).arg("--data-dir").arg(data_dir);
    for name in [
        "DATABASE_URL",
        "OWNER_DATABASE_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs a command and returns true if it succeeded, with its output.
pub(crate) fn run(arguments: &[&str], data_dir: &Path) -> (bool, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command(arguments, data_dir).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (status.success(), text(&stdout) + &text(&stderr))
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Server of a data directory; killed when dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) data_dir: PathBuf,
    dashboard: String,
    tracking: String,
}

impl Server {
    pub(crate) async fn start(data_dir: &Path, arguments: &[&str]) -> Self {
        let free = || {
            TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .to_string()
        };
        let (dashboard, tracking) = (free(), free());
        let listen = ["--dashboard-listen", &dashboard, "--tracking-listen", &tracking];
        let log = std::fs::File::create(data_dir.parent().unwrap().join("server.log")).unwrap();
        let process = command(&[&["serve"], &listen[..], arguments].concat(), data_dir)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self {
            process,
            data_dir: data_dir.to_owned(),
            dashboard: format!("http://{dashboard}"),
            tracking,
        };
        let began = Instant::now();
        loop {
            // A network that does not exist, which only an open database knows.
            let opened = reqwest::get(format!("{}/join/nowhere", server.dashboard)).await;
            if opened.is_ok_and(|answer| answer.status() == StatusCode::NOT_FOUND) {
                return server;
            }
            assert!(server.process.try_wait().unwrap().is_none(), "{}", server.log());
            assert!(began.elapsed() < TIMEOUT, "{}", server.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.data_dir.parent().unwrap().join("server.log")).unwrap()
    }

    pub(crate) fn db(&self) -> Db {
        let url = server::postgres::private_url(&self.data_dir).unwrap();
        Db::new(&url, 2, Duration::from_secs(15))
    }

    /// Executes a statement as the owner of all.
    pub(crate) async fn operate(&self, sql: &str) {
        let url = server::postgres::private_url(&self.data_dir).unwrap();
        let mut conn = schema::connect(&url).await.unwrap();
        diesel::sql_query(sql).execute(&mut conn).await.unwrap();
    }

    pub(crate) async fn health(&self) -> Value {
        let answer = reqwest::get(format!("{}/health/ready", self.dashboard)).await;
        answer.unwrap().json().await.unwrap()
    }

    /// Kills the server, waits for the end of its Postgres, and removes all of its data.
    pub(crate) fn destroy(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let file = std::fs::read_to_string(self.data_dir.join("postgres/postmaster.pid")).unwrap_or_default();
        if let Some(pid) = file.lines().next().and_then(|line| line.trim().parse().ok()) {
            let began = Instant::now();
            while nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok() {
                assert!(began.elapsed() < TIMEOUT, "Postgres does not end");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        std::fs::remove_dir_all(&self.data_dir).unwrap();
    }

    pub(crate) fn stop(mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        assert!(self.process.wait().unwrap().success(), "{}", self.log());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Network on a server, and its traffic.
pub(crate) struct Traffic {
    tracking: String,
    pub(crate) scene: Scene,
    http: reqwest::Client,
}

/// Acknowledged click with the verdict on its postback.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) at: DateTime<Utc>,
    pub(crate) id: String,
    pub(crate) receipt: String,
    pub(crate) reason: String,
    pub(crate) conversion: Option<String>,
}

impl Traffic {
    pub(crate) async fn of(server: &Server) -> Self {
        let scene = Scene::set(&server.db(), "Orbit", &server.tracking).await;
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            tracking: server.tracking.clone(),
            scene,
            http,
        }
    }

    pub(crate) async fn click(&self) -> Option<String> {
        let link = format!("http://{}/{}", self.tracking, self.scene.alias);
        let answer = self.http.get(link).send().await.ok()?;
        assert_eq!(answer.status(), StatusCode::FOUND);
        let location = answer.headers()["location"].to_str().unwrap().to_owned();
        let (_, rest) = location.split_once("id=").unwrap();
        rest.split('&').next().map(str::to_owned)
    }

    /// Clicks and orders; `None` without a verdict, as from a server that is killed.
    pub(crate) async fn order(&self, goal: &str, order: &str) -> Option<Order> {
        let click = self.click().await?;
        self.order_of(&click, goal, order).await
    }

    /// Reports an order of a goal that was just added, as often as it takes until the server has heard of the goal.
    pub(crate) async fn order_of_new_goal(&self, goal: &str, order: &str) -> Order {
        let began = Instant::now();
        loop {
            let reported = self.order(goal, order).await;
            if let Some(order) = reported.filter(|order| order.reason != "goal_unknown") {
                return order;
            }
            assert!(began.elapsed() < TIMEOUT, "the goal {goal} stays unknown");
        }
    }

    pub(crate) async fn order_of(&self, click: &str, goal: &str, order: &str) -> Option<Order> {
        let call = format!(
            "http://{}/postback?click_id={click}&goal={goal}&order_id={order}&amount=10&token={}",
            self.tracking, self.scene.token
        );
        let answer: Value = self.http.get(call).send().await.ok()?.json().await.ok()?;
        (answer["status"] != "queued").then(|| Order {
            at: clock::now(),
            id: order.to_owned(),
            receipt: answer["request_id"].as_str().unwrap().to_owned(),
            reason: answer["reason"].as_str().unwrap().to_owned(),
            conversion: answer["conversion_id"].as_str().map(str::to_owned),
        })
    }

    pub(crate) async fn set_status(&self, server: &Server, status: CampaignStatus) {
        let db = server.db();
        let mut conn = db.network(self.scene.network.id).await.unwrap();
        let mut settings = self.scene.campaign.settings();
        settings.status = status;
        let id = self.scene.campaign.id;
        campaign_table::update(&mut conn, &Author::system(), id, &settings, clock::now())
            .await
            .unwrap();
        conn.commit().await.unwrap();
    }

    pub(crate) async fn add_goal(&self, server: &Server, code: &str) {
        let db = server.db();
        let mut conn = db.network(self.scene.network.id).await.unwrap();
        let sale = goals::find(&mut conn, self.scene.sale_id).await.unwrap().unwrap();
        let settings = goals::GoalSettings {
            code: code.to_owned(),
            name: code.to_owned(),
            ..sale.settings
        };
        goals::create(
            &mut conn,
            &Author::system(),
            self.scene.campaign.id,
            &settings,
            clock::now(),
        )
        .await
        .unwrap();
        conn.commit().await.unwrap();
    }

    /// Signs the owner in.
    pub(crate) async fn owner(&self, server: &Server) -> Member {
        let member = Member::stranger(&server.dashboard);
        member
            .try_sign_in(&self.scene.owner.email, &self.scene.owner.password)
            .await;
        member
    }

    /// Approves a conversion, as the owner.
    pub(crate) async fn approve(&self, server: &Server, conversion: &str) {
        let key = api_key(&self.owner(server).await).await;
        let path = format!("{}/api/v1/conversions/{conversion}/approve", server.dashboard);
        let call = self.http.post(path).bearer_auth(key).json(&serde_json::json!({}));
        let answer = call.send().await.unwrap();
        assert_eq!(
            answer.status(),
            StatusCode::OK,
            "{}",
            answer.text().await.unwrap()
        );
    }

    /// Reads one text of the network.
    pub(crate) async fn read(&self, server: &Server, sql: &str) -> String {
        #[derive(QueryableByName)]
        struct Found {
            #[diesel(sql_type = Text)]
            text: String,
        }
        let db = server.db();
        let mut conn = db.network(self.scene.network.id).await.unwrap();
        let sql = format!("SELECT coalesce(({sql})::text, '') AS text");
        let found: Found = diesel::sql_query(sql).get_result(&mut *conn).await.unwrap();
        found.text
    }

    /// Fails unless every order is stored with the verdict that its sender received.
    pub(crate) async fn all_stand(&self, server: &Server, orders: &[Order]) {
        let found = self
            .read(
                server,
                "SELECT string_agg(concat_ws(' ', p.order_id, p.reason), ',' ORDER BY p.order_id) FROM postbacks p
                 LEFT JOIN conversions c ON c.network_id = p.network_id AND c.id = p.conversion_id
                 JOIN clicks k ON k.network_id = p.network_id AND k.id = p.click_id
                 WHERE (p.reason <> 'accepted' OR c.id IS NOT NULL)",
            )
            .await;
        let found: Vec<&str> = found.split(',').collect();
        for order in orders {
            let row = format!("{} {}", order.id, order.reason);
            assert!(found.contains(&row.as_str()), "{order:?} is missing");
        }
    }
}

/// Load on a server: orders one after the other, until it is stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    orders: Arc<Mutex<Vec<Order>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(traffic: &Arc<Traffic>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let orders = Arc::new(Mutex::new(Vec::new()));
        let task = |worker: usize| {
            let (traffic, stop, orders) = (traffic.clone(), stop.clone(), orders.clone());
            tokio::spawn(async move {
                for number in 0.. {
                    if AtomicBool::load(&stop, Ordering::Relaxed) {
                        break;
                    }
                    // Every fifth is rejected.
                    let goal = if number % 5 == 4 { "unknown" } else { "sale" };
                    if let Some(order) = traffic.order(goal, &format!("{worker}-{number:05}")).await {
                        orders.lock().unwrap().push(order);
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        };
        let tasks = (0..3).map(task).collect();
        Self { stop, orders, tasks }
    }

    pub(crate) fn orders(&self) -> Vec<Order> {
        self.orders.lock().unwrap().clone()
    }

    pub(crate) async fn end(self) -> Vec<Order> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        Arc::into_inner(self.orders).unwrap().into_inner().unwrap()
    }
}
