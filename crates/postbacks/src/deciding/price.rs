//! Price of a claimed conversion, with all its inputs.

use campaigns::ClickFlag;
use campaigns::caps::Metric;
use campaigns::rules::Occasion;
use campaigns::terms::percent;
use chrono::{DateTime, TimeDelta, Utc};
use conversions::pricing::{Item, Part, Pricing, Review, Unpaid};
use conversions::{Change, Conversion, ConversionStatus, ReviewBecause, outcome};
use schema::{ConversionId, Currency, Money};

use super::claimed::Claimed;
use super::lookups::{Lookups, caps_clicks, needs_click, pays_for_some_clicks};
use super::update;
use crate::decide::Action;
use crate::received::Origin;
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

/// Conversion that a claim makes.
pub(super) fn conversion(
    claimed: &Claimed,
    lookups: &mut Lookups,
    parent_id: Option<ConversionId>,
    now: DateTime<Utc>,
    trace: &mut Trace,
) -> Result<Conversion, NotPriced> {
    let (postback, claim) = (&claimed.postback, &claimed.claim);
    let (record, route, attribution) = (&postback.record, &postback.route, postback.attribution);
    let fields = &record.postback;
    let mut pricing = pricing(claimed, lookups, now, trace)?;
    // Otherwise every visitor with a click could name the commission.
    if postback.integration.settings.takes_commission && postback.is_authenticated {
        let fixed = fields.commission.map(|amount| amount.micros);
        pricing.apply_advertiser_commission(fixed, fields.commission_rate_ppm);
    }
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
    if pricing.unpaid.is_none() && !lookups.is_counted(claimed) {
        check_caps(claimed, lookups, &mut pricing, trace);
    }
    let goal = &claim.goal.settings;
    // A conversion that pays nothing needs no review.
    pricing.review = goal
        .review_above_micros
        .filter(|_| pricing.unpaid.is_none())
        .map(|limit| {
            if claim.currency == ours {
                Review::Above(limit)
            } else {
                Review::Any
            }
        });
    let (commission_micros, revenue_micros) = pricing.pay(claim.currency);
    trace_price(trace, &pricing, claim.currency, commission_micros, revenue_micros);
    let (initial, sent) = status(claim.action);
    let holds = sent.is_none() && goal.auto_approve && goal.hold_days > 0;
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
        commission_micros,
        revenue_micros,
        status: initial,
        // A visitor could name any customer in a browser, and would be credited with that customer's later orders.
        customer_id: fields
            .customer_id
            .clone()
            .filter(|_| postback.is_authenticated || !fields.is_from_browser),
        coupon: fields.coupon.clone(),
        country: fields.country.clone(),
        unpaid_because: pricing.unpaid.map(|unpaid| unpaid.as_str().to_owned()),
        hold_until: holds.then(|| record.received_at + TimeDelta::days(goal.hold_days.into())),
        terms: pricing.to_terms(),
        review_because: None,
    };
    let outcome = outcome(&report(claimed, &conversion), pricing.review);
    conversion.status = outcome.status;
    conversion.review_because = outcome.review_because;
    trace_review(trace, &conversion, goal.review_above_micros, ours);
    lookups.count(claimed, &conversion);
    Ok(conversion)
}

/// Initial status of a conversion that an action creates, and the status that was sent.
fn status(action: Action) -> (ConversionStatus, Option<ConversionStatus>) {
    match action {
        Action::Create(initial) => (initial, None),
        Action::Upsert { initial, sent } => (initial, sent),
        Action::Update(_) | Action::Refund => (ConversionStatus::Pending, None),
    }
}

/// History that a new conversion begins with: its report, and the status that was sent with it.
fn report(claimed: &Claimed, conversion: &Conversion) -> Vec<Change> {
    let (initial, sent) = status(claimed.claim.action);
    let report = Change::report(conversion, initial);
    let amount = report.amount_micros;
    let mut history = vec![report];
    history.extend(sent.map(|_| update::change(claimed, conversion, Some(amount))));
    history
}

