//! The rules of conservation, and how often the judge found each violated.

use std::collections::BTreeMap;

/// Examples kept of each kind of violation.
const EXAMPLES: usize = 3;

/// What can be violated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// C1: what was acknowledged is stored, or put aside in quarantine.
    LostClicks,
    /// C1, for postbacks.
    LostPostbacks,
    /// C1: an acknowledged order has its conversion.
    LostConversions,
    /// C2: nothing is stored twice.
    Duplicates,
    /// C2: sums are the sums of the rows.
    Sums,
    /// C3: what is stored was given out.
    Phantoms,
    /// C4: what is stored is what was sent, and what was answered.
    Altered,
    /// C5: the ledger holds what the orders come to.
    Money,
    /// C5: debits are credits, for each conversion.
    Unbalanced,
    /// C6: rows stand in the network of their link.
    Leaks,
}

impl Rule {
    /// All of them, with what they are called in the report.
    pub(crate) const ALL: [(Self, &str, &str); 10] = [
        (Self::LostClicks, "C1", "acknowledged clicks lost"),
        (
            Self::LostPostbacks,
            "C1",
            "acknowledged postbacks lost or without a verdict",
        ),
        (
            Self::LostConversions,
            "C1",
            "acknowledged orders without a conversion",
        ),
        (Self::Duplicates, "C2", "stored twice"),
        (Self::Sums, "C2", "rollups that differ from their rows"),
        (Self::Phantoms, "C3", "stored, never sent"),
        (Self::Altered, "C4", "payloads or verdicts altered"),
        (Self::Money, "C5", "micro-units the ledger is off by"),
        (
            Self::Unbalanced,
            "C5",
            "conversions whose entries do not sum to zero",
        ),
        (Self::Leaks, "C6", "rows in another network"),
    ];
}

/// What the judge found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    violations: BTreeMap<Rule, u64>,
    examples: BTreeMap<Rule, Vec<String>>,
    /// Clicks and postbacks stored.
    pub(crate) stored: (u64, u64),
    /// Of those, not acknowledged: the answer was lost, or the server died first.
    pub(crate) unacknowledged: (u64, u64),
    /// Conversions stored.
    pub(crate) conversions: u64,
    /// Records put aside.
    pub(crate) quarantined: u64,
}

impl Findings {
    /// How often a rule is violated; micro-units for money.
    pub(crate) fn count(&self, rule: Rule) -> u64 {
        self.violations.get(&rule).copied().unwrap_or(0)
    }

    /// Some violations in words.
    pub(crate) fn examples(&self) -> impl Iterator<Item = (Rule, &str)> {
        let all = self.examples.iter();
        all.flat_map(|(rule, texts)| texts.iter().map(|text| (*rule, text.as_str())))
    }

    /// Whether nothing is violated.
    pub(crate) fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// Notes a rule violated so many times; none is fine.
    pub(crate) fn violated(&mut self, rule: Rule, times: u64, example: impl FnOnce() -> String) {
        if times > 0 {
            *self.violations.entry(rule).or_default() += times;
            let examples = self.examples.entry(rule).or_default();
            if examples.len() < EXAMPLES {
                examples.push(example());
            }
        }
    }
}
