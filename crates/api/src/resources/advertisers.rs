//! `/advertisers`: the brands whose servers send postbacks.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use schema::{AdvertiserId, NetworkConn, clock};
use serde::{Deserialize, Serialize};
use tenancy::advertisers::{self, AdvertiserSettings};
use tenancy::import::{self, Party};
use tenancy::{Author, ChangeError, csv_export, needs};
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use super::parties::{self, ExportParams, ImportParams, ImportReport};
use crate::condition::{Condition, tagged};
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Csv, Id, Params, given};
use crate::once::{Created, Once};
use crate::openapi::{IdempotencyKey, IfMatch};
use crate::page::{Page, Window, items, unknown_after};
use crate::{Api, schemas};

/// An advertiser.
#[derive(Serialize, ToSchema)]
pub(crate) struct Advertiser {
    #[schema(value_type = schemas::AdvertiserId)]
    id: AdvertiserId,
    #[schema(value_type = schemas::Name)]
    name: String,
    #[schema(value_type = schemas::AdvertiserStatus)]
    status: &'static str,
    /// What another system calls it; unique.
    #[schema(required, value_type = Option<schemas::Name>)]
    external_id: Option<String>,
    /// For the network's own people.
    #[schema(value_type = schemas::Notes)]
    notes: String,
    #[schema(value_type = Vec<schemas::Tag>)]
    tags: Vec<String>,
    /// Counts changes; the `ETag` too.
    #[schema(minimum = 1)]
    version: i32,
    created_at: DateTime<Utc>,
    /// Since when it is paused, if it is: nobody is sent to its campaigns, and no conversion is made for it.
    #[schema(required)]
    paused_at: Option<DateTime<Utc>>,
}

impl From<advertisers::Advertiser> for Advertiser {
    fn from(it: advertisers::Advertiser) -> Self {
        Self {
            id: it.id,
            name: it.name,
            status: it.status.as_str(),
            external_id: it.external_id,
            notes: it.notes,
            tags: it.tags.0,
            version: it.version,
            created_at: it.created_at,
            paused_at: it.paused_at,
        }
    }
}

impl Created for Advertiser {}
items!(Advertiser);

/// An advertiser to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Nova Shoes", "external_id": "77", "tags": ["vip"] }))]
pub(crate) struct NewAdvertiser {
    #[schema(value_type = schemas::Name)]
    name: String,
    /// What another system calls it; unique.
    #[serde(default)]
    #[schema(value_type = Option<schemas::Name>)]
    external_id: Option<String>,
    /// For the network's own people.
    #[serde(default)]
    #[schema(value_type = schemas::Notes)]
    notes: String,
    #[serde(default)]
    #[schema(value_type = Vec<schemas::Tag>, max_items = 20)]
    tags: Vec<String>,
    /// `active` unless said otherwise.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = schemas::AdvertiserStatus, required = false)]
    status: Option<String>,
}

impl NewAdvertiser {
    fn settings(self) -> Result<AdvertiserSettings, ChangeError> {
        let external_id = parties::named(self.external_id)?;
        let draft = parties::draft(self.name, external_id, self.notes, &self.tags)?;
        AdvertiserSettings::checked(&draft, self.status.as_deref().unwrap_or("active"))
    }
}

/// What is to change. Absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "status": "archived", "external_id": null }))]
pub(crate) struct AdvertiserPatch {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = schemas::Name, required = false)]
    name: Option<String>,
    /// Null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<schemas::Name>, required = false)]
    external_id: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = schemas::Notes, required = false)]
    notes: Option<String>,
    /// All of them.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<schemas::Tag>, max_items = 20, required = false)]
    tags: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = schemas::AdvertiserStatus, required = false)]
    status: Option<String>,
}

impl AdvertiserPatch {
    fn applied_to(self, old: AdvertiserSettings) -> Result<AdvertiserSettings, ChangeError> {
        let external_id = match self.external_id {
            Some(external_id) => parties::named(external_id)?,
            None => old.external_id,
        };
        let draft = parties::draft(
            self.name.unwrap_or(old.name),
            external_id,
            self.notes.unwrap_or(old.notes),
            &self.tags.unwrap_or(old.tags.0),
        )?;
        AdvertiserSettings::checked(&draft, self.status.as_deref().unwrap_or(old.status.as_str()))
    }
}

