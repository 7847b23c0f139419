//! Look-ups of stored state that decisions depend on; each is made only if a postback of the batch needs it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use campaigns::caps::{Cap, CapPeriod, Metric};
use campaigns::{ClickFlag, Route};
use chrono::{DateTime, TimeDelta, Utc};
use conversions::{Conversion, ConversionKey};
use schema::batch::{self, BatchError, Row, Tx};
use schema::clock::in_words;
use schema::{
    AdvertiserId, AffiliateId, CampaignId, ClickKey, ConversionId, Currency, GoalId, LinkId, Money, NetworkId,
};

use super::claimed::Claimed;
use crate::attribution::{Customers, Earlier};
use crate::received::Received;
use crate::verdict::{Reason, Verdict};

schema::row! {
    struct CustomerKey<'a>() { network_id: NetworkId, customer_id: &'a str }
}

schema::row! {
    struct ParentKey<'a>() {
        network_id: NetworkId,
        goal_id: Option<GoalId>,
        click_id: Option<ClickKey>,
        customer_id: Option<&'a str>,
    }
}

schema::row! {
    struct ParentId() { network_id: NetworkId, id: ConversionId }
}

schema::row! {
    struct ChildrenKey() { network_id: NetworkId, id: ConversionId, goal_id: GoalId }
}

schema::row! {
    /// Rollup sum that caps and tiers depend on.
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
    struct ClickId() { network_id: NetworkId, id: ClickKey }
}

static CUSTOMERS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT DISTINCT ON (k.network_id, k.customer_id, c.advertiser_id, c.campaign_id)
         c.network_id, c.advertiser_id, c.customer_id, c.click_id, c.link_id, c.campaign_id, c.id
     FROM (SELECT DISTINCT * FROM {}) k
     JOIN conversions c ON c.network_id = k.network_id AND c.customer_id = k.customer_id
     ORDER BY k.network_id, k.customer_id, c.advertiser_id, c.campaign_id, c.id DESC",
        CustomerKey::unnest()
    )
});
/// With the amount that each was made with, which is stored once it changes.
static EXISTING: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT c.network_id, c.goal_id, c.unique_key, c.id,
         CASE WHEN h.id IS NULL THEN c.amount_micros ELSE h.amount_micros END, c.currency, c.click_id, c.converted_at
     FROM {}
     JOIN conversions c ON c.network_id = k.network_id AND c.goal_id = k.goal_id AND c.unique_key = k.unique_key
     LEFT JOIN conversion_changes h ON h.network_id = c.network_id AND h.conversion_id = c.id AND h.id = c.id",
        ConversionKey::unnest()
    )
});
static PARENTS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT k.position, p.id FROM {}
     CROSS JOIN LATERAL (
         SELECT id FROM (
             SELECT c.id FROM conversions c WHERE c.network_id = k.network_id AND c.click_id = k.click_id
                AND c.goal_id = k.goal_id AND c.status IN ('pending', 'approved')
             UNION ALL
             SELECT c.id FROM conversions c WHERE c.network_id = k.network_id AND c.customer_id = k.customer_id
                AND c.goal_id = k.goal_id AND c.status IN ('pending', 'approved')) AS found
         ORDER BY id DESC LIMIT 1) AS p",
        ParentKey::unnest_with_position()
    )
});
/// Serializes the children of a parent. A statement for itself, so that the next one sees rows that were committed while
/// this one waited.
static LOCK_PARENTS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT p.id FROM {}
     JOIN conversions p ON p.network_id = k.network_id AND p.id = k.id ORDER BY p.network_id, p.id FOR UPDATE OF p",
        ParentId::unnest()
    )
});
static CHILDREN: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT c.parent_id, c.goal_id, c.unique_key FROM {}
     JOIN conversions c ON c.network_id = k.network_id AND c.parent_id = k.id AND c.goal_id = k.goal_id
     WHERE c.status IN ('pending', 'approved')",
        ChildrenKey::unnest()
    )
});
static SUMS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT k.position, coalesce(sum(r.conversions), 0)::bigint,
         coalesce(sum(r.commission_micros) FILTER (WHERE r.currency = k.currency), 0)::bigint,
         coalesce(sum(r.revenue_micros) FILTER (WHERE r.currency = k.currency), 0)::bigint
     FROM {}
     LEFT JOIN conversion_rollups r ON r.network_id = k.network_id AND r.hour >= k.since AND r.hour < k.until
        AND r.campaign_id = k.campaign_id
        AND (k.affiliate_id IS NULL OR r.affiliate_id = k.affiliate_id) AND (k.goal_id IS NULL OR r.goal_id = k.goal_id)
        AND r.status IN ('pending', 'approved')
     GROUP BY k.position",
        SumKey::unnest_with_position()
    )
});
static CLICKS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT c.network_id, c.id, c.sub1, c.sub2, c.sub3, c.sub4, c.sub5, c.country, c.device, c.flag
     FROM {} JOIN clicks c ON c.network_id = k.network_id AND c.id = k.id",
        ClickId::unnest()
    )
});

