//! The JSON API: `/api/v1` over the same functions as the pages, its description in OpenAPI, and a page to try it on.
//!
//! Every route is in the table of [`ROUTES`]; every answer, errors included, passes `guard`; who calls
//! is settled in `door` before anything of a request is read. Handlers hold no SQL.

mod condition;
mod docs;
mod door;
mod error;
mod extract;
mod fields;
mod guard;
mod once;
mod openapi;
mod page;
mod resources;
mod routes;
mod schemas;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use diesel::QueryResult;
use schema::{Db, MembershipId, NetworkConn, NetworkId};
use tenancy::api_tokens::ApiTokens;
use tenancy::{Mailer, RateLimit, Secret, SignInThrottle, Urls, networks};
use tracking::Proxies;
use tracking::intake::client_ip;

pub use openapi::openapi;
pub use routes::{ROUTES, configure};

/// Default of [`Limits::calls_per_minute`].
pub const CALLS_PER_MINUTE: u32 = 600;

/// The time over which calls are counted.
const RATE_WINDOW: Duration = Duration::from_secs(60);

/// Limits of the API.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Calls per minute and node, of a network's own members together and of each other member alone.
    pub calls_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls_per_minute: CALLS_PER_MINUTE,
        }
    }
}

/// Settings of an [`Api`].
pub struct ApiSettings {
    /// Pool on which neither clicks nor postbacks depend.
    pub db: Db,
    /// Secret of the installation.
    pub secret: Secret,
    /// Public base URLs.
    pub urls: Urls,
    /// Proxies in front of the listener.
    pub proxies: Proxies,
    /// Sender of invitations and of decisions on applications.
    pub mailer: Mailer,
    /// Limits of the API.
    pub limits: Limits,
}

/// What all endpoints share. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    db: Db,
    secret: Secret,
    tokens: ApiTokens,
    tracking_url: Arc<str>,
    dashboard_url: Arc<str>,
    mailer: Mailer,
    /// Per network, and per person of an advertiser or affiliate: none of those can use up what the network has.
    rate: RateLimit<(NetworkId, Option<MembershipId>)>,
    throttle: SignInThrottle,
    proxies: Proxies,
    reserved_hosts: Arc<[String]>,
    calls_per_minute: u32,
}

impl Api {
    /// Prepares the endpoints.
    #[must_use]
    pub fn new(settings: ApiSettings) -> Self {
        Self {
            db: settings.db,
            tokens: ApiTokens::new(&settings.secret, &settings.urls.dashboard),
            secret: settings.secret,
            reserved_hosts: settings.urls.reserved_hosts().into(),
            tracking_url: settings.urls.tracking.into(),
            dashboard_url: settings.urls.dashboard.into(),
            mailer: settings.mailer,
            rate: RateLimit::new(RATE_WINDOW),
            throttle: SignInThrottle::new(),
            proxies: settings.proxies,
            calls_per_minute: settings.limits.calls_per_minute,
        }
    }

    /// Where visitors and servers reach the network of this connection.
    async fn tracking_url(&self, conn: &mut NetworkConn) -> QueryResult<String> {
        networks::tracking_url(conn, &self.tracking_url).await
    }

    fn client(&self, request: &HttpRequest) -> Option<IpAddr> {
        client_ip(request.head(), &self.proxies.trusted)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::http::header::HeaderMap;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, web};
    use serde_json::Value;

    use super::*;

    /// An API whose database does not answer: what is tested here must not ask it.
    fn api() -> Api {
        Api::new(ApiSettings {
            db: Db::new("postgres://127.0.0.1:1/none", 1, Duration::from_secs(1)),
            secret: Secret::random(),
            urls: Urls::new("https://app.example", "https://trk.example"),
            proxies: Proxies::default(),
            mailer: Mailer::default(),
            limits: Limits::default(),
        })
    }

