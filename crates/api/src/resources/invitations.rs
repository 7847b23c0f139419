//! `/invitations`: roles offered to e-mail addresses.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use schema::{AdvertiserId, AffiliateId, InvitationId, clock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenancy::{ChangeError, Mail, Role, RoleKind, Scope, invitations, mail_templates, needs, networks};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, done, mail};
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params};
use crate::once::{Created, Made, Once};
use crate::openapi::IdempotencyKey;
use crate::page::{Page, Window, items};
use crate::{Api, schemas};

/// An invitation that is open.
#[derive(Serialize, ToSchema)]
pub(crate) struct Invitation {
    #[schema(value_type = schemas::InvitationId)]
    id: InvitationId,
    email: String,
    #[schema(value_type = schemas::Role)]
    role: &'static str,
    /// The advertiser it is for, if it is one.
    #[schema(required, value_type = Option<schemas::AdvertiserId>)]
    advertiser: Option<AdvertiserId>,
    /// The affiliate it is for, if it is one.
    #[schema(required, value_type = Option<schemas::AffiliateId>)]
    affiliate: Option<AffiliateId>,
    /// The name of either.
    #[schema(required)]
    party: Option<String>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl From<invitations::Invitation> for Invitation {
    fn from(it: invitations::Invitation) -> Self {
        let scope = it.role.scope();
        Self {
            id: it.id,
            email: it.email,
            role: it.role.as_str(),
            advertiser: scope.advertiser,
            affiliate: scope.affiliate,
            party: it.party,
            created_at: it.created_at,
            expires_at: it.expires_at,
        }
    }
}

items!(Invitation);

/// An invitation that was just made.
#[derive(Serialize, ToSchema)]
pub(crate) struct Invited {
    invitation: Invitation,
    /// Where it is accepted; shown this once, null in a repeated answer.
    #[schema(required)]
    link: Option<String>,
    /// What became of the mail; null in a repeated answer.
    #[schema(required, value_type = Option<schemas::MailDelivery>)]
    mail: Option<&'static str>,
    #[serde(skip)]
    letter: Mail,
}

impl Created for Invited {
    fn kept(&self) -> Value {
        json!({ "invitation": self.invitation, "link": null, "mail": null })
    }
}

/// Whom to invite.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "email": "ada@example.com", "role": "manager" }))]
pub(crate) struct NewInvitation {
    #[schema(value_type = schemas::Email)]
    email: String,
    #[schema(value_type = schemas::Role)]
    role: String,
    /// For the roles that act for an advertiser.
    #[serde(default)]
    #[schema(value_type = Option<schemas::AdvertiserId>)]
    advertiser: Option<String>,
    /// For the role that acts for an affiliate.
    #[serde(default)]
    #[schema(value_type = Option<schemas::AffiliateId>)]
    affiliate: Option<String>,
}

impl NewInvitation {
    fn role(&self) -> Result<Role, ChangeError> {
        let kind: RoleKind = self
            .role
            .parse()
            .map_err(|message: String| ChangeError::field("role", message))?;
        // An id that is none is told like one of another network.
        let advertiser = self.advertiser.as_deref().map(str::parse).transpose();
        let affiliate = self.affiliate.as_deref().map(str::parse).transpose();
        Role::of(
            kind,
            advertiser.map_err(|_| ChangeError::field("advertiser", "Choose one of your advertisers."))?,
            affiliate.map_err(|_| ChangeError::field("affiliate", "Choose one of your affiliates."))?,
        )
    }
}

/// Which part of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct InvitationParams {
    /// Items of the page: 50 unless said otherwise.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// What the page before said as `next`.
    #[param(value_type = schemas::InvitationId, inline, required = false)]
    after: Option<String>,
}

/// List open invitations
///
/// The newest first.
#[utoipa::path(get, path = "/invitations", tag = "People", params(InvitationParams), responses((status = 200, body = Page<Invitation>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeMembers>,
    api: Data<Api>,
    Params(params): Params<InvitationParams>,
) -> Answer<Page<Invitation>> {
    let window = Window::<InvitationId>::of(params.limit, params.after.as_deref())?;
    let mut conn = access.network(&api.db).await?;
    let open = invitations::list(&mut conn, Scope::default(), clock::now()).await?;
    conn.commit().await?;
    Ok(Json(window.page_of_whole(open)?))
}

/// Invite somebody
///
/// An open invitation of the same address to the same role is replaced. Parties' people may be invited by whoever manages
/// parties, the network's own by whoever manages members, owners by owners.
#[utoipa::path(post, path = "/invitations", tag = "People", params(IdempotencyKey), request_body = NewInvitation, responses((status = 201, body = Invited)))]
pub(crate) async fn create(
    access: Allowed<needs::InviteParties>,
    api: Data<Api>,
    once: Once,
    body: Body<NewInvitation>,
) -> Result<HttpResponse, ApiError> {
    let (email, role) = (&body.value.email, body.value.role()?);
    let made = once.run(&api, &access, &body.bytes, async |conn| {
        let now = clock::now();
        let (_, token) = invitations::create(conn, &access, email, role, now).await?;
        let made = invitations::by_token(conn, &token, now)
            .await?
            .ok_or(ApiError::NotFound)?;
        let network = networks::current(conn).await?.name;
        let party = made.party.as_deref();
        Ok(Invited {
            letter: mail_templates::invitation(
                &api.dashboard_url,
                &network,
                role.kind(),
                party,
                &made.email,
                &token,
            ),
            link: Some(mail_templates::invitation_link(&api.dashboard_url, &token)),
            invitation: made.into(),
            mail: None,
        })
    });
    Ok(match made.await? {
        Made::Now(mut invited) => {
            invited.mail = Some(mail::word(&api.mailer.send(&invited.letter).await));
            Made::Now(invited).answer()
        }
        before => before.answer(),
    })
}

/// Withdraw an invitation
#[utoipa::path(
    delete, path = "/invitations/{id}", tag = "People",
    params(("id" = inline(schemas::InvitationId), Path)),
    responses((status = 204))
)]
pub(crate) async fn withdraw(
    access: Allowed<needs::InviteParties>,
    Id(id): Id<InvitationId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    invitations::withdraw(&mut conn, &access, id, clock::now()).await?;
    conn.commit().await?;
    done()
}
