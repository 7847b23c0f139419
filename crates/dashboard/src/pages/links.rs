//! Tracking links: making them, for one affiliate or for many at once, one of them with what it leads to, and changing it.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use campaigns::campaigns::Campaign;
use campaigns::landing_pages::{self, LandingPage};
use campaigns::links::{self, Link, LinkSettings, NewLink, Presets, SUBS};
use campaigns::{Destination, MacroValues};
use qrcode::QrCode;
use qrcode::render::svg;
use schema::{LinkId, NetworkConn, clock};
use serde::Deserialize;
use tenancy::affiliates::Affiliate;
use tenancy::{Actor, ChangeError, Draft, Permission, affiliates, needs, networks};

use super::campaigns::{find as find_campaign, tracking_url};
use super::{campaigns as campaign_page, id};
use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::{self, Choice, PostedForm};
use crate::shell::{PageResult, Shell, page_with, see_other};
use crate::{Dashboard, urls};

/// What stands for the click id in an example of where a link leads.
const SAMPLE_CLICK: &str = "CLICK_ID";
/// What the fields of the form that changes a link begin with.
const CHANGED: &str = "changed_";

/// `GET /campaigns/{id}/links/new`
pub(super) async fn new(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::MakeLinks>,
    path: web::Path<String>,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find_campaign(&mut conn, &actor, &path).await?;
    render(
        &request,
        &dashboard,
        &actor,
        conn,
        campaign,
        Draft::default(),
        &[],
    )
    .await
}

/// `POST /campaigns/{id}/links`: a link each for the affiliates that were chosen; an affiliate makes its own.
pub(super) async fn create(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::MakeLinks>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find_campaign(&mut conn, &actor, &path).await?;
    let mut draft = form.draft("", &NewLink::FIELDS);
    let chosen = match actor.role.scope().affiliate {
        Some(own) => {
            draft.set("is_test", "");
            vec![own.to_string()]
        }
        None => form.all("affiliate"),
    };
    match make(&mut conn, &actor, &campaign, &mut draft, &chosen).await? {
        Some(made) => {
            conn.commit().await?;
            match made.as_slice() {
                [only] => see_other(&urls::link(only.id)),
                _ => see_other(&urls::campaign(campaign.id)),
            }
        }
        None => {
            // All of the links or none: what was made before the refusal is not kept.
            drop(conn);
            let conn = actor.network(&dashboard.db).await?;
            render(&request, &dashboard, &actor, conn, campaign, draft, &chosen).await
        }
    }
}

