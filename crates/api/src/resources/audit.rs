//! `/audit`: who changed what, when, and from where.

use actix_web::web::{Data, Json};
use chrono::{DateTime, Datelike, Utc};
use schema::{AuditId, PersonId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenancy::audit::{self, AuditFilter};
use tenancy::needs;
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::Params;
use crate::page::{self, Page, Window, items};
use crate::{Api, schemas};

/// An entry of the audit log.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entry {
    #[schema(value_type = schemas::AuditId)]
    id: AuditId,
    at: DateTime<Utc>,
    /// Who did it, if it was a person.
    #[schema(required, value_type = Option<schemas::PersonId>)]
    person: Option<PersonId>,
    /// Who did it, in words.
    author: String,
    #[schema(value_type = schemas::Via)]
    via: &'static str,
    /// From where.
    #[schema(required)]
    address: Option<String>,
    /// A thing and a verb, such as `affiliate.update`.
    action: String,
    /// The id of what it was done to.
    object: String,
    /// What that was called then.
    object_name: String,
    /// The fields that changed, as they were.
    #[schema(value_type = Object)]
    before: Value,
    /// The fields that changed, as they are.
    #[schema(value_type = Object)]
    after: Value,
}

impl From<audit::Entry> for Entry {
    fn from(it: audit::Entry) -> Self {
        Self {
            id: it.id,
            at: it.at,
            person: it.person_id,
            author: it.author,
            via: it.via.as_str(),
            address: it.remote_ip.map(|net| net.addr().to_string()),
            action: it.action,
            object: it.object,
            object_name: it.object_name,
            before: it.before,
            after: it.after,
        }
    }
}

items!(Entry);

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditParams {
    /// A kind of thing (`affiliate`), or exactly an action (`affiliate.update`).
    #[param(value_type = schemas::Filter, inline, required = false)]
    action: Option<String>,
    /// Part of an author's name.
    #[param(value_type = schemas::Filter, inline, required = false)]
    author: Option<String>,
    /// The id of a thing.
    #[param(value_type = schemas::Filter, inline, required = false)]
    object: Option<String>,
    /// Only from then on.
    #[param(value_type = DateTime<Utc>, required = false)]
    from: Option<DateTime<Utc>>,
    /// Only before then.
    #[param(value_type = DateTime<Utc>, required = false)]
    until: Option<DateTime<Utc>>,
    /// Items of the page: 50 unless said otherwise.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// What the page before said as `next`.
    #[param(value_type = schemas::AuditId, inline, required = false)]
    after: Option<String>,
}

/// Read the audit log
///
/// The newest first.
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
    let rows = audit::list(&mut conn, &filter, window.ask()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// A time that Postgres can be asked about.
fn storable(name: &str, time: Option<DateTime<Utc>>) -> Result<Option<DateTime<Utc>>, ApiError> {
    match time {
        Some(time) if !(1..=9999).contains(&time.year()) => {
            Err(ApiError::field(name, "Ask for a year from 1 to 9999."))
        }
        time => Ok(time),
    }
}
