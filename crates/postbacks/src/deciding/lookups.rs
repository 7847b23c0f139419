//! Look-ups of stored state that decisions depend on; each is made only if a postback of the batch needs it.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use campaigns::caps::{Cap, Metric};
use campaigns::goals::UniqueBy;
use campaigns::{ClickFlag, Route};
use chrono::{DateTime, TimeDelta, Utc};
use conversions::ConversionKey;
use schema::batch::{self, BatchError, Row, Tx};
use schema::clock::in_words;
use schema::{AdvertiserId, CampaignId, ClickKey, ConversionId, Currency, GoalId, LinkId, Money, NetworkId};

use super::claimed::Claimed;
use super::error::DecideError;
use super::held;
use super::sums::{self, Ledger};
use crate::attribution::{ByText, Earlier};
use crate::authenticate::Authenticator;
use crate::received::Received;
use crate::verdict::{Reason, Verdict};

schema::row! {
    struct CustomerKey<'a>() { network_id: NetworkId, customer_id: &'a str }
}

schema::row! {
    struct NamedOrder<'a>() { network_id: NetworkId, order_id: &'a str }
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
    struct OrderKey<'a>() {
        network_id: NetworkId,
        advertiser_id: AdvertiserId,
        campaign_id: CampaignId,
        order_id: &'a str,
    }
}

schema::row! {
    struct ClickId() { network_id: NetworkId, id: ClickKey }
}

/// Query of the conversions of an order: by their key, if their goal deduplicates by order, and else by the index of the others.
fn of_order(columns: &str, order: &str, condition: &str) -> String {
    format!(
        "SELECT {columns} FROM conversions c WHERE c.network_id = k.network_id AND c.unique_key = {order}
            AND c.order_id = c.unique_key {condition}
         UNION ALL
         SELECT {columns} FROM conversions c WHERE c.network_id = k.network_id AND c.order_id = {order}
            AND c.order_id <> c.unique_key {condition}"
    )
}

