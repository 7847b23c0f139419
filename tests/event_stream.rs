//! Event stream: programs get every event of their network, in order, also if one commits late or a node stops.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

use std::collections::{BTreeMap, BTreeSet};

use diesel_async::SimpleAsyncConnection;
use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::{Answer, ApiClient, TestApp};

async fn convert(app: &TestApp, order: &str) -> String {
    let click = app.visitor().click("?sub1=first").await;
    let answer = app
        .advertiser()
        .postback(&[("click_id", &click.id), ("order_id", order), ("amount", "10")])
        .await;
    assert_eq!(answer.reason(), "accepted", "{}", answer.text);
    answer.get("conversion_id").to_owned()
}

/// Owner's client with an event consumer at the beginning.
async fn consumer(app: &TestApp, name: &str) -> ApiClient {
    let program = app.program(&app.scene.owner).await;
    let made = program.put(&format!("/event-consumers/{name}"), &json!({})).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    program
}

fn items(page: &Answer) -> Vec<Value> {
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let items = page.json.get("items").and_then(Value::as_array);
    items.unwrap().clone()
}

fn types(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}

/// Fetches events until this many have come, in pages of this size.
async fn fetch(program: &ApiClient, mut after: String, limit: usize, count: usize) -> (Vec<Value>, String) {
    let mut events = Vec::new();
    for _ in 0..200 {
        let page = program
            .get(&format!("/events?after={after}&limit={limit}&wait=5"))
            .await;
        events.extend(items(&page));
        after = page.get("next").to_owned();
        if events.len() >= count {
            return (events, after);
        }
    }
    panic!("{count} events were expected: {events:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_gets_each_event_until_it_acknowledges_it() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let early = program.get("/events").await;
    assert_eq!(early.status, StatusCode::CONFLICT, "{}", early.text);
    let program = consumer(&app, "warehouse").await;
    let conversion = convert(&app, "A-1").await;
    let body = json!({ "reason": "checked" });
    let approved = program
        .post(&format!("/conversions/{conversion}/approve"), &body)
        .await;
    assert!(approved.status.is_success(), "{}", approved.text);
    let (events, _) = fetch(&program, "start".to_owned(), 1, 2).await;
    assert_eq!(types(&events), ["conversion.created", "conversion.approved"]);
    assert_eq!(
        (
            &events[0]["id"],
            &events[0]["data"]["sub1"],
            &events[0]["data"]["order_id"]
        ),
        (&json!(format!("{conversion}.1")), &json!("first"), &json!("A-1"))
    );
    let followed = "/events?consumer=warehouse&limit=1";
    for _ in 0..2 {
        assert_eq!(
            items(&program.get(followed).await),
            events[..1],
            "not acknowledged"
        );
    }
    let acknowledged = json!({ "acknowledged": events[0]["cursor"] });
    let place = program.put("/event-consumers/warehouse", &acknowledged).await;
    assert_eq!(
        (&place.json["waiting"], place.get("acknowledged")),
        (&json!(1), events[0]["cursor"].as_str().unwrap())
    );
    assert_eq!(items(&program.get(followed).await), events[1..]);
    let only = program
        .get("/events?after=start&types=conversion.approved,conversion.rejected")
        .await;
    assert_eq!(items(&only), events[1..]);
    assert_eq!(only.json["next"], events[1]["cursor"]);
    let back = program
        .put("/event-consumers/warehouse", &json!({ "acknowledged": "start" }))
        .await;
    assert_eq!(back.json["waiting"], 2);
    let removed = program.delete("/event-consumers/warehouse").await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    let gone = program.get(followed).await;
    assert_eq!(gone.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", gone.text);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_the_next_event() {
    let app = TestApp::spawn().await;
    let program = consumer(&app, "warehouse").await;
    let waiting = tokio::spawn({
        let program = program.clone();
        async move { program.get("/events?consumer=warehouse&wait=30").await }
    });
    convert(&app, "A-1").await;
    let events = items(&waiting.await.unwrap());
    assert_eq!(types(&events), ["conversion.created"]);
    for wrong in [
        "wait=31",
        "wait=-1",
        "types=click",
        "after=cur_1",
        "after=start&consumer=warehouse",
        "limit=0",
    ] {
        let refused = program.get(&format!("/events?{wrong}")).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{wrong}: {}",
            refused.text
        );
    }
    let named = program.put("/event-consumers/Ware%00house", &json!({})).await;
    assert_eq!(named.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", named.text);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_commits_late_is_not_left_out() {
    let app = TestApp::spawn().await;
    let program = consumer(&app, "warehouse").await;
    convert(&app, "A-1").await;
    let (_, after) = fetch(&program, "start".to_owned(), 50, 1).await;
    // A transaction that began before the others and ends after them.
    let mut late = app.database.owner().await;
    late.batch_execute(
        "BEGIN; INSERT INTO conversion_events (network_id, conversion_id, version, kind, at, affiliate_id, campaign_id, goal_id,
             link_id, status, commission_micros, revenue_micros, currency)
         SELECT network_id, conversion_id, 2, 'adjusted', at - interval '1 hour', affiliate_id, campaign_id, goal_id, link_id,
             status, commission_micros, revenue_micros, currency FROM conversion_events",
    )
    .await
    .unwrap();
    for number in 2..5 {
        convert(&app, &format!("A-{number}")).await;
    }
    let (events, after) = fetch(&program, after, 2, 3).await;
    assert_eq!(types(&events), ["conversion.created"; 3]);
    late.batch_execute("COMMIT").await.unwrap();
    let (events, _) = fetch(&program, after, 50, 1).await;
    assert_eq!(types(&events), ["conversion.adjusted"]);
    app.execute("DELETE FROM conversion_events WHERE version = 2")
        .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_of_a_conversion_come_in_order_whatever_their_times() {
    let app = TestApp::spawn().await;
    let program = consumer(&app, "warehouse").await;
    let conversion = convert(&app, "A-1").await;
    let (_, after) = fetch(&program, "start".to_owned(), 50, 1).await;
    app.execute(
        "INSERT INTO conversion_events (network_id, conversion_id, version, kind, at, affiliate_id, campaign_id, goal_id,
             link_id, status, commission_micros, revenue_micros, currency)
         SELECT network_id, conversion_id, v, 'adjusted', at - v * interval '1 hour', affiliate_id, campaign_id, goal_id, link_id,
             status, commission_micros, revenue_micros, currency FROM conversion_events, generate_series(2, 6) v",
    )
    .await;
    let (events, _) = fetch(&program, after, 2, 5).await;
    let ids: Vec<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    let expected: Vec<String> = (2..=6).map(|version| format!("{conversion}.{version}")).collect();
    assert_eq!(ids, expected);
    app.execute("DELETE FROM conversion_events WHERE version > 1")
        .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_behind_which_events_are_missing_is_refused_with_the_reason() {
    let app = TestApp::spawn().await;
    let program = consumer(&app, "warehouse").await;
    for number in 1..4 {
        convert(&app, &format!("A-{number}")).await;
    }
    let (events, end) = fetch(&program, "start".to_owned(), 50, 3).await;
    let first = events[0]["cursor"].as_str().unwrap();
    let gone = async |after: &str, reason: &str| {
        let page = program.get(&format!("/events?after={after}")).await;
        assert_eq!(
            (page.status, page.get("code")),
            (StatusCode::GONE, "gone"),
            "{}",
            page.text
        );
        assert!(page.get("message").contains(reason), "{}", page.text);
        let put = program
            .put("/event-consumers/warehouse", &json!({ "acknowledged": after }))
            .await;
        assert_eq!(put.status, StatusCode::GONE, "{}", put.text);
    };
    app.execute(
        "UPDATE conversion_events SET at = at - interval '91 days', queued_at = queued_at - interval '91 days' WHERE position < 3",
    )
    .await;
    let network = app.scene.network.id;
    delivery::remove_old(&app.db, network, schema::clock::now())
        .await
        .unwrap();
    assert_eq!(app.count("SELECT count(*) FROM conversion_events").await, 1);
    gone(first, "older than 90 days").await;
    let kept = program.get("/events?after=start").await;
    assert_eq!(items(&kept), events[2..]);
    let behind_the_removed = events[1]["cursor"].as_str().unwrap();
    let page = program.get(&format!("/events?after={behind_the_removed}")).await;
    assert_eq!(items(&page), events[2..], "nothing behind it is missing");
    // As after a restore: the stream is shorter, or its last position has another event.
    app.execute("UPDATE conversion_events SET queued_at = queued_at + interval '1 s'")
        .await;
    gone(&end, "restored from a backup").await;
    app.execute("DELETE FROM conversion_events").await;
    app.execute("UPDATE event_streams SET position = 2").await;
    gone(&end, "restored from a backup").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_several_nodes_come_once_and_in_the_order_of_each_conversion() {
    const ORDERS: usize = 40;
    let app = TestApp::spawn().await;
    let other = app.another_node().await;
    let program = consumer(&app, "warehouse").await;
    let reading = tokio::spawn({
        let program = program.clone();
        async move { fetch(&program, "start".to_owned(), 7, 2 * ORDERS).await }
    });
    for number in 0..ORDERS {
        let click = app.visitor().click("").await;
        let order = format!("A-{number}");
        let fields = [("click_id", &*click.id), ("order_id", &*order), ("amount", "10")];
        let node = if number % 2 == 0 {
            app.advertiser()
        } else {
            app.advertiser_of(&other)
        };
        let created = node.postback(&fields).await;
        assert_eq!(created.reason(), "accepted", "{}", created.text);
        let path = format!("/conversions/{}/approve", created.get("conversion_id"));
        let approved = program.post(&path, &json!({ "reason": "checked" })).await;
        assert!(approved.status.is_success(), "{}", approved.text);
    }
    let (events, _) = reading.await.unwrap();
    let ids: BTreeSet<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), events.len(), "each once");
    let mut versions: BTreeMap<&str, i64> = BTreeMap::new();
    for event in &events {
        let version = event["data"]["version"].as_i64().unwrap();
        let last = versions.insert(event["data"]["conversion"].as_str().unwrap(), version);
        assert!(last.is_none_or(|last| last < version), "{events:#?}");
    }
    assert_eq!(versions.len(), ORDERS);
    other.stop().await;
    app.finish().await;
}
