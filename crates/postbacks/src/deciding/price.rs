//! Price of a claimed conversion, with all its inputs.

use campaigns::ClickFlag;
use campaigns::rules::Occasion;
use campaigns::terms::percent;
use chrono::{DateTime, TimeDelta, Utc};
use conversions::basket::{self, Item};
use conversions::pricing::{Pricing, Rate, Review, Unpaid};
use conversions::{Change, Conversion, ConversionStatus, ReviewBecause, outcome};
use dialects::Field;
use schema::{ConversionId, Currency, Money};
use serde::Deserialize;
use serde_json::{Value, json};

use super::claimed::Claimed;
use super::lookups::{Lookups, caps_clicks, needs_click, pays_for_some_clicks};
use super::sums::Counted;
use crate::decide::Action;
use crate::received::Origin;
use crate::record::PostbackRecord;
use crate::trace::Trace;
use crate::verdict::{Reason, Verdict};

/// Age up to which a click may still be on its way into the database.
const CLICK_IN_FLIGHT: TimeDelta = TimeDelta::hours(24);

/// Reason why a claim has no price.
pub(super) enum NotPriced {
    Verdict(Verdict),
    /// Its terms depend on a click that is not stored yet.
    WaitForClick,
}

/// Conversion that a claim makes, with its report.
pub(super) struct Made {
    pub(super) conversion: Conversion,
    pub(super) report: Change,
}

/// Conversion that a claim makes.
pub(super) fn conversion(
    claimed: &Claimed,
    lookups: &mut Lookups,
    parent_id: Option<ConversionId>,
    now: DateTime<Utc>,
    trace: &mut Trace,
) -> Result<Made, NotPriced> {
    let (postback, claim) = (&claimed.postback, &claimed.claim);
    let (record, route, attribution) = (&postback.record, &postback.route, postback.attribution);
    let fields = &record.postback;
    let mut pricing = pricing(claimed, lookups, now, trace)?;
    let ours = route.campaign().currency;
    if claim.currency != ours && pricing.has_fixed_sum() {
        let message = format!(
            "The goal pays a fixed sum in {ours}, but the order is in {}.",
            claim.currency
        );
        return Err(NotPriced::Verdict(Verdict::with_message(
            Reason::CurrencyMismatch,
            message,
        )));
    }
    check_click(claimed, lookups, &mut pricing, trace);
    let goal = &claim.goal.settings;
    pricing.review = goal.review_above_micros.map(|limit| {
        if claim.currency == ours {
            Review::Above(limit)
        } else {
            Review::Any
        }
    });
    let (initial, sent) = status(claim.action);
    pricing.auto_approve = initial == ConversionStatus::Approved;
    pricing.is_unproven = !postback.is_authenticated;
    // A pending order waits for the end of its hold period, whatever the sender calls it.
    let is_decided = sent.is_some_and(|sent| sent != ConversionStatus::Pending);
    let holds = !is_decided && !claim.is_status_unknown && goal.auto_approve && goal.hold_days > 0;
    pricing.hold_until = holds.then(|| record.received_at + TimeDelta::days(goal.hold_days.into()));
    let mut conversion = Conversion {
        network_id: postback.network.id,
        // A postback makes one conversion at most, with its own id: decided again, it is the same one.
        id: ConversionId(record.id.0),
        converted_at: record.received_at,
        advertiser_id: postback.advertiser_id,
        campaign_id: route.campaign().id,
        goal_id: claim.goal.id,
        affiliate_id: route.affiliate_id,
        link_id: route.link_id,
        click_id: attribution.click,
        attributed_by: attribution.by,
        parent_id,
        postback_id: record.id,
        unique_key: claim.unique_key.clone(),
        order_id: fields.order_id.clone(),
        amount_micros: claim.amount_micros,
        currency: claim.currency,
        commission_micros: 0,
        revenue_micros: 0,
        status: initial,
        // A visitor could name any customer in a browser, and would be credited with that customer's later orders.
        customer_id: fields
            .customer_id
            .clone()
            .filter(|_| postback.is_authenticated || !fields.is_from_browser),
        coupon: fields.coupon.clone(),
        item_categories: basket::categories(fields.items.iter().filter_map(|item| item.category.as_deref())),
        country: fields.country.clone(),
        unpaid_because: None,
        hold_until: pricing.hold_until,
        terms: Value::Null,
        review_because: None,
        version: 1,
        changed_at: record.received_at,
    };
    note_commission(claimed, &pricing, trace);
    let mut report = Change {
        event_time: claimed.event_time(),
        status: sent,
        commission_micros: sent_commission(claimed, &pricing),
        event_id: event_id(record).map(str::to_owned),
        items: items(claimed, &pricing, trace),
        ..Change::report(&conversion, postback.is_authenticated)
    };
    let state =
        |pricing: &Pricing, report: &Change| outcome(std::slice::from_ref(report), pricing, claim.currency);
    state(&pricing, &report).apply_to(&mut conversion);
    if pricing.unpaid.is_none() && !lookups.ledger.contains(claimed) {
        check_caps(claimed, lookups, &conversion, &mut pricing, &mut report, trace);
        state(&pricing, &report).apply_to(&mut conversion);
    }
    conversion.unpaid_because = pricing.unpaid.map(|unpaid| unpaid.as_str().to_owned());
    conversion.terms = pricing.to_terms();
    trace_price(trace, &pricing, &report, &conversion);
    trace_review(trace, &conversion, goal.review_above_micros, ours);
    lookups.ledger.count(claimed, &conversion);
    Ok(Made { conversion, report })
}