/// Latest conversions of every customer that is named where no click is.
pub(super) async fn customers(tx: Tx<'_>, received: &[Received]) -> Result<Customers, BatchError> {
    let keys: Vec<CustomerKey<'_>> = received
        .iter()
        .map(|postback| &postback.record)
        .filter(|record| record.postback.click_ids.is_empty())
        .filter_map(|record| {
            Some(CustomerKey {
                network_id: record.network,
                customer_id: record.postback.customer_id.as_deref()?,
            })
        })
        .collect();
    let mut found: Vec<(ConversionId, (NetworkId, AdvertiserId, String), Earlier)> = Vec::new();
    for row in &tx.query_batch(&CUSTOMERS, &keys).await? {
        let key = (batch::read(row, 0)?, batch::read(row, 1)?, batch::read(row, 2)?);
        let earlier = Earlier {
            campaign_id: batch::read(row, 5)?,
            click: batch::read(row, 3)?,
            link_id: batch::read::<LinkId>(row, 4)?,
        };
        found.push((batch::read(row, 6)?, key, earlier));
    }
    found.sort_by_key(|(id, ..)| std::cmp::Reverse(*id));
    let mut customers = Customers::new();
    for (_, key, earlier) in found {
        customers.entry(key).or_default().push(earlier);
    }
    Ok(customers)
}

/// Conversion that exists under the key of a claim.
pub(super) struct Existing {
    id: ConversionId,
    /// Amount that it was made with.
    amount: Option<Money>,
    currency: Currency,
    click_id: Option<ClickKey>,
    converted_at: DateTime<Utc>,
}

impl Existing {
    /// Verdict on a repeated report, by how it differs from the first.
    pub(super) fn duplicate(&self, claimed: &Claimed) -> Verdict {
        let (claim, record) = (&claimed.claim, &claimed.postback.record);
        let is_order = record.postback.order_id.as_deref() == Some(claim.unique_key.as_str());
        if !is_order {
            return Verdict::of(Reason::GoalOnce).about(self.id);
        }
        let amount = claim.amount_micros.map(|micros| Money {
            micros,
            currency: claim.currency,
        });
        let order = &claim.unique_key;
        let age = record.received_at - self.converted_at;
        let age = if age < TimeDelta::seconds(1) {
            "just now".to_owned()
        } else {
            format!("{} ago", in_words(age))
        };
        let verdict = if self.amount != amount || self.currency != claim.currency {
            let sent =
                |amount: Option<Money>| amount.map_or("no amount".to_owned(), |money| money.to_string());
            let message = format!(
                "Order {order} was recorded {age} with {}; this postback has {}. The first values stand.",
                sent(self.amount),
                sent(amount)
            );
            Verdict::with_message(Reason::DuplicateConflict, message)
        } else if self.click_id != claimed.click_id() {
            let message =
                format!("Order {order} was recorded {age} for another click. The first values stand.");
            Verdict::with_message(Reason::DuplicateConflict, message)
        } else {
            let message = format!("Duplicate of order {order}, recorded {age}.");
            Verdict::with_message(Reason::DuplicateOrder, message)
        };
        verdict.about(self.id)
    }
}

