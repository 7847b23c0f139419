//! Pure decision on a postback, from its fields and the configuration. It yields a [`Claim`]: the action that the postback
//! is entitled to, before any stored state is looked up.

use std::sync::Arc;

use campaigns::campaigns::CampaignStatus;
use campaigns::goals::{Goal, UniqueBy};
use campaigns::integrations::Integration;
use campaigns::{AttributedBy, Route};
use chrono::{DateTime, TimeDelta, Utc};
use conversions::ConversionStatus;
use dialects::{Dialect, Field, Intent, Postback, State};
use schema::clock::in_words;
use schema::{AdvertiserId, ClickKey, Currency, PostbackId};
use tenancy::affiliates::AffiliateStatus;

use self::amount::{amount, check_sums, find_currency, sent_amount};
use crate::attributed::is_test;
use crate::trace::Trace;
use crate::verdict::{Reason, Verdict};

/// Difference by which the clock of a sender may be ahead.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// Input of a decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    /// Parsed fields.
    pub(crate) postback: &'a Postback,
    /// Format in which it was sent.
    pub(crate) dialect: &'static Dialect,
    /// Receipt.
    pub(crate) postback_id: PostbackId,
    /// Advertiser that sent it.
    pub(crate) advertiser_id: AdvertiserId,
    /// Integration of the advertiser or campaign.
    pub(crate) integration: &'a Integration,
    /// Click; `None` if another proof attributed it.
    pub(crate) click: Option<ClickKey>,
    /// Time of the click; `None` if the postback does not name the click itself.
    pub(crate) clicked_at: Option<DateTime<Utc>>,
    /// Proof that attributed it.
    pub(crate) by: AttributedBy,
    /// Time of the customer's conversion that attributed it; `None` for other proofs.
    pub(crate) customer_at: Option<DateTime<Utc>>,
    /// True if nothing but the order that it changes leads to the link.
    pub(crate) is_by_order: bool,
    /// True if a token, a signature or an allowed address identified the sender.
    pub(crate) is_authenticated: bool,
    /// Link with its current configuration.
    pub(crate) route: &'a Route,
    /// Arrival.
    pub(crate) received_at: DateTime<Utc>,
    /// Signature that it was sent with.
    pub(crate) signature: Option<&'a str>,
}

impl Case<'_> {
    /// True for a test, which never pays.
    pub(crate) fn is_test(&self) -> bool {
        is_test(self.route, Some(self.by))
    }
}

/// Action that a postback is entitled to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Goal that was reached.
    pub(crate) goal: Arc<Goal>,
    /// Value that the goal deduplicates by.
    pub(crate) unique_key: String,
    /// Amount of a new conversion, in micro-units.
    pub(crate) amount_micros: Option<i64>,
    /// Amount that was sent, in micro-units.
    pub(crate) sent_micros: Option<i64>,
    /// Currency of amount, commission and revenue.
    pub(crate) currency: Currency,
    /// Action.
    pub(crate) action: Action,
    /// True if a status was sent that is none we know: a new conversion is pending then, whatever the goal says.
    pub(crate) is_status_unknown: bool,
    /// Reason why a new conversion must not be created; an existing one may still be updated: after the attribution window,
    /// without an amount, after the end of the campaign.
    pub(crate) blocks_creation: Option<Verdict>,
}

/// Action of a postback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Create a conversion with this status.
    Create(ConversionStatus),
    /// Create a conversion, or update the existing one.
    Upsert {
        /// Status of a new conversion if none was sent.
        initial: ConversionStatus,
        /// Status that was sent.
        sent: Option<ConversionStatus>,
    },
    /// Update the existing conversion; to this status, if one was sent.
    Update(Option<ConversionStatus>),
    /// Refund the amount that was sent, or all of the existing conversion.
    Refund,
}

impl Action {
    /// True if the action may create a conversion.
    pub(crate) fn creates(self) -> bool {
        matches!(self, Self::Create(_) | Self::Upsert { .. })
    }
}

