//! One's own account: name, password, where one is signed in, and for which networks one works.

use actix_web::{HttpRequest, web};
use askama::Template;
use schema::{MembershipId, NetworkId, SessionId, clock};
use tenancy::audit::{self, Change};
use tenancy::people::{self, Person};
use tenancy::sessions::{self, NewSession};
use tenancy::{
    Author, FieldErrors, check_name, check_password, impersonation, operators, two_factor, unscoped,
};
use tracking::intake::client_ip;

use super::id;
use super::sign_in::{self, user_agent};
use crate::Dashboard;
use crate::auth::SignedIn;
use crate::error::PageError;
use crate::format;
use crate::forms::{self, PostedForm};
use crate::shell::{PageResult, page_with, see_other, set_cookie, theme};

const HOME: &str = "/account";

/// Notes what a person did with their own account, in every network they work for.
pub(super) async fn note(
    dashboard: &Dashboard,
    author: &Author,
    person: &Person,
    action: &'static str,
) -> Result<(), PageError> {
    let now = clock::now();
    for place in unscoped::places(&dashboard.db, person.id).await? {
        let mut conn = dashboard.db.network(place.network_id).await?;
        let change = Change::noted(action, person.id, &person.email);
        audit::record(&mut conn, author, change, now).await?;
        conn.commit().await?;
    }
    if person.is_operator {
        let mut conn = dashboard.db.unscoped().await?;
        operators::record(&mut conn, author, action, None, "", now).await?;
    }
    Ok(())
}

/// `GET /account`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    visitor: SignedIn,
) -> PageResult {
    render(&request, &dashboard, &visitor, FieldErrors::default()).await
}

async fn render(
    request: &HttpRequest,
    dashboard: &Dashboard,
    visitor: &SignedIn,
    errors: FieldErrors,
) -> PageResult {
    let now = clock::now();
    let places = unscoped::places(&dashboard.db, visitor.person.id).await?;
    let mut conn = dashboard.db.unscoped().await?;
    let open = sessions::of_person(&mut conn, visitor.person.id, now).await?;
    let codes_left = two_factor::state(&mut conn, visitor.person.id).await?;
    let has_password = people::password_hash(&mut conn, visitor.person.id)
        .await?
        .is_some();
    drop(conn);
    let status = forms::status(&errors);
    let current = visitor.session.membership_id;
    let acting = visitor.session.operator_reason.is_some();
    page_with(
        status,
        &Account {
            theme: theme(request),
            form_token: dashboard.form_tokens.issue(dashboard, request),
            name: visitor.person.name.clone(),
            email: visitor.person.email.clone(),
            is_operator: visitor.person.is_operator && !acting,
            acting,
            has_password,
            codes_left,
            must_have_second_factor: visitor
                .actor
                .as_ref()
                .is_some_and(|actor| actor.lacks_second_factor),
            in_network: visitor.actor.is_some(),
            allow_sign_up: dashboard.allow_sign_up,
            places: places
                .into_iter()
                .map(|place| PlaceRow {
                    id: place.membership_id.to_string(),
                    current: Some(place.membership_id) == current && !acting,
                    network: place.network,
                    role: place.role,
                    party: place.party.unwrap_or_default(),
                })
                .collect(),
            sessions: open
                .into_iter()
                .map(|session| SessionRow {
                    id: session.id.to_string(),
                    current: session.id == visitor.session.id,
                    browser: browser(&session.user_agent),
                    address: session
                        .remote_ip
                        .map_or_else(String::new, |ip| ip.addr().to_string()),
                    since: format::minute(session.created_at),
                    seen: format::minute(session.seen_at),
                })
                .collect(),
            errors,
        },
    )
}

