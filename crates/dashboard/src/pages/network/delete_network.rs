//! Leaving: everything the network owns as a file, and the network's end.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use futures_util::{StreamExt, pin_mut};
use schema::clock;
use tenancy::audit::{self, Change};
use tenancy::networks::{self, NetworkStatus};
use tenancy::{Access, FieldErrors, erasure, needs};

use super::settings;
use crate::Dashboard;
use crate::auth::{Allowed, SignedIn};
use crate::error::PageError;
use crate::forms::{self, PostedForm};
use crate::pages::account::profile::prove;
use crate::shell::{PageResult, Shell, page_with, see_other};

/// How long a browser may not take anything of a download.
const SLOWEST_READER: Duration = Duration::from_secs(30);

/// `GET /settings/delete`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::DeleteNetwork>,
) -> PageResult {
    render(&request, &dashboard, &actor, FieldErrors::default()).await
}

async fn render<P>(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Access<P>,
    errors: FieldErrors,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    conn.commit().await?;
    let status = forms::status(&errors);
    page_with(
        status,
        &Delete {
            shell: Shell::new(
                dashboard,
                request,
                actor,
                &network,
                "Settings",
                "Delete the network",
            ),
            tabs: settings::tabs(actor, "/settings/delete"),
            errors,
        },
    )
}

/// `GET /settings/export.ndjson`: every row, as it is read.
pub(super) async fn export(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::DeleteNetwork>,
) -> PageResult {
    let turn = Arc::clone(&dashboard.export_turns)
        .try_acquire_owned()
        .map_err(|_| {
            PageError::Conflict("Other networks are being downloaded. Try again in a few minutes.".to_owned())
        })?;
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let change = Change::noted("network.export", network.id, &network.name);
    audit::record(&mut conn, &actor.author(), change, clock::now()).await?;
    conn.commit().await?;
    let mut conn = actor.network(&dashboard.db).await?;
    let slug = networks::slug(&mut conn).await?;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<web::Bytes, std::io::Error>>(64);
    // The transaction lives in a task of its own; when the browser goes away, sending fails and it ends.
    tokio::spawn(async move {
        let _turn = turn;
        let outcome = async {
            let rows = erasure::export(&mut conn).await?;
            pin_mut!(rows);
            while let Some(line) = rows.next().await {
                let sent = sender.send(Ok(web::Bytes::from(line?)));
                // Whoever stops reading gives the connection back.
                if !matches!(tokio::time::timeout(SLOWEST_READER, sent).await, Ok(Ok(()))) {
                    break;
                }
            }
            Ok::<_, diesel::result::Error>(())
        };
        if let Err(error) = outcome.await {
            tracing::error!(%error, "export broke off");
            let broken = std::io::Error::other("the export broke off");
            let _ = sender.send(Err(broken)).await;
        }
    });
    let lines = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|line| (line, receiver))
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/x-ndjson"))
        .insert_header((
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{slug}.ndjson\""),
        ))
        .streaming(lines))
}

/// `POST /settings/delete`: closes the network at once; export and erasure follow in the background, because both take
/// as long as there is data.
pub(super) async fn delete(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::DeleteNetwork>,
    visitor: SignedIn,
    form: PostedForm,
) -> PageResult {
    if let Err(message) = prove(&request, &dashboard, &visitor, &form).await? {
        let mut errors = FieldErrors::default();
        errors.add("present", message);
        return render(&request, &dashboard, &actor, errors).await;
    }
    let now = clock::now();
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    if form.get("name") != network.name {
        drop(conn);
        let mut errors = FieldErrors::default();
        errors.add(
            "name",
            format!("Type the network's name, {}, to delete it.", network.name),
        );
        return render(&request, &dashboard, &actor, errors).await;
    }
    let author = actor.author();
    let reason = format!("Deleted by {}.", author.name);
    networks::set_status(&mut conn, &author, NetworkStatus::Closed, &reason, now).await?;
    conn.commit().await?;
    let (db, folder) = (dashboard.db.clone(), dashboard.exports.clone());
    tokio::spawn(async move {
        // The tracking paths may believe for a second that the network is open; what they still take is exported too.
        tokio::time::sleep(Duration::from_secs(2)).await;
        if let Err(error) = erasure::export_and_erase(&db, &folder, network.id, &author, clock::now()).await {
            tracing::error!(network = %network.id, %error, "network not erased; an operator can try again");
        }
    });
    see_other("/account")
}

#[derive(Template)]
#[template(path = "network/delete_network/show.html")]
struct Delete {
    shell: Shell,
    tabs: Vec<(&'static str, &'static str, bool)>,
    errors: FieldErrors,
}