static CUSTOMERS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT DISTINCT ON (k.network_id, k.customer_id, c.advertiser_id, c.campaign_id)
         c.network_id, c.advertiser_id, c.customer_id, c.click_id, c.link_id, c.campaign_id, c.id, c.converted_at
     FROM (SELECT DISTINCT * FROM {}) k
     JOIN conversions c ON c.network_id = k.network_id AND c.customer_id = k.customer_id
        AND c.status IN ('pending', 'approved')
     ORDER BY k.network_id, k.customer_id, c.advertiser_id, c.campaign_id, c.id DESC",
        CustomerKey::unnest()
    )
});
static ORDERS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT DISTINCT ON (k.network_id, k.order_id, c.advertiser_id, c.campaign_id)
         c.network_id, c.advertiser_id, c.order_id, c.click_id, c.link_id, c.campaign_id, c.id, c.converted_at
     FROM (SELECT DISTINCT * FROM {}) k
     CROSS JOIN LATERAL ({}) c
     ORDER BY k.network_id, k.order_id, c.advertiser_id, c.campaign_id, c.id DESC",
        NamedOrder::unnest(),
        of_order("c.*", "k.order_id", "")
    )
});
/// With the amount that each was made with, which is stored once it changes.
static EXISTING: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT c.network_id, c.goal_id, c.unique_key, c.id,
         CASE WHEN h.id IS NULL THEN c.amount_micros ELSE h.amount_micros END, c.currency, c.click_id, c.converted_at,
         coalesce((c.terms->>'is_unproven')::boolean, false), c.order_id
     FROM {}
     JOIN conversions c ON c.network_id = k.network_id AND c.goal_id = k.goal_id AND c.unique_key = k.unique_key
     LEFT JOIN conversion_changes h ON h.network_id = c.network_id AND h.conversion_id = c.id AND h.id = c.id",
        ConversionKey::unnest()
    )
});
/// Keys of conversions of an order, whatever their goal deduplicates by.
static OF_ORDER: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT k.position, c.unique_key FROM {}
     CROSS JOIN LATERAL (
         {} LIMIT 1) AS c",
        ConversionKey::unnest_with_position(),
        of_order("c.unique_key", "k.unique_key", "AND c.goal_id = k.goal_id")
    )
});
/// Conversions of an order in other campaigns of the advertiser.
static ELSEWHERE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT k.position, c.id FROM {}
     CROSS JOIN LATERAL (
         {} ORDER BY id LIMIT 1) AS c",
        OrderKey::unnest_with_position(),
        of_order(
            "c.id",
            "k.order_id",
            "AND c.advertiser_id = k.advertiser_id AND c.campaign_id <> k.campaign_id"
        )
    )
});
static PARENTS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT k.position, p.id, p.link_id, p.click_id FROM {}
     CROSS JOIN LATERAL (
         SELECT id, link_id, click_id FROM (
             SELECT c.id, c.link_id, c.click_id FROM conversions c WHERE c.network_id = k.network_id AND c.click_id = k.click_id
                AND c.goal_id = k.goal_id AND c.status IN ('pending', 'approved')
             UNION ALL
             SELECT c.id, c.link_id, c.click_id FROM conversions c
                WHERE c.network_id = k.network_id AND c.customer_id = k.customer_id AND c.goal_id = k.goal_id AND c.status IN ('pending', 'approved')) AS found
         ORDER BY id DESC LIMIT 1) AS p",
        ParentKey::unnest_with_position()
    )
});
/// Locks parents that still count: their children are made one after the other, and none slips past the fall of its parent.
/// A statement for itself, so that the next one sees rows that were committed while this one waited.
static LOCK_PARENTS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT p.id FROM {}
     JOIN conversions p ON p.network_id = k.network_id AND p.id = k.id AND p.status IN ('pending', 'approved')
     ORDER BY p.network_id, p.id FOR UPDATE OF p",
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
static CLICKS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT c.network_id, c.id, c.sub1, c.sub2, c.sub3, c.sub4, c.sub5, c.country, c.device, c.flag
     FROM {} JOIN clicks c ON c.network_id = k.network_id AND c.id = k.id",
        ClickId::unnest()
    )
});

/// Statements of the appliers by name, so that a test can check their plans.
#[must_use]
pub fn applier_statements() -> [(&'static str, &'static str); 12] {
    [
        ("customers", &CUSTOMERS),
        ("orders that are changed", &ORDERS),
        ("existing conversions", &EXISTING),
        ("conversions of orders", &OF_ORDER),
        ("orders elsewhere", &ELSEWHERE),
        ("parents", &PARENTS),
        ("children", &CHILDREN),
        ("clicks", &CLICKS),
        ("sums of caps", sums::statement()),
        ("networks with held postbacks", held::waiting_statement()),
        ("release of held postbacks", held::release_statement()),
        ("held postbacks that are ready", held::ready_statement()),
    ]
}

/// Latest conversions of every customer that may attribute one of these postbacks.
pub(super) async fn customers(
    tx: Tx<'_>,
    authenticator: &Authenticator,
    received: &[Received],
) -> Result<ByText, DecideError> {
    let mut keys: Vec<CustomerKey<'_>> = Vec::new();
    for postback in received {
        let record = &postback.record;
        if let Some(customer_id) = record.postback.customer_id.as_deref()
            && authenticator.asks_for_customer(postback).await?
        {
            keys.push(CustomerKey {
                network_id: record.network,
                customer_id,
            });
        }
    }
    by_text(&tx.query_batch(&CUSTOMERS, &keys).await?)
}

/// Latest conversions of every order that one of these postbacks names without a click.
pub(super) async fn orders(tx: Tx<'_>, received: &[Received]) -> Result<ByText, DecideError> {
    let records = received.iter().map(|postback| &postback.record);
    let without_click = records.filter(|record| record.postback.click_ids.is_empty());
    let keys: Vec<NamedOrder<'_>> = without_click
        .filter_map(|record| {
            Some(NamedOrder {
                network_id: record.network,
                order_id: record.postback.order_id.as_deref()?,
            })
        })
        .collect();
    by_text(&tx.query_batch(&ORDERS, &keys).await?)
}

