//! Sums that caps and tiers depend on: exact over all nodes, because a decision locks the campaigns whose sums it needs.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use campaigns::Route;
use campaigns::caps::{Cap, CapPeriod, Metric};
use chrono::{DateTime, Utc};
use conversions::{Conversion, ConversionKey};
use schema::batch::{self, BatchError, Row, Tx};
use schema::{AffiliateId, CampaignId, Currency, GoalId, NetworkId};

use super::claimed::Claimed;
use super::lookups::existing;

schema::row! {
    /// Sum of the paid conversions of a campaign, of one affiliate or goal if given, over a period.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    struct SumKey() {
        network_id: NetworkId,
        campaign_id: CampaignId,
        affiliate_id: Option<AffiliateId>,
        goal_id: Option<GoalId>,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
        currency: Currency,
    }
}

schema::row! {
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    struct LockKey() { network_id: NetworkId, number: i32 }
}

/// Locks until the end of the transaction, in order of the keys, so that two nodes cannot wait for each other.
static LOCK: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT pg_advisory_xact_lock(k.network_id, k.number) FROM {}",
        LockKey::unnest()
    )
});
static SUMS: LazyLock<String> = LazyLock::new(|| {
    let saturated = |sum: &str| format!("least(coalesce({sum}, 0), 9223372036854775807)::bigint");
    format!(
        "SELECT k.position, {}, {}, {}
     FROM {}
     LEFT JOIN conversion_rollups r ON r.network_id = k.network_id AND r.quarter_hour >= k.since
        AND r.quarter_hour < k.until
        AND r.campaign_id = k.campaign_id
        AND (k.affiliate_id IS NULL OR r.affiliate_id = k.affiliate_id) AND (k.goal_id IS NULL OR r.goal_id = k.goal_id)
        AND r.status IN ('pending', 'approved')
     GROUP BY k.position",
        saturated("sum(r.paid)"),
        saturated("sum(r.commission_micros) FILTER (WHERE r.currency = k.currency)"),
        saturated("sum(r.revenue_micros) FILTER (WHERE r.currency = k.currency)"),
        SumKey::unnest_with_position()
    )
});

/// Statement that reads the sums.
pub(super) fn statement() -> &'static str {
    &SUMS
}

/// Paid conversions, their commission and their revenue in micro-units: a sum, or what a change adds to it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    conversions: i64,
    commission: i64,
    revenue: i64,
}

impl Sums {
    fn of(conversion: &Conversion) -> Self {
        if !conversion.is_paid() {
            return Self::default();
        }
        Self {
            conversions: 1,
            commission: conversion.commission_micros,
            revenue: conversion.revenue_micros,
        }
    }

    fn metric(self, metric: Metric) -> i64 {
        match metric {
            Metric::Clicks => 0,
            Metric::Conversions => self.conversions,
            Metric::Commission => self.commission,
            Metric::Revenue => self.revenue,
        }
    }
}

/// Conversion to be counted: its campaign's caps, and the moment by which it belongs to a period.
#[derive(Clone, Copy)]
pub(super) struct Counted<'a> {
    claimed: &'a Claimed,
    affiliate_id: AffiliateId,
    goal_id: GoalId,
    at: DateTime<Utc>,
    currency: Currency,
}

impl<'a> Counted<'a> {
    /// New conversion of a claim.
    pub(super) fn new(claimed: &'a Claimed) -> Self {
        Self {
            claimed,
            affiliate_id: claimed.postback.route.affiliate_id,
            goal_id: claimed.claim.goal.id,
            at: claimed.received_at(),
            currency: claimed.claim.currency,
        }
    }

    /// Conversion that a claim changes.
    pub(super) fn changed(claimed: &'a Claimed, conversion: &Conversion) -> Self {
        Self {
            affiliate_id: conversion.affiliate_id,
            goal_id: conversion.goal_id,
            at: conversion.converted_at,
            currency: conversion.currency,
            ..Self::new(claimed)
        }
    }

