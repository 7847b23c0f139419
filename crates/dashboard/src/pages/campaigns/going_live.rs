//! Going live: test progress of a campaign, test links, the change to live, and the test certificate.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use campaigns::campaigns::{self as campaign_table, Campaign};
use campaigns::going_live as gate;
use campaigns::integrations;
use postbacks::test_progress::{GoalProgress, TestProgress, TestStage};
use schema::{CampaignId, NetworkConn};
use tenancy::{Actor, Permission, needs};
use tracking::simulation::Step;

use crate::error::PageError;
use crate::forms::field_errors;
use crate::page::{Frame, Page, Submitted};
use crate::pages::id;
use crate::pages::postbacks::postback::PostbackRow;
use crate::shell::{PageResult, Shell, done, html, html_with};
use crate::urls;

/// `GET /campaigns/{id}/test`
pub(super) async fn show(mut page: Page<needs::SeeIntegration>, path: web::Path<String>) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    render(page, campaign, State::default()).await
}

/// `POST /campaigns/{id}/test`: creates a test link.
pub(super) async fn set_up(
    Submitted(mut page, _): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let author = page.actor.author();
    gate::create_test_link(&mut page.conn, &author, campaign.id, page.now).await?;
    page.commit().await?;
    done(&urls::test(campaign.id), "The test link was created.")
}

/// `POST /campaigns/{id}/test/go-live`: sets the campaign live; with `override`, although the tests are incomplete.
pub(super) async fn go_live(
    Submitted(mut page, form): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let author = page.actor.author();
    let outcome = match form.get("how") {
        "override" => {
            page.actor.access::<needs::ManageNetwork>()?;
            gate::override_tests(&mut page.conn, &author, campaign.id, form.get("reason"), page.now).await
        }
        _ => gate::go_live(&mut page.conn, &author, campaign.id, page.now).await,
    };
    match outcome {
        Ok(()) => {
            page.commit().await?;
            done(&urls::test(campaign.id), &format!("{} is live.", campaign.name))
        }
        Err(error) => {
            let errors = field_errors(error)?;
            let problem = errors
                .iter()
                .map(|(_, message)| message)
                .collect::<Vec<_>>()
                .join(" ");
            let state = State {
                problem,
                ..State::default()
            };
            render(page.reopen().await?, campaign, state).await
        }
    }
}

/// `GET /campaigns/{id}/certificate`: test certificate of the campaign.
pub(super) async fn certificate(
    mut page: Page<needs::SeeIntegration>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let progress = TestProgress::of(&mut page.conn, &campaign, page.now).await?;
    let advertiser = tenancy::advertisers::find(&mut page.conn, campaign.advertiser_id).await?;
    let frame = page.commit().await?;
    let title = format!("Test certificate of {}", campaign.name);
    html(&Certificate {
        shell: frame.shell(section(&frame.actor), &title),
        campaign: campaign.name.clone(),
        campaign_id: campaign.id.to_string(),
        advertiser: advertiser.map_or_else(String::new, |advertiser| advertiser.name),
        is_verified: progress.is_verified(),
        test: urls::test(campaign.id),
        made: frame.time(frame.now).full,
        goals: goal_rows(&progress, &frame),
    })
}

/// Campaign of a path, if the actor may see its advertiser's integration.
pub(crate) async fn find(conn: &mut NetworkConn, actor: &Actor, path: &str) -> Result<Campaign, PageError> {
    let campaign_id: CampaignId = id(path)?;
    Ok(campaign_table::find_visible(conn, actor.scope(), campaign_id).await?)
}

/// Navigation entry of a campaign's integration pages: actors of an advertiser may have no campaign pages.
pub(crate) fn section(actor: &Actor) -> &'static str {
    if actor.may(Permission::SeeCampaigns) {
        "Campaigns"
    } else {
        "Integration"
    }
}

/// Additions to the page of the test progress.
#[derive(Default)]
pub(super) struct State {
    /// Steps of a simulation that has just run.
    pub(super) steps: Vec<Step>,
    /// Reason why the campaign did not go live; empty if it was not tried.
    pub(super) problem: String,
}

