//! The JSON API: `/api/v1` over the same functions as the pages, its OpenAPI description, and a page to try it out.
//!
//! [`ROUTES`] lists every route. Every response, errors included, passes `middleware`; `auth` finds the caller before
//! anything else of a request is read. Handlers contain no SQL.

mod auth;
mod docs;
mod download;
mod error;
mod extract;
mod fields;
mod header;
mod idempotency;
mod if_match;
mod middleware;
mod openapi;
mod page;
mod resources;
mod routes;
mod schemas;
mod state;

pub use routes::{ROUTES, configure, openapi};
pub use state::{Api, ApiSettings, CALLS_PER_MINUTE, Limits};

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use actix_web::http::StatusCode;
    use actix_web::http::header::HeaderMap;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, web};
    use schema::Db;
    use serde_json::Value;
    use tenancy::{Mailer, Secret};
    use tracing_subscriber::fmt::format::FmtSpan;
    use tracking::{JournalSettings, StorageSettings, Tracker, TrackerSettings, WhenDiskFails};

    use super::*;

    /// Database that does not exist: requests of these tests must not query it.
    const NO_DATABASE: &str = "postgres://127.0.0.1:1/none";

    /// API without a database, with its files in this folder.
    fn api(folder: &Path) -> Api {
        let db = Db::new(NO_DATABASE, 1, Duration::from_secs(1));
        let urls = tenancy::Urls::new("https://app.example", "https://trk.example");
        let secret = Secret::random();
        let tracker = Tracker::start(TrackerSettings {
            db: db.clone(),
            database_url: NO_DATABASE.to_owned(),
            opening: schema::Opening::pending(),
            patience: Duration::from_millis(250),
            secret: secret.clone(),
            urls: urls.clone(),
            proxies: tracking::Proxies::default(),
            storage: StorageSettings {
                journal: JournalSettings::in_folder(folder.join("journal")),
                exports: folder.join("exports"),
                when_disk_fails: WhenDiskFails::default(),
                keep_clicks_months: None,
                keep_accepted_calls_days: None,
                keep_rejected_calls_days: None,
                keep_unattributed_days: 30,
            },
            places: Vec::new(),
        });
        let caller =
            delivery::Caller::new(delivery::Guard::default(), tenancy::host_checks::Dns::default()).unwrap();
        Api::new(ApiSettings {
            db,
            deliveries: delivery::Tester::new(caller, secret.clone()),
            secret,
            hosts: tenancy::host_checks::HostChecker::new(tenancy::host_checks::Dns::default(), &urls),
            urls,
            proxies: tracking::Proxies::default(),
            reports: reports::Engine::default(),
            mailer: Mailer::default(),
            passwords: tenancy::Passwords::new(),
            limits: Limits::default(),
            tracker: tracker.unwrap(),
        })
    }

    async fn answers(
        requests: impl IntoIterator<Item = TestRequest>,
    ) -> Vec<(StatusCode, HeaderMap, String)> {
        let folder = tempfile::tempdir().unwrap();
        let data = web::Data::new(api(folder.path()));
        let app = init_service(App::new().app_data(data).configure(configure)).await;
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
    async fn an_unauthenticated_caller_gets_401_whatever_else_is_wrong() {
        let routes = || ROUTES.iter().filter(|(_, path)| !path.ends_with("/openapi.json"));
        let requests = routes().map(|(method, path)| {
            let request = TestRequest::with_uri(path).method(method.parse().unwrap());
            request.set_payload("{ not json")
        });
        for ((method, path), (status, headers, body)) in routes().zip(answers(requests).await) {
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
    async fn every_response_has_the_security_headers() {
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
    async fn other_methods_of_a_path_are_refused_with_the_allowed_ones() {
        let (status, headers, body) = answer(TestRequest::post().uri("/api/v1/openapi.json")).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(headers.get("allow").unwrap(), "GET, HEAD");
        assert!(body.contains("method_not_allowed"));
    }

    #[actix_web::test]
    async fn an_address_is_refused_after_a_hundred_wrong_tokens() {
        let wrong = || TestRequest::with_uri("/api/v1/me").append_header(("authorization", "Bearer a.b.c"));
        let responses = answers((0..101).map(|_| wrong())).await;
        assert!(
            responses[..100]
                .iter()
                .all(|(status, ..)| *status == StatusCode::UNAUTHORIZED)
        );
        assert_eq!(responses[100].0, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(responses[100].1.get("retry-after").unwrap(), "900");
    }

    #[actix_web::test]
    async fn an_unavailable_database_is_a_503_with_retry_after() {
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

    /// Writer into shared memory.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[actix_web::test]
    async fn the_span_of_a_request_has_its_id_and_no_text_of_the_caller() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_span_events(FmtSpan::CLOSE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        // Global, not of this thread: a thread without a subscriber would switch a span off for all.
        tracing::subscriber::set_global_default(subscriber).unwrap();
        let request = TestRequest::with_uri("/api/v1/affiliates/aff_misplaced?access_token=misplaced")
            .append_header(("authorization", "Bearer misplaced"));
        let (_, headers, _) = answer(request).await;
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let id = headers.get("x-request-id").unwrap().to_str().unwrap();
        assert!(log.contains(&format!("request_id=\"{id}\"")), "{log}");
        assert!(
            log.contains("route=\"/api/v1/affiliates/{id}\"") && log.contains("status=401"),
            "{log}"
        );
        assert!(!log.contains("misplaced"), "{log}");
    }

    #[actix_web::test]
    async fn the_docs_page_runs_scripts_of_this_server_only() {
        let (status, headers, body) = answer(TestRequest::with_uri("/docs/api")).await;
        assert_eq!(status, StatusCode::OK);
        let policy = headers.get("content-security-policy").unwrap().to_str().unwrap();
        assert!(policy.contains("script-src 'self';") && body.contains("/api/v1/openapi.json"));
        assert!(!body.contains("<script>") && !body.contains(" on"), "{body}");
    }
}
