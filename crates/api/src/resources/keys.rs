//! `/keys`: what programs sign in with.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use schema::{ApiKeyId, MembershipId, clock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenancy::api_keys::{self, KeyDraft};
use tenancy::{Permission, needs};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, done};
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params, Whole, given};
use crate::once::{Created, Once};
use crate::openapi::IdempotencyKey;
use crate::page::{Page, Window, items};
use crate::{Api, schemas};

/// An API key that works.
#[derive(Serialize, ToSchema)]
pub(crate) struct Key {
    #[schema(value_type = schemas::ApiKeyId)]
    id: ApiKeyId,
    /// What it is for.
    #[schema(value_type = schemas::Name)]
    name: String,
    /// Its last four characters.
    hint: String,
    #[schema(value_type = Vec<schemas::Scope>)]
    scopes: Vec<String>,
    /// Whose it is, by name.
    person: String,
    /// Under whose membership it acts.
    #[schema(value_type = schemas::MembershipId)]
    membership_id: MembershipId,
    created_at: DateTime<Utc>,
    /// When it stops working by itself.
    #[schema(required)]
    expires_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    #[schema(required)]
    used_at: Option<DateTime<Utc>>,
}

impl From<api_keys::ListedKey> for Key {
    fn from(it: api_keys::ListedKey) -> Self {
        Self {
            id: it.id,
            name: it.name,
            hint: it.hint,
            scopes: it.scopes.0,
            person: it.person,
            membership_id: it.membership_id,
            created_at: it.created_at,
            expires_at: it.expires_at,
            used_at: it.used_at,
        }
    }
}

items!(Key);

/// A key that was just made.
#[derive(Serialize, ToSchema)]
pub(crate) struct FreshKey {
    key: Key,
    /// The key itself; shown this once, null in a repeated answer.
    #[schema(required)]
    secret: Option<String>,
}

impl Created for FreshKey {
    fn kept(&self) -> Value {
        json!({ "key": self.key, "secret": null })
    }
}

/// A key to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Nightly sync", "scopes": ["parties:read"], "expires_in_days": 90 }))]
pub(crate) struct NewKey {
    /// What it is for.
    #[schema(value_type = schemas::Name)]
    name: String,
    /// Only such as the caller has too.
    #[schema(value_type = Vec<schemas::Scope>, min_items = 1)]
    scopes: Vec<String>,
    /// Absent or null for never.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 3650, required = false)]
    expires_in_days: Option<Option<Whole>>,
}

impl From<NewKey> for KeyDraft {
    fn from(key: NewKey) -> Self {
        Self {
            name: key.name,
            scopes: key.scopes,
            expires_in_days: key
                .expires_in_days
                .flatten()
                .map(|days| days.0.to_string())
                .unwrap_or_default(),
        }
    }
}

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct KeyParams {
    /// Items of the page: 50 unless said otherwise.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// What the page before said as `next`.
    #[param(value_type = schemas::ApiKeyId, inline, required = false)]
    after: Option<String>,
}

/// List API keys
///
/// The caller's own; everybody's for whoever manages members. The newest first.
#[utoipa::path(get, path = "/keys", tag = "Keys", params(KeyParams), responses((status = 200, body = Page<Key>)))]
pub(crate) async fn list(
    access: Allowed<needs::UseApi>,
    api: Data<Api>,
    Params(params): Params<KeyParams>,
) -> Answer<Page<Key>> {
    let window = Window::<ApiKeyId>::of(params.limit, params.after.as_deref())?;
    let own = (!access.may(Permission::ManageMembers)).then_some(access.membership_id);
    let mut conn = access.network(&api.db).await?;
    let keys = api_keys::list(&mut conn, own, clock::now()).await?;
    conn.commit().await?;
    Ok(Json(window.page_of_whole(keys)?))
}

/// Make an API key
///
/// It acts under the caller's membership.
#[utoipa::path(post, path = "/keys", tag = "Keys", params(IdempotencyKey), request_body = NewKey, responses((status = 201, body = FreshKey)))]
pub(crate) async fn create(
    access: Allowed<needs::UseApi>,
    api: Data<Api>,
    once: Once,
    body: Body<NewKey>,
) -> Result<HttpResponse, ApiError> {
    let draft = KeyDraft::from(body.value);
    let made = once.run(&api, &access, &body.bytes, async |conn| {
        let now = clock::now();
        let (id, key) = api_keys::create(conn, &access, &draft, now).await?;
        let own = api_keys::list(conn, Some(access.membership_id), now).await?;
        let made = own
            .into_iter()
            .find(|key| key.id == id)
            .ok_or(ApiError::NotFound)?;
        Ok(FreshKey {
            key: made.into(),
            secret: Some(key.as_str().to_owned()),
        })
    });
    Ok(made.await?.answer())
}

/// Revoke an API key
///
/// One's own; anybody's for whoever manages members. Tokens that were made from it stop working at once.
#[utoipa::path(
    delete, path = "/keys/{id}", tag = "Keys",
    params(("id" = inline(schemas::ApiKeyId), Path)),
    responses((status = 204))
)]
pub(crate) async fn revoke(
    access: Allowed<needs::UseApi>,
    Id(id): Id<ApiKeyId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    api_keys::revoke(&mut conn, &access, id, clock::now()).await?;
    conn.commit().await?;
    done()
}
