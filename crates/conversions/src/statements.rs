//! The history of a conversion, for people: every statement, and its effect or why it had none.

use schema::{Currency, Money, NetworkConn};
use tenancy::{Actor, ChangeError, Permission};

use crate::changes::{self, Change, Source};
use crate::conversion::{Conversion, ConversionStatus};
use crate::outcome::{Outcome, outcome};
use crate::revision::Revision;

/// Statement about a conversion with its effect when it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The statement.
    pub change: Change,
    /// State before it; `None` for the report.
    pub before: Option<Outcome>,
    /// State after it.
    pub after: Outcome,
    /// Reason why it changed nothing; `None` if it changed something.
    pub without_effect: Option<&'static str>,
    /// True for a correction by a user that was not undone.
    pub may_be_undone: bool,
}

/// Statements about a conversion, in the order of their arrival.
///
/// # Errors
/// Returns an error when the database fails or the stored terms are unreadable.
pub async fn statements(
    conn: &mut NetworkConn,
    conversion: Conversion,
) -> Result<Vec<Statement>, ChangeError> {
    let history = changes::history(conn, conversion.id).await?;
    let revision = Revision::new(conversion, history)
        .map_err(|error| diesel::result::Error::DeserializationError(Box::new(error)))?;
    let mut ordered: Vec<Change> = revision.history().to_vec();
    // The report may arrive after a statement with an earlier time; it makes the conversion all the same.
    ordered.sort_by_key(|change| (change.source != Source::Report, change.changed_at, change.id));
    let (pricing, currency) = (revision.pricing(), revision.after().currency);
    let mut before = None;
    let mut statements = Vec::with_capacity(ordered.len());
    for length in 1..=ordered.len() {
        let Some((change, earlier)) = ordered.get(..length).and_then(<[Change]>::split_last) else {
            continue;
        };
        let after = outcome(ordered.get(..length).unwrap_or_default(), pricing, currency);
        let without_effect = before
            .as_ref()
            .filter(|before| *before == &after)
            .map(|_| why_without_effect(change, earlier));
        statements.push(Statement {
            change: change.clone(),
            before: before.replace(after.clone()),
            after,
            without_effect,
            may_be_undone: change.source == Source::Person
                && change.undoes.is_none()
                && !ordered.iter().any(|undo| undo.undoes == Some(change.id)),
        });
    }
    Ok(statements)
}

fn why_without_effect(change: &Change, earlier: &[Change]) -> &'static str {
    let decided = earlier
        .iter()
        .filter(|known| known.source == Source::Person && (known.status.is_some() || known.is_released))
        .max_by_key(|known| known.changed_at)
        .is_some_and(|decision| !decision.is_released);
    let user_set_amount = earlier
        .iter()
        .any(|known| known.source == Source::Person && known.remaining_micros.is_some());
    if !change.is_proven {
        "the sender was not authenticated, and a stronger statement exists"
    } else if change.status.is_some() && decided && change.source != Source::Person {
        "a user of the network had decided"
    } else if change.amount_micros.or(change.remaining_micros).is_some() && user_set_amount {
        "a user of the network had set the amount; only lower amounts and refunds count"
    } else if change.refund_micros.is_some() {
        "the same refund was received before, or nothing was left"
    } else if change.event_time.is_some() {
        "a later statement takes precedence, or it had this state already"
    } else {
        "it had this state already"
    }
}

impl Statement {
    /// True if an actor may see it: holds are the network's, and it must say something that the actor may see.
    #[must_use]
    pub fn is_for(&self, actor: &Actor, currency: Currency) -> bool {
        let is_about_hold = self.change.source == Source::Person
            && (self.change.status == Some(ConversionStatus::Pending) || self.change.is_released);
        (!is_about_hold || is_staff(actor)) && !self.says(actor, currency).is_empty()
    }

    /// True if its sender was not authenticated, and the actor may know: for others, it is the advertiser.
    #[must_use]
    pub fn is_shown_as_unproven(&self, actor: &Actor) -> bool {
        !self.change.is_proven && actor.scope().affiliate.is_none()
    }

