//! `/audit`: the audit log.

use actix_web::web::{Data, Json};
use chrono::{DateTime, Datelike, Utc};
use schema::{AuditId, PersonId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenancy::audit::{self, AuditFilter};
use tenancy::needs;
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::Params;
use crate::page::{self, Page, Window, items};
use crate::schemas;
use crate::state::Api;

/// An entry of the audit log.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entry {
    #[schema(value_type = schemas::AuditId)]
    id: AuditId,
    at: DateTime<Utc>,
    /// Person who made the change; null for the command line and the system.
    #[schema(required, value_type = Option<schemas::PersonId>)]
    person: Option<PersonId>,
    /// Name of the author.
    author: String,
    #[schema(value_type = schemas::Via)]
    via: &'static str,
    /// IP address of the request; null for the command line and the system.
    #[schema(required)]
    address: Option<String>,
    /// Type of object and verb, such as `affiliate.update`.
    action: String,
    /// ID of the changed object.
    object: String,
    /// Name of the object at that time.
    object_name: String,
    /// Old values of the changed fields.
    #[schema(value_type = Object)]
    before: Value,
    /// New values of the changed fields.
    #[schema(value_type = Object)]
    after: Value,
}

impl From<audit::Entry> for Entry {
    fn from(entry: audit::Entry) -> Self {
        Self {
            id: entry.id,
            at: entry.at,
            person: entry.person_id,
            author: entry.author,
            via: entry.via.as_str(),
            address: entry.remote_ip.map(|net| net.addr().to_string()),
            action: entry.action,
            object: entry.object,
            object_name: entry.object_name,
            before: entry.before,
            after: entry.after,
        }
    }
}

items!(Entry);

/// Filters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditParams {
    /// Type of object (`affiliate`), or a whole action (`affiliate.update`).
    #[param(value_type = schemas::Filter, inline, required = false)]
    action: Option<String>,
    /// Part of the name of an author.
    #[param(value_type = schemas::Filter, inline, required = false)]
    author: Option<String>,
    /// ID of an object.
    #[param(value_type = schemas::Filter, inline, required = false)]
    object: Option<String>,
    /// Only entries at or after this time.
    #[param(value_type = DateTime<Utc>, required = false)]
    from: Option<DateTime<Utc>>,
    /// Only entries before this time.
    #[param(value_type = DateTime<Utc>, required = false)]
    until: Option<DateTime<Utc>>,
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::AuditId, inline, required = false)]
    after: Option<String>,
}

/// List audit log entries
///
/// Newest first.
#[utoipa::path(get, path = "/audit", tag = "Audit log", params(AuditParams), responses((status = 200, body = Page<Entry>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeAudit>,
    api: Data<Api>,
    Params(params): Params<AuditParams>,
) -> Answer<Page<Entry>> {
    let window = Window::of(params.limit, params.after.as_deref())?;
    let filter = AuditFilter {
        action: page::text("action", params.action.as_deref())?,
        author: page::text("author", params.author.as_deref())?,
        object: page::text("object", params.object.as_deref())?,
        from: storable("from", params.from)?,
        until: storable("until", params.until)?,
        before: window.after,
    };
    let mut conn = access.network(&api.db).await?;
    let rows = audit::list(&mut conn, &filter, window.rows()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Time within the range that Postgres can compare.
fn storable(name: &str, time: Option<DateTime<Utc>>) -> Result<Option<DateTime<Utc>>, ApiError> {
    match time {
        Some(time) if !(1..=9999).contains(&time.year()) => {
            Err(ApiError::field(name, "Enter a year from 1 to 9999."))
        }
        time => Ok(time),
    }
}