/// Conversions that exist under these keys.
pub(super) async fn existing(
    tx: Tx<'_>,
    keys: &[ConversionKey],
) -> Result<HashMap<ConversionKey, Existing>, BatchError> {
    let mut existing = HashMap::new();
    for row in &tx.query_batch(&EXISTING, keys).await? {
        let key = ConversionKey {
            network_id: batch::read(row, 0)?,
            goal_id: batch::read(row, 1)?,
            unique_key: batch::read(row, 2)?,
        };
        let currency: Currency = batch::read(row, 5)?;
        let amount: Option<i64> = batch::read(row, 4)?;
        let found = Existing {
            id: batch::read(row, 3)?,
            amount: amount.map(|micros| Money { micros, currency }),
            currency,
            click_id: batch::read(row, 6)?,
            converted_at: batch::read(row, 7)?,
        };
        existing.insert(key, found);
    }
    Ok(existing)
}

/// Latest conversion of the parent goal by the same click or customer, by the position of the claim.
pub(super) async fn parents(
    tx: Tx<'_>,
    claims: &[Claimed],
) -> Result<HashMap<usize, ConversionId>, BatchError> {
    let mut keys = Vec::with_capacity(claims.len());
    for claimed in claims {
        keys.push(ParentKey {
            network_id: claimed.postback.network.id,
            goal_id: claimed.claim.goal.settings.chain.parent_goal_id,
            click_id: claimed.click_id(),
            customer_id: claimed.postback.record.postback.customer_id.as_deref(),
        });
    }
    let mut parents = HashMap::new();
    for row in &tx.query_batch(&PARENTS, &keys).await? {
        let claimed = batch::row_of(row, 0, claims)?;
        parents.insert(claimed.position, batch::read(row, 1)?);
    }
    Ok(parents)
}

/// Positions of the claims whose goal has its maximum of conversions after their parent.
pub(super) async fn exhausted(
    tx: Tx<'_>,
    claims: &[Claimed],
    parents: &HashMap<usize, ConversionId>,
) -> Result<HashSet<usize>, BatchError> {
    let limited: Vec<_> = claims
        .iter()
        .filter_map(|claimed| {
            let most = claimed.claim.goal.settings.chain.times_per_parent?;
            Some((claimed, *parents.get(&claimed.position)?, most))
        })
        .collect();
    if limited.is_empty() {
        return Ok(HashSet::new());
    }
    let key = |(claimed, parent, _): &(&Claimed, ConversionId, i32)| ChildrenKey {
        network_id: claimed.postback.network.id,
        id: *parent,
        goal_id: claimed.claim.goal.id,
    };
    let keys: Vec<ChildrenKey> = limited.iter().map(key).collect();
    let parent = |key: &ChildrenKey| ParentId {
        network_id: key.network_id,
        id: key.id,
    };
    let parent_ids: Vec<ParentId> = keys.iter().map(parent).collect();
    tx.query_batch(&LOCK_PARENTS, &parent_ids).await?;
    let mut children: HashMap<(ConversionId, GoalId), HashSet<String>> = HashMap::new();
    for row in &tx.query_batch(&CHILDREN, &keys).await? {
        let key = (batch::read(row, 0)?, batch::read(row, 1)?);
        children.entry(key).or_default().insert(batch::read(row, 2)?);
    }
    let mut exhausted = HashSet::new();
    for (claimed, parent, most) in limited {
        let known = children.entry((parent, claimed.claim.goal.id)).or_default();
        let is_repeated = known.contains(&claimed.claim.unique_key);
        if !is_repeated && known.len() >= usize::try_from(most).unwrap_or(0) {
            exhausted.insert(claimed.position);
        } else {
            known.insert(claimed.claim.unique_key.clone());
        }
    }
    Ok(exhausted)
}

