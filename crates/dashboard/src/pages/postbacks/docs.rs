//! Documentation of postbacks: parameters, statuses, and reasons.

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use askama::Template;
use conversions::EventKind;
use dialects::template::{self, Macro};
use postbacks::Reason;
use tenancy::{needs, networks};

use crate::auth::find_visit;
use crate::navigation::docs as guide;
use crate::page::PageRequest;
use crate::shell::{PageResult, Shell, html};
use crate::urls;

/// `GET /docs/postback`: public, because a developer who receives a response may have no account. Shows a signed-in member
/// the address of their network.
pub(super) async fn postback(request: PageRequest) -> PageResult {
    let visit = find_visit(&request.http).await?;
    let access = visit
        .and_then(|visit| visit.actor)
        .and_then(|actor| actor.access::<needs::SignIn>().ok());
    let url = match access {
        Some(access) => {
            let dashboard = &request.dashboard;
            let mut conn = access.network(&dashboard.db).await?;
            let (shared, served) = (&dashboard.tracking_url, dashboard.served_hosts);
            let url = networks::tracking_url(&mut conn, shared, served).await?;
            conn.commit().await?;
            url
        }
        None => request.dashboard.tracking_url.clone(),
    };
    html(&Postback {
        shell: Shell::of_docs(&request, guide::SENDING).await?,
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

/// `GET /docs/earnings`: public, because affiliates decide by it whether to join.
pub(super) async fn earnings(request: PageRequest) -> PageResult {
    html(&Earnings {
        shell: Shell::of_docs(&request, guide::EARNINGS).await?,
    })
}

/// `GET /docs/delivery`: public, because a developer who receives webhooks may have no account.
pub(super) async fn delivery(request: PageRequest) -> PageResult {
    let trackers: Vec<&str> = template::outgoing().map(|tracker| tracker.dialect.name).collect();
    let events: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
    html(&Deliveries {
        shell: Shell::of_docs(&request, guide::RECEIVING).await?,
        trackers: trackers.join(", "),
        macros: Macro::all()
            .map(|one| (format!("{{{}}}", one.name()), one.meaning(), one.sample()))
            .collect(),
        example: delivery::example(),
        events: events.join(", "),
    })
}

/// `GET|POST /postback`: refuses postbacks sent to the dashboard instead of the tracking host.
pub(super) async fn misdirected(request: PageRequest) -> HttpResponse {
    HttpResponse::MisdirectedRequest()
        .content_type(ContentType::plaintext())
        .body(format!(
            "This is the dashboard; the postback was not stored. Send postbacks to the tracking host, as in the URL you were \
             given: {}/postback\n",
            request.dashboard.tracking_url
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
#[template(path = "postbacks/earnings/show.html")]
struct Earnings {
    shell: Shell,
}

#[derive(Template)]
#[template(path = "postbacks/docs/delivery.html")]
struct Deliveries {
    shell: Shell,
    /// Names of the trackers that have a template.
    trackers: String,
    /// Name in braces, meaning and sample of each macro.
    macros: Vec<(String, &'static str, &'static str)>,
    /// Body of a webhook.
    example: String,
    events: String,
}

#[derive(Template)]
#[template(path = "postbacks/docs/show.html")]
struct Postback {
    shell: Shell,
    example: String,
    systems: usize,
    reasons: Vec<ReasonRow>,
}
