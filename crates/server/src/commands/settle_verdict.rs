//! `clickledger settle-verdict`: a user accepts verdicts that a restore contradicts.

use postbacks::contradictions;
use schema::{Db, clock};
use serde_json::json;
use tenancy::{Author, ChangeError};

use super::{CommandError, STATEMENT_TIMEOUT, WrongUsage, open};
use crate::config::SettleVerdictOptions;
use crate::output::Output;

/// Accepts the present verdicts of postbacks whose senders were answered otherwise.
///
/// # Errors
/// [`WrongUsage`] for a postback without such a difference, and then none is settled; another error if the database fails.
pub async fn settle_verdict(options: SettleVerdictOptions, output: Output) -> Result<(), CommandError> {
    let database = open(&options.store).await?;
    let db = Db::new(&database.url, 1, STATEMENT_TIMEOUT);
    let mut conn = db.network(options.network).await?;
    for id in &options.receipts {
        let settled = contradictions::settle(&mut conn, &Author::command_line(), *id, clock::now()).await;
        settled.map_err(|error| match error {
            ChangeError::Conflict(message) => CommandError::from(WrongUsage(message)),
            other => other.into(),
        })?;
    }
    conn.commit().await?;
    let count = options.receipts.len();
    Ok(output.print(
        format!("Settled: {count}."),
        &json!({ "settled": options.receipts }),
    )?)
}
