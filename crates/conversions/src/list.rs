//! Lists of conversions, for pages and the API.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    AdvertiserId, AffiliateId, CampaignId, ClickKey, ConversionId, GoalId, NetworkConn, PostbackId,
    affiliates, campaigns, conversion_changes, conversions, goals,
};
use tenancy::{Author, Scope};
use uuid::Uuid;

use crate::changes::Source;
use crate::conversion::{Conversion, ConversionStatus};

/// Condition for conversions with one of these order IDs: found by their key, if their goal deduplicates by order, and else by
/// the index of the others.
macro_rules! has_order {
    ($orders:expr) => {
        conversions::unique_key
            .eq_any($orders)
            .and(conversions::order_id.eq(conversions::unique_key.nullable()))
            .or(conversions::order_id
                .eq_any($orders)
                .and(conversions::order_id.ne(conversions::unique_key.nullable())))
    };
}

/// Conversion with the names of its parties.
#[derive(Debug, Clone, Queryable)]
pub struct NamedConversion {
    /// The conversion.
    pub conversion: Conversion,
    /// The affiliate's name.
    pub affiliate: String,
    /// The campaign's name.
    pub campaign: String,
    /// The goal's name.
    pub goal: String,
}

/// Filter of a list; every given field must match.
#[derive(Debug, Clone, Default)]
pub struct ConversionFilter {
    /// Rows that the actor may see.
    pub scope: Scope,
    /// Status.
    pub status: Option<ConversionStatus>,
    /// True for conversions in manual review only.
    pub in_review: bool,
    /// Identifier.
    pub id: Option<ConversionId>,
    /// Order ID.
    pub order_id: Option<String>,
    /// Click.
    pub click: Option<ClickKey>,
    /// Campaign.
    pub campaign_id: Option<CampaignId>,
    /// Affiliate.
    pub affiliate_id: Option<AffiliateId>,
    /// Advertiser.
    pub advertiser_id: Option<AdvertiserId>,
    /// Goal.
    pub goal_id: Option<GoalId>,
    /// Received at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Received before this moment.
    pub until: Option<DateTime<Utc>>,
    /// Changed at this moment or later.
    pub changed_since: Option<DateTime<Utc>>,
    /// Last conversion of the previous page: only older ones are listed.
    pub before: Option<ConversionId>,
}

/// Conversions, newest first: at most `limit`.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn list(
    conn: &mut NetworkConn,
    filter: &ConversionFilter,
    limit: i64,
) -> QueryResult<Vec<NamedConversion>> {
    let network_id = conn.network_id();
    let mut query = conversions::table
        .inner_join(
            affiliates::table.on(affiliates::network_id
                .eq(conversions::network_id)
                .and(affiliates::id.eq(conversions::affiliate_id))),
        )
        .inner_join(
            campaigns::table.on(campaigns::network_id
                .eq(conversions::network_id)
                .and(campaigns::id.eq(conversions::campaign_id))),
        )
        .inner_join(
            goals::table.on(goals::network_id
                .eq(conversions::network_id)
                .and(goals::id.eq(conversions::goal_id))),
        )
        .filter(conversions::network_id.eq(network_id))
        .order(conversions::id.desc())
        .limit(limit)
        .select((
            Conversion::as_select(),
            affiliates::name,
            campaigns::name,
            goals::name,
        ))
        .into_boxed();
    if let Some(id) = filter.scope.advertiser {
        query = query.filter(conversions::advertiser_id.eq(id));
    }
    if let Some(id) = filter.scope.affiliate {
        query = query.filter(conversions::affiliate_id.eq(id));
    }
    if let Some(id) = filter.scope.manager {
        query = query.filter(affiliates::manager_id.eq(id));
    }
    if let Some(status) = filter.status {
        query = query.filter(conversions::status.eq(status));
    }
    if filter.in_review {
        query = query.filter(conversions::review_because.is_not_null());
    }
    if let Some(id) = filter.id {
        query = query.filter(conversions::id.eq(id));
    }
    if let Some(order_id) = &filter.order_id {
        // Orders are stored without a leading #.
        let bare = order_id.trim_start_matches('#');
        query = query.filter(has_order!([order_id.as_str(), bare]));
    }
    if let Some(key) = filter.click {
        query = query.filter(conversions::click_id.eq(key));
    }
    if let Some(id) = filter.campaign_id {
        query = query.filter(conversions::campaign_id.eq(id));
    }
    if let Some(id) = filter.affiliate_id {
        query = query.filter(conversions::affiliate_id.eq(id));
    }
    if let Some(id) = filter.advertiser_id {
        query = query.filter(conversions::advertiser_id.eq(id));
    }
    if let Some(id) = filter.goal_id {
        query = query.filter(conversions::goal_id.eq(id));
    }
    if let Some(since) = filter.since {
        query = query.filter(conversions::converted_at.ge(since));
    }
    if let Some(until) = filter.until {
        query = query.filter(conversions::converted_at.lt(until));
    }
    if let Some(since) = filter.changed_since {
        query = query.filter(conversions::changed_at.ge(since));
    }
    if let Some(id) = filter.before {
        query = query.filter(conversions::id.lt(id));
    }
    let mut found: Vec<NamedConversion> = query.load(&mut **conn).await?;
    if filter.scope.hides_affiliates(conn).await? {
        for named in &mut found {
            named.affiliate = named.conversion.affiliate_id.to_string();
        }
    }
    Ok(found)
}

