//! The real program on a database of the test, and requests to it.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::{Client, Method, StatusCode, redirect::Policy};
use schema::Db;
use tenancy::Secret;
use testkit::{Member, Scene, TestDatabase, api_key, free_port};

/// A running `clickledger serve`, killed when dropped.
pub(crate) struct Node {
    child: Child,
    folder: tempfile::TempDir,
    database: TestDatabase,
    dashboard: u16,
    tracking: u16,
    pub(crate) metrics: u16,
    http: Client,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    /// Starts a node with more options, and waits until it is ready.
    pub(crate) async fn start(more: &[&str]) -> Self {
        let database = TestDatabase::create().await;
        let login = database.login().await;
        let folder = tempfile::tempdir().unwrap();
        let [dashboard, tracking, metrics] = [free_port(), free_port(), free_port()];
        let mut command = Command::new(env!("CARGO_BIN_EXE_clickledger"));
        command.arg("serve").arg("--data-dir").arg(folder.path());
        for (option, port) in [
            ("--dashboard-listen", dashboard),
            ("--tracking-listen", tracking),
            ("--metrics-listen", metrics),
        ] {
            command.arg(option).arg(format!("127.0.0.1:{port}"));
        }
        let log = File::create(folder.path().join("log")).unwrap();
        let child = command
            .args(["--journal-segment-mib", "4"])
            .args(more)
            .env("DATABASE_URL", login)
            .env("OWNER_DATABASE_URL", &database.owner_url)
            .env("CLICKLEDGER_SECRET", Secret::random().to_text())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let node = Self {
            child,
            folder,
            database,
            dashboard,
            tracking,
            metrics,
            http: Client::builder()
                .redirect(Policy::none())
                .no_proxy()
                .build()
                .unwrap(),
        };
        let began = Instant::now();
        let ready = format!("http://127.0.0.1:{tracking}/health/ready");
        while node.http.get(&ready).send().await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "{}", node.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        node
    }

    /// Text of `/metrics`.
    pub(crate) async fn scrape(&self) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.metrics);
        let response = self.http.get(url).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.text().await.unwrap()
    }

    /// Log lines so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Opens the sign-in page.
    pub(crate) async fn visit(&self) {
        let url = format!("http://127.0.0.1:{}/sign-in", self.dashboard);
        let response = self.http.get(url).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }

    /// Stops the node by SIGTERM and waits for its end.
    pub(crate) async fn stop(mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Requests of every kind that were sent to a node, and what they contained.
pub(crate) struct Traffic {
    pub(crate) scene: Scene,
    /// Receipt of the accepted postback.
    pub(crate) receipt: String,
    /// Values that must stay inside.
    hidden: Vec<String>,
}

impl Traffic {
    /// Sends a click, postbacks, a sign-in, pages and API requests.
    pub(crate) async fn send(node: &Node) -> Self {
        let host = format!("127.0.0.1:{}", node.tracking);
        let db = Db::new(&node.database.url, 2, Duration::from_secs(15));
        let scene = Scene::set(&db, "Orbit", &host).await;
        let get = async |url: String| node.http.get(url).send().await.unwrap();

        let clicked = get(format!("http://{host}/{}?sub1=hidden-sub", scene.alias)).await;
        assert_eq!(clicked.status(), StatusCode::FOUND);
        let location = clicked.headers()["location"].to_str().unwrap();
        let (_, rest) = location.split_once("id=").unwrap();
        let click_id = rest.split(['&', '#']).next().unwrap().to_owned();
        assert_eq!(
            get(format!("http://{host}/hidden-alias")).await.status(),
            StatusCode::NOT_FOUND
        );

        let query = "goal=sale&order_id=hidden-order&amount=12.50&customer_id=hidden-customer";
        let postback = async |token: &str| {
            get(format!(
                "http://{host}/postback?{query}&click_id={click_id}&token={token}"
            ))
            .await
        };
        assert_eq!(postback("hidden-token").await.status(), StatusCode::UNAUTHORIZED);
        let accepted = postback(&scene.token).await;
        assert_eq!(accepted.status(), StatusCode::OK);
        let receipt = accepted.headers()["x-request-id"].to_str().unwrap().to_owned();

        let dashboard = format!("http://127.0.0.1:{}", node.dashboard);
        let owner = Member::stranger(&dashboard);
        let signed_in = owner.try_sign_in(&scene.owner.email, &scene.owner.password).await;
        assert_eq!(signed_in.status, StatusCode::SEE_OTHER);
        let cookie = signed_in.headers["set-cookie"].to_str().unwrap();
        let session = cookie.split(['=', ';']).nth(1).unwrap().to_owned();
        let report = owner.get("/reports?group=sub1&sub1=hidden-filter").await;
        assert_eq!(report.status, StatusCode::OK);
        let setup = owner.get("/setup/hidden-setup-token").await;
        assert_eq!(setup.status, StatusCode::NOT_FOUND);
        let brew = Method::from_bytes(b"BREW").unwrap();
        let brewed = node.http.request(brew, format!("{dashboard}/hidden-path"));
        brewed.send().await.unwrap();

        let key = api_key(&owner).await;
        for path in ["me", "campaigns/hidden-campaign"] {
            let request = node.http.get(format!("{dashboard}/api/v1/{path}"));
            request.bearer_auth(&key).send().await.unwrap();
        }
        let hidden = vec![
            "hidden-".to_owned(),
            click_id,
            scene.token.clone(),
            scene.alias.clone(),
            scene.owner.email.clone(),
            scene.owner.password.clone(),
            session,
            key,
        ];
        Self {
            scene,
            receipt,
            hidden,
        }
    }

    /// Checks that no hidden value is in what left the node.
    pub(crate) fn assert_absent(&self, bytes: &[u8], place: &str) {
        let text = String::from_utf8_lossy(bytes);
        for hidden in &self.hidden {
            assert!(hidden.len() > 4, "{hidden} would be found by chance");
            assert!(!text.contains(hidden.as_str()), "{hidden} is in {place}:\n{text}");
        }
    }
}
