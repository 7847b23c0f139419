//! Caps: limits of clicks, conversions or money of a campaign, for all affiliates together or for one.

use chrono::{DateTime, Datelike, Months, TimeDelta, Utc};
use chrono_tz::Tz;
use dialects::Amount;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AffiliateId, CampaignId, CapId, Currency, Money, NetworkConn, caps, clock, text_enum};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError, Draft, affiliates, taken};

use crate::terms::decimal;
text_enum! {
    /// Metric that a cap limits.
    pub enum Metric {
        /// Valid clicks.
        Clicks = "clicks",
        /// Paid conversions that are pending or approved.
        Conversions = "conversions",
        /// Commission of affiliates, in the cap's currency.
        Commission = "commission",
        /// Revenue from the advertiser, in the cap's currency.
        Revenue = "revenue",
    }
}

text_enum! {
    /// Period of a cap.
    pub enum CapPeriod {
        /// A day in the network's time zone.
        Day = "day",
        /// A month in the network's time zone.
        Month = "month",
        /// The lifetime of the campaign.
        Total = "total",
    }
}

impl CapPeriod {
    /// Start and end (not included) of the period that contains a moment, on a network's clock.
    #[must_use]
    pub fn range(self, time_zone: Tz, at: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
        let day = at.with_timezone(&time_zone).date_naive();
        let (first, next) = match self {
            Self::Day => (day, day.succ_opt()),
            Self::Month => {
                let first = day.with_day(1).unwrap_or(day);
                (first, first.checked_add_months(Months::new(1)))
            }
            Self::Total => {
                return (
                    DateTime::UNIX_EPOCH,
                    DateTime::UNIX_EPOCH + TimeDelta::days(1_000_000),
                );
            }
        };
        let start = |day| clock::start_of_day(day, time_zone);
        (start(first), start(next.unwrap_or(first)))
    }
}

/// A cap as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, HasQuery, Serialize, Deserialize)]
#[diesel(table_name = caps)]
pub struct Cap {
    /// The cap.
    pub id: CapId,
    /// The campaign.
    pub campaign_id: CampaignId,
    /// Affiliate the cap applies to; `None` for all affiliates together.
    pub affiliate_id: Option<AffiliateId>,
    /// Metric that is limited.
    pub metric: Metric,
    /// Period of the limit.
    pub period: CapPeriod,
    /// Limit: a count, or micro-units of the currency.
    pub most: i64,
    /// Currency of a money cap; `None` for the campaign's currency.
    pub currency: Option<Currency>,
}

impl Cap {
    /// True if the cap counts the traffic of this affiliate.
    #[must_use]
    pub fn concerns(&self, affiliate_id: AffiliateId) -> bool {
        self.affiliate_id.is_none_or(|named| named == affiliate_id)
    }

    /// The limit as users type it: a count, or an amount.
    #[must_use]
    pub fn most_as_typed(&self) -> String {
        match self.metric {
            Metric::Clicks | Metric::Conversions => self.most.to_string(),
            Metric::Commission | Metric::Revenue => decimal(self.most),
        }
    }

