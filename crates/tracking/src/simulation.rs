//! Simulation of a campaign's integration: a click and postbacks, sent by this server through the public endpoints.

use campaigns::campaigns::Campaign;
use campaigns::goals::Goal;
use campaigns::going_live::{ORDERS, SIMULATED};
use campaigns::integrations::{self, ExampleValues};
use chrono::{DateTime, Utc};
use dialects::{Amount, Dialect, OutgoingCall, RawCall};
use postbacks::test_progress::TestProgress;
use postbacks::{Verdict, VerdictStatus};
use schema::{Currency, NetworkConn, PostbackId, clock};
use tenancy::ChangeError;
use tenancy::networks::Network;

use crate::intake::simulate;
use crate::tracker::{Intake, Tracker};

/// Result of a request whose address is not valid.
const INVALID_ADDRESS: &str = "The address of the tracking host is not valid.";

/// A simulation to run: target and content of the simulated requests.
#[derive(Debug, Clone)]
pub struct Simulation {
    network: Network,
    campaign: Campaign,
    goals: Vec<Goal>,
    /// Format of the campaign's integration; ours if that has none.
    dialect: &'static Dialect,
    /// Scheme and host of the tracking host.
    origin: String,
    host: String,
    /// Prefix of every path on the tracking host; empty on a network's own host.
    path_prefix: String,
    /// Alias of the test link.
    alias: String,
}

/// Order of a test; fields that are absent have usual values.
#[derive(Debug, Clone, Default)]
pub struct TestOrder {
    /// Order ID; a new one by default.
    pub order_id: Option<String>,
    /// Amount, in micro-units.
    pub amount_micros: Option<i64>,
    /// Currency; that of the campaign by default.
    pub currency: Option<Currency>,
}

/// A test order that was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Order ID.
    pub order_id: String,
    /// Click ID.
    pub click_id: String,
    /// Request of the visitor.
    pub click: Step,
    /// Request of the advertiser's server.
    pub postback: Step,
    /// Receipt of the postback.
    pub receipt: PostbackId,
    /// Verdict on the postback.
    pub verdict: Verdict,
}

/// One request of a simulation.
#[derive(Debug, Clone)]
pub struct Step {
    /// Event that the request simulates.
    pub event: String,
    /// Method and path, followed by the body of a POST.
    pub request: String,
    /// HTTP status of the response.
    pub status: u16,
    /// True if the request had the effect that it would need in production.
    pub is_successful: bool,
    /// Result as a sentence.
    pub result: String,
}

impl Simulation {
    /// Reads what the simulation of a campaign needs. `tracking_url` is the base URL of the network's tracking host.
    ///
    /// # Errors
    /// [`ChangeError::Conflict`] if the campaign has no test link; when the database fails.
    pub async fn of(
        conn: &mut NetworkConn,
        network: &Network,
        tracking_url: &str,
        campaign: &Campaign,
        now: DateTime<Utc>,
    ) -> Result<Self, ChangeError> {
        let progress = TestProgress::of(conn, campaign, now).await?;
        let Some((_, alias)) = progress.links.last() else {
            let message = "The campaign has no test link. Create one first.";
            return Err(ChangeError::Conflict(message.to_owned()));
        };
        let integrations = integrations::of_advertiser(conn, campaign.advertiser_id).await?;
        let (scheme, address) = tracking_url.split_once("://").unwrap_or(("https", tracking_url));
        let (host, path_prefix) = address.split_at(address.find('/').unwrap_or(address.len()));
        Ok(Self {
            network: network.clone(),
            campaign: campaign.clone(),
            goals: progress.goals.into_iter().map(|progress| progress.goal).collect(),
            dialect: integrations.dialect(Some(campaign.id)),
            origin: format!("{scheme}://{host}"),
            host: host.to_owned(),
            path_prefix: path_prefix.to_owned(),
            alias: alias.clone(),
        })
    }

    /// Sends a click and two orders of each goal. The network itself is the sender, so the postbacks need no token. To be
    /// called without an open transaction, for which the requests could wait.
    #[tracing::instrument(skip_all, fields(network = %self.network.id))]
    pub async fn run(&self, tracker: &Tracker) -> Vec<Step> {
        let intake = tracker.intake();
        let (step, click_id) = self.click(&intake).await;
        let mut steps = vec![step];
        let Some(click_id) = click_id else { return steps };
        let run = clock::now().timestamp_millis();
        for goal in &self.goals {
            for number in 1..=ORDERS {
                let order_id = format!("{SIMULATED}{run}-{}-{number}", goal.code());
                let event = format!("The advertiser reports order {number} for {}", goal.settings.name);
                if let Some(call) = self.order(goal, &click_id, &order_id, &TestOrder::default()) {
                    steps.push(self.postback(&intake, event, &call).await.0);
                }
            }
        }
        steps
    }

    /// Goal with this code or ID; without a name, the first goal of the campaign.
    #[must_use]
    pub fn goal(&self, name: Option<&str>) -> Option<&Goal> {
        let is_named =
            |goal: &&Goal| name.is_none_or(|name| goal.code() == name || goal.id.to_string() == name);
        self.goals.iter().find(is_named)
    }