    /// Content in words, as far as the actor may see it: `approved`, `total 80.00 EUR`, `refund 10.00 EUR`.
    #[must_use]
    pub fn says(&self, actor: &Actor, currency: Currency) -> String {
        let change = &self.change;
        let money = |micros: i64| Money { micros, currency }.to_string();
        let mut parts: Vec<String> = Vec::new();
        match (change.source, change.status) {
            (Source::Person, Some(ConversionStatus::Pending)) => parts.push("put on hold".to_owned()),
            (_, Some(status)) => parts.push(status.to_string()),
            (_, None) => {}
        }
        if change.is_released {
            parts.push("decision released".to_owned());
        }
        parts.extend(
            change
                .amount_micros
                .map(|micros| format!("total {}", money(micros))),
        );
        parts.extend(change.remaining_micros.map(|micros| match micros {
            0 => "refund of everything".to_owned(),
            micros => format!("remaining total {}", money(micros)),
        }));
        parts.extend(
            change
                .refund_micros
                .map(|micros| format!("refund {}", money(micros))),
        );
        let commission = change
            .commission_micros
            .filter(|_| actor.may(Permission::SeeCommission));
        parts.extend(commission.map(|micros| format!("commission {}", money(micros))));
        let revenue = change
            .revenue_micros
            .filter(|_| actor.may(Permission::SeeRevenue));
        parts.extend(revenue.map(|micros| format!("revenue {}", money(micros))));
        let moved = change.affiliate_id.filter(|_| change.source == Source::Person);
        parts.extend(moved.map(|id| {
            if is_staff(actor) {
                format!("moved to affiliate {id}")
            } else {
                "moved to another affiliate".to_owned()
            }
        }));
        if change.undoes.is_some() {
            parts.push("correction undone".to_owned());
        }
        match change.source {
            Source::Report if parts.is_empty() => "order reported".to_owned(),
            Source::Hold => "hold period over".to_owned(),
            Source::Parent if change.undoes.is_some() => "parent conversion counts again".to_owned(),
            Source::Parent => "parent conversion no longer counts".to_owned(),
            _ => parts.join(", "),
        }
    }

    /// Effect in words, as far as the actor may see it: `pending → approved`, `100.00 EUR → 80.00 EUR`; the reason if there
    /// was none.
    #[must_use]
    pub fn effect(&self, actor: &Actor, currency: Currency) -> String {
        if self.is_without_effect_of_sender() && !self.is_shown_as_unproven(actor) {
            return "no effect: a stronger statement exists".to_owned();
        }
        if let Some(reason) = self.without_effect {
            return format!("no effect: {reason}");
        }
        let amount = |outcome: &Outcome| {
            outcome.amount_micros.map_or("no amount".to_owned(), |micros| {
                Money { micros, currency }.to_string()
            })
        };
        let Some(before) = &self.before else {
            return format!("{}, {}", self.after.status, amount(&self.after));
        };
        let mut effects = Vec::new();
        if before.status != self.after.status {
            effects.push(format!("{} → {}", before.status, self.after.status));
        }
        if before.amount_micros != self.after.amount_micros {
            effects.push(format!("{} → {}", amount(before), amount(&self.after)));
        }
        match (before.review_because, self.after.review_because) {
            // Reviews are the network's.
            _ if !is_staff(actor) => {}
            (None, Some(_)) => effects.push("needs review".to_owned()),
            (Some(_), None) => effects.push("reviewed".to_owned()),
            _ => {}
        }
        if before.moved_to != self.after.moved_to {
            effects.push("moved".to_owned());
        }
        let money = |outcome: &Outcome| (outcome.commission_micros, outcome.revenue_micros);
        if effects.is_empty() && money(before) != money(&self.after) {
            effects.push("commission or revenue changed".to_owned());
        }
        if effects.is_empty() {
            effects.push("status and amount stay".to_owned());
        }
        effects.join(", ")
    }

    /// True if it had no effect because its sender was not authenticated.
    fn is_without_effect_of_sender(&self) -> bool {
        self.without_effect.is_some() && !self.change.is_proven
    }
}

fn is_staff(actor: &Actor) -> bool {
    actor.scope().is_staff()
}
