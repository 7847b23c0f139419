//! How one advertiser's server is connected: what its developer needs, and what arrives, as it arrives.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use campaigns::campaigns::{self as campaign_table, Campaign};
use campaigns::goals;
use campaigns::integrations::{self, AnswerFormat, Holder, Token};
use chrono::TimeDelta;
use schema::{AdvertiserId, NetworkConn, clock};
use tenancy::advertisers::Advertiser;
use tenancy::{Actor, Draft, Permission, Scope, advertisers, needs, networks};
use tracking::postbacks::{self, PostbackFilter};

use super::snippets::{self, InBrowser, Snippet, Values};
use crate::auth::{Allowed, fresh_secret};
use crate::error::PageError;
use crate::forms::{self, Choice, PostedForm};
use crate::pages::campaigns::campaign::tracking_url;
use crate::pages::campaigns::going_live::section;
use crate::pages::campaigns::settings::words;
use crate::pages::id;
use crate::pages::postbacks::alerts;
use crate::pages::postbacks::postback::PostbackRow;
use crate::shell::{PageResult, Shell, TimeCell, page_with, see_other, set_cookie, show_secret};
use crate::{Dashboard, urls};

/// Whose integration a page shows: an advertiser's, or the one that a campaign has of its own.
pub(crate) enum Whose {
    Advertiser(Advertiser),
    Campaign(Box<Campaign>),
}

impl Whose {
    fn holder(&self) -> Holder {
        match self {
            Self::Advertiser(advertiser) => advertiser.id.into(),
            Self::Campaign(campaign) => campaign.as_ref().into(),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Advertiser(advertiser) => &advertiser.name,
            Self::Campaign(campaign) => &campaign.name,
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Advertiser(advertiser) => urls::integration(advertiser.id),
            Self::Campaign(campaign) => urls::campaign_integration(campaign.id),
        }
    }

    /// Where its page stands in the navigation.
    fn section(&self, actor: &Actor) -> &'static str {
        match (self, actor.role.scope().advertiser) {
            (Self::Campaign(_), _) => section(actor),
            (Self::Advertiser(_), Some(_)) => "Integration",
            (Self::Advertiser(_), None) => "Advertisers",
        }
    }
}

/// How many of the latest postbacks are shown.
const LATEST: i64 = 20;
/// Before a fresh signing secret, where a fresh token would stand alone: tokens have no dot.
pub(crate) const SIGNING: &str = "signing.";

/// `GET /integration`: on to the advertiser one acts for.
pub(super) async fn own(actor: Allowed<needs::SeeIntegration>) -> PageResult {
    match actor.role.scope().advertiser {
        Some(id) => see_other(&urls::integration(id)),
        None => see_other("/advertisers"),
    }
}

/// The advertiser of a path, if this person may see it.
pub(crate) async fn find(conn: &mut NetworkConn, actor: &Actor, path: &str) -> Result<Advertiser, PageError> {
    let advertiser_id: AdvertiserId = id(path)?;
    let found = advertisers::find(conn, advertiser_id).await?;
    found
        .filter(|it| actor.role.scope().advertiser.is_none_or(|own| own == it.id))
        .ok_or(PageError::NotFound)
}

/// `GET /integration/{advertiser}`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeIntegration>,
    path: web::Path<String>,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let advertiser = find(&mut conn, &actor, &path).await?;
    let home = urls::integration(advertiser.id);
    let whose = Whose::Advertiser(advertiser);
    let mut response = render(&request, &dashboard, &actor, conn, whose, None).await?;
    set_cookie(&mut response, &dashboard.cookies.end_flash(&home));
    Ok(response)
}

