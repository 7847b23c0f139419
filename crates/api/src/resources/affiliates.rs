//! `/affiliates`: the partners who send visitors.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use schema::{AffiliateId, GroupId, NetworkConn, clock};
use serde::{Deserialize, Serialize};
use tenancy::affiliates::{self, AffiliateSettings};
use tenancy::import::{self, Party};
use tenancy::{Author, ChangeError, csv_export, groups, needs};
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use super::parties::{self, ExportParams, ImportParams, ImportReport};
use crate::condition::{Condition, tagged};
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Csv, Id, Params, given};
use crate::once::{Created, Once};
use crate::openapi::{IdempotencyKey, IfMatch};
use crate::page::{self, Page, Window, items, unknown_after};
use crate::{Api, schemas};

/// An affiliate.
#[derive(Serialize, ToSchema)]
pub(crate) struct Affiliate {
    #[schema(value_type = schemas::AffiliateId)]
    id: AffiliateId,
    #[schema(value_type = schemas::Name)]
    name: String,
    #[schema(value_type = schemas::AffiliateStatus)]
    status: &'static str,
    /// The group it is treated with.
    #[schema(required, value_type = Option<schemas::GroupId>)]
    group: Option<GroupId>,
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
}

impl From<affiliates::Affiliate> for Affiliate {
    fn from(it: affiliates::Affiliate) -> Self {
        Self {
            id: it.id,
            name: it.name,
            status: it.status.as_str(),
            group: it.group_id,
            external_id: it.external_id,
            notes: it.notes,
            tags: it.tags.0,
            version: it.version,
            created_at: it.created_at,
        }
    }
}

impl Created for Affiliate {}
items!(Affiliate);

/// An affiliate to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Deal Hunter", "external_id": "77", "tags": ["vip"] }))]
pub(crate) struct NewAffiliate {
    #[schema(value_type = schemas::Name)]
    name: String,
    /// The group it is treated with.
    #[serde(default)]
    #[schema(value_type = Option<schemas::GroupId>)]
    group: Option<String>,
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
    #[schema(value_type = schemas::AffiliateStatus, required = false)]
    status: Option<String>,
}

impl NewAffiliate {
    fn settings(self) -> Result<AffiliateSettings, ChangeError> {
        let external_id = parties::named(self.external_id)?;
        let draft = parties::draft(self.name, external_id, self.notes, &self.tags)?;
        let group = sent_group(self.group)?;
        AffiliateSettings::checked(&draft, self.status.as_deref().unwrap_or("active"), &group)
    }
}

/// What is to change. Absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "status": "paused", "group": null }))]
pub(crate) struct AffiliatePatch {
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = schemas::Name, required = false)]
    name: Option<String>,
    /// Null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<schemas::GroupId>, required = false)]
    group: Option<Option<String>>,
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
    #[schema(value_type = schemas::AffiliateStatus, required = false)]
    status: Option<String>,
}

impl AffiliatePatch {
    fn applied_to(self, old: AffiliateSettings) -> Result<AffiliateSettings, ChangeError> {
        let external_id = match self.external_id {
            Some(external_id) => parties::named(external_id)?,
            None => old.external_id,
        };
        let group = match self.group {
            Some(group) => sent_group(group)?,
            None => old.group_id.map(|id| id.to_string()).unwrap_or_default(),
        };
        let draft = parties::draft(
            self.name.unwrap_or(old.name),
            external_id,
            self.notes.unwrap_or(old.notes),
            &self.tags.unwrap_or(old.tags.0),
        )?;
        AffiliateSettings::checked(
            &draft,
            self.status.as_deref().unwrap_or(old.status.as_str()),
            &group,
        )
    }
}

/// A group that was sent: an empty one would read as none, which is said with null.
fn sent_group(group: Option<String>) -> Result<String, ChangeError> {
    match group {
        Some(text) if text.trim().is_empty() => Err(ChangeError::field("group", "Send null for none.")),
        group => Ok(group.unwrap_or_default()),
    }
}

/// Which affiliates.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AffiliateParams {
    /// Part of a name or external id, or a tag.
    #[param(value_type = schemas::Filter, inline, required = false)]
    search: Option<String>,
    /// Only with this status; without it, all but the archived ones.
    #[param(value_type = schemas::AffiliateStatus, inline, required = false)]
    status: Option<String>,
    /// Only of this group.
    #[param(value_type = schemas::GroupId, inline, required = false)]
    group: Option<String>,
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
    #[param(value_type = schemas::AffiliateId, inline, required = false)]
    after: Option<String>,
}

