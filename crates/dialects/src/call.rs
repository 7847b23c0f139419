//! Incoming and outgoing calls.

/// An incoming call before parsing.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawCall<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// Request target as sent, percent-encoded: path and query, without the network's slug.
    pub target: &'a str,
    /// `Content-Type` header; `None` if absent.
    pub content_type: Option<&'a str>,
    /// `Authorization` header; `None` if absent.
    pub authorization: Option<&'a str>,
    /// `X-Api-Key` or `Api-Key` header; `None` if absent.
    pub api_key: Option<&'a str>,
    /// Body; empty for GET.
    pub body: &'a [u8],
}

impl<'a> RawCall<'a> {
    /// Returns a GET of a target.
    ///
    /// ```
    /// let call = dialects::RawCall::get("/postback?click_id=abc");
    /// assert_eq!((call.path(), call.query()), ("/postback", "click_id=abc"));
    /// ```
    #[must_use]
    pub fn get(target: &'a str) -> Self {
        Self {
            method: "GET",
            target,
            ..Self::default()
        }
    }

    /// Path, still percent-encoded.
    #[must_use]
    pub fn path(&self) -> &'a str {
        let target = self.target;
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// Everything after `?`, still percent-encoded.
    #[must_use]
    pub fn query(&self) -> &'a str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }
}

/// An outgoing call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingCall {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// URL with every value percent-encoded.
    pub url: String,
    /// `Content-Type` header; `None` without a body.
    pub content_type: Option<&'static str>,
    /// `Authorization` header; secret.
    pub authorization: Option<String>,
    /// `X-Api-Key` header; secret.
    pub api_key: Option<String>,
    /// Body; empty for GET.
    pub body: String,
}

impl OutgoingCall {
    /// Call as the receiver gets it, for a URL that begins with `base_url`.
    #[must_use]
    pub fn as_received(&self, base_url: &str) -> RawCall<'_> {
        RawCall {
            method: self.method,
            target: self
                .url
                .strip_prefix(base_url.trim_end_matches('/'))
                .unwrap_or(&self.url),
            content_type: self.content_type,
            authorization: self.authorization.as_deref(),
            api_key: self.api_key.as_deref(),
            body: self.body.as_bytes(),
        }
    }
}
