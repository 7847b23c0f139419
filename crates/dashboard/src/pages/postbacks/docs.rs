//! The documentation of postbacks: how to call, and what every answer means.

use actix_web::http::header::ContentType;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use tenancy::needs;
use tracking::Reason;

use crate::Dashboard;
use crate::auth::find_visit;
use crate::pages::campaigns::campaign::tracking_url;
use crate::shell::{PageResult, page, theme};
use crate::urls;

/// `GET /docs/postback`: for everyone, because the developer who gets an answer may have no sign-in.
///
/// Somebody who is signed in sees the address of their own network.
pub(super) async fn postback(request: HttpRequest, dashboard: web::Data<Dashboard>) -> PageResult {
    let visit = find_visit(&request).await?;
    let access = visit
        .and_then(|visit| visit.actor)
        .and_then(|actor| actor.access::<needs::SignIn>().ok());
    let url = match access {
        Some(access) => {
            let mut conn = access.network(&dashboard.db).await?;
            let url = tracking_url(&mut conn, &dashboard).await?;
            conn.commit().await?;
            url
        }
        None => dashboard.tracking_url.clone(),
    };
    page(&Postback {
        theme: theme(&request),
        example: urls::postback_template(&url, "sale", None),
        systems: dialects::all().len() - 1,
        reasons: Reason::ALL
            .into_iter()
            .map(|reason| ReasonRow {
                code: reason.code(),
                status: reason.status().to_string(),
                http_status: reason.http_status(),
                meaning: reason.meaning(),
                fix: reason.fix(),
            })
            .collect(),
    })
}

/// `GET|POST /postback`: somebody's server calls the dashboard instead of the tracking host, and is told so.
pub(super) async fn misdirected(dashboard: web::Data<Dashboard>) -> HttpResponse {
    HttpResponse::MisdirectedRequest()
        .content_type(ContentType::plaintext())
        .body(format!(
            "This is the dashboard; nothing was kept. Send postbacks to the tracking host, as in the URL you were \
             given: {}/postback\n",
            dashboard.tracking_url
        ))
}

struct ReasonRow {
    code: &'static str,
    status: String,
    http_status: u16,
    meaning: &'static str,
    fix: &'static str,
}

#[derive(Template)]
#[template(path = "postbacks/docs/show.html")]
struct Postback {
    theme: &'static str,
    example: String,
    systems: usize,
    reasons: Vec<ReasonRow>,
}
