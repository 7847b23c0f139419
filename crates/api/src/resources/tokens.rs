//! `/tokens`: short-lived tokens, for places where an API key must not be exposed.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use schema::clock;
use serde::Serialize;
use tenancy::api_tokens::TokenSource;
use tenancy::needs;
use utoipa::ToSchema;

use crate::auth::Allowed;
use crate::error::ApiError;
use crate::state::Api;

/// A new token.
#[derive(Serialize, ToSchema)]
pub(crate) struct Token {
    /// Token, to be sent as `Authorization: Bearer …`.
    pub(super) token: String,
    /// Expiry. Revoking the API key invalidates the token immediately.
    pub(super) expires_at: DateTime<Utc>,
}

/// Create a token
///
/// The token has the permissions of the API key for 15 minutes. A token cannot create tokens.
#[utoipa::path(post, path = "/tokens", tag = "Authentication", responses((status = 201, body = Token)))]
pub(crate) async fn create(access: Allowed<needs::SignIn>, api: Data<Api>) -> Result<HttpResponse, ApiError> {
    let Some(key) = access.key else {
        let message = "A token cannot create tokens. Use the API key.";
        return Err(ApiError::NotPermitted(message.into()));
    };
    let source = TokenSource::ApiKey(key, access.membership_id);
    let (token, expires_at) = api.tokens.issue(access.network_id(), source, clock::now());
    Ok(HttpResponse::Created().json(Token { token, expires_at }))
}
