//! `/impersonations`: short-lived tokens under a member's role, for operators of the installation.

use actix_web::HttpResponse;
use actix_web::web::Data;
use schema::clock;
use serde::Deserialize;
use tenancy::impersonation::{self, NewImpersonation};
use tenancy::needs;
use utoipa::ToSchema;

use super::tokens::Token;
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::Body;
use crate::schemas;
use crate::state::Api;

/// An impersonation to start.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "network": "net_2y6c3r8", "membership": "mbr_2y6c3r8", "reason": "Ticket 77" }))]
pub(crate) struct NewImpersonationToken {
    /// Network of the member.
    #[schema(value_type = schemas::NetworkId)]
    network: String,
    /// Membership to act under.
    #[schema(value_type = schemas::MembershipId)]
    membership: String,
    /// Reason, recorded in the network's audit log.
    #[schema(value_type = schemas::Text)]
    reason: String,
}

/// Impersonate a member
///
/// For operators of the installation, with a token created in the dashboard from their own session. The new token has
/// the permissions of the member for 15 minutes, except those that an impersonation never has (see `GET /me`), and ends
/// with the session. The start is recorded in the network's audit log and in the operator log.
#[utoipa::path(post, path = "/impersonations", tag = "Authentication", request_body = NewImpersonationToken, responses((status = 201, body = Token)))]
pub(crate) async fn create(
    access: Allowed<needs::SignIn>,
    api: Data<Api>,
    body: Body<NewImpersonationToken>,
) -> Result<HttpResponse, ApiError> {
    let Some(session_id) = access.session_id else {
        let message = "An API key cannot impersonate. Use a token created in the dashboard.";
        return Err(ApiError::NotPermitted(message.into()));
    };
    let new = NewImpersonation {
        operator_id: access.person_id,
        session_id,
        membership_id: body.value.membership.parse().map_err(|_| ApiError::NotFound)?,
        reason: &body.value.reason,
        user_agent: String::new(),
        address: access.address,
    };
    let network_id = body.value.network.parse().map_err(|_| ApiError::NotFound)?;
    let mut conn = api.db.network(network_id).await?;
    let (author, now) = (access.author(), clock::now());
    let (token, expires_at) = impersonation::issue_token(&mut conn, &api.tokens, &author, &new, now).await?;
    conn.commit().await?;
    Ok(HttpResponse::Created().json(Token { token, expires_at }))
}
