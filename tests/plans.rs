//! Plans of the hottest statements, over enough rows that Postgres has a choice.
//!
//! To add a statement, let the server run it through diesel in the test, and add an entry to [`HOT`].
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::sync::Mutex;

use diesel::QueryableByName;
use diesel::connection::{Instrumentation, InstrumentationEvent, set_default_instrumentation};
use diesel::sql_types::Json;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use serde_json::Value;
use testkit::TestApp;

/// Texts of all statements that ran through diesel.
static STATEMENTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[expect(clippy::unnecessary_wraps, reason = "the type that diesel expects")]
fn recorder() -> Option<Box<dyn Instrumentation>> {
    Some(Box::new(|event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            let text = query.to_string();
            let statement = text.split("-- binds").next().unwrap_or(&text);
            STATEMENTS.lock().unwrap().push(statement.trim().to_owned());
        }
    }))
}

/// The last statement through diesel with all these parts.
fn recorded(parts: &[&str]) -> String {
    let statements = STATEMENTS.lock().unwrap();
    let of_the_server = |text: &&String| !text.starts_with("PREPARE");
    let found = statements
        .iter()
        .filter(of_the_server)
        .rfind(|text| parts.iter().all(|part| text.contains(part)));
    found
        .unwrap_or_else(|| panic!("no statement with {parts:?} ran"))
        .clone()
}

/// Plan of a statement.
struct Plan {
    mode: &'static str,
    root: Value,
}

/// Returns the plans of a statement for its values and for any values: a prepared statement gets one or the other.
async fn plans_of(conn: &mut AsyncPgConnection, hot: &Hot, network: i32) -> Vec<Plan> {
    #[derive(QueryableByName)]
    struct Explained {
        #[diesel(sql_type = Json)]
        #[diesel(column_name = "QUERY PLAN")]
        plan: Value,
    }
    let statement = recorded(hot.statement);
    let values = hot.values.replace("{n}", &network.to_string());
    let prepare = format!("PREPARE hot {} AS {statement}", hot.types);
    conn.batch_execute(&prepare)
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
    let mut plans = Vec::new();
    for mode in ["force_custom_plan", "force_generic_plan"] {
        conn.batch_execute(&format!("SET LOCAL plan_cache_mode = {mode}"))
            .await
            .unwrap();
        let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE hot({values})");
        let explained: Explained = diesel::sql_query(explain)
            .get_result(conn)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
        let root = explained.plan.pointer("/0/Plan").cloned().unwrap();
        plans.push(Plan { mode, root });
    }
    conn.batch_execute("DEALLOCATE hot").await.unwrap();
    plans
}

impl Plan {
    fn nodes(&self) -> Vec<&Value> {
        let mut nodes = vec![&self.root];
        let mut next = 0;
        while let Some(node) = nodes.get(next).copied() {
            nodes.extend(node["Plans"].as_array().into_iter().flatten());
            next += 1;
        }
        nodes
    }

    /// True if the statement finds rows of the table in this index by these columns, and never reads the whole table.
    fn uses(&self, hot: &Hot) -> bool {
        let nodes = self.nodes();
        let reads_all = nodes
            .iter()
            .any(|node| node["Node Type"] == "Seq Scan" && parent(&node["Relation Name"]) == hot.table);
        let uses_index = nodes.iter().any(|node| {
            let condition = node["Index Cond"].as_str().unwrap_or_default();
            parent(&node["Index Name"]) == hot.index
                && hot.columns.iter().all(|column| condition.contains(column))
        });
        uses_index && !reads_all
    }
}

/// Returns the name of a table or index, for a partition of clicks (`y2026m11_pkey`) that of the parent (`clicks_pkey`).
fn parent(name: &Value) -> String {
    let name = name.as_str().unwrap_or_default();
    match name.split_at_checked(8) {
        Some((month, rest)) if month.starts_with("y2") && month.contains('m') => format!("clicks{rest}"),
        _ => name.to_owned(),
    }
}