/// Status that a new conversion begins with, and the one that was sent.
fn status(action: Action) -> (ConversionStatus, Option<ConversionStatus>) {
    match action {
        Action::Create(initial) => (initial, None),
        Action::Upsert { initial, sent } => (initial, sent),
        Action::Update(_) | Action::Refund => (ConversionStatus::Pending, None),
    }
}

/// Commission of the whole order that the advertiser sent, if it counts.
pub(super) fn sent_commission(claimed: &Claimed, pricing: &Pricing) -> Option<i64> {
    let sent = claimed.postback.record.postback.commission?.micros;
    // Otherwise every visitor with a click could name the commission.
    let counts = pricing.takes_commission && claimed.postback.is_authenticated && sent > 0;
    counts.then_some(sent)
}

/// Notes a commission or revenue that was sent and does not count, with the reason.
fn note_commission(claimed: &Claimed, pricing: &Pricing, trace: &mut Trace) {
    let fields = &claimed.postback.record.postback;
    let dialect = claimed.postback.record.dialect();
    let name = |field, ours| dialect.name_of(field).unwrap_or(ours);
    let percent = name(Field::CommissionPercent, "commission_percent");
    if fields.commission.is_some_and(|sent| sent.micros > 0) && fields.commission_rate_ppm.is_some() {
        trace.unused(percent, "the fixed commission counts");
    }
    let is_sent =
        fields.commission.is_some_and(|sent| sent.micros > 0) || fields.commission_rate_ppm.is_some();
    if is_sent && !pricing.takes_commission {
        let because = if !claimed.postback.integration.settings.takes_commission {
            "the network does not take commissions from you; the goal's terms apply"
        } else if !claimed.postback.is_authenticated {
            "the sender is not authenticated"
        } else {
            "the goal pays its own commission"
        };
        trace.unused(name(Field::Commission, "commission"), because);
    }
    if fields.commission_rate_ppm.is_some_and(|rate| rate > 1_000_000) {
        trace.unused(percent, "it is more than 100 %");
    }
    if fields.revenue.is_some() {
        trace.unused(
            name(Field::Revenue, "revenue"),
            "it follows from the goal's terms",
        );
    }
}

/// Items that were sent, by category, if the terms depend on categories.
pub(super) fn items(claimed: &Claimed, pricing: &Pricing, trace: &mut Trace) -> Option<Value> {
    let sent = &claimed.postback.record.postback.items;
    if sent.is_empty() || !pricing.has_categories() {
        return None;
    }
    let mut items = Vec::with_capacity(sent.len());
    for item in sent {
        items.push(Item {
            category: item.category.as_deref(),
            amount_micros: item.amount.map(|amount| amount.micros),
        });
    }
    match basket::lines(&items) {
        Ok(lines) => Some(lines.iter().map(|line| json!(line)).collect()),
        Err(problem) => {
            let words = format!("{problem}: the rules for categories do not apply");
            trace.unused("items", words);
            None
        }
    }
}

