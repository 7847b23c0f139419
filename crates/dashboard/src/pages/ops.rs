//! What those see who run the installation: its networks with what they use, and their own log.

use actix_web::{HttpRequest, web};
use askama::Template;
use schema::{Currency, NetworkId, clock};
use serde::Deserialize;
use tenancy::erasure::{self, EraseError};
use tenancy::impersonation::{self, NewImpersonation};
use tenancy::networks::{self, Limits, NetworkStatus, NewNetwork, check_slug, check_time_zone, slug_from};
use tenancy::operators::{self, Listed};
use tenancy::{
    ChangeError, Delivery, FieldErrors, OneTimeToken, Role, RoleKind, check_name, invitations,
    mail_templates, unscoped,
};
use tracking::intake::client_ip;

use super::id;
use super::sign_in::user_agent;
use crate::auth::{SignedIn, fresh_secret};
use crate::error::PageError;
use crate::format;
use crate::forms::{self, PostedForm};
use crate::listing::{self, Tab};
use crate::shell::{PageResult, page, page_with, see_other, set_cookie, show_secret, theme};
use crate::{Dashboard, urls};

const HOME: &str = "/ops";
/// Networks of a page: the usage of each is counted behind its own wall.
const ROWS: i64 = 25;

/// The filters of the list, as its URL has them.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filters {
    #[serde(default)]
    search: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    before: String,
}

/// `GET /ops`
pub(super) async fn list(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    visitor: SignedIn,
    filters: web::Query<Filters>,
) -> PageResult {
    let fresh = fresh_secret(&request).map(|token| {
        mail_templates::invitation_link(&dashboard.dashboard_url, &OneTimeToken::from_link(&token))
    });
    let form = (NewForm::default(), FieldErrors::default());
    let mut response = render(&request, &dashboard, &visitor, &filters, fresh, form).await?;
    set_cookie(&mut response, &dashboard.cookies.end_flash(HOME));
    Ok(response)
}

async fn render(
    request: &HttpRequest,
    dashboard: &Dashboard,
    visitor: &SignedIn,
    filters: &Filters,
    fresh_link: Option<String>,
    (form, errors): (NewForm, FieldErrors),
) -> PageResult {
    let status: Option<NetworkStatus> = listing::word(&filters.status)?;
    let search = listing::text(&filters.search);
    let before = listing::id(&filters.before)?;
    let mut found = operators::list_networks(
        &dashboard.db,
        search.as_deref(),
        status,
        before,
        ROWS + 1,
        clock::now(),
    )
    .await?;
    let more = found.len() > usize::try_from(ROWS).unwrap_or(usize::MAX);
    found.truncate(usize::try_from(ROWS).unwrap_or(usize::MAX));
    let older = found.last().filter(|_| more).map(|last| {
        let before = last.network.id.to_string();
        let (search, status) = (filters.search.as_str(), filters.status.as_str());
        listing::with_query(
            HOME,
            &[("search", search), ("status", status), ("before", &before)],
        )
    });
    let http_status = forms::status(&errors);
    page_with(
        http_status,
        &List {
            theme: theme(request),
            person: visitor.person.name.clone(),
            form_token: dashboard.form_tokens.issue(dashboard, request),
            fresh_link,
            tabs: listing::tabs(HOME, NetworkStatus::ALL, status),
            search: filters.search.clone(),
            rows: found.into_iter().map(NetworkRow::new).collect(),
            older,
            form,
            errors,
        },
    )
}

/// `POST /ops/networks`: a network, and an invitation for its owner.
pub(super) async fn create(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    visitor: SignedIn,
    posted: PostedForm,
) -> PageResult {
    let form = NewForm::read(&posted);
    let now = clock::now();
    let mut unscoped_conn = dashboard.db.unscoped().await?;
    let network_id = unscoped::new_network_id(&mut unscoped_conn).await?;
    drop(unscoped_conn);
    let mut conn = dashboard.db.network(network_id).await?;
    let made = async {
        let (name, slug, time_zone, currency) = form.checked()?;
        let network = NewNetwork {
            name: &name,
            slug: &slug,
            time_zone,
            currency,
        };
        let author = visitor.author();
        networks::create(&mut conn, author, &network, now).await?;
        let (_, token) = invitations::offer(&mut conn, author, &form.owner, Role::Owner, now).await?;
        operators::record(
            &mut conn,
            author,
            "network.create",
            Some((network_id, &name)),
            &form.owner,
            now,
        )
        .await?;
        Ok::<_, ChangeError>((name, token))
    };
    let (name, token) = match made.await {
        Ok(made) => made,
        Err(ChangeError::Fields(errors)) => {
            drop(conn);
            let filters = Filters::default();
            return render(&request, &dashboard, &visitor, &filters, None, (form, errors)).await;
        }
        Err(error) => return Err(error.into()),
    };
    conn.commit().await?;
    let url = &dashboard.dashboard_url;
    let mail = mail_templates::invitation(url, &name, RoleKind::Owner, None, &form.owner, &token);
    match dashboard.mailer.send(&mail).await {
        Delivery::Sent => see_other(HOME),
        _ => show_secret(&dashboard, HOME, token.as_str()),
    }
}

