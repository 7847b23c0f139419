//! Verdicts: what became of a postback and why, in one table of reasons.

use dialects::{Problem, Status};
use schema::ConversionId;

/// Why a postback got the verdict it got. The codes never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A conversion was made.
    Accepted,
    /// The order had been counted, with the same values.
    DuplicateOrder,
    /// The order had been counted, with other values.
    DuplicateConflict,
    /// The click had reached the goal, and the goal counts once per click.
    GoalOnce,
    /// No click id.
    ClickIdMissing,
    /// A placeholder instead of a value.
    MacroUnreplaced,
    /// A click id we never gave out.
    ClickNotFound,
    /// The click is too old.
    ClickExpired,
    /// The click belongs to a campaign of another advertiser.
    WrongCampaign,
    /// The campaign has no such goal.
    GoalUnknown,
    /// The campaign is paused.
    CampaignInactive,
    /// The network has blocked the affiliate of the click.
    AffiliateBlocked,
    /// The network itself is suspended.
    NetworkSuspended,
    /// The goal is unique by order and no order id came.
    OrderIdMissing,
    /// The goal pays a share of an amount and none came.
    AmountMissing,
    /// The amount is not a plain decimal.
    AmountInvalid,
    /// Not a currency of ISO 4217.
    CurrencyUnknown,
    /// The goal pays a fixed sum in another currency.
    CurrencyMismatch,
    /// No token.
    TokenMissing,
    /// Nobody has this token.
    TokenInvalid,
    /// A value does not decode.
    ParamUndecodable,
    /// A parameter came twice.
    ParamRepeated,
    /// A value is too long.
    ParamTooLong,
    /// Too many parameters.
    TooManyParams,
    /// The body is no form and no JSON object.
    BodyUnparseable,
    /// The body is too large.
    BodyTooLarge,
    /// The body did not arrive in time or was cut off.
    BodyIncomplete,
    /// The request target is too long.
    UrlTooLong,
    /// The host the call came to is nobody's.
    UnknownHost,
    /// The network gets more postbacks than it may.
    RateLimited,
    /// It is on disk and will be decided as soon as the database answers.
    Queued,
    /// Our own fault.
    Unavailable,
}

