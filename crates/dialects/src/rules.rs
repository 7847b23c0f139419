//! Rules of dialects that apply to the whole postback after parsing.

use crate::basket::within;
use crate::dialect::Dialect;
use crate::placeholder::is_placeholder;
use crate::postback::{ITEM_LIMIT, Intent, Item, State};
use crate::values::amount_problem;
use crate::{Amount, Postback, Problem, json};

/// A rule of a dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The order's amount is the sum of its items if not sent.
    AmountFromItems,
    /// The goal is the common category of all items if not sent.
    GoalFromItems,
    /// A percentage counts only if the fixed commission is 0 (ClickMeter); beside one that is not, it is not used.
    PercentWithoutFixed,
    /// The dialect's statuses reverse an existing conversion, and no other status means anything (Impact's disposition codes).
    StatusReverses,
    /// Another sales channel than this is credited: the sender says so in the parameter (Awin's `ch`).
    Channel {
        /// Parameter.
        parameter: &'static str,
        /// Value for us.
        ours: &'static str,
    },
    /// A call is the first event of a customer, so that it must name a click (PartnerStack's sign-ups).
    NeedsClick,
    /// A report must have these parameters, `a|b` for one of two, as the system's document says.
    Requires(&'static [&'static str]),
    /// The sender's ID of the campaign or goal must be one that we know (ClickMeter: it must not be modified).
    ReferenceDecides,
    /// The first sub ID is the order ID where none is sent (TUNE's `adv_sub`).
    OrderFromSub,
    /// A goal of this name is none.
    NoGoal(&'static str),
    /// An order is reported in one call per position, so that an order ID is that of the position (Admitad).
    Positions,
    /// The call maps its statuses to states (Keitaro).
    OwnStatusMap,
}

/// Applies the dialect's rules and its map of statuses.
pub(crate) fn apply(dialect: &Dialect, postback: &mut Postback) {
    postback.state = state(dialect, postback.status.as_deref());
    for rule in dialect.rules {
        match rule {
            Rule::AmountFromItems => amount_from_items(postback),
            Rule::GoalFromItems => goal_from_items(postback),
            Rule::PercentWithoutFixed => percent_without_fixed(postback),
            Rule::OrderFromSub => {
                let [first, ..] = &postback.subs;
                let of_sub = || first.clone().filter(|sub| !is_placeholder(sub));
                postback.order_id = postback.order_id.take().or_else(of_sub);
            }
            // Checked with the parameters that were sent, or by the receiver.
            Rule::NeedsClick | Rule::Requires(_) | Rule::ReferenceDecides => {}
            Rule::StatusReverses => reverse(dialect, postback),
            Rule::Channel { parameter, ours } => channel(postback, parameter, ours),
            Rule::NoGoal(none) => {
                postback.goal = postback
                    .goal
                    .take()
                    .filter(|goal| !goal.eq_ignore_ascii_case(none));
            }
            Rule::Positions => positions(postback),
            Rule::OwnStatusMap => own_status_map(postback),
        }
    }
    // Shops write #1001 and 1001 for the same order, wherever it stands.
    let signed = postback
        .order_id
        .as_deref()
        .filter(|order| order.starts_with('#'));
    let bare = signed.map(|order| order.trim_start_matches('#').to_owned());
    if let Some(bare) = bare.filter(|bare| !bare.is_empty()) {
        postback.order_id = Some(bare);
    }
}

/// Words for states that systems share, beside those of the dialect.
const WORDS: [(&str, State); 34] = [
    ("approved", State::Approved),
    ("approve", State::Approved),
    ("accepted", State::Approved),
    ("confirmed", State::Approved),
    ("validated", State::Approved),
    ("completed", State::Approved),
    ("complete", State::Approved),
    ("pending", State::Pending),
    ("processing", State::Pending),
    ("open", State::Pending),
    ("unconfirmed", State::Pending),
    ("hold", State::Held),
    ("held", State::Held),
    ("on-hold", State::Held),
    ("on_hold", State::Held),
    ("rejected", State::Rejected),
    ("reject", State::Rejected),
    ("declined", State::Rejected),
    ("cancelled", State::Rejected),
    ("canceled", State::Rejected),
    ("reversed", State::Rejected),
    ("refunded", State::Rejected),
    ("returned", State::Rejected),
    ("chargeback", State::Rejected),
    ("charged_back", State::Rejected),
    ("void", State::Rejected),
    ("voided", State::Rejected),
    ("trash", State::Rejected),
    ("failed", State::Rejected),
    ("invalid", State::Rejected),
    ("fraud", State::Rejected),
    ("expired", State::Rejected),
    ("deleted", State::Rejected),
    ("denied", State::Rejected),
];

/// State of a status: by the dialect's words, or else by those that systems share; in any letter case.
fn state(dialect: &Dialect, status: Option<&str>) -> Option<State> {
    let status = status?;
    let find = |words: &[(&str, State)]| {
        let mut words = words.iter();
        words.find_map(|(known, state)| known.eq_ignore_ascii_case(status).then_some(*state))
    };
    find(dialect.states).or_else(|| find(&WORDS))
}