/// Shows the test progress of a campaign.
pub(super) async fn render<P>(mut page: Page<P>, campaign: Campaign, state: State) -> PageResult {
    let progress = TestProgress::of(&mut page.conn, &campaign, page.now).await?;
    let url = page.tracking_url().await?;
    let integrations = integrations::of_advertiser(&mut page.conn, campaign.advertiser_id).await?;
    let advertiser = tenancy::advertisers::find(&mut page.conn, campaign.advertiser_id).await?;
    let advertiser = advertiser.map(|advertiser| advertiser.name);
    let frame = page.commit().await?;
    let has_own = integrations.own_of(campaign.id).is_some();
    let status = if state.problem.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let (integration, token_label) = if has_own {
        (urls::campaign_integration(campaign.id), "Campaign token")
    } else {
        (urls::integration(campaign.advertiser_id), "Advertiser token")
    };
    let title = format!("Test of {}", campaign.name);
    html_with(
        status,
        &Show {
            shell: frame.shell(section(&frame.actor), &title).of_tests(),
            url: urls::test(campaign.id),
            campaign: frame
                .actor
                .may(Permission::SeeCampaigns)
                .then(|| urls::campaign(campaign.id)),
            certificate: urls::certificate(campaign.id),
            integration,
            token_label,
            token_hint: integrations
                .deciding(Some(campaign.id))
                .map(|integration| integration.token_hint.clone()),
            status: campaign.status.as_str(),
            stages: TestStage::STAGES.iter().map(|(_, label)| *label).collect(),
            clicks: progress.clicks,
            goals: goal_rows(&progress, &frame),
            is_verified: progress.is_verified(),
            pays: campaign.status.pays(),
            link: progress.links.last().map(|(_, alias)| format!("{url}/{alias}")),
            may_configure: frame.actor.may(Permission::Configure),
            may_override: frame.actor.may(Permission::ManageNetwork),
            postbacks: progress
                .postbacks
                .into_iter()
                .map(|postback| PostbackRow::new(postback, advertiser.clone(), &frame))
                .collect(),
            steps: state.steps,
            problem: state.problem,
        },
    )
}

fn goal_rows<P>(progress: &TestProgress, frame: &Frame<P>) -> Vec<GoalRow> {
    let row = |progress: &GoalProgress| GoalRow {
        name: progress.goal.settings.name.clone(),
        code: progress.goal.settings.code.clone(),
        stage: progress.stage.label(),
        reached: TestStage::STAGES
            .iter()
            .filter(|(stage, _)| *stage <= progress.stage)
            .count(),
        simulated: if progress.simulated_orders > 0 {
            let matched = |(stage, _): &&(TestStage, &str)| *stage <= TestStage::Matched;
            TestStage::STAGES.iter().filter(matched).count()
        } else {
            0
        },
        is_verified: progress.is_verified(),
        misses_live_page: progress.misses_live_page,
        orders: progress
            .orders
            .iter()
            .map(|order| OrderRow {
                at: frame.time(order.at).full,
                receipt: order.postback_id.to_string(),
                order_id: order.order_id.clone().unwrap_or_else(|| "—".to_owned()),
                host: order.host.clone().unwrap_or_else(|| "—".to_owned()),
            })
            .collect(),
    };
    progress.goals.iter().map(row).collect()
}

struct GoalRow {
    name: String,
    code: String,
    stage: &'static str,
    /// Number of reached test stages.
    reached: usize,
    /// Number of test stages that a simulated order has passed.
    simulated: usize,
    is_verified: bool,
    misses_live_page: bool,
    orders: Vec<OrderRow>,
}

struct OrderRow {
    at: String,
    receipt: String,
    order_id: String,
    host: String,
}

#[derive(Template)]
#[template(path = "campaigns/going_live/show.html")]
struct Show {
    shell: Shell,
    url: String,
    campaign: Option<String>,
    certificate: String,
    integration: String,
    token_label: &'static str,
    token_hint: Option<String>,
    status: &'static str,
    stages: Vec<&'static str>,
    clicks: i64,
    goals: Vec<GoalRow>,
    is_verified: bool,
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
    is_verified: bool,
    test: String,
    made: String,
    goals: Vec<GoalRow>,
}
