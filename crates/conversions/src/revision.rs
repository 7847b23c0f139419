//! Revision of a conversion: locked with its history, changed, stored with all that follows.

use std::collections::HashMap;
use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use schema::batch::{BatchError, ReadRow, Row, StoreBatch, Tx};
use schema::{AffiliateId, ClickKey, ConversionId, GoalId, LinkId, NetworkId};
use uuid::Uuid;

use crate::changes::{Change, Source};
use crate::conversion::{Conversion, ConversionStatus, ReviewBecause};
use crate::effects::Effects;
use crate::events::Event;
use crate::outcome::{Outcome, outcome};
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
    struct Update(bind) {
        network_id: NetworkId,
        id: ConversionId,
        affiliate_id: AffiliateId,
        link_id: LinkId,
        click_id: Option<ClickKey>,
        status: ConversionStatus,
        amount_micros: Option<i64>,
        commission_micros: i64,
        revenue_micros: i64,
        hold_until: Option<DateTime<Utc>>,
        review_because: Option<ReviewBecause>,
        version: i32,
        changed_at: DateTime<Utc>,
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
static UPDATE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE conversions c SET {}, visit = CASE WHEN c.click_id = k.click_id THEN c.visit END
         FROM {} WHERE c.network_id = k.network_id AND c.id = k.id",
        Update::assignments(2),
        Update::unnest()
    )
});
static LOCK_CHILDREN: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {} FROM {} JOIN conversions c ON c.network_id = k.network_id AND c.parent_id = k.conversion_id
         ORDER BY c.network_id, c.id FOR UPDATE OF c",
        Conversion::columns_of("c"),
        HistoryKey::unnest()
    )
});
static INSERT_CHANGES: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} ON CONFLICT DO NOTHING",
        Change::insert_into("conversion_changes")
    )
});

/// Statements of the appliers by name, so that a test can check their plans.
#[must_use]
pub fn applier_statements() -> [(&'static str, &'static str); 7] {
    [
        ("lock conversions", &LOCK),
        ("lock those on hold", &LOCK_DUE),
        ("lock children", &LOCK_CHILDREN),
        ("read changes", &HISTORY),
        ("update conversions", &UPDATE),
        ("move rollups", &crate::rollups::UPSERT),
        ("store events", &crate::events::INSERT),
    ]
}

/// A conversion while changes are added to its history.
#[derive(Debug, Clone)]
pub struct Revision {
    before: Conversion,
    after: Conversion,
    /// Terms that the conversion was made with.
    pricing: Pricing,
    history: Vec<Change>,
    /// Number of changes that are stored.
    stored: usize,
    /// States after each change that was added.
    steps: Vec<Step>,
}

/// A change with the states before and after it.
#[derive(Debug, Clone)]
struct Step {
    change: Change,
    before: Conversion,
    after: Conversion,
}

