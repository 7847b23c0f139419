//! Hold of a postback that arrived before what it depends on: the dependency, and the longest wait.

use chrono::{DateTime, TimeDelta, Utc};
use schema::{ClickKey, GoalId, text_enum};

use crate::attributed::{Attributed, Findings};
use crate::decide::Claim;
use crate::verdict::{Reason, Verdict};

/// Longest wait for the first conversion of a customer: the default of the wait for a parent goal.
const CUSTOMER_WAIT: TimeDelta = TimeDelta::hours(72);
/// Longest wait for a click to be stored.
const CLICK_WAIT: TimeDelta = TimeDelta::seconds(60);

text_enum! {
    /// Dependency that a held postback waits for.
    pub enum WaitsFor {
        /// A conversion of the parent goal.
        Parent = "parent",
        /// The conversion that it updates.
        Conversion = "conversion",
        /// The first conversion of its customer.
        Customer = "customer",
        /// The row of its click.
        Click = "click",
    }
}

impl WaitsFor {
    fn reason(self) -> Reason {
        match self {
            Self::Parent => Reason::WaitingForParent,
            Self::Conversion => Reason::WaitingForConversion,
            Self::Customer => Reason::WaitingForCustomer,
            Self::Click => Reason::WaitingForClick,
        }
    }
}

/// Hold of a postback.
#[derive(Debug, Clone)]
pub(super) struct Hold {
    pub(super) waits_for: WaitsFor,
    pub(super) until: DateTime<Utc>,
    pub(super) goal_id: Option<GoalId>,
    pub(super) click_id: Option<ClickKey>,
    pub(super) customer_id: Option<String>,
    pub(super) unique_key: Option<String>,
    message: String,
}

impl Hold {
    /// Hold until the parent goal is reached by the same click or customer.
    pub(super) fn for_parent(postback: &Attributed, claim: &Claim) -> Self {
        let chain = &claim.goal.settings.chain;
        let mut goals = postback.route.promotion.goals.iter();
        let parent = goals.find(|goal| Some(goal.id) == chain.parent_goal_id);
        let parent = parent.map_or_else(String::new, |goal| format!(" {}", goal.code()));
        let received_at = postback.record.received_at;
        Self {
            goal_id: chain.parent_goal_id,
            click_id: postback.attribution.click,
            customer_id: postback.record.postback.customer_id.clone(),
            ..Self::new(
                WaitsFor::Parent,
                received_at + TimeDelta::hours(chain.wait_hours.into()),
                format!(
                    "The parent goal{parent} of {} has not been reached yet.",
                    claim.goal.code()
                ),
            )
        }
    }

    /// Hold until the conversion that it updates exists.
    pub(super) fn for_conversion(postback: &Attributed, claim: &Claim) -> Self {
        let goal = &claim.goal;
        let received_at = postback.record.received_at;
        Self {
            goal_id: Some(goal.id),
            unique_key: Some(claim.unique_key.clone()),
            ..Self::new(
                WaitsFor::Conversion,
                received_at + TimeDelta::hours(goal.settings.chain.wait_hours.into()),
                format!(
                    "No conversion of the goal {} is recorded for {} yet.",
                    goal.code(),
                    claim.unique_key
                ),
            )
        }
    }

    /// Hold until the customer has a conversion.
    pub(super) fn for_customer(findings: &Findings, customer: &str) -> Self {
        Self {
            customer_id: Some(customer.to_owned()),
            ..Self::new(
                WaitsFor::Customer,
                findings.record.received_at + CUSTOMER_WAIT,
                format!("The customer {customer} has no conversion yet, and the postback has no click ID."),
            )
        }
    }

    /// Hold until the click is stored.
    pub(super) fn for_click(postback: &Attributed, now: DateTime<Utc>) -> Self {
        // Not from its arrival: its journal may have been applied late.
        let until = postback.record.received_at.max(now) + CLICK_WAIT;
        let message = Reason::WaitingForClick.meaning().to_owned();
        Self {
            click_id: postback.attribution.click,
            ..Self::new(WaitsFor::Click, until, message)
        }
    }

    fn new(waits_for: WaitsFor, until: DateTime<Utc>, message: String) -> Self {
        Self {
            waits_for,
            until,
            goal_id: None,
            click_id: None,
            customer_id: None,
            unique_key: None,
            message,
        }
    }

    /// Verdict while it is held.
    pub(super) fn verdict(&self) -> Verdict {
        let until = self.until.format("%F %R UTC");
        Verdict::with_message(
            self.waits_for.reason(),
            format!(
                "{} The postback is held until {until} at the latest.",
                self.message
            ),
        )
    }
}
