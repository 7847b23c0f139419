//! The decision on a postback: pure, from what it says and what is configured. It ends in a [`Claim`]: what the postback
//! is entitled to, as far as can be told without looking at what else has happened.

use campaigns::Route;
use campaigns::campaigns::CampaignStatus;
use campaigns::goals::{Goal, UniqueBy};
use campaigns::integrations::Integration;
use chrono::{DateTime, TimeDelta, Utc};
use dialects::{Amount, Intent, Postback, State};
use schema::{AdvertiserId, ClickKey, Currency, PostbackId};
use tenancy::affiliates::AffiliateStatus;

use crate::conversions::{AttributedBy, ConversionStatus};
use crate::trace::Trace;
use crate::verdict::{Reason, Verdict};

/// Everything a decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// What the postback says.
    pub said: &'a Postback,
    /// Its receipt.
    pub postback_id: PostbackId,
    /// Whose call it is.
    pub advertiser_id: AdvertiserId,
    /// How that advertiser's server talks to us.
    pub integration: &'a Integration,
    /// What says whose conversion it is.
    pub attributed_by: AttributedBy,
    /// The click, if it is known.
    pub click: Option<ClickKey>,
    /// When it was clicked, where the call names the click itself.
    pub clicked_at: Option<DateTime<Utc>>,
    /// The link, as configured now.
    pub route: &'a Route,
    /// When the postback reached us.
    pub received_at: DateTime<Utc>,
    /// The signature it came with, which nobody else could have made.
    pub signature: Option<&'a str>,
}

impl Case<'_> {
    /// Whether it is a test, which is never paid.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.route.is_test || self.route.campaign().status == CampaignStatus::Testing
    }
}

/// What a postback is entitled to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The goal reached.
    pub goal: &'a Goal,
    /// What the goal is unique by.
    pub unique_key: String,
    /// The amount of a new conversion, in micro-units.
    pub amount_micros: Option<i64>,
    /// The amount that the call itself says.
    pub sent_micros: Option<i64>,
    /// Currency of amount, commission and revenue.
    pub currency: Currency,
    /// What it asks for.
    pub wants: Wants,
    /// Why no conversion is made of it, where there is none yet. One that there is can be repeated and changed all the
    /// same: after the window, without an amount, when the campaign is over.
    pub unless_there: Option<Verdict>,
}

/// What a postback asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// A conversion of this status.
    New(ConversionStatus),
    /// A conversion, or the one there is to be changed.
    NewOrChanged {
        /// The status of a new one where the call says none.
        starts: ConversionStatus,
        /// The status that the call says.
        said: Option<ConversionStatus>,
    },
    /// The conversion there is to be changed: to this status, if one was sent.
    Changed(Option<ConversionStatus>),
    /// So much of the conversion there is to be taken back; all of it if no amount was sent.
    Refunded,
}

/// Decides a postback whose sender and click are known.
///
/// # Errors
/// The verdict, when it is entitled to nothing. The first rule that is broken is the one that is told.
pub fn decide<'a>(case: &Case<'a>, trace: &mut Trace) -> Result<Claim<'a>, Verdict> {
    if case.route.campaign().advertiser_id != case.advertiser_id {
        return Err(Verdict::of(Reason::WrongCampaign));
    }
    if case.said.is_test && !case.is_test() {
        return Err(Verdict::of(Reason::WrongMode));
    }
    let goal = find_goal(case)?;
    trace.good("goal", format!("{} ({})", goal.settings.name, goal.code()));
    check_reference(case, goal, trace)?;
    let wants = wants(case, goal, trace)?;
    let unique_key = unique_key(case, goal)?;
    trace.good("unique", format!("by {}: {unique_key}", goal.settings.unique_by));
    let currency = find_currency(case)?;
    let sent_micros = sent_amount(case, trace)?;
    let mut claim = Claim {
        goal,
        unique_key,
        amount_micros: sent_micros,
        sent_micros,
        currency,
        wants,
        unless_there: None,
    };
    if matches!(wants, Wants::New(_) | Wants::NewOrChanged { .. }) {
        match check_new(case, goal, sent_micros, trace) {
            Ok(amount_micros) => claim.amount_micros = amount_micros,
            Err(verdict) => claim.unless_there = Some(verdict),
        }
    }
    Ok(claim)
}

