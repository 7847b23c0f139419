//! Setup link that a new server prints: creates the first operator, once.

use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use schema::clock;
use tenancy::people::{self, NewPerson};
use tenancy::{ChangeError, FieldErrors, OneTimeToken, check_email, check_name, check_password, operators};

use super::sign_in::{Entrance, enter};
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::page::PageRequest;
use crate::shell::{PageResult, html, html_with};

/// `GET /setup/{token}`
pub(super) async fn show(request: PageRequest, token: web::Path<String>) -> PageResult {
    let token = check(&request, &token).await?;
    html(&Setup::new(&request, &token, ["", ""], FieldErrors::default()))
}

/// `POST /setup/{token}`
pub(super) async fn submit(request: PageRequest, token: web::Path<String>, form: PostedForm) -> PageResult {
    let token = check(&request, &token).await?;
    let typed = [form.get("name"), form.get("email")];
    let password = form.verbatim("password");
    let mut errors = FieldErrors::default();
    let name = errors.take("name", check_name(typed[0]));
    let email = errors.take("email", check_email(typed[1]));
    errors.take("password", check_password(password, &typed));
    let (Some(name), Some(email), true) = (name, email, errors.is_empty()) else {
        let again = Setup::new(&request, &token, typed, errors);
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
    };
    let hash = request.dashboard.passwords.hash(password).await?;
    let now = clock::now();
    // The token first: of two concurrent requests, the second waits for the first and finds the token used.
    let mut conn = request.dashboard.db.operator().await?;
    if !operators::take_setup_token(&mut conn, &token).await? {
        return Err(PageError::UsedLink);
    }
    let person = NewPerson {
        email: &email,
        name: &name,
        password: Some(&hash),
        is_operator: true,
    };
    let person = match people::create(&mut conn, &person, now).await {
        Ok(person) => person,
        Err(ChangeError::Fields(errors)) => {
            drop(conn);
            let again = Setup::new(&request, &token, typed, errors);
            return html_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
        }
        Err(error) => return Err(error.into()),
    };
    let author = request.author(&person);
    operators::record(&mut conn, &author, "operator.create", None, &person.email, now).await?;
    conn.commit().await?;
    let entrance = Entrance {
        person,
        place: None,
        awaits_second_factor: false,
    };
    enter(&request, entrance, "/ops").await
}

async fn check(request: &PageRequest, token: &str) -> Result<OneTimeToken, PageError> {
    let token = OneTimeToken::from_link(token);
    let mut conn = request.dashboard.db.unscoped().await?;
    if !operators::is_setup_token(&mut conn, &token).await? {
        return Err(PageError::UsedLink);
    }
    Ok(token)
}

#[derive(Template)]
#[template(path = "account/setup/show.html")]
struct Setup<'a> {
    theme: &'static str,
    form_token: String,
    action: String,
    name: &'a str,
    email: &'a str,
    errors: FieldErrors,
}

impl<'a> Setup<'a> {
    fn new(
        request: &PageRequest,
        token: &OneTimeToken,
        [name, email]: [&'a str; 2],
        errors: FieldErrors,
    ) -> Self {
        Self {
            theme: request.theme(),
            form_token: request.form_token(),
            action: format!("/setup/{}", token.as_str()),
            name,
            email,
            errors,
        }
    }
}
