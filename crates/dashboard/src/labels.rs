//! Labels of words from closed sets, for select fields and tables.

use campaigns::campaigns::{Access, CampaignStatus};
use campaigns::caps::{CapPeriod, Metric};
use campaigns::goals::{GoalKind, UniqueBy};
use campaigns::integrations::AnswerFormat;
use conversions::ReasonCode;

/// Status of a campaign, and what it means for links.
pub(crate) fn campaign_status(status: CampaignStatus) -> (&'static str, &'static str) {
    match status {
        CampaignStatus::Draft => ("Draft", "Links are inactive."),
        CampaignStatus::Testing => ("Testing", "Test links only, without commission."),
        CampaignStatus::Live => ("Live", "All links redirect, and conversions pay."),
        CampaignStatus::Paused => ("Paused", "Visitors see a notice; earlier clicks still convert."),
        CampaignStatus::Ended => ("Ended", "Links are inactive, and nothing converts."),
    }
}

/// Access of affiliates to a campaign.
pub(crate) fn access(access: Access) -> (&'static str, &'static str) {
    match access {
        Access::Open => ("Public", "Every affiliate."),
        Access::Approval => ("Approval required", "Affiliates whose application you approve."),
        Access::Private => ("Private", "Affiliates whom you add."),
    }
}

/// Reason for a correction of a conversion.
pub(crate) fn reason(code: ReasonCode) -> &'static str {
    match code {
        ReasonCode::Returned => "Cancelled or returned",
        ReasonCode::PaymentFailed => "Payment failed",
        ReasonCode::Test => "Test order",
        ReasonCode::Duplicate => "Duplicate order",
        ReasonCode::OtherChannel => "Other channel credited",
        ReasonCode::Voucher => "Voucher not allowed",
        ReasonCode::TermsBroken => "Terms broken",
        ReasonCode::Fraud => "Fraud",
        ReasonCode::Agreement => "By agreement",
        ReasonCode::Correction => "Correction of an error",
    }
}

pub(crate) fn cap_metric(metric: Metric) -> &'static str {
    match metric {
        Metric::Clicks => "Clicks",
        Metric::Conversions => "Conversions",
        Metric::Commission => "Commission",
        Metric::Revenue => "Revenue",
    }
}

pub(crate) fn cap_period(period: CapPeriod) -> &'static str {
    match period {
        CapPeriod::Day => "Day",
        CapPeriod::Month => "Month",
        CapPeriod::Total => "Total",
    }
}

pub(crate) fn goal_kind(kind: GoalKind) -> &'static str {
    match kind {
        GoalKind::Lead => "Lead",
        GoalKind::Sale => "Sale",
        GoalKind::Install => "Install",
        GoalKind::Deposit => "Deposit",
        GoalKind::Custom => "Custom",
    }
}

/// Key that deduplicates the conversions of a goal.
pub(crate) fn unique_by(unique_by: UniqueBy) -> &'static str {
    match unique_by {
        UniqueBy::Order => "Order ID",
        UniqueBy::Click => "Click",
        UniqueBy::Customer => "Customer",
        UniqueBy::Fire => "None",
    }
}

/// The same with its meaning.
pub(crate) fn deduplication(key: UniqueBy) -> (&'static str, &'static str) {
    let meaning = match key {
        UniqueBy::Order => "Each order counts once.",
        UniqueBy::Click => "One conversion per click.",
        UniqueBy::Customer => "Each customer ID counts once.",
        UniqueBy::Fire => "Every postback counts, unless it repeats an order ID.",
    };
    (unique_by(key), meaning)
}

/// Kind of goal with the settings that the form of a new one begins with.
pub(crate) fn preset(kind: GoalKind) -> (&'static str, &'static str) {
    let settings = match kind {
        GoalKind::Sale => "Once per order; approved after 30 days for returns",
        GoalKind::Lead => "Once per customer; you approve each",
        GoalKind::Install => "Once per click; approved at once",
        GoalKind::Deposit => "First deposit of a customer; approved at once",
        GoalKind::Custom => "Nothing is filled in",
    };
    (goal_kind(kind), settings)
}

/// Format of the responses to an integration's postbacks.
pub(crate) fn response_format(format: AnswerFormat) -> &'static str {
    match format {
        AnswerFormat::Dialect => "Same as sender’s platform",
        AnswerFormat::Ours => "Clickledger JSON",
        AnswerFormat::AlwaysOk => "Always 200",
        AnswerFormat::Gif => "1×1 GIF",
    }
}
