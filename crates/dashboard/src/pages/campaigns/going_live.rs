//! Going live: how far the tests of a campaign have come, a rehearsal through the public endpoints, and the certificate.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use campaigns::campaigns::{self as campaign_table, Campaign, CampaignSettings, CampaignStatus};
use campaigns::goals::Goal;
use campaigns::going_live::{self as gate, ORDERS, SIMULATED};
use campaigns::integrations;
use campaigns::links::{self, NewLink};
use chrono::{DateTime, Utc};
use schema::{CampaignId, NetworkConn, clock};
use tenancy::affiliates::AffiliateSettings;
use tenancy::networks::{self, Network};
use tenancy::{Actor, Author, ChangeError, Permission, Scope, affiliates, needs};
use tracking::ClickId;
use tracking::intake::{Rehearsed, rehearse};
use tracking::ladder::{Ladder, Rung};

use super::campaign::tracking_url;
use super::settings::fields;
use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::pages::id;
use crate::pages::postbacks::postback::PostbackRow;
use crate::shell::{PageResult, Shell, TimeCell, page, page_with, see_other};
use crate::{Dashboard, urls};

/// Whose test links are, so that nobody earns by them.
const TEST_AFFILIATE: &str = "Test affiliate";
/// The amount of a rehearsed order.
const AMOUNT: &str = "10.00";

/// `GET /campaigns/{id}/test`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeIntegration>,
    path: web::Path<String>,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    render(&request, &dashboard, &actor, conn, campaign, State::default()).await
}

/// `POST /campaigns/{id}/test`: makes a test link.
pub(super) async fn set_up(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    _form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let (author, now) = (actor.author(), clock::now());
    if campaign.status == CampaignStatus::Draft {
        // A draft takes no postbacks, not even of tests.
        set_status(&mut conn, &author, campaign.id, CampaignStatus::Testing, now).await?;
    }
    let wanted = AffiliateSettings::named(TEST_AFFILIATE);
    let affiliate = match affiliates::matching(&mut conn, &wanted).await? {
        Some(known) => known,
        None => affiliates::create(&mut conn, &author, &wanted, now).await?,
    };
    let alias = links::random_alias();
    let link = NewLink {
        is_test: true,
        ..NewLink::plain(affiliate.id, campaign.id, &alias)
    };
    links::create(&mut conn, &author, &link, now).await?;
    conn.commit().await?;
    see_other(&urls::test(campaign.id))
}

/// `POST /campaigns/{id}/test/rehearse`: a click and two orders of each goal, through the public endpoints.
pub(super) async fn run(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let network = networks::current(&mut conn).await?;
    let ladder = Ladder::of(&mut conn, &campaign, clock::now()).await?;
    let url = tracking_url(&mut conn, &dashboard).await?;
    // What is rehearsed has to see what was committed, and must not wait for us.
    conn.commit().await?;
    let goals: Vec<&Goal> = ladder.goals.iter().map(|proof| &proof.goal).collect();
    let steps = match ladder.links.last() {
        Some((_, alias)) => {
            let stage = Stage::new(&dashboard, &network, &url, form.get("token"));
            stage.play(alias, &goals, &campaign).await
        }
        None => Vec::new(),
    };
    let conn = actor.network(&dashboard.db).await?;
    let state = State {
        steps,
        ..State::default()
    };
    render(&request, &dashboard, &actor, conn, campaign, state).await
}

/// `POST /campaigns/{id}/test/go-live`: goes live, or does so although the tests are not done.
pub(super) async fn go_live(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let (author, now) = (actor.author(), clock::now());
    let gone = match form.get("how") {
        "override" => {
            actor.access::<needs::ManageNetwork>()?;
            gate::override_tests(&mut conn, &author, campaign.id, form.get("reason"), now).await
        }
        _ => set_status(&mut conn, &author, campaign.id, CampaignStatus::Live, now).await,
    };
    match gone {
        Ok(()) => {
            conn.commit().await?;
            see_other(&urls::test(campaign.id))
        }
        Err(error) => {
            let errors = fields(error)?;
            let problem = errors
                .iter()
                .map(|(_, message)| message)
                .collect::<Vec<_>>()
                .join(" ");
            drop(conn);
            let conn = actor.network(&dashboard.db).await?;
            let state = State {
                problem,
                ..State::default()
            };
            render(&request, &dashboard, &actor, conn, campaign, state).await
        }
    }
}

/// `GET /campaigns/{id}/certificate`: what was proven, to keep.
pub(super) async fn certificate(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeIntegration>,
    path: web::Path<String>,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let network = networks::current(&mut conn).await?;
    let now = clock::now();
    let ladder = Ladder::of(&mut conn, &campaign, now).await?;
    let advertiser = tenancy::advertisers::find(&mut conn, campaign.advertiser_id).await?;
    conn.commit().await?;
    let title = format!("Test certificate of {}", campaign.name);
    page(&Certificate {
        shell: Shell::new(&dashboard, &request, &actor, &network, section(&actor), &title),
        campaign: campaign.name.clone(),
        campaign_id: campaign.id.to_string(),
        advertiser: advertiser.map_or_else(String::new, |it| it.name),
        is_proven: ladder.is_proven(),
        test: urls::test(campaign.id),
        made: TimeCell::new(now, now, &network).full,
        goals: goal_rows(&ladder, now, &network),
    })
}

