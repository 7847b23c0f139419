//! Campaigns: the list, and one of them with its settings, goals, tracking links and postback URL.

use std::collections::HashMap;

use actix_web::{HttpRequest, web};
use askama::Template;
use campaigns::campaigns::{self as campaign_table, Access, Campaign};
use campaigns::goals::{self, Goal};
use campaigns::integrations::{self, Holder, Token};
use campaigns::links;
use campaigns::promoters::{self, PromoterStatus};
use chrono::TimeDelta;
use schema::{AffiliateId, CampaignId, Currency, NetworkConn, clock};
use tenancy::networks::{self, Network};
use tenancy::{Actor, Permission, needs};

use crate::auth::{Allowed, fresh_secret};
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::pages::id;
use crate::shell::{PageResult, Shell, TimeCell, page, see_other, set_cookie, show_secret};
use crate::{Dashboard, urls};

/// Longest note of an affiliate that asks, in characters.
const LONGEST_NOTE: usize = 1_000;
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
    let configure = actor.may(Permission::Configure);
    let waiting = match configure {
        true => promoters::waiting(&mut conn).await?,
        false => HashMap::new(),
    };
    conn.commit().await?;
    page(&List {
        shell: Shell::new(&dashboard, &request, &actor, &network, "Campaigns", "Campaigns"),
        rows: found
            .into_iter()
            .map(|(campaign, advertiser)| CampaignRow {
                waiting: waiting.get(&campaign.id).copied().unwrap_or_default(),
                url: urls::campaign(campaign.id),
                name: campaign.name,
                status: campaign.status.as_str(),
                advertiser,
                currency: campaign.currency.code(),
                window: campaign.attribution_days,
            })
            .collect(),
        may_configure: configure,
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
    let mut response = render(&request, &dashboard, &actor, conn, campaign, token).await?;
    set_cookie(&mut response, &dashboard.cookies.end_flash(&page));
    Ok(response)
}

/// `POST /campaigns/{id}/ask`: an affiliate asks to promote the campaign.
pub(super) async fn ask(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::MakeLinks>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let own = actor.role.scope().affiliate;
    let affiliate_id =
        own.ok_or_else(|| PageError::BadRequest("Affiliates ask; you let them in.".to_owned()))?;
    let note: String = form.get("note").chars().take(LONGEST_NOTE).collect();
    promoters::ask(
        &mut conn,
        &actor.author(),
        &campaign,
        affiliate_id,
        note,
        clock::now(),
    )
    .await?;
    conn.commit().await?;
    see_other(&urls::campaign(campaign.id))
}

/// `POST /campaigns/{id}/token`: gives the advertiser a fresh postback token, or the campaign one, if it has its own; and
/// shows it, once.
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
    let holder = match integrations::lock(&mut conn, &campaign).await? {
        Some(_) => Holder::from(&campaign),
        None => campaign.advertiser_id.into(),
    };
    let token = integrations::new_token(&mut conn, &author, holder, overlap, clock::now()).await?;
    conn.commit().await?;
    show_secret(&dashboard, &urls::campaign(campaign.id), token.as_str())
}

/// The campaign of a path, if this person may see it.
pub(crate) async fn find(conn: &mut NetworkConn, actor: &Actor, path: &str) -> Result<Campaign, PageError> {
    let campaign_id: CampaignId = id(path)?;
    let mut visible = campaign_table::visible(conn, actor.role.scope(), Some(campaign_id)).await?;
    let (campaign, _) = visible.pop().ok_or(PageError::NotFound)?;
    Ok(campaign)
}

