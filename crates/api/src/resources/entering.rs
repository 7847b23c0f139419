//! `POST /conversions`: conversions that users of the network enter, as postbacks of their advertisers.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use postbacks::VerdictStatus;
use schema::{ConversionId, PostbackId};
use serde::{Deserialize, Serialize};
use tenancy::{ChangeError, Draft, needs, networks};
use tracking::entering::{Entered as Recorded, Entry};
use utoipa::ToSchema;

use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, present};
use crate::schemas;
use crate::state::Api;

/// A conversion that a user of the network enters: an order whose postback never arrived.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "campaign": "Nova shop", "affiliate": "Orbit Blog", "goal": "sale", "order_id": "A-1001", "amount": "49.90", "reason": "Order by phone" }))]
pub(crate) struct NewConversion {
    /// Click ID; otherwise campaign and affiliate.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::Text>, required = false)]
    click: Option<Option<String>>,
    /// Campaign; without a click ID only.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::Reference>, required = false)]
    campaign: Option<Option<String>>,
    /// Affiliate; without a click ID only.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::Reference>, required = false)]
    affiliate: Option<Option<String>>,
    /// Code of the goal; the campaign's only one by default.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::Text>, required = false)]
    goal: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::Text>, required = false)]
    order_id: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::Amount>, required = false)]
    amount: Option<Option<String>>,
    /// Currency; that of the campaign by default.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::Currency>, required = false)]
    currency: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::Text>, required = false)]
    customer_id: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::Text>, required = false)]
    coupon: Option<Option<String>>,
    /// Status; that of the goal's new conversions by default.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::ConversionStatus>, required = false)]
    status: Option<Option<String>>,
    /// Reason, recorded in the audit log.
    #[schema(value_type = schemas::Name)]
    reason: String,
}

impl NewConversion {
    fn draft(&self) -> Draft {
        let text = |value: &Option<Option<String>>| value.clone().flatten().unwrap_or_default();
        Draft::of_fields(&Entry::FIELDS, |field| match field {
            "click" => text(&self.click),
            "campaign" => text(&self.campaign),
            "affiliate" => text(&self.affiliate),
            "goal" => text(&self.goal),
            "order_id" => text(&self.order_id),
            "amount" => text(&self.amount),
            "currency" => text(&self.currency),
            "customer_id" => text(&self.customer_id),
            "coupon" => text(&self.coupon),
            "status" => text(&self.status),
            _ => self.reason.clone(),
        })
    }
}

/// Verdict on a conversion that was entered.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entered {
    /// Postback that stands for it.
    #[schema(value_type = schemas::PostbackId)]
    postback: PostbackId,
    /// Conversion that was created, or the first one of a duplicate; null if none.
    #[schema(required, value_type = Option<schemas::ConversionId>)]
    conversion: Option<ConversionId>,
    /// Status of the verdict.
    #[schema(value_type = schemas::Text)]
    status: String,
    /// Reason code of the verdict, explained in the dashboard at `/docs/reasons/{code}`.
    #[schema(value_type = schemas::Text)]
    reason: &'static str,
    /// Verdict in one sentence.
    #[schema(value_type = schemas::Text)]
    message: String,
    /// Suggested fix; null if none is needed.
    #[schema(required, value_type = Option<schemas::Text>)]
    hint: Option<String>,
}

/// Create a conversion
///
/// For an order whose postback never arrived. It is decided and paid like a postback of the advertiser, and repeated
/// orders are duplicates. The response is 201 for a new conversion, 200 for a duplicate, 202 if the decision has to wait,
/// and 422 if a rule refuses it.
#[utoipa::path(
    post, path = "/conversions", tag = "Conversions", request_body = NewConversion,
    responses((status = 201, body = Entered), (status = 200, body = Entered), (status = 202, body = Entered))
)]
pub(crate) async fn create(
    access: Allowed<needs::DecideConversions>,
    api: Data<Api>,
    body: Body<NewConversion>,
) -> Result<HttpResponse, ApiError> {
    let draft = body.value.draft();
    let mut conn = access.network(&api.db).await?;
    let network = networks::current(&mut conn).await?;
    let entry = Entry::check(&mut conn, &api.tracker, &network, access.scope(), &draft).await?;
    conn.commit().await?;
    let entered = entry.record(&api.tracker, &network).await;
    let mut conn = access.network(&api.db).await?;
    entry.note(&mut conn, &access.author(), &entered).await?;
    conn.commit().await?;
    let Recorded { postback, verdict } = entered;
    let words = || match &verdict.hint {
        Some(hint) => format!("{} {hint}", verdict.message),
        None => verdict.message.clone(),
    };
    let status = match verdict.reason.status() {
        VerdictStatus::Accepted => StatusCode::CREATED,
        VerdictStatus::Duplicate => StatusCode::OK,
        VerdictStatus::Held | VerdictStatus::Queued => StatusCode::ACCEPTED,
        VerdictStatus::Rejected => return Err(ApiError::field(verdict.reason.code(), words())),
        VerdictStatus::Unavailable => return Err(ChangeError::Conflict(words()).into()),
    };
    Ok(HttpResponse::build(status).json(Entered {
        postback,
        conversion: verdict.conversion_id,
        status: verdict.reason.status().to_string(),
        reason: verdict.reason.code(),
        message: verdict.message,
        hint: verdict.hint,
    }))
}