impl Revision {
    /// Begins with a locked conversion and its stored history; a conversion without one begins with its report.
    ///
    /// # Errors
    /// Returns an error if the stored terms of the conversion cannot be parsed.
    pub fn new(conversion: Conversion, mut history: Vec<Change>) -> Result<Self, serde_json::Error> {
        let mut pricing = conversion.pricing()?;
        // Terms of conversions of older versions do not contain it.
        pricing.hold_until = pricing.hold_until.or(conversion.hold_until);
        let stored = history.len();
        if !history.iter().any(|change| change.source == Source::Report) {
            history.insert(0, Change::report(&conversion, !pricing.is_unproven));
        }
        Ok(Self {
            pricing,
            after: conversion.clone(),
            before: conversion,
            history,
            stored,
            steps: Vec::new(),
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

    /// Terms that the conversion was made with.
    #[must_use]
    pub fn pricing(&self) -> &Pricing {
        &self.pricing
    }

    /// All changes, those that were added last.
    #[must_use]
    pub fn history(&self) -> &[Change] {
        &self.history
    }

    /// Report that made the conversion.
    #[must_use]
    pub fn report(&self) -> Option<&Change> {
        self.history.iter().find(|change| change.source == Source::Report)
    }

    /// A user's decision on the status that is in force.
    #[must_use]
    pub fn decision_of_user(&self) -> Option<ConversionStatus> {
        let is_undone = |change: &Change| self.history.iter().any(|undo| undo.undoes == Some(change.id));
        let decisions = self.history.iter().filter(|change| {
            change.source == Source::Person
                && (change.status.is_some() || change.is_released)
                && !is_undone(change)
        });
        decisions.max_by_key(|change| change.arrival())?.status
    }

    /// Moment for a change that comes after all others: now, unless another node's clock is ahead.
    #[must_use]
    pub fn next_moment(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let last = self.history.iter().map(|change| change.changed_at).max();
        last.map_or(now, |last| now.max(last + TimeDelta::microseconds(1)))
    }

    /// State that would follow from one more change.
    #[must_use]
    pub fn with(&self, change: &Change) -> Outcome {
        let mut history = self.history.clone();
        history.push(change.clone());
        outcome(&history, &self.pricing, self.after.currency)
    }

    /// Adds a change to the history and derives the conversion from it.
    pub fn add(&mut self, change: Change) {
        let before = self.after.clone();
        self.history.push(change.clone());
        let outcome = outcome(&self.history, &self.pricing, self.after.currency);
        outcome.apply_to(&mut self.after);
        self.after.version += 1;
        self.after.changed_at = change.changed_at;
        let after = self.after.clone();
        self.steps.push(Step {
            change,
            before,
            after,
        });
    }

    /// Changes that are not stored yet; the report only if the conversion does not have its values any more.
    fn fresh(&self) -> Vec<&Change> {
        let is_report = |change: &&Change| change.source == Source::Report;
        let is_stored = self.stored == self.history.len() - self.steps.len();
        let report = self.report().filter(|_| !is_stored && !self.steps.is_empty());
        let added = self.steps.iter().map(|step| &step.change);
        report.into_iter().filter(is_report).chain(added).collect()
    }

    /// Its id, if it stopped counting or counts again, which its children follow.
    #[must_use]
    pub(crate) fn moved_parent(&self) -> Option<ConversionId> {
        (self.before.status.counts() != self.after.status.counts()).then_some(self.before.id)
    }

    /// Puts it into review because its parent stopped counting, or takes that back because the parent counts again.
    fn follow_parent(&mut self, parent_counts: bool, now: DateTime<Utc>) {
        let is_undone = |change: &Change| self.history.iter().any(|undo| undo.undoes == Some(change.id));
        let falls = self.history.iter().filter(|change| {
            change.source == Source::Parent && change.undoes.is_none() && !is_undone(change)
        });
        let falls: Vec<Uuid> = falls.map(|change| change.id).collect();
        if parent_counts {
            for fall in falls {
                self.add(Change {
                    undoes: Some(fall),
                    ..Change::of(&self.before, Source::Parent, self.next_moment(now))
                });
            }
        } else if falls.is_empty() {
            self.add(Change::of(&self.before, Source::Parent, self.next_moment(now)));
        }
    }

    fn update(&self) -> Update {
        let after = &self.after;
        Update {
            network_id: after.network_id,
            id: after.id,
            affiliate_id: after.affiliate_id,
            link_id: after.link_id,
            click_id: after.click_id,
            status: after.status,
            amount_micros: after.amount_micros,
            commission_micros: after.commission_micros,
            revenue_micros: after.revenue_micros,
            hold_until: after.hold_until,
            review_because: after.review_because,
            version: after.version,
            changed_at: after.changed_at,
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
        let approval = Change::of(&revision.before, Source::Hold, now);
        revision.add(approval);
    }
    Ok(due)
}

/// Lets the children of revised conversions follow them: into review if the parent stopped counting, out of it if it
/// counts again. Adds their revisions.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn follow_parents(
    tx: Tx<'_>,
    revisions: &mut Vec<Revision>,
    now: DateTime<Utc>,
) -> Result<(), BatchError> {
    let parents = revisions
        .iter()
        .filter(|revision| revision.moved_parent().is_some());
    let parents: Vec<HistoryKey> = parents.map(|revision| history_key(&revision.before)).collect();
    let rows = tx.query_batch(&LOCK_CHILDREN, &parents).await?;
    for child in read(tx, &rows).await? {
        follow(revisions, child, now);
    }
    Ok(())
}

/// Lets a locked child follow its parent, which is one of these revisions; the child may be one of them too.
pub(crate) fn follow(revisions: &mut Vec<Revision>, child: Revision, now: DateTime<Utc>) {
    let parent = revisions
        .iter()
        .find(|known| Some(known.before.id) == child.before.parent_id);
    let Some(counts) = parent.map(|parent| parent.after.status.counts()) else {
        return;
    };
    match revisions
        .iter_mut()
        .find(|known| known.before.id == child.before.id)
    {
        Some(known) => known.follow_parent(counts, now),
        None => {
            let mut child = child;
            child.follow_parent(counts, now);
            revisions.push(child);
        }
    }
}

fn history_key(conversion: &Conversion) -> HistoryKey {
    HistoryKey {
        network_id: conversion.network_id,
        conversion_id: conversion.id,
    }
}

async fn read(tx: Tx<'_>, rows: &[tokio_postgres::Row]) -> Result<Vec<Revision>, BatchError> {
    let conversions: Vec<Conversion> = rows.iter().map(Conversion::read).collect::<Result<_, _>>()?;
    let keys: Vec<HistoryKey> = conversions.iter().map(history_key).collect();
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

/// Stores revisions with their fresh changes, ledger entries and rollup moves; returns the events.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn store<S: StoreBatch>(
    transaction: &mut S,
    mut revisions: Vec<Revision>,
    now: DateTime<Utc>,
) -> Result<Vec<Event>, S::Error> {
    revisions.sort_by_key(|revision| (revision.before.network_id, revision.before.id));
    revisions.retain(|revision| !revision.steps.is_empty());
    let fresh: Vec<Change> = revisions.iter().flat_map(Revision::fresh).cloned().collect();
    store_changes(transaction, &fresh).await?;
    let updates: Vec<Update> = revisions.iter().map(Revision::update).collect();
    transaction.store(&UPDATE, &updates).await?;
    let mut effects = Effects::default();
    for revision in &revisions {
        for step in &revision.steps {
            effects.add(Some(&step.before), &step.after, &step.change, now);
        }
    }
    effects.store_entries(transaction).await?;
    effects.store_rollups(transaction).await?;
    effects.store_events(transaction).await?;
    Ok(effects.into_events())
}

/// Stores changes; those that are stored already are left as they are.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn store_changes<S: StoreBatch>(transaction: &mut S, changes: &[Change]) -> Result<(), S::Error> {
    transaction.store(&INSERT_CHANGES, changes).await
}
