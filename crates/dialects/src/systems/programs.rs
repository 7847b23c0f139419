//! Partner programs of software companies: PartnerStack, Tapfiliate, FirstPromoter, Dub, Post Affiliate Pro.

use crate::basket::{Basket, Names, Price};
use crate::dialect::{Auth, BASE, Dialect, Endpoint, Evidence, Money, ResponseStyle, Source, TimeStyle, p};
use crate::field::Field as F;
use crate::postback::{Intent, State};
use crate::rules::Rule;

/// PartnerStack: sign-ups from clicks.
pub(crate) static PARTNERSTACK_S2S: Dialect = Dialect {
    key: "partnerstack_s2s",
    name: "PartnerStack",
    source: Source::new(
        Evidence::Vendor,
        "PartnerStack docs, “Step 3: Tracking conversions” (docs.partnerstack.com)",
    ),
    hosts: &["partnerlinks.io"],
    click_parameter: Some("ps_xid"),
    endpoints: &[Endpoint::json("/conversion/xid").goal("signup")],
    parameters: &[
        p(&["xid"], F::ClickId),
        p(&["customer_key"], F::CustomerId),
        p(&["email"], F::Personal),
        p(&["name"], F::Personal),
        p(&["ip_address"], F::Personal),
        p(&["user_agent"], F::Personal),
        p(&["external_type"], F::Goal),
        p(&["sub_ids"], F::SubList),
    ],
    required: &["xid", "customer_key"],
    rules: &[Rule::NeedsClick],
    auth: &[Auth::Bearer],
    ..BASE
};

/// PartnerStack: later actions of customers. `value` is how often the action was performed, not an amount.
pub(crate) static PARTNERSTACK_ACTION: Dialect = Dialect {
    key: "partnerstack_action",
    name: "PartnerStack actions",
    source: Source::new(
        Evidence::Vendor,
        "PartnerStack API, “Record action” (docs.partnerstack.com)",
    ),
    hosts: &["api.partnerstack.com"],
    endpoints: &[Endpoint::json("/api/v2/actions").fixed(&[("target_type", "customer")])],
    parameters: &[
        p(&["type"], F::Goal),
        p(&["key"], F::OrderId),
        p(&["target_key"], F::CustomerId),
    ],
    required: &["type", "value", "target_type", "target_key"],
    auth: &[Auth::Basic],
    ..BASE
};

/// Tapfiliate.
pub(crate) static TAPFILIATE: Dialect = Dialect {
    key: "tapfiliate",
    name: "Tapfiliate",
    source: Source::new(Evidence::Code, "A public tag"),
    hosts: &["tapfiliate.com"],
    click_parameter: Some("ref"),
    endpoints: &[Endpoint::json("/1.6/conversions")],
    parameters: &[
        p(&["click_id", "visitor_id"], F::ClickId),
        p(&["referral_code"], F::AffiliateKey),
        p(&["external_id"], F::OrderId),
        p(&["amount"], F::Amount),
        p(&["currency"], F::Currency),
        p(&["coupon", "coupons"], F::Coupon),
        p(&["customer_id"], F::CustomerId),
        p(&["program_id"], F::Reference),
        p(&["commission_type"], F::Goal),
        p(&["user_agent"], F::Personal),
        p(&["ip"], F::Personal),
    ],
    required: &["click_id|visitor_id|referral_code|coupon|customer_id"],
    auth: &[Auth::ApiKey],
    ..BASE
};