/// Makes all of the links or none; what is wrong is noted in the draft.
async fn make(
    conn: &mut NetworkConn,
    actor: &Actor,
    campaign: &Campaign,
    draft: &mut Draft,
    chosen: &[String],
) -> Result<Option<Vec<Link>>, PageError> {
    if chosen.len() > 1 && draft.is_set("alias") {
        let message = "An alias is of one link: leave it empty, or choose one affiliate.";
        draft.errors.add("alias", message);
        return Ok(None);
    }
    if chosen.is_empty() {
        draft.errors.add("affiliate", "Choose one of your affiliates.");
    }
    let mut made = Vec::new();
    for affiliate in chosen {
        draft.set("affiliate", affiliate.as_str());
        let Some(new) = NewLink::check(conn, draft, campaign).await? else {
            break;
        };
        let (author, now) = (actor.author(), clock::now());
        match conn
            .attempt(async |conn| links::create(conn, &author, &new, now).await)
            .await
        {
            Ok(link) => made.push(link),
            Err(ChangeError::Fields(errors)) => {
                draft.errors = errors;
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(draft.errors.is_empty().then_some(made))
}

async fn render(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Actor,
    mut conn: NetworkConn,
    campaign: Campaign,
    draft: Draft,
    chosen: &[String],
) -> PageResult {
    let network = networks::current(&mut conn).await?;
    let pages = landing_pages::of_campaign(&mut conn, campaign.id).await?;
    let known = match actor.role.scope().affiliate {
        Some(_) => Vec::new(),
        None => affiliates::active(&mut conn).await?,
    };
    conn.commit().await?;
    page_with(
        forms::status(&draft.errors),
        &New {
            shell: Shell::new(dashboard, request, actor, &network, "Campaigns", "Make a link"),
            campaign: urls::campaign(campaign.id),
            campaign_name: campaign.name,
            affiliates: known
                .into_iter()
                .map(|it: Affiliate| {
                    let id = it.id.to_string();
                    Choice {
                        chosen: chosen.contains(&id),
                        value: id,
                        label: it.name,
                    }
                })
                .collect(),
            landing_pages: landing_page_choices(pages, &draft),
            has_subs: SUBS.iter().any(|sub| draft.is_set(sub)),
            draft,
        },
    )
}

/// What is put into a link by whoever copies it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Placement {
    /// A page of the advertiser's to lead to.
    #[serde(default)]
    url: String,
    #[serde(default)]
    sub1: String,
    #[serde(default)]
    sub2: String,
    #[serde(default)]
    sub3: String,
    #[serde(default)]
    sub4: String,
    #[serde(default)]
    sub5: String,
}

impl Placement {
    fn subs(&self) -> [&str; 5] {
        [&self.sub1, &self.sub2, &self.sub3, &self.sub4, &self.sub5]
    }

    /// The link with what was put into it.
    fn added_to(&self, link: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (number, sub) in (1..).zip(self.subs()).filter(|(_, sub)| !sub.is_empty()) {
            query.append_pair(&format!("sub{number}"), sub);
        }
        if !self.url.is_empty() {
            query.append_pair("url", &self.url);
        }
        match query.finish() {
            query if query.is_empty() => link.to_owned(),
            query => format!("{link}?{query}"),
        }
    }
}

/// `GET /links/{id}`: the link, with what is put into it and where that leads.
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeCampaigns>,
    path: web::Path<String>,
    placement: web::Query<Placement>,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let (link, campaign) = find(&mut conn, &actor, &path).await?;
    let change = link.draft();
    let shown = Shown {
        link,
        campaign,
        placement: placement.into_inner(),
        change,
    };
    shown.render(&request, &dashboard, &actor, conn).await
}

/// `POST /links/{id}`: changes where it leads and what its sub ids are; an affiliate changes its own.
pub(super) async fn update(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::MakeLinks>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let (link, campaign) = find(&mut conn, &actor, &path).await?;
    let mut change = form.draft(CHANGED, &LinkSettings::FIELDS);
    match LinkSettings::check(&mut conn, &mut change, campaign.id).await? {
        Some(settings) => {
            // What is no version matches none.
            let version = Some(form.get("version").parse().unwrap_or(0));
            links::update(
                &mut conn,
                &actor.author(),
                link.id,
                version,
                &settings,
                clock::now(),
            )
            .await?;
            conn.commit().await?;
            see_other(&urls::link(link.id))
        }
        None => {
            let shown = Shown {
                link,
                campaign,
                placement: Placement::default(),
                change,
            };
            shown.render(&request, &dashboard, &actor, conn).await
        }
    }
}

/// A link as its page shows it.
struct Shown {
    link: Link,
    campaign: Campaign,
    placement: Placement,
    /// What is typed into the form that changes it.
    change: Draft,
}

impl Shown {
    async fn render(
        self,
        request: &HttpRequest,
        dashboard: &Dashboard,
        actor: &Actor,
        mut conn: NetworkConn,
    ) -> PageResult {
        let Self {
            link,
            campaign,
            placement,
            change,
        } = self;
        let network = networks::current(&mut conn).await?;
        let pages = landing_pages::of_campaign(&mut conn, campaign.id).await?;
        let affiliate = affiliates::find(&mut conn, link.affiliate_id).await?;
        let url = tracking_url(&mut conn, dashboard).await?;
        conn.commit().await?;
        let presets: [Option<String>; 5] = link.presets.clone().into();
        let subs: Vec<(String, String, String)> = (1..)
            .zip(placement.subs())
            .zip(presets.iter())
            .map(|((number, sub), preset)| {
                let preset = preset.clone().unwrap_or_default();
                (format!("sub{number}"), sub.to_owned(), preset)
            })
            .collect();
        let landing_page = pages.iter().find(|page| Some(page.id) == link.landing_page_id);
        let address = landing_page.map_or(campaign.destination.as_str(), |page| page.url.as_str());
        let leads_to = leads_to(&campaign, address, &link, &placement);
        let built = placement.added_to(&format!("{url}/{}", link.alias));
        page_with(
            forms::status(&change.errors),
            &Show {
                shell: Shell::new(dashboard, request, actor, &network, "Campaigns", &link.alias),
                page: urls::link(link.id),
                campaign: urls::campaign(campaign.id),
                campaign_name: campaign.name.clone(),
                affiliate: affiliate.map_or_else(String::new, |it| it.name),
                landing_page: landing_page.map(|page| page.name.clone()),
                is_test: link.is_test,
                hosts: campaign.sending.deep_link_hosts.on_one_line(),
                has_picture: QrCode::new(&built).is_ok(),
                picture: placement.added_to(&format!("{}/qr.svg", urls::link(link.id))),
                url: placement.url.clone(),
                subs,
                built,
                problem: leads_to.as_ref().err().cloned().unwrap_or_default(),
                leads_to: leads_to.unwrap_or_default(),
                may_change: actor.may(Permission::MakeLinks),
                version: link.version,
                landing_pages: landing_page_choices(pages, &change),
                change,
            },
        )
    }
}

/// The landing pages that a link can lead to, and none of them.
fn landing_page_choices(pages: Vec<LandingPage>, draft: &Draft) -> Vec<Choice> {
    let none = std::iter::once((String::new(), "The campaign's own, by weight".to_owned()));
    let pages = pages.into_iter().map(|page| (page.id.to_string(), page.name));
    Choice::list(none.chain(pages), draft.of("landing_page"))
}

/// `GET /links/{id}/qr.svg`: the link as a picture for print.
pub(super) async fn qr(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeCampaigns>,
    path: web::Path<String>,
    placement: web::Query<Placement>,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let (link, _) = find(&mut conn, &actor, &path).await?;
    let url = tracking_url(&mut conn, &dashboard).await?;
    conn.commit().await?;
    let built = placement.added_to(&format!("{url}/{}", link.alias));
    let code = QrCode::new(&built).map_err(|_| {
        PageError::BadRequest("This link is too long for a QR code; shorten what is in it.".to_owned())
    })?;
    let picture = code.render::<svg::Color<'_>>().min_dimensions(512, 512).build();
    let name = format!("attachment; filename=\"{}.svg\"", link.alias);
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "image/svg+xml"))
        .insert_header(("Content-Disposition", name))
        .body(picture))
}

