//! Platforms that networks use: Everflow, TUNE, CAKE, Affise, Scaleo, Trackier, Trackdesk.

use crate::dialect::{BASE, Dialect, Endpoint, Evidence, Money, ResponseStyle, Source, TimeStyle, p};
use crate::field::Field as F;
use crate::postback::{Intent, State};
use crate::rules::Rule;

/// Everflow, at the root of a tracking domain. A decimal comma is documented; `currency` is not, because Everflow uses
/// the offer's.
pub(crate) static EVERFLOW: Dialect = Dialect {
    key: "everflow",
    name: "Everflow",
    source: Source::new(
        Evidence::Vendor,
        "Everflow developers, “Conversion Tracking” (developers.everflow.io)",
    ),
    hosts: &["servecvr.com", "everflow.io"],
    click_parameter: Some("_ef_transaction_id"),
    endpoints: &[Endpoint::get("/").marks(&["nid"])],
    parameters: &[
        p(&["transaction_id"], F::ClickId),
        p(&["affid"], F::AffiliateKey),
        p(&["oid"], F::Reference),
        p(&["amount"], F::Amount),
        p(&["event_id", "adv_event_id"], F::Goal),
        p(&["order_id"], F::OrderId),
        p(&["coupon_code"], F::Coupon),
        p(&["currency"], F::Currency),
        p(&["user_id"], F::CustomerId),
        p(&["email"], F::Personal),
        p(&["verification_token"], F::Token),
        p(&["adv1"], F::Sub(1)),
        p(&["adv2"], F::Sub(2)),
        p(&["adv3"], F::Sub(3)),
        p(&["adv4"], F::Sub(4)),
        p(&["adv5"], F::Sub(5)),
    ],
    required: &["nid", "transaction_id|coupon_code|affid"],
    money: Money::Comma,
    ..BASE
};

/// Parameters that tell a call of TUNE's short paths from a visit of a link that begins alike.
const OF_SHORT_PATHS: &[&str] = &["transaction_id", "adv_sub", "promo_code", "amount", "user_id"];

/// TUNE (`HasOffers`). TUNE deduplicates by `conversion_unique_id`, or else by `adv_unique1`; many advertisers send the order
/// as `adv_sub`.
pub(crate) static TUNE: Dialect = Dialect {
    key: "tune",
    name: "TUNE",
    source: Source::new(
        Evidence::Vendor,
        "TUNE support, “Receiving Conversions via Postback URL” (support.tune.com)",
    ),
    hosts: &["go2cloud.org"],
    click_parameter: Some("transaction_id"),
    endpoints: &[
        Endpoint::get("/aff_lsr"),
        Endpoint::get("/aff_l").pixel(),
        Endpoint::get("/aff_goal").fixed(&[("a", "lsr"), ("a", "l")]),
        // The short path of an offer or a goal: `/SPab1`, `/GPab1`.
        Endpoint::get("/SP*").only_with(OF_SHORT_PATHS),
        Endpoint::get("/GP*").only_with(OF_SHORT_PATHS),
    ],
    parameters: &[
        p(&["transaction_id"], F::ClickId),
        p(&["offer_id"], F::Reference),
        p(&["aff_id"], F::AffiliateKey),
        p(&["goal_id", "goal_name", "goal_ref"], F::Goal),
        p(&["amount"], F::Amount),
        p(&["payout"], F::Commission),
        p(&["revenue"], F::Revenue),
        p(&["status"], F::Status),
        p(&["promo_code"], F::Coupon),
        p(&["user_id"], F::CustomerId),
        p(&["conversion_unique_id", "adv_unique1"], F::OrderId),
        p(&["adv_sub"], F::Sub(1)),
        p(&["adv_sub2"], F::Sub(2)),
        p(&["adv_sub3"], F::Sub(3)),
        p(&["adv_sub4"], F::Sub(4)),
        p(&["adv_sub5"], F::Sub(5)),
        p(&["security_token"], F::Token),
        p(&["datetime"], F::EventTime),
    ],
    required: &["transaction_id|aff_id"],
    time: TimeStyle::Spaced,
    rules: &[Rule::OrderFromSub],
    response: ResponseStyle::Tune,
    ..BASE
};

