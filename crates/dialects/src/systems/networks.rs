//! Affiliate networks that advertisers' servers report to: `FlexOffers`, Impact, Awin, CJ, Rakuten, `ShareASale`, Admitad,
//! Pepperjam.

use crate::basket::{Basket, Names, Price};
use crate::dialect::{Auth, BASE, Dialect, Endpoint, Evidence, Money, Source, TimeStyle, p};
use crate::field::Field as F;
use crate::postback::{Intent, State};
use crate::rules::Rule;

/// `FlexOffers`. The names inside `order_items` are undocumented; plausible ones are parsed.
pub(crate) static FLEXOFFERS: Dialect = Dialect {
    key: "flexoffers",
    name: "FlexOffers",
    source: Source::new(
        Evidence::Vendor,
        "FlexOffers support, “Server-to-Server (S2S) Tracking” (support.flexoffers.com)",
    ),
    hosts: &["flexlinks.com", "flexlinkspro.com"],
    click_parameter: Some("refid"),
    endpoints: &[Endpoint::get("/da.ashx")],
    parameters: &[
        p(&["advertiserid"], F::Reference),
        p(&["clickid"], F::ClickId),
        p(&["orderamount"], F::Amount),
        p(&["ordernumber"], F::OrderId),
        p(&["coupon"], F::Coupon),
        p(&["currency"], F::Currency),
        p(&["geo"], F::Country),
        p(&["commissionid"], F::Goal),
    ],
    required: &["clickid", "orderamount", "ordernumber"],
    basket: Basket::Json(
        "order_items",
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
    rules: &[
        Rule::AmountFromItems,
        Rule::Requires(&["ordernumber", "orderamount|order_items"]),
    ],
    ..BASE
};

/// Impact. `ItemDiscount` is of each piece. Its disposition codes reverse an action; others are reasons of a change.
pub(crate) static IMPACT: Dialect = Dialect {
    key: "impact",
    name: "Impact",
    source: Source::new(
        Evidence::Vendor,
        "Impact, “Submit a conversion” (integrations.impact.com), and its OpenAPI document",
    ),
    hosts: &["api.impact.com"],
    click_parameter: Some("irclickid"),
    endpoints: &[
        Endpoint::form("/Advertisers/*/Conversions"),
        Endpoint::form("/Advertisers/*/Actions").intent(Intent::Update),
    ],
    parameters: &[
        p(&["ClickId"], F::ClickId),
        p(&["MediaId", "MediaPartnerId"], F::AffiliateKey),
        p(&["CampaignId"], F::Reference),
        p(&["ActionTrackerId", "EventTypeId", "EventTypeCode"], F::Goal),
        p(&["EventDate"], F::EventTime),
        p(&["OrderId", "Oid"], F::OrderId),
        p(&["CustomerId"], F::CustomerId),
        p(&["CustomerEmail"], F::Personal),
        p(&["CurrencyCode", "Currency"], F::Currency),
        p(&["Amount", "OrderSubTotalPostDiscount"], F::Amount),
        p(&["OrderPromoCode"], F::Coupon),
        p(&["OrderDiscount"], F::Discount),
        p(&["CustomerStatus"], F::CustomerType),
        p(&["CustomerCountry"], F::Country),
        p(&["DispositionCode"], F::Status),
        p(&["SubId1"], F::Sub(1)),
        p(&["SubId2"], F::Sub(2)),
        p(&["SubId3"], F::Sub(3)),
        p(&["CallerId"], F::Personal),
    ],
    required: &[
        "CampaignId",
        "ActionTrackerId|EventTypeId|EventTypeCode",
        "EventDate",
        "OrderId|Oid",
        "ClickId|CustomerId|OrderPromoCode|MediaId",
    ],
    states: &[
        ("REJECTED", State::Rejected),
        ("CONS_INFO_INVALID", State::Rejected),
        ("CONS_ERROR", State::Rejected),
        ("CONS_FRAUD", State::Rejected),
        ("ITEM_RETURNED", State::Rejected),
        ("ITEM_OUT_OF_STOCK", State::Rejected),
        ("ORDER_ERROR", State::Rejected),
        ("PUB_ACT_DISPUTE", State::Rejected),
        ("NOT_COMPLIANCE_TERMS", State::Rejected),
        ("MP_RETURNED", State::Rejected),
        ("CREDITED_DIFFERENT_MP", State::Rejected),
        ("ADV_ACT_DISPUTE", State::Rejected),
        ("TEST_ACTION", State::Rejected),
        ("OTHER", State::Rejected),
    ],
    basket: Basket::Numbered(
        Names {
            sku: "ItemSku",
            category: "ItemCategory",
            name: "ItemName",
            quantity: "ItemQuantity",
            amount: "ItemPrice",
            total: "ItemSubTotal",
            discount: "ItemTotalDiscount",
            piece_discount: "ItemDiscount",
        },
        Price::Piece,
    ),
    auth: &[Auth::Basic],
    customer_types: ("New", "Existing"),
    rules: &[Rule::AmountFromItems, Rule::StatusReverses],
    ..BASE
};

/// Awin.
pub(crate) static AWIN: Dialect = Dialect {
    key: "awin",
    name: "Awin",
    source: Source::new(
        Evidence::Vendor,
        "Awin, “Fall-back Conversion Pixel” (help.awin.com)",
    ),
    hosts: &["awin1.com"],
    click_parameter: Some("awc"),
    endpoints: &[
        Endpoint::get("/sread.php").fixed(&[("tt", "ss"), ("tv", "2"), ("ch", "aw")]),
        Endpoint::get("/sread.img")
            .fixed(&[("tt", "ns"), ("tv", "2"), ("ch", "aw")])
            .pixel(),
    ],
    parameters: &[
        p(&["cks"], F::ClickId),
        p(&["merchant"], F::Reference),
        p(&["amount"], F::Amount),
        p(&["cr"], F::Currency),
        p(&["ref"], F::OrderId),
        p(&["parts"], F::Groups),
        p(&["vc"], F::Coupon),
        p(&["testmode"], F::Test),
        p(&["customeracquisition"], F::CustomerType),
    ],
    required: &["merchant", "amount", "ch", "parts", "ref"],
    // Two ids, of an ordinary and of a cashback journey, are joined by a comma.
    repeatable: &["cks"],
    basket: Basket::Awin,
    customer_types: ("NEW", "RETURNING"),
    rules: &[Rule::Channel {
        parameter: "ch",
        ours: "aw",
    }],
    ..BASE
};

/// CJ (Commission Junction). A discount of an item counts as that of its line, which needs confirmation.
pub(crate) static CJ: Dialect = Dialect {
    key: "cj",
    name: "CJ",
    source: Source::new(Evidence::Vendor, "CJ, “S2S implementation” (docs.cj.com)"),
    hosts: &["emjcd.com"],
    click_parameter: Some("cjevent"),
    endpoints: &[Endpoint::get("/u").fixed(&[("METHOD", "S2S")])],
    parameters: &[
        p(&["CJEVENT"], F::ClickId),
        p(&["CID"], F::Reference),
        p(&["TYPE"], F::Goal),
        p(&["OID"], F::OrderId),
        p(&["AMOUNT"], F::Amount),
        p(&["CURRENCY"], F::Currency),
        p(&["COUPON"], F::Coupon),
        p(&["DISCOUNT"], F::Discount),
        p(&["EVENTTIME"], F::EventTime),
        p(&["SIGNATURE"], F::Signature),
        p(&["CUST_STATUS"], F::CustomerType),
    ],
    required: &["CID", "TYPE", "CJEVENT", "OID"],
    basket: Basket::Numbered(
        Names {
            sku: "ITEM",
            category: "",
            name: "",
            quantity: "QTY",
            amount: "AMT",
            total: "",
            discount: "DCNT",
            piece_discount: "",
        },
        Price::Piece,
    ),
    customer_types: ("new", "return"),
    rules: &[Rule::AmountFromItems],
    ..BASE
};

/// Rakuten Advertising. Items are lists separated by bars, with amounts of whole lines in minor units.
pub(crate) static RAKUTEN: Dialect = Dialect {
    key: "rakuten",
    name: "Rakuten Advertising",
    source: Source::new(Evidence::Code, "Public integrations of two tag managers"),
    hosts: &["linksynergy.com"],
    click_parameter: Some("ranSiteID"),
    endpoints: &[Endpoint::get("/ep")],
    parameters: &[
        p(&["tr"], F::ClickId),
        p(&["mid"], F::Reference),
        p(&["ord"], F::OrderId),
        p(&["cur", "currency"], F::Currency),
        p(&["date"], F::EventTime),
        p(&["coupon"], F::Coupon),
        p(&["custid"], F::CustomerId),
        p(&["custstatus"], F::CustomerType),
        p(&["shipcountry"], F::Country),
        p(&["img"], F::Pixel),
    ],
    required: &["mid", "ord", "tr", "amtlist"],
    money: Money::Hundredths,
    basket: Basket::Lists(
        Names {
            sku: "skulist",
            category: "",
            name: "namelist",
            quantity: "qlist",
            amount: "amtlist",
            ..Names::NONE
        },
        '|',
        Price::Line,
    ),
    time: TimeStyle::Minutes,
    rules: &[Rule::AmountFromItems],
    ..BASE
};

/// `ShareASale`, now part of Awin: its image and its server call.
pub(crate) static SHAREASALE: Dialect = Dialect {
    key: "shareasale",
    name: "ShareASale",
    source: Source::new(Evidence::Code, "Fifteen public integrations"),
    hosts: &["shareasale.com"],
    click_parameter: Some("sscid"),
    endpoints: &[Endpoint::get("/q.cfm"), Endpoint::get("/sale.cfm").pixel()],
    parameters: &[
        p(&["sscid"], F::ClickId),
        p(&["userID"], F::AffiliateKey),
        p(&["merchantID"], F::Reference),
        p(&["transtype"], F::Goal),
        p(&["tracking"], F::OrderId),
        p(&["amount"], F::Amount),
        p(&["currency"], F::Currency),
        p(&["couponcode"], F::Coupon),
    ],
    required: &["tracking", "amount", "sscid|userID"],
    basket: Basket::Lists(
        Names {
            sku: "skulist",
            quantity: "quantitylist",
            amount: "pricelist",
            ..Names::NONE
        },
        ',',
        Price::Piece,
    ),
    ..BASE
};

/// Admitad: one call per position of an order.
pub(crate) static ADMITAD: Dialect = Dialect {
    key: "admitad",
    name: "Admitad",
    source: Source::new(Evidence::Code, "A public tag"),
    hosts: &["admitad.com"],
    click_parameter: Some("admitad_uid"),
    endpoints: &[Endpoint::get("/r").fixed(&[("postback", "1")])],
    parameters: &[
        p(&["uid"], F::ClickId),
        p(&["campaign_code"], F::Reference),
        p(&["action_code"], F::Goal),
        p(&["order_id"], F::OrderId),
        p(&["price"], F::Amount),
        p(&["currency_code"], F::Currency),
        p(&["promocode"], F::Coupon),
        p(&["client_id"], F::CustomerId),
        p(&["postback_key"], F::Token),
    ],
    required: &["uid", "campaign_code", "order_id"],
    rules: &[Rule::Positions],
    ..BASE
};

/// Pepperjam, also called Ascend. Several click IDs are joined by commas.
pub(crate) static PEPPERJAM: Dialect = Dialect {
    key: "pepperjam",
    name: "Pepperjam (Ascend)",
    source: Source::new(Evidence::Code, "Public integrations"),
    hosts: &["pepperjamnetwork.com"],
    click_parameter: Some("clickId"),
    endpoints: &[Endpoint::get("/track").marks(&["PID", "PROGRAM_ID"])],
    parameters: &[
        p(&["CLICK_ID"], F::ClickId),
        p(&["PID", "PROGRAM_ID"], F::Reference),
        p(&["OID", "ORDER_ID"], F::OrderId),
        p(&["AMOUNT"], F::Amount),
        p(&["PROMOCODE", "COUPON"], F::Coupon),
    ],
    required: &["PID|PROGRAM_ID", "OID|ORDER_ID"],
    repeatable: &["CLICK_ID"],
    basket: Basket::Numbered(
        Names {
            sku: "ITEM|ITEM_ID",
            quantity: "QTY|QUANTITY",
            amount: "AMOUNT|ITEM_PRICE",
            ..Names::NONE
        },
        Price::Piece,
    ),
    rules: &[Rule::AmountFromItems],
    ..BASE
};

/// Awin's Conversion API, which replaces its server call. A call can have a thousand orders; a hundred are accepted.
pub(crate) static AWIN_API: Dialect = Dialect {
    key: "awin_api",
    name: "Awin Conversion API",
    source: Source::new(Evidence::Vendor, "Awin, “Conversion API” (help.awin.com)"),
    hosts: &["api.awin.com"],
    click_parameter: Some("awc"),
    endpoints: &[Endpoint::json("/s2s/advertiser/*/orders").fixed(&[("orders.channel", "aw")])],
    parameters: &[
        p(&["orders.awc"], F::ClickId),
        p(&["orders.publisherId"], F::AffiliateKey),
        p(&["orders.orderReference"], F::OrderId),
        p(&["orders.amount"], F::Amount),
        p(&["orders.currency"], F::Currency),
        p(&["orders.commissionGroups"], F::Groups),
        p(&["orders.voucher"], F::Coupon),
        p(&["orders.customerAcquisition"], F::CustomerType),
        p(&["orders.isTest"], F::Test),
        p(&["orders.transactionTime"], F::EventTime),
        p(&["orders"], F::Sale),
    ],
    required: &[
        "orders.orderReference",
        "orders.amount",
        "orders.currency",
        "orders.commissionGroups",
        "orders.awc|orders.voucher|orders.publisherId",
    ],
    // Two ids, of an ordinary and of a cashback journey, as in `cks`.
    repeatable: &["orders.awc"],
    basket: Basket::Json(
        "orders.basket",
        Names {
            sku: "sku|id",
            // The group decides about the commission, the category does not.
            category: "commissionGroupCode",
            name: "name",
            quantity: "quantity",
            amount: "price",
            ..Names::NONE
        },
        Price::Piece,
    ),
    auth: &[Auth::ApiKey],
    customer_types: ("NEW", "RETURNING"),
    rules: &[Rule::Channel {
        parameter: "orders.channel",
        ours: "aw",
    }],
    ..BASE
};
