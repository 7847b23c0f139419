//! Promoters: the access of affiliates to campaigns that are not open to all.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AffiliateId, CampaignId, NetworkConn, affiliates, promoters};
use serde_json::json;
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError};

use crate::access::Access;
pub use crate::access::PromoterStatus;
use crate::campaigns::Campaign;

/// Access of an affiliate to a campaign, as stored.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = promoters)]
pub struct Promoter {
    /// The campaign.
    pub campaign_id: CampaignId,
    /// The affiliate.
    pub affiliate_id: AffiliateId,
    /// State of the access.
    pub status: PromoterStatus,
    /// Message of the affiliate's application.
    pub note: String,
    /// Time of the last change of the status.
    pub changed_at: DateTime<Utc>,
}

/// Sets the access of an affiliate to a campaign.
///
/// # Errors
/// Database errors, or a campaign or affiliate of another network (a foreign-key violation).
pub async fn set(conn: &mut NetworkConn, author: &Author, promoter: &Promoter) -> QueryResult<()> {
    let network_id = conn.network_id();
    let before = find(conn, promoter.campaign_id, promoter.affiliate_id).await?;
    let access = (
        promoters::status.eq(promoter.status),
        promoters::note.eq(&promoter.note),
        promoters::changed_at.eq(promoter.changed_at),
    );
    diesel::insert_into(promoters::table)
        .values((
            promoters::network_id.eq(network_id),
            promoters::campaign_id.eq(promoter.campaign_id),
            promoters::affiliate_id.eq(promoter.affiliate_id),
            access,
        ))
        .on_conflict((
            promoters::network_id,
            promoters::campaign_id,
            promoters::affiliate_id,
        ))
        .do_update()
        .set(access)
        .execute(&mut **conn)
        .await?;
    let to_json = |status: PromoterStatus| json!({ "affiliate": promoter.affiliate_id.to_string(), "status": status.as_str() });
    let change = Change::between(
        "promoter.set",
        promoter.campaign_id,
        &promoter.affiliate_id.to_string(),
        before.map_or(json!({}), |before| to_json(before.status)),
        to_json(promoter.status),
    );
    audit::record(conn, author, change, promoter.changed_at).await
}

/// Records an affiliate's application to promote a campaign. An existing application or decision is an error.
///
/// # Errors
/// [`ChangeError::Conflict`] when the campaign takes no applications or one already exists; when the database fails.
pub async fn ask(
    conn: &mut NetworkConn,
    author: &Author,
    campaign: &Campaign,
    affiliate_id: AffiliateId,
    note: String,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let network_id = conn.network_id();
    let asked = match campaign.offer.access {
        // A concurrent decision wins.
        Access::Approval => {
            diesel::insert_into(promoters::table)
                .values((
                    promoters::network_id.eq(network_id),
                    promoters::campaign_id.eq(campaign.id),
                    promoters::affiliate_id.eq(affiliate_id),
                    promoters::status.eq(PromoterStatus::Asked),
                    promoters::note.eq(note),
                    promoters::changed_at.eq(now),
                ))
                .on_conflict_do_nothing()
                .execute(&mut **conn)
                .await?
        }
        Access::Open | Access::Private => 0,
    };
    if asked == 0 {
        let message =
            "No application is possible: the campaign takes none, or the affiliate already has one.";
        return Err(ChangeError::Conflict(message.to_owned()));
    }
    let after = json!({ "affiliate": affiliate_id.to_string(), "status": "asked" });
    let change = Change::created("promoter.ask", campaign.id, &affiliate_id.to_string(), after);
    Ok(audit::record(conn, author, change, now).await?)
}

/// Finds the access of an affiliate to a campaign; `None` if the affiliate never applied and was never invited.
///
/// # Errors
/// Database errors.
pub async fn find(
    conn: &mut NetworkConn,
    campaign_id: CampaignId,
    affiliate_id: AffiliateId,
) -> QueryResult<Option<Promoter>> {
    let network_id = conn.network_id();
    Promoter::query()
        .filter(promoters::network_id.eq(network_id))
        .filter(promoters::campaign_id.eq(campaign_id))
        .filter(promoters::affiliate_id.eq(affiliate_id))
        .first(&mut **conn)
        .await
        .optional()
}

