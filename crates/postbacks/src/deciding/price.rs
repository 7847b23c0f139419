//! What a claimed conversion is worth, with everything that went in.

use campaigns::caps::Metric;
use campaigns::rules::Occasion;
use campaigns::terms::percent;
use chrono::{DateTime, TimeDelta, Utc};
use schema::{ConversionId, Currency, Money};

use super::amend;
use super::facts::{Facts, caps_clicks, needs_click, pays_for_some_clicks};
use super::{Asking, Origin};
use crate::changes::{self, Change};
use crate::clicks::Flag;
use crate::conversions::{Conversion, ConversionStatus, ReviewBecause};
use crate::decide::Wants;
use crate::pricing::{Part, Pricing, Review, Unpaid};
use crate::trace::Trace;
use crate::verdict::{Reason, Verdict};

/// How old a click can be that is not stored yet.
const MAY_BE_ON_ITS_WAY: TimeDelta = TimeDelta::hours(24);

/// Why a claim has no price.
pub(super) enum NotPriced {
    Verdict(Verdict),
    /// The terms depend on its click, which is not stored yet.
    WaitForClick,
}

/// The conversion that a claim asks for.
pub(super) fn conversion(
    it: &Asking<'_, '_>,
    facts: &mut Facts,
    parent_id: Option<ConversionId>,
    now: DateTime<Utc>,
    trace: &mut Trace,
) -> Result<Conversion, NotPriced> {
    let (Some(route), Some(attribution), Some(advertiser_id)) =
        (&it.judged.route, it.judged.attribution, it.judged.advertiser_id)
    else {
        return Err(NotPriced::Verdict(Verdict::of(Reason::ClickNotFound)));
    };
    let (record, claim) = (&it.judged.record, it.claim);
    let said = &record.said;
    let mut pricing = pricing(it, facts, now, trace)?;
    let takes_sent = it
        .judged
        .integration
        .as_ref()
        .is_some_and(|integration| integration.settings.takes_commission);
    // Whoever has a click could name their own commission.
    if takes_sent && it.judged.is_proven {
        pricing.take_sent(said);
    }
    let ours = route.campaign().currency;
    if claim.currency != ours && pricing.has_fixed_sum() {
        let message = format!(
            "The goal pays a fixed sum in {ours}, and the order is in {}.",
            claim.currency
        );
        return Err(NotPriced::Verdict(Verdict::saying(
            Reason::CurrencyMismatch,
            message,
        )));
    }
    check_click(it, facts, &mut pricing, trace);
    if pricing.unpaid.is_none() && !facts.is_counted(it) {
        check_caps(it, facts, &mut pricing, trace);
    }
    let goal = &claim.goal.settings;
    // What pays nothing need not be looked at.
    pricing.review = goal
        .review_above_micros
        .filter(|_| pricing.unpaid.is_none())
        .map(|most| match claim.currency == ours {
            true => Review::Above(most),
            false => Review::Any,
        });
    let (commission_micros, revenue_micros) = pricing.pay(claim.currency);
    tell_price(trace, &pricing, claim.currency, commission_micros, revenue_micros);
    let (starts, said_status) = status(it);
    let holds = said_status.is_none() && goal.auto_approve && goal.hold_days > 0;
    let mut conversion = Conversion {
        // A postback makes one conversion at most, which has its number: decided once more, it is the same one.
        id: ConversionId(record.id.0),
        converted_at: record.received_at,
        advertiser_id,
        campaign_id: route.campaign().id,
        goal_id: claim.goal.id,
        affiliate_id: route.affiliate_id,
        link_id: route.link_id,
        click_id: attribution.click,
        attributed_by: attribution.by,
        parent_id,
        postback_id: record.id,
        unique_key: claim.unique_key.clone(),
        order_id: said.order_id.clone(),
        amount_micros: claim.amount_micros,
        currency: claim.currency,
        commission_micros,
        revenue_micros,
        status: starts,
        // Whoever has a click could name any customer by a browser, and have that customer's later orders.
        customer_id: said
            .customer_id
            .clone()
            .filter(|_| it.judged.is_proven || !said.is_from_browser),
        coupon: said.coupon.clone(),
        country: said.country.clone(),
        unpaid_because: pricing.unpaid.map(|unpaid| unpaid.as_str().to_owned()),
        hold_until: holds.then(|| record.received_at + TimeDelta::days(goal.hold_days.into())),
        // Numbers only: serialising those cannot fail.
        terms: serde_json::to_value(&pricing).unwrap_or_default(),
        review_because: None,
    };
    let outcome = changes::outcome(&made_with(it, &conversion), pricing.review);
    conversion.status = outcome.status;
    conversion.review_because = outcome.review_because;
    tell_review(trace, &conversion, goal.review_above_micros, ours);
    facts.count(it, &conversion);
    Ok(conversion)
}

