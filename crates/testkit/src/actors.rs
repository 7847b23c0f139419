//! Users of the product, who act through its public HTTP only.

use std::time::Duration;

use reqwest::header::{HeaderMap, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;
use tokio::time::timeout;
use tracking::Tracker;

fn client() -> Client {
    Client::builder()
        .redirect(Policy::none())
        .cookie_store(true)
        .no_proxy()
        .build()
        .expect("HTTP client")
}

/// Visitor who clicks links.
pub struct Visitor {
    http: Client,
    link: String,
}

/// Click that was redirected.
#[derive(Debug, Clone)]
pub struct Click {
    /// Click id that the destination received.
    pub id: String,
    /// Destination.
    pub location: String,
}

impl Visitor {
    pub(crate) fn new(tracking_url: &str, alias: &str) -> Self {
        Self {
            http: client(),
            link: format!("{tracking_url}/{alias}"),
        }
    }

    /// Clicks the scene's link with this query (with its `?`, or empty).
    ///
    /// # Panics
    /// When the visitor is not redirected.
    pub async fn click(&self, query: &str) -> Click {
        let response = self
            .http
            .get(format!("{}{query}", self.link))
            .send()
            .await
            .expect("a response");
        assert_eq!(response.status(), StatusCode::FOUND);
        let location = response.headers()[LOCATION].to_str().expect("text").to_owned();
        let (_, rest) = location.split_once("id=").expect("a click id in the destination");
        let id = rest.split(['&', '#']).next().unwrap_or_default().to_owned();
        Click { id, location }
    }

    /// Sends any request to the scene's link.
    pub async fn request(&self, method: Method, query: &str) -> Response {
        self.http
            .request(method, format!("{}{query}", self.link))
            .send()
            .await
            .expect("a response")
    }
}

/// Server of an advertiser.
#[derive(Clone)]
pub struct AdvertiserServer {
    http: Client,
    tracking_url: String,
    url: String,
    token: String,
}

/// Response to a postback.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// HTTP headers.
    pub headers: HeaderMap,
    /// Body; null if it is not JSON.
    pub json: Value,
    /// Body as text.
    pub text: String,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("a body");
        Self {
            status,
            headers,
            json: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }

    /// Returns a member of the body as text; empty if it is missing.
    #[must_use]
    pub fn get(&self, member: &str) -> &str {
        self.json[member].as_str().unwrap_or_default()
    }

    /// Returns the reason code.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.get("reason")
    }
}

impl AdvertiserServer {
    pub(crate) fn new(tracking_url: &str, token: &str) -> Self {
        Self {
            http: client(),
            tracking_url: tracking_url.to_owned(),
            url: format!("{tracking_url}/postback"),
            token: token.to_owned(),
        }
    }

    /// Sends a GET to another path of the tracking host, as other systems do.
    pub async fn call(&self, target: &str) -> Answer {
        self.call_with(Method::GET, target, &[], "").await
    }

