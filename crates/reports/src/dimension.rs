//! Dimensions: what rows are grouped and filtered by.

use schema::{
    AdvertiserId, AffiliateId, CampaignId, GoalId, GroupId, LandingPageId, LinkId, MembershipId, text_enum,
};
use tenancy::memberships::RoleKind;
use tenancy::{Actor, Permission};

use crate::field::Field;

text_enum! {
    /// Dimension by which rows are grouped and filtered.
    pub enum Dimension {
        /// Day in the time zone of the report.
        Day = "day",
        /// Hour.
        Hour = "hour",
        /// Week of ISO 8601, which begins on Monday.
        Week = "week",
        /// Week that begins on Sunday.
        SundayWeek = "sunday_week",
        /// Month.
        Month = "month",
        /// Quarter.
        Quarter = "quarter",
        /// Hour of the day, 00 to 23.
        HourOfDay = "hour_of_day",
        /// Day of the week, 1 for Monday to 7 for Sunday.
        Weekday = "weekday",
        /// Advertiser.
        Advertiser = "advertiser",
        /// Campaign.
        Campaign = "campaign",
        /// Categories of the campaign.
        Categories = "campaign_categories",
        /// Goal.
        Goal = "goal",
        /// Affiliate.
        Affiliate = "affiliate",
        /// Group of the affiliate.
        Group = "affiliate_group",
        /// Tags of the affiliate.
        Tags = "affiliate_tags",
        /// Manager of the affiliate.
        Manager = "affiliate_manager",
        /// Tracking link.
        Link = "link",
        /// Landing page of the click.
        LandingPage = "landing_page",
        /// First sub ID of the click.
        Sub1 = "sub1",
        /// Second sub ID of the click.
        Sub2 = "sub2",
        /// Third sub ID of the click.
        Sub3 = "sub3",
        /// Fourth sub ID of the click.
        Sub4 = "sub4",
        /// Fifth sub ID of the click.
        Sub5 = "sub5",
        /// Country of the visitor.
        Country = "country",
        /// Device of the visitor.
        Device = "device",
        /// Operating system of the visitor.
        Os = "os",
        /// Browser of the visitor.
        Browser = "browser",
        /// Host of the page that the visitor came from.
        ReferrerHost = "referrer_host",
        /// Reason why the click is invalid.
        InvalidBecause = "invalid_because",
        /// First sub ID of the first click of the customer.
        FirstSub1 = "first_sub1",
        /// Second sub ID of the first click of the customer.
        FirstSub2 = "first_sub2",
        /// Third sub ID of the first click of the customer.
        FirstSub3 = "first_sub3",
        /// Fourth sub ID of the first click of the customer.
        FirstSub4 = "first_sub4",
        /// Fifth sub ID of the first click of the customer.
        FirstSub5 = "first_sub5",
        /// Coupon of the order.
        Coupon = "coupon",
        /// Categories of the items of the order.
        ItemCategories = "item_categories",
        /// New or returning customer.
        CustomerType = "customer_type",
        /// Proof by which the conversion was attributed.
        AttributedBy = "attributed_by",
        /// Status of the conversion.
        Status = "status",
        /// Currency of the conversion.
        Currency = "currency",
        /// Days from the click to the conversion.
        DaysSinceClick = "days_since_click",
        /// Weeks from the click to the conversion.
        WeeksSinceClick = "weeks_since_click",
    }
}

/// Objects that the values of a dimension are the IDs of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    Advertiser,
    Campaign,
    Goal,
    Affiliate,
    Group,
    Link,
    LandingPage,
    Member,
}

impl Object {
    /// Public text of an ID as stored.
    pub(crate) fn public(self, id: i32) -> String {
        match self {
            Self::Advertiser => AdvertiserId(id).to_string(),
            Self::Campaign => CampaignId(id).to_string(),
            Self::Goal => GoalId(id).to_string(),
            Self::Affiliate => AffiliateId(id).to_string(),
            Self::Group => GroupId(id).to_string(),
            Self::Link => LinkId(id).to_string(),
            Self::LandingPage => LandingPageId(id).to_string(),
            Self::Member => MembershipId(id).to_string(),
        }
    }

