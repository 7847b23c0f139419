//! Account of the signed-in user: name, password, sessions, and memberships.

use actix_web::web;
use askama::Template;
use schema::{MembershipId, NetworkId, SessionId, clock};
use tenancy::audit::{self, Change};
use tenancy::people::{self, Person};
use tenancy::sessions::{self, NewSession};
use tenancy::{
    Author, FieldErrors, check_name, check_password, impersonation, operators, two_factor, unscoped,
};

use super::sign_in;
use crate::Dashboard;
use crate::auth::SignedIn;
use crate::error::PageError;
use crate::format;
use crate::forms::{self, PostedForm};
use crate::pages::id;
use crate::shell::{PageResult, Shell, done, html_with, see_other, set_cookie};

const HOME: &str = "/account";

/// Records a change of a person's account in the audit log of every network they are a member of.
pub(crate) async fn note(
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
pub(super) async fn show(user: SignedIn) -> PageResult {
    render(&user, FieldErrors::default()).await
}

async fn render(user: &SignedIn, errors: FieldErrors) -> PageResult {
    let now = clock::now();
    let places = unscoped::places(&user.request.dashboard.db, user.person.id).await?;
    let mut conn = user.request.dashboard.db.unscoped().await?;
    let open = sessions::of_person(&mut conn, user.person.id, now).await?;
    let codes_left = two_factor::state(&mut conn, user.person.id).await?;
    let has_password = people::password_hash(&mut conn, user.person.id).await?.is_some();
    drop(conn);
    let status = forms::status(&errors);
    let current = user.session.membership_id;
    let acting = user.session.operator_reason.is_some();
    html_with(
        status,
        &Account {
            shell: user.shell("Your account").await?,
            name: user.person.name.clone(),
            email: user.person.email.clone(),
            is_operator: user.person.is_operator && !acting,
            acting,
            has_password,
            codes_left,
            must_have_second_factor: user.actor.as_ref().is_some_and(|actor| actor.lacks_second_factor),
            allow_sign_up: user.request.dashboard.allow_sign_up,
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
                    current: session.id == user.session.id,
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

/// Browser and operating system of a `User-Agent`, for the list of sessions.
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
pub(super) async fn rename(user: SignedIn, form: PostedForm) -> PageResult {
    user.in_person()?;
    let mut errors = FieldErrors::default();
    let Some(name) = errors.take("name", check_name(form.get("name"))) else {
        return render(&user, errors).await;
    };
    let mut conn = user.request.dashboard.db.unscoped().await?;
    people::rename(&mut conn, user.person.id, &name).await?;
    drop(conn);
    note(
        &user.request.dashboard,
        user.author(),
        &user.person,
        "person.rename",
    )
    .await?;
    done(HOME, "Your name was changed.")
}

/// `POST /account/password`: requires the current password, and ends all other sessions of the person.
pub(super) async fn change_password(user: SignedIn, form: PostedForm) -> PageResult {
    user.in_person()?;
    let person = &user.person;
    let mut errors = FieldErrors::default();
    errors.take(
        "password",
        check_password(form.verbatim("password"), &[&person.email, &person.name]),
    );
    if let Err(message) = check_current_password(&user, &form).await? {
        errors.add("present", message);
    }
    if !errors.is_empty() {
        return render(&user, errors).await;
    }
    let hash = user
        .request
        .dashboard
        .passwords
        .hash(form.verbatim("password"))
        .await?;
    let mut conn = user.request.dashboard.db.person(person.id).await?;
    people::set_password(&mut conn, person.id, &hash).await?;
    sessions::end_others(&mut conn, person.id, Some(user.session.id)).await?;
    conn.commit().await?;
    note(
        &user.request.dashboard,
        user.author(),
        person,
        "person.change_password",
    )
    .await?;
    done(HOME, "Your password was changed. Your other sessions have ended.")
}

/// Checks the field `present` against the user's password; for a user without a password, the session is enough. Attempts
/// are rate-limited like those of the sign-in.
pub(crate) async fn check_current_password(
    user: &SignedIn,
    form: &PostedForm,
) -> Result<Result<(), &'static str>, PageError> {
    let mut conn = user.request.dashboard.db.unscoped().await?;
    let stored = people::password_hash(&mut conn, user.person.id).await?;
    drop(conn);
    if stored.is_none() {
        return Ok(Ok(()));
    }
    let address = user.request.address();
    let account = format!("present {}", user.person.email);
    if user
        .request
        .dashboard
        .throttle
        .count(&account, address)
        .await
        .is_err()
    {
        return Ok(Err("Too many attempts. Try again in 15 minutes."));
    }
    let right = user
        .request
        .dashboard
        .passwords
        .verify(form.verbatim("present"), stored)
        .await?;
    if !right {
        return Ok(Err("Incorrect current password."));
    }
    user.request.dashboard.throttle.forgive(&account, address).await;
    Ok(Ok(()))
}

/// `POST /account/sessions/{id}/end`
pub(super) async fn end_session(user: SignedIn, path: web::Path<String>, _form: PostedForm) -> PageResult {
    let session_id: SessionId = id(&path)?;
    let mut conn = user.request.dashboard.db.unscoped().await?;
    if !sessions::end_one(&mut conn, user.person.id, session_id).await? {
        return Err(PageError::NotFound);
    }
    done(HOME, "The session has ended.")
}

/// `POST /account/sessions/end-others`
pub(super) async fn end_others(user: SignedIn, _form: PostedForm) -> PageResult {
    let mut conn = user.request.dashboard.db.unscoped().await?;
    sessions::end_others(&mut conn, user.person.id, Some(user.session.id)).await?;
    done(HOME, "Your other sessions have ended.")
}

/// `POST /account/switch`: replaces the session with one under another membership of the user.
pub(super) async fn switch(user: SignedIn, form: PostedForm) -> PageResult {
    let wanted: MembershipId = id(form.get("membership"))?;
    let places = unscoped::places(&user.request.dashboard.db, user.person.id).await?;
    let place = places
        .into_iter()
        .find(|place| place.membership_id == wanted)
        .ok_or(PageError::NotFound)?;
    let place = (place.network_id, place.membership_id);
    move_to(&user, Some(place), "/").await
}

/// `POST /account/leave`: ends an operator's impersonation.
pub(super) async fn leave(user: SignedIn, _form: PostedForm) -> PageResult {
    if user.session.operator_reason.is_none() {
        return see_other(HOME);
    }
    let ended = impersonation::end(
        &user.request.dashboard.db,
        user.author(),
        &user.session,
        user.request.user_agent(),
        user.request.address(),
        clock::now(),
    )
    .await?;
    let ended = ended.ok_or_else(|| PageError::SignIn {
        wanted: "/ops".to_owned(),
    })?;
    let mut response = see_other("/ops")?;
    set_cookie(&mut response, &user.request.dashboard.cookies.start(&ended.token));
    Ok(response)
}

/// Replaces the session with one under another membership and redirects to `next`. The new session expires when the old
/// one would have, except after an impersonation. Refused if the old session was ended in the meantime.
async fn move_to(user: &SignedIn, membership: Option<(NetworkId, MembershipId)>, next: &str) -> PageResult {
    let impersonated = user.session.operator_reason.is_some();
    let session = NewSession {
        person_id: user.person.id,
        membership,
        operator_reason: None,
        awaits_second_factor: false,
        without_password: false,
        ends_at: (!impersonated).then_some(user.session.expires_at),
        user_agent: user.request.user_agent(),
        address: user.request.address(),
    };
    let mut conn = user.request.dashboard.db.person(user.person.id).await?;
    if !sessions::end_one(&mut conn, user.person.id, user.session.id).await? {
        return Err(PageError::SignIn {
            wanted: next.to_owned(),
        });
    }
    let token = sessions::start(&mut conn, &session, clock::now()).await?;
    conn.commit().await?;
    if let Some((network_id, _)) = membership {
        sign_in::note(
            &user.request.dashboard,
            user.author(),
            &user.person,
            network_id,
            "session.start",
        )
        .await?;
    }
    let mut response = see_other(next)?;
    set_cookie(&mut response, &user.request.dashboard.cookies.start(&token));
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
#[template(path = "account/profile/show.html")]
struct Account {
    shell: Shell,
    name: String,
    email: String,
    is_operator: bool,
    acting: bool,
    has_password: bool,
    codes_left: Option<i64>,
    must_have_second_factor: bool,
    allow_sign_up: bool,
    places: Vec<PlaceRow>,
    sessions: Vec<SessionRow>,
    errors: FieldErrors,
}
