//! `/keys`: API keys.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use schema::{ApiKeyId, MembershipId, clock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenancy::api_keys::{self, KeyDraft};
use tenancy::{Permission, needs};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, no_content};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Integer, Params, present};
use crate::idempotency::{Created, IdempotencyKey};
use crate::page::{Page, Window, items};
use crate::schemas;
use crate::state::Api;

/// An API key that is neither revoked nor expired.
#[derive(Serialize, ToSchema)]
pub(crate) struct Key {
    #[schema(value_type = schemas::ApiKeyId)]
    id: ApiKeyId,
    /// Name, such as the purpose of the key.
    #[schema(value_type = schemas::Name)]
    name: String,
    /// Last four characters of the key.
    hint: String,
    #[schema(value_type = Vec<schemas::Scope>)]
    scopes: Vec<String>,
    /// Name of the member who created the key.
    person: String,
    /// Membership whose permissions the key has.
    #[schema(value_type = schemas::MembershipId)]
    membership_id: MembershipId,
    created_at: DateTime<Utc>,
    /// Expiry; null for none.
    #[schema(required)]
    expires_at: Option<DateTime<Utc>>,
    /// Time of the last use, to the minute; null if never used.
    #[schema(required)]
    used_at: Option<DateTime<Utc>>,
}

impl From<api_keys::ListedKey> for Key {
    fn from(key: api_keys::ListedKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            hint: key.hint,
            scopes: key.scopes.0,
            person: key.person,
            membership_id: key.membership_id,
            created_at: key.created_at,
            expires_at: key.expires_at,
            used_at: key.used_at,
        }
    }
}

items!(Key);

/// A new API key.
#[derive(Serialize, ToSchema)]
pub(crate) struct FreshKey {
    key: Key,
    /// The key. Shown only once: null in a replayed response.
    #[schema(required)]
    secret: Option<String>,
}

impl Created for FreshKey {
    fn stored(&self) -> Value {
        json!({ "key": self.key, "secret": null })
    }
}

/// An API key to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Nightly sync", "scopes": ["parties:read"], "expires_in_days": 90 }))]
pub(crate) struct NewKey {
    /// Name, such as the purpose of the key.
    #[schema(value_type = schemas::Name)]
    name: String,
    /// Scopes of the key; the caller must have each of them.
    #[schema(value_type = Vec<schemas::Scope>, min_items = 1)]
    scopes: Vec<String>,
    /// Days until the key expires; null for never, the default.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 3650, required = false)]
    expires_in_days: Option<Option<Integer>>,
}

impl From<NewKey> for KeyDraft {
    fn from(key: NewKey) -> Self {
        Self {
            name: key.name,
            scopes: key.scopes,
            expires_in_days: key
                .expires_in_days
                .flatten()
                .map_or_else(String::new, |days| days.0.to_string()),
        }
    }
}

/// Parameters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct KeyParams {
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::ApiKeyId, inline, required = false)]
    after: Option<String>,
}

/// List API keys
///
/// Keys of the caller; with the permission to manage members, keys of all members. Newest first.
#[utoipa::path(get, path = "/keys", tag = "API keys", params(KeyParams), responses((status = 200, body = Page<Key>)))]
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
    Ok(Json(window.page_of_all(keys)?))
}

/// Create an API key
///
/// The key acts under the membership of the caller.
#[utoipa::path(post, path = "/keys", tag = "API keys", params(IdempotencyKey), request_body = NewKey, responses((status = 201, body = FreshKey)))]
pub(crate) async fn create(
    access: Allowed<needs::UseApi>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewKey>,
) -> Result<HttpResponse, ApiError> {
    let draft = KeyDraft::from(body.value);
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let now = clock::now();
        let (id, key) = api_keys::create(conn, &access, &draft, now).await?;
        let own = api_keys::list(conn, Some(access.membership_id), now).await?;
        let created = own
            .into_iter()
            .find(|key| key.id == id)
            .ok_or(ApiError::NotFound)?;
        Ok(FreshKey {
            key: created.into(),
            secret: Some(key.as_str().to_owned()),
        })
    });
    Ok(outcome.await?.response())
}

/// Revoke an API key
///
/// Keys of other members require the permission to manage members. Tokens created from the key become invalid
/// immediately.
#[utoipa::path(
    delete, path = "/keys/{id}", tag = "API keys",
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
    no_content()
}
