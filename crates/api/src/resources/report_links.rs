//! `/report-links`: share links of reports.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use reports::Period;
use reports::links::{self, LinkSettings, ReportLink as Stored};
use schema::{MembershipId, ReportLinkId, clock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenancy::{ChangeError, Draft, check_password, needs, networks};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, no_content};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Integer, Params, present};
use crate::idempotency::{Created, IdempotencyKey};
use crate::page::{Page, Window, items};
use crate::schemas;
use crate::state::Api;

/// A share link of a report.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReportLink {
    #[schema(value_type = schemas::ReportLinkId)]
    id: ReportLinkId,
    /// Membership of the member who made it.
    #[schema(value_type = schemas::MembershipId)]
    owner: MembershipId,
    #[schema(value_type = schemas::Name)]
    name: String,
    /// Period relative to the day of the view; `fixed` for the days of the query.
    #[schema(value_type = schemas::SavedPeriod)]
    period: &'static str,
    /// Query string of the report.
    #[schema(value_type = schemas::Text)]
    query: String,
    /// True if visitors have to enter a password.
    has_password: bool,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    /// Time at which it was revoked; null until then.
    #[schema(required)]
    revoked_at: Option<DateTime<Utc>>,
    /// Time of the last view, to the minute; null until then.
    #[schema(required)]
    last_used_at: Option<DateTime<Utc>>,
}

impl From<Stored> for ReportLink {
    fn from(link: Stored) -> Self {
        Self {
            has_password: link.has_password(),
            id: link.id,
            owner: link.owner_id,
            name: link.name,
            period: link.period.map_or("fixed", Period::as_str),
            query: link.query,
            created_at: link.created_at,
            expires_at: link.expires_at,
            revoked_at: link.revoked_at,
            last_used_at: link.last_used_at,
        }
    }
}

impl From<(Stored, String)> for ReportLink {
    fn from((link, _): (Stored, String)) -> Self {
        link.into()
    }
}

items!(ReportLink);

/// A new share link.
#[derive(Serialize, ToSchema)]
pub(crate) struct FreshReportLink {
    link: ReportLink,
    /// URL of the report. Shown only once: null in a replayed response.
    #[schema(required, value_type = Option<schemas::Url>)]
    url: Option<String>,
}

impl Created for FreshReportLink {
    fn stored(&self) -> Value {
        json!({ "link": self.link, "url": null })
    }
}

/// A share link to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewReportLink {
    /// Name of the report on its page.
    #[schema(value_type = schemas::Name)]
    name: String,
    /// Query string of a report, as `/reports` takes it.
    #[schema(value_type = schemas::Text)]
    query: String,
    /// Period relative to the day of the view; `fixed` for the days of the query.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::SavedPeriod, required = false)]
    period: Option<String>,
    /// Days until the link expires; 30 by default.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = i64, required = false, minimum = 1, maximum = 365)]
    expires_in_days: Option<Integer>,
    /// Password that visitors enter, of at least 10 characters; null for none, the default.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<schemas::Text>, required = false)]
    password: Option<Option<String>>,
}

/// Parameters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReportLinkParams {
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::ReportLinkId, inline, required = false)]
    after: Option<String>,
}

/// List share links
///
/// Links of the caller; with the permission to change the network's settings, links of all members. Newest first.
#[utoipa::path(get, path = "/report-links", tag = "Reports", params(ReportLinkParams), responses((status = 200, body = Page<ReportLink>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeReports>,
    api: Data<Api>,
    Params(params): Params<ReportLinkParams>,
) -> Answer<Page<ReportLink>> {
    let window = Window::<ReportLinkId>::of(params.limit, params.after.as_deref())?;
    let mut conn = access.network(&api.db).await?;
    let links = links::list(&mut conn, &access).await?;
    conn.commit().await?;
    Ok(Json(window.page_of_all(links)?))
}

/// Create a share link
///
/// Visitors of the link see the report as the caller sees it at that time, without an account.
#[utoipa::path(post, path = "/report-links", tag = "Reports", params(IdempotencyKey), request_body = NewReportLink, responses((status = 201, body = FreshReportLink)))]
pub(crate) async fn create(
    access: Allowed<needs::SaveReports>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewReportLink>,
) -> Result<HttpResponse, ApiError> {
    let new = &body.value;
    // No transaction is open while the password is hashed.
    let hash = match new
        .password
        .iter()
        .flatten()
        .find(|password| !password.is_empty())
    {
        None => None,
        Some(password) => {
            check_password(password, &[]).map_err(|message| ApiError::field("password", message))?;
            let hash = api.passwords.hash(password).await;
            Some(hash.map_err(|busy| ApiError::from(ChangeError::TooBusy(busy)))?)
        }
    };
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let mut draft = Draft::with([
            ("name", new.name.clone()),
            ("query", new.query.clone()),
            ("period", new.period.clone().unwrap_or_default()),
            (
                "expires_in_days",
                new.expires_in_days
                    .map_or(String::new(), |days| days.0.to_string()),
            ),
        ]);
        let now = clock::now();
        let zone = networks::current(conn).await?.time_zone();
        let settings = LinkSettings::check(&mut draft, &access, now, zone);
        let settings = draft.accepted(settings)?;
        let (link, token) = links::create(conn, &access, &settings, hash.as_ref(), now).await?;
        Ok(FreshReportLink {
            link: link.into(),
            url: Some(format!("{}/shared/{}", api.dashboard_url, token.as_str())),
        })
    });
    Ok(outcome.await?.response())
}

/// Get a share link
#[utoipa::path(
    get, path = "/report-links/{id}", tag = "Reports",
    params(("id" = inline(schemas::ReportLinkId), Path)),
    responses((status = 200, body = ReportLink))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeReports>,
    Id(id): Id<ReportLinkId>,
    api: Data<Api>,
) -> Answer<ReportLink> {
    let mut conn = access.network(&api.db).await?;
    let found = links::find(&mut conn, &access, id).await?;
    conn.commit().await?;
    Ok(Json(found.ok_or(ApiError::NotFound)?.into()))
}

/// Revoke a share link
///
/// The link stops working at once, and stays in the list.
#[utoipa::path(
    delete, path = "/report-links/{id}", tag = "Reports",
    params(("id" = inline(schemas::ReportLinkId), Path)),
    responses((status = 204))
)]
pub(crate) async fn revoke(
    access: Allowed<needs::SaveReports>,
    Id(id): Id<ReportLinkId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    links::revoke(&mut conn, &access, id, clock::now()).await?;
    conn.commit().await?;
    no_content()
}
