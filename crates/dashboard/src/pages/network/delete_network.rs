//! Deletion of a network, and the export of all its data.

use std::time::Duration;

use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use askama::Template;
use futures_util::{StreamExt, pin_mut};
use schema::{NetworkConn, clock};
use tenancy::audit::{self, Change};
use tenancy::networks::{self, NetworkStatus};
use tenancy::{FieldErrors, erasure, needs};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::Sender;
use tokio::time::timeout;

use super::settings;
use crate::auth::SignedIn;
use crate::error::PageError;
use crate::forms::{self, PostedForm};
use crate::page::{Caller, Page};
use crate::pages::account::profile::check_current_password;
use crate::shell::{PageResult, Shell, html_with, see_other};

/// Timeout for each line of a download: a reader that stops must not keep the connection to Postgres.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// `GET /settings/delete`
pub(super) async fn show(page: Page<needs::DeleteNetwork>) -> PageResult {
    render(page, FieldErrors::default()).await
}

async fn render<P>(page: Page<P>, errors: FieldErrors) -> PageResult {
    let frame = page.commit().await?;
    let status = forms::status(&errors);
    html_with(
        status,
        &Delete {
            shell: frame.shell("Settings", "Delete network"),
            tabs: settings::tabs(&frame.actor, "/settings/delete"),
            errors,
        },
    )
}

/// `GET /settings/export.ndjson`: every row of the network, streamed.
pub(super) async fn export(caller: Caller<needs::DeleteNetwork>) -> PageResult {
    let slot = caller.request.dashboard.export_slots.clone().try_acquire_owned();
    let slot = slot.map_err(|_| {
        PageError::Conflict("Other exports are running. Try again in a few minutes.".to_owned())
    })?;
    let mut page = caller.open().await?;
    let change = Change::noted("network.export", page.network.id, &page.network.name);
    audit::record(&mut page.conn, &page.actor.author(), change, page.now).await?;
    let mut page = page.commit().await?.reopen().await?;
    let slug = networks::slug(&mut page.conn).await?;
    let (sender, receiver) = tokio::sync::mpsc::channel(64);
    // The spawned task owns the transaction. When the browser disconnects, sending fails and the task ends.
    tokio::spawn(send_rows(page.conn, sender, slot));
    let lines = futures_util::stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|line| (line, receiver))
    });
    let disposition = format!("attachment; filename=\"{slug}.ndjson\"");
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/x-ndjson"))
        .insert_header((CONTENT_DISPOSITION, disposition))
        .streaming(lines))
}

/// Sends the rows of a network to a download, until its reader is slow or gone.
async fn send_rows(
    mut conn: NetworkConn,
    sender: Sender<Result<web::Bytes, std::io::Error>>,
    _slot: OwnedSemaphorePermit,
) {
    let outcome = async {
        let rows = erasure::export(&mut conn).await?;
        pin_mut!(rows);
        while let Some(line) = rows.next().await {
            let sent = sender.send(Ok(web::Bytes::from(line?)));
            if !matches!(timeout(READ_TIMEOUT, sent).await, Ok(Ok(()))) {
                break;
            }
        }
        Ok::<_, diesel::result::Error>(())
    };
    if let Err(error) = outcome.await {
        tracing::error!(%error, "export failed");
        // The error aborts the download. A reader that is gone needs no error.
        let _ = sender.send(Err(std::io::Error::other("the export failed"))).await;
    }
}

/// `POST /settings/delete`: closes the network at once. Export and erasure follow in the background, because they take
/// long for a network with much data.
pub(super) async fn delete(
    caller: Caller<needs::DeleteNetwork>,
    user: SignedIn,
    form: PostedForm,
) -> PageResult {
    let password = check_current_password(&user, &form).await?;
    let mut page = caller.open().await?;
    if let Err(message) = password {
        return refuse(page, "present", message.to_owned()).await;
    }
    if form.get("name") != page.network.name {
        let message = format!("To confirm, enter the network's name: {}.", page.network.name);
        return refuse(page, "name", message).await;
    }
    let author = page.actor.author();
    let reason = format!("Deleted by {}.", author.name);
    networks::set_status(&mut page.conn, &author, NetworkStatus::Closed, &reason, page.now).await?;
    let frame = page.commit().await?;
    let (db, folder) = (
        frame.request.dashboard.db.clone(),
        frame.request.dashboard.exports.clone(),
    );
    let network_id = frame.network.id;
    tokio::spawn(async move {
        // The tracking host may accept requests of the network for another second; the export includes these.
        tokio::time::sleep(Duration::from_secs(2)).await;
        if let Err(error) = erasure::export_and_erase(&db, &folder, network_id, &author, clock::now()).await {
            tracing::error!(network = %network_id, %error, "network not erased; an operator can try again");
        }
    });
    see_other("/account")
}

async fn refuse<P>(page: Page<P>, field: &'static str, message: String) -> PageResult {
    let mut errors = FieldErrors::default();
    errors.add(field, message);
    render(page, errors).await
}

#[derive(Template)]
#[template(path = "network/delete_network/show.html")]
struct Delete {
    shell: Shell,
    tabs: Vec<(&'static str, &'static str, bool)>,
    errors: FieldErrors,
}
