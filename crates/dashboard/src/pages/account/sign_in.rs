//! Sign-in with a password, a code of two-factor authentication, or a link from a mail; and sign-out.

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use schema::{MembershipId, NetworkId, clock};
use tenancy::audit::{self, Change};
use tenancy::mailed_links::{self, Purpose};
use tenancy::people::{self, Person};
use tenancy::sessions::{self, NewSession, SessionToken};
use tenancy::{Author, OneTimeToken, THROTTLE_WINDOW, operators, two_factor, unscoped};

use crate::Dashboard;
use crate::auth::find_visit;
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::page::PageRequest;
use crate::shell::{PageResult, html, html_with, see_other, set_cookie};
use crate::urls;

const WRONG_CREDENTIALS: &str = "Incorrect email or password.";
const TOO_MANY_ATTEMPTS: &str = "Too many attempts. Try again in 15 minutes.";
const WRONG_CODE: &str = "Incorrect or used code. Enter the next code.";

/// `GET /sign-in`
pub(super) async fn show(
    request: PageRequest,
    query: web::Query<std::collections::HashMap<String, String>>,
) -> PageResult {
    let next = query.get("next").map_or("", String::as_str);
    html(&SignIn::new(&request, next, "", ""))
}

/// `POST /sign-in`: starts a new session. An unknown address and a wrong password get the same response.
pub(super) async fn submit(request: PageRequest, form: PostedForm) -> PageResult {
    let (email, next) = (form.get("email"), form.get("next"));
    let refuse = |status, refusal| html_with(status, &SignIn::new(&request, next, email, refusal));
    let address = request.address();
    // Each kind of attempt has a prefix, so that no typed address can collide with the counter of another kind.
    let dashboard = &request.dashboard;
    let device = dashboard
        .cookies
        .device_of(&request.http, &dashboard.secret, email);
    // Strangers can lock an account for strangers only.
    let (account, address) = match &device {
        Some(device) => (device.clone(), None),
        None => (format!("sign-in {email}"), address),
    };
    if dashboard.throttle.count(&account, address).await.is_err() {
        return Ok(retry_later(refuse(
            StatusCode::TOO_MANY_REQUESTS,
            TOO_MANY_ATTEMPTS,
        )?));
    }
    let known = unscoped::credentials(&request.dashboard.db, email).await?;
    let stored = known.as_ref().and_then(|known| known.password_hash.clone());
    // No connection is held while the password is hashed.
    let right = request
        .dashboard
        .passwords
        .verify(form.verbatim("password"), stored)
        .await?;
    match known {
        Some(known) if right => {
            request.dashboard.throttle.forgive(&account, address).await;
            let entrance = Entrance {
                place: unscoped::first_place(&request.dashboard.db, known.person.id).await?,
                person: known.person,
                awaits_second_factor: known.has_second_factor,
            };
            let mut response = enter(&request, entrance, urls::local(next)).await?;
            if device.is_none() {
                let known = dashboard.cookies.known_device(&dashboard.secret, email);
                set_cookie(&mut response, &known);
            }
            Ok(response)
        }
        known => {
            if let Some(known) = known {
                note_refusal(&request.dashboard, request.author(&known.person), known.person);
            }
            refuse(StatusCode::UNPROCESSABLE_ENTITY, WRONG_CREDENTIALS)
        }
    }
}

/// Records a refused sign-in in a spawned task, so that the response time does not reveal that the account exists.
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

fn retry_later(mut response: HttpResponse) -> HttpResponse {
    response
        .headers_mut()
        .insert(RETRY_AFTER, THROTTLE_WINDOW.as_secs().into());
    response
}

/// Person who has proved their identity, with the membership that the session starts under.
pub(crate) struct Entrance {
    pub(crate) person: Person,
    pub(crate) place: Option<(NetworkId, MembershipId)>,
    pub(crate) awaits_second_factor: bool,
}

/// Starts the session and records it; redirects to the code page if two-factor authentication is on, else to `next`. The
/// browser's previous session, if any, ends.
pub(crate) async fn enter(request: &PageRequest, entrance: Entrance, next: &str) -> PageResult {
    let token = start_session(request, &entrance).await?;
    let mut response = if entrance.awaits_second_factor {
        see_other(&urls::second_factor_code(next))?
    } else {
        note_entry(request, &entrance).await?;
        see_other(next)?
    };
    set_cookie(&mut response, &request.dashboard.cookies.start(&token));
    Ok(response)
}

async fn start_session(request: &PageRequest, entrance: &Entrance) -> Result<SessionToken, PageError> {
    let mut conn = request.dashboard.db.unscoped().await?;
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
        user_agent: request.user_agent(),
        address: request.address(),
    };
    if let Some(old) = request.dashboard.cookies.token(&request.http) {
        sessions::end(&mut conn, &old).await?;
    }
    Ok(sessions::start(&mut conn, &session, clock::now()).await?)
}

async fn note_entry(request: &PageRequest, entrance: &Entrance) -> Result<(), PageError> {
    if let Some((network_id, _)) = entrance.place {
        let author = request.author(&entrance.person);
        note(
            &request.dashboard,
            &author,
            &entrance.person,
            network_id,
            "session.start",
        )
        .await?;
    }
    if entrance.person.is_operator {
        let author = request.author(&entrance.person);
        let mut conn = request.dashboard.db.unscoped().await?;
        operators::record(&mut conn, &author, "session.start", None, "", clock::now()).await?;
    }
    Ok(())
}

