//! `/saved-reports`: saved views of reports.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use reports::saved::{self, SavedReportSettings, View};
use schema::{MembershipId, NetworkConn, SavedReportId, clock};
use serde::Deserialize;
use tenancy::networks::{self, Network};
use tenancy::{Actor, ChangeError, Draft, RoleKind, needs};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, no_content};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params};
use crate::fields::resource;
use crate::idempotency::IdempotencyKey;
use crate::page::{Page, Window, items};
use crate::schemas;
use crate::state::Api;

resource! {
    /// A saved view: a report under a name.
    SavedReport;
    /// A view to save.
    #[schema(example = json!({ "name": "Last week by affiliate", "period": "last_week", "query": "group=affiliate&metrics=clicks,conversions" }))]
    NewSavedReport;
    change
    /// Fields to update. Absent fields keep their values.
    SavedReportPatch;
    head {
        id: SavedReportId as schemas::SavedReportId,
        /// Membership of the member who saved it.
        owner: MembershipId as schemas::MembershipId,
        /// True if the caller may change and delete it.
        may_change: bool as bool,
        /// Roles whose members see it first on the page of reports.
        default_for: Vec<&'static str> as Vec<schemas::Role>,
        created_at: DateTime<Utc> as DateTime<Utc>,
        updated_at: DateTime<Utc> as DateTime<Utc>,
    }
    new {}
    must {
        /// Name of the view.
        name: String as schemas::Name,
        /// Query string of a report, as `/reports` takes it.
        query: String as schemas::Text,
    }
    may {
        /// Members who see it: `personal` for its owner (the default), `party` for the users of the owner's advertiser
        /// or affiliate, `team` for members with one of the roles.
        audience: String as schemas::Audience,
        /// Roles that a view of the team is offered to; all by default. Empty for other audiences.
        roles: Vec<String> as Vec<schemas::Role>,
        /// Period relative to the day on which the report runs; `fixed` for the days of the query.
        period: String as schemas::SavedPeriod,
    }
}

items!(SavedReport);

impl From<View> for SavedReport {
    fn from(view: View) -> Self {
        let report = view.report;
        let default_for = view.default_for.iter().map(|role| role.as_str()).collect();
        let draft = report.draft();
        Self::from_draft(
            report.id,
            report.owner_id,
            view.may_change,
            default_for,
            report.created_at,
            report.updated_at,
            &draft,
        )
    }
}

/// Parameters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SavedReportParams {
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::SavedReportId, inline, required = false)]
    after: Option<String>,
}

/// Roles that open a view by default.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DefaultRoles {
    /// Roles; none by default.
    #[serde(default)]
    #[schema(value_type = Vec<schemas::Role>, required = false)]
    roles: Vec<String>,
}

/// List saved views
///
/// Views of the caller, of the users of the same advertiser or affiliate, and of the team that are offered to the
/// caller's role, in the order of their names.
#[utoipa::path(get, path = "/saved-reports", tag = "Reports", params(SavedReportParams), responses((status = 200, body = Page<SavedReport>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeReports>,
    api: Data<Api>,
    Params(params): Params<SavedReportParams>,
) -> Answer<Page<SavedReport>> {
    let window = Window::<SavedReportId>::of(params.limit, params.after.as_deref())?;
    let mut conn = access.network(&api.db).await?;
    let views = saved::list(&mut conn, &access).await?;
    conn.commit().await?;
    Ok(Json(window.page_of_all(views)?))
}

/// Save a view
///
/// The query must have no part that the caller's role may not see.
#[utoipa::path(post, path = "/saved-reports", tag = "Reports", params(IdempotencyKey), request_body = NewSavedReport, responses((status = 201, body = SavedReport)))]
pub(crate) async fn create(
    access: Allowed<needs::SaveReports>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewSavedReport>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let network = networks::current(conn).await?;
        let settings = checked(body.value.over(Draft::default()), &access, &network)?;
        let created = saved::create(conn, &access, &settings, clock::now()).await?;
        Ok(SavedReport::from(created))
    });
    Ok(outcome.await?.response())
}

fn checked(mut draft: Draft, actor: &Actor, network: &Network) -> Result<SavedReportSettings, ChangeError> {
    let settings = SavedReportSettings::check(&mut draft, actor, clock::now(), network.time_zone());
    draft.accepted(settings)
}

/// Get a saved view
#[utoipa::path(
    get, path = "/saved-reports/{id}", tag = "Reports",
    params(("id" = inline(schemas::SavedReportId), Path)),
    responses((status = 200, body = SavedReport))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeReports>,
    Id(id): Id<SavedReportId>,
    api: Data<Api>,
) -> Answer<SavedReport> {
    let mut conn = access.network(&api.db).await?;
    let view = visible(&mut conn, &access, id).await?;
    conn.commit().await?;
    Ok(Json(view.into()))
}

/// View that the caller sees.
pub(super) async fn visible(
    conn: &mut NetworkConn,
    actor: &Actor,
    id: SavedReportId,
) -> Result<View, ApiError> {
    saved::find(conn, actor, id).await?.ok_or(ApiError::NotFound)
}

/// Update a saved view
///
/// Members change their own views; views of the team are changed by members who may change campaigns.
#[utoipa::path(
    patch, path = "/saved-reports/{id}", tag = "Reports",
    params(("id" = inline(schemas::SavedReportId), Path)),
    request_body = SavedReportPatch,
    responses((status = 200, body = SavedReport))
)]
pub(crate) async fn update(
    access: Allowed<needs::SaveReports>,
    Id(id): Id<SavedReportId>,
    api: Data<Api>,
    body: Body<SavedReportPatch>,
) -> Answer<SavedReport> {
    let mut conn = access.network(&api.db).await?;
    let network = networks::current(&mut conn).await?;
    let old = visible(&mut conn, &access, id).await?;
    let settings = checked(body.value.over(old.report.draft()), &access, &network)?;
    let view = saved::update(&mut conn, &access, id, &settings, clock::now()).await?;
    conn.commit().await?;
    Ok(Json(view.into()))
}

/// Delete a saved view
///
/// Its scheduled mails are deleted with it.
#[utoipa::path(
    delete, path = "/saved-reports/{id}", tag = "Reports",
    params(("id" = inline(schemas::SavedReportId), Path)),
    responses((status = 204))
)]
pub(crate) async fn remove(
    access: Allowed<needs::SaveReports>,
    Id(id): Id<SavedReportId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    saved::remove(&mut conn, &access, id, clock::now()).await?;
    conn.commit().await?;
    no_content()
}

/// Make a saved view the default of roles
///
/// Members with one of these roles see the view first on the page of reports. Other roles lose it as their default.
#[utoipa::path(
    post, path = "/saved-reports/{id}/default", tag = "Reports",
    params(("id" = inline(schemas::SavedReportId), Path)),
    request_body = DefaultRoles,
    responses((status = 200, body = SavedReport))
)]
pub(crate) async fn set_default(
    access: Allowed<needs::ManageNetwork>,
    Id(id): Id<SavedReportId>,
    api: Data<Api>,
    body: Body<DefaultRoles>,
) -> Answer<SavedReport> {
    let mut roles = Vec::new();
    for word in &body.value.roles {
        let role: RoleKind = word
            .parse()
            .map_err(|message: String| ApiError::field("roles", message))?;
        if !roles.contains(&role) {
            roles.push(role);
        }
    }
    let mut conn = access.network(&api.db).await?;
    let view = saved::set_default(&mut conn, &access, id, &roles, clock::now()).await?;
    conn.commit().await?;
    Ok(Json(view.into()))
}
