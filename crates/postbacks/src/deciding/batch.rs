//! Decision of a batch of postbacks, from attribution to storage.

use chrono::{DateTime, Utc};
use conversions::{Conversion, Effects, Event};
use futures_util::try_join;
use schema::batch::{BatchError, Tx};
use schema::{Currency, PostbackId, clock};

use super::claimed::{Claimed, Decided, Ending};
use super::create::Creating;
use super::error::DecideError;
use super::{contradicted, held, lookups, store, sums, test_conversions, update};
use crate::attribution::EarlierConversions;
use crate::authenticate::Authenticator;
use crate::received::{Origin, Received};
use crate::verdict::Reply;

/// Maximum depth of chained releases per transaction; the next sweep continues longer chains.
const RELEASE_DEPTH: usize = 6;

/// Outcome of a postback.
pub struct Outcome {
    /// Receipt.
    pub id: PostbackId,
    /// Reply to the sender.
    pub reply: Reply,
    /// Commission and revenue in micro-units, and currency, of the conversion that a held or replayed postback made.
    pub(super) made: Option<(i64, i64, Currency)>,
}

/// Decides postbacks, and those that waited for their conversions, and stores everything that follows. Returns the
/// outcomes of the given ones, and all events.
///
/// # Errors
/// [`DecideError`]; the transaction must be rolled back then.
#[tracing::instrument(level = "debug", skip_all, fields(postbacks = received.len()))]
pub async fn decide_all(
    tx: Tx<'_>,
    authenticator: &Authenticator,
    received: Vec<Received>,
) -> Result<(Vec<Outcome>, Vec<Event>), DecideError> {
    let (outcomes, mut events, mut released) = decide_batch(tx, authenticator, received).await?;
    for _ in 0..RELEASE_DEPTH {
        if released.is_empty() {
            break;
        }
        // A held postback must not stop new ones: if it cannot be decided, it stays held until the next sweep.
        match decide_batch(tx, authenticator, released).await {
            Ok((_, more, next)) => {
                events.extend(more);
                released = next;
            }
            Err(error) if error.is_invalid_data() => {
                tracing::error!(%error, "held postbacks could not be decided; they stay held");
                tx.run("ROLLBACK TO SAVEPOINT released").await?;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok((outcomes, events))
}

/// Decides one batch. Returns the outcomes, the events, and the postbacks that waited for the new conversions: they are
/// taken behind a savepoint, to which the caller returns if they cannot be decided.
async fn decide_batch(
    tx: Tx<'_>,
    authenticator: &Authenticator,
    received: Vec<Received>,
) -> Result<(Vec<Outcome>, Vec<Event>, Vec<Received>), DecideError> {
    let now = clock::now();
    let earlier = EarlierConversions {
        of_customers: lookups::customers(tx, authenticator, &received).await?,
        of_orders: lookups::orders(tx, &received).await?,
    };
    let (mut decided, mut claims) = (Vec::new(), Vec::with_capacity(received.len()));
    for (position, postback) in received.into_iter().enumerate() {
        // The network of a postback may be deleted, and then no user can see it.
        let Some(attempt) = authenticator.attribute(&earlier, postback).await? else {
            continue;
        };
        match Claimed::of(attempt, position) {
            Ok(claimed) => match claimed.answered_rejection() {
                Some(verdict) => decided.push(claimed.end(verdict)),
                None => claims.push(claimed),
            },
            Err(ended) => decided.push(ended.with_answered_rejection()),
        }
    }
    let routing = authenticator.routing();
    for claimed in &mut claims {
        let (network, goal) = (claimed.postback.network.id, claimed.claim.goal.id);
        let at = claimed.order_time();
        if at < claimed.postback.route.promotion.rules_since {
            claimed.former_rules = Some(routing.rules_at(network, goal, at).await?);
        }
    }
    let (tests, mut claims): (Vec<_>, Vec<_>) =
        claims.into_iter().partition(|claimed| claimed.postback.is_test());
    sums::lock(tx, &claims).await?;
    lookups::find_orders(tx, &mut claims).await?;
    decided.extend(test_conversions::decide(tx, tests, now).await?);
    let (creations, updates): (Vec<_>, Vec<_>) = claims
        .into_iter()
        .partition(|claimed| claimed.claim.action.creates());
    let mut created = Creating::all(tx, routing, creations, now).await?;
    decided.append(&mut created.decided);
    created.updates.extend(updates);
    if !created.created.is_empty() {
        // What they update may just have been created, under another key.
        lookups::find_orders(tx, &mut created.updates).await?;
    }
    let (updated, update_events) = update::update(tx, created.updates, created.lookups.ledger, now).await?;
    decided.extend(updated);
    let released = store_all(tx, &created.created, &created.effects, &decided, now).await?;
    let outcomes = outcomes(&decided, &created.created);
    let mut events = created.effects.into_events();
    events.extend(update_events);
    Ok((outcomes, events, released))
}

/// Stores what follows from the decisions, and takes the postbacks that waited for the new conversions. The statements do
/// not depend on each other: all are sent before the first is answered, and Postgres works while the next is encoded.
async fn store_all(
    tx: Tx<'_>,
    created: &[Conversion],
    effects: &Effects,
    decided: &[Decided],
    now: DateTime<Utc>,
) -> Result<Vec<Received>, BatchError> {
    let (mut entries, mut rollups, mut events) = (tx, tx, tx);
    let (.., are_waiting) = try_join!(
        effects.store_entries(&mut entries),
        effects.store_rollups(&mut rollups),
        effects.store_events(&mut events),
        held::insert(tx, decided),
        store::store(tx, decided, now),
        contradicted::store(tx, decided, now),
        held::are_waiting(tx, created),
    )?;
    // Those of this batch may be stored after the look.
    let holds = || {
        decided
            .iter()
            .any(|decided| matches!(decided.ending, Ending::Hold(_)))
    };
    if created.is_empty() || !are_waiting && !holds() {
        return Ok(Vec::new());
    }
    // Behind everything else, so that a return to the savepoint takes nothing else back.
    let ((), released) = try_join!(tx.run("SAVEPOINT released"), held::release(tx, created))?;
    Ok(released)
}

fn outcomes(decided: &[Decided], created: &[Conversion]) -> Vec<Outcome> {
    let made = |id: PostbackId| {
        let conversion = created.iter().find(|conversion| conversion.postback_id == id)?;
        Some((
            conversion.commission_micros,
            conversion.revenue_micros,
            conversion.currency,
        ))
    };
    let outcome = |decided: &Decided| Outcome {
        id: decided.findings.record.id,
        reply: decided.reply(),
        made: match decided.findings.origin {
            // Unused for new ones, which are many.
            Origin::Journal => None,
            Origin::Held | Origin::Overdue | Origin::Replay => made(decided.findings.record.id),
        },
    };
    decided.iter().map(outcome).collect()
}

/// Approves pending conversions of all networks whose hold period is over. Returns the events.
///
/// # Errors
/// Returns an error if the database fails.
#[tracing::instrument(level = "debug", skip_all)]
pub(super) async fn approve_due(tx: Tx<'_>, now: DateTime<Utc>) -> Result<Vec<Event>, DecideError> {
    let due = conversions::due(tx, now).await?;
    Ok(conversions::store(&mut { tx }, due, now).await?)
}
