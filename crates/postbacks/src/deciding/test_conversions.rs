//! Tests: decided and priced like everything else, and kept apart from everything that counts.

use std::collections::HashMap;

use schema::ConversionId;

use super::{ApplyError, Asking, Round, column, park, price};
use crate::decide::Wants;
use crate::ingest::deciding::facts::Facts;
use crate::verdict::{Reason, Verdict};

/// Returns each with whether it is new.
pub(super) const ADD: &str = "WITH asked AS (
         SELECT * FROM unnest($1::int[], $2::uuid[], $3::timestamptz[], $4::int[], $5::int[], $6::int[], $7::uuid[], $8::text[],
             $9::text[], $10::bigint[], $11::text[], $12::bigint[], $13::bigint[])
           AS k (network_id, id, converted_at, campaign_id, goal_id, link_id, click_id, unique_key, order_id, amount_micros,
             currency, commission_micros, revenue_micros)),
     made AS (INSERT INTO test_conversions SELECT * FROM asked
              ON CONFLICT (network_id, goal_id, unique_key) DO NOTHING RETURNING network_id, id)
     SELECT a.id, m.id IS NOT NULL FROM asked a LEFT JOIN made m ON m.network_id = a.network_id AND m.id = a.id";

impl<'a, 'c> Round<'a, 'c> {
    /// Keeps what tests would have made.
    pub(super) async fn run_tests(&mut self, asking: &[Asking<'a, 'c>]) -> Result<(), ApplyError> {
        let mut facts = Facts::of_clicks(self.tx, asking).await?;
        let mut wanted = Vec::with_capacity(asking.len());
        for it in asking {
            if let Some(verdict) = &it.claim.unless_there {
                self.end(it.at, verdict.clone());
                continue;
            }
            if matches!(it.claim.wants, Wants::Changed(_) | Wants::Refunded) {
                let message =
                    "The change was understood. Tests make no conversions, so there is nothing to change.";
                self.end(it.at, Verdict::saying(Reason::TestAccepted, message));
                continue;
            }
            let now = self.now;
            match price::conversion(it, &mut facts, None, now, self.trace(it.at)) {
                Ok(conversion) => wanted.push((it, conversion)),
                Err(price::NotPriced::Verdict(verdict)) => self.end(it.at, verdict),
                Err(price::NotPriced::WaitForClick) => self.wait(it, park::Wait::for_click(it, self.now)),
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let rows = self
            .tx
            .transaction
            .query(
                &self.tx.statements.test,
                &[
                    &column(&wanted, |(asking, _)| asking.network()),
                    &column(&wanted, |(_, it)| it.id.0),
                    &column(&wanted, |(_, it)| it.converted_at),
                    &column(&wanted, |(_, it)| it.campaign_id.0),
                    &column(&wanted, |(_, it)| it.goal_id.0),
                    &column(&wanted, |(_, it)| it.link_id.0),
                    &column(&wanted, |(_, it)| it.click_id.map(|key| key.0)),
                    &column(&wanted, |(_, it)| it.unique_key.as_str()),
                    &column(&wanted, |(_, it)| it.order_id.as_deref()),
                    &column(&wanted, |(_, it)| it.amount_micros),
                    &column(&wanted, |(_, it)| it.currency.code()),
                    &column(&wanted, |(_, it)| it.commission_micros),
                    &column(&wanted, |(_, it)| it.revenue_micros),
                ],
            )
            .await?;
        let is_new: HashMap<ConversionId, bool> = rows
            .iter()
            .map(|row| (ConversionId(row.get(0)), row.get(1)))
            .collect();
        for (it, conversion) in &wanted {
            let verdict = match is_new.get(&conversion.id) {
                Some(true) => Verdict::of(Reason::TestAccepted),
                _ => Verdict::saying(Reason::DuplicateOrder, "This test was recorded before."),
            };
            self.end(it.at, verdict);
        }
        Ok(())
    }
}
