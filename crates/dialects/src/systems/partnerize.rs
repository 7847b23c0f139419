//! Partnerize: parameters as `key:value` segments of the path.

use crate::basket::{Basket, Names};
use crate::dialect::{BASE, Dialect, Endpoint, Evidence, Source, TimeStyle, p};
use crate::field::Field as F;
use crate::rules::Rule;

/// Partnerize. Values of its items count as those of whole lines, net of the voucher.
pub(crate) static PARTNERIZE: Dialect = Dialect {
    key: "partnerize",
    name: "Partnerize",
    source: Source::new(
        Evidence::Vendor,
        "Partnerize help, “S2S integration” (help.phgsupport.com)",
    ),
    hosts: &["prf.hn"],
    click_parameter: Some("clickref"),
    endpoints: &[Endpoint::path("/conversion/**").fixed(&[("tracking_mode", "api")])],
    parameters: &[
        p(&["campaign"], F::Reference),
        p(&["clickref"], F::ClickId),
        p(&["conversionref"], F::OrderId),
        p(&["currency"], F::Currency),
        p(&["country"], F::Country),
        p(&["customertype"], F::CustomerType),
        p(&["voucher"], F::Coupon),
        p(&["conversion_time"], F::EventTime),
        p(&["publisher_reference"], F::AffiliateKey),
        p(&["customer_reference"], F::CustomerId),
        // Outside of brackets it is the value of the order.
        p(&["value"], F::Amount),
        p(&["category"], F::Goal),
    ],
    required: &["campaign", "clickref", "currency"],
    basket: Basket::Path(Names {
        sku: "sku",
        category: "category",
        name: "name",
        quantity: "quantity",
        amount: "value",
        ..Names::NONE
    }),
    time: TimeStyle::Spaced,
    rules: &[Rule::AmountFromItems, Rule::GoalFromItems],
    ..BASE
};