/// List affiliates
#[utoipa::path(get, path = "/affiliates", tag = "Affiliates", params(AffiliateParams), responses((status = 200, body = Page<Affiliate>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeParties>,
    api: Data<Api>,
    Params(params): Params<AffiliateParams>,
) -> Answer<Page<Affiliate>> {
    let window = Window::of(params.limit, params.after.as_deref())?;
    let (search, status, sort) = (
        params.search.as_deref(),
        params.status.as_deref(),
        params.sort.as_deref(),
    );
    let filter = parties::filter(search, status, params.archived, sort, window.after)?;
    let group: Option<GroupId> = page::word("group", params.group.as_deref())?;
    let mut conn = access.network(&api.db).await?;
    if let Some(id) = window.after {
        affiliates::find(&mut conn, id).await?.ok_or_else(unknown_after)?;
    }
    let rows = affiliates::list(&mut conn, &filter, group, window.ask()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Create an affiliate
#[utoipa::path(post, path = "/affiliates", tag = "Affiliates", params(IdempotencyKey), request_body = NewAffiliate, responses((status = 201, body = Affiliate)))]
pub(crate) async fn create(
    access: Allowed<needs::ManageParties>,
    api: Data<Api>,
    once: Once,
    body: Body<NewAffiliate>,
) -> Result<HttpResponse, ApiError> {
    let settings = body.value.settings()?;
    let made = once.run(&api, &access, &body.bytes, async |conn| {
        let made = affiliates::create(conn, &access.author(), &settings, clock::now()).await?;
        Ok(Affiliate::from(made))
    });
    Ok(made.await?.answer())
}

/// An affiliate
#[utoipa::path(
    get, path = "/affiliates/{id}", tag = "Affiliates",
    params(("id" = inline(schemas::AffiliateId), Path)),
    responses((status = 200, body = Affiliate, headers(("ETag" = String, description = "Its version, for `If-Match`."))))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeParties>,
    Id(id): Id<AffiliateId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    let found = affiliates::find(&mut conn, id).await?.ok_or(ApiError::NotFound)?;
    conn.commit().await?;
    Ok(tagged(found.version, Affiliate::from(found)))
}

/// Change an affiliate
///
/// With `If-Match`, only if nobody else has changed it since.
#[utoipa::path(
    patch, path = "/affiliates/{id}", tag = "Affiliates",
    params(("id" = inline(schemas::AffiliateId), Path), IfMatch),
    request_body = AffiliatePatch,
    responses((status = 200, body = Affiliate, headers(("ETag" = String, description = "Its version, for `If-Match`."))))
)]
pub(crate) async fn update(
    access: Allowed<needs::ManageParties>,
    Id(id): Id<AffiliateId>,
    api: Data<Api>,
    condition: Condition,
    body: Body<AffiliatePatch>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    let old = affiliates::find(&mut conn, id).await?.ok_or(ApiError::NotFound)?;
    condition.check(old.version)?;
    let settings = body.value.applied_to(old.settings())?;
    // Fields that were not sent must not undo what somebody changes at this moment.
    let version = Some(old.version);
    let new = affiliates::update(&mut conn, &access.author(), id, version, &settings, clock::now()).await?;
    conn.commit().await?;
    Ok(tagged(new.version, Affiliate::from(new)))
}

/// Import affiliates from CSV
///
/// The first line names the columns: `name`, `external_id`, `status`, `group`, `notes`, `tags`. A row changes the affiliate with
/// its external id, or, where it has none, its name; otherwise it makes a new one. Columns that are not there and cells
/// that are empty leave what is there as it is.
#[utoipa::path(
    post, path = "/affiliates/import", tag = "Affiliates",
    params(ImportParams, IdempotencyKey),
    request_body(content = String, content_type = "text/csv", example = "name,external_id,group\nDeal Hunter,77,Top\n"),
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
        import::run(conn, author, Party::Affiliates, &text, clock::now()).await
    };
    parties::import(&access, &api, &once, &params, &text, run).await
}

/// Export affiliates to CSV
///
/// The import reads it back. A text that a spreadsheet would calculate has an apostrophe before it.
#[utoipa::path(
    get, path = "/affiliates/export", tag = "Affiliates", params(ExportParams),
    responses((status = 200, body = String, content_type = "text/csv"))
)]
pub(crate) async fn export(
    access: Allowed<needs::SeeParties>,
    api: Data<Api>,
    Params(params): Params<ExportParams>,
) -> Result<HttpResponse, ApiError> {
    let filter = parties::filter(None, None, params.archived, None, None)?;
    let mut conn = access.network(&api.db).await?;
    let rows = affiliates::list(&mut conn, &filter, None, parties::MOST_EXPORTED + 1).await?;
    let groups = groups::all(&mut conn).await?;
    conn.commit().await?;
    parties::file("affiliates.csv", rows, move |rows| {
        csv_export::affiliates(rows, &groups)
    })
    .await
}
