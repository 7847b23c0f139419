//! `clickledger trigger`: a test order through the public endpoints.

use serde_json::{Map, Value, json};

use super::{campaign, connect, plain, text};
use crate::client::Failure;
use crate::commands::CommandError;
use crate::config::client::TriggerOptions;
use crate::output::Output;

/// Sends a test order and prints its verdict.
pub(super) async fn trigger(options: &TriggerOptions, output: Output) -> Result<(), CommandError> {
    let client = connect(&options.connection)?;
    let campaign = campaign(&client, &options.campaign).await?;
    if options.create_test_link {
        client
            .post(&format!("campaigns/{campaign}/test-link"), &json!({}))
            .await?;
    }
    let given = [
        ("goal", &options.goal),
        ("order_id", &options.order),
        ("amount", &options.amount),
        ("currency", &options.currency),
    ];
    let given = given
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value.clone()?))));
    let order = Value::Object(given.collect::<Map<_, _>>());
    let sent = client
        .post(&format!("campaigns/{campaign}/test-orders"), &order)
        .await;
    let mut sent = sent.map_err(with_advice)?;
    let page = client.page(&format!("postbacks/{}", text(&sent["postback"])));
    if let Some(members) = sent.as_object_mut() {
        members.insert("page".to_owned(), page.as_str().into());
    }
    let mut lines = vec![
        format!(
            "{}  {}  order {}",
            plain(&sent["status"]),
            plain(&sent["reason"]),
            plain(&sent["order_id"])
        ),
        plain(&sent["message"]),
    ];
    lines.extend(Some(plain(&sent["hint"])).filter(|hint| !hint.is_empty()));
    for step in sent["steps"].as_array().into_iter().flatten() {
        lines.push(format!(
            "  {}  {}",
            plain(&step["status"]),
            plain(&step["request"])
        ));
    }
    lines.push(page);
    output.print(lines.join("\n"), &sent)?;
    match sent["status"].as_str() {
        Some("accepted" | "duplicate" | "held" | "queued") => Ok(()),
        _ => {
            let message = format!(
                "The test order is {}: {}",
                text(&sent["status"]),
                text(&sent["message"])
            );
            Err(Failure::local(&text(&sent["reason"]), &message).into())
        }
    }
}

/// Failure that names the option for a campaign without a test link.
fn with_advice(mut failure: Failure) -> Failure {
    if failure.code == "conflict" && failure.message.contains("no test link") {
        failure.message.push_str(" (--create-test-link does.)");
    }
    failure
}
