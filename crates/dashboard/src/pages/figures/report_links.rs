//! Share links of reports: the list, the form of a new link, and the public page of a report.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use reports::links::{self, Found, LinkSettings, ReportLink};
use reports::{Key, Period, ReportQuery, Row};
use schema::{BASE32, clock};
use tenancy::networks;
use tenancy::{Actor, ChangeError, Draft, OneTimeToken, Permission, check_password, needs};

use super::report_rows::{Cell, cells};
use super::saved_reports::periods;
use crate::error::PageError;
use crate::forms::{self, Choice, PostedForm};
use crate::page::{Caller, Page, PageRequest, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, TimeCell, done, html, html_with, see_other, set_cookie};

const HOME: &str = "/reports/links";
/// Number of rows of a page of a shared report.
const ROWS: usize = 100;
/// Views of a link per minute and node: a report costs more than a page, and the address of a link may spread.
const VIEWS_PER_MINUTE: u32 = 60;
const WRONG_PASSWORD: &str = "Incorrect password.";
const TOO_MANY_ATTEMPTS: &str = "Too many attempts. Try again in 15 minutes.";

/// `GET /reports/links`
pub(super) async fn list(page: Page<needs::SeeReports>) -> PageResult {
    let end_flash = page.request.dashboard.cookies.end_flash(HOME);
    let fresh = page.request.fresh_secret();
    let fresh = fresh.map(|token| format!("{}/shared/{token}", page.request.dashboard.dashboard_url));
    let mut response = render(page, fresh, Draft::default()).await?;
    set_cookie(&mut response, &end_flash);
    Ok(response)
}

async fn render<P>(mut page: Page<P>, fresh: Option<String>, draft: Draft) -> PageResult {
    let links = links::list(&mut page.conn, &page.actor).await?;
    let frame = page.commit().await?;
    let row = |(link, owner): (ReportLink, String)| LinkRow {
        is_live: link.is_live(frame.now),
        state: match (link.revoked_at, link.is_live(frame.now)) {
            (Some(_), _) => "revoked",
            (None, true) => "live",
            (None, false) => "expired",
        },
        id: link.id.to_string(),
        password: if link.has_password() { "yes" } else { "no" },
        period: link.period.map_or("Fixed days", Period::label),
        expires: frame.time(link.expires_at),
        used: link.last_used_at.map(|at| frame.time(at)),
        name: link.name,
        owner,
    };
    html_with(
        forms::status(&draft.errors),
        &List {
            shell: frame.shell("Reports", "Share links"),
            rows: links.into_iter().map(row).collect(),
            may_save: frame.actor.may(Permission::SaveReports),
            periods: periods(draft.of("period"), "these days"),
            fresh,
            draft,
        },
    )
}

