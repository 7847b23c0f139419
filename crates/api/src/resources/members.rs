//! `/members`: members of the network and their roles.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use schema::{AdvertiserId, AffiliateId, MembershipId, clock};
use serde::{Deserialize, Serialize};
use tenancy::memberships::{self, MemberFilter};
use tenancy::{ChangeError, RoleKind, needs};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, no_content};
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params};
use crate::page::{Page, Window, items, unknown_after};
use crate::schemas;
use crate::state::Api;

/// Limit that loads all staff: more than any network has seats.
const ALL_STAFF: i64 = 100_000;

/// A person with a role in the network.
#[derive(Serialize, ToSchema)]
pub(crate) struct Member {
    #[schema(value_type = schemas::MembershipId)]
    id: MembershipId,
    name: String,
    email: String,
    #[schema(value_type = schemas::Role)]
    role: &'static str,
    /// Advertiser of the member; null for other roles.
    #[schema(required, value_type = Option<schemas::AdvertiserId>)]
    advertiser: Option<AdvertiserId>,
    /// Affiliate of the member; null for other roles.
    #[schema(required, value_type = Option<schemas::AffiliateId>)]
    affiliate: Option<AffiliateId>,
    /// Name of that advertiser or affiliate.
    #[schema(required)]
    party: Option<String>,
    /// True if two-factor authentication is enabled.
    has_second_factor: bool,
    /// Start of the membership.
    since: DateTime<Utc>,
}

impl From<memberships::Member> for Member {
    fn from(member: memberships::Member) -> Self {
        let scope = member.role.scope();
        Self {
            id: member.id,
            name: member.person_name,
            email: member.email,
            role: member.role.as_str(),
            advertiser: scope.advertiser,
            affiliate: scope.affiliate,
            party: member.party,
            has_second_factor: member.has_second_factor,
            since: member.since,
        }
    }
}

items!(Member);

/// Parameters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MemberParams {
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::MembershipId, inline, required = false)]
    after: Option<String>,
}

/// The new role of a member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRole {
    #[schema(value_type = schemas::StaffRole)]
    role: String,
}

/// List members
///
/// Oldest first.
#[utoipa::path(get, path = "/members", tag = "Members", params(MemberParams), responses((status = 200, body = Page<Member>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeMembers>,
    api: Data<Api>,
    Params(params): Params<MemberParams>,
) -> Answer<Page<Member>> {
    let window = Window::of(params.limit, params.after.as_deref())?;
    let filter = MemberFilter {
        after: window.after,
        ..MemberFilter::default()
    };
    let mut conn = access.network(&api.db).await?;
    if let Some(id) = window.after {
        memberships::find(&mut conn, id)
            .await?
            .ok_or_else(unknown_after)?;
    }
    let rows = memberships::list(&mut conn, &filter, window.rows()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Change the role of a member
///
/// Between staff roles only. Ends the membership, with its sessions and API keys, and creates a new one with a new ID.
#[utoipa::path(
    patch, path = "/members/{id}", tag = "Members",
    params(("id" = inline(schemas::MembershipId), Path)),
    request_body = NewRole,
    responses((status = 200, body = Member))
)]
pub(crate) async fn update(
    access: Allowed<needs::ManageMembers>,
    Id(id): Id<MembershipId>,
    api: Data<Api>,
    body: Body<NewRole>,
) -> Answer<Member> {
    let kind: RoleKind = body
        .value
        .role
        .parse()
        .map_err(|message: String| ChangeError::field("role", message))?;
    let mut conn = access.network(&api.db).await?;
    let old = memberships::find(&mut conn, id)
        .await?
        .ok_or(ApiError::NotFound)?;
    memberships::change_role(&mut conn, &access, id, kind, clock::now()).await?;
    let staff = MemberFilter {
        staff_only: true,
        ..MemberFilter::default()
    };
    let member = memberships::list(&mut conn, &staff, ALL_STAFF)
        .await?
        .into_iter()
        .find(|member| member.person_id == old.person_id && member.role.kind() == kind)
        .ok_or(ApiError::NotFound)?;
    conn.commit().await?;
    Ok(Json(member.into()))
}

/// Remove a member
///
/// Ends the sessions and API keys of the membership.
#[utoipa::path(
    delete, path = "/members/{id}", tag = "Members",
    params(("id" = inline(schemas::MembershipId), Path)),
    responses((status = 204))
)]
pub(crate) async fn remove(
    access: Allowed<needs::InviteParties>,
    Id(id): Id<MembershipId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    memberships::remove(&mut conn, &access, id, clock::now()).await?;
    conn.commit().await?;
    no_content()
}
