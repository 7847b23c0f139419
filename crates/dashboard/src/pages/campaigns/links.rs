//! Tracking link: its URL with added sub IDs, its destination, its QR code, and its settings.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpResponse, web};
use askama::Template;
use campaigns::campaigns::Campaign;
use campaigns::landing_pages;
use campaigns::links::{self, Link, LinkSettings, Presets};
use campaigns::{Destination, MacroValues};
use qrcode::QrCode;
use qrcode::render::svg;
use schema::{LinkId, NetworkConn};
use serde::Deserialize;
use tenancy::{Actor, Draft, Permission, affiliates, needs};

use super::campaign::find as find_campaign;
use super::new_links::landing_page_choices;
use crate::error::PageError;
use crate::forms::{self, Choice};
use crate::page::{Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, done, html_with};
use crate::urls;

/// Sample of a click ID in the example of a destination.
const SAMPLE_CLICK: &str = "CLICK_ID";
/// Prefix of the fields in the form that changes a link.
const CHANGED: &str = "changed_";

/// Values that a user adds to a link before copying it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Placement {
    /// Page of the advertiser to link to; empty for the link's own destination.
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

    /// Returns the URL of the link with the added values.
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

/// `GET /links/{id}`: the link with the added sub IDs and page, and its destination.
pub(super) async fn show(
    mut page: Page<needs::SeeCampaigns>,
    path: web::Path<String>,
    placement: web::Query<Placement>,
) -> PageResult {
    let (link, campaign) = find(&mut page.conn, &page.actor, &path).await?;
    let change = link.draft();
    render(page, (link, campaign), &placement, change).await
}

/// `POST /links/{id}`: changes the landing page and sub IDs of a link; an affiliate changes its own links.
pub(super) async fn update(
    Submitted(mut page, form): Submitted<needs::MakeLinks>,
    path: web::Path<String>,
) -> PageResult {
    let (link, campaign) = find(&mut page.conn, &page.actor, &path).await?;
    let mut change = form.draft(CHANGED, &LinkSettings::FIELDS);
    let Some(settings) = LinkSettings::check(&mut page.conn, &mut change, campaign.id).await? else {
        return render(page, (link, campaign), &Placement::default(), change).await;
    };
    // An unparsable version never matches.
    let version = Some(form.get("version").parse().unwrap_or(0));
    let author = page.actor.author();
    links::update(&mut page.conn, &author, link.id, version, &settings, page.now).await?;
    page.commit().await?;
    done(&urls::link(link.id), "The link was changed.")
}

async fn render<P>(
    mut page: Page<P>,
    (link, campaign): (Link, Campaign),
    placement: &Placement,
    change: Draft,
) -> PageResult {
    let pages = landing_pages::of_campaign(&mut page.conn, campaign.id).await?;
    let affiliate = affiliates::find(&mut page.conn, link.affiliate_id).await?;
    let url = page.tracking_url().await?;
    let frame = page.commit().await?;
    let presets: [Option<String>; 5] = link.presets.clone().into();
    let subs: Vec<(String, String, String)> = (1..)
        .zip(placement.subs())
        .zip(presets)
        .map(|((number, sub), preset)| (format!("sub{number}"), sub.to_owned(), preset.unwrap_or_default()))
        .collect();
    let landing_page = pages.iter().find(|page| Some(page.id) == link.landing_page_id);
    let address = landing_page.map_or(campaign.destination.as_str(), |page| page.url.as_str());
    let (leads_to, problem) = match destination(&campaign, address, &link, placement) {
        Ok(leads_to) => (leads_to, String::new()),
        Err(problem) => (String::new(), problem),
    };
    let built = placement.added_to(&format!("{url}/{}", link.alias));
    html_with(
        forms::status(&change.errors),
        &Show {
            shell: frame.shell("Campaigns", &link.alias),
            page: urls::link(link.id),
            campaign: urls::campaign(campaign.id),
            campaign_name: campaign.name.clone(),
            affiliate: affiliate.map_or_else(String::new, |affiliate| affiliate.name),
            landing_page: landing_page.map(|page| page.name.clone()),
            is_test: link.is_test,
            hosts: campaign.sending.deep_link_hosts.on_one_line(),
            has_picture: QrCode::new(&built).is_ok(),
            picture: placement.added_to(&format!("{}/qr.svg", urls::link(link.id))),
            url: placement.url.clone(),
            subs,
            built,
            problem,
            leads_to,
            may_change: frame.actor.may(Permission::MakeLinks),
            version: link.version,
            landing_pages: landing_page_choices(pages, &change),
            change,
        },
    )
}

/// `GET /links/{id}/qr.svg`: QR code of the link, for print.
pub(super) async fn qr(
    mut page: Page<needs::SeeCampaigns>,
    path: web::Path<String>,
    placement: web::Query<Placement>,
) -> PageResult {
    let (link, _) = find(&mut page.conn, &page.actor, &path).await?;
    let url = page.tracking_url().await?;
    page.commit().await?;
    let built = placement.added_to(&format!("{url}/{}", link.alias));
    let code = QrCode::new(&built).map_err(|_| {
        PageError::BadRequest(
            "This link is too long for a QR code. Shorten its sub IDs or its URL.".to_owned(),
        )
    })?;
    let picture = code.render::<svg::Color<'_>>().min_dimensions(512, 512).build();
    let name = format!("attachment; filename=\"{}.svg\"", link.alias);
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "image/svg+xml"))
        .insert_header(("Content-Disposition", name))
        .body(picture))
}

/// Link of a path with its campaign, if the actor may see both.
async fn find(conn: &mut NetworkConn, actor: &Actor, path: &str) -> Result<(Link, Campaign), PageError> {
    let link_id: LinkId = id(path)?;
    let mut link = links::find_visible(conn, actor.scope(), link_id).await?;
    // Sub IDs are visible only to actors who may see clicks.
    if !actor.may(Permission::SeeClicks) {
        link.presets = Presets::default();
    }
    let campaign = find_campaign(conn, actor, &link.campaign_id.to_string()).await?;
    Ok((link, campaign))
}

/// Destination of the link's visitors, with a sample click ID. The error is a sentence for the page.
fn destination(
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
        query: "",
    }))
}

#[derive(Template)]
#[template(path = "campaigns/links/show.html")]
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
    fn values_added_to_a_link_are_encoded_once() {
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
