//! Who is looking: the session cookie, and the door every page behind sign-in goes through.

use std::future::{Ready, ready};

use actix_web::body::MessageBody;
use actix_web::cookie::{Cookie, SameSite, time};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use campaigns::integrations::Token;
use schema::clock;
use tenancy::sessions::{self, Actor, SessionToken};
use tenancy::{Permission, unscoped};

use crate::Dashboard;
use crate::error::PageError;
use crate::shell::address;

/// The cookie that carries a fresh postback token across one redirect.
const FLASH: &str = "fresh_token";

/// The fresh postback token this request carries, if it looks like one.
pub(crate) fn fresh_token(request: &HttpRequest) -> Option<Token> {
    let cookie = request.cookie(FLASH)?;
    let plausible =
        cookie.value().len() == 32 && cookie.value().bytes().all(|byte| byte.is_ascii_alphanumeric());
    plausible.then(|| Token::from_call(cookie.value()))
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

    /// A cookie that carries a fresh postback token across one redirect, to the page of its campaign only. So the
    /// token is shown once, and loading the page again neither shows nor replaces it.
    pub(crate) fn flash(self, path: &str, token: &Token) -> Cookie<'static> {
        self.flash_cookie(path, token.as_str().to_owned(), time::Duration::seconds(60))
    }

    /// The cookie that removes it.
    pub(crate) fn end_flash(self, path: &str) -> Cookie<'static> {
        self.flash_cookie(path, String::new(), time::Duration::ZERO)
    }

    fn flash_cookie(self, path: &str, value: String, max_age: time::Duration) -> Cookie<'static> {
        Cookie::build(FLASH, value)
            .path(path.to_owned())
            .http_only(true)
            .secure(self.secure)
            .same_site(SameSite::Strict)
            .max_age(max_age)
            .finish()
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
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    // Refusals are answers, not errors: an error would pass by the guard that adds the headers.
    let refusal = match find_actor(request.request()).await {
        Ok(Some(actor)) => {
            request.extensions_mut().insert(actor);
            return Ok(next.call(request).await?.map_into_left_body());
        }
        Ok(None) if request.headers().contains_key("HX-Request") => {
            // A page that refreshes itself goes to the sign-in page as a whole.
            let go = HttpResponse::NoContent()
                .insert_header(("HX-Redirect", "/sign-in"))
                .finish();
            return Ok(request.into_response(go).map_into_right_body());
        }
        Ok(None) => PageError::SignIn {
            wanted: address(request.request()),
        },
        Err(error) => error,
    };
    Ok(request.error_response(refusal).map_into_right_body())
}

async fn find_actor(request: &HttpRequest) -> Result<Option<Actor>, PageError> {
    let Some(dashboard) = request.app_data::<web::Data<Dashboard>>() else {
        return Ok(None);
    };
    let Some(token) = dashboard.cookies.token(request) else {
        return Ok(None);
    };
    Ok(unscoped::actor(&dashboard.db, &token, clock::now()).await?)
}

/// Refuses who may not do this.
pub(crate) fn permit(actor: &Actor, permission: Permission) -> Result<(), PageError> {
    if actor.role.may(permission) {
        Ok(())
    } else {
        Err(PageError::NotPermitted)
    }
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