/// The link of a path with its campaign, if this person may see both.
async fn find(conn: &mut NetworkConn, actor: &Actor, path: &str) -> Result<(Link, Campaign), PageError> {
    let link_id: LinkId = id(path)?;
    let link = links::find(conn, link_id).await?;
    let own = actor.role.scope().affiliate;
    let link = link.filter(|link| own.is_none_or(|own| own == link.affiliate_id));
    let mut link = link.ok_or(PageError::NotFound)?;
    // Sub ids are the affiliate's.
    if !actor.may(Permission::SeeClicks) {
        link.presets = Presets::default();
    }
    let campaign = campaign_page::find(conn, actor, &link.campaign_id.to_string()).await?;
    Ok((link, campaign))
}

/// Where a visitor of the link ends, with a sample for the click id.
fn leads_to(
    campaign: &Campaign,
    address: &str,
    link: &Link,
    placement: &Placement,
) -> Result<String, String> {
    let presets: [Option<String>; 5] = link.presets.clone().into();
    let mut subs = placement.subs();
    for (sub, preset) in subs.iter_mut().zip(&presets) {
        if sub.is_empty() {
            *sub = preset.as_deref().unwrap_or_default();
        }
    }
    let destination =
        Destination::completed(address, &campaign.sending).map_err(|error| error.to_string())?;
    let destination = match placement.url.as_str() {
        "" => destination,
        page => destination
            .deep(page, &campaign.sending)
            .map_err(|error| error.to_string())?,
    };
    Ok(destination.expand(&MacroValues {
        click_id: SAMPLE_CLICK,
        subs,
        affiliate_id: &link.affiliate_id.to_string(),
        campaign_id: &campaign.id.to_string(),
        link_id: &link.id.to_string(),
    }))
}

#[derive(Template)]
#[template(path = "links/new.html")]
struct New {
    shell: Shell,
    campaign: String,
    campaign_name: String,
    affiliates: Vec<Choice>,
    landing_pages: Vec<Choice>,
    has_subs: bool,
    draft: Draft,
}

#[derive(Template)]
#[template(path = "links/show.html")]
struct Show {
    shell: Shell,
    page: String,
    campaign: String,
    campaign_name: String,
    affiliate: String,
    landing_page: Option<String>,
    is_test: bool,
    hosts: String,
    url: String,
    subs: Vec<(String, String, String)>,
    built: String,
    has_picture: bool,
    picture: String,
    leads_to: String,
    problem: String,
    may_change: bool,
    version: i32,
    landing_pages: Vec<Choice>,
    change: Draft,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_a_link_is_encoded_once() {
        let placement = Placement {
            url: "https://shop.example/a?b=1&c=ü".to_owned(),
            sub2: "mail & more".to_owned(),
            ..Placement::default()
        };
        assert_eq!(
            placement.added_to("https://trk.example/x"),
            "https://trk.example/x?sub2=mail+%26+more&url=https%3A%2F%2Fshop.example%2Fa%3Fb%3D1%26c%3D%C3%BC"
        );
        assert_eq!(
            Placement::default().added_to("https://trk.example/x"),
            "https://trk.example/x"
        );
    }
}
