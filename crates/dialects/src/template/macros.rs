//! Macros of partner postbacks: the values of a conversion that a template can carry.

/// A value of a conversion that a template can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Macro {
    /// Click ID of the affiliate.
    AffClickId,
    /// Commission of the affiliate.
    Payout,
    /// The same, by our word for it.
    Commission,
    /// Currency of payout and amount.
    Currency,
    /// Our ID of the conversion.
    ConversionId,
    /// ID of the delivery, the same in every attempt.
    DeliveryId,
    /// Code of the goal.
    Event,
    /// The same, by our word for it.
    Goal,
    /// Kind of the change that is reported.
    Change,
    /// State of the conversion, in the receiver's words.
    Status,
    /// Order ID of the advertiser.
    OrderId,
    /// Amount of the order.
    Amount,
    /// Our click ID.
    ClickId,
    /// ID of the campaign.
    CampaignId,
    /// Name of the campaign.
    Campaign,
    /// ID of the affiliate.
    AffiliateId,
    /// ID of the tracking link.
    LinkId,
    /// Coupon code.
    Coupon,
    /// Country of the visitor.
    Country,
    /// Time of the conversion, in seconds since 1970.
    Timestamp,
    /// Time of the conversion, in ISO 8601.
    Time,
    /// First sub ID of the affiliate.
    Sub1,
    /// Second sub ID.
    Sub2,
    /// Third sub ID.
    Sub3,
    /// Fourth sub ID.
    Sub4,
    /// Fifth sub ID.
    Sub5,
}

/// All macros: name, meaning, sample.
const MACROS: [(Macro, &str, &str, &str); 26] = [
    (
        Macro::AffClickId,
        "aff_click_id",
        "Click ID of the affiliate, as passed with the click in sub1",
        "k7f2q9",
    ),
    (Macro::Payout, "payout", "Commission of the affiliate", "12.50"),
    (
        Macro::Commission,
        "commission",
        "Commission of the affiliate, the same as payout",
        "12.50",
    ),
    (
        Macro::Currency,
        "currency",
        "Currency of payout and amount, ISO 4217",
        "EUR",
    ),
    (
        Macro::ConversionId,
        "conversion_id",
        "Our ID of the conversion",
        "cnv_01j0sample",
    ),
    (
        Macro::DeliveryId,
        "delivery_id",
        "ID of the delivery, the same in every attempt",
        "dlv_01j0sample",
    ),
    (Macro::Event, "event", "Code of the goal", "sale"),
    (Macro::Goal, "goal", "Code of the goal, the same as event", "sale"),
    (
        Macro::Change,
        "change",
        "Change that is reported: created, approved, rejected, reversed, reopened or adjusted",
        "approved",
    ),
    (
        Macro::Status,
        "status",
        "State of the conversion, in the receiver's words",
        "approved",
    ),
    (Macro::OrderId, "order_id", "Order ID of the advertiser", "A-1001"),
    (Macro::Amount, "amount", "Amount of the order", "99.90"),
    (Macro::ClickId, "click_id", "Our click ID", "01j0sampleclick"),
    (
        Macro::CampaignId,
        "campaign_id",
        "ID of the campaign",
        "cmp_01j0sample",
    ),
    (Macro::Campaign, "campaign", "Name of the campaign", "Summer sale"),
    (
        Macro::AffiliateId,
        "affiliate_id",
        "ID of the affiliate",
        "aff_01j0sample",
    ),
    (
        Macro::LinkId,
        "link_id",
        "ID of the tracking link",
        "lnk_01j0sample",
    ),
    (Macro::Coupon, "coupon", "Coupon code", "SPRING 20"),
    (
        Macro::Country,
        "country",
        "Country of the visitor, ISO 3166",
        "DE",
    ),
    (
        Macro::Timestamp,
        "timestamp",
        "Time of the conversion, in seconds since 1970",
        "1777638600",
    ),
    (
        Macro::Time,
        "time",
        "Time of the conversion in UTC, ISO 8601",
        "2026-05-01T12:30:00Z",
    ),
    (Macro::Sub1, "sub1", "First sub ID of the affiliate", "newsletter"),
    (Macro::Sub2, "sub2", "Second sub ID of the affiliate", "summer"),
    (Macro::Sub3, "sub3", "Third sub ID of the affiliate", "banner 3"),
    (Macro::Sub4, "sub4", "Fourth sub ID of the affiliate", "d"),
    (Macro::Sub5, "sub5", "Fifth sub ID of the affiliate", "e"),
];

impl Macro {
    /// Every macro.
    pub fn all() -> impl Iterator<Item = Self> {
        MACROS.iter().map(|(one, ..)| *one)
    }

    /// Finds the macro with this name, without braces.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        MACROS
            .iter()
            .find(|(_, known, ..)| *known == name)
            .map(|(one, ..)| *one)
    }

    fn row(self) -> Option<&'static (Self, &'static str, &'static str, &'static str)> {
        MACROS.iter().find(|(one, ..)| *one == self)
    }

    /// Name, without braces.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().map_or("", |(_, name, ..)| name)
    }

    /// Meaning, shown to users.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.row().map_or("", |(_, _, meaning, _)| meaning)
    }

    /// Sample value.
    #[must_use]
    pub fn sample(self) -> &'static str {
        self.row().map_or("", |(.., sample)| sample)
    }
}
