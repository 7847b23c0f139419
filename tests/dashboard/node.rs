//! The page of the node's health, for operators.

use reqwest::StatusCode;
use testkit::TestApp;
use testkit::people::operator;

use super::proof::tamper;

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_sees_the_health_of_the_node_and_its_quarantine() {
    let app = TestApp::spawn().await;
    let operator = operator(&app).await;
    app.visitor().click("").await;
    assert!(
        operator
            .get("/ops")
            .await
            .html
            .contains("href=\"/ops/node\">Node health</a>")
    );
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

    app.running().tracker.drain();
    let page = operator.get("/ops/node").await.html;
    assert!(page.contains(">draining<"), "{page}");
    app.finish().await;
}
