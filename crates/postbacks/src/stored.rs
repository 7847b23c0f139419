//! Stored postbacks: every request of an advertiser's server as received, with its verdict.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;
use ipnet::IpNet;
use schema::{
    AdvertiserId, CampaignId, ClickKey, ConversionId, GoalId, NetworkConn, PostbackId, advertisers,
    postbacks, text_enum,
};
use tenancy::Scope;

use crate::quarantined;
use crate::trace::Trace;
use crate::verdict::Reason;

text_enum! {
    /// Status of a stored postback.
    pub enum PostbackStatus {
        /// Made or changed a conversion.
        Accepted = "accepted",
        /// Changed nothing: it was received before.
        Duplicate = "duplicate",
        /// Refused.
        Rejected = "rejected",
        /// Waits for another postback, or its conversion for a manual review.
        Held = "held",
    }
}

text_enum! {
    /// Reason why a stored request is not complete, so that it cannot be replayed.
    pub enum Incomplete {
        /// Only the beginning of the body is stored, because the sender was not authenticated.
        Truncated = "truncated",
        /// A field that decisions depend on is redacted.
        Redacted = "redacted",
        /// Retention removed it; verdict and trace remain.
        Removed = "removed",
    }
}

impl Incomplete {
    /// The reason in a sentence.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Truncated => {
                "Only the first 2 KiB of the body are stored, because the sender was not authenticated."
            }
            Self::Redacted => "A field that the decision depends on is redacted.",
            Self::Removed => {
                "The request was removed when its retention ended; the verdict and its trace remain."
            }
        }
    }
}

impl PostbackStatus {
    /// Stored status of a verdict's status.
    pub(crate) fn of(status: dialects::Status) -> Self {
        use dialects::Status;
        match status {
            Status::Accepted => Self::Accepted,
            Status::Duplicate => Self::Duplicate,
            Status::Held => Self::Held,
            Status::Rejected | Status::Queued | Status::Unavailable => Self::Rejected,
        }
    }
}

/// Postback as stored.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = postbacks)]
pub struct StoredPostback {
    /// Receipt.
    pub id: PostbackId,
    /// Arrival.
    pub received_at: DateTime<Utc>,
    /// GET or POST.
    pub method: String,
    /// Request target, with secrets redacted.
    pub target: String,
    /// `Content-Type` header.
    pub content_type: Option<String>,
    /// Body, with secrets redacted.
    pub body: Vec<u8>,
    /// Address of the sender.
    pub remote_ip: Option<IpNet>,
    /// Reason why the request is not complete; `None` if it is.
    pub incomplete: Option<Incomplete>,
    /// Status.
    pub status: PostbackStatus,
    /// Code of the reason.
    pub reason: String,
    /// Status of the HTTP response.
    pub http_status: i32,
    /// Result, in a sentence.
    pub message: String,
    /// Instruction for the sender; `None` if nothing is to be done.
    pub hint: Option<String>,
    /// Microseconds from the last byte of the request to the verdict.
    pub took_us: i32,
    /// Advertiser; `None` if the sender is unknown.
    pub advertiser_id: Option<AdvertiserId>,
    /// Campaign of the link, if known.
    pub campaign_id: Option<CampaignId>,
    /// Goal, if the postback has a claim.
    pub goal_id: Option<GoalId>,
    /// Click, if its ID is genuine.
    pub click_id: Option<ClickKey>,
    /// Conversion that was made or changed, or the first one for a duplicate.
    pub conversion_id: Option<ConversionId>,
    /// Order ID as sent.
    pub order_id: Option<String>,
    /// Amount as sent, in micro-units.
    pub amount_micros: Option<i64>,
    /// Currency as sent.
    pub currency: Option<String>,
    /// Further parameters.
    pub extra: serde_json::Value,
    /// Key of the recognised dialect.
    pub dialect: String,
    /// [`Trace`] as text.
    pub trace: String,
    /// True for a test.
    pub is_test: bool,
    /// Time of its last decision, if it was held or replayed.
    pub decided_at: Option<DateTime<Utc>>,
}

impl StoredPostback {
    /// Trace of the decision.
    #[must_use]
    pub fn trace(&self) -> Trace {
        Trace::from_text(&self.trace).unwrap_or_else(|| {
            tracing::error!(postback = %self.id, "stored trace is unreadable");
            let mut trace = Trace::default();
            trace.note("trace", "the stored trace is unreadable");
            trace
        })
    }
}

/// Postback in a list: without the raw request.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = postbacks)]
pub struct PostbackSummary {
    /// Receipt.
    pub id: PostbackId,
    /// Arrival.
    pub received_at: DateTime<Utc>,
    /// GET or POST.
    pub method: String,
    /// Status.
    pub status: PostbackStatus,
    /// Code of the reason.
    pub reason: String,
    /// Status of the HTTP response.
    pub http_status: i32,
    /// Result, in a sentence.
    pub message: String,
    /// Microseconds from the last byte of the request to the verdict.
    pub took_us: i32,
    /// Order ID as sent.
    pub order_id: Option<String>,
    /// Key of the recognised dialect.
    pub dialect: String,
    /// True for a test.
    pub is_test: bool,
    /// True if our simulation sent it.
    pub is_simulated: bool,
}

