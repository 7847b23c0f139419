//! A postback as it arrived.

use chrono::{DateTime, Utc};
use dialects::{ParsedCall, RawCall};
use ipnet::IpNet;
use schema::{AdvertiserId, PostbackId};

use crate::verdict::Reason;

/// HTTP request of a postback.
#[derive(Debug, Clone)]
pub struct InboundRequest {
    /// Receipt.
    pub id: PostbackId,
    /// Arrival.
    pub received_at: DateTime<Utc>,
    /// GET or POST.
    pub method: String,
    /// Request target as received.
    pub target: String,
    /// Byte of the target where the postback begins: behind the network's slug on the shared host.
    pub offset: usize,
    /// `Content-Type` header.
    pub content_type: Option<String>,
    /// `Authorization` header.
    pub authorization: Option<String>,
    /// `X-Api-Key` or `Api-Key` header.
    pub api_key: Option<String>,
    /// Header of that name: [`crate::signature::HEADER`].
    pub signature: Option<String>,
    /// Body as received.
    pub body: Vec<u8>,
    /// Address of the sender.
    pub remote_ip: Option<IpNet>,
    /// True if it came over HTTPS; `None` if that is unknown.
    pub over_https: Option<bool>,
    /// True if it has headers that browsers add, and programs do not.
    pub has_browser_headers: bool,
    /// Advertiser for whom a user of the network entered it by hand.
    pub entered_for: Option<AdvertiserId>,
    /// True if our simulation sent it.
    pub is_simulated: bool,
    /// Reason for rejecting it unread: it did not arrive whole.
    pub problem: Option<Reason>,
}

impl InboundRequest {
    /// Plain GET of a target that arrived at this time.
    #[must_use]
    pub fn get(target: &str, received_at: DateTime<Utc>, remote_ip: Option<IpNet>) -> Self {
        Self {
            id: PostbackId::fresh(received_at),
            received_at,
            method: "GET".to_owned(),
            target: target.to_owned(),
            offset: 0,
            content_type: None,
            authorization: None,
            api_key: None,
            signature: None,
            body: Vec::new(),
            remote_ip,
            over_https: None,
            has_browser_headers: false,
            entered_for: None,
            is_simulated: false,
            problem: None,
        }
    }

    /// Requests that report each order alone, of a request that reports several; empty for any other. A signed request
    /// stays whole, as its signature is over the whole.
    #[must_use]
    pub fn single_orders(&self) -> Vec<Self> {
        if self.signature.is_some() || self.problem.is_some() {
            return Vec::new();
        }
        let bodies = dialects::single_orders(&self.call()).into_iter();
        let single = |body| Self {
            id: PostbackId::fresh(self.received_at),
            body,
            ..self.clone()
        };
        bodies.map(single).collect()
    }

    /// Recognises the dialect and parses the request by it.
    #[must_use]
    pub fn parse(&self) -> ParsedCall {
        dialects::parse_call(&self.call())
    }

    fn call(&self) -> RawCall<'_> {
        RawCall {
            method: &self.method,
            target: self.target.get(self.offset..).unwrap_or_default(),
            content_type: self.content_type.as_deref(),
            authorization: self.authorization.as_deref(),
            api_key: self.api_key.as_deref(),
            body: &self.body,
        }
    }
}
