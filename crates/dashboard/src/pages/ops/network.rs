//! One network for operators: status, limits, impersonation of a member, erasure.

use actix_web::web;
use askama::Template;
use schema::{NetworkId, clock};
use tenancy::erasure::{self, EraseError};
use tenancy::impersonation::{self, NewImpersonation};
use tenancy::networks::{self, Limits, NetworkStatus};
use tenancy::operators::{self, Listed};
use tenancy::{ChangeError, FieldErrors};

use super::networks::NetworkRow;
use crate::auth::SignedIn;
use crate::error::PageError;
use crate::forms::{self, PostedForm};
use crate::pages::id;
use crate::shell::{PageResult, Shell, done, html_with, see_other, set_cookie};
use crate::{Dashboard, urls};

/// `GET /ops/networks/{id}`
pub(super) async fn show(user: SignedIn, path: web::Path<String>) -> PageResult {
    let network_id: NetworkId = id(&path)?;
    render(&user, network_id, FieldErrors::default()).await
}

async fn find(dashboard: &Dashboard, network_id: NetworkId) -> Result<Listed, PageError> {
    let found = operators::find_network(&dashboard.db, network_id, clock::now()).await?;
    found.ok_or(PageError::NotFound)
}

async fn render(user: &SignedIn, network_id: NetworkId, errors: FieldErrors) -> PageResult {
    let listed = find(&user.request.dashboard, network_id).await?;
    let members = operators::members(&user.request.dashboard.db, network_id).await?;
    let status = forms::status(&errors);
    html_with(
        status,
        &Show {
            shell: user.operator_shell("Networks", &listed.network.name),
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
pub(super) async fn set_status(user: SignedIn, path: web::Path<String>, form: PostedForm) -> PageResult {
    let network_id: NetworkId = id(&path)?;
    let network = find(&user.request.dashboard, network_id).await?.network;
    let (status, action) = match form.get("status") {
        "suspended" => (NetworkStatus::Suspended, "network.suspend"),
        "active" => (NetworkStatus::Active, "network.resume"),
        other => {
            let sentence = format!("status is “{other}”; allowed are active and suspended.");
            return Err(PageError::BadRequest(sentence));
        }
    };
    let reason = form.get("reason");
    if status == NetworkStatus::Suspended && reason.is_empty() {
        let mut errors = FieldErrors::default();
        errors.add("reason", "Required. Shown to the network's members.");
        return render(&user, network_id, errors).await;
    }
    let now = clock::now();
    let mut conn = user.request.dashboard.db.network(network_id).await?;
    networks::set_status(&mut conn, user.author(), status, reason, now).await?;
    operators::record(
        &mut conn,
        user.author(),
        action,
        Some((network_id, &network.name)),
        reason,
        now,
    )
    .await?;
    conn.commit().await?;
    done(&urls::network(network_id), "The status was changed.")
}

/// `POST /ops/networks/{id}/limits`
pub(super) async fn set_limits(user: SignedIn, path: web::Path<String>, form: PostedForm) -> PageResult {
    let network_id: NetworkId = id(&path)?;
    let network = find(&user.request.dashboard, network_id).await?.network;
    // A text that is no number becomes 0, which `set_limits` refuses under its field.
    let number = |field: &str| form.get(field).parse().unwrap_or(0);
    let limits = Limits {
        max_postbacks_per_second: number("max_postbacks_per_second"),
        max_seats: number("max_seats"),
        max_links: number("max_links"),
    };
    let now = clock::now();
    let mut conn = user.request.dashboard.db.network(network_id).await?;
    match networks::set_limits(&mut conn, user.author(), limits, now).await {
        Ok(()) => {}
        Err(ChangeError::Fields(errors)) => {
            drop(conn);
            return render(&user, network_id, errors).await;
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
        user.author(),
        "network.set_limits",
        about,
        &detail,
        now,
    )
    .await?;
    conn.commit().await?;
    done(&urls::network(network_id), "The limits were changed.")
}

/// `POST /ops/networks/{id}/act`: impersonates a member for an hour. The reason is recorded in the audit log and in the
/// operator log.
pub(super) async fn impersonate(user: SignedIn, path: web::Path<String>, form: PostedForm) -> PageResult {
    let network_id: NetworkId = id(&path)?;
    find(&user.request.dashboard, network_id).await?;
    let new = NewImpersonation {
        operator_id: user.person.id,
        session_id: user.session.id,
        membership_id: id(form.get("membership"))?,
        reason: form.get("why"),
        user_agent: user.request.user_agent(),
        address: user.request.address(),
    };
    let mut conn = user.request.dashboard.db.network(network_id).await?;
    let token = match impersonation::start(&mut conn, user.author(), new, clock::now()).await {
        Err(ChangeError::Fields(errors)) => {
            let mut shown = FieldErrors::default();
            shown.add("why", errors.of("reason"));
            return render(&user, network_id, shown).await;
        }
        started => started?,
    };
    conn.commit().await?;
    let mut response = see_other("/")?;
    set_cookie(&mut response, &user.request.dashboard.cookies.start(&token));
    Ok(response)
}

/// `POST /ops/networks/{id}/erase`: exports and erases a network that its owner deleted, if the erasure in the background
/// failed.
pub(super) async fn erase(user: SignedIn, path: web::Path<String>, _form: PostedForm) -> PageResult {
    let network_id: NetworkId = id(&path)?;
    let network = find(&user.request.dashboard, network_id).await?.network;
    if network.status != NetworkStatus::Closed {
        return Err(PageError::Conflict(
            "Only a network that its owner has deleted can be erased.".to_owned(),
        ));
    }
    let dashboard = &user.request.dashboard;
    let (db, folder, author) = (
        dashboard.db.clone(),
        dashboard.exports.clone(),
        user.author().clone(),
    );
    // In a task: a large network takes longer than a connection may wait.
    let erasing =
        async move { erasure::export_and_erase(&db, &folder, network_id, &author, clock::now()).await };
    let erased = tokio::spawn(erasing)
        .await
        .map_err(|error| PageError::Conflict(format!("The erasure ended early: {error}")))?;
    erased.map_err(|error| match error {
        EraseError::Db(error) => PageError::Db(error),
        other => PageError::Conflict(format!("Nothing was erased. {other}")),
    })?;
    done("/ops", "The network was exported and erased.")
}

#[derive(Template)]
#[template(path = "ops/network/show.html")]
struct Show {
    shell: Shell,
    url: String,
    row: NetworkRow,
    limits: Limits,
    active: bool,
    closed: bool,
    reason: String,
    members: Vec<(String, String)>,
    errors: FieldErrors,
}
