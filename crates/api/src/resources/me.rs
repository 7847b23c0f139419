//! `/me`: the authenticated caller.

use actix_web::web::{Data, Json};
use schema::{AdvertiserId, AffiliateId, MembershipId, NetworkId};
use serde::Serialize;
use tenancy::{Permission, needs, networks};
use utoipa::ToSchema;

use super::Answer;
use crate::auth::Allowed;
use crate::schemas;
use crate::state::Api;

/// The authenticated caller, with role and permissions.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    /// Membership under which the caller acts.
    #[schema(value_type = schemas::MembershipId)]
    membership_id: MembershipId,
    /// Name of the member.
    name: String,
    #[schema(value_type = schemas::Role)]
    role: &'static str,
    /// Advertiser of the member; null for other roles.
    #[schema(required, value_type = Option<schemas::AdvertiserId>)]
    advertiser: Option<AdvertiserId>,
    /// Affiliate of the member; null for other roles.
    #[schema(required, value_type = Option<schemas::AffiliateId>)]
    affiliate: Option<AffiliateId>,
    /// Scopes of the key; null for a token created in the dashboard.
    #[schema(required, value_type = Option<Vec<schemas::Scope>>)]
    scopes: Option<Vec<&'static str>>,
    /// Permissions that role and scopes grant.
    #[schema(example = json!(["sign_in", "see_parties"]))]
    permissions: Vec<String>,
    network: MyNetwork,
}

/// The network of the caller.
#[derive(Serialize, ToSchema)]
pub(crate) struct MyNetwork {
    #[schema(value_type = schemas::NetworkId)]
    id: NetworkId,
    #[schema(value_type = schemas::Name)]
    name: String,
}

/// Get the caller
///
/// Available to every key and token, whatever its scopes.
#[utoipa::path(get, path = "/me", tag = "Authentication", responses((status = 200, body = Me)))]
pub(crate) async fn show(access: Allowed<needs::SignIn>, api: Data<Api>) -> Answer<Me> {
    let mut conn = access.network(&api.db).await?;
    let network = networks::current(&mut conn).await?;
    conn.commit().await?;
    let scope = access.scope();
    let permitted = Permission::ALL
        .iter()
        .filter(|permission| access.may(**permission));
    Ok(Json(Me {
        membership_id: access.membership_id,
        name: access.person_name.clone(),
        role: access.role.as_str(),
        advertiser: scope.advertiser,
        affiliate: scope.affiliate,
        scopes: access
            .scopes
            .as_ref()
            .map(|scopes| scopes.iter().map(|scope| scope.as_str()).collect()),
        permissions: permitted.map(|permission| snake_case(*permission)).collect(),
        network: MyNetwork {
            id: network.id,
            name: network.name,
        },
    }))
}

/// Name of a permission, such as `see_parties` for `SeeParties`.
fn snake_case(permission: Permission) -> String {
    let mut word = String::new();
    for c in format!("{permission:?}").chars() {
        if c.is_ascii_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.push(c.to_ascii_lowercase());
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_in_snake_case() {
        assert_eq!(snake_case(Permission::SeeParties), "see_parties");
        assert_eq!(snake_case(Permission::UseApi), "use_api");
    }
}
