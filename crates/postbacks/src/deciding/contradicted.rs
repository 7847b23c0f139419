//! Differences between a decision after a restore and the verdict that the sender received, stored with the decision.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use schema::batch::{BatchError, Row, Tx};
use schema::{ConversionId, NetworkId, PostbackId};

use super::claimed::Decided;

schema::row! {
    struct Contradicted<'a>() {
        network_id: NetworkId,
        postback_id: PostbackId,
        answered_reason: &'a str,
        answered_conversion_id: Option<ConversionId>,
        decided_reason: &'static str,
        found_at: DateTime<Utc>,
    }
}

static INSERT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} ON CONFLICT (network_id, postback_id) DO NOTHING",
        Contradicted::insert_into("contradicted_verdicts")
    )
});

/// Stores the differences of these decisions.
pub(super) async fn store(tx: Tx<'_>, decided: &[Decided], now: DateTime<Utc>) -> Result<(), BatchError> {
    let rows: Vec<Contradicted<'_>> = decided.iter().filter_map(|decided| row(decided, now)).collect();
    for row in &rows {
        tracing::error!(
            postback = %row.postback_id,
            answered = row.answered_reason,
            decided = row.decided_reason,
            "decided otherwise than its sender was answered"
        );
    }
    tx.execute_batch(&INSERT, &rows).await?;
    Ok(())
}

fn row(decided: &Decided, now: DateTime<Utc>) -> Option<Contradicted<'_>> {
    let findings = &decided.findings;
    let answered = findings.answered.as_deref()?;
    let verdict = decided.verdict();
    (!answered.is_confirmed_by(&verdict)).then(|| Contradicted {
        network_id: findings.network.id,
        postback_id: findings.record.id,
        answered_reason: answered.reason(),
        answered_conversion_id: answered.conversion(),
        decided_reason: verdict.reason.code(),
        found_at: now,
    })
}