/// Fields of a click's row that terms may depend on.
#[derive(Debug, Clone)]
pub(super) struct ClickFacts {
    pub(super) subs: [Option<String>; 5],
    pub(super) country: Option<String>,
    pub(super) device: String,
    pub(super) flag: Option<ClickFlag>,
}

/// Conversions that count, their commission and their revenue in micro-units.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    pub(super) conversions: i64,
    pub(super) commission: i64,
    pub(super) revenue: i64,
}

/// Stored state that pricing depends on.
#[derive(Default)]
pub(super) struct Lookups {
    clicks: HashMap<(NetworkId, ClickKey), ClickFacts>,
    sums: HashMap<SumKey, Sums>,
    /// Keys of conversions that the sums contain.
    counted: HashSet<ConversionKey>,
}

impl Lookups {
    /// Looks up the clicks of these claims only.
    pub(super) async fn of_clicks(tx: Tx<'_>, claims: &[Claimed]) -> Result<Self, BatchError> {
        let mut lookups = Self::default();
        lookups.read_clicks(tx, claims).await?;
        Ok(lookups)
    }

    /// Looks up clicks and sums of these claims.
    pub(super) async fn of(tx: Tx<'_>, claims: &[Claimed]) -> Result<Self, BatchError> {
        let mut lookups = Self::default();
        lookups.read_clicks(tx, claims).await?;
        lookups.read_sums(tx, claims).await?;
        Ok(lookups)
    }

    async fn read_clicks(&mut self, tx: Tx<'_>, claims: &[Claimed]) -> Result<(), BatchError> {
        let keys: Vec<ClickId> = claims
            .iter()
            .filter(|claimed| needs_click(claimed))
            .filter_map(|claimed| {
                Some(ClickId {
                    network_id: claimed.postback.network.id,
                    id: claimed.click_id()?,
                })
            })
            .collect();
        for row in &tx.query_batch(&CLICKS, &keys).await? {
            let sub = |number: usize| batch::read::<Option<String>>(row, number + 1);
            let facts = ClickFacts {
                subs: [sub(1)?, sub(2)?, sub(3)?, sub(4)?, sub(5)?],
                country: batch::read(row, 7)?,
                device: batch::read(row, 8)?,
                flag: batch::read(row, 9)?,
            };
            self.clicks
                .insert((batch::read(row, 0)?, batch::read(row, 1)?), facts);
        }
        Ok(())
    }

