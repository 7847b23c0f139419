//! Sign-up of a network: by a new person, or by a signed-in person who creates another network.

use actix_web::http::StatusCode;
use askama::Template;
use chrono::{DateTime, Utc};
use schema::{Currency, MembershipId, NetworkId, clock};
use tenancy::networks::{self, NewNetwork, check_slug, check_time_zone, slug_from};
use tenancy::people::{self, NewPerson, Person};
use tenancy::{
    Author, ChangeError, FieldErrors, PasswordHash, Role, Via, check_email, check_name, check_password,
    mail_templates, memberships, unscoped,
};

use super::sign_in::{Entrance, enter};
use crate::auth::find_visit;
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::page::PageRequest;
use crate::shell::{PageResult, html, html_with};

/// `GET /sign-up`
pub(super) async fn show(request: PageRequest) -> PageResult {
    let known = known_person(&request).await?;
    let form = Form {
        currency: "EUR".to_owned(),
        time_zone: "Europe/Warsaw".to_owned(),
        ..Form::default()
    };
    html(&SignUp::new(
        &request,
        known.is_some(),
        form,
        FieldErrors::default(),
    ))
}

/// Signed-in person. None for a new person; not found if the installation does not allow sign-up.
async fn known_person(request: &PageRequest) -> Result<Option<Person>, PageError> {
    if !request.dashboard.allow_sign_up {
        return Err(PageError::NotFound);
    }
    let visit = find_visit(&request.http).await?;
    Ok(visit
        .filter(|visit| !visit.session.awaits_second_factor && visit.session.operator_reason.is_none())
        .map(|visit| visit.person))
}

/// `POST /sign-up`: creates network, owner and session. The owner of an address that has an account is notified by mail
/// only.
pub(super) async fn submit(request: PageRequest, form: PostedForm) -> PageResult {
    let known = known_person(&request).await?;
    let address = request.address();
    let form = Form::read(&form);
    let account = format!("sign-up {}", form.email);
    if request.dashboard.throttle.count(&account, address).await.is_err() {
        return Err(PageError::Refused(
            "Too many sign-ups from your address. Try again in 15 minutes.".to_owned(),
        ));
    }
    let plan = match form.checked(known.is_none()) {
        Ok(plan) => plan,
        Err(ChangeError::Fields(errors)) => {
            return again(&request, known.is_some(), form, errors);
        }
        Err(error) => return Err(error.into()),
    };
    let hash = match &known {
        Some(_) => None,
        None => Some(request.dashboard.passwords.hash(&form.password).await?),
    };
    let author = Author {
        person_id: known.as_ref().map(|person| person.id),
        name: known
            .as_ref()
            .map_or_else(|| form.your_name.clone(), |person| person.name.clone()),
        via: Via::Page,
        address: address.map(Into::into),
        scope: tenancy::Scope::default(),
    };
    match create(&request, &author, known, &plan, hash.as_ref(), clock::now()).await {
        Ok((person, place)) => {
            let entrance = Entrance {
                person,
                place: Some(place),
                awaits_second_factor: false,
            };
            enter(&request, entrance, "/start").await
        }
        // The response must not reveal that the address has an account.
        Err(Refused::KnownAddress) => {
            let mail = mail_templates::existing_account(&request.dashboard.dashboard_url, &form.email);
            request.dashboard.mailer.send(&mail).await;
            html(&CheckMail {
                theme: request.theme(),
                email: form.email,
            })
        }
        Err(Refused::Change(ChangeError::Fields(errors))) => again(&request, false, form, errors),
        Err(Refused::Change(error)) => Err(error.into()),
        Err(Refused::Page(error)) => Err(error),
    }
}

fn again(request: &PageRequest, known: bool, form: Form, errors: FieldErrors) -> PageResult {
    html_with(
        StatusCode::UNPROCESSABLE_ENTITY,
        &SignUp::new(request, known, form, errors),
    )
}

/// Reason why nothing was created.
enum Refused {
    KnownAddress,
    Change(ChangeError),
    Page(PageError),
}

impl<E: Into<PageError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Page(error.into())
    }
}

