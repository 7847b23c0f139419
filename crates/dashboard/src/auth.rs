//! Who is looking: the session cookie, the doors that pages stand behind, and the proof of permission that handlers ask
//! for in their signatures.

use std::future::{Ready, ready};
use std::ops::Deref;

use actix_web::body::MessageBody;
use actix_web::cookie::{Cookie, SameSite, time};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use schema::clock;
use tenancy::people::Person;
use tenancy::sessions::{self, Session, SessionToken};
use tenancy::unscoped::{self, Visit};
use tenancy::{Access, Actor, Author, Need, Via};
use tracking::intake::client_ip;

use crate::Dashboard;
use crate::error::PageError;
use crate::shell::address;

/// The cookie that carries a secret across one redirect, to the page that shows it.
const FLASH: &str = "fresh_token";

/// The fresh secret this request carries, if it looks like one.
pub(crate) fn fresh_secret(request: &HttpRequest) -> Option<String> {
    let cookie = request.cookie(FLASH)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' || byte == b'.';
    let value = cookie.value();
    ((16..=1024).contains(&value.len()) && value.bytes().all(plain)).then(|| value.to_owned())
}

/// The session cookie's name and flags. Behind https it is `__Host-` prefixed and `Secure`; the demo on plain http
/// could not keep such a cookie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cookies {
    secure: bool,
}

impl Cookies {
    pub(crate) fn new(secure: bool) -> Self {
        Self { secure }
    }

    fn name(self) -> &'static str {
        if self.secure { "__Host-session" } else { "session" }
    }

    /// The cookie of a fresh session.
    pub(crate) fn start(self, token: &SessionToken) -> Cookie<'static> {
        let lifetime = time::Duration::seconds(sessions::LIFETIME.num_seconds());
        self.cookie(self.name(), token.as_str(), "/", SameSite::Lax, lifetime)
    }

    /// The cookie that removes it.
    pub(crate) fn end(self) -> Cookie<'static> {
        self.cookie(self.name(), "", "/", SameSite::Lax, time::Duration::ZERO)
    }

    /// The token a browser sent.
    pub(crate) fn token(self, request: &HttpRequest) -> Option<SessionToken> {
        request
            .cookie(self.name())
            .map(|cookie| SessionToken::from_cookie(cookie.value()))
    }

    /// A cookie that carries a fresh secret across one redirect, to one page only. So the secret is shown once, and
    /// loading the page again neither shows nor replaces it.
    pub(crate) fn flash(self, path: &str, secret: &str) -> Cookie<'static> {
        self.cookie(FLASH, secret, path, SameSite::Strict, time::Duration::seconds(60))
    }

    /// The cookie that removes it.
    pub(crate) fn end_flash(self, path: &str) -> Cookie<'static> {
        self.cookie(FLASH, "", path, SameSite::Strict, time::Duration::ZERO)
    }

    fn cookie(
        self,
        name: &'static str,
        value: &str,
        path: &str,
        same_site: SameSite,
        max_age: time::Duration,
    ) -> Cookie<'static> {
        Cookie::build(name, value.to_owned())
            .path(path.to_owned())
            .http_only(true)
            .secure(self.secure)
            .same_site(same_site)
            .max_age(max_age)
            .finish()
    }
}

/// What somebody needs to have to pass a door.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    /// A session that is through with signing in.
    Person,
    /// A session under a membership, with the second factor the network may demand.
    Member,
    /// A session of somebody who runs the installation, acting as nobody else.
    Operator,
}

/// Lets those pass who are signed in.
pub(crate) async fn require_person(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    pass(Door::Person, request, next).await
}

/// Lets those pass who are signed in to a network.
pub(crate) async fn require_member(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    pass(Door::Member, request, next).await
}

/// Lets operators pass. For everyone else there is nothing here.
pub(crate) async fn require_operator(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    pass(Door::Operator, request, next).await
}