/// `GET /ops/networks/{id}`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    visitor: SignedIn,
    path: web::Path<String>,
) -> PageResult {
    let network_id: NetworkId = id(&path)?;
    render_one(&request, &dashboard, &visitor, network_id, FieldErrors::default()).await
}

async fn find(dashboard: &Dashboard, network_id: NetworkId) -> Result<Listed, PageError> {
    let found = operators::find_network(&dashboard.db, network_id, clock::now()).await?;
    found.ok_or(PageError::NotFound)
}

async fn render_one(
    request: &HttpRequest,
    dashboard: &Dashboard,
    visitor: &SignedIn,
    network_id: NetworkId,
    errors: FieldErrors,
) -> PageResult {
    let listed = find(dashboard, network_id).await?;
    let members = operators::members(&dashboard.db, network_id).await?;
    let status = forms::status(&errors);
    page_with(
        status,
        &Show {
            theme: theme(request),
            person: visitor.person.name.clone(),
            form_token: dashboard.form_tokens.issue(dashboard, request),
            url: urls::network(network_id),
            limits: listed.network.limits,
            active: listed.network.status == NetworkStatus::Active,
            closed: listed.network.status == NetworkStatus::Closed,
            reason: listed.network.status_reason.clone(),
            row: NetworkRow::new(listed),
            members: members
                .into_iter()
                .map(|member| {
                    let role = member.role.kind().label();
                    let party = member
                        .party
                        .map_or_else(String::new, |party| format!(" of {party}"));
                    (
                        member.id.to_string(),
                        format!("{} — {role}{party}", member.person_name),
                    )
                })
                .collect(),
            errors,
        },
    )
}

/// `POST /ops/networks/{id}/status`: suspends or resumes.
pub(super) async fn set_status(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    visitor: SignedIn,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let network_id: NetworkId = id(&path)?;
    let network = find(&dashboard, network_id).await?.network;
    let (status, action) = match form.get("status") {
        "suspended" => (NetworkStatus::Suspended, "network.suspend"),
        "active" => (NetworkStatus::Active, "network.resume"),
        other => {
            let sentence = format!("status is “{other}”; send active or suspended.");
            return Err(PageError::BadRequest(sentence));
        }
    };
    let reason = form.get("reason");
    if status == NetworkStatus::Suspended && reason.is_empty() {
        let mut errors = FieldErrors::default();
        errors.add("reason", "Say why; the network's people read it.");
        return render_one(&request, &dashboard, &visitor, network_id, errors).await;
    }
    let now = clock::now();
    let mut conn = dashboard.db.network(network_id).await?;
    networks::set_status(&mut conn, visitor.author(), status, reason, now).await?;
    operators::record(
        &mut conn,
        visitor.author(),
        action,
        Some((network_id, &network.name)),
        reason,
        now,
    )
    .await?;
    conn.commit().await?;
    see_other(&urls::network(network_id))
}

/// `POST /ops/networks/{id}/limits`
pub(super) async fn set_limits(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    visitor: SignedIn,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let network_id: NetworkId = id(&path)?;
    let network = find(&dashboard, network_id).await?.network;
    // What is no number becomes one that is refused, under its field.
    let number = |field: &str| form.get(field).parse().unwrap_or(0);
    let limits = Limits {
        max_postbacks_per_second: number("max_postbacks_per_second"),
        max_seats: number("max_seats"),
        max_links: number("max_links"),
    };
    let now = clock::now();
    let mut conn = dashboard.db.network(network_id).await?;
    match networks::set_limits(&mut conn, visitor.author(), limits, now).await {
        Ok(()) => {}
        Err(ChangeError::Fields(errors)) => {
            drop(conn);
            return render_one(&request, &dashboard, &visitor, network_id, errors).await;
        }
        Err(error) => return Err(error.into()),
    }
    let detail = format!(
        "{} postbacks per second, {} seats, {} links",
        limits.max_postbacks_per_second, limits.max_seats, limits.max_links
    );
    let about = Some((network_id, network.name.as_str()));
    operators::record(
        &mut conn,
        visitor.author(),
        "network.set_limits",
        about,
        &detail,
        now,
    )
    .await?;
    conn.commit().await?;
    see_other(&urls::network(network_id))
}

/// `POST /ops/networks/{id}/act`: acts under a member's role, for an hour, with a reason that both logs keep.
pub(super) async fn act(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    visitor: SignedIn,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let network_id: NetworkId = id(&path)?;
    find(&dashboard, network_id).await?;
    let new = NewImpersonation {
        operator_id: visitor.person.id,
        session_id: visitor.session.id,
        membership_id: id(form.get("membership"))?,
        reason: form.get("why"),
        user_agent: user_agent(&request),
        address: client_ip(request.head(), &dashboard.trusted_proxies),
    };
    let mut conn = dashboard.db.network(network_id).await?;
    let token = match impersonation::start(&mut conn, visitor.author(), new, clock::now()).await {
        Err(ChangeError::Fields(errors)) => {
            let mut shown = FieldErrors::default();
            shown.add("why", errors.of("reason"));
            return render_one(&request, &dashboard, &visitor, network_id, shown).await;
        }
        started => started?,
    };
    conn.commit().await?;
    let mut response = see_other("/")?;
    set_cookie(&mut response, &dashboard.cookies.start(&token));
    Ok(response)
}

