//! `GET /tls/ask?domain=…`, for proxies that obtain certificates on demand, such as Caddy: 200 for a host of this
//! installation, 404 for any other, so that strangers cannot make the proxy obtain certificates for their names.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use tracking::Tracker;

/// Query of the proxy.
#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    /// Host that a client asks a certificate for.
    domain: String,
}

/// Answers for the hosts of the installation, and for those of the networks.
pub(crate) async fn answer(tracker: Tracker, own_hosts: &[String], asked: web::Query<Asked>) -> HttpResponse {
    let domain = tenancy::networks::normal_host(&asked.domain);
    if own_hosts.contains(&domain) {
        return HttpResponse::Ok().finish();
    }
    match tracker.is_of_network(&domain).await {
        Ok(true) => HttpResponse::Ok().finish(),
        Ok(false) => HttpResponse::NotFound().finish(),
        Err(error) => {
            tracing::warn!(%error, "host not looked up for a certificate");
            HttpResponse::ServiceUnavailable().finish()
        }
    }
}
