//! Posted forms: read whole, checked for their token, kept for showing again when a field is wrong.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use schema::clock;
use serde::{Deserialize, Serialize};
use tenancy::{Draft, FieldErrors, Secret};

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

/// The fields of a posted form whose token was right.
pub(crate) struct PostedForm(Vec<(String, String)>);

impl PostedForm {
    /// A field, trimmed; empty where it was not sent. One that came twice counts once, the last.
    pub(crate) fn get(&self, field: &str) -> &str {
        self.verbatim(field).trim()
    }

    /// A field exactly as sent: for passwords and files.
    pub(crate) fn verbatim(&self, field: &str) -> &str {
        let last = self.0.iter().rev().find(|(name, _)| name == field);
        last.map_or("", |(_, value)| value.as_str())
    }

    /// Every value of a field that may come several times: boxes that were ticked.
    pub(crate) fn all(&self, field: &str) -> Vec<String> {
        let values = self.0.iter().filter(|(name, _)| name == field);
        values.map(|(_, value)| value.clone()).collect()
    }

    /// Whether a box was ticked.
    pub(crate) fn ticked(&self, field: &str) -> bool {
        !self.get(field).is_empty()
    }

    /// What the form says of these fields, each of which it calls by this prefix and the field's name.
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
                let whole = futures_util::stream::once(async { Ok::<_, std::io::Error>(body) });
                let mut parts = multer::Multipart::new(whole, boundary);
                let broken =
                    |error: multer::Error| PageError::BadRequest(format!("The form is broken: {error}."));
                while let Some(part) = parts.next_field().await.map_err(broken)? {
                    let name = part.name().unwrap_or_default().to_owned();
                    let bytes = part.bytes().await.map_err(broken)?;
                    let text = String::from_utf8(bytes.to_vec()).map_err(|_| {
                        PageError::BadRequest(
                            "The file is not UTF-8 text. Save it as UTF-8 and send it again.".to_owned(),
                        )
                    })?;
                    fields.push((name, text));
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
            let body = actix_web::rt::time::timeout(BODY_TIME, body)
                .await
                .map_err(|_| PageError::BadRequest("The form did not arrive within 15 seconds.".to_owned()))?
                .map_err(|error| PageError::BadRequest(error.to_string()))?;
            let form = Self::read(&request, body).await?;
            let genuine = dashboard.is_some_and(|dashboard| {
                let token = form.get("form_token");
                dashboard.form_tokens.check(token, &subject(&dashboard, &request))
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

/// The status of a page with a form on it: whether something is wrong with what was sent.
pub(crate) fn status(errors: &FieldErrors) -> StatusCode {
    match errors.is_empty() {
        true => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
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