    /// Stored ID of a public text.
    fn stored(self, text: &str) -> Result<i32, String> {
        fn parsed<I: std::str::FromStr<Err: std::fmt::Display>>(
            text: &str,
            number: fn(I) -> i32,
        ) -> Result<i32, String> {
            text.parse()
                .map(number)
                .map_err(|error: I::Err| format!("“{text}” is {error}."))
        }
        match self {
            Self::Advertiser => parsed(text, |id: AdvertiserId| id.0),
            Self::Campaign => parsed(text, |id: CampaignId| id.0),
            Self::Goal => parsed(text, |id: GoalId| id.0),
            Self::Affiliate => parsed(text, |id: AffiliateId| id.0),
            Self::Group => parsed(text, |id: GroupId| id.0),
            Self::Link => parsed(text, |id: LinkId| id.0),
            Self::LandingPage => parsed(text, |id: LandingPageId| id.0),
            Self::Member => parsed(text, |id: MembershipId| id.0),
        }
    }

    /// Statement that reads the names of IDs.
    pub(crate) fn names(self) -> &'static str {
        match self {
            Self::Advertiser => "SELECT id, name FROM advertisers WHERE network_id = $1 AND id = ANY ($2)",
            Self::Campaign => "SELECT id, name FROM campaigns WHERE network_id = $1 AND id = ANY ($2)",
            Self::Goal => "SELECT id, name FROM goals WHERE network_id = $1 AND id = ANY ($2)",
            Self::Affiliate => "SELECT id, name FROM affiliates WHERE network_id = $1 AND id = ANY ($2)",
            Self::Group => "SELECT id, name FROM affiliate_groups WHERE network_id = $1 AND id = ANY ($2)",
            Self::Link => {
                "SELECT id, alias AS name FROM tracking_links WHERE network_id = $1 AND id = ANY ($2)"
            }
            Self::LandingPage => "SELECT id, name FROM landing_pages WHERE network_id = $1 AND id = ANY ($2)",
            Self::Member => {
                "SELECT m.id, p.name FROM memberships m JOIN people p ON p.id = m.person_id
                 WHERE m.network_id = $1 AND m.id = ANY ($2)"
            }
        }
    }
}

