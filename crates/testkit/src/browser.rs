//! A real, headless Chromium, driven through its own driver.

use std::process::Stdio;
use std::time::Duration;

use fantoccini::ClientBuilder;
use fantoccini::wd::Capabilities;
pub use fantoccini::{Client, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A browser with an empty profile. Closed when dropped.
pub struct Browser {
    /// What tests drive it with.
    pub client: Client,
    _driver: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts a browser.
    ///
    /// # Panics
    /// When Chromium or its driver is not installed, naming the packages.
    pub async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver is missing; install the packages chromium and chromium-driver");
        let stdout = driver.stdout.take().expect("piped");
        let port = tokio::time::timeout(Duration::from_secs(20), port(BufReader::new(stdout)))
            .await
            .expect("chromedriver says its port");
        let profile = tempfile::tempdir().expect("folder for the profile");
        let mut capabilities = Capabilities::new();
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,900",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        capabilities.insert(
            "goog:chromeOptions".to_owned(),
            serde_json::json!({ "args": arguments }),
        );
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("Chromium starts; install the package chromium");
        Self {
            client,
            _driver: driver,
            _profile: profile,
        }
    }
}

/// `ChromeDriver was started successfully on port 41235.`
async fn port(stdout: BufReader<tokio::process::ChildStdout>) -> u16 {
    let mut lines = stdout.lines();
    while let Some(line) = lines.next_line().await.expect("chromedriver's output") {
        let port = line
            .rsplit_once("on port ")
            .and_then(|(_, port)| port.trim_end_matches('.').parse().ok());
        // The first line names the port that was asked for: 0.
        if let Some(port @ 1..) = port {
            // The rest of its output must be read, or it stops when the pipe is full.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return port;
        }
    }
    panic!("chromedriver ended without a port; install the packages chromium and chromium-driver")
}