/// Creates network, person and membership in one transaction.
async fn create(
    request: &PageRequest,
    author: &Author,
    known: Option<Person>,
    plan: &Plan,
    password: Option<&PasswordHash>,
    now: DateTime<Utc>,
) -> Result<(Person, (NetworkId, MembershipId)), Refused> {
    let network_id = unscoped::new_network_id(&mut *request.dashboard.db.unscoped().await?).await?;
    let mut conn = request.dashboard.db.network(network_id).await?;
    let network = NewNetwork {
        name: &plan.network,
        slug: &plan.slug,
        time_zone: plan.time_zone,
        currency: plan.currency,
    };
    // Before the address is looked up, so that errors of the network reveal nothing about the address.
    networks::create(&mut conn, author, &network, now)
        .await
        .map_err(Refused::Change)?;
    let person = match known {
        Some(person) => person,
        None => {
            let person = NewPerson {
                email: &plan.email,
                name: &plan.your_name,
                password,
                is_operator: false,
            };
            match people::create(&mut conn, &person, now).await {
                Ok(person) => person,
                Err(ChangeError::Fields(_)) => return Err(Refused::KnownAddress),
                Err(error) => return Err(Refused::Change(error)),
            }
        }
    };
    let membership_id = memberships::give(&mut conn, author, person.id, Role::Owner, now).await?;
    conn.commit().await?;
    Ok((person, (network_id, membership_id)))
}

/// Input of the form, before checks.
#[derive(Default)]
struct Form {
    network: String,
    slug: String,
    your_name: String,
    email: String,
    password: String,
    time_zone: String,
    currency: String,
}

/// Checked input.
struct Plan {
    network: String,
    slug: String,
    your_name: String,
    email: String,
    time_zone: chrono_tz::Tz,
    currency: Currency,
}

impl Form {
    fn read(form: &PostedForm) -> Self {
        let network = form.get("network").to_owned();
        let slug = match form.get("slug") {
            "" => slug_from(&network),
            typed => typed.to_owned(),
        };
        Self {
            slug,
            network,
            your_name: form.get("your_name").to_owned(),
            email: form.get("email").to_lowercase(),
            password: form.verbatim("password").to_owned(),
            time_zone: form.get("time_zone").to_owned(),
            currency: form.get("currency").to_owned(),
        }
    }

    fn checked(&self, is_new_person: bool) -> Result<Plan, ChangeError> {
        let mut errors = FieldErrors::default();
        let network = errors.take("network", check_name(&self.network));
        let slug = errors.take("slug", check_slug(&self.slug));
        let time_zone = errors.take("time_zone", check_time_zone(&self.time_zone));
        let currency = errors.take("currency", self.currency.parse::<Currency>());
        let (your_name, email) = if is_new_person {
            errors.take(
                "password",
                check_password(&self.password, &[&self.email, &self.your_name]),
            );
            (
                errors.take("your_name", check_name(&self.your_name)),
                errors.take("email", check_email(&self.email)),
            )
        } else {
            (Some(String::new()), Some(String::new()))
        };
        let plan = match (network, slug, time_zone, currency, your_name, email) {
            (Some(network), Some(slug), Some(time_zone), Some(currency), Some(your_name), Some(email)) => {
                Some(Plan {
                    network,
                    slug,
                    your_name,
                    email,
                    time_zone,
                    currency,
                })
            }
            _ => None,
        };
        errors.or(plan)
    }
}

#[derive(Template)]
#[template(path = "account/sign_up/show.html")]
struct SignUp {
    theme: &'static str,
    form_token: String,
    is_stranger: bool,
    shared: String,
    form: Form,
    errors: FieldErrors,
}

impl SignUp {
    fn new(request: &PageRequest, known: bool, form: Form, errors: FieldErrors) -> Self {
        Self {
            theme: request.theme(),
            form_token: request.form_token(),
            is_stranger: !known,
            shared: request.dashboard.tracking_url.clone(),
            form,
            errors,
        }
    }
}

#[derive(Template)]
#[template(path = "account/sign_up/check_mail.html")]
struct CheckMail {
    theme: &'static str,
    email: String,
}