    /// Sends a click and one order of a goal. To be called without an open transaction, as [`Self::run`].
    ///
    /// # Errors
    /// [`ChangeError::Conflict`] if no postback can be sent: the destination does not pass on the click ID.
    #[tracing::instrument(skip_all, fields(network = %self.network.id))]
    pub async fn send(&self, tracker: &Tracker, goal: &Goal, order: &TestOrder) -> Result<Sent, ChangeError> {
        let intake = tracker.intake();
        let (click, click_id) = self.click(&intake).await;
        let click_id = click_id.ok_or_else(|| ChangeError::Conflict(click.result.clone()))?;
        let usual = || format!("{SIMULATED}{}-{}", clock::now().timestamp_millis(), goal.code());
        let order_id = order.order_id.clone().unwrap_or_else(usual);
        let call = self.order(goal, &click_id, &order_id, order);
        let invalid = || ChangeError::Conflict(INVALID_ADDRESS.to_owned());
        let call = call.ok_or_else(invalid)?;
        let event = format!("The advertiser reports an order for {}", goal.settings.name);
        let (step, verdict) = self.postback(&intake, event, &call).await;
        let (receipt, verdict) = verdict.ok_or_else(invalid)?;
        Ok(Sent {
            order_id,
            click_id,
            click,
            postback: step,
            receipt,
            verdict,
        })
    }

    /// Follows the test link. Returns the click ID in the destination, if it has one.
    async fn click(&self, intake: &Intake) -> (Step, Option<String>) {
        let target = format!("{}/{}", self.path_prefix, self.alias);
        let sender = self.campaign.advertiser_id;
        let response = simulate(intake, sender, &self.host, &RawCall::get(&target)).await;
        let location = response
            .as_ref()
            .and_then(|response| response.location.as_deref());
        let click_id = location.and_then(|location| self.click_id_in(intake.tracker(), location));
        let step = Step {
            event: "A visitor follows the test link".to_owned(),
            request: format!("GET {target}"),
            status: response.as_ref().map_or(400, |response| response.status),
            is_successful: click_id.is_some(),
            result: match (&click_id, location) {
                (Some(_), Some(location)) => format!("Sent to {location}, with the click id in it."),
                (_, Some(location)) => format!(
                    "Sent to {location}. No parameter contains exactly the click ID, so the shop does not receive it: set the \
                     click ID parameter in the campaign's settings."
                ),
                (_, None) if response.is_none() => INVALID_ADDRESS.to_owned(),
                (_, None) => "The visitor saw an error page.".to_owned(),
            },
        };
        (step, click_id)
    }

    /// Report of an order in the format of the integration, or in ours if that cannot name a click.
    fn order(&self, goal: &Goal, click_id: &str, order_id: &str, order: &TestOrder) -> Option<OutgoingCall> {
        let base_url = format!("{}{}", self.origin, self.path_prefix);
        let values = ExampleValues {
            base_url: &base_url,
            click_id,
            order_id,
            token: None,
            names_goal: self.goals.len() > 1,
            amount_micros: order.amount_micros.unwrap_or(ExampleValues::AMOUNT_MICROS),
            currency: order.currency,
        };
        let call = |dialect| integrations::example_call(dialect, &self.campaign, goal, values);
        call(self.dialect).or_else(|| call(dialects::native()))
    }

    async fn postback(
        &self,
        intake: &Intake,
        event: String,
        call: &OutgoingCall,
    ) -> (Step, Option<(PostbackId, Verdict)>) {
        let received = call.as_received(&self.origin);
        let response = simulate(intake, self.campaign.advertiser_id, &self.host, &received).await;
        let (status, verdict) = response.map_or((400, None), |response| (response.status, response.verdict));
        let body = if call.body.is_empty() { "" } else { " " };
        let of_verdict = verdict.as_ref().map(|(_, verdict)| verdict);
        let step = Step {
            event,
            request: format!("{} {}{body}{}", call.method, received.target, call.body),
            status,
            is_successful: of_verdict.is_some_and(is_successful),
            result: of_verdict.map_or_else(|| INVALID_ADDRESS.to_owned(), sentence),
        };
        (step, verdict)
    }

    /// Click ID in an address, as the value of a query parameter or as a part of the path.
    fn click_id_in(&self, tracker: &Tracker, address: &str) -> Option<String> {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let (query, _) = query.split_once('#').unwrap_or((query, ""));
        let values = form_urlencoded::parse(query.as_bytes()).map(|(_, value)| value.into_owned());
        let mut parts = values.chain(path.split('/').map(str::to_owned));
        parts.find(|text| {
            let click_ids = tracker.click_ids();
            click_ids
                .read(text, self.network.id, self.network.click_key)
                .is_ok()
        })
    }
}

/// Parses the amount of a test order into micro-units.
///
/// # Errors
/// Message to show beside the field.
pub fn parse_amount(text: &str) -> Result<i64, String> {
    let amount = Amount::parse(text.trim()).map_err(|problem| format!("“{text}” {problem}."))?;
    Ok(amount.micros)
}

fn is_successful(verdict: &Verdict) -> bool {
    matches!(
        verdict.reason.status(),
        VerdictStatus::Accepted | VerdictStatus::Duplicate
    )
}

/// Message and hint of a verdict.
fn sentence(verdict: &Verdict) -> String {
    match &verdict.hint {
        Some(hint) => format!("{} {hint}", verdict.message),
        None => verdict.message.clone(),
    }
}
