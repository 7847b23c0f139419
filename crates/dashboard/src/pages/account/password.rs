//! Password reset: requesting the mail, and choosing a new password with the link in it.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use schema::clock;
use tenancy::mailed_links::{self, Purpose};
use tenancy::{FieldErrors, OneTimeToken, check_password, mail_templates, people, sessions, unscoped};

use super::profile::note;
use crate::Dashboard;
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::page::PageRequest;
use crate::shell::{PageResult, html, html_with, see_other};

/// `GET /forgot`
pub(super) async fn ask(request: PageRequest) -> PageResult {
    html(&Forgot {
        theme: request.theme(),
        form_token: request.form_token(),
        asked: false,
    })
}

/// `POST /forgot`: mails a link to reset the password, or to sign in if the person has no password. The response is the
/// same whether or not the address has an account.
pub(super) async fn mail(request: PageRequest, form: PostedForm) -> PageResult {
    let address = request.address();
    let email = form.get("email").to_lowercase();
    // Counted apart from sign-ins, so that requesting mails cannot lock another person out.
    let allowed = request
        .dashboard
        .throttle
        .count(&format!("mail {email}"), address)
        .await;
    if allowed.is_ok() {
        let dashboard = request.dashboard.clone();
        // In a spawned task, so that the response time does not reveal that the account exists.
        actix_web::rt::spawn(async move {
            if let Err(error) = send(&dashboard, &email).await {
                tracing::error!(%error, "mail about a lost password not sent");
            }
        });
    }
    html(&Forgot {
        theme: request.theme(),
        form_token: request.form_token(),
        asked: true,
    })
}

async fn send(dashboard: &Dashboard, email: &str) -> Result<(), PageError> {
    let Some(known) = unscoped::credentials(&dashboard.db, email).await? else {
        return Ok(());
    };
    let purpose = match known.password_hash {
        Some(_) => Purpose::Reset,
        None => Purpose::SignIn,
    };
    let mut conn = dashboard.db.unscoped().await?;
    let token = mailed_links::create(&mut conn, known.person.id, purpose, clock::now()).await?;
    drop(conn);
    let mail = match purpose {
        Purpose::Reset => mail_templates::reset(&dashboard.dashboard_url, email, &token),
        Purpose::SignIn => mail_templates::sign_in_link(&dashboard.dashboard_url, email, &token),
    };
    dashboard.mailer.send(&mail).await;
    Ok(())
}

/// `GET /reset/{token}`
pub(super) async fn show_reset(request: PageRequest, token: web::Path<String>) -> PageResult {
    let token = OneTimeToken::from_link(&token);
    let mut conn = request.dashboard.db.unscoped().await?;
    let known = mailed_links::find(&mut conn, &token, Purpose::Reset, clock::now()).await?;
    known.ok_or(PageError::UsedLink)?;
    html(&Reset::new(&request, &token, FieldErrors::default()))
}

/// `POST /reset/{token}`: sets the new password and ends all sessions of the person.
pub(super) async fn reset(request: PageRequest, token: web::Path<String>, form: PostedForm) -> PageResult {
    let token = OneTimeToken::from_link(&token);
    let now = clock::now();
    let mut conn = request.dashboard.db.unscoped().await?;
    let person_id = mailed_links::find(&mut conn, &token, Purpose::Reset, now).await?;
    let person_id = person_id.ok_or(PageError::UsedLink)?;
    let person = people::find(&mut conn, person_id)
        .await?
        .ok_or(PageError::NotFound)?;
    drop(conn);
    let password = form.verbatim("password");
    if let Err(message) = check_password(password, &[&person.email, &person.name]) {
        let mut errors = FieldErrors::default();
        errors.add("password", message);
        let again = Reset::new(&request, &token, errors);
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    let hash = request.dashboard.passwords.hash(password).await?;
    let mut conn = request.dashboard.db.person(person_id).await?;
    let taken = mailed_links::take(&mut conn, &token, Purpose::Reset, now).await?;
    taken.ok_or(PageError::UsedLink)?;
    people::set_password(&mut conn, person_id, &hash).await?;
    sessions::end_others(&mut conn, person_id, None).await?;
    conn.commit().await?;
    request
        .dashboard
        .throttle
        .forgive(&format!("sign-in {}", person.email), None)
        .await;
    let author = request.author(&person);
    note(&request.dashboard, &author, &person, "person.reset_password").await?;
    see_other("/sign-in")
}

#[derive(Template)]
#[template(path = "account/password/forgot.html")]
struct Forgot {
    theme: &'static str,
    form_token: String,
    asked: bool,
}

#[derive(Template)]
#[template(path = "account/password/reset.html")]
struct Reset {
    theme: &'static str,
    form_token: String,
    action: String,
    errors: FieldErrors,
}

impl Reset {
    fn new(request: &PageRequest, token: &OneTimeToken, errors: FieldErrors) -> Self {
        Self {
            theme: request.theme(),
            form_token: request.form_token(),
            action: format!("/reset/{}", token.as_str()),
            errors,
        }
    }
}