/// `FirstPromoter`. Amounts are in cents.
pub(crate) static FIRSTPROMOTER: Dialect = Dialect {
    key: "firstpromoter",
    name: "FirstPromoter",
    source: Source::new(Evidence::Vendor, "FirstPromoter’s public API document"),
    hosts: &["firstpromoter.com"],
    click_parameter: Some("fpr"),
    endpoints: &[
        Endpoint::form("/api/v1/track/sale").goal("sale"),
        Endpoint::form("/api/v1/track/signup").goal("signup"),
        Endpoint::form("/api/v1/track/refund").intent(Intent::Refund),
        Endpoint::form("/api/v1/track/cancellation").goal("cancellation"),
    ],
    parameters: &[
        p(&["tid"], F::ClickId),
        p(&["ref_id"], F::AffiliateKey),
        p(&["email"], F::Personal),
        p(&["uid"], F::CustomerId),
        // A refund has another id, and names that of the sale.
        p(&["sale_event_id", "event_id"], F::OrderId),
        p(&["amount"], F::Amount),
        p(&["currency"], F::Currency),
        p(&["promo_code"], F::Coupon),
        p(&["created_at"], F::EventTime),
    ],
    required: &["email|uid"],
    money: Money::Hundredths,
    response: ResponseStyle::FirstPromoter,
    auth: &[Auth::ApiKey],
    ..BASE
};

/// Dub. Amounts are in minor units of the currency.
pub(crate) static DUB: Dialect = Dialect {
    key: "dub",
    name: "Dub",
    source: Source::new(Evidence::Vendor, "Dub’s public program"),
    hosts: &["dub.co"],
    click_parameter: Some("dub_id"),
    endpoints: &[
        Endpoint::json("/track/sale").goal("sale"),
        Endpoint::json("/track/lead").goal("lead"),
    ],
    parameters: &[
        p(&["clickId"], F::ClickId),
        p(&["eventName"], F::Goal),
        p(&["leadEventName"], F::ParentGoal),
        p(&["customerExternalId", "externalId"], F::CustomerId),
        p(&["amount"], F::Amount),
        p(&["currency"], F::Currency),
        p(&["invoiceId"], F::OrderId),
        p(&["customerName"], F::Personal),
        p(&["customerEmail"], F::Personal),
        p(&["customerAvatar"], F::Personal),
    ],
    required: &["customerExternalId"],
    money: Money::Minor,
    auth: &[Auth::Bearer],
    ..BASE
};

/// Post Affiliate Pro. `track.php` carries the sale as a JSON list in one parameter. `AffiliateID`, `PStatus`, `Coupon`
/// and `data1` to `data5` of `sale.php` are not in our reference and need confirmation.
pub(crate) static PAP: Dialect = Dialect {
    key: "pap",
    name: "Post Affiliate Pro",
    source: Source::new(
        Evidence::Code,
        "Public calls; AffiliateID, PStatus, Coupon and data1 to data5 are not confirmed",
    ),
    hosts: &["postaffiliatepro.com"],
    click_parameter: Some("PAPVisitorId"),
    endpoints: &[
        Endpoint::get("/scripts/sale.php"),
        Endpoint::get("/scripts/track.php"),
    ],
    parameters: &[
        p(&["visitorId"], F::ClickId),
        p(&["AffiliateID", "sale.a"], F::AffiliateKey),
        p(&["TotalCost", "sale.t"], F::Amount),
        p(&["OrderID", "sale.o"], F::OrderId),
        p(&["CampaignID", "sale.c"], F::Reference),
        p(&["ActionCode", "sale.ac"], F::Goal),
        p(&["Currency", "sale.cr"], F::Currency),
        p(&["Commission", "sale.cc"], F::Commission),
        p(&["PStatus", "sale.s"], F::Status),
        p(&["Coupon", "sale.cp"], F::Coupon),
        p(&["data1", "sale.d1"], F::Sub(1)),
        p(&["data2", "sale.d2"], F::Sub(2)),
        p(&["data3", "sale.d3"], F::Sub(3)),
        p(&["data4", "sale.d4"], F::Sub(4)),
        p(&["data5", "sale.d5"], F::Sub(5)),
        p(&["sale.ts"], F::EventTime),
        p(&["ip"], F::Personal),
        p(&["sale"], F::Sale),
    ],
    required: &["TotalCost|sale", "OrderID|sale"],
    states: &[
        ("A", State::Approved),
        ("P", State::Pending),
        ("D", State::Rejected),
    ],
    ..BASE
};

