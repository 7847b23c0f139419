//! Authentication: the session cookie, the middleware that protects each scope of pages, and the signed-in user.

use std::future::{Ready, ready};
use std::ops::Deref;

use actix_web::body::MessageBody;
use actix_web::cookie::{Cookie, SameSite, time};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use data_encoding::HEXLOWER;
use schema::clock;
use tenancy::sessions::{self, SessionToken};
use tenancy::unscoped::{self, Visit};
use tenancy::{Author, Secret};
use tracking::intake::client_ip;

use crate::Dashboard;
use crate::error::PageError;
use crate::notice::Notice;
use crate::page::PageRequest;
use crate::shell::{Shell, address};

/// Cookie that carries a secret across one redirect, to the page that shows it.
const FLASH: &str = "fresh_token";
/// Name of the cookie of a shared report.
const SHARED: &str = "shared_report";

/// Purpose of the sealed value in the cookie of a known browser.
const DEVICE: &[u8] = b"known device";

/// E-mail address as the throttle counts it.
fn normal(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Fresh secret in the flash cookie of a request. None if the value has not the form of a token or key.
pub(crate) fn fresh_secret(request: &HttpRequest) -> Option<String> {
    let cookie = request.cookie(FLASH)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.+/=".contains(&byte);
    let value = cookie.value();
    ((16..=1024).contains(&value.len()) && value.bytes().all(plain)).then(|| value.to_owned())
}

/// Name and flags of the session cookie. Behind https the cookie is `__Host-` prefixed and `Secure`; on plain http, as in
/// the demo, browsers would refuse such a cookie.
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

    /// Cookie of a new session.
    pub(crate) fn start(self, token: &SessionToken) -> Cookie<'static> {
        let lifetime = time::Duration::seconds(sessions::LIFETIME.num_seconds());
        self.cookie(self.name(), token.as_str(), "/", SameSite::Lax, lifetime)
    }

    /// Cookie that removes the session cookie.
    pub(crate) fn end(self) -> Cookie<'static> {
        self.cookie(self.name(), "", "/", SameSite::Lax, time::Duration::ZERO)
    }

    /// Session token of a request.
    pub(crate) fn token(self, request: &HttpRequest) -> Option<SessionToken> {
        request
            .cookie(self.name())
            .map(|cookie| SessionToken::from_cookie(cookie.value()))
    }

    fn device_name(self) -> &'static str {
        if self.secure { "__Host-device" } else { "device" }
    }

    /// Cookie of a browser in which a person has signed in: attempts from it have a counter that no stranger can use up.
    pub(crate) fn known_device(self, secret: &Secret, email: &str) -> Cookie<'static> {
        let nonce: [u8; 16] = rand::random();
        let plain = [&nonce[..], normal(email).as_bytes()].concat();
        let sealed = HEXLOWER.encode(&secret.seal(DEVICE, &plain));
        let lifetime = time::Duration::days(365);
        self.cookie(self.device_name(), &sealed, "/", SameSite::Lax, lifetime)
    }

    /// Name of the browser for the counter of attempts, if this person has signed in with it.
    pub(crate) fn device_of(self, request: &HttpRequest, secret: &Secret, email: &str) -> Option<String> {
        let cookie = request.cookie(self.device_name())?;
        let sealed = HEXLOWER.decode(cookie.value().as_bytes()).ok()?;
        let plain = secret.unseal(DEVICE, &sealed)?;
        let (nonce, known) = plain.split_at_checked(16)?;
        (known == normal(email).as_bytes()).then(|| format!("device {}", HEXLOWER.encode(nonce)))
    }

    /// Cookie that carries a fresh secret across one redirect, to one page only. So the secret is shown once, and
    /// reloading the page neither shows nor replaces it.
    pub(crate) fn flash(self, path: &str, secret: &str) -> Cookie<'static> {
        self.cookie(FLASH, secret, path, SameSite::Strict, time::Duration::seconds(60))
    }

    /// Cookie that removes the flash cookie.
    pub(crate) fn end_flash(self, path: &str) -> Cookie<'static> {
        self.cookie(FLASH, "", path, SameSite::Strict, time::Duration::ZERO)
    }

    fn notice_name(self) -> &'static str {
        if self.secure { "__Host-notice" } else { "notice" }
    }

    /// Cookie that carries a notice to the next page.
    pub(crate) fn notice(self, notice: &Notice) -> Cookie<'static> {
        let lifetime = time::Duration::seconds(60);
        self.cookie(
            self.notice_name(),
            &notice.to_cookie(),
            "/",
            SameSite::Strict,
            lifetime,
        )
    }

    /// Cookie that removes a notice that was shown.
    pub(crate) fn end_notice(self) -> Cookie<'static> {
        self.cookie(
            self.notice_name(),
            "",
            "/",
            SameSite::Strict,
            time::Duration::ZERO,
        )
    }

    /// Value of the cookie of a notice.
    pub(crate) fn notice_of(self, request: &HttpRequest) -> Option<String> {
        let cookie = request.cookie(self.notice_name())?;
        Some(cookie.value().to_owned())
    }

    /// Cookie of a browser in which the password of a shared report was entered, for a day and for that report only.
    pub(crate) fn shared(self, path: &str, proof: &str) -> Cookie<'static> {
        self.cookie(SHARED, proof, path, SameSite::Lax, time::Duration::days(1))
    }

    /// Value of that cookie.
    pub(crate) fn shared_proof(self, request: &HttpRequest) -> Option<String> {
        request.cookie(SHARED).map(|cookie| cookie.value().to_owned())
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

/// Session that the pages of a scope require.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Required {
    /// Complete sign-in.
    Person,
    /// Complete sign-in under a membership, with two-factor authentication if the network requires it.
    Member,
    /// Operator who does not impersonate a member.
    Operator,
}

