//! Metrics: name, definition, unit and formula of every figure that a report shows.

use schema::text_enum;
use tenancy::memberships::RoleKind;
use tenancy::{Actor, Permission};

use crate::figures::{quantile, ratio};
use crate::{Figures, Value};

text_enum! {
    /// Metric of a report.
    pub enum Metric {
        /// Visits through tracking links.
        Clicks = "clicks",
        /// Clicks that are valid.
        ValidClicks = "valid_clicks",
        /// Clicks that were the visitor's first of the day through this affiliate for this campaign.
        UniqueClicks = "unique_clicks",
        /// Clicks that are not valid.
        InvalidClicks = "invalid_clicks",
        /// Pending and approved conversions.
        Conversions = "conversions",
        /// Conversions per valid click; of a chain of goals, the first counts.
        ConversionRate = "conversion_rate",
        /// Pending conversions.
        Pending = "pending",
        /// Approved conversions.
        Approved = "approved",
        /// Rejected and reversed conversions.
        Rejected = "rejected",
        /// Approved conversions among those that are decided.
        ApprovalRate = "approval_rate",
        /// Rejected and reversed conversions among those that are decided.
        RejectionRate = "rejection_rate",
        /// Median time from the click to the conversion.
        TimeToConversion = "time_to_conversion",
        /// Time from the click to the conversion that nine of ten conversions do not exceed.
        TimeToConversionP90 = "time_to_conversion_p90",
        /// Order amounts.
        Amount = "amount",
        /// Order amount per conversion.
        AverageOrder = "average_order",
        /// Commission of the affiliates.
        Commission = "commission",
        /// Commission per valid click.
        EarningsPerClick = "earnings_per_click",
        /// Revenue owed by the advertisers.
        Revenue = "revenue",
        /// Revenue per valid click.
        RevenuePerClick = "revenue_per_click",
        /// Revenue less commission.
        Margin = "margin",
        /// Conversions of a goal per conversion of the goal before it.
        StepRate = "step_rate",
        /// Median time from the step before.
        StepTime = "step_time",
        /// Postbacks that were received.
        PostbacksReceived = "postbacks_received",
        /// Rejected postbacks.
        PostbacksRejected = "postbacks_rejected",
        /// Postbacks that wait.
        PostbacksHeld = "postbacks_held",
    }
}

impl Metric {
    /// Metrics that a report shows if none are chosen.
    pub const USUAL: [Self; 12] = [
        Self::Clicks,
        Self::UniqueClicks,
        Self::InvalidClicks,
        Self::Conversions,
        Self::ConversionRate,
        Self::Pending,
        Self::Approved,
        Self::Rejected,
        Self::Commission,
        Self::EarningsPerClick,
        Self::Revenue,
        Self::Margin,
    ];

