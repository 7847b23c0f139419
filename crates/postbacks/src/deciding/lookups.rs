//! What else has happened that a decision depends on; each is asked for only where something in the batch needs it.

use std::collections::{BTreeSet, HashMap, HashSet};

use campaigns::Route;
use campaigns::caps::{Cap, CapPeriod, Metric};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use schema::{
    AdvertiserId, AffiliateId, CampaignId, ClickKey, ConversionId, Currency, GoalId, LinkId, Money, NetworkId,
};
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::{ApplyError, Asking, Candidate, Tx, UniqueKey, column};
use crate::attribution::{Customers, Earlier};
use crate::caps;
use crate::clicks::Flag;
use crate::conversions::Conversion;
use crate::decide::in_words;
use crate::verdict::{Reason, Verdict};

const CUSTOMERS: &str = "SELECT DISTINCT ON (k.network_id, k.customer_id, c.advertiser_id, c.campaign_id)
         c.network_id, c.advertiser_id, c.customer_id, c.click_id, c.link_id, c.campaign_id, c.id
     FROM (SELECT DISTINCT * FROM unnest($1::int[], $2::text[]) AS k (network_id, customer_id)) k
     JOIN conversions c ON c.network_id = k.network_id AND c.customer_id = k.customer_id
     ORDER BY k.network_id, k.customer_id, c.advertiser_id, c.campaign_id, c.id DESC";
/// With the amount that each was made with, which is noted once it is changed.
const FIRSTS: &str = "SELECT c.network_id, c.goal_id, c.unique_key, c.id,
         CASE WHEN h.id IS NULL THEN c.amount_micros ELSE h.amount_micros END, c.currency, c.click_id, c.converted_at
     FROM unnest($1::int[], $2::int[], $3::text[]) AS k (network_id, goal_id, unique_key)
     JOIN conversions c ON c.network_id = k.network_id AND c.goal_id = k.goal_id AND c.unique_key = k.unique_key
     LEFT JOIN conversion_changes h ON h.network_id = c.network_id AND h.conversion_id = c.id AND h.id = c.id";
const PARENTS: &str = "SELECT k.at, p.id
     FROM unnest($1::int[], $2::int[], $3::int[], $4::uuid[], $5::text[]) AS k (at, network_id, goal_id, click_id, customer_id)
     CROSS JOIN LATERAL (
         SELECT id FROM (
             SELECT c.id FROM conversions c WHERE c.network_id = k.network_id AND c.click_id = k.click_id
                AND c.goal_id = k.goal_id AND c.status IN ('pending', 'approved')
             UNION ALL
             SELECT c.id FROM conversions c WHERE c.network_id = k.network_id AND c.customer_id = k.customer_id
                AND c.goal_id = k.goal_id AND c.status IN ('pending', 'approved')) AS found
         ORDER BY id DESC LIMIT 1) AS p";
/// So that two who come after the same parent are counted one after the other. A statement of its own: the next one sees
/// what was committed while this one waited.
const LOCK_PARENTS: &str = "SELECT p.id FROM unnest($1::int[], $2::uuid[]) AS k (network_id, id)
     JOIN conversions p ON p.network_id = k.network_id AND p.id = k.id ORDER BY p.network_id, p.id FOR UPDATE OF p";
const CHILDREN: &str = "SELECT c.parent_id, c.goal_id, c.unique_key
     FROM unnest($1::int[], $2::uuid[], $3::int[]) AS k (network_id, id, goal_id)
     JOIN conversions c ON c.network_id = k.network_id AND c.parent_id = k.id AND c.goal_id = k.goal_id
     WHERE c.status IN ('pending', 'approved')";
const SUMS: &str = "SELECT k.at, coalesce(sum(r.conversions), 0)::bigint,
         coalesce(sum(r.commission_micros) FILTER (WHERE r.currency = k.currency), 0)::bigint,
         coalesce(sum(r.revenue_micros) FILTER (WHERE r.currency = k.currency), 0)::bigint
     FROM unnest($1::int[], $2::int[], $3::int[], $4::int[], $5::int[], $6::timestamptz[], $7::text[], $8::timestamptz[])
         AS k (at, network_id, campaign_id, affiliate_id, goal_id, since, currency, until)
     LEFT JOIN conversion_rollups r ON r.network_id = k.network_id AND r.hour >= k.since AND r.hour < k.until
        AND r.campaign_id = k.campaign_id
        AND (k.affiliate_id IS NULL OR r.affiliate_id = k.affiliate_id) AND (k.goal_id IS NULL OR r.goal_id = k.goal_id)
        AND r.status IN ('pending', 'approved')
     GROUP BY k.at";