/// In middleware, because extractors run side by side and a malformed form must not be told before "sign in first".
/// Refusals are answers, not errors: an error would pass by the guard that adds the headers.
async fn pass<B: MessageBody + 'static>(
    door: Door,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<actix_web::body::EitherBody<B>>, Error> {
    let refusal = match find_visit(request.request()).await {
        Ok(Some(visit)) => match check(door, &visit) {
            Ok(()) => {
                request.extensions_mut().insert(visit);
                return Ok(next.call(request).await?.map_into_left_body());
            }
            Err(refusal) => refusal,
        },
        Ok(None) => PageError::SignIn {
            wanted: address(request.request()),
        },
        Err(error) => error,
    };
    // A page that refreshes itself goes elsewhere as a whole.
    let elsewhere = match &refusal {
        PageError::SignIn { .. } => Some("/sign-in"),
        PageError::Elsewhere(path) => Some(*path),
        _ => None,
    };
    if let (true, Some(path)) = (request.headers().contains_key("HX-Request"), elsewhere) {
        let go = HttpResponse::NoContent()
            .insert_header(("HX-Redirect", path))
            .finish();
        return Ok(request.into_response(go).map_into_right_body());
    }
    Ok(request.error_response(refusal).map_into_right_body())
}

fn check(door: Door, visit: &Visit) -> Result<(), PageError> {
    let is_operator = visit.person.is_operator && visit.session.operator_reason.is_none();
    if visit.session.awaits_second_factor {
        return Err(PageError::Elsewhere("/sign-in/code"));
    }
    match (door, &visit.actor) {
        (Door::Person, _) => Ok(()),
        (Door::Operator, _) if is_operator => Ok(()),
        (Door::Operator, _) => Err(PageError::NotFound),
        (Door::Member, Some(actor)) if actor.lacks_second_factor => {
            Err(PageError::Elsewhere("/account/second-factor"))
        }
        (Door::Member, Some(_)) => Ok(()),
        (Door::Member, None) if is_operator => Err(PageError::Elsewhere("/ops")),
        (Door::Member, None) => Err(PageError::Elsewhere("/account")),
    }
}

/// Who has the cookie of this request.
pub(crate) async fn find_visit(request: &HttpRequest) -> Result<Option<Visit>, PageError> {
    let Some(dashboard) = request.app_data::<web::Data<Dashboard>>() else {
        return Ok(None);
    };
    let Some(token) = dashboard.cookies.token(request) else {
        return Ok(None);
    };
    let address = client_ip(request.head(), &dashboard.trusted_proxies);
    Ok(unscoped::visit(&dashboard.db, &token, address, clock::now()).await?)
}

/// Somebody who acts in a network and has the permission `P`. Only pages behind [`require_member`] can take it, and
/// its connection is the only way to the network's rows.
pub(crate) struct Allowed<P>(Access<P>);

impl<P> Deref for Allowed<P> {
    type Target = Access<P>;

    fn deref(&self) -> &Access<P> {
        &self.0
    }
}

impl<P: Need> FromRequest for Allowed<P> {
    type Error = PageError;
    type Future = Ready<Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let actor = request
            .extensions()
            .get::<Visit>()
            .and_then(|visit| visit.actor.clone());
        let access = actor
            .ok_or(PageError::NotFound)
            .and_then(|actor| Ok(actor.access::<P>()?));
        ready(access.map(Self))
    }
}

/// Somebody who is signed in, in whatever capacity: for what belongs to the person and not to a network.
pub(crate) struct SignedIn {
    /// The person.
    pub(crate) person: Person,
    /// The session.
    pub(crate) session: Session,
    /// In which capacity, where there is one.
    pub(crate) actor: Option<Actor>,
    author: Author,
}

impl SignedIn {
    /// Whom the logs will name.
    pub(crate) fn author(&self) -> &Author {
        &self.author
    }

    /// Refuses what only the person may do: an operator who acts as somebody must not change that person's secrets.
    pub(crate) fn in_person(&self) -> Result<(), PageError> {
        match self.session.operator_reason {
            None => Ok(()),
            Some(_) => Err(PageError::Refused(
                "You act for somebody else. What belongs to a person, only that person may change."
                    .to_owned(),
            )),
        }
    }
}

impl FromRequest for SignedIn {
    type Error = PageError;
    type Future = Ready<Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let visit = request.extensions().get::<Visit>().cloned();
        let address = request
            .app_data::<web::Data<Dashboard>>()
            .and_then(|dashboard| client_ip(request.head(), &dashboard.trusted_proxies));
        ready(visit.ok_or(PageError::NotFound).map(|visit| Self {
            author: Author {
                person_id: Some(visit.person.id),
                name: visit.person.name.clone(),
                via: Via::Page,
                address: address.map(Into::into),
            },
            person: visit.person,
            session: visit.session,
            actor: visit.actor,
        }))
    }
}