/// Decides a postback that was authenticated and attributed.
///
/// # Errors
/// The verdict, when it is entitled to nothing; that of the first broken rule.
pub(crate) fn decide(case: &Case<'_>, trace: &mut Trace) -> Result<Claim, Verdict> {
    if case.route.campaign().advertiser_id != case.advertiser_id {
        return Err(Verdict::of(Reason::WrongCampaign));
    }
    if case.postback.is_test && !case.is_test() {
        return Err(Verdict::of(Reason::WrongMode));
    }
    note_foreign_names(case, trace);
    check_event_time(case, trace)?;
    check_authority(case)?;
    let goal = find_goal(case)?;
    trace.pass("goal", format!("{} ({})", goal.settings.name, goal.code()));
    check_reference(case, goal, trace)?;
    let status = status(case, trace)?;
    let is_status_unknown = status.is_none() && case.postback.status.is_some() && case.is_authenticated;
    let action = action(case, goal, status, is_status_unknown)?;
    let unique_key = unique_key(case, goal, action)?;
    trace.pass("unique", format!("by {}: {unique_key}", goal.settings.unique_by));
    let currency = find_currency(case)?;
    check_sums(case, currency)?;
    let sent_micros = sent_amount(case, currency, trace)?;
    let mut claim = Claim {
        goal: Arc::clone(goal),
        unique_key,
        amount_micros: sent_micros,
        sent_micros,
        currency,
        action,
        is_status_unknown,
        blocks_creation: None,
    };
    if action.creates() && case.is_by_order {
        claim.blocks_creation = Some(Verdict::of(Reason::ClickIdMissing));
    } else if action.creates() {
        match check_new(case, goal, sent_micros, currency, trace) {
            Ok(amount_micros) => claim.amount_micros = amount_micros,
            Err(verdict) => claim.blocks_creation = Some(verdict),
        }
    }
    Ok(claim)
}

/// Checks the rules for a new conversion, and returns its amount.
fn check_new(
    case: &Case<'_>,
    goal: &Goal,
    sent: Option<i64>,
    currency: Currency,
    trace: &mut Trace,
) -> Result<Option<i64>, Verdict> {
    check_campaign(case, goal, trace)?;
    check_window(case, trace)?;
    check_parameters(case, goal, trace)?;
    amount(case, goal, sent, currency, trace)
}

/// Notes values that were sent by our names, where the sender's format has another name or none: they do not count.
fn note_foreign_names(case: &Case<'_>, trace: &mut Trace) {
    const COUNTING: [Field; 8] = [
        Field::Amount,
        Field::Currency,
        Field::OrderId,
        Field::Commission,
        Field::Status,
        Field::Coupon,
        Field::CustomerId,
        Field::Refund,
    ];
    let ours = dialects::native();
    if case.dialect.key == ours.key {
        return;
    }
    for (name, _) in &case.postback.extra {
        let field = ours.meaning(name);
        if COUNTING.contains(&field) {
            let because = match case.dialect.name_of(field) {
                Some(own) => format!("this format calls it {own}"),
                None => "this format has no such parameter".to_owned(),
            };
            trace.unused(name, because);
        }
    }
}

/// Refuses more than a report from a sender who is not authenticated: everyone with the click could send it.
fn check_authority(case: &Case<'_>) -> Result<(), Verdict> {
    let postback = case.postback;
    let is_report =
        matches!(postback.intent, Intent::Report | Intent::Upsert) && postback.remaining.is_none();
    if case.is_authenticated || is_report {
        return Ok(());
    }
    let message = "The sender is not authenticated, so that it may report an order and nothing else.";
    Err(Verdict::with_message(Reason::ReportOnly, message))
}

/// Refuses the time of an event that lies in the future. That of a sender who is not authenticated does not count.
fn check_event_time(case: &Case<'_>, trace: &mut Trace) -> Result<(), Verdict> {
    let Some(at) = case.postback.event_time else {
        return Ok(());
    };
    if !case.is_authenticated {
        trace.note("event_time", "not used: the sender is not authenticated");
        return Ok(());
    }
    if at - case.received_at > CLOCK_TOLERANCE {
        let message = format!("event_time is {} in the future.", in_words(at - case.received_at));
        return Err(Verdict::with_message(Reason::EventTimeInvalid, message));
    }
    trace.pass("event_time", at.format("%F %T UTC").to_string());
    Ok(())
}

