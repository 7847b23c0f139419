//! Upgrades and erasure of a database with rows of two networks in every table.
//!
//! `tests/upgrade/` has a file for each migration that creates tables: rows of network `{n}` for those tables. A migration
//! that is added later runs on top of all earlier rows; if it creates a table, the test demands its file.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use schema::{Db, NetworkId};
use serde_json::{Map, Value};
use testkit::{TestApp, TestDatabase, TestOptions};

/// Networks of the fixtures, `{n}` = 1 and 2.
const NETWORKS: [NetworkId; 2] = [NetworkId(101), NetworkId(102)];

/// Tables and columns that a migration renames or drops: (`table` or `table.column` before it, the name after it or ""
/// if dropped). Values of a column that a migration rewrites count as dropped.
const RENAMED: [(&str, &str); 3] = [
    // Summed again per quarter of an hour.
    ("click_rollups", ""),
    ("conversion_rollups", ""),
    // Of no release.
    ("conversion_events.stored_in", ""),
];

/// Newest migration of the newest release. Until all nodes run this release, the one before serves the same database: a
/// migration may add, and what the older binary uses is dropped a release later.
const RELEASED: &str = "2026-11-30-150000_contradicted_verdicts";

type Row = Map<String, Value>;
/// Rows by table.
type Rows = BTreeMap<String, Vec<Row>>;

#[derive(QueryableByName)]
struct OneText {
    #[diesel(sql_type = Text)]
    text: String,
}

#[derive(QueryableByName)]
struct OneNumber {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

async fn texts(conn: &mut AsyncPgConnection, sql: &str) -> Vec<String> {
    let found: Vec<OneText> = diesel::sql_query(sql)
        .load(conn)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    found.into_iter().map(|row| row.text).collect()
}

async fn number(conn: &mut AsyncPgConnection, sql: &str) -> i64 {
    let found: OneNumber = diesel::sql_query(format!("SELECT ({sql}) AS number"))
        .get_result(conn)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    found.number
}

/// Tables of the schema, without partitions and the list of migrations.
const TABLES: &str = "SELECT oid::regclass::text AS text FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
       AND relname <> '__diesel_schema_migrations' ORDER BY 1";
/// Tables with rows of networks in any schema, without partitions.
const NETWORK_TABLES: &str = "SELECT t.oid::regclass::text AS text FROM pg_class t
     JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = 'network_id' AND NOT a.attisdropped
     WHERE t.relkind IN ('r', 'p') AND NOT t.relispartition ORDER BY 1";
const SECURED_TABLES: &str = "SELECT t.oid::regclass::text AS text FROM pg_class t
     JOIN pg_attribute a ON a.attrelid = t.oid AND a.attname = 'network_id' AND NOT a.attisdropped
     WHERE t.relkind IN ('r', 'p') AND NOT t.relispartition AND t.relrowsecurity ORDER BY 1";

async fn all_rows(database: &TestDatabase) -> Rows {
    let mut conn = database.owner().await;
    let mut rows = Rows::new();
    for table in texts(&mut conn, TABLES).await {
        let sql = format!("SELECT to_jsonb(t)::text AS text FROM {table} t ORDER BY 1");
        let found = texts(&mut conn, &sql).await;
        let found = found
            .iter()
            .map(|row| serde_json::from_str(row).unwrap())
            .collect();
        rows.insert(table, found);
    }
    rows
}

fn migrations() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

/// Adds the rows of both networks for the tables of a migration.
async fn fill(database: &TestDatabase, migration: &str) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/upgrade");
    let Ok(fixture) = std::fs::read_to_string(fixtures.join(format!("{migration}.sql"))) else {
        return;
    };
    let mut conn = database.owner().await;
    for number in ["1", "2"] {
        conn.batch_execute(&fixture.replace("{n}", number))
            .await
            .unwrap_or_else(|error| panic!("tests/upgrade/{migration}.sql: {error}"));
    }
}