/// True if an affiliate may get links to a campaign.
///
/// # Errors
/// Database errors.
pub async fn may_promote(
    conn: &mut NetworkConn,
    campaign: &Campaign,
    affiliate_id: AffiliateId,
) -> QueryResult<bool> {
    let promoter = find(conn, campaign.id, affiliate_id).await?;
    Ok(admits(campaign, promoter.map(|promoter| promoter.status)))
}

/// Access of an affiliate by campaign.
///
/// # Errors
/// Database errors.
pub async fn of_affiliate(
    conn: &mut NetworkConn,
    affiliate_id: AffiliateId,
) -> QueryResult<HashMap<CampaignId, PromoterStatus>> {
    let network_id = conn.network_id();
    let rows: Vec<(CampaignId, PromoterStatus)> = promoters::table
        .filter(promoters::network_id.eq(network_id))
        .filter(promoters::affiliate_id.eq(affiliate_id))
        .select((promoters::campaign_id, promoters::status))
        .load(&mut **conn)
        .await?;
    Ok(rows.into_iter().collect())
}

/// True if an affiliate with this access, if any, may get links to a campaign.
#[must_use]
pub fn admits(campaign: &Campaign, status: Option<PromoterStatus>) -> bool {
    match campaign.offer.access {
        Access::Open => status != Some(PromoterStatus::Declined),
        Access::Approval | Access::Private => status == Some(PromoterStatus::Approved),
    }
}

/// Counts the undecided applications by campaign.
///
/// # Errors
/// Database errors.
pub async fn waiting(conn: &mut NetworkConn) -> QueryResult<HashMap<CampaignId, i64>> {
    let network_id = conn.network_id();
    let rows: Vec<(CampaignId, i64)> = promoters::table
        .filter(promoters::network_id.eq(network_id))
        .filter(promoters::status.eq(PromoterStatus::Asked))
        .group_by(promoters::campaign_id)
        .select((promoters::campaign_id, diesel::dsl::count_star()))
        .load(&mut **conn)
        .await?;
    Ok(rows.into_iter().collect())
}

/// Access of affiliates by campaign and affiliate, of one campaign if given: at most `limit`, after this one.
///
/// # Errors
/// Database errors.
pub async fn list(
    conn: &mut NetworkConn,
    campaign_id: Option<CampaignId>,
    after: Option<(CampaignId, AffiliateId)>,
    limit: i64,
) -> QueryResult<Vec<Promoter>> {
    let network_id = conn.network_id();
    let mut query = Promoter::query()
        .filter(promoters::network_id.eq(network_id))
        .order((promoters::campaign_id, promoters::affiliate_id))
        .limit(limit)
        .into_boxed();
    if let Some(id) = campaign_id {
        query = query.filter(promoters::campaign_id.eq(id));
    }
    if let Some((campaign, affiliate)) = after {
        let later = promoters::campaign_id
            .eq(campaign)
            .and(promoters::affiliate_id.gt(affiliate));
        query = query.filter(promoters::campaign_id.gt(campaign).or(later));
    }
    query.load(&mut **conn).await
}

/// Access of all affiliates to a campaign with their names, undecided applications first.
///
/// # Errors
/// Database errors.
pub async fn of_campaign(
    conn: &mut NetworkConn,
    campaign_id: CampaignId,
) -> QueryResult<Vec<(Promoter, String)>> {
    let network_id = conn.network_id();
    promoters::table
        .inner_join(
            affiliates::table.on(affiliates::network_id
                .eq(promoters::network_id)
                .and(affiliates::id.eq(promoters::affiliate_id))),
        )
        .filter(promoters::network_id.eq(network_id))
        .filter(promoters::campaign_id.eq(campaign_id))
        .order((
            promoters::status.ne(PromoterStatus::Asked),
            affiliates::name,
            affiliates::id,
        ))
        .select((Promoter::as_select(), affiliates::name))
        .load(&mut **conn)
        .await
}
