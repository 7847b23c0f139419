//! Postbacks that came before what they belong to: they wait, visible, until it comes or their time is over.

use chrono::{DateTime, TimeDelta, Utc};
use schema::{AdvertiserId, CampaignId};
use tokio_postgres::{Client, Row, Statement};
use uuid::Uuid;

use super::{ApplyError, Asking, Candidate, Decided, Ending, Made, Origin, Tx, column};
use crate::judge::{Judged, Sender};
use crate::postback_record::PostbackRecord;
use crate::verdict::{Reason, Verdict};

/// How long a call waits for the first conversion of its customer: as long as for a parent where nobody set anything.
const FOR_CUSTOMER: TimeDelta = TimeDelta::hours(72);
/// How long a call waits for its click to be stored.
const FOR_CLICK: TimeDelta = TimeDelta::seconds(60);

const PARK: &str = "INSERT INTO parked_postbacks (network_id, postback_id, parked_at, until, waits_for, goal_id, click_id,
         customer_id, unique_key, advertiser_id, is_proven, record, integration_campaign_id)
     SELECT * FROM unnest($1::int[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::int[], $7::uuid[],
         $8::text[], $9::text[], $10::int[], $11::bool[], $12::bytea[], $13::int[])
     ON CONFLICT (network_id, postback_id) DO NOTHING";
/// What waits for one of these conversions: each way of waiting by its own index. What carried a campaign's own token waits
/// for that campaign's.
const RELEASE: &str = "WITH made AS MATERIALIZED (
         SELECT * FROM unnest($1::int[], $2::int[], $3::uuid[], $4::text[], $5::text[], $6::int[], $7::int[])
           AS k (network_id, goal_id, click_id, customer_id, unique_key, advertiser_id, campaign_id)),
     released AS MATERIALIZED (
         SELECT p.network_id, p.postback_id FROM made k JOIN parked_postbacks p ON p.waits_for = 'parent'
            AND p.network_id = k.network_id AND p.goal_id = k.goal_id AND p.click_id = k.click_id
         UNION SELECT p.network_id, p.postback_id FROM made k JOIN parked_postbacks p ON p.waits_for = 'parent'
            AND p.network_id = k.network_id AND p.goal_id = k.goal_id AND p.customer_id = k.customer_id
         UNION SELECT p.network_id, p.postback_id FROM made k JOIN parked_postbacks p ON p.waits_for = 'conversion'
            AND p.network_id = k.network_id AND p.goal_id = k.goal_id AND p.unique_key = k.unique_key
         UNION SELECT p.network_id, p.postback_id FROM made k JOIN parked_postbacks p ON p.waits_for = 'customer'
            AND p.network_id = k.network_id AND p.customer_id = k.customer_id AND p.advertiser_id = k.advertiser_id
            AND (p.integration_campaign_id IS NULL OR p.integration_campaign_id = k.campaign_id)),
     locked AS MATERIALIZED (
         SELECT p.network_id, p.postback_id FROM released r JOIN parked_postbacks p
             ON p.network_id = r.network_id AND p.postback_id = r.postback_id
         ORDER BY p.network_id, p.postback_id FOR UPDATE OF p SKIP LOCKED)
     DELETE FROM parked_postbacks d USING locked l WHERE d.network_id = l.network_id AND d.postback_id = l.postback_id
     RETURNING d.record, d.advertiser_id, d.is_proven, d.integration_campaign_id";
/// What need not wait any more although nothing released it: what it waits for came in on another node at the same time,
/// or is a click. Skipping what another node looks at.
const READY: &str = "WITH ready AS MATERIALIZED (
         SELECT p.network_id, p.postback_id FROM parked_postbacks p
         WHERE p.parked_at < $1 AND (
            p.waits_for = 'click' AND EXISTS (
                SELECT FROM clicks c WHERE c.network_id = p.network_id AND c.id = p.click_id)
            OR p.waits_for = 'parent' AND p.click_id IS NOT NULL AND EXISTS (
                SELECT FROM conversions c WHERE c.network_id = p.network_id AND c.click_id = p.click_id
                   AND c.goal_id = p.goal_id AND c.status IN ('pending', 'approved'))
            OR p.waits_for = 'parent' AND p.customer_id IS NOT NULL AND EXISTS (
                SELECT FROM conversions c WHERE c.network_id = p.network_id AND c.customer_id = p.customer_id
                   AND c.goal_id = p.goal_id AND c.status IN ('pending', 'approved'))
            OR p.waits_for = 'conversion' AND EXISTS (
                SELECT FROM conversions c WHERE c.network_id = p.network_id AND c.goal_id = p.goal_id AND c.unique_key = p.unique_key)
            OR p.waits_for = 'customer' AND EXISTS (
                SELECT FROM conversions c WHERE c.network_id = p.network_id AND c.customer_id = p.customer_id
                   AND c.advertiser_id = p.advertiser_id
                   AND (p.integration_campaign_id IS NULL OR p.integration_campaign_id = c.campaign_id)))
         LIMIT 500 FOR UPDATE OF p SKIP LOCKED)
     DELETE FROM parked_postbacks d USING ready r WHERE d.network_id = r.network_id AND d.postback_id = r.postback_id
     RETURNING d.record, d.advertiser_id, d.is_proven, d.integration_campaign_id";
