//! Signing in, with a password, a code of the second factor, or a link from a mail; and out.

use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, USER_AGENT};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use schema::{MembershipId, NetworkId, clock};
use tenancy::audit::{self, Change};
use tenancy::mailed_links::{self, Purpose};
use tenancy::people::{self, Person};
use tenancy::sessions::{self, NewSession, SessionToken};
use tenancy::{Author, OneTimeToken, THROTTLE_WINDOW, Via, operators, two_factor, unscoped};
use tracking::intake::client_ip;

use crate::Dashboard;
use crate::auth::find_visit;
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::shell::{PageResult, page, page_with, see_other, set_cookie, theme};

const WRONG: &str = "E-mail address and password do not belong together. Check both and try again.";
const TOO_MANY_TRIES: &str = "Too many tries. Wait a quarter of an hour and try again.";
const WRONG_CODE: &str =
    "This code is not the current one, or was used already. Wait for the next one and try again.";

/// `GET /sign-in`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    query: web::Query<std::collections::HashMap<String, String>>,
) -> PageResult {
    let next = query.get("next").map_or("", String::as_str);
    page(&SignIn::new(&request, &dashboard, next, "", ""))
}

/// `POST /sign-in`: a fresh session, whatever cookie was there before. What is wrong is not told apart.
pub(super) async fn submit(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    form: PostedForm,
) -> PageResult {
    let (email, next) = (form.get("email"), form.get("next"));
    let refuse =
        |status, refusal| page_with(status, &SignIn::new(&request, &dashboard, next, email, refusal));
    let address = client_ip(request.head(), &dashboard.trusted_proxies);
    // Each kind of try has a drawer of its own, which no address that somebody types can name.
    let account = format!("sign-in {email}");
    if dashboard.throttle.count(&account, address).await.is_err() {
        return Ok(later(refuse(StatusCode::TOO_MANY_REQUESTS, TOO_MANY_TRIES)?));
    }
    let known = unscoped::credentials(&dashboard.db, email).await?;
    let stored = known.as_ref().and_then(|it| it.password_hash.clone());
    // No connection is held while the password is hashed.
    let right = dashboard
        .passwords
        .verify(form.verbatim("password"), stored)
        .await?;
    match known {
        Some(known) if right => {
            dashboard.throttle.forgive(&account, address).await;
            let entrance = Entrance {
                place: unscoped::first_place(&dashboard.db, known.person.id).await?,
                person: known.person,
                awaits_second_factor: known.has_second_factor,
            };
            enter(&request, &dashboard, entrance, local(next)).await
        }
        known => {
            if let Some(known) = known {
                note_refusal(
                    &dashboard,
                    author(&request, &dashboard, &known.person),
                    known.person,
                );
            }
            refuse(StatusCode::UNPROCESSABLE_ENTITY, WRONG)
        }
    }
}

/// In a task of its own: how long it takes must not tell that there is somebody with this address.
fn note_refusal(dashboard: &web::Data<Dashboard>, author: Author, person: Person) {
    let dashboard = dashboard.clone();
    actix_web::rt::spawn(async move {
        let noted = async {
            let place = unscoped::first_place(&dashboard.db, person.id).await?;
            match place {
                Some((network_id, _)) => {
                    note(&dashboard, &author, &person, network_id, "session.refuse").await
                }
                None => Ok(()),
            }
        };
        if let Err(error) = noted.await {
            tracing::error!(%error, "refused sign-in not noted");
        }
    });
}

fn later(mut response: HttpResponse) -> HttpResponse {
    response
        .headers_mut()
        .insert(RETRY_AFTER, THROTTLE_WINDOW.as_secs().into());
    response
}

/// Somebody who has proved who they are, on the way in.
pub(super) struct Entrance {
    pub(super) person: Person,
    pub(super) place: Option<(NetworkId, MembershipId)>,
    pub(super) awaits_second_factor: bool,
}

