//! An invitation is accepted: by somebody new, with a password or, for an advertiser's developer, without one; or by
//! somebody who has an account.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use schema::{NetworkConn, clock};
use tenancy::invitations::{self, Invitation};
use tenancy::networks::{self, Network, NetworkStatus};
use tenancy::people::{self, NewPerson, Person};
use tenancy::{FieldErrors, OneTimeToken, RoleKind, check_name, check_password};

use super::sign_in::{Entrance, enter};
use crate::Dashboard;
use crate::auth::find_visit;
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::shell::{PageResult, page, page_with, theme};
use crate::urls;

/// `GET /invitations/{token}`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    token: web::Path<String>,
) -> PageResult {
    let token = OneTimeToken::from_link(&token);
    let (_conn, network, invitation) = find(&dashboard, &token).await?;
    let guest = Guest::of(&request, &dashboard, &invitation).await?;
    let form = (String::new(), FieldErrors::default());
    page(&Show::new(
        &request,
        &dashboard,
        &token,
        &network,
        &invitation,
        &guest,
        form,
    ))
}

/// `POST /invitations/{token}`: the membership, and a session under it.
pub(super) async fn accept(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    token: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let token = OneTimeToken::from_link(&token);
    let (conn, network, invitation) = find(&dashboard, &token).await?;
    // No transaction is held open while a password is hashed.
    drop(conn);
    let guest = Guest::of(&request, &dashboard, &invitation).await?;
    let now = clock::now();
    let (person, new) = match guest {
        Guest::Invited(person) => (Some(person), None),
        // Somebody who has an account proves to be that person first: the link alone must not sign them in.
        Guest::Known => {
            return Err(PageError::SignIn {
                wanted: format!("/invitations/{}", token.as_str()),
            });
        }
        Guest::New => {
            let (name, password) = (form.get("name"), form.verbatim("password"));
            let mut errors = FieldErrors::default();
            let checked = errors.take("name", check_name(name));
            let without_password =
                invitation.role.kind() == RoleKind::AdvertiserDeveloper && password.is_empty();
            if !without_password {
                errors.take("password", check_password(password, &[&invitation.email, name]));
            }
            let (Some(checked), true) = (checked, errors.is_empty()) else {
                let form = (name.to_owned(), errors);
                let again = Show::new(&request, &dashboard, &token, &network, &invitation, &guest, form);
                return page_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
            };
            let hash = match without_password {
                true => None,
                false => Some(dashboard.passwords.hash(password).await?),
            };
            (None, Some((checked, hash)))
        }
    };
    let mut conn = dashboard.db.network(network.id).await?;
    let person = match (person, new) {
        (Some(person), _) => person,
        (None, Some((name, hash))) => {
            let person = NewPerson {
                email: &invitation.email,
                name: &name,
                password: hash.as_ref(),
                is_operator: false,
            };
            people::create(&mut conn, &person, now).await?
        }
        (None, None) => return Err(PageError::NotFound),
    };
    let membership_id = invitations::accept(&mut conn, &invitation, person.id, &person.name, now).await?;
    conn.commit().await?;
    let entrance = Entrance {
        person,
        place: Some((network.id, membership_id)),
        awaits_second_factor: false,
    };
    enter(&request, &dashboard, entrance, "/").await
}

async fn find(
    dashboard: &Dashboard,
    token: &OneTimeToken,
) -> Result<(NetworkConn, Network, Invitation), PageError> {
    let network_id = token.network_id().ok_or(PageError::UsedLink)?;
    let mut conn = dashboard.db.network(network_id).await?;
    let invitation = invitations::by_token(&mut conn, token, clock::now()).await?;
    let invitation = invitation.ok_or(PageError::UsedLink)?;
    let network = networks::current(&mut conn).await?;
    match network.status {
        NetworkStatus::Closed => Err(PageError::UsedLink),
        _ => Ok((conn, network, invitation)),
    }
}

/// Who opened the link.
enum Guest {
    /// The invited person, signed in.
    Invited(Person),
    /// Somebody has the invited address, and is not signed in here.
    Known,
    /// Nobody has the invited address yet.
    New,
}

impl Guest {
    async fn of(
        request: &HttpRequest,
        dashboard: &Dashboard,
        invitation: &Invitation,
    ) -> Result<Self, PageError> {
        let mut conn = dashboard.db.unscoped().await?;
        let Some(known) = people::by_email(&mut conn, &invitation.email).await? else {
            return Ok(Self::New);
        };
        drop(conn);
        let visit = find_visit(request).await?;
        let is_here = visit.is_some_and(|visit| {
            visit.person.id == known.id
                && !visit.session.awaits_second_factor
                && visit.session.operator_reason.is_none()
        });
        // Whoever invites may have seen the link: it proves nothing about somebody who has an account.
        Ok(match is_here {
            true => Self::Invited(known),
            false => Self::Known,
        })
    }
}

#[derive(Template)]
#[template(path = "account/invitation/show.html")]
struct Show {
    theme: &'static str,
    form_token: String,
    action: String,
    network: String,
    role: &'static str,
    sentence: &'static str,
    party: Option<String>,
    email: String,
    is_new: bool,
    /// Where somebody who has an account signs in first.
    sign_in: Option<String>,
    password_optional: bool,
    name: String,
    errors: FieldErrors,
}

impl Show {
    fn new(
        request: &HttpRequest,
        dashboard: &Dashboard,
        token: &OneTimeToken,
        network: &Network,
        invitation: &Invitation,
        guest: &Guest,
        (name, errors): (String, FieldErrors),
    ) -> Self {
        let action = format!("/invitations/{}", token.as_str());
        let kind = invitation.role.kind();
        Self {
            theme: theme(request),
            form_token: dashboard.form_tokens.issue(dashboard, request),
            network: network.name.clone(),
            role: kind.label(),
            sentence: kind.sentence(),
            party: invitation.party.clone(),
            email: invitation.email.clone(),
            is_new: matches!(guest, Guest::New),
            sign_in: matches!(guest, Guest::Known).then(|| urls::sign_in(&action)),
            password_optional: kind == RoleKind::AdvertiserDeveloper,
            action,
            name,
            errors,
        }
    }
}
