//! New conversions: each once, those without a parent goal first.

use std::collections::HashMap;

use campaigns::AttributedBy;
use campaigns::Routing;
use chrono::{DateTime, Utc};
use conversions::{Change, Conversion, ConversionKey, Effects};
use schema::batch::{BatchError, Tx};
use schema::{AdvertiserId, CampaignId, GoalId, NetworkId};
use tenancy::affiliates::AffiliateStatus;

use super::claimed::{Claimed, Decided};
use super::error::DecideError;
use super::hold::Hold;
use super::lookups::{self, Existing, Lookups, Parent};
use super::price::{self, NotPriced};
use crate::decide::{Action, status_unknown};
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
    /// Clicks and sums that prices depend on; the sums with the new conversions.
    pub(super) lookups: Lookups,
    routing: &'a Routing,
}

impl<'a> Creating<'a> {
    /// Creates the conversions of these claims.
    pub(super) async fn all(
        tx: Tx<'a>,
        routing: &'a Routing,
        claims: Vec<Claimed>,
        now: DateTime<Utc>,
    ) -> Result<Self, DecideError> {
        let mut creating = Self {
            tx,
            now,
            decided: Vec::new(),
            updates: Vec::new(),
            created: Vec::new(),
            effects: Effects::default(),
            lookups: Lookups::default(),
            routing,
        };
        let mut left = claims;
        while !left.is_empty() {
            let (claims, later) = apart(left);
            creating.round(claims).await?;
            left = later;
            lookups::find_orders(tx, &mut left).await?;
        }
        Ok(creating)
    }

    /// Creates the conversions of claims of which no two may be the same order.
    async fn round(&mut self, claims: Vec<Claimed>) -> Result<(), DecideError> {
        let claims = self.end_counted_elsewhere(claims).await?;
        let (claims, blocked) = self.take_existing(claims).await?;
        let (children, others): (Vec<_>, Vec<_>) =
            claims.into_iter().partition(|claimed| claimed.needs_parent());
        self.lookups.read(self.tx, &others).await?;
        self.create(others, &HashMap::new()).await?;
        let (children, parents) = self.find_parents(children).await?;
        self.lookups.read(self.tx, &children).await?;
        self.create(children, &parents).await?;
        self.end_blocked(blocked).await?;
        Ok(())
    }

    /// Ends claims on new orders that another campaign has, where the advertiser counts an order once.
    async fn end_counted_elsewhere(&mut self, claims: Vec<Claimed>) -> Result<Vec<Claimed>, BatchError> {
        let elsewhere = lookups::elsewhere(self.tx, &claims).await?;
        let (counted, mut left): (Vec<_>, Vec<_>) = claims
            .into_iter()
            .partition(|claimed| elsewhere.contains_key(&claimed.position));
        let existing = lookups::existing(self.tx, &keys(&counted)).await?;
        for claimed in counted {
            match elsewhere.get(&claimed.position) {
                // This campaign has it too, from before the setting: its status must still be able to change.
                Some(id) if !existing.contains_key(&claimed.key()) => {
                    let message = "Another campaign of this advertiser has recorded this order.";
                    let verdict = Verdict::with_message(Reason::DuplicateOrder, message).about(*id);
                    self.decided.push(claimed.end(verdict));
                }
                _ => left.push(claimed),
            }
        }
        left.sort_by_key(|claimed| claimed.position);
        Ok(left)
    }

