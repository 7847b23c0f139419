//! Who calls: the key or token of a request, settled in middleware before anything else of the request is read, because
//! extractors run side by side and a malformed body must not be told to a stranger.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, web};
use schema::{ApiKeyId, clock};
use tenancy::api_keys::{self, ApiKey};
use tenancy::api_tokens::{self, TokenFlaw};
use tenancy::{Access, Actor, Need, Quota, THROTTLE_WINDOW};

use crate::error::ApiError;
use crate::{Api, RATE_WINDOW};

const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Who calls, and with which key, if it is one.
#[derive(Clone)]
struct Caller {
    actor: Actor,
    key: Option<ApiKeyId>,
}

/// Lets only those pass whose key or token works, who have the second factor that their network demands, and whose
/// network has calls left; leaves who they are with the request.
pub(crate) async fn door(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let caller = match authenticate(request.request()).await {
        Ok(caller) => caller,
        // Refusals are answers, not errors: an error would pass by the guard that writes its body.
        Err(refusal) => return Ok(request.error_response(refusal).map_into_right_body()),
    };
    let quota = count(request.request(), &caller.actor);
    let mut response = match refusal(&caller.actor, quota) {
        Some(refusal) => request.error_response(refusal).map_into_right_body(),
        None => {
            request.extensions_mut().insert(caller);
            next.call(request).await?.map_into_left_body()
        }
    };
    if let Some(quota) = quota {
        add_quota(response.headers_mut(), quota);
    }
    Ok(response)
}

async fn authenticate(request: &HttpRequest) -> Result<Caller, ApiError> {
    let api = api(request)?;
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
            // It was one of ours: no guess that should count against the address.
            Err(TokenFlaw::Expired) => return Err(ApiError::Unauthenticated),
            Err(TokenFlaw::NotOurs) => None,
        },
    };
    if found.is_none() {
        api.throttle.count_wrong_key(address).await;
    }
    found.ok_or(ApiError::Unauthenticated)
}

fn api(request: &HttpRequest) -> Result<&web::Data<Api>, ApiError> {
    request
        .app_data::<web::Data<Api>>()
        .ok_or_else(|| ApiError::Internal("the application has no Api as its data".to_owned()))
}

/// The credential of the one `Authorization` header.
fn bearer(request: &HttpRequest) -> Option<&str> {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let (scheme, credential) = headers.next()?.to_str().ok()?.split_once(' ')?;
    let only = headers.next().is_none() && scheme.eq_ignore_ascii_case("bearer");
    only.then(|| credential.trim())
        .filter(|credential| !credential.is_empty())
}

fn count(request: &HttpRequest, actor: &Actor) -> Option<Quota> {
    let seconds = u64::try_from(clock::now().timestamp()).unwrap_or_default();
    let api = api(request).ok()?;
    let at = Duration::from_secs(seconds);
    let own = (!actor.role.kind().is_staff()).then_some(actor.membership_id);
    Some(
        api.rate
            .count((actor.network_id(), own), api.calls_per_minute, at),
    )
}

fn refusal(actor: &Actor, quota: Option<Quota>) -> Option<ApiError> {
    match quota {
        Some(quota) if !quota.allowed => Some(ApiError::RateLimited {
            retry_after: quota.resets_in,
        }),
        _ if actor.lacks_second_factor => Some(ApiError::SecondFactorRequired),
        _ => None,
    }
}

/// As draft-ietf-httpapi-ratelimit-headers-10 spells them.
fn add_quota(headers: &mut HeaderMap, quota: Quota) {
    let policy = format!("\"default\";q={};w={}", quota.limit, RATE_WINDOW.as_secs());
    let left = format!("\"default\";r={};t={}", quota.remaining, quota.resets_in);
    for (name, text) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, left)] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
}

/// A caller who has the permission `P`. The first argument of every handler behind the door: extractors are polled in
/// their order and this one is ready at once, so that nothing is told of a request to somebody who may not make it.
pub(crate) struct Allowed<P> {
    access: Access<P>,
    /// The key that was called with, unless it was a token.
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
    fn a_credential_is_what_follows_the_one_bearer() {
        let of = |values: &[&str]| {
            let mut request = TestRequest::default();
            for value in values {
                request = request.append_header((AUTHORIZATION, *value));
            }
            bearer(&request.to_http_request()).map(str::to_owned)
        };
        assert_eq!(of(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(of(&["bearer  abc "]).as_deref(), Some("abc"));
        for values in [
            &["Basic abc"][..],
            &["Bearer"],
            &["Bearer "],
            &["abc"],
            &["Bearer a", "Bearer b"],
            &[],
        ] {
            assert_eq!(of(values), None, "{values:?}");
        }
    }
}