/// CAKE. Parameter names are not case-sensitive; `f` is the way of firing.
pub(crate) static CAKE: Dialect = Dialect {
    key: "cake",
    name: "CAKE",
    source: Source::new(Evidence::Vendor, "CAKE support (support.getcake.com)"),
    hosts: &["cakemarketing.com"],
    click_parameter: Some("reqid"),
    endpoints: &[
        Endpoint::get("/p.ashx").fixed(&[("f", "pb")]),
        Endpoint::get("/api/2/conversion.json"),
    ],
    parameters: &[
        p(&["r", "click_id"], F::ClickId),
        p(&["o", "offer_id"], F::Reference),
        p(&["e"], F::Goal),
        p(&["t", "transaction_id"], F::OrderId),
        p(&["p", "amount"], F::Amount),
        p(&["ap"], F::Commission),
        p(&["u"], F::CustomerId),
        p(&["c"], F::Currency),
        p(&["f"], F::Pixel),
    ],
    required: &["r|click_id"],
    response: ResponseStyle::Cake,
    ..BASE
};

/// Affise.
pub(crate) static AFFISE: Dialect = Dialect {
    key: "affise",
    name: "Affise",
    source: Source::new(Evidence::Vendor, "Affise help center (help-center.affise.com)"),
    hosts: &["affise.com"],
    click_parameter: Some("clickid"),
    endpoints: &[Endpoint::get("/postback").marks(&[
        "clickid",
        "action_id",
        "sum",
        "secure",
        "promo_code",
        "aimp_id",
        "fbclid",
    ])],
    parameters: &[
        p(&["clickid", "click_id"], F::ClickId),
        p(&["pid"], F::AffiliateKey),
        p(&["offer_id"], F::Reference),
        p(&["action_id"], F::OrderId),
        p(&["goal"], F::Goal),
        p(&["sum"], F::Amount),
        p(&["status"], F::Status),
        p(&["secure"], F::Token),
        p(&["promo_code"], F::Coupon),
        p(&["user_id"], F::CustomerId),
        p(&["ip"], F::Personal),
    ],
    required: &["clickid|click_id"],
    states: &[
        ("1", State::Approved),
        ("2", State::Pending),
        ("3", State::Rejected),
        ("5", State::Held),
    ],
    ..BASE
};

/// Affise Reach: other names, and status 4 is a hold.
pub(crate) static AFFISE_REACH: Dialect = Dialect {
    key: "affise_reach",
    name: "Affise Reach",
    source: Source::new(Evidence::Vendor, "Affise Reach help"),
    click_parameter: Some("click_id"),
    endpoints: &[Endpoint::get("/postback").marks(&[
        "sale_amount",
        "sale_discount",
        "advertiser_id",
        "event_id",
    ])],
    parameters: &[
        p(&["click_id"], F::ClickId),
        p(&["advertiser_id"], F::Reference),
        p(&["event_id"], F::OrderId),
        p(&["goal"], F::Goal),
        p(&["status"], F::Status),
        p(&["sale_amount"], F::Amount),
        p(&["sale_discount"], F::Discount),
        p(&["country"], F::Country),
        p(&["secure"], F::Token),
    ],
    required: &["click_id"],
    states: &[
        ("1", State::Approved),
        ("2", State::Pending),
        ("3", State::Rejected),
        ("4", State::Held),
    ],
    ..BASE
};

