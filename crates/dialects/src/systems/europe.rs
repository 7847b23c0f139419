//! European networks: Tradedoubler, `TradeTracker`, ADCELL, belboon, Digistore24.

use crate::dialect::{BASE, Confidence, Dialect, Endpoint, p};
use crate::field::Field as F;

/// Tradedoubler. Its checksum is `v04` and the MD5 of secret, order number and order value.
pub(crate) static TRADEDOUBLER: Dialect = Dialect {
    key: "tradedoubler",
    name: "Tradedoubler",
    hosts: &["tradedoubler.com"],
    confidence: Confidence::Medium,
    click_parameter: Some("tduid"),
    endpoints: &[Endpoint::get("/report")],
    parameters: &[
        p(&["tduid"], F::ClickId),
        p(&["organization"], F::Reference),
        p(&["event"], F::Goal),
        p(&["orderNumber", "leadNumber"], F::OrderId),
        p(&["orderValue"], F::Amount),
        p(&["currency"], F::Currency),
        p(&["voucher"], F::Coupon),
        p(&["checksum"], F::Signature),
    ],
    required: &["organization", "event", "orderNumber|leadNumber"],
    ..BASE
};

/// `TradeTracker`, at the root of its host.
pub(crate) static TRADETRACKER: Dialect = Dialect {
    key: "tradetracker",
    name: "TradeTracker",
    hosts: &["tradetracker.net"],
    confidence: Confidence::Low,
    click_parameter: Some("ttid"),
    endpoints: &[Endpoint::get("/").marks(&["tid", "descrMerchant", "descrAffiliate"])],
    parameters: &[
        p(&["ttid"], F::ClickId),
        p(&["cid"], F::Reference),
        p(&["pid"], F::Goal),
        p(&["tid"], F::OrderId),
        p(&["data"], F::Amount),
        p(&["currency"], F::Currency),
    ],
    required: &["cid", "pid", "tid"],
    ..BASE
};

/// ADCELL.
pub(crate) static ADCELL: Dialect = Dialect {
    key: "adcell",
    name: "ADCELL",
    hosts: &["adcell.com"],
    confidence: Confidence::Low,
    click_parameter: Some("bid"),
    endpoints: &[Endpoint::get("/t/track")],
    parameters: &[
        p(&["bid"], F::ClickId),
        p(&["pid"], F::Reference),
        p(&["eid"], F::Goal),
        p(&["referenz"], F::OrderId),
        p(&["betrag"], F::Amount),
        p(&["currency"], F::Currency),
    ],
    required: &["pid", "eid", "bid"],
    ..BASE
};

/// belboon.
pub(crate) static BELBOON: Dialect = Dialect {
    key: "belboon",
    name: "belboon",
    hosts: &["belboon.com"],
    confidence: Confidence::Low,
    click_parameter: Some("belboon"),
    endpoints: &[Endpoint::get("/s2s").marks(&["order_id"])],
    parameters: &[
        p(&["clickid"], F::ClickId),
        p(&["order_id"], F::OrderId),
        p(&["amount"], F::Amount),
        p(&["currency"], F::Currency),
        p(&["event"], F::Goal),
    ],
    required: &["clickid", "order_id"],
    ..BASE
};

/// Digistore24.
pub(crate) static DIGISTORE24: Dialect = Dialect {
    key: "digistore24",
    name: "Digistore24",
    hosts: &["digistore24.com"],
    confidence: Confidence::Low,
    click_parameter: Some("cid"),
    endpoints: &[Endpoint::get("/tracking/conversion")],
    parameters: &[
        p(&["cid"], F::ClickId),
        p(&["order_id"], F::OrderId),
        p(&["amount"], F::Amount),
        p(&["currency"], F::Currency),
        p(&["event"], F::Goal),
    ],
    required: &["cid", "order_id"],
    ..BASE
};
