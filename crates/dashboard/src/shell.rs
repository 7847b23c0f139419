//! Shell of every page: navigation, search, the signed-in user, and the time zone and currency of its figures.

use actix_web::cookie::Cookie;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use schema::clock;
use tenancy::affiliates::AffiliateStatus;
use tenancy::networks::{Network, NetworkStatus};
use tenancy::{Actor, Permission, csv_export};

use crate::error::PageError;
use crate::page::PageRequest;

/// Entry of the navigation.
pub(crate) struct NavItem {
    pub(crate) label: &'static str,
    pub(crate) href: &'static str,
    pub(crate) current: bool,
}

/// Values of the base template around a page.
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
    /// Returns the shell of a page under the navigation entry `section`.
    pub(crate) fn new(
        request: &PageRequest,
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
            through: through(request.dashboard.tracker.complete_until(), zone),
            form_token: request.form_token(),
            theme: request.theme(),
            here: address(&request.http),
            live: !has(&request.http, "live=off"),
            saved: has(&request.http, SAVED),
        }
    }
}

/// Time up to which the data is complete, and by how much it is behind if that is worth a word.
fn through(complete_until: DateTime<Utc>, zone: Tz) -> String {
    let time = complete_until.with_timezone(&zone).format("%H:%M:%S");
    let behind = clock::now() - complete_until;
    if behind < TimeDelta::seconds(2) {
        time.to_string()
    } else {
        format!("{time}, {} behind", clock::in_words(behind))
    }
}

/// Query parameter of a page on which a form was just saved.
const SAVED: &str = "saved=yes";

fn has(request: &HttpRequest, wanted: &str) -> bool {
    request.query_string().split('&').any(|pair| pair == wanted)
}

/// Redirects back to a page after a form on it was saved; the page confirms it.
pub(crate) fn saved(path: &str) -> PageResult {
    see_other(&format!("{path}?{SAVED}"))
}

/// Address that a user can return to: this page if it was requested with GET, else the home page.
pub(crate) fn address(request: &HttpRequest) -> String {
    let is_page = request.method() == actix_web::http::Method::GET;
    request
        .uri()
        .path_and_query()
        .filter(|_| is_page)
        .map_or("/", |here| here.as_str())
        .to_owned()
}

/// Notice on every page.
pub(crate) struct Banner {
    pub(crate) sentence: String,
    /// True if the banner has a button that ends an impersonation.
    pub(crate) leave: bool,
}

fn banners(actor: &Actor, network: &Network) -> Vec<Banner> {
    let impersonating = actor.impersonation.as_ref().map(|impersonation| Banner {
        sentence: format!(
            "{} is impersonating {} of {}. Reason: {}",
            impersonation.operator_name, actor.person_name, network.name, impersonation.reason
        ),
        leave: true,
    });
    let stopped = match network.status {
        NetworkStatus::Active => None,
        NetworkStatus::Suspended => Some("This network is suspended: clicks and postbacks are refused."),
        NetworkStatus::Closed => Some("This network is closed, and is being erased."),
    };
    let stopped = stopped.map(|sentence| format!("{sentence} {}", network.status_reason));
    let party = match actor.affiliate_status {
        None | Some(AffiliateStatus::Active) => None,
        Some(AffiliateStatus::Paused | AffiliateStatus::Archived) => Some(format!(
            "{} has paused you: your links are inactive. Earlier clicks still convert.",
            network.name
        )),
        Some(AffiliateStatus::Blocked) => Some(format!(
            "{} has blocked you: your links are inactive and no conversions are recorded.",
            network.name
        )),
    };
    let notices = stopped.into_iter().chain(party).map(|sentence| Banner {
        sentence,
        leave: false,
    });
    impersonating.into_iter().chain(notices).collect()
}

fn navigation(actor: &Actor, section: &str) -> Vec<NavItem> {
    let reports = actor.may(Permission::SeeReports);
    let parties = actor.may(Permission::SeeParties);
    // Users of an advertiser have their own integration page; others open it from the advertiser.
    let integration = actor.scope().advertiser.is_some();
    [
        ("Home", "/", reports),
        ("Integration", "/integration", integration),
        (
            "Conversions",
            "/conversions",
            actor.may(Permission::SeeConversions),
        ),
        ("Postbacks", "/postbacks", actor.may(Permission::SeePostbacks)),
        (
            deliveries_label(actor),
            "/destinations",
            actor.may(Permission::SeeDeliveries),
        ),
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

/// Label of the deliveries: affiliates have no other postbacks.
fn deliveries_label(actor: &Actor) -> &'static str {
    if actor.scope().affiliate.is_some() {
        "Postbacks"
    } else {
        "Deliveries"
    }
}

/// Result of every page handler.
pub(crate) type PageResult = Result<HttpResponse, PageError>;

/// Renders a page.
pub(crate) fn html(template: &impl Template) -> PageResult {
    html_with(actix_web::http::StatusCode::OK, template)
}

/// Renders a page with another status than 200.
pub(crate) fn html_with(status: actix_web::http::StatusCode, template: &impl Template) -> PageResult {
    Ok(HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .body(template.render()?))
}

/// Redirects to another page after a form was processed.
pub(crate) fn see_other(location: &str) -> PageResult {
    Ok(HttpResponse::SeeOther()
        .insert_header((actix_web::http::header::LOCATION, location))
        .finish())
}

/// CSV file for a spreadsheet, as a download.
pub(crate) fn csv_file(name: &str, mut text: String) -> HttpResponse {
    text.insert_str(0, csv_export::BYTE_ORDER_MARK);
    download("text/csv; charset=utf-8", name, text.into_bytes())
}

/// Workbook, as a download.
pub(crate) fn xlsx_file(name: &str, workbook: Vec<u8>) -> HttpResponse {
    download(reports::XLSX_TYPE, name, workbook)
}

/// `name` holds letters, digits, `-`, `_` and dots only.
fn download(media_type: &str, name: &str, content: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, media_type))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .body(content)
}

/// Adds a cookie. Cookies of the dashboard hold letters, digits and `_-.` only, which are valid in every header.
pub(crate) fn set_cookie(response: &mut HttpResponse, cookie: &Cookie<'_>) {
    if let Err(error) = response.add_cookie(cookie) {
        tracing::error!(%error, "cookie not set");
    }
}

/// Time of a table cell, with the full time as its tooltip.
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
