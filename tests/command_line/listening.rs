//! `clickledger listen`: lines of verdicts, and requests forwarded to a local URL.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::TestApp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::Shell;

/// Running `listen`, killed when dropped.
struct Listening {
    child: Child,
    out: Option<JoinHandle<String>>,
}

impl Listening {
    /// Starts the command and waits until it listens.
    fn start(shell: &Shell, arguments: &[&str]) -> Self {
        let mut child = shell
            .command(&[&["listen"][..], arguments].concat())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let out = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text
        });
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        assert!(first.contains("listening to"), "{first}");
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            out: Some(out),
        }
    }

    /// Output after the command has ended by itself, with its exit code.
    fn ended(mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "listen does not end");
            std::thread::sleep(Duration::from_millis(50));
        }
        let code = self.child.wait().unwrap().code();
        (code, self.out.take().unwrap().join().unwrap())
    }

    fn interrupt(&self) {
        let process = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGINT).unwrap();
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Local HTTP server that keeps the requests and answers 204.
async fn local_server() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let kept = requests.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (mut request, mut part) = (Vec::new(), [0; 8192]);
            loop {
                let count = stream.read(&mut part).await.unwrap();
                request.extend_from_slice(&part[..count]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let is_complete = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                    let length = head
                        .lines()
                        .find_map(|line| line.strip_prefix("content-length: "));
                    body.len() >= length.map_or(0, |length| length.parse().unwrap())
                });
                if is_complete || count == 0 {
                    kept.lock().unwrap().push(text);
                    break;
                }
            }
            stream
                .write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                .await
                .unwrap();
        }
    });
    (url, requests)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_verdict_is_printed_once_and_its_request_forwarded_as_it_was_sent() {
    let app = TestApp::spawn().await;
    let shell = Shell::with_key(&app, &app.program(&app.scene.owner).await.credential);
    let click = app.visitor().click("").await;
    app.settled().await;
    let (local, requests) = local_server().await;
    let listening = Listening::start(&shell, &["--json", "--count", "3", "--forward", &local]);

    let advertiser = app.advertiser();
    let fields = [
        ("click_id", click.id.as_str()),
        ("order_id", "A-1"),
        ("amount", "200"),
    ];
    assert_eq!(advertiser.postback(&fields).await.reason(), "accepted");
    let form = format!(
        "click_id={}&order_id=A-2&amount=7&goal=no+such&note=%C3%BC",
        click.id
    );
    let form = format!("{form}&token={}", app.scene.token);
    let answer = advertiser.post("application/x-www-form-urlencoded", form).await;
    assert_eq!(answer.reason(), "goal_unknown");
    assert_eq!(advertiser.postback(&fields).await.reason(), "duplicate_order");

    let (code, out) = tokio::task::spawn_blocking(move || listening.ended())
        .await
        .unwrap();
    assert_eq!(code, Some(0), "{out}");
    let items: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let reasons: Vec<_> = items
        .iter()
        .map(|item| item["reason"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["accepted", "goal_unknown", "duplicate_order"], "{out}");
    for item in &items {
        assert_eq!(
            (&item["forwarded"]["status"], &item["request"]),
            (&json!(204), &Value::Null),
            "{item}"
        );
        assert_eq!(item["advertiser_name"], "Orbit Shop");
    }
    let requests = requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 3);
    assert!(
        requests[0].starts_with("GET /postback?") && requests[0].contains("order_id=A-1"),
        "{}",
        requests[0]
    );
    assert!(requests[0].contains("x-clickledger-status: accepted\r\n"));
    let (head, body) = requests[1].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /postback HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains("content-type: application/x-www-form-urlencoded\r\n"),
        "{head}"
    );
    assert!(
        head.contains("x-clickledger-reason: goal_unknown") && head.contains("x-clickledger-postback: pb_"),
        "{head}"
    );
    assert!(
        body.contains("order_id=A-2") && body.contains("note=%C3%BC"),
        "{body}"
    );
    assert!(
        !requests.iter().any(|request| request.contains(&app.scene.token)),
        "tokens are redacted"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_select_verdicts_and_a_local_url_that_fails_ends_nothing() {
    let app = TestApp::spawn().await;
    let shell = Shell::with_key(&app, &app.program(&app.scene.owner).await.credential);
    let click = app.visitor().click("").await;
    app.settled().await;
    let rejected = [
        "--status",
        "rejected",
        "--advertiser",
        "orbit shop",
        "--forward",
        "http://127.0.0.1:1/hook",
    ];
    let listening = Listening::start(&shell, &[&rejected[..], &["--count", "1"]].concat());
    let all = Listening::start(&shell, &["--advertiser", &app.scene.advertiser_id.to_string()]);

    for (order, goal) in [("A-1", "sale"), ("A-2", "\u{1b}[2J")] {
        let fields = [
            ("click_id", click.id.as_str()),
            ("order_id", order),
            ("amount", "12.5"),
            ("goal", goal),
        ];
        app.advertiser().postback(&fields).await;
    }
    let (code, out) = tokio::task::spawn_blocking(move || listening.ended())
        .await
        .unwrap();
    assert_eq!(code, Some(0), "{out}");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert!(
        lines[0].contains("rejected   goal_unknown") && lines[0].contains("Orbit Shop  order A-2  12.50"),
        "{out}"
    );
    assert!(
        lines[1].contains("→ GET http://127.0.0.1:1/hook?") && lines[1].contains("failed"),
        "{out}"
    );
    assert!(!out.contains('\u{1b}'), "{out}");

    tokio::time::sleep(Duration::from_millis(1500)).await;
    all.interrupt();
    let (code, out) = tokio::task::spawn_blocking(move || all.ended()).await.unwrap();
    assert_eq!((code, out.lines().count()), (Some(0), 2), "{out}");
    let unknown = shell
        .run(&["listen", "--advertiser", "No such", "--json"])
        .exits(2)
        .error();
    assert!(
        unknown["message"].as_str().unwrap().contains("No such"),
        "{unknown}"
    );
    app.finish().await;
}
