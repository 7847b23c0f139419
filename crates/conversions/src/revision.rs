//! Revision of a conversion: locked with its history, changed, stored with all that follows.

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use schema::batch::{BatchError, ReadRow, Row, StoreBatch, Tx};
use schema::{ConversionId, GoalId, NetworkId};
use serde_json::Value;

use crate::changes::{self, Change, Source};
use crate::conversion::{Conversion, ConversionStatus, ReviewBecause};
use crate::effects::Effects;
use crate::events::Event;
use crate::pricing::Pricing;

/// Number of conversions approved at the end of their hold period in one transaction.
const DUE_BATCH: i64 = 500;

schema::row! {
    /// Unique key of a conversion.
    #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct ConversionKey() {
        /// Tenant.
        pub network_id: NetworkId,
        /// Goal.
        pub goal_id: GoalId,
        /// Value that the goal deduplicates by.
        pub unique_key: String,
    }
}

schema::row! {
    struct HistoryKey() { network_id: NetworkId, conversion_id: ConversionId }
}

schema::row! {
    struct StatusUpdate(bind) {
        network_id: NetworkId,
        id: ConversionId,
        status: ConversionStatus,
        hold_until: Option<DateTime<Utc>>,
        review_because: Option<ReviewBecause>,
    }
}

schema::row! {
    struct Update(bind) {
        network_id: NetworkId,
        id: ConversionId,
        status: ConversionStatus,
        amount_micros: Option<i64>,
        commission_micros: i64,
        revenue_micros: i64,
        terms: Value,
        hold_until: Option<DateTime<Utc>>,
        review_because: Option<ReviewBecause>,
    }
}

/// Locks in the order of ids, so that two nodes wait for each other in the same order.
static LOCK: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM {}
         JOIN conversions c ON c.network_id = k.network_id AND c.goal_id = k.goal_id AND c.unique_key = k.unique_key
         ORDER BY c.network_id, c.id FOR UPDATE OF c",
        Conversion::columns_of("c"),
        ConversionKey::unnest()
    )
});
/// Skips conversions that another node has locked.
static LOCK_DUE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM conversions c
         WHERE c.hold_until <= $1 AND c.status = 'pending' AND c.review_because IS NULL
         ORDER BY c.hold_until LIMIT {DUE_BATCH} FOR UPDATE SKIP LOCKED",
        Conversion::columns_of("c")
    )
});
static HISTORY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM {}
         JOIN conversion_changes h ON h.network_id = k.network_id AND h.conversion_id = k.conversion_id",
        Change::columns_of("h"),
        HistoryKey::unnest()
    )
});
/// Changes no amount: the role of page and API may run this one only.
static UPDATE_STATUS: LazyLock<String> =
    LazyLock::new(|| update(&StatusUpdate::assignments(2), &StatusUpdate::unnest()));
static UPDATE: LazyLock<String> = LazyLock::new(|| update(&Update::assignments(2), &Update::unnest()));
static INSERT_CHANGES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} ON CONFLICT DO NOTHING",
        Change::insert_into("conversion_changes")
    )
});

fn update(assignments: &str, batch: &str) -> String {
    format!(
        "UPDATE conversions c SET {assignments} FROM {batch} WHERE c.network_id = k.network_id AND c.id = k.id"
    )
}

/// A conversion while changes are added to its history.
#[derive(Debug, Clone)]
pub struct Revision {
    before: Conversion,
    after: Conversion,
    /// Pricing that the conversion was made with.
    pricing: Pricing,
    history: Vec<Change>,
    /// Number of changes that are stored.
    stored: usize,
}

impl Revision {
    /// Begins with a locked conversion and its stored history; a conversion without one begins with its report.
    ///
    /// # Errors
    /// Returns an error if the stored terms of the conversion cannot be parsed as a pricing.
    pub fn new(conversion: Conversion, mut history: Vec<Change>) -> Result<Self, serde_json::Error> {
        let stored = history.len();
        if history.is_empty() {
            history.push(Change::report(&conversion, conversion.status));
        }
        Ok(Self {
            pricing: conversion.pricing()?,
            after: conversion.clone(),
            before: conversion,
            history,
            stored,
        })
    }

    /// Conversion before the revision.
    #[must_use]
    pub fn before(&self) -> &Conversion {
        &self.before
    }

    /// Conversion with all changes so far.
    #[must_use]
    pub fn after(&self) -> &Conversion {
        &self.after
    }

    /// Amount that the conversion was made with; `None` if its report is not known.
    #[must_use]
    pub fn reported_amount(&self) -> Option<Option<i64>> {
        let report = self.history.iter().find(|change| change.source == Source::Report);
        report.map(|report| report.amount_micros)
    }

    /// Adds a change to the history and derives the conversion from it; returns false if the history has the change.
    pub fn add(&mut self, change: Change) -> bool {
        if self.history.iter().any(|known| known.id == change.id) {
            return false;
        }
        self.history.push(change);
        let outcome = changes::outcome(&self.history, self.pricing.review);
        self.after.status = outcome.status;
        self.after.review_because = outcome.review_because;
        let is_decided = |change: &Change| change.source != Source::Report && change.status.is_some();
        if self.history.iter().any(is_decided) {
            self.after.hold_until = None;
        }
        if outcome.amount_micros != self.after.amount_micros {
            let pricing = self.pricing.with_amount(outcome.amount_micros.unwrap_or(0));
            let (commission, revenue) = pricing.pay(self.after.currency);
            self.after.amount_micros = outcome.amount_micros;
            self.after.commission_micros = commission;
            self.after.revenue_micros = revenue;
            self.after.terms = pricing.to_terms();
        }
        true
    }

