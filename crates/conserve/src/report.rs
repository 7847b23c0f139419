//! What a run comes to: a table for people, JSON for machines, and whether it passed.

use std::fmt;

use serde_json::{Value, json};

use crate::driver::{End, Record, Tally};
use crate::nemesis::Fault;

/// Whether something held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// It did.
    Yes,
    /// It did not.
    No,
    /// It is told, and decides nothing.
    Told,
}

impl Held {
    /// A rule held, or was violated.
    pub(crate) fn when(held: bool) -> Self {
        if held { Self::Yes } else { Self::No }
    }
}

/// One line of the verdict.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    /// `C1` … as in the specification.
    pub(crate) code: &'static str,
    /// What was looked at.
    pub(crate) what: String,
    /// What was found.
    pub(crate) found: String,
    /// What is allowed.
    pub(crate) allowed: String,
    /// Whether it is.
    pub(crate) held: Held,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Report {
    /// Replays the run.
    pub(crate) seed: u64,
    /// What struck, in order.
    pub(crate) faults: Vec<Fault>,
    /// What requests met with.
    pub(crate) record: Record,
    /// The verdict.
    pub(crate) checks: Vec<Check>,
    /// Examples of what was violated.
    pub(crate) examples: Vec<String>,
    /// Seconds it all took.
    pub(crate) seconds: f64,
}

impl Report {
    /// Whether nothing was violated.
    pub(crate) fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.held != Held::No)
    }

    /// The same for machines.
    pub(crate) fn json(&self) -> Value {
        let checks = self.checks.iter().map(|check| {
            json!({
                "code": check.code, "what": check.what, "found": check.found, "allowed": check.allowed,
                "held": match check.held { Held::Yes => json!(true), Held::No => json!(false), Held::Told => Value::Null },
            })
        });
        json!({
            "seed": self.seed,
            "passed": self.passed(),
            "seconds": self.seconds,
            "faults": self.faults.iter().map(|fault| fault.name()).collect::<Vec<_>>(),
            "checks": checks.collect::<Vec<_>>(),
            "examples": self.examples,
            "clicks": self.record.clicks.iter().map(tally_json).collect::<Vec<_>>(),
            "postbacks": self.record.postbacks.iter().map(tally_json).collect::<Vec<_>>(),
        })
    }
}

/// The ends of a request, in the order of the columns.
const ENDS: [(End, &str); 7] = [
    (End::Acked, "acked"),
    (End::Unrecorded, "unrecorded"),
    (End::Refused, "refused"),
    (End::Failed, "failed"),
    (End::Odd, "odd"),
    (End::Unreachable, "unreachable"),
    (End::Unknown, "unknown"),
];

fn name_of(fault: Option<Fault>) -> String {
    fault.map_or_else(|| "(quiet)".to_owned(), Fault::name)
}

fn tally_json((fault, tally): (&Option<Fault>, &Tally)) -> Value {
    let ends: serde_json::Map<_, _> = ENDS
        .into_iter()
        .map(|(end, name)| (name.to_owned(), tally.count(end).into()))
        .collect();
    json!({
        "during": name_of(*fault), "ends": ends,
        "p50_ms": tally.percentile(50), "p99_ms": tally.percentile(99),
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, tallies) in [
            ("clicks", &self.record.clicks),
            ("postbacks", &self.record.postbacks),
        ] {
            write!(f, "\n{:<22}", format!("{kind} during"))?;
            for (_, name) in ENDS {
                write!(f, "{name:>12}")?;
            }
            writeln!(f, "{:>10}{:>10}", "p50 ms", "p99 ms")?;
            for (fault, tally) in tallies {
                write!(f, "{:<22}", name_of(*fault))?;
                for (end, _) in ENDS {
                    write!(f, "{:>12}", tally.count(end))?;
                }
                writeln!(f, "{:>10.1}{:>10.1}", tally.percentile(50), tally.percentile(99))?;
            }
        }
        writeln!(f)?;
        for check in &self.checks {
            let mark = match check.held {
                Held::Yes => "ok  ",
                Held::No => "FAIL",
                Held::Told => "    ",
            };
            writeln!(
                f,
                "{mark} {:<3} {:<58} {:>14}   {}",
                check.code, check.what, check.found, check.allowed
            )?;
        }
        for example in &self.examples {
            writeln!(f, "     {example}")?;
        }
        let verdict = if self.passed() { "PASSED" } else { "VIOLATED" };
        write!(f, "\n{verdict} in {:.0} s, seed {}", self.seconds, self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(held: Held) -> Report {
        let check = |held| Check {
            code: "C1",
            what: "lost".into(),
            found: "0".into(),
            allowed: "0".into(),
            held,
        };
        Report {
            seed: 1,
            faults: vec![Fault::TornTail],
            record: Record::default(),
            checks: vec![check(Held::Yes), check(held)],
            examples: Vec::new(),
            seconds: 1.0,
        }
    }

    #[test]
    fn one_violation_fails_a_run_and_what_is_only_told_does_not() {
        assert!(report(Held::Told).passed());
        assert!(!report(Held::No).passed());
        assert_eq!(report(Held::No).json()["passed"], false);
        assert!(report(Held::No).to_string().contains("VIOLATED"));
    }
}
