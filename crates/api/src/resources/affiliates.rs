//! `/affiliates`: partners who send visitors.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use schema::{AffiliateId, GroupId, NetworkConn, clock};
use serde::Deserialize;
use tenancy::affiliates::{self, Affiliate as Stored, AffiliateSettings};
use tenancy::import::{self, Party};
use tenancy::{Author, csv_export, groups, memberships, needs};
use utoipa::IntoParams;

use super::Answer;
use super::parties::{self, ExportParams, ImportParams, ImportReport, Tags};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Csv, Id, Params};
use crate::fields::{Word, resource};
use crate::idempotency::IdempotencyKey;
use crate::if_match::{IfMatch, tagged};
use crate::page::{self, Page, Window, items, unknown_after};
use crate::schemas;
use crate::state::Api;

resource! {
    /// A partner who sends visitors.
    Affiliate;
    /// An affiliate to create.
    #[schema(example = json!({ "name": "Deal Hunter", "external_id": "77", "tags": ["vip"] }))]
    NewAffiliate;
    change
    /// Fields to update. Absent fields keep their values.
    #[schema(example = json!({ "status": "paused", "group": null }))]
    AffiliatePatch;
    head {
        id: AffiliateId as schemas::AffiliateId,
        /// Version, as in `ETag`; every update increments it.
        #[schema(minimum = 1)]
        version: i32 as i32,
        created_at: DateTime<Utc> as DateTime<Utc>,
    }
    new {}
    must {
        name: String as schemas::Name,
    }
    may {
        /// Status; `active` by default.
        status: Word as schemas::AffiliateStatus,
        /// Affiliate group; null for none.
        group: Option<String> as Option<schemas::GroupId>,
        /// Member of the staff who manages the affiliate; null for none.
        manager: Option<String> as Option<schemas::MembershipId>,
        /// ID in another system; unique. Null for none.
        external_id: Option<String> as Option<schemas::Name>,
        /// Notes for the network's staff.
        notes: String as schemas::Notes,
        /// Tags; an update replaces the whole list.
        tags: Tags as Vec<schemas::Tag> where (max_items = 20),
    }
}

items!(Affiliate);

impl From<Stored> for Affiliate {
    fn from(affiliate: Stored) -> Self {
        let draft = affiliate.settings().draft();
        Self::from_draft(affiliate.id, affiliate.version, affiliate.created_at, &draft)
    }
}

/// Filters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AffiliateParams {
    /// Part of a name or external ID, or a whole tag.
    #[param(value_type = schemas::Filter, inline, required = false)]
    search: Option<String>,
    /// Only affiliates with this status; all except archived ones by default.
    #[param(value_type = schemas::AffiliateStatus, inline, required = false)]
    status: Option<String>,
    /// Only affiliates of this group.
    #[param(value_type = schemas::GroupId, inline, required = false)]
    group: Option<String>,
    /// True to include archived affiliates if `status` is absent.
    #[param(value_type = bool, required = false)]
    archived: Option<bool>,
    /// Order; `name` by default.
    #[param(value_type = schemas::Sort, inline, required = false)]
    sort: Option<String>,
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
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
    let rows = affiliates::list(&mut conn, &filter, group, window.rows()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Create an affiliate
#[utoipa::path(post, path = "/affiliates", tag = "Affiliates", params(IdempotencyKey), request_body = NewAffiliate, responses((status = 201, body = Affiliate)))]
pub(crate) async fn create(
    access: Allowed<needs::ManageParties>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewAffiliate>,
) -> Result<HttpResponse, ApiError> {
    let mut draft = body.value.over(AffiliateSettings::blank());
    let settings = AffiliateSettings::check(&mut draft);
    let settings = draft.accepted(settings)?;
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let created = affiliates::create(conn, &access.author(), &settings, clock::now()).await?;
        Ok(Affiliate::from(created))
    });
    Ok(outcome.await?.response())
}

/// Get an affiliate
#[utoipa::path(
    get, path = "/affiliates/{id}", tag = "Affiliates",
    params(("id" = inline(schemas::AffiliateId), Path)),
    responses((status = 200, body = Affiliate, headers(("ETag" = String, description = "Version for `If-Match`."))))
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

/// Update an affiliate
///
/// With `If-Match`, fails if the affiliate has changed since that version.
#[utoipa::path(
    patch, path = "/affiliates/{id}", tag = "Affiliates",
    params(("id" = inline(schemas::AffiliateId), Path), IfMatch),
    request_body = AffiliatePatch,
    responses((status = 200, body = Affiliate, headers(("ETag" = String, description = "Version for `If-Match`."))))
)]
pub(crate) async fn update(
    access: Allowed<needs::ManageParties>,
    Id(id): Id<AffiliateId>,
    api: Data<Api>,
    if_match: IfMatch,
    body: Body<AffiliatePatch>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    let old = affiliates::find(&mut conn, id).await?.ok_or(ApiError::NotFound)?;
    if_match.check(old.version)?;
    let mut draft = body.value.over(old.settings().draft());
    let settings = AffiliateSettings::check(&mut draft);
    let settings = draft.accepted(settings)?;
    // The fields that the body leaves out were read above: a concurrent update must not be undone.
    let version = Some(old.version);
    let new = affiliates::update(&mut conn, &access.author(), id, version, &settings, clock::now()).await?;
    conn.commit().await?;
    Ok(tagged(new.version, Affiliate::from(new)))
}

/// Import affiliates from CSV
///
/// The first line contains the column names: `name`, `external_id`, `status`, `group`, `manager` (e-mail
/// address of a member of the staff), `notes`, `tags`. A row updates the affiliate with its external ID, or with its name
/// if it has no external ID; otherwise it creates one. Missing columns and empty cells keep existing values.
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
    key: IdempotencyKey,
    Csv(text): Csv,
) -> Result<HttpResponse, ApiError> {
    let run = async |conn: &mut NetworkConn, author: &Author| {
        import::run(conn, author, Party::Affiliates, &text, clock::now()).await
    };
    parties::import(&access, &api, &key, &params, &text, run).await
}

/// Export affiliates to CSV
///
/// The import accepts this file. An apostrophe precedes text that a spreadsheet would evaluate as a formula.
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
    let rows = affiliates::list(&mut conn, &filter, None, parties::MAX_EXPORT_ROWS + 1).await?;
    let groups = groups::all(&mut conn).await?;
    let staff = memberships::staff(&mut conn).await?;
    conn.commit().await?;
    parties::file("affiliates.csv", &params, rows, move |rows| {
        csv_export::affiliates(rows, &groups, &staff)
    })
    .await
}
