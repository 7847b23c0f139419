//! Replays: rejected postbacks decided again under the present configuration, after a dry run.

use actix_web::web;
use askama::Template;
use chrono::NaiveDate;
use postbacks::replays::{self, BATCH_LIMIT, Replay, ReplayFilter};
use schema::{NetworkConn, PostbackId, clock};
use tenancy::{advertisers, needs, networks};
use uuid::Uuid;

use crate::error::PageError;
use crate::forms::PostedForm;
use crate::page::{Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, html, see_other};
use crate::{format, urls};

/// Maximum number of postbacks of a batch on the page.
const SHOWN: usize = 500;

/// `POST /postbacks/{id}/replay`: replays one postback.
pub(super) async fn one(
    Submitted(mut page, form): Submitted<needs::DecideConversions>,
    path: web::Path<String>,
) -> PageResult {
    let postback_id: PostbackId = id(&path)?;
    let found = postbacks::find(&mut page.conn, page.actor.scope(), postback_id).await?;
    found.ok_or(PageError::NotFound)?;
    let filter = ReplayFilter {
        ids: vec![postback_id],
        ..ReplayFilter::default()
    };
    let is_dry = form.get("how") != "real";
    let (batch, count) =
        replays::request(&mut page.conn, &page.actor.author(), &filter, is_dry, page.now).await?;
    if count == 0 {
        return Err(PageError::Conflict(
            "No matching rejected postbacks. Accepted postbacks are never replayed.".to_owned(),
        ));
    }
    page.commit().await?;
    see_other(&urls::replay(batch))
}

/// `POST /postbacks/replay`: replays the rejected postbacks that match the form's filters, or those of a dry run.
pub(super) async fn many(Submitted(mut page, form): Submitted<needs::DecideConversions>) -> PageResult {
    let filter = match form.get("batch") {
        "" => filter(&mut page.conn, &form).await?,
        batch => {
            let checked = replays::of_batch(&mut page.conn, id(batch)?, BATCH_LIMIT).await?;
            let ids: Vec<PostbackId> = checked.into_iter().map(|replay| replay.postback_id).collect();
            if ids.is_empty() {
                return Err(PageError::NotFound);
            }
            ReplayFilter {
                ids,
                ..ReplayFilter::default()
            }
        }
    };
    let is_dry = form.get("how") != "real";
    let (batch, count) =
        replays::request(&mut page.conn, &page.actor.author(), &filter, is_dry, page.now).await?;
    if count == 0 {
        return Err(PageError::Conflict(
            "No matching rejected postbacks. Accepted postbacks are never replayed.".to_owned(),
        ));
    }
    page.commit().await?;
    see_other(&urls::replay(batch))
}

/// Filters of the form.
async fn filter(conn: &mut NetworkConn, form: &PostedForm) -> Result<ReplayFilter, PageError> {
    let advertiser_id = match form.get("advertiser") {
        "" => None,
        text => {
            let found = advertisers::find(conn, id(text)?).await?;
            Some(found.ok_or(PageError::NotFound)?.id)
        }
    };
    let since = match form.get("since") {
        "" => None,
        text => {
            let day: NaiveDate = text.parse().map_err(|_| {
                PageError::BadRequest(format!("“{text}” is not a date. Use the format 2026-12-24."))
            })?;
            let zone = networks::current(conn).await?.time_zone();
            Some(clock::start_of_day(day, zone))
        }
    };
    let reason = form.get("reason");
    Ok(ReplayFilter {
        ids: Vec::new(),
        reason: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
        advertiser_id,
        since,
    })
}

/// `GET /replays/{batch}`: results of a batch, or of its dry run.
pub(super) async fn show(mut page: Page<needs::DecideConversions>, path: web::Path<String>) -> PageResult {
    let batch: Uuid = id(&path)?;
    let found = replays::of_batch(&mut page.conn, batch, BATCH_LIMIT).await?;
    let frame = page.commit().await?;
    let is_dry = found.first().ok_or(PageError::NotFound)?.is_dry;
    let to_do = found.iter().filter(|replay| replay.done_at.is_none()).count();
    let changing = found.iter().filter(|replay| replay.changes()).count();
    let title = if is_dry { "Replay (dry run)" } else { "Replay" };
    html(&Show {
        shell: frame.shell("Postbacks", title),
        is_dry,
        to_do,
        total: found.len(),
        changing,
        batch: batch.to_string(),
        rows: found.into_iter().take(SHOWN).map(ReplayRow::new).collect(),
    })
}

struct ReplayRow {
    url: String,
    short_id: String,
    before: String,
    after: String,
    changes: bool,
    message: String,
    commission: String,
}

impl ReplayRow {
    fn new(replay: Replay) -> Self {
        Self {
            url: urls::postback(replay.postback_id),
            short_id: format::short_id(&replay.postback_id.to_string()),
            changes: replay.changes(),
            commission: replay.commission().map_or_else(|| "—".to_owned(), format::money),
            before: replay.reason_before,
            after: replay.reason.unwrap_or_else(|| "…".to_owned()),
            message: replay.message.unwrap_or_default(),
        }
    }
}

#[derive(Template)]
#[template(path = "postbacks/replays/show.html")]
struct Show {
    shell: Shell,
    is_dry: bool,
    to_do: usize,
    total: usize,
    changing: usize,
    batch: String,
    rows: Vec<ReplayRow>,
}
