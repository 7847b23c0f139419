//! New conversions: each once, those without a parent goal first.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use conversions::{Change, Conversion, ConversionKey, Effects};
use schema::ConversionId;
use schema::batch::{BatchError, Tx};

use super::claimed::{Claimed, Decided};
use super::hold::Hold;
use super::lookups::{self, Existing, Lookups};
use super::price::{self, NotPriced};
use crate::decide::Action;
use crate::verdict::{Reason, Verdict};

/// Claims that create conversions, while they are worked on: a claim leaves by being decided, or as an update.
pub(super) struct Creating<'a> {
    tx: Tx<'a>,
    now: DateTime<Utc>,
    /// Ended claims.
    pub(super) decided: Vec<Decided>,
    /// Claims on conversions that exist, which are to be updated.
    pub(super) updates: Vec<Claimed>,
    /// New conversions.
    pub(super) created: Vec<Conversion>,
    /// Effects of the new conversions, to be stored.
    pub(super) effects: Effects,
}

impl<'a> Creating<'a> {
    /// Creates the conversions of these claims.
    pub(super) async fn all(
        tx: Tx<'a>,
        claims: Vec<Claimed>,
        now: DateTime<Utc>,
    ) -> Result<Self, BatchError> {
        let mut creating = Self {
            tx,
            now,
            decided: Vec::new(),
            updates: Vec::new(),
            created: Vec::new(),
            effects: Effects::default(),
        };
        let (claims, blocked) = creating.take_existing(claims).await?;
        let mut lookups = Lookups::of(tx, &claims).await?;
        let (children, others): (Vec<_>, Vec<_>) =
            claims.into_iter().partition(|claimed| claimed.needs_parent());
        creating.create(&mut lookups, others, &HashMap::new()).await?;
        let (children, parents) = creating.find_parents(children).await?;
        creating.create(&mut lookups, children, &parents).await?;
        creating.end_blocked(blocked).await?;
        Ok(creating)
    }

    /// Takes out claims on conversions that exist, where that matters first: of goals with a parent, and of postbacks that
    /// must not create one. Returns the claims that may create one, and the blocked ones.
    async fn take_existing(
        &mut self,
        claims: Vec<Claimed>,
    ) -> Result<(Vec<Claimed>, Vec<Claimed>), BatchError> {
        let matters = |claimed: &Claimed| claimed.claim.blocks_creation.is_some() || claimed.needs_parent();
        let (unsure, mut creating): (Vec<_>, Vec<_>) = claims.into_iter().partition(matters);
        let existing = lookups::existing(self.tx, &keys(&unsure)).await?;
        let mut blocked = Vec::new();
        for claimed in unsure {
            if let Some(found) = existing.get(&claimed.key()) {
                self.repeat(claimed, found);
            } else if claimed.claim.blocks_creation.is_some() {
                blocked.push(claimed);
            } else {
                creating.push(claimed);
            }
        }
        creating.sort_by_key(|claimed| claimed.position);
        Ok((creating, blocked))
    }

    /// Ends blocked claims, unless their conversion was created in this batch.
    async fn end_blocked(&mut self, blocked: Vec<Claimed>) -> Result<(), BatchError> {
        let existing = lookups::existing(self.tx, &keys(&blocked)).await?;
        for mut claimed in blocked {
            if let Some(found) = existing.get(&claimed.key()) {
                self.repeat(claimed, found);
                continue;
            }
            let verdict = claimed.claim.blocks_creation.take();
            let verdict = verdict.unwrap_or_else(|| Verdict::of(Reason::ConversionNotFound));
            self.decided.push(claimed.end(verdict));
        }
        Ok(())
    }

    /// Ends a claim on a conversion that exists as a duplicate, unless it updates it.
    fn repeat(&mut self, claimed: Claimed, existing: &Existing) {
        if matches!(claimed.claim.action, Action::Upsert { .. }) {
            self.updates.push(claimed);
        } else {
            let verdict = existing.duplicate(&claimed);
            self.decided.push(claimed.end(verdict));
        }
    }

