//! Trackers of affiliates, to which networks report conversions. Their payout is what the affiliate earns: the
//! commission.

use crate::dialect::{BASE, Dialect, Endpoint, Evidence, Kind, ResponseStyle, Source, p};
use crate::field::Field as F;
use crate::postback::State;
use crate::rules::Rule;

/// Defaults of trackers. The response `OK` is documented for Keitaro only; no other tracker is known to need more.
const TRACKER: Dialect = Dialect {
    kind: Kind::Tracker,
    response: ResponseStyle::Ok,
    ..BASE
};

/// Statuses as most networks send them to trackers, which leave the words to the network.
const WORDS: &[(&str, State)] = &[
    ("approved", State::Approved),
    ("pending", State::Pending),
    ("hold", State::Held),
    ("rejected", State::Rejected),
    ("declined", State::Rejected),
];

/// Voluum.
pub(crate) static VOLUUM: Dialect = Dialect {
    key: "voluum",
    name: "Voluum",
    source: Source::new(
        Evidence::Vendor,
        "Voluum, “Track Conversions Using S2S Postback URL” (doc.voluum.com)",
    ),
    click_parameter: Some("cid"),
    endpoints: &[Endpoint::get("/postback").marks(&["cid", "et"])],
    parameters: &[
        p(&["cid"], F::ClickId),
        p(&["payout"], F::Commission),
        p(&["txid"], F::OrderId),
        p(&["currency"], F::Currency),
        p(&["et"], F::Goal),
        p(&["param1"], F::Sub(1)),
        p(&["param2"], F::Sub(2)),
        p(&["param3"], F::Sub(3)),
        p(&["param4"], F::Sub(4)),
        p(&["param5"], F::Sub(5)),
    ],
    required: &["cid"],
    ..TRACKER
};

/// Keitaro. The call can map its statuses and choose the text of the response.
pub(crate) static KEITARO: Dialect = Dialect {
    key: "keitaro",
    name: "Keitaro",
    source: Source::new(Evidence::Vendor, "Keitaro, “Postback” (docs.keitaro.io)"),
    click_parameter: Some("subid"),
    endpoints: &[
        Endpoint::get("/*/postback"),
        Endpoint::get("/postback").marks(&["subid", "lead_status", "sale_status", "rejected_status"]),
    ],
    parameters: &[
        p(&["subid", "sub_id"], F::ClickId),
        p(&["status"], F::Status),
        p(&["payout", "revenue"], F::Commission),
        p(&["currency"], F::Currency),
        p(&["tid"], F::OrderId),
        p(&["sub_id_1"], F::Sub(1)),
        p(&["sub_id_2"], F::Sub(2)),
        p(&["sub_id_3"], F::Sub(3)),
        p(&["sub_id_4"], F::Sub(4)),
        p(&["sub_id_5"], F::Sub(5)),
        p(&["return"], F::Return),
    ],
    required: &["subid|sub_id"],
    states: &[
        ("sale", State::Approved),
        ("rebill", State::Approved),
        ("lead", State::Pending),
        ("rejected", State::Rejected),
    ],
    rules: &[Rule::OwnStatusMap],
    ..TRACKER
};

const BINOM: &[crate::dialect::Parameter] = &[
    p(&["cnv_id"], F::ClickId),
    p(&["payout"], F::Commission),
    p(&["cnv_status"], F::Status),
    p(&["cnv_currency"], F::Currency),
];

/// Binom 1.
pub(crate) static BINOM_V1: Dialect = Dialect {
    key: "binom_v1",
    name: "Binom 1",
    source: Source::new(Evidence::Vendor, "Binom documentation (docs.binom.org)"),
    click_parameter: Some("cnv_id"),
    endpoints: &[Endpoint::get("/click.php")],
    parameters: BINOM,
    required: &["cnv_id"],
    states: WORDS,
    ..TRACKER
};

/// Binom 2: two third parties disagree about its path, so a user must confirm the path.
pub(crate) static BINOM_V2: Dialect = Dialect {
    key: "binom_v2",
    name: "Binom 2",
    source: Source::new(
        Evidence::ThirdParty,
        "Names from Binom’s documentation, the path from two third parties that disagree",
    ),
    click_parameter: Some("cnv_id"),
    endpoints: &[Endpoint::get("/click")],
    parameters: BINOM,
    required: &["cnv_id"],
    states: WORDS,
    ..TRACKER
};

