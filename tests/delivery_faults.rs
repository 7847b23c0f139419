//! Faults of deliveries (E1 to E7): receivers that answer slowly, without end or not at all, nodes that are killed, names that
//! are rebound, a queue that no node works; and the property that each event is delivered as exactly one delivery.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

mod delivering;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use delivering::{convert, create, decide, settings, states, tracker};
use delivery::{Call, CallMethod, Caller, Engine, EngineSettings, Guard, deliveries};
use diesel_async::SimpleAsyncConnection;
use schema::{Changes, Db, Opening, clock};
use serde_json::json;
use tenancy::host_checks::Dns;
use tenancy::work::Works;
use tenancy::{Author, Mailer, Scope};
use testkit::{Behaviour, DnsServer, Receiver, TestApp};
use url::Url;

const GOOD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const BAD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_drips_ends_at_the_deadline_of_the_call() {
    let app = TestApp::spawn().await;
    let dripping = Receiver::start(Behaviour::Drip).await;
    tracker(&app, &dripping, "e={change}").await;
    convert(&app, "a", "A-1").await;
    let attempt =
        "SELECT coalesce((SELECT problem || ' ' || (duration_ms >= 15000) FROM delivery_attempts), '')";
    app.eventually(attempt, "No answer within 15 s. true").await;
    states(&app, "1 waiting").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_rebound_leads_to_no_other_address() {
    let dns = DnsServer::start().await;
    let good = Receiver::start_at(&format!("{GOOD}:0"), Behaviour::Closing(200)).await;
    let canary = Receiver::start_at(&format!("{BAD}:{}", good.port), Behaviour::Closing(200)).await;
    // The port is open, so that only the address is refused.
    let allowed = [format!("{GOOD}/32"), format!(":{}", good.port)];
    let guard = Guard::new(allowed.iter().map(|text| text.parse().unwrap()).collect());
    let caller = Caller::new(guard, Dns::new(Some(dns.address))).unwrap();
    let url: Url = format!("http://tracker.example:{}/", good.port).parse().unwrap();
    let call = Call {
        grant: None,
        method: CallMethod::Get,
        shown_url: url.to_string(),
        url,
        headers: Vec::new(),
        body: None,
        problem_in: None,
    };
    let name = "tracker.example";
    dns.addresses(name, &[GOOD]);
    assert_eq!(caller.call(&call).await.code, Some(200));
    for addresses in [&[BAD][..], &[GOOD, BAD], &[BAD, GOOD]] {
        dns.addresses(name, addresses);
        let outcome = caller.call(&call).await;
        let problem = outcome.problem.unwrap();
        assert!(
            problem.contains("127.0.0.1 is not an address on the internet"),
            "{problem}"
        );
    }
    // Another address in each answer: the one that is checked is the one that is called.
    dns.alternate(name, &[GOOD, BAD]);
    let mut delivered = 0;
    for _ in 0..20 {
        delivered += usize::from(caller.call(&call).await.is_delivered());
    }
    assert_eq!((delivered, good.received().len()), (10, 11));
    assert!(canary.received().is_empty());
}

/// Engine of a node in a runtime, which ends with all its tasks and connections when it is shut down, as a killed process.
fn doomed_node(app: &TestApp) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().unwrap();
    let (opening, url) = (Opening::default(), app.database.url.clone());
    let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let inside = runtime.enter();
    let settings = EngineSettings {
        db: Db::new(&url, 1, Duration::from_secs(15)),
        secret: app.secret.clone(),
        caller: Caller::new(guard, Dns::default()).unwrap(),
        mailer: Mailer::default(),
        dashboard_url: app.dashboard_url.clone(),
        signals: Changes::listen(&opening, &url).events(),
        set_alarm: Box::new(|_| {}),
        works: Works::default(),
        database_url: url,
    };
    let _engine = Engine::start(settings, &opening);
    drop(inside);
    runtime
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_nodes_are_killed_between_sending_and_recording() {
    const KILLS: usize = 50;
    const DELIVERIES: usize = 450;
    /// Most calls of a node to one destination at once.
    const IN_FLIGHT: usize = 8;
    let mut app = TestApp::spawn().await;
    for number in 0..DELIVERIES {
        convert(&app, "a", &format!("A-{number}")).await;
    }
    app.settled().await;
    app.stop_server().await;
    let receiver = Receiver::start(Behaviour::Slow(30)).await;
    let destination = tracker(&app, &receiver, "c={conversion_id}").await;
    let mut conn = app.network().await;
    let now = clock::now();
    let period = (now - chrono::TimeDelta::days(1), now + chrono::TimeDelta::days(1));
    let (author, scope) = (Author::system(), Scope::default());
    let queued = deliveries::backfill(&mut conn, &author, scope, destination.id, period, now).await;
    assert_eq!(queued.unwrap(), DELIVERIES);
    conn.commit().await.unwrap();
    for _ in 0..KILLS {
        let before = receiver.received().len();
        let node = doomed_node(&app);
        receiver.wait_for(before + 1).await;
        node.shutdown_background();
    }
    let last = doomed_node(&app);
    // The leases of the killed nodes end after half a minute.
    states(&app, &format!("{DELIVERIES} delivered")).await;
    last.shutdown_background();
    let received = receiver.received();
    let ids: BTreeSet<&str> = received
        .iter()
        .map(|request| request.header("webhook-id"))
        .collect();
    let conversions: BTreeSet<&str> = received.iter().map(|request| request.target.as_str()).collect();
    assert_eq!(
        (ids.len(), conversions.len()),
        (DELIVERIES, DELIVERIES),
        "none lost, each under one ID"
    );
    let repeats = received.len() - DELIVERIES;
    assert!((1..=KILLS * IN_FLIGHT).contains(&repeats), "{repeats} repeats");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_destination_with_a_long_queue_delays_none_of_fifty() {
    const BACKLOG: i64 = 100_000;
    let app = TestApp::spawn().await;
    let dead = Receiver::start(Behaviour::Silent).await;
    let healthy = Receiver::start(Behaviour::Status(200)).await;
    let dead_one = tracker(&app, &dead, "c={sub1}").await;
    tracker(&app, &healthy, "c={sub1}").await;
    app.execute(&format!(
        "INSERT INTO destinations SELECT p.* FROM destinations d, generate_series(1, 48) n,
             jsonb_populate_record(d, jsonb_build_object('id', scatter(nextval('configuration_ids')), 'name', n)) p
         WHERE d.id <> {}",
        dead_one.id.0
    ))
    .await;
    convert(&app, "first", "A-1").await;
    healthy.wait_for(49).await;
    // Events of as many conversions wait for the dead one.
    let mut owner = app.database.owner().await;
    owner
        .batch_execute(&format!(
            "INSERT INTO conversions SELECT p.* FROM conversions c, generate_series(1, {BACKLOG}) n,
                 jsonb_populate_record(c, jsonb_build_object('id', gen_random_uuid(), 'unique_key', 'copy ' || n,
                     'order_id', 'copy ' || n, 'postback_id', gen_random_uuid())) p;
             INSERT INTO conversion_events (network_id, conversion_id, version, kind, at, affiliate_id, campaign_id, goal_id,
                 link_id, status, commission_micros, revenue_micros, currency, is_queued)
             SELECT network_id, id, 1, 'created', converted_at, affiliate_id, campaign_id, goal_id, link_id, status,
                 commission_micros, revenue_micros, currency, true
             FROM conversions WHERE unique_key LIKE 'copy %';
             INSERT INTO deliveries (network_id, destination_id, conversion_id, version, event)
             SELECT network_id, {}, conversion_id, version, kind FROM conversion_events e
             WHERE NOT EXISTS (SELECT FROM deliveries d WHERE d.conversion_id = e.conversion_id);
             ANALYZE deliveries, conversion_events, conversions",
            dead_one.id.0
        ))
        .await
        .unwrap();
    for number in 2..12 {
        convert(&app, &format!("v{number}"), &format!("A-{number}")).await;
    }
    healthy.wait_for(49 * 11).await;
    // All of them overtook the queue of the dead one, of which no more than its share of calls has begun.
    assert!(dead.received().len() <= 8, "{}", dead.received().len());
    let waiting = format!(
        "SELECT count(*) FROM deliveries WHERE destination_id = {} AND state = 'waiting'",
        dead_one.id.0
    );
    assert_eq!(app.count(&waiting).await, BACKLOG + 11);
    app.stop_unverified().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_of_every_way_to_change_a_conversion_is_one_delivery() {
    let app = TestApp::spawn().await;
    let other = app.another_node().await;
    let receiver = Receiver::start(Behaviour::Status(200)).await;
    tracker(&app, &receiver, "c={conversion_id}&e={change}").await;
    let mut approvals = settings(&format!("{}/approvals", receiver.url()));
    approvals.events = vec![delivery::DeliveryEvent::Approved];
    create(&app, app.scene.affiliate_id, &approvals).await;
    let mut ids = Vec::new();
    for order in ["1", "2", "3", "4"] {
        ids.push(convert(&app, "a", order).await);
    }
    // By a user, in bulk, undone, and by the end of the hold period.
    decide(&app, &ids[3], "reject").await;
    let program = app.program(&app.scene.owner).await;
    let bulk =
        json!({ "dry_run": false, "action": "approve", "orders": ["1", "2"], "reason_code": "agreement" });
    let done = program.post("/conversions/corrections", &bulk).await;
    assert_eq!(done.json["changed"], 2, "{}", done.text);
    let undo = format!(
        "/conversions/corrections/{}/undo",
        done.json["batch"].as_str().unwrap()
    );
    let undone = program.post(&undo, &json!({})).await;
    assert_eq!(undone.json["changed"], 2, "{}", undone.text);
    app.end_hold_period("order_id = '3'").await;
    let events = "SELECT string_agg(kind || ' ' || n, ', ' ORDER BY kind)
                  FROM (SELECT kind, count(*) AS n FROM conversion_events GROUP BY kind) s";
    app.eventually(events, "approved 3, created 4, rejected 1, reopened 2")
        .await;
    states(&app, "13 delivered").await;
    // Exactly one delivery for each event and destination that it concerns, and nothing else.
    let expected =
        "SELECT count(*) FROM conversion_events e JOIN destinations s ON s.network_id = e.network_id
                        AND e.kind = ANY(string_to_array(s.events, ',')) AND s.affiliate_id = e.affiliate_id";
    let matched = format!(
        "{expected} JOIN deliveries d ON d.network_id = s.network_id AND d.destination_id = s.id
             AND d.conversion_id = e.conversion_id AND d.version = e.version AND d.event = e.kind"
    );
    assert_eq!((app.count(expected).await, app.count(&matched).await), (13, 13));
    let ids: BTreeSet<String> = receiver
        .received()
        .iter()
        .map(|request| request.header("webhook-id").to_owned())
        .collect();
    assert_eq!(
        (ids.len(), receiver.received().len()),
        (13, 13),
        "none is sent twice"
    );
    other.stop().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_no_node_works_raises_the_alarm() {
    let app = TestApp::spawn().await;
    let receiver = Receiver::start(Behaviour::Status(200)).await;
    tracker(&app, &receiver, "e={change}").await;
    // As an engine that hangs while it queues.
    let mut hanging = app.database.owner().await;
    hanging
        .batch_execute("BEGIN; SELECT pg_advisory_xact_lock(hashtext('queue deliveries'))")
        .await
        .unwrap();
    convert(&app, "a", "A-1").await;
    let fires = || {
        let health = app.running().tracker.health();
        health.alarms.iter().any(|alarm| alarm.name == "deliveries_late")
    };
    for _ in 0..900 {
        if fires() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(fires());
    assert!(receiver.received().is_empty());
    hanging.batch_execute("ROLLBACK").await.unwrap();
    receiver.wait_for(1).await;
    while fires() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    app.finish().await;
}