const OVERDUE: &str = "WITH late AS MATERIALIZED (
         SELECT p.network_id, p.postback_id FROM parked_postbacks p WHERE p.until <= $1
         ORDER BY p.until LIMIT 500 FOR UPDATE SKIP LOCKED)
     DELETE FROM parked_postbacks d USING late l WHERE d.network_id = l.network_id AND d.postback_id = l.postback_id
     RETURNING d.record, d.advertiser_id, d.is_proven, d.integration_campaign_id";
const TAKE: &str = "DELETE FROM parked_postbacks WHERE network_id = $1 AND postback_id = $2
     RETURNING record, advertiser_id, is_proven, integration_campaign_id";
const POSTPONE: &str = "UPDATE parked_postbacks SET until = greatest(until, $3), parked_at = $3
     WHERE network_id = $1 AND postback_id = $2";

pub(super) struct Statements {
    park: Statement,
    release: Statement,
    ready: Statement,
    overdue: Statement,
    take: Statement,
    postpone: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, ApplyError> {
        Ok(Self {
            park: client.prepare(PARK).await?,
            release: client.prepare(RELEASE).await?,
            ready: client.prepare(READY).await?,
            overdue: client.prepare(OVERDUE).await?,
            take: client.prepare(TAKE).await?,
            postpone: client.prepare(POSTPONE).await?,
        })
    }
}

/// What a postback waits for, and how long.
pub(super) struct Wait {
    reason: Reason,
    until: DateTime<Utc>,
    goal_id: Option<i32>,
    click_id: Option<Uuid>,
    customer_id: Option<String>,
    unique_key: Option<String>,
    message: String,
}

impl Wait {
    /// For a conversion of the parent goal, by its click or customer.
    pub(super) fn for_parent(it: &Asking<'_, '_>) -> Self {
        let chain = &it.claim.goal.settings.chain;
        let goals = it.judged.route.iter().flat_map(|route| &route.promotion.goals);
        let parent = goals
            .filter(|goal| Some(goal.id) == chain.parent_goal_id)
            .map(|goal| goal.code())
            .next()
            .unwrap_or_default();
        Self {
            goal_id: chain.parent_goal_id.map(|id| id.0),
            click_id: it.judged.attribution.and_then(|it| it.click).map(|key| key.0),
            customer_id: it.judged.record.said.customer_id.clone(),
            ..Self::new(
                Reason::WaitingForParent,
                it.judged,
                TimeDelta::hours(chain.wait_hours.into()),
                format!(
                    "The goal {parent}, which comes before {}, was not reached yet.",
                    it.claim.goal.code()
                ),
            )
        }
    }

    /// For the conversion that it changes.
    pub(super) fn for_conversion(it: &Asking<'_, '_>) -> Self {
        let goal = it.claim.goal;
        Self {
            goal_id: Some(goal.id.0),
            unique_key: Some(it.claim.unique_key.clone()),
            ..Self::new(
                Reason::WaitingForConversion,
                it.judged,
                TimeDelta::hours(goal.settings.chain.wait_hours.into()),
                format!(
                    "Nothing was recorded yet for {} of the goal {}.",
                    it.claim.unique_key,
                    goal.code()
                ),
            )
        }
    }

    /// For the first conversion of a customer.
    pub(super) fn for_customer(judged: &Judged, customer: &str) -> Self {
        Self {
            customer_id: Some(customer.to_owned()),
            ..Self::new(
                Reason::WaitingForCustomer,
                judged,
                FOR_CUSTOMER,
                format!("Nothing is known of the customer {customer} yet, and the call names no click."),
            )
        }
    }

    /// For its click to be stored.
    pub(super) fn for_click(it: &Asking<'_, '_>, now: DateTime<Utc>) -> Self {
        let message = Reason::WaitingForClick.meaning().to_owned();
        let wait = Self::new(Reason::WaitingForClick, it.judged, FOR_CLICK, message);
        Self {
            click_id: it.judged.attribution.and_then(|it| it.click).map(|key| key.0),
            // From now on: the journal may have been applied late.
            until: wait.until.max(now + FOR_CLICK),
            ..wait
        }
    }

    fn new(reason: Reason, judged: &Judged, time: TimeDelta, message: String) -> Self {
        Self {
            reason,
            until: judged.record.received_at + time,
            goal_id: None,
            click_id: None,
            customer_id: None,
            unique_key: None,
            message,
        }
    }

    /// What is told meanwhile.
    pub(super) fn verdict(&self) -> Verdict {
        let until = self.until.format("%F %R UTC");
        Verdict::saying(
            self.reason,
            format!("{} The call waits for it until {until}.", self.message),
        )
    }

