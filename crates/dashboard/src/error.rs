//! What can go wrong with a page, and the page that says so.

use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use askama::Template;
use schema::{BASE32, DbError};
use tenancy::{ChangeError, NotPermitted, TooBusy};

use crate::urls;

/// Why a page is not shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    /// There is no such thing, or it is not theirs: the two look alike.
    #[error("not found")]
    NotFound,
    /// A link in a mail that was used, or is too old, or was never made: they look alike.
    #[error("used link")]
    UsedLink,
    /// Nobody is signed in.
    #[error("not signed in")]
    SignIn {
        /// Where they wanted to go.
        wanted: String,
    },
    /// They are to go to another page first.
    #[error("elsewhere: {0}")]
    Elsewhere(&'static str),
    /// Their role may not do this.
    #[error(transparent)]
    NotPermitted(#[from] NotPermitted),
    /// It cannot be done now.
    #[error("{0}")]
    Conflict(String),
    /// A form that must not be acted on.
    #[error("{0}")]
    Refused(String),
    /// A request that makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// Too many want the same at once.
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
            Self::SignIn { .. } | Self::Elsewhere(_) => StatusCode::SEE_OTHER,
            Self::NotPermitted(_) | Self::Refused(_) => StatusCode::FORBIDDEN,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::TooBusy(_) | Self::Db(DbError::Unavailable(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Db(DbError::Query(_)) | Self::Template(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        let (heading, sentence): (&str, String) = match self {
            Self::SignIn { wanted } => {
                return response.insert_header((LOCATION, urls::sign_in(wanted))).finish();
            }
            Self::Elsewhere(path) => {
                return response.insert_header((LOCATION, *path)).finish();
            }
            Self::NotFound => (
                "Not found",
                "There is nothing at this address, or it is not yours to see.".to_owned(),
            ),
            Self::UsedLink => (
                "This link does not work",
                "It was used already, or is too old. Ask whoever sent it for a new one; a link to sign in or to \
                 choose a password you can ask for yourself, at /forgot."
                    .to_owned(),
            ),
            Self::NotPermitted(NotPermitted(missing)) => (
                "Not permitted",
                format!("Your role may not {}. Ask {} of the network.", missing.words(), missing.roles_to_contact()),
            ),
            Self::Refused(why) => ("Refused", why.clone()),
            Self::BadRequest(why) | Self::Conflict(why) => ("That did not work", why.clone()),
            Self::TooBusy(_) | Self::Db(DbError::Unavailable(_)) => {
                response.insert_header((RETRY_AFTER, "2"));
                (
                    "One moment, please",
                    "Too much is asked at once. Try again in a few seconds.".to_owned(),
                )
            }
            Self::Db(DbError::Query(_)) | Self::Template(_) => (
                "That was our fault",
                "Something failed on our side. Look whether what you wanted was done, and try again; if it stays, tell whoever runs this installation the reference below.".to_owned(),
            ),
        };
        // Our own faults get a reference that is in the log with the cause; the page does not tell the cause.
        let reference = self
            .status_code()
            .is_server_error()
            .then(|| BASE32.encode(&rand::random::<[u8; 5]>()));
        if let Some(reference) = &reference {
            tracing::error!(reference, error = %self, "page failed");
        }
        let page = ErrorPage {
            heading,
            sentence,
            reference,
        };
        response
            .content_type("text/html; charset=utf-8")
            .body(page.render().unwrap_or_default())
    }
}
