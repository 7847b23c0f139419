//! Rules of dialects that apply to the whole postback after parsing.

use crate::basket::within;
use crate::dialect::{Dialect, Kind};
use crate::postback::{ITEM_LIMIT, Intent, Item, State};
use crate::values::amount_problem;
use crate::{Amount, Postback, Problem};

/// A rule of a dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The order's amount is the sum of its items if not sent.
    AmountFromItems,
    /// The goal is the common category of all items if not sent.
    GoalFromItems,
    /// A percentage counts only if the fixed commission is 0 (ClickMeter).
    PercentWithoutFixed,
    /// Any status reverses an existing conversion (Impact's disposition codes).
    StatusReverses,
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
            Rule::StatusReverses => {
                if postback.status.is_some() {
                    postback.state = Some(State::Rejected);
                    postback.intent = Intent::Update;
                }
            }
            Rule::OwnStatusMap => own_status_map(postback),
        }
    }
}

fn state(dialect: &Dialect, status: Option<&str>) -> Option<State> {
    let status = status?;
    // Other systems compare exactly; in ours `Approved` can only mean `approved`.
    let lenient = dialect.kind == Kind::Own;
    let same = |(known, state): &(&str, State)| {
        let matches = *known == status || (lenient && known.eq_ignore_ascii_case(status));
        matches.then_some(*state)
    };
    dialect.states.iter().find_map(same)
}

fn amount_from_items(postback: &mut Postback) {
    if postback.amount.is_some() || postback.items.is_empty() {
        return;
    }
    let micros = postback
        .items
        .iter()
        .try_fold(0_i64, |sum, item| sum.checked_add(item.amount?.micros));
    // The items of CJ and Impact count as gross, so the order's discount is subtracted. Our reference does not confirm
    // this. The other dialects with this rule have no discount.
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
    match (postback.commission, postback.commission_rate_ppm) {
        (Some(Amount { micros: 0 }), Some(_)) => postback.commission = None,
        (Some(_), Some(_)) => postback.commission_rate_ppm = None,
        _ => {}
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

/// Awin's `GROUP:12.50|OTHER:3`: one group is the goal, several are line items. `DEFAULT` is Awin's name for no group.
pub(crate) fn take_groups(postback: &mut Postback, name: &str, value: &str) -> Result<(), Problem> {
    let mut groups = Vec::new();
    let malformed = |detail| Problem::Malformed {
        parameter: name.to_owned(),
        detail,
    };
    for part in value.split('|') {
        if groups.len() == ITEM_LIMIT {
            return Err(malformed(format!("it has more than {ITEM_LIMIT} groups")));
        }
        let group = part.rsplit_once(':');
        let (group, amount) = group.ok_or_else(|| malformed("a part is not group:amount".to_owned()))?;
        within(256, name, group)?;
        let amount = Amount::parse(amount).map_err(|problem| amount_problem(name, amount, problem))?;
        groups.push((group, amount));
    }
    match groups.as_slice() {
        [(group, amount)] => {
            postback.amount.get_or_insert(*amount);
            postback.goal = Some((*group).to_owned()).filter(|group| group != "DEFAULT");
        }
        groups => {
            let line = |(group, amount): &(&str, Amount)| Item {
                category: Some((*group).to_owned()),
                amount: Some(*amount),
                ..Item::default()
            };
            postback.items = groups.iter().map(line).collect();
        }
    }
    Ok(())
}