/// Rows beside those of the scene `{n}`: the sizes of a busy network, and of an installation of two thousand.
const ROWS: &str = "
    INSERT INTO networks SELECT (jsonb_populate_record(n, jsonb_build_object('id', -i))).*
        FROM networks n, generate_series(1, 2000) i WHERE n.id = {n};
    INSERT INTO tracking_hosts SELECT 'trk' || i || '.example', -i FROM generate_series(1, 2000) i;
    INSERT INTO campaigns SELECT (jsonb_populate_record(c, jsonb_build_object('id', -i))).*
        FROM campaigns c, generate_series(1, 2000) i WHERE c.network_id = {n};
    INSERT INTO affiliates SELECT (jsonb_populate_record(a, jsonb_build_object('id', -i))).*
        FROM affiliates a, generate_series(1, 2000) i WHERE a.network_id = {n};
    INSERT INTO tracking_links (network_id, id, alias, affiliate_id, campaign_id, created_at)
        SELECT {n}, -i, 'bulk-' || i, -1 - i % 2000, -1 - i * 7 % 2000, now()
        FROM generate_series(1, 20000) i;
    INSERT INTO integrations (network_id, id, advertiser_id, campaign_id, token_hash, token_hint, advertiser_token_until, created_at)
        SELECT {n}, id, advertiser_id, id, sha256(('t' || id)::bytea), '', now(), now() FROM campaigns
        WHERE network_id = {n} AND id < 0;
    INSERT INTO sessions SELECT (jsonb_populate_record(s, jsonb_build_object('id', -i,
            'token_hash', sha256(('s' || i)::bytea)))).*
        FROM (SELECT s FROM sessions s LIMIT 1) one, generate_series(1, 20000) i;
    INSERT INTO api_keys SELECT (jsonb_populate_record(k, jsonb_build_object('id', -i,
            'key_hash', sha256(('k' || i)::bytea)))).*
        FROM (SELECT k FROM api_keys k LIMIT 1) one, generate_series(1, 5000) i;
    INSERT INTO audit_log SELECT (jsonb_populate_record(a, jsonb_build_object('id', gen_random_uuid()))).*
        FROM (SELECT a FROM audit_log a WHERE network_id = {n} LIMIT 1) one, generate_series(1, 20000) i;
    INSERT INTO postbacks SELECT (jsonb_populate_record(p, jsonb_build_object('id', gen_random_uuid(),
            'order_id', 'bulk-' || i, 'decided_in', i, 'status', 'rejected', 'reason', 'click_expired',
            'click_id', gen_random_uuid()))).*
        FROM (SELECT p FROM postbacks p WHERE network_id = {n} LIMIT 1) one, generate_series(1, 20000) i;
    INSERT INTO conversions SELECT (jsonb_populate_record(c, jsonb_build_object('id', gen_random_uuid(),
            'order_id', 'bulk-' || i, 'unique_key', 'bulk-' || i, 'click_id', gen_random_uuid(),
            'postback_id', gen_random_uuid()))).*
        FROM (SELECT c FROM conversions c WHERE network_id = {n} LIMIT 1) one, generate_series(1, 20000) i;
    INSERT INTO click_rollups (network_id, quarter_hour, campaign_id, affiliate_id, link_id, clicks)
        SELECT {n}, date_trunc('hour', now()) - make_interval(hours => i % 8000), -1 - i % 2000,
            -1 - i * 7 % 2000, -i, 1 FROM generate_series(1, 80000) i;
    INSERT INTO conversion_rollups (network_id, quarter_hour, campaign_id, affiliate_id, link_id, goal_id, currency, status,
            conversions, paid, amount_micros, commission_micros, revenue_micros)
        SELECT {n}, date_trunc('hour', now()) - make_interval(hours => i % 8000), -1 - i % 2000,
            -1 - i * 7 % 2000, -i, 1, 'EUR', 'approved', 1, 1, 1, 1, 1 FROM generate_series(1, 40000) i;
    ANALYZE;";

/// Hot statement, with a table it reads, and the columns by which it must find rows in an index of that table.
struct Hot {
    /// Parts of its text.
    statement: &'static [&'static str],
    /// Types of the parameters, if Postgres cannot infer them.
    types: &'static str,
    values: &'static str,
    table: &'static str,
    index: &'static str,
    columns: &'static [&'static str],
}

const REPORT: &str = "{n}, now() - interval '30 days', now(), NULL, NULL, NULL, NULL, NULL, 'Europe/Warsaw'";

