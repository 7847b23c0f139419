//! Cost of row-level security and of a sign-in, each beside a reference in the same run, interleaved; medians of many
//! rounds.
//!
//! * the click report behind row-level security, beside the same report on a copy of the database without it;
//! * a sign-in over HTTP, beside a page that only renders.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark stops at the first surprise, and prints"
)]

use std::time::{Duration, Instant};

use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use reports::{Dimension, Engine, ReportQuery};
use schema::{Db, NetworkId, clock};
use tenancy::{Scope, networks};
use testkit::{Scene, TestApp};

/// Rounds of each pair.
const ROUNDS: usize = 200;
/// Networks besides the measured one.
const NEIGHBOURS: usize = 9;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let app = TestApp::spawn().await;
        row_level_security(&app).await;
        sign_in(&app).await;
        app.finish().await;
    });
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn print(what: &str, measured: Duration, reference: &str, beside: Duration) {
    println!(
        "{what:<44} {:>8.3} ms   {reference:<36} {:>8.3} ms   ratio {:.2}",
        measured.as_secs_f64() * 1e3,
        beside.as_secs_f64() * 1e3,
        measured.as_secs_f64() / beside.as_secs_f64(),
    );
}

/// Measures the click report of thirty days by day, affiliate and campaign, over 36,000 hourly rollups of each of ten
/// networks.
async fn row_level_security(app: &TestApp) {
    for number in 0..NEIGHBOURS {
        Scene::set(
            &app.db,
            &format!("Neighbour{number}"),
            &format!("n{number}.example"),
        )
        .await;
    }
    let mut owner = app.database.owner().await;
    let seed = "INSERT INTO click_rollups (network_id, quarter_hour, campaign_id, affiliate_id, link_id, clicks)
                SELECT n.id, date_trunc('hour', now()) - hour * interval '1 hour', c.id, a.id, link, 7
                FROM networks n JOIN campaigns c ON c.network_id = n.id JOIN affiliates a ON a.network_id = n.id,
                     generate_series(1, 720) hour, generate_series(1, 50) link;
                ANALYZE click_rollups";
    owner.batch_execute(seed).await.unwrap();
    // The rollups count clicks that do not exist, so they are deleted before the server verifies.
    let open = format!("{}_open", app.database.name);
    drop(owner);
    let copy = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
        app.database.name
    );
    app.database.operate(&copy).await;
    app.database
        .operate(&format!("CREATE DATABASE {open} TEMPLATE {}", app.database.name))
        .await;
    let open_url = app.database.url.replace(&app.database.name, &open);
    let mut owner = AsyncPgConnection::establish(&open_url).await.unwrap();
    let disable =
        "DO $$ DECLARE t text; BEGIN FOR t IN SELECT relname FROM pg_class WHERE relrowsecurity LOOP
                  EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', t); END LOOP; END $$; ANALYZE";
    owner.batch_execute(disable).await.unwrap();
    let secured = Db::new(&app.database.url, 1, Duration::from_secs(15));
    let bare = Db::new(&open_url, 1, Duration::from_secs(15));
    let network_id = app.scene.network.id;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        // An engine each: neither has seen the rows of the other.
        with.push(report(&Engine::default(), &secured, network_id).await);
        without.push(report(&Engine::default(), &bare, network_id).await);
    }
    print(
        "click report, with row-level security",
        median(with),
        "without row-level security",
        median(without),
    );
    drop((secured, bare, owner));
    let mut owner = app.database.owner().await;
    owner.batch_execute("DELETE FROM click_rollups").await.unwrap();
}

async fn report(engine: &Engine, db: &Db, network_id: NetworkId) -> Duration {
    let started = Instant::now();
    let mut conn = db.network(network_id).await.unwrap();
    let network = networks::current(&mut conn).await.unwrap();
    let today = clock::now().with_timezone(&network.time_zone()).date_naive();
    let group = vec![Dimension::Day, Dimension::Affiliate, Dimension::Campaign];
    let query = ReportQuery::last_days(30, today, group);
    let report = engine
        .run(&mut conn, &network, Scope::default(), &query, usize::MAX)
        .await
        .unwrap();
    conn.commit().await.unwrap();
    let took = started.elapsed();
    assert!(report.row_count() >= 29);
    took
}

/// Measures a sign-in: form, argon2id with 19 MiB, session, audit entry.
async fn sign_in(app: &TestApp) {
    let (mut sign_ins, mut pages) = (Vec::new(), Vec::new());
    let owner = &app.scene.owner;
    for _ in 0..ROUNDS / 4 {
        let stranger = app.stranger();
        let started = Instant::now();
        let page = stranger.get("/sign-in").await;
        pages.push(started.elapsed());
        let fields = [
            ("email", owner.email.as_str()),
            ("password", owner.password.as_str()),
            ("form_token", page.form_token()),
        ];
        let started = Instant::now();
        let done = stranger.post("/sign-in", &fields, &[]).await;
        sign_ins.push(started.elapsed());
        assert_eq!(done.status.as_u16(), 303);
    }
    print(
        "sign-in, p50",
        median(sign_ins),
        "the sign-in page",
        median(pages),
    );
}
