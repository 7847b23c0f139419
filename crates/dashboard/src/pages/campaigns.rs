//! Campaigns: the list, and one of them with its settings, goals, tracking links and postback URL.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use campaigns::audience::{self, Audience, DEVICES};
use campaigns::campaigns::{self as campaign_table, Campaign, CampaignSettings, CampaignStatus};
use campaigns::destination::macro_names;
use campaigns::goals;
use campaigns::integrations::{self, Token};
use campaigns::{Destination, links};
use schema::{CampaignId, NetworkConn, clock};
use tenancy::networks::{self, Network};
use tenancy::{Actor, ChangeError, FieldErrors, Permission, affiliates, check_name, needs};
use tracking::intake::RESERVED;

use super::id;
use crate::auth::{Allowed, fresh_secret};
use crate::error::PageError;
use crate::forms::{Choice, PostedForm};
use crate::shell::{PageResult, Shell, TimeCell, page, page_with, saved, see_other, set_cookie, show_secret};
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
    let settings = SettingsForm::of(&campaign);
    let token = fresh_secret(&request).map(|text| Token::from_call(&text));
    let page = urls::campaign(campaign.id);
    let state = PageState {
        settings,
        token,
        ..PageState::default()
    };
    let mut response = render(&request, &dashboard, &actor, conn, campaign, state).await?;
    set_cookie(&mut response, &dashboard.cookies.end_flash(&page));
    Ok(response)
}

