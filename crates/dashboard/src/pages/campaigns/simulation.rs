//! Simulation of a campaign's integration: a click and postbacks, sent by this server through the public endpoints.

use actix_web::web;
use campaigns::campaigns::Campaign;
use campaigns::goals::Goal;
use campaigns::going_live::{ORDERS, SIMULATED};
use postbacks::test_progress::TestProgress;
use schema::clock;
use serde_json::Value;
use tenancy::needs;
use tenancy::networks::Network;
use tracking::intake::{SimulatedResponse, simulate};

use super::going_live::{State, find, render};
use crate::Dashboard;
use crate::page::Submitted;
use crate::shell::PageResult;

/// Amount of a simulated order.
const ORDER_AMOUNT: &str = "10.00";

/// `POST /campaigns/{id}/test/rehearse`: sends a click and two orders of each goal.
pub(super) async fn run(
    Submitted(mut page, form): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let progress = TestProgress::of(&mut page.conn, &campaign, page.now).await?;
    let url = page.tracking_url().await?;
    // No transaction stays open: the requests of the simulation must not wait for it.
    let frame = page.commit().await?;
    let goals: Vec<&Goal> = progress.goals.iter().map(|proof| &proof.goal).collect();
    let steps = match progress.links.last() {
        Some((_, alias)) => {
            let simulation =
                Simulation::new(&frame.request.dashboard, &frame.network, &url, form.get("token"));
            simulation.run(alias, &goals, &campaign).await
        }
        None => Vec::new(),
    };
    let state = State {
        steps,
        ..State::default()
    };
    render(frame.reopen().await?, campaign, state).await
}

/// One request of a simulation.
pub(super) struct Step {
    pub(super) what: String,
    /// Method and path, without the token.
    pub(super) request: String,
    pub(super) status: u16,
    pub(super) went_well: bool,
    /// Result as a sentence.
    pub(super) result: String,
}

/// Target of the simulated requests.
struct Simulation<'a> {
    dashboard: &'a Dashboard,
    network: &'a Network,
    host: &'a str,
    /// Prefix of every path on the tracking host; empty on a network's own host.
    path_prefix: &'a str,
    /// Token to send with postbacks; empty for none.
    token: &'a str,
}

impl<'a> Simulation<'a> {
    fn new(dashboard: &'a Dashboard, network: &'a Network, url: &'a str, token: &'a str) -> Self {
        let (_, address) = url.split_once("://").unwrap_or(("", url));
        let at = address.find('/').unwrap_or(address.len());
        let (host, path_prefix) = address.split_at(at);
        Self {
            dashboard,
            network,
            host,
            path_prefix,
            token,
        }
    }

    async fn run(&self, alias: &str, goals: &[&Goal], campaign: &Campaign) -> Vec<Step> {
        let (step, click_id) = self.click(alias).await;
        let mut steps = vec![step];
        let Some(click_id) = click_id else { return steps };
        let run = clock::now().timestamp_millis();
        for goal in goals {
            for number in 1..=ORDERS {
                let order_id = format!("{SIMULATED}{run}-{}-{number}", goal.code());
                let currency = campaign.currency.code();
                let mut query = form_urlencoded::Serializer::new(String::new());
                query.extend_pairs([
                    ("click_id", click_id.as_str()),
                    ("goal", goal.code()),
                    ("order_id", &order_id),
                    ("amount", ORDER_AMOUNT),
                    ("currency", currency),
                ]);
                let what = format!("The advertiser reports order {number} for {}", goal.settings.name);
                steps.push(self.postback(what, query).await);
            }
        }
        steps
    }

    /// Follows the test link. Returns the click ID in the destination, if it has one.
    async fn click(&self, alias: &str) -> (Step, Option<String>) {
        let target = format!("{}/{alias}", self.path_prefix);
        let response = simulate(&self.dashboard.tracker.intake(), self.host, &target).await;
        let location = response.location.clone().unwrap_or_default();
        let click_id = self.click_id_in(&location);
        let step = Step {
            what: "A visitor follows the test link".to_owned(),
            request: format!("GET {target}"),
            status: response.status,
            went_well: click_id.is_some(),
            result: match (&click_id, response.status) {
                (Some(_), _) => format!("Sent to {location}, with the click id in it."),
                (None, 302) => format!(
                    "Sent to {location}. No parameter contains exactly the click ID, so it does not travel: set the \
                     click ID parameter in the campaign's settings."
                ),
                (None, _) => verdict(&response).1,
            },
        };
        (step, click_id)
    }

    /// Sends a postback with these parameters, and the token if one was given.
    async fn postback(&self, what: String, mut query: form_urlencoded::Serializer<'_, String>) -> Step {
        let shown = format!("{}/postback?{}", self.path_prefix, query.finish());
        let target = if self.token.is_empty() {
            shown.clone()
        } else {
            let mut token = form_urlencoded::Serializer::new(String::new());
            token.append_pair("token", self.token);
            format!("{shown}&{}", token.finish())
        };
        let response = simulate(&self.dashboard.tracker.intake(), self.host, &target).await;
        let (went_well, result) = verdict(&response);
        Step {
            what,
            request: format!("GET {shown}"),
            status: response.status,
            went_well,
            result,
        }
    }

    /// Click ID in an address, as the value of a query parameter or as a part of the path.
    fn click_id_in(&self, address: &str) -> Option<String> {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let query = query.split('#').next().unwrap_or_default();
        let values = form_urlencoded::parse(query.as_bytes()).map(|(_, value)| value.into_owned());
        let mut parts = values.chain(path.split('/').map(str::to_owned));
        parts.find(|text| {
            let click_ids = &self.dashboard.click_ids;
            click_ids
                .read(text, self.network.id, self.network.click_key)
                .is_ok()
        })
    }
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
