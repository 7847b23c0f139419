//! Labels of words from closed sets, for select fields and tables.

use campaigns::campaigns::{Access, CampaignStatus};
use campaigns::caps::{CapPeriod, Metric};
use campaigns::goals::{GoalKind, UniqueBy};
use campaigns::integrations::AnswerFormat;
use conversions::ReasonCode;

pub(crate) fn campaign_status(status: CampaignStatus) -> &'static str {
    match status {
        CampaignStatus::Draft => "Draft",
        CampaignStatus::Testing => "Testing",
        CampaignStatus::Live => "Live",
        CampaignStatus::Paused => "Paused",
        CampaignStatus::Ended => "Ended",
    }
}

/// Access of affiliates to a campaign.
pub(crate) fn access(access: Access) -> &'static str {
    match access {
        Access::Open => "Public",
        Access::Approval => "Approval required",
        Access::Private => "Private (invite only)",
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

/// Format of the responses to an integration's postbacks.
pub(crate) fn response_format(format: AnswerFormat) -> &'static str {
    match format {
        AnswerFormat::Dialect => "Same as sender’s platform",
        AnswerFormat::Ours => "Clickledger JSON",
        AnswerFormat::AlwaysOk => "Always 200",
        AnswerFormat::Gif => "1×1 GIF",
    }
}
