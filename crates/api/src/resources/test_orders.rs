//! `/campaigns/{id}/test-orders`: one order through the public endpoints, as an advertiser's server would report it.

use actix_web::web::{Data, Json};
use campaigns::campaigns as campaign_table;
use schema::{CampaignId, ConversionId, Currency, PostbackId, clock};
use serde::{Deserialize, Serialize};
use tenancy::{FieldErrors, needs, networks};
use tracking::simulation::{Sent, Simulation, TestOrder};
use utoipa::ToSchema;

use super::Answer;
use super::going_live::SimulationStep;
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, present};
use crate::schemas;
use crate::state::Api;

/// Maximum length of an order ID, in characters.
const MAX_ORDER_ID: usize = 255;

/// A test order. Every field has a usual value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "goal": "sale", "order_id": "TEST-1", "amount": "49.90" }))]
pub(crate) struct NewTestOrder {
    /// Code or ID of the goal; the first goal of the campaign by default.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::Text, required = false)]
    goal: Option<String>,
    /// Order ID; a new one by default. An order ID that was sent before is a duplicate.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::Text, required = false)]
    order_id: Option<String>,
    /// Amount; 50 by default.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::Amount, required = false)]
    amount: Option<String>,
    /// Currency; that of the campaign by default.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::Currency, required = false)]
    currency: Option<String>,
}

/// Verdict on a test order.
#[derive(Serialize, ToSchema)]
pub(crate) struct TestOrderReport {
    /// Receipt of the postback.
    #[schema(value_type = schemas::PostbackId)]
    postback: PostbackId,
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
    /// Conversion; null for a test, whose conversions are kept apart.
    #[schema(required, value_type = Option<schemas::ConversionId>)]
    conversion: Option<ConversionId>,
    #[schema(value_type = schemas::Text)]
    order_id: String,
    /// ID of the click that the order names.
    #[schema(value_type = schemas::ClickId)]
    click: String,
    /// Requests that were sent: the click, then the postback.
    steps: Vec<SimulationStep>,
}

impl From<Sent> for TestOrderReport {
    fn from(sent: Sent) -> Self {
        Self {
            postback: sent.receipt,
            status: sent.verdict.reason.status().to_string(),
            reason: sent.verdict.reason.code(),
            message: sent.verdict.message,
            hint: sent.verdict.hint,
            conversion: sent.verdict.conversion_id,
            order_id: sent.order_id,
            click: sent.click_id,
            steps: [sent.click, sent.postback]
                .into_iter()
                .map(SimulationStep::from)
                .collect(),
        }
    }
}

impl NewTestOrder {
    fn check(&self) -> Result<TestOrder, ApiError> {
        let mut errors = FieldErrors::default();
        let order_id = self.order_id.as_deref().map(str::trim);
        if order_id.is_some_and(|id| {
            !(1..=MAX_ORDER_ID).contains(&id.chars().count()) || id.contains(char::is_control)
        }) {
            errors.add("order_id", "Send 1 to 255 characters, and no control characters.");
        }
        let amount = self.amount.as_deref().map(tracking::simulation::parse_amount);
        let amount_micros = errors.take("amount", amount.transpose());
        let currency = self.currency.as_deref().map(str::parse::<Currency>);
        let currency = errors.take(
            "currency",
            currency.transpose().map_err(|error| error.to_string()),
        );
        let (amount_micros, currency) = (errors.or(amount_micros)?, currency.flatten());
        Ok(TestOrder {
            order_id: order_id.map(str::to_owned),
            amount_micros,
            currency,
        })
    }
}

/// Send a test order
///
/// Sends a click through the test link and one order of a goal through the public endpoints, in the format of the
/// integration. The network itself is the sender, so no token is needed. The response is 200 whatever the verdict is. Test
/// orders of the API do not verify a goal. The campaign must have a test link.
#[utoipa::path(
    post, path = "/campaigns/{id}/test-orders", tag = "Going live",
    params(("id" = inline(schemas::CampaignId), Path)),
    request_body = NewTestOrder,
    responses((status = 200, body = TestOrderReport))
)]
pub(crate) async fn create(
    access: Allowed<needs::Configure>,
    Id(id): Id<CampaignId>,
    api: Data<Api>,
    body: Body<NewTestOrder>,
) -> Answer<TestOrderReport> {
    let mut conn = access.network(&api.db).await?;
    let base = api.tracking_url(&mut conn).await?;
    let campaign = campaign_table::find_visible(&mut conn, access.scope(), id).await?;
    let order = body.value.check()?;
    let network = networks::current(&mut conn).await?;
    let simulation = Simulation::of(&mut conn, &network, &base, &campaign, clock::now()).await?;
    // No transaction stays open: the requests must not wait for it.
    conn.commit().await?;
    let goal = simulation.goal(body.value.goal.as_deref().map(str::trim));
    let goal = goal.ok_or_else(|| ApiError::field("goal", "The campaign has no such goal."))?;
    let sent = simulation.send(&api.tracker, goal, &order).await?;
    Ok(Json(sent.into()))
}