/// The status that a claimed conversion starts with where the call says none, and the one that it says.
fn status(it: &Asking<'_, '_>) -> (ConversionStatus, Option<ConversionStatus>) {
    match it.claim.wants {
        Wants::New(starts) => (starts, None),
        Wants::NewOrChanged { starts, said } => (starts, said),
        Wants::Changed(_) | Wants::Refunded => (ConversionStatus::Pending, None),
    }
}

/// What is said of a conversion that is made: what it is by itself, and the status that the call says, if it says one.
fn made_with(it: &Asking<'_, '_>, conversion: &Conversion) -> Vec<Change> {
    let (starts, said) = status(it);
    let report = Change::report(conversion, starts);
    match said {
        Some(_) => vec![
            report,
            amend::change(it, conversion.id, Some(report.amount_micros)),
        ],
        None => vec![report],
    }
}

/// What a conversion was made with, where its row does not tell all of it.
pub(super) fn to_note(it: &Asking<'_, '_>, conversion: &Conversion) -> Option<Vec<Change>> {
    let (starts, said) = status(it);
    (said.is_some() || starts != conversion.status).then(|| made_with(it, conversion))
}

fn pricing(
    it: &Asking<'_, '_>,
    facts: &Facts,
    now: DateTime<Utc>,
    trace: &mut Trace,
) -> Result<Pricing, NotPriced> {
    let (record, said) = (&it.judged.record, &it.judged.record.said);
    let Some(route) = &it.judged.route else {
        return Err(NotPriced::Verdict(Verdict::of(Reason::ClickNotFound)));
    };
    let click = facts.click(it);
    if needs_click(it) && click.is_none() {
        let clicked_at = it.judged.attribution.and_then(|it| it.clicked_at);
        match clicked_at {
            // An older one was dropped for its age, and says nothing any more.
            Some(at) if now - at < MAY_BE_ON_ITS_WAY && it.origin != Origin::Overdue => {
                return Err(NotPriced::WaitForClick);
            }
            _ => trace.note(
                "terms",
                "the click is not stored any more: rules about it do not fit, and it counts as one that was wanted",
            ),
        }
    }
    let presets = route.presets.as_deref();
    let sub = |at: usize| {
        let own = click.and_then(|click| click.subs.get(at)?.as_deref());
        own.or_else(|| presets?.get(at)?.as_deref())
    };
    let occasion = Occasion {
        at: record.received_at,
        affiliate_id: route.affiliate_id,
        group_id: route.affiliate.group_id,
        subs: [sub(0), sub(1), sub(2), sub(3), sub(4)],
        country: said
            .country
            .as_deref()
            .or_else(|| click.and_then(|click| click.country.as_deref())),
        coupon: said.coupon.as_deref(),
        number_in_month: facts.number_in_month(it),
    };
    let rules = route.promotion.rules_of(it.claim.goal.id);
    let amount = it.claim.amount_micros.unwrap_or(0);
    Ok(Pricing::of(it.claim.goal, rules, &occasion, said, amount))
}

/// Pays nothing for what came through a click that the campaign did not want, or that came beyond a cap of clicks.
fn check_click(it: &Asking<'_, '_>, facts: &Facts, pricing: &mut Pricing, trace: &mut Trace) {
    let (Some(route), Some(click)) = (&it.judged.route, facts.click(it)) else {
        return;
    };
    if !pays_for_some_clicks(it) {
        return;
    }
    match click.flag {
        Some(Flag::NotTargeted) if !route.campaign().audience.is_everybody() => {
            pricing.unpaid = Some(Unpaid::NotTargeted);
            trace.note("targeting", objection(it, facts));
        }
        Some(Flag::CapReached) if caps_clicks(route) => {
            pricing.unpaid = Some(Unpaid::CapReached);
            trace.note("cap", "the click came beyond a cap: this one is not paid");
        }
        _ => trace.good("targeting", "the campaign wanted the click"),
    }
}

