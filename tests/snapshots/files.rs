//! Files: header and rows of every CSV export, of the dashboard and of the API, and the tables of a network's export.

use std::collections::BTreeMap;

use reqwest::StatusCode;
use serde_json::Value;
use testkit::{ApiClient, Page};

use crate::fixture::Fixture;
use crate::recorder::Recorder;

/// Headers of a download, and its content.
fn text_of(page: &Page) -> String {
    let header = |name: &str| page.headers[name].to_str().unwrap().to_owned();
    assert_eq!(page.status, StatusCode::OK, "{}", page.html);
    format!(
        "{}\n{}\n\n{}",
        header("content-type"),
        header("content-disposition"),
        page.html
    )
}

/// Makes the snapshots; the program has the key of an owner.
pub(crate) async fn check(fixture: &Fixture, owner: &ApiClient) {
    let mut snapshots = Recorder::new("files");
    let pages = [
        ("report-by-day", "/reports.csv?group=day"),
        ("report-by-campaign", "/reports.csv?group=campaign"),
        ("report-by-affiliate", "/reports.csv?group=affiliate"),
        ("advertisers", "/advertisers/export.csv"),
        ("affiliates", "/affiliates/export.csv"),
        ("audit", "/settings/audit.csv"),
    ];
    for (name, path) in pages {
        let page = fixture.owner.get(path).await;
        snapshots.check(name, &fixture.redact(&text_of(&page)));
    }
    for sheet in ["campaigns", "goals", "rules", "landing-pages", "coupons", "links"] {
        let page = fixture
            .owner
            .get(&format!("/campaigns/files/{sheet}/export.csv"))
            .await;
        snapshots.check(sheet, &fixture.redact(&text_of(&page)));
    }
    let affiliate = fixture.app.sign_in(&fixture.app.scene.affiliate).await;
    let page = affiliate.get("/reports.csv?group=day").await;
    snapshots.check("report-by-day.affiliate", &fixture.redact(&text_of(&page)));
    for (_, path) in api::ROUTES.iter().filter(|(_, path)| path.ends_with("/export")) {
        let path = path.strip_prefix("/api/v1").unwrap();
        let answer = owner.get(path).await;
        let name = format!("api{}", path.replace('/', "-"));
        let text = format!(
            "{}\n\n{}",
            answer.headers["content-type"].to_str().unwrap(),
            answer.text
        );
        snapshots.check(&name, &fixture.redact(&text));
    }
    let export = fixture.owner.get("/settings/export.ndjson").await;
    snapshots.check("network", &fixture.redact(&tables(&export)));
    snapshots.finish();
}

/// Tables of a network's export with the number of their rows and the names of their columns.
fn tables(export: &Page) -> String {
    assert_eq!(export.status, StatusCode::OK);
    let mut tables: BTreeMap<String, (usize, Vec<String>)> = BTreeMap::new();
    for line in export.html.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let (count, columns) = tables
            .entry(row["table"].as_str().unwrap().to_owned())
            .or_default();
        *count += 1;
        *columns = row["row"].as_object().unwrap().keys().cloned().collect();
    }
    let lines = tables.iter().map(|(table, (count, columns))| {
        // Their number depends on the connections that made them, and on the time of day.
        let count = match table.as_str() {
            "conversion_spans" => "some".to_owned(),
            _ => count.to_string(),
        };
        format!("{table} ({count}): {}\n", columns.join(", "))
    });
    lines.collect()
}