async fn render(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Actor,
    mut conn: NetworkConn,
    campaign: Campaign,
    token: Option<Token>,
) -> PageResult {
    let network = networks::current(&mut conn).await?;
    let goals = goals::of_campaign(&mut conn, campaign.id).await?;
    let found = links::all(&mut conn, actor.role.scope(), Some(campaign.id), LINKS).await?;
    let tracking_url = tracking_url(&mut conn, dashboard).await?;
    let integrations = integrations::of_advertiser(&mut conn, campaign.advertiser_id).await?;
    let configure = actor.may(Permission::Configure);
    let promoting = match actor.role.scope().affiliate {
        Some(own) => Promoting::of(&mut conn, &campaign, own).await?,
        None => Promoting::None,
    };
    conn.commit().await?;

    let first_goal = goals.first().map_or("GOAL", |goal| goal.code());
    page(&Show {
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
            .map(|it| LinkRow {
                page: urls::link(it.link.id),
                url: format!("{tracking_url}/{}", it.link.alias),
                affiliate: it.affiliate,
                is_test: it.link.is_test,
            })
            .collect(),
        postback_url: urls::postback_template(&tracking_url, first_goal, token.as_ref()),
        fresh_token: token.as_ref().map(|token| token.as_str().to_owned()),
        has_own_integration: integrations.own_of(campaign.id).is_some(),
        token_hint: integrations
            .deciding(Some(campaign.id))
            .map(|it| (it.token_hint.clone(), token_age(it.created_at, &network))),
        may_configure: configure,
        may_link: configure || promoting == Promoting::May,
        promoting,
        categories: campaign.offer.categories.on_one_line(),
        terms: campaign.offer.terms,
        notes: campaign.offer.notes,
        sees_commission: actor.may(Permission::SeeCommission),
        sees_revenue: actor.may(Permission::SeeRevenue),
        sees_postbacks: actor.may(Permission::SeePostbacks),
    })
}

/// How an affiliate stands with a campaign it looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Promoting {
    /// Whoever looks is none.
    None,
    /// They may make links.
    May,
    /// They may ask to.
    MayAsk,
    /// They asked, and nobody has decided.
    Asked,
    /// They may not.
    MayNot,
}

impl Promoting {
    async fn of(conn: &mut NetworkConn, campaign: &Campaign, own: AffiliateId) -> Result<Self, PageError> {
        if promoters::may_promote(conn, campaign, own).await? {
            return Ok(Self::May);
        }
        let standing = promoters::find(conn, campaign.id, own).await?;
        Ok(match (campaign.offer.access, standing.map(|it| it.status)) {
            (_, Some(PromoterStatus::Asked)) => Self::Asked,
            (Access::Approval, None) => Self::MayAsk,
            _ => Self::MayNot,
        })
    }
}

fn token_age(made: chrono::DateTime<chrono::Utc>, network: &Network) -> String {
    TimeCell::new(made, clock::now(), network).short
}

/// Where visitors and servers reach this network: its own first host, or its part of the shared one.
pub(crate) async fn tracking_url(conn: &mut NetworkConn, dashboard: &Dashboard) -> Result<String, PageError> {
    Ok(networks::tracking_url(conn, &dashboard.tracking_url).await?)
}

struct CampaignRow {
    url: String,
    name: String,
    status: &'static str,
    advertiser: String,
    currency: &'static str,
    window: i32,
    waiting: i64,
}

struct LinkRow {
    page: String,
    url: String,
    affiliate: String,
    is_test: bool,
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
#[template(path = "campaigns/campaign/list.html")]
struct List {
    shell: Shell,
    rows: Vec<CampaignRow>,
    may_configure: bool,
}

#[derive(Template)]
#[template(path = "campaigns/campaign/show.html")]
struct Show {
    shell: Shell,
    url: String,
    settings_url: String,
    report: String,
    status: &'static str,
    window: i32,
    goals: Vec<GoalRow>,
    links: Vec<LinkRow>,
    postback_url: String,
    fresh_token: Option<String>,
    has_own_integration: bool,
    token_hint: Option<(String, String)>,
    may_configure: bool,
    may_link: bool,
    promoting: Promoting,
    categories: String,
    terms: String,
    notes: String,
    sees_commission: bool,
    sees_revenue: bool,
    sees_postbacks: bool,
}