/// `POST /ops/networks/{id}/erase`: exports and erases a network that its owner closed, where that did not happen.
pub(super) async fn erase(
    dashboard: web::Data<Dashboard>,
    visitor: SignedIn,
    path: web::Path<String>,
    _form: PostedForm,
) -> PageResult {
    let network_id: NetworkId = id(&path)?;
    let network = find(&dashboard, network_id).await?.network;
    if network.status != NetworkStatus::Closed {
        return Err(PageError::Conflict(
            "Only a network that its owner has deleted can be erased.".to_owned(),
        ));
    }
    let folder = &dashboard.exports;
    erasure::export_and_erase(&dashboard.db, folder, network_id, visitor.author(), clock::now())
        .await
        .map_err(|error| match error {
            EraseError::Db(error) => PageError::Db(error),
            other => PageError::Conflict(format!("Nothing was erased. {other}")),
        })?;
    see_other(HOME)
}

/// `GET /ops/log`
pub(super) async fn log(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    visitor: SignedIn,
    filters: web::Query<Filters>,
) -> PageResult {
    let mut conn = dashboard.db.unscoped().await?;
    let found = operators::log(&mut conn, listing::id(&filters.before)?, listing::ASK).await?;
    drop(conn);
    let (found, older) = listing::cut(found, "/ops/log", &[], |entry| entry.id);
    page(&Log {
        theme: theme(&request),
        person: visitor.person.name.clone(),
        rows: found
            .into_iter()
            .map(|entry| LogRow {
                at: format::minute(entry.at),
                author: entry.author,
                address: entry
                    .remote_ip
                    .map_or_else(String::new, |ip| ip.addr().to_string()),
                action: entry.action,
                about: entry.about_network,
                detail: entry.detail,
            })
            .collect(),
        older,
    })
}

/// A network to create, as typed.
#[derive(Default)]
struct NewForm {
    name: String,
    slug: String,
    time_zone: String,
    currency: String,
    owner: String,
}

impl NewForm {
    fn read(form: &PostedForm) -> Self {
        let name = form.get("name").to_owned();
        let slug = match form.get("slug") {
            "" => slug_from(&name),
            typed => typed.to_owned(),
        };
        Self {
            slug,
            name,
            time_zone: form.get("time_zone").to_owned(),
            currency: form.get("currency").to_owned(),
            owner: form.get("email").to_owned(),
        }
    }

    fn checked(&self) -> Result<(String, String, chrono_tz::Tz, Currency), ChangeError> {
        let mut errors = FieldErrors::default();
        let name = errors.take("name", check_name(&self.name));
        let slug = errors.take("slug", check_slug(&self.slug));
        let zone = errors.take("time_zone", check_time_zone(&self.time_zone));
        let currency = errors.take("currency", self.currency.parse::<Currency>());
        errors.take("email", tenancy::check_email(&self.owner));
        let checked = match (name, slug, zone, currency) {
            (Some(name), Some(slug), Some(zone), Some(currency)) => Some((name, slug, zone, currency)),
            _ => None,
        };
        errors.or(checked)
    }
}

struct NetworkRow {
    url: String,
    id: String,
    name: String,
    status: &'static str,
    seats: String,
    links: String,
    clicks: String,
    conversions: String,
    created: String,
}

impl NetworkRow {
    fn new(Listed { network, usage }: Listed) -> Self {
        Self {
            url: urls::network(network.id),
            id: network.id.to_string(),
            status: network.status.as_str(),
            seats: format!("{} of {}", usage.seats, network.limits.max_seats),
            links: format!(
                "{} of {}",
                format::count(usage.links),
                format::count(network.limits.max_links.into())
            ),
            clicks: format::count(usage.clicks),
            conversions: format::count(usage.conversions),
            created: network.created_at.format("%Y-%m-%d").to_string(),
            name: network.name,
        }
    }
}

struct LogRow {
    at: String,
    author: String,
    address: String,
    action: String,
    about: String,
    detail: String,
}

#[derive(Template)]
#[template(path = "ops/list.html")]
struct List {
    theme: &'static str,
    person: String,
    form_token: String,
    fresh_link: Option<String>,
    tabs: Vec<Tab>,
    search: String,
    rows: Vec<NetworkRow>,
    older: Option<String>,
    form: NewForm,
    errors: FieldErrors,
}

#[derive(Template)]
#[template(path = "ops/show.html")]
struct Show {
    theme: &'static str,
    person: String,
    form_token: String,
    url: String,
    row: NetworkRow,
    limits: Limits,
    active: bool,
    closed: bool,
    reason: String,
    members: Vec<(String, String)>,
    errors: FieldErrors,
}

#[derive(Template)]
#[template(path = "ops/log.html")]
struct Log {
    theme: &'static str,
    person: String,
    rows: Vec<LogRow>,
    older: Option<String>,
}
