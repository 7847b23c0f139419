//! The demo as a new user starts it: the binary with its embedded Postgres, and a whole journey in a real Chromium.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use postbacks::trace::Trace;
use reqwest::StatusCode;
use serde_json::Value;
use testkit::Member;
use testkit::browser::{Browser, Client, Locator};

/// A running demo. Killed when dropped.
struct Demo {
    process: Child,
    data_dir: PathBuf,
    port: u16,
}

/// The first of nine free ports in a row (three demos), nine others for each test of this process, below the range
/// that the system hands out itself.
fn free_ports() -> u16 {
    static OFFSET: AtomicU16 = AtomicU16::new(0);
    let base = 10_000 + u16::try_from(std::process::id() % 1_000).unwrap() * 18;
    loop {
        let port = base + OFFSET.fetch_add(9, Ordering::Relaxed);
        if (0..9).all(|next| std::net::TcpListener::bind(("127.0.0.1", port + next)).is_ok()) {
            return port;
        }
    }
}

/// A folder that the user who runs Postgres may enter.
fn data_dir() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn command(data_dir: &Path, port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clickledger"));
    command
        .args(["demo", "--port", &port.to_string(), "--data-dir"])
        .arg(data_dir);
    command
        .env_remove("DATABASE_URL")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

impl Demo {
    fn start(data_dir: &Path, port: u16) -> Self {
        let process = command(data_dir, port).spawn().unwrap();
        Self {
            process,
            data_dir: data_dir.to_owned(),
            port,
        }
    }

    /// Waits until the shop responds, which starts last, and returns the content of `demo.json`.
    async fn ready(&mut self) -> Value {
        let give_up = Instant::now() + Duration::from_secs(120);
        let shop = format!("http://127.0.0.1:{}/", self.port + 2);
        loop {
            if reqwest::get(&shop)
                .await
                .is_ok_and(|response| response.status().is_success())
            {
                let text = std::fs::read_to_string(self.data_dir.join("demo.json")).unwrap();
                return serde_json::from_str(&text).unwrap();
            }
            assert!(self.process.try_wait().unwrap().is_none(), "the demo ended");
            assert!(Instant::now() < give_up, "the demo did not come up");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("demo.json has no {pointer}"))
}

async fn click(description: &Value) -> String {
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let response = http.get(text(description, "/link/url")).send().await.unwrap();
    let location = response
        .headers()
        .get("location")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let (_, rest) = location.split_once("click_id=").unwrap();
    rest.split('&').next().unwrap().to_owned()
}

async fn postback(description: &Value, click_id: &str, order: &str) -> Value {
    let (url, token) = (
        text(description, "/postback/url"),
        text(description, "/postback/token"),
    );
    let call = format!("{url}?click_id={click_id}&goal=sale&order_id={order}&amount=10&token={token}");
    reqwest::get(call).await.unwrap().json().await.unwrap()
}

/// One text from the demo's database.
async fn stored(description: &Value, sql: &str) -> String {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        value: String,
    }
    let mut conn = AsyncPgConnection::establish(text(description, "/database_url"))
        .await
        .unwrap();
    let sql = format!("SELECT ({sql})::text AS value");
    let found: Found = diesel::sql_query(sql).get_result(&mut conn).await.unwrap();
    found.value
}

/// Exit code and output of a command on a demo that is not running.
fn run(data_dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_clickledger"))
        .args(arguments)
        .arg("--data-dir")
        .arg(data_dir)
        .env_remove("DATABASE_URL")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_has_data_for_every_feature_and_commands_work_on_it_while_it_is_stopped() {
    let folder = data_dir();
    let mut demo = Demo::start(folder.path(), free_ports());
    let description = demo.ready().await;
    let owner = Member::stranger(text(&description, "/dashboard"));
    let (email, password) = (
        text(&description, "/sign_in/0/email"),
        text(&description, "/sign_in/0/password"),
    );
    assert_eq!(
        owner.try_sign_in(email, password).await.status,
        StatusCode::SEE_OTHER
    );
    let (courses, bikes) = (
        text(&description, "/goal_chain/id"),
        text(&description, "/testing/id"),
    );
    for (page, expected) in [
        // A goal chain whose commission depends on the customer's first click, and a postback held for its parent.
        ("/conversions?order=LU-7000", &["First purchase", "40.67 EUR"][..]),
        ("/conversions?order=LU-7900", &["First purchase"]),
        ("/search?q=LU-7901", &["/postbacks?order=LU-7901"]),
        ("/postbacks?status=held", &["waiting_for_parent", "LU-7901"]),
        (
            "/conversions?order=LU-G0",
            &["Gift card", "CouponCrate", "coupon"],
        ),
        (&format!("/campaigns/{courses}"), &["Renewal"]),
        // Half of the test progress.
        (
            &format!("/campaigns/{bikes}/test"),
            &["Matched", "Postback received", "FB-TEST-2"],
        ),
        ("/postbacks?order=NS-WRONG-1", &["letter case"]),
        ("/postbacks?order=NS-WRONG-2", &["NS-WRONG-2"]),
        ("/postbacks?order=NS-WRONG-3", &["macro_unreplaced"]),
    ] {
        let shown = owner.get(page).await;
        let shown = format!("{} {}", shown.location(), shown.html);
        for words in expected {
            assert!(shown.contains(words), "{words} is missing at {page}: {shown}");
        }
    }
    for (sql, expected) in [
        (
            "SELECT string_agg(DISTINCT dialect, ' ' ORDER BY dialect) FROM postbacks WHERE status = 'accepted'",
            "cake clickledger everflow partnerize tune",
        ),
        // Commissions by the goal itself, by a tier, and by an affiliate group with an item of a category.
        (
            "SELECT string_agg(DISTINCT (commission_micros / 10000)::text, ' ') FROM conversions c
             JOIN goals g ON g.network_id = c.network_id AND g.id = c.goal_id WHERE g.code = 'purchase'",
            "1780 2136 4067",
        ),
        (
            "SELECT string_agg(DISTINCT attributed_by, ' ' ORDER BY attributed_by) FROM conversions",
            "click coupon customer",
        ),
        ("SELECT bool_or(is_monitoring) FROM integrations", "true"),
        (
            "SELECT count(*) > 0 FROM clicks WHERE flag = 'cap_reached'",
            "true",
        ),
        ("SELECT count(*) FROM quarantine", "0"),
        ("SELECT count(*) FROM destinations", "4"),
    ] {
        assert_eq!(stored(&description, sql).await, expected, "{sql}");
    }
    let traces = "SELECT string_agg(trace, ' ') FROM postbacks WHERE status = 'accepted'";
    let traces = stored(&description, traces).await;
    let tolerated =
        |text| format!("{:?}", Trace::from_text(text)).contains("which is not an allowed address");
    assert!(traces.split(' ').any(tolerated), "no tolerated address");
    // Deliveries that succeed at once, that fail and are retried, and that fail always.
    let give_up = Instant::now() + Duration::from_secs(60);
    for sql in [
        "SELECT count(*) > 9 FROM deliveries WHERE state = 'delivered' AND attempts = 1",
        "SELECT count(*) > 0 FROM deliveries WHERE state = 'delivered' AND attempts > 1",
        "SELECT count(*) > 0 FROM deliveries WHERE state = 'waiting' AND code = 500",
    ] {
        while stored(&description, sql).await != "true" {
            assert!(Instant::now() < give_up, "{sql}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let click_id = click(&description).await;
    let (url, token) = (
        text(&description, "/postback/url"),
        text(&description, "/postback/token"),
    );
    let call = format!("{url}?click_id={click_id}&goal=deposit&order_id=NS-LATER&amount=10&token={token}");
    let rejected: Value = reqwest::get(call).await.unwrap().json().await.unwrap();
    assert_eq!(text(&rejected, "/reason"), "goal_unknown");
    let receipt = text(&rejected, "/request_id");
    demo.kill();

    let (code, output) = run(folder.path(), &["verify", "--days", "31"]);
    assert_eq!(code, Some(0), "{output}");
    assert!(!output.contains("DIFFERS"), "{output}");
    let replay = ["replay", "--network", "orbit", "--reason", "goal_unknown"];
    let (code, output) = run(folder.path(), &replay);
    assert_eq!(code, Some(0), "{output}");
    assert!(
        output.contains("Orbit Partners: ")
            && output.contains("goal_unknown → goal_unknown")
            && output.contains(receipt),
        "{output}"
    );
    let (code, output) = run(
        folder.path(),
        &["replay", "--network", "orbit", "--receipt", receipt, "--for-real"],
    );
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("1 postback decided again, 0 changed"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_demo_restarts_with_every_order_it_had_acknowledged() {
    let folder = data_dir();
    let port = free_ports();
    let mut demo = Demo::start(folder.path(), port);
    let description = demo.ready().await;
    for pointer in [
        "/dashboard",
        "/tracking",
        "/shop",
        "/network/name",
        "/campaign/id",
        "/goal/id",
        "/link/alias",
        "/database_url",
    ] {
        assert!(!text(&description, pointer).is_empty());
    }
    let roles: Vec<_> = (0..6)
        .map(|index| text(&description, &format!("/sign_in/{index}/role")))
        .collect();
    assert_eq!(
        roles,
        [
            "owner",
            "affiliate",
            "advertiser",
            "advertiser_developer",
            "manager",
            "operator"
        ]
    );
    assert_eq!(text(&description, "/goal/code"), "sale");

    let mut answered = Vec::new();
    for order in 0..20 {
        let order = format!("before-{order}");
        let click_id = click(&description).await;
        answered.push((
            click_id.clone(),
            order.clone(),
            postback(&description, &click_id, &order).await,
        ));
    }
    let last_click = click(&description).await;
    demo.kill();

    // The demo restarts on other ports.
    let mut demo = Demo::start(folder.path(), port + 3);
    let moved = demo.ready().await;
    assert_eq!(
        text(&moved, "/sign_in/0/password"),
        text(&description, "/sign_in/0/password")
    );
    for (click_id, order, before) in &answered {
        let after = postback(&moved, click_id, order).await;
        assert_eq!(text(&after, "/reason"), "duplicate_order", "{after}");
        assert_eq!(after.pointer("/conversion_id"), before.pointer("/conversion_id"));
    }
    assert_eq!(
        text(&postback(&moved, &last_click, "after").await, "/reason"),
        "accepted"
    );

    // Another process cannot use the directory meanwhile.
    let second = command(folder.path(), port + 6)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("in use by another clickledger"));
    drop(demo);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_buys_and_the_conversion_appears_in_the_dashboard_without_a_reload() {
    let folder = data_dir();
    let mut demo = Demo::start(folder.path(), free_ports());
    let description = demo.ready().await;
    let browser = Browser::start().await;
    let page = &browser.client;
    let find = Locator::Css;

    // The owner signs in and opens the home page.
    page.goto(text(&description, "/dashboard")).await.unwrap();
    page.find(find("#email"))
        .await
        .unwrap()
        .send_keys(text(&description, "/sign_in/0/email"))
        .await
        .unwrap();
    page.find(find("#password"))
        .await
        .unwrap()
        .send_keys(text(&description, "/sign_in/0/password"))
        .await
        .unwrap();
    page.find(find("main button"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    page.wait().for_element(find(".kpis")).await.unwrap();
    let dashboard = page.window().await.unwrap();

    // In another window a visitor follows the link, lands in the shop, and buys.
    let shop = page.new_window(true).await.unwrap();
    page.switch_to_window(shop.handle).await.unwrap();
    page.goto(&format!(
        "{}?sub1=desk-lamp-review",
        text(&description, "/link/url")
    ))
    .await
    .unwrap();
    assert!(
        page.current_url()
            .await
            .unwrap()
            .as_str()
            .starts_with(text(&description, "/shop"))
    );
    let click_id = page.find(find("#click-id")).await.unwrap().text().await.unwrap();
    page.find(find("#buy-lamp")).await.unwrap().click().await.unwrap();
    let order = page
        .wait()
        .for_element(find("#order-id"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let answer = page.find(find("#answer")).await.unwrap().text().await.unwrap();
    assert!(answer.contains(r#""reason":"accepted""#), "{answer}");

    // The open page shows the conversion without a reload.
    page.switch_to_window(dashboard).await.unwrap();
    let row = format!("//td[text()='{order}']");
    page.wait()
        .at_most(Duration::from_secs(10))
        .for_element(Locator::XPath(&row))
        .await
        .expect("the conversion appears without a reload");
    assert_eq!(violations(page).await, [""; 0]);

    // The report, the list of conversions, and the page of the click show the conversion too.
    let dashboard = text(&description, "/dashboard");
    page.goto(&format!("{dashboard}/reports?group=affiliate,day"))
        .await
        .unwrap();
    let report = page
        .find(find(".report-table"))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        report.contains("Desk Dispatch Weekly") && report.contains("Total"),
        "{report}"
    );
    assert_eq!(violations(page).await, [""; 0]);
    page.goto(&format!("{dashboard}/conversions?order={order}"))
        .await
        .unwrap();
    let table = page.find(find("table")).await.unwrap().text().await.unwrap();
    assert!(
        table.contains("89.00 EUR") && table.contains("8.90 EUR"),
        "{table}"
    );
    page.goto(&format!("{dashboard}/clicks/{click_id}"))
        .await
        .unwrap();
    let path = page.find(find(".path")).await.unwrap().text().await.unwrap();
    for expected in ["desk-lamp-review", "accepted", "8.90 EUR", "earned"] {
        assert!(path.contains(expected), "{expected} is missing in: {path}");
    }
    assert_eq!(violations(page).await, [""; 0]);
    // The check itself would see an inline script.
    let inline =
        "const it = document.createElement('script'); it.textContent = '1'; document.head.append(it)";
    page.execute(inline, Vec::new()).await.unwrap();
    assert_eq!(violations(page).await, ["script-src-elem inline"]);
    page.clone().close().await.unwrap();
}

/// Violations of the page's Content-Security-Policy since the page was opened.
async fn violations(page: &Client) -> Vec<String> {
    let script = "const done = arguments[0], seen = [];
        const observer = new ReportingObserver(found => seen.push(...found), { types: ['csp-violation'], buffered: true });
        observer.observe();
        setTimeout(() => done(seen.map(it => it.body.effectiveDirective + ' ' + it.body.blockedURL)), 100);";
    let found = page.execute_async(script, Vec::new()).await.unwrap();
    serde_json::from_value(found).unwrap()
}