    /// Creates conversions, each once.
    async fn create(
        &mut self,
        lookups: &mut Lookups,
        claims: Vec<Claimed>,
        parents: &HashMap<usize, ConversionId>,
    ) -> Result<(), BatchError> {
        let mut priced = Vec::with_capacity(claims.len());
        for mut claimed in claims {
            let parent = parents.get(&claimed.position).copied();
            let mut trace = std::mem::take(&mut claimed.trace);
            let result = price::conversion(&claimed, lookups, parent, self.now, &mut trace);
            claimed.trace = trace;
            match result {
                Ok(conversion) => priced.push((claimed.key(), claimed, conversion)),
                Err(NotPriced::Verdict(verdict)) => self.decided.push(claimed.end(verdict)),
                Err(NotPriced::WaitForClick) => {
                    let hold = Hold::for_click(&claimed.postback, self.now);
                    self.decided.push(claimed.hold(hold));
                }
            }
        }
        // Sorted, so that two nodes wait for each other in the same order; stable, so that the earlier of twins is first.
        priced.sort_by(|(key, ..), (other, ..)| key.cmp(other));
        let (claims, conversions): (Vec<_>, Vec<_>) = priced
            .into_iter()
            .map(|(_, claimed, conversion)| (claimed, conversion))
            .unzip();
        let mut inserted = conversions::insert(self.tx, &conversions).await?;
        let mut history: Vec<Change> = Vec::new();
        let mut repeated = Vec::new();
        for (claimed, conversion) in claims.into_iter().zip(conversions) {
            // Removed: the same postback twice in a batch is not two conversions.
            if !inserted.remove(&conversion.id) {
                repeated.push(claimed);
                continue;
            }
            history.extend(price::history(&claimed, &conversion));
            let (zone, at) = (claimed.postback.time_zone(), conversion.converted_at);
            self.effects.add(None, &conversion, zone, at);
            let verdict = price::verdict(&claimed, lookups, &conversion);
            self.decided.push(claimed.end(verdict));
            self.created.push(conversion);
        }
        conversions::store_changes(&mut { self.tx }, &history).await?;
        let existing = lookups::existing(self.tx, &keys(&repeated)).await?;
        for claimed in repeated {
            let found = existing.get(&claimed.key());
            let gone = || BatchError::Invalid("the first conversion of a duplicate is gone".to_owned());
            self.repeat(claimed, found.ok_or_else(gone)?);
        }
        Ok(())
    }

    /// Finds the parents of claims that need one. A claim without one is held, or rejected if it is overdue.
    async fn find_parents(
        &mut self,
        claims: Vec<Claimed>,
    ) -> Result<(Vec<Claimed>, HashMap<usize, ConversionId>), BatchError> {
        let parents = lookups::parents(self.tx, &claims).await?;
        let exhausted = lookups::exhausted(self.tx, &claims, &parents).await?;
        let mut ready = Vec::with_capacity(claims.len());
        for mut claimed in claims {
            let Some(parent) = parents.get(&claimed.position).copied() else {
                let hold = |claimed: &Claimed| Hold::for_parent(&claimed.postback, &claimed.claim);
                self.decided
                    .push(claimed.hold_unless_overdue(hold, Reason::ParentMissing));
                continue;
            };
            if exhausted.contains(&claimed.position) {
                let verdict = Verdict::of(Reason::ParentExhausted).about(parent);
                self.decided.push(claimed.end(verdict));
                continue;
            }
            claimed.trace.pass("parent", format!("{parent} came before"));
            ready.push(claimed);
        }
        Ok((ready, parents))
    }
}

fn keys(claims: &[Claimed]) -> Vec<ConversionKey> {
    claims.iter().map(|claimed| claimed.key()).collect()
}