    fn route(self) -> &'a Route {
        &self.claimed.postback.route
    }

    /// Caps that may refuse it.
    fn caps(self) -> impl Iterator<Item = &'a Cap> {
        let caps = self.route().promotion.caps.iter();
        caps.filter(move |cap| cap.metric != Metric::Clicks && cap.concerns(self.affiliate_id))
    }

    fn ours(self) -> Currency {
        self.route().campaign().currency
    }

    fn has_tiers(self) -> bool {
        let mut rules = self.claimed.rules();
        rules.any(|rule| rule.settings.conditions.month_from.is_some())
    }

    /// Sum that tiers depend on; `None` if the goal has no tiers.
    fn month_key(self) -> Option<SumKey> {
        self.has_tiers().then(|| SumKey {
            affiliate_id: Some(self.affiliate_id),
            goal_id: Some(self.goal_id),
            ..self.key(CapPeriod::Month, self.ours())
        })
    }

    fn cap_key(self, cap: &Cap) -> SumKey {
        SumKey {
            campaign_id: cap.campaign_id,
            affiliate_id: cap.affiliate_id,
            ..self.key(cap.period, cap.currency.unwrap_or(self.ours()))
        }
    }

    fn key(self, period: CapPeriod, currency: Currency) -> SumKey {
        let (since, until) = period.range(self.claimed.postback.time_zone(), self.at);
        SumKey {
            network_id: self.claimed.postback.network.id,
            campaign_id: self.route().campaign().id,
            affiliate_id: None,
            goal_id: None,
            since,
            until,
            currency,
        }
    }

    /// Sums that it depends on, each once: two caps may depend on the same one.
    fn keys(self) -> BTreeSet<SumKey> {
        self.caps()
            .map(|cap| self.cap_key(cap))
            .chain(self.month_key())
            .collect()
    }

    /// True if a cap limits money, but none the money of its currency.
    pub(super) fn is_in_uncapped_currency(self) -> bool {
        let limits_money = |cap: &&Cap| matches!(cap.metric, Metric::Commission | Metric::Revenue);
        let mut currencies = self
            .caps()
            .filter(limits_money)
            .map(|cap| cap.currency.unwrap_or(self.ours()))
            .peekable();
        currencies.peek().is_some() && !currencies.any(|currency| currency == self.currency)
    }
}

/// Locks what must be decided one after the other: the sums of campaigns with caps or tiers, the orders of goals that do not
/// deduplicate by them, and the orders of advertisers that count an order once for all campaigns.
pub(super) async fn lock(tx: Tx<'_>, claims: &[Claimed]) -> Result<(), BatchError> {
    let mut keys = BTreeSet::new();
    for claimed in claims.iter().filter(|claimed| !claimed.postback.is_test()) {
        let route = &claimed.postback.route;
        let mut lock = |number: i32| {
            keys.insert(LockKey {
                network_id: claimed.postback.network.id,
                number,
            });
        };
        // Those of other affiliates too: a customer's conversion may belong to the affiliate of its parent.
        let is_capped = route
            .promotion
            .caps
            .iter()
            .any(|cap| cap.metric != Metric::Clicks);
        if is_capped || Counted::new(claimed).has_tiers() {
            lock(route.campaign().id.0);
        }
        if let Some(order) = claimed.order_under_other_key() {
            lock(hash(claimed.claim.goal.id.0, order));
        }
        if claimed.counts_order_once()
            && let Some(order) = claimed.order_id()
        {
            lock(hash(claimed.postback.advertiser_id.0, order));
        }
    }
    let keys: Vec<LockKey> = keys.into_iter().collect();
    tx.query_batch(&LOCK, &keys).await?;
    Ok(())
}

/// Number of an order of an advertiser or goal. Two orders with the same one merely wait for each other. (FNV-1a)
fn hash(owner: i32, order: &str) -> i32 {
    let bytes = owner.to_le_bytes().into_iter().chain(order.bytes());
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash.cast_signed()
}

/// Sums of paid conversions, read once per batch and kept up to date in it.
#[derive(Default)]
pub(super) struct Ledger {
    sums: HashMap<SumKey, Sums>,
    /// Keys of conversions that the sums contain.
    counted: HashSet<ConversionKey>,
}