/// One line of the table: code, status, HTTP status, what it means, what to do.
struct Line(&'static str, Status, u16, &'static str, &'static str);

impl Reason {
    /// Every reason, in the order of the documentation.
    pub const ALL: [Self; 32] = [
        Self::Accepted,
        Self::DuplicateOrder,
        Self::DuplicateConflict,
        Self::GoalOnce,
        Self::ClickIdMissing,
        Self::MacroUnreplaced,
        Self::ClickNotFound,
        Self::ClickExpired,
        Self::WrongCampaign,
        Self::GoalUnknown,
        Self::CampaignInactive,
        Self::AffiliateBlocked,
        Self::NetworkSuspended,
        Self::OrderIdMissing,
        Self::AmountMissing,
        Self::AmountInvalid,
        Self::CurrencyUnknown,
        Self::CurrencyMismatch,
        Self::TokenMissing,
        Self::TokenInvalid,
        Self::ParamUndecodable,
        Self::ParamRepeated,
        Self::ParamTooLong,
        Self::TooManyParams,
        Self::BodyUnparseable,
        Self::BodyTooLarge,
        Self::BodyIncomplete,
        Self::UrlTooLong,
        Self::UnknownHost,
        Self::RateLimited,
        Self::Queued,
        Self::Unavailable,
    ];

    #[rustfmt::skip]
    fn line(self) -> Line {
        use Status::{Accepted, Duplicate, Queued, Rejected, Unavailable};
        match self {
            Self::Accepted => Line("accepted", Accepted, 200, "The conversion was recorded.", "Nothing to do."),
            Self::DuplicateOrder => Line("duplicate_order", Duplicate, 200, "This order was recorded before.", "Nothing to do; repeating a call is safe."),
            Self::DuplicateConflict => Line("duplicate_conflict", Duplicate, 200, "This order was recorded before, with other values. The first ones stand.", "Send each order once with its final values, or use a new order_id for a new order."),
            Self::GoalOnce => Line("goal_once", Duplicate, 200, "This click has reached the goal before, and the goal counts once per click.", "Nothing to do; repeating a call is safe."),
            Self::ClickIdMissing => Line("click_id_missing", Rejected, 400, "click_id is missing or empty.", "Keep the click_id that the landing page receives, and send it with the order."),
            Self::MacroUnreplaced => Line("macro_unreplaced", Rejected, 400, "A value is still a placeholder.", "Put the real value into the call before sending it."),
            Self::ClickNotFound => Line("click_not_found", Rejected, 422, "We gave out no click with this click_id.", "Send click_id exactly as the landing page received it."),
            Self::ClickExpired => Line("click_expired", Rejected, 422, "The click is older than the campaign allows.", "Nothing to do, or ask the network for a longer attribution window."),
            Self::WrongCampaign => Line("wrong_campaign", Rejected, 422, "The click belongs to a campaign of another advertiser.", "Send the click_id of the visitor who came for your own campaign, with your own token."),
            Self::GoalUnknown => Line("goal_unknown", Rejected, 422, "The campaign has no such goal.", "Send the code of one of the campaign's goals."),
            Self::CampaignInactive => Line("campaign_inactive", Rejected, 422, "The campaign is paused.", "Ask the network to resume the campaign, then send the call again."),
            Self::AffiliateBlocked => Line("affiliate_blocked", Rejected, 422, "The network has blocked the affiliate who sent this visitor.", "Nothing to do, or ask the network about the affiliate."),
            Self::NetworkSuspended => Line("network_suspended", Rejected, 403, "The network is suspended, so nothing counts; the call was kept.", "Ask the network; when it is resumed, send the call again."),
            Self::OrderIdMissing => Line("order_id_missing", Rejected, 400, "order_id is missing or empty, and the goal counts each order once.", "Send your own id of the order as order_id."),
            Self::AmountMissing => Line("amount_missing", Rejected, 400, "amount is missing or empty, and the goal pays a share of it.", "Send the order's amount; 0 is an amount."),
            Self::AmountInvalid => Line("amount_invalid", Rejected, 400, "amount is not a plain decimal number.", "Send digits with at most one decimal point: 12.50."),
            Self::CurrencyUnknown => Line("currency_unknown", Rejected, 400, "currency is not a code of ISO 4217.", "Send three capital letters, such as EUR."),
            Self::CurrencyMismatch => Line("currency_mismatch", Rejected, 422, "The goal pays a fixed sum in the campaign's currency, and the order is in another.", "Send the amount in the campaign's currency, or ask the network to pay a percentage."),
            Self::TokenMissing => Line("token_missing", Rejected, 401, "token is missing or empty.", "Send the token the network gave you."),
            Self::TokenInvalid => Line("token_invalid", Rejected, 401, "Nobody has this token; it may have been replaced.", "Send the newest token the network gave you, to the very address it gave you with it."),
            Self::ParamUndecodable => Line("param_undecodable", Rejected, 400, "A value is not percent-encoded UTF-8 text.", "Encode each value once with your language's URL encoder."),
            Self::ParamRepeated => Line("param_repeated", Rejected, 400, "A parameter was sent more than once.", "Send each parameter once, in the query or in the body."),
            Self::ParamTooLong => Line("param_too_long", Rejected, 400, "A value is longer than its limit.", "Send a shorter value."),
            Self::TooManyParams => Line("too_many_params", Rejected, 400, "There are more than 100 parameters.", "Send only the parameters you need."),
            Self::BodyUnparseable => Line("body_unparseable", Rejected, 400, "The body is neither a form nor a JSON object.", "Send application/x-www-form-urlencoded, or application/json with one flat object."),
            Self::BodyTooLarge => Line("body_too_large", Rejected, 413, "The body has more than 64 KiB.", "Send only the parameters you need."),
            Self::BodyIncomplete => Line("body_incomplete", Rejected, 408, "The body did not arrive whole within 10 seconds.", "Send the call again."),
            Self::UrlTooLong => Line("url_too_long", Rejected, 414, "The URL has more than 8 KiB.", "Send long values in the body of a POST."),
            Self::UnknownHost => Line("unknown_host", Rejected, 404, "This host belongs to no network, so nothing was kept.", "Call the tracking host of your network, as in the URL you were given."),
            Self::RateLimited => Line("rate_limited", Rejected, 429, "The network gets more postbacks per second than it may, so this one was not kept.", "Send the call again after the time in Retry-After; repeating it is safe."),
            Self::Queued => Line("queued", Queued, 202, "The postback is stored safely; its verdict follows.", "Nothing to do: look the receipt up later. Repeating the call is safe."),
            Self::Unavailable => Line("unavailable", Unavailable, 503, "We could not confirm that the postback was stored, through our own fault.", "Send the call again after the time in Retry-After; repeating it is safe."),
        }
    }

    /// The code in answers, lists and filters.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.line().0
    }

    /// The reason with this code.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// What became of the postback.
    #[must_use]
    pub fn status(self) -> Status {
        self.line().1
    }

    /// Whether a call that gets it is kept, and can be looked at.
    #[must_use]
    pub fn is_kept(self) -> bool {
        !matches!(self, Self::UnknownHost | Self::RateLimited | Self::Unavailable)
    }

    /// Status of the HTTP answer.
    #[must_use]
    pub fn http_status(self) -> u16 {
        self.line().2
    }

    /// What it means, in a sentence.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.line().3
    }

    /// What the sender should do.
    #[must_use]
    pub fn fix(self) -> &'static str {
        self.line().4
    }
}