/// The part of a browser's name for itself that people recognise.
fn browser(user_agent: &str) -> String {
    let known = ["Edg/", "OPR/", "Firefox/", "Chrome/", "Safari/", "curl/"];
    let names = ["Edge", "Opera", "Firefox", "Chrome", "Safari", "curl"];
    let systems = ["Windows", "Android", "iPhone", "iPad", "Mac OS X", "Linux"];
    let browser = known
        .iter()
        .zip(names)
        .find(|(mark, _)| user_agent.contains(*mark));
    let system = systems.iter().find(|name| user_agent.contains(*name));
    match (browser, system) {
        (Some((_, browser)), Some(system)) => format!("{browser} on {system}"),
        (Some((_, browser)), None) => browser.to_owned(),
        _ if user_agent.is_empty() => "Unknown".to_owned(),
        _ => user_agent.chars().take(40).collect(),
    }
}

/// `POST /account/name`
pub(super) async fn rename(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    visitor: SignedIn,
    form: PostedForm,
) -> PageResult {
    visitor.in_person()?;
    let mut errors = FieldErrors::default();
    let Some(name) = errors.take("name", check_name(form.get("name"))) else {
        return render(&request, &dashboard, &visitor, errors).await;
    };
    let mut conn = dashboard.db.unscoped().await?;
    people::rename(&mut conn, visitor.person.id, &name).await?;
    drop(conn);
    note(&dashboard, visitor.author(), &visitor.person, "person.rename").await?;
    see_other(HOME)
}

/// `POST /account/password`: needs the present one; everyone else who is signed in as this person is signed out.
pub(super) async fn change_password(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    visitor: SignedIn,
    form: PostedForm,
) -> PageResult {
    visitor.in_person()?;
    let person = &visitor.person;
    let mut errors = FieldErrors::default();
    errors.take(
        "password",
        check_password(form.verbatim("password"), &[&person.email, &person.name]),
    );
    if let Err(message) = prove(&request, &dashboard, &visitor, &form).await? {
        errors.add("present", message);
    }
    if !errors.is_empty() {
        return render(&request, &dashboard, &visitor, errors).await;
    }
    let hash = dashboard.passwords.hash(form.verbatim("password")).await?;
    let mut conn = dashboard.db.person(person.id).await?;
    people::set_password(&mut conn, person.id, &hash).await?;
    sessions::end_others(&mut conn, person.id, Some(visitor.session.id)).await?;
    conn.commit().await?;
    note(&dashboard, visitor.author(), person, "person.change_password").await?;
    see_other(HOME)
}

/// Whether the field `present` is the person's password; somebody without one proves it by being signed in. Tries are
/// counted like those of signing in.
pub(super) async fn prove(
    request: &HttpRequest,
    dashboard: &Dashboard,
    visitor: &SignedIn,
    form: &PostedForm,
) -> Result<Result<(), &'static str>, PageError> {
    let mut conn = dashboard.db.unscoped().await?;
    let stored = people::password_hash(&mut conn, visitor.person.id).await?;
    drop(conn);
    if stored.is_none() {
        return Ok(Ok(()));
    }
    let address = client_ip(request.head(), &dashboard.trusted_proxies);
    let account = format!("present {}", visitor.person.email);
    if dashboard.throttle.count(&account, address).await.is_err() {
        return Ok(Err("Too many tries. Wait a quarter of an hour and try again."));
    }
    let right = dashboard
        .passwords
        .verify(form.verbatim("present"), stored)
        .await?;
    if !right {
        return Ok(Err("This is not your present password."));
    }
    dashboard.throttle.forgive(&account, address).await;
    Ok(Ok(()))
}

/// `POST /account/sessions/{id}/end`
pub(super) async fn end_session(
    dashboard: web::Data<Dashboard>,
    visitor: SignedIn,
    path: web::Path<String>,
    _form: PostedForm,
) -> PageResult {
    let session_id: SessionId = id(&path)?;
    let mut conn = dashboard.db.unscoped().await?;
    match sessions::end_one(&mut conn, visitor.person.id, session_id).await? {
        true => see_other(HOME),
        false => Err(PageError::NotFound),
    }
}