/// `POST /campaigns/{id}`: saves its settings.
pub(super) async fn update(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let (settings, checked) = SettingsForm::read(&form);
    let Some(checked) = checked else {
        let state = PageState {
            settings,
            ..PageState::default()
        };
        return render(&request, &dashboard, &actor, conn, campaign, state).await;
    };
    campaign_table::update(&mut conn, &actor.author(), campaign.id, &checked, clock::now()).await?;
    conn.commit().await?;
    saved(&urls::campaign(campaign.id))
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
    let mut link = LinkForm {
        affiliate: form.get("affiliate").to_owned(),
        alias: form.get("alias").to_owned(),
        errors: FieldErrors::default(),
    };
    let known = affiliates::active(&mut conn).await?;
    let affiliate = known
        .iter()
        .find(|affiliate| affiliate.id.to_string() == link.affiliate)
        .ok_or("Choose one of your affiliates.");
    let affiliate = link
        .errors
        .take("affiliate", affiliate.map(|affiliate| affiliate.id));
    let alias = link.errors.take("alias", check_alias(&link.alias));
    if let (Some(affiliate_id), Some(alias)) = (affiliate, alias) {
        let author = actor.author();
        match links::create(
            &mut conn,
            &author,
            affiliate_id,
            campaign.id,
            &alias,
            clock::now(),
        )
        .await
        {
            Ok(_) => {
                conn.commit().await?;
                return see_other(&urls::campaign(campaign.id));
            }
            Err(ChangeError::Fields(errors)) => {
                link.errors = errors;
                // The failed statement ended the transaction: start over for the page, with one connection.
                drop(conn);
                conn = actor.network(&dashboard.db).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let state = PageState {
        settings: SettingsForm::of(&campaign),
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
    let token = integrations::new_token(&mut conn, &author, campaign.advertiser_id, clock::now()).await?;
    conn.commit().await?;
    show_secret(&dashboard, &urls::campaign(campaign.id), token.as_str())
}

/// The campaign of a path, if this person may see it.
async fn find(conn: &mut NetworkConn, actor: &Actor, path: &str) -> Result<Campaign, PageError> {
    let campaign_id: CampaignId = id(path)?;
    let mut visible = campaign_table::visible(conn, actor.role.scope(), Some(campaign_id)).await?;
    let (campaign, _) = visible.pop().ok_or(PageError::NotFound)?;
    Ok(campaign)
}

/// An alias as typed; none makes a random one.
fn check_alias(text: &str) -> Result<String, &'static str> {
    match text {
        "" => Ok(links::random_alias()),
        _ if !links::is_alias(text) => Err("Use at most 64 letters, digits, - and _."),
        _ if RESERVED.contains(&text) => Err("This word is reserved; choose a different one."),
        _ => Ok(text.to_owned()),
    }
}

/// What a campaign's page shows besides the campaign: its forms as typed, and a token that was just made.
#[derive(Default)]
struct PageState {
    settings: SettingsForm,
    link: LinkForm,
    token: Option<Token>,
}

async fn render(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Actor,
    mut conn: NetworkConn,
    campaign: Campaign,
    PageState {
        settings,
        link,
        token,
    }: PageState,
) -> PageResult {
    let network = networks::current(&mut conn).await?;
    let goals = goals::of_campaign(&mut conn, campaign.id).await?;
    let found = links::all(&mut conn, actor.role.scope(), Some(campaign.id), LINKS).await?;
    let tracking_url = tracking_url(&mut conn, dashboard).await?;
    let hint = integrations::token_hint(&mut conn, campaign.advertiser_id).await?;
    let configure = actor.may(Permission::Configure);
    let affiliates = if configure {
        affiliates::active(&mut conn).await?
    } else {
        Vec::new()
    };
    conn.commit().await?;

    let wrong = !settings.errors.is_empty() || !link.errors.is_empty();
    let status = if wrong {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    let first_goal = goals.first().map_or("GOAL", |goal| goal.code.as_str());
    page_with(
        status,
        &Show {
            shell: Shell::new(dashboard, request, actor, &network, "Campaigns", &campaign.name),
            url: urls::campaign(campaign.id),
            report: format!("/reports?campaign={}&group=affiliate,day", campaign.id),
            status: campaign.status.as_str(),
            window: campaign.attribution_days,
            goals: goals
                .iter()
                .map(|goal| GoalRow {
                    name: goal.name.clone(),
                    code: goal.code.clone(),
                    unique_by: goal.unique_by.as_str(),
                    commission: goal.commission_terms(campaign.currency),
                    revenue: goal.revenue_terms(campaign.currency),
                    starts: if goal.auto_approve { "approved" } else { "pending" },
                })
                .collect(),
            links: found
                .into_iter()
                .map(|it| (it.affiliate, format!("{tracking_url}/{}", it.link.alias)))
                .collect(),
            postback_url: urls::postback_template(&tracking_url, first_goal, token.as_ref()),
            fresh_token: token.as_ref().map(|token| token.as_str().to_owned()),
            token_hint: hint.map(|(hint, made)| (hint, token_age(made, &network))),
            affiliates: Choice::list(affiliates.into_iter().map(|it| (it.id, it.name)), &link.affiliate),
            statuses: Choice::list([("live", "Live"), ("paused", "Paused")], &settings.status),
            devices: DEVICES
                .map(|device| (device, settings.devices.iter().any(|ticked| ticked == device)))
                .to_vec(),
            macros: macro_names(),
            may_configure: configure,
            sees_commission: actor.may(Permission::SeeCommission),
            sees_revenue: actor.may(Permission::SeeRevenue),
            sees_postbacks: actor.may(Permission::SeePostbacks),
            settings,
            link,
        },
    )
}

fn token_age(made: chrono::DateTime<chrono::Utc>, network: &Network) -> String {
    TimeCell::new(made, clock::now(), network).short
}

/// Where visitors and servers reach this network: its own first host, or its part of the shared one.
pub(super) async fn tracking_url(conn: &mut NetworkConn, dashboard: &Dashboard) -> Result<String, PageError> {
    let scheme = dashboard
        .tracking_url
        .split_once("://")
        .map_or("https", |(scheme, _)| scheme);
    Ok(match networks::tracking_hosts(conn).await?.first() {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{}/{}", dashboard.tracking_url, networks::slug(conn).await?),
    })
}

/// The settings of a campaign as typed, and what is wrong with them.
#[derive(Default)]
struct SettingsForm {
    name: String,
    status: String,
    destination: String,
    window: String,
    countries: String,
    devices: Vec<String>,
    daily_clicks: String,
    errors: FieldErrors,
}

impl SettingsForm {
    fn of(campaign: &Campaign) -> Self {
        Self {
            name: campaign.name.clone(),
            status: campaign.status.as_str().to_owned(),
            destination: campaign.destination.clone(),
            window: campaign.attribution_days.to_string(),
            countries: campaign.audience.countries.0.join(" "),
            devices: campaign.audience.devices.0.clone(),
            daily_clicks: campaign
                .audience
                .daily_clicks
                .map_or_else(String::new, |clicks| clicks.to_string()),
            errors: FieldErrors::default(),
        }
    }

    fn read(form: &PostedForm) -> (Self, Option<CampaignSettings>) {
        let mut typed = Self {
            name: form.get("name").to_owned(),
            status: form.get("status").to_owned(),
            destination: form.get("destination").to_owned(),
            window: form.get("window").to_owned(),
            countries: form.get("countries").to_owned(),
            devices: form.all("devices"),
            daily_clicks: form.get("daily_clicks").to_owned(),
            errors: FieldErrors::default(),
        };
        let errors = &mut typed.errors;
        let name = errors.take("name", check_name(&typed.name));
        let status = errors.take("status", typed.status.parse::<CampaignStatus>());
        let destination = errors.take("destination", Destination::parse(&typed.destination));
        let days = errors.take("window", check_window(&typed.window));
        let countries = errors.take("countries", audience::check_countries(&typed.countries));
        let devices = errors.take("devices", audience::check_devices(&typed.devices));
        let daily_clicks = errors.take("daily_clicks", audience::check_daily_clicks(&typed.daily_clicks));
        let destination = destination.map(|_| typed.destination.clone());
        let checked = || {
            Some(CampaignSettings {
                name: name?,
                status: status?,
                destination: destination?,
                attribution_days: days?,
                audience: Audience {
                    countries: countries?,
                    devices: devices?,
                    daily_clicks: daily_clicks?,
                },
            })
        };
        let checked = checked();
        (typed, checked)
    }
}

/// Days of the attribution window as typed.
pub(super) fn check_window(text: &str) -> Result<i32, &'static str> {
    text.parse()
        .ok()
        .filter(|days| (1..=3650).contains(days))
        .ok_or("Enter a number of days from 1 to 3650.")
}

/// A link to create, as typed, and what is wrong with it.
#[derive(Default)]
struct LinkForm {
    affiliate: String,
    alias: String,
    errors: FieldErrors,
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
    name: String,
    code: String,
    unique_by: &'static str,
    commission: String,
    revenue: String,
    starts: &'static str,
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
    report: String,
    status: &'static str,
    window: i32,
    goals: Vec<GoalRow>,
    links: Vec<(String, String)>,
    postback_url: String,
    fresh_token: Option<String>,
    token_hint: Option<(String, String)>,
    affiliates: Vec<Choice>,
    statuses: Vec<Choice>,
    devices: Vec<(&'static str, bool)>,
    macros: String,
    may_configure: bool,
    sees_commission: bool,
    sees_revenue: bool,
    sees_postbacks: bool,
    settings: SettingsForm,
    link: LinkForm,
}