/// Starts the session, notes it, and goes on: to the code where one is awaited, else to the page that was wanted. The
/// session that the browser had, if any, ends.
pub(super) async fn enter(
    request: &HttpRequest,
    dashboard: &Dashboard,
    entrance: Entrance,
    next: &str,
) -> PageResult {
    let token = start_session(request, dashboard, &entrance).await?;
    let mut response = if entrance.awaits_second_factor {
        see_other(&crate::urls::second_factor_code(next))?
    } else {
        note_entry(request, dashboard, &entrance).await?;
        see_other(next)?
    };
    set_cookie(&mut response, &dashboard.cookies.start(&token));
    Ok(response)
}

async fn start_session(
    request: &HttpRequest,
    dashboard: &Dashboard,
    entrance: &Entrance,
) -> Result<SessionToken, PageError> {
    let mut conn = dashboard.db.unscoped().await?;
    let has_password = people::password_hash(&mut conn, entrance.person.id)
        .await?
        .is_some();
    let session = NewSession {
        person_id: entrance.person.id,
        membership: entrance.place,
        operator_reason: None,
        awaits_second_factor: entrance.awaits_second_factor,
        without_password: !has_password,
        ends_at: None,
        user_agent: user_agent(request),
        address: client_ip(request.head(), &dashboard.trusted_proxies),
    };
    if let Some(old) = dashboard.cookies.token(request) {
        sessions::end(&mut conn, &old).await?;
    }
    Ok(sessions::start(&mut conn, &session, clock::now()).await?)
}

/// The browser, as it calls itself.
pub(super) fn user_agent(request: &HttpRequest) -> String {
    let value = request.headers().get(USER_AGENT);
    value.map_or_else(String::new, |value| {
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    })
}

async fn note_entry(
    request: &HttpRequest,
    dashboard: &Dashboard,
    entrance: &Entrance,
) -> Result<(), PageError> {
    if let Some((network_id, _)) = entrance.place {
        let author = author(request, dashboard, &entrance.person);
        note(dashboard, &author, &entrance.person, network_id, "session.start").await?;
    }
    if entrance.person.is_operator {
        let author = author(request, dashboard, &entrance.person);
        let mut conn = dashboard.db.unscoped().await?;
        operators::record(&mut conn, &author, "session.start", None, "", clock::now()).await?;
    }
    Ok(())
}

/// Notes in a network what a session of this person does there.
pub(super) async fn note(
    dashboard: &Dashboard,
    author: &Author,
    person: &Person,
    network_id: NetworkId,
    action: &'static str,
) -> Result<(), PageError> {
    let mut conn = dashboard.db.network(network_id).await?;
    let change = Change::noted(action, person.id, &person.email);
    audit::record(&mut conn, author, change, clock::now()).await?;
    Ok(conn.commit().await?)
}

/// Somebody who is not signed in yet, as the logs name them.
pub(super) fn author(request: &HttpRequest, dashboard: &Dashboard, person: &Person) -> Author {
    Author {
        person_id: Some(person.id),
        name: person.name.clone(),
        via: Via::Page,
        address: client_ip(request.head(), &dashboard.trusted_proxies).map(Into::into),
    }
}

/// `GET /sign-in/code`: for a session whose password was right.
pub(super) async fn ask_for_code(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    query: web::Query<std::collections::HashMap<String, String>>,
) -> PageResult {
    let next = query.get("next").map_or("", String::as_str);
    match awaiting(&request).await? {
        Some(_) => page(&Code::new(&request, &dashboard, next, "")),
        None => see_other("/sign-in"),
    }
}

/// The person whose code is awaited, if this request is theirs.
async fn awaiting(request: &HttpRequest) -> Result<Option<unscoped::Visit>, PageError> {
    let visit = find_visit(request).await?;
    Ok(visit.filter(|visit| visit.session.awaits_second_factor))
}