/// Middleware of pages that require a signed-in user.
pub(crate) async fn require_person(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    authenticate(Required::Person, request, next).await
}

/// Middleware of pages that require a member of a network.
pub(crate) async fn require_member(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    authenticate(Required::Member, request, next).await
}

/// Middleware of operators' pages. All other users get 404.
pub(crate) async fn require_operator(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    authenticate(Required::Operator, request, next).await
}

/// Checks the session before anything else of the request. Not an extractor, because extractors run concurrently and a
/// malformed form could be reported instead of the redirect to the sign-in page. Refusals are responses, not errors: an
/// error would bypass the middleware that adds the security headers.
async fn authenticate<B: MessageBody + 'static>(
    required: Required,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<actix_web::body::EitherBody<B>>, Error> {
    let refusal = match find_visit(request.request()).await {
        Ok(Some(visit)) => {
            let checked = check(required, &visit);
            // A refusal is shown inside the shell of the person.
            request.extensions_mut().insert(visit);
            match checked {
                Ok(()) => return Ok(next.call(request).await?.map_into_left_body()),
                Err(refusal) => refusal,
            }
        }
        Ok(None) => PageError::SignIn {
            wanted: address(request.request()),
        },
        Err(error) => error,
    };
    // htmx replaces one element of the page; the header makes the browser load the other page as a whole.
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

fn check(required: Required, visit: &Visit) -> Result<(), PageError> {
    let is_operator = visit.is_operator();
    if visit.session.awaits_second_factor {
        return Err(PageError::Elsewhere("/sign-in/code"));
    }
    match (required, &visit.actor) {
        (Required::Person, _) => Ok(()),
        (Required::Operator, _) if is_operator => Ok(()),
        (Required::Operator, _) => Err(PageError::NotFound),
        (Required::Member, Some(actor)) if actor.lacks_second_factor => {
            Err(PageError::Elsewhere("/account/second-factor"))
        }
        (Required::Member, Some(_)) => Ok(()),
        (Required::Member, None) if is_operator => Err(PageError::Elsewhere("/ops")),
        (Required::Member, None) => Err(PageError::Elsewhere("/account")),
    }
}

/// Session, person and actor of a request's session cookie.
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

/// Signed-in user, for pages that belong to the person or to operators and not to a network. Opens no transaction.
pub(crate) struct SignedIn {
    pub(crate) visit: Visit,
    pub(crate) request: PageRequest,
    author: Author,
}

impl Deref for SignedIn {
    type Target = Visit;

    fn deref(&self) -> &Visit {
        &self.visit
    }
}

impl SignedIn {
    /// Author of the user's changes, for the logs.
    pub(crate) fn author(&self) -> &Author {
        &self.author
    }

    /// Shell of a page of the user's account.
    pub(crate) async fn shell(&self, title: &str) -> Result<Shell, PageError> {
        Shell::of_person(&self.request, &self.visit, "", title).await
    }

    /// Shell of an operators' page under the navigation entry `section`.
    pub(crate) fn operator_shell(&self, section: &str, title: &str) -> Shell {
        Shell::of_operator(&self.request, &self.visit, section, title)
    }

    /// Refuses an operator who impersonates a member: only the person may change their name, password and second factor.
    pub(crate) fn in_person(&self) -> Result<(), PageError> {
        match self.session.operator_reason {
            None => Ok(()),
            Some(_) => Err(PageError::Refused(
                "You are impersonating a member. Only the person themselves can change this.".to_owned(),
            )),
        }
    }
}

impl FromRequest for SignedIn {
    type Error = PageError;
    type Future = Ready<Result<Self, PageError>>;

    fn from_request(http: &HttpRequest, _: &mut Payload) -> Self::Future {
        let visit = http.extensions().get::<Visit>().cloned();
        ready(visit.ok_or(PageError::NotFound).and_then(|visit| {
            let request = PageRequest::of(http)?;
            Ok(Self {
                author: request.author(&visit.person),
                visit,
                request,
            })
        }))
    }
}