/// Scaleo: the path decides between creating, changing and upserting a conversion.
pub(crate) static SCALEO: Dialect = Dialect {
    key: "scaleo",
    name: "Scaleo",
    source: Source::new(Evidence::Code, "Public integrations"),
    hosts: &["scaletrk.com"],
    click_parameter: Some("click_id"),
    endpoints: &[
        Endpoint::get("/track/conv"),
        Endpoint::get("/track/conv-change").intent(Intent::Update),
        Endpoint::get("/track/conv-addchange").intent(Intent::Upsert),
        Endpoint::get("/track/goal-by-click-id"),
        Endpoint::json("/api/v2/network/tracking/conv-click-id"),
    ],
    parameters: &[
        p(&["click_id"], F::ClickId),
        p(&["token", "api-key"], F::Token),
        p(&["goal_id", "goal_alias"], F::Goal),
        p(&["conv_status"], F::Status),
        p(&["amount"], F::Amount),
        p(&["payout"], F::Commission),
        p(&["revenue"], F::Revenue),
        p(&["currency"], F::Currency),
        p(&["adv_order_id"], F::OrderId),
        p(&["adv_user_id"], F::CustomerId),
        p(&["promo_code"], F::Coupon),
    ],
    required: &["click_id"],
    states: &[
        ("approved", State::Approved),
        ("pending", State::Pending),
        ("rejected", State::Rejected),
        ("hold", State::Held),
    ],
    ..BASE
};

/// Trackier, formerly vNative.
pub(crate) static TRACKIER: Dialect = Dialect {
    key: "trackier",
    name: "Trackier",
    source: Source::new(Evidence::Code, "Public integrations"),
    hosts: &["trackier.co", "vnative.co", "vnative.com", "vnative.net"],
    click_parameter: Some("click_id"),
    endpoints: &[Endpoint::get("/acquisition"), Endpoint::get("/pixel").pixel()],
    parameters: &[
        p(&["click_id"], F::ClickId),
        p(&["security_token"], F::Token),
        p(&["goal_value"], F::Goal),
        p(&["sale_amount"], F::Amount),
        p(&["currency"], F::Currency),
        p(&["txn_id"], F::OrderId),
    ],
    required: &["click_id|adid"],
    ..BASE
};

/// Trackdesk. Amounts are texts, also in JSON.
pub(crate) static TRACKDESK: Dialect = Dialect {
    key: "trackdesk",
    name: "Trackdesk",
    source: Source::new(Evidence::Code, "Three public integrations"),
    hosts: &["trackdesk.com"],
    click_parameter: Some("cid"),
    endpoints: &[Endpoint::json("/tracking/conversion/v1")],
    parameters: &[
        p(&["cid"], F::ClickId),
        p(&["conversionTypeCode"], F::Goal),
        p(&["status"], F::Status),
        p(&["amount.value"], F::Amount),
        p(&["amount.currency", "currency.code"], F::Currency),
        p(&["customerId"], F::CustomerId),
        p(&["externalId"], F::OrderId),
        p(&["customParams.advS1"], F::Sub(1)),
        p(&["customParams.advS2"], F::Sub(2)),
        p(&["customParams.advS3"], F::Sub(3)),
        p(&["customParams.advS4"], F::Sub(4)),
        p(&["customParams.advS5"], F::Sub(5)),
    ],
    required: &["cid", "conversionTypeCode"],
    states: &[
        ("CONVERSION_STATUS_APPROVED", State::Approved),
        ("CONVERSION_STATUS_PENDING", State::Pending),
        ("CONVERSION_STATUS_REJECTED", State::Rejected),
    ],
    money: Money::Quoted,
    ..BASE
};

/// `Offer18`. Its sub IDs carry what the advertiser sends, mostly the order ID in the first.
pub(crate) static OFFER18: Dialect = Dialect {
    key: "offer18",
    name: "Offer18",
    source: Source::new(
        Evidence::Vendor,
        "Offer18 knowledge base (knowledgebase.offer18.com), and public integrations",
    ),
    hosts: &["o18.click", "offer18.com"],
    endpoints: &[Endpoint::get("/p").only_with(&["tid"])],
    parameters: &[
        p(&["tid"], F::ClickId),
        p(&["mid"], F::Reference),
        p(&["event"], F::Goal),
        p(&["sale"], F::Amount),
        p(&["auth_token"], F::Token),
        p(&["adv_sub1"], F::Sub(1)),
        p(&["adv_sub2"], F::Sub(2)),
        p(&["adv_sub3"], F::Sub(3)),
        p(&["adv_sub4"], F::Sub(4)),
        p(&["adv_sub5"], F::Sub(5)),
    ],
    required: &["mid", "tid"],
    rules: &[Rule::OrderFromSub],
    ..BASE
};