    async fn read_sums(&mut self, tx: Tx<'_>, claims: &[Claimed]) -> Result<(), BatchError> {
        let concerned: Vec<_> = claims
            .iter()
            .filter(|claimed| !sum_keys(claimed).is_empty())
            .collect();
        if concerned.is_empty() {
            return Ok(());
        }
        let keys: Vec<ConversionKey> = concerned.iter().map(|claimed| claimed.key()).collect();
        self.counted = existing(tx, &keys).await?.into_keys().collect();
        // A set: each sum is queried once.
        let wanted: BTreeSet<SumKey> = concerned.iter().flat_map(|claimed| sum_keys(claimed)).collect();
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

    /// Click of a claim; `None` if its row is not stored yet, or not any more.
    pub(super) fn click(&self, claimed: &Claimed) -> Option<&ClickFacts> {
        self.clicks
            .get(&(claimed.postback.network.id, claimed.click_id()?))
    }

    /// Number that the claim would have among the affiliate's conversions of its goal this month.
    pub(super) fn number_in_month(&self, claimed: &Claimed) -> i64 {
        let Some(key) = month_key(claimed) else { return 1 };
        self.sums.get(&key).map_or(0, |sums| sums.conversions) + 1
    }

    /// Sums under a cap so far.
    pub(super) fn under_cap(&self, claimed: &Claimed, cap: &Cap) -> Sums {
        let key = cap_key(claimed, cap);
        key.and_then(|key| self.sums.get(&key))
            .copied()
            .unwrap_or_default()
    }

    /// True if the sums contain the conversion of a claim, so that it pays what it paid.
    pub(super) fn is_counted(&self, claimed: &Claimed) -> bool {
        self.counted.contains(&claimed.key())
    }

    /// Adds a new conversion to the sums, for later claims of the same batch.
    pub(super) fn count(&mut self, claimed: &Claimed, conversion: &Conversion) {
        let keys = sum_keys(claimed);
        if keys.is_empty() || !self.counted.insert(claimed.key()) || !conversion.status.counts() {
            return;
        }
        for key in keys {
            let sums = self.sums.entry(key).or_default();
            sums.conversions += 1;
            if key.currency == conversion.currency {
                sums.commission += conversion.commission_micros;
                sums.revenue += conversion.revenue_micros;
            }
        }
    }
}

/// True if the campaign of a claim pays for some clicks only: those that match its targeting, or are below its caps. Tests
/// ignore both.
pub(super) fn pays_for_some_clicks(claimed: &Claimed) -> bool {
    let route = &claimed.postback.route;
    !claimed.postback.is_test() && (!route.campaign().audience.is_everybody() || caps_clicks(route))
}

/// True if the campaign of a link caps clicks, of all affiliates or of the link's.
pub(super) fn caps_clicks(route: &Route) -> bool {
    let is_of_clicks = |cap: &Cap| cap.metric == Metric::Clicks && cap.concerns(route.affiliate_id);
    route.promotion.caps.iter().any(is_of_clicks)
}

/// True if the terms of a claim depend on the row of its click.
pub(super) fn needs_click(claimed: &Claimed) -> bool {
    if claimed.click_id().is_none() {
        return false;
    }
    if pays_for_some_clicks(claimed) {
        return true;
    }
    let has_country = claimed.postback.record.postback.country.is_some();
    let mut rules = claimed.postback.route.promotion.rules_of(claimed.claim.goal.id);
    rules.any(|rule| {
        let conditions = &rule.settings.conditions;
        conditions.sub_number.is_some() || conditions.country.is_some() && !has_country
    })
}

/// Sum that tiers depend on; `None` if the goal has no tiers.
fn month_key(claimed: &Claimed) -> Option<SumKey> {
    let route = &claimed.postback.route;
    let goal = claimed.claim.goal.id;
    let mut rules = route.promotion.rules_of(goal);
    let has_tiers = rules.any(|rule| rule.settings.conditions.month_from.is_some());
    has_tiers.then(|| SumKey {
        affiliate_id: Some(route.affiliate_id),
        goal_id: Some(goal),
        ..sum_key(claimed, CapPeriod::Month)
    })
}

fn cap_key(claimed: &Claimed, cap: &Cap) -> Option<SumKey> {
    let is_of_conversions = cap.metric != Metric::Clicks;
    (is_of_conversions && cap.concerns(claimed.postback.route.affiliate_id)).then(|| SumKey {
        campaign_id: cap.campaign_id,
        affiliate_id: cap.affiliate_id,
        ..sum_key(claimed, cap.period)
    })
}

/// Sum of the campaign over the day, month or all time of a claim.
fn sum_key(claimed: &Claimed, period: CapPeriod) -> SumKey {
    let campaign = claimed.postback.route.campaign();
    let (since, until) = period.range(claimed.postback.time_zone(), claimed.received_at());
    SumKey {
        network_id: claimed.postback.network.id,
        campaign_id: campaign.id,
        affiliate_id: None,
        goal_id: None,
        since,
        until,
        currency: campaign.currency,
    }
}

/// Sums that a claim depends on, each once: two caps may depend on the same one.
fn sum_keys(claimed: &Claimed) -> BTreeSet<SumKey> {
    let caps = &claimed.postback.route.promotion.caps;
    caps.iter()
        .filter_map(|cap| cap_key(claimed, cap))
        .chain(month_key(claimed))
        .collect()
}
