//! Tracing spans of API requests.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use testkit::TestApp;
use tracing_subscriber::fmt::format::FmtSpan;

/// Log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_span_of_a_request_has_network_and_actor_and_no_secret() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let me = program.get("/me").await;
    let request_id = me.headers["x-request-id"].to_str().unwrap().to_owned();
    app.finish().await;
    let text = log.text();
    let is_of_request =
        |line: &&str| line.contains(&request_id) && line.contains("close") && line.contains("status=");
    let span = text.lines().find(is_of_request).unwrap();
    let network = me.json["network"]["id"].as_str().unwrap();
    let actor = me.get("membership_id");
    for field in [
        format!("network={network}"),
        format!("actor={actor}"),
        "method=GET".to_owned(),
        "route=\"/api/v1/me\"".to_owned(),
        "status=200".to_owned(),
    ] {
        assert!(span.contains(&field), "{field}: {span}");
    }
    assert!(!text.contains(&program.credential), "a secret is in the log");
}
