//! `/me`: who calls, and what they may do.

use actix_web::web::{Data, Json};
use schema::{AdvertiserId, AffiliateId, MembershipId, NetworkId};
use serde::Serialize;
use tenancy::{Permission, needs, networks};
use utoipa::ToSchema;

use super::Answer;
use crate::door::Allowed;
use crate::{Api, schemas};

/// Who calls, and what they may do.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    /// The membership acted under.
    #[schema(value_type = schemas::MembershipId)]
    membership_id: MembershipId,
    /// The person's name.
    name: String,
    #[schema(value_type = schemas::Role)]
    role: &'static str,
    /// The advertiser acted for, if it is one.
    #[schema(required, value_type = Option<schemas::AdvertiserId>)]
    advertiser: Option<AdvertiserId>,
    /// The affiliate acted for, if it is one.
    #[schema(required, value_type = Option<schemas::AffiliateId>)]
    affiliate: Option<AffiliateId>,
    /// What the key is limited to; null for a token made in the dashboard.
    #[schema(required, value_type = Option<Vec<schemas::Scope>>)]
    scopes: Option<Vec<&'static str>>,
    /// What role and scopes together permit.
    #[schema(example = json!(["sign_in", "see_parties"]))]
    permissions: Vec<String>,
    network: MyNetwork,
}

/// The network acted in.
#[derive(Serialize, ToSchema)]
pub(crate) struct MyNetwork {
    #[schema(value_type = schemas::NetworkId)]
    id: NetworkId,
    #[schema(value_type = schemas::Name)]
    name: String,
}

/// Who calls
///
/// Any key or token may ask, whatever its scopes.
#[utoipa::path(get, path = "/me", tag = "You", responses((status = 200, body = Me)))]
pub(crate) async fn show(access: Allowed<needs::SignIn>, api: Data<Api>) -> Answer<Me> {
    let mut conn = access.network(&api.db).await?;
    let network = networks::current(&mut conn).await?;
    conn.commit().await?;
    let scope = access.role.scope();
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
        permissions: permitted.map(|permission| word(*permission)).collect(),
        network: MyNetwork {
            id: network.id,
            name: network.name,
        },
    }))
}

/// `SeeParties` as `see_parties`.
fn word(permission: Permission) -> String {
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
    fn permissions_are_words() {
        assert_eq!(word(Permission::SeeParties), "see_parties");
        assert_eq!(word(Permission::UseApi), "use_api");
    }
}