/// Changes the status and nothing else, whatever else is changed at the same time.
async fn set_status(
    conn: &mut NetworkConn,
    author: &Author,
    id: CampaignId,
    status: CampaignStatus,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let campaign = campaign_table::lock(conn, id)
        .await?
        .ok_or(ChangeError::NotFound)?;
    let settings = CampaignSettings {
        status,
        ..campaign.settings()
    };
    campaign_table::update(conn, author, id, &settings, now).await?;
    Ok(())
}

/// The campaign of a path, if this person may see how its advertiser is connected.
pub(crate) async fn find(conn: &mut NetworkConn, actor: &Actor, path: &str) -> Result<Campaign, PageError> {
    let campaign_id: CampaignId = id(path)?;
    let found = campaign_table::find(conn, campaign_id).await?;
    let Scope { advertiser, .. } = actor.role.scope();
    found
        .filter(|campaign| advertiser.is_none_or(|own| own == campaign.advertiser_id))
        .ok_or(PageError::NotFound)
}

/// Where its pages stand in the navigation.
pub(crate) fn section(actor: &Actor) -> &'static str {
    match actor.may(Permission::SeeCampaigns) {
        true => "Campaigns",
        false => "Integration",
    }
}

/// Where a rehearsal is played.
struct Stage<'a> {
    dashboard: &'a Dashboard,
    network: &'a Network,
    host: &'a str,
    /// What stands before every path.
    front: &'a str,
    token: &'a str,
}

impl<'a> Stage<'a> {
    fn new(dashboard: &'a Dashboard, network: &'a Network, url: &'a str, token: &'a str) -> Self {
        let (_, address) = url.split_once("://").unwrap_or(("", url));
        let at = address.find('/').unwrap_or(address.len());
        let (host, front) = address.split_at(at);
        Self {
            dashboard,
            network,
            host,
            front,
            token,
        }
    }

    async fn play(&self, alias: &str, goals: &[&Goal], campaign: &Campaign) -> Vec<Step> {
        let intake = self.dashboard.tracker.intake();
        let target = format!("{}/{alias}", self.front);
        let clicked = rehearse(&intake, self.host, &target).await;
        let location = clicked.location.clone().unwrap_or_default();
        let click = self.click_in(&location);
        let mut steps = vec![Step {
            what: "A visitor follows the test link".to_owned(),
            request: format!("GET {target}"),
            status: clicked.status,
            went_well: click.is_some(),
            said: match (&click, clicked.status) {
                (Some(_), _) => format!("Sent to {location}, with the click id in it."),
                (None, 302) => format!(
                    "Sent to {location}. No parameter of it carries the click id alone, so it does not travel: set the \
                     destination's name of the click id in the campaign's settings."
                ),
                (None, _) => told(&clicked).1,
            },
        }];
        let Some(click) = click else { return steps };
        let run = clock::now().timestamp_millis();
        for goal in goals {
            for number in 1..=ORDERS {
                let order = format!("{SIMULATED}{run}-{}-{number}", goal.code());
                let mut query = form_urlencoded::Serializer::new(String::new());
                query.extend_pairs([
                    ("click_id", click.as_str()),
                    ("goal", goal.code()),
                    ("order_id", &order),
                    ("amount", AMOUNT),
                    ("currency", campaign.currency.code()),
                ]);
                let shown = format!("{}/postback?{}", self.front, query.finish());
                let target = match self.token {
                    "" => shown.clone(),
                    token => format!(
                        "{shown}&{}",
                        form_urlencoded::Serializer::new(String::new())
                            .append_pair("token", token)
                            .finish()
                    ),
                };
                let called = rehearse(&intake, self.host, &target).await;
                let (went_well, said) = told(&called);
                steps.push(Step {
                    what: format!("The advertiser reports order {number} for {}", goal.settings.name),
                    request: format!("GET {shown}"),
                    status: called.status,
                    went_well,
                    said,
                });
            }
        }
        steps
    }

    /// The click id that an address carries as the value of a parameter, or as a part of its path.
    fn click_in(&self, address: &str) -> Option<String> {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let query = query.split('#').next().unwrap_or_default();
        let values = form_urlencoded::parse(query.as_bytes()).map(|(_, value)| value.into_owned());
        let mut found = values.chain(path.split('/').map(str::to_owned));
        found.find(|text| {
            let read = self
                .dashboard
                .click_ids
                .read(text, self.network.id, self.network.click_key);
            matches!(read, Ok(ClickId { .. }))
        })
    }
}