const CLICKS: &str =
    "SELECT c.network_id, c.id, c.sub1, c.sub2, c.sub3, c.sub4, c.sub5, c.country, c.device, c.flag
     FROM unnest($1::int[], $2::uuid[]) AS k (network_id, id)
     JOIN clicks c ON c.network_id = k.network_id AND c.id = k.id";

pub(super) struct Statements {
    customers: Statement,
    firsts: Statement,
    parents: Statement,
    lock_parents: Statement,
    children: Statement,
    sums: Statement,
    clicks: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, ApplyError> {
        Ok(Self {
            customers: client.prepare(CUSTOMERS).await?,
            firsts: client.prepare(FIRSTS).await?,
            parents: client.prepare(PARENTS).await?,
            lock_parents: client.prepare(LOCK_PARENTS).await?,
            children: client.prepare(CHILDREN).await?,
            sums: client.prepare(SUMS).await?,
            clicks: client.prepare(CLICKS).await?,
        })
    }
}

/// The last conversions of every customer that is named where no click is.
pub(super) async fn customers(tx: Tx<'_>, candidates: &[Candidate]) -> Result<Customers, ApplyError> {
    let named: Vec<(i32, &str)> = candidates
        .iter()
        .map(|candidate| &candidate.record)
        .filter(|record| record.said.click_ids.is_empty())
        .filter_map(|record| Some((record.network.0, record.said.customer_id.as_deref()?)))
        .collect();
    if named.is_empty() {
        return Ok(Customers::new());
    }
    let mut rows = tx
        .transaction
        .query(
            &tx.statements.facts.customers,
            &[
                &column(&named, |(network, _)| *network),
                &column(&named, |(_, customer)| *customer),
            ],
        )
        .await?;
    rows.sort_by_key(|row| std::cmp::Reverse(row.get::<_, Uuid>(6)));
    let mut known = Customers::new();
    for row in &rows {
        let key = (NetworkId(row.get(0)), AdvertiserId(row.get(1)), row.get(2));
        known.entry(key).or_default().push(Earlier {
            campaign_id: CampaignId(row.get(5)),
            click: row.get::<_, Option<Uuid>>(3).map(ClickKey),
            link_id: LinkId(row.get(4)),
        });
    }
    Ok(known)
}

/// What must be known of the conversion that was there first.
pub(super) struct First {
    id: ConversionId,
    amount: Option<Money>,
    currency: Currency,
    click_id: Option<ClickKey>,
    converted_at: DateTime<Utc>,
}

impl First {
    /// The verdict on a conversion that was made before, from how this call differs from the first.
    pub(super) fn repeated(&self, it: &Asking<'_, '_>) -> Verdict {
        let (claim, record) = (it.claim, &it.judged.record);
        let is_order = record.said.order_id.as_deref() == Some(claim.unique_key.as_str());
        let amount = claim.amount_micros.map(|micros| Money {
            micros,
            currency: claim.currency,
        });
        let click_id = it.judged.attribution.and_then(|it| it.click);
        let what = match is_order {
            true => format!("Order {}", claim.unique_key),
            false => "This click".to_owned(),
        };
        let age = in_words(record.received_at - self.converted_at);
        let differs = |then: Option<Money>, now: Option<Money>| {
            let said =
                |amount: Option<Money>| amount.map_or("no amount".to_owned(), |amount| amount.to_string());
            format!(
                "{what} was recorded {age} before with {}; this call says {}. The first one stands.",
                said(then),
                said(now)
            )
        };
        let verdict = if !is_order {
            Verdict::of(Reason::GoalOnce)
        } else if self.amount != amount || self.currency != claim.currency {
            Verdict::saying(Reason::DuplicateConflict, differs(self.amount, amount))
        } else if self.click_id != click_id {
            let message =
                format!("{what} was recorded {age} before for another click. The first one stands.");
            Verdict::saying(Reason::DuplicateConflict, message)
        } else {
            Verdict::saying(
                Reason::DuplicateOrder,
                format!("{what} was recorded {age} before."),
            )
        };
        verdict.about(self.id)
    }
}

