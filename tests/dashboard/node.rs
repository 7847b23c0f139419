//! The page of the health of all nodes, for operators.

use reqwest::StatusCode;
use testkit::TestApp;
use testkit::people::operator;

use super::proof::tamper;

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_sees_the_health_of_the_node_and_its_quarantine() {
    let app = TestApp::spawn().await;
    let operator = operator(&app).await;
    app.visitor().click("").await;
    assert!(operator.get("/ops").await.html.contains("<a href=\"/ops/node\">"));
    let page = operator.get("/ops/node").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.html.contains("<span class=\"badge ok\">ready</span>"),
        "{}",
        page.html
    );
    assert!(page.html.contains("No records in quarantine."), "{}", page.html);
    // The click is in the journal and in the database.
    let clicks = "<th scope=\"row\">clicks</th><td class=\"num\">1</td>";
    assert!(
        page.html.contains(clicks) && page.html.contains("<th scope=\"row\">postbacks</th>"),
        "{}",
        page.html
    );

    tamper(
        &app,
        "INSERT INTO quarantine (journal, seq, quarantined_at, reason, record)
         SELECT gen_random_uuid(), n, now() - n * interval '1 minute', 'reason ' || n || ' <b>', '' FROM generate_series(1, 51) n",
    )
    .await;
    let page = operator.get("/ops/node").await.html;
    assert!(page.contains("Total: 51, newest first"), "{page}");
    assert!(
        page.contains("reason 1 &#60;b&#62;") && page.contains("reason 50 ") && !page.contains("reason 51 ")
    );
    tamper(&app, "DELETE FROM quarantine").await;

    // Background work of this node, and its published state.
    app.eventually(
        "SELECT count(*) FROM nodes WHERE health -> 'ready' = 'true' AND behind_since IS NULL",
        "1",
    )
    .await;
    for _ in 0..100 {
        if operator.get("/ops/node").await.html.contains("blocks of clicks") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let page = operator.get("/ops/node").await.html;
    assert!(page.contains("<th scope=\"row\">blocks of clicks</th>"), "{page}");

    app.running().tracker.drain();
    let page = operator.get("/ops/node").await.html;
    assert!(page.contains(">draining<"), "{page}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_wait_for_the_events_of_other_nodes() {
    let app = TestApp::spawn().await;
    let operator = operator(&app).await;
    let owner = app.program(&app.scene.owner).await;
    let behind = async || {
        let report = owner.get("/reports?group=day").await;
        report.json["behind_seconds"].as_i64().unwrap()
    };
    assert!(behind().await < 2);
    // Another node, as it published itself half a minute ago when its last events were a minute old.
    let id = "00000000-0000-0000-0000-000000000009";
    app.execute(&format!(
        "INSERT INTO nodes (id, name, version, started_at, seen_at, behind_since, health)
         VALUES ('{id}', 'other:/journal/0', '0.0.1', now() - interval '1 day', now() - interval '31 seconds',
                 now() - interval '91 seconds',
                 '{{\"ready\":true,\"draining\":false,\"journals\":[],\"alarms\":[],\"work\":[]}}')"
    ))
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    assert!((90..100).contains(&behind().await));
    let home = app.sign_in(&app.scene.owner).await.get("/").await.html;
    assert!(home.contains("1 min behind"), "{home}");
    let page = operator.get("/ops/node").await.html;
    assert!(
        page.contains("other:/journal/0") && page.contains(">lost</span>"),
        "{page}"
    );

    // Without a delay when it was last seen, what came after that may be missing.
    app.execute("UPDATE nodes SET behind_since = NULL WHERE version = '0.0.1'")
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    assert!((30..60).contains(&behind().await));

    let forgotten = operator
        .submit("/ops/node", &format!("/ops/node/{id}/forget"), &[])
        .await;
    assert_eq!(forgotten.status, StatusCode::SEE_OTHER, "{}", forgotten.html);
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    assert!(behind().await < 2);

    // A real one is listed while it runs, and removes itself.
    let node = app.another_node().await;
    app.eventually("SELECT count(*) FROM nodes", "2").await;
    node.stop().await;
    assert_eq!(app.count("SELECT count(*) FROM nodes").await, 1);
    app.finish().await;
}
