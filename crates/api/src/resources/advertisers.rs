//! `/advertisers`: brands whose servers send postbacks.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use schema::{AdvertiserId, NetworkConn, clock};
use serde::Deserialize;
use tenancy::advertisers::{self, Advertiser as Stored, AdvertiserSettings};
use tenancy::import::{self, Party};
use tenancy::{Author, csv_export, needs};
use utoipa::IntoParams;

use super::Answer;
use super::parties::{self, ExportParams, ImportParams, ImportReport, Tags};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Csv, Id, Params};
use crate::fields::{Word, resource};
use crate::idempotency::IdempotencyKey;
use crate::if_match::{IfMatch, tagged};
use crate::page::{Page, Window, items, unknown_after};
use crate::schemas;
use crate::state::Api;

resource! {
    /// A brand whose server sends postbacks.
    Advertiser;
    /// An advertiser to create.
    #[schema(example = json!({ "name": "Nova Shoes", "external_id": "77", "tags": ["vip"] }))]
    NewAdvertiser;
    change
    /// Fields to update. Absent fields keep their values.
    #[schema(example = json!({ "status": "archived", "external_id": null }))]
    AdvertiserPatch;
    head {
        id: AdvertiserId as schemas::AdvertiserId,
        /// Version, as in `ETag`; every update increments it.
        #[schema(minimum = 1)]
        version: i32 as i32,
        created_at: DateTime<Utc> as DateTime<Utc>,
        /// Start of the pause, during which no visitors are redirected and no conversions created; null if not paused.
        paused_at: Option<DateTime<Utc>> as Option<DateTime<Utc>>,
    }
    new {}
    must {
        name: String as schemas::Name,
    }
    may {
        /// Status; `active` by default.
        status: Word as schemas::AdvertiserStatus,
        /// ID in another system; unique. Null for none.
        external_id: Option<String> as Option<schemas::Name>,
        /// Notes for the network's staff.
        notes: String as schemas::Notes,
        /// Tags; an update replaces the whole list.
        tags: Tags as Vec<schemas::Tag> where (max_items = 20),
    }
}

items!(Advertiser);

impl From<Stored> for Advertiser {
    fn from(advertiser: Stored) -> Self {
        let draft = advertiser.settings().draft();
        Self::from_draft(
            advertiser.id,
            advertiser.version,
            advertiser.created_at,
            advertiser.paused_at,
            &draft,
        )
    }
}

/// Filters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AdvertiserParams {
    /// Part of a name or external ID, or a whole tag.
    #[param(value_type = schemas::Filter, inline, required = false)]
    search: Option<String>,
    /// Only advertisers with this status; all except archived ones by default.
    #[param(value_type = schemas::AdvertiserStatus, inline, required = false)]
    status: Option<String>,
    /// True to include archived advertisers if `status` is absent.
    #[param(value_type = bool, required = false)]
    archived: Option<bool>,
    /// Order; `name` by default.
    #[param(value_type = schemas::Sort, inline, required = false)]
    sort: Option<String>,
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::AdvertiserId, inline, required = false)]
    after: Option<String>,
}

/// List advertisers
#[utoipa::path(get, path = "/advertisers", tag = "Advertisers", params(AdvertiserParams), responses((status = 200, body = Page<Advertiser>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeParties>,
    api: Data<Api>,
    Params(params): Params<AdvertiserParams>,
) -> Answer<Page<Advertiser>> {
    let window = Window::of(params.limit, params.after.as_deref())?;
    let (search, status, sort) = (
        params.search.as_deref(),
        params.status.as_deref(),
        params.sort.as_deref(),
    );
    let filter = parties::filter(search, status, params.archived, sort, window.after)?;
    let mut conn = access.network(&api.db).await?;
    if let Some(id) = window.after {
        advertisers::find(&mut conn, id)
            .await?
            .ok_or_else(unknown_after)?;
    }
    let rows = advertisers::list(&mut conn, &filter, window.rows()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Create an advertiser
#[utoipa::path(post, path = "/advertisers", tag = "Advertisers", params(IdempotencyKey), request_body = NewAdvertiser, responses((status = 201, body = Advertiser)))]
pub(crate) async fn create(
    access: Allowed<needs::ManageParties>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewAdvertiser>,
) -> Result<HttpResponse, ApiError> {
    let mut draft = body.value.over(AdvertiserSettings::blank());
    let settings = AdvertiserSettings::check(&mut draft);
    let settings = draft.accepted(settings)?;
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let created = advertisers::create(conn, &access.author(), &settings, clock::now()).await?;
        Ok(Advertiser::from(created))
    });
    Ok(outcome.await?.response())
}

