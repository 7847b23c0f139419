//! Systems that can call us, and the postback URL to paste there: our parameters with their macros.
//!
//! Our click id travels to the system in a parameter of its link and returns in one of its macros.

use crate::field::Field;
use crate::wire;

/// A system that can call us.
#[derive(Debug)]
pub struct Sender {
    /// Key in URLs and settings.
    pub key: &'static str,
    /// Name shown to users.
    pub name: &'static str,
    /// Parameter of its link that receives our click id; `None` if the user chooses.
    pub link_parameter: Option<&'static str>,
    /// Its macros, by field.
    pub macros: &'static [SenderMacro],
    /// Advice for the user who pastes the URL; `None` for none.
    pub note: Option<&'static str>,
}

/// One macro of a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderMacro {
    /// Field that the macro fills.
    pub field: Field,
    /// Macro in the sender's delimiters: `{transaction_id}`, `#tid#`.
    pub text: &'static str,
    /// True if a document or a program of the system shows the macro; otherwise the user must check the name there.
    pub confirmed: bool,
}

const fn yes(field: Field, text: &'static str) -> SenderMacro {
    SenderMacro {
        field,
        text,
        confirmed: true,
    }
}

const fn perhaps(field: Field, text: &'static str) -> SenderMacro {
    SenderMacro {
        field,
        text,
        confirmed: false,
    }
}

impl Sender {
    /// Our postback URL with the sender's macros, which the sender replaces and which are therefore not
    /// percent-encoded.
    ///
    /// ```
    /// let affise = dialects::senders::of_key("affise").unwrap();
    /// let url = affise.url_with("https://t.example", None, &[dialects::Field::ClickId]);
    /// assert_eq!(url, "https://t.example/postback?click_id={sub1}");
    /// ```
    #[must_use]
    pub fn url(&self, base_url: &str, token: Option<&str>) -> String {
        let fields: Vec<Field> = self.macros.iter().map(|one| one.field).collect();
        self.url_with(base_url, token, &fields)
    }

    /// Our postback URL with the sender's macros of these fields only.
    #[must_use]
    pub fn url_with(&self, base_url: &str, token: Option<&str>, fields: &[Field]) -> String {
        self.compose(base_url, token, fields, &|one| one.text.to_owned())
    }

    /// Our postback URL with a sample in place of every macro.
    #[must_use]
    pub fn preview(&self, base_url: &str, token: Option<&str>) -> String {
        let fields: Vec<Field> = self.macros.iter().map(|one| one.field).collect();
        self.compose(base_url, token, &fields, &|one| wire::encoded(sample(one.field)))
    }

    fn compose(
        &self,
        base_url: &str,
        token: Option<&str>,
        fields: &[Field],
        value: &dyn Fn(&SenderMacro) -> String,
    ) -> String {
        let wanted = self.macros.iter().filter(|one| fields.contains(&one.field));
        let mut pairs: Vec<String> = wanted
            .map(|one| format!("{}={}", one.field.label(), value(one)))
            .collect();
        pairs.extend(token.map(|token| format!("token={}", wire::encoded(token))));
        format!("{}/postback?{}", base_url.trim_end_matches('/'), pairs.join("&"))
    }
}

/// Sample value of a field.
pub(crate) fn sample(field: Field) -> &'static str {
    match field {
        Field::ClickId => "01j0sampleclick",
        Field::Goal => "sale",
        Field::OrderId => "A-1001",
        Field::Amount => "99.90",
        Field::Revenue | Field::Commission => "12.50",
        Field::Currency => "EUR",
        Field::Status => "approved",
        Field::Coupon => "SPRING 20",
        Field::Country => "DE",
        Field::CustomerId => "cus_7",
        Field::EventTime => "1777638600",
        Field::Reference => "42",
        _ => "sample",
    }
}

/// All senders, the plain one first.
#[must_use]
pub fn all() -> &'static [Sender] {
    &SENDERS
}

/// Finds the sender with this key.
#[must_use]
pub fn of_key(key: &str) -> Option<&'static Sender> {
    SENDERS.iter().find(|sender| sender.key == key)
}

use Field::{
    Amount, ClickId, Country, Coupon, Currency, CustomerId, EventTime, Goal, OrderId, Reference, Revenue,
    Status,
};

