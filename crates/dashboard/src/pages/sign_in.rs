//! Signing in and out.

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use schema::clock;
use tenancy::{THROTTLE_WINDOW, sessions, unscoped};
use tracking::intake::client_ip;

use crate::Dashboard;
use crate::forms::PostedForm;
use crate::shell::{PageResult, page, page_with, see_other, theme};

const WRONG: &str = "E-mail address and password do not belong together. Check both and try again.";
const TOO_MANY_TRIES: &str = "Too many tries. Wait a quarter of an hour and try again.";

/// `GET /sign-in`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    query: web::Query<std::collections::HashMap<String, String>>,
) -> PageResult {
    let next = query.get("next").map_or("", String::as_str);
    page(&SignIn {
        form_token: dashboard.form_tokens.issue(&dashboard, &request),
        theme: theme(&request),
        next,
        email: "",
        refusal: "",
    })
}

/// `POST /sign-in`: a fresh session, whatever cookie was there before. What is wrong is not told apart.
pub(super) async fn submit(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    form: PostedForm,
) -> PageResult {
    let (email, next) = (form.get("email"), form.get("next"));
    let refuse = |status: StatusCode, refusal: &'static str| {
        let form_token = dashboard.form_tokens.issue(&dashboard, &request);
        page_with(
            status,
            &SignIn {
                form_token,
                theme: theme(&request),
                next,
                email,
                refusal,
            },
        )
    };
    let address = client_ip(&request, &dashboard.trusted_proxies);
    if dashboard.throttle.count(email, address).await.is_err() {
        let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, TOO_MANY_TRIES)?;
        response
            .headers_mut()
            .insert(RETRY_AFTER, THROTTLE_WINDOW.as_secs().into());
        return Ok(response);
    }
    let (stored, membership) = unscoped::credentials(&dashboard.db, email)
        .await?
        .map(|known| (known.password_hash, (known.network_id, known.membership_id)))
        .unzip();
    // No connection is held while the password is hashed.
    let right = dashboard
        .passwords
        .verify(form.verbatim("password"), stored)
        .await?;
    let Some((network_id, membership_id)) = membership.filter(|_| right) else {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, WRONG);
    };
    dashboard.throttle.forgive(email).await;
    let mut conn = dashboard.db.unscoped().await?;
    let token = sessions::start(&mut conn, network_id, membership_id, clock::now()).await?;
    let mut response = see_other(local(next))?;
    set_cookie(&mut response, &dashboard.cookies.start(&token));
    Ok(response)
}

/// `POST /sign-out`: the session ends here and in the database.
pub(super) async fn sign_out(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    _form: PostedForm,
) -> PageResult {
    if let Some(token) = dashboard.cookies.token(&request) {
        let mut conn = dashboard.db.unscoped().await?;
        sessions::end(&mut conn, &token).await?;
    }
    let mut response = see_other("/sign-in")?;
    set_cookie(&mut response, &dashboard.cookies.end());
    Ok(response)
}

/// Adds a cookie. Ours hold letters and digits only, which every header takes.
pub(super) fn set_cookie(response: &mut HttpResponse, cookie: &actix_web::cookie::Cookie<'_>) {
    if let Err(error) = response.add_cookie(cookie) {
        tracing::error!(%error, "cookie not set");
    }
}

/// A path of this site, or home: a link to the sign-in page must not send people elsewhere afterwards.
pub(super) fn local(wanted: &str) -> &str {
    let mut first = wanted.bytes();
    let local = first.next() == Some(b'/') && !matches!(first.next(), Some(b'/' | b'\\'));
    if local && wanted.bytes().all(|byte| byte.is_ascii_graphic()) {
        wanted
    } else {
        "/"
    }
}

#[derive(Template)]
#[template(path = "sign_in/show.html")]
struct SignIn<'a> {
    form_token: String,
    theme: &'static str,
    next: &'a str,
    email: &'a str,
    refusal: &'static str,
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn only_a_path_of_this_site_is_followed() {
        assert_eq!(local("/reports?from=2026-11-01"), "/reports?from=2026-11-01");
        for elsewhere in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil",
            "javascript:x",
            "/a\r\nX: 1",
        ] {
            assert_eq!(local(elsewhere), "/", "{elsewhere:?}");
        }
    }
}