/// History to store with a new conversion; empty if its row has all of it.
pub(super) fn history(claimed: &Claimed, conversion: &Conversion) -> Vec<Change> {
    let (initial, sent) = status(claimed.claim.action);
    if sent.is_some() || initial != conversion.status {
        report(claimed, conversion)
    } else {
        Vec::new()
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
        at: record.received_at,
        affiliate_id: route.affiliate_id,
        group_id: route.affiliate.group_id,
        subs: [sub(0), sub(1), sub(2), sub(3), sub(4)],
        country: record
            .postback
            .country
            .as_deref()
            .or_else(|| click.and_then(|click| click.country.as_deref())),
        coupon: record.postback.coupon.as_deref(),
        number_in_month: lookups.number_in_month(claimed),
    };
    let mut items = Vec::with_capacity(record.postback.items.len());
    for item in &record.postback.items {
        items.push(Item {
            category: item.category.as_deref(),
            amount_micros: item.amount.map(|amount| amount.micros),
        });
    }
    let rules = route.promotion.rules_of(claimed.claim.goal.id);
    let amount = claimed.claim.amount_micros.unwrap_or(0);
    Ok(Pricing::of(&claimed.claim.goal, rules, &occasion, &items, amount))
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
        None => Verdict::of(Reason::Accepted),
    };
    verdict.about(conversion.id)
}

/// Pays nothing for a conversion that exceeds a cap.
fn check_caps(claimed: &Claimed, lookups: &Lookups, pricing: &mut Pricing, trace: &mut Trace) {
    let route = &claimed.postback.route;
    let ours = route.campaign().currency;
    let (commission, revenue) = if claimed.claim.currency == ours {
        pricing.pay(ours)
    } else {
        (0, 0)
    };
    for cap in &route.promotion.caps {
        let sums = lookups.under_cap(claimed, cap);
        let with_this = match cap.metric {
            Metric::Clicks => continue,
            Metric::Conversions => sums.conversions + 1,
            Metric::Commission => sums.commission.saturating_add(commission),
            Metric::Revenue => sums.revenue.saturating_add(revenue),
        };
        if cap.concerns(route.affiliate_id) && with_this > cap.most {
            trace.note(
                "cap",
                format!("{} are reached: the conversion is not paid", cap.in_words(ours)),
            );
            pricing.unpaid = Some(Unpaid::CapReached);
            return;
        }
    }
}

fn trace_price(trace: &mut Trace, pricing: &Pricing, currency: Currency, commission: i64, revenue: i64) {
    let money = |micros| Money { micros, currency };
    for part in &pricing.parts {
        let by = match (part.sent, part.rule) {
            (true, _) => "the commission that the advertiser sent".to_owned(),
            (false, Some((id, version))) => format!("rule {id}, version {version}"),
            (false, None) => format!("the goal's terms, version {}", pricing.goal_version),
        };
        trace.pass(
            "terms",
            format!("{} by {by}: {}", money(part.amount), in_words(part, currency)),
        );
    }
    if let Some(number) = pricing.number_in_month {
        trace.note(
            "tier",
            format!("conversion no. {number} of the affiliate this month"),
        );
    }
    let words = format!("commission {}, revenue {}", money(commission), money(revenue));
    trace.pass("money", words);
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
        None => return,
    };
    trace.note("review", words);
}

fn in_words(part: &Part, currency: Currency) -> String {
    let terms = part.terms();
    let (commission, revenue) = if part.commission.0 == 0 && part.revenue.0 == 0 {
        (percent(part.commission.1), percent(part.revenue.1))
    } else {
        (
            terms.commission.in_words(currency),
            terms.revenue.in_words(currency),
        )
    };
    format!("{commission} to the affiliate, {revenue} from the advertiser")
}