/// A reason with the words for this one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Why.
    pub reason: Reason,
    /// What happened, in a sentence.
    pub message: String,
    /// What to do; none where there is nothing to do.
    pub hint: Option<String>,
    /// The conversion made, or the first one for a duplicate.
    pub conversion_id: Option<ConversionId>,
}

impl Verdict {
    /// A verdict in the reason's own words.
    #[must_use]
    pub fn of(reason: Reason) -> Self {
        Self::saying(reason, reason.meaning())
    }

    /// A verdict with a sentence of its own, and the reason's advice.
    #[must_use]
    pub fn saying(reason: Reason, message: impl Into<String>) -> Self {
        let hint = matches!(reason.status(), Status::Rejected | Status::Unavailable)
            .then(|| reason.fix().to_owned());
        Self {
            reason,
            message: message.into(),
            hint,
            conversion_id: None,
        }
    }

    /// The same with other advice.
    #[must_use]
    pub fn advising(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// The same, about this conversion.
    #[must_use]
    pub fn about(self, conversion_id: ConversionId) -> Self {
        Self {
            conversion_id: Some(conversion_id),
            ..self
        }
    }
}

impl From<Problem> for Verdict {
    fn from(problem: Problem) -> Self {
        let reason = match problem {
            Problem::Undecodable { .. } | Problem::Nul { .. } => Reason::ParamUndecodable,
            Problem::Repeated { .. } => Reason::ParamRepeated,
            Problem::TooLong { .. } => Reason::ParamTooLong,
            Problem::TooMany { .. } => Reason::TooManyParams,
            Problem::Body { .. } => Reason::BodyUnparseable,
            Problem::Amount { .. } => Reason::AmountInvalid,
            Problem::MacroUnreplaced { .. } => Reason::MacroUnreplaced,
        };
        Self::saying(reason, problem.message()).advising(problem.hint())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_a_code_of_its_own_and_an_honest_status() {
        let codes: HashSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            let expected = match reason.status() {
                Status::Accepted | Status::Duplicate => 200..300,
                Status::Rejected => 400..500,
                Status::Queued => 202..203,
                Status::Unavailable => 503..504,
            };
            assert!(expected.contains(&reason.http_status()), "{reason:?}");
        }
    }
}
