//! Deliveries: which events reach a tracker, in which order, how often, and what happens when it fails.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

mod delivering;

use delivering::{convert, create, decide, settings, states, tracker};
use delivery::destinations::{self, DestinationState};
use delivery::{CallMethod, DeliveryEvent, deliveries};
use schema::{AffiliateId, clock};
use tenancy::{Author, Scope};
use testkit::{Behaviour, Received, Receiver, TestApp};

fn targets(received: &[Received]) -> Vec<&str> {
    received.iter().map(|request| request.target.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_reaches_the_tracker_once_and_in_order() {
    let app = TestApp::spawn().await;
    let receiver = Receiver::start(Behaviour::Status(200)).await;
    let query = "c={sub1}&s={status}&e={change}&p={commission}&cur={currency}&g={goal}&o={order_id}";
    let destination = tracker(&app, &receiver, query).await;
    let conversion = convert(&app, "first", "A-1").await;
    let created = receiver.wait_for(1).await;
    assert!(
        created[0]
            .target
            .starts_with("/pb?c=first&s=pending&e=created&p=1.00&cur=EUR&g=sale&o="),
        "{}",
        created[0].target
    );
    assert!(!created[0].target.contains("A-1"), "the order ID is hashed");
    for (verb, count) in [("approve", 2), ("reject", 3)] {
        decide(&app, &conversion, verb).await;
        receiver.wait_for(count).await;
    }
    let received = receiver.received();
    let changes: Vec<&str> = received
        .iter()
        .filter_map(|request| request.target.split("e=").nth(1)?.split('&').next())
        .collect();
    assert_eq!(changes, ["created", "approved", "reversed"]);
    let mut ids: Vec<&str> = received
        .iter()
        .map(|request| request.header("webhook-id"))
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    states(&app, "3 delivered").await;
    assert_eq!(
        app.count("SELECT count(*) FROM delivery_attempts WHERE code = 200")
            .await,
        3
    );
    assert_eq!(destination.state, DestinationState::Active);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stored_for_a_network_without_destinations() {
    let app = TestApp::spawn().await;
    convert(&app, "a", "A-1").await;
    assert_eq!(app.count("SELECT count(*) FROM conversion_events").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_can_change_neither_host_nor_parameters_nor_headers() {
    let app = TestApp::spawn().await;
    let receiver = Receiver::start(Behaviour::Status(200)).await;
    tracker(&app, &receiver, "c={sub1}&p={commission}").await;
    let hostile = [
        "%40evil.example%2F",
        "%23",
        "%26amount%3D9",
        "a%0D%0AX%3A%201",
        "%2525",
        "../..",
        "{sub2}",
    ];
    for (number, value) in hostile.iter().enumerate() {
        convert(&app, value, &format!("A-{number}")).await;
    }
    let received = receiver.wait_for(hostile.len()).await;
    for request in &received {
        let (path, query) = request.target.split_once('?').unwrap();
        assert_eq!(path, "/pb");
        let names: Vec<&str> = query
            .split('&')
            .filter_map(|pair| pair.split('=').next())
            .collect();
        assert_eq!(names, ["c", "p"], "{query}");
        assert_eq!(request.header("x"), "");
    }
    let mut sent = targets(&received);
    sent.sort_unstable();
    assert!(
        sent.contains(&"/pb?c=%2525&p=1.00"),
        "encoded exactly once: {sent:?}"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_retried_under_the_same_id_and_later_events_wait_behind_it() {
    let app = TestApp::spawn().await;
    let receiver = Receiver::start(Behaviour::Status(500)).await;
    tracker(&app, &receiver, "e={change}").await;
    let conversion = convert(&app, "a", "A-1").await;
    let first = receiver.wait_for(1).await;
    decide(&app, &conversion, "approve").await;
    receiver.behave(Behaviour::Status(204));
    let received = receiver.wait_for(3).await;
    assert_eq!(
        targets(&received),
        ["/pb?e=created", "/pb?e=created", "/pb?e=approved"]
    );
    assert_eq!(first[0].header("webhook-id"), received[1].header("webhook-id"));
    states(&app, "2 delivered").await;
    let attempts = "SELECT string_agg(number || ' ' || coalesce(code::text, '-'), ', ' ORDER BY number, code)
                    FROM delivery_attempts";
    assert_eq!(app.text(attempts).await, "1 204, 1 500, 2 204");
    assert_eq!(
        app.count("SELECT count(*) FROM destinations WHERE failures = 0")
            .await,
        1
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed_and_bodies_are_cut_off() {
    let app = TestApp::spawn().await;
    let canary = Receiver::start(Behaviour::Status(200)).await;
    let redirecting = Receiver::start(Behaviour::Redirect(canary.port)).await;
    let endless = Receiver::start(Behaviour::Endless).await;
    let gzip = Receiver::start(Behaviour::GzipBomb).await;
    for receiver in [&redirecting, &endless, &gzip] {
        tracker(&app, receiver, "e={change}").await;
    }
    convert(&app, "a", "A-1").await;
    states(&app, "2 delivered, 1 waiting").await;
    redirecting.wait_for(1).await;
    let problem = "SELECT coalesce(max(problem), '') FROM delivery_attempts WHERE code = 302";
    app.eventually(problem, "The answer is a redirect (302), which is not followed.")
        .await;
    assert!(canary.received().is_empty());
    assert_eq!(
        app.count("SELECT max(length(answer)) FROM delivery_attempts")
            .await,
        2048
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_is_paused_and_gets_its_events_when_it_is_resumed() {
    let app = TestApp::spawn().await;
    let receiver = Receiver::start(Behaviour::Status(410)).await;
    let destination = tracker(&app, &receiver, "e={change}&c={sub1}").await;
    convert(&app, "first", "A-1").await;
    receiver.wait_for(1).await;
    let paused = "SELECT count(*) FROM destinations WHERE paused_because = 'gone'";
    app.eventually(paused, "1").await;
    receiver.behave(Behaviour::Status(200));
    convert(&app, "second", "A-2").await;
    states(&app, "2 waiting").await;
    assert_eq!(receiver.received().len(), 1, "a paused destination gets nothing");
    let mut conn = app.network().await;
    let (author, now) = (Author::system(), clock::now());
    let state = DestinationState::Active;
    destinations::set_state(&mut conn, &author, Scope::default(), destination.id, state, now)
        .await
        .unwrap();
    conn.commit().await.unwrap();
    states(&app, "2 delivered").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_matching_events_of_the_affiliate_are_delivered() {
    let app = TestApp::spawn().await;
    let receiver = Receiver::start(Behaviour::Status(200)).await;
    let mut only = settings(&format!("{}/pb?e={{change}}", receiver.url()));
    only.events = vec![DeliveryEvent::Approved];
    only.method = CallMethod::Post;
    create(&app, app.scene.affiliate_id, &only).await;
    let other = app
        .count("SELECT scatter(nextval('configuration_ids'))::bigint")
        .await;
    app.execute(&format!(
        "INSERT INTO affiliates SELECT (jsonb_populate_record(a, jsonb_build_object('id', {other}, 'name', 'Other'))).*
         FROM affiliates a WHERE id = {}",
        app.scene.affiliate_id.0
    ))
    .await;
    let all = settings(&format!("{}/other?e={{change}}", receiver.url()));
    create(&app, AffiliateId(i32::try_from(other).unwrap()), &all).await;
    let conversion = convert(&app, "a", "A-1").await;
    decide(&app, &conversion, "approve").await;
    let received = receiver.wait_for(1).await;
    states(&app, "1 delivered").await;
    assert_eq!((received.len(), received[0].method.as_str()), (1, "POST"));
    assert_eq!(
        (received[0].target.as_str(), received[0].body.as_str()),
        ("/pb", "e=approved")
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_destination_gets_the_conversions_of_a_period_once() {
    let app = TestApp::spawn().await;
    let receiver = Receiver::start(Behaviour::Status(200)).await;
    for number in 0..3 {
        convert(&app, &format!("v{number}"), &format!("A-{number}")).await;
    }
    app.settled().await;
    let destination = tracker(&app, &receiver, "c={sub1}&e={change}").await;
    let now = clock::now();
    let period = (now - chrono::TimeDelta::days(1), now + chrono::TimeDelta::days(1));
    for expected in [3, 0] {
        let mut conn = app.network().await;
        let (author, scope) = (Author::system(), Scope::default());
        let queued = deliveries::backfill(&mut conn, &author, scope, destination.id, period, now).await;
        assert_eq!(queued.unwrap(), expected);
        conn.commit().await.unwrap();
    }
    states(&app, "3 delivered").await;
    assert_eq!(receiver.received().len(), 3);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_of_a_node_that_died_ends_and_the_delivery_is_repeated() {
    let app = TestApp::spawn().await;
    let receiver = Receiver::start(Behaviour::Status(200)).await;
    tracker(&app, &receiver, "e={change}").await;
    convert(&app, "a", "A-1").await;
    states(&app, "1 delivered").await;
    // As a node leaves it that has sent and not recorded it.
    app.execute(
        "UPDATE deliveries SET state = 'waiting', finished_at = NULL, attempts = 0, next_at = now() + interval '1 s'",
    )
    .await;
    app.execute("DELETE FROM delivery_attempts").await;
    let received = receiver.wait_for(2).await;
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    states(&app, "1 delivered").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_given_up_after_the_last_retry_and_can_be_sent_again() {
    let app = TestApp::spawn().await;
    let receiver = Receiver::start(Behaviour::Status(503)).await;
    let destination = tracker(&app, &receiver, "e={change}").await;
    convert(&app, "a", "A-1").await;
    receiver.wait_for(1).await;
    app.execute("UPDATE deliveries SET failures = 9, next_at = now() WHERE state = 'waiting'")
        .await;
    states(&app, "1 given_up").await;
    receiver.behave(Behaviour::Status(200));
    let mut conn = app.network().await;
    let (author, scope, now) = (Author::system(), Scope::default(), clock::now());
    let since = now - chrono::TimeDelta::days(1);
    let resent = deliveries::resend_failed(&mut conn, &author, scope, destination.id, since, now).await;
    assert_eq!(resent.unwrap(), 1);
    conn.commit().await.unwrap();
    states(&app, "1 delivered").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_asks_for_a_pause_gets_one() {
    let app = TestApp::spawn().await;
    let receiver = Receiver::start(Behaviour::RetryAfter(429, 3600)).await;
    tracker(&app, &receiver, "e={change}").await;
    convert(&app, "a", "A-1").await;
    receiver.wait_for(1).await;
    let quiet = "SELECT count(*) FROM destinations WHERE quiet_until > now() + interval '59 minutes'";
    app.eventually(quiet, "1").await;
    convert(&app, "b", "A-2").await;
    states(&app, "2 waiting").await;
    // Another tracker shows that the engine has looked since.
    let other = Receiver::start(Behaviour::Status(200)).await;
    tracker(&app, &other, "e={change}").await;
    convert(&app, "c", "A-3").await;
    states(&app, "1 delivered, 3 waiting").await;
    assert_eq!(receiver.received().len(), 1);
    app.finish().await;
}
