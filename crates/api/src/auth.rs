//! Authentication: finds the actor behind an API key or token. It runs as middleware, before anything else of the
//! request is read: extractors run concurrently, and an unauthenticated caller must not learn that a body is malformed.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, web};
use schema::{ApiKeyId, clock};
use tenancy::api_keys::{self, ApiKey};
use tenancy::api_tokens::{self, TokenFlaw};
use tenancy::{Access, Actor, Need, Quota, THROTTLE_WINDOW};

use crate::error::ApiError;
use crate::header::header_value;
use crate::middleware::record_caller;
use crate::state::{Api, RATE_WINDOW};

const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Authenticated caller of a request.
#[derive(Clone)]
struct Caller {
    actor: Actor,
    /// API key of the request; none for a token.
    key: Option<ApiKeyId>,
}

/// Middleware that passes on requests of authenticated callers only: those with a valid key or token, with two-factor
/// authentication where their network requires it, and within the rate limit. Stores the caller in the request.
pub(crate) async fn require_caller(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let (caller, quota) = match admit(request.request()).await {
        Ok(admitted) => admitted,
        // Returned as a response: an `Err` would bypass the middleware that writes error bodies.
        Err(error) => return Ok(request.error_response(error).map_into_right_body()),
    };
    let mut response = match refusal(&caller.actor, quota) {
        Some(error) => request.error_response(error).map_into_right_body(),
        None => {
            request.extensions_mut().insert(caller);
            next.call(request).await?.map_into_left_body()
        }
    };
    add_quota(response.headers_mut(), quota);
    Ok(response)
}

/// Authenticates a request and counts it against the rate limit of its caller.
async fn admit(request: &HttpRequest) -> Result<(Caller, Quota), ApiError> {
    let api = request
        .app_data::<web::Data<Api>>()
        .ok_or_else(|| ApiError::Internal("the application data has no Api".to_owned()))?;
    let caller = authenticate(api, request).await?;
    record_caller(&caller.actor, caller.key);
    let quota = count(api, &caller.actor);
    Ok((caller, quota))
}

async fn authenticate(api: &Api, request: &HttpRequest) -> Result<Caller, ApiError> {
    let credential = bearer(request).ok_or(ApiError::Unauthenticated)?;
    let (address, now) = (api.client(request), clock::now());
    if api.throttle.check_keys(address).await.is_err() {
        let retry_after = THROTTLE_WINDOW.as_secs();
        return Err(ApiError::RateLimited { retry_after });
    }
    let found = match ApiKey::from_call(credential) {
        Some((key, network_id)) => api_keys::actor(&api.db, &key, network_id, address, now)
            .await?
            .map(|(id, actor)| Caller { actor, key: Some(id) }),
        None => match api.tokens.verify(credential, now) {
            Ok(claims) => {
                let found = api_tokens::actor_of(&api.db, &claims, address, now).await?;
                let actor = found.ok_or(ApiError::Unauthenticated)?;
                Some(Caller { actor, key: None })
            }
            // We signed it: not a guess, so it does not count against the address.
            Err(TokenFlaw::Expired) => return Err(ApiError::Unauthenticated),
            Err(TokenFlaw::NotOurs) => None,
        },
    };
    if found.is_none() {
        api.throttle.count_wrong_key(address).await;
    }
    found.ok_or(ApiError::Unauthenticated)
}

/// Credential of the only `Authorization` header; none if the header is repeated or of another scheme.
fn bearer(request: &HttpRequest) -> Option<&str> {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let (scheme, credential) = headers.next()?.to_str().ok()?.split_once(' ')?;
    let is_only_bearer = headers.next().is_none() && scheme.eq_ignore_ascii_case("bearer");
    is_only_bearer
        .then(|| credential.trim())
        .filter(|credential| !credential.is_empty())
}

/// Counts a request: the staff of a network shares one limit, each member of an advertiser or affiliate has a separate
/// one.
fn count(api: &Api, actor: &Actor) -> Quota {
    let at = Duration::from_secs(clock::now().timestamp().unsigned_abs());
    let member = (!actor.role.kind().is_staff()).then_some(actor.membership_id);
    api.rate
        .count((actor.network_id(), member), api.calls_per_minute, at)
}

fn refusal(actor: &Actor, quota: Quota) -> Option<ApiError> {
    if !quota.allowed {
        let retry_after = quota.resets_in;
        return Some(ApiError::RateLimited { retry_after });
    }
    actor
        .lacks_second_factor
        .then_some(ApiError::SecondFactorRequired)
}

/// Adds the headers of draft-ietf-httpapi-ratelimit-headers-10.
fn add_quota(headers: &mut HeaderMap, quota: Quota) {
    let policy = format!("\"default\";q={};w={}", quota.limit, RATE_WINDOW.as_secs());
    let left = format!("\"default\";r={};t={}", quota.remaining, quota.resets_in);
    headers.insert(RATE_LIMIT_POLICY, header_value(&policy));
    headers.insert(RATE_LIMIT, header_value(&left));
}

/// Caller with the permission `P`. The first argument of every handler that needs a caller: extractors are polled in
/// order and this one is ready at once, so a caller without the permission gets no other error of the request.
pub(crate) struct Allowed<P> {
    access: Access<P>,
    /// API key of the request; none for a token.
    pub(crate) key: Option<ApiKeyId>,
}

impl<P> Deref for Allowed<P> {
    type Target = Access<P>;

    fn deref(&self) -> &Access<P> {
        &self.access
    }
}

impl<P: Need> FromRequest for Allowed<P> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Caller>().cloned();
        ready(caller.ok_or(ApiError::Unauthenticated).and_then(|caller| {
            Ok(Self {
                access: caller.actor.access()?,
                key: caller.key,
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_credential_follows_the_only_bearer_scheme() {
        let parse = |values: &[&str]| {
            let mut request = TestRequest::default();
            for value in values {
                request = request.append_header((AUTHORIZATION, *value));
            }
            bearer(&request.to_http_request()).map(str::to_owned)
        };
        assert_eq!(parse(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(parse(&["bearer  abc "]).as_deref(), Some("abc"));
        for values in [
            &["Basic abc"][..],
            &["Bearer"],
            &["Bearer "],
            &["abc"],
            &["Bearer a", "Bearer b"],
            &[],
        ] {
            assert_eq!(parse(values), None, "{values:?}");
        }
    }
}
