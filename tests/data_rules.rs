//! The rules of the schema, read from the catalogue of a migrated database.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::process::Command;

use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use testkit::TestDatabase;

/// Tables without a tenant, or that map to one (hosts, slugs); all others are tenant tables.
const WITHOUT_A_TENANT: &str = "('installation', 'networks', 'people', 'recovery_codes', 'mailed_links', 'sessions', \
     'network_slugs', 'tracking_hosts', 'operator_log', 'ingest_cursors', 'quarantine', 'nodes', 'reference_rates', \
     'reference_rate_fetches', '__diesel_schema_migrations')";

#[derive(QueryableByName)]
struct Violation {
    #[diesel(sql_type = Text)]
    what: String,
}

async fn violations(database: &TestDatabase, sql: &str) -> Vec<String> {
    let mut conn = database.owner().await;
    let found: Vec<Violation> = diesel::sql_query(sql).load(&mut conn).await.unwrap();
    found.into_iter().map(|violation| violation.what).collect()
}

fn keys_without_the_tenant() -> String {
    format!(
        "SELECT c.conrelid::regclass || ': ' || c.conname AS what FROM pg_constraint c
         JOIN pg_class t ON t.oid = c.conrelid
         JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
         WHERE t.relnamespace = 'public'::regnamespace AND t.relname NOT IN {WITHOUT_A_TENANT}
           AND a.attname <> 'network_id'
           AND (c.contype IN ('p', 'u')
                OR c.contype = 'f' AND c.confrelid::regclass::text NOT IN ('networks', 'people'))"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_of_a_tenant_table_begins_with_the_network() {
    let database = TestDatabase::create().await;
    assert_eq!(violations(&database, &keys_without_the_tenant()).await, [""; 0]);
    let mut conn = database.owner().await;
    conn.batch_execute("CREATE TABLE leaky (id integer PRIMARY KEY, network_id integer)")
        .await
        .unwrap();
    assert_eq!(
        violations(&database, &keys_without_the_tenant()).await,
        ["leaky: leaky_pkey"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_index_of_a_tenant_table_begins_with_the_network() {
    let database = TestDatabase::create().await;
    let sql = format!(
        "SELECT i.indexrelid::regclass::text AS what FROM pg_index i
         JOIN pg_class t ON t.oid = i.indrelid
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
         WHERE t.relnamespace = 'public'::regnamespace AND t.relname NOT IN {WITHOUT_A_TENANT}
           AND a.attname <> 'network_id'"
    );
    assert_eq!(violations(&database, &sql).await, [""; 0]);
}

const OPEN_TABLES: &str = "SELECT t.relname::text AS what FROM pg_class t
     WHERE t.relnamespace = 'public'::regnamespace AND t.relkind IN ('r', 'p')
       AND t.relname NOT IN ('installation', 'people', 'recovery_codes', 'mailed_links', 'sessions', 'network_slugs',
                             'tracking_hosts', 'operator_log', 'ingest_cursors', 'nodes', 'reference_rates',
                             'reference_rate_fetches', '__diesel_schema_migrations')
       AND NOT (t.relrowsecurity AND t.relforcerowsecurity AND EXISTS (
           SELECT 1 FROM pg_policy p WHERE p.polrelid = t.oid AND p.polcmd = '*' AND p.polwithcheck IS NOT NULL))";

#[tokio::test(flavor = "multi_thread")]
async fn every_tenant_table_has_row_level_security() {
    let database = TestDatabase::create().await;
    assert_eq!(violations(&database, OPEN_TABLES).await, [""; 0]);
    database
        .owner()
        .await
        .batch_execute("DROP POLICY own_network ON clicks")
        .await
        .unwrap();
    assert_eq!(
        violations(&database, OPEN_TABLES).await,
        ["clicks"],
        "the check must find a missing policy"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_that_serves_can_neither_bypass_row_level_security_nor_rewrite_events() {
    let database = TestDatabase::create().await;
    let powers = "SELECT rolname::text AS what FROM pg_roles WHERE rolname = 'clickledger_web'
                  AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolcanlogin)";
    assert_eq!(violations(&database, powers).await, [""; 0]);
    let owned = "SELECT relname::text AS what FROM pg_class WHERE relowner = 'clickledger_web'::regrole";
    assert_eq!(violations(&database, owned).await, [""; 0]);
    let rewriting = "SELECT table_name || ': ' || privilege_type AS what FROM information_schema.role_table_grants
                     WHERE grantee = 'clickledger_web' AND privilege_type NOT IN ('SELECT', 'INSERT')
                       AND table_name IN ('clicks', 'postbacks', 'conversions', 'ledger_entries', 'installation', 'audit_log',
                                          'operator_log')";
    assert_eq!(violations(&database, rewriting).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_bypasses_row_level_security() {
    let database = TestDatabase::create().await;
    // A partition is read through its parent only, which has the policies; the appliers copy events into it.
    let partitions =
        "SELECT g.table_name || ': ' || g.grantee AS what FROM information_schema.role_table_grants g
                      JOIN pg_class c ON c.oid = format('%I.%I', g.table_schema, g.table_name)::regclass
                      WHERE c.relispartition AND (g.grantee = 'clickledger_web'
                          OR g.grantee = 'clickledger_ingest' AND g.privilege_type <> 'INSERT')";
    assert_eq!(violations(&database, partitions).await, [""; 0]);
    // A view uses the rights of the caller.
    let views = "SELECT relname::text AS what FROM pg_class WHERE relnamespace = 'public'::regnamespace
                 AND relkind IN ('v', 'm') AND NOT coalesce(reloptions @> ARRAY['security_invoker=true'], false)";
    assert_eq!(violations(&database, views).await, [""; 0]);
    // Three functions run with the rights of the owner: one for the current network, two for months of clicks.
    let functions = "SELECT proname::text AS what FROM pg_proc WHERE pronamespace = 'public'::regnamespace
                     AND prosecdef ORDER BY 1";
    let ours = ["drop_click_months", "erase_network", "make_click_month"];
    assert_eq!(violations(&database, functions).await, ours);
    // The role of the appliers does not bypass row-level security, and has only the grants it needs.
    let powers = "SELECT rolname::text AS what FROM pg_roles WHERE rolname = 'clickledger_ingest'
                  AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolcanlogin)";
    assert_eq!(violations(&database, powers).await, [""; 0]);
    let ingest =
        "SELECT table_name || ': ' || string_agg(privilege_type, ' ' ORDER BY privilege_type) AS what
                  FROM information_schema.role_table_grants
                  WHERE grantee = 'clickledger_ingest' AND table_schema = 'public' GROUP BY table_name ORDER BY 1";
    assert_eq!(
        violations(&database, ingest).await,
        [
            "click_block_columns: DELETE INSERT SELECT UPDATE",
            "click_blocks: DELETE INSERT SELECT UPDATE",
            "click_rollups: INSERT SELECT UPDATE",
            "clicks: SELECT",
            "contradicted_verdicts: INSERT SELECT",
            "conversion_changes: INSERT SELECT",
            "conversion_events: INSERT SELECT UPDATE",
            "conversion_rollups: INSERT SELECT UPDATE",
            "conversion_spans: INSERT SELECT UPDATE",
            "conversions: INSERT SELECT UPDATE",
            "deliveries: INSERT SELECT UPDATE",
            "delivery_attempts: INSERT SELECT",
            "destinations: SELECT UPDATE",
            "event_consumers: SELECT",
            "event_streams: INSERT SELECT UPDATE",
            "held_postbacks: DELETE INSERT SELECT UPDATE",
            "ingest_cursors: INSERT SELECT UPDATE",
            "ledger_entries: INSERT",
            "network_events: SELECT UPDATE",
            "nodes: DELETE INSERT SELECT UPDATE",
            "postbacks: DELETE INSERT SELECT UPDATE",
            "quarantine: INSERT",
            "replays: SELECT UPDATE",
            "test_conversions: INSERT SELECT"
        ]
    );
    let mut conn = database.owner().await;
    conn.batch_execute(
        "CREATE TABLE parts (network_id integer) PARTITION BY LIST (network_id);
         CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
         GRANT SELECT ON parts_1 TO clickledger_web;
         CREATE VIEW peephole AS SELECT * FROM clicks;
         CREATE FUNCTION backdoor() RETURNS bigint LANGUAGE sql SECURITY DEFINER RETURN (SELECT count(*) FROM clicks)",
    )
    .await
    .unwrap();
    assert_eq!(
        violations(&database, partitions).await,
        ["parts_1: clickledger_web"]
    );
    assert_eq!(violations(&database, views).await, ["peephole"]);
    assert_eq!(
        violations(&database, functions).await,
        [&["backdoor"], ours.as_slice()].concat()
    );
}

/// Export and erasure of a network read the tables of the schema `public` only.
#[tokio::test(flavor = "multi_thread")]
async fn every_table_in_another_schema_is_a_partition() {
    let database = TestDatabase::create().await;
    let sql =
        "SELECT oid::regclass::text AS what FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition
               AND relnamespace NOT IN ('public'::regnamespace, 'pg_catalog'::regnamespace,
                                        'information_schema'::regnamespace, 'pg_toast'::regnamespace)";
    assert_eq!(violations(&database, sql).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_and_column_has_a_comment() {
    let database = TestDatabase::create().await;
    let sql = "SELECT t.relname || coalesce('.' || a.attname, '') AS what FROM pg_class t
               LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
               WHERE t.relnamespace = 'public'::regnamespace AND t.relkind IN ('r', 'p')
                 AND t.relname <> '__diesel_schema_migrations'
                 AND (obj_description(t.oid) IS NULL OR col_description(t.oid, a.attnum) IS NULL)";
    assert_eq!(violations(&database, sql).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_whole_micro_units_beside_its_currency() {
    let database = TestDatabase::create().await;
    let sql = "SELECT c.table_name || '.' || c.column_name AS what FROM information_schema.columns c
               WHERE c.table_schema = 'public' AND (
                   c.data_type IN ('real', 'double precision', 'money')
                   -- A sum of many orders may exceed 64 bits.
                   OR c.column_name LIKE '%micros' AND c.data_type <> CASE c.table_name
                       WHEN 'conversion_rollups' THEN 'numeric' ELSE 'bigint' END
                   OR c.column_name LIKE '%micros'
                   AND c.table_name NOT IN ('goals', 'goal_versions', 'commission_rules', 'conversion_changes') AND NOT EXISTS (
                       SELECT 1 FROM information_schema.columns k WHERE k.table_schema = 'public'
                       AND k.table_name = c.table_name AND k.column_name = 'currency'))";
    assert_eq!(violations(&database, sql).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_minor_units_of_the_database_are_those_of_the_code() {
    let database = TestDatabase::create().await;
    let units = violations(
        &database,
        "SELECT code || ' ' || minor_unit(code) AS what FROM (SELECT chr(65 + a) || chr(65 + b) || chr(65 + c) AS code
         FROM generate_series(0, 25) a, generate_series(0, 25) b, generate_series(0, 25) c) codes ORDER BY 1",
    )
    .await;
    let mut known = 0;
    for unit in units {
        let (code, micros) = unit.split_once(' ').unwrap();
        if let Ok(currency) = code.parse::<schema::Currency>() {
            assert_eq!(micros, currency.minor_unit().to_string(), "{code}");
            known += 1;
        }
    }
    assert!(known > 150, "{known} currencies");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_migration_survives_going_down_and_up_again() {
    let database = TestDatabase::create().await;
    let before = dump(&database);
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let mut migrations: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    migrations.sort();
    let mut conn = database.owner().await;
    for migration in migrations.iter().rev() {
        conn.batch_execute(&std::fs::read_to_string(migration.join("down.sql")).unwrap())
            .await
            .unwrap();
    }
    let left = "SELECT relname::text AS what FROM pg_class WHERE relnamespace = 'public'::regnamespace
                AND relname NOT LIKE '\\_\\_diesel%'";
    assert_eq!(violations(&database, left).await, [""; 0]);
    for migration in &migrations {
        conn.batch_execute(&std::fs::read_to_string(migration.join("up.sql")).unwrap())
            .await
            .unwrap();
    }
    assert_eq!(dump(&database), before);
}

/// Returns the output of pg_dump for the schema, without lines that differ between runs.
fn dump(database: &TestDatabase) -> String {
    let output = Command::new(testkit::bin_dir().join("pg_dump"))
        .args(["-s", "-d", &database.url])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter(|line| !line.starts_with("\\"))
        .collect::<Vec<_>>()
        .join("\n")
}