/// Get an advertiser
#[utoipa::path(
    get, path = "/advertisers/{id}", tag = "Advertisers",
    params(("id" = inline(schemas::AdvertiserId), Path)),
    responses((status = 200, body = Advertiser, headers(("ETag" = String, description = "Version for `If-Match`."))))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeParties>,
    Id(id): Id<AdvertiserId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    let found = advertisers::find(&mut conn, id)
        .await?
        .ok_or(ApiError::NotFound)?;
    conn.commit().await?;
    Ok(tagged(found.version, Advertiser::from(found)))
}

/// Update an advertiser
///
/// With `If-Match`, fails if the advertiser has changed since that version.
#[utoipa::path(
    patch, path = "/advertisers/{id}", tag = "Advertisers",
    params(("id" = inline(schemas::AdvertiserId), Path), IfMatch),
    request_body = AdvertiserPatch,
    responses((status = 200, body = Advertiser, headers(("ETag" = String, description = "Version for `If-Match`."))))
)]
pub(crate) async fn update(
    access: Allowed<needs::ManageParties>,
    Id(id): Id<AdvertiserId>,
    api: Data<Api>,
    if_match: IfMatch,
    body: Body<AdvertiserPatch>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    let old = advertisers::find(&mut conn, id)
        .await?
        .ok_or(ApiError::NotFound)?;
    if_match.check(old.version)?;
    let mut draft = body.value.over(old.settings().draft());
    let settings = AdvertiserSettings::check(&mut draft);
    let settings = draft.accepted(settings)?;
    // The fields that the body leaves out were read above: a concurrent update must not be undone.
    let version = Some(old.version);
    let new = advertisers::update(&mut conn, &access.author(), id, version, &settings, clock::now()).await?;
    conn.commit().await?;
    Ok(tagged(new.version, Advertiser::from(new)))
}

/// Import advertisers from CSV
///
/// The first line contains the column names: `name`, `external_id`, `status`, `notes`, `tags`. A row updates the
/// advertiser with its external ID, or with its name if it has no external ID; otherwise it creates one. Missing
/// columns and empty cells keep existing values.
#[utoipa::path(
    post, path = "/advertisers/import", tag = "Advertisers",
    params(ImportParams, IdempotencyKey),
    request_body(content = String, content_type = "text/csv", example = "name,external_id\nNova Shoes,77\n"),
    responses((status = 200, body = ImportReport))
)]
pub(crate) async fn import(
    access: Allowed<needs::ManageParties>,
    api: Data<Api>,
    Params(params): Params<ImportParams>,
    key: IdempotencyKey,
    Csv(text): Csv,
) -> Result<HttpResponse, ApiError> {
    let run = async |conn: &mut NetworkConn, author: &Author| {
        import::run(conn, author, Party::Advertisers, &text, clock::now()).await
    };
    parties::import(&access, &api, &key, &params, &text, run).await
}

/// Export advertisers to CSV
///
/// The import accepts this file. An apostrophe precedes text that a spreadsheet would evaluate as a formula.
#[utoipa::path(
    get, path = "/advertisers/export", tag = "Advertisers", params(ExportParams),
    responses((status = 200, body = String, content_type = "text/csv"))
)]
pub(crate) async fn export(
    access: Allowed<needs::SeeParties>,
    api: Data<Api>,
    Params(params): Params<ExportParams>,
) -> Result<HttpResponse, ApiError> {
    let filter = parties::filter(None, None, params.archived, None, None)?;
    let mut conn = access.network(&api.db).await?;
    let rows = advertisers::list(&mut conn, &filter, parties::MAX_EXPORT_ROWS + 1).await?;
    conn.commit().await?;
    parties::file("advertisers.csv", &params, rows, csv_export::advertisers).await
}