    async fn answers(
        requests: impl IntoIterator<Item = TestRequest>,
    ) -> Vec<(StatusCode, HeaderMap, String)> {
        let app = init_service(App::new().app_data(web::Data::new(api())).configure(configure)).await;
        let mut answers = Vec::new();
        for request in requests {
            let request = request.peer_addr("203.0.113.7:1234".parse().unwrap());
            let response = call_service(&app, request.to_request()).await;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = read_body(response).await;
            answers.push((status, headers, String::from_utf8(body.to_vec()).unwrap()));
        }
        answers
    }

    async fn answer(request: TestRequest) -> (StatusCode, HeaderMap, String) {
        answers([request]).await.pop().unwrap()
    }

    #[actix_web::test]
    async fn a_stranger_is_told_nothing_but_to_sign_in() {
        for (method, path) in ROUTES.iter().filter(|(_, path)| !path.ends_with("/openapi.json")) {
            let request = TestRequest::with_uri(path).method(method.parse().unwrap());
            let (status, headers, body) = answer(request.set_payload("{ not json")).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path}");
            assert_eq!(headers.get("www-authenticate").unwrap(), "Bearer");
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["code"], "unauthenticated");
            assert_eq!(
                body["request_id"],
                headers.get("x-request-id").unwrap().to_str().unwrap()
            );
        }
        let (status, ..) = answer(TestRequest::with_uri("/api/v1/nothing")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }

    #[actix_web::test]
    async fn every_answer_is_guarded() {
        for path in [
            "/api/v1/me",
            "/api/v1/openapi.json",
            "/api/v1/nothing",
            "/api/v1",
            "/api/v1/",
        ] {
            let (_, headers, _) = answer(TestRequest::with_uri(path)).await;
            for (name, value) in [
                ("cache-control", "no-store"),
                ("x-content-type-options", "nosniff"),
                (
                    "content-security-policy",
                    "default-src 'none'; frame-ancestors 'none'",
                ),
                ("referrer-policy", "no-referrer"),
                ("strict-transport-security", "max-age=31536000; includeSubDomains"),
                ("content-type", "application/json"),
            ] {
                assert_eq!(headers.get(name).unwrap(), value, "{path} {name}");
            }
            assert!(headers.contains_key("x-request-id"), "{path}");
        }
    }

    #[actix_web::test]
    async fn an_address_takes_its_methods_only() {
        let (status, headers, body) = answer(TestRequest::post().uri("/api/v1/openapi.json")).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(headers.get("allow").unwrap(), "GET, HEAD");
        assert!(body.contains("method_not_allowed"));
    }

    #[actix_web::test]
    async fn a_hundred_wrong_tokens_close_the_door_to_their_address() {
        let wrong = || TestRequest::with_uri("/api/v1/me").append_header(("authorization", "Bearer a.b.c"));
        let told = answers((0..101).map(|_| wrong())).await;
        assert!(
            told[..100]
                .iter()
                .all(|(status, ..)| *status == StatusCode::UNAUTHORIZED)
        );
        assert_eq!(told[100].0, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(told[100].1.get("retry-after").unwrap(), "900");
    }

    #[actix_web::test]
    async fn a_busy_database_is_told_with_a_time_to_come_back() {
        let key = format!(
            "clk_key_{}",
            schema::BASE32.encode(&[[0, 0, 0, 7].as_slice(), &[1; 21]].concat())
        );
        let request =
            TestRequest::with_uri("/api/v1/me").append_header(("authorization", format!("Bearer {key}")));
        let (status, headers, body) = answer(request).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
        assert!(
            headers.contains_key("retry-after") && !body.contains("127.0.0.1"),
            "{body}"
        );
    }

    #[actix_web::test]
    async fn the_page_runs_scripts_of_ours_only() {
        let (status, headers, body) = answer(TestRequest::with_uri("/docs/api")).await;
        assert_eq!(status, StatusCode::OK);
        let policy = headers.get("content-security-policy").unwrap().to_str().unwrap();
        assert!(policy.contains("script-src 'self';") && body.contains("/api/v1/openapi.json"));
        assert!(!body.contains("<script>") && !body.contains(" on"), "{body}");
    }
}