    fn word(&self) -> &'static str {
        match self.reason {
            Reason::WaitingForParent => "parent",
            Reason::WaitingForConversion => "conversion",
            Reason::WaitingForCustomer => "customer",
            _ => "click",
        }
    }
}

/// Puts those that wait aside.
pub(super) async fn park(tx: Tx<'_>, decided: &[Decided]) -> Result<(), ApplyError> {
    let waiting: Vec<(&Judged, &Wait)> = decided
        .iter()
        .filter_map(|it| match &it.ending {
            Ending::Park(wait) => Some((&it.judged, wait)),
            Ending::Verdict(_) => None,
        })
        .collect();
    if waiting.is_empty() {
        return Ok(());
    }
    tx.transaction
        .execute(
            &tx.statements.park.park,
            &[
                &column(&waiting, |(it, _)| it.record.network.0),
                &column(&waiting, |(it, _)| it.record.id.0),
                &column(&waiting, |(it, _)| it.record.received_at),
                &column(&waiting, |(_, wait)| wait.until),
                &column(&waiting, |(_, wait)| wait.word()),
                &column(&waiting, |(_, wait)| wait.goal_id),
                &column(&waiting, |(_, wait)| wait.click_id),
                &column(&waiting, |(_, wait)| wait.customer_id.as_deref()),
                &column(&waiting, |(_, wait)| wait.unique_key.as_deref()),
                &column(&waiting, |(it, _)| it.advertiser_id.map(|id| id.0)),
                &column(&waiting, |(it, _)| it.is_proven),
                &column(&waiting, |(it, _)| it.record.to_bytes()),
                &column(&waiting, |(it, _)| it.integration_campaign().map(|id| id.0)),
            ],
        )
        .await?;
    Ok(())
}

/// Takes back what waits for one of these conversions.
pub(super) async fn release(tx: Tx<'_>, made: &[Made]) -> Result<Vec<Candidate>, ApplyError> {
    if made.is_empty() {
        return Ok(Vec::new());
    }
    let rows = tx
        .transaction
        .query(
            &tx.statements.park.release,
            &[
                &column(made, |it| it.network),
                &column(made, |it| it.conversion.goal_id.0),
                &column(made, |it| it.conversion.click_id.map(|key| key.0)),
                &column(made, |it| it.conversion.customer_id.as_deref()),
                &column(made, |it| it.conversion.unique_key.as_str()),
                &column(made, |it| it.conversion.advertiser_id.0),
                &column(made, |it| it.conversion.campaign_id.0),
            ],
        )
        .await?;
    Ok(candidates(&rows, Origin::Parked))
}

/// Takes back what need not wait any more although nothing released it.
pub(in crate::ingest) async fn ready(tx: Tx<'_>, now: DateTime<Utc>) -> Result<Vec<Candidate>, ApplyError> {
    let since = now - TimeDelta::seconds(2);
    let rows = tx.transaction.query(&tx.statements.park.ready, &[&since]).await?;
    Ok(candidates(&rows, Origin::Parked))
}

/// Takes back what has waited long enough.
pub(in crate::ingest) async fn overdue(tx: Tx<'_>, now: DateTime<Utc>) -> Result<Vec<Candidate>, ApplyError> {
    let rows = tx.transaction.query(&tx.statements.park.overdue, &[&now]).await?;
    Ok(candidates(&rows, Origin::Overdue))
}

fn candidates(rows: &[Row], origin: Origin) -> Vec<Candidate> {
    let read = |row: &Row| {
        let advertiser_id: Option<i32> = row.get(1);
        let record = PostbackRecord::read(row.get(0));
        let record = record.inspect_err(|error| {
            tracing::error!(error, "a postback that waited cannot be read, and stays held");
        });
        Some(Candidate {
            record: record.ok()?,
            origin,
            sender: advertiser_id.map(|id| Sender {
                advertiser_id: AdvertiserId(id),
                campaign_id: row.get::<_, Option<i32>>(3).map(CampaignId),
                is_proven: row.get(2),
            }),
        })
    };
    let mut released: Vec<_> = rows.iter().filter_map(read).collect();
    // In the order they came.
    released.sort_by_key(|candidate: &Candidate| candidate.record.id);
    released
}

/// Takes one back.
pub(in crate::ingest) async fn take(
    tx: Tx<'_>,
    (network, id): (i32, Uuid),
    origin: Origin,
) -> Result<Vec<Candidate>, ApplyError> {
    let rows = tx
        .transaction
        .query(&tx.statements.park.take, &[&network, &id])
        .await?;
    Ok(candidates(&rows, origin))
}

/// Lets one that could not be decided wait on.
pub(in crate::ingest) async fn postpone(
    tx: Tx<'_>,
    (network, id): (i32, Uuid),
    to: DateTime<Utc>,
) -> Result<(), ApplyError> {
    tx.transaction
        .execute(&tx.statements.park.postpone, &[&network, &id, &to])
        .await?;
    Ok(())
}