/// The page, with the settings as they are or as they were typed.
pub(crate) async fn render(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Actor,
    mut conn: NetworkConn,
    whose: Whose,
    typed: Option<Draft>,
) -> Result<HttpResponse, PageError> {
    let network = networks::current(&mut conn).await?;
    let holder = whose.holder();
    let scope = Scope {
        advertiser: Some(holder.advertiser_id),
        affiliate: None,
    };
    let url = tracking_url(&mut conn, dashboard).await?;
    let fresh = fresh_secret(request);
    let secret = fresh.as_deref().and_then(|text| text.strip_prefix(SIGNING));
    let token = fresh
        .as_deref()
        .filter(|_| secret.is_none())
        .map(Token::from_call);
    let integrations = integrations::of_advertiser(&mut conn, holder.advertiser_id).await?;
    let (mut ways, mut others) = (Vec::new(), Vec::new());
    let mut first = None;
    for (campaign, _) in campaign_table::visible(&mut conn, scope, holder.campaign_id).await? {
        if holder.campaign_id.is_none() && integrations.own_of(campaign.id).is_some() {
            others.push((campaign.name, urls::campaign_integration(campaign.id)));
            continue;
        }
        for goal in goals::of_campaign(&mut conn, campaign.id).await? {
            first.get_or_insert_with(|| (goal.settings.code.clone(), campaign.currency));
            ways.push(Way {
                campaign: campaign.name.clone(),
                url: urls::postback_template(&url, goal.code(), token.as_ref()),
                once_per: goal.settings.unique_by.as_str(),
                goal: goal.settings.name,
            });
        }
    }
    let integration = integrations.deciding(holder.campaign_id);
    let filter = PostbackFilter {
        scope,
        integration: holder.campaign_id,
        ..PostbackFilter::default()
    };
    let latest = postbacks::list(&mut conn, &filter, LATEST).await?;
    let now = clock::now();
    let alerts = alerts::unseen(&mut conn, actor, scope, &network, now).await?;
    conn.commit().await?;
    let (goal, currency) = first.map_or(("sale".to_owned(), network.currency), |first| first);
    let requires_signature = integration.is_some_and(|it| it.settings.requires_signature);
    let postback_url = format!("{url}/postback");
    let values = Values {
        postback_url: &postback_url,
        token: token.as_ref().map_or("YOUR_TOKEN", Token::as_str),
        secret: secret.unwrap_or("YOUR_SIGNING_SECRET"),
        goal: &goal,
        currency: currency.code(),
        // Whoever has just made a secret is about to sign; what is signed is also taken where it need not be.
        signed: requires_signature || secret.is_some(),
    };
    let (snippets, in_browser) = (snippets::all(values)?, snippets::in_browser(values)?);
    let form = typed.or_else(|| integration.map(|it| it.settings.draft()));
    let section = whose.section(actor);
    let title = format!("Integration of {}", whose.name());
    let status = form
        .as_ref()
        .map_or(StatusCode::OK, |form| forms::status(&form.errors));
    let form = form.unwrap_or_default();
    page_with(
        status,
        &Show {
            shell: Shell::new(dashboard, request, actor, &network, section, &title),
            alerts,
            fresh_token: token.map(|token| token.as_str().to_owned()),
            fresh_signing_secret: secret.map(str::to_owned),
            requires_signature,
            hides_refusals: integration.is_some_and(|it| {
                matches!(
                    it.settings.answer_format,
                    AnswerFormat::AlwaysOk | AnswerFormat::Gif
                )
            }),
            token_hint: integration.map(|it| {
                (
                    it.token_hint.clone(),
                    TimeCell::new(it.created_at, now, &network).short,
                )
            }),
            previous_until: integration
                .and_then(|it| it.previous_token_until)
                .filter(|until| *until > now)
                .map(|until| TimeCell::new(until, now, &network).full),
            advertisers_until: integration
                .and_then(|it| it.advertiser_token_until)
                .filter(|until| *until > now)
                .map(|until| TimeCell::new(until, now, &network).full),
            has_secret: integration.is_some_and(|it| it.has_signing_secret()),
            may_rotate: actor.may(Permission::RotateToken),
            may_invite: actor.may(Permission::InviteParties),
            may_configure: actor.may(Permission::Configure),
            url: whose.url(),
            advertisers: holder
                .campaign_id
                .map(|_| urls::integration(holder.advertiser_id)),
            others,
            capture: format!("{}/capture.js", dashboard.dashboard_url),
            ways,
            snippets,
            in_browser,
            refuses_browsers: integration.as_ref().is_none_or(|it| it.refuses_browsers()),
            spelled: integration.and_then(|it| Spelled::new(it.settings.dialect.as_deref()?, &url)),
            spellings: spellings(form.of("dialect")),
            formats: words(AnswerFormat::ALL, form.of("answer_format")),
            form,
            rows: latest
                .into_iter()
                .map(|(it, advertiser)| PostbackRow::new(it, advertiser, now, &network))
                .collect(),
        },
    )
}

