//! `clickledger postbacks`: lists, explains and replays postbacks.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::time::sleep;

use super::{advertiser, campaign, connect, listen, plain, text};
use crate::client::{Client, Failure};
use crate::commands::{CommandError, WrongUsage};
use crate::config::Since;
use crate::config::client::{
    ListPostbacksOptions, PostbackOptions, ReplayPostbacksOptions, ShowPostbackOptions,
};
use crate::output::Output;

/// Time between two looks at a replay.
const REPLAY_INTERVAL: Duration = Duration::from_millis(500);
/// Longest wait for a replay.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(600);
/// Most postbacks of a page.
const PAGE_SIZE: u32 = 200;

/// Parameters of the API that select postbacks.
pub(super) async fn filter_of(
    client: &Client,
    options: &PostbackOptions,
) -> Result<Vec<(&'static str, String)>, CommandError> {
    let mut filter = Vec::new();
    if let Some(named) = &options.advertiser {
        filter.push(("advertiser", advertiser(client, named).await?));
    }
    let campaign = match &options.campaign {
        Some(named) => Some(campaign(client, named).await?),
        None => None,
    };
    if let Some(named) = &options.goal {
        filter.push(("goal", goal(client, campaign.as_deref(), named).await?));
    }
    filter.extend(campaign.map(|id| ("campaign", id)));
    filter.extend(
        options
            .status
            .map(|status| ("status", status.as_str().to_owned())),
    );
    filter.extend(options.reason.clone().map(|reason| ("reason", reason)));
    Ok(filter)
}

async fn goal(client: &Client, campaign: Option<&str>, named: &str) -> Result<String, CommandError> {
    if named.starts_with("goal_") {
        return Ok(named.to_owned());
    }
    let Some(campaign) = campaign else {
        return Err(
            WrongUsage("give the ID of the goal, or its code together with --campaign".to_owned()).into(),
        );
    };
    let goals = client
        .get("goals", &[("campaign", campaign), ("limit", "200")])
        .await?;
    let mut goals = goals["items"].as_array().into_iter().flatten();
    let found = goals.find(|goal| goal["code"] == named);
    let unknown = || WrongUsage(format!("the campaign has no goal with the code “{named}”"));
    Ok(text(&found.ok_or_else(unknown)?["id"]))
}

/// Lists postbacks, newest first.
pub(super) async fn list(options: &ListPostbacksOptions, output: Output) -> Result<(), CommandError> {
    let client = connect(&options.connection)?;
    let filter = filter_of(&client, &options.postbacks).await?;
    let (mut left, mut after) = (options.limit, None::<String>);
    while left > 0 {
        let limit = left.min(PAGE_SIZE).to_string();
        let mut query: Vec<(&str, &str)> = filter
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        query.push(("limit", &limit));
        query.extend(after.as_deref().map(|after| ("after", after)));
        let page = client.get("postbacks", &query).await?;
        for item in page["items"].as_array().into_iter().flatten() {
            output.print(listen::line(item), item)?;
            left -= 1;
        }
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    Ok(())
}

/// Shows a postback with its trace.
pub(super) async fn show(options: &ShowPostbackOptions, output: Output) -> Result<(), CommandError> {
    let client = connect(&options.connection)?;
    let found = client
        .get(&format!("postbacks/{}", segment(&options.receipt)?), &[])
        .await?;
    let mut lines = vec![listen::line(&found)];
    lines.extend(Some(plain(&found["hint"])).filter(|hint| !hint.is_empty()));
    lines.push(plain(&found["request"]));
    lines.extend(Some(plain(&found["body"])).filter(|body| !body.is_empty()));
    for step in found["trace"].as_array().into_iter().flatten() {
        let (result, check, words) = (
            plain(&step["found"]),
            plain(&step["check"]),
            plain(&step["words"]),
        );
        lines.push(format!("  {result:<10} {check}: {words}"));
    }
    lines.push(client.page(&format!("postbacks/{}", text(&found["id"]))));
    Ok(output.print(lines.join("\n"), &found)?)
}

/// Receipt as a segment of a path.
fn segment(receipt: &str) -> Result<&str, WrongUsage> {
    let is_plain =
        receipt.starts_with("pb_") && receipt.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_plain
        .then_some(receipt)
        .ok_or_else(|| WrongUsage(format!("“{receipt}” is no receipt, pb_…")))
}

/// Decides rejected postbacks again, and prints the changes.
pub(super) async fn replay(options: &ReplayPostbacksOptions, output: Output) -> Result<(), CommandError> {
    let client = connect(&options.connection)?;
    let mut body = Map::new();
    body.insert("dry_run".to_owned(), (!options.for_real).into());
    if !options.receipts.is_empty() {
        for receipt in &options.receipts {
            segment(receipt)?;
        }
        body.insert("postbacks".to_owned(), json!(options.receipts));
    }
    if let Some(reason) = &options.reason {
        body.insert("reason".to_owned(), reason.as_str().into());
    }
    if let Some(named) = &options.advertiser {
        body.insert("advertiser".to_owned(), named.as_str().into());
    }
    if let Some(since) = options.since {
        let since = match since {
            Since::Day(day) => format!("{day}T00:00:00Z"),
            Since::Moment(moment) => moment.to_rfc3339(),
        };
        body.insert("since".to_owned(), since.into());
    }
    let replay = client.post("replays", &Value::Object(body)).await?;
    let report = finished(&client, &text(&replay["id"])).await?;
    output.print(lines(&report), &report)?;
    match report["waiting"].as_u64() {
        Some(0) => Ok(()),
        _ => {
            let message = "Some postbacks are not decided yet. The page of the replay shows when they are.";
            Err(Failure::local("timeout", message).into())
        }
    }
}

/// Results of a replay when every postback is decided, or the wait is over.
async fn finished(client: &Client, id: &str) -> Result<Value, Failure> {
    let begun = Instant::now();
    loop {
        let report = client.get(&format!("replays/{id}"), &[]).await?;
        if report["waiting"] == 0 || begun.elapsed() > REPLAY_TIMEOUT {
            return Ok(report);
        }
        sleep(REPLAY_INTERVAL).await;
    }
}

fn lines(report: &Value) -> String {
    let is_dry = report["dry_run"] == true;
    let (were, would) = if is_dry {
        ("checked", "would change")
    } else {
        ("decided again", "changed")
    };
    let mut lines = vec![format!(
        "{} {were}, {} {would}",
        report["postbacks"], report["changed"]
    )];
    for result in report["results"].as_array().into_iter().flatten() {
        let mut line = format!(
            "{}  {} → {}  {}",
            plain(&result["postback"]),
            plain(&result["reason_before"]),
            plain(&result["reason"]),
            plain(&result["message"])
        );
        if !result["commission"].is_null() {
            line.push_str(&format!("  commission {}", plain(&result["commission"])));
        }
        lines.push(line);
    }
    if is_dry {
        lines.push("Nothing was changed. Add --for-real to store the new verdicts.".to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_receipts_become_paths() {
        assert!(segment("pb_06crz6hq5xw7d1qk3w5m8t2n9g").is_ok());
        for odd in ["", "cnv_1", "pb_/../me", "pb_1?x"] {
            assert!(segment(odd).is_err(), "{odd}");
        }
    }
}
