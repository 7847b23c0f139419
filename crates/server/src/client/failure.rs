//! Failures of calls to the API, with the code, the message and the fields of the error body.

use std::fmt::{self, Display};

use serde_json::{Value, json};
use url::Url;

use super::Fields;

/// Reason why a command of the API's client failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Stable code: of the API, or of this program.
    pub code: String,
    /// Message for people.
    pub message: String,
    /// Messages by the name of the invalid field.
    pub fields: Fields,
    /// ID of the request; `None` if the server did not answer.
    pub request_id: Option<String>,
}

impl std::error::Error for Failure {}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match (self.code.as_str(), &self.request_id) {
            ("unauthenticated", Some(_)) => {
                f.write_str("\nThe server refused the key. Run `clickledger login`.")
            }
            ("internal", Some(id)) => write!(f, "\nrequest_id: {id}"),
            _ => Ok(()),
        }
    }
}

impl Failure {
    /// Failure of this program.
    #[must_use]
    pub fn local(code: &str, message: &str) -> Self {
        Self {
            code: code.to_owned(),
            message: message.to_owned(),
            fields: Fields::new(),
            request_id: None,
        }
    }

    /// Failure to connect.
    pub(super) fn unreachable(url: &Url, error: &dyn Display) -> Self {
        let origin = url.origin().ascii_serialization();
        let message = format!(
            "Cannot connect to {origin}: {error}. Is the server running, and is this the URL of its dashboard?"
        );
        Self::local("unreachable", &message)
    }

    /// Failure of a server that accepts a connection and does not answer.
    pub(super) fn timeout(url: &Url) -> Self {
        let origin = url.origin().ascii_serialization();
        Self::local("timeout", &format!("{origin} did not answer in time."))
    }

    /// Response that does not come from the API.
    pub(super) fn not_the_api(detail: &str) -> Self {
        let message =
            format!("This is not the API of Clickledger: {detail}. Is the URL that of the dashboard?");
        Self::local("not_the_api", &message)
    }

    /// Error body of the API; `None` if the body has another shape.
    pub(super) fn of_api(body: &Value) -> Option<Self> {
        let text = |name: &str| body.get(name)?.as_str().map(str::to_owned);
        let fields = body.get("fields")?.as_object()?;
        let fields = fields
            .iter()
            .filter_map(|(name, message)| Some((name.clone(), message.as_str()?.to_owned())));
        Some(Self {
            code: text("code")?,
            message: text("message")?,
            fields: fields.collect(),
            request_id: text("request_id"),
        })
    }

    /// JSON for standard error, in the shape of the API.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut body = json!({ "code": self.code, "message": self.message, "fields": self.fields });
        if let (Some(id), Some(body)) = (&self.request_id, body.as_object_mut()) {
            body.insert("request_id".to_owned(), id.as_str().into());
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_api_keeps_its_shape() {
        let body = json!({ "code": "invalid", "message": "name: Enter a name.",
                           "fields": { "name": "Enter a name." }, "request_id": "0m5v3fs1" });
        let failure = Failure::of_api(&body).unwrap();
        assert_eq!(failure.to_json(), body);
        assert_eq!(failure.to_string(), "name: Enter a name.");
        assert_eq!(Failure::of_api(&json!({ "error": "x" })), None);
    }

    #[test]
    fn a_refused_key_names_the_command_that_helps() {
        let mut failure = Failure::local("unauthenticated", "Send a valid API key or token.");
        failure.request_id = Some("0m5v3fs1".to_owned());
        assert!(failure.to_string().ends_with("Run `clickledger login`."));
    }
}
