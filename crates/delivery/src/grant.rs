//! Access tokens of receivers that want OAuth 2.0: a refresh token is exchanged for one
//! ([RFC 6749](https://www.rfc-editor.org/rfc/rfc6749#section-6)), which is kept in memory until shortly before its end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use url::Url;

use crate::send::{Call, CallMethod};

/// Most tokens that are kept; with more, the memory begins anew.
const MAX_TOKENS: usize = 10_000;
/// Time before the end of a token from which it is not used any more.
const MARGIN: Duration = Duration::from_secs(60);
/// Lifetime of a token whose answer states none.
const USUAL_LIFETIME_SECONDS: u64 = 300;

/// Permission of the owner of an account to call in its name.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// Address that exchanges the refresh token.
    pub token_url: Url,
    /// Identifier of the registered application.
    pub client_id: String,
    /// Secret of the application.
    pub client_secret: String,
    /// Token that stands for the permission.
    pub refresh_token: String,
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant")
            .field("token_url", &self.token_url.as_str())
            .finish_non_exhaustive()
    }
}

/// Answer of the address that exchanges tokens.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: Option<u64>,
}

impl Grant {
    /// Key of its access token in memory.
    fn key(&self) -> [u8; 32] {
        let parts = [
            self.token_url.as_str(),
            &self.client_id,
            &self.client_secret,
            &self.refresh_token,
        ];
        Sha256::digest(parts.join("\0")).into()
    }

    /// Call that exchanges the refresh token.
    pub(crate) fn exchange(&self) -> Call {
        let form: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair("client_id", &self.client_id)
            .append_pair("client_secret", &self.client_secret)
            .append_pair("refresh_token", &self.refresh_token)
            .finish();
        Call {
            method: CallMethod::Post,
            url: self.token_url.clone(),
            shown_url: self.token_url.to_string(),
            headers: Vec::new(),
            grant: None,
            body: Some(("application/x-www-form-urlencoded", form.into_bytes())),
            problem_in: None,
        }
    }
}

/// Header and last use of an access token, by the key of its grant.
type Tokens = HashMap<[u8; 32], (HeaderValue, Instant)>;

/// Access tokens in memory. Cheap to clone; all clones share them.
#[derive(Clone, Default)]
pub(crate) struct AccessTokens(Arc<Mutex<Tokens>>);

impl AccessTokens {
    /// Value of the header `Authorization` for a grant, if its token is still valid.
    pub(crate) fn of(&self, grant: &Grant) -> Option<HeaderValue> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (token, until) = tokens.get(&grant.key())?;
        (Instant::now() < *until).then(|| token.clone())
    }

    /// Keeps the token of an answer, and returns the value of the header.
    ///
    /// # Errors
    /// Sentence about an answer without a token.
    pub(crate) fn keep(&self, grant: &Grant, answer: &[u8]) -> Result<HeaderValue, String> {
        let answer: Answer = serde_json::from_slice(answer)
            .map_err(|_| "The answer to the exchange of the refresh token has no access token.".to_owned())?;
        let mut header = HeaderValue::try_from(format!("Bearer {}", answer.access_token))
            .map_err(|_| "The access token has characters that no header may have.".to_owned())?;
        header.set_sensitive(true);
        let lifetime = Duration::from_secs(answer.expires_in.unwrap_or(USUAL_LIFETIME_SECONDS));
        let until = Instant::now() + lifetime.saturating_sub(MARGIN);
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= MAX_TOKENS {
            tokens.clear();
        }
        tokens.insert(grant.key(), (header.clone(), until));
        Ok(header)
    }

    /// Forgets the token of a grant, which the receiver refused.
    pub(crate) fn forget(&self, grant: &Grant) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.remove(&grant.key());
    }
}
