//! `/campaigns/{id}/test`, `/test-link`, `/simulation`, `/go-live`: tests of a campaign, and its change to live.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use campaigns::campaigns as campaign_table;
use campaigns::going_live as gate;
use chrono::{DateTime, Utc};
use postbacks::test_progress::{GoalProgress, TestProgress};
use schema::{CampaignId, GoalId, PostbackId, clock};
use serde::{Deserialize, Serialize};
use tenancy::{ChangeError, needs, networks};
use tracking::simulation::{self, Simulation};
use utoipa::ToSchema;

use super::Answer;
use super::campaigns::Campaign;
use super::links::Link;
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, present};
use crate::idempotency::IdempotencyKey;
use crate::schemas;
use crate::state::Api;

/// Test progress of a campaign, which is also its test certificate.
#[derive(Serialize, ToSchema)]
pub(crate) struct TestReport {
    #[schema(value_type = schemas::CampaignId)]
    campaign: CampaignId,
    #[schema(value_type = schemas::CampaignStatus)]
    status: &'static str,
    /// Time of the report.
    reported_at: DateTime<Utc>,
    /// True if every goal is verified.
    is_verified: bool,
    /// URL of the latest test link; null without a test link.
    #[schema(required, value_type = Option<schemas::Url>)]
    test_link_url: Option<String>,
    /// Test clicks in the last 30 days.
    #[schema(minimum = 0)]
    clicks: i64,
    goals: Vec<GoalReport>,
}

/// Test progress of a goal.
#[derive(Serialize, ToSchema)]
pub(crate) struct GoalReport {
    #[schema(value_type = schemas::GoalId)]
    goal: GoalId,
    /// Code of the goal.
    #[schema(value_type = schemas::Text)]
    code: String,
    #[schema(value_type = schemas::Name)]
    name: String,
    /// Highest stage that the tests of the goal have reached.
    #[schema(value_type = schemas::TestStage)]
    stage: &'static str,
    /// True if two different test orders were accepted, and one of them came through a page that live visitors are sent to.
    is_verified: bool,
    /// Accepted test orders of the advertiser, oldest first. Simulated orders do not count.
    orders: Vec<TestOrder>,
    /// Accepted orders of the simulation. They show that the setup works, and do not verify the goal.
    #[schema(minimum = 0)]
    simulated_orders: i64,
}

/// An accepted test order.
#[derive(Serialize, ToSchema)]
pub(crate) struct TestOrder {
    /// Postback that reported the order.
    #[schema(value_type = schemas::PostbackId)]
    postback: PostbackId,
    /// Time at which the postback was received.
    received_at: DateTime<Utc>,
    /// Order ID; null if the postback had none.
    #[schema(required, value_type = Option<schemas::Text>)]
    order_id: Option<String>,
    /// Host of the landing page that the click led to; null if the order came without a click.
    #[schema(required, value_type = Option<schemas::Text>)]
    host: Option<String>,
}

impl From<GoalProgress> for GoalReport {
    fn from(progress: GoalProgress) -> Self {
        let orders = progress.orders.iter().map(|order| TestOrder {
            postback: order.postback_id,
            received_at: order.at,
            order_id: order.order_id.clone(),
            host: order.host.clone(),
        });
        Self {
            orders: orders.collect(),
            is_verified: progress.is_verified(),
            stage: progress.stage.as_str(),
            simulated_orders: progress.simulated_orders,
            goal: progress.goal.id,
            code: progress.goal.settings.code,
            name: progress.goal.settings.name,
        }
    }
}

/// Get the test progress of a campaign
///
/// The report is also the test certificate of the campaign. Advertisers see only their campaigns.
#[utoipa::path(
    get, path = "/campaigns/{id}/test", tag = "Going live",
    params(("id" = inline(schemas::CampaignId), Path)),
    responses((status = 200, body = TestReport))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeIntegration>,
    Id(id): Id<CampaignId>,
    api: Data<Api>,
) -> Answer<TestReport> {
    let mut conn = access.network(&api.db).await?;
    let base = api.tracking_url(&mut conn).await?;
    let campaign = campaign_table::find_visible(&mut conn, access.scope(), id).await?;
    let now = clock::now();
    let progress = TestProgress::of(&mut conn, &campaign, now).await?;
    conn.commit().await?;
    Ok(Json(TestReport {
        campaign: id,
        status: campaign.status.as_str(),
        reported_at: now,
        is_verified: progress.is_verified(),
        test_link_url: progress.links.last().map(|(_, alias)| format!("{base}/{alias}")),
        clicks: progress.clicks,
        goals: progress.goals.into_iter().map(GoalReport::from).collect(),
    }))
}

