//! Shell of every page: navigation, search, the signed-in user, and the time zone and currency of its figures.

use actix_web::cookie::Cookie;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use schema::clock;
use tenancy::affiliates::AffiliateStatus;
use tenancy::networks::{self, Network, NetworkStatus};
use tenancy::unscoped::Visit;
use tenancy::{Actor, Permission, csv_export, needs};

use crate::auth::find_visit;
use crate::error::PageError;
use crate::navigation::{self, NavItem, NavSection};
use crate::notice::{self, Notice};
use crate::page::PageRequest;

/// Values of the base template around a page.
pub(crate) struct Shell {
    pub(crate) title: String,
    /// Name above the navigation: of the network, or of what the pages are about.
    pub(crate) network: String,
    pub(crate) rail: Vec<NavSection>,
    /// True if the rail shows icons only.
    pub(crate) is_narrow: bool,
    pub(crate) help: Vec<NavItem>,
    /// Signed-in person. None for visitors of the documentation.
    pub(crate) user: Option<User>,
    pub(crate) banners: Vec<Banner>,
    /// Time zone and currency of the figures. Empty on pages outside of a network.
    pub(crate) frame: String,
    pub(crate) through: String,
    pub(crate) form_token: String,
    pub(crate) theme: &'static str,
    pub(crate) here: String,
    pub(crate) live: bool,
    /// Switch between live and test data: true on pages of test data. None for those who see no tests.
    pub(crate) shows_tests: Option<bool>,
    /// Sentence about the action that led to the page.
    pub(crate) done: Option<String>,
}

/// Signed-in person in the menu of the account.
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) role: &'static str,
    pub(crate) is_operator: bool,
    /// True if the session is under a membership, so that the pages of a network can be opened.
    pub(crate) is_member: bool,
}

impl Shell {
    /// Returns the shell of a network's page under the navigation entry `section`.
    pub(crate) fn new(
        request: &PageRequest,
        actor: &Actor,
        network: &Network,
        section: &str,
        title: &str,
    ) -> Self {
        let zone = network.time_zone();
        let is_operator = request.is_operator();
        Self {
            network: network.name.clone(),
            user: Some(User {
                name: actor.person_name.clone(),
                role: actor.role.kind().label(),
                is_operator,
                is_member: true,
            }),
            banners: banners(actor, network),
            rail: navigation::of_member(actor, section),
            help: navigation::help(Some(actor), is_operator),
            frame: format!("{zone} · {}", network.currency),
            through: through(request.dashboard.tracker.complete_until(), zone),
            shows_tests: actor.may(Permission::SeeIntegration).then_some(false),
            ..Self::bare(request, title)
        }
    }

    /// Returns the shell of a page that belongs to a person and not to a network, such as the account: around it are the
    /// pages of the network that they work for, if any.
    pub(crate) async fn of_person(
        request: &PageRequest,
        visit: &Visit,
        section: &str,
        title: &str,
    ) -> Result<Self, PageError> {
        if let Some(actor) = &visit.actor
            && !actor.lacks_second_factor
            && let Ok(access) = actor.access::<needs::SignIn>()
        {
            let mut conn = access.network(&request.dashboard.db).await?;
            let network = networks::current(&mut conn).await?;
            conn.commit().await?;
            return Ok(Self::new(request, actor, &network, section, title));
        }
        let is_operator = visit.is_operator();
        Ok(Self {
            network: if is_operator {
                "Operator console"
            } else {
                "Clickledger"
            }
            .to_owned(),
            rail: if is_operator {
                navigation::of_operator(section)
            } else {
                Vec::new()
            },
            user: Some(User::without_network(visit)),
            help: navigation::help(None, is_operator),
            ..Self::bare(request, title)
        })
    }

    /// Returns the shell of an operators' page.
    pub(crate) fn of_operator(request: &PageRequest, visit: &Visit, section: &str, title: &str) -> Self {
        Self {
            network: "Operator console".to_owned(),
            rail: navigation::of_operator(section),
            user: Some(User {
                is_member: visit.actor.is_some(),
                ..User::without_network(visit)
            }),
            help: navigation::help(None, true),
            ..Self::bare(request, title)
        }
    }

    /// Returns the shell of a public page: for signed-in people that of their pages, for others the documentation.
    pub(crate) async fn of_docs(request: &PageRequest, title: &str) -> Result<Self, PageError> {
        match find_visit(&request.http).await? {
            Some(visit) if !visit.session.awaits_second_factor => {
                request.http.extensions_mut().insert(visit.clone());
                Self::of_person(request, &visit, "", title).await
            }
            _ => Ok(Self {
                network: "Clickledger".to_owned(),
                rail: navigation::of_visitor(title),
                ..Self::bare(request, title)
            }),
        }
    }

    /// The shell of a page of test data.
    pub(crate) fn of_tests(self) -> Self {
        Self {
            shows_tests: self.shows_tests.map(|_| true),
            ..self
        }
    }

    /// Shell for tests of templates.
    #[cfg(test)]
    pub(crate) fn sample(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            network: "Orbit".to_owned(),
            rail: Vec::new(),
            is_narrow: false,
            help: Vec::new(),
            user: None,
            banners: Vec::new(),
            frame: String::new(),
            through: String::new(),
            form_token: String::new(),
            theme: "light",
            here: "/".to_owned(),
            live: false,
            shows_tests: None,
            done: None,
        }
    }

    /// Shell without navigation and person.
    fn bare(request: &PageRequest, title: &str) -> Self {
        Self {
            title: title.to_owned(),
            network: String::new(),
            rail: Vec::new(),
            is_narrow: request.has_narrow_rail(),
            help: Vec::new(),
            user: None,
            banners: Vec::new(),
            frame: String::new(),
            through: String::new(),
            form_token: request.form_token(),
            theme: request.theme(),
            here: address(&request.http),
            live: !has(&request.http, "live=off"),
            shows_tests: None,
            done: notice::of_page(&request.http, request.dashboard.cookies),
        }
    }
}

impl User {
    fn without_network(visit: &Visit) -> Self {
        let is_operator = visit.is_operator();
        Self {
            name: visit.person.name.clone(),
            role: if is_operator { "Operator" } else { "" },
            is_operator,
            is_member: false,
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

fn has(request: &HttpRequest, wanted: &str) -> bool {
    request.query_string().split('&').any(|pair| pair == wanted)
}

/// Redirects to a page after a form was saved; the page confirms it.
pub(crate) fn saved(path: &str) -> PageResult {
    done(path, "Saved.")
}

/// Redirects to a page that says once what was done.
pub(crate) fn done(path: &str, sentence: &str) -> PageResult {
    let mut response = see_other(path)?;
    Notice::attach(&mut response, sentence);
    Ok(response)
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
