//! Client of the API with a key or a token.

use reqwest::header::HeaderMap;
use reqwest::{Body, Client, Method};
use serde_json::Value;

use crate::actors::{Answer, api_key};
use crate::app::TestApp;
use crate::scene::SignIn;

/// Headers of every response of the API.
const GUARDS: [(&str, &str); 5] = [
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "no-referrer"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
];

/// Client of the API. Checks each response for the headers and the error shape that all must have.
#[derive(Clone)]
pub struct ApiClient {
    http: Client,
    base: String,
    /// Key or token sent after `Bearer`; empty to send none.
    pub credential: String,
}

impl TestApp {
    /// Returns a client with a new key of this member, with every scope of the member's role.
    pub async fn program(&self, of: &SignIn) -> ApiClient {
        let key = api_key(&self.sign_in(of).await).await;
        self.program_with(&key)
    }

    /// Returns a client with this key or token.
    #[must_use]
    pub fn program_with(&self, credential: &str) -> ApiClient {
        ApiClient {
            http: Client::builder().no_proxy().build().expect("HTTP client"),
            base: format!("{}/api/v1", self.dashboard_url),
            credential: credential.to_owned(),
        }
    }
}

impl ApiClient {
    /// Returns the same client with another key or token.
    #[must_use]
    pub fn with(&self, credential: &str) -> Self {
        Self {
            credential: credential.to_owned(),
            ..self.clone()
        }
    }

    /// Sends GET to a path, which begins after `/api/v1`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], "").await
    }

    /// Sends JSON by POST.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.json(Method::POST, path, &[], body).await
    }

    /// Sends JSON by PATCH.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.json(Method::PATCH, path, &[], body).await
    }

    /// Sends JSON by PUT.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.json(Method::PUT, path, &[], body).await
    }

    /// Sends DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, &[], "").await
    }

    /// Sends JSON with additional headers.
    pub async fn json(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let headers = [headers, &[("Content-Type", "application/json")]].concat();
        self.call(method, path, &headers, body.to_string()).await
    }

    /// Sends exactly this request with the credential.
    ///
    /// # Panics
    /// When the response lacks what every response must have, or is a 5xx.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let what = format!("{method} {}", path.chars().take(100).collect::<String>());
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .body(body);
        if !self.credential.is_empty() {
            request = request.bearer_auth(&self.credential);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request
            .send()
            .await
            .unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("a body");
        let answer = Answer {
            status,
            headers,
            json: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        };
        assert!(!status.is_server_error(), "{what}: {status} {}", answer.text);
        check_guards(&what, &answer.headers);
        if status.is_client_error() {
            check_error(&what, &answer);
        }
        answer
    }
}

fn check_guards(what: &str, headers: &HeaderMap) {
    for (name, value) in GUARDS {
        let sent: Vec<_> = headers.get_all(name).iter().collect();
        assert_eq!(sent, [value], "{what}: {name}");
    }
    assert_eq!(headers.get_all("x-request-id").iter().count(), 1, "{what}");
}

/// Checks that an error has the one shape, and the same request id in body and header.
fn check_error(what: &str, answer: &Answer) {
    let body = answer
        .json
        .as_object()
        .unwrap_or_else(|| panic!("{what}: {}", answer.text));
    let members: Vec<_> = body.keys().map(String::as_str).collect();
    assert_eq!(members, ["code", "fields", "message", "request_id"], "{what}");
    assert!(
        !answer.get("code").is_empty() && !answer.get("message").is_empty(),
        "{what}"
    );
    assert!(answer.json["fields"].is_object(), "{what}");
    assert_eq!(answer.headers["x-request-id"], answer.get("request_id"), "{what}");
    assert_eq!(answer.headers["content-type"], "application/json", "{what}");
}
