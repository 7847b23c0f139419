//! Proof of tracking hosts by DNS: records that prove one, checks that do not, and hosts that change hands.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed step fails the test"
)]

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::StatusCode;
use schema::clock;
use serde_json::{Value, json};
use tenancy::Urls;
use tenancy::host_checks::{CheckNotices, Dns, HostChecker, check_due};
use testkit::{ApiClient, DnsServer, MailSink, Scene, TestApp, TestOptions};

/// The installation's own tracking host.
const OWN: &str = "trk.example.com";
const HOST: &str = "go.nova.example";
const TXT_NAME: &str = "_clickledger.go.nova.example";
const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Time at which a node has read the configuration again for a host that it did not know.
const RELOAD: Duration = Duration::from_millis(1500);

async fn start(dns: &DnsServer, require_host_proof: bool) -> TestApp {
    dns.address(OWN, HERE);
    TestApp::spawn_with(TestOptions {
        dns_server: Some(dns.address),
        tracking_url: Some(format!("http://{OWN}")),
        require_host_proof,
        ..TestOptions::default()
    })
    .await
}

/// Enters the host for a network.
async fn claim(program: &ApiClient) -> Value {
    let entered = program
        .patch("/network", &json!({ "tracking_hosts": [HOST] }))
        .await;
    assert_eq!(entered.status, StatusCode::OK, "{}", entered.text);
    state(program).await
}

/// State of the host, as the network reads it.
async fn state(program: &ApiClient) -> Value {
    let network = program.get("/network").await.json;
    let hosts = network["host_states"].as_array().unwrap();
    let found = hosts.iter().find(|host| host["host"] == HOST);
    found.cloned().unwrap_or_default()
}

/// Checks the host now.
async fn check(program: &ApiClient) -> Value {
    let body = json!({ "host": HOST });
    let checked = program.post("/network/tracking-hosts/check", &body).await;
    assert_eq!(checked.status, StatusCode::OK, "{}", checked.text);
    checked.json
}

