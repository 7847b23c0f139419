//! Page to try the API out: the vendored Swagger UI, under the strictest policy that it works with.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ContentType, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::{HttpResponse, web};

/// Policy of the dashboard, relaxed for Swagger UI, which sets inline styles and draws with data images.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// HTML of the page.
const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API · Clickledger</title>
<link rel="icon" href="/static/vendored/icon.svg">
<link rel="stylesheet" href="/static/vendored/vendor/swagger-ui/swagger-ui.css">
</head>
<body>
<main id="api" data-description="/api/v1/openapi.json"></main>
<noscript><p>This page needs JavaScript. The OpenAPI document is at
<a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.</p></noscript>
<script src="/static/vendored/vendor/swagger-ui/swagger-ui-bundle.js"></script>
<script src="/static/vendored/docs-api.js"></script>
</body>
</html>
"#;

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config.route("/docs/api", web::get().to(show));
}

async fn show() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(ContentType::html())
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "same-origin"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header(("cross-origin-opener-policy", "same-origin"))
        .insert_header((STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(PAGE)
}
