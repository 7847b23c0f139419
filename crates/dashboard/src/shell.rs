//! What surrounds every page: navigation, search, who is signed in, and the frame its numbers are in.

use actix_web::cookie::Cookie;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use chrono::{DateTime, Utc};
use schema::clock;
use tenancy::affiliates::AffiliateStatus;
use tenancy::networks::{Network, NetworkStatus};
use tenancy::{Actor, Permission};

use crate::Dashboard;
use crate::error::PageError;

/// What [`Shell`] and pages take from a request about colours: `light`, `dark`, or nothing for the system's choice.
pub(crate) fn theme(request: &HttpRequest) -> &'static str {
    match request.cookie("theme").as_ref().map(|cookie| cookie.value()) {
        Some("light") => "light",
        Some("dark") => "dark",
        _ => "system",
    }
}

/// An entry of the navigation.
pub(crate) struct NavItem {
    pub(crate) label: &'static str,
    pub(crate) href: &'static str,
    pub(crate) current: bool,
}

/// What the base template shows around a page.
pub(crate) struct Shell {
    pub(crate) title: String,
    pub(crate) network: String,
    pub(crate) person: String,
    pub(crate) role: &'static str,
    pub(crate) banners: Vec<Banner>,
    pub(crate) nav: Vec<NavItem>,
    pub(crate) frame: String,
    pub(crate) through: String,
    pub(crate) form_token: String,
    pub(crate) theme: &'static str,
    pub(crate) here: String,
    pub(crate) live: bool,
    pub(crate) saved: bool,
}

impl Shell {
    /// The shell of a page under the navigation entry `section`.
    pub(crate) fn new(
        dashboard: &Dashboard,
        request: &HttpRequest,
        actor: &Actor,
        network: &Network,
        section: &str,
        title: &str,
    ) -> Self {
        let zone = network.time_zone();
        Self {
            title: title.to_owned(),
            network: network.name.clone(),
            person: actor.person_name.clone(),
            role: actor.role.kind().label(),
            banners: banners(actor, network),
            nav: navigation(actor, section),
            frame: format!("{zone} · {}", network.currency),
            through: clock::now().with_timezone(&zone).format("%H:%M:%S").to_string(),
            form_token: dashboard.form_tokens.issue(dashboard, request),
            theme: theme(request),
            here: address(request),
            live: !has(request, "live=off"),
            saved: has(request, SAVED),
        }
    }
}

/// What the address of a page ends with that a form was just saved on.
const SAVED: &str = "saved=yes";

fn has(request: &HttpRequest, wanted: &str) -> bool {
    request.query_string().split('&').any(|pair| pair == wanted)
}

/// Sends the browser back to a page after a form on it was saved; the page says so.
pub(crate) fn saved(path: &str) -> PageResult {
    see_other(&format!("{path}?{SAVED}"))
}

/// Where one can come back to: this page, if it was opened and not posted to.
pub(crate) fn address(request: &HttpRequest) -> String {
    let is_page = request.method() == actix_web::http::Method::GET;
    request
        .uri()
        .path_and_query()
        .filter(|_| is_page)
        .map_or("/", |here| here.as_str())
        .to_owned()
}

/// What must be seen on every page.
pub(crate) struct Banner {
    /// What there is to know.
    pub(crate) sentence: String,
    /// Whether it can be left with a button: an operator who acts for somebody.
    pub(crate) leave: bool,
}