/// Conversions of rows, by customer or order, the latest first.
fn by_text(rows: &[tokio_postgres::Row]) -> Result<ByText, DecideError> {
    let mut found: Vec<(ConversionId, (NetworkId, AdvertiserId, String), Earlier)> = Vec::new();
    for row in rows {
        let key = (batch::read(row, 0)?, batch::read(row, 1)?, batch::read(row, 2)?);
        let earlier = Earlier {
            campaign_id: batch::read(row, 5)?,
            click: batch::read(row, 3)?,
            link_id: batch::read::<LinkId>(row, 4)?,
            converted_at: batch::read(row, 7)?,
        };
        found.push((batch::read(row, 6)?, key, earlier));
    }
    found.sort_by_key(|(id, ..)| std::cmp::Reverse(*id));
    let mut conversions = ByText::new();
    for (_, key, earlier) in found {
        conversions.entry(key).or_default().push(earlier);
    }
    Ok(conversions)
}

/// Conversion that exists under the key of a claim.
pub(super) struct Existing {
    pub(super) id: ConversionId,
    /// Key under which it exists.
    pub(super) key: ConversionKey,
    order_id: Option<String>,
    /// True if its sender was not authenticated.
    pub(super) is_unproven: bool,
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
        let order = record.postback.order_id.as_deref();
        let Some(order) = order.filter(|order| self.order_id.as_deref() == Some(order)) else {
            let once = match (claim.goal.settings.unique_by, &record.postback.customer_id) {
                (UniqueBy::Customer, Some(customer)) => {
                    let message = format!(
                        "Customer {customer} reached the goal before, and the goal counts once per customer."
                    );
                    Verdict::with_message(Reason::GoalOnce, message)
                }
                _ => Verdict::of(Reason::GoalOnce),
            };
            return once.about(self.id);
        };
        let amount = claim.amount_micros.map(|micros| Money {
            micros,
            currency: claim.currency,
        });
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
            let hint = "Send a changed order as an update or a refund; a new order needs an order ID that was not used before.";
            Verdict::with_message(Reason::DuplicateConflict, message).with_hint(hint)
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
            key: key.clone(),
            is_unproven: batch::read(row, 8)?,
            order_id: batch::read(row, 9)?,
            amount: amount.map(|micros| Money { micros, currency }),
            currency,
            click_id: batch::read(row, 6)?,
            converted_at: batch::read(row, 7)?,
        };
        existing.insert(key, found);
    }
    Ok(existing)
}

/// Gives claims on an order that exists under another key that key: an order counts once, whatever its goal deduplicates
/// by now.
pub(super) async fn find_orders(tx: Tx<'_>, claims: &mut [Claimed]) -> Result<(), BatchError> {
    let (mut keys, mut positions) = (Vec::new(), Vec::new());
    for (at, claimed) in claims.iter().enumerate() {
        if let Some(order) = claimed.order_under_other_key() {
            keys.push(ConversionKey {
                unique_key: order.to_owned(),
                ..claimed.key()
            });
            positions.push(at);
        }
    }
    for row in &tx.query_batch(&OF_ORDER, &keys).await? {
        let at = *batch::row_of(row, 0, &positions)?;
        if let Some(claimed) = claims.get_mut(at) {
            claimed.claim.unique_key = batch::read(row, 1)?;
        }
    }
    Ok(())
}

