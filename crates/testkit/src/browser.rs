//! A real, headless Chromium, controlled through chromedriver.

use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use fantoccini::ClientBuilder;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
pub use fantoccini::{Client, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::{Method, Url};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::{SignIn, TestApp};

/// Browser with an empty profile. Closed when dropped.
pub struct Browser {
    /// WebDriver client.
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
        let (driver, port) = driver().await;
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
            "--force-prefers-reduced-motion",
            "--window-size=1280,900",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        capabilities.insert(
            "goog:chromeOptions".to_owned(),
            serde_json::json!({ "args": arguments }),
        );
        // The certificate of a test's server is self-signed.
        capabilities.insert("acceptInsecureCerts".to_owned(), true.into());
        capabilities.insert(
            "goog:loggingPrefs".to_owned(),
            serde_json::json!({ "browser": "ALL" }),
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

    /// Signs a person in on the dashboard of an app.
    ///
    /// # Panics
    /// When the first page does not open.
    pub async fn sign_in(&self, app: &TestApp, person: &SignIn) {
        let page = &self.client;
        let url = format!("{}/sign-in", app.dashboard_url);
        page.goto(&url).await.expect("the form");
        for (field, text) in [("email", &person.email), ("password", &person.password)] {
            let field = page.find(Locator::Id(field)).await.expect("a field");
            field.send_keys(text).await.expect("text is typed");
        }
        let button = page.find(Locator::Css("main button")).await.expect("a button");
        button.click().await.expect("the form is sent");
        let rail = Locator::Css(".rail");
        let wait = page
            .wait()
            .at_most(Duration::from_secs(10))
            .for_element(rail)
            .await;
        wait.expect("a page of the network");
    }

    /// Sets the size of the page, also below the least size of a window.
    ///
    /// # Panics
    /// When the driver refuses it.
    pub async fn resize(&self, width: u32, height: u32) {
        let size =
            serde_json::json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        let command = Devtools {
            command: "Emulation.setDeviceMetricsOverride",
            parameters: size,
        };
        self.client.issue_cmd(command).await.expect("another size");
    }

    /// Returns the browser's log since the last call: console messages, violations of a policy, failed requests.
    ///
    /// # Panics
    /// When the driver does not return it.
    pub async fn log(&self) -> Vec<Value> {
        let log = self.client.issue_cmd(ReadLog).await.expect("the browser's log");
        log.as_array().cloned().expect("a list of entries")
    }
}

/// Command of Chromium's developer tools.
#[derive(Debug)]
struct Devtools {
    command: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for Devtools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, <Url as FromStr>::Err> {
        base.join(&format!(
            "session/{}/goog/cdp/execute",
            session.unwrap_or_default()
        ))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        let body = serde_json::json!({ "cmd": self.command, "params": self.parameters });
        (Method::POST, Some(body.to_string()))
    }
}

/// Chromium's command to read its log.
#[derive(Debug)]
struct ReadLog;

impl WebDriverCompatibleCommand for ReadLog {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, <Url as FromStr>::Err> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(r#"{"type":"browser"}"#.to_owned()))
    }
}

/// Starts the driver and returns its port. The driver takes a port that is free in IPv6 and ends if another program has
/// the same port in IPv4; then it is started again.
async fn driver() -> (Child, u16) {
    for _ in 0..10 {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver is missing; install the packages chromium and chromium-driver");
        let stdout = driver.stdout.take().expect("piped");
        let port = tokio::time::timeout(Duration::from_secs(20), port(BufReader::new(stdout)));
        if let Some(port) = port.await.expect("chromedriver prints its port") {
            return (driver, port);
        }
    }
    panic!("chromedriver ended ten times without a port; install the packages chromium and chromium-driver")
}

/// Reads the port from `ChromeDriver was started successfully on port 41235.`
async fn port(stdout: BufReader<ChildStdout>) -> Option<u16> {
    let mut lines = stdout.lines();
    while let Some(line) = lines.next_line().await.expect("chromedriver's output") {
        let port = line
            .rsplit_once("on port ")
            .and_then(|(_, port)| port.trim_end_matches('.').parse().ok());
        // The first line names the requested port, 0.
        if let Some(1..) = port {
            // The rest of its output must be read, or it stops when the pipe is full.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return port;
        }
    }
    None
}
