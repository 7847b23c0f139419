//! Errors of pages, and the page that shows them.

use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, RETRY_AFTER};
use actix_web::{HttpMessage, HttpResponse, ResponseError};
use askama::Template;
use schema::{BASE32, DbError};
use tenancy::unscoped::Visit;
use tenancy::{ChangeError, NotPermitted, TooBusy};

use crate::page::PageRequest;
use crate::shell::Shell;
use crate::urls;

/// Reason why a page is not shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    /// Absent, or not visible to the actor: the two look alike.
    #[error("not found")]
    NotFound,
    /// One-time link that was used, has expired, or never existed: these look alike.
    #[error("used link")]
    UsedLink,
    /// Share link that was revoked or has expired, or whose owner may no longer share the report.
    #[error("no longer shared")]
    Gone,
    /// Not signed in.
    #[error("not signed in")]
    SignIn {
        /// Requested page, to return to after the sign-in.
        wanted: String,
    },
    /// Redirect to a page that has to be completed first.
    #[error("elsewhere: {0}")]
    Elsewhere(&'static str),
    /// The actor's role lacks a permission.
    #[error(transparent)]
    NotPermitted(#[from] NotPermitted),
    /// Conflicts with the current state.
    #[error("{0}")]
    Conflict(String),
    /// Refused form.
    #[error("{0}")]
    Refused(String),
    /// Invalid request.
    #[error("{0}")]
    BadRequest(String),
    /// The database does not answer.
    #[error("the database does not answer")]
    Silent,
    /// Share link that was viewed too often; the seconds until its next view.
    #[error("viewed too often")]
    TooOften(u64),
    /// Tracking hosts that were checked too often; the seconds until the next check.
    #[error("checked too often")]
    CheckedTooOften(u64),
    /// Too many concurrent requests.
    #[error(transparent)]
    TooBusy(#[from] TooBusy),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A template failed.
    #[error(transparent)]
    Template(#[from] askama::Error),
}

impl From<diesel::result::Error> for PageError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

impl From<ChangeError> for PageError {
    fn from(error: ChangeError) -> Self {
        let sentence = error.to_string();
        match error {
            ChangeError::NotFound => Self::NotFound,
            ChangeError::NotPermitted(missing) => Self::NotPermitted(missing),
            ChangeError::TooBusy(busy) => Self::TooBusy(busy),
            ChangeError::Db(error) => error.into(),
            ChangeError::Fields(_) => Self::BadRequest(sentence),
            ChangeError::Stale | ChangeError::Conflict(_) | ChangeError::Limit(_) => Self::Conflict(sentence),
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    heading: &'a str,
    sentence: String,
    reference: Option<String>,
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::UsedLink => StatusCode::NOT_FOUND,
            Self::Gone => StatusCode::GONE,
            Self::SignIn { .. } | Self::Elsewhere(_) => StatusCode::SEE_OTHER,
            Self::NotPermitted(_) | Self::Refused(_) => StatusCode::FORBIDDEN,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::TooOften(_) | Self::CheckedTooOften(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::TooBusy(_) | Self::Silent | Self::Db(DbError::Unavailable(_)) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Db(DbError::Query(_)) | Self::Template(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.retry_after() {
            response.insert_header((RETRY_AFTER, seconds));
        }
        let (heading, sentence) = match self {
            Self::SignIn { wanted } => {
                return response.insert_header((LOCATION, urls::sign_in(wanted))).finish();
            }
            Self::Elsewhere(path) => {
                return response.insert_header((LOCATION, *path)).finish();
            }
            shown => shown.words(),
        };
        // Internal errors get a reference that is logged with the cause. The page does not reveal the cause.
        let reference = self
            .status_code()
            .is_server_error()
            .then(|| BASE32.encode(&rand::random::<[u8; 5]>()));
        if let Some(reference) = &reference {
            tracing::error!(reference, error = %self, "page failed");
        }
        let sentence_only = sentence.clone();
        let page = ErrorPage {
            heading,
            sentence,
            reference,
        };
        let body = page.render().unwrap_or_else(|error| {
            tracing::error!(%error, "error page failed");
            sentence_only
        });
        response.content_type("text/html; charset=utf-8").body(body)
    }
}

impl PageError {
    /// Heading and sentence of the error page.
    fn words(&self) -> (&'static str, String) {
        match self {
            Self::NotFound | Self::SignIn { .. } | Self::Elsewhere(_) => (
                "Not found",
                "This page does not exist, or you have no access to it.".to_owned(),
            ),
            Self::UsedLink => (
                "This link does not work",
                "It was used already or has expired. Ask the sender for a new link. You can request a new link to sign in \
                 or to reset your password at /forgot."
                    .to_owned(),
            ),
            Self::Gone => (
                "No longer shared",
                "The link to this report has expired or was revoked. Ask its sender for a new one.".to_owned(),
            ),
            Self::NotPermitted(NotPermitted(missing)) => (
                "Not permitted",
                format!(
                    "Your role may not {}. Ask {} of the network.",
                    missing.words(),
                    missing.roles_to_contact()
                ),
            ),
            Self::Refused(sentence) => ("Refused", sentence.clone()),
            Self::BadRequest(sentence) | Self::Conflict(sentence) => ("That did not work", sentence.clone()),
            Self::Silent => (
                "The database does not answer",
                "Clicks and postbacks are taken and kept meanwhile; pages return with the database. A change that you \
                 just sent may or may not be saved: check it then."
                    .to_owned(),
            ),
            Self::TooOften(seconds) => (
                "Viewed too often",
                format!("Many visitors open this report. Try again in {seconds} seconds."),
            ),
            Self::CheckedTooOften(seconds) => (
                "Checked too often",
                format!("Hosts of this network were just checked. Check again in {seconds} seconds."),
            ),
            Self::TooBusy(_) | Self::Db(DbError::Unavailable(_)) => (
                "One moment, please",
                "The server is busy. Try again in a few seconds.".to_owned(),
            ),
            Self::Db(DbError::Query(_)) | Self::Template(_) => (
                "Internal error",
                "Something went wrong. Check if your change was saved, and try again. If the error persists, give the \
                 reference below to the operator of this installation."
                    .to_owned(),
            ),
        }
    }

    /// Value of the header `Retry-After`.
    fn retry_after(&self) -> Option<String> {
        match self {
            Self::Silent => Some("5".to_owned()),
            Self::TooOften(seconds) | Self::CheckedTooOften(seconds) => Some(seconds.to_string()),
            Self::TooBusy(_) | Self::Db(DbError::Unavailable(_)) => Some("2".to_owned()),
            _ => None,
        }
    }
}

/// Page of a refused request inside the shell of the signed-in person. None for visitors, and for failures of the server,
/// whose page needs no database.
pub(crate) async fn in_shell<B>(response: &ServiceResponse<B>) -> Option<String> {
    let refusal = response.response().error()?.as_error::<PageError>()?;
    if !refusal.status_code().is_client_error() {
        return None;
    }
    let visit = response.request().extensions().get::<Visit>().cloned()?;
    let request = PageRequest::of(response.request()).ok()?;
    let (heading, sentence) = refusal.words();
    // Pages of objects that are absent and of those that are hidden have the same bytes: nothing of the address, no time.
    let shell = Shell {
        here: "/".to_owned(),
        through: String::new(),
        ..Shell::of_person(&request, &visit, "", heading).await.ok()?
    };
    let page = MemberErrorPage {
        shell,
        heading,
        sentence,
    };
    page.render().ok()
}

#[derive(Template)]
#[template(path = "error_in_shell.html")]
struct MemberErrorPage {
    shell: Shell,
    heading: &'static str,
    sentence: String,
}