/// Webgains. The click ID is in a list of named ids. The names inside its items need confirmation.
pub(crate) static WEBGAINS: Dialect = Dialect {
    key: "webgains",
    name: "Webgains",
    source: Source::new(Evidence::Code, "A public tag"),
    hosts: &["webgains.io"],
    click_parameter: Some("wgu"),
    endpoints: &[Endpoint::json("/queue-conversion")],
    parameters: &[
        p(&["ids"], F::ClickList),
        p(&["programId"], F::Reference),
        p(&["value"], F::Amount),
        p(&["currency"], F::Currency),
        p(&["orderReference"], F::OrderId),
        p(&["voucherId"], F::Coupon),
        p(&["customerType"], F::CustomerType),
        p(&["customerId"], F::CustomerId),
        p(&["eventId"], F::Goal),
    ],
    required: &["ids", "programId", "value", "orderReference"],
    basket: Basket::Json(
        "items",
        Names {
            sku: "code",
            category: "event|category",
            name: "name",
            quantity: "quantity",
            amount: "price",
            ..Names::NONE
        },
        Price::Piece,
    ),
    ..BASE
};

/// Taboola, a traffic source. The bulk call is accepted with one action.
pub(crate) static TABOOLA: Dialect = Dialect {
    key: "taboola",
    name: "Taboola",
    source: Source::new(
        Evidence::Vendor,
        "Taboola developers, “The S2S postback URL” (developers.taboola.com)",
    ),
    hosts: &["taboola.com"],
    click_parameter: Some("tblci"),
    endpoints: &[
        Endpoint::get("/actions-handler/log/3/s2s-action"),
        Endpoint::json("/*/log/3/bulk-s2s-action"),
    ],
    parameters: &[
        p(&["click-id", "actions.click-id"], F::ClickId),
        p(&["name", "actions.name"], F::Goal),
        p(&["revenue", "actions.revenue"], F::Amount),
        p(&["currency", "actions.currency"], F::Currency),
        p(&["orderid", "actions.orderid"], F::OrderId),
        p(&["timestamp", "actions.timestamp"], F::EventTime),
        p(&["actions"], F::Sale),
    ],
    required: &["click-id|actions", "name|actions"],
    time: TimeStyle::UnixMillis,
    ..BASE
};

/// PartnerStack: customers of a partner, without a click. PartnerStack recommends its sign-ups instead.
pub(crate) static PARTNERSTACK_CUSTOMER: Dialect = Dialect {
    key: "partnerstack_customer",
    name: "PartnerStack customers",
    source: Source::new(
        Evidence::Vendor,
        "PartnerStack API, “Create customer” (docs.partnerstack.com)",
    ),
    hosts: &["api.partnerstack.com"],
    endpoints: &[
        Endpoint::json("/api/v2/customers").goal("signup"),
        // Older documents; Tolt has this path too, with other names.
        Endpoint::json("/v1/customers")
            .goal("signup")
            .marks(&["partner_key", "customer_key"]),
    ],
    parameters: &[
        p(&["partner_key"], F::AffiliateKey),
        p(&["customer_key"], F::CustomerId),
        p(&["email"], F::Personal),
        p(&["name"], F::Personal),
    ],
    required: &["partner_key", "customer_key", "email"],
    auth: &[Auth::Basic],
    ..BASE
};

/// PartnerStack: payments of customers, in minor units. The customer has the key of the sign-up, or PartnerStack's own.
pub(crate) static PARTNERSTACK_TRANSACTION: Dialect = Dialect {
    key: "partnerstack_transaction",
    name: "PartnerStack transactions",
    source: Source::new(
        Evidence::Vendor,
        "PartnerStack API, “Create transaction” (docs.partnerstack.com)",
    ),
    hosts: &["api.partnerstack.com"],
    endpoints: &[Endpoint::json("/api/v2/transactions")],
    parameters: &[
        p(&["customer_external_key", "customer_key"], F::CustomerId),
        p(&["customer_email"], F::Personal),
        p(&["amount"], F::Amount),
        p(&["currency"], F::Currency),
        p(&["key"], F::OrderId),
        p(&["category_key"], F::Goal),
        p(&["created_at"], F::EventTime),
    ],
    required: &[
        "customer_external_key|customer_key|customer_email",
        "amount",
        "currency",
    ],
    money: Money::Minor,
    auth: &[Auth::Basic],
    time: TimeStyle::UnixMillis,
    ..BASE
};

