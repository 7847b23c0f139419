//! `clickledger export` and `import`: tables there and back, reports at once and as prepared files, https.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use testkit::TestApp;

use super::Shell;

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_exported_changed_tried_and_imported() {
    let app = TestApp::spawn().await;
    let shell = Shell::with_key(&app, &app.program(&app.scene.owner).await.credential);
    let file = shell.home.path().join("affiliates.csv");
    let path = file.to_str().unwrap();
    let done = shell
        .run(&["export", "affiliates", "--out", path, "--json"])
        .exits(0)
        .json();
    let csv = std::fs::read_to_string(&file).unwrap();
    assert_eq!(done["bytes"], json!(csv.len()));
    assert!(csv.contains("Orbit Blog"), "{csv}");
    assert_eq!(shell.run(&["export", "affiliates"]).exits(0).out, csv);
    assert!(
        shell
            .run(&["export", "affiliates", "--bom"])
            .exits(0)
            .out
            .starts_with('\u{feff}')
    );

    let unchanged = shell
        .run(&["import", "affiliates", path, "--json"])
        .exits(0)
        .json();
    assert_eq!(
        (&unchanged["unchanged"], &unchanged["created"]),
        (&json!(1), &json!(0)),
        "{unchanged}"
    );
    let new = "name,external_id\nDeal Hunter,77\n,78\n";
    std::fs::write(&file, new).unwrap();
    let tried = shell.run(&["import", "affiliates", path, "--dry-run"]).exits(1);
    assert!(
        tried.out.contains("1 created, 0 updated, 0 unchanged, 1 refused"),
        "{tried:?}"
    );
    assert!(
        tried.out.contains("line 3") && tried.out.contains("dry run"),
        "{tried:?}"
    );
    assert!(tried.err.contains("1 row was refused"), "{tried:?}");
    assert_eq!(
        app.count("SELECT count(*) FROM affiliates WHERE name = 'Deal Hunter'")
            .await,
        0
    );
    let done = shell
        .run_with(&["import", "affiliates", "-", "--json"], new)
        .exits(1);
    assert_eq!(done.json()["created"], 1, "{done:?}");
    assert_eq!(done.error()["code"], "refused");
    assert_eq!(
        app.count("SELECT count(*) FROM affiliates WHERE name = 'Deal Hunter'")
            .await,
        1
    );
    shell.run(&["import", "affiliates", "/no/such/file"]).exits(2);

    for table in [
        "advertisers",
        "campaigns",
        "goals",
        "rules",
        "landing-pages",
        "coupons",
        "links",
    ] {
        let exported = shell.run(&["export", table]).exits(0).out;
        let report = shell
            .run_with(&["import", table, "-", "--dry-run", "--json"], &exported)
            .exits(0)
            .json();
        assert_eq!(
            (&report["created"], &report["updated"]),
            (&json!(0), &json!(0)),
            "{table}: {report}"
        );
    }
    let rates = "currency,day,rate\nUSD,2026-11-27,1.0834\n";
    shell.run_with(&["import", "exchange-rates", "-"], rates).exits(0);
    assert!(
        shell
            .run(&["export", "exchange-rates"])
            .exits(0)
            .out
            .contains("1.0834")
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn corrections_of_a_file_are_tried_and_made() {
    let app = TestApp::spawn().await;
    let shell = Shell::with_key(&app, &app.program(&app.scene.owner).await.credential);
    let click = app.visitor().click("").await;
    let fields = [
        ("click_id", click.id.as_str()),
        ("order_id", "A-1"),
        ("amount", "200"),
    ];
    assert_eq!(app.advertiser().postback(&fields).await.reason(), "accepted");
    app.settled().await;
    let csv = "order_id,action\nA-1,approve\n";
    let tried = shell
        .run_with(&["import", "corrections", "-", "--dry-run"], csv)
        .exits(0);
    assert!(
        tried.out.contains("1 changed") && tried.out.contains("dry run"),
        "{tried:?}"
    );
    let status = "SELECT string_agg(status, ',') FROM conversions";
    assert_eq!(app.text(status).await, "pending");
    shell.run_with(&["import", "corrections", "-"], csv).exits(0);
    assert_eq!(app.text(status).await, "approved");
    let refused = shell
        .run_with(&["import", "corrections", "-"], "order_id,action\nNone,approve\n")
        .exits(1);
    assert!(refused.out.contains("None"), "{refused:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_exported_at_once_and_a_large_one_as_a_prepared_file() {
    let app = TestApp::spawn().await;
    let shell = Shell::with_key(&app, &app.program(&app.scene.owner).await.credential);
    app.visitor().click("?sub1=one").await;
    app.settled().await;
    let small = shell
        .run(&["export", "report", "--query", "?group=sub1&metrics=clicks"])
        .exits(0)
        .out;
    assert!(small.starts_with("sub1,clicks,currency\r\none,1,"), "{small}");
    let invalid = shell
        .run(&["export", "report", "--query", "group=colour", "--json"])
        .exits(1)
        .error();
    assert!(invalid["fields"]["group"].is_string(), "{invalid}");
    let book = shell.home.path().join("report.xlsx");
    shell
        .run(&[
            "export",
            "report",
            "--format",
            "xlsx",
            "--out",
            book.to_str().unwrap(),
        ])
        .exits(0);
    assert!(std::fs::read(&book).unwrap().starts_with(b"PK"));
    shell.run(&["export", "links", "--query", "group=day"]).exits(2);

    add_clicks(&app, 100_001).await;
    let large = "group=sub1&metrics=clicks&from=2026-11-20&to=2026-11-20";
    let done = shell.run(&["export", "report", "--query", large]).exits(0);
    assert_eq!(done.out.lines().count(), 100_002);
    assert!(done.err.contains("the report's file is"), "{}", done.err);
    app.stop_unverified().await;
}

/// Adds clicks of a day, each with its own sub ID.
async fn add_clicks(app: &TestApp, count: u32) {
    let (network, scene) = (app.scene.network.id.0, &app.scene);
    app.execute("SELECT make_click_month('2026-11-20T12:00:00Z')")
        .await;
    app.execute(&format!(
        "INSERT INTO clicks (network_id, id, clicked_at, link_id, campaign_id, affiliate_id, is_unique, visitor, device, sub1)
         SELECT {network}, (lpad(to_hex(1795176000000 + n), 12, '0') || lpad(to_hex(n), 20, '0'))::uuid,
                to_timestamp((1795176000000 + n) / 1000.0), {}, {}, {}, true, n, 'desktop', 'sub-' || n
         FROM generate_series(1, {count}) n",
        scene.link_id.0, scene.campaign.id.0, scene.affiliate_id.0
    ))
    .await;
    app.execute(
        "INSERT INTO click_rollups (network_id, quarter_hour, campaign_id, affiliate_id, link_id, clicks, unique_clicks)
         SELECT network_id, date_bin('15 minutes', clicked_at, 'epoch'), campaign_id, affiliate_id, link_id, count(*), count(*)
         FROM clicks WHERE clicked_at < '2026-11-21' GROUP BY 1, 2, 3, 4, 5",
    )
    .await;
}

/// Server of openssl, killed when dropped.
struct SecureServer(Child);

impl Drop for SecureServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_over_https_needs_a_certificate_that_is_trusted() {
    let shell = Shell::new();
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.current_dir(shell.home.path()).args(arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    };
    let made = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-keyout",
        "key.pem",
        "-out",
        "certificate.pem",
    ];
    assert!(openssl(&made).status().unwrap().success());
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let serve = [
        "s_server",
        "-www",
        "-quiet",
        "-key",
        "key.pem",
        "-cert",
        "certificate.pem",
        "-accept",
        &port,
    ];
    let _server = SecureServer(openssl(&serve).spawn().unwrap());
    let url = format!("https://localhost:{port}");
    let certificate = shell.home.path().join("certificate.pem");
    let whoami = |more: &[&str]| {
        let arguments = [&["whoami", "--json", "--url", &url][..], more].concat();
        let output = shell
            .command(&arguments)
            .env("CLICKLEDGER_API_KEY", "clk_key_x")
            .output()
            .unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let trusting = ["--ca-file", certificate.to_str().unwrap()];
    for _ in 0..100 {
        // openssl is about to listen.
        if whoami(&trusting).contains("not_the_api") {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let reached = whoami(&trusting);
    assert!(reached.contains("not_the_api"), "{reached}");
    let refused = whoami(&[]);
    assert!(
        refused.contains("unreachable") && refused.contains("certificate"),
        "{refused}"
    );
}