    /// Takes out claims on conversions that exist, where that matters first: of goals with a parent, and of postbacks that
    /// must not create one. Returns the claims that may create one, and the blocked ones.
    async fn take_existing(
        &mut self,
        claims: Vec<Claimed>,
    ) -> Result<(Vec<Claimed>, Vec<Claimed>), BatchError> {
        let matters = |claimed: &Claimed| {
            let is_other_key = claimed
                .order_id()
                .is_some_and(|order| order != claimed.claim.unique_key);
            claimed.claim.blocks_creation.is_some() || claimed.needs_parent() || is_other_key
        };
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
    fn repeat(&mut self, mut claimed: Claimed, existing: &Existing) {
        claimed.claim.unique_key.clone_from(&existing.key.unique_key);
        // The report of an authenticated sender stands above one that is not.
        let is_better = existing.is_unproven && claimed.postback.is_authenticated;
        if matches!(claimed.claim.action, Action::Upsert { .. }) || is_better {
            self.updates.push(claimed);
        } else if claimed.claim.is_status_unknown {
            let verdict = status_unknown(&claimed.postback.record.postback).about(existing.id);
            self.decided.push(claimed.end(verdict));
        } else {
            let verdict = existing.duplicate(&claimed);
            self.decided.push(claimed.end(verdict));
        }
    }

    /// Creates conversions, each once.
    async fn create(
        &mut self,
        claims: Vec<Claimed>,
        parents: &HashMap<usize, Parent>,
    ) -> Result<(), BatchError> {
        let (mut priced, mut refused) = (Vec::with_capacity(claims.len()), Vec::new());
        for mut claimed in claims {
            let parent = parents.get(&claimed.position).map(|parent| parent.id);
            let mut trace = std::mem::take(&mut claimed.trace);
            let result = price::conversion(&claimed, &mut self.lookups, parent, self.now, &mut trace);
            claimed.trace = trace;
            match result {
                Ok(made) => priced.push((claimed.key(), claimed, made)),
                Err(NotPriced::Verdict(verdict)) => refused.push((claimed, verdict)),
                Err(NotPriced::WaitForClick) => {
                    let hold = Hold::for_click(&claimed.postback, self.now);
                    self.decided.push(claimed.hold(hold));
                }
            }
        }
        // Sorted, so that two nodes wait for each other in the same order; stable, so that the earlier of twins is first.
        priced.sort_by(|(key, ..), (other, ..)| key.cmp(other));
        let (mut reports, mut conversions) = (Vec::new(), Vec::with_capacity(priced.len()));
        for (_, claimed, made) in priced {
            reports.push((claimed, made.report));
            conversions.push(made.conversion);
        }
        let mut inserted = conversions::insert(self.tx, &conversions).await?;
        let mut history: Vec<Change> = Vec::new();
        let mut repeated = Vec::new();
        for ((claimed, report), conversion) in reports.into_iter().zip(conversions) {
            // Removed: the same postback twice in a batch is not two conversions.
            if !inserted.remove(&conversion.id) {
                repeated.push(claimed);
                continue;
            }
            self.effects.add(None, &conversion, &report, self.now);
            if report.is_more_than_its_conversion() {
                history.push(report);
            }
            let verdict = price::verdict(&claimed, &self.lookups, &conversion);
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
        let keys: Vec<ConversionKey> = refused.iter().map(|(claimed, _)| claimed.key()).collect();
        let existing = lookups::existing(self.tx, &keys).await?;
        for (claimed, verdict) in refused {
            match existing.get(&claimed.key()) {
                // The terms of a new conversion do not matter to one that exists.
                Some(found) => self.repeat(claimed, found),
                None => self.decided.push(claimed.end(verdict)),
            }
        }
        Ok(())
    }

    /// Finds the parents of claims that need one. A claim without one is held, or rejected if it is overdue. A customer's
    /// conversion belongs to the affiliate of its parent.
    async fn find_parents(
        &mut self,
        claims: Vec<Claimed>,
    ) -> Result<(Vec<Claimed>, HashMap<usize, Parent>), DecideError> {
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
                let verdict = Verdict::of(Reason::ParentExhausted).about(parent.id);
                self.decided.push(claimed.end(verdict));
                continue;
            }
            claimed.trace.pass("parent", format!("{} came before", parent.id));
            let attribution = &mut claimed.postback.attribution;
            if attribution.by == AttributedBy::Customer && attribution.link_id != parent.link_id {
                let network = claimed.postback.network.id;
                if let Some(route) = self.routing.route(network, parent.link_id).await? {
                    attribution.link_id = parent.link_id;
                    attribution.click = parent.click_id;
                    claimed.postback.route = route;
                    claimed
                        .trace
                        .note("parent", "its affiliate gets this conversion too");
                }
            }
            if claimed.postback.route.affiliate.status == AffiliateStatus::Blocked {
                let verdict = Verdict::of(Reason::AffiliateBlocked).about(parent.id);
                self.decided.push(claimed.end(verdict));
                continue;
            }
            ready.push(claimed);
        }
        Ok((ready, parents))
    }
}

/// Takes claims apart that may be the same order under different keys, or in different campaigns of an advertiser that counts
/// an order once: all but the first one's are decided after it.
fn apart(claims: Vec<Claimed>) -> (Vec<Claimed>, Vec<Claimed>) {
    let mut keys: HashMap<(NetworkId, GoalId, String), String> = HashMap::new();
    let mut campaigns: HashMap<(AdvertiserId, String), CampaignId> = HashMap::new();
    claims.into_iter().partition(|claimed| {
        let is_first_key = claimed.order_under_other_key().is_none_or(|order| {
            let ConversionKey {
                network_id,
                goal_id,
                unique_key,
            } = claimed.key();
            let order = (network_id, goal_id, order.to_owned());
            *keys.entry(order).or_insert(unique_key.clone()) == unique_key
        });
        let order = claimed.order_id().filter(|_| claimed.counts_order_once());
        let is_first_campaign = order.is_none_or(|order| {
            let campaign = claimed.postback.route.campaign().id;
            let order = (claimed.postback.advertiser_id, order.to_owned());
            *campaigns.entry(order).or_insert(campaign) == campaign
        });
        is_first_key && is_first_campaign
    })
}

fn keys(claims: &[Claimed]) -> Vec<ConversionKey> {
    claims.iter().map(|claimed| claimed.key()).collect()
}