/// What must hold for a conversion to be made, and its amount.
fn check_new(
    case: &Case<'_>,
    goal: &Goal,
    sent: Option<i64>,
    trace: &mut Trace,
) -> Result<Option<i64>, Verdict> {
    check_campaign(case, trace)?;
    check_window(case, trace)?;
    check_parameters(case, goal, trace)?;
    amount(case, goal, sent, trace)
}

fn check_campaign(case: &Case<'_>, trace: &mut Trace) -> Result<(), Verdict> {
    let campaign = case.route.campaign();
    match campaign.status {
        CampaignStatus::Draft | CampaignStatus::Ended => {
            let message = format!(
                "The campaign is {}.",
                match campaign.status {
                    CampaignStatus::Ended => "over",
                    _ => "still being set up",
                }
            );
            return Err(Verdict::saying(Reason::CampaignInactive, message));
        }
        // Nobody is sent while it is paused, so the click is from before.
        CampaignStatus::Paused | CampaignStatus::Testing | CampaignStatus::Live => {}
    }
    // Tests go on, so that what it was paused for can be put right.
    if let Some(since) = case.route.promotion.paused_at.filter(|_| !case.is_test()) {
        trace.note("paused", format!("since {}", since.format("%F %R UTC")));
        return Err(Verdict::of(Reason::AdvertiserPaused));
    }
    if case.route.affiliate.status == AffiliateStatus::Blocked {
        return Err(Verdict::of(Reason::AffiliateBlocked));
    }
    if case.said.is_test && !case.is_test() {
        return Err(Verdict::of(Reason::WrongMode));
    }
    trace.good("campaign", format!("{} is {}", campaign.name, campaign.status));
    if case.is_test() {
        trace.note("mode", "a test: nothing is paid");
    }
    Ok(())
}

fn check_window(case: &Case<'_>, trace: &mut Trace) -> Result<(), Verdict> {
    let Some(clicked_at) = case.clicked_at else {
        return Ok(());
    };
    let campaign = case.route.campaign();
    let (days, seconds) = (campaign.attribution_days, campaign.attribution_min_seconds);
    let age = case.received_at - clicked_at;
    if age > TimeDelta::days(days.into()) {
        let message = format!(
            "The click is {} old; the campaign counts conversions for {days} days.",
            in_words(age)
        );
        return Err(Verdict::saying(Reason::ClickExpired, message));
    }
    if age < TimeDelta::seconds(seconds.into()) && !case.is_test() {
        let message = format!(
            "The click is {} old; the campaign counts conversions from {seconds} seconds on.",
            in_words(age)
        );
        return Err(Verdict::saying(Reason::TooFast, message));
    }
    trace.good(
        "window",
        format!("{} old; from {seconds} s to {days} days count", in_words(age)),
    );
    Ok(())
}

/// A time as people say it: `3 days`, `2 h 5 min`, `12 s`.
pub(crate) fn in_words(age: TimeDelta) -> String {
    match (age.num_days(), age.num_hours(), age.num_minutes()) {
        (days @ 2.., _, _) => format!("{days} days"),
        (_, hours @ 1.., minutes) => format!("{hours} h {} min", minutes % 60),
        (_, _, minutes @ 1..) => format!("{minutes} min"),
        _ => format!("{} s", age.num_seconds()),
    }
}

