//! Caps: how much of something a campaign wants, of everybody together or of one affiliate.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AffiliateId, CampaignId, CapId, Currency, Money, NetworkConn, caps, text_enum};
use serde_json::json;
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError, taken};

text_enum! {
    /// What a cap counts.
    pub enum Metric {
        /// Valid clicks.
        Clicks = "clicks",
        /// Conversions that are not rejected.
        Conversions = "conversions",
        /// What affiliates earn, in the campaign's currency.
        Commission = "commission",
        /// What the advertiser owes, in the campaign's currency.
        Revenue = "revenue",
    }
}

text_enum! {
    /// In what time.
    pub enum CapPeriod {
        /// A day on the network's clock.
        Day = "day",
        /// A month on the network's clock.
        Month = "month",
        /// Ever.
        Total = "total",
    }
}

/// A cap as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, HasQuery)]
#[diesel(table_name = caps)]
pub struct Cap {
    /// The cap.
    pub id: CapId,
    /// The campaign.
    pub campaign_id: CampaignId,
    /// Of this affiliate only; of all together if none.
    pub affiliate_id: Option<AffiliateId>,
    /// Of what.
    pub metric: Metric,
    /// In what time.
    pub period: CapPeriod,
    /// A number, or micro-units of the campaign's currency.
    pub most: i64,
}

impl Cap {
    /// Whether it is about what this affiliate brings.
    #[must_use]
    pub fn concerns(&self, affiliate_id: AffiliateId) -> bool {
        self.affiliate_id.is_none_or(|named| named == affiliate_id)
    }

    /// The cap in words: `500 clicks a day`, `1000.00 EUR commission a month`.
    #[must_use]
    pub fn in_words(&self, currency: Currency) -> String {
        let what = match self.metric {
            Metric::Clicks | Metric::Conversions => format!("{} {}", self.most, self.metric),
            Metric::Commission | Metric::Revenue => {
                let most = Money {
                    micros: self.most,
                    currency,
                };
                format!("{most} {}", self.metric)
            }
        };
        match self.period {
            CapPeriod::Day => format!("{what} a day"),
            CapPeriod::Month => format!("{what} a month"),
            CapPeriod::Total => format!("{what} in total"),
        }
    }
}

/// A cap to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Insertable)]
#[diesel(table_name = caps)]
pub struct NewCap {
    /// The campaign.
    pub campaign_id: CampaignId,
    /// Of this affiliate only.
    pub affiliate_id: Option<AffiliateId>,
    /// Of what.
    pub metric: Metric,
    /// In what time.
    pub period: CapPeriod,
    /// Above 0.
    pub most: i64,
}

/// Sets a cap.
///
/// # Errors
/// [`ChangeError::Fields`] when there is one of this kind; when the database fails, or campaign or affiliate are not of
/// this network (a foreign-key violation).
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    cap: &NewCap,
    now: DateTime<Utc>,
) -> Result<Cap, ChangeError> {
    let network_id = conn.network_id();
    let made: Cap = diesel::insert_into(caps::table)
        .values((caps::network_id.eq(network_id), caps::created_at.eq(now), cap))
        .returning(Cap::as_select())
        .get_result(&mut **conn)
        .await
        .map_err(taken(
            "caps_network_id_campaign_id_affiliate_id_metric_period_key",
            "metric",
            "There is such a cap; remove it first.",
        ))?;
    let change = Change::created("cap.create", made.id, cap.metric.as_str(), described(&made));
    audit::record(conn, author, change, now).await?;
    Ok(made)
}

/// Removes a cap of a campaign. Returns whether there was one.
///
/// # Errors
/// When the database fails.
pub async fn remove(
    conn: &mut NetworkConn,
    author: &Author,
    campaign_id: CampaignId,
    id: CapId,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let network_id = conn.network_id();
    let removed: Option<Cap> = diesel::delete(caps::table.find((network_id, id)))
        .filter(caps::campaign_id.eq(campaign_id))
        .returning(Cap::as_select())
        .get_result(&mut **conn)
        .await
        .optional()?;
    let Some(cap) = removed else { return Ok(false) };
    let change = Change::between("cap.remove", id, cap.metric.as_str(), described(&cap), json!({}));
    audit::record(conn, author, change, now).await?;
    Ok(true)
}

fn described(cap: &Cap) -> serde_json::Value {
    json!({
        "campaign": cap.campaign_id.to_string(),
        "affiliate": cap.affiliate_id.map(|id| id.to_string()),
        "metric": cap.metric.as_str(),
        "period": cap.period.as_str(),
        "most": cap.most,
    })
}

/// The caps of a campaign.
///
/// # Errors
/// When the database fails.
pub async fn of_campaign(conn: &mut NetworkConn, campaign_id: CampaignId) -> QueryResult<Vec<Cap>> {
    let network_id = conn.network_id();
    Cap::query()
        .filter(
            caps::network_id
                .eq(network_id)
                .and(caps::campaign_id.eq(campaign_id)),
        )
        .order((caps::metric, caps::period, caps::id))
        .load(&mut **conn)
        .await
}
