//! Isolation of networks, tried from inside with the server's database connections.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use schema::NetworkConn;
use testkit::{Scene, TestApp};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

async fn count(conn: &mut AsyncPgConnection, rows: &str) -> i64 {
    let found: Count = diesel::sql_query(format!("SELECT count(*) AS count FROM {rows}"))
        .get_result(conn)
        .await
        .unwrap();
    found.count
}

/// Tenant tables that have rows after a click and a postback.
const TABLES: [&str; 17] = [
    "networks",
    "affiliate_groups",
    "applications",
    "audit_log",
    "advertisers",
    "affiliates",
    "memberships",
    "integrations",
    "campaigns",
    "goals",
    "tracking_links",
    "clicks",
    "postbacks",
    "conversions",
    "ledger_entries",
    "click_rollups",
    "conversion_rollups",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_query_without_a_network_filter_finds_only_its_networks_rows_or_none() {
    let app = TestApp::spawn().await;
    let rival = Scene::set(&app.db, "Rival", "rival.example").await;
    let click = app.visitor().click("").await;
    app.advertiser()
        .postback(&[("click_id", &click.id), ("order_id", "1"), ("amount", "10")])
        .await;
    let mut own = app.network().await;
    let mut foreign = app.db.network(rival.network.id).await.unwrap();
    let mut unscoped = app.db.unscoped().await.unwrap();
    for table in TABLES {
        let others = format!("{table} WHERE {} <> {}", key(table), app.scene.network.id.0);
        assert!(count(&mut own, table).await > 0, "{table}");
        assert_eq!(count(&mut own, &others).await, 0, "{table}");
        let mine = format!("{table} WHERE {} = {}", key(table), app.scene.network.id.0);
        assert_eq!(count(&mut foreign, &mine).await, 0, "{table}");
        assert_eq!(count(&mut unscoped, table).await, 0, "{table}");
    }
    drop((own, foreign, unscoped));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_isolation_check_detects_a_missing_policy() {
    let app = TestApp::spawn().await;
    Scene::set(&app.db, "Rival", "rival.example").await;
    let forgetful = format!("affiliates WHERE network_id <> {}", app.scene.network.id.0);
    assert_eq!(count(&mut *app.network().await, &forgetful).await, 0);
    let mut owner = app.database.owner().await;
    diesel_async::SimpleAsyncConnection::batch_execute(
        &mut owner,
        "DROP POLICY own_network ON affiliates; ALTER TABLE affiliates DISABLE ROW LEVEL SECURITY",
    )
    .await
    .unwrap();
    assert_eq!(
        count(&mut *app.network().await, &forgetful).await,
        1,
        "the rival's affiliate is visible"
    );
    app.finish().await;
}

fn key(table: &str) -> &'static str {
    if table == "networks" { "id" } else { "network_id" }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_can_neither_be_written_into_nor_point_into_another_network() {
    let app = TestApp::spawn().await;
    let rival = Scene::set(&app.db, "Rival", "rival.example").await;
    let (mine, theirs) = (app.scene.network.id.0, rival.network.id.0);
    let affiliate = rival.affiliate_id.0;
    let campaign = app.scene.campaign.id.0;
    for (statement, refusal) in [
        (
            format!("INSERT INTO affiliates (network_id, name, created_at) VALUES ({theirs}, 'x', now())"),
            "row-level security",
        ),
        (
            format!("UPDATE affiliates SET network_id = {theirs}"),
            "row-level security",
        ),
        (
            format!(
                "INSERT INTO tracking_links (network_id, alias, affiliate_id, campaign_id, created_at)
                 VALUES ({mine}, 'x', {affiliate}, {campaign}, now())"
            ),
            "foreign key",
        ),
        (
            "UPDATE ledger_entries SET commission_payable_micros = 0".to_owned(),
            "permission denied",
        ),
        ("DELETE FROM postbacks".to_owned(), "permission denied"),
        (
            "UPDATE conversions SET terms = '{}'".to_owned(),
            "permission denied",
        ),
        ("DROP POLICY own_network ON clicks".to_owned(), "must be owner"),
        (
            "ALTER TABLE clicks DISABLE ROW LEVEL SECURITY".to_owned(),
            "must be owner",
        ),
    ] {
        let mut conn = app.network().await;
        let refused = diesel::sql_query(&statement)
            .execute(&mut *conn)
            .await
            .unwrap_err()
            .to_string();
        assert!(refused.contains(refusal), "{statement}: {refused}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_requests_leave_no_transaction_and_no_network_setting() {
    let app = TestApp::spawn().await;
    let owner = &app.scene.owner;
    let signed_in = app.stranger().try_sign_in(&owner.email, &owner.password).await;
    let cookie = signed_in.headers["set-cookie"]
        .to_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    let address = app.dashboard_url.strip_prefix("http://").unwrap();
    let pages = ["/", "/reports", "/conversions", "/postbacks", "/campaigns"];
    for round in 0..100_u64 {
        let torn = (0..20).map(|index| {
            let page = pages[usize::try_from(index).unwrap() % pages.len()];
            let request = format!("GET {page} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\n\r\n");
            tear_down(address, request, Duration::from_micros((round * 20 + index) * 10))
        });
        futures_util::future::join_all(torn).await;
    }
    let idle = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND state LIKE 'idle in transaction%'",
        app.database.name
    );
    let mut left = 1;
    for _ in 0..50 {
        left = app.count(&idle).await;
        if left == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(
        left, 0,
        "transactions are open five seconds after the last request"
    );
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut conn = app.db.unscoped().await.unwrap();
        assert_eq!(
            count(&mut conn, "(SELECT 1 WHERE current_network() IS NOT NULL) scoped").await,
            0
        );
        held.push(conn);
    }
    drop(held);
    assert_eq!(app.sign_in(owner).await.get("/").await.status, 200);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_aborted_midway_is_rolled_back_completely() {
    let app = TestApp::spawn().await;
    let network = app.scene.network.id.0;
    let mut conn = app.network().await;
    let hangs = async |conn: &mut NetworkConn| {
        // Held until the transaction ends, not only until the attempt ends.
        diesel::sql_query("SELECT pg_sleep(60)")
            .execute(&mut **conn)
            .await
    };
    let lock = format!("SELECT 1 FROM networks WHERE id = {network} FOR UPDATE");
    diesel::sql_query(lock).execute(&mut *conn).await.unwrap();
    let torn = tokio::time::timeout(Duration::from_millis(200), conn.attempt(hangs)).await;
    assert!(torn.is_err());
    drop(conn);
    let open = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    // Sooner than Postgres's timeout would end the transaction.
    for _ in 0..80 {
        if app.count(open).await == 0 {
            return app.finish().await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the transaction is still open");
}

/// Sends a request and resets the connection after a while, whether or not the server has answered.
async fn tear_down(address: &str, request: String, after: Duration) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_zero_linger().unwrap();
    let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(after).await;
}
