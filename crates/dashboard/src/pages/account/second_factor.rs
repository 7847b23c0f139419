//! Two-factor authentication: setup, recovery codes, removal.

use actix_web::http::StatusCode;
use askama::Template;
use schema::clock;
use tenancy::FieldErrors;
use tenancy::two_factor::{self, Enrolment};

use super::profile::{check_current_password, note};
use crate::auth::SignedIn;
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::shell::{PageResult, Shell, done, html, html_with, see_other};

/// `GET /account/second-factor`
pub(super) async fn show(user: SignedIn) -> PageResult {
    user.in_person()?;
    let mut conn = user.request.dashboard.db.unscoped().await?;
    if two_factor::state(&mut conn, user.person.id).await?.is_some() {
        return see_other("/account");
    }
    html(&Enrol::new(&user, &Enrolment::fresh(), FieldErrors::default()).await?)
}

/// `POST /account/second-factor`: the first code proves that the app has the secret. The recovery codes are shown in this
/// response only.
pub(super) async fn confirm(user: SignedIn, form: PostedForm) -> PageResult {
    user.in_person()?;
    let person = &user.person;
    let sealed = form.get("enrolment");
    let Some(enrolment) = Enrolment::unsealed(sealed, &user.request.dashboard.secret, person.id) else {
        return see_other("/account/second-factor");
    };
    let mut errors = FieldErrors::default();
    if let Err(message) = check_current_password(&user, &form).await? {
        errors.add("present", message);
        let again = Enrol::new(&user, &enrolment, errors).await?;
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    let mut conn = user.request.dashboard.db.person(person.id).await?;
    let codes = enrolment
        .confirm(
            &mut conn,
            &user.request.dashboard.secret,
            person.id,
            form.get("code"),
            clock::now(),
        )
        .await?;
    conn.commit().await?;
    let Some(codes) = codes else {
        errors.add(
            "code",
            "Incorrect code. Check the clock of your phone and enter the next code.",
        );
        let again = Enrol::new(&user, &enrolment, errors).await?;
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
    };
    note(
        &user.request.dashboard,
        user.author(),
        person,
        "person.add_second_factor",
    )
    .await?;
    html(&Codes {
        shell: user.shell("Recovery codes").await?,
        codes,
    })
}

/// `POST /account/second-factor/remove`
pub(super) async fn remove(user: SignedIn, form: PostedForm) -> PageResult {
    user.in_person()?;
    if let Err(message) = check_current_password(&user, &form).await? {
        return Err(PageError::Refused(message.to_owned()));
    }
    // Otherwise a stolen password and an open session would be enough.
    let dashboard = &user.request.dashboard;
    let account = format!("code {}", user.person.email);
    let address = user.request.address();
    if dashboard.throttle.count(&account, address).await.is_err() {
        return Err(PageError::Refused(
            "Too many attempts. Try again in 15 minutes.".to_owned(),
        ));
    }
    let (person, code, now) = (user.person.id, form.get("code"), clock::now());
    let mut conn = dashboard.db.unscoped().await?;
    if !two_factor::use_code(&mut conn, &dashboard.secret, person, code, now).await? {
        let message = "Incorrect or used code. Enter the next code of your app, or a recovery code.";
        return Err(PageError::Refused(message.to_owned()));
    }
    drop(conn);
    dashboard.throttle.forgive(&account, address).await;
    let mut conn = dashboard.db.person(person).await?;
    two_factor::remove(&mut conn, user.person.id).await?;
    conn.commit().await?;
    note(
        &user.request.dashboard,
        user.author(),
        &user.person,
        "person.remove_second_factor",
    )
    .await?;
    done("/account", "Two-factor authentication is off.")
}

/// `POST /account/second-factor/recovery-codes`: replaces the recovery codes.
pub(super) async fn fresh_codes(user: SignedIn, form: PostedForm) -> PageResult {
    user.in_person()?;
    if let Err(message) = check_current_password(&user, &form).await? {
        return Err(PageError::Refused(message.to_owned()));
    }
    let mut conn = user.request.dashboard.db.person(user.person.id).await?;
    if two_factor::state(&mut conn, user.person.id).await?.is_none() {
        return see_other("/account/second-factor");
    }
    let codes = two_factor::fresh_recovery_codes(&mut conn, user.person.id).await?;
    conn.commit().await?;
    note(
        &user.request.dashboard,
        user.author(),
        &user.person,
        "person.fresh_recovery_codes",
    )
    .await?;
    html(&Codes {
        shell: user.shell("Recovery codes").await?,
        codes,
    })
}

#[derive(Template)]
#[template(path = "account/second_factor/show.html")]
struct Enrol {
    shell: Shell,
    sealed: String,
    picture: String,
    typed: String,
    required: bool,
    errors: FieldErrors,
}

impl Enrol {
    async fn new(user: &SignedIn, enrolment: &Enrolment, errors: FieldErrors) -> Result<Self, PageError> {
        Ok(Self {
            shell: user.shell("Two-factor authentication").await?,
            sealed: enrolment.sealed(&user.request.dashboard.secret, user.person.id),
            picture: enrolment.picture(&user.person.email),
            typed: enrolment.typed(),
            required: user.actor.as_ref().is_some_and(|actor| actor.lacks_second_factor),
            errors,
        })
    }
}

#[derive(Template)]
#[template(path = "account/second_factor/recovery_codes.html")]
struct Codes {
    shell: Shell,
    codes: Vec<String>,
}