    /// Sends a request with a method, headers and a body.
    pub async fn call_with(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = self
            .http
            .request(method, format!("{}{target}", self.tracking_url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() {
            request = request.body(body.to_owned());
        }
        Answer::of(request.send().await.expect("a response")).await
    }

    /// Returns the same server with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    /// Sends a postback by GET with these parameters and the token, for the goal `sale` unless they name one.
    pub async fn postback(&self, parameters: &[(&str, &str)]) -> Answer {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if !parameters.iter().any(|(name, _)| *name == "goal") {
            query.append_pair("goal", "sale");
        }
        query.extend_pairs(parameters).append_pair("token", &self.token);
        self.raw(&query.finish()).await
    }

    /// Sends a postback by GET with exactly this query.
    pub async fn raw(&self, query: &str) -> Answer {
        Answer::of(
            self.http
                .get(format!("{}?{query}", self.url))
                .send()
                .await
                .expect("a response"),
        )
        .await
    }

    /// Sends a postback by POST with this body.
    pub async fn post(&self, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self
            .http
            .post(&self.url)
            .header("Content-Type", content_type)
            .body(body);
        Answer::of(request.send().await.expect("a response")).await
    }

    /// Sends a postback by GET that accepts plain text.
    pub async fn get_text(&self, query: &str) -> Answer {
        let request = self
            .http
            .get(format!("{}?{query}", self.url))
            .header("Accept", "text/plain");
        Answer::of(request.send().await.expect("a response")).await
    }
}

/// Longest wait of a page for earlier events to be stored: Postgres may be stopped in a test.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

/// User of the dashboard, with a browser's cookies. Opens a page when every acknowledged event is stored: people are
/// slower than tests.
pub struct Member {
    http: Client,
    url: String,
    tracker: Option<Tracker>,
}

/// Response of the dashboard.
#[derive(Debug, Clone)]
pub struct Page {
    /// HTTP status.
    pub status: StatusCode,
    /// HTTP headers.
    pub headers: HeaderMap,
    /// Body.
    pub html: String,
}

impl Page {
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self {
            status,
            headers,
            html: response.text().await.expect("a body"),
        }
    }

    /// Returns the target of a redirect; empty without one.
    #[must_use]
    pub fn location(&self) -> &str {
        self.headers
            .get(LOCATION)
            .and_then(|location| location.to_str().ok())
            .unwrap_or_default()
    }

    /// Returns the token of the first form on the page.
    #[must_use]
    pub fn form_token(&self) -> &str {
        let (_, rest) = self
            .html
            .split_once("name=\"form_token\" value=\"")
            .expect("a form on the page");
        rest.split('"').next().unwrap_or_default()
    }
}

impl Member {
    /// Returns a visitor of this dashboard who has not signed in.
    #[must_use]
    pub fn stranger(dashboard_url: &str) -> Self {
        Self {
            http: client(),
            url: dashboard_url.to_owned(),
            tracker: None,
        }
    }

    /// Makes each page wait for the events that this server has acknowledged.
    pub(crate) fn watching(mut self, tracker: &Tracker) -> Self {
        self.tracker = Some(tracker.clone());
        self
    }

    pub(crate) async fn sign_in(self, email: &str, password: &str) -> Self {
        let page = self.try_sign_in(email, password).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{email} could not sign in");
        self
    }

    /// Fills in the sign-in form and sends it.
    pub async fn try_sign_in(&self, email: &str, password: &str) -> Page {
        self.submit(
            "/sign-in",
            "/sign-in",
            &[("email", email), ("password", password)],
        )
        .await
    }

    /// Opens a page.
    pub async fn get(&self, path: &str) -> Page {
        self.get_with(path, &[]).await
    }

    /// Opens a page with additional headers.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Page {
        if let Some(tracker) = &self.tracker {
            // The page is opened anyway, as users do.
            let _ = timeout(SETTLE_TIMEOUT, tracker.settled()).await;
        }
        let mut request = self.http.get(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Page::of(request.send().await.expect("a response")).await
    }

    /// Opens the page of a form, and sends the form to `action`.
    pub async fn submit(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> Page {
        let opened = self.get(page).await;
        let mut fields = fields.to_vec();
        fields.push(("form_token", opened.form_token()));
        self.post(action, &fields, &[]).await
    }

    /// Sends exactly these fields, with additional headers.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Page {
        let mut request = self.http.post(format!("{}{path}", self.url)).form(fields);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Page::of(request.send().await.expect("a response")).await
    }
}

/// Creates an API key on the page, with every scope of the member's role.
pub async fn api_key(member: &Member) -> String {
    let opened = member.get("/settings/keys").await;
    let scopes = opened
        .html
        .split("name=\"scopes\" type=\"checkbox\" value=\"")
        .skip(1);
    let scopes: Vec<&str> = scopes.filter_map(|rest| rest.split('"').next()).collect();
    let mut fields = vec![("name", "test"), ("form_token", opened.form_token())];
    fields.extend(scopes.into_iter().map(|scope| ("scopes", scope)));
    let created = member.post("/settings/keys", &fields, &[]).await;
    assert_eq!(created.status, StatusCode::SEE_OTHER, "{}", created.html);
    let shown = member.get("/settings/keys").await;
    let (_, rest) = shown
        .html
        .split_once("id=\"fresh-key\">")
        .expect("the key is shown");
    rest.split('<').next().unwrap_or_default().to_owned()
}