/// Whether a postback was taken, and what its answer says to people: the sentence of a verdict, or the text as it is.
fn told(answer: &Rehearsed) -> (bool, String) {
    let json: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let field = |name: &str| json.get(name).and_then(serde_json::Value::as_str);
    let said = match (field("message"), field("hint")) {
        (Some(message), Some(hint)) => format!("{message} {hint}"),
        (Some(message), None) => message.to_owned(),
        (None, _) if answer.body.contains(char::is_control) => "No text.".to_owned(),
        (None, _) => answer.body.chars().take(300).collect(),
    };
    let taken = match field("status") {
        Some(status) => matches!(status, "accepted" | "duplicate"),
        // In another system's voice, or as a picture: the status has to do.
        None => (200..300).contains(&answer.status),
    };
    (taken, said)
}

/// One request of a rehearsal.
struct Step {
    what: String,
    request: String,
    status: u16,
    went_well: bool,
    said: String,
}

/// What the page shows besides how far it is.
#[derive(Default)]
struct State {
    steps: Vec<Step>,
    problem: String,
}

async fn render(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Actor,
    mut conn: NetworkConn,
    campaign: Campaign,
    state: State,
) -> PageResult {
    let network = networks::current(&mut conn).await?;
    let now = clock::now();
    let ladder = Ladder::of(&mut conn, &campaign, now).await?;
    let url = tracking_url(&mut conn, dashboard).await?;
    let integrations = integrations::of_advertiser(&mut conn, campaign.advertiser_id).await?;
    conn.commit().await?;
    let has_own = integrations.own_of(campaign.id).is_some();
    let status = match state.problem.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let title = format!("Test of {}", campaign.name);
    page_with(
        status,
        &Show {
            shell: Shell::new(dashboard, request, actor, &network, section(actor), &title),
            url: urls::test(campaign.id),
            campaign: actor
                .may(Permission::SeeCampaigns)
                .then(|| urls::campaign(campaign.id)),
            name: campaign.name.clone(),
            certificate: urls::certificate(campaign.id),
            integration: match has_own {
                true => urls::campaign_integration(campaign.id),
                false => urls::integration(campaign.advertiser_id),
            },
            token_label: match has_own {
                true => "The campaign's own token",
                false => "The advertiser's token",
            },
            token_hint: integrations
                .deciding(Some(campaign.id))
                .map(|it| it.token_hint.clone()),
            status: campaign.status.as_str(),
            rungs: Rung::CLIMBED.iter().map(|(_, words)| *words).collect(),
            clicks: ladder.clicks,
            goals: goal_rows(&ladder, now, &network),
            is_proven: ladder.is_proven(),
            pays: campaign.status.pays(),
            link: ladder.links.last().map(|(_, alias)| format!("{url}/{alias}")),
            may_configure: actor.may(Permission::Configure),
            may_override: actor.may(Permission::ManageNetwork),
            postbacks: ladder
                .postbacks
                .into_iter()
                .map(|it| PostbackRow::new(it, None, now, &network))
                .collect(),
            steps: state.steps,
            problem: state.problem,
        },
    )
}

fn goal_rows(ladder: &Ladder, now: DateTime<Utc>, network: &Network) -> Vec<GoalRow> {
    let row = |proof: &tracking::ladder::GoalProof| GoalRow {
        name: proof.goal.settings.name.clone(),
        code: proof.goal.settings.code.clone(),
        rung: proof.rung.words(),
        reached: Rung::CLIMBED
            .iter()
            .filter(|(rung, _)| *rung <= proof.rung)
            .count(),
        is_proven: proof.is_proven(),
        orders: proof
            .orders
            .iter()
            .map(|order| OrderRow {
                at: TimeCell::new(order.at, now, network).full,
                receipt: order.postback_id.to_string(),
                order_id: order.order_id.clone().unwrap_or_else(|| "—".to_owned()),
            })
            .collect(),
    };
    ladder.goals.iter().map(row).collect()
}

struct GoalRow {
    name: String,
    code: String,
    rung: &'static str,
    /// How many rungs are reached.
    reached: usize,
    is_proven: bool,
    orders: Vec<OrderRow>,
}

struct OrderRow {
    at: String,
    receipt: String,
    order_id: String,
}

#[derive(Template)]
#[template(path = "campaigns/going_live/show.html")]
struct Show {
    shell: Shell,
    url: String,
    campaign: Option<String>,
    name: String,
    certificate: String,
    integration: String,
    token_label: &'static str,
    token_hint: Option<String>,
    status: &'static str,
    rungs: Vec<&'static str>,
    clicks: i64,
    goals: Vec<GoalRow>,
    is_proven: bool,
    pays: bool,
    link: Option<String>,
    may_configure: bool,
    may_override: bool,
    postbacks: Vec<PostbackRow>,
    steps: Vec<Step>,
    problem: String,
}

#[derive(Template)]
#[template(path = "campaigns/going_live/certificate.html")]
struct Certificate {
    shell: Shell,
    campaign: String,
    campaign_id: String,
    advertiser: String,
    is_proven: bool,
    test: String,
    made: String,
    goals: Vec<GoalRow>,
}
