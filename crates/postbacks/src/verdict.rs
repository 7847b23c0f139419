//! Verdicts: the result of a postback and its reason, in one table of reasons.

use dialects::{AnswerFormat, Dialect, Problem, Status};
use schema::ConversionId;

/// Reason of a verdict. The codes never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A conversion was recorded.
    Accepted,
    /// The order was recorded before, with the same values.
    DuplicateOrder,
    /// The order was recorded before, with other values.
    DuplicateConflict,
    /// The click reached the goal before, and the goal counts once per click.
    GoalOnce,
    /// The conversion was updated.
    Updated,
    /// The conversion already has the requested state.
    Unchanged,
    /// The network ignores this status.
    StatusIgnored,
    /// The sender credits another sales channel.
    OtherChannel,
    /// The status of an order that exists is not understood.
    StatusUnknown,
    /// A test conversion was recorded; it never pays.
    TestAccepted,
    /// Recorded, but unpaid: a cap is reached.
    CapReached,
    /// Recorded, but unpaid: the click did not match the targeting.
    NotTargeted,
    /// Recorded, and pending until a user of the network reviews it.
    HeldForReview,
    /// Held until the parent goal is reached.
    WaitingForParent,
    /// Held until the conversion that it updates exists.
    WaitingForConversion,
    /// Held until the customer has a conversion.
    WaitingForCustomer,
    /// Held until its click is stored.
    WaitingForClick,
    /// The click ID is missing.
    ClickIdMissing,
    /// A value is an unreplaced placeholder.
    MacroUnreplaced,
    /// The click ID is not one of ours.
    ClickNotFound,
    /// The click is older than the attribution window.
    ClickExpired,
    /// The click is younger than the campaign allows.
    TooFast,
    /// A test postback names a live click.
    WrongMode,
    /// The click belongs to a campaign of another advertiser.
    WrongCampaign,
    /// The campaign has no such goal.
    GoalUnknown,
    /// The parent goal was not reached in time.
    ParentMissing,
    /// The goal has no conversions left after its parent.
    ParentExhausted,
    /// No conversion matches the update.
    ConversionNotFound,
    /// No affiliate has this coupon.
    CouponUnknown,
    /// No affiliate has this key.
    AffiliateUnknown,
    /// The campaign is being set up, or has ended.
    CampaignInactive,
    /// The network has paused the advertiser.
    AdvertiserPaused,
    /// The network has blocked the affiliate of the click.
    AffiliateBlocked,
    /// The network itself is suspended.
    NetworkSuspended,
    /// The goal deduplicates by order, and the order ID is missing.
    OrderIdMissing,
    /// The goal deduplicates by customer, and the customer ID is missing.
    CustomerIdMissing,
    /// A parameter that the goal requires is missing.
    ParamMissing,
    /// A parameter was sent that the goal forbids.
    ParamForbidden,
    /// The goal pays a percentage, and the amount is missing.
    AmountMissing,
    /// The amount is not a plain decimal.
    AmountInvalid,
    /// The time of the event is in the future.
    EventTimeInvalid,
    /// The currency is not one of ISO 4217.
    CurrencyUnknown,
    /// The goal pays a fixed sum in another currency.
    CurrencyMismatch,
    /// The token is missing.
    TokenMissing,
    /// No integration has this token.
    TokenInvalid,
    /// The token was replaced, and its overlap is over.
    TokenExpired,
    /// The required signature is missing.
    SignatureMissing,
    /// The signature does not match the request.
    SignatureInvalid,
    /// The timestamp of the signature is outside the tolerance.
    TimestampSkew,
    /// The address of the sender is not allowed.
    IpNotAllowed,
    /// The request did not use the required HTTPS.
    HttpsRequired,
    /// A browser sent more than an order report.
    ReportOnly,
    /// A value does not decode.
    ParamUndecodable,
    /// A parameter was repeated.
    ParamRepeated,
    /// A value is too long.
    ParamTooLong,
    /// Too many parameters.
    TooManyParams,
    /// The body is neither a form nor a JSON object.
    BodyUnparseable,
    /// The body is too large.
    BodyTooLarge,
    /// The body did not arrive completely or in time.
    BodyIncomplete,
    /// The request target is too long.
    UrlTooLong,
    /// The host belongs to no network.
    UnknownHost,
    /// The network exceeded its rate limit.
    RateLimited,
    /// Stored on disk; decided as soon as the database responds.
    Queued,
    /// Stored on disk; Postgres refused to decide it.
    Quarantined,
    /// Failure on our side.
    Unavailable,
}