fn check_campaign(case: &Case<'_>, goal: &Goal, trace: &mut Trace) -> Result<(), Verdict> {
    let campaign = case.route.campaign();
    match campaign.status {
        CampaignStatus::Draft | CampaignStatus::Ended => {
            let message = format!(
                "The campaign is {}.",
                match campaign.status {
                    CampaignStatus::Ended => "over",
                    _ => "a draft",
                }
            );
            return Err(Verdict::with_message(Reason::CampaignInactive, message));
        }
        // Its links are inactive while it is paused, so the click is older.
        CampaignStatus::Paused | CampaignStatus::Testing | CampaignStatus::Live => {}
    }
    // Tests continue, so that the advertiser can fix the problem.
    if let Some(since) = case.route.promotion.paused_at.filter(|_| !case.is_test()) {
        trace.note("paused", format!("since {}", since.format("%F %R UTC")));
        return Err(Verdict::of(Reason::AdvertiserPaused));
    }
    // A customer's later conversion belongs to the affiliate of its parent, which is not known yet.
    let follows_parent = case.by == AttributedBy::Customer && goal.settings.chain.parent_goal_id.is_some();
    if case.route.affiliate.status == AffiliateStatus::Blocked && !follows_parent {
        return Err(Verdict::of(Reason::AffiliateBlocked));
    }
    if case.postback.is_test && !case.is_test() {
        return Err(Verdict::of(Reason::WrongMode));
    }
    trace.pass("campaign", format!("{} is {}", campaign.name, campaign.status));
    if case.is_test() {
        trace.note("mode", "test: never pays");
    }
    Ok(())
}

fn check_window(case: &Case<'_>, trace: &mut Trace) -> Result<(), Verdict> {
    let campaign = case.route.campaign();
    if let Some(customer_at) = case.customer_at {
        let (age, days) = (case.received_at - customer_at, campaign.customer_days);
        if age > TimeDelta::days(days.into()) {
            let message = format!(
                "The customer's latest conversion is {} old; the customer window is {days} days.",
                in_words(age)
            );
            return Err(Verdict::with_message(Reason::ClickExpired, message));
        }
        let words = format!(
            "the customer's conversion is {} old; the window is {days} days",
            in_words(age)
        );
        trace.pass("window", words);
    }
    let Some(clicked_at) = case.clicked_at else {
        return Ok(());
    };
    let (days, seconds) = (campaign.attribution_days, campaign.attribution_min_seconds);
    let age = case.received_at - clicked_at;
    if age > TimeDelta::days(days.into()) {
        let message = format!(
            "The click is {} old; the attribution window is {days} days.",
            in_words(age)
        );
        return Err(Verdict::with_message(Reason::ClickExpired, message));
    }
    if age < TimeDelta::seconds(seconds.into()) && !case.is_test() {
        let message = format!(
            "The click is {} old; the minimum click-to-conversion time is {seconds} seconds.",
            in_words(age)
        );
        return Err(Verdict::with_message(Reason::TooFast, message));
    }
    trace.pass(
        "window",
        format!("{} old; the window is {seconds} s to {days} days", in_words(age)),
    );
    Ok(())
}

/// Goal that the postback names, by its code or external ID; without a name, the one whose external ID the reference is,
/// or the only goal.
fn find_goal<'a>(case: &Case<'a>) -> Result<&'a Arc<Goal>, Verdict> {
    let goals = &case.route.promotion.goals;
    let find = |name: &str| {
        goals.iter().find(|goal| goal.code() == name).or_else(|| {
            goals
                .iter()
                .find(|goal| goal.settings.external_id.as_deref() == Some(name))
        })
    };
    // Some systems send one value as the goal and as the category of all items; it need not be a goal.
    let items = &case.postback.items;
    let is_category = |name: &str| {
        items
            .first()
            .is_some_and(|item| item.category.as_deref() == Some(name))
    };
    let named = case
        .postback
        .goal
        .as_deref()
        .filter(|name| find(name).is_some() || !is_category(name));
    let by_reference = || {
        let name = case.postback.reference.as_deref()?;
        goals
            .iter()
            .find(|goal| goal.settings.external_id.as_deref() == Some(name) || goal.id.to_string() == name)
    };
    let found = match (named, goals.as_slice()) {
        (Some(name), _) => find(name),
        (None, [only]) => Some(only),
        (None, _) => by_reference(),
    };
    found.ok_or_else(|| {
        let codes: Vec<_> = goals.iter().map(|goal| goal.code()).collect();
        let message = match named {
            Some(code) => format!("The campaign has no goal “{code}”."),
            None => "goal is missing, and the campaign has more than one.".to_owned(),
        };
        Verdict::with_message(Reason::GoalUnknown, message)
            .with_hint(format!("Send one of: {}.", codes.join(", ")))
    })
}

