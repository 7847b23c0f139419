//! The last two phases of a postback: claimed, and decided. A decided postback is made only by ending a claim, or by the
//! steps that never reached one.

use campaigns::goals::UniqueBy;
use campaigns::rules::Rule;
use chrono::{DateTime, Utc};
use conversions::ConversionKey;
use dialects::AnswerFormat;
use schema::{ClickKey, GoalId};

use super::hold::Hold;
use crate::attributed::{Attempt, Attributed, Findings, Stopped};
use crate::decide::{Case, Claim, decide};
use crate::received::Origin;
use crate::signature::Signed;
use crate::trace::Trace;
use crate::verdict::{Reason, Reply, Verdict};

/// A postback with a claim.
pub(super) struct Claimed {
    /// Position in its batch.
    pub(super) position: usize,
    pub(super) postback: Box<Attributed>,
    pub(super) claim: Claim,
    /// Rules at the time of an order that is older than the rules in memory; `None` if those in memory hold.
    pub(super) former_rules: Option<Vec<Rule>>,
    pub(super) trace: Trace,
}

/// A decided postback, to be stored.
pub(super) struct Decided {
    pub(super) findings: Findings,
    pub(super) ending: Ending,
    pub(super) goal_id: Option<GoalId>,
    /// Amount that was sent, in micro-units.
    pub(super) sent_micros: Option<i64>,
}

/// End of a decision.
pub(super) enum Ending {
    Verdict(Verdict),
    Hold(Hold),
}

impl Ending {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Verdict(verdict) => verdict.clone(),
            Self::Hold(hold) => hold.verdict(),
        }
    }
}

impl Claimed {
    /// Claim of a postback; its end if it is entitled to nothing.
    pub(super) fn of(attempt: Attempt, position: usize) -> Result<Self, Box<Decided>> {
        let mut postback = match attempt {
            Attempt::Attributed(postback) => postback,
            Attempt::Stopped(findings, stopped) => return Err(Box::new(Decided::of(*findings, stopped))),
        };
        let mut trace = std::mem::take(&mut postback.trace);
        match decide(&case(&postback), &mut trace).and_then(|claim| check_replay(&postback, claim)) {
            Ok(claim) => Ok(Self {
                position,
                postback,
                claim,
                former_rules: None,
                trace,
            }),
            Err(verdict) => {
                postback.trace = trace;
                Err(Box::new(Decided {
                    findings: postback.into_findings(),
                    ending: Ending::Verdict(verdict),
                    goal_id: None,
                    sent_micros: None,
                }))
            }
        }
    }

    /// Rejection that its sender received before the database was restored: it stands.
    pub(super) fn answered_rejection(&self) -> Option<Verdict> {
        self.postback.answered.as_ref()?.rejection()
    }

    /// Ends the claim with a verdict.
    pub(super) fn end(self, verdict: Verdict) -> Decided {
        self.decided(Ending::Verdict(verdict))
    }

    /// Ends the claim with a hold.
    pub(super) fn hold(self, hold: Hold) -> Decided {
        self.decided(Ending::Hold(hold))
    }

    /// Ends the claim with a hold, or with a rejection if it was held as long as it may be.
    pub(super) fn hold_unless_overdue(self, hold: impl FnOnce(&Self) -> Hold, reason: Reason) -> Decided {
        if self.postback.origin == Origin::Overdue {
            self.end(Verdict::of(reason))
        } else {
            let hold = hold(&self);
            self.hold(hold)
        }
    }

    fn decided(self, ending: Ending) -> Decided {
        let mut findings = self.postback.into_findings();
        findings.trace = self.trace;
        Decided {
            findings,
            ending,
            goal_id: Some(self.claim.goal.id),
            sent_micros: self.claim.sent_micros,
        }
    }

    /// Key of the conversion that it claims.
    pub(super) fn key(&self) -> ConversionKey {
        ConversionKey {
            network_id: self.postback.network.id,
            goal_id: self.claim.goal.id,
            unique_key: self.claim.unique_key.clone(),
        }
    }

    pub(super) fn click_id(&self) -> Option<ClickKey> {
        self.postback.attribution.click
    }

    pub(super) fn received_at(&self) -> DateTime<Utc> {
        self.postback.record.received_at
    }

    /// Time of the event by the clock of an authenticated sender; `None` if none was sent.
    pub(super) fn event_time(&self) -> Option<DateTime<Utc>> {
        let sent = self.postback.record.postback.event_time;
        sent.filter(|_| self.postback.is_authenticated)
    }