/// `LeadDyno`, which finds the lead by e-mail: a call without the affiliate's code has no proof here.
pub(crate) static LEADDYNO: Dialect = Dialect {
    key: "leaddyno",
    name: "LeadDyno",
    source: Source::new(Evidence::Vendor, "LeadDyno API document"),
    hosts: &["leaddyno.com"],
    endpoints: &[
        Endpoint::form("/v1/purchases").goal("sale"),
        Endpoint::form("/v1/leads").goal("lead"),
    ],
    parameters: &[
        p(&["tracking_code"], F::ClickId),
        p(&["code", "affiliate"], F::AffiliateKey),
        p(&["email"], F::Personal),
        p(&["first_name"], F::Personal),
        p(&["last_name"], F::Personal),
        p(&["address1"], F::Personal),
        p(&["address2"], F::Personal),
        p(&["purchase_code"], F::OrderId),
        p(&["purchase_amount"], F::Amount),
        p(&["commission_amount_override"], F::Commission),
        p(&["plan_code"], F::Goal),
        p(&["key"], F::Token),
    ],
    required: &["key", "email"],
    ..BASE
};

/// Tolt. Amounts are in minor units. The customer of a payment is the ID that Tolt's answer to the sign-up gave.
pub(crate) static TOLT: Dialect = Dialect {
    key: "tolt",
    name: "Tolt",
    source: Source::new(Evidence::Vendor, "Tolt API document"),
    hosts: &["tolt.com"],
    endpoints: &[
        Endpoint::json("/v1/transactions").goal("sale"),
        Endpoint::json("/v1/customers").goal("lead"),
        Endpoint::json("/v2/transactions").goal("sale"),
        Endpoint::json("/v2/customers").goal("lead"),
    ],
    parameters: &[
        p(&["click_id"], F::ClickId),
        p(&["partner_id"], F::AffiliateKey),
        p(&["customer_id"], F::CustomerId),
        p(&["email"], F::Personal),
        p(&["name"], F::Personal),
        p(&["amount"], F::Amount),
        p(&["charge_id"], F::OrderId),
        p(&["promotion_code"], F::Coupon),
        p(&["created_at"], F::EventTime),
    ],
    required: &["amount|partner_id|link_id", "customer_id|email"],
    money: Money::Minor,
    auth: &[Auth::Bearer],
    ..BASE
};

/// `Refersion`. The cart's ID ties an order to its visitor; the order's amount is that of its items, less the discount.
pub(crate) static REFERSION: Dialect = Dialect {
    key: "refersion",
    name: "Refersion",
    source: Source::new(
        Evidence::Vendor,
        "Refersion developers, “Conversion tracking”, and public integrations",
    ),
    hosts: &["refersion.com"],
    click_parameter: Some("rfsn"),
    endpoints: &[Endpoint::json("/tracker/orders/paid")],
    parameters: &[
        p(&["cart_id"], F::ClickId),
        p(&["auto_credit_affiliate_id"], F::AffiliateKey),
        p(&["order_id"], F::OrderId),
        p(&["currency_code"], F::Currency),
        p(&["discount"], F::Discount),
        p(&["discount_code"], F::Coupon),
        p(&["customer.first_name"], F::Personal),
        p(&["customer.last_name"], F::Personal),
        p(&["customer.email"], F::Personal),
        p(&["customer.ip_address"], F::Personal),
    ],
    required: &["cart_id", "order_id", "currency_code", "items"],
    basket: Basket::Json(
        "items",
        Names {
            sku: "sku",
            name: "name",
            quantity: "quantity",
            amount: "price",
            ..Names::NONE
        },
        Price::Piece,
    ),
    // Its secret is in `Refersion-Secret-Key`, which `RawCall` does not carry.
    rules: &[Rule::AmountFromItems],
    ..BASE
};