/// Postbacks that made conversions of a click, also of those that were moved from it since, newest first: at most `limit`,
/// older than `before`.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn postbacks_of_click(
    conn: &mut NetworkConn,
    click: ClickKey,
    before: Option<PostbackId>,
    limit: i64,
) -> QueryResult<Vec<PostbackId>> {
    let network_id = conn.network_id();
    let before = before.unwrap_or(PostbackId(Uuid::max()));
    let of_changed = conversion_changes::table
        .filter(conversion_changes::network_id.eq(network_id))
        .filter(conversion_changes::click_id.eq(click))
        .filter(conversion_changes::source.eq(Source::Report))
        .filter(conversion_changes::postback_id.lt(before))
        .order(conversion_changes::postback_id.desc())
        .limit(limit)
        .select(conversion_changes::postback_id.assume_not_null());
    let mut made: Vec<PostbackId> = conversions::table
        .filter(conversions::network_id.eq(network_id))
        .filter(conversions::click_id.eq(click))
        .filter(conversions::postback_id.lt(before))
        .order(conversions::postback_id.desc())
        .limit(limit)
        .select(conversions::postback_id)
        .load(&mut **conn)
        .await?;
    made.extend(of_changed.load::<PostbackId>(&mut **conn).await?);
    made.sort_unstable_by(|one, other| other.cmp(one));
    made.dedup();
    Ok(made)
}

/// Conversions of an order, oldest first.
pub(crate) async fn of_order(conn: &mut NetworkConn, order: &str) -> QueryResult<Vec<Conversion>> {
    let network_id = conn.network_id();
    Conversion::query()
        .filter(conversions::network_id.eq(network_id))
        .filter(has_order!([order]))
        .order(conversions::id)
        .load(&mut **conn)
        .await
}

/// Conversion with this id, if the author may see it.
///
/// # Errors
/// Returns an error if the database fails.
pub(crate) async fn find(
    conn: &mut NetworkConn,
    author: &Author,
    id: ConversionId,
) -> QueryResult<Option<Conversion>> {
    let network_id = conn.network_id();
    let found: Option<Conversion> = Conversion::query()
        .filter(conversions::network_id.eq(network_id).and(conversions::id.eq(id)))
        .first(&mut **conn)
        .await
        .optional()?;
    match found {
        Some(conversion)
            if author
                .scope
                .includes_affiliate(conn, conversion.affiliate_id)
                .await? =>
        {
            Ok(Some(conversion))
        }
        _ => Ok(None),
    }
}

/// Conversion with this id, locked until the end of the transaction.
///
/// # Errors
/// Returns an error if the database fails.
pub(crate) async fn lock(conn: &mut NetworkConn, id: ConversionId) -> QueryResult<Option<Conversion>> {
    let network_id = conn.network_id();
    Conversion::query()
        .filter(conversions::network_id.eq(network_id).and(conversions::id.eq(id)))
        .for_update()
        .first(&mut **conn)
        .await
        .optional()
}

/// Conversions of child goals with one of these parents, locked until the end of the transaction.
///
/// # Errors
/// Returns an error if the database fails.
pub(crate) async fn lock_children(
    conn: &mut NetworkConn,
    parents: &[ConversionId],
) -> QueryResult<Vec<Conversion>> {
    if parents.is_empty() {
        return Ok(Vec::new());
    }
    let network_id = conn.network_id();
    Conversion::query()
        .filter(conversions::network_id.eq(network_id))
        .filter(conversions::parent_id.eq_any(parents))
        .order(conversions::id)
        .for_update()
        .load(&mut **conn)
        .await
}
