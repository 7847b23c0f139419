//! Setting the second factor up, and taking it away.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use schema::clock;
use tenancy::FieldErrors;
use tenancy::two_factor::{self, Enrolment};

use super::account::{note, prove};
use crate::Dashboard;
use crate::auth::SignedIn;
use crate::forms::PostedForm;
use crate::shell::{PageResult, page, page_with, see_other, theme};

/// `GET /account/second-factor`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    visitor: SignedIn,
) -> PageResult {
    visitor.in_person()?;
    let mut conn = dashboard.db.unscoped().await?;
    if two_factor::state(&mut conn, visitor.person.id).await?.is_some() {
        return see_other("/account");
    }
    page(&Enrol::new(
        &request,
        &dashboard,
        &visitor,
        &Enrolment::fresh(),
        FieldErrors::default(),
    ))
}

/// `POST /account/second-factor`: the first code shows that the app has the secret. The recovery codes are in the
/// answer, and nowhere else ever again.
pub(super) async fn confirm(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    visitor: SignedIn,
    form: PostedForm,
) -> PageResult {
    visitor.in_person()?;
    let person = &visitor.person;
    let sealed = form.get("enrolment");
    let Some(enrolment) = Enrolment::unsealed(sealed, &dashboard.secret, person.id) else {
        return see_other("/account/second-factor");
    };
    let mut errors = FieldErrors::default();
    if let Err(message) = prove(&request, &dashboard, &visitor, &form).await? {
        errors.add("present", message);
        let again = Enrol::new(&request, &dashboard, &visitor, &enrolment, errors);
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    let mut conn = dashboard.db.person(person.id).await?;
    let codes = enrolment
        .confirm(
            &mut conn,
            &dashboard.secret,
            person.id,
            form.get("code"),
            clock::now(),
        )
        .await?;
    conn.commit().await?;
    let Some(codes) = codes else {
        errors.add(
            "code",
            "This is not the app's current code. Check the clock of your phone and try the next one.",
        );
        let again = Enrol::new(&request, &dashboard, &visitor, &enrolment, errors);
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
    };
    note(&dashboard, visitor.author(), person, "person.add_second_factor").await?;
    page(&Codes {
        theme: theme(&request),
        codes,
    })
}

/// `POST /account/second-factor/remove`
pub(super) async fn remove(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    visitor: SignedIn,
    form: PostedForm,
) -> PageResult {
    visitor.in_person()?;
    if let Err(message) = prove(&request, &dashboard, &visitor, &form).await? {
        return Err(crate::error::PageError::Refused(message.to_owned()));
    }
    let mut conn = dashboard.db.person(visitor.person.id).await?;
    two_factor::remove(&mut conn, visitor.person.id).await?;
    conn.commit().await?;
    note(
        &dashboard,
        visitor.author(),
        &visitor.person,
        "person.remove_second_factor",
    )
    .await?;
    see_other("/account")
}

/// `POST /account/second-factor/recovery-codes`: fresh ones; those before stop working.
pub(super) async fn fresh_codes(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    visitor: SignedIn,
    form: PostedForm,
) -> PageResult {
    visitor.in_person()?;
    if let Err(message) = prove(&request, &dashboard, &visitor, &form).await? {
        return Err(crate::error::PageError::Refused(message.to_owned()));
    }
    let mut conn = dashboard.db.person(visitor.person.id).await?;
    if two_factor::state(&mut conn, visitor.person.id).await?.is_none() {
        return see_other("/account/second-factor");
    }
    let codes = two_factor::fresh_recovery_codes(&mut conn, visitor.person.id).await?;
    conn.commit().await?;
    note(
        &dashboard,
        visitor.author(),
        &visitor.person,
        "person.fresh_recovery_codes",
    )
    .await?;
    page(&Codes {
        theme: theme(&request),
        codes,
    })
}

#[derive(Template)]
#[template(path = "account/second_factor.html")]
struct Enrol {
    theme: &'static str,
    form_token: String,
    sealed: String,
    picture: String,
    typed: String,
    required: bool,
    errors: FieldErrors,
}

impl Enrol {
    fn new(
        request: &HttpRequest,
        dashboard: &Dashboard,
        visitor: &SignedIn,
        enrolment: &Enrolment,
        errors: FieldErrors,
    ) -> Self {
        Self {
            theme: theme(request),
            form_token: dashboard.form_tokens.issue(dashboard, request),
            sealed: enrolment.sealed(&dashboard.secret, visitor.person.id),
            picture: enrolment.picture(&visitor.person.email),
            typed: enrolment.typed(),
            required: visitor
                .actor
                .as_ref()
                .is_some_and(|actor| actor.lacks_second_factor),
            errors,
        }
    }
}

#[derive(Template)]
#[template(path = "account/recovery_codes.html")]
struct Codes {
    theme: &'static str,
    codes: Vec<String>,
}