    /// Changes that are not stored yet. The report alone is not worth a row: the conversion has its values.
    fn fresh(&self) -> impl Iterator<Item = &Change> {
        let is_needed = self.history.len() > self.stored.max(1);
        self.history.iter().skip(self.stored).filter(move |_| is_needed)
    }

    fn is_changed(&self) -> bool {
        self.before != self.after
    }

    fn has_other_amounts(&self) -> bool {
        self.before.amount_micros != self.after.amount_micros
    }

    fn status_update(&self) -> StatusUpdate {
        let after = &self.after;
        StatusUpdate {
            network_id: after.network_id,
            id: after.id,
            status: after.status,
            hold_until: after.hold_until,
            review_because: after.review_because,
        }
    }

    fn update(&self) -> Update {
        let after = &self.after;
        Update {
            network_id: after.network_id,
            id: after.id,
            status: after.status,
            amount_micros: after.amount_micros,
            commission_micros: after.commission_micros,
            revenue_micros: after.revenue_micros,
            terms: after.terms.clone(),
            hold_until: after.hold_until,
            review_because: after.review_because,
        }
    }
}

/// Locks the conversions with these keys; those that do not exist are left out.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn lock(
    tx: Tx<'_>,
    keys: &[ConversionKey],
) -> Result<HashMap<ConversionKey, Revision>, BatchError> {
    let rows = tx.query_batch(&LOCK, keys).await?;
    let with_key = |revision: Revision| {
        let conversion = &revision.before;
        let key = ConversionKey {
            network_id: conversion.network_id,
            goal_id: conversion.goal_id,
            unique_key: conversion.unique_key.clone(),
        };
        (key, revision)
    };
    Ok(read(tx, &rows).await?.into_iter().map(with_key).collect())
}

/// Locks pending conversions of all networks whose hold period is over, and approves them. Returns at most 500.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn due(tx: Tx<'_>, now: DateTime<Utc>) -> Result<Vec<Revision>, BatchError> {
    let rows = tx.query(&LOCK_DUE, &[&now]).await?;
    let mut due = read(tx, &rows).await?;
    for revision in &mut due {
        let approval =
            Change::of(&revision.before, Source::Hold, now).with_status(ConversionStatus::Approved);
        revision.add(approval.identified("hold"));
    }
    Ok(due)
}

async fn read(tx: Tx<'_>, rows: &[tokio_postgres::Row]) -> Result<Vec<Revision>, BatchError> {
    let conversions: Vec<Conversion> = rows.iter().map(Conversion::read).collect::<Result<_, _>>()?;
    let key = |conversion: &Conversion| HistoryKey {
        network_id: conversion.network_id,
        conversion_id: conversion.id,
    };
    let keys: Vec<HistoryKey> = conversions.iter().map(key).collect();
    let mut histories: HashMap<ConversionId, Vec<Change>> = HashMap::new();
    for row in &tx.query_batch(&HISTORY, &keys).await? {
        let change = Change::read(row)?;
        histories.entry(change.conversion_id).or_default().push(change);
    }
    let revision = |conversion: Conversion| {
        let history = histories.remove(&conversion.id).unwrap_or_default();
        let id = conversion.id;
        Revision::new(conversion, history)
            .map_err(|error| BatchError::Invalid(format!("the stored terms of conversion {id}: {error}")))
    };
    conversions.into_iter().map(revision).collect()
}

/// Stores revisions with their fresh changes, ledger entries and rollup moves; returns the events. `time_zone` is that of
/// a conversion's network.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn store<S: StoreBatch>(
    transaction: &mut S,
    mut revisions: Vec<Revision>,
    time_zone: impl Fn(NetworkId) -> Tz,
    now: DateTime<Utc>,
) -> Result<Vec<Event>, S::Error> {
    revisions.sort_by_key(|revision| (revision.before.network_id, revision.before.id));
    let fresh: Vec<Change> = revisions.iter().flat_map(Revision::fresh).copied().collect();
    store_changes(transaction, &fresh).await?;
    revisions.retain(Revision::is_changed);
    let (with_amounts, status_only): (Vec<_>, Vec<_>) = revisions
        .iter()
        .partition(|revision| revision.has_other_amounts());
    let updates: Vec<Update> = with_amounts.into_iter().map(Revision::update).collect();
    transaction.store(&UPDATE, &updates).await?;
    let updates: Vec<StatusUpdate> = status_only.into_iter().map(Revision::status_update).collect();
    transaction.store(&UPDATE_STATUS, &updates).await?;
    let mut effects = Effects::default();
    for revision in &revisions {
        let zone = time_zone(revision.before.network_id);
        effects.add(Some(&revision.before), &revision.after, zone, now);
    }
    effects.store_entries(transaction).await?;
    effects.store_rollups(transaction).await?;
    Ok(effects.into_events())
}

/// Stores changes; those that are stored already are left as they are.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn store_changes<S: StoreBatch>(transaction: &mut S, changes: &[Change]) -> Result<(), S::Error> {
    transaction.store(&INSERT_CHANGES, changes).await
}