/// Checks that the sender's ID of campaign, goal or advertiser does not contradict the click.
fn check_reference(case: &Case<'_>, goal: &Goal, trace: &mut Trace) -> Result<(), Verdict> {
    let Some(reference) = case.postback.reference.as_deref() else {
        return Ok(());
    };
    let campaign = case.route.campaign();
    let matches = |id: &dyn std::fmt::Display, external: &Option<String>| {
        external.as_deref() == Some(reference) || id.to_string() == reference
    };
    let fits = matches(&campaign.id, &campaign.external_id)
        || matches(&goal.id, &goal.settings.external_id)
        || campaign.advertiser_id.to_string() == reference;
    match (fits, &campaign.external_id) {
        (true, _) => trace.pass("reference", format!("{reference} matches")),
        (false, None) if case.dialect.reference_decides() => {
            let own = case.dialect.name_of(Field::Reference).unwrap_or("campaign");
            let message = format!("{own} {reference} is the ID of no campaign and no goal of the click.");
            return Err(
                Verdict::with_message(Reason::WrongCampaign, message).with_hint(format!(
                    "Send the {own} that the Integration page shows, or ask the network to set {reference} as the \
                     external ID of the campaign."
                )),
            );
        }
        (false, None) => trace.note(
            "reference",
            format!("{reference} is unknown; set it as the external ID of the campaign to have it checked"),
        ),
        (false, Some(own)) => {
            let message =
                format!("The click belongs to the campaign {own}, but the postback names {reference}.");
            return Err(Verdict::with_message(Reason::WrongCampaign, message));
        }
    }
    Ok(())
}

/// Status that was sent, by the network's own words or those of the dialect; `None` if none was sent, or an unknown one.
fn status(case: &Case<'_>, trace: &mut Trace) -> Result<Option<ConversionStatus>, Verdict> {
    let postback = case.postback;
    let mapped = |word: &str| case.integration.meaning_of(word);
    let channel = postback.other_channel.as_deref();
    if let Some(channel) = channel.filter(|channel| mapped(channel).is_none()) {
        let message = format!("The sender credits the channel {channel}, so no conversion is made.");
        return Err(Verdict::with_message(Reason::OtherChannel, message));
    }
    let word = channel.or(postback.status.as_deref());
    if word.is_some() && !case.is_authenticated {
        trace.unused("status", "the sender is not authenticated");
        return Ok(None);
    }
    let state = match word.and_then(mapped) {
        Some("ignored") => return Err(Verdict::of(Reason::StatusIgnored)),
        Some("pending") => Some(State::Pending),
        Some("held") => Some(State::Held),
        Some("approved") => Some(State::Approved),
        Some("rejected") => Some(State::Rejected),
        _ => postback.state,
    };
    let status = state.map(|state| match state {
        State::Pending | State::Held => ConversionStatus::Pending,
        State::Approved => ConversionStatus::Approved,
        State::Rejected => ConversionStatus::Rejected,
    });
    if let Some(sent) = word {
        match status {
            Some(status) => trace.pass("status", format!("{sent} means {status}")),
            None => trace.unused("status", format!("{sent} is no status that we know")),
        }
    }
    Ok(status)
}

/// Action of the postback, from its intent and status.
fn action(
    case: &Case<'_>,
    goal: &Goal,
    status: Option<ConversionStatus>,
    is_status_unknown: bool,
) -> Result<Action, Verdict> {
    let postback = case.postback;
    let approves_itself = goal.settings.auto_approve && goal.settings.hold_days == 0;
    let initial = if approves_itself && !is_status_unknown {
        ConversionStatus::Approved
    } else {
        ConversionStatus::Pending
    };
    let has_money = postback.amount.is_some() || !postback.items.is_empty() || postback.remaining.is_some();
    Ok(match (postback.intent, status) {
        (Intent::Refund, _) => Action::Refund,
        // What is left of an order presupposes the order.
        (_, status) if postback.remaining.is_some() => Action::Update(status),
        (Intent::Update, None) if is_status_unknown && !has_money => return Err(status_unknown(postback)),
        (Intent::Update, status) => Action::Update(status),
        (Intent::Report, None) => Action::Create(initial),
        // Of two reports of an unauthenticated sender the first counts.
        (Intent::Upsert, None) if !case.is_authenticated => Action::Create(initial),
        (Intent::Report | Intent::Upsert, sent) => Action::Upsert { initial, sent },
    })
}

