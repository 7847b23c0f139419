//! Conservation rules, and the number of violations of each.

use std::collections::BTreeMap;

/// Most examples of each kind of violation.
const EXAMPLES: usize = 3;

/// Conservation rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// C1: an acknowledged click is stored, or in quarantine.
    LostClicks,
    /// C1: an acknowledged postback is stored with a verdict.
    LostPostbacks,
    /// C1: an acknowledged order has its conversion.
    LostConversions,
    /// C2: no event is stored twice.
    Duplicates,
    /// C2: rollups are the sums of the rows.
    Sums,
    /// C3: every stored event was sent.
    Phantoms,
    /// C4: stored payloads and verdicts are those sent and returned.
    Altered,
    /// C5: the ledger has the balances that follow from the orders.
    Money,
    /// C5: debits equal credits, for each conversion.
    Unbalanced,
    /// C6: rows are in the network of their link.
    Leaks,
}

impl Rule {
    /// All rules, with their labels in the report.
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
        (Self::Phantoms, "C3", "stored but never sent"),
        (Self::Altered, "C4", "payloads or verdicts altered"),
        (Self::Money, "C5", "micro-units by which the ledger differs"),
        (
            Self::Unbalanced,
            "C5",
            "conversions whose entries do not sum to zero",
        ),
        (Self::Leaks, "C6", "rows in another network"),
    ];
}

/// Results of the comparison.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    violations: BTreeMap<Rule, u64>,
    examples: BTreeMap<Rule, Vec<String>>,
    /// Stored clicks and postbacks.
    pub(crate) stored: (u64, u64),
    /// Stored but unacknowledged events: the response was lost, or the server died first.
    pub(crate) unacknowledged: (u64, u64),
    /// Stored conversions.
    pub(crate) conversions: u64,
    /// Quarantined records.
    pub(crate) quarantined: u64,
}

impl Findings {
    /// Returns the number of violations of a rule; micro-units for money.
    pub(crate) fn count(&self, rule: Rule) -> u64 {
        self.violations.get(&rule).copied().unwrap_or(0)
    }

    /// Returns examples of violations as text.
    pub(crate) fn examples(&self) -> impl Iterator<Item = (Rule, &str)> {
        let all = self.examples.iter();
        all.flat_map(|(rule, texts)| texts.iter().map(|text| (*rule, text.as_str())))
    }

    /// Returns true without any violation.
    pub(crate) fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// Counts violations of a rule; zero changes nothing.
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
