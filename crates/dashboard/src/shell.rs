//! What surrounds every page: navigation, search, who is signed in, and the frame its numbers are in.

use actix_web::HttpRequest;
use askama::Template;
use chrono::{DateTime, Utc};
use schema::clock;
use tenancy::networks::Network;
use tenancy::sessions::Actor;
use tenancy::{Permission, Role};

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
    pub(crate) nav: Vec<NavItem>,
    pub(crate) frame: String,
    pub(crate) through: String,
    pub(crate) form_token: String,
    pub(crate) theme: &'static str,
    pub(crate) here: String,
    pub(crate) live: bool,
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
            role: actor.role.as_str(),
            nav: navigation(actor.role, section),
            frame: format!("{zone} · {}", network.currency),
            through: clock::now().with_timezone(&zone).format("%H:%M:%S").to_string(),
            form_token: dashboard.form_tokens.issue(dashboard, request),
            theme: theme(request),
            here: address(request),
            live: !request.query_string().split('&').any(|pair| pair == "live=off"),
        }
    }
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

fn navigation(role: Role, section: &str) -> Vec<NavItem> {
    [
        ("Home", "/", true),
        ("Conversions", "/conversions", true),
        ("Postbacks", "/postbacks", role.may(Permission::SeePostbacks)),
        ("Reports", "/reports", true),
        ("Campaigns", "/campaigns", true),
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
pub(crate) type PageResult = Result<actix_web::HttpResponse, PageError>;

/// Renders a page.
pub(crate) fn page(template: &impl Template) -> PageResult {
    page_with(actix_web::http::StatusCode::OK, template)
}

/// Renders a page with another status than 200.
pub(crate) fn page_with(status: actix_web::http::StatusCode, template: &impl Template) -> PageResult {
    Ok(actix_web::HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .body(template.render()?))
}

/// Sends the browser on to another page after a form was acted on.
pub(crate) fn see_other(location: &str) -> PageResult {
    Ok(actix_web::HttpResponse::SeeOther()
        .insert_header((actix_web::http::header::LOCATION, location))
        .finish())
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
