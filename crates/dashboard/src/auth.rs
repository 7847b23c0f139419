//! Who is looking: the session cookie, and the door every page behind sign-in goes through.

use std::future::{Ready, ready};

use actix_web::body::MessageBody;
use actix_web::cookie::{Cookie, SameSite, time};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, web};
use schema::clock;
use tenancy::sessions::{self, Actor, SessionToken};
use tenancy::unscoped;

use crate::Dashboard;
use crate::error::PageError;

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
        self.cookie(
            token.as_str().to_owned(),
            time::Duration::seconds(sessions::LIFETIME.num_seconds()),
        )
    }

    /// The cookie that removes it.
    pub(crate) fn end(self) -> Cookie<'static> {
        self.cookie(String::new(), time::Duration::ZERO)
    }

    /// The token a browser sent.
    pub(crate) fn token(self, request: &HttpRequest) -> Option<SessionToken> {
        request
            .cookie(self.name())
            .map(|cookie| SessionToken::from_cookie(cookie.value()))
    }

    fn cookie(self, value: String, max_age: time::Duration) -> Cookie<'static> {
        Cookie::build(self.name(), value)
            .path("/")
            .http_only(true)
            .secure(self.secure)
            .same_site(SameSite::Lax)
            .max_age(max_age)
            .finish()
    }
}

/// Lets only signed-in people pass, and leaves who they are with the request. In middleware, because extractors run
/// side by side and a malformed form must not be told before "sign in first".
pub(crate) async fn require_sign_in(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let actor = match request.app_data::<web::Data<Dashboard>>() {
        Some(dashboard) => find_actor(dashboard, request.request()).await?,
        None => None,
    };
    let Some(actor) = actor else {
        let wanted = request
            .uri()
            .path_and_query()
            .map_or("/", |wanted| wanted.as_str());
        return Err(PageError::SignIn {
            wanted: wanted.to_owned(),
        }
        .into());
    };
    request.extensions_mut().insert(actor);
    next.call(request).await
}

async fn find_actor(dashboard: &Dashboard, request: &HttpRequest) -> Result<Option<Actor>, PageError> {
    let Some(token) = dashboard.cookies.token(request) else {
        return Ok(None);
    };
    let mut conn = dashboard.db.unscoped().await?;
    Ok(unscoped::actor(&mut conn, &token, clock::now()).await?)
}

/// Who is signed in. Only pages behind [`require_sign_in`] can take it.
pub(crate) struct SignedIn(pub(crate) Actor);

impl FromRequest for SignedIn {
    type Error = PageError;
    type Future = Ready<Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let actor = request.extensions().get::<Actor>().cloned();
        ready(actor.map(Self).ok_or(PageError::SignIn {
            wanted: "/".to_owned(),
        }))
    }
}