/// Response of the tracking host to a request for this host: status and body.
async fn visit(app: &TestApp, host: &str, path: &str) -> (StatusCode, String) {
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap();
    let request = http.get(format!("{}{path}", app.tracking_url));
    let response = request.header("Host", host).send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

async fn certificate(app: &TestApp) -> StatusCode {
    let url = format!("{}/tls/ask?domain={HOST}", app.dashboard_url);
    reqwest::get(url).await.unwrap().status()
}

/// Actions of the audit log about hosts, of a network.
async fn audited(app: &TestApp, scene: &Scene) -> String {
    app.text(&format!(
        "SELECT coalesce(string_agg(action || ' by ' || author, ', ' ORDER BY id), '') FROM audit_log
         WHERE network_id = {} AND action LIKE 'network.%_host' AND object_name = '{HOST}'",
        scene.network.id.0
    ))
    .await
}

fn value(state: &Value) -> &str {
    state["txt_value"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_txt_record_with_the_token_proves_a_host() {
    let dns = DnsServer::start().await;
    let app = start(&dns, false).await;
    let owner = app.program(&app.scene.owner).await;
    let claimed = claim(&owner).await;
    assert_eq!(claimed["state"], "claimed");
    assert_eq!(claimed["txt_name"], TXT_NAME);
    assert_eq!(claimed["cname_target"], OWN);
    assert_eq!(claimed["check"], Value::Null);

    let missing = check(&owner).await;
    assert_eq!(missing["state"], "claimed");
    assert_eq!(missing["check"]["txt"]["result"], "missing");
    assert_eq!(missing["check"]["cname"]["result"], "missing");

    dns.txt(TXT_NAME, &["clickledger-verify=of-another-network"]);
    let wrong = check(&owner).await;
    assert_eq!(wrong["state"], "claimed");
    assert_eq!(
        wrong["check"]["txt"],
        json!({
            "result": "different",
            "values": ["clickledger-verify=of-another-network"],
            "message": "The TXT record of _clickledger.go.nova.example has another value: \
                        “clickledger-verify=of-another-network”.",
        })
    );
    let page = app.sign_in(&app.scene.owner).await;
    let shown = page.get("/settings").await.html;
    for text in [
        "not proven",
        value(&claimed),
        "has another value: “clickledger-verify",
    ] {
        assert!(shown.contains(text), "{text}: {shown}");
    }

    dns.txt(TXT_NAME, &["v=spf1 -all", value(&claimed)]);
    // The button of the page, without JavaScript.
    let done = page
        .submit("/settings", "/settings/hosts/check", &[("host", HOST)])
        .await;
    assert_eq!(
        (done.status, done.location()),
        (StatusCode::SEE_OTHER, "/settings#hosts")
    );
    let proven = state(&owner).await;
    assert_eq!(
        (&proven["state"], &proven["proven_by"]),
        (&json!("proven"), &json!("txt"))
    );
    assert_eq!(proven["txt_value"], claimed["txt_value"], "the token is stable");
    assert!(
        page.get("/settings")
            .await
            .html
            .contains("Proven by a TXT record"),
        "the page shows the proof"
    );
    assert_eq!(
        audited(&app, &app.scene).await,
        "network.prove_host by Orbit owner"
    );

    // A proven host stays proven, and the check shows the difference.
    dns.remove(TXT_NAME);
    let later = check(&owner).await;
    assert_eq!(later["state"], "proven");
    assert_eq!(later["proven_at"], proven["proven_at"]);
    assert_eq!(later["check"]["txt"]["result"], "missing");
    // It keeps its proof when other settings change, and gets another token when it is removed and entered again.
    let hosts = json!({ "tracking_hosts": [HOST, "other.nova.example"] });
    assert_eq!(owner.patch("/network", &hosts).await.status, StatusCode::OK);
    assert_eq!(state(&owner).await["state"], "proven");
    owner.patch("/network", &json!({ "tracking_hosts": [] })).await;
    let again = claim(&owner).await;
    assert_eq!(again["state"], "claimed");
    assert_ne!(again["txt_value"], claimed["txt_value"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cname_record_to_this_installation_proves_a_host_and_addresses_do_not() {
    let dns = DnsServer::start().await;
    let app = start(&dns, false).await;
    let owner = app.program(&app.scene.owner).await;
    claim(&owner).await;
    dns.address(HOST, HERE);
    let here = check(&owner).await;
    assert_eq!(here["state"], "claimed", "an address proves nothing");
    assert_eq!(here["check"]["addresses"]["result"], "match");

    dns.address("cdn.example", Ipv4Addr::new(198, 51, 100, 7));
    dns.cname(HOST, "cdn.example");
    let elsewhere = check(&owner).await;
    assert_eq!(elsewhere["state"], "claimed");
    assert_eq!(
        elsewhere["check"]["cname"],
        json!({
            "result": "different",
            "values": ["cdn.example"],
            "message": "The CNAME record of go.nova.example points elsewhere: to cdn.example instead of \
                        trk.example.com.",
        })
    );
    assert_eq!(elsewhere["check"]["addresses"]["result"], "different");
    assert_eq!(elsewhere["check"]["addresses"]["values"], json!(["198.51.100.7"]));

    dns.cname(HOST, OWN);
    let proven = check(&owner).await;
    assert_eq!(
        (&proven["state"], &proven["proven_by"]),
        (&json!("proven"), &json!("cname"))
    );
    assert_eq!(proven["check"]["addresses"]["result"], "match");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_or_silent_dns_server_differs_from_missing_records() {
    let dns = DnsServer::start().await;
    let app = start(&dns, false).await;
    let owner = app.program(&app.scene.owner).await;
    claim(&owner).await;
    dns.silence(TXT_NAME);
    dns.fail(HOST);
    let began = Instant::now();
    let checked = check(&owner).await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(checked["state"], "claimed");
    assert_eq!(checked["check"]["txt"]["result"], "silent", "{checked}");
    assert_eq!(
        checked["check"]["txt"]["message"],
        "The DNS server did not answer in time about the TXT record of _clickledger.go.nova.example."
    );
    assert_eq!(checked["check"]["cname"]["result"], "failed", "{checked}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proven_host_leaves_the_network_that_only_claims_it() {
    let dns = DnsServer::start().await;
    let app = start(&dns, false).await;
    let rival = Scene::set(&app.db, "Rival", "rival.example").await;
    let owner = app.program(&app.scene.owner).await;
    let rival_owner = app.program(&rival.owner).await;
    claim(&owner).await;
    let path = format!("/{}", app.scene.alias);
    assert_eq!(visit(&app, HOST, &path).await.0, StatusCode::FOUND);

    let contested = claim(&rival_owner).await;
    assert_eq!(contested["state"], "contested");
    assert_eq!(state(&owner).await["state"], "contested");
    // A CNAME record does not tell which network is meant.
    dns.cname(HOST, OWN);
    assert_eq!(check(&rival_owner).await["state"], "contested");
    assert_eq!(check(&owner).await["state"], "contested");
    assert_eq!(visit(&app, HOST, &path).await.0, StatusCode::FOUND);

    dns.txt(TXT_NAME, &[value(&contested)]);
    assert_eq!(check(&rival_owner).await["state"], "proven");
    let lost = state(&owner).await;
    assert_eq!(lost["state"], "lost");
    let network = owner.get("/network").await.json;
    assert!(!network["tracking_hosts"].to_string().contains(HOST), "{network}");
    assert_eq!(
        audited(&app, &app.scene).await,
        "network.lose_host by Clickledger"
    );
    assert_eq!(audited(&app, &rival).await, "network.prove_host by Rival owner");
    let page = app.sign_in(&app.scene.owner).await;
    assert!(
        page.get("/settings")
            .await
            .html
            .contains("Another network proved this host")
    );
    // Clicks of the host are the other network's at once.
    assert_eq!(visit(&app, HOST, &path).await.0, StatusCode::NOT_FOUND);
    assert_eq!(
        visit(&app, HOST, &format!("/{}", rival.alias)).await.0,
        StatusCode::FOUND
    );

    // The members who manage the network get one mail.
    let mails = MailSink::start().await;
    let notices = CheckNotices {
        mailer: mails.mailer(),
        dashboard_url: app.dashboard_url.clone(),
    };
    let checker = checker(&dns);
    for _ in 0..2 {
        let at = clock::now() + TimeDelta::hours(1);
        check_due(&app.db, &checker, &notices, app.scene.network.id, at)
            .await
            .unwrap();
    }
    for (member, expected) in [("owner", 1), ("admin", 1), ("manager", 0)] {
        let received = mails.all_to(&format!("{member}@orbit.example"));
        assert_eq!(received.len(), expected, "{member}");
        assert!(
            received.iter().all(|mail| mail.text.contains(HOST)),
            "{received:?}"
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_final_and_beats_a_cname() {
    let dns = DnsServer::start().await;
    let app = start(&dns, false).await;
    let rival = Scene::set(&app.db, "Rival", "rival.example").await;
    let owner = app.program(&app.scene.owner).await;
    let rival_owner = app.program(&rival.owner).await;
    // The first network has entered a host that another one has pointed here for itself.
    dns.cname(HOST, OWN);
    claim(&owner).await;
    assert_eq!(check(&owner).await["proven_by"], "cname");
    let claimed = claim(&rival_owner).await;
    dns.txt(TXT_NAME, &[value(&claimed)]);
    assert_eq!(check(&rival_owner).await["proven_by"], "txt");
    assert_eq!(state(&owner).await["state"], "lost");

    // Now no other network can enter it, nor take it.
    let refused = owner
        .patch("/network", &json!({ "tracking_hosts": [HOST] }))
        .await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        refused.json["fields"]["tracking_hosts"],
        "One of these hosts belongs to another network."
    );
    let checked = owner
        .post("/network/tracking-hosts/check", &json!({ "host": HOST }))
        .await;
    assert_eq!(
        checked.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        checked.text
    );
    assert_eq!(state(&rival_owner).await["state"], "proven");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_networks_that_prove_a_host_at_once_the_first_gets_it() {
    let dns = DnsServer::start().await;
    let app = start(&dns, false).await;
    let rival = Scene::set(&app.db, "Rival", "rival.example").await;
    let owner = app.program(&app.scene.owner).await;
    let rival_owner = app.program(&rival.owner).await;
    for round in 0..4 {
        let one = claim(&owner).await;
        let other = claim(&rival_owner).await;
        dns.txt(TXT_NAME, &[value(&one), value(&other)]);
        // The slower one has lost the host during its check, or before it.
        let body = json!({ "host": HOST });
        let path = "/network/tracking-hosts/check";
        let (first, second) = tokio::join!(owner.post(path, &body), rival_owner.post(path, &body));
        for checked in [first, second] {
            let is_expected = [StatusCode::OK, StatusCode::UNPROCESSABLE_ENTITY].contains(&checked.status);
            assert!(is_expected, "{}", checked.text);
        }
        let mut states =
            [state(&owner).await, state(&rival_owner).await].map(|host| host["state"].to_string());
        states.sort();
        assert_eq!(states, ["\"lost\"", "\"proven\""], "round {round}");
        for program in [&owner, &rival_owner] {
            program.patch("/network", &json!({ "tracking_hosts": [] })).await;
        }
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_proof_is_required_an_unproven_host_is_an_unknown_one() {
    let dns = DnsServer::start().await;
    let app = start(&dns, true).await;
    let owner = app.program(&app.scene.owner).await;
    let claimed = claim(&owner).await;
    let path = format!("/{}", app.scene.alias);
    let unknown = visit(&app, "nowhere.example", &path).await;
    assert_eq!(unknown.0, StatusCode::NOT_FOUND);
    assert_eq!(visit(&app, HOST, &path).await, unknown);
    let postback = format!("/postback?order_id=A-1&token={}", app.scene.token);
    assert_eq!(
        visit(&app, HOST, &postback).await.0,
        visit(&app, "nowhere.example", &postback).await.0
    );
    assert_eq!(certificate(&app).await, StatusCode::NOT_FOUND);
    let link = format!("/links/{}", app.scene.link_id);
    let shared = format!("http://{OWN}/orbit/{}", app.scene.alias);
    assert_eq!(owner.get(&link).await.get("url"), shared);
    assert_eq!(
        visit(&app, OWN, &format!("/orbit{path}")).await.0,
        StatusCode::FOUND
    );
    let page = app.sign_in(&app.scene.owner).await;
    assert!(
        page.get("/settings")
            .await
            .html
            .contains("Clicks and postbacks of the host are refused")
    );

    dns.txt(TXT_NAME, &[value(&claimed)]);
    assert_eq!(check(&owner).await["state"], "proven");
    tokio::time::sleep(RELOAD).await;
    assert_eq!(visit(&app, HOST, &path).await.0, StatusCode::FOUND);
    assert_eq!(certificate(&app).await, StatusCode::OK);
    assert_eq!(
        owner.get(&link).await.get("url"),
        format!("http://{HOST}/{}", app.scene.alias)
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_proof_is_required_an_unproven_host_works() {
    let dns = DnsServer::start().await;
    let app = start(&dns, false).await;
    let owner = app.program(&app.scene.owner).await;
    claim(&owner).await;
    let path = format!("/{}", app.scene.alias);
    assert_eq!(visit(&app, HOST, &path).await.0, StatusCode::FOUND);
    assert_eq!(certificate(&app).await, StatusCode::OK);
    app.finish().await;
}

fn checker(dns: &DnsServer) -> HostChecker {
    let urls = Urls::new("http://app.example.com", &format!("http://{OWN}"));
    HostChecker::new(Dns::new(Some(dns.address)), &urls)
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_checked_in_the_background_until_they_are_proven() {
    let dns = DnsServer::start().await;
    let app = start(&dns, false).await;
    let owner = app.program(&app.scene.owner).await;
    let claimed = claim(&owner).await;
    let checker = checker(&dns);
    let notices = CheckNotices {
        mailer: tenancy::Mailer::default(),
        dashboard_url: app.dashboard_url.clone(),
    };
    let round = async |at: DateTime<Utc>| {
        check_due(&app.db, &checker, &notices, app.scene.network.id, at)
            .await
            .unwrap()
    };
    let now = clock::now();
    let minutes = |number| now + TimeDelta::minutes(number);
    assert_eq!(round(now).await, 1);
    assert_eq!(round(minutes(1)).await, 0, "checked a minute ago");
    assert_eq!(round(minutes(5)).await, 1);
    // After a day, every hour.
    let later = 60 * 26;
    assert_eq!(round(minutes(later)).await, 1);
    assert_eq!(round(minutes(later + 50)).await, 0);
    dns.txt(TXT_NAME, &[value(&claimed)]);
    assert_eq!(round(minutes(later + 61)).await, 1);
    assert_eq!(state(&owner).await["state"], "proven");
    assert_eq!(
        audited(&app, &app.scene).await,
        "network.prove_host by Clickledger"
    );
    assert_eq!(round(minutes(later + 500)).await, 0, "proven");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_on_request_are_limited() {
    let dns = DnsServer::start().await;
    let app = start(&dns, false).await;
    let owner = app.program(&app.scene.owner).await;
    let page = app.sign_in(&app.scene.owner).await;
    let body = json!({ "host": "other.example" });
    let unknown = owner.post("/network/tracking-hosts/check", &body).await;
    assert_eq!(
        unknown.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        unknown.text
    );
    assert_eq!(
        unknown.json["fields"]["host"],
        "This network has not entered this host."
    );
    let mut statuses = Vec::new();
    for _ in 0..25 {
        let answer = owner.post("/network/tracking-hosts/check", &body).await;
        statuses.push(answer.status);
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert!(answer.headers.contains_key("retry-after"));
            break;
        }
    }
    assert_eq!(
        statuses.last(),
        Some(&StatusCode::TOO_MANY_REQUESTS),
        "{statuses:?}"
    );
    let refused = page
        .submit("/settings", "/settings/hosts/check", &[("host", HOST)])
        .await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.html.contains("Checked too often"), "{}", refused.html);
    // Addresses have no records.
    let address = app.tracking_url.strip_prefix("http://").unwrap();
    assert!(
        page.get("/settings")
            .await
            .html
            .contains("A host that is no DNS name cannot be proven"),
        "{address}"
    );
    app.finish().await;
}
