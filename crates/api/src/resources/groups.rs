//! `/affiliate-groups`: groups of affiliates.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use schema::{GroupId, clock};
use serde::{Deserialize, Serialize};
use tenancy::{groups, needs};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, no_content};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params};
use crate::idempotency::{Created, IdempotencyKey};
use crate::page::{Page, Window, items};
use crate::schemas;
use crate::state::Api;

/// A group of affiliates.
#[derive(Serialize, ToSchema)]
pub(crate) struct Group {
    #[schema(value_type = schemas::GroupId)]
    id: GroupId,
    #[schema(value_type = schemas::Name)]
    name: String,
}

impl From<groups::Group> for Group {
    fn from(group: groups::Group) -> Self {
        Self {
            id: group.id,
            name: group.name,
        }
    }
}

impl Created for Group {}
items!(Group);

/// Name of an affiliate group; unique.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupName {
    #[schema(value_type = schemas::Name)]
    name: String,
}

/// Parameters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct GroupParams {
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::GroupId, inline, required = false)]
    after: Option<String>,
}

/// List affiliate groups
///
/// In the order of their names.
#[utoipa::path(get, path = "/affiliate-groups", tag = "Affiliates", params(GroupParams), responses((status = 200, body = Page<Group>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeParties>,
    api: Data<Api>,
    Params(params): Params<GroupParams>,
) -> Answer<Page<Group>> {
    let window = Window::<GroupId>::of(params.limit, params.after.as_deref())?;
    let mut conn = access.network(&api.db).await?;
    let groups = groups::all(&mut conn).await?;
    conn.commit().await?;
    Ok(Json(window.page_of_all(groups)?))
}

/// Create an affiliate group
#[utoipa::path(post, path = "/affiliate-groups", tag = "Affiliates", params(IdempotencyKey), request_body = GroupName, responses((status = 201, body = Group)))]
pub(crate) async fn create(
    access: Allowed<needs::ManageParties>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<GroupName>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let created = groups::create(conn, &access.author(), &body.value.name, clock::now()).await?;
        Ok(Group::from(created))
    });
    Ok(outcome.await?.response())
}

/// Rename an affiliate group
#[utoipa::path(
    patch, path = "/affiliate-groups/{id}", tag = "Affiliates",
    params(("id" = inline(schemas::GroupId), Path)),
    request_body = GroupName,
    responses((status = 200, body = Group))
)]
pub(crate) async fn update(
    access: Allowed<needs::ManageParties>,
    Id(id): Id<GroupId>,
    api: Data<Api>,
    body: Body<GroupName>,
) -> Answer<Group> {
    let mut conn = access.network(&api.db).await?;
    let renamed = groups::rename(&mut conn, &access.author(), id, &body.value.name, clock::now()).await?;
    conn.commit().await?;
    Ok(Json(renamed.into()))
}

/// Delete an affiliate group
///
/// The group must have no affiliates and no commission rules.
#[utoipa::path(
    delete, path = "/affiliate-groups/{id}", tag = "Affiliates",
    params(("id" = inline(schemas::GroupId), Path)),
    responses((status = 204))
)]
pub(crate) async fn remove(
    access: Allowed<needs::ManageParties>,
    Id(id): Id<GroupId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    groups::remove(&mut conn, &access.author(), id, clock::now()).await?;
    conn.commit().await?;
    no_content()
}
