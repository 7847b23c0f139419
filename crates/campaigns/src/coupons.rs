//! Coupons: codes by which an order without a click is an affiliate's.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AdvertiserId, AffiliateId, CampaignId, NetworkConn, affiliates, campaigns, coupons};
use serde_json::json;
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError, Draft, affiliates as affiliate_table, taken};

/// Longest code.
const LONGEST: usize = 64;

/// A coupon as stored.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = coupons)]
pub struct Coupon {
    /// The campaign whose orders carry it.
    pub campaign_id: CampaignId,
    /// In upper case: letter case does not count.
    pub code: String,
    /// Who hands it out.
    pub affiliate_id: AffiliateId,
}

/// A code as typed.
///
/// # Errors
/// A sentence for the person who typed it.
pub fn check_code(text: &str) -> Result<String, &'static str> {
    let code = text.trim().to_uppercase();
    match code.is_empty() || code.len() > LONGEST || code.contains(char::is_control) {
        true => Err("Enter the code as customers type it: 1 to 64 characters."),
        false => Ok(code),
    }
}

impl Coupon {
    /// What may be said of a coupon in a [`Draft`].
    pub const FIELDS: [&'static str; 2] = ["code", "affiliate"];

    /// The coupon that a draft says, if all of it can be accepted.
    ///
    /// # Errors
    /// When the database fails.
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

/// Enters a coupon.
///
/// # Errors
/// [`ChangeError::Fields`] when the campaign has it; when the database fails, or campaign or affiliate are not of this
/// network (a foreign-key violation).
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
        .map_err(taken("coupons_pkey", "code", "The campaign has this code."))?;
    let after = json!({ "affiliate": coupon.affiliate_id.to_string() });
    let change = Change::created("coupon.create", coupon.campaign_id, &coupon.code, after);
    audit::record(conn, author, change, now).await?;
    Ok(())
}

/// Removes a coupon. Returns whether there was one.
///
/// # Errors
/// When the database fails.
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

/// The coupons of a campaign with the names of who hands them out, by code: at most `limit`.
///
/// # Errors
/// When the database fails.
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
/// When the database fails.
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

/// Coupons, of one campaign if one is given, by campaign and code: at most `limit`, after this one.
///
/// # Errors
/// When the database fails.
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

/// Every coupon of an advertiser with this code: one per campaign.
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
