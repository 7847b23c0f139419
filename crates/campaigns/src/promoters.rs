//! Promoters: which affiliates may promote a campaign that is not open to all.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AffiliateId, CampaignId, NetworkConn, affiliates, promoters, text_enum};
use serde_json::json;
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError};

use crate::campaigns::{Access, Campaign};

text_enum! {
    /// Whether an affiliate may promote a campaign.
    pub enum PromoterStatus {
        /// Waits for the network.
        Asked = "asked",
        /// May.
        Approved = "approved",
        /// May not.
        Declined = "declined",
    }
}

/// An affiliate's standing with a campaign.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = promoters)]
pub struct Promoter {
    /// The campaign.
    pub campaign_id: CampaignId,
    /// The affiliate.
    pub affiliate_id: AffiliateId,
    /// Whether they may promote it.
    pub status: PromoterStatus,
    /// What they said when asking.
    pub note: String,
    /// When that last changed.
    pub changed_at: DateTime<Utc>,
}

/// Sets whether an affiliate may promote a campaign.
///
/// # Errors
/// When the database fails, or campaign or affiliate are not of this network (a foreign-key violation).
pub async fn set(conn: &mut NetworkConn, author: &Author, promoter: &Promoter) -> QueryResult<()> {
    let network_id = conn.network_id();
    let before = find(conn, promoter.campaign_id, promoter.affiliate_id).await?;
    let standing = (
        promoters::status.eq(promoter.status),
        promoters::note.eq(&promoter.note),
        promoters::changed_at.eq(promoter.changed_at),
    );
    diesel::insert_into(promoters::table)
        .values((
            promoters::network_id.eq(network_id),
            promoters::campaign_id.eq(promoter.campaign_id),
            promoters::affiliate_id.eq(promoter.affiliate_id),
            standing,
        ))
        .on_conflict((
            promoters::network_id,
            promoters::campaign_id,
            promoters::affiliate_id,
        ))
        .do_update()
        .set(standing)
        .execute(&mut **conn)
        .await?;
    let said = |status: PromoterStatus| json!({ "affiliate": promoter.affiliate_id.to_string(), "status": status.as_str() });
    let change = Change::between(
        "promoter.set",
        promoter.campaign_id,
        &promoter.affiliate_id.to_string(),
        before.map_or(json!({}), |before| said(before.status)),
        said(promoter.status),
    );
    audit::record(conn, author, change, promoter.changed_at).await
}

/// Notes that an affiliate asks to promote a campaign; once, as long as nobody has decided.
///
/// # Errors
/// [`ChangeError::Conflict`] when there is nothing to ask for; when the database fails.
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
        // Whoever decides at the same moment has the last word.
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
        let message = "There is nothing to ask for: it is open, or somebody decided already.";
        return Err(ChangeError::Conflict(message.to_owned()));
    }
    let after = json!({ "affiliate": affiliate_id.to_string(), "status": "asked" });
    let change = Change::created("promoter.ask", campaign.id, &affiliate_id.to_string(), after);
    Ok(audit::record(conn, author, change, now).await?)
}

/// An affiliate's standing with a campaign, if there is any.
///
/// # Errors
/// When the database fails.
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

/// Whether an affiliate may get links to a campaign.
///
/// # Errors
/// When the database fails.
pub async fn may_promote(
    conn: &mut NetworkConn,
    campaign: &Campaign,
    affiliate_id: AffiliateId,
) -> QueryResult<bool> {
    let standing = find(conn, campaign.id, affiliate_id).await?;
    let status = standing.map(|promoter| promoter.status);
    Ok(match campaign.offer.access {
        Access::Open => status != Some(PromoterStatus::Declined),
        Access::Approval | Access::Private => status == Some(PromoterStatus::Approved),
    })
}

/// How many affiliates wait to be let in, by campaign.
///
/// # Errors
/// When the database fails.
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

/// Everybody's standing, with one campaign if one is given, by campaign and affiliate: at most `limit`, after this one.
///
/// # Errors
/// When the database fails.
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

/// Everybody's standing with a campaign, who waits first, with names.
///
/// # Errors
/// When the database fails.
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