/// First conversion of a claim's order in another campaign of the advertiser, by the position of the claim, where the
/// advertiser counts an order once.
pub(super) async fn elsewhere(
    tx: Tx<'_>,
    claims: &[Claimed],
) -> Result<HashMap<usize, ConversionId>, BatchError> {
    let concerned: Vec<(&Claimed, &str)> = claims
        .iter()
        .filter(|claimed| claimed.counts_order_once())
        .filter_map(|claimed| Some((claimed, claimed.order_id()?)))
        .collect();
    let mut keys = Vec::with_capacity(concerned.len());
    for (claimed, order_id) in &concerned {
        keys.push(OrderKey {
            network_id: claimed.postback.network.id,
            advertiser_id: claimed.postback.advertiser_id,
            campaign_id: claimed.postback.route.campaign().id,
            order_id,
        });
    }
    let mut found = HashMap::new();
    for row in &tx.query_batch(&ELSEWHERE, &keys).await? {
        let (claimed, _) = batch::row_of(row, 0, &concerned)?;
        found.insert(claimed.position, batch::read(row, 1)?);
    }
    Ok(found)
}

/// Conversion of a parent goal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parent {
    pub(super) id: ConversionId,
    pub(super) link_id: LinkId,
    pub(super) click_id: Option<ClickKey>,
}

/// Latest conversion of the parent goal by the same click or customer, locked, by the position of the claim.
pub(super) async fn parents(tx: Tx<'_>, claims: &[Claimed]) -> Result<HashMap<usize, Parent>, BatchError> {
    let mut keys = Vec::with_capacity(claims.len());
    for claimed in claims {
        keys.push(ParentKey {
            network_id: claimed.postback.network.id,
            goal_id: claimed.claim.goal.settings.chain.parent_goal_id,
            click_id: claimed.click_id(),
            customer_id: claimed.postback.record.postback.customer_id.as_deref(),
        });
    }
    let (mut parents, mut ids) = (HashMap::new(), Vec::new());
    for row in &tx.query_batch(&PARENTS, &keys).await? {
        let claimed = batch::row_of(row, 0, claims)?;
        let parent = Parent {
            id: batch::read(row, 1)?,
            link_id: batch::read(row, 2)?,
            click_id: batch::read(row, 3)?,
        };
        parents.insert(claimed.position, parent);
        ids.push(ParentId {
            network_id: claimed.postback.network.id,
            id: parent.id,
        });
    }
    let mut counting = HashSet::new();
    for row in &tx.query_batch(&LOCK_PARENTS, &ids).await? {
        counting.insert(batch::read::<ConversionId>(row, 0)?);
    }
    parents.retain(|_, parent| counting.contains(&parent.id));
    Ok(parents)
}

/// Positions of the claims whose goal has its maximum of conversions after their parent.
pub(super) async fn exhausted(
    tx: Tx<'_>,
    claims: &[Claimed],
    parents: &HashMap<usize, Parent>,
) -> Result<HashSet<usize>, BatchError> {
    let limited: Vec<_> = claims
        .iter()
        .filter_map(|claimed| {
            let most = claimed.claim.goal.settings.chain.times_per_parent?;
            Some((claimed, parents.get(&claimed.position)?.id, most))
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

/// Stored state that pricing depends on.
#[derive(Default)]
pub(super) struct Lookups {
    clicks: HashMap<(NetworkId, ClickKey), ClickFacts>,
    /// Sums that caps and tiers depend on.
    pub(super) ledger: Ledger,
}

impl Lookups {
    /// Looks up the clicks of these claims only.
    pub(super) async fn of_clicks(tx: Tx<'_>, claims: &[Claimed]) -> Result<Self, BatchError> {
        let mut lookups = Self::default();
        lookups.read_clicks(tx, claims).await?;
        Ok(lookups)
    }

    /// Looks up clicks and sums of these claims that are not known yet.
    pub(super) async fn read(&mut self, tx: Tx<'_>, claims: &[Claimed]) -> Result<(), BatchError> {
        self.read_clicks(tx, claims).await?;
        self.ledger.add_new(tx, claims).await
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

    /// Click of a claim; `None` if its row is not stored yet, or not any more.
    pub(super) fn click(&self, claimed: &Claimed) -> Option<&ClickFacts> {
        self.clicks
            .get(&(claimed.postback.network.id, claimed.click_id()?))
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
    claimed.rules().any(|rule| {
        let conditions = &rule.settings.conditions;
        conditions.sub_number.is_some() || conditions.country.is_some() && !has_country
    })
}