/// Verdict on a status that changes nothing because it is none that we know.
pub(crate) fn status_unknown(postback: &Postback) -> Verdict {
    let sent = postback.status.as_deref().unwrap_or_default();
    let message = format!("The status “{sent}” is none that we know, and it changes nothing.");
    Verdict::with_message(Reason::StatusUnknown, message)
}

fn check_parameters(case: &Case<'_>, goal: &Goal, trace: &mut Trace) -> Result<(), Verdict> {
    let parameters = &goal.settings.demands;
    let (required, forbidden) = (
        &parameters.required_parameters.0,
        &parameters.forbidden_parameters.0,
    );
    if let Some(name) = required.iter().find(|name| !has_parameter(case.postback, name)) {
        let message = format!("{name} is missing or empty, and the goal requires it.");
        return Err(Verdict::with_message(Reason::ParamMissing, message).with_hint(format!("Send {name}.")));
    }
    if let Some(name) = forbidden.iter().find(|name| has_parameter(case.postback, name)) {
        let message = format!("{name} was sent, and the goal forbids it.");
        return Err(
            Verdict::with_message(Reason::ParamForbidden, message).with_hint(format!("Remove {name}."))
        );
    }
    if !required.is_empty() || !forbidden.is_empty() {
        trace.pass("parameters", "all required ones, no forbidden one");
    }
    Ok(())
}

/// True if a postback has a parameter, by our name or, for further parameters, by the sender's.
fn has_parameter(postback: &Postback, name: &str) -> bool {
    match name {
        "click_id" => !postback.click_ids.is_empty(),
        "order_id" => postback.order_id.is_some(),
        "amount" => postback.amount.is_some(),
        "currency" => postback.currency.is_some(),
        "goal" => postback.goal.is_some(),
        "status" => postback.status.is_some(),
        "coupon" => postback.coupon.is_some(),
        "country" => postback.country.is_some(),
        "customer_id" => postback.customer_id.is_some(),
        "customer_type" => postback.customer_type.is_some(),
        "event_time" => postback.event_time.is_some(),
        "items" => !postback.items.is_empty(),
        "partner_key" => postback.affiliate_key.is_some(),
        "campaign" => postback.reference.is_some(),
        _ => {
            let sub = name
                .strip_prefix("sub")
                .and_then(|number| number.parse::<usize>().ok())
                .and_then(|number| postback.subs.get(number.wrapping_sub(1)));
            sub.is_some_and(Option::is_some)
                || postback
                    .extra
                    .iter()
                    .any(|(known, value)| known == name && !value.is_empty())
        }
    }
}

fn unique_key(case: &Case<'_>, goal: &Goal, action: Action) -> Result<String, Verdict> {
    let order = || case.postback.order_id.clone();
    match goal.settings.unique_by {
        UniqueBy::Order => order().ok_or_else(|| Verdict::of(Reason::OrderIdMissing)),
        UniqueBy::Click => case
            .click
            .map(|key| key.to_string())
            .or_else(order)
            .ok_or_else(|| Verdict::of(Reason::ClickIdMissing)),
        UniqueBy::Customer => case
            .postback
            .customer_id
            .clone()
            // An order that exists is found by its ID, whatever the goal deduplicates by.
            .or_else(|| order().filter(|_| !action.creates()))
            .ok_or_else(|| Verdict::of(Reason::CustomerIdMissing)),
        // A signed postback that is sent again is the same one.
        UniqueBy::Fire => Ok(order()
            .or_else(|| case.signature.map(str::to_owned))
            .unwrap_or_else(|| case.postback_id.to_string())),
    }
}

mod amount;
#[cfg(test)]
mod tests;
