//! Postbacks and their conversions, through the real server and its public HTTP.

use std::collections::HashSet;

use campaigns::{ClickId, ClickIds};
use chrono::TimeDelta;
use conversions::Correction;
use reqwest::StatusCode;
use schema::{Money, clock};
use tenancy::Author;
use testkit::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn query_form_multipart_and_json_make_the_same_conversion() {
    let app = TestApp::spawn().await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let (id, token) = (&click.id, &app.scene.token);
    let form = |order: &str| {
        format!("click_id={id}&goal=sale&order_id={order}&amount=49.99&currency=EUR&gift=A%20B&token={token}")
    };
    let json = format!(
        r#"{{"click_id":"{id}","goal":"sale","order_id":"3","amount":49.99,"currency":"EUR","gift":"A B","token":"{token}"}}"#
    );
    // As PHP's curl sends an array of fields.
    let fields = [
        ("click_id", id.as_str()),
        ("goal", "sale"),
        ("order_id", "4"),
        ("amount", "49.99"),
        ("currency", "EUR"),
        ("gift", "A B"),
        ("token", token.as_str()),
    ];
    let fields = fields.map(|(name, value)| {
        format!("--------x1\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    });
    let multipart = format!("{}--------x1--\r\n", fields.concat());
    let answers = [
        server
            .post("multipart/form-data; boundary=------x1", multipart)
            .await,
        server.raw(&form("1")).await,
        server.post("application/x-www-form-urlencoded", form("2")).await,
        server.post("application/json", json).await,
    ];
    for answer in &answers {
        assert_eq!(
            (answer.status, answer.reason(), answer.get("status")),
            (StatusCode::OK, "accepted", "accepted")
        );
        assert_eq!(answer.headers["x-request-id"], answer.get("request_id"));
        assert_eq!(answer.headers["x-postback-reason"], "accepted");
        assert!(
            answer.get("conversion_id").starts_with("cnv_") && answer.get("request_id").starts_with("pb_")
        );
    }
    let sums = app.text(
        "SELECT concat_ws(' ', count(*), sum(commission_micros), sum(revenue_micros)) FROM conversions",
    );
    assert_eq!(sums.await, "4 20000000 30000000");
    assert_eq!(
        app.text("SELECT DISTINCT extra FROM postbacks").await,
        r#"{"gift": "A B"}"#
    );
    assert_eq!(server.get_text(&form("1")).await.text.lines().count(), 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_identical_postbacks_at_once_make_one_conversion_and_get_twenty_consistent_responses() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await;
    for order in 0..5 {
        let order = format!("race-{order}");
        let parameters = [
            ("click_id", click.id.as_str()),
            ("order_id", order.as_str()),
            ("amount", "10"),
        ];
        let servers: Vec<_> = (0..20).map(|_| app.advertiser()).collect();
        let answers =
            futures_util::future::join_all(servers.iter().map(|server| server.postback(&parameters))).await;
        let accepted = answers
            .iter()
            .filter(|answer| answer.reason() == "accepted")
            .count();
        let duplicates = answers
            .iter()
            .filter(|answer| answer.reason() == "duplicate_order")
            .count();
        assert_eq!((accepted, duplicates), (1, 19));
        assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
        let conversions: HashSet<_> = answers.iter().map(|answer| answer.get("conversion_id")).collect();
        assert_eq!(conversions.len(), 1);
    }
    assert_eq!(app.count("SELECT count(*) FROM conversions").await, 5);
    assert_eq!(app.count("SELECT count(*) FROM postbacks").await, 100);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_order_returns_the_first_conversion_and_names_the_difference() {
    let app = TestApp::spawn().await;
    let (click, other, server) = (
        app.visitor().click("").await,
        app.visitor().click("").await,
        app.advertiser(),
    );
    let order = |id: &str, amount: &str| {
        let (id, amount) = (id.to_owned(), amount.to_owned());
        let server = server.clone();
        async move {
            server
                .postback(&[("click_id", &id), ("order_id", "A-1"), ("amount", &amount)])
                .await
        }
    };
    let first = order(&click.id, "10").await;
    let cases = [
        (
            order(&click.id, "10").await,
            "duplicate_order",
            "Duplicate of order A-1, recorded just now.",
        ),
        (
            order(&click.id, "10.000000").await,
            "duplicate_order",
            "Duplicate of order A-1, recorded just now.",
        ),
        (
            order(&click.id, "12.50").await,
            "duplicate_conflict",
            "with 10.00 EUR; this postback has 12.50 EUR",
        ),
        (
            order(&other.id, "10").await,
            "duplicate_conflict",
            "for another click",
        ),
    ];
    for (answer, reason, message) in cases {
        assert_eq!(
            (answer.status, answer.get("status"), answer.reason()),
            (StatusCode::OK, "duplicate", reason)
        );
        assert!(answer.get("message").contains(message), "{}", answer.text);
        assert_eq!(answer.get("conversion_id"), first.get("conversion_id"));
    }
    assert_eq!(
        app.count("SELECT sum(commission_micros) FROM conversions").await,
        1_000_000
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_counts_once_per_click() {
    let app = TestApp::spawn().await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let lead = [("click_id", click.id.as_str()), ("goal", "lead")];
    assert_eq!(server.postback(&lead).await.reason(), "accepted");
    assert_eq!(server.postback(&lead).await.reason(), "goal_once");
    assert_eq!(
        app.text("SELECT status || ' ' || commission_micros FROM conversions")
            .await,
        "approved 5000000"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rejection_has_its_reason_and_is_stored() {
    let app = TestApp::spawn().await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let good = [
        ("click_id", click.id.as_str()),
        ("goal", "sale"),
        ("order_id", "A-1"),
        ("amount", "10"),
    ];
    let with = |name: &'static str, value: &'static str| {
        let mut parameters: Vec<(&str, &str)> =
            good.iter().copied().filter(|(known, _)| *known != name).collect();
        parameters.push((name, value));
        parameters
    };
    let upper = click.id.to_uppercase();
    let cut = &click.id[..40];
    let mut wrong_case = good;
    wrong_case[0].1 = &upper;
    let mut truncated = good;
    truncated[0].1 = cut;
    let cases = [
        (with("click_id", ""), 400, "click_id_missing", "click_id is empty"),
        (
            with("click_id", "{click_id}"),
            400,
            "macro_unreplaced",
            "placeholder",
        ),
        (
            with("click_id", "not-one-of-ours"),
            422,
            "click_not_found",
            "it is not in our format",
        ),
        (wrong_case.to_vec(), 422, "click_not_found", "letter case"),
        (
            truncated.to_vec(),
            422,
            "click_not_found",
            "40 characters instead of 44",
        ),
        (with("goal", "install"), 422, "goal_unknown", "no goal “install”"),
        (
            with("order_id", ""),
            400,
            "order_id_missing",
            "order_id is missing",
        ),
        (with("amount", ""), 400, "amount_missing", "amount is missing"),
        (with("amount", "-1"), 400, "amount_invalid", "is negative"),
        (
            with("amount", "NaN"),
            400,
            "amount_invalid",
            "is not a decimal number",
        ),
        (with("amount", "1e5"), 400, "amount_invalid", "has an exponent"),
        (with("amount", "1,5"), 400, "amount_invalid", "has a comma"),
        (
            with("amount", "99999999999999999999"),
            400,
            "amount_invalid",
            "is more than",
        ),
        (with("currency", "EURO"), 400, "currency_unknown", "EURO"),
    ];
    let count = i64::try_from(cases.len()).unwrap();
    for (parameters, status, reason, message) in cases {
        let answer = server.postback(&parameters).await;
        assert_eq!(
            (answer.status.as_u16(), answer.reason()),
            (status, reason),
            "{}",
            answer.text
        );
        assert_eq!(answer.get("status"), "rejected");
        assert!(answer.get("message").contains(message), "{}", answer.text);
        assert!(
            !answer.get("hint").is_empty()
                && answer.get("docs").ends_with(&format!("/docs/reasons/{reason}"))
        );
    }
    assert_eq!(
        app.count("SELECT count(*) FROM postbacks WHERE status = 'rejected'")
            .await,
        count
    );
    assert_eq!(
        app.count("SELECT count(*) FROM postbacks WHERE advertiser_id IS NULL")
            .await,
        0,
        "a rejected postback still has its advertiser"
    );
    assert_eq!(app.count("SELECT count(*) FROM conversions").await, 0);
    assert_eq!(
        server.with_token("wrong").postback(&good).await.reason(),
        "token_invalid"
    );
    assert_eq!(
        server.with_token("").postback(&good).await.reason(),
        "token_missing"
    );
    assert_eq!(server.postback(&with("amount", "0")).await.reason(), "accepted");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_requests_are_rejected_with_the_parameter_and_stored() {
    let app = TestApp::spawn().await;
    let server = app.advertiser();
    let form = "application/x-www-form-urlencoded";
    let large = "x".repeat(70_000);
    let long = format!("note={}", "x".repeat(9_000));
    let cases = [
        (
            server.raw("click_id=abc&order_id=1%FF").await,
            400,
            "param_undecodable",
            "order_id is not percent-encoded UTF-8: it breaks at offset 1",
        ),
        (
            server.raw("order_id=50%").await,
            400,
            "param_undecodable",
            "offset 2",
        ),
        (
            server.raw("order_id=a%00b").await,
            400,
            "param_undecodable",
            "NUL",
        ),
        (
            server.raw("amount=1&amount=2").await,
            400,
            "param_repeated",
            "amount",
        ),
        (
            server.raw(&format!("order_id={}", "x".repeat(300))).await,
            400,
            "param_too_long",
            "300 bytes",
        ),
        (server.raw(&long).await, 414, "url_too_long", "8 KiB"),
        (
            server.post("application/json", "{\"click_id\":").await,
            400,
            "body_unparseable",
            "line 1 column 12",
        ),
        (
            server.post("text/xml", "<a/>").await,
            400,
            "body_unparseable",
            "text/xml",
        ),
        (
            server.post(form, vec![b'a', b'=', 0xFF]).await,
            400,
            "body_unparseable",
            "not UTF-8 at byte 2",
        ),
        (server.post(form, large).await, 413, "body_too_large", "64 KiB"),
    ];
    for (index, (answer, status, reason, message)) in cases.iter().enumerate() {
        assert_eq!(
            (answer.status.as_u16(), answer.reason()),
            (*status, *reason),
            "{index}: {}",
            answer.text
        );
        assert!(answer.get("message").contains(message), "{}", answer.text);
    }
    let kept = app
        .count("SELECT count(*) FROM postbacks WHERE status = 'rejected'")
        .await;
    assert_eq!(kept, i64::try_from(cases.len()).unwrap());
    assert_eq!(app.count("SELECT max(length(body)) FROM postbacks").await, 2_048);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_never_stored() {
    let app = TestApp::spawn().await;
    let (click, server, token) = (
        app.visitor().click("").await,
        app.advertiser(),
        app.scene.token.clone(),
    );
    server
        .postback(&[("click_id", &click.id), ("order_id", "1"), ("amount", "1")])
        .await;
    server.raw(&format!("token={token}&order_id=%FF")).await;
    server
        .post(
            "application/json",
            format!(r#"{{"token" : "{token}", "click_id": }}"#),
        )
        .await;
    server
        .post("application/x-www-form-urlencoded", format!("a=1&token={token}"))
        .await;
    assert_eq!(app.count("SELECT count(*) FROM postbacks").await, 4);
    let dump = std::process::Command::new(testkit::bin_dir().join("pg_dump"))
        .args(["--data-only", "-d", &app.database.url])
        .output()
        .unwrap();
    assert!(dump.status.success());
    let text = String::from_utf8_lossy(&dump.stdout).into_owned();
    let hex: String = token.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(text.contains("postbacks") && !text.contains(&token) && !text.contains(&hex));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_advertiser_of_the_same_network_cannot_claim_a_click() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await;
    let mut conn = app.network().await;
    let settings = tenancy::advertisers::AdvertiserSettings::named("Rival Shop");
    let rival = tenancy::advertisers::create(&mut conn, &Author::system(), &settings, clock::now())
        .await
        .unwrap();
    let token = campaigns::integrations::new_token(
        &mut conn,
        &Author::system(),
        rival.id,
        TimeDelta::zero(),
        clock::now(),
    )
    .await
    .unwrap();
    conn.commit().await.unwrap();
    let server = app.advertiser().with_token(token.as_str());
    let answer = server
        .postback(&[("click_id", &click.id), ("order_id", "1"), ("amount", "1")])
        .await;
    assert_eq!((answer.status.as_u16(), answer.reason()), (422, "wrong_campaign"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_click_older_than_the_window_earns_nothing() {
    let app = TestApp::spawn().await;
    // A click ID that the network issued 31 days ago: only its age is invalid.
    let now = clock::now();
    let tracker = &app.running().tracker;
    let intake = tracker.intake();
    let mut conn = app.network().await;
    let link = campaigns::links::all(
        &mut conn,
        tenancy::Scope::default(),
        Some(app.scene.campaign.id),
        1,
    )
    .await
    .unwrap();
    conn.commit().await.unwrap();
    let reason = |days: i64| {
        let key = ClickIds::fresh_key(link[0].link.id, now - TimeDelta::days(days));
        let network = &app.scene.network;
        let id = ClickId {
            network_id: network.id,
            key,
        };
        let id = tracker.click_ids().write(id, network.click_key);
        let target = format!(
            "/postback?click_id={id}&goal=sale&order_id={days}&amount=1&token={}",
            app.scene.token
        );
        let call = postbacks::InboundRequest::get(&target, now, None);
        let parsed = call.parse();
        let receiving = intake.receive(network, call, parsed);
        async move { receiving.await.verdict.reason.code() }
    };
    assert_eq!(reason(29).await, "accepted");
    assert_eq!(reason(31).await, "click_expired");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_moves_the_money_and_the_rollups() {
    let app = TestApp::spawn().await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    for order in ["1", "2", "3"] {
        server
            .postback(&[("click_id", &click.id), ("order_id", order), ("amount", "100")])
            .await;
    }
    let mut conn = app.network().await;
    let filter = conversions::ConversionFilter::default();
    let found = conversions::list(&mut conn, &filter, 10).await.unwrap();
    let decide = async |conn: &mut schema::NetworkConn, index: usize, correction: Correction| {
        let id = found[index].conversion.id;
        let (author, now) = (Author::system(), clock::now());
        conversions::correct(conn, &author, id, &correction.into(), now)
            .await
            .unwrap()
            .version
    };
    assert_eq!(decide(&mut conn, 0, Correction::Approve).await, 2);
    assert_eq!(decide(&mut conn, 1, Correction::Reject).await, 2);
    assert_eq!(
        decide(&mut conn, 1, Correction::Reject).await,
        2,
        "a repeated decision changes nothing"
    );
    conn.commit().await.unwrap();
    let balance = app
        .count("SELECT sum(commission_pending_micros + commission_payable_micros) FROM ledger_entries")
        .await;
    let balance = Money {
        micros: balance,
        currency: "EUR".parse().unwrap(),
    };
    assert_eq!(balance.to_string(), "20.00 EUR");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_rejected_postbacks_of_no_advertiser_are_removed_and_no_others() {
    let app = TestApp::spawn().await;
    let stranger = app.advertiser().with_token("of-another-installation");
    let click = ("click_id", "nonsense");
    let refused = stranger.postback(&[click, ("order_id", "unknown")]).await;
    assert_eq!(refused.reason(), "token_invalid", "{}", refused.text);
    let known = app.advertiser().postback(&[click, ("order_id", "known")]).await;
    assert_eq!(known.reason(), "click_not_found", "{}", known.text);
    app.settled().await;
    // The same calls a month ago.
    app.execute(
        "INSERT INTO postbacks SELECT (jsonb_populate_record(p, jsonb_build_object(
             'id', gen_random_uuid(), 'received_at', now() - interval '31 days', 'order_id', 'old ' || order_id))).*
         FROM postbacks p",
    )
    .await;
    // A node removes when it starts, and every few hours.
    let second = app.another_node().await;
    let orders = "SELECT string_agg(order_id, ', ' ORDER BY order_id) FROM postbacks";
    app.eventually(orders, "known, old known, unknown").await;
    // The wall lets the appliers delete no others.
    let mut conn = app.database.owner().await;
    let all = "SET ROLE clickledger_ingest; DELETE FROM postbacks; RESET ROLE";
    diesel_async::SimpleAsyncConnection::batch_execute(&mut conn, all)
        .await
        .unwrap();
    assert_eq!(app.text(orders).await, "known, old known, unknown");
    second.stop().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_with_and_without_its_number_sign_is_the_same() {
    let app = TestApp::spawn().await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let order = async |order: &str| {
        let sent = [
            ("click_id", click.id.as_str()),
            ("goal", "sale"),
            ("amount", "10"),
            ("order_id", order),
        ];
        server.postback(&sent).await.reason().to_owned()
    };
    assert_eq!(order("#1001").await, "accepted");
    assert_eq!(order("1001").await, "duplicate_order");
    assert_eq!(order(" #1001\n").await, "duplicate_order");
    let owner = app.program(&app.scene.owner).await;
    for written in ["1001", "%231001"] {
        let found = owner.get(&format!("/conversions?order_id={written}")).await;
        assert_eq!(found.json["items"][0]["order_id"], "1001", "{}", found.text);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_to_short_paths_and_behind_a_key_are_kept() {
    let app = TestApp::spawn().await;
    let click = app.visitor().click("").await.id;
    app.settled().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let token = &app.scene.token;
    for (target, status) in [
        (
            format!("/SP39?transaction_id={click}&conversion_unique_id=1&amount=10&goal_name=sale"),
            200,
        ),
        ("/SP39?adv_sub=2&amount=10".to_owned(), 400),
        (
            format!("/GP40?transaction_id={click}&conversion_unique_id=3&amount=10&goal_name=sale"),
            200,
        ),
        (
            format!("/a1b2c3/postback?subid={click}&tid=4&payout=1&status=lead"),
            422,
        ),
    ] {
        let answer = http
            .get(format!("{}{target}", app.tracking_url))
            .bearer_auth(token)
            .send()
            .await
            .unwrap();
        let (found, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert_eq!(found, status, "{target}: {text}");
    }
    app.settled().await;
    assert_eq!(
        app.count("SELECT count(*) FROM postbacks").await,
        4,
        "every call is kept"
    );
    let dialects = "SELECT string_agg(DISTINCT dialect, ' ' ORDER BY dialect) FROM postbacks";
    assert_eq!(app.text(dialects).await, "keitaro tune");
    app.finish().await;
}