impl Ledger {
    /// Reads the sums that new conversions of these claims depend on, and that are not known yet.
    pub(super) async fn add_new(&mut self, tx: Tx<'_>, claims: &[Claimed]) -> Result<(), BatchError> {
        let concerned: Vec<_> = claims
            .iter()
            .filter(|claimed| !Counted::new(claimed).keys().is_empty())
            .collect();
        if concerned.is_empty() {
            return Ok(());
        }
        let keys: Vec<ConversionKey> = concerned.iter().map(|claimed| claimed.key()).collect();
        self.counted.extend(existing(tx, &keys).await?.into_keys());
        self.add(tx, concerned.into_iter().map(Counted::new)).await
    }

    /// Reads the sums of these conversions that are not known yet.
    pub(super) async fn add<'a>(
        &mut self,
        tx: Tx<'_>,
        counted: impl Iterator<Item = Counted<'a>>,
    ) -> Result<(), BatchError> {
        let wanted = counted.flat_map(Counted::keys);
        let wanted = wanted.filter(|key| !self.sums.contains_key(key)).collect();
        self.read(tx, wanted).await
    }

    async fn read(&mut self, tx: Tx<'_>, wanted: BTreeSet<SumKey>) -> Result<(), BatchError> {
        let wanted: Vec<SumKey> = wanted.into_iter().collect();
        for row in &tx.query_batch(&SUMS, &wanted).await? {
            let sums = Sums {
                conversions: batch::read(row, 1)?,
                commission: batch::read(row, 2)?,
                revenue: batch::read(row, 3)?,
            };
            self.sums.insert(*batch::row_of(row, 0, &wanted)?, sums);
        }
        Ok(())
    }

    /// Number that a new conversion would have among the affiliate's paid conversions of its goal this month.
    pub(super) fn number_in_month(&self, counted: Counted<'_>) -> i64 {
        let sums = counted.month_key().and_then(|key| self.sums.get(&key));
        sums.map_or(0, |sums| sums.conversions) + 1
    }

    /// First cap that a step from one state of a conversion (`None` if it is new) to another exceeds.
    pub(super) fn exceeded<'a>(
        &self,
        counted: Counted<'a>,
        before: Option<&Conversion>,
        after: &Conversion,
    ) -> Option<&'a Cap> {
        let (was, is) = (before.map(Sums::of).unwrap_or_default(), Sums::of(after));
        counted.caps().find(|cap| {
            let is_other_currency = cap.currency.unwrap_or(counted.ours()) != after.currency;
            let grows = is.metric(cap.metric) - was.metric(cap.metric);
            let sums = self.sums.get(&counted.cap_key(cap)).copied().unwrap_or_default();
            let exceeds = grows > 0 && sums.metric(cap.metric).saturating_add(grows) > cap.most;
            exceeds && (cap.metric == Metric::Conversions || !is_other_currency)
        })
    }

    /// True if the sums contain the conversion of a claim, so that it pays what it paid.
    pub(super) fn contains(&self, claimed: &Claimed) -> bool {
        self.counted.contains(&claimed.key())
    }

    /// Adds a new conversion to the sums, for later claims of the same batch.
    pub(super) fn count(&mut self, claimed: &Claimed, conversion: &Conversion) {
        let counted = Counted::new(claimed);
        if !counted.keys().is_empty() && self.counted.insert(claimed.key()) {
            self.step(counted, None, conversion);
        }
    }

    /// Adds a step from one state of a conversion (`None` if it is new) to another.
    pub(super) fn step(&mut self, counted: Counted<'_>, before: Option<&Conversion>, after: &Conversion) {
        let (was, is) = (before.map(Sums::of).unwrap_or_default(), Sums::of(after));
        for key in counted.keys() {
            let sums = self.sums.entry(key).or_default();
            sums.conversions = sums.conversions.saturating_add(is.conversions - was.conversions);
            if key.currency == after.currency {
                sums.commission = sums.commission.saturating_add(is.commission - was.commission);
                sums.revenue = sums.revenue.saturating_add(is.revenue - was.revenue);
            }
        }
    }
}
