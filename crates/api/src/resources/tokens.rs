//! `/tokens`: a token that lasts a quarter of an hour, for where the key must not go.

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, Utc};
use schema::clock;
use serde::Serialize;
use tenancy::api_tokens::TokenSource;
use tenancy::needs;
use utoipa::ToSchema;

use crate::Api;
use crate::door::Allowed;
use crate::error::ApiError;

/// A fresh token.
#[derive(Serialize, ToSchema)]
pub(crate) struct Token {
    /// Send it as `Authorization: Bearer …`.
    token: String,
    /// When it stops working; at once if its key is revoked.
    expires_at: DateTime<Utc>,
}

/// Make a token
///
/// A token does what its key does, for a quarter of an hour. It cannot make another one.
#[utoipa::path(post, path = "/tokens", tag = "You", responses((status = 201, body = Token)))]
pub(crate) async fn create(access: Allowed<needs::SignIn>, api: Data<Api>) -> Result<HttpResponse, ApiError> {
    let Some(key) = access.key else {
        let message = "A token cannot make tokens. Use the API key.";
        return Err(ApiError::NotPermitted(message.into()));
    };
    let source = TokenSource::ApiKey(key, access.membership_id);
    let (token, expires_at) = api.tokens.issue(access.network_id(), source, clock::now());
    Ok(HttpResponse::Created().json(Token { token, expires_at }))
}
