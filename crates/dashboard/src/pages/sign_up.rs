//! A stranger signs a network up, and somebody who has an account makes another one.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use chrono::{DateTime, Utc};
use schema::{Currency, MembershipId, NetworkId, clock};
use tenancy::networks::{self, NewNetwork, check_slug, check_time_zone, slug_from};
use tenancy::people::{self, NewPerson, Person};
use tenancy::{
    Author, ChangeError, FieldErrors, PasswordHash, Role, Via, check_email, check_name, check_password,
    mail_templates, memberships, unscoped,
};
use tracking::intake::client_ip;

use super::sign_in::{Entrance, enter};
use crate::Dashboard;
use crate::auth::find_visit;
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::shell::{PageResult, page, page_with, theme};

/// `GET /sign-up`
pub(super) async fn show(request: HttpRequest, dashboard: web::Data<Dashboard>) -> PageResult {
    let known = known_person(&request, &dashboard).await?;
    let form = Form {
        currency: "EUR".to_owned(),
        time_zone: "Europe/Warsaw".to_owned(),
        ..Form::default()
    };
    page(&SignUp::new(
        &request,
        &dashboard,
        known.is_some(),
        form,
        FieldErrors::default(),
    ))
}

/// The person who is signed in already, if one is; nobody may come here where strangers may not sign up.
async fn known_person(request: &HttpRequest, dashboard: &Dashboard) -> Result<Option<Person>, PageError> {
    if !dashboard.allow_sign_up {
        return Err(PageError::NotFound);
    }
    let visit = find_visit(request).await?;
    Ok(visit
        .filter(|visit| !visit.session.awaits_second_factor && visit.session.operator_reason.is_none())
        .map(|visit| visit.person))
}

/// `POST /sign-up`: network, owner and session. An address that is known is told by mail only.
pub(super) async fn submit(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    form: PostedForm,
) -> PageResult {
    let known = known_person(&request, &dashboard).await?;
    let address = client_ip(request.head(), &dashboard.trusted_proxies);
    let form = Form::read(&form);
    let account = format!("sign-up {}", form.email);
    if dashboard.throttle.count(&account, address).await.is_err() {
        return Err(PageError::Refused(
            "Too many networks were signed up from your address. Try again in a quarter of an hour."
                .to_owned(),
        ));
    }
    let plan = match form.checked(known.is_none()) {
        Ok(plan) => plan,
        Err(ChangeError::Fields(errors)) => {
            return again(&request, &dashboard, known.is_some(), form, errors);
        }
        Err(error) => return Err(error.into()),
    };
    let hash = match &known {
        Some(_) => None,
        None => Some(dashboard.passwords.hash(&form.password).await?),
    };
    let author = Author {
        person_id: known.as_ref().map(|person| person.id),
        name: known
            .as_ref()
            .map_or_else(|| form.your_name.clone(), |person| person.name.clone()),
        via: Via::Page,
        address: address.map(Into::into),
    };
    match create(&dashboard, &author, known, &plan, hash.as_ref(), clock::now()).await {
        Ok((person, place)) => {
            let awaits_second_factor = false;
            let entrance = Entrance {
                person,
                place: Some(place),
                awaits_second_factor,
            };
            enter(&request, &dashboard, entrance, "/start").await
        }
        // Who has an account is told by mail, not to whoever asks.
        Err(Refused::KnownAddress) => {
            let mail = mail_templates::existing_account(&dashboard.dashboard_url, &form.email);
            dashboard.mailer.send(&mail).await;
            page_with(
                StatusCode::OK,
                &CheckMail {
                    theme: theme(&request),
                    email: form.email,
                },
            )
        }
        Err(Refused::Change(ChangeError::Fields(errors))) => again(&request, &dashboard, false, form, errors),
        Err(Refused::Change(error)) => Err(error.into()),
        Err(Refused::Page(error)) => Err(error),
    }
}

fn again(
    request: &HttpRequest,
    dashboard: &Dashboard,
    known: bool,
    form: Form,
    errors: FieldErrors,
) -> PageResult {
    page_with(
        StatusCode::UNPROCESSABLE_ENTITY,
        &SignUp::new(request, dashboard, known, form, errors),
    )
}

/// Why nothing was created.
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

/// Creates all of it in one transaction.
async fn create(
    dashboard: &Dashboard,
    author: &Author,
    known: Option<Person>,
    plan: &Plan,
    password: Option<&PasswordHash>,
    now: DateTime<Utc>,
) -> Result<(Person, (NetworkId, MembershipId)), Refused> {
    let network_id = unscoped::new_network_id(&mut *dashboard.db.unscoped().await?).await?;
    let mut conn = dashboard.db.network(network_id).await?;
    let network = NewNetwork {
        name: &plan.network,
        slug: &plan.slug,
        time_zone: plan.time_zone,
        currency: plan.currency,
    };
    // Before the address is looked at, so that what is wrong with the network says nothing of it.
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

/// The form as typed.
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

/// The same, checked.
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

    fn checked(&self, is_stranger: bool) -> Result<Plan, ChangeError> {
        let mut errors = FieldErrors::default();
        let network = errors.take("network", check_name(&self.network));
        let slug = errors.take("slug", check_slug(&self.slug));
        let time_zone = errors.take("time_zone", check_time_zone(&self.time_zone));
        let currency = errors.take("currency", self.currency.parse::<Currency>());
        let (your_name, email) = match is_stranger {
            true => {
                errors.take(
                    "password",
                    check_password(&self.password, &[&self.email, &self.your_name]),
                );
                (
                    errors.take("your_name", check_name(&self.your_name)),
                    errors.take("email", check_email(&self.email)),
                )
            }
            false => (Some(String::new()), Some(String::new())),
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
#[template(path = "sign_up/show.html")]
struct SignUp {
    theme: &'static str,
    form_token: String,
    is_stranger: bool,
    shared: String,
    form: Form,
    errors: FieldErrors,
}

impl SignUp {
    fn new(
        request: &HttpRequest,
        dashboard: &Dashboard,
        known: bool,
        form: Form,
        errors: FieldErrors,
    ) -> Self {
        Self {
            theme: theme(request),
            form_token: dashboard.form_tokens.issue(dashboard, request),
            is_stranger: !known,
            shared: dashboard.tracking_url.clone(),
            form,
            errors,
        }
    }
}

#[derive(Template)]
#[template(path = "sign_up/check_mail.html")]
struct CheckMail {
    theme: &'static str,
    email: String,
}
