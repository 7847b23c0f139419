//! Changes of existing conversions by postbacks: statuses, other amounts, refunds.

use chrono::{DateTime, Utc};
use conversions::{Change, Conversion, ConversionKey, Event, Novelty, Revision, Source};
use schema::batch::{BatchError, Tx};

use super::claimed::{Claimed, Decided};
use super::hold::Hold;
use super::price;
use super::sums::{Counted, Ledger};
use crate::decide::Action;
use crate::trace::Trace;
use crate::verdict::{Reason, Verdict};
use dialects::Field;

/// Updates the conversions that the claims name, in the order of the claims. A claim without a conversion is held, or
/// rejected if it is overdue.
pub(super) async fn update(
    tx: Tx<'_>,
    mut claims: Vec<Claimed>,
    mut ledger: Ledger,
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
    let counted = claims.iter().filter_map(|claimed| {
        let revision = revisions.get(&claimed.key())?;
        Some(Counted::changed(claimed, revision.before()))
    });
    ledger.add(tx, counted).await?;
    let mut decided = Vec::with_capacity(claims.len());
    for mut claimed in claims {
        let Some(revision) = revisions.get_mut(&claimed.key()) else {
            let hold = |claimed: &Claimed| Hold::for_conversion(&claimed.postback, &claimed.claim);
            decided.push(claimed.hold_unless_overdue(hold, Reason::ConversionNotFound));
            continue;
        };
        let mut trace = std::mem::take(&mut claimed.trace);
        let verdict = revise(revision, &claimed, &mut ledger, &mut trace);
        trace.pass("change", verdict.message.clone());
        let commission = revision.after().commission();
        trace.pass("money", format!("the commission is {commission}"));
        claimed.trace = trace;
        decided.push(claimed.end(verdict));
    }
    let mut revisions: Vec<Revision> = revisions.into_values().collect();
    conversions::follow_parents(tx, &mut revisions, now).await?;
    let events = conversions::store(&mut { tx }, revisions, now).await?;
    Ok((decided, events))
}

/// Adds the change of a claim to a conversion.
fn revise(revision: &mut Revision, claimed: &Claimed, ledger: &mut Ledger, trace: &mut Trace) -> Verdict {
    let before = revision.after().clone();
    match change_of(revision, claimed, trace) {
        Ok(change) => add(revision, claimed, change, ledger, trace),
        Err(verdict) => verdict,
    }
    .about(before.id)
}

/// Change that a claim makes to a conversion.
///
/// # Errors
/// The verdict, if it may not change it or says nothing.
fn change_of(revision: &Revision, claimed: &Claimed, trace: &mut Trace) -> Result<Change, Verdict> {
    let before = revision.after();
    let sent = claimed.postback.record.postback.currency.as_deref();
    if sent.is_some_and(|sent| sent != before.currency.code()) {
        let message = format!(
            "The order was recorded in {}, and this postback is in {}.",
            before.currency, claimed.claim.currency
        );
        return Err(Verdict::with_message(Reason::CurrencyMismatch, message));
    }
    let record = &claimed.postback.record;
    let assumed = claimed.postback.route.campaign().currency;
    if sent.is_none() && record.dialect().counts_coins() && assumed.decimals() != before.currency.decimals() {
        let message = format!(
            "The order was recorded in {}, and this postback names no currency for its amounts in the smallest coin.",
            before.currency
        );
        let hint = format!("Send the currency {} with the postback.", before.currency);
        return Err(Verdict::with_message(Reason::CurrencyMismatch, message).with_hint(hint));
    }
    let mut change = Change {
        id: record.id.0,
        event_time: claimed.event_time(),
        is_proven: claimed.postback.is_authenticated,
        event_id: price::event_id(record).map(str::to_owned),
        postback_id: Some(record.id),
        ..Change::of(before, Source::Postback, record.received_at)
    };
    let amount = claimed.claim.sent_micros;
    match (claimed.claim.action, amount) {
        (Action::Refund, Some(0)) => {
            let message = "A refund of 0 takes nothing off. Send refund=all to refund the whole order.";
            return Err(Verdict::with_message(Reason::Unchanged, message));
        }
        (Action::Refund, Some(_)) if before.amount_micros.is_none() => {
            let message = "The order has no amount, so a part of it cannot be refunded.";
            let hint = "Send refund=all, or send the order's amount first.";
            return Err(Verdict::with_message(Reason::AmountMissing, message).with_hint(hint));
        }
        (Action::Refund, Some(amount)) => change.refund_micros = Some(amount),
        (Action::Refund, None) => change.remaining_micros = Some(0),
        (Action::Update(status), amount) => {
            let remaining = record.postback.remaining;
            change.status = status;
            change.remaining_micros = remaining.map(|remaining| remaining.micros);
            change.amount_micros = amount.filter(|_| remaining.is_none());
        }
        (Action::Create(_), amount) => change.amount_micros = amount,
        (Action::Upsert { sent, .. }, amount) => {
            change.status = sent;
            change.amount_micros = amount;
        }
    }
    change.items = price::items(claimed, revision.pricing(), trace);
    change.commission_micros = price::sent_commission(claimed, revision.pricing());
    note_unused(before, claimed, trace);
    if change.status.is_none() && !has_money(&change) {
        let message = "The postback says nothing new about the order: no status, amount or refund.";
        return Err(Verdict::with_message(Reason::Unchanged, message));
    }
    Ok(change)
}

