//! Updates of existing conversions by postbacks: approvals, rejections, other amounts, refunds.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use conversions::{Change, Conversion, ConversionKey, ConversionStatus, Event, Revision, Source};
use schema::NetworkId;
use schema::batch::{BatchError, Tx};

use super::claimed::{Claimed, Decided};
use super::hold::Hold;
use crate::decide::Action;
use crate::record::PostbackRecord;
use crate::verdict::{Reason, Verdict};

/// Updates the conversions that the claims name, in the order of the claims. A claim without a conversion is held, or
/// rejected if it is overdue.
pub(super) async fn update(
    tx: Tx<'_>,
    mut claims: Vec<Claimed>,
    now: DateTime<Utc>,
) -> Result<(Vec<Decided>, Vec<Event>), BatchError> {
    if claims.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    claims.sort_by_key(|claimed| claimed.position);
    let mut keys: Vec<ConversionKey> = claims.iter().map(|claimed| claimed.key()).collect();
    keys.sort();
    keys.dedup();
    let mut revisions = conversions::lock(tx, &keys).await?;
    let mut time_zones: HashMap<NetworkId, Tz> = HashMap::new();
    let mut decided = Vec::with_capacity(claims.len());
    for mut claimed in claims {
        time_zones.insert(claimed.postback.network.id, claimed.postback.time_zone());
        let Some(revision) = revisions.get_mut(&claimed.key()) else {
            let hold = |claimed: &Claimed| Hold::for_conversion(&claimed.postback, &claimed.claim);
            decided.push(claimed.hold_unless_overdue(hold, Reason::ConversionNotFound));
            continue;
        };
        let verdict = revise(revision, &claimed);
        claimed.trace.pass("change", verdict.message.clone());
        let commission = revision.after().commission();
        claimed
            .trace
            .pass("money", format!("the commission is {commission}"));
        decided.push(claimed.end(verdict));
    }
    let time_zone = |network: NetworkId| time_zones.get(&network).copied().unwrap_or(Tz::UTC);
    let revisions = revisions.into_values().collect();
    let events = conversions::store(&mut { tx }, revisions, time_zone, now).await?;
    Ok((decided, events))
}

/// Adds the change of a claim to a conversion.
fn revise(revision: &mut Revision, claimed: &Claimed) -> Verdict {
    let before = revision.after().clone();
    let sent = claimed.postback.record.postback.currency.as_deref();
    if sent.is_some_and(|sent| sent != before.currency.code()) {
        let message = format!(
            "The order was recorded in {}, and this postback is in {}.",
            before.currency, claimed.claim.currency
        );
        return Verdict::with_message(Reason::CurrencyMismatch, message).about(before.id);
    }
    // A sender with a click must not be able to change the orders of others.
    if !claimed.postback.is_authenticated && claimed.click_id() != before.click_id {
        let message = "The order was recorded for another click, and the sender is not authenticated.";
        return Verdict::with_message(Reason::DuplicateConflict, message).about(before.id);
    }
    if !revision.add(change(claimed, &before, revision.reported_amount())) {
        let message = "This update was received before.";
        return Verdict::with_message(Reason::Unchanged, message).about(before.id);
    }
    let after = revision.after();
    if *after != before {
        // Without commission and revenue: the advertiser receives this.
        return Verdict::with_message(Reason::Updated, described(&before, after)).about(before.id);
    }
    let because = if after.review_because.is_some() {
        "it awaits manual review"
    } else {
        "an earlier update takes precedence"
    };
    let message = format!("The conversion stays {}: {because}.", state(after));
    Verdict::with_message(Reason::Unchanged, message).about(before.id)
}

/// Change that a postback makes to a conversion. The amount of the first report (`reported`), sent again without an event
/// time, is no new amount: the report was repeated.
pub(super) fn change(claimed: &Claimed, conversion: &Conversion, reported: Option<Option<i64>>) -> Change {
    let record = &claimed.postback.record;
    let event_time = record.postback.event_time;
    let mut change = Change {
        event_time,
        ..Change::of(conversion, Source::Postback, record.received_at)
    };
    let mut key = String::new();
    match (claimed.claim.action, claimed.claim.sent_micros) {
        (Action::Refund, Some(amount)) if amount > 0 => {
            change.refund_micros = Some(amount);
            key = refund_id(record).map_or_else(String::new, |id| format!("refund {id}"));
        }
        (Action::Refund, _) => change.status = Some(ConversionStatus::Rejected),
        (Action::Update(status), amount) => {
            change.status = status;
            change.amount_micros = amount;
        }
        (Action::Create(_), _) => {}
        (Action::Upsert { sent, .. }, amount) => {
            change.status = sent;
            change.amount_micros =
                amount.filter(|_| event_time.is_some() || reported.is_none_or(|reported| reported != amount));
        }
    }
    // The identifier depends on the time as sent; the state must not depend on a time in the future.
    let identified = change.identified(&key);
    Change {
        event_time: event_time.map(|at| at.min(record.received_at)),
        ..identified
    }
}

/// Identifier by which the sender distinguishes two refunds of the same amount.
fn refund_id(record: &PostbackRecord) -> Option<&str> {
    let find = |wanted: &str| {
        let mut extra = record.postback.extra.iter();
        extra
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
    };
    find("refund_id").or_else(|| find("event_id"))
}

/// Status and amount of a conversion: `approved (50.00 EUR)`.
fn state(conversion: &Conversion) -> String {
    match conversion.amount() {
        Some(amount) => format!("{} ({amount})", conversion.status),
        None => conversion.status.to_string(),
    }
}

fn described(before: &Conversion, after: &Conversion) -> String {
    if before.status != after.status && before.amount_micros == after.amount_micros {
        let amount = after.amount().map(|amount| format!(" ({amount})"));
        let amount = amount.unwrap_or_default();
        return format!("Status changed: {} → {}{amount}.", before.status, after.status);
    }
    format!("Conversion changed: {} → {}.", state(before), state(after))
}