/// Why a campaign did not want a click, by what it wants now.
fn objection(it: &Asking<'_, '_>, facts: &Facts) -> String {
    let said = it
        .judged
        .route
        .as_ref()
        .zip(facts.click(it))
        .and_then(|(route, click)| {
            let audience = &route.campaign().audience;
            audience.objection(click.country.as_deref(), &click.device)
        });
    said.unwrap_or_else(|| "the campaign did not want this visitor when they clicked".to_owned())
}

/// The verdict on a conversion that was made.
pub(super) fn verdict(it: &Asking<'_, '_>, facts: &Facts, conversion: &Conversion) -> Verdict {
    let verdict = match conversion.unpaid_because.as_deref() {
        Some(because) if because == Unpaid::NotTargeted.as_str() => Verdict::saying(
            Reason::NotTargeted,
            format!(
                "The conversion was recorded, but is not paid: {}.",
                objection(it, facts)
            ),
        ),
        Some(_) => Verdict::of(Reason::CapReached),
        None if conversion.review_because.is_some() => Verdict::of(Reason::HeldForReview),
        None => Verdict::of(Reason::Accepted),
    };
    verdict.about(conversion.id)
}

/// Pays nothing for what comes beyond a cap.
fn check_caps(it: &Asking<'_, '_>, facts: &Facts, pricing: &mut Pricing, trace: &mut Trace) {
    let Some(route) = &it.judged.route else { return };
    let ours = route.campaign().currency;
    let (commission, revenue) = match it.claim.currency == ours {
        true => pricing.pay(ours),
        false => (0, 0),
    };
    for cap in &route.promotion.caps {
        let sums = facts.under_cap(it, cap);
        let with_this = match cap.metric {
            Metric::Clicks => continue,
            Metric::Conversions => sums.conversions + 1,
            Metric::Commission => sums.commission.saturating_add(commission),
            Metric::Revenue => sums.revenue.saturating_add(revenue),
        };
        if cap.concerns(route.affiliate_id) && with_this > cap.most {
            trace.note(
                "cap",
                format!("{} are reached: this one is not paid", cap.in_words(ours)),
            );
            pricing.unpaid = Some(Unpaid::CapReached);
            return;
        }
    }
}

fn tell_price(trace: &mut Trace, pricing: &Pricing, currency: Currency, commission: i64, revenue: i64) {
    let money = |micros| Money { micros, currency };
    for part in &pricing.parts {
        let by = match (part.sent, part.rule) {
            (true, _) => "the advertiser's own commission".to_owned(),
            (false, Some((id, version))) => format!("rule {id}, version {version}"),
            (false, None) => format!("the goal's own terms, version {}", pricing.goal_version),
        };
        trace.good(
            "terms",
            format!("{} by {by}: {}", money(part.amount), in_words(part, currency)),
        );
    }
    if let Some(number) = pricing.number_in_month {
        trace.note(
            "tier",
            format!("the affiliate's conversion no. {number} of the month"),
        );
    }
    let words = format!("commission {}, revenue {}", money(commission), money(revenue));
    trace.good("money", words);
}

/// Says why somebody must look at a conversion, which is for the network only.
fn tell_review(trace: &mut Trace, conversion: &Conversion, most: Option<i64>, ours: Currency) {
    let limit = most.map_or_else(String::new, |micros| {
        Money {
            micros,
            currency: ours,
        }
        .to_string()
    });
    let words = match conversion.review_because {
        Some(ReviewBecause::Amount) => format!("above {limit}: somebody of the network must look"),
        Some(ReviewBecause::Currency) => format!(
            "in {}, which cannot be compared with {limit}: somebody of the network must look",
            conversion.currency
        ),
        None => return,
    };
    trace.note("review", words);
}

fn in_words(part: &Part, currency: Currency) -> String {
    let terms = part.terms();
    let plain = part.commission.0 == 0 && part.revenue.0 == 0;
    match plain {
        true => format!(
            "{} to the affiliate, {} from the advertiser",
            percent(part.commission.1),
            percent(part.revenue.1)
        ),
        false => format!(
            "{} to the affiliate, {} from the advertiser",
            terms.commission.in_words(currency),
            terms.revenue.in_words(currency)
        ),
    }
}
