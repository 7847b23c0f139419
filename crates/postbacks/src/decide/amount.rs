//! Amounts and currency of a postback.

use campaigns::goals::Goal;
use schema::{Currency, Money};

use super::Case;
use crate::trace::Trace;
use crate::verdict::{Reason, Verdict};

/// Refuses sums beyond the limit of their currency.
pub(super) fn check_sums(case: &Case<'_>, currency: Currency) -> Result<(), Verdict> {
    let postback = case.postback;
    let sums = [
        ("amount", postback.amount),
        ("remaining", postback.remaining),
        ("commission", postback.commission),
        ("revenue", postback.revenue),
    ];
    let most = currency.largest_amount();
    for (name, sum) in sums {
        if sum.is_some_and(|sum| sum.micros > most) {
            let limit = Money {
                micros: most,
                currency,
            };
            let message = format!("{name} is more than {limit}, the limit of one order.");
            return Err(Verdict::with_message(Reason::AmountInvalid, message));
        }
    }
    Ok(())
}

/// Currency that was sent, or that of the campaign.
pub(super) fn find_currency(case: &Case<'_>) -> Result<Currency, Verdict> {
    match case.postback.currency.as_deref() {
        None => Ok(case.route.campaign().currency),
        Some(sent) => sent.parse().map_err(|unknown| {
            Verdict::with_message(Reason::CurrencyUnknown, format!("currency {unknown}."))
        }),
    }
}

/// Amount as sent, or else the sum of the items less the discount of the order.
pub(super) fn sent_amount(
    case: &Case<'_>,
    currency: Currency,
    trace: &mut Trace,
) -> Result<Option<i64>, Verdict> {
    if let Some(amount) = case.postback.amount {
        return Ok(Some(amount.micros));
    }
    let items = &case.postback.items;
    let sum = items
        .iter()
        .try_fold(0_i64, |sum, item| sum.checked_add(item.amount?.micros));
    let Some(sum) = sum.filter(|_| !items.is_empty()) else {
        return Ok(None);
    };
    let discount = case.postback.discount.map_or(0, |discount| discount.micros);
    let sum = sum.saturating_sub(discount);
    let micros = currency.largest_amount();
    if sum < 0 || sum > micros {
        let message = if sum < 0 {
            "The discounts exceed the items.".to_owned()
        } else {
            let limit = Money { micros, currency };
            format!("The items add up to more than {limit}, the limit of one order.")
        };
        return Err(Verdict::with_message(Reason::AmountInvalid, message));
    }
    let less = if discount > 0 { " less the discount" } else { "" };
    trace.note("amount", format!("the sum of {} items{less}", items.len()));
    Ok(Some(sum))
}

/// Amount that was sent, or else the default of the goal.
pub(super) fn amount(
    case: &Case<'_>,
    goal: &Goal,
    sent: Option<i64>,
    currency: Currency,
    trace: &mut Trace,
) -> Result<Option<i64>, Verdict> {
    if sent.is_some() {
        return Ok(sent);
    }
    if let Some(default) = goal.settings.demands.default_amount_micros {
        let ours = case.route.campaign().currency;
        if currency != ours {
            let message = format!(
                "No amount was sent; the goal's default is in {ours}, but the order is in {currency}."
            );
            return Err(Verdict::with_message(Reason::CurrencyMismatch, message));
        }
        trace.note("amount", "none was sent; the goal's default is used");
        return Ok(Some(default));
    }
    let rules = || case.route.promotion.rules_of(goal.id);
    if goal.terms().need_amount() || rules().any(|rule| rule.terms().need_amount()) {
        return Err(Verdict::of(Reason::AmountMissing));
    }
    Ok(None)
}