/// The conversions that were there before these.
pub(super) async fn firsts(tx: Tx<'_>, keys: &[UniqueKey]) -> Result<HashMap<UniqueKey, First>, ApplyError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = tx
        .transaction
        .query(
            &tx.statements.facts.firsts,
            &[
                &column(keys, |key| key.0),
                &column(keys, |key| key.1),
                &column(keys, |key| key.2.as_str()),
            ],
        )
        .await?;
    let first = |row: &tokio_postgres::Row| {
        let currency: Currency = row.get::<_, &str>(5).parse().ok()?;
        let amount: Option<i64> = row.get(4);
        let first = First {
            id: ConversionId(row.get(3)),
            amount: amount.map(|micros| Money { micros, currency }),
            currency,
            click_id: row.get::<_, Option<Uuid>>(6).map(ClickKey),
            converted_at: row.get(7),
        };
        Some(((row.get(0), row.get(1), row.get(2)), first))
    };
    Ok(rows.iter().filter_map(first).collect())
}

/// The last conversion of the parent goal by the same click or customer, for each claim that needs one, by its place.
pub(super) async fn parents(
    tx: Tx<'_>,
    asking: &[Asking<'_, '_>],
) -> Result<HashMap<usize, ConversionId>, ApplyError> {
    if asking.is_empty() {
        return Ok(HashMap::new());
    }
    let place = |at: usize| i32::try_from(at).unwrap_or(i32::MAX);
    let rows = tx
        .transaction
        .query(
            &tx.statements.facts.parents,
            &[
                &column(asking, |it| place(it.at)),
                &column(asking, |it| it.network()),
                &column(asking, |it| {
                    it.claim.goal.settings.chain.parent_goal_id.map(|id| id.0)
                }),
                &column(asking, |it| {
                    it.judged.attribution.and_then(|it| it.click).map(|key| key.0)
                }),
                &column(asking, |it| it.judged.record.said.customer_id.as_deref()),
            ],
        )
        .await?;
    let found = rows.iter().filter_map(|row| {
        let at = usize::try_from(row.get::<_, i32>(0)).ok()?;
        Some((at, ConversionId(row.get(1))))
    });
    Ok(found.collect())
}

/// The claims whose goal has counted as often as it may after their parent, by their places.
pub(super) async fn exhausted(
    tx: Tx<'_>,
    asking: &[Asking<'_, '_>],
    parents: &HashMap<usize, ConversionId>,
) -> Result<HashSet<usize>, ApplyError> {
    let limited: Vec<_> = asking
        .iter()
        .filter_map(|it| {
            let most = it.claim.goal.settings.chain.times_per_parent?;
            Some((it, *parents.get(&it.at)?, most))
        })
        .collect();
    if limited.is_empty() {
        return Ok(HashSet::new());
    }
    let networks = column(&limited, |(it, ..)| it.network());
    let ids = column(&limited, |(_, parent, _)| parent.0);
    let goals = column(&limited, |(it, ..)| it.claim.goal.id.0);
    let statements = &tx.statements.facts;
    tx.transaction
        .query(&statements.lock_parents, &[&networks, &ids])
        .await?;
    let rows = tx
        .transaction
        .query(&statements.children, &[&networks, &ids, &goals])
        .await?;
    let mut children: HashMap<(ConversionId, i32), HashSet<String>> = HashMap::new();
    for row in &rows {
        let key = (ConversionId(row.get(0)), row.get(1));
        children.entry(key).or_default().insert(row.get(2));
    }
    let mut exhausted = HashSet::new();
    for (it, parent, most) in limited {
        let known = children.entry((parent, it.claim.goal.id.0)).or_default();
        let is_repeated = known.contains(&it.claim.unique_key);
        if !is_repeated && known.len() >= usize::try_from(most).unwrap_or(0) {
            exhausted.insert(it.at);
        } else {
            known.insert(it.claim.unique_key.clone());
        }
    }
    Ok(exhausted)
}

/// What a click's row says that terms may depend on.
#[derive(Debug, Clone, Default)]
pub(super) struct ClickFacts {
    pub(super) subs: [Option<String>; 5],
    pub(super) country: Option<String>,
    pub(super) device: String,
    pub(super) flag: Option<Flag>,
}

/// What a sum is of: network, campaign, affiliate, goal, since when and until when.
type SumKey = (
    i32,
    CampaignId,
    Option<AffiliateId>,
    Option<GoalId>,
    DateTime<Utc>,
    DateTime<Utc>,
);

/// Conversions that count, their commission and their revenue.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    pub(super) conversions: i64,
    pub(super) commission: i64,
    pub(super) revenue: i64,
}