/// `POST /integration/{advertiser}/token`: a fresh token, and how long the one before is still taken.
pub(super) async fn new_token(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::RotateToken>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let advertiser = find(&mut conn, &actor, &path).await?;
    let (author, overlap) = (actor.author(), overlap(&form));
    let token = integrations::new_token(&mut conn, &author, advertiser.id, overlap, clock::now()).await?;
    conn.commit().await?;
    show_secret(&dashboard, &urls::integration(advertiser.id), token.as_str())
}

/// How long the token before is still taken, as typed.
pub(crate) fn overlap(form: &PostedForm) -> TimeDelta {
    let hours = form.get("overlap_hours").parse().unwrap_or(0);
    TimeDelta::hours(i64::clamp(hours, 0, integrations::LONGEST_OVERLAP_HOURS))
}

/// One way to call: the URL of one goal.
struct Way {
    campaign: String,
    goal: String,
    url: String,
    once_per: &'static str,
}

/// Where the calls of another system may go, and what its parameters are called.
struct Spelled {
    name: &'static str,
    addresses: Vec<String>,
    names: Vec<(String, &'static str)>,
}

impl Spelled {
    fn new(key: &str, base: &str) -> Option<Self> {
        let dialect = dialects::of_key(key)?;
        let named = format!("{base}/postback/{}", dialect.key);
        let own = dialect.paths().map(|path| format!("{base}{path}"));
        Some(Self {
            name: dialect.name,
            addresses: own.chain([named]).collect(),
            names: dialect
                .parameters()
                .map(|(names, field)| (names.join(", "), field.label()))
                .collect(),
        })
    }
}

/// The systems whose spelling is known.
fn spellings(chosen: &str) -> Vec<Choice> {
    let unknown = std::iter::once(("", "Not known"));
    let known = dialects::all().iter().map(|it| (it.key, it.name));
    Choice::list(unknown.chain(known), chosen)
}

#[derive(Template)]
#[template(path = "integration/advertiser/show.html")]
struct Show {
    shell: Shell,
    alerts: Vec<alerts::Notice>,
    url: String,
    /// The page of the advertiser's integration, where a campaign has this one of its own.
    advertisers: Option<String>,
    /// The campaigns that have an integration of their own, with its page.
    others: Vec<(String, String)>,
    capture: String,
    ways: Vec<Way>,
    snippets: Vec<Snippet>,
    in_browser: InBrowser,
    refuses_browsers: bool,
    fresh_token: Option<String>,
    fresh_signing_secret: Option<String>,
    requires_signature: bool,
    hides_refusals: bool,
    token_hint: Option<(String, String)>,
    previous_until: Option<String>,
    advertisers_until: Option<String>,
    has_secret: bool,
    may_rotate: bool,
    may_invite: bool,
    may_configure: bool,
    spelled: Option<Spelled>,
    spellings: Vec<Choice>,
    formats: Vec<Choice>,
    form: Draft,
    rows: Vec<PostbackRow>,
}
