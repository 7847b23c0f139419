//! One report, everywhere the same: the page, its CSV, the API and its CSV under a thousand random queries, and every
//! figure of today on other pages in every time zone.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first unexpected result"
)]

#[path = "report_truth/events.rs"]
mod events;

use events::{ZONES, convert, random_query, record};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use reqwest::StatusCode;
use schema::{MembershipId, clock};
use serde_json::{Value, json};
use testkit::{TestApp, TestOptions};

/// Queries that are compared.
const QUERIES: usize = 1_000;

/// Cell of a report's CSV of a value of the API, in the currency of the line; `None` for a metric of money that has several.
fn cell(value: &Value, currency: &str) -> Option<String> {
    Some(match value {
        Value::Number(number) => number.to_string(),
        Value::Null => String::new(),
        Value::Array(sums) => {
            let sum = sums.iter().find(|sum| sum["currency"] == currency)?;
            sum["amount"].as_str()?.to_owned()
        }
        other => other.as_str()?.to_owned(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn page_api_and_csv_are_equal() {
    let app = TestApp::spawn_with(TestOptions {
        calls_per_minute: Some(100_000),
        ..TestOptions::default()
    })
    .await;
    let seed = clock::now().timestamp_micros().unsigned_abs();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let clicks = record(&app, &mut random, 400).await;
    convert(&app, &mut random, &clicks, 0..80).await;
    let owner = app.program(&app.scene.owner).await;
    let session = app.sign_in(&app.scene.owner).await;
    let mut compared = 0;
    for _ in 0..QUERIES {
        let (text, _) = random_query(&mut random, &app, clock::now(), MembershipId(1));
        let answer = owner.get(&format!("/reports?{text}&limit=1000")).await;
        let file = owner.get(&format!("/reports/export?{text}")).await;
        let of_page = session.get(&format!("/reports.csv?{text}")).await;
        let page = session.get(&format!("/reports?{text}&rows=flat")).await;
        assert_eq!(
            [answer.status, file.status, of_page.status, page.status],
            [StatusCode::OK; 4],
            "{text}"
        );
        assert_eq!(of_page.html.trim_start_matches('\u{feff}'), file.text, "{text}");
        let rows = answer.json["rows"].as_array().unwrap();
        let mut table = csv::Reader::from_reader(file.text.as_bytes());
        let header: Vec<String> = table.headers().unwrap().iter().map(str::to_owned).collect();
        let lines: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
        let mut lines = lines.iter().peekable();
        for row in rows {
            let line = lines
                .next()
                .unwrap_or_else(|| panic!("{text}: no line for {row}"));
            let currency = line.get(header.len() - 1).unwrap();
            for (name, found) in header.iter().zip(line) {
                if let Some(expected) = row["figures"].get(name).and_then(|value| cell(value, currency)) {
                    let is_equal = found == expected
                        || found.parse::<f64>().ok().zip(expected.parse().ok()).is_some_and(
                            |(found, expected): (f64, f64)| (found - expected).abs() < 0.000_001,
                        );
                    assert!(
                        is_equal,
                        "{text}: {name} is {found} in the CSV, {expected} in the API\n{row}"
                    );
                    compared += 1;
                }
            }
            // A line for each currency of its money.
            let figures = row["figures"].as_object().unwrap().values();
            let sums = figures.filter_map(Value::as_array).map(Vec::len).max();
            for _ in 1..sums.unwrap_or_default() {
                lines.next().unwrap();
            }
        }
        assert!(lines.next().is_none(), "{text}");
        // The page shows the same number of rows.
        let shown = page.html.matches("<tr><th scope=\"row\" class=\"name\">").count();
        assert_eq!(shown, rows.len().min(500), "{text}");
    }
    assert!(compared > QUERIES * 3, "{compared}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_with_a_day_follows_the_time_zone() {
    let app = TestApp::spawn().await;
    let mut random = StdRng::seed_from_u64(7);
    let clicks = record(&app, &mut random, 300).await;
    convert(&app, &mut random, &clicks, 0..60).await;
    // Today has events in every zone.
    let visitor = app.visitor();
    visitor.click("").await;
    app.settled().await;
    let owner = app.program(&app.scene.owner).await;
    for zone in ZONES {
        let changed = owner.patch("/network", &json!({ "time_zone": zone })).await;
        assert!(changed.status.is_success(), "{}", changed.text);
        let session = app.sign_in(&app.scene.owner).await;
        let today = owner
            .get("/reports?period=today&group=day&metrics=clicks,conversions")
            .await;
        let total = |report: &Value, name: &str| report["total"][name].to_string();
        let home = session.get("/?period=today").await;
        for (id, metric) in [("kpi-clicks", "clicks"), ("kpi-conversions", "conversions")] {
            let (_, rest) = home.html.split_once(&format!("id=\"{id}\"")).unwrap();
            let (_, rest) = rest.split_once('>').unwrap();
            let (shown, _) = rest.split_once('<').unwrap();
            assert_eq!(shown, total(&today.json, metric), "{zone} {metric}");
        }
        // The days of the charts sum to the report of thirty days.
        let month = owner
            .get("/reports?period=last_30_days&group=day&metrics=clicks")
            .await;
        let mut of_month = 0;
        for row in month.json["rows"].as_array().unwrap() {
            let (day, clicks) = (
                row["keys"][0]["value"].as_str().unwrap(),
                &row["figures"]["clicks"],
            );
            let of_day = owner
                .get(&format!("/reports?from={day}&to={day}&group=hour&metrics=clicks"))
                .await;
            assert_eq!(&of_day.json["total"]["clicks"], clicks, "{zone} {day}");
            of_month += clicks.as_i64().unwrap();
        }
        assert_eq!(month.json["total"]["clicks"], of_month, "{zone}");
    }
    app.finish().await;
}
