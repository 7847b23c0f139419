//! A call as it comes in, and one as it goes out.

/// A call as it came over the wire, before anything was understood of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawCall<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// The request target as sent, percent-encoded: path and query, without the network in front.
    pub target: &'a str,
    /// The `Content-Type` header.
    pub content_type: Option<&'a str>,
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// The `X-Api-Key` or `Api-Key` header.
    pub api_key: Option<&'a str>,
    /// The body; empty for GET.
    pub body: &'a [u8],
}

impl<'a> RawCall<'a> {
    /// A GET of a target.
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

    /// The path, still percent-encoded.
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

/// A call to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingCall {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Where to, every value percent-encoded.
    pub url: String,
    /// The `Content-Type` header, where there is a body.
    pub content_type: Option<&'static str>,
    /// The `Authorization` header. A secret.
    pub authorization: Option<String>,
    /// The `X-Api-Key` header. A secret.
    pub api_key: Option<String>,
    /// The body; empty for GET.
    pub body: String,
}

impl OutgoingCall {
    /// The same call as the receiver sees it, for a URL that begins with `base_url`.
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
