//! Verdicts: what became of a postback and why, in one table of reasons.

use dialects::{AnswerFormat, Problem, Status};
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
    /// The conversion was changed as the postback asks.
    Updated,
    /// The conversion is already as the postback asks.
    Unchanged,
    /// The network ignores this status.
    StatusIgnored,
    /// A test came through whole; nothing is paid.
    TestAccepted,
    /// Recorded, but unpaid: a cap is reached.
    CapReached,
    /// Recorded, but unpaid: it came through a click that the campaign did not want.
    NotTargeted,
    /// Recorded, and pending until somebody of the network has looked.
    HeldForReview,
    /// It waits for a conversion of the parent goal.
    WaitingForParent,
    /// It waits for the conversion it changes.
    WaitingForConversion,
    /// It waits for an earlier conversion of its customer.
    WaitingForCustomer,
    /// It waits for its click to be stored.
    WaitingForClick,
    /// No click id.
    ClickIdMissing,
    /// A placeholder instead of a value.
    MacroUnreplaced,
    /// A click id we never gave out.
    ClickNotFound,
    /// The click is too old.
    ClickExpired,
    /// The click is younger than the campaign allows.
    TooFast,
    /// A test call about a live click.
    WrongMode,
    /// The click belongs to a campaign of another advertiser.
    WrongCampaign,
    /// The campaign has no such goal.
    GoalUnknown,
    /// The time to wait for the parent goal is over.
    ParentMissing,
    /// The goal counts only so many times after its parent.
    ParentExhausted,
    /// There is no conversion to change.
    ConversionNotFound,
    /// Nobody has this coupon.
    CouponUnknown,
    /// No affiliate is called so.
    AffiliateUnknown,
    /// The campaign is being set up, or has ended.
    CampaignInactive,
    /// The network has paused the advertiser.
    AdvertiserPaused,
    /// The network has blocked the affiliate of the click.
    AffiliateBlocked,
    /// The network itself is suspended.
    NetworkSuspended,
    /// The goal is unique by order and no order id came.
    OrderIdMissing,
    /// The goal is unique by customer and no customer id came.
    CustomerIdMissing,
    /// The goal demands a parameter that did not come.
    ParamMissing,
    /// The goal forbids a parameter that came.
    ParamForbidden,
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
    /// The token was replaced, and the time in which both were taken is over.
    TokenExpired,
    /// The call must be signed and is not.
    SignatureMissing,
    /// The signature does not fit the call.
    SignatureInvalid,
    /// The time of the signature is too far from ours.
    TimestampSkew,
    /// Calls may not come from this address.
    IpNotAllowed,
    /// Calls must come over https.
    HttpsRequired,
    /// A browser says more than that there was an order.
    ReportOnly,
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
    pub const ALL: [Self; 61] = [
        Self::Accepted,
        Self::DuplicateOrder,
        Self::DuplicateConflict,
        Self::GoalOnce,
        Self::Updated,
        Self::Unchanged,
        Self::StatusIgnored,
        Self::TestAccepted,
        Self::CapReached,
        Self::NotTargeted,
        Self::HeldForReview,
        Self::WaitingForParent,
        Self::WaitingForConversion,
        Self::WaitingForCustomer,
        Self::WaitingForClick,
        Self::ClickIdMissing,
        Self::MacroUnreplaced,
        Self::ClickNotFound,
        Self::ClickExpired,
        Self::TooFast,
        Self::WrongMode,
        Self::WrongCampaign,
        Self::GoalUnknown,
        Self::ParentMissing,
        Self::ParentExhausted,
        Self::ConversionNotFound,
        Self::CouponUnknown,
        Self::AffiliateUnknown,
        Self::CampaignInactive,
        Self::AdvertiserPaused,
        Self::AffiliateBlocked,
        Self::NetworkSuspended,
        Self::OrderIdMissing,
        Self::CustomerIdMissing,
        Self::ParamMissing,
        Self::ParamForbidden,
        Self::AmountMissing,
        Self::AmountInvalid,
        Self::CurrencyUnknown,
        Self::CurrencyMismatch,
        Self::TokenMissing,
        Self::TokenInvalid,
        Self::TokenExpired,
        Self::SignatureMissing,
        Self::SignatureInvalid,
        Self::TimestampSkew,
        Self::IpNotAllowed,
        Self::HttpsRequired,
        Self::ReportOnly,
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
        use Status::{Accepted, Duplicate, Held, Queued, Rejected, Unavailable};
        match self {
            Self::Accepted => Line("accepted", Accepted, 200, "The conversion was recorded.", "Nothing to do."),
            Self::DuplicateOrder => Line("duplicate_order", Duplicate, 200, "This order was recorded before.", "Nothing to do; repeating a call is safe."),
            Self::DuplicateConflict => Line("duplicate_conflict", Duplicate, 200, "This order was recorded before, with other values. The first ones stand.", "Send each order once with its final values, or use a new order_id for a new order."),
            Self::GoalOnce => Line("goal_once", Duplicate, 200, "This click has reached the goal before, and the goal counts once per click.", "Nothing to do; repeating a call is safe."),
            Self::Updated => Line("updated", Accepted, 200, "The conversion was changed.", "Nothing to do."),
            Self::Unchanged => Line("unchanged", Duplicate, 200, "The conversion is already as this call asks.", "Nothing to do; repeating a call is safe."),
            Self::StatusIgnored => Line("status_ignored", Duplicate, 200, "The network ignores calls with this status.", "Nothing to do."),
            Self::TestAccepted => Line("test_accepted", Accepted, 200, "The test came through whole. Nothing is paid for tests.", "Nothing to do; send a second test with another order to go live."),
            Self::CapReached => Line("cap_reached", Accepted, 200, "The conversion was recorded, but is not paid: the campaign has had as many as it wants.", "Nothing to do, or ask the network for a higher cap."),
            Self::NotTargeted => Line("not_targeted", Accepted, 200, "The conversion was recorded, but is not paid: the campaign did not want this visitor when they clicked.", "Nothing to do, or ask the network to widen the campaign's targeting."),
            Self::HeldForReview => Line("held_for_review", Held, 202, "The conversion was recorded; somebody of the network looks at it before it is approved.", "Nothing to do: the network decides."),
            Self::WaitingForParent => Line("waiting_for_parent", Held, 202, "The goal before this one has not been reached yet; the call waits for it.", "Nothing to do: it is decided when the earlier call arrives."),
            Self::WaitingForConversion => Line("waiting_for_conversion", Held, 202, "The order that this call changes has not arrived yet; the call waits for it.", "Nothing to do: it is decided when the order arrives."),
            Self::WaitingForCustomer => Line("waiting_for_customer", Held, 202, "Nothing is known of this customer yet; the call waits for their first conversion.", "Nothing to do: it is decided when the customer's earlier call arrives."),
            Self::WaitingForClick => Line("waiting_for_click", Held, 202, "What this pays depends on the click, which is being stored; the call waits for it.", "Nothing to do: it is decided within a minute."),
            Self::ClickIdMissing => Line("click_id_missing", Rejected, 400, "click_id is missing or empty.", "Keep the click_id that the landing page receives, and send it with the order."),
            Self::MacroUnreplaced => Line("macro_unreplaced", Rejected, 400, "A value is still a placeholder.", "Put the real value into the call before sending it."),
            Self::ClickNotFound => Line("click_not_found", Rejected, 422, "We gave out no click with this click_id.", "Send click_id exactly as the landing page received it."),
            Self::ClickExpired => Line("click_expired", Rejected, 422, "The click is older than the campaign allows.", "Nothing to do, or ask the network for a longer attribution window."),
            Self::TooFast => Line("too_fast", Rejected, 422, "The click is younger than the campaign allows: nobody buys that fast.", "Nothing to do, or ask the network for a shorter minimum."),
            Self::WrongMode => Line("wrong_mode", Rejected, 422, "The call is marked as a test, and its click came through a live link.", "Test with the test link of the campaign, or leave the test mark out."),
            Self::WrongCampaign => Line("wrong_campaign", Rejected, 422, "The click belongs to a campaign of another advertiser.", "Send the click_id of the visitor who came for your own campaign, with your own token."),
            Self::GoalUnknown => Line("goal_unknown", Rejected, 422, "The campaign has no such goal.", "Send the code of one of the campaign's goals."),
            Self::ParentMissing => Line("parent_missing", Rejected, 422, "The goal before this one was not reached in time.", "Send the earlier goal's call, then this one again."),
            Self::ParentExhausted => Line("parent_exhausted", Rejected, 422, "The goal has counted as often as it may after the one before it.", "Nothing to do, or ask the network to pay more repetitions."),
            Self::ConversionNotFound => Line("conversion_not_found", Rejected, 422, "There is no conversion that this call could change.", "Send the order first, with the same order_id and goal."),
            Self::CouponUnknown => Line("coupon_unknown", Rejected, 422, "No affiliate has this coupon code, and the call names no click.", "Ask the network to enter the code, then send the call again."),
            Self::AffiliateUnknown => Line("affiliate_unknown", Rejected, 422, "No affiliate of the network with a link to your campaign is called so.", "Send the affiliate's key as the network gave it to you."),
            Self::CampaignInactive => Line("campaign_inactive", Rejected, 422, "The campaign is being set up, or has ended.", "Ask the network to make the campaign live, then send the call again."),
            Self::AdvertiserPaused => Line("advertiser_paused", Rejected, 422, "The network has paused the advertiser, so no new order counts.", "Ask the network; when the advertiser is active again, the call can be replayed."),
            Self::AffiliateBlocked => Line("affiliate_blocked", Rejected, 422, "The network has blocked the affiliate who sent this visitor.", "Nothing to do, or ask the network about the affiliate."),
            Self::NetworkSuspended => Line("network_suspended", Rejected, 403, "The network is suspended, so nothing counts; the call was kept.", "Ask the network; when it is resumed, send the call again."),
            Self::OrderIdMissing => Line("order_id_missing", Rejected, 400, "order_id is missing or empty, and the goal counts each order once.", "Send your own id of the order as order_id."),
            Self::CustomerIdMissing => Line("customer_id_missing", Rejected, 400, "customer_id is missing or empty, and the goal counts each customer once.", "Send your own id of the customer as customer_id."),
            Self::ParamMissing => Line("param_missing", Rejected, 400, "The goal demands a parameter that did not come.", "Send it, or ask the network not to demand it."),
            Self::ParamForbidden => Line("param_forbidden", Rejected, 400, "The goal forbids a parameter that came.", "Leave it out."),
            Self::AmountMissing => Line("amount_missing", Rejected, 400, "amount is missing or empty, and the goal pays a share of it.", "Send the order's amount; 0 is an amount."),
            Self::AmountInvalid => Line("amount_invalid", Rejected, 400, "amount is not a plain decimal number.", "Send digits with at most one decimal point: 12.50."),
            Self::CurrencyUnknown => Line("currency_unknown", Rejected, 400, "currency is not a code of ISO 4217.", "Send three capital letters, such as EUR."),
            Self::CurrencyMismatch => Line("currency_mismatch", Rejected, 422, "The goal pays a fixed sum in the campaign's currency, and the order is in another.", "Send the amount in the campaign's currency, or ask the network to pay a percentage."),
            Self::TokenMissing => Line("token_missing", Rejected, 401, "token is missing or empty.", "Send the token the network gave you."),
            Self::TokenInvalid => Line("token_invalid", Rejected, 401, "Nobody has this token; it may have been replaced.", "Send the newest token the network gave you, to the very address it gave you with it."),
            Self::TokenExpired => Line("token_expired", Rejected, 401, "This token was replaced, and the time in which both were taken is over.", "Send the newest token the network gave you."),
            Self::SignatureMissing => Line("signature_missing", Rejected, 401, "The call must be signed and carries no signature or no time.", "Sign the call as the integration page shows."),
            Self::SignatureInvalid => Line("signature_invalid", Rejected, 401, "The signature does not fit the call.", "Sign exactly what you send, with the newest signing secret."),
            Self::TimestampSkew => Line("timestamp_skew", Rejected, 401, "The time of the signature is too far from ours.", "Set your server's clock, and sign each attempt anew."),
            Self::IpNotAllowed => Line("ip_not_allowed", Rejected, 403, "Calls may not come from this address.", "Ask the network to add the address of your server."),
            Self::HttpsRequired => Line("https_required", Rejected, 400, "The call came over plain http, and the integration demands https.", "Send the call to the same address with https, and ask the network for a new token: this one could be read on the way."),
            Self::ReportOnly => Line("report_only", Rejected, 403, "A browser may report an order and nothing else: anybody could have sent this.", "Send statuses, changes, refunds and commissions from your server."),
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

/// A verdict as it is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The verdict.
    pub verdict: Verdict,
    /// Whether it is of a test.
    pub is_test: bool,
    /// In whose voice; as the sender's system answers where nobody set anything.
    pub format: AnswerFormat,
}

impl Told {
    /// A verdict on a call of which nothing else is known.
    #[must_use]
    pub fn plainly(verdict: Verdict) -> Self {
        Self {
            verdict,
            is_test: false,
            format: AnswerFormat::Dialect,
        }
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
            Problem::Body { .. } | Problem::Malformed { .. } => Reason::BodyUnparseable,
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
                Status::Held => 202..203,
                Status::Queued => 202..203,
                Status::Unavailable => 503..504,
            };
            assert!(expected.contains(&reason.http_status()), "{reason:?}");
        }
    }
}