/// Applies each migration on top of the rows of all earlier ones and checks its effect on them.
async fn upgrade() -> TestDatabase {
    let database = TestDatabase::empty().await;
    let mut before = Rows::new();
    for folder in migrations() {
        let migration = folder.file_name().unwrap().to_string_lossy().into_owned();
        let applied = schema::migrate_one(&database.url).await.unwrap().unwrap();
        assert_eq!(applied, migration.split('_').next().unwrap().replace('-', ""));
        check_rows_are_kept(&migration, &before, &all_rows(&database).await);
        fill(&database, &migration).await;
        check_every_table_has_rows(&database, &migration).await;
        check_networks_are_isolated(&database).await;
        before = all_rows(&database).await;
    }
    assert_eq!(schema::migrate_one(&database.url).await.unwrap(), None);
    database
}

/// The name after a migration, or None if it was dropped.
fn renamed(name: &str) -> Option<&str> {
    match RENAMED.iter().find(|(before, _)| *before == name) {
        Some((_, "")) => None,
        Some((_, after)) => Some(after),
        None => Some(name),
    }
}

fn check_rows_are_kept(migration: &str, before: &Rows, after: &Rows) {
    for (table, rows) in before {
        let Some(new_table) = renamed(table) else { continue };
        let found = after
            .get(new_table)
            .unwrap_or_else(|| panic!("{migration} drops {table}, which RENAMED does not list"));
        for row in rows {
            let expected: Row = row
                .iter()
                .filter_map(|(column, value)| {
                    let path = format!("{table}.{column}");
                    let path = renamed(&path)?;
                    let column = path.rsplit('.').next()?;
                    Some((column.to_owned(), value.clone()))
                })
                .collect();
            let is_kept = |row: &Row| {
                expected
                    .iter()
                    .all(|(column, value)| row.get(column) == Some(value))
            };
            assert!(
                found.iter().any(is_kept),
                "{migration} loses or changes a row of {table}: {row:?}"
            );
        }
    }
}

async fn check_every_table_has_rows(database: &TestDatabase, migration: &str) {
    let mut conn = database.owner().await;
    for table in texts(&mut conn, NETWORK_TABLES).await {
        for network in NETWORKS {
            let count = format!("SELECT count(*) FROM {table} WHERE network_id = {}", network.0);
            assert!(
                number(&mut conn, &count).await > 0,
                "{table} has no row of network {}: add one to tests/upgrade/{migration}.sql",
                network.0
            );
        }
    }
}