/// Row of the table: code, status, HTTP status, meaning, fix.
struct Line(&'static str, Status, u16, &'static str, &'static str);

impl Reason {
    /// Every reason, in the order of the documentation.
    pub const ALL: [Self; 65] = [
        Self::Accepted,
        Self::DuplicateOrder,
        Self::DuplicateConflict,
        Self::GoalOnce,
        Self::Updated,
        Self::Unchanged,
        Self::StatusIgnored,
        Self::OtherChannel,
        Self::StatusUnknown,
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
        Self::EventTimeInvalid,
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
        Self::Quarantined,
        Self::Unavailable,
    ];

    #[rustfmt::skip]
    fn line(self) -> Line {
        use Status::{Accepted, Duplicate, Held, Queued, Rejected, Unavailable};
        match self {
            Self::Accepted => Line("accepted", Accepted, 200, "The conversion was recorded.", "Nothing to do."),
            Self::DuplicateOrder => Line("duplicate_order", Duplicate, 200, "This order was recorded before.", "Nothing to do; repeating a postback is safe."),
            Self::DuplicateConflict => Line("duplicate_conflict", Duplicate, 200, "This order was recorded before, with other values. The first values stand.", "Send each order once with its final values, or use a new order_id for a new order."),
            Self::GoalOnce => Line("goal_once", Duplicate, 200, "This click reached the goal before, and the goal counts once per click.", "Nothing to do; repeating a postback is safe."),
            Self::Updated => Line("updated", Accepted, 200, "The conversion was updated.", "Nothing to do."),
            Self::Unchanged => Line("unchanged", Duplicate, 200, "The conversion already has this state.", "Nothing to do; repeating a postback is safe."),
            Self::OtherChannel => Line("other_channel", Duplicate, 200, "The sender credits another sales channel, so no conversion is made.", "Nothing to do; to pay it all the same, the network maps the channel to a status in the integration."),
            Self::StatusUnknown => Line("status_unknown", Rejected, 422, "The status is none that we know, and it changes nothing.", "Send pending, approved or rejected, or ask the network to map your word in the integration."),
            Self::StatusIgnored => Line("status_ignored", Duplicate, 200, "The network ignores postbacks with this status.", "Nothing to do."),
            Self::TestAccepted => Line("test_accepted", Accepted, 200, "Test conversion recorded. Test conversions never pay out.", "Nothing to do; send a second test with another order to go live."),
            Self::CapReached => Line("cap_reached", Accepted, 200, "The conversion was recorded, but is not paid: a cap of the campaign is reached.", "Nothing to do, or ask the network for a higher cap."),
            Self::NotTargeted => Line("not_targeted", Accepted, 200, "The conversion was recorded, but is not paid: the click did not match the campaign's targeting.", "Nothing to do, or ask the network to widen the targeting."),
            Self::HeldForReview => Line("held_for_review", Held, 202, "The conversion was recorded and awaits manual review by the network.", "Nothing to do: the network decides."),
            Self::WaitingForParent => Line("waiting_for_parent", Held, 202, "The parent goal has not been reached yet; the postback is held until it is.", "Nothing to do: it is decided when the postback of the parent goal arrives."),
            Self::WaitingForConversion => Line("waiting_for_conversion", Held, 202, "The order that this postback updates has not arrived yet; the postback is held until it does.", "Nothing to do: it is decided when the order arrives."),
            Self::WaitingForCustomer => Line("waiting_for_customer", Held, 202, "This customer has no conversion yet; the postback is held until it has one.", "Nothing to do: it is decided when the customer's first conversion arrives."),
            Self::WaitingForClick => Line("waiting_for_click", Held, 202, "The commission depends on the click, which is being stored; the postback is held until it is.", "Nothing to do: it is decided within a minute."),
            Self::ClickIdMissing => Line("click_id_missing", Rejected, 400, "click_id is missing.", "Store the click_id that the landing page receives, and send it with the order."),
            Self::MacroUnreplaced => Line("macro_unreplaced", Rejected, 400, "A value is an unreplaced placeholder.", "Replace the placeholder by the real value before sending the postback."),
            Self::ClickNotFound => Line("click_not_found", Rejected, 422, "No click has this click_id.", "Send click_id exactly as the landing page received it."),
            Self::ClickExpired => Line("click_expired", Rejected, 422, "The click is older than the campaign's attribution window.", "Nothing to do, or ask the network for a longer attribution window."),
            Self::TooFast => Line("too_fast", Rejected, 422, "The click is younger than the campaign's minimum click-to-conversion time.", "Nothing to do, or ask the network for a shorter minimum."),
            Self::WrongMode => Line("wrong_mode", Rejected, 422, "The postback is marked as a test, but its click came through a live link.", "Test with the campaign's test link, or remove the test parameter."),
            Self::WrongCampaign => Line("wrong_campaign", Rejected, 422, "The click belongs to a campaign of another advertiser.", "Send the click_id of a visitor of your own campaign, with your own token."),
            Self::GoalUnknown => Line("goal_unknown", Rejected, 422, "The campaign has no such goal.", "Send the code of one of the campaign's goals."),
            Self::ParentMissing => Line("parent_missing", Rejected, 422, "The parent goal was not reached in time.", "Send the postback of the parent goal, then this one again."),
            Self::ParentExhausted => Line("parent_exhausted", Rejected, 422, "The goal has reached its maximum number of conversions after its parent goal.", "Nothing to do, or ask the network for a higher maximum."),
            Self::ConversionNotFound => Line("conversion_not_found", Rejected, 422, "No conversion matches this update.", "Send the order first, with the same order_id and goal."),
            Self::CouponUnknown => Line("coupon_unknown", Rejected, 422, "No affiliate has this coupon code, and the postback has no click_id.", "Ask the network to add the code, then send the postback again."),
            Self::AffiliateUnknown => Line("affiliate_unknown", Rejected, 422, "No affiliate with a link to your campaign has this key.", "Send the affiliate's key as the network gave it to you."),
            Self::CampaignInactive => Line("campaign_inactive", Rejected, 422, "The campaign is a draft, or has ended.", "Ask the network to make the campaign live, then send the postback again."),
            Self::AdvertiserPaused => Line("advertiser_paused", Rejected, 422, "The network has paused the advertiser, so new orders do not count.", "Contact the network; once the advertiser is active again, the postback can be replayed."),
            Self::AffiliateBlocked => Line("affiliate_blocked", Rejected, 422, "The network has blocked the affiliate that sent this visitor.", "Nothing to do, or ask the network about the affiliate."),
            Self::NetworkSuspended => Line("network_suspended", Rejected, 403, "The network is suspended, so nothing counts; the postback was stored.", "Contact the network; once it is resumed, send the postback again."),
            Self::OrderIdMissing => Line("order_id_missing", Rejected, 400, "order_id is missing or empty, and the goal counts each order once.", "Send your order ID as order_id."),
            Self::CustomerIdMissing => Line("customer_id_missing", Rejected, 400, "customer_id is missing or empty, and the goal counts each customer once.", "Send your customer ID as customer_id."),
            Self::ParamMissing => Line("param_missing", Rejected, 400, "A parameter that the goal requires is missing.", "Send the parameter, or ask the network to make it optional."),
            Self::ParamForbidden => Line("param_forbidden", Rejected, 400, "A parameter was sent that the goal forbids.", "Remove the parameter."),
            Self::AmountMissing => Line("amount_missing", Rejected, 400, "amount is missing or empty, and the goal pays a percentage of it.", "Send the order amount; 0 is an amount."),
            Self::AmountInvalid => Line("amount_invalid", Rejected, 400, "amount is not a plain decimal number.", "Send digits with at most one decimal point: 12.50."),
            Self::EventTimeInvalid => Line("event_time_invalid", Rejected, 400, "event_time is in the future.", "Send the time of the event in UTC or with its offset, from a synchronized clock."),
            Self::CurrencyUnknown => Line("currency_unknown", Rejected, 400, "currency is not a code of ISO 4217.", "Send three capital letters, such as EUR."),
            Self::CurrencyMismatch => Line("currency_mismatch", Rejected, 422, "The goal pays a fixed sum in the campaign's currency, but the order is in another currency.", "Send the amount in the campaign's currency, or ask the network to pay a percentage."),
            Self::TokenMissing => Line("token_missing", Rejected, 401, "token is missing or empty.", "Send the token that the network gave you."),
            Self::TokenInvalid => Line("token_invalid", Rejected, 401, "No integration has this token; it may have been replaced.", "Use your current token and the tracking host you were given."),
            Self::TokenExpired => Line("token_expired", Rejected, 401, "This token was replaced and has expired.", "Use your current token."),
            Self::SignatureMissing => Line("signature_missing", Rejected, 401, "The required signature or its timestamp is missing.", "Sign the request as the integration page shows."),
            Self::SignatureInvalid => Line("signature_invalid", Rejected, 401, "The signature does not match the request.", "Sign exactly what you send, with the current signing secret."),
            Self::TimestampSkew => Line("timestamp_skew", Rejected, 401, "The timestamp of the signature is outside the tolerance.", "Synchronize your server's clock, and sign each attempt anew."),
            Self::IpNotAllowed => Line("ip_not_allowed", Rejected, 403, "The address of the sender is not allowed.", "Ask the network to add the address of your server."),
            Self::HttpsRequired => Line("https_required", Rejected, 400, "The postback was sent over HTTP, and the integration requires HTTPS.", "Send the postback to the same URL over HTTPS, and ask the network for a new token: this one was sent unencrypted."),
            Self::ReportOnly => Line("report_only", Rejected, 403, "A sender that is not authenticated may report an order and nothing else: a browser, or a server without token, signature or allowed address.", "Send statuses, updates, refunds and commissions from your server, with the token."),
            Self::ParamUndecodable => Line("param_undecodable", Rejected, 400, "A value is not percent-encoded UTF-8 text.", "Encode each value once with the URL encoder of your language."),
            Self::ParamRepeated => Line("param_repeated", Rejected, 400, "A parameter was sent more than once.", "Send each parameter once, in the query or in the body."),
            Self::ParamTooLong => Line("param_too_long", Rejected, 400, "A value is longer than its limit.", "Send a shorter value."),
            Self::TooManyParams => Line("too_many_params", Rejected, 400, "The postback has more than 100 parameters.", "Send only the parameters you need."),
            Self::BodyUnparseable => Line("body_unparseable", Rejected, 400, "The body is neither a form nor a JSON object.", "Send application/x-www-form-urlencoded, or application/json with one flat object."),
            Self::BodyTooLarge => Line("body_too_large", Rejected, 413, "The body has more than 64 KiB.", "Send only the parameters you need."),
            Self::BodyIncomplete => Line("body_incomplete", Rejected, 408, "The body did not arrive whole within 10 seconds.", "Send the postback again."),
            Self::UrlTooLong => Line("url_too_long", Rejected, 414, "The URL has more than 8 KiB.", "Send long values in the body of a POST."),
            Self::UnknownHost => Line("unknown_host", Rejected, 404, "This host belongs to no network, so the postback was not stored.", "Use the tracking host of your network, as in the URL you were given."),
            Self::RateLimited => Line("rate_limited", Rejected, 429, "The network exceeded its postback rate limit, so this postback was not stored.", "Send the postback again after the time in Retry-After; repeating it is safe."),
            Self::Queued => Line("queued", Queued, 202, "The postback is stored safely; its verdict follows.", "Nothing to do: look up the receipt later. Repeating the postback is safe."),
            Self::Quarantined => Line("quarantined", Unavailable, 503, "The postback is stored safely, but could not be decided because of a failure on our side.", "Nothing to do: the operator of the network is informed, and decides it later."),
            Self::Unavailable => Line("unavailable", Unavailable, 503, "We could not confirm that the postback was stored, because of a failure on our side.", "Send the postback again after the time in Retry-After; repeating it is safe."),
        }
    }

    /// Code in responses, lists and filters.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.line().0
    }

    /// Reason with this code.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// Status of the postback.
    #[must_use]
    pub fn status(self) -> Status {
        self.line().1
    }

    /// True if a postback with it is stored.
    #[must_use]
    pub fn is_stored(self) -> bool {
        !matches!(self, Self::UnknownHost | Self::RateLimited | Self::Unavailable)
    }

    /// True if the sender was refused before anything else was looked up; a replay authenticates it again.
    #[must_use]
    pub fn refuses_sender(self) -> bool {
        matches!(
            self,
            Self::HttpsRequired
                | Self::TokenMissing
                | Self::TokenInvalid
                | Self::TokenExpired
                | Self::SignatureMissing
                | Self::SignatureInvalid
                | Self::TimestampSkew
                | Self::IpNotAllowed
        )
    }

    /// Status of the HTTP response.
    #[must_use]
    pub fn http_status(self) -> u16 {
        self.line().2
    }

    /// Meaning, in a sentence.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.line().3
    }

    /// Instruction for the sender.
    #[must_use]
    pub fn fix(self) -> &'static str {
        self.line().4
    }
}

