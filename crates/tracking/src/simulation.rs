//! Simulation of a campaign's integration: a click and postbacks, sent by this server through the public endpoints.

use campaigns::campaigns::Campaign;
use campaigns::goals::Goal;
use campaigns::going_live::{ORDERS, SIMULATED};
use chrono::{DateTime, Utc};
use postbacks::test_progress::TestProgress;
use schema::{Currency, NetworkConn, clock};
use serde_json::Value;
use tenancy::ChangeError;
use tenancy::networks::Network;

use crate::intake::{SimulatedResponse, simulate};
use crate::tracker::{Intake, Tracker};

/// Amount of a simulated order.
const ORDER_AMOUNT: &str = "10.00";

/// A simulation to run: target and content of the simulated requests.
#[derive(Debug, Clone)]
pub struct Simulation {
    network: Network,
    host: String,
    /// Prefix of every path on the tracking host; empty on a network's own host.
    path_prefix: String,
    /// Alias of the test link.
    alias: String,
    /// Code and name of each goal.
    goals: Vec<(String, String)>,
    currency: Currency,
}

/// One request of a simulation.
#[derive(Debug, Clone)]
pub struct Step {
    /// Event that the request simulates.
    pub event: String,
    /// Method and path, without the token.
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
        let named = |goal: &Goal| (goal.code().to_owned(), goal.settings.name.clone());
        let (_, address) = tracking_url.split_once("://").unwrap_or(("", tracking_url));
        let (host, path_prefix) = address.split_at(address.find('/').unwrap_or(address.len()));
        Ok(Self {
            network: network.clone(),
            host: host.to_owned(),
            path_prefix: path_prefix.to_owned(),
            alias: alias.clone(),
            goals: progress
                .goals
                .iter()
                .map(|progress| named(&progress.goal))
                .collect(),
            currency: campaign.currency,
        })
    }

    /// Sends a click and two orders of each goal, with this token in the postbacks; an empty one is not sent. To be
    /// called without an open transaction, for which the requests could wait.
    #[tracing::instrument(skip_all, fields(network = %self.network.id))]
    pub async fn run(&self, tracker: &Tracker, token: &str) -> Vec<Step> {
        let intake = tracker.intake();
        let (step, click_id) = self.click(&intake).await;
        let mut steps = vec![step];
        let Some(click_id) = click_id else { return steps };
        let run = clock::now().timestamp_millis();
        for (code, name) in &self.goals {
            for number in 1..=ORDERS {
                let order_id = format!("{SIMULATED}{run}-{code}-{number}");
                let query = query(&[
                    ("click_id", &click_id),
                    ("goal", code),
                    ("order_id", &order_id),
                    ("amount", ORDER_AMOUNT),
                    ("currency", self.currency.code()),
                ]);
                let event = format!("The advertiser reports order {number} for {name}");
                steps.push(self.postback(&intake, event, &query, token).await);
            }
        }
        steps
    }

    /// Follows the test link. Returns the click ID in the destination, if it has one.
    async fn click(&self, intake: &Intake) -> (Step, Option<String>) {
        let target = format!("{}/{}", self.path_prefix, self.alias);
        let response = simulate(intake, &self.host, &target).await;
        let location = response.location.as_deref().unwrap_or("");
        let click_id = self.click_id_in(intake.tracker(), location);
        let step = Step {
            event: "A visitor follows the test link".to_owned(),
            request: format!("GET {target}"),
            status: response.status,
            is_successful: click_id.is_some(),
            result: match (&click_id, response.status) {
                (Some(_), _) => format!("Sent to {location}, with the click id in it."),
                (None, 302) => format!(
                    "Sent to {location}. No parameter contains exactly the click ID, so the shop does not receive it: set the \
                     click ID parameter in the campaign's settings."
                ),
                (None, _) => verdict(&response).1,
            },
        };
        (step, click_id)
    }

    /// Sends a postback with these parameters, and the token if one was given.
    async fn postback(&self, intake: &Intake, event: String, parameters: &str, token: &str) -> Step {
        let shown = format!("{}/postback?{parameters}", self.path_prefix);
        let target = if token.is_empty() {
            shown.clone()
        } else {
            format!("{shown}&{}", query(&[("token", token)]))
        };
        let response = simulate(intake, &self.host, &target).await;
        let (is_successful, result) = verdict(&response);
        Step {
            event,
            request: format!("GET {shown}"),
            status: response.status,
            is_successful,
            result,
        }
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

/// Query string of these parameters.
fn query(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish()
}

/// True if a postback was accepted, and its result as a sentence: message and hint of the verdict, or the text of the
/// response in another format.
fn verdict(response: &SimulatedResponse) -> (bool, String) {
    let json: Option<Value> = serde_json::from_str(&response.body).ok();
    let field = |name: &str| json.as_ref()?.get(name)?.as_str();
    let sentence = match (field("message"), field("hint")) {
        (Some(message), Some(hint)) => format!("{message} {hint}"),
        (Some(message), None) => message.to_owned(),
        (None, _) if response.body.contains(char::is_control) => "No text.".to_owned(),
        (None, _) => response.body.chars().take(300).collect(),
    };
    let accepted = match field("status") {
        Some(status) => matches!(status, "accepted" | "duplicate"),
        // A response in another format or a picture has only the HTTP status.
        None => (200..300).contains(&response.status),
    };
    (accepted, sentence)
}