/// `POST /account/sessions/end-others`
pub(super) async fn end_others(
    dashboard: web::Data<Dashboard>,
    visitor: SignedIn,
    _form: PostedForm,
) -> PageResult {
    let mut conn = dashboard.db.unscoped().await?;
    sessions::end_others(&mut conn, visitor.person.id, Some(visitor.session.id)).await?;
    see_other(HOME)
}

/// `POST /account/switch`: goes on under another membership of the same person, with a fresh session.
pub(super) async fn switch(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    visitor: SignedIn,
    form: PostedForm,
) -> PageResult {
    let wanted: MembershipId = id(form.get("membership"))?;
    let places = unscoped::places(&dashboard.db, visitor.person.id).await?;
    let place = places
        .into_iter()
        .find(|place| place.membership_id == wanted)
        .ok_or(PageError::NotFound)?;
    let place = (place.network_id, place.membership_id);
    move_to(&request, &dashboard, &visitor, Some(place), "/").await
}

/// `POST /account/leave`: an operator stops acting for somebody.
pub(super) async fn leave(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    visitor: SignedIn,
    _form: PostedForm,
) -> PageResult {
    if visitor.session.operator_reason.is_none() {
        return see_other(HOME);
    }
    let (browser, address) = (
        user_agent(&request),
        client_ip(request.head(), &dashboard.trusted_proxies),
    );
    let ended = impersonation::end(
        &dashboard.db,
        visitor.author(),
        &visitor.session,
        browser,
        address,
        clock::now(),
    )
    .await?;
    let ended = ended.ok_or_else(|| PageError::SignIn {
        wanted: "/ops".to_owned(),
    })?;
    let mut response = see_other("/ops")?;
    set_cookie(&mut response, &dashboard.cookies.start(&ended.token));
    Ok(response)
}

/// Goes on elsewhere with a fresh session, which lasts as long as the one before would have. A session that somebody has
/// ended in the meantime goes nowhere.
async fn move_to(
    request: &HttpRequest,
    dashboard: &Dashboard,
    visitor: &SignedIn,
    membership: Option<(NetworkId, MembershipId)>,
    next: &str,
) -> PageResult {
    let acted = visitor.session.operator_reason.is_some();
    let session = NewSession {
        person_id: visitor.person.id,
        membership,
        operator_reason: None,
        awaits_second_factor: false,
        without_password: false,
        ends_at: (!acted).then_some(visitor.session.expires_at),
        user_agent: user_agent(request),
        address: client_ip(request.head(), &dashboard.trusted_proxies),
    };
    let mut conn = dashboard.db.person(visitor.person.id).await?;
    if !sessions::end_one(&mut conn, visitor.person.id, visitor.session.id).await? {
        return Err(PageError::SignIn {
            wanted: next.to_owned(),
        });
    }
    let token = sessions::start(&mut conn, &session, clock::now()).await?;
    conn.commit().await?;
    if let Some((network_id, _)) = membership {
        sign_in::note(
            dashboard,
            visitor.author(),
            &visitor.person,
            network_id,
            "session.start",
        )
        .await?;
    }
    let mut response = see_other(next)?;
    set_cookie(&mut response, &dashboard.cookies.start(&token));
    Ok(response)
}

struct PlaceRow {
    id: String,
    current: bool,
    network: String,
    role: &'static str,
    party: String,
}

struct SessionRow {
    id: String,
    current: bool,
    browser: String,
    address: String,
    since: String,
    seen: String,
}

#[derive(Template)]
#[template(path = "account/show.html")]
struct Account {
    theme: &'static str,
    form_token: String,
    name: String,
    email: String,
    is_operator: bool,
    acting: bool,
    has_password: bool,
    codes_left: Option<i64>,
    must_have_second_factor: bool,
    in_network: bool,
    allow_sign_up: bool,
    places: Vec<PlaceRow>,
    sessions: Vec<SessionRow>,
    errors: FieldErrors,
}