    /// Label on pages.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Clicks => "Clicks",
            Self::ValidClicks => "Valid clicks",
            Self::UniqueClicks => "Unique clicks",
            Self::InvalidClicks => "Invalid clicks",
            Self::Conversions => "Conversions",
            Self::ConversionRate => "Conversion rate",
            Self::Pending => "Pending",
            Self::Approved => "Approved",
            Self::Rejected => "Rejected",
            Self::ApprovalRate => "Approval rate",
            Self::RejectionRate => "Rejection rate",
            Self::TimeToConversion => "Time to conversion",
            Self::TimeToConversionP90 => "Time to conversion, 90 %",
            Self::Amount => "Order amount",
            Self::AverageOrder => "Average order",
            Self::Commission => "Commission",
            Self::EarningsPerClick => "EPC",
            Self::Revenue => "Revenue",
            Self::RevenuePerClick => "Revenue per click",
            Self::Margin => "Margin",
            Self::StepRate => "Step rate",
            Self::StepTime => "Step time",
            Self::PostbacksReceived => "Postbacks",
            Self::PostbacksRejected => "Rejected postbacks",
            Self::PostbacksHeld => "Held postbacks",
        }
    }

    /// Definition: term, formula, time basis.
    #[must_use]
    pub fn definition(self) -> &'static str {
        match self {
            Self::Clicks => {
                "Visits through tracking links, by the time of the visit. Clicks of test links are in no figure."
            }
            Self::ValidClicks => "Clicks less invalid clicks.",
            Self::UniqueClicks => {
                "Valid clicks that were the visitor's first of the day through this affiliate for this campaign."
            }
            Self::InvalidClicks => {
                "Clicks by robots, from data centres or blocked addresses, prefetched or repeated. Also included in Clicks."
            }
            Self::Conversions => "Pending plus approved conversions, of all goals.",
            Self::ConversionRate => {
                "Conversions divided by valid clicks of the same period; of goals that follow each other, the first counts. In rows by goal, coupon or another property that clicks lack, by the valid clicks of the other dimensions: the rate of each goal."
            }
            Self::Pending => "Conversions waiting for a decision.",
            Self::Approved => "Approved conversions.",
            Self::Rejected => {
                "Rejected and reversed conversions, included in no other metric but the approval rate."
            }
            Self::ApprovalRate => "Approved conversions divided by approved, rejected and reversed ones.",
            Self::RejectionRate => {
                "Rejected and reversed conversions divided by approved, rejected and reversed ones."
            }
            Self::TimeToConversion => {
                "Median time from the click to the conversion, of pending and approved conversions with a click."
            }
            Self::TimeToConversionP90 => {
                "Time from the click within which nine of ten pending and approved conversions with a click happened."
            }
            Self::Amount => "Order amounts after refunds of pending and approved conversions, per currency.",
            Self::AverageOrder => "Order amount divided by pending and approved conversions, per currency.",
            Self::Commission => {
                "Commission of affiliates for pending and approved conversions, per currency."
            }
            Self::EarningsPerClick => "Commission divided by valid clicks, per currency.",
            Self::Revenue => {
                "Revenue owed by advertisers for pending and approved conversions, per currency."
            }
            Self::RevenuePerClick => "Revenue divided by valid clicks, per currency.",
            Self::Margin => "Revenue less commission, per currency.",
            Self::StepRate => {
                "Conversions of a goal divided by those of the goal that it follows, or by valid clicks if it follows none: with group=goal, the steps of a funnel."
            }
            Self::StepTime => {
                "Median time from the conversion that a conversion follows, or from the click if it follows none, of pending and approved conversions."
            }
            Self::PostbacksReceived => {
                "Postbacks that were received, without tests, by the time of arrival. By time, advertiser, campaign and goal only."
            }
            Self::PostbacksRejected => "Rejected postbacks among those received.",
            Self::PostbacksHeld => "Postbacks among those received that wait for an earlier event.",
        }
    }

    /// Unit of the value: `count`, `ratio`, `money` or `seconds`.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match Figures::default().value(self) {
            Value::Count(_) => "count",
            Value::Ratio(_) => "ratio",
            Value::Money(_) => "money",
            Value::Duration(_) => "seconds",
        }
    }

    /// True for times between events, which the sums do not have.
    pub(crate) fn is_time(self) -> bool {
        matches!(
            self,
            Self::TimeToConversion | Self::TimeToConversionP90 | Self::StepTime
        )
    }

    /// True for numbers of postbacks, which have few dimensions.
    pub(crate) fn is_of_postbacks(self) -> bool {
        matches!(
            self,
            Self::PostbacksReceived | Self::PostbacksRejected | Self::PostbacksHeld
        )
    }

    /// True if an actor sees it.
    #[must_use]
    pub fn is_visible_to(self, actor: &Actor) -> bool {
        self.permissions().iter().all(|needed| actor.may(*needed))
    }

    /// Time by which its events count.
    #[must_use]
    pub fn basis(self) -> &'static str {
        match self {
            Self::Clicks | Self::ValidClicks | Self::UniqueClicks | Self::InvalidClicks => {
                "time of the click"
            }
            Self::ConversionRate | Self::EarningsPerClick | Self::RevenuePerClick => {
                "time of the click; conversions by theirs, or that of the click"
            }
            _ if self.is_of_postbacks() => "time of arrival",
            _ => "time of the conversion, or of the click",
        }
    }

    /// Roles that see it.
    #[must_use]
    pub fn roles(self) -> Vec<RoleKind> {
        let roles = Permission::SeeReports.roles().iter().copied();
        roles
            .filter(|role| {
                self.permissions()
                    .iter()
                    .all(|needed| needed.roles().contains(role))
            })
            .collect()
    }

    /// Permissions that it needs, besides that of reports.
    fn permissions(self) -> &'static [Permission] {
        match self {
            Self::Commission | Self::EarningsPerClick => &[Permission::SeeCommission],
            Self::Revenue | Self::RevenuePerClick => &[Permission::SeeRevenue],
            Self::Margin => &[Permission::SeeCommission, Permission::SeeRevenue],
            Self::TimeToConversion | Self::TimeToConversionP90 | Self::StepTime => &[Permission::SeeClicks],
            Self::PostbacksReceived | Self::PostbacksRejected | Self::PostbacksHeld => {
                &[Permission::SeePostbacks]
            }
            _ => &[],
        }
    }
}

