//! How systems spell a postback. Pure: bytes in, a canonical [`Postback`] or a [`Problem`] out, and an [`Answer`] back.
//!
//! Only our own spelling lives here yet ([`native`]); other systems follow as data.

pub mod amount;
mod answer;
mod decode;
pub mod native;
mod problem;

pub use amount::Amount;
pub use answer::{Answer, Status};
pub use decode::decode_pairs;
pub use problem::Problem;

/// A call as it came over the wire, before anything was understood of it.
#[derive(Debug, Clone, Copy)]
pub struct RawCall<'a> {
    /// Everything after `?` in the request target, still percent-encoded.
    pub query: &'a str,
    /// The `Content-Type` header.
    pub content_type: Option<&'a str>,
    /// The body; empty for GET.
    pub body: &'a [u8],
}

/// What a postback says, whatever spelling it came in. A parameter that was sent empty counts as not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Postback {
    /// The click it belongs to, exactly as sent.
    pub click_id: Option<String>,
    /// Code of the goal reached.
    pub goal: Option<String>,
    /// The advertiser's order id.
    pub order_id: Option<String>,
    /// The order's amount. `0` is an amount.
    pub amount: Option<Amount>,
    /// Currency of the amount, as sent.
    pub currency: Option<String>,
    /// The advertiser's secret, as sent.
    pub token: Option<String>,
    /// Everything else, in the order it came.
    pub extra: Vec<(String, String)>,
}