    /// Text of the cap in a campaign of this currency: `500 clicks a day`, `1000.00 EUR commission a month`.
    #[must_use]
    pub fn in_words(&self, currency: Currency) -> String {
        let currency = self.currency.unwrap_or(currency);
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

/// A cap to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Insertable)]
#[diesel(table_name = caps)]
pub struct NewCap {
    /// The campaign.
    pub campaign_id: CampaignId,
    /// Affiliate the cap applies to; `None` for all affiliates together.
    pub affiliate_id: Option<AffiliateId>,
    /// Metric to limit.
    pub metric: Metric,
    /// Period of the limit.
    pub period: CapPeriod,
    /// Limit above 0: a count, or micro-units of the currency.
    pub most: i64,
    /// Currency of a money cap; `None` for the campaign's currency.
    pub currency: Option<Currency>,
}

impl NewCap {
    /// Fields of a cap's [`Draft`].
    pub const FIELDS: [&'static str; 5] = ["affiliate", "metric", "period", "most", "currency"];

    /// Checks a draft and returns the cap, or `None` with the errors in the draft.
    ///
    /// # Errors
    /// Database errors.
    pub async fn check(
        conn: &mut NetworkConn,
        draft: &mut Draft,
        campaign_id: CampaignId,
    ) -> QueryResult<Option<Self>> {
        let affiliate_id = affiliates::named(conn, draft, "affiliate").await?;
        let metric = draft.take("metric", str::parse);
        let period = draft.take("period", str::parse);
        let most = draft.take("most", |text| check_most(text, metric));
        let currency = draft.take("currency", |text| check_currency(text, metric));
        Ok(affiliate_id.zip(metric).zip(period).zip(most).zip(currency).map(
            |((((affiliate_id, metric), period), most), currency)| Self {
                campaign_id,
                affiliate_id,
                metric,
                period,
                most,
                currency,
            },
        ))
    }
}

/// Parses the currency of a money cap; an empty text is none.
fn check_currency(text: &str, metric: Option<Metric>) -> Result<Option<Currency>, String> {
    match (text, metric) {
        ("", _) => Ok(None),
        (_, Some(Metric::Clicks | Metric::Conversions)) => {
            Err("Only a limit of money has a currency.".to_owned())
        }
        (text, _) => {
            let currency: Currency = text.parse().map_err(|unknown| format!("{unknown}."))?;
            Ok(Some(currency))
        }
    }
}

/// Parses a limit: a count, or an amount in the campaign's currency.
fn check_most(text: &str, metric: Option<Metric>) -> Result<i64, String> {
    let is_money = matches!(metric, Some(Metric::Commission | Metric::Revenue));
    let most = if is_money {
        Amount::parse(text)
            .map(|amount| amount.micros)
            .map_err(|problem| format!("“{text}” {problem}."))?
    } else {
        text.parse()
            .map_err(|_| "Enter a whole number above 0.".to_owned())?
    };
    if most > 0 {
        Ok(most)
    } else {
        Err("Enter a number above 0.".to_owned())
    }
}

/// Creates a cap.
///
/// # Errors
/// [`ChangeError::Fields`] when the campaign has a cap of this affiliate, metric and period; when the database fails,
/// or campaign or affiliate are not of this network (a foreign-key violation).
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
            "caps_once",
            "metric",
            "The campaign already has this cap; remove it first.",
        ))?;
    let change = Change::created("cap.create", made.id, cap.metric.as_str(), described(&made));
    audit::record(conn, author, change, now).await?;
    Ok(made)
}

/// The cap with this id.
///
/// # Errors
/// Database errors.
pub async fn find(conn: &mut NetworkConn, id: CapId) -> QueryResult<Option<Cap>> {
    let network_id = conn.network_id();
    Cap::query()
        .filter(caps::network_id.eq(network_id).and(caps::id.eq(id)))
        .first(&mut **conn)
        .await
        .optional()
}

/// Removes a cap of a campaign. Returns false if the campaign has no such cap.
///
/// # Errors
/// Database errors.
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
        "currency": cap.currency.map(Currency::code),
    })
}

/// Caps by id, of one campaign if given: at most `limit`, after this id.
///
/// # Errors
/// Database errors.
pub async fn list(
    conn: &mut NetworkConn,
    campaign_id: Option<CampaignId>,
    after: Option<CapId>,
    limit: i64,
) -> QueryResult<Vec<Cap>> {
    let network_id = conn.network_id();
    let mut query = Cap::query()
        .filter(caps::network_id.eq(network_id))
        .order(caps::id)
        .limit(limit)
        .into_boxed();
    if let Some(id) = campaign_id {
        query = query.filter(caps::campaign_id.eq(id));
    }
    if let Some(id) = after {
        query = query.filter(caps::id.gt(id));
    }
    query.load(&mut **conn).await
}

/// The caps of a campaign.
///
/// # Errors
/// Database errors.
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