    /// Time by which the order is priced.
    pub(super) fn order_time(&self) -> DateTime<Utc> {
        self.event_time().unwrap_or(self.received_at())
    }

    pub(super) fn order_id(&self) -> Option<&str> {
        self.postback.record.postback.order_id.as_deref()
    }

    /// Order ID, if the order may have been recorded under another key.
    pub(super) fn order_under_other_key(&self) -> Option<&str> {
        let goal = &self.claim.goal;
        let may_be = goal.settings.unique_by != UniqueBy::Order || goal.has_other_keys;
        self.order_id().filter(|_| may_be)
    }

    /// Rules of its goal: those of the time of the order, if it is older than the rules in memory.
    pub(super) fn rules(&self) -> impl Iterator<Item = &Rule> {
        let promotion = &self.postback.route.promotion;
        let in_memory = self
            .former_rules
            .is_none()
            .then(|| promotion.rules_of(self.claim.goal.id));
        self.former_rules
            .iter()
            .flatten()
            .chain(in_memory.into_iter().flatten())
    }

    /// True if an order ID counts once for all campaigns of the advertiser.
    pub(super) fn counts_order_once(&self) -> bool {
        self.postback.integration.settings.counts_orders_once
    }

    /// True if its goal needs a conversion of a parent goal.
    pub(super) fn needs_parent(&self) -> bool {
        self.claim.goal.settings.chain.parent_goal_id.is_some()
    }
}

impl Decided {
    fn of(findings: Findings, stopped: Stopped) -> Self {
        let ending = match stopped {
            Stopped::Verdict(verdict) => Ending::Verdict(verdict),
            Stopped::WaitForCustomer(_) if findings.origin == Origin::Overdue => {
                let message = "This customer had no conversion in time.";
                Ending::Verdict(Verdict::with_message(Reason::ParentMissing, message))
            }
            Stopped::WaitForCustomer(customer) => Ending::Hold(Hold::for_customer(&findings, &customer)),
        };
        Self {
            findings,
            ending,
            goal_id: None,
            sent_micros: None,
        }
    }

    /// The same postback with the rejection that its sender received before the database was restored, if it did.
    pub(super) fn with_answered_rejection(self) -> Self {
        let rejection = self
            .findings
            .answered
            .as_ref()
            .and_then(|answered| answered.rejection());
        match rejection {
            Some(verdict) => Self {
                ending: Ending::Verdict(verdict),
                ..self
            },
            None => self,
        }
    }

    /// Verdict to store and to reply, in the words of the sender's format.
    pub(super) fn verdict(&self) -> Verdict {
        self.ending.verdict().in_words_of(self.findings.record.dialect())
    }

    /// Reply to the sender.
    pub(super) fn reply(&self) -> Reply {
        use campaigns::integrations::AnswerFormat as Setting;
        let integration = self.findings.integration.as_ref();
        let format = match integration.map(|integration| integration.settings.answer_format) {
            None | Some(Setting::Dialect) => AnswerFormat::Dialect,
            Some(Setting::Ours) => AnswerFormat::Ours,
            Some(Setting::AlwaysOk) => AnswerFormat::AlwaysOk,
            Some(Setting::Gif) => AnswerFormat::Gif,
        };
        Reply {
            verdict: self.verdict(),
            is_test: self.findings.is_test(),
            format,
            notes: self.findings.trace.unused_values(),
        }
    }
}

fn case(postback: &Attributed) -> Case<'_> {
    Case {
        postback: &postback.record.postback,
        dialect: postback.record.dialect(),
        postback_id: postback.record.id,
        advertiser_id: postback.advertiser_id,
        integration: &postback.integration,
        is_by_order: postback.attribution.is_by_order,
        is_authenticated: postback.is_authenticated,
        by: postback.attribution.by,
        customer_at: postback.attribution.customer_at,
        click: postback.attribution.click,
        clicked_at: postback.attribution.clicked_at,
        route: &postback.route,
        received_at: postback.record.received_at,
        signature: postback.record.signed.as_ref().map(Signed::signature),
    }
}

/// Refuses to replay a postback that the sender may have sent again: the two cannot be distinguished.
fn check_replay(postback: &Attributed, claim: Claim) -> Result<Claim, Verdict> {
    let counts_every_postback = claim.goal.settings.unique_by == UniqueBy::Fire;
    let has_order = postback.record.postback.order_id.is_some();
    if postback.origin == Origin::Replay && counts_every_postback && !has_order {
        let message =
            "The goal counts every postback, and this one has no order ID: a replay could count it twice.";
        return Err(Verdict::with_message(Reason::OrderIdMissing, message));
    }
    Ok(claim)
}
