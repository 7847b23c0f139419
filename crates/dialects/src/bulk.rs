//! Calls that report several orders at once: `actions` of Taboola, `orders` of Awin's Conversion API.

use std::sync::LazyLock;

use serde_json::value::RawValue;

use crate::field::Field;
use crate::json::JsonObject;
use crate::recognise::has_path;
use crate::{Dialect, RawCall, of_call, systems};

/// Maximum number of orders of one call.
pub(crate) const ORDER_LIMIT: usize = 100;
/// Maximum length of what a body has besides its orders, in bytes: each order is kept with a copy of it.
const SHARED_LIMIT: usize = 4 * 1024;

/// Dialects whose calls may have a list of orders.
static LISTING: LazyLock<Vec<&'static Dialect>> = LazyLock::new(|| {
    let all = systems::all().iter().copied();
    all.filter(|dialect| dialect.has(Field::Sale)).collect()
});

/// Bodies that report each order of a call alone, exactly as written. Empty for a call with one order, with more than a
/// hundred, or in a format without a list of orders.
///
/// ```
/// use dialects::{RawCall, single_orders};
/// let body = br#"{"actions":[{"click-id":"a","name":"sale"},{"click-id":"b","name":"sale"}]}"#;
/// let call = RawCall { method: "POST", body, ..RawCall::get("/1/log/3/bulk-s2s-action") };
/// let orders = single_orders(&call);
/// assert_eq!(orders.len(), 2);
/// assert_eq!(orders[1], br#"{"actions":[{"click-id":"b","name":"sale"}]}"#);
/// ```
#[must_use]
pub fn single_orders(call: &RawCall<'_>) -> Vec<Vec<u8>> {
    split(call).unwrap_or_default()
}

fn split(call: &RawCall<'_>) -> Option<Vec<Vec<u8>>> {
    // All that other calls pay: recognition decodes the whole call.
    let may_list = |dialect: &&Dialect| has_path(dialect, call.path()) || call.path().contains(dialect.key);
    if call.body.is_empty() || !LISTING.iter().any(may_list) {
        return None;
    }
    let text = std::str::from_utf8(call.body).ok()?;
    let dialect = of_call(call)?;
    let JsonObject(members) = serde_json::from_str(text).ok()?;
    let is_list = |(name, _): &&(String, &RawValue)| dialect.meaning(name) == Field::Sale;
    let (listed, list) = members.iter().find(is_list)?;
    let orders: Vec<&RawValue> = serde_json::from_str(list.get()).ok()?;
    let shared = text.len().saturating_sub(list.get().len());
    if orders.len() < 2 || orders.len() > ORDER_LIMIT || shared > SHARED_LIMIT {
        return None;
    }
    let body = |order: &&RawValue| {
        let member = |(name, value): &(String, &RawValue)| {
            let name_text = serde_json::to_string(name).ok()?;
            Some(if name == listed {
                format!("{name_text}:[{}]", order.get())
            } else {
                format!("{name_text}:{}", value.get())
            })
        };
        let members: Option<Vec<_>> = members.iter().map(member).collect();
        Some(format!("{{{}}}", members?.join(",")).into_bytes())
    };
    orders.iter().map(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_with_several_orders_are_split() {
        let of = |target, body: &str| {
            let call = RawCall {
                method: "POST",
                body: body.as_bytes(),
                ..RawCall::get(target)
            };
            single_orders(&call).len()
        };
        let awin = "/s2s/advertiser/1/orders";
        let many = |count: usize| format!(r#"{{"orders":[{}]}}"#, vec!["{}"; count].join(","));
        assert_eq!(of(awin, &many(2)), 2);
        assert_eq!(of(awin, &many(ORDER_LIMIT)), ORDER_LIMIT);
        assert_eq!(of(awin, &many(ORDER_LIMIT + 1)), 0);
        assert_eq!(of(awin, &many(1)), 0);
        assert_eq!(of(awin, r#"{"orders":"#), 0);
        assert_eq!(of("/postback", &many(2)), 0);
        let padded = format!(
            r#"{{"note":"{}","orders":[{{}},{{}}]}}"#,
            "x".repeat(SHARED_LIMIT)
        );
        assert_eq!(of(awin, &padded), 0);
    }
}
