//! Coupons: codes that attribute an order without a click to an affiliate.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AdvertiserId, AffiliateId, CampaignId, NetworkConn, affiliates, campaigns, coupons};
use serde_json::json;
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError, Draft, affiliates as affiliate_table, taken};

/// Maximum length of a code, in bytes.
const MAX_CODE_LENGTH: usize = 64;

/// A coupon as stored.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = coupons)]
pub struct Coupon {
    /// The campaign whose orders carry it.
    pub campaign_id: CampaignId,
    /// Code in upper case; codes are not case-sensitive.
    pub code: String,
    /// Affiliate that distributes the code.
    pub affiliate_id: AffiliateId,
}

/// Parses a code.
///
/// # Errors
/// Message to show beside the field.
pub fn check_code(text: &str) -> Result<String, &'static str> {
    let code = text.trim().to_uppercase();
    if code.is_empty() || code.len() > MAX_CODE_LENGTH || code.contains(char::is_control) {
        return Err("Enter the code as customers type it: 1 to 64 characters.");
    }
    Ok(code)
}

impl Coupon {
    /// Fields of a coupon's [`Draft`].
    pub const FIELDS: [&'static str; 2] = ["code", "affiliate"];

    /// Checks a draft and returns the coupon, or `None` with the errors in the draft.
    ///
    /// # Errors
    /// Database errors.
    pub async fn check(
        conn: &mut NetworkConn,
        draft: &mut Draft,
        campaign_id: CampaignId,
    ) -> QueryResult<Option<Self>> {
        let found = affiliate_table::known_as(conn, draft.of("affiliate")).await?;
        let affiliate = found.ok_or("Choose one of your affiliates.");
        let affiliate = draft.errors.take("affiliate", affiliate);
        let code = draft.take("code", check_code);
        Ok(affiliate.zip(code).map(|(affiliate, code)| Self {
            campaign_id,
            code,
            affiliate_id: affiliate.id,
        }))
    }
}

/// Creates a coupon.
///
/// # Errors
/// [`ChangeError::Fields`] when the campaign already has the code; when the database fails, or campaign or affiliate
/// are not of this network (a foreign-key violation).
pub async fn create(
    conn: &mut NetworkConn,
    author: &Author,
    coupon: &Coupon,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let network_id = conn.network_id();
    diesel::insert_into(coupons::table)
        .values((
            coupons::network_id.eq(network_id),
            coupons::campaign_id.eq(coupon.campaign_id),
            coupons::code.eq(&coupon.code),
            coupons::affiliate_id.eq(coupon.affiliate_id),
            coupons::created_at.eq(now),
        ))
        .execute(&mut **conn)
        .await
        .map_err(taken(
            "coupons_pkey",
            "code",
            "The campaign already has this code.",
        ))?;
    let after = json!({ "affiliate": coupon.affiliate_id.to_string() });
    let change = Change::created("coupon.create", coupon.campaign_id, &coupon.code, after);
    audit::record(conn, author, change, now).await?;
    Ok(())
}

/// Removes a coupon. Returns false if the campaign has no such coupon.
///
/// # Errors
/// Database errors.
pub async fn remove(
    conn: &mut NetworkConn,
    author: &Author,
    campaign_id: CampaignId,
    code: &str,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let network_id = conn.network_id();
    let removed: Option<Coupon> = diesel::delete(coupons::table.find((network_id, campaign_id, code)))
        .returning(Coupon::as_select())
        .get_result(&mut **conn)
        .await
        .optional()?;
    let Some(coupon) = removed else {
        return Ok(false);
    };
    let before = json!({ "affiliate": coupon.affiliate_id.to_string() });
    let change = Change::between("coupon.remove", campaign_id, code, before, json!({}));
    audit::record(conn, author, change, now).await?;
    Ok(true)
}

/// Coupons of a campaign with the names of their affiliates, by code: at most `limit`.
///
/// # Errors
/// Database errors.
pub async fn of_campaign(
    conn: &mut NetworkConn,
    campaign_id: CampaignId,
    limit: i64,
) -> QueryResult<Vec<(Coupon, String)>> {
    let network_id = conn.network_id();
    coupons::table
        .inner_join(
            affiliates::table.on(affiliates::network_id
                .eq(coupons::network_id)
                .and(affiliates::id.eq(coupons::affiliate_id))),
        )
        .filter(coupons::network_id.eq(network_id))
        .filter(coupons::campaign_id.eq(campaign_id))
        .order(coupons::code)
        .limit(limit)
        .select((Coupon::as_select(), affiliates::name))
        .load(&mut **conn)
        .await
}

/// The coupon of a campaign with this code, in upper case.
///
/// # Errors
/// Database errors.
pub async fn find(
    conn: &mut NetworkConn,
    campaign_id: CampaignId,
    code: &str,
) -> QueryResult<Option<Coupon>> {
    let network_id = conn.network_id();
    Coupon::query()
        .filter(coupons::network_id.eq(network_id))
        .filter(coupons::campaign_id.eq(campaign_id))
        .filter(coupons::code.eq(code))
        .first(&mut **conn)
        .await
        .optional()
}

/// Coupons by campaign and code, of one campaign if given: at most `limit`, after this one.
///
/// # Errors
/// Database errors.
pub async fn list(
    conn: &mut NetworkConn,
    campaign_id: Option<CampaignId>,
    after: Option<&(CampaignId, String)>,
    limit: i64,
) -> QueryResult<Vec<Coupon>> {
    let network_id = conn.network_id();
    let mut query = Coupon::query()
        .filter(coupons::network_id.eq(network_id))
        .order((coupons::campaign_id, coupons::code))
        .limit(limit)
        .into_boxed();
    if let Some(id) = campaign_id {
        query = query.filter(coupons::campaign_id.eq(id));
    }
    if let Some((id, code)) = after {
        let later = coupons::campaign_id.eq(id).and(coupons::code.gt(code));
        query = query.filter(coupons::campaign_id.gt(id).or(later));
    }
    query.load(&mut **conn).await
}

/// Coupons of an advertiser with this code: at most one per campaign.
pub(crate) async fn of_advertiser(
    conn: &mut NetworkConn,
    advertiser_id: AdvertiserId,
    code: &str,
) -> QueryResult<Vec<Coupon>> {
    let network_id = conn.network_id();
    coupons::table
        .inner_join(
            campaigns::table.on(campaigns::network_id
                .eq(coupons::network_id)
                .and(campaigns::id.eq(coupons::campaign_id))),
        )
        .filter(coupons::network_id.eq(network_id))
        .filter(coupons::code.eq(code.to_uppercase()))
        .filter(campaigns::advertiser_id.eq(advertiser_id))
        .order(coupons::campaign_id)
        .select(Coupon::as_select())
        .load(&mut **conn)
        .await
}
