//! The network's settings: its profile, and how affiliates join it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use schema::{Words, clock};
use tenancy::networks::{self, AutoApprove, Joining, Limits, Network, ProfileDraft};
use tenancy::{Access, ChangeError, FieldErrors, Permission, memberships, needs};

use crate::Dashboard;
use crate::auth::Allowed;
use crate::forms::{Choice, PostedForm};
use crate::shell::{PageResult, Shell, TimeCell, page_with, saved};

/// `GET /settings`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeNetwork>,
) -> PageResult {
    render(&request, &dashboard, &actor, None).await
}

/// `POST /settings`
pub(super) async fn update(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::ManageNetwork>,
    form: PostedForm,
) -> PageResult {
    let draft = ProfileDraft {
        name: form.get("name").to_owned(),
        slug: form.get("slug").to_owned(),
        time_zone: form.get("time_zone").to_owned(),
        currency: form.get("currency").to_owned(),
        tracking_hosts: Words::typed(form.get("tracking_hosts")).0,
        require_two_factor: form.ticked("require_two_factor"),
        require_tests: form.ticked("require_tests"),
        blocked_addresses: Words::typed(form.get("blocked_addresses")).0,
    };
    let mut conn = actor.network(&dashboard.db).await?;
    let outcome = match draft.checked() {
        Ok(profile) => {
            let (author, reserved) = (actor.author(), &dashboard.reserved_hosts);
            networks::update_profile(&mut conn, &author, &profile, reserved, clock::now()).await
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => {
            conn.commit().await?;
            saved("/settings")
        }
        Err(ChangeError::Fields(errors)) => {
            drop(conn);
            render(&request, &dashboard, &actor, Some((draft, errors))).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn render<P>(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Access<P>,
    typed: Option<(ProfileDraft, FieldErrors)>,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let profile = networks::profile(&mut conn).await?;
    let seats = memberships::seats_taken(&mut conn, clock::now()).await?;
    conn.commit().await?;
    let status = match &typed {
        None => StatusCode::OK,
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let slug = profile.slug.clone();
    let (draft, errors) = typed.unwrap_or_else(|| {
        let draft = ProfileDraft {
            name: profile.name,
            slug: profile.slug,
            time_zone: profile.time_zone.name().to_owned(),
            currency: profile.currency.to_string(),
            tracking_hosts: profile.tracking_hosts,
            require_two_factor: profile.require_two_factor,
            require_tests: profile.require_tests,
            blocked_addresses: profile.blocked_addresses,
        };
        (draft, FieldErrors::default())
    });
    page_with(
        status,
        &Show {
            shell: Shell::new(dashboard, request, actor, &network, "Settings", "Settings"),
            tabs: tabs(actor, "/settings"),
            slug_hint: format!(
                "{}/{slug} on the shared host. Changed, links and postback URLs with the old one stop working.",
                dashboard.tracking_url
            ),
            hosts: draft.tracking_hosts.join("\n"),
            blocked: draft.blocked_addresses.join("\n"),
            key: network.click_key.number,
            key_since: key_since(&network),
            limits: network.limits,
            seats,
            may_manage: actor.may(Permission::ManageNetwork),
            draft,
            errors,
        },
    )
}

/// `POST /settings/click-key`: signs click ids with the next key from in a moment on.
pub(super) async fn replace_click_key(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::ManageNetwork>,
    _form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    networks::replace_click_key(&mut conn, &actor.author(), clock::now()).await?;
    conn.commit().await?;
    saved("/settings")
}

/// Since when the key in use is; the first one always was.
fn key_since(network: &Network) -> Option<TimeCell> {
    let since = network.click_key.since;
    (network.click_key.number > 1).then(|| TimeCell::new(since, clock::now(), network))
}

/// The tabs of the settings: label, where it leads, whether it is the current one. Those that may not be opened are
/// left out.
pub(super) fn tabs<P>(actor: &Access<P>, current: &str) -> Vec<(&'static str, &'static str, bool)> {
    [
        ("Profile", "/settings", Permission::SeeNetwork),
        ("Joining", "/settings/joining", Permission::SeeNetwork),
        ("API keys", "/settings/keys", Permission::UseApi),
        ("Proof", "/settings/proof", Permission::SeeNetwork),
        ("Audit log", "/settings/audit", Permission::SeeAudit),
        ("Delete", "/settings/delete", Permission::DeleteNetwork),
    ]
    .into_iter()
    .filter(|(_, _, needed)| actor.may(*needed))
    .map(|(label, href, _)| (label, href, href == current))
    .collect()
}

/// `GET /settings/joining`
pub(super) async fn show_joining(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeNetwork>,
) -> PageResult {
    render_joining(&request, &dashboard, &actor, None).await
}

/// `POST /settings/joining`
pub(super) async fn update_joining(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::ManageNetwork>,
    form: PostedForm,
) -> PageResult {
    let typed = Joining {
        join_open: form.ticked("join_open"),
        join_greeting: form.get("join_greeting").to_owned(),
        join_questions: Words(lines(form.get("join_questions"))),
        auto_approve: form.get("auto_approve").parse().unwrap_or(AutoApprove::None),
        auto_approve_domains: Words::typed(form.get("auto_approve_domains")),
    };
    match typed.clone().checked() {
        Ok(joining) => {
            let mut conn = actor.network(&dashboard.db).await?;
            networks::update_joining(&mut conn, &actor.author(), &joining, clock::now()).await?;
            conn.commit().await?;
            saved("/settings/joining")
        }
        Err(ChangeError::Fields(errors)) => {
            render_joining(&request, &dashboard, &actor, Some((typed, errors))).await
        }
        Err(error) => Err(error.into()),
    }
}

/// A question may contain commas, so only line breaks part them.
fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

async fn render_joining<P>(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Access<P>,
    typed: Option<(Joining, FieldErrors)>,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let slug = networks::slug(&mut conn).await?;
    conn.commit().await?;
    let status = match &typed {
        None => StatusCode::OK,
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let (joining, errors) = typed.unwrap_or_else(|| (network.joining.clone(), FieldErrors::default()));
    let rules = [
        ("none", "None (manual review)"),
        ("listed", "Those from the e-mail domains below"),
        ("all", "All"),
    ];
    page_with(
        status,
        &ShowJoining {
            shell: Shell::new(dashboard, request, actor, &network, "Settings", "Joining"),
            tabs: tabs(actor, "/settings/joining"),
            page: format!("{}/join/{slug}", dashboard.dashboard_url),
            rules: Choice::list(rules, joining.auto_approve.as_str()),
            may_manage: actor.may(Permission::ManageNetwork),
            joining,
            errors,
        },
    )
}

#[derive(Template)]
#[template(path = "settings/show.html")]
struct Show {
    shell: Shell,
    tabs: Vec<(&'static str, &'static str, bool)>,
    slug_hint: String,
    hosts: String,
    blocked: String,
    key: i16,
    key_since: Option<TimeCell>,
    limits: Limits,
    seats: i64,
    may_manage: bool,
    draft: ProfileDraft,
    errors: FieldErrors,
}

#[derive(Template)]
#[template(path = "settings/joining.html")]
struct ShowJoining {
    shell: Shell,
    tabs: Vec<(&'static str, &'static str, bool)>,
    page: String,
    rules: Vec<Choice>,
    may_manage: bool,
    joining: Joining,
    errors: FieldErrors,
}