fn banners(actor: &Actor, network: &Network) -> Vec<Banner> {
    let acting = actor.impersonation.as_ref().map(|it| Banner {
        sentence: format!(
            "{} acts as {} of {}. Reason: {}",
            it.operator_name, actor.person_name, network.name, it.reason
        ),
        leave: true,
    });
    let stopped = match network.status {
        NetworkStatus::Active => None,
        NetworkStatus::Suspended => Some("This network is suspended: clicks and postbacks are refused."),
        NetworkStatus::Closed => Some("This network is closed, and is being erased."),
    };
    let stopped = stopped.map(|what| format!("{what} {}", network.status_reason));
    let party = match actor.affiliate_status {
        None | Some(AffiliateStatus::Active) => None,
        Some(AffiliateStatus::Paused | AffiliateStatus::Archived) => Some(format!(
            "{} has paused you: your links send nobody on. Conversions of earlier clicks count.",
            network.name
        )),
        Some(AffiliateStatus::Blocked) => Some(format!(
            "{} has blocked you: your links send nobody on, and no conversion counts.",
            network.name
        )),
    };
    let told = stopped.into_iter().chain(party).map(|sentence| Banner {
        sentence,
        leave: false,
    });
    acting.into_iter().chain(told).collect()
}

fn navigation(actor: &Actor, section: &str) -> Vec<NavItem> {
    let reports = actor.may(Permission::SeeReports);
    let parties = actor.may(Permission::SeeParties);
    // Whoever acts for one advertiser has its integration beside everything else.
    let integration = actor.role.scope().advertiser.is_some();
    [
        ("Home", "/", reports),
        ("Integration", "/integration", integration),
        (
            "Conversions",
            "/conversions",
            actor.may(Permission::SeeConversions),
        ),
        ("Postbacks", "/postbacks", actor.may(Permission::SeePostbacks)),
        ("Reports", "/reports", reports),
        ("Campaigns", "/campaigns", actor.may(Permission::SeeCampaigns)),
        ("Advertisers", "/advertisers", parties),
        ("Affiliates", "/affiliates", parties),
        ("Applications", "/applications", parties),
        ("People", "/members", actor.may(Permission::SeeMembers)),
        ("Settings", "/settings", actor.may(Permission::SeeNetwork)),
        ("API keys", "/settings/keys", !actor.may(Permission::SeeNetwork)),
    ]
    .into_iter()
    .filter(|(_, _, visible)| *visible)
    .map(|(label, href, _)| NavItem {
        label,
        href,
        current: label == section,
    })
    .collect()
}

/// What every page handler returns.
pub(crate) type PageResult = Result<HttpResponse, PageError>;

/// Renders a page.
pub(crate) fn page(template: &impl Template) -> PageResult {
    page_with(actix_web::http::StatusCode::OK, template)
}

/// Renders a page with another status than 200.
pub(crate) fn page_with(status: actix_web::http::StatusCode, template: &impl Template) -> PageResult {
    Ok(HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .body(template.render()?))
}

/// Sends the browser on to another page after a form was acted on.
pub(crate) fn see_other(location: &str) -> PageResult {
    Ok(HttpResponse::SeeOther()
        .insert_header((actix_web::http::header::LOCATION, location))
        .finish())
}

/// A CSV file to keep. `name` holds letters, digits, `-`, `_` and dots only.
pub(crate) fn csv_file(name: &str, text: String) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/csv; charset=utf-8"))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .body(text)
}

/// Adds a cookie. Ours hold letters, digits and the like only, which every header takes.
pub(crate) fn set_cookie(response: &mut HttpResponse, cookie: &Cookie<'_>) {
    if let Err(error) = response.add_cookie(cookie) {
        tracing::error!(%error, "cookie not set");
    }
}

/// Sends the browser to a page that shows this secret, once.
pub(crate) fn show_secret(dashboard: &Dashboard, path: &str, secret: &str) -> PageResult {
    let mut response = see_other(path)?;
    set_cookie(&mut response, &dashboard.cookies.flash(path, secret));
    Ok(response)
}

/// A time for a table cell, with everything about it in its tooltip.
pub(crate) struct TimeCell {
    pub(crate) short: String,
    pub(crate) full: String,
}

impl TimeCell {
    pub(crate) fn new(at: DateTime<Utc>, now: DateTime<Utc>, network: &Network) -> Self {
        let zone = network.time_zone();
        Self {
            short: crate::format::time(at, now, zone),
            full: crate::format::full_time(at, zone),
        }
    }
}
