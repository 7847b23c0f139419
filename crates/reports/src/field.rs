//! Fields: the stored properties of clicks and conversions that dimensions are made of.

/// Stored property of an event. Its values are texts; ids and quarters of an hour are decimal numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Field {
    /// Quarter of an hour, counted since 1970. The clocks of all time zones differ by multiples of it.
    Time,
    Campaign,
    Affiliate,
    Link,
    LandingPage,
    Sub1,
    Sub2,
    Sub3,
    Sub4,
    Sub5,
    Country,
    Device,
    Os,
    Browser,
    ReferrerHost,
    Flag,
    Goal,
    Status,
    Currency,
    Coupon,
    ItemCategories,
    CustomerType,
    FirstSub1,
    FirstSub2,
    FirstSub3,
    FirstSub4,
    FirstSub5,
    AttributedBy,
    /// Whole days from the click to the conversion.
    DaysSinceClick,
}

/// Time of the click of a row `v` of `conversions`; NULL without one. The key of a click begins with its milliseconds.
pub(crate) const CLICKED_AT: &str =
    "to_timestamp(('x' || left(replace(v.click_id::text, '-', ''), 12))::bit(48)::bigint / 1000.0)";

/// Seconds of a quarter of an hour.
pub(crate) const QUARTER: i64 = 900;

/// An earlier conversion of the customer that was not rejected makes an order one of a returning customer. The key of a
/// conversion begins with its time.
const CUSTOMER_TYPE: &str = "
    CASE WHEN v.customer_id IS NULL THEN NULL
         WHEN EXISTS (SELECT FROM conversions e WHERE e.network_id = $1 AND e.customer_id = v.customer_id
                      AND e.advertiser_id = v.advertiser_id AND e.id < v.id AND e.status IN ('pending', 'approved'))
         THEN 'returning' ELSE 'new' END";

impl Field {
    /// True for what conversions have and clicks lack.
    pub(crate) fn is_of_conversion(self) -> bool {
        self >= Self::Goal
    }

    /// True for what one visitor brought, by which single clicks differ.
    pub(crate) fn is_of_visit(self) -> bool {
        self.of_visit().is_some()
    }

    /// True for what postbacks have.
    pub(crate) fn is_of_postback(self) -> bool {
        matches!(self, Self::Time | Self::Campaign | Self::Goal)
    }

    /// Name of its column in blocks of clicks, and in the tables of events that have it.
    pub(crate) fn column(self) -> &'static str {
        match self {
            Self::Time => "quarter_hour",
            Self::Campaign => "campaign_id",
            Self::Affiliate => "affiliate_id",
            Self::Link => "link_id",
            Self::LandingPage => "landing_page_id",
            Self::Sub1 => "sub1",
            Self::Sub2 => "sub2",
            Self::Sub3 => "sub3",
            Self::Sub4 => "sub4",
            Self::Sub5 => "sub5",
            Self::Country => "country",
            Self::Device => "device",
            Self::Os => "os",
            Self::Browser => "browser",
            Self::ReferrerHost => "referrer_host",
            Self::Flag => "flag",
            Self::Goal => "goal_id",
            Self::Status => "status",
            Self::Currency => "currency",
            Self::Coupon => "coupon",
            Self::ItemCategories => "item_categories",
            Self::CustomerType => "customer_type",
            Self::FirstSub1 => "first_sub1",
            Self::FirstSub2 => "first_sub2",
            Self::FirstSub3 => "first_sub3",
            Self::FirstSub4 => "first_sub4",
            Self::FirstSub5 => "first_sub5",
            Self::AttributedBy => "attributed_by",
            Self::DaysSinceClick => "days_since_click",
        }
    }

    /// Expression over a row `k` of `clicks`, but for the time.
    pub(crate) fn of_click(self) -> &'static str {
        match self {
            Self::ReferrerHost => "referrer_host(k.referrer)",
            other => other.column(),
        }
    }

    /// Expression over a row of the sums per quarter of an hour; `None` if they do not have it.
    pub(crate) fn of_sums(self) -> Option<&'static str> {
        match self {
            Self::Time => Some("quarter_hour"),
            Self::Campaign | Self::Affiliate | Self::Link | Self::Goal | Self::Status | Self::Currency => {
                Some(self.column())
            }
            _ => None,
        }
    }

    /// Expression over a row `v` of `conversions` and the arrays `visited` and `first_visited`, but for the time.
    pub(crate) fn of_conversion(self) -> String {
        match self {
            Self::CustomerType => CUSTOMER_TYPE.to_owned(),
            Self::DaysSinceClick => {
                format!("floor(extract(epoch FROM v.converted_at - {CLICKED_AT}) / 86400)::integer")
            }
            other => match (other.of_visit(), other.of_first_visit()) {
                (Some(position), _) => format!("visited[{position}]"),
                (_, Some(position)) => format!("first_visited[{position}]"),
                _ => format!("v.{}", other.column()),
            },
        }
    }

    /// Position in `conversions.visit`, from 1.
    fn of_visit(self) -> Option<u8> {
        Some(match self {
            Self::Sub1 => 1,
            Self::Sub2 => 2,
            Self::Sub3 => 3,
            Self::Sub4 => 4,
            Self::Sub5 => 5,
            Self::Country => 6,
            Self::Device => 7,
            Self::Os => 8,
            Self::Browser => 9,
            Self::ReferrerHost => 10,
            Self::Flag => 11,
            Self::LandingPage => 12,
            _ => return None,
        })
    }

    /// Position in `conversions.visit` of the first conversion of the customer.
    pub(crate) fn of_first_visit(self) -> Option<u8> {
        Some(match self {
            Self::FirstSub1 => 1,
            Self::FirstSub2 => 2,
            Self::FirstSub3 => 3,
            Self::FirstSub4 => 4,
            Self::FirstSub5 => 5,
            _ => return None,
        })
    }

    /// True for what depends on other conversions than the event itself.
    pub(crate) fn is_of_customer(self) -> bool {
        self == Self::CustomerType || self.of_first_visit().is_some()
    }

    /// Text of a value of the expressions above.
    pub(crate) fn text(self, expression: &str) -> String {
        match self {
            Self::Time => format!("(extract(epoch FROM {expression}) / {QUARTER})::bigint::text"),
            _ => format!("{expression}::text"),
        }
    }
}