/// What pricing depends on besides the claim.
#[derive(Default)]
pub(super) struct Facts {
    clicks: HashMap<(i32, ClickKey), ClickFacts>,
    sums: HashMap<SumKey, Sums>,
    /// Claims that are or become conversions already counted.
    counted: HashSet<UniqueKey>,
}

impl Facts {
    /// Only what the rows of their clicks say.
    pub(super) async fn of_clicks(tx: Tx<'_>, asking: &[Asking<'_, '_>]) -> Result<Self, ApplyError> {
        let mut facts = Self::default();
        facts.read_clicks(tx, asking).await?;
        Ok(facts)
    }

    /// Finds out what these claims need.
    pub(super) async fn gather(tx: Tx<'_>, asking: &[Asking<'_, '_>]) -> Result<Self, ApplyError> {
        let mut facts = Self::default();
        facts.read_clicks(tx, asking).await?;
        facts.read_sums(tx, asking).await?;
        Ok(facts)
    }

    async fn read_clicks(&mut self, tx: Tx<'_>, asking: &[Asking<'_, '_>]) -> Result<(), ApplyError> {
        let wanted: Vec<(i32, ClickKey)> = asking
            .iter()
            .filter(|it| needs_click(it))
            .filter_map(|it| Some((it.network(), it.judged.attribution?.click?)))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let networks = column(&wanted, |(network, _)| *network);
        let keys = column(&wanted, |(_, key)| key.0);
        let rows = tx
            .transaction
            .query(&tx.statements.facts.clicks, &[&networks, &keys])
            .await?;
        for row in &rows {
            let subs = [row.get(2), row.get(3), row.get(4), row.get(5), row.get(6)];
            let facts = ClickFacts {
                subs,
                country: row.get(7),
                device: row.get(8),
                flag: row.get::<_, Option<&str>>(9).and_then(|flag| flag.parse().ok()),
            };
            self.clicks.insert((row.get(0), ClickKey(row.get(1))), facts);
        }
        Ok(())
    }

    async fn read_sums(&mut self, tx: Tx<'_>, asking: &[Asking<'_, '_>]) -> Result<(), ApplyError> {
        let concerned: Vec<_> = asking.iter().filter(|it| !sum_keys(it).is_empty()).collect();
        if concerned.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = concerned.iter().map(|it| it.key()).collect();
        self.counted = firsts(tx, &keys).await?.into_keys().collect();
        // A set, in order: each sum is asked for once.
        let wanted: BTreeSet<(SumKey, &str)> = concerned
            .iter()
            .flat_map(|it| {
                let currency = it
                    .judged
                    .route
                    .as_ref()
                    .map_or("", |route| route.campaign().currency.code());
                sum_keys(it).into_iter().map(move |key| (key, currency))
            })
            .collect();
        let wanted: Vec<_> = wanted.into_iter().collect();
        let places: Vec<i32> = (0..).take(wanted.len()).collect();
        let rows = tx
            .transaction
            .query(
                &tx.statements.facts.sums,
                &[
                    &places,
                    &column(&wanted, |(key, _)| key.0),
                    &column(&wanted, |(key, _)| key.1.0),
                    &column(&wanted, |(key, _)| key.2.map(|id| id.0)),
                    &column(&wanted, |(key, _)| key.3.map(|id| id.0)),
                    &column(&wanted, |(key, _)| key.4),
                    &column(&wanted, |(_, currency)| *currency),
                    &column(&wanted, |(key, _)| key.5),
                ],
            )
            .await?;
        for row in &rows {
            let at = usize::try_from(row.get::<_, i32>(0)).unwrap_or(usize::MAX);
            if let Some((key, _)) = wanted.get(at) {
                let sums = Sums {
                    conversions: row.get(1),
                    commission: row.get(2),
                    revenue: row.get(3),
                };
                self.sums.insert(*key, sums);
            }
        }
        Ok(())
    }

    /// What the row of a claim's click says; none where the click is not stored (yet, or any more).
    pub(super) fn click(&self, it: &Asking<'_, '_>) -> Option<&ClickFacts> {
        self.clicks.get(&(it.network(), it.judged.attribution?.click?))
    }

    /// Which conversion of its goal a claim would be for the affiliate this month.
    pub(super) fn number_in_month(&self, it: &Asking<'_, '_>) -> i64 {
        let Some(key) = month_key(it) else { return 1 };
        self.sums.get(&key).map_or(0, |sums| sums.conversions) + 1
    }