static SENDERS: [Sender; 26] = [
    Sender {
        key: "own",
        name: "Own shop",
        link_parameter: None,
        macros: &[
            yes(ClickId, "{click_id}"),
            yes(Goal, "{goal}"),
            yes(OrderId, "{order_id}"),
            yes(Amount, "{amount}"),
            yes(Currency, "{currency}"),
            yes(Status, "{status}"),
            yes(Coupon, "{coupon}"),
            yes(Country, "{country}"),
            yes(CustomerId, "{customer_id}"),
        ],
        note: Some("Replace each macro with its percent-encoded value before you send the request."),
    },
    Sender {
        key: "everflow",
        name: "Everflow",
        link_parameter: Some("sub1"),
        macros: &[
            yes(ClickId, "{sub1}"),
            yes(Goal, "{event_name}"),
            yes(OrderId, "{order_id}"),
            yes(Amount, "{sale_amount}"),
            perhaps(Revenue, "{payout_amount}"),
            perhaps(Currency, "{currency}"),
        ],
        note: Some("Some macros work in partner postbacks only, some in advertiser postbacks only."),
    },
    Sender {
        key: "tune",
        name: "TUNE",
        link_parameter: Some("aff_sub"),
        macros: &[
            yes(ClickId, "{aff_sub}"),
            perhaps(Goal, "{goal_id}"),
            yes(OrderId, "{transaction_id}"),
            perhaps(Amount, "{sale_amount}"),
            yes(Revenue, "{payout}"),
            perhaps(Currency, "{currency}"),
            yes(Reference, "{offer_id}"),
        ],
        note: None,
    },
    Sender {
        key: "affise",
        name: "Affise",
        link_parameter: Some("sub1"),
        macros: &[
            yes(ClickId, "{sub1}"),
            yes(Goal, "{goal}"),
            yes(OrderId, "{transactionid}"),
            yes(Revenue, "{sum}"),
            yes(Currency, "{currency}"),
            yes(Coupon, "{promo_code}"),
            yes(Country, "{geo}"),
            yes(CustomerId, "{user_id}"),
            yes(EventTime, "{timestamp}"),
            yes(Reference, "{offerid}"),
        ],
        note: Some(
            "{status} is a number. Select in Affise which statuses are sent, or use /postback/affise.",
        ),
    },
    Sender {
        key: "flexoffers",
        name: "FlexOffers",
        link_parameter: Some("fobs"),
        macros: &[
            yes(ClickId, "#fobs#"),
            yes(OrderId, "#on#"),
            yes(Amount, "#sa#"),
            yes(Revenue, "#ca#"),
            yes(Reference, "#programid#"),
        ],
        note: None,
    },
    Sender {
        key: "keitaro",
        name: "Keitaro",
        link_parameter: Some("external_id"),
        macros: &[
            yes(ClickId, "{external_id}"),
            yes(OrderId, "{tid}"),
            yes(Revenue, "{revenue}"),
            yes(Currency, "{currency}"),
            yes(Country, "{country}"),
        ],
        note: Some("{status} is lead or sale. Map it to pending or approved in Keitaro before you add it."),
    },
    Sender {
        key: "voluum",
        name: "Voluum",
        link_parameter: Some("externalid"),
        macros: &[
            yes(ClickId, "{externalid}"),
            perhaps(OrderId, "{transaction.id}"),
            perhaps(Revenue, "{payout}"),
            perhaps(Currency, "{currency}"),
        ],
        note: None,
    },
    Sender {
        key: "scaleo",
        name: "Scaleo",
        link_parameter: Some("aff_click_id"),
        macros: &[
            yes(ClickId, "{aff_click_id}"),
            perhaps(Goal, "{goal_alias}"),
            perhaps(OrderId, "{transaction_id}"),
            perhaps(Amount, "{amount}"),
            perhaps(Revenue, "{payout}"),
            perhaps(Currency, "{currency}"),
        ],
        note: None,
    },
    Sender {
        key: "cake",
        name: "CAKE",
        link_parameter: Some("s2"),
        macros: &[
            yes(ClickId, "#s2#"),
            yes(OrderId, "#tid#"),
            yes(Revenue, "#price#"),
        ],
        note: None,
    },
    Sender {
        key: "prosper202",
        name: "Prosper202",
        link_parameter: Some("c1"),
        macros: &[
            yes(ClickId, "[[c1]]"),
            yes(OrderId, "[[subid]]"),
            yes(Revenue, "[[payout]]"),
        ],
        note: None,
    },
    Sender {
        key: "binom",
        name: "Binom",
        link_parameter: Some("externalid"),
        macros: &[
            yes(ClickId, "{externalid}"),
            yes(OrderId, "{clickid}"),
            perhaps(Revenue, "{payout}"),
            yes(Currency, "{cnv_currency}"),
            yes(Status, "{cnv_status}"),
            yes(Reference, "{campaign_id}"),
        ],
        note: None,
    },
    Sender {
        key: "bemob",
        name: "BeMob",
        link_parameter: Some("externalId"),
        macros: &[
            yes(ClickId, "{externalId}"),
            perhaps(OrderId, "{txid}"),
            perhaps(Revenue, "{payout}"),
            perhaps(Status, "{status}"),
        ],
        note: None,
    },
    Sender {
        key: "redtrack",
        name: "RedTrack",
        link_parameter: Some("ref_id"),
        macros: &[
            perhaps(ClickId, "{ref_id}"),
            perhaps(Goal, "{type}"),
            perhaps(OrderId, "{clickid}"),
            perhaps(Revenue, "{payout}"),
        ],
        note: None,
    },
    Sender {
        key: "peerclick",
        name: "PeerClick",
        link_parameter: Some("externalid"),
        macros: &[
            yes(ClickId, "{external_id}"),
            yes(OrderId, "{clickid}"),
            perhaps(Revenue, "{payout}"),
            perhaps(Currency, "{currency}"),
        ],
        note: None,
    },
    Sender {
        key: "trackier",
        name: "Trackier",
        link_parameter: Some("p1"),
        macros: &[
            yes(ClickId, "{p1}"),
            perhaps(Goal, "{goal_value}"),
            yes(OrderId, "{txn_id}"),
            perhaps(Amount, "{sale_amount}"),
            yes(Revenue, "{payout}"),
        ],
        note: Some("Payouts are in US dollars: add &currency=USD if the campaign has another currency."),
    },
    Sender {
        key: "impact",
        name: "Impact",
        link_parameter: Some("subId1"),
        macros: &[
            yes(ClickId, "{SubId1}"),
            yes(Goal, "{ActionTrackerId}"),
            yes(OrderId, "{ActionId}"),
            yes(Amount, "{Amount}"),
            yes(Revenue, "{Payout}"),
            yes(Currency, "{Currency}"),
            yes(Status, "{Status}"),
            yes(Reference, "{CampaignId}"),
        ],
        note: None,
    },
    Sender {
        key: "digistore24",
        name: "Digistore24",
        link_parameter: Some("cid"),
        macros: &[
            yes(ClickId, "{cid}"),
            yes(OrderId, "{transaction_id}"),
            yes(Revenue, "{amount_affiliate}"),
            yes(Currency, "{currency}"),
            yes(Country, "{country}"),
            yes(Reference, "{product_id}"),
        ],
        note: Some("{transaction_type} tells payments from refunds: use a URL with refund=all for refunds."),
    },
    Sender {
        key: "awin",
        name: "Awin",
        link_parameter: Some("clickref"),
        macros: &[
            yes(ClickId, "!!!clickRef!!!"),
            yes(OrderId, "!!!transactionId!!!"),
            yes(Amount, "!!!transactionAmount!!!"),
            yes(Revenue, "!!!commission!!!"),
            yes(Currency, "!!!transactionCurrency!!!"),
            yes(EventTime, "!!!transactionDate!!!"),
            yes(Reference, "!!!merchantId!!!"),
        ],
        note: Some(
            "Select GET in Transaction Notifications. Awin reports new transactions, not later approvals.",
        ),
    },
    Sender {
        key: "rakuten",
        name: "Rakuten Advertising",
        link_parameter: Some("u1"),
        macros: &[
            perhaps(ClickId, "<u1>"),
            perhaps(OrderId, "<order_id>"),
            perhaps(Amount, "<sale_amount>"),
            perhaps(Revenue, "<commissions>"),
            perhaps(Currency, "<currency>"),
            perhaps(Reference, "<advertiser_id>"),
        ],
        note: Some(
            "Add &is_event=<is_event>, which Rakuten requires. If Rakuten calls once per product, \
             use <etransaction_id> as order_id.",
        ),
    },
    Sender {
        key: "tradedoubler",
        name: "Tradedoubler",
        link_parameter: Some("epi"),
        macros: &[
            yes(ClickId, "${epi}"),
            yes(OrderId, "${orderNumber}"),
            yes(Amount, "${orderValue}"),
            yes(Revenue, "${publisherCommission}"),
            perhaps(Currency, "${currencyId}"),
            yes(Reference, "${programId}"),
        ],
        note: Some("Create a subscription in the Conversions API with this URL as a GET receiver."),
    },
    Sender {
        key: "clickbank",
        name: "ClickBank",
        link_parameter: Some("tid"),
        macros: &[
            yes(ClickId, "{tid}"),
            yes(OrderId, "{receipt_id}"),
            perhaps(Amount, "{total_transaction_amount}"),
            yes(Revenue, "{affiliate_earnings}"),
            perhaps(Country, "{country}"),
        ],
        note: Some(
            "Earnings are in US dollars: add &currency=USD if the campaign has another currency. \
             Select purchase events only.",
        ),
    },
    Sender {
        key: "tealium",
        name: "Tealium EventStream",
        link_parameter: None,
        macros: &[
            yes(ClickId, "{{click_id}}"),
            yes(OrderId, "{{#encodeUrl}}{{order_id}}{{/encodeUrl}}"),
            yes(Amount, "{{amount}}"),
            yes(Currency, "{{currency}}"),
            yes(Coupon, "{{#encodeUrl}}{{coupon}}{{/encodeUrl}}"),
            yes(CustomerId, "{{#encodeUrl}}{{customer_id}}{{/encodeUrl}}"),
        ],
        note: Some(
            "Use the URL as a template of a webhook's custom request, and map an attribute to each \
             template variable. The shop must store the click ID.",
        ),
    },
    Sender {
        key: "gtm_server",
        name: "Google Tag Manager, server container",
        link_parameter: None,
        macros: &[
            yes(ClickId, "{{click_id}}"),
            yes(OrderId, "{{transaction_id}}"),
            yes(Amount, "{{value}}"),
            yes(Currency, "{{currency}}"),
            yes(Coupon, "{{coupon}}"),
            yes(CustomerId, "{{user_id}}"),
        ],
        note: Some(
            "Use an HTTP Request tag. Create a variable of each name, with an empty text in place of \
             undefined. The shop must store the click ID.",
        ),
    },
    Sender {
        key: "shopify_flow",
        name: "Shopify Flow",
        link_parameter: None,
        macros: &[
            perhaps(
                ClickId,
                "{{order.customAttributes|where:\"key\",\"click_id\"|map:\"value\"|first}}",
            ),
            yes(OrderId, "{{order.name|url_encode}}"),
            yes(Amount, "{{order.totalPriceSet.shopMoney.amount}}"),
            perhaps(Currency, "{{order.totalPriceSet.shopMoney.currencyCode}}"),
            perhaps(Coupon, "{{order.discountCode|url_encode}}"),
            perhaps(CustomerId, "{{order.customer.legacyResourceId}}"),
        ],
        note: Some(
            "Use the Send HTTP request action with GET. The shop must store the click ID as the cart \
             attribute click_id.",
        ),
    },
    Sender {
        key: "shopify_pixel",
        name: "Shopify custom pixel",
        link_parameter: None,
        macros: &[
            yes(
                ClickId,
                "${event.data.checkout.attributes.find(a=>a.key==='click_id')?.value??''}",
            ),
            yes(OrderId, "${event.data.checkout.order.id}"),
            yes(Amount, "${event.data.checkout.totalPrice.amount}"),
            yes(Currency, "${event.data.checkout.currencyCode}"),
            yes(CustomerId, "${event.data.checkout.order.customer?.id??''}"),
        ],
        note: Some(
            "Remove the token: visitors can read the pixel. Put the URL between backticks in a fetch on \
             checkout_completed. The shop must store the click ID as the cart attribute click_id.",
        ),
    },
    Sender {
        key: "woocommerce",
        name: "WooCommerce, PHP",
        link_parameter: None,
        macros: &[
            yes(ClickId, "{$order->get_meta('click_id')}"),
            yes(OrderId, "{$order->get_order_number()}"),
            yes(Amount, "{$order->get_total()}"),
            yes(Currency, "{$order->get_currency()}"),
            yes(Status, "{$order->get_status()}"),
            yes(CustomerId, "{$order->get_customer_id()}"),
        ],
        note: Some(
            "Put the URL between double quotes in wp_remote_get on woocommerce_order_status_changed. \
             The shop must store the click ID as the order's meta click_id. Webhooks of WooCommerce send \
             fixed JSON and cannot call this URL.",
        ),
    },
];