fn pricing(
    claimed: &Claimed,
    lookups: &Lookups,
    now: DateTime<Utc>,
    trace: &mut Trace,
) -> Result<Pricing, NotPriced> {
    let postback = &claimed.postback;
    let (record, route) = (&postback.record, &postback.route);
    let click = lookups.click(claimed);
    if needs_click(claimed) && click.is_none() {
        match postback.attribution.clicked_at {
            // An older one was dropped with its month.
            Some(at) if now - at < CLICK_IN_FLIGHT && postback.origin != Origin::Overdue => {
                return Err(NotPriced::WaitForClick);
            }
            _ => trace.note(
                "terms",
                "the click is not stored any more: no rule about it matches, and it counts as targeted",
            ),
        }
    }
    let presets = route.presets.as_deref();
    let sub = |index: usize| {
        let sent = click.and_then(|click| click.subs.get(index)?.as_deref());
        sent.or_else(|| presets?.get(index)?.as_deref())
    };
    let occasion = Occasion {
        at: claimed.order_time(),
        affiliate_id: route.affiliate_id,
        group_id: route.affiliate.group_id,
        subs: [sub(0), sub(1), sub(2), sub(3), sub(4)],
        country: record
            .postback
            .country
            .as_deref()
            .or_else(|| click.and_then(|click| click.country.as_deref())),
        coupon: record.postback.coupon.as_deref(),
        number_in_month: lookups.ledger.number_in_month(Counted::new(claimed)),
    };
    let goal = &claimed.claim.goal;
    let (terms, version) = route.promotion.terms_at(goal, occasion.at);
    let mut pricing = Pricing::of(terms, version, claimed.rules(), &occasion);
    if postback.integration.settings.takes_commission && postback.is_authenticated {
        let fixed = record.postback.commission.filter(|amount| amount.micros > 0);
        // A rate counts only without a fixed sum.
        let rate = record.postback.commission_rate_ppm.filter(|_| fixed.is_none());
        pricing.take_commission(rate);
    }
    Ok(pricing)
}

/// Pays nothing for a click that did not match the targeting, or that exceeded a cap of clicks.
fn check_click(claimed: &Claimed, lookups: &Lookups, pricing: &mut Pricing, trace: &mut Trace) {
    let route = &claimed.postback.route;
    let Some(click) = lookups.click(claimed).filter(|_| pays_for_some_clicks(claimed)) else {
        return;
    };
    match click.flag {
        Some(ClickFlag::NotTargeted) if !route.campaign().audience.is_everybody() => {
            pricing.unpaid = Some(Unpaid::NotTargeted);
            trace.note("targeting", mismatch(claimed, lookups));
        }
        Some(ClickFlag::CapReached) if caps_clicks(route) => {
            pricing.unpaid = Some(Unpaid::CapReached);
            trace.note("cap", "the click exceeded a cap: the conversion is not paid");
        }
        _ => trace.pass("targeting", "the click matched the targeting"),
    }
}

/// Mismatch of a click with the targeting of its campaign, by the current settings.
fn mismatch(claimed: &Claimed, lookups: &Lookups) -> String {
    let audience = &claimed.postback.route.campaign().audience;
    let click = lookups.click(claimed);
    let mismatch = click.and_then(|click| audience.objection(click.country.as_deref(), &click.device));
    mismatch.unwrap_or_else(|| "the click did not match the targeting of that time".to_owned())
}

/// Verdict on a new conversion.
pub(super) fn verdict(claimed: &Claimed, lookups: &Lookups, conversion: &Conversion) -> Verdict {
    let verdict = match conversion.unpaid_because.as_deref() {
        Some(because) if because == Unpaid::NotTargeted.as_str() => {
            let mismatch = mismatch(claimed, lookups);
            let message = format!("The conversion was recorded, but is not paid: {mismatch}.");
            Verdict::with_message(Reason::NotTargeted, message)
        }
        Some(_) => Verdict::of(Reason::CapReached),
        None if conversion.review_because.is_some() => Verdict::of(Reason::HeldForReview),
        None if claimed.claim.is_status_unknown => {
            let sent = claimed
                .postback
                .record
                .postback
                .status
                .as_deref()
                .unwrap_or_default();
            let message = format!("Recorded as pending: the status “{sent}” is none that we know.");
            Verdict::with_message(Reason::Accepted, message).with_hint(Reason::StatusUnknown.fix())
        }
        None => Verdict::of(Reason::Accepted),
    };
    verdict.about(conversion.id)
}

