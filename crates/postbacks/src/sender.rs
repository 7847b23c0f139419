//! Checks that prove the sender of a postback: HTTPS, token, signature, address.

use campaigns::integrations::Integration;
use chrono::{DateTime, Utc};
use dialects::{Intent, Postback};
use schema::CampaignId;
use tenancy::Secret;

use crate::record::PostbackRecord;
use crate::trace::{CheckResult, Trace};
use crate::verdict::{Reason, Verdict};

/// Scope of the token that was sent.
#[derive(Clone, Copy)]
pub(crate) struct TokenScope {
    /// Campaign for which alone the token is valid; `None` for the advertiser's.
    pub(crate) campaign_id: Option<CampaignId>,
    /// End of its overlap with the current token, if that is over.
    pub(crate) expired: Option<DateTime<Utc>>,
}

/// Checks HTTPS, token, signature and address as the integration requires them. Returns true if one proves the sender.
///
/// # Errors
/// The verdict of the first check that fails, unless the integration only monitors.
pub(crate) fn check_sender(
    secret: &Secret,
    record: &PostbackRecord,
    integration: &Integration,
    scope: TokenScope,
    trace: &mut Trace,
) -> Result<bool, Verdict> {
    trace_integration(integration, trace);
    trace_dialect_mismatch(integration, record, trace);
    let settings = &integration.settings;
    if record.has_browser_headers && !record.postback.is_from_browser {
        trace.note(
            "browser",
            "a browser sent it, where a server should: its visitor can read and repeat it",
        );
    }
    if record.has_public_token() {
        trace.note(
            "token",
            "a browser sent it, so it is public and proves nothing; create a new one",
        );
    }
    if settings.requires_https {
        // It proves no sender.
        enforce(integration, trace, "https", check_https(record))?;
    }
    let token = check_token(record, integration, scope);
    let is_valid = enforce(integration, trace, "token", token)?;
    let mut is_authenticated = is_valid && record.token().is_some();
    if settings.requires_signature || record.signed.is_some() && integration.has_signing_secret() {
        let signature = check_signature(secret, record, integration);
        is_authenticated |= enforce(integration, trace, "signature", signature)?;
    }
    if !settings.allowed_addresses.0.is_empty() {
        let is_allowed = enforce(integration, trace, "address", check_address(record, integration))?;
        // The address of a browser is the visitor's.
        is_authenticated |= is_allowed && !record.postback.is_from_browser;
    }
    Ok(is_authenticated)
}

fn check_signature(
    secret: &Secret,
    record: &PostbackRecord,
    integration: &Integration,
) -> Result<String, Verdict> {
    let signed = record
        .signed
        .as_ref()
        .ok_or_else(|| Verdict::of(Reason::SignatureMissing))?;
    let key = integration
        .signing_secret(secret)
        .ok_or_else(|| Verdict::of(Reason::SignatureInvalid))?;
    signed.check(&key, integration.settings.signature_seconds, record.received_at)?;
    Ok(format!("matches {}", signed.signed_string()))
}

fn check_https(record: &PostbackRecord) -> Result<String, Verdict> {
    match record.over_https {
        Some(true) => Ok("the postback was sent over it".to_owned()),
        Some(false) => Err(Verdict::of(Reason::HttpsRequired)),
        None => Ok("not checked: it is unknown how the postback was sent".to_owned()),
    }
}

fn check_address(record: &PostbackRecord, integration: &Integration) -> Result<String, Verdict> {
    let seen = record.remote_ip.as_deref().unwrap_or("an unknown address");
    let seen = seen.trim_end_matches("/32").trim_end_matches("/128");
    if integration.allows(record.address()) {
        Ok(format!("{seen} is allowed"))
    } else {
        Err(Verdict::with_message(
            Reason::IpNotAllowed,
            format!("The postback came from {seen}, which is not an allowed address."),
        ))
    }
}

