//! Postbacks: every call of an advertiser's server, as it came, with the verdict it got.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use ipnet::IpNet;
use schema::{
    AdvertiserId, CampaignId, ClickKey, ConversionId, GoalId, NetworkConn, PostbackId, advertisers,
    postbacks, text_enum,
};
use tenancy::Scope;

use crate::verdict::Reason;

text_enum! {
    /// What became of a postback that was stored.
    pub enum PostbackStatus {
        /// It made a conversion, or changed one.
        Accepted = "accepted",
        /// Nothing was new.
        Duplicate = "duplicate",
        /// It was not taken.
        Rejected = "rejected",
        /// It waits for another one, or the conversion that it made for somebody of the network.
        Held = "held",
    }
}

/// A postback as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = postbacks)]
pub struct StoredPostback {
    /// The receipt.
    pub id: PostbackId,
    /// When it reached us.
    pub received_at: DateTime<Utc>,
    /// GET or POST.
    pub method: String,
    /// Request target, the token blanked.
    pub target: String,
    /// `Content-Type` header.
    pub content_type: Option<String>,
    /// Body, the token blanked.
    pub body: Vec<u8>,
    /// Address of the advertiser's server.
    pub remote_ip: Option<IpNet>,
    /// What became of it.
    pub status: PostbackStatus,
    /// Reason code.
    pub reason: String,
    /// Status of the HTTP answer.
    pub http_status: i32,
    /// What happened, in a sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Microseconds from the last byte of the call to the verdict.
    pub took_us: i32,
    /// Whose token it carried, when known.
    pub advertiser_id: Option<AdvertiserId>,
    /// The campaign of the click, when known.
    pub campaign_id: Option<CampaignId>,
    /// The goal reached, for accepted and duplicate ones.
    pub goal_id: Option<GoalId>,
    /// The click, when its id is genuine.
    pub click_id: Option<ClickKey>,
    /// The conversion made, or the first one for a duplicate.
    pub conversion_id: Option<ConversionId>,
    /// `order_id` as sent.
    pub order_id: Option<String>,
    /// `amount` as sent.
    pub amount_micros: Option<i64>,
    /// `currency` as sent.
    pub currency: Option<String>,
    /// Parameters we have no field for.
    pub extra: serde_json::Value,
    /// Key of the system whose spelling it is in.
    pub dialect: String,
    /// What was looked at: [`crate::trace::Trace`] as text.
    pub trace: String,
    /// Whether it was of a test.
    pub is_test: bool,
    /// When it was last decided anew.
    pub decided_at: Option<DateTime<Utc>>,
}

/// What a list shows of a postback: without the raw call.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = postbacks)]
pub struct PostbackSummary {
    /// The receipt.
    pub id: PostbackId,
    /// When it reached us.
    pub received_at: DateTime<Utc>,
    /// GET or POST.
    pub method: String,
    /// What became of it.
    pub status: PostbackStatus,
    /// Reason code.
    pub reason: String,
    /// Status of the HTTP answer.
    pub http_status: i32,
    /// What happened, in a sentence.
    pub message: String,
    /// Microseconds from the last byte of the call to the verdict.
    pub took_us: i32,
    /// `order_id` as sent.
    pub order_id: Option<String>,
    /// Key of the system whose spelling it is in.
    pub dialect: String,
    /// Whether it was of a test.
    pub is_test: bool,
}

/// Which postbacks a list shows.
#[derive(Debug, Clone, Default)]
pub struct PostbackFilter {
    /// Whose. An affiliate sees none: they hold advertisers' data.
    pub scope: Scope,
    /// Only of this status.
    pub status: Option<PostbackStatus>,
    /// Only with this reason.
    pub reason: Option<String>,
    /// Only those that were not accepted and were sent with this order id: the order of one that was is a conversion.
    pub order_id: Option<String>,
    /// Only those that this campaign's own integration checked.
    pub integration: Option<CampaignId>,
    /// Only of this click.
    pub click: Option<ClickKey>,
    /// Only older than this one: the last of the page before.
    pub before: Option<PostbackId>,
}

/// Postbacks with the names of their advertisers, newest first: at most `limit`.
///
/// # Errors
/// When the database fails.
pub async fn list(
    conn: &mut NetworkConn,
    filter: &PostbackFilter,
    limit: i64,
) -> QueryResult<Vec<(PostbackSummary, Option<String>)>> {
    if filter.scope.affiliate.is_some() {
        return Ok(Vec::new());
    }
    let network_id = conn.network_id();
    let mut query = postbacks::table
        .left_join(
            advertisers::table.on(advertisers::network_id
                .eq(postbacks::network_id)
                .and(postbacks::advertiser_id.eq(advertisers::id.nullable()))),
        )
        .filter(postbacks::network_id.eq(network_id))
        .order(postbacks::id.desc())
        .limit(limit)
        .select((PostbackSummary::as_select(), advertisers::name.nullable()))
        .into_boxed();
    if let Some(id) = filter.scope.advertiser {
        query = query.filter(postbacks::advertiser_id.eq(id));
    }
    if let Some(status) = filter.status {
        query = query.filter(postbacks::status.eq(status));
    }
    if let Some(reason) = &filter.reason {
        query = query.filter(postbacks::reason.eq(reason));
        let is_accepted =
            Reason::of_code(reason).is_some_and(|reason| reason.status() == dialects::Status::Accepted);
        if !is_accepted {
            // What the index of reasons is confined to.
            query = query.filter(postbacks::status.ne(PostbackStatus::Accepted));
        }
    }
    if let Some(order_id) = &filter.order_id {
        // What the index of order ids is confined to.
        query = query
            .filter(postbacks::status.ne(PostbackStatus::Accepted))
            .filter(postbacks::order_id.eq(order_id));
    }
    if let Some(id) = filter.integration {
        query = query.filter(postbacks::integration_campaign_id.eq(id));
    }
    if let Some(key) = filter.click {
        query = query.filter(postbacks::click_id.eq(key));
    }
    if let Some(id) = filter.before {
        query = query.filter(postbacks::id.lt(id));
    }
    query.load(&mut **conn).await
}

/// The postback with this receipt, if it is in scope.
///
/// # Errors
/// When the database fails.
pub async fn find(
    conn: &mut NetworkConn,
    scope: Scope,
    id: PostbackId,
) -> QueryResult<Option<StoredPostback>> {
    if scope.affiliate.is_some() {
        return Ok(None);
    }
    let network_id = conn.network_id();
    let mut query = StoredPostback::query()
        .filter(postbacks::network_id.eq(network_id).and(postbacks::id.eq(id)))
        .into_boxed();
    if let Some(id) = scope.advertiser {
        query = query.filter(postbacks::advertiser_id.eq(id));
    }
    query.first(&mut **conn).await.optional()
}