fn has_money(change: &Change) -> bool {
    let sums = [
        change.amount_micros,
        change.remaining_micros,
        change.refund_micros,
        change.commission_micros,
    ];
    sums.iter().any(Option::is_some)
}

/// Adds what an update does not change to the trace.
fn note_unused(before: &Conversion, claimed: &Claimed, trace: &mut Trace) {
    let sent = &claimed.postback.record.postback;
    let differs = |sent: &Option<String>, known: &Option<String>| sent.is_some() && sent != known;
    let unused: Vec<&str> = [
        ("coupon", differs(&sent.coupon, &before.coupon)),
        ("country", differs(&sent.country, &before.country)),
        ("customer_id", differs(&sent.customer_id, &before.customer_id)),
        (
            "click_id",
            claimed.click_id().is_some() && claimed.click_id() != before.click_id,
        ),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect();
    if !unused.is_empty() {
        trace.unused(&unused.join(", "), "an update does not change it");
    }
}

fn add(
    revision: &mut Revision,
    claimed: &Claimed,
    mut change: Change,
    ledger: &mut Ledger,
    trace: &mut Trace,
) -> Verdict {
    match change.novelty(revision.history()) {
        Novelty::New => {}
        Novelty::Repeated => {
            let verdict = Verdict::with_message(Reason::Unchanged, "This update was received before.");
            // Only its ID distinguishes a second refund of the same amount.
            let id = claimed.postback.record.dialect().name_of(Field::EventId);
            return match (change.refund_micros, &change.event_id, id) {
                (Some(_), None, Some(id)) => verdict.with_hint(format!(
                    "Send another refund of the same amount with its ID as {id}."
                )),
                _ => verdict,
            };
        }
        Novelty::Conflict => {
            let id = change.event_id.unwrap_or_default();
            let message =
                format!("The ID {id} was received before, with other values. The first values stand.");
            return Verdict::with_message(Reason::DuplicateConflict, message);
        }
        Novelty::TooMany => {
            let message =
                "The order has as many updates as one order may have. Ask the network to correct it.";
            return Verdict::with_message(Reason::DuplicateConflict, message);
        }
    }
    let before = revision.after().clone();
    let counted = Counted::changed(claimed, &before);
    let mut trial = before.clone();
    revision.with(&change).apply_to(&mut trial);
    if let Some(cap) = ledger.exceeded(counted, Some(&before), &trial) {
        let ours = claimed.postback.route.campaign().currency;
        let words = format!("{} are reached: needs a manual review", cap.in_words(ours));
        trace.note("cap", words);
        change.exceeds_cap = true;
    }
    let (was, is) = (before.worth(), trial.worth());
    if counted.is_in_uncapped_currency() && (is.0 > was.0 || is.1 > was.1) {
        let words = format!("no cap limits {}: needs a manual review", before.currency);
        trace.note("cap", words);
        change.exceeds_cap = true;
    }
    let is_timed = change.event_time.is_some();
    revision.add(change);
    let after = revision.after();
    ledger.step(counted, Some(&before), after);
    if described(&before) != described(after) {
        // Without commission and revenue: the advertiser receives this.
        return Verdict::with_message(Reason::Updated, changed(&before, after));
    }
    let because = if revision.decision_of_user().is_some() {
        "a user of the network decided"
    } else if after.review_because.is_some() {
        "it awaits manual review"
    } else if is_timed {
        "it has this state already, or a later update takes precedence"
    } else {
        "it has this state already"
    };
    let message = format!("The conversion stays {}: {because}.", state(after));
    Verdict::with_message(Reason::Unchanged, message)
}

/// Values of a conversion that a change may alter.
fn described(conversion: &Conversion) -> impl PartialEq {
    (
        conversion.status,
        conversion.amount_micros,
        conversion.commission_micros,
        conversion.revenue_micros,
        conversion.review_because,
    )
}

/// Status and amount of a conversion: `approved (50.00 EUR)`.
fn state(conversion: &Conversion) -> String {
    match conversion.amount() {
        Some(amount) => format!("{} ({amount})", conversion.status),
        None => conversion.status.to_string(),
    }
}

fn changed(before: &Conversion, after: &Conversion) -> String {
    if before.status != after.status && before.amount_micros == after.amount_micros {
        let amount = after.amount().map(|amount| format!(" ({amount})"));
        let amount = amount.unwrap_or_default();
        return format!("Status changed: {} → {}{amount}.", before.status, after.status);
    }
    format!("Conversion changed: {} → {}.", state(before), state(after))
}