/// Checks that the token is the one that the integration requires. The advertiser is known.
pub(crate) fn check_token(
    record: &PostbackRecord,
    integration: &Integration,
    scope: TokenScope,
) -> Result<String, Verdict> {
    if record.token().is_none() {
        if !integration.settings.requires_token {
            return Ok("none sent and none required".to_owned());
        }
        if record.postback.is_from_browser {
            let message = "A token is required, and a token from a browser is not secret.";
            let hint = "Report the order from your server, or ask the network to require no token.";
            return Err(Verdict::with_message(Reason::TokenMissing, message).with_hint(hint));
        }
        return Err(Verdict::of(Reason::TokenMissing));
    }
    if let Some(until) = scope.expired {
        let message = format!(
            "This token was replaced, and was valid until {}.",
            until.format("%F %R UTC")
        );
        return Err(Verdict::with_message(Reason::TokenExpired, message));
    }
    match (integration.campaign_id, scope.campaign_id) {
        (Some(_), Some(_)) => Ok("campaign token".to_owned()),
        (Some(_), None) if integration.took_advertisers_token(record.received_at) => {
            Ok("advertiser token, still valid for this campaign".to_owned())
        }
        (Some(_), None) => {
            let message =
                "The campaign has its own token, and the postback was sent with the advertiser token.";
            Err(Verdict::with_message(Reason::TokenInvalid, message)
                .with_hint("Send the token of the campaign; the campaign page creates a new one."))
        }
        (None, _) => Ok("advertiser token".to_owned()),
    }
}

/// Refuses more than an order report from a browser: every visitor with the click could have sent it.
pub(crate) fn check_browser(postback: &Postback, trace: &mut Trace) -> Result<(), Verdict> {
    let has_commission = postback.commission.is_some() || postback.commission_rate_ppm.is_some();
    let forbidden = [
        ("action or refund", postback.intent != Intent::Report),
        ("status", postback.status.is_some()),
        ("commission", has_commission),
        ("revenue", postback.revenue.is_some()),
    ];
    if let Some((name, _)) = forbidden.iter().find(|(_, is_sent)| *is_sent) {
        let message =
            format!("A browser may report an order and nothing else, but this postback has {name}.");
        return Err(Verdict::with_message(Reason::ReportOnly, message));
    }
    trace.note(
        "browser",
        "a browser sent it: every visitor with the click could have",
    );
    Ok(())
}

/// Adds to the trace that the campaign's own integration decides.
pub(crate) fn trace_integration(integration: &Integration, trace: &mut Trace) {
    if integration.campaign_id.is_some() {
        trace.pass(
            "integration",
            "that of the campaign, in place of the advertiser's",
        );
    }
}

/// Adds to the trace that the postback is in another dialect than the integration's. It is accepted all the same.
fn trace_dialect_mismatch(integration: &Integration, record: &PostbackRecord, trace: &mut Trace) {
    let expected = integration.settings.dialect.as_deref().and_then(dialects::of_key);
    if let Some(expected) = expected.filter(|expected| expected.key != record.dialect().key) {
        let words = format!(
            "the integration uses the format of {}, this postback another one",
            expected.name
        );
        trace.note("format", words);
    }
}

/// Adds a check of the sender to the trace. Returns true if it passed; a failed one ends the steps, unless the integration
/// only monitors.
pub(crate) fn enforce(
    integration: &Integration,
    trace: &mut Trace,
    check: &str,
    result: Result<String, Verdict>,
) -> Result<bool, Verdict> {
    match result {
        Ok(words) => {
            trace.pass(check, words);
            Ok(true)
        }
        Err(verdict) if integration.settings.is_monitoring => {
            let words = format!(
                "{}: {} Accepted, because the integration only monitors.",
                verdict.reason.code(),
                verdict.message
            );
            trace.add(check, CheckResult::Tolerated, words);
            Ok(false)
        }
        Err(verdict) => Err(verdict),
    }
}