    /// What counts under a cap so far.
    pub(super) fn under_cap(&self, it: &Asking<'_, '_>, cap: &Cap) -> Sums {
        let key = cap_key(it, cap);
        key.and_then(|key| self.sums.get(&key))
            .copied()
            .unwrap_or_default()
    }

    /// Whether a claim is on a conversion there is already, which pays what it paid.
    pub(super) fn is_counted(&self, it: &Asking<'_, '_>) -> bool {
        self.counted.contains(&it.key())
    }

    /// Counts a conversion for those who come after it in the same batch.
    pub(super) fn count(&mut self, it: &Asking<'_, '_>, conversion: &Conversion) {
        let keys = sum_keys(it);
        if keys.is_empty() || !self.counted.insert(it.key()) || !conversion.status.counts() {
            return;
        }
        let ours = it.judged.route.as_ref().map(|route| route.campaign().currency);
        for key in keys {
            let sums = self.sums.entry(key).or_default();
            sums.conversions += 1;
            if ours == Some(conversion.currency) {
                sums.commission += conversion.commission_micros;
                sums.revenue += conversion.revenue_micros;
            }
        }
    }
}

/// Whether the campaign of a claim pays for some clicks only: for visitors whom it wants, or as many as it wants. Tests
/// are made by whoever is there.
pub(super) fn pays_for_some_clicks(it: &Asking<'_, '_>) -> bool {
    let Some(route) = it.judged.route.as_ref().filter(|_| !it.judged.is_test()) else {
        return false;
    };
    !route.campaign().audience.is_everybody() || caps_clicks(route)
}

/// Whether the campaign of a link wants only so many clicks, of everybody or of the link's affiliate.
pub(super) fn caps_clicks(route: &Route) -> bool {
    let is_of_clicks = |cap: &Cap| cap.metric == Metric::Clicks && cap.concerns(route.affiliate_id);
    route.promotion.caps.iter().any(is_of_clicks)
}

/// Whether the terms of a claim depend on what only the row of its click says.
pub(super) fn needs_click(it: &Asking<'_, '_>) -> bool {
    let Some(route) = &it.judged.route else {
        return false;
    };
    if it.judged.attribution.is_none_or(|it| it.click.is_none()) {
        return false;
    }
    if pays_for_some_clicks(it) {
        return true;
    }
    let says_country = it.judged.record.said.country.is_some();
    route.promotion.rules_of(it.claim.goal.id).any(|rule| {
        let conditions = &rule.settings.conditions;
        conditions.sub_number.is_some() || conditions.country.is_some() && !says_country
    })
}

fn zone(it: &Asking<'_, '_>) -> Tz {
    it.judged
        .network
        .as_ref()
        .map_or(Tz::UTC, |network| network.time_zone())
}

/// From when to when the day, month or all time is in which a postback came.
fn within(period: CapPeriod, it: &Asking<'_, '_>) -> (DateTime<Utc>, DateTime<Utc>) {
    caps::within(period, zone(it), it.judged.record.received_at)
}

/// The sum that tiers go by, where the goal has any.
fn month_key(it: &Asking<'_, '_>) -> Option<SumKey> {
    let route = it.judged.route.as_ref()?;
    let goal = it.claim.goal.id;
    let mut rules = route.promotion.rules_of(goal);
    rules
        .any(|rule| rule.settings.conditions.month_from.is_some())
        .then(|| {
            let (since, until) = within(CapPeriod::Month, it);
            let affiliate = Some(route.affiliate_id);
            (
                it.network(),
                route.campaign().id,
                affiliate,
                Some(goal),
                since,
                until,
            )
        })
}

fn cap_key(it: &Asking<'_, '_>, cap: &Cap) -> Option<SumKey> {
    let route = it.judged.route.as_ref()?;
    let is_of_conversions = cap.metric != Metric::Clicks;
    (is_of_conversions && cap.concerns(route.affiliate_id)).then(|| {
        let (since, until) = within(cap.period, it);
        (
            it.network(),
            cap.campaign_id,
            cap.affiliate_id,
            None,
            since,
            until,
        )
    })
}

/// The sums that a claim depends on, each once: two caps may go by the same one.
fn sum_keys(it: &Asking<'_, '_>) -> BTreeSet<SumKey> {
    let caps = it.judged.route.iter().flat_map(|route| &route.promotion.caps);
    caps.filter_map(|cap| cap_key(it, cap))
        .chain(month_key(it))
        .collect()
}
