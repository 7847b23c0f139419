//! `/invitations`: open invitations to become a member.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use schema::{AdvertiserId, AffiliateId, InvitationId, clock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenancy::{ChangeError, Mail, Role, RoleKind, Scope, invitations, mail_templates, needs, networks};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, mail, no_content};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params};
use crate::idempotency::{Created, IdempotencyKey, Outcome};
use crate::page::{Page, Window, items};
use crate::schemas;
use crate::state::Api;

/// An open invitation.
#[derive(Serialize, ToSchema)]
pub(crate) struct Invitation {
    #[schema(value_type = schemas::InvitationId)]
    id: InvitationId,
    email: String,
    #[schema(value_type = schemas::Role)]
    role: &'static str,
    /// Advertiser of the future member; null for other roles.
    #[schema(required, value_type = Option<schemas::AdvertiserId>)]
    advertiser: Option<AdvertiserId>,
    /// Affiliate of the future member; null for other roles.
    #[schema(required, value_type = Option<schemas::AffiliateId>)]
    affiliate: Option<AffiliateId>,
    /// Name of that advertiser or affiliate.
    #[schema(required)]
    party: Option<String>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl From<invitations::Invitation> for Invitation {
    fn from(invitation: invitations::Invitation) -> Self {
        let scope = invitation.role.scope();
        Self {
            id: invitation.id,
            email: invitation.email,
            role: invitation.role.as_str(),
            advertiser: scope.advertiser,
            affiliate: scope.affiliate,
            party: invitation.party,
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
        }
    }
}

items!(Invitation);

/// A new invitation.
#[derive(Serialize, ToSchema)]
pub(crate) struct Invited {
    invitation: Invitation,
    /// Link to accept the invitation. Shown only once: null in a replayed response.
    #[schema(required)]
    link: Option<String>,
    /// Result of mailing the invitation; null in a replayed response.
    #[schema(required, value_type = Option<schemas::MailDelivery>)]
    mail: Option<&'static str>,
    #[serde(skip)]
    message: Mail,
}

impl Created for Invited {
    fn stored(&self) -> Value {
        json!({ "invitation": self.invitation, "link": null, "mail": null })
    }
}

/// An invitation to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "email": "ada@example.com", "role": "manager" }))]
pub(crate) struct NewInvitation {
    #[schema(value_type = schemas::Email)]
    email: String,
    #[schema(value_type = schemas::Role)]
    role: String,
    /// Advertiser of the member; required for the roles of an advertiser.
    #[serde(default)]
    #[schema(value_type = Option<schemas::AdvertiserId>)]
    advertiser: Option<String>,
    /// Affiliate of the member; required for the role of an affiliate.
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
        // A malformed ID gets the same error as one of another network.
        let advertiser = self.advertiser.as_deref().map(str::parse).transpose();
        let affiliate = self.affiliate.as_deref().map(str::parse).transpose();
        Role::of(
            kind,
            advertiser.map_err(|_| ChangeError::field("advertiser", "Unknown advertiser."))?,
            affiliate.map_err(|_| ChangeError::field("affiliate", "Unknown affiliate."))?,
        )
    }
}

/// Parameters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct InvitationParams {
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::InvitationId, inline, required = false)]
    after: Option<String>,
}

/// List open invitations
///
/// Newest first.
#[utoipa::path(get, path = "/invitations", tag = "Members", params(InvitationParams), responses((status = 200, body = Page<Invitation>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeMembers>,
    api: Data<Api>,
    Params(params): Params<InvitationParams>,
) -> Answer<Page<Invitation>> {
    let window = Window::<InvitationId>::of(params.limit, params.after.as_deref())?;
    let mut conn = access.network(&api.db).await?;
    let open = invitations::list(&mut conn, Scope::default(), clock::now()).await?;
    conn.commit().await?;
    Ok(Json(window.page_of_all(open)?))
}

/// Create an invitation
///
/// Replaces an open invitation of the same address to the same role. Inviting members of advertisers and affiliates
/// requires the permission to manage advertisers and affiliates; inviting staff, the permission to manage members; inviting
/// owners, the role of an owner.
#[utoipa::path(post, path = "/invitations", tag = "Members", params(IdempotencyKey), request_body = NewInvitation, responses((status = 201, body = Invited)))]
pub(crate) async fn create(
    access: Allowed<needs::InviteParties>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewInvitation>,
) -> Result<HttpResponse, ApiError> {
    let (email, role) = (&body.value.email, body.value.role()?);
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let now = clock::now();
        let (_, token) = invitations::create(conn, &access, email, role, now).await?;
        let invitation = invitations::by_token(conn, &token, now)
            .await?
            .ok_or(ApiError::NotFound)?;
        let network = networks::current(conn).await?.name;
        let party = invitation.party.as_deref();
        Ok(Invited {
            message: mail_templates::invitation(
                &api.dashboard_url,
                &network,
                role.kind(),
                party,
                &invitation.email,
                &token,
            ),
            link: Some(mail_templates::invitation_link(&api.dashboard_url, &token)),
            invitation: invitation.into(),
            mail: None,
        })
    });
    Ok(match outcome.await? {
        Outcome::Executed(mut invited) => {
            invited.mail = Some(mail::result(&api.mailer.send(&invited.message).await));
            Outcome::Executed(invited).response()
        }
        replayed => replayed.response(),
    })
}

/// Withdraw an invitation
#[utoipa::path(
    delete, path = "/invitations/{id}", tag = "Members",
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
    no_content()
}
