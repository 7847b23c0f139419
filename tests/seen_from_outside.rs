//! A node as seen from outside: metrics with the rules and the dashboard made for them, traces, and log lines.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first unexpected result"
)]

#[path = "seen_from_outside/collector.rs"]
mod collector;
#[path = "seen_from_outside/node.rs"]
mod node;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use regex::Regex;
use telemetry::catalog;

use collector::Collector;
use node::{Node, Traffic};

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")
}

fn rules() -> String {
    fs::read_to_string(packaging().join("prometheus/clickledger.rules.yml")).unwrap()
}

/// Expressions of the dashboard, with its variables replaced by values.
fn dashboard_expressions() -> Vec<String> {
    let text = fs::read_to_string(packaging().join("grafana/clickledger.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten();
    let expressions = targets.map(|target| target["expr"].as_str().unwrap());
    let annotations = dashboard["annotations"]["list"].as_array().unwrap();
    let annotations = annotations.iter().map(|list| list["expr"].as_str().unwrap());
    expressions
        .chain(annotations)
        .map(|expression| {
            expression
                .replace("$__rate_interval", "5m")
                .replace("$job", "clickledger")
                .replace("$instance", ".*")
        })
        .collect()
}

/// Runs promtool with this input.
fn promtool(arguments: &[&str], input: &str) -> Output {
    let started = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = started.expect("promtool is missing; install the package prometheus");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn assert_success(output: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}

/// Names of metrics in a text, without the suffixes of histograms.
fn names(text: &str) -> BTreeSet<String> {
    let name = Regex::new(r"\b(?:clickledger|process)_[a-z0-9_]+").unwrap();
    name.find_iter(text)
        .map(|found| {
            let found = found.as_str();
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| found.strip_suffix(suffix));
            base.unwrap_or(found).to_owned()
        })
        .collect()
}

#[test]
fn every_alert_fires_when_it_should_and_says_what_to_do() {
    let folder = packaging().join("prometheus");
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (rules_file, tests_file) = (path("clickledger.rules.yml"), path("clickledger.rules.test.yml"));
    assert_success(&promtool(&["check", "rules", "--lint-fatal", &rules_file], ""));
    assert_success(&promtool(&["test", "rules", &tests_file], ""));

    let tests = fs::read_to_string(tests_file).unwrap();
    let rules = rules();
    let mut count = 0;
    for rule in rules.split("- alert: ").skip(1) {
        let alert = rule.lines().next().unwrap();
        assert!(
            tests.contains(&format!("alertname=\"{alert}\"")),
            "{alert} has no test"
        );
        for part in ["severity: ", "summary: ", "description: ", "action: "] {
            assert_eq!(rule.matches(part).count(), 1, "{alert}: {part}");
        }
        count += 1;
    }
    assert!(count > 20, "the alerts were not found");
    let used = names(&rules);
    for metric in catalog::ALL {
        let definition = metric.definition();
        if let Some(alarm) = definition.alarm {
            assert!(
                used.contains(definition.name),
                "no rule alerts on {}, documented with “{alarm}”",
                definition.name
            );
        }
    }
}

#[test]
fn expressions_of_the_dashboard_are_valid_and_use_labels_that_exist() {
    let expressions = dashboard_expressions();
    assert!(expressions.len() > 50, "the expressions were not found");
    let rule = |(number, expression): (usize, &String)| {
        let quoted = serde_json::to_string(expression).unwrap();
        format!("      - {{ record: \"dashboard:{number}\", expr: {quoted} }}\n")
    };
    let recorded: String = expressions.iter().enumerate().map(rule).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dashboard.yml");
    fs::write(
        &file,
        format!("groups:\n  - name: dashboard\n    rules:\n{recorded}"),
    )
    .unwrap();
    assert_success(&promtool(
        &["check", "rules", "--lint=none", file.to_str().unwrap()],
        "",
    ));

    let selector = Regex::new(r"((?:clickledger|process)_[a-z0-9_]+)\{([^}]*)\}").unwrap();
    let matcher = Regex::new(r#"([a-z_]+)(=~|!~|!=|=)"([^"]*)""#).unwrap();
    let rules = rules();
    let texts = expressions.iter().map(String::as_str).chain([rules.as_str()]);
    for found in texts.flat_map(|text| selector.captures_iter(text)) {
        let name = names(&found[1]).pop_first().unwrap();
        let metric = catalog::ALL
            .iter()
            .find(|metric| metric.definition().name == name);
        let definition = metric.unwrap_or_else(|| panic!("no metric {name}")).definition();
        for matched in matcher.captures_iter(&found[2]) {
            let (label, operator, value) = (&matched[1], &matched[2], &matched[3]);
            if ["job", "instance"].contains(&label) {
                continue;
            }
            let known = definition.labels.iter().find(|known| known.name == label);
            let known = known.unwrap_or_else(|| panic!("{name} has no label {label}"));
            let is_exact = ["=", "!="].contains(&operator);
            assert!(
                !is_exact || known.values.contains(value),
                "{name}: {label} is never {value}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_has_every_metric_of_the_table_the_rules_and_the_dashboard() {
    let node = Node::start(&["--log", "error"]).await;
    let traffic = Traffic::send(&node).await;
    let scrape = node.scrape().await;
    assert_success(&promtool(&["check", "metrics"], &scrape));

    let sampled: BTreeSet<_> = scrape
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| names(line.split(['{', ' ']).next().unwrap()))
        .collect();
    for metric in catalog::ALL {
        let name = metric.definition().name;
        let heading = format!("# TYPE {name} {}\n", metric.kind());
        assert!(scrape.contains(&heading), "{heading}");
        // Only nodes that fetch reference rates or send traces have these.
        let is_absent = [
            "clickledger_reference_rates_last_fetch_timestamp_seconds",
            "clickledger_trace_spans_total",
        ];
        assert!(
            is_absent.contains(&name) || sampled.contains(name),
            "no sample of {name} in\n{scrape}"
        );
    }
    let table: BTreeSet<_> = catalog::ALL
        .iter()
        .map(|metric| metric.definition().name.to_owned())
        .collect();
    let shown = names(&dashboard_expressions().join("\n"));
    let named = &names(&rules()) | &shown;
    let unknown: Vec<_> = named.difference(&table).collect();
    assert!(unknown.is_empty(), "rules or dashboard name {unknown:?}");
    let missing: Vec<_> = table.difference(&shown).collect();
    assert!(missing.is_empty(), "the dashboard does not show {missing:?}");

    for line in [
        "clickledger_redirect_duration_seconds_count{answer=\"recorded\"} 1",
        "clickledger_redirect_duration_seconds_count{answer=\"no_link\"} 1",
        "clickledger_postback_duration_seconds_count{status=\"accepted\"} 1",
        "clickledger_verdicts_total{status=\"accepted\",reason=\"accepted\"} 1",
        "clickledger_verdicts_total{status=\"rejected\",reason=\"token_invalid\"} 1",
        "clickledger_decision_duration_seconds_count{status=\"rejected\"} 1",
        "clickledger_applied_records_total{stream=\"postbacks\"} 2",
        "clickledger_page_duration_seconds_count{method=\"POST\",route=\"/sign-in\",status=\"3xx\"} 1",
        "clickledger_page_duration_seconds_count{method=\"OTHER\",route=\"none\",status=\"",
        "clickledger_api_duration_seconds_count{method=\"GET\",route=\"/api/v1/campaigns/{id}\",status=\"4xx\"} 1",
        "clickledger_report_duration_seconds_count{outcome=\"answered\"} ",
        "clickledger_pool_connections{pool=\"pages\",state=\"idle\"} ",
        "clickledger_ready 1",
    ] {
        assert!(scrape.contains(line), "{line} is not in\n{scrape}");
    }
    traffic.assert_absent(scrape.as_bytes(), "the scrape");
    assert!(!scrape.to_lowercase().contains("orbit"), "{scrape}");
    assert!(!scrape.contains("BREW"), "{scrape}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_of_requests_and_batches_reach_a_collector_without_secrets() {
    let collector = Collector::start().await;
    let endpoint = ["--otlp-endpoint", &collector.url, "--otlp-sample-ratio", "1"];
    let node = Node::start(&[&endpoint[..], &["--log-format", "json"]].concat()).await;
    let traffic = Traffic::send(&node).await;
    let log = node.log();
    let metrics = node.metrics;
    // The last spans are sent when the server stops.
    node.stop().await;
    let spans = collector.spans();

    let click = spans
        .iter()
        .find(|span| span.name == "GET /{alias}" && span.number("http.response.status_code") == 302);
    let click = click.unwrap_or_else(|| panic!("no click in {spans:#?}"));
    assert!(click.is_of_server && click.parent.is_empty());
    assert!(click.ended >= click.began && click.began > 1_700_000_000_000_000_000);
    let record = spans.iter().find(|span| span.name == "record").unwrap();
    assert_eq!((&record.trace, &record.parent), (&click.trace, &click.id));
    assert_eq!(
        record.text("clickledger.network"),
        traffic.scene.network.id.to_string()
    );
    let receive = spans
        .iter()
        .find(|span| span.text("clickledger.postback") == traffic.receipt)
        .unwrap();
    let postback = spans.iter().find(|span| span.id == receive.parent).unwrap();
    assert_eq!(postback.name, "GET /postback");
    let batch = spans
        .iter()
        .find(|span| span.name == "apply" && span.text("clickledger.stream") == "postbacks")
        .unwrap();
    let decided = spans.iter().find(|span| span.name == "decide_all").unwrap();
    assert_eq!(decided.trace, batch.trace);
    let sign_in = spans.iter().find(|span| span.name == "POST /sign-in").unwrap();
    assert_eq!(sign_in.number("http.response.status_code"), 303);
    assert!(!sign_in.text("clickledger.request_id").is_empty());
    assert!(
        spans
            .iter()
            .all(|span| span.service == "clickledger" && span.parent != span.id)
    );

    for body in collector.bodies() {
        traffic.assert_absent(&body, "a request to the collector");
    }
    for line in log.lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for key in ["timestamp", "level", "target", "message"] {
            assert!(line[key].is_string(), "{key}: {line}");
        }
    }
    assert!(log.contains("\"message\":\"serving\""), "{log}");
    assert!(
        TcpListener::bind(("127.0.0.1", metrics)).is_ok(),
        "the node has ended"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_a_warning_and_nothing_else() {
    // The port is free: connections are refused.
    let endpoint = format!("http://127.0.0.1:{}", testkit::free_port());
    let node = Node::start(&["--otlp-endpoint", &endpoint, "--otlp-sample-ratio", "1"]).await;
    Traffic::send(&node).await;
    let failed = Regex::new("clickledger_trace_spans_total\\{outcome=\"failed\"\\} ([0-9]+)").unwrap();
    let began = Instant::now();
    // Two batches failed, of which the first is warned of.
    for _ in 0..2 {
        let before = node.scrape().await;
        let count = |scrape: &str| failed.captures(scrape).unwrap()[1].parse::<u64>().unwrap();
        while count(&node.scrape().await) <= count(&before) {
            node.visit().await;
            assert!(began.elapsed() < Duration::from_secs(30), "{before}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let log = node.log();
    assert_eq!(log.matches("traces not delivered").count(), 1, "{log}");
    assert!(log.contains(&endpoint), "{log}");
    node.stop().await;

    // A collector that accepts connections and never answers delays the end by three seconds at most.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let node = Node::start(&["--otlp-endpoint", &endpoint, "--otlp-sample-ratio", "1"]).await;
    let visited = Instant::now();
    node.visit().await;
    assert!(visited.elapsed() < Duration::from_secs(1));
    let stopped = Instant::now();
    node.stop().await;
    assert!(
        stopped.elapsed() < Duration::from_secs(8),
        "{:?}",
        stopped.elapsed()
    );
}