/// The goal that is named, by its code or by what the advertiser calls it; where none is named, the one whose own id the
/// call refers to, or the only one there is.
fn find_goal<'a>(case: &Case<'a>) -> Result<&'a Goal, Verdict> {
    let goals = &case.route.promotion.goals;
    let called = |name: &str| {
        goals.iter().find(|goal| goal.code() == name).or_else(|| {
            goals
                .iter()
                .find(|goal| goal.settings.external_id.as_deref() == Some(name))
        })
    };
    // What some systems send as the kind of all items may be a goal, and may only be what the items are.
    let items = &case.said.items;
    let is_category = |name: &str| {
        items
            .first()
            .is_some_and(|item| item.category.as_deref() == Some(name))
    };
    let named = case
        .said
        .goal
        .as_deref()
        .filter(|name| called(name).is_some() || !is_category(name));
    let by_reference = || {
        let name = case.said.reference.as_deref()?;
        goals
            .iter()
            .find(|goal| goal.settings.external_id.as_deref() == Some(name))
    };
    let found = match (named, goals.as_slice()) {
        (Some(name), _) => called(name),
        (None, [only]) => Some(only),
        (None, _) => by_reference(),
    };
    found.ok_or_else(|| {
        let codes: Vec<_> = goals.iter().map(Goal::code).collect();
        let message = match named {
            Some(code) => format!("The campaign has no goal “{code}”."),
            None => "goal is missing, and the campaign has more than one.".to_owned(),
        };
        Verdict::saying(Reason::GoalUnknown, message).advising(format!("Send one of: {}.", codes.join(", ")))
    })
}

/// The sender's own id of campaign, goal or advertiser must not speak against the click.
fn check_reference(case: &Case<'_>, goal: &Goal, trace: &mut Trace) -> Result<(), Verdict> {
    let Some(reference) = case.said.reference.as_deref() else {
        return Ok(());
    };
    let campaign = case.route.campaign();
    let is = |id: &dyn std::fmt::Display, external: &Option<String>| {
        external.as_deref() == Some(reference) || id.to_string() == reference
    };
    let fits = is(&campaign.id, &campaign.external_id)
        || is(&goal.id, &goal.settings.external_id)
        || campaign.advertiser_id.to_string() == reference;
    match (fits, &campaign.external_id) {
        (true, _) => trace.good("reference", format!("{reference} is what is meant")),
        (false, None) => trace.note(
            "reference",
            format!("{reference} is not known here; give the campaign this external id to have it checked"),
        ),
        (false, Some(own)) => {
            let message =
                format!("The click belongs to the campaign {own}, and the call is about {reference}.");
            return Err(Verdict::saying(Reason::WrongCampaign, message));
        }
    }
    Ok(())
}

/// What the call asks for, from what it is meant to do and the status it carries.
fn wants(case: &Case<'_>, goal: &Goal, trace: &mut Trace) -> Result<Wants, Verdict> {
    let said = case.said;
    let own_meaning = said
        .status
        .as_deref()
        .and_then(|status| case.integration.meaning_of(status));
    let state = match own_meaning {
        Some("ignored") => return Err(Verdict::of(Reason::StatusIgnored)),
        Some("pending") => Some(State::Pending),
        Some("held") => Some(State::Held),
        Some("approved") => Some(State::Approved),
        Some("rejected") => Some(State::Rejected),
        _ => said.state,
    };
    let status = state.map(|state| match state {
        State::Pending | State::Held => ConversionStatus::Pending,
        State::Approved => ConversionStatus::Approved,
        State::Rejected => ConversionStatus::Rejected,
    });
    if let Some(sent) = &said.status {
        match status {
            Some(status) => trace.good("status", format!("{sent} means {status}")),
            None => trace.note("status", format!("{sent} is not known here, and changes nothing")),
        }
    }
    let approves_itself = goal.settings.auto_approve && goal.settings.hold_days == 0;
    let starts = match approves_itself {
        true => ConversionStatus::Approved,
        false => ConversionStatus::Pending,
    };
    Ok(match (said.intent, status) {
        (Intent::Refund, _) => Wants::Refunded,
        (Intent::Update, status) => Wants::Changed(status),
        (Intent::Report, None) => Wants::New(starts),
        (Intent::Report | Intent::Upsert, said) => Wants::NewOrChanged { starts, said },
    })
}

fn check_parameters(case: &Case<'_>, goal: &Goal, trace: &mut Trace) -> Result<(), Verdict> {
    let demands = &goal.settings.demands;
    let (required, forbidden) = (&demands.required_parameters.0, &demands.forbidden_parameters.0);
    if let Some(name) = required.iter().find(|name| !carries(case.said, name)) {
        let message = format!("{name} is missing or empty, and the goal demands it.");
        return Err(Verdict::saying(Reason::ParamMissing, message).advising(format!("Send {name}.")));
    }
    if let Some(name) = forbidden.iter().find(|name| carries(case.said, name)) {
        let message = format!("{name} was sent, and the goal forbids it.");
        return Err(Verdict::saying(Reason::ParamForbidden, message).advising(format!("Leave {name} out.")));
    }
    if !required.is_empty() || !forbidden.is_empty() {
        trace.good("parameters", "all that the goal demands, none that it forbids");
    }
    Ok(())
}