/// Which advertisers.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AdvertiserParams {
    /// Part of a name or external id, or a tag.
    #[param(value_type = schemas::Filter, inline, required = false)]
    search: Option<String>,
    /// Only with this status; without it, all but the archived ones.
    #[param(value_type = schemas::AdvertiserStatus, inline, required = false)]
    status: Option<String>,
    /// Also the archived ones, where no status is asked for.
    #[param(value_type = bool, required = false)]
    archived: Option<bool>,
    /// `name` unless said otherwise.
    #[param(value_type = schemas::Sort, inline, required = false)]
    sort: Option<String>,
    /// Items of the page: 50 unless said otherwise.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// What the page before said as `next`.
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
    let rows = advertisers::list(&mut conn, &filter, window.ask()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Create an advertiser
#[utoipa::path(post, path = "/advertisers", tag = "Advertisers", params(IdempotencyKey), request_body = NewAdvertiser, responses((status = 201, body = Advertiser)))]
pub(crate) async fn create(
    access: Allowed<needs::ManageParties>,
    api: Data<Api>,
    once: Once,
    body: Body<NewAdvertiser>,
) -> Result<HttpResponse, ApiError> {
    let settings = body.value.settings()?;
    let made = once.run(&api, &access, &body.bytes, async |conn| {
        let made = advertisers::create(conn, &access.author(), &settings, clock::now()).await?;
        Ok(Advertiser::from(made))
    });
    Ok(made.await?.answer())
}

/// An advertiser
#[utoipa::path(
    get, path = "/advertisers/{id}", tag = "Advertisers",
    params(("id" = inline(schemas::AdvertiserId), Path)),
    responses((status = 200, body = Advertiser, headers(("ETag" = String, description = "Its version, for `If-Match`."))))
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

/// Change an advertiser
///
/// With `If-Match`, only if nobody else has changed it since.
#[utoipa::path(
    patch, path = "/advertisers/{id}", tag = "Advertisers",
    params(("id" = inline(schemas::AdvertiserId), Path), IfMatch),
    request_body = AdvertiserPatch,
    responses((status = 200, body = Advertiser, headers(("ETag" = String, description = "Its version, for `If-Match`."))))
)]
pub(crate) async fn update(
    access: Allowed<needs::ManageParties>,
    Id(id): Id<AdvertiserId>,
    api: Data<Api>,
    condition: Condition,
    body: Body<AdvertiserPatch>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    let old = advertisers::find(&mut conn, id)
        .await?
        .ok_or(ApiError::NotFound)?;
    condition.check(old.version)?;
    let settings = body.value.applied_to(old.settings())?;
    // Fields that were not sent must not undo what somebody changes at this moment.
    let version = Some(old.version);
    let new = advertisers::update(&mut conn, &access.author(), id, version, &settings, clock::now()).await?;
    conn.commit().await?;
    Ok(tagged(new.version, Advertiser::from(new)))
}

/// Import advertisers from CSV
///
/// The first line names the columns: `name`, `external_id`, `status`, `notes`, `tags`. A row changes the advertiser with
/// its external id, or, where it has none, its name; otherwise it makes a new one. Columns that are not there and cells
/// that are empty leave what is there as it is.
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
    once: Once,
    Csv(text): Csv,
) -> Result<HttpResponse, ApiError> {
    let run = async |conn: &mut NetworkConn, author: &Author| {
        import::run(conn, author, Party::Advertisers, &text, clock::now()).await
    };
    parties::import(&access, &api, &once, &params, &text, run).await
}

/// Export advertisers to CSV
///
/// The import reads it back. A text that a spreadsheet would calculate has an apostrophe before it.
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
    let rows = advertisers::list(&mut conn, &filter, parties::MOST_EXPORTED + 1).await?;
    conn.commit().await?;
    parties::file("advertisers.csv", rows, csv_export::advertisers).await
}