/// Filter of a list; every given field must match.
#[derive(Debug, Clone, Default)]
pub struct PostbackFilter {
    /// Advertiser whose postbacks are visible. An affiliate sees none, because postbacks contain advertisers' data, nor does a
    /// manager of some affiliates.
    pub scope: Scope,
    /// Status.
    pub status: Option<PostbackStatus>,
    /// Code of the reason.
    pub reason: Option<String>,
    /// Order ID; finds only postbacks that were not accepted: the order of an accepted one is a conversion.
    pub order_id: Option<String>,
    /// Campaign whose own integration authenticated them.
    pub integration: Option<CampaignId>,
    /// Click.
    pub click: Option<ClickKey>,
    /// Advertiser.
    pub advertiser_id: Option<AdvertiserId>,
    /// Campaign of the link.
    pub campaign_id: Option<CampaignId>,
    /// Goal.
    pub goal_id: Option<GoalId>,
    /// Received at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Received before this moment.
    pub until: Option<DateTime<Utc>>,
    /// Last postback of the previous page: only older ones are listed.
    pub before: Option<PostbackId>,
}

/// Postbacks with the names of their advertisers, newest first: at most `limit`.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn list(
    conn: &mut NetworkConn,
    filter: &PostbackFilter,
    limit: i64,
) -> QueryResult<Vec<(PostbackSummary, Option<String>)>> {
    if !sees_postbacks(filter.scope) {
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
    for id in [filter.scope.advertiser, filter.advertiser_id]
        .into_iter()
        .flatten()
    {
        query = query.filter(postbacks::advertiser_id.eq(id));
    }
    if let Some(id) = filter.campaign_id {
        query = query.filter(postbacks::campaign_id.eq(id));
    }
    if let Some(id) = filter.goal_id {
        query = query.filter(postbacks::goal_id.eq(id));
    }
    // The ID begins with the time, so that the primary key serves ranges of time.
    if let Some(since) = filter.since {
        query = query.filter(postbacks::id.ge(PostbackId::lowest(since)));
    }
    if let Some(until) = filter.until {
        query = query.filter(postbacks::id.lt(PostbackId::lowest(until)));
    }
    if let Some(status) = filter.status {
        query = query.filter(postbacks::status.eq(status));
    }
    if let Some(reason) = &filter.reason {
        query = query.filter(postbacks::reason.eq(reason));
        let is_accepted =
            Reason::of_code(reason).is_some_and(|reason| reason.status() == dialects::Status::Accepted);
        if !is_accepted {
            // The condition of the index of reasons.
            query = query.filter(postbacks::status.ne(PostbackStatus::Accepted));
        }
    }
    if let Some(order_id) = &filter.order_id {
        // The condition of the index of order IDs.
        query = query
            .filter(postbacks::status.ne(PostbackStatus::Accepted))
            .filter(postbacks::order_id.eq(order_id));
    }
    if let Some(id) = filter.integration {
        query = query.filter(postbacks::integration_campaign_id.eq(id));
    }
    if let Some(key) = filter.click {
        let made = conversions::postbacks_of_click(conn, key, filter.before, limit).await?;
        // The condition of the index of clicks, for every plan.
        let beside_made = diesel::dsl::sql::<Bool>("postbacks.reason <> 'accepted'");
        query = query
            .filter(postbacks::click_id.eq(key))
            .filter(beside_made.or(postbacks::id.eq_any(made)));
    }
    if let Some(id) = filter.before {
        query = query.filter(postbacks::id.lt(id));
    }
    query.load(&mut **conn).await
}

/// True if postbacks are visible in this scope at all.
pub(crate) fn sees_postbacks(scope: Scope) -> bool {
    scope.affiliate.is_none() && scope.manager.is_none()
}

/// Postback with this receipt, if it is visible in this scope.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn find(
    conn: &mut NetworkConn,
    scope: Scope,
    id: PostbackId,
) -> QueryResult<Option<StoredPostback>> {
    if !sees_postbacks(scope) {
        return Ok(None);
    }
    let network_id = conn.network_id();
    let mut query = StoredPostback::query()
        .filter(postbacks::network_id.eq(network_id).and(postbacks::id.eq(id)))
        .into_boxed();
    if let Some(id) = scope.advertiser {
        query = query.filter(postbacks::advertiser_id.eq(id));
    }
    match query.first(&mut **conn).await.optional()? {
        Some(found) => Ok(Some(found)),
        None => quarantined::find(conn, scope, id).await,
    }
}
