//! The macros of partner postbacks: what of a conversion a template can carry.

/// A value of a conversion that a template can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Macro {
    /// The affiliate's own click id.
    AffClickId,
    /// What the affiliate earns.
    Payout,
    /// Currency of the payout and the amount.
    Currency,
    /// Our id of the conversion.
    ConversionId,
    /// The goal's code.
    Event,
    /// The conversion's state, in the receiver's words.
    Status,
    /// The advertiser's order id.
    OrderId,
    /// The order's amount.
    Amount,
    /// Our click id.
    ClickId,
    /// The campaign's id.
    CampaignId,
    /// The affiliate's id.
    AffiliateId,
    /// The tracking link's id.
    LinkId,
    /// The coupon used.
    Coupon,
    /// The visitor's country.
    Country,
    /// When it happened, in seconds since 1970.
    Timestamp,
    /// The affiliate's first sub id.
    Sub1,
    /// The second.
    Sub2,
    /// The third.
    Sub3,
    /// The fourth.
    Sub4,
    /// The fifth.
    Sub5,
}

/// Every macro: its name, what it stands for, and a sample.
const MACROS: [(Macro, &str, &str, &str); 20] = [
    (
        Macro::AffClickId,
        "aff_click_id",
        "The affiliate's own click id, as it came with the click",
        "k7f2q9",
    ),
    (Macro::Payout, "payout", "What the affiliate earns", "12.50"),
    (
        Macro::Currency,
        "currency",
        "Currency of payout and amount, ISO 4217",
        "EUR",
    ),
    (
        Macro::ConversionId,
        "conversion_id",
        "Our id of the conversion",
        "cnv_01j0sample",
    ),
    (Macro::Event, "event", "Code of the goal reached", "sale"),
    (
        Macro::Status,
        "status",
        "State of the conversion, in the receiver's words",
        "approved",
    ),
    (Macro::OrderId, "order_id", "The advertiser's order id", "A-1001"),
    (Macro::Amount, "amount", "The order's amount", "99.90"),
    (Macro::ClickId, "click_id", "Our click id", "01j0sampleclick"),
    (
        Macro::CampaignId,
        "campaign_id",
        "The campaign's id",
        "cmp_01j0sample",
    ),
    (
        Macro::AffiliateId,
        "affiliate_id",
        "The affiliate's id",
        "aff_01j0sample",
    ),
    (
        Macro::LinkId,
        "link_id",
        "The tracking link's id",
        "lnk_01j0sample",
    ),
    (Macro::Coupon, "coupon", "The coupon used", "SPRING 20"),
    (
        Macro::Country,
        "country",
        "Country of the visitor, ISO 3166",
        "DE",
    ),
    (
        Macro::Timestamp,
        "timestamp",
        "When it happened, in seconds since 1970",
        "1777638600",
    ),
    (Macro::Sub1, "sub1", "The affiliate's first sub id", "newsletter"),
    (Macro::Sub2, "sub2", "The affiliate's second sub id", "summer"),
    (Macro::Sub3, "sub3", "The affiliate's third sub id", "banner 3"),
    (Macro::Sub4, "sub4", "The affiliate's fourth sub id", "d"),
    (Macro::Sub5, "sub5", "The affiliate's fifth sub id", "e"),
];

impl Macro {
    /// Every macro.
    pub fn all() -> impl Iterator<Item = Self> {
        MACROS.iter().map(|(one, ..)| *one)
    }

    /// The macro of a name, without braces.
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

    /// Its name, without braces.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().map_or("", |(_, name, ..)| name)
    }

    /// What it stands for.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.row().map_or("", |(_, _, meaning, _)| meaning)
    }

    /// A value it may have.
    #[must_use]
    pub fn sample(self) -> &'static str {
        self.row().map_or("", |(.., sample)| sample)
    }
}
