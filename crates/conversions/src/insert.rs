//! New conversions, each inserted once.

use std::collections::HashSet;
use std::sync::LazyLock;

use schema::ConversionId;
use schema::batch::{self, BatchError, Row, Tx};

use crate::conversion::Conversion;

/// The unique key decides, also between nodes; Postgres waits for a twin in an open transaction. A click that is stored
/// gives its visit at once, so that reports have it with the conversion; [`crate::fill_visits`] adds the others.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO conversions ({}, visit)
         SELECT {}, (SELECT visit_of(c) FROM clicks c WHERE c.network_id = k.network_id AND c.id = k.click_id)
         FROM {}
         ON CONFLICT (network_id, goal_id, unique_key) DO NOTHING RETURNING id",
        Conversion::columns(),
        Conversion::columns_of("k"),
        Conversion::unnest()
    )
});

/// Inserts the conversions whose unique keys are new; returns their ids.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn insert(tx: Tx<'_>, conversions: &[Conversion]) -> Result<HashSet<ConversionId>, BatchError> {
    let inserted = tx.query_batch(&INSERT, conversions).await?;
    inserted.iter().map(|row| batch::read(row, 0)).collect()
}
