//! Affiliate networks that advertisers' servers report to: `FlexOffers`, Impact, Awin, CJ, Rakuten.

use crate::basket::{Basket, Names, Price};
use crate::dialect::{Auth, BASE, Confidence, Dialect, Endpoint, Money, TimeStyle, p};
use crate::field::Field as F;
use crate::rules::Rule;

/// `FlexOffers`. The names inside `order_items` are undocumented; plausible ones are parsed.
pub(crate) static FLEXOFFERS: Dialect = Dialect {
    key: "flexoffers",
    name: "FlexOffers",
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
        },
        Price::Line,
    ),
    rules: &[Rule::AmountFromItems],
    ..BASE
};

/// Impact. A disposition code reverses an action.
pub(crate) static IMPACT: Dialect = Dialect {
    key: "impact",
    name: "Impact",
    hosts: &["api.impact.com"],
    click_parameter: Some("irclickid"),
    endpoints: &[Endpoint::form("/Advertisers/*/Conversions")],
    parameters: &[
        p(&["ClickId"], F::ClickId),
        p(&["CampaignId"], F::Reference),
        p(&["ActionTrackerId", "EventTypeId", "EventTypeCode"], F::Goal),
        p(&["EventDate"], F::EventTime),
        p(&["OrderId", "Oid"], F::OrderId),
        p(&["CustomerId"], F::CustomerId),
        p(&["CustomerEmail"], F::Personal),
        p(&["CurrencyCode", "Currency"], F::Currency),
        p(&["Amount"], F::Amount),
        p(&["OrderPromoCode"], F::Coupon),
        p(&["OrderDiscount"], F::Discount),
        p(&["CustomerStatus"], F::CustomerType),
        p(&["CustomerCountry"], F::Country),
        p(&["DispositionCode"], F::Status),
    ],
    required: &[
        "CampaignId",
        "ActionTrackerId|EventTypeId|EventTypeCode",
        "EventDate",
        "OrderId|Oid",
    ],
    basket: Basket::Numbered(
        Names {
            sku: "ItemSku",
            category: "ItemCategory",
            name: "ItemName",
            quantity: "ItemQuantity",
            amount: "ItemPrice",
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
    hosts: &["awin1.com"],
    click_parameter: Some("awc"),
    endpoints: &[Endpoint::get("/sread.php").fixed(&[("tt", "ss"), ("tv", "2"), ("ch", "aw")])],
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
    basket: Basket::Awin,
    customer_types: ("NEW", "RETURNING"),
    ..BASE
};

/// CJ (Commission Junction). Parameter names are not case-sensitive.
pub(crate) static CJ: Dialect = Dialect {
    key: "cj",
    name: "CJ",
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
    fold_case: true,
    basket: Basket::Numbered(
        Names {
            sku: "ITEM",
            category: "",
            name: "",
            quantity: "QTY",
            amount: "AMT",
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
    hosts: &["linksynergy.com"],
    confidence: Confidence::Medium,
    click_parameter: Some("ranSiteID"),
    endpoints: &[Endpoint::get("/ep")],
    parameters: &[
        p(&["tr"], F::ClickId),
        p(&["mid"], F::Reference),
        p(&["ord"], F::OrderId),
        p(&["cur", "currency"], F::Currency),
        p(&["date"], F::EventTime),
        p(&["img"], F::Pixel),
    ],
    required: &["mid", "ord", "tr", "amtlist"],
    money: Money::Minor,
    basket: Basket::Lists(Names {
        sku: "skulist",
        category: "",
        name: "namelist",
        quantity: "qlist",
        amount: "amtlist",
    }),
    time: TimeStyle::Minutes,
    rules: &[Rule::AmountFromItems],
    ..BASE
};