/// Whether a call carries a parameter, by our name for it or, for all others, by the sender's.
fn carries(said: &Postback, name: &str) -> bool {
    match name {
        "click_id" => !said.click_ids.is_empty(),
        "order_id" => said.order_id.is_some(),
        "amount" => said.amount.is_some(),
        "currency" => said.currency.is_some(),
        "goal" => said.goal.is_some(),
        "status" => said.status.is_some(),
        "coupon" => said.coupon.is_some(),
        "country" => said.country.is_some(),
        "customer_id" => said.customer_id.is_some(),
        "customer_type" => said.customer_type.is_some(),
        "event_time" => said.event_time.is_some(),
        "items" => !said.items.is_empty(),
        "partner_key" => said.affiliate_key.is_some(),
        "campaign" => said.reference.is_some(),
        _ => {
            let sub = name
                .strip_prefix("sub")
                .and_then(|number| number.parse::<usize>().ok())
                .and_then(|number| said.subs.get(number.wrapping_sub(1)));
            sub.is_some_and(Option::is_some)
                || said
                    .extra
                    .iter()
                    .any(|(known, value)| known == name && !value.is_empty())
        }
    }
}

fn unique_key(case: &Case<'_>, goal: &Goal) -> Result<String, Verdict> {
    let order = || case.said.order_id.clone();
    match goal.settings.unique_by {
        UniqueBy::Order => order().ok_or_else(|| Verdict::of(Reason::OrderIdMissing)),
        UniqueBy::Click => case
            .click
            .map(|key| key.to_string())
            .or_else(order)
            .ok_or_else(|| Verdict::of(Reason::ClickIdMissing)),
        UniqueBy::Customer => case
            .said
            .customer_id
            .clone()
            .ok_or_else(|| Verdict::of(Reason::CustomerIdMissing)),
        // A signed call that is sent once more is the same one.
        UniqueBy::Fire => Ok(order()
            .or_else(|| case.signature.map(str::to_owned))
            .unwrap_or_else(|| case.postback_id.to_string())),
    }
}

fn find_currency(case: &Case<'_>) -> Result<Currency, Verdict> {
    match case.said.currency.as_deref() {
        None => Ok(case.route.campaign().currency),
        Some(sent) => sent
            .parse()
            .map_err(|unknown| Verdict::saying(Reason::CurrencyUnknown, format!("currency {unknown}."))),
    }
}

/// The amount as sent, or the sum of the items where only they have one.
fn sent_amount(case: &Case<'_>, trace: &mut Trace) -> Result<Option<i64>, Verdict> {
    if let Some(amount) = case.said.amount {
        return Ok(Some(amount.micros));
    }
    let items = &case.said.items;
    let sum = items
        .iter()
        .try_fold(0_i64, |sum, item| sum.checked_add(item.amount?.micros));
    let Some(sum) = sum.filter(|_| !items.is_empty()) else {
        return Ok(None);
    };
    if Amount::from_micros(sum).is_none() {
        let message = "The items add up to more than 1000000000.";
        return Err(Verdict::saying(Reason::AmountInvalid, message));
    }
    trace.note("amount", format!("the sum of {} items", items.len()));
    Ok(Some(sum))
}

/// The amount that was sent, or the goal's own.
fn amount(
    case: &Case<'_>,
    goal: &Goal,
    sent: Option<i64>,
    trace: &mut Trace,
) -> Result<Option<i64>, Verdict> {
    if sent.is_some() {
        return Ok(sent);
    }
    if let Some(default) = goal.settings.demands.default_amount_micros {
        trace.note("amount", "none was sent; the goal's own is taken");
        return Ok(Some(default));
    }
    let rules = || case.route.promotion.rules_of(goal.id);
    if goal.terms().need_amount() || rules().any(|rule| rule.terms().need_amount()) {
        return Err(Verdict::of(Reason::AmountMissing));
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