/// `POST /sign-in/code`: a code of the app, or a recovery code; then a session with a fresh token.
pub(super) async fn check_code(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    form: PostedForm,
) -> PageResult {
    let Some(visit) = awaiting(&request).await? else {
        return see_other("/sign-in");
    };
    let next = form.get("next");
    let address = client_ip(request.head(), &dashboard.trusted_proxies);
    // Six digits are quickly tried: they count like passwords, in a drawer of their own.
    let account = format!("code {}", visit.person.email);
    if dashboard.throttle.count(&account, address).await.is_err() {
        let refusal = Code::new(&request, &dashboard, next, TOO_MANY_TRIES);
        return Ok(later(page_with(StatusCode::TOO_MANY_REQUESTS, &refusal)?));
    }
    let now = clock::now();
    let mut conn = dashboard.db.unscoped().await?;
    let right = two_factor::use_code(
        &mut conn,
        &dashboard.secret,
        visit.person.id,
        form.get("code"),
        now,
    )
    .await?;
    drop(conn);
    if !right {
        let refusal = Code::new(&request, &dashboard, next, WRONG_CODE);
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, &refusal);
    }
    dashboard.throttle.forgive(&account, address).await;
    let entrance = Entrance {
        place: visit.session.network_id.zip(visit.session.membership_id),
        person: visit.person,
        awaits_second_factor: false,
    };
    enter(&request, &dashboard, entrance, local(next)).await
}

/// `GET /sign-in/link/{token}`: asks for a click, because mail programs open links by themselves.
pub(super) async fn show_link(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    token: web::Path<String>,
) -> PageResult {
    let mut conn = dashboard.db.unscoped().await?;
    let token = OneTimeToken::from_link(&token);
    let known = mailed_links::find(&mut conn, &token, Purpose::SignIn, clock::now()).await?;
    known.ok_or(PageError::UsedLink)?;
    page(&Link {
        theme: theme(&request),
        form_token: dashboard.form_tokens.issue(&dashboard, &request),
        action: format!("/sign-in/link/{}", token.as_str()),
    })
}

/// `POST /sign-in/link/{token}`: a session for somebody without a password.
pub(super) async fn use_link(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    token: web::Path<String>,
    _form: PostedForm,
) -> PageResult {
    let mut conn = dashboard.db.unscoped().await?;
    let token = OneTimeToken::from_link(&token);
    let person_id = mailed_links::take(&mut conn, &token, Purpose::SignIn, clock::now()).await?;
    let person_id = person_id.ok_or(PageError::UsedLink)?;
    let person = people::find(&mut conn, person_id)
        .await?
        .ok_or(PageError::NotFound)?;
    let awaits_second_factor = two_factor::state(&mut conn, person_id).await?.is_some();
    drop(conn);
    let entrance = Entrance {
        place: unscoped::first_place(&dashboard.db, person_id).await?,
        person,
        awaits_second_factor,
    };
    enter(&request, &dashboard, entrance, "/").await
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
    allow_sign_up: bool,
}

impl<'a> SignIn<'a> {
    fn new(
        request: &HttpRequest,
        dashboard: &Dashboard,
        next: &'a str,
        email: &'a str,
        refusal: &'static str,
    ) -> Self {
        Self {
            form_token: dashboard.form_tokens.issue(dashboard, request),
            theme: theme(request),
            next,
            email,
            refusal,
            allow_sign_up: dashboard.allow_sign_up,
        }
    }
}

#[derive(Template)]
#[template(path = "sign_in/code.html")]
struct Code<'a> {
    form_token: String,
    theme: &'static str,
    next: &'a str,
    refusal: &'static str,
}

impl<'a> Code<'a> {
    fn new(request: &HttpRequest, dashboard: &Dashboard, next: &'a str, refusal: &'static str) -> Self {
        Self {
            form_token: dashboard.form_tokens.issue(dashboard, request),
            theme: theme(request),
            next,
            refusal,
        }
    }
}

#[derive(Template)]
#[template(path = "sign_in/link.html")]
struct Link {
    theme: &'static str,
    form_token: String,
    action: String,
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
