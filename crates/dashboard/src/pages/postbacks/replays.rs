//! Replays: rejected postbacks decided once more under today's configuration, after a look at what would change.

use actix_web::{HttpRequest, web};
use askama::Template;
use chrono::NaiveDate;
use schema::{NetworkConn, PostbackId, clock};
use tenancy::{advertisers, needs, networks};
use tracking::postbacks;
use tracking::replays::{self, MOST, Replay, ReplayFilter};
use uuid::Uuid;

use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::pages::id;
use crate::shell::{PageResult, Shell, page, see_other};
use crate::{Dashboard, format, urls};

/// How many of a batch the page shows.
const SHOWN: i64 = 500;

/// `POST /postbacks/{id}/replay`: one postback.
pub(super) async fn one(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::DecideConversions>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let postback_id: PostbackId = id(&path)?;
    let mut conn = actor.network(&dashboard.db).await?;
    let found = postbacks::find(&mut conn, actor.role.scope(), postback_id).await?;
    found.ok_or(PageError::NotFound)?;
    let filter = ReplayFilter {
        ids: vec![postback_id],
        ..ReplayFilter::default()
    };
    let is_dry = form.get("how") != "real";
    let (batch, _) = replays::ask(&mut conn, &actor.author(), &filter, is_dry, clock::now()).await?;
    conn.commit().await?;
    see_other(&urls::replay(batch))
}

/// `POST /postbacks/replay`: all rejected ones that fit, or those of a batch that was looked at.
pub(super) async fn many(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::DecideConversions>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let filter = match form.get("batch") {
        "" => asked_for(&mut conn, &form).await?,
        batch => {
            let looked_at = replays::of_batch(&mut conn, id(batch)?, MOST).await?;
            let ids: Vec<PostbackId> = looked_at.into_iter().map(|replay| replay.postback_id).collect();
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
    let (batch, _) = replays::ask(&mut conn, &actor.author(), &filter, is_dry, clock::now()).await?;
    conn.commit().await?;
    see_other(&urls::replay(batch))
}

/// Which postbacks a form asks for.
async fn asked_for(conn: &mut NetworkConn, form: &PostedForm) -> Result<ReplayFilter, PageError> {
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
            let day: NaiveDate = text
                .parse()
                .map_err(|_| PageError::BadRequest(format!("“{text}” is not a day such as 2026-12-24.")))?;
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

/// `GET /replays/{batch}`: what came of it, or would come.
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::DecideConversions>,
    path: web::Path<String>,
) -> PageResult {
    let batch: Uuid = id(&path)?;
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let found = replays::of_batch(&mut conn, batch, MOST).await?;
    conn.commit().await?;
    let is_dry = found.first().is_none_or(|replay| replay.is_dry);
    let to_do = found.iter().filter(|replay| replay.done_at.is_none()).count();
    let changing = found.iter().filter(|replay| replay.changes()).count();
    let title = if is_dry {
        "What a replay would change"
    } else {
        "Replay"
    };
    page(&Show {
        shell: Shell::new(&dashboard, &request, &actor, &network, "Postbacks", title),
        is_dry,
        to_do,
        total: found.len(),
        changing,
        batch: batch.to_string(),
        rows: found
            .into_iter()
            .take(usize::try_from(SHOWN).unwrap_or(usize::MAX))
            .map(ReplayRow::new)
            .collect(),
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