/// Pays nothing for a conversion that exceeds a cap; one in a currency that no cap limits needs a review.
fn check_caps(
    claimed: &Claimed,
    lookups: &Lookups,
    conversion: &Conversion,
    pricing: &mut Pricing,
    report: &mut Change,
    trace: &mut Trace,
) {
    let counted = Counted::new(claimed);
    let ours = claimed.postback.route.campaign().currency;
    if let Some(cap) = lookups.ledger.exceeded(counted, None, conversion) {
        let words = format!("{} are reached: the conversion is not paid", cap.in_words(ours));
        trace.note("cap", words);
        pricing.unpaid = Some(Unpaid::CapReached);
    } else if counted.is_in_uncapped_currency() {
        let words = format!("no cap limits {}: needs a manual review", conversion.currency);
        trace.note("cap", words);
        report.exceeds_cap = true;
    }
}

fn trace_price(trace: &mut Trace, pricing: &Pricing, report: &Change, conversion: &Conversion) {
    let currency = conversion.currency;
    let money = |micros| Money { micros, currency };
    let amount = conversion.amount_micros.unwrap_or(0);
    let lines = report
        .items
        .as_ref()
        .and_then(|items| Vec::deserialize(items).ok());
    let lines = lines.map(|lines| basket::reconciled(lines, amount));
    for part in pricing.parts(lines.as_deref(), amount) {
        let rate = part.rate;
        let by = match (rate.is_sent, rate.rule) {
            (true, _) => "the commission rate that the advertiser sent".to_owned(),
            (false, Some((id, version))) => format!("rule {id}, version {version}"),
            (false, None) => format!("the goal's terms, version {}", pricing.goal_version),
        };
        trace.pass(
            "terms",
            format!("{} by {by}: {}", money(part.amount), in_words(rate, currency)),
        );
    }
    if let Some(commission) = report.commission_micros {
        let words = format!("{} to the affiliate, sent by the advertiser", money(commission));
        trace.pass("terms", words);
    }
    if let Some(number) = pricing.number_in_month {
        trace.note(
            "tier",
            format!("conversion no. {number} of the affiliate this month"),
        );
    }
    let (commission, revenue) = (conversion.commission(), conversion.revenue());
    if commission.micros > revenue.micros {
        let words =
            format!("the commission {commission} is more than the revenue {revenue}: the network loses");
        trace.note("margin", words);
    }
    trace.pass("money", format!("commission {commission}, revenue {revenue}"));
}

/// Adds the reason for a manual review to the trace, which only the network sees.
fn trace_review(trace: &mut Trace, conversion: &Conversion, limit: Option<i64>, ours: Currency) {
    let limit = limit.map_or_else(String::new, |micros| {
        Money {
            micros,
            currency: ours,
        }
        .to_string()
    });
    let words = match conversion.review_because {
        Some(ReviewBecause::Amount) => format!("above {limit}: needs a manual review"),
        Some(ReviewBecause::Currency) => format!(
            "in {}, which cannot be compared with {limit}: needs a manual review",
            conversion.currency
        ),
        Some(ReviewBecause::Commission) => {
            "the commission sent is more than the revenue or the order: needs a manual review".to_owned()
        }
        Some(ReviewBecause::Cap | ReviewBecause::Parent | ReviewBecause::Person) | None => return,
    };
    trace.note("review", words);
}

/// Identifier by which the sender tells a repeated event from a new one.
pub(super) fn event_id(record: &PostbackRecord) -> Option<&str> {
    let find = |wanted: &str| {
        let mut extra = record.postback.extra.iter();
        extra
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
    };
    let named = record.postback.event_id.as_deref();
    named.or_else(|| find("refund_id")).or_else(|| find("event_id"))
}

fn in_words(rate: &Rate, currency: Currency) -> String {
    let terms = rate.terms();
    let (commission, revenue) = if rate.commission.0 == 0 && rate.revenue.0 == 0 {
        (percent(rate.commission.1), percent(rate.revenue.1))
    } else {
        (
            terms.commission.in_words(currency),
            terms.revenue.in_words(currency),
        )
    };
    format!("{commission} to the affiliate, {revenue} from the advertiser")
}
