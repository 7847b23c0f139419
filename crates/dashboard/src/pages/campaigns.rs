//! Campaigns: the list, and one of them with its settings, goals, tracking links and postback URL.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use campaigns::campaigns::{self as campaign_table, Campaign};
use campaigns::goals::{self, Goal};
use campaigns::integrations::{self, Token};
use campaigns::links::{self, NewLink};
use chrono::TimeDelta;
use schema::{CampaignId, Currency, NetworkConn, clock};
use tenancy::networks::{self, Network};
use tenancy::{Actor, ChangeError, Draft, Permission, affiliates, needs};

use super::id;
use crate::auth::{Allowed, fresh_secret};
use crate::error::PageError;
use crate::forms::{Choice, PostedForm};
use crate::shell::{PageResult, Shell, TimeCell, page, page_with, see_other, set_cookie, show_secret};
use crate::{Dashboard, urls};

/// Most links a campaign page shows.
const LINKS: i64 = 500;

/// `GET /campaigns`
pub(super) async fn list(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeCampaigns>,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let found = campaign_table::visible(&mut conn, actor.role.scope(), None).await?;
    conn.commit().await?;
    page(&List {
        shell: Shell::new(&dashboard, &request, &actor, &network, "Campaigns", "Campaigns"),
        rows: found
            .into_iter()
            .map(|(campaign, advertiser)| CampaignRow {
                url: urls::campaign(campaign.id),
                name: campaign.name,
                status: campaign.status.as_str(),
                advertiser,
                currency: campaign.currency.code(),
                window: campaign.attribution_days,
            })
            .collect(),
        may_configure: actor.may(Permission::Configure),
    })
}

/// `GET /campaigns/{id}`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeCampaigns>,
    path: web::Path<String>,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let token = fresh_secret(&request).map(|text| Token::from_call(&text));
    let page = urls::campaign(campaign.id);
    let state = PageState {
        token,
        ..PageState::default()
    };
    let mut response = render(&request, &dashboard, &actor, conn, campaign, state).await?;
    set_cookie(&mut response, &dashboard.cookies.end_flash(&page));
    Ok(response)
}

/// `POST /campaigns/{id}/links`: gives an affiliate a tracking link.
pub(super) async fn new_link(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let mut link = form.draft("", &NewLink::FIELDS);
    if let Some(new) = NewLink::check(&mut conn, &mut link, &campaign).await? {
        let (author, now) = (actor.author(), clock::now());
        let made = conn.attempt(async |conn| links::create(conn, &author, &new, now).await);
        match made.await {
            Ok(_) => {
                conn.commit().await?;
                return see_other(&urls::campaign(campaign.id));
            }
            Err(ChangeError::Fields(errors)) => link.errors = errors,
            Err(error) => return Err(error.into()),
        }
    }
    let state = PageState {
        link,
        ..PageState::default()
    };
    render(&request, &dashboard, &actor, conn, campaign, state).await
}

/// `POST /campaigns/{id}/token`: gives the advertiser a fresh postback token and shows it, once.
pub(super) async fn new_token(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::RotateToken>,
    path: web::Path<String>,
    _form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let author = actor.author();
    let overlap = TimeDelta::zero();
    let token =
        integrations::new_token(&mut conn, &author, campaign.advertiser_id, overlap, clock::now()).await?;
    conn.commit().await?;
    show_secret(&dashboard, &urls::campaign(campaign.id), token.as_str())
}

/// The campaign of a path, if this person may see it.
pub(super) async fn find(conn: &mut NetworkConn, actor: &Actor, path: &str) -> Result<Campaign, PageError> {
    let campaign_id: CampaignId = id(path)?;
    let mut visible = campaign_table::visible(conn, actor.role.scope(), Some(campaign_id)).await?;
    let (campaign, _) = visible.pop().ok_or(PageError::NotFound)?;
    Ok(campaign)
}

/// What a campaign's page shows besides the campaign: its forms as typed, and a token that was just made.
#[derive(Default)]
struct PageState {
    link: Draft,
    token: Option<Token>,
}