/// Checks that each network reads its rows, and no others, in every table with row-level security.
async fn check_networks_are_isolated(database: &TestDatabase) {
    let tables = texts(&mut database.owner().await, SECURED_TABLES).await;
    let db = Db::new(&database.url, 1, Duration::from_secs(15));
    for network in NETWORKS {
        let mut conn = db.network(network).await.unwrap();
        for table in &tables {
            let count = |condition: &str| {
                format!(
                    "SELECT count(*) FROM {table} WHERE network_id {condition} {}",
                    network.0
                )
            };
            assert!(number(&mut conn, &count("=")).await > 0, "{table}");
            assert_eq!(number(&mut conn, &count("IS DISTINCT FROM")).await, 0, "{table}");
        }
    }
    for table in &tables {
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(
            number(&mut db.unscoped().await.unwrap(), &count).await,
            0,
            "{table}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_keep_the_rows_of_every_network_and_the_server_serves_them() {
    let database = upgrade().await;
    let app = TestApp::spawn_with(TestOptions {
        database: Some(database),
        ..TestOptions::default()
    })
    .await;
    let click = app.visitor().click("").await;
    app.advertiser()
        .postback(&[("click_id", &click.id), ("order_id", "1"), ("amount", "10")])
        .await;
    // A quarantined record of the fixture, and never of this server.
    TestApp::execute(&app, "DELETE FROM quarantine WHERE reason = 'unreadable'").await;
    // Runs `clickledger verify` for every network of the database.
    app.finish().await;
}

/// Objects that the statements of a binary depend on: types of columns, functions, rights, and keys for `ON CONFLICT`.
const DEPENDED_ON: [&str; 4] = [
    "SELECT format('column %s.%s %s', c.oid::regclass, a.attname, format_type(a.atttypid, a.atttypmod)) AS text
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition",
    "SELECT format('function %s returns %s', oid::regprocedure, prorettype::regtype) AS text
     FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    "SELECT format('%s of %s for %s', privilege_type, table_name, grantee) AS text
     FROM information_schema.role_table_grants WHERE table_schema = 'public' AND grantee LIKE 'clickledger%'
     UNION SELECT format('%s of %s.%s for %s', privilege_type, table_name, column_name, grantee)
     FROM information_schema.column_privileges WHERE table_schema = 'public' AND grantee LIKE 'clickledger%'",
    "SELECT regexp_replace(pg_get_indexdef(i.indexrelid), ' INDEX [^ ]+', '') AS text
     FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
     WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition",
];

/// Conditions that rows of an older binary must meet: columns without default and constraints.
const DEMANDED: [&str; 2] = [
    "SELECT format('a value in %s.%s', c.oid::regclass, a.attname) AS text
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
       AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''",
    "SELECT format('%s: %s', c.oid::regclass, pg_get_constraintdef(k.oid)) AS text
     FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
     WHERE c.relnamespace = 'public'::regnamespace AND NOT c.relispartition AND k.contype IN ('c', 'f', 'u', 'x')",
];

async fn all_texts(conn: &mut AsyncPgConnection, queries: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for query in queries {
        found.extend(texts(conn, query).await);
    }
    found
}

/// Returns what a change of the schema takes from a binary that was built before it: objects that are gone, and new
/// demands on tables that existed.
async fn contracted(
    conn: &mut AsyncPgConnection,
    before: &(BTreeSet<String>, BTreeSet<String>, BTreeSet<String>),
) -> Vec<String> {
    let (tables, depended_on, demanded) = before;
    let after = all_texts(conn, &DEPENDED_ON).await;
    let gone = depended_on.difference(&after).map(|text| format!("gone: {text}"));
    let now = all_texts(conn, &DEMANDED).await;
    let of_old_table = |text: &&String| {
        let named = text.strip_prefix("a value in ").unwrap_or(text);
        named
            .split([':', '.'])
            .next()
            .is_some_and(|table| tables.contains(table))
    };
    let new = now.difference(demanded).filter(of_old_table);
    gone.chain(new.map(|text| format!("demanded: {text}"))).collect()
}

async fn catalog(conn: &mut AsyncPgConnection) -> (BTreeSet<String>, BTreeSet<String>, BTreeSet<String>) {
    (
        all_texts(conn, &[TABLES]).await,
        all_texts(conn, &DEPENDED_ON).await,
        all_texts(conn, &DEMANDED).await,
    )
}

/// Changes since [`RELEASED`] that the statements of that release were checked against, with the reason why they hold.
const CHECKED: [(&str, &str); 7] = [
    (
        "demanded: conversions: CHECK (((gcd(commission_micros, revenue_micros) % minor_unit(currency)) = 0))",
        "the same demand as of the former check",
    ),
    (
        "demanded: ledger_entries: CHECK (((gcd(gcd(commission_pending_micros, commission_payable_micros), \
         gcd(revenue_pending_micros, revenue_payable_micros)) % minor_unit(currency)) = 0))",
        "the same demand as of the four former checks",
    ),
    (
        "demanded: tracking_hosts: CHECK ((proof = ANY (ARRAY['txt'::text, 'cname'::text])))",
        "rows of the older binary have no proof",
    ),
    (
        "demanded: tracking_hosts: CHECK (((proven_at IS NULL) = (proof IS NULL)))",
        "rows of the older binary have neither",
    ),
    (
        "gone: CREATE UNIQUE ON public.conversions USING btree (network_id, goal_id, unique_key)",
        "the same columns in another order, which ON CONFLICT does not ask for; its look-ups by order are slow meanwhile",
    ),
    (
        "demanded: postbacks: CHECK ((incomplete = ANY (ARRAY['truncated'::text, 'redacted'::text, 'removed'::text])))",
        "the older binary writes two of them, and reads none",
    ),
    (
        "demanded: conversions: UNIQUE (network_id, unique_key, goal_id)",
        "the same demand as of the former key",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_release_before_serves_the_schema_of_this_one() {
    let database = TestDatabase::empty().await;
    let mut applied = Vec::new();
    while applied
        .last()
        .is_none_or(|last: &String| !RELEASED.replace('-', "").starts_with(last.as_str()))
    {
        let next = schema::migrate_one(&database.url).await.unwrap();
        applied.push(next.unwrap_or_else(|| panic!("no migration is called {RELEASED}")));
    }
    let mut conn = database.owner().await;
    let before = catalog(&mut conn).await;
    while schema::migrate_one(&database.url).await.unwrap().is_some() {}
    let contracted_now = contracted(&mut conn, &before).await;
    let unchecked: Vec<_> = contracted_now
        .iter()
        .filter(|text| !CHECKED.iter().any(|(checked, _)| checked == text))
        .collect();
    assert!(
        unchecked.is_empty(),
        "a node of the release before could not serve this schema: {unchecked:#?}\nAdd first, and drop a release later."
    );
    for (checked, _) in CHECKED {
        assert!(
            contracted_now.iter().any(|text| text == checked),
            "{checked} did not change"
        );
    }

    let before = catalog(&mut conn).await;
    conn.batch_execute(
        "ALTER TABLE goals DROP COLUMN name; ALTER TABLE tracking_links ADD COLUMN demanded text NOT NULL DEFAULT '';
         ALTER TABLE tracking_links ALTER COLUMN demanded DROP DEFAULT;
         ALTER TABLE campaigns ADD CHECK (name <> 'x'); REVOKE SELECT ON clicks FROM clickledger_web;
         CREATE TABLE fresh (demanded text NOT NULL)",
    )
    .await
    .unwrap();
    let noticed = contracted(&mut conn, &before).await;
    for expected in [
        "gone: column goals.name text",
        "gone: SELECT of clicks for clickledger_web",
        "demanded: a value in tracking_links.demanded",
        "demanded: campaigns: CHECK ((name <> 'x'::text))",
    ] {
        assert!(
            noticed.iter().any(|text| text == expected),
            "{expected}: {noticed:#?}"
        );
    }
    assert!(!noticed.iter().any(|text| text.contains("fresh")), "{noticed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_row_and_a_changed_value_are_noticed() {
    let row = |id: i32, name: &str| {
        serde_json::json!({"id": id, "name": name})
            .as_object()
            .unwrap()
            .clone()
    };
    let rows = |rows: &[Row]| Rows::from([("people".to_owned(), rows.to_vec())]);
    let before = rows(&[row(1, "a"), row(2, "b")]);
    let is_refused =
        |after: Rows| std::panic::catch_unwind(|| check_rows_are_kept("test", &before, &after)).is_err();
    assert!(is_refused(rows(&[row(1, "a")])));
    assert!(is_refused(rows(&[row(1, "a"), row(2, "B")])));
    assert!(is_refused(Rows::new()));
    assert!(!is_refused(rows(&[row(2, "b"), row(1, "a"), row(3, "c")])));
}

/// Tables of later migrations: a chain of foreign keys against the order of their names, a partitioned table, and a table
/// that refers to itself.
const LATER_TABLES: &str = "
    CREATE TABLE z_payouts (network_id integer REFERENCES networks (id), id integer, PRIMARY KEY (network_id, id));
    CREATE TABLE a_payments (network_id integer, id integer, payout_id integer, previous_id integer,
        PRIMARY KEY (network_id, id), FOREIGN KEY (network_id, payout_id) REFERENCES z_payouts (network_id, id),
        FOREIGN KEY (network_id, previous_id) REFERENCES a_payments (network_id, id));
    CREATE TABLE m_attempts (network_id integer, id integer, payment_id integer,
        FOREIGN KEY (network_id, payment_id) REFERENCES a_payments (network_id, id)) PARTITION BY LIST (id);
    CREATE TABLE m_attempts_1 PARTITION OF m_attempts DEFAULT;
    INSERT INTO z_payouts VALUES (101, 1), (102, 1);
    INSERT INTO a_payments VALUES (101, 1, 1, NULL), (101, 2, 1, 1), (102, 1, 1, 1);
    INSERT INTO m_attempts VALUES (101, 1, 2), (102, 1, 1);";

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_network_leaves_no_row_in_any_table() {
    let database = upgrade().await;
    let mut owner = database.owner().await;
    owner.batch_execute(LATER_TABLES).await.unwrap();
    let of_network = |rows: &Rows, id: NetworkId| {
        let id = Value::from(id.0);
        let mut found = Rows::new();
        for (table, rows) in rows {
            let column = if table == "networks" { "id" } else { "network_id" };
            let rows = rows.iter().filter(|row| row.get(column) == Some(&id));
            found.insert(table.clone(), rows.cloned().collect());
        }
        found
    };
    let [erased, neighbour] = NETWORKS;
    let before = all_rows(&database).await;
    let db = Db::new(&database.url, 1, Duration::from_secs(15));

    let mut conn = db.network(erased).await.unwrap();
    let refused = tenancy::erasure::erase(&mut conn).await.unwrap_err();
    assert_eq!(refused.to_string(), "only a closed network can be erased");
    drop(conn);
    let close = format!("UPDATE networks SET status = 'closed' WHERE id = {}", erased.0);
    owner.batch_execute(&close).await.unwrap();
    let mut conn = db.network(erased).await.unwrap();
    let exported = number(&mut conn, "SELECT count(*) - 1 FROM export_network()").await;
    assert_eq!(tenancy::erasure::erase(&mut conn).await.unwrap(), exported);
    conn.commit().await.unwrap();

    let after = all_rows(&database).await;
    let left: BTreeSet<_> = of_network(&after, erased)
        .into_iter()
        .filter_map(|(table, rows)| (!rows.is_empty()).then_some(table))
        .collect();
    assert_eq!(left, BTreeSet::new());
    for table in texts(&mut owner, NETWORK_TABLES).await {
        let count = format!("SELECT count(*) FROM {table} WHERE network_id = {}", erased.0);
        assert_eq!(number(&mut owner, &count).await, 0, "{table}");
    }
    assert_eq!(of_network(&after, neighbour), of_network(&before, neighbour));
    for table in [
        "people",
        "operator_log",
        "installation",
        "ingest_cursors",
        "reference_rates",
    ] {
        assert_eq!(after[table], before[table], "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn erasure_refuses_foreign_keys_in_a_circle() {
    let database = upgrade().await;
    let mut owner = database.owner().await;
    owner
        .batch_execute(
            "CREATE TABLE hen (network_id integer, id integer, PRIMARY KEY (network_id, id));
             CREATE TABLE egg (network_id integer, id integer, PRIMARY KEY (network_id, id),
                 FOREIGN KEY (network_id, id) REFERENCES hen (network_id, id));
             ALTER TABLE hen ADD FOREIGN KEY (network_id, id) REFERENCES egg (network_id, id);
             UPDATE networks SET status = 'closed'",
        )
        .await
        .unwrap();
    let db = Db::new(&database.url, 1, Duration::from_secs(15));
    let mut conn = db.network(NETWORKS[0]).await.unwrap();
    let refused = tenancy::erasure::erase(&mut conn).await.unwrap_err().to_string();
    assert!(refused.contains("form a circle"), "{refused}");
}
