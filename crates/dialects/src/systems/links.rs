//! Link shorteners with conversions: `ClickMeter` and `JotURL`.

use crate::dialect::{BASE, Dialect, Endpoint, Evidence, Source, p};
use crate::field::Field as F;
use crate::rules::Rule;

/// `ClickMeter`. A percentage counts where the fixed commission is 0.
pub(crate) static CLICKMETER: Dialect = Dialect {
    key: "clickmeter",
    name: "ClickMeter",
    source: Source::new(
        Evidence::Vendor,
        "ClickMeter support, “Server to Server conversions (postback URL)” (support.clickmeter.com)",
    ),
    hosts: &["clickmeter.com"],
    click_parameter: Some("clickId"),
    endpoints: &[Endpoint::get("/s2s").marks(&["id", "val", "com", "comperc"])],
    parameters: &[
        p(&["clickId"], F::ClickId),
        p(&["id"], F::Reference),
        p(&["val"], F::Amount),
        p(&["com"], F::Commission),
        p(&["comperc"], F::CommissionPercent),
        p(&["param"], F::Packed),
    ],
    required: &["clickId", "id", "val", "com"],
    rules: &[
        Rule::PercentWithoutFixed,
        Rule::Requires(&["id", "val", "com"]),
        Rule::ReferenceDecides,
    ],
    ..BASE
};

/// `JotURL`; its documented call has placeholders in place of parameter names.
pub(crate) static JOTURL: Dialect = Dialect {
    key: "joturl",
    name: "JotURL",
    source: Source::new(
        Evidence::Unverified,
        "JotURL describes its postback without the names of its parameters",
    ),
    hosts: &["joturl.com"],
    click_parameter: Some("click"),
    endpoints: &[
        Endpoint::get("/postback").marks(&["click", "comm", "ep00"]),
        Endpoint::get("/c").pixel(),
    ],
    parameters: &[
        p(&["click"], F::ClickId),
        p(&["id"], F::Reference),
        p(&["val"], F::Amount),
        p(&["comm"], F::Commission),
    ],
    required: &["click|id"],
    ..BASE
};
