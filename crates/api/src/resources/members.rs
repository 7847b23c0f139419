//! `/members`: who works here, and as what.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use schema::{AdvertiserId, AffiliateId, MembershipId, clock};
use serde::{Deserialize, Serialize};
use tenancy::memberships::{self, MemberFilter};
use tenancy::{ChangeError, RoleKind, needs};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, done};
use crate::door::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params};
use crate::page::{Page, Window, items, unknown_after};
use crate::{Api, schemas};

/// More than any network has seats.
const ALL_STAFF: i64 = 100_000;

/// A member: a person in a role.
#[derive(Serialize, ToSchema)]
pub(crate) struct Member {
    #[schema(value_type = schemas::MembershipId)]
    id: MembershipId,
    name: String,
    email: String,
    #[schema(value_type = schemas::Role)]
    role: &'static str,
    /// The advertiser acted for, if it is one.
    #[schema(required, value_type = Option<schemas::AdvertiserId>)]
    advertiser: Option<AdvertiserId>,
    /// The affiliate acted for, if it is one.
    #[schema(required, value_type = Option<schemas::AffiliateId>)]
    affiliate: Option<AffiliateId>,
    /// The name of either.
    #[schema(required)]
    party: Option<String>,
    has_second_factor: bool,
    since: DateTime<Utc>,
}

impl From<memberships::Member> for Member {
    fn from(it: memberships::Member) -> Self {
        let scope = it.role.scope();
        Self {
            id: it.id,
            name: it.person_name,
            email: it.email,
            role: it.role.as_str(),
            advertiser: scope.advertiser,
            affiliate: scope.affiliate,
            party: it.party,
            has_second_factor: it.has_second_factor,
            since: it.since,
        }
    }
}

items!(Member);

/// Which members.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct MemberParams {
    /// Items of the page: 50 unless said otherwise.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// What the page before said as `next`.
    #[param(value_type = schemas::MembershipId, inline, required = false)]
    after: Option<String>,
}

/// Another role.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRole {
    #[schema(value_type = schemas::StaffRole)]
    role: String,
}

/// List members
///
/// In the order in which they came.
#[utoipa::path(get, path = "/members", tag = "People", params(MemberParams), responses((status = 200, body = Page<Member>)))]
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
    let rows = memberships::list(&mut conn, &filter, window.ask()).await?;
    conn.commit().await?;
    Ok(Json(window.page(rows)))
}

/// Change a member's role
///
/// The network's own roles only. It ends the membership, with its sessions and keys, and makes another, which has an id
/// of its own.
#[utoipa::path(
    patch, path = "/members/{id}", tag = "People",
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
/// Sessions and API keys end with the membership.
#[utoipa::path(
    delete, path = "/members/{id}", tag = "People",
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
    done()
}
