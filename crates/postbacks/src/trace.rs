//! The trace of a decision: the checks from a postback to its verdict, in order, with their results.

use serde::{Deserialize, Serialize};
use tenancy::{Actor, Permission};

/// Result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckResult {
    /// Passed.
    #[serde(rename = "+")]
    Passed,
    /// Failed, but the integration only monitors.
    #[serde(rename = "!")]
    Tolerated,
    /// Recorded; it decides nothing.
    #[serde(rename = "~")]
    Noted,
}

/// Checks that show commissions.
const ABOUT_COMMISSION: [&str; 5] = ["terms", "money", "margin", "tier", "cap"];
/// Checks for users of the network only.
const OF_THE_NETWORK: [&str; 2] = ["paused", "review"];

/// Check of values that are not used.
const UNUSED: &str = "unused";

/// Check of a decision: its name, its result, and the result in words with the values checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step(pub String, pub CheckResult, pub String);

/// Checks of one decision. Stored as a JSON array of `[check, result, words]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Trace(Vec<Step>);

impl Step {
    /// True if an actor who may see the postback may see this check: commissions need a permission, and the checks of the
    /// network need a role in the whole network.
    #[must_use]
    pub fn is_for(&self, actor: &Actor) -> bool {
        let is = |steps: &[&str]| steps.contains(&self.0.as_str());
        (!is(&ABOUT_COMMISSION) || actor.may(Permission::SeeCommission))
            && (!is(&OF_THE_NETWORK) || actor.scope().is_staff())
    }
}

impl Trace {
    pub(crate) fn pass(&mut self, check: &str, words: impl Into<String>) {
        self.add(check, CheckResult::Passed, words);
    }

    pub(crate) fn note(&mut self, check: &str, words: impl Into<String>) {
        self.add(check, CheckResult::Noted, words);
    }

    /// Notes a value that was understood and is not used, with the reason; the sender reads it in the answer.
    pub(crate) fn unused(&mut self, name: &str, words: impl Into<String>) {
        self.add(UNUSED, CheckResult::Noted, format!("{name}: {}", words.into()));
    }

    /// Values that were understood and are not used, each with the reason.
    pub(crate) fn unused_values(&self) -> Vec<String> {
        let unused = self.0.iter().filter(|Step(check, ..)| check == UNUSED);
        unused.map(|Step(_, _, words)| words.clone()).collect()
    }

    pub(crate) fn add(&mut self, check: &str, result: CheckResult, words: impl Into<String>) {
        self.0.push(Step(check.to_owned(), result, words.into()));
    }

    /// Checks, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Text to store.
    #[must_use]
    pub fn to_text(&self) -> String {
        #[expect(clippy::expect_used, reason = "strings always serialize")]
        serde_json::to_string(self).expect("strings serialize")
    }

    /// Trace of a stored text; `None` if it is not one.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_reads_back() {
        let mut trace = Trace::default();
        trace.pass("dialect", "clickledger");
        trace.add("token", CheckResult::Tolerated, "no token");
        assert_eq!(
            trace.to_text(),
            r#"[["dialect","+","clickledger"],["token","!","no token"]]"#
        );
        assert_eq!(Trace::from_text(&trace.to_text()), Some(trace));
        assert_eq!(Trace::from_text("nonsense"), None);
    }
}
