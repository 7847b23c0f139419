//! The decision trace: what was looked at on the way from a call to its verdict, in order, with what was found.

use serde::{Deserialize, Serialize};
use tenancy::{Actor, Permission};

/// What a step found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// It is as it should be.
    #[serde(rename = "+")]
    Good,
    /// It would have ended the walk, but the integration only looks.
    #[serde(rename = "!")]
    Tolerated,
    /// It was noted and decides nothing.
    #[serde(rename = "~")]
    Noted,
}

/// Steps that tell what affiliates earn.
const ABOUT_COMMISSION: [&str; 4] = ["terms", "money", "tier", "cap"];
/// Steps that tell what the network decided for itself.
const OF_THE_NETWORK: [&str; 2] = ["paused", "review"];

/// One thing that was looked at: its name, what was found, and the same in words with the values that went in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step(pub String, pub Found, pub String);

/// The steps of one decision. Written as a JSON array of `[check, found, words]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Trace(Vec<Step>);

impl Step {
    /// Whether somebody who may see the call may see it: what affiliates earn is not for everybody, and what the network
    /// decided for itself is for its own people only.
    #[must_use]
    pub fn is_for(&self, actor: &Actor) -> bool {
        let is = |steps: &[&str]| steps.contains(&self.0.as_str());
        (!is(&ABOUT_COMMISSION) || actor.may(Permission::SeeCommission))
            && (!is(&OF_THE_NETWORK) || actor.role.scope().is_whole())
    }
}

impl Trace {
    pub(crate) fn good(&mut self, check: &str, words: impl Into<String>) {
        self.add(check, Found::Good, words);
    }

    pub(crate) fn note(&mut self, check: &str, words: impl Into<String>) {
        self.add(check, Found::Noted, words);
    }

    pub(crate) fn add(&mut self, check: &str, found: Found, words: impl Into<String>) {
        self.0.push(Step(check.to_owned(), found, words.into()));
    }

    /// The steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// As it is stored.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Strings only: serialising those cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// As it was stored; empty for what nobody wrote.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_reads_back() {
        let mut trace = Trace::default();
        trace.good("dialect", "clickledger");
        trace.add("token", Found::Tolerated, "no token");
        assert_eq!(
            trace.to_text(),
            r#"[["dialect","+","clickledger"],["token","!","no token"]]"#
        );
        assert_eq!(Trace::from_text(&trace.to_text()), trace);
        assert_eq!(Trace::from_text("nonsense"), Trace::default());
    }
}