/// Records the start or refusal of a session in the audit log of a network.
pub(crate) async fn note(
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

/// `GET /sign-in/code`: for a session that still needs the code of two-factor authentication.
pub(super) async fn ask_for_code(
    request: PageRequest,
    query: web::Query<std::collections::HashMap<String, String>>,
) -> PageResult {
    let next = query.get("next").map_or("", String::as_str);
    match awaiting(&request.http).await? {
        Some(_) => html(&Code::new(&request, next, "")),
        None => see_other("/sign-in"),
    }
}

/// Visit of a session that still needs a code. None for any other request.
async fn awaiting(request: &HttpRequest) -> Result<Option<unscoped::Visit>, PageError> {
    let visit = find_visit(request).await?;
    Ok(visit.filter(|visit| visit.session.awaits_second_factor))
}

/// `POST /sign-in/code`: accepts a code of the app or a recovery code, and replaces the session.
pub(super) async fn check_code(request: PageRequest, form: PostedForm) -> PageResult {
    let Some(visit) = awaiting(&request.http).await? else {
        return see_other("/sign-in");
    };
    let next = form.get("next");
    let address = request.address();
    // Six digits can be guessed: attempts are limited like those of passwords, with a counter per account.
    let account = format!("code {}", visit.person.email);
    if request.dashboard.throttle.count(&account, address).await.is_err() {
        let refusal = Code::new(&request, next, TOO_MANY_ATTEMPTS);
        return Ok(retry_later(html_with(StatusCode::TOO_MANY_REQUESTS, &refusal)?));
    }
    let now = clock::now();
    let mut conn = request.dashboard.db.unscoped().await?;
    let right = two_factor::use_code(
        &mut conn,
        &request.dashboard.secret,
        visit.person.id,
        form.get("code"),
        now,
    )
    .await?;
    drop(conn);
    if !right {
        let refusal = Code::new(&request, next, WRONG_CODE);
        return html_with(StatusCode::UNPROCESSABLE_ENTITY, &refusal);
    }
    request.dashboard.throttle.forgive(&account, address).await;
    let entrance = Entrance {
        place: visit.session.network_id.zip(visit.session.membership_id),
        person: visit.person,
        awaits_second_factor: false,
    };
    enter(&request, entrance, urls::local(next)).await
}

/// `GET /sign-in/link/{token}`: shows a button, because mail programs open links by themselves.
pub(super) async fn show_link(request: PageRequest, token: web::Path<String>) -> PageResult {
    let mut conn = request.dashboard.db.unscoped().await?;
    let token = OneTimeToken::from_link(&token);
    let known = mailed_links::find(&mut conn, &token, Purpose::SignIn, clock::now()).await?;
    known.ok_or(PageError::UsedLink)?;
    html(&Link {
        theme: request.theme(),
        form_token: request.form_token(),
        action: format!("/sign-in/link/{}", token.as_str()),
    })
}

/// `POST /sign-in/link/{token}`: starts a session for a person without a password.
pub(super) async fn use_link(
    request: PageRequest,
    token: web::Path<String>,
    _form: PostedForm,
) -> PageResult {
    let mut conn = request.dashboard.db.unscoped().await?;
    let token = OneTimeToken::from_link(&token);
    let person_id = mailed_links::take(&mut conn, &token, Purpose::SignIn, clock::now()).await?;
    let person_id = person_id.ok_or(PageError::UsedLink)?;
    let person = people::find(&mut conn, person_id)
        .await?
        .ok_or(PageError::NotFound)?;
    let awaits_second_factor = two_factor::state(&mut conn, person_id).await?.is_some();
    drop(conn);
    let entrance = Entrance {
        place: unscoped::first_place(&request.dashboard.db, person_id).await?,
        person,
        awaits_second_factor,
    };
    enter(&request, entrance, "/").await
}

/// `POST /sign-out`: ends the session in the database and removes its cookie.
pub(super) async fn sign_out(request: PageRequest, _form: PostedForm) -> PageResult {
    if let Some(token) = request.dashboard.cookies.token(&request.http) {
        let mut conn = request.dashboard.db.unscoped().await?;
        sessions::end(&mut conn, &token).await?;
    }
    let mut response = see_other("/sign-in")?;
    set_cookie(&mut response, &request.dashboard.cookies.end());
    Ok(response)
}

#[derive(Template)]
#[template(path = "account/sign_in/show.html")]
struct SignIn<'a> {
    form_token: String,
    theme: &'static str,
    next: &'a str,
    email: &'a str,
    refusal: &'static str,
    allow_sign_up: bool,
}

impl<'a> SignIn<'a> {
    fn new(request: &PageRequest, next: &'a str, email: &'a str, refusal: &'static str) -> Self {
        Self {
            form_token: request.form_token(),
            theme: request.theme(),
            next,
            email,
            refusal,
            allow_sign_up: request.dashboard.allow_sign_up,
        }
    }
}

#[derive(Template)]
#[template(path = "account/sign_in/code.html")]
struct Code<'a> {
    form_token: String,
    theme: &'static str,
    next: &'a str,
    refusal: &'static str,
}

impl<'a> Code<'a> {
    fn new(request: &PageRequest, next: &'a str, refusal: &'static str) -> Self {
        Self {
            form_token: request.form_token(),
            theme: request.theme(),
            next,
            refusal,
        }
    }
}

#[derive(Template)]
#[template(path = "account/sign_in/link.html")]
struct Link {
    theme: &'static str,
    form_token: String,
    action: String,
}