/// `POST /reports/links`: no transaction is open while the password is hashed.
pub(super) async fn create(caller: Caller<needs::SaveReports>, form: PostedForm) -> PageResult {
    let mut draft = form.draft("", &LinkSettings::FIELDS);
    let password = form.verbatim("password");
    let hash = match password {
        "" => None,
        password => match check_password(password, &[]) {
            Ok(()) => Some(caller.request.dashboard.passwords.hash(password).await?),
            Err(message) => {
                draft.errors.add("password", message);
                None
            }
        },
    };
    let mut page = caller.open().await?;
    let settings = LinkSettings::check(&mut draft, &page.actor, page.now, page.network.time_zone());
    let created = match draft.clone().accepted(settings) {
        Ok(settings) => links::create(&mut page.conn, &page.actor, &settings, hash.as_ref(), page.now).await,
        Err(error) => Err(error),
    };
    match created {
        Ok((_, token)) => {
            let frame = page.commit().await?;
            frame.request.show_secret(HOME, token.as_str())
        }
        Err(error @ (ChangeError::Fields(_) | ChangeError::Limit(_))) => {
            draft.errors = forms::field_errors(error)?;
            render(page.reopen().await?, None, draft).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /reports/links/{id}/revoke`
pub(super) async fn revoke(
    Submitted(mut page, _): Submitted<needs::SaveReports>,
    path: web::Path<String>,
) -> PageResult {
    links::revoke(&mut page.conn, &page.actor, id(&path)?, page.now).await?;
    page.commit().await?;
    done(HOME, "The link was revoked.")
}

/// `GET /shared/{token}`: the report, or the form for its password.
pub(super) async fn show(request: PageRequest, path: web::Path<String>) -> PageResult {
    let (link, owner) = live(&request, &path).await?;
    if let Some(proof) = proof(&request, &path, &link)
        && !has_proof(&request, &proof)
    {
        return html(&Password::new(&request, &path, &link, ""));
    }
    let now = clock::now();
    let dashboard = &request.dashboard;
    let counted = (owner.network_id(), link.id);
    let quota = dashboard
        .shared_views
        .count(counted, VIEWS_PER_MINUTE, clock::since_epoch(now));
    if !quota.allowed {
        return Err(PageError::TooOften(quota.resets_in));
    }
    let mut conn = dashboard.db.network(owner.network_id()).await?;
    let network = networks::current(&mut conn).await?;
    let zone = network.time_zone();
    let query = links::query_at(&link, &owner, now, zone).ok_or(PageError::Gone)?;
    let (engine, scope, asked) = (&dashboard.reports, owner.scope(), page_number(&request));
    let sorted = asked.saturating_mul(ROWS);
    let report = engine.run(&mut conn, &network, scope, &query, sorted).await;
    let report = match report {
        Ok(report) => report,
        Err(error) => return Err(PageError::BadRequest(error.into_problem()?.message)),
    };
    links::record_view(&mut conn, &link, now).await?;
    conn.commit().await?;
    let metrics = query.metrics(&owner);
    let pages = report.row_count().div_ceil(ROWS).max(1);
    let at = asked.min(pages);
    let rows = report.rows((at - 1) * ROWS..at * ROWS);
    let url = |page: usize| format!("/shared/{path}?page={page}");
    html(&Shared {
        theme: request.theme(),
        name: link.name,
        network: network.name,
        period: days(&query),
        zone: query.zone.unwrap_or(zone).name(),
        dimensions: query.group.iter().map(|dimension| dimension.label()).collect(),
        metrics: metrics
            .iter()
            .map(|metric| (metric.label(), metric.definition()))
            .collect(),
        total: cells(
            &metrics,
            (&report.total, report.total_before.as_ref()),
            None,
            network.currency,
        ),
        rows: rows
            .map(|row: Row| SharedRow {
                keys: row.keys.iter().map(label).collect(),
                cells: cells(
                    &metrics,
                    (&row.figures, row.before.as_ref()),
                    None,
                    network.currency,
                ),
            })
            .collect(),
        at,
        pages,
        before: (at > 1).then(|| url(at - 1)),
        after: (at < pages).then(|| url(at + 1)),
    })
}

fn label(key: &Key) -> String {
    if key.label.is_empty() {
        "—".to_owned()
    } else {
        key.label.clone()
    }
}

fn days(query: &ReportQuery) -> String {
    if query.from == query.to {
        query.from.to_string()
    } else {
        format!("{} to {}", query.from, query.to)
    }
}

/// Number of the page that a visitor opens, from 1: the only part of a shared report that the visitor chooses.
fn page_number(request: &PageRequest) -> usize {
    let text = request.http.query_string();
    let found = form_urlencoded::parse(text.as_bytes()).find(|(name, _)| name == "page");
    found
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(1)
        .max(1)
}

/// `POST /shared/{token}`: checks the password, and lets this browser in for a day.
pub(super) async fn enter(request: PageRequest, path: web::Path<String>, form: PostedForm) -> PageResult {
    let (link, _) = live(&request, &path).await?;
    let here = format!("/shared/{path}");
    let Some(proof) = proof(&request, &path, &link) else {
        return see_other(&here);
    };
    let dashboard = &request.dashboard;
    let (account, address) = (format!("shared report {}", link.id), request.address());
    if dashboard.throttle.count(&account, address).await.is_err() {
        let page = Password::new(&request, &path, &link, TOO_MANY_ATTEMPTS);
        return html_with(StatusCode::TOO_MANY_REQUESTS, &page);
    }
    let is_right = dashboard
        .passwords
        .verify(form.verbatim("password"), link.password())
        .await?;
    if !is_right {
        let page = Password::new(&request, &path, &link, WRONG_PASSWORD);
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    dashboard.throttle.forgive(&account, address).await;
    let mut response: HttpResponse = see_other(&here)?;
    set_cookie(&mut response, &dashboard.cookies.shared(&here, &proof));
    Ok(response)
}

async fn live(request: &PageRequest, token: &str) -> Result<(ReportLink, Actor), PageError> {
    let token = OneTimeToken::from_link(token);
    match links::find_live(&request.dashboard.db, &token, clock::now()).await? {
        Found::Unknown => Err(PageError::NotFound),
        Found::Dead => Err(PageError::Gone),
        Found::Live(found) => Ok(*found),
    }
}

/// Value of the cookie of a browser in which the password of a link was entered; `None` if the link has no password.
fn proof(request: &PageRequest, token: &str, link: &ReportLink) -> Option<String> {
    let hash = link.password()?;
    let purpose = ["shared report", token, hash.as_str()].join(" ");
    Some(BASE32.encode(&request.dashboard.secret.derive(purpose.as_bytes())))
}

/// True if the cookie is the proof. Compares every byte, so that the time reveals nothing of it.
fn has_proof(request: &PageRequest, proof: &str) -> bool {
    request
        .dashboard
        .cookies
        .shared_proof(&request.http)
        .is_some_and(|cookie| {
            let pairs = cookie.bytes().zip(proof.bytes());
            cookie.len() == proof.len()
                && pairs.fold(0, |differing, (one, other)| differing | (one ^ other)) == 0
        })
}

struct LinkRow {
    id: String,
    name: String,
    period: &'static str,
    owner: String,
    password: &'static str,
    state: &'static str,
    is_live: bool,
    expires: TimeCell,
    used: Option<TimeCell>,
}

#[derive(Template)]
#[template(path = "figures/report_links/list.html")]
struct List {
    shell: Shell,
    rows: Vec<LinkRow>,
    may_save: bool,
    periods: Vec<Choice>,
    /// URL of a new link, shown once.
    fresh: Option<String>,
    /// Refused form of a new link; empty without one.
    draft: Draft,
}

struct SharedRow {
    keys: Vec<String>,
    cells: Vec<Cell>,
}

#[derive(Template)]
#[template(path = "figures/report_links/shared.html")]
struct Shared {
    theme: &'static str,
    name: String,
    network: String,
    period: String,
    zone: &'static str,
    dimensions: Vec<&'static str>,
    metrics: Vec<(&'static str, &'static str)>,
    total: Vec<Cell>,
    rows: Vec<SharedRow>,
    at: usize,
    pages: usize,
    before: Option<String>,
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "figures/report_links/password.html")]
struct Password<'a> {
    theme: &'static str,
    form_token: String,
    name: &'a str,
    action: String,
    refusal: &'a str,
}

impl<'a> Password<'a> {
    fn new(request: &PageRequest, token: &str, link: &'a ReportLink, refusal: &'a str) -> Self {
        Self {
            theme: request.theme(),
            form_token: request.form_token(),
            name: &link.name,
            action: format!("/shared/{token}"),
            refusal,
        }
    }
}
