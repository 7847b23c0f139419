//! European networks: Tradedoubler, `TradeTracker`, ADCELL, Ingenious.

use crate::basket::Basket;
use crate::dialect::{BASE, Dialect, Endpoint, Evidence, Source, TimeStyle, p};
use crate::field::Field as F;
use crate::rules::Rule;

/// Tradedoubler. Its checksum, `v04` and the MD5 of secret, order number and order value, is not checked.
pub(crate) static TRADEDOUBLER: Dialect = Dialect {
    key: "tradedoubler",
    name: "Tradedoubler",
    source: Source::new(Evidence::Code, "A public tag, and Tradedoubler’s mobile SDK"),
    hosts: &["tradedoubler.com"],
    click_parameter: Some("tduid"),
    endpoints: &[Endpoint::get("/report")],
    parameters: &[
        p(&["tduid", "tdclid"], F::ClickId),
        p(&["organization"], F::Reference),
        p(&["event"], F::Goal),
        p(&["orderNumber", "leadNumber"], F::OrderId),
        p(&["orderValue"], F::Amount),
        p(&["currency"], F::Currency),
        p(&["voucher"], F::Coupon),
        p(&["event_time"], F::EventTime),
        p(&["extid"], F::Personal),
        p(&["checksum", "chksum"], F::Signature),
    ],
    required: &["organization", "event", "orderNumber|leadNumber"],
    basket: Basket::Tradedoubler,
    time: TimeStyle::Spaced,
    rules: &[Rule::AmountFromItems],
    ..BASE
};

/// `TradeTracker`, at the root of its host.
pub(crate) static TRADETRACKER: Dialect = Dialect {
    key: "tradetracker",
    name: "TradeTracker",
    source: Source::new(Evidence::Code, "Ten public integrations"),
    hosts: &["tradetracker.net"],
    click_parameter: Some("ttid"),
    endpoints: &[Endpoint::get("/").marks(&["tam", "tgi", "descrMerchant", "descrAffiliate"])],
    parameters: &[
        p(&["ttid"], F::ClickId),
        p(&["cid"], F::Reference),
        p(&["pid"], F::Goal),
        p(&["tid"], F::OrderId),
        p(&["tam"], F::Amount),
        p(&["vc"], F::Coupon),
        p(&["eml"], F::Personal),
        p(&["currency"], F::Currency),
    ],
    required: &["cid", "pid", "tid"],
    ..BASE
};

/// ADCELL.
pub(crate) static ADCELL: Dialect = Dialect {
    key: "adcell",
    name: "ADCELL",
    source: Source::new(Evidence::Code, "Nine public integrations"),
    hosts: &["adcell.com"],
    click_parameter: Some("bid"),
    endpoints: &[Endpoint::get("/t/track"), Endpoint::get("/t/track.js")],
    parameters: &[
        p(&["bid"], F::ClickId),
        p(&["pid"], F::Reference),
        p(&["eventid"], F::Goal),
        p(&["referenz"], F::OrderId),
        p(&["betrag"], F::Amount),
        p(&["currency"], F::Currency),
    ],
    required: &["pid", "eventid", "bid"],
    ..BASE
};

/// Ingenious, on which belboon, idealo and other programs run under their own hosts. `cid` is the order, `cli` the click.
pub(crate) static INGENIOUS: Dialect = Dialect {
    key: "ingenious",
    name: "Ingenious (belboon, idealo)",
    source: Source::new(Evidence::Code, "Seven public integrations"),
    hosts: &["belboon.com"],
    click_parameter: None,
    endpoints: &[Endpoint::get("/ts/*/tsa").fixed(&[("typ", "s")])],
    parameters: &[
        p(&["cli"], F::ClickId),
        p(&["trc"], F::Goal),
        p(&["cid"], F::OrderId),
        p(&["orv"], F::Amount),
        p(&["orc"], F::Currency),
        p(&["dsv"], F::Discount),
        p(&["dsc"], F::Coupon),
    ],
    required: &["cli", "cid"],
    rules: &[Rule::NoGoal("default")],
    ..BASE
};

/// Kwanko, formerly `NetAffiliation`. The landing page's `kwks2s` returns as `cible`.
pub(crate) static KWANKO: Dialect = Dialect {
    key: "kwanko",
    name: "Kwanko",
    source: Source::new(Evidence::ThirdParty, "Documents of two tag managers"),
    hosts: &["metaffiliation.com"],
    click_parameter: Some("kwks2s"),
    endpoints: &[Endpoint::get("/trk.php")],
    parameters: &[
        p(&["cible"], F::ClickId),
        p(&["mclic"], F::Reference),
        p(&["argann"], F::OrderId),
        p(&["argmon"], F::Amount),
        p(&["nacur"], F::Currency),
        p(&["argbr"], F::Coupon),
        // Programs send e-mail addresses in it.
        p(&["altid"], F::Personal),
    ],
    required: &["mclic", "cible"],
    ..BASE
};
