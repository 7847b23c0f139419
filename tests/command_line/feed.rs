//! Feed of verdicts, which `listen` follows: every verdict once, in the order in which they become visible.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{ApiClient, TestApp};

/// Orders of each sender.
const ORDERS: usize = 60;

async fn page(program: &ApiClient, after: &str, more: &str) -> Value {
    let answer = program.get(&format!("/postbacks/feed?after={after}{more}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

async fn end(program: &ApiClient) -> String {
    let answer = program.get("/postbacks/feed").await;
    assert_eq!(answer.json["items"], json!([]), "{}", answer.text);
    answer.get("next").to_owned()
}

/// Verdicts behind a position, up to a page that is not full.
async fn rest(program: &ApiClient, after: &mut String, more: &str) -> Vec<(String, String)> {
    let mut verdicts = Vec::new();
    loop {
        let page = page(program, after, more).await;
        let items = page["items"].as_array().unwrap();
        verdicts.extend(
            items
                .iter()
                .map(|item| (text(&item["id"]), text(&item["reason"]))),
        );
        *after = text(&page["next"]);
        if page["has_more"] == false {
            return verdicts;
        }
        assert!(!items.is_empty());
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Waits until the feed has this number of further verdicts: other databases of the machine may delay it.
async fn next(program: &ApiClient, after: &mut String, count: usize, more: &str) -> Vec<(String, String)> {
    let mut verdicts = Vec::new();
    for _ in 0..200 {
        verdicts.extend(rest(program, after, more).await);
        if verdicts.len() >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(verdicts.len(), count, "{verdicts:?}");
    verdicts
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_of_two_nodes_arrive_once_each_while_they_are_stored() {
    let app = TestApp::spawn().await;
    let node = app.another_node().await;
    let program = app.program(&app.scene.owner).await;
    let click = app.visitor().click("").await;
    app.settled().await;
    let mut position = end(&program).await;
    let is_done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (program, is_done, mut position) = (program.clone(), is_done.clone(), position.clone());
        tokio::spawn(async move {
            let mut read = Vec::new();
            while !is_done.load(Ordering::Relaxed) || read.len() < 2 * ORDERS {
                read.extend(rest(&program, &mut position, "&limit=7").await);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            (read, position)
        })
    };
    let send = |server: testkit::AdvertiserServer, name: &'static str| {
        let click = click.id.clone();
        async move {
            let mut receipts = Vec::new();
            for number in 0..ORDERS {
                let order = format!("{name}-{number}");
                let fields = [
                    ("click_id", click.as_str()),
                    ("order_id", &order),
                    ("amount", "1"),
                ];
                let answer = server.postback(&fields).await;
                receipts.push((answer.get("request_id").to_owned(), answer.reason().to_owned()));
            }
            receipts
        }
    };
    let (mut sent, other) = tokio::join!(send(app.advertiser(), "A"), send(app.advertiser_of(&node), "B"));
    sent.extend(other);
    app.settled().await;
    node.tracker.settled().await;
    is_done.store(true, Ordering::Relaxed);
    let (mut read, last) = tokio::time::timeout(Duration::from_secs(60), reader)
        .await
        .unwrap()
        .unwrap();
    read.sort();
    sent.sort();
    assert_eq!(read, sent, "each verdict once, and none left out");
    // The same pages again, from the same position.
    assert_eq!(
        next(&program, &mut position, 2 * ORDERS, "").await.len(),
        2 * ORDERS
    );
    assert_eq!(rest(&program, &mut last.clone(), "").await, []);
    node.stop().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_verdicts_after_a_hold_and_a_replay_come_again_and_only_their_advertiser_sees_them() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let click = app.visitor().click("").await;
    app.settled().await;
    let mut position = end(&program).await;
    let begin = position.clone();
    let fields = [
        ("click_id", click.id.as_str()),
        ("order_id", "A-1"),
        ("amount", "200"),
        ("goal", "signup"),
    ];
    let answer = app.advertiser().postback(&fields).await;
    let receipt = answer.get("request_id").to_owned();
    assert_eq!(
        next(&program, &mut position, 1, "").await,
        [(receipt.clone(), "goal_unknown".to_owned())]
    );
    let sale = format!("/goals/{}", app.scene.sale_id);
    assert_eq!(
        program.patch(&sale, &json!({ "code": "signup" })).await.status,
        200
    );
    for is_dry in [true, false] {
        let body = json!({ "postbacks": [receipt], "dry_run": is_dry });
        assert_eq!(program.post("/replays", &body).await.status, 201);
        app.eventually("SELECT count(*) FROM replays WHERE done_at IS NULL", "0")
            .await;
    }
    assert_eq!(
        next(&program, &mut position, 1, "").await,
        [(receipt.clone(), "accepted".to_owned())]
    );
    // The latest verdict only, at its place.
    let mut again = begin.clone();
    assert_eq!(
        next(&program, &mut again, 1, "").await,
        [(receipt, "accepted".to_owned())]
    );

    let item = page(&program, &begin, "&requests=true").await["items"][0].clone();
    assert_eq!(item["request"]["method"], "GET");
    let target = item["request"]["target"].as_str().unwrap();
    assert!(
        target.contains("order_id=A-1") && !target.contains(&app.scene.token),
        "{target}"
    );
    assert_eq!(
        (&item["amount"], &item["advertiser_name"]),
        (&json!("200.00"), &json!("Orbit Shop"))
    );
    let filters: BTreeMap<&str, usize> = [
        ("&status=accepted", 1),
        ("&status=rejected", 0),
        ("&reason=accepted", 1),
    ]
    .into();
    for (filter, expected) in filters {
        assert_eq!(
            rest(&program, &mut begin.clone(), filter).await.len(),
            expected,
            "{filter}"
        );
    }

    let rival = testkit::Scene::set(&app.db, "Rival", "rival.example").await;
    for (person, expected) in [
        (&app.scene.advertiser, 1),
        (&rival.owner, 0),
        (&rival.advertiser, 0),
    ] {
        let program = app.program(person).await;
        assert_eq!(rest(&program, &mut begin.clone(), "").await.len(), expected);
    }
    let affiliate = app.program(&app.scene.affiliate).await;
    assert_eq!(affiliate.get("/postbacks/feed").await.status, 403);
    for odd in ["x", "1", "1.x"] {
        assert_eq!(
            program.get(&format!("/postbacks/feed?after={odd}")).await.status,
            422
        );
    }
    let ahead = "9000000000000000.ffffffffffffffffffffffffffffffff";
    let refused = program.get(&format!("/postbacks/feed?after={ahead}")).await;
    assert!(
        refused.text.contains("restored from a backup"),
        "{}",
        refused.text
    );
    app.finish().await;
}