impl Dimension {
    /// Label on pages.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Day => "Day",
            Self::Hour => "Hour",
            Self::Week => "Week",
            Self::SundayWeek => "Week from Sunday",
            Self::Month => "Month",
            Self::Quarter => "Quarter",
            Self::HourOfDay => "Hour of day",
            Self::Weekday => "Day of week",
            Self::Advertiser => "Advertiser",
            Self::Campaign => "Campaign",
            Self::Categories => "Campaign categories",
            Self::Goal => "Goal",
            Self::Affiliate => "Affiliate",
            Self::Group => "Affiliate group",
            Self::Tags => "Affiliate tags",
            Self::Manager => "Affiliate manager",
            Self::Link => "Tracking link",
            Self::LandingPage => "Landing page",
            Self::Sub1 => "Sub ID 1",
            Self::Sub2 => "Sub ID 2",
            Self::Sub3 => "Sub ID 3",
            Self::Sub4 => "Sub ID 4",
            Self::Sub5 => "Sub ID 5",
            Self::Country => "Country",
            Self::Device => "Device",
            Self::Os => "Operating system",
            Self::Browser => "Browser",
            Self::ReferrerHost => "Referrer host",
            Self::InvalidBecause => "Invalid because",
            Self::FirstSub1 => "First sub ID 1",
            Self::FirstSub2 => "First sub ID 2",
            Self::FirstSub3 => "First sub ID 3",
            Self::FirstSub4 => "First sub ID 4",
            Self::FirstSub5 => "First sub ID 5",
            Self::Coupon => "Coupon",
            Self::ItemCategories => "Item categories",
            Self::CustomerType => "Customer type",
            Self::AttributedBy => "Attributed by",
            Self::Status => "Status",
            Self::Currency => "Currency",
            Self::DaysSinceClick => "Days since the click",
            Self::WeeksSinceClick => "Weeks since the click",
        }
    }

    /// Definition for users.
    #[must_use]
    pub fn definition(self) -> &'static str {
        match self {
            Self::Day => "Day in the time zone of the report.",
            Self::Hour => "Hour in the time zone of the report, such as 2026-11-21 14:00.",
            Self::Week => "Week of ISO 8601, which begins on Monday, such as 2026-W47.",
            Self::SundayWeek => "Week that begins on Sunday, by its first day.",
            Self::Month => "Month, such as 2026-11.",
            Self::Quarter => "Quarter, such as 2026-Q4.",
            Self::HourOfDay => "Hour of the day, 00 to 23, of all days of the period.",
            Self::Weekday => "Day of the week, 1 for Monday to 7 for Sunday.",
            Self::Advertiser => "Advertiser of the campaign.",
            Self::Campaign => "Campaign of the link.",
            Self::Categories => "All categories that the campaign has today, as one value.",
            Self::Goal => {
                "Goal of the conversion; clicks have none. A filter by goal keeps all clicks, so that rates are those of the goal."
            }
            Self::Affiliate => "Affiliate of the link.",
            Self::Group => "Group that the affiliate belongs to today.",
            Self::Tags => "All tags that the affiliate has today, as one value.",
            Self::Manager => "Member of the network who manages the affiliate today.",
            Self::Link => "Tracking link, by its alias.",
            Self::LandingPage => {
                "Landing page that was chosen for the click, also where a deep link or a fallback led elsewhere; empty for the campaign's own destination. A conversion has that of its click."
            }
            Self::Sub1 | Self::Sub2 | Self::Sub3 | Self::Sub4 | Self::Sub5 => {
                "Sub ID of the click; a conversion has that of its click."
            }
            Self::Country => "Country of the visitor; a conversion has that of its click.",
            Self::Device => "Device of the visitor; a conversion has that of its click.",
            Self::Os => "Operating system of the visitor; a conversion has that of its click.",
            Self::Browser => {
                "Browser of the visitor, or name of the robot; a conversion has that of its click."
            }
            Self::ReferrerHost => {
                "Host of the page that the visitor came from; empty if the browser named none. A conversion has that of its click."
            }
            Self::InvalidBecause => "Reason why the click is invalid; empty for valid clicks.",
            Self::FirstSub1 | Self::FirstSub2 | Self::FirstSub3 | Self::FirstSub4 | Self::FirstSub5 => {
                "Sub ID of the click that led to the customer's first conversion with this advertiser; without a customer ID, of the conversion's own click. Beside the sub ID, it shows the first and the last step of a path. Clicks have none."
            }
            Self::Coupon => "Coupon of the order; clicks have none.",
            Self::ItemCategories => {
                "All categories of the items of the order, in alphabetical order, as one value, such as hats, shoes; empty if none was sent. A filter that contains a category finds each order with it."
            }
            Self::CustomerType => {
                "new for the first order of a customer with this advertiser, returning for later ones; empty without a customer ID."
            }
            Self::AttributedBy => {
                "Proof by which the conversion was attributed: click, customer, coupon or affiliate."
            }
            Self::Status => "Status of the conversion; clicks have none.",
            Self::Currency => "Currency of the conversion; clicks have none.",
            Self::DaysSinceClick => {
                "Whole days from the click to the conversion; empty without a click. With by=click and the week of the click, the report shows cohorts."
            }
            Self::WeeksSinceClick => "Whole weeks from the click to the conversion; empty without a click.",
        }
    }

    /// True if an actor sees it.
    #[must_use]
    pub fn is_visible_to(self, actor: &Actor) -> bool {
        self.permission().is_none_or(|needed| actor.may(needed))
    }

    /// Roles that see it.
    #[must_use]
    pub fn roles(self) -> Vec<RoleKind> {
        let roles = Permission::SeeReports.roles().iter().copied();
        let needed = self.permission();
        roles
            .filter(|role| needed.is_none_or(|needed| needed.roles().contains(role)))
            .collect()
    }

    /// Permission that its values need, besides that of reports.
    fn permission(self) -> Option<Permission> {
        match self {
            Self::Advertiser | Self::Group | Self::Tags | Self::Manager => Some(Permission::SeeParties),
            // The first click may be another affiliate's.
            _ if self.field().of_first_visit().is_some() => Some(Permission::SeeParties),
            _ if self.field().is_of_visit() => Some(Permission::SeeClicks),
            _ => None,
        }
    }

    /// True for a span of time, of which rows are newest first and which no filter names.
    #[must_use]
    pub fn is_time(self) -> bool {
        matches!(
            self,
            Self::Day
                | Self::Hour
                | Self::Week
                | Self::SundayWeek
                | Self::Month
                | Self::Quarter
                | Self::HourOfDay
                | Self::Weekday
        )
    }

    /// True if a report can be narrowed to one of its values: not to hours, nor to days of the week.
    #[must_use]
    pub fn can_narrow(self) -> bool {
        !matches!(self, Self::Hour | Self::HourOfDay | Self::Weekday)
    }

    /// Stored property that it is made of.
    pub(crate) fn field(self) -> Field {
        match self {
            Self::Day
            | Self::Hour
            | Self::Week
            | Self::SundayWeek
            | Self::Month
            | Self::Quarter
            | Self::HourOfDay
            | Self::Weekday => Field::Time,
            Self::Advertiser | Self::Campaign | Self::Categories => Field::Campaign,
            Self::Affiliate | Self::Group | Self::Tags | Self::Manager => Field::Affiliate,
            Self::Link => Field::Link,
            Self::LandingPage => Field::LandingPage,
            Self::Sub1 => Field::Sub1,
            Self::Sub2 => Field::Sub2,
            Self::Sub3 => Field::Sub3,
            Self::Sub4 => Field::Sub4,
            Self::Sub5 => Field::Sub5,
            Self::Country => Field::Country,
            Self::Device => Field::Device,
            Self::Os => Field::Os,
            Self::Browser => Field::Browser,
            Self::ReferrerHost => Field::ReferrerHost,
            Self::InvalidBecause => Field::Flag,
            Self::Goal => Field::Goal,
            Self::Status => Field::Status,
            Self::Currency => Field::Currency,
            Self::DaysSinceClick | Self::WeeksSinceClick => Field::DaysSinceClick,
            Self::FirstSub1 => Field::FirstSub1,
            Self::FirstSub2 => Field::FirstSub2,
            Self::FirstSub3 => Field::FirstSub3,
            Self::FirstSub4 => Field::FirstSub4,
            Self::FirstSub5 => Field::FirstSub5,
            Self::Coupon => Field::Coupon,
            Self::ItemCategories => Field::ItemCategories,
            Self::CustomerType => Field::CustomerType,
            Self::AttributedBy => Field::AttributedBy,
        }
    }

    /// True for numbers, which are in order by their size.
    pub(crate) fn is_number(self) -> bool {
        self.field() == Field::DaysSinceClick
    }

    /// True for what conversions have and clicks lack.
    pub(crate) fn is_of_conversion(self) -> bool {
        self.field().is_of_conversion()
    }

    /// True if its values are the IDs of objects.
    #[must_use]
    pub fn is_object(self) -> bool {
        self.object().is_some()
    }

    /// Objects that its values are the IDs of.
    pub(crate) fn object(self) -> Option<Object> {
        match self {
            Self::Advertiser => Some(Object::Advertiser),
            Self::Campaign => Some(Object::Campaign),
            Self::Goal => Some(Object::Goal),
            Self::Affiliate => Some(Object::Affiliate),
            Self::Group => Some(Object::Group),
            Self::Link => Some(Object::Link),
            Self::LandingPage => Some(Object::LandingPage),
            Self::Manager => Some(Object::Member),
            _ => None,
        }
    }

    /// Value as stored, of a value as users write it.
    ///
    /// # Errors
    /// Message to show beside the filter.
    pub(crate) fn stored(self, value: &str) -> Result<String, String> {
        match self.object() {
            Some(object) => object.stored(value).map(|id| id.to_string()),
            None => Ok(value.to_owned()),
        }
    }
}