async fn render(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Actor,
    mut conn: NetworkConn,
    campaign: Campaign,
    PageState { link, token }: PageState,
) -> PageResult {
    let network = networks::current(&mut conn).await?;
    let goals = goals::of_campaign(&mut conn, campaign.id).await?;
    let found = links::all(&mut conn, actor.role.scope(), Some(campaign.id), LINKS).await?;
    let tracking_url = tracking_url(&mut conn, dashboard).await?;
    let hint = integrations::of_advertiser(&mut conn, campaign.advertiser_id).await?;
    let configure = actor.may(Permission::Configure);
    let affiliates = if configure {
        affiliates::active(&mut conn).await?
    } else {
        Vec::new()
    };
    conn.commit().await?;

    let status = match link.errors.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let first_goal = goals.first().map_or("GOAL", |goal| goal.code());
    page_with(
        status,
        &Show {
            shell: Shell::new(dashboard, request, actor, &network, "Campaigns", &campaign.name),
            url: urls::campaign(campaign.id),
            settings_url: urls::campaign_settings(campaign.id),
            report: format!("/reports?campaign={}&group=affiliate,day", campaign.id),
            status: campaign.status.as_str(),
            window: campaign.attribution_days,
            goals: goals
                .iter()
                .map(|goal| GoalRow::new(goal, &goals, campaign.currency))
                .collect(),
            links: found
                .into_iter()
                .map(|it| (it.affiliate, format!("{tracking_url}/{}", it.link.alias)))
                .collect(),
            postback_url: urls::postback_template(&tracking_url, first_goal, token.as_ref()),
            fresh_token: token.as_ref().map(|token| token.as_str().to_owned()),
            token_hint: hint.map(|it| (it.token_hint, token_age(it.created_at, &network))),
            affiliates: Choice::list(
                affiliates.into_iter().map(|it| (it.id, it.name)),
                link.of("affiliate"),
            ),
            may_configure: configure,
            sees_commission: actor.may(Permission::SeeCommission),
            sees_revenue: actor.may(Permission::SeeRevenue),
            sees_postbacks: actor.may(Permission::SeePostbacks),
            link,
        },
    )
}

fn token_age(made: chrono::DateTime<chrono::Utc>, network: &Network) -> String {
    TimeCell::new(made, clock::now(), network).short
}

/// Where visitors and servers reach this network: its own first host, or its part of the shared one.
pub(super) async fn tracking_url(conn: &mut NetworkConn, dashboard: &Dashboard) -> Result<String, PageError> {
    Ok(networks::tracking_url(conn, &dashboard.tracking_url).await?)
}

struct CampaignRow {
    url: String,
    name: String,
    status: &'static str,
    advertiser: String,
    currency: &'static str,
    window: i32,
}

struct GoalRow {
    url: String,
    name: String,
    code: String,
    after: String,
    unique_by: &'static str,
    commission: String,
    revenue: String,
    starts: &'static str,
}

impl GoalRow {
    fn new(goal: &Goal, siblings: &[Goal], currency: Currency) -> Self {
        let (settings, terms) = (&goal.settings, goal.terms());
        let parent = settings.chain.parent_goal_id;
        let parent = siblings.iter().find(|sibling| Some(sibling.id) == parent);
        Self {
            url: urls::goal(goal.id),
            name: settings.name.clone(),
            code: settings.code.clone(),
            after: parent.map_or_else(|| "—".to_owned(), |parent| parent.settings.name.clone()),
            unique_by: settings.unique_by.as_str(),
            commission: terms.commission.in_words(currency),
            revenue: terms.revenue.in_words(currency),
            starts: match (settings.auto_approve, settings.hold_days) {
                (true, 0) => "approved",
                _ => "pending",
            },
        }
    }
}

#[derive(Template)]
#[template(path = "campaigns/list.html")]
struct List {
    shell: Shell,
    rows: Vec<CampaignRow>,
    may_configure: bool,
}

#[derive(Template)]
#[template(path = "campaigns/show.html")]
struct Show {
    shell: Shell,
    url: String,
    settings_url: String,
    report: String,
    status: &'static str,
    window: i32,
    goals: Vec<GoalRow>,
    links: Vec<(String, String)>,
    postback_url: String,
    fresh_token: Option<String>,
    token_hint: Option<(String, String)>,
    affiliates: Vec<Choice>,
    may_configure: bool,
    sees_commission: bool,
    sees_revenue: bool,
    sees_postbacks: bool,
    link: Draft,
}