impl Figures {
    /// Value of a metric.
    #[must_use]
    pub fn value(&self, metric: Metric) -> Value {
        let per_click = self.rate_clicks();
        match metric {
            Metric::Clicks => Value::Count(self.clicks),
            Metric::ValidClicks => Value::Count(self.valid_clicks()),
            Metric::UniqueClicks => Value::Count(self.unique_clicks),
            Metric::InvalidClicks => Value::Count(self.invalid_clicks),
            Metric::Conversions => Value::Count(self.conversions()),
            Metric::ConversionRate => Value::Ratio(self.conversion_rate()),
            Metric::Pending => Value::Count(self.pending),
            Metric::Approved => Value::Count(self.approved),
            Metric::Rejected => Value::Count(self.rejected),
            Metric::ApprovalRate => Value::Ratio(ratio(self.approved, self.approved + self.rejected)),
            Metric::RejectionRate => Value::Ratio(ratio(self.rejected, self.approved + self.rejected)),
            Metric::TimeToConversion => Value::Duration(quantile(&self.times, 50)),
            Metric::TimeToConversionP90 => Value::Duration(quantile(&self.times, 90)),
            Metric::Amount => Value::Money(self.sums(|sums| sums.amount_micros)),
            Metric::AverageOrder => {
                Value::Money(self.per(1, |sums| sums.conversions, |sums| sums.amount_micros))
            }
            Metric::Commission => Value::Money(self.commission()),
            Metric::EarningsPerClick => {
                Value::Money(self.per(100, |_| per_click, |sums| sums.commission_micros))
            }
            Metric::Revenue => Value::Money(self.revenue()),
            Metric::RevenuePerClick => Value::Money(self.per(100, |_| per_click, |sums| sums.revenue_micros)),
            Metric::Margin => {
                Value::Money(self.sums(|sums| sums.revenue_micros.saturating_sub(sums.commission_micros)))
            }
            Metric::StepRate => Value::Ratio(self.base_step.and_then(|base| ratio(self.conversions(), base))),
            Metric::StepTime => Value::Duration(quantile(&self.step_times, 50)),
            Metric::PostbacksReceived => Value::Count(self.postbacks.received),
            Metric::PostbacksRejected => Value::Count(self.postbacks.rejected),
            Metric::PostbacksHeld => Value::Count(self.postbacks.held),
        }
    }
}

#[cfg(test)]
mod tests {
    use schema::Currency;

    use super::*;
    use crate::Sums;

    #[test]
    fn rates_and_averages_follow_their_formulas() {
        let mut figures = Figures {
            clicks: 12,
            invalid_clicks: 2,
            pending: 1,
            approved: 3,
            rejected: 1,
            times: vec![50, 10, 40, 20, 30],
            ..Figures::default()
        };
        let eur: Currency = "EUR".parse().unwrap();
        let sums = Sums {
            conversions: 4,
            amount_micros: 100_000_001,
            commission_micros: 10_000_000,
            revenue_micros: 15_000_000,
        };
        figures.money.insert(eur, sums);
        let money = |metric| match figures.value(metric) {
            Value::Money(sums) => sums.iter().map(|sum| sum.micros).collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        assert_eq!(figures.value(Metric::ConversionRate), Value::Ratio(Some(0.4)));
        assert_eq!(figures.value(Metric::ApprovalRate), Value::Ratio(Some(0.75)));
        assert_eq!(figures.value(Metric::TimeToConversion), Value::Duration(Some(30)));
        assert_eq!(
            figures.value(Metric::TimeToConversionP90),
            Value::Duration(Some(50))
        );
        assert_eq!(
            Figures::default().value(Metric::TimeToConversion),
            Value::Duration(None)
        );
        assert_eq!(money(Metric::AverageOrder), [25_000_000]);
        assert_eq!(money(Metric::EarningsPerClick), [1_000_000]);
        assert_eq!(money(Metric::Margin), [5_000_000]);
        assert_eq!(
            Figures::default().value(Metric::ConversionRate),
            Value::Ratio(None)
        );
        assert_eq!(
            (
                Metric::Clicks.unit(),
                Metric::ApprovalRate.unit(),
                Metric::Margin.unit()
            ),
            ("count", "ratio", "money")
        );
    }
}
