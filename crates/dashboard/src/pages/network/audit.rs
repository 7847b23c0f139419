//! Audit log: the list with its filters, and as CSV.

use actix_web::web;
use askama::Template;
use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use schema::clock;
use serde::Deserialize;
use serde_json::Value;
use tenancy::audit::{self, AuditFilter, Entry};
use tenancy::{csv_export, needs, networks};

use super::settings;
use crate::error::PageError;
use crate::listing;
use crate::page::Page;
use crate::shell::{PageResult, Shell, TimeCell, csv_file, html};

/// Maximum number of entries of an export.
const EXPORT: i64 = 100_000;

/// Filters of the list, from the query string.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filters {
    #[serde(default)]
    action: String,
    #[serde(default)]
    author: String,
    #[serde(default)]
    object: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    before: String,
}

impl Filters {
    fn read(&self, zone: Tz) -> Result<AuditFilter, PageError> {
        Ok(AuditFilter {
            action: listing::text(&self.action),
            author: listing::text(&self.author),
            object: listing::text(&self.object),
            from: start_of(&self.from, zone, 0)?,
            until: start_of(&self.to, zone, 1)?,
            before: listing::id(&self.before)?,
        })
    }

    fn kept(&self) -> [(&str, &str); 5] {
        [
            ("action", &self.action),
            ("author", &self.author),
            ("object", &self.object),
            ("from", &self.from),
            ("to", &self.to),
        ]
    }
}

/// Start of a day, plus a number of days, in the network's time zone. None for an empty text.
fn start_of(text: &str, zone: Tz, later: u64) -> Result<Option<DateTime<Utc>>, PageError> {
    if text.is_empty() {
        return Ok(None);
    }
    let day: NaiveDate = text
        .parse()
        .map_err(|_| PageError::BadRequest(format!("“{text}” is not a date. Use the format 2026-11-21.")))?;
    let day = day.checked_add_days(Days::new(later));
    Ok(day.map(|day| clock::start_of_day(day, zone)))
}

/// `GET /settings/audit`
pub(super) async fn list(mut page: Page<needs::SeeAudit>, filters: web::Query<Filters>) -> PageResult {
    let filter = filters.read(page.network.time_zone())?;
    let found = audit::list(&mut page.conn, &filter, listing::QUERIED).await?;
    let frame = page.commit().await?;
    let kept = filters.kept();
    let (found, older) = listing::cut(found, "/settings/audit", &kept, |entry| entry.id);
    html(&List {
        shell: frame.shell("Settings", "Audit log"),
        tabs: settings::tabs(&frame.actor, "/settings/audit"),
        export: listing::with_query("/settings/audit.csv", &kept),
        rows: found
            .into_iter()
            .map(|entry| Row {
                time: frame.time(entry.at),
                changes: changes(&entry),
                author: entry.author,
                via: entry.via.as_str(),
                address: entry
                    .remote_ip
                    .map_or_else(String::new, |ip| ip.addr().to_string()),
                action: entry.action,
                object: entry.object,
                object_name: entry.object_name,
            })
            .collect(),
        older,
        filters: filters.into_inner(),
    })
}

/// `GET /settings/audit.csv`
pub(super) async fn csv(mut page: Page<needs::SeeAudit>, filters: web::Query<Filters>) -> PageResult {
    let found = audit::list(&mut page.conn, &filters.read(page.network.time_zone())?, EXPORT).await?;
    let slug = networks::slug(&mut page.conn).await?;
    page.commit().await?;
    let header = [
        "at",
        "author",
        "via",
        "address",
        "action",
        "object",
        "object_name",
        "before",
        "after",
    ];
    let rows = found.into_iter().map(|entry| {
        vec![
            entry.at.to_rfc3339(),
            entry.author,
            entry.via.to_string(),
            entry
                .remote_ip
                .map_or_else(String::new, |ip| ip.addr().to_string()),
            entry.action,
            entry.object,
            entry.object_name,
            entry.before.to_string(),
            entry.after.to_string(),
        ]
    });
    let text = csv_export::to_csv(&header, rows);
    Ok(csv_file(&format!("{slug}_audit.csv"), text))
}

/// Changed fields of an entry: name, value before, value after.
fn changes(entry: &Entry) -> Vec<(String, String, String)> {
    let empty = serde_json::Map::new();
    let fields = |value: &'_ Value| value.as_object().cloned().unwrap_or_else(|| empty.clone());
    let (before, after) = (fields(&entry.before), fields(&entry.after));
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).cloned().collect();
    names
        .into_iter()
        .map(|name| {
            let (was, is) = (plain(before.get(&name)), plain(after.get(&name)));
            (name.replace('_', " "), was, is)
        })
        .filter(|(_, was, is)| was != is)
        .collect()
}

fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "—".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "—".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.is_empty() => "—".to_owned(),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| plain(Some(item)))
            .collect::<Vec<_>>()
            .join(", "),
        Some(other) => other.to_string(),
    }
}

struct Row {
    time: TimeCell,
    author: String,
    via: &'static str,
    address: String,
    action: String,
    object: String,
    object_name: String,
    changes: Vec<(String, String, String)>,
}

#[derive(Template)]
#[template(path = "network/audit/list.html")]
struct List {
    shell: Shell,
    tabs: Vec<(&'static str, &'static str, bool)>,
    export: String,
    rows: Vec<Row>,
    older: Option<String>,
    filters: Filters,
}
