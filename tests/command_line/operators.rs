//! `--json` of the commands of operators, which work on the database.

use serde_json::{Value, json};
use testkit::{DnsServer, TestApp};

use super::{Done, Shell};

#[tokio::test(flavor = "multi_thread")]
async fn results_and_errors_of_chores_are_json_for_scripts() {
    let app = TestApp::spawn().await;
    let login = app.database.login().await;
    let shell = Shell {
        variables: vec![
            ("DATABASE_URL", login),
            ("CLICKLEDGER_SECRET", app.secret.to_text()),
        ],
        ..Shell::new()
    };
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let run = |arguments: &[&str]| shell.run(&[arguments, &["--json", "--data-dir", data]].concat());
    let lines = |done: &Done| -> Vec<Value> {
        let lines = done.out.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect()
    };

    let id = app.scene.network.id.to_string();
    let listed = run(&["list-networks"]).exits(0);
    assert_eq!(
        lines(&listed),
        [json!({ "network": id, "name": "Orbit", "status": "active" })]
    );
    let created = run(&[
        "create-network",
        "--name",
        "New",
        "--owner-email",
        "a@new.example",
    ])
    .exits(0)
    .json();
    assert!(
        created["password"].as_str().unwrap().len() > 20 && created["slug"] == "new",
        "{created}"
    );
    let changed = run(&["change-network", "--network", &id, "--max-seats", "7"])
        .exits(0)
        .json();
    assert_eq!(
        (&changed["max_seats"], &changed["status"]),
        (&json!(7), &json!("active"))
    );
    let replaced = run(&["replace-click-key", "--network", &id]).exits(0).json();
    assert_eq!(replaced["key"], 2, "{replaced}");
    let journals = app.journal.path().to_str().unwrap();
    let verified = run(&["verify", "--network", &id, "--journals", journals]).exits(0);
    let verified = &lines(&verified)[0];
    assert!(
        verified["checks"]
            .as_array()
            .unwrap()
            .iter()
            .all(|check| check["holds"] == true),
        "{verified}"
    );

    let click = app.visitor().click("").await;
    let fields = [
        ("click_id", click.id.as_str()),
        ("order_id", "A-1"),
        ("goal", "nope"),
    ];
    app.advertiser().postback(&fields).await;
    app.settled().await;
    let replayed = run(&["replay", "--network", "orbit"]).exits(0).json();
    assert_eq!(
        (&replayed["dry_run"], &replayed["results"][0]["reason"]),
        (&json!(true), &json!("goal_unknown"))
    );
    let number = replayed["number"].as_str().unwrap();
    run(&[
        "replay",
        "--network",
        "orbit",
        "--looked-at",
        number,
        "--for-real",
    ])
    .exits(0);

    let unknown = run(&["replay", "--network", "nowhere"]).exits(2).error();
    assert_eq!(
        (&unknown["code"], &unknown["fields"]),
        (&json!("usage"), &json!({}))
    );
    let absent = run(&["change-network", "--network", "net_2y6c3r8"])
        .exits(1)
        .error();
    assert!(
        absent["code"] == "failed" && absent["message"].as_str().unwrap().contains("net_2y6c3r8"),
        "{absent}"
    );
    let tracking = app.tracking_url.strip_prefix("http://").unwrap();
    let health = shell
        .run(&["health", "--json", "--tracking-listen", tracking])
        .exits(0)
        .json();
    assert_eq!(health["ready"], true);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tracking_hosts_are_checked_before_proof_is_required() {
    let app = TestApp::spawn().await;
    let dns = DnsServer::start().await;
    let shell = Shell {
        variables: vec![
            ("DATABASE_URL", app.database.login().await),
            ("CLICKLEDGER_SECRET", app.secret.to_text()),
            ("CLICKLEDGER_DNS_SERVER", dns.address.to_string()),
            ("CLICKLEDGER_TRACKING_URL", "https://trk.example.com".to_owned()),
        ],
        ..Shell::new()
    };
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let run = |arguments: &[&str]| shell.run(&[arguments, &["--json", "--data-dir", data]].concat());
    let network = [
        "create-network",
        "--name",
        "Nova",
        "--owner-email",
        "a@nova.example",
    ];
    run(&[&network[..], &["--tracking-host", "go.nova.example"]].concat()).exits(0);

    let missing = run(&["check-host"]).exits(0).json();
    assert_eq!(
        (&missing["host"], &missing["state"], &missing["cname_target"]),
        (
            &json!("go.nova.example"),
            &json!("claimed"),
            &json!("trk.example.com")
        )
    );
    assert_eq!(
        missing["findings"][0],
        "_clickledger.go.nova.example has no TXT record."
    );
    let record = missing["txt_value"].as_str().unwrap();
    dns.txt(missing["txt_name"].as_str().unwrap(), &[record]);
    let proven = run(&["check-host"]).exits(0).json();
    assert_eq!(
        (&proven["state"], &proven["proven_by"]),
        (&json!("proven"), &json!("txt"))
    );
    assert_eq!(run(&["check-host"]).exits(0).out, "", "all are proven");
    let again = run(&["check-host", "go.nova.example"]).exits(0).json();
    assert_eq!(again["state"], "proven");
    let unknown = run(&["check-host", "other.example"]).exits(1);
    assert!(
        unknown
            .err
            .contains("no active network has entered other.example"),
        "{}",
        unknown.err
    );
    app.finish().await;
}
