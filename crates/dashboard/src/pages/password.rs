//! A password that was lost: a mail is asked for, and a new one chosen with the link in it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use schema::clock;
use tenancy::mailed_links::{self, Purpose};
use tenancy::{FieldErrors, OneTimeToken, check_password, mail_templates, people, sessions, unscoped};
use tracking::intake::client_ip;

use crate::Dashboard;
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::shell::{PageResult, page, page_with, see_other, theme};

/// `GET /forgot`
pub(super) async fn ask(request: HttpRequest, dashboard: web::Data<Dashboard>) -> PageResult {
    page(&Forgot {
        theme: theme(&request),
        form_token: dashboard.form_tokens.issue(&dashboard, &request),
        asked: false,
    })
}

/// `POST /forgot`: the answer is the same whoever has that address, and nothing is waited for. Somebody without a
/// password gets a link to sign in with instead.
pub(super) async fn mail(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    form: PostedForm,
) -> PageResult {
    let address = client_ip(request.head(), &dashboard.trusted_proxies);
    let email = form.get("email").to_lowercase();
    // Counted apart from sign-ins, so that nobody can lock somebody else out by asking for mails.
    let allowed = dashboard.throttle.count(&format!("mail {email}"), address).await;
    if allowed.is_ok() {
        let dashboard = dashboard.clone();
        // In a task of its own: how long it takes says nothing.
        actix_web::rt::spawn(async move {
            if let Err(error) = send(&dashboard, &email).await {
                tracing::error!(%error, "mail about a lost password not sent");
            }
        });
    }
    page(&Forgot {
        theme: theme(&request),
        form_token: dashboard.form_tokens.issue(&dashboard, &request),
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
pub(super) async fn show_reset(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    token: web::Path<String>,
) -> PageResult {
    let token = OneTimeToken::from_link(&token);
    let mut conn = dashboard.db.unscoped().await?;
    let known = mailed_links::find(&mut conn, &token, Purpose::Reset, clock::now()).await?;
    known.ok_or(PageError::UsedLink)?;
    page(&Reset::new(&request, &dashboard, &token, FieldErrors::default()))
}

/// `POST /reset/{token}`: the new password; whoever was signed in is signed out everywhere.
pub(super) async fn reset(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    token: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let token = OneTimeToken::from_link(&token);
    let now = clock::now();
    let mut conn = dashboard.db.unscoped().await?;
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
        let again = Reset::new(&request, &dashboard, &token, errors);
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    let hash = dashboard.passwords.hash(password).await?;
    let mut conn = dashboard.db.person(person_id).await?;
    let taken = mailed_links::take(&mut conn, &token, Purpose::Reset, now).await?;
    taken.ok_or(PageError::UsedLink)?;
    people::set_password(&mut conn, person_id, &hash).await?;
    sessions::end_others(&mut conn, person_id, None).await?;
    conn.commit().await?;
    dashboard
        .throttle
        .forgive(&format!("sign-in {}", person.email), None)
        .await;
    super::account::note(
        &dashboard,
        &super::sign_in::author(&request, &dashboard, &person),
        &person,
        "person.reset_password",
    )
    .await?;
    see_other("/sign-in")
}

#[derive(Template)]
#[template(path = "password/forgot.html")]
struct Forgot {
    theme: &'static str,
    form_token: String,
    asked: bool,
}

#[derive(Template)]
#[template(path = "password/reset.html")]
struct Reset {
    theme: &'static str,
    form_token: String,
    action: String,
    errors: FieldErrors,
}

impl Reset {
    fn new(request: &HttpRequest, dashboard: &Dashboard, token: &OneTimeToken, errors: FieldErrors) -> Self {
        Self {
            theme: theme(request),
            form_token: dashboard.form_tokens.issue(dashboard, request),
            action: format!("/reset/{}", token.as_str()),
            errors,
        }
    }
}
