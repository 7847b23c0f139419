//! Our own dialect: `/postback` with `click_id`, `goal`, `order_id`, `amount`, `currency`, `token` and more, as query,
//! form or JSON. Other parameters are stored as extra. `/postback.gif` is the same for browsers and returns a picture.

use crate::basket::{Basket, Names, Price};
use crate::dialect::{Auth, BASE, Dialect, Endpoint, Evidence, Kind, Source, p};
use crate::field::Field as F;
use crate::postback::State;

/// Our own dialect.
pub(crate) static NATIVE: Dialect = Dialect {
    key: "clickledger",
    name: "Clickledger",
    source: Source::new(Evidence::Vendor, "Our own documentation"),
    kind: Kind::Own,
    click_parameter: Some("click_id"),
    endpoints: &[
        Endpoint::get("/postback").marks(&["partner_key", "refund", "parent_goal", "pixel", "test"]),
        Endpoint::get("/postback.gif").pixel(),
    ],
    parameters: &[
        p(&["click_id"], F::ClickId),
        p(&["click_id[]"], F::ClickId),
        p(&["partner_key"], F::AffiliateKey),
        p(&["campaign"], F::Reference),
        p(&["goal", "event"], F::Goal),
        p(&["parent_goal"], F::ParentGoal),
        p(&["order_id"], F::OrderId),
        p(&["amount"], F::Amount),
        p(&["discount"], F::Discount),
        p(&["remaining"], F::Remaining),
        p(&["currency"], F::Currency),
        p(&["commission"], F::Commission),
        p(&["commission_percent"], F::CommissionPercent),
        p(&["revenue"], F::Revenue),
        p(&["status"], F::Status),
        p(&["coupon"], F::Coupon),
        p(&["country"], F::Country),
        p(&["customer_id"], F::CustomerId),
        p(&["customer_type"], F::CustomerType),
        p(&["sub1"], F::Sub(1)),
        p(&["sub2"], F::Sub(2)),
        p(&["sub3"], F::Sub(3)),
        p(&["sub4"], F::Sub(4)),
        p(&["sub5"], F::Sub(5)),
        p(&["event_time"], F::EventTime),
        p(&["event_id", "refund_id"], F::EventId),
        p(&["refund"], F::Refund),
        p(&["action"], F::Action),
        p(&["test"], F::Test),
        p(&["token"], F::Token),
        p(&["signature"], F::Signature),
        p(&["timestamp"], F::Timestamp),
        p(&["return"], F::Return),
        p(&["pixel"], F::Pixel),
    ],
    required: &["click_id|partner_key|coupon"],
    repeatable: &["click_id[]"],
    states: &[
        ("pending", State::Pending),
        ("held", State::Held),
        ("hold", State::Held),
        ("approved", State::Approved),
        ("rejected", State::Rejected),
        ("confirmed", State::Approved),
        ("declined", State::Rejected),
        ("cancelled", State::Rejected),
        ("canceled", State::Rejected),
    ],
    basket: Basket::Json(
        "items",
        Names {
            sku: "sku",
            category: "category",
            name: "name",
            quantity: "quantity",
            amount: "amount",
            ..Names::NONE
        },
        Price::Line,
    ),
    auth: &[Auth::Bearer, Auth::ApiKey],
    ..BASE
};