/// Create a test link
///
/// Conversions of a test link are never paid. A draft becomes a campaign in testing.
#[utoipa::path(
    post, path = "/campaigns/{id}/test-link", tag = "Going live",
    params(("id" = inline(schemas::CampaignId), Path), IdempotencyKey),
    responses((status = 201, body = Link))
)]
pub(crate) async fn create_test_link(
    access: Allowed<needs::Configure>,
    Id(id): Id<CampaignId>,
    api: Data<Api>,
    key: IdempotencyKey,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, b"", async |conn| {
        let base = api.tracking_url(conn).await?;
        let campaign = campaign_table::find_visible(conn, access.scope(), id).await?;
        let link = gate::create_test_link(conn, &access.author(), campaign.id, clock::now()).await?;
        Ok(Link::new(link, &base, &access))
    });
    Ok(outcome.await?.response())
}

/// Results of a simulation.
#[derive(Serialize, ToSchema)]
pub(crate) struct SimulationReport {
    /// Requests in the order in which they were sent.
    steps: Vec<SimulationStep>,
}

/// A request of a simulation.
#[derive(Serialize, ToSchema)]
pub(crate) struct SimulationStep {
    /// Event that the request simulates.
    #[schema(value_type = schemas::Text)]
    event: String,
    /// Method and path of the request, and its body if it has one.
    #[schema(value_type = schemas::Text)]
    request: String,
    /// HTTP status of the response.
    #[schema(minimum = 100, maximum = 599)]
    status: u16,
    /// True if the click carried the click ID on, or the postback was accepted.
    is_successful: bool,
    /// Result as a sentence.
    #[schema(value_type = schemas::Text)]
    result: String,
}

impl From<simulation::Step> for SimulationStep {
    fn from(step: simulation::Step) -> Self {
        Self {
            event: step.event,
            request: step.request,
            status: step.status,
            is_successful: step.is_successful,
            result: step.result,
        }
    }
}

/// Simulate a click and postbacks
///
/// Sends a click through the test link and two orders per goal through the public endpoints, in the format of the
/// integration. The network itself is the sender, so no token is needed. Simulated orders do not verify a goal. The
/// campaign must have a test link.
#[utoipa::path(
    post, path = "/campaigns/{id}/simulation", tag = "Going live",
    params(("id" = inline(schemas::CampaignId), Path)),
    responses((status = 200, body = SimulationReport))
)]
pub(crate) async fn simulate(
    access: Allowed<needs::Configure>,
    Id(id): Id<CampaignId>,
    api: Data<Api>,
) -> Answer<SimulationReport> {
    let mut conn = access.network(&api.db).await?;
    let base = api.tracking_url(&mut conn).await?;
    let campaign = campaign_table::find_visible(&mut conn, access.scope(), id).await?;
    let network = networks::current(&mut conn).await?;
    let simulation = Simulation::of(&mut conn, &network, &base, &campaign, clock::now()).await?;
    // No transaction stays open: the requests of the simulation must not wait for it.
    conn.commit().await?;
    let steps = simulation.run(&api.tracker).await;
    Ok(Json(SimulationReport {
        steps: steps.into_iter().map(SimulationStep::from).collect(),
    }))
}

/// Options of the change to live.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GoLive {
    /// Reason to go live although the tests are incomplete; recorded in the audit log. Needs the permission
    /// `manage_network`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::Text, required = false)]
    override_reason: Option<String>,
}

/// Set a campaign live
///
/// If the network requires tests, every goal must be verified. Without `override_reason`, a live campaign stays live.
#[utoipa::path(
    post, path = "/campaigns/{id}/go-live", tag = "Going live",
    params(("id" = inline(schemas::CampaignId), Path)),
    request_body = GoLive,
    responses((status = 200, body = Campaign))
)]
pub(crate) async fn go_live(
    access: Allowed<needs::Configure>,
    Id(id): Id<CampaignId>,
    api: Data<Api>,
    body: Body<GoLive>,
) -> Answer<Campaign> {
    let mut conn = access.network(&api.db).await?;
    let zone = networks::current(&mut conn).await?.time_zone();
    let campaign = campaign_table::find_visible(&mut conn, access.scope(), id).await?;
    let (author, now) = (access.author(), clock::now());
    match &body.value.override_reason {
        Some(reason) => {
            access.access::<needs::ManageNetwork>()?;
            let overridden = gate::override_tests(&mut conn, &author, campaign.id, reason, now).await;
            overridden.map_err(reason_field)?;
        }
        None => gate::go_live(&mut conn, &author, campaign.id, now).await?,
    }
    let live = campaign_table::find(&mut conn, campaign.id).await?;
    conn.commit().await?;
    Ok(Json(Campaign::new(&live.ok_or(ApiError::NotFound)?, zone)))
}

/// The error with the name that the reason has in the body.
fn reason_field(error: ChangeError) -> ApiError {
    match error {
        ChangeError::Fields(errors) if !errors.of("reason").is_empty() => {
            ApiError::field("override_reason", errors.of("reason"))
        }
        other => other.into(),
    }
}