/// Reply to a postback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Verdict.
    pub verdict: Verdict,
    /// True for a test.
    pub is_test: bool,
    /// Response format of the integration.
    pub format: AnswerFormat,
    /// Values that were understood and are not used, each with the reason.
    pub notes: Vec<String>,
}

impl Reply {
    /// Reply to a postback without a known integration, in the format of its dialect.
    #[must_use]
    pub fn native(verdict: Verdict) -> Self {
        Self {
            verdict,
            is_test: false,
            format: AnswerFormat::Dialect,
            notes: Vec::new(),
        }
    }
}

/// Reason with the message and hint for one postback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Reason.
    pub reason: Reason,
    /// Result, in a sentence.
    pub message: String,
    /// Instruction for the sender; `None` if nothing is to be done.
    pub hint: Option<String>,
    /// Conversion that was made or changed, or the first one for a duplicate.
    pub conversion_id: Option<ConversionId>,
    /// True if it names parameters as the sender does already.
    pub(crate) names_are_theirs: bool,
}

impl Verdict {
    /// Verdict with the message and hint of its reason.
    #[must_use]
    pub fn of(reason: Reason) -> Self {
        Self::with_message(reason, reason.meaning())
    }

    /// Verdict with this message and the hint of its reason.
    #[must_use]
    pub fn with_message(reason: Reason, message: impl Into<String>) -> Self {
        let hint = matches!(reason.status(), Status::Rejected | Status::Unavailable)
            .then(|| reason.fix().to_owned());
        Self {
            reason,
            message: message.into(),
            hint,
            conversion_id: None,
            names_are_theirs: false,
        }
    }

    /// The same verdict with this hint.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// The same verdict in the words of the sender's format: our names of parameters become its own.
    #[must_use]
    pub(crate) fn in_words_of(self, dialect: &Dialect) -> Self {
        if self.names_are_theirs || dialect.key == dialects::native().key {
            return self;
        }
        Self {
            message: dialect.in_its_words(&self.message),
            hint: self.hint.map(|hint| dialect.in_its_words(&hint)),
            ..self
        }
    }

    /// The same verdict, which names parameters as the sender does.
    #[must_use]
    pub(crate) fn with_their_names(self) -> Self {
        Self {
            names_are_theirs: true,
            ..self
        }
    }

    /// The same verdict about this conversion.
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
            Problem::Missing { .. } => Reason::ParamMissing,
        };
        Self::with_message(reason, problem.message())
            .with_hint(problem.hint())
            .with_their_names()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_reason_has_a_unique_code_and_an_honest_status() {
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
