//! Posted forms: read whole, checked for their token, shown again if a field has an error.

use std::fmt::Display;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use schema::clock;
use serde::{Deserialize, Serialize};
use tenancy::{ChangeError, Draft, FieldErrors, Secret, table};

use crate::Dashboard;
use crate::error::PageError;

/// Least lifetime of a form token: a page that is open for longer has to be reloaded.
const LIFETIME_SECONDS: i64 = 12 * HOUR_SECONDS;
const HOUR_SECONDS: i64 = 60 * 60;
/// Timeout for the body of a form.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);
const AUDIENCE: &str = "form";

/// Signs the token of every form (CSRF protection).
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

    /// Returns a token for the forms of this browser, bound to its session if it has one. It is the same for an hour, so that
    /// the same page has the same bytes.
    #[expect(clippy::expect_used, reason = "signing cannot fail")]
    pub(crate) fn issue(&self, dashboard: &Dashboard, request: &HttpRequest) -> String {
        let claims = Claims {
            aud: AUDIENCE.to_owned(),
            sub: subject(dashboard, request),
            exp: expiry(clock::now().timestamp()),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.sign)
            .expect("a claim of two strings and a number can be signed with HS256")
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

/// Expiry of a token issued now: at a full hour.
fn expiry(now: i64) -> i64 {
    (now + LIFETIME_SECONDS).div_euclid(HOUR_SECONDS) * HOUR_SECONDS + HOUR_SECONDS
}

/// Subject of a form token: a fingerprint of the session that does not reveal the cookie.
fn subject(dashboard: &Dashboard, request: &HttpRequest) -> String {
    dashboard
        .cookies
        .token(request)
        .map_or("anonymous".to_owned(), |token| token.fingerprint())
}

/// Fields of a posted form whose token was valid.
pub(crate) struct PostedForm(Vec<(String, String)>);

impl PostedForm {
    /// Field, trimmed; empty if absent. Of a repeated field, the last value.
    pub(crate) fn get(&self, field: &str) -> &str {
        self.verbatim(field).trim()
    }

    /// Field exactly as sent: for passwords and files.
    pub(crate) fn verbatim(&self, field: &str) -> &str {
        let last = self.0.iter().rev().find(|(name, _)| name == field);
        last.map_or("", |(_, value)| value.as_str())
    }

    /// All values of a repeated field, such as ticked checkboxes.
    pub(crate) fn all(&self, field: &str) -> Vec<String> {
        let values = self.0.iter().filter(|(name, _)| name == field);
        values.map(|(_, value)| value.clone()).collect()
    }

    /// True if a checkbox was ticked.
    pub(crate) fn ticked(&self, field: &str) -> bool {
        !self.get(field).is_empty()
    }

    /// Draft of these fields. In the form, each is named by the prefix and the field's name.
    pub(crate) fn draft(&self, prefix: &str, fields: &[&'static str]) -> Draft {
        Draft::of_fields(fields, |field| self.get(&format!("{prefix}{field}")).to_owned())
    }

    async fn read(request: &HttpRequest, body: web::Bytes) -> Result<Self, PageError> {
        let content_type = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let mut fields = Vec::new();
        match multer::parse_boundary(content_type) {
            Err(_) => fields.extend(form_urlencoded::parse(&body).into_owned()),
            Ok(boundary) => {
                let whole_body = futures_util::stream::once(async { Ok::<_, std::io::Error>(body) });
                let mut parts = multer::Multipart::new(whole_body, boundary);
                let malformed =
                    |error: multer::Error| PageError::BadRequest(format!("The form is malformed: {error}."));
                while let Some(part) = parts.next_field().await.map_err(malformed)? {
                    let name = part.name().unwrap_or_default().to_owned();
                    let bytes = part.bytes().await.map_err(malformed)?;
                    fields.push((name, table::decoded(&bytes)));
                }
            }
        }
        for (_, value) in &mut fields {
            value.retain(|c| c != '\0');
        }
        Ok(Self(fields))
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
            let body = actix_web::rt::time::timeout(BODY_TIMEOUT, body)
                .await
                .map_err(|_| PageError::BadRequest("The form took longer than 15 seconds to upload.".to_owned()))?
                .map_err(unreadable)?;
            let form = Self::read(&request, body).await?;
            let genuine = dashboard.is_some_and(|dashboard| {
                let token = form.get("form_token");
                dashboard.form_tokens.check(token, &subject(&dashboard, &request))
            });
            if !genuine {
                return Err(PageError::Refused(
                    "This form has expired or was opened in another session. Reload the page and submit it again."
                        .to_owned(),
                ));
            }
            Ok(form)
        }
        .boxed_local()
    }
}

/// Error of a body that cannot be read. Only a file to import makes a body too large.
fn unreadable(error: actix_web::Error) -> PageError {
    PageError::BadRequest(match error.as_error() {
        Some(PayloadError::Overflow) => table::TOO_LARGE.to_owned(),
        _ => error.to_string(),
    })
}

/// Status of a page with a form: 422 if a field has an error.
pub(crate) fn status(errors: &FieldErrors) -> StatusCode {
    if errors.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    }
}

/// Status of a page with several forms: 422 if a field of one has an error.
pub(crate) fn status_of(forms: &[&Draft]) -> StatusCode {
    let first = forms.iter().find(|form| !form.errors.is_empty());
    first.map_or(StatusCode::OK, |form| status(&form.errors))
}

/// Returns the errors of single fields, or the error if it concerns no field. A reached limit is shown at the name.
pub(crate) fn field_errors(error: ChangeError) -> Result<FieldErrors, PageError> {
    match error {
        ChangeError::Fields(errors) => Ok(errors),
        ChangeError::Limit(message) => {
            let mut errors = FieldErrors::default();
            errors.add("name", message);
            Ok(errors)
        }
        other => Err(other.into()),
    }
}

/// Option of a select field.
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) chosen: bool,
}

impl Choice {
    /// Options of a select field, one of them selected.
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

/// Options of a select field for a closed set of words.
pub(crate) fn choices<T: Copy + Display>(
    words: &[T],
    label: fn(T) -> &'static str,
    chosen: &str,
) -> Vec<Choice> {
    Choice::list(words.iter().map(|word| (*word, label(*word))), chosen)
}

/// Option of a choice whose options need a sentence each, shown as a card.
pub(crate) struct Card {
    pub(crate) value: String,
    pub(crate) label: &'static str,
    /// Meaning of the option.
    pub(crate) hint: &'static str,
    pub(crate) chosen: bool,
}

/// Options of a choice by cards for a closed set of words, each with its label and meaning.
pub(crate) fn cards<T: Copy + Display>(
    words: &[T],
    describe: fn(T) -> (&'static str, &'static str),
    chosen: &str,
) -> Vec<Card> {
    let card = |word: &T| {
        let (value, (label, hint)) = (word.to_string(), describe(*word));
        Card {
            chosen: value == chosen,
            value,
            label,
            hint,
        }
    };
    words.iter().map(card).collect()
}