const HOT: [Hot; 13] = [
    Hot {
        statement: &[r#"FROM "tracking_hosts""#, r#""host" = $1"#],
        types: "",
        values: "'trk7.example', 1",
        table: "tracking_hosts",
        index: "tracking_hosts_pkey",
        columns: &["host"],
    },
    Hot {
        statement: &[r#"FROM "tracking_links""#, r#""alias" = $2"#],
        types: "",
        values: "{n}, 'bulk-7', 1",
        table: "tracking_links",
        index: "tracking_links_network_id_alias_key",
        columns: &["network_id", "alias"],
    },
    Hot {
        statement: &[r#"FROM "integrations""#, r#""token_hash" = $"#],
        types: "",
        values: "sha256('t-7'), {n}, sha256('t-7'), sha256('t-7'), 1",
        table: "integrations",
        index: "integrations_network_id_token_hash_key",
        columns: &["network_id", "token_hash"],
    },
    Hot {
        statement: &[r#"FROM "sessions""#, r#""token_hash" = $1"#],
        types: "",
        values: "sha256('s7'), now(), now(), 1",
        table: "sessions",
        index: "sessions_pkey",
        columns: &["token_hash"],
    },
    Hot {
        statement: &[r#"FROM "api_keys""#, r#""key_hash" = $2"#],
        types: "",
        values: "{n}, sha256('k7'), 1",
        table: "api_keys",
        index: "api_keys_network_id_key_hash_key",
        columns: &["network_id", "key_hash"],
    },
    Hot {
        statement: &["AS fields, sums.*", "FROM click_rollups"],
        types: "(int, timestamptz, timestamptz, int[], int, int[], int[], int[], text)",
        values: REPORT,
        table: "click_rollups",
        index: "click_rollups_pkey",
        columns: &["network_id", "hour"],
    },
    Hot {
        statement: &["AS fields, sums.*", "FROM conversion_rollups"],
        types: "(int, timestamptz, timestamptz, int[], int, int[], int[], int[], text)",
        values: REPORT,
        table: "conversion_rollups",
        index: "conversion_rollups_pkey",
        columns: &["network_id", "hour"],
    },
    Hot {
        statement: &[r#"FROM "tracking_links""#, r#"ORDER BY "tracking_links"."id""#],
        types: "",
        values: "{n}, 21",
        table: "tracking_links",
        index: "tracking_links_pkey",
        columns: &["network_id"],
    },
    Hot {
        statement: &[r#"FROM "campaigns""#, r#"ORDER BY "campaigns"."id""#],
        types: "",
        values: "{n}, 21",
        table: "campaigns",
        index: "campaigns_pkey",
        columns: &["network_id"],
    },
    Hot {
        statement: &[r#"FROM ("postbacks""#, "postbacks.decided_in"],
        types: "(int, bigint, bigint, bigint, uuid, bigint)",
        values: "{n}, 1000, 9000000000, 1000, '00000000-0000-0000-0000-000000000000', 51",
        table: "postbacks",
        index: "postbacks_feed",
        columns: &["network_id", "decided_in"],
    },
    Hot {
        statement: &[r#"FROM ("postbacks""#, "reason <> 'accepted'"],
        types: "",
        values: "{n}, '00000000-0000-0000-0000-000000000001', ARRAY['00000000-0000-0000-0000-000000000002'::uuid], 51",
        table: "postbacks",
        index: "postbacks_of_click_beside_made",
        columns: &["network_id", "click_id"],
    },
    Hot {
        statement: &[r#"INNER JOIN "goals""#, r#""conversions"."unique_key" = ANY"#],
        types: "",
        values: "{n}, ARRAY['bulk-7', '7'], ARRAY['bulk-7', '7'], 51",
        table: "conversions",
        index: "conversions_network_id_unique_key_goal_id_key",
        columns: &["network_id", "unique_key"],
    },
    Hot {
        statement: &[r#"FROM "audit_log""#, r#"ORDER BY "audit_log"."id" DESC"#],
        types: "",
        values: "{n}, 21",
        table: "audit_log",
        index: "audit_log_pkey",
        columns: &["network_id"],
    },
];

/// Tables that no statement of the appliers may read whole, however large they are.
const EVENTS: [&str; 5] = [
    "clicks",
    "conversion_changes",
    "conversion_rollups",
    "conversions",
    "held_postbacks",
];

#[tokio::test(flavor = "multi_thread")]
async fn statements_of_the_appliers_read_no_table_of_events_whole() {
    let app = TestApp::spawn().await;
    let mut conn = app.database.owner().await;
    conn.batch_execute(schema::batch::INGEST_SETTINGS).await.unwrap();
    let statements = conversions::applier_statements()
        .into_iter()
        .chain(postbacks::applier_statements());
    for (name, statement) in statements {
        // The sweep looks at every held postback; each look is by an index.
        let expected: &[&str] = match name {
            "held postbacks that are ready" => &["held_postbacks"],
            _ => &[],
        };
        assert_eq!(
            whole_tables(&mut conn, statement).await,
            expected,
            "{name}: {statement}"
        );
    }
    // The check would see a statement that no index serves.
    let careless = "SELECT id FROM conversions WHERE coupon = ANY ($1::text[])";
    assert_eq!(whole_tables(&mut conn, careless).await, ["conversions"]);
    drop(conn);
    app.finish().await;
}

/// Tables of events that the generic plan of a statement reads whole.
async fn whole_tables(conn: &mut AsyncPgConnection, statement: &str) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Explained {
        #[diesel(sql_type = Json)]
        #[diesel(column_name = "QUERY PLAN")]
        plan: Value,
    }
    let count = (1..)
        .take_while(|number| statement.contains(&format!("${number}")))
        .count();
    let nulls = vec!["NULL"; count].join(", ");
    conn.batch_execute(&format!("PREPARE hot AS {statement}"))
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
    let explained: Explained = diesel::sql_query(format!("EXPLAIN (FORMAT JSON) EXECUTE hot({nulls})"))
        .get_result(conn)
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
    conn.batch_execute("DEALLOCATE hot").await.unwrap();
    let plan = Plan {
        mode: "force_generic_plan",
        root: explained.plan.pointer("/0/Plan").cloned().unwrap(),
    };
    let whole = plan
        .nodes()
        .into_iter()
        .filter(|node| node["Node Type"] == "Seq Scan");
    let tables = whole.map(|node| parent(&node["Relation Name"]));
    tables.filter(|table| EVENTS.contains(&table.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hot_statements_use_their_indexes() {
    set_default_instrumentation(recorder).unwrap();
    let app = TestApp::spawn().await;
    let id = app.scene.network.id.0;
    let click = app.visitor().click("").await;
    app.advertiser()
        .postback(&[("click_id", &click.id), ("order_id", "1"), ("amount", "10")])
        .await;
    let owner = app.sign_in(&app.scene.owner).await;
    assert_eq!(owner.get("/reports").await.status, 200);
    let program = app.program(&app.scene.owner).await;
    let of_click = format!("/postbacks?click={}", click.id);
    for path in [
        "/links",
        "/campaigns",
        "/audit",
        &of_click,
        "/conversions?order_id=1",
    ] {
        assert_eq!(program.get(path).await.status, 200, "{path}");
    }
    let feed = program.get("/postbacks/feed").await.json["next"].clone();
    let next = format!("/postbacks/feed?after={}", feed.as_str().unwrap());
    assert_eq!(program.get(&next).await.status, 200);
    app.settled().await;
    let mut admin = app.database.owner().await;
    admin
        .batch_execute(&ROWS.replace("{n}", &id.to_string()))
        .await
        .unwrap();

    let mut conn = app.network().await;
    for hot in HOT {
        for plan in plans_of(&mut conn, &hot, id).await {
            assert!(
                plan.uses(&hot),
                "{}: {} is not read in {} by {:?}: {:#}",
                plan.mode,
                hot.table,
                hot.index,
                hot.columns,
                plan.root
            );
        }
    }
    drop(conn);

    let alias = &HOT[1];
    let drop_index = format!("ALTER TABLE {} DROP CONSTRAINT {}", alias.table, alias.index);
    admin.batch_execute(&drop_index).await.unwrap();
    let mut conn = app.network().await;
    for plan in plans_of(&mut conn, alias, id).await {
        assert!(!plan.uses(alias), "the check must notice a missing index");
    }
    drop(conn);
    // Rollups without events would fail the verification at the end; networks without anything only slow it down.
    let removed = "DELETE FROM postbacks WHERE order_id LIKE 'bulk-%';
                   DELETE FROM conversions WHERE order_id LIKE 'bulk-%';
                   DELETE FROM click_rollups WHERE campaign_id < 0;
                   DELETE FROM conversion_rollups WHERE campaign_id < 0;
                   DELETE FROM tracking_hosts WHERE network_id < 0; DELETE FROM networks WHERE id < 0";
    admin.batch_execute(removed).await.unwrap();
    app.finish().await;
}
