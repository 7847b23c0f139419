//! Posted forms: read whole, checked for their token, kept for showing again when a field is wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use schema::clock;
use serde::{Deserialize, Serialize};
use tenancy::Secret;

use crate::Dashboard;
use crate::error::PageError;

/// How long a page may stay open before its form must be loaded again.
const LIFETIME_SECONDS: i64 = 12 * 60 * 60;
/// How long a form may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(15);
const AUDIENCE: &str = "form";

/// Signs the token that every form carries, so that no other site can make a browser send one.
#[derive(Clone)]
pub(crate) struct FormTokens {
    sign: EncodingKey,
    verify: DecodingKey,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    aud: String,
    sub: String,
    exp: i64,
}

impl FormTokens {
    pub(crate) fn new(secret: &Secret) -> Self {
        let key = secret.derive(b"form token");
        Self {
            sign: EncodingKey::from_secret(&key),
            verify: DecodingKey::from_secret(&key),
        }
    }

    /// A token for the forms of this browser: bound to its session where it has one.
    pub(crate) fn issue(&self, dashboard: &Dashboard, request: &HttpRequest) -> String {
        let claims = Claims {
            aud: AUDIENCE.to_owned(),
            sub: subject(dashboard, request),
            exp: clock::now().timestamp() + LIFETIME_SECONDS,
        };
        // Signing three strings with a key of our own cannot fail; an empty token would be refused.
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.sign).unwrap_or_default()
    }

    fn check(&self, token: &str, subject: &str) -> bool {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.sub = Some(subject.to_owned());
        validation.set_required_spec_claims(&["aud", "exp", "sub"]);
        validation.leeway = 0;
        jsonwebtoken::decode::<Claims>(token, &self.verify, &validation).is_ok()
    }
}

/// Whose forms these are: a name for the session that does not give the cookie away.
fn subject(dashboard: &Dashboard, request: &HttpRequest) -> String {
    dashboard
        .cookies
        .token(request)
        .map_or("nobody".to_owned(), |token| token.fingerprint())
}

/// The fields of a posted form whose token was right. A field that came twice counts once, the last.
pub(crate) struct PostedForm(BTreeMap<String, String>);

impl PostedForm {
    /// A field, trimmed; empty where it was not sent.
    pub(crate) fn get(&self, field: &str) -> &str {
        self.0.get(field).map_or("", |value| value.trim())
    }

    /// A field exactly as sent: for passwords.
    pub(crate) fn verbatim(&self, field: &str) -> &str {
        self.0.get(field).map_or("", String::as_str)
    }
}

impl FromRequest for PostedForm {
    type Error = PageError;
    type Future = LocalBoxFuture<'static, Result<Self, PageError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = web::Bytes::from_request(request, payload);
        let dashboard = request.app_data::<web::Data<Dashboard>>().cloned();
        let request = request.clone();
        async move {
            let body = actix_web::rt::time::timeout(BODY_TIME, body)
                .await
                .map_err(|_| PageError::BadRequest("The form did not arrive within 15 seconds.".to_owned()))?
                .map_err(|error| PageError::BadRequest(error.to_string()))?;
            let fields: BTreeMap<_, _> = form_urlencoded::parse(&body)
                .map(|(name, value)| (name.into_owned(), value.replace('\0', "")))
                .collect();
            let form = Self(fields);
            let genuine = dashboard.is_some_and(|dashboard| {
                dashboard.form_tokens.check(form.get("form_token"), &subject(&dashboard, &request))
            });
            match genuine {
                true => Ok(form),
                false => Err(PageError::Refused(
                    "This form is too old, or was opened in another session. Go back, load the page again and resend it."
                        .to_owned(),
                )),
            }
        }
        .boxed_local()
    }
}

/// What is wrong with which field, in words for the person who filled it in.
#[derive(Debug, Default)]
pub(crate) struct FieldErrors(BTreeMap<&'static str, String>);

impl FieldErrors {
    /// Notes what is wrong with a field.
    pub(crate) fn add(&mut self, field: &'static str, message: impl Into<String>) {
        self.0.insert(field, message.into());
    }

    /// Keeps the value of a field, or notes what is wrong with it.
    pub(crate) fn take<T, E: ToString>(&mut self, field: &'static str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.add(field, error.to_string())).ok()
    }

    /// What is wrong with a field; empty if nothing is.
    pub(crate) fn of(&self, field: &str) -> &str {
        self.0.get(field).map_or("", String::as_str)
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An option of a choice.
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) chosen: bool,
}

impl Choice {
    /// The options of a choice, one of them chosen already.
    pub(crate) fn list<V: ToString, L: Into<String>>(
        options: impl IntoIterator<Item = (V, L)>,
        chosen: &str,
    ) -> Vec<Self> {
        options
            .into_iter()
            .map(|(value, label)| {
                let value = value.to_string();
                Self {
                    chosen: value == chosen,
                    value,
                    label: label.into(),
                }
            })
            .collect()
    }
}

/// A text that must not be empty nor longer than a name should be.
pub(crate) fn name(text: &str) -> Result<String, &'static str> {
    match text.chars().count() {
        0 => Err("Enter a name."),
        1..=120 => Ok(text.to_owned()),
        _ => Err("Use at most 120 characters."),
    }
}
