//! `/applications`: who asks to become an affiliate, and what is decided.

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
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params};
use crate::once::{Created, Made, Once};
use crate::openapi::IdempotencyKey;
use crate::page::{self, Page, Window, items, unknown_after};
use crate::{Api, schemas};

/// An application.
#[derive(Serialize, ToSchema)]
pub(crate) struct Application {
    #[schema(value_type = schemas::ApplicationId)]
    id: ApplicationId,
    /// What the affiliate will be called.
    #[schema(value_type = schemas::Name)]
    name: String,
    /// Who will be invited.
    email: String,
    /// Where the visitors will come from, as typed.
    website: String,
    answers: Vec<Answered>,
    #[schema(value_type = schemas::ApplicationStatus)]
    status: &'static str,
    /// Why it was declined, as the applicant is told.
    reason: String,
    /// What became of an approved one.
    #[schema(required, value_type = Option<schemas::AffiliateId>)]
    affiliate: Option<AffiliateId>,
    created_at: DateTime<Utc>,
    #[schema(required)]
    decided_at: Option<DateTime<Utc>>,
}

/// A question of the network's, and what the applicant answered.
#[derive(Serialize, ToSchema)]
pub(crate) struct Answered {
    question: String,
    answer: String,
}

impl From<applications::Application> for Application {
    fn from(it: applications::Application) -> Self {
        let answers = it.answers().into_iter().map(|it| Answered {
            question: it.question,
            answer: it.answer,
        });
        Self {
            answers: answers.collect(),
            id: it.id,
            name: it.name,
            email: it.email,
            website: it.website,
            status: it.status.as_str(),
            reason: it.reason,
            affiliate: it.affiliate_id,
            created_at: it.created_at,
            decided_at: it.decided_at,
        }
    }
}

items!(Application);

/// An application that was just decided.
#[derive(Serialize, ToSchema)]
pub(crate) struct Decided {
    application: Application,
    /// Where an approved applicant begins; shown this once, null in a repeated answer and for a declined one.
    #[schema(required)]
    link: Option<String>,
    /// What became of the mail that tells the applicant; null in a repeated answer.
    #[schema(required, value_type = Option<schemas::MailDelivery>)]
    mail: Option<&'static str>,
    #[serde(skip)]
    letter: Mail,
}

impl Created for Decided {
    const STATUS: StatusCode = StatusCode::OK;

    fn kept(&self) -> Value {
        json!({ "application": self.application, "link": null, "mail": null })
    }
}

impl Decided {
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
            letter: mail_templates::application_decided(
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

    /// Tells the applicant; once the decision is kept.
    async fn told(mut self, api: &Api) -> Self {
        self.mail = Some(mail::word(&api.mailer.send(&self.letter).await));
        self
    }
}

/// Which applications.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ApplicationParams {
    /// Only with this status.
    #[param(value_type = schemas::ApplicationStatus, inline, required = false)]
    status: Option<String>,
    /// Items of the page: 50 unless said otherwise.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// What the page before said as `next`.
    #[param(value_type = schemas::ApplicationId, inline, required = false)]
    after: Option<String>,
}

/// Why an application is declined.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reason {
    /// The applicant reads it; may be empty.
    #[serde(default)]
    #[schema(value_type = schemas::Notes)]
    reason: String,
}

/// List applications
///
/// The newest first.
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
    let rows = applications::list(&mut conn, status, window.after, window.ask()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// An application
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
/// Makes the affiliate and invites the applicant, by mail where mail is set up.
#[utoipa::path(
    post, path = "/applications/{id}/approve", tag = "Applications",
    params(("id" = inline(schemas::ApplicationId), Path), IdempotencyKey),
    responses((status = 200, body = Decided))
)]
pub(crate) async fn approve(
    access: Allowed<needs::ManageParties>,
    Id(id): Id<ApplicationId>,
    api: Data<Api>,
    once: Once,
) -> Result<HttpResponse, ApiError> {
    let made = once.run(&api, &access, b"", async |conn| {
        let (application, token) = applications::approve(conn, &access.author(), id, clock::now()).await?;
        Decided::new(conn, &api, application, Some(&token)).await
    });
    Ok(match made.await? {
        Made::Now(decided) => Made::Now(decided.told(&api).await).answer(),
        before => before.answer(),
    })
}

/// Decline an application
///
/// The applicant is told by mail, where mail is set up.
#[utoipa::path(
    post, path = "/applications/{id}/decline", tag = "Applications",
    params(("id" = inline(schemas::ApplicationId), Path)),
    request_body = Reason,
    responses((status = 200, body = Decided))
)]
pub(crate) async fn decline(
    access: Allowed<needs::ManageParties>,
    Id(id): Id<ApplicationId>,
    api: Data<Api>,
    body: Body<Reason>,
) -> Answer<Decided> {
    let mut conn = access.network(&api.db).await?;
    let reason = &body.value.reason;
    let application = applications::decline(&mut conn, &access.author(), id, reason, clock::now()).await?;
    let decided = Decided::new(&mut conn, &api, application, None).await?;
    conn.commit().await?;
    Ok(Json(decided.told(&api).await))
}
