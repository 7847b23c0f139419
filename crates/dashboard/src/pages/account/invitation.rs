//! Acceptance of an invitation: by a new person, with a password or, for an advertiser's developer, without; or by a
//! person who has an account.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use schema::clock;
use tenancy::invitations::{self, Invitation};
use tenancy::networks::{self, Network, NetworkStatus};
use tenancy::people::{self, NewPerson, Person};
use tenancy::{FieldErrors, OneTimeToken, PasswordHash, RoleKind, check_name, check_password};

use super::sign_in::{Entrance, enter};
use crate::auth::find_visit;
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::page::PageRequest;
use crate::shell::{PageResult, html, html_with};
use crate::urls;

/// `GET /invitations/{token}`
pub(super) async fn show(request: PageRequest, token: web::Path<String>) -> PageResult {
    let token = OneTimeToken::from_link(&token);
    let (network, invitation) = find(&request, &token).await?;
    let guest = Guest::of(&request, &invitation).await?;
    let form = (String::new(), FieldErrors::default());
    html(&Show::new(&request, &token, &network, &invitation, &guest, form))
}

/// `POST /invitations/{token}`: creates the membership, and a session under it.
pub(super) async fn accept(request: PageRequest, token: web::Path<String>, form: PostedForm) -> PageResult {
    let token = OneTimeToken::from_link(&token);
    let (network, invitation) = find(&request, &token).await?;
    let guest = Guest::of(&request, &invitation).await?;
    let invited = match guest {
        Guest::Invited(person) => Invited::Person(person),
        // A person with an account signs in first: the link alone must not sign them in.
        Guest::Known => {
            return Err(PageError::SignIn {
                wanted: format!("/invitations/{}", token.as_str()),
            });
        }
        Guest::New => match Invited::check(&request, &invitation, &form).await? {
            Ok(invited) => invited,
            Err(errors) => {
                let form = (form.get("name").to_owned(), errors);
                let again = Show::new(&request, &token, &network, &invitation, &guest, form);
                return html_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
            }
        },
    };
    let now = clock::now();
    let mut conn = request.dashboard.db.network(network.id).await?;
    let person = match invited {
        Invited::Person(person) => person,
        Invited::New { name, password } => {
            let person = NewPerson {
                email: &invitation.email,
                name: &name,
                password: password.as_ref(),
                is_operator: false,
            };
            people::create(&mut conn, &person, now).await?
        }
    };
    let membership_id = invitations::accept(&mut conn, &invitation, person.id, &person.name, now).await?;
    conn.commit().await?;
    let entrance = Entrance {
        person,
        place: Some((network.id, membership_id)),
        awaits_second_factor: false,
    };
    enter(&request, entrance, "/").await
}

/// Invitation of a link with its network. Returns no transaction: a password may be hashed before the next one.
async fn find(request: &PageRequest, token: &OneTimeToken) -> Result<(Network, Invitation), PageError> {
    let network_id = token.network_id().ok_or(PageError::UsedLink)?;
    let mut conn = request.dashboard.db.network(network_id).await?;
    let invitation = invitations::by_token(&mut conn, token, clock::now()).await?;
    let invitation = invitation.ok_or(PageError::UsedLink)?;
    let network = networks::current(&mut conn).await?;
    match network.status {
        NetworkStatus::Closed => Err(PageError::UsedLink),
        _ => Ok((network, invitation)),
    }
}

/// Person behind an accepted invitation.
enum Invited {
    Person(Person),
    /// Person to create. No password for a developer of an advertiser who left the field empty.
    New {
        name: String,
        password: Option<PasswordHash>,
    },
}

impl Invited {
    /// Checks the form of a new person and hashes the password.
    async fn check(
        request: &PageRequest,
        invitation: &Invitation,
        form: &PostedForm,
    ) -> Result<Result<Self, FieldErrors>, PageError> {
        let (name, password) = (form.get("name"), form.verbatim("password"));
        let mut errors = FieldErrors::default();
        let checked = errors.take("name", check_name(name));
        let without_password = invitation.role.kind() == RoleKind::AdvertiserDeveloper && password.is_empty();
        if !without_password {
            errors.take("password", check_password(password, &[&invitation.email, name]));
        }
        let (Some(name), true) = (checked, errors.is_empty()) else {
            return Ok(Err(errors));
        };
        let password = if without_password {
            None
        } else {
            Some(request.dashboard.passwords.hash(password).await?)
        };
        Ok(Ok(Self::New { name, password }))
    }
}

/// User who opened the link of an invitation.
enum Guest {
    /// The invited person, signed in.
    Invited(Person),
    /// The invited address has an account, and its person is not signed in here.
    Known,
    /// The invited address has no account.
    New,
}

impl Guest {
    async fn of(request: &PageRequest, invitation: &Invitation) -> Result<Self, PageError> {
        let mut conn = request.dashboard.db.unscoped().await?;
        let Some(known) = people::by_email(&mut conn, &invitation.email).await? else {
            return Ok(Self::New);
        };
        drop(conn);
        let visit = find_visit(&request.http).await?;
        let is_here = visit.is_some_and(|visit| {
            visit.person.id == known.id
                && !visit.session.awaits_second_factor
                && visit.session.operator_reason.is_none()
        });
        // The inviting user may have seen the link, so it does not identify a person who has an account.
        Ok(if is_here {
            Self::Invited(known)
        } else {
            Self::Known
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
    /// Sign-in page for a person who has an account.
    sign_in: Option<String>,
    password_optional: bool,
    name: String,
    errors: FieldErrors,
}

impl Show {
    fn new(
        request: &PageRequest,
        token: &OneTimeToken,
        network: &Network,
        invitation: &Invitation,
        guest: &Guest,
        (name, errors): (String, FieldErrors),
    ) -> Self {
        let action = format!("/invitations/{}", token.as_str());
        let kind = invitation.role.kind();
        Self {
            theme: request.theme(),
            form_token: request.form_token(),
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
