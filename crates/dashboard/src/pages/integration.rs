//! How one advertiser's server is connected: what its developer needs, and what arrives, as it arrives.

use actix_web::{HttpRequest, web};
use askama::Template;
use campaigns::campaigns as campaign_table;
use campaigns::goals;
use campaigns::integrations::{self, Token};
use schema::{AdvertiserId, NetworkConn, clock};
use tenancy::{Actor, Permission, Scope, advertisers, needs, networks};
use tracking::postbacks::{self, PostbackFilter};

use super::campaigns::tracking_url;
use super::id;
use super::postbacks::PostbackRow;
use crate::auth::{Allowed, fresh_secret};
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::shell::{PageResult, Shell, TimeCell, page, see_other, set_cookie, show_secret};
use crate::{Dashboard, urls};

/// How many of the latest postbacks are shown.
const LATEST: i64 = 20;

/// `GET /integration`: on to the advertiser one acts for.
pub(super) async fn own(actor: Allowed<needs::SeeIntegration>) -> PageResult {
    match actor.role.scope().advertiser {
        Some(id) => see_other(&urls::integration(id)),
        None => see_other("/advertisers"),
    }
}

/// The advertiser of a path, if this person may see it.
async fn find(
    conn: &mut NetworkConn,
    actor: &Actor,
    path: &str,
) -> Result<advertisers::Advertiser, PageError> {
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
    let network = networks::current(&mut conn).await?;
    let scope = Scope {
        advertiser: Some(advertiser.id),
        affiliate: None,
    };
    let mut ways = Vec::new();
    let url = tracking_url(&mut conn, &dashboard).await?;
    let token = fresh_secret(&request).map(|text| Token::from_call(&text));
    for (campaign, _) in campaign_table::visible(&mut conn, scope, None).await? {
        for goal in goals::of_campaign(&mut conn, campaign.id).await? {
            ways.push(Way {
                campaign: campaign.name.clone(),
                goal: goal.name,
                url: urls::postback_template(&url, &goal.code, token.as_ref()),
                once_per: goal.unique_by.as_str(),
            });
        }
    }
    let hint = integrations::token_hint(&mut conn, advertiser.id).await?;
    let filter = PostbackFilter {
        scope,
        ..PostbackFilter::default()
    };
    let latest = postbacks::list(&mut conn, &filter, LATEST).await?;
    conn.commit().await?;
    let now = clock::now();
    let section = match actor.role.scope().advertiser {
        Some(_) => "Integration",
        None => "Advertisers",
    };
    let title = format!("Integration of {}", advertiser.name);
    let home = urls::integration(advertiser.id);
    let mut response = page(&Show {
        shell: Shell::new(&dashboard, &request, &actor, &network, section, &title),
        fresh_token: token.as_ref().map(|token| token.as_str().to_owned()),
        token_hint: hint.map(|(hint, made)| (hint, TimeCell::new(made, now, &network).short)),
        may_rotate: actor.may(Permission::RotateToken),
        may_invite: actor.may(Permission::InviteParties),
        url: home.clone(),
        ways,
        rows: latest
            .into_iter()
            .map(|(it, advertiser)| PostbackRow::new(it, advertiser, now, &network))
            .collect(),
    })?;
    set_cookie(&mut response, &dashboard.cookies.end_flash(&home));
    Ok(response)
}

/// `POST /integration/{advertiser}/token`
pub(super) async fn new_token(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::RotateToken>,
    path: web::Path<String>,
    _form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let advertiser = find(&mut conn, &actor, &path).await?;
    let token = integrations::new_token(&mut conn, &actor.author(), advertiser.id, clock::now()).await?;
    conn.commit().await?;
    show_secret(&dashboard, &urls::integration(advertiser.id), token.as_str())
}

/// One way to call: the URL of one goal.
struct Way {
    campaign: String,
    goal: String,
    url: String,
    once_per: &'static str,
}

#[derive(Template)]
#[template(path = "integration/show.html")]
struct Show {
    shell: Shell,
    url: String,
    ways: Vec<Way>,
    fresh_token: Option<String>,
    token_hint: Option<(String, String)>,
    may_rotate: bool,
    may_invite: bool,
    rows: Vec<PostbackRow>,
}