fn reverse(dialect: &Dialect, postback: &mut Postback) {
    let Some(status) = postback.status.clone() else {
        return;
    };
    if dialect
        .states
        .iter()
        .any(|(code, _)| code.eq_ignore_ascii_case(&status))
    {
        postback.intent = Intent::Update;
    } else {
        // The reason of a change, such as `ORDER_UPDATE`.
        postback.status = None;
        postback.state = None;
        postback.extra.push(("disposition".to_owned(), status));
    }
}

fn channel(postback: &mut Postback, parameter: &str, ours: &str) {
    let sent = postback
        .extra
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(parameter));
    let other = sent.map(|(_, value)| value.clone());
    postback.other_channel = other.filter(|value| !value.is_empty() && !value.eq_ignore_ascii_case(ours));
}

fn positions(postback: &mut Postback) {
    let named = |wanted: &str| {
        let mut extra = postback.extra.iter();
        extra
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.clone())
    };
    let (number, count) = (named("position_id"), named("position_count"));
    if let (Some(number), Some(order), true) = (
        number,
        postback.order_id.as_mut(),
        count.is_some_and(|count| count != "1"),
    ) {
        order.push('/');
        order.push_str(&number);
    }
}

fn amount_from_items(postback: &mut Postback) {
    if postback.amount.is_some() || postback.items.is_empty() {
        return;
    }
    let micros = postback
        .items
        .iter()
        .try_fold(0_i64, |sum, item| sum.checked_add(item.amount?.micros));
    // An order's discount comes off the sum of its items: Impact documents it, and so do those whose items are gross.
    let discount = postback.discount.map_or(0, |discount| discount.micros);
    postback.amount = micros.and_then(|sum| Amount::from_micros(sum.checked_sub(discount)?));
}

fn goal_from_items(postback: &mut Postback) {
    let Some((first, others)) = postback.items.split_first() else {
        return;
    };
    if postback.goal.is_none() && others.iter().all(|item| item.category == first.category) {
        postback.goal.clone_from(&first.category);
    }
}

fn percent_without_fixed(postback: &mut Postback) {
    if postback.commission_rate_ppm.is_some() {
        postback.commission = postback.commission.take().filter(|fixed| fixed.micros != 0);
    }
}

/// `lead_status=a,b&sale_status=c&rejected_status=d`: a map of the sender's statuses, sent in the call. A status to
/// ignore (`ignore_status=ping,test`) is a test.
fn own_status_map(postback: &mut Postback) {
    const MAPS: [(&str, State); 3] = [
        ("lead_status", State::Pending),
        ("sale_status", State::Approved),
        ("rejected_status", State::Rejected),
    ];
    let Some(status) = postback.status.as_deref() else {
        return;
    };
    let lists = |map: &str| {
        let named = postback.extra.iter().filter(|(name, _)| name == map);
        named
            .flat_map(|(_, statuses)| statuses.split(','))
            .any(|known| known.trim() == status)
    };
    postback.is_test |= lists("ignore_status");
    if let Some((_, state)) = MAPS.iter().find(|(map, _)| lists(map)) {
        postback.state = Some(*state);
    }
}

/// Awin's `GROUP:12.50|OTHER:3`, or `[{"code":"GROUP","amount":12.5}]` of its Conversion API: one group is the goal,
/// several are line items. `DEFAULT` is Awin's name for no group.
pub(crate) fn take_groups(postback: &mut Postback, name: &str, value: &str) -> Result<(), Problem> {
    let malformed = |detail: String| Problem::Malformed {
        parameter: name.to_owned(),
        detail,
    };
    let parts = match listed_groups(value) {
        Some(parts) => parts,
        None => value
            .split('|')
            .map(|part| {
                let (group, amount) = part.rsplit_once(':')?;
                Some((group.to_owned(), amount.to_owned()))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| malformed("a part is not group:amount".to_owned()))?,
    };
    if parts.len() > ITEM_LIMIT {
        return Err(malformed(format!("it has more than {ITEM_LIMIT} groups")));
    }
    let mut groups = Vec::with_capacity(parts.len());
    for (group, amount) in parts {
        within(256, name, &group)?;
        let amount = Amount::parse(&amount).map_err(|problem| amount_problem(name, &amount, problem))?;
        groups.push((group, amount));
    }
    match groups.as_slice() {
        [(group, amount)] => {
            postback.amount.get_or_insert(*amount);
            postback.goal = Some(group.clone()).filter(|group| group != "DEFAULT");
        }
        groups => {
            let line = |(group, amount): &(String, Amount)| Item {
                category: Some(group.clone()),
                amount: Some(*amount),
                ..Item::default()
            };
            postback.items = groups.iter().map(line).collect();
        }
    }
    Ok(())
}

/// Codes and amounts of a JSON list of groups; `None` for any other text.
fn listed_groups(value: &str) -> Option<Vec<(String, String)>> {
    if !value.trim_start().starts_with('[') {
        return None;
    }
    let entries = json::objects(value, ITEM_LIMIT + 1).ok()?;
    let group = |members: Vec<(String, String)>| {
        let named = |wanted: &str| {
            let mut members = members.iter();
            members
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.clone())
        };
        named("code").zip(named("amount"))
    };
    entries.into_iter().map(group).collect()
}