/// `BeMob`.
pub(crate) static BEMOB: Dialect = Dialect {
    key: "bemob",
    name: "BeMob",
    source: Source::new(
        Evidence::Vendor,
        "BeMob, “Create custom affiliate network” (docs.bemob.com)",
    ),
    hosts: &["bemobtrcks.com"],
    click_parameter: Some("cid"),
    endpoints: &[Endpoint::get("/postback")],
    parameters: &[
        p(&["cid"], F::ClickId),
        p(&["payout"], F::Commission),
        p(&["txid"], F::OrderId),
        p(&["status"], F::Status),
    ],
    required: &["cid"],
    states: WORDS,
    ..TRACKER
};

/// `RedTrack`.
pub(crate) static REDTRACK: Dialect = Dialect {
    key: "redtrack",
    name: "RedTrack",
    source: Source::new(Evidence::Vendor, "RedTrack help"),
    click_parameter: Some("clickid"),
    endpoints: &[Endpoint::get("/postback").marks(&["rdtk_event_id"])],
    parameters: &[
        p(&["clickid"], F::ClickId),
        p(&["sum"], F::Commission),
        p(&["type"], F::Goal),
        p(&["status"], F::Status),
        p(&["currency"], F::Currency),
        p(&["rdtk_event_id"], F::OrderId),
    ],
    required: &["clickid"],
    states: WORDS,
    ..TRACKER
};

/// `PeerClick`.
pub(crate) static PEERCLICK: Dialect = Dialect {
    key: "peerclick",
    name: "PeerClick",
    source: Source::new(
        Evidence::Vendor,
        "PeerClick help center (help-center.peerclick.com)",
    ),
    hosts: &["peerclick.com"],
    click_parameter: Some("cid"),
    endpoints: &[Endpoint::get("/postback").marks(&["conversion_id"])],
    parameters: &[
        p(&["cid"], F::ClickId),
        p(&["payout"], F::Commission),
        p(&["status"], F::Status),
        p(&["txid"], F::OrderId),
        p(&["currency"], F::Currency),
    ],
    required: &["cid"],
    states: WORDS,
    ..TRACKER
};

/// Prosper202. The first of six names that is sent is the order ID.
pub(crate) static PROSPER202: Dialect = Dialect {
    key: "prosper202",
    name: "Prosper202",
    source: Source::new(Evidence::Vendor, "Prosper202’s public program"),
    click_parameter: Some("subid"),
    endpoints: &[
        Endpoint::get("/tracking202/static/gpb.php"),
        Endpoint::get("/tracking202/static/upx.php").pixel(),
    ],
    parameters: &[
        p(&["subid", "sid"], F::ClickId),
        p(&["cid"], F::Reference),
        p(&["amount"], F::Commission),
        p(
            &[
                "txid",
                "transaction_id",
                "transactionid",
                "order_id",
                "orderid",
                "oid",
            ],
            F::OrderId,
        ),
    ],
    required: &["subid|sid"],
    ..TRACKER
};

/// `EvoClick`.
pub(crate) static EVOCLICK: Dialect = Dialect {
    key: "evoclick",
    name: "EvoClick",
    source: Source::new(Evidence::Code, "EvoClick’s public program"),
    click_parameter: Some("pid"),
    endpoints: &[Endpoint::get("/api/postback")],
    parameters: &[p(&["pid"], F::ClickId), p(&["payout"], F::Commission)],
    required: &["pid"],
    ..TRACKER
};

/// `FunnelFlux` Pro. A hit is a visit of one page.
pub(crate) static FUNNELFLUX: Dialect = Dialect {
    key: "funnelflux",
    name: "FunnelFlux",
    source: Source::new(
        Evidence::Vendor,
        "FunnelFlux, “Tracking conversions” (help.funnelflux.pro)",
    ),
    hosts: &["funnelflux.pro"],
    click_parameter: Some("hit"),
    endpoints: &[Endpoint::get("/pb").only_with(&["hit"])],
    parameters: &[
        p(&["hit"], F::ClickId),
        p(&["rev"], F::Commission),
        p(&["tx"], F::OrderId),
    ],
    required: &["hit"],
    ..TRACKER
};

/// Skro.
pub(crate) static SKRO: Dialect = Dialect {
    key: "skro",
    name: "Skro",
    source: Source::new(Evidence::Code, "Programs of one author"),
    hosts: &["skro.eu"],
    click_parameter: Some("clickid"),
    endpoints: &[Endpoint::get("/postback")],
    parameters: &[p(&["clickid"], F::ClickId), p(&["payout"], F::Commission)],
    required: &["clickid"],
    ..TRACKER
};
