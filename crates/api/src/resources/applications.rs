//! `/applications`: requests to become an affiliate, and their decisions.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use schema::{AffiliateId, ApplicationId, NetworkConn, clock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenancy::{Mail, OneTimeToken, applications, mail_templates, needs, networks};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, mail};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params};
use crate::idempotency::{Created, IdempotencyKey, Outcome};
use crate::page::{self, Page, Window, items, unknown_after};
use crate::schemas;
use crate::state::Api;

/// A request to become an affiliate.
#[derive(Serialize, ToSchema)]
pub(crate) struct Application {
    #[schema(value_type = schemas::ApplicationId)]
    id: ApplicationId,
    /// Name of the future affiliate.
    #[schema(value_type = schemas::Name)]
    name: String,
    /// Address of the applicant, who is invited on approval.
    email: String,
    /// Source of the traffic, as the applicant entered it.
    website: String,
    answers: Vec<ApplicationAnswer>,
    #[schema(value_type = schemas::ApplicationStatus)]
    status: &'static str,
    /// Reason for declining, which the applicant reads; empty if none was given.
    reason: String,
    /// Affiliate that the approval created; null otherwise.
    #[schema(required, value_type = Option<schemas::AffiliateId>)]
    affiliate: Option<AffiliateId>,
    created_at: DateTime<Utc>,
    /// Time of the decision; null while the application is pending.
    #[schema(required)]
    decided_at: Option<DateTime<Utc>>,
}

/// An answer of the applicant to a question of the network.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApplicationAnswer {
    question: String,
    answer: String,
}

impl From<applications::Application> for Application {
    fn from(stored: applications::Application) -> Self {
        let answers = stored.answers().into_iter().map(|stored| ApplicationAnswer {
            question: stored.question,
            answer: stored.answer,
        });
        Self {
            answers: answers.collect(),
            id: stored.id,
            name: stored.name,
            email: stored.email,
            website: stored.website,
            status: stored.status.as_str(),
            reason: stored.reason,
            affiliate: stored.affiliate_id,
            created_at: stored.created_at,
            decided_at: stored.decided_at,
        }
    }
}

items!(Application);

/// A decided application.
#[derive(Serialize, ToSchema)]
pub(crate) struct DecidedApplication {
    application: Application,
    /// Invitation link of an approved applicant. Shown only once: null in a replayed response, and if declined.
    #[schema(required)]
    link: Option<String>,
    /// Result of mailing the decision to the applicant; null in a replayed response.
    #[schema(required, value_type = Option<schemas::MailDelivery>)]
    mail: Option<&'static str>,
    #[serde(skip)]
    message: Mail,
}

impl Created for DecidedApplication {
    const STATUS: StatusCode = StatusCode::OK;

    fn stored(&self) -> Value {
        json!({ "application": self.application, "link": null, "mail": null })
    }
}

impl DecidedApplication {
    async fn new(
        conn: &mut NetworkConn,
        api: &Api,
        application: applications::Application,
        invitation: Option<&OneTimeToken>,
    ) -> Result<Self, ApiError> {
        let network = networks::current(conn).await?.name;
        let slug = networks::slug(conn).await?;
        let (email, reason) = (&application.email, &application.reason);
        Ok(Self {
            message: mail_templates::application_decided(
                &api.dashboard_url,
                &network,
                &slug,
                email,
                invitation,
                reason,
            ),
            link: invitation.map(|token| mail_templates::invitation_link(&api.dashboard_url, token)),
            application: application.into(),
            mail: None,
        })
    }

    /// Mails the decision to the applicant. To be called after the commit.
    async fn notify(mut self, api: &Api) -> Self {
        self.mail = Some(mail::result(&api.mailer.send(&self.message).await));
        self
    }
}

/// Filters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ApplicationParams {
    /// Only applications with this status.
    #[param(value_type = schemas::ApplicationStatus, inline, required = false)]
    status: Option<String>,
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::ApplicationId, inline, required = false)]
    after: Option<String>,
}

/// Reason for declining an application.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeclineReason {
    /// Text for the applicant; may be empty.
    #[serde(default)]
    #[schema(value_type = schemas::Notes)]
    reason: String,
}

/// List applications
///
/// Newest first.
#[utoipa::path(get, path = "/applications", tag = "Applications", params(ApplicationParams), responses((status = 200, body = Page<Application>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeParties>,
    api: Data<Api>,
    Params(params): Params<ApplicationParams>,
) -> Answer<Page<Application>> {
    let window = Window::of(params.limit, params.after.as_deref())?;
    let status = page::word("status", params.status.as_deref())?;
    let mut conn = access.network(&api.db).await?;
    if let Some(id) = window.after {
        applications::find(&mut conn, id)
            .await?
            .ok_or_else(unknown_after)?;
    }
    let rows = applications::list(&mut conn, status, window.after, window.rows()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Get an application
#[utoipa::path(
    get, path = "/applications/{id}", tag = "Applications",
    params(("id" = inline(schemas::ApplicationId), Path)),
    responses((status = 200, body = Application))
)]
pub(crate) async fn show(
    access: Allowed<needs::SeeParties>,
    Id(id): Id<ApplicationId>,
    api: Data<Api>,
) -> Answer<Application> {
    let mut conn = access.network(&api.db).await?;
    let found = applications::find(&mut conn, id)
        .await?
        .ok_or(ApiError::NotFound)?;
    conn.commit().await?;
    Ok(Json(found.into()))
}

/// Approve an application
///
/// Creates the affiliate and invites the applicant, by mail if a mail server is configured.
#[utoipa::path(
    post, path = "/applications/{id}/approve", tag = "Applications",
    params(("id" = inline(schemas::ApplicationId), Path), IdempotencyKey),
    responses((status = 200, body = DecidedApplication))
)]
pub(crate) async fn approve(
    access: Allowed<needs::ManageParties>,
    Id(id): Id<ApplicationId>,
    api: Data<Api>,
    key: IdempotencyKey,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, b"", async |conn| {
        let (application, token) = applications::approve(conn, &access.author(), id, clock::now()).await?;
        DecidedApplication::new(conn, &api, application, Some(&token)).await
    });
    Ok(match outcome.await? {
        Outcome::Executed(decided) => Outcome::Executed(decided.notify(&api).await).response(),
        replayed => replayed.response(),
    })
}

/// Decline an application
///
/// Notifies the applicant by mail, if a mail server is configured.
#[utoipa::path(
    post, path = "/applications/{id}/decline", tag = "Applications",
    params(("id" = inline(schemas::ApplicationId), Path)),
    request_body = DeclineReason,
    responses((status = 200, body = DecidedApplication))
)]
pub(crate) async fn decline(
    access: Allowed<needs::ManageParties>,
    Id(id): Id<ApplicationId>,
    api: Data<Api>,
    body: Body<DeclineReason>,
) -> Answer<DecidedApplication> {
    let mut conn = access.network(&api.db).await?;
    let reason = &body.value.reason;
    let application = applications::decline(&mut conn, &access.author(), id, reason, clock::now()).await?;
    let decided = DecidedApplication::new(&mut conn, &api, application, None).await?;
    conn.commit().await?;
    Ok(Json(decided.notify(&api).await))
}
