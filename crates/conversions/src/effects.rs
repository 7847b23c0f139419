//! Effects of steps of conversions: ledger entries, rollup moves, events. The one place where they are derived.

use chrono::{DateTime, Utc};
use schema::batch::StoreBatch;

use crate::changes::Change;
use crate::conversion::Conversion;
use crate::events::{self, Event, StoredEvent};
use crate::ledger::{self, LedgerEntry};
use crate::rollups::{self, RollupMoves};

/// Effects of a batch of steps, to be stored in the transaction that stores the conversions.
#[derive(Debug, Default)]
pub struct Effects {
    entries: Vec<LedgerEntry>,
    moves: RollupMoves,
    events: Vec<Event>,
}

impl Effects {
    /// Adds the effects of a change that leads from one state of a conversion (`None` if it is new) to another.
    pub fn add(
        &mut self,
        before: Option<&Conversion>,
        after: &Conversion,
        change: &Change,
        at: DateTime<Utc>,
    ) {
        self.entries.extend(ledger::entries(before, after, change, at));
        if let Some(before) = before {
            self.moves.add(before, -1);
        }
        self.moves.add(after, 1);
        self.events.extend(Event::between(before, after, at));
    }

    /// Stores the ledger entries.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn store_entries<S: StoreBatch>(&self, transaction: &mut S) -> Result<(), S::Error> {
        transaction.store(&ledger::INSERT, &self.entries).await
    }

    /// Stores the rollup moves.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn store_rollups<S: StoreBatch>(&self, transaction: &mut S) -> Result<(), S::Error> {
        transaction.store(&rollups::UPSERT, &self.moves.rows()).await
    }

    /// Stores the events of networks with destinations or event consumers.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn store_events<S: StoreBatch>(&self, transaction: &mut S) -> Result<(), S::Error> {
        let stored: Vec<StoredEvent> = self.events.iter().map(StoredEvent::from).collect();
        transaction.store(&events::INSERT, &stored).await
    }

    /// Events, in the order of the steps.
    #[must_use]
    pub fn into_events(self) -> Vec<Event> {
        self.events
    }
}
