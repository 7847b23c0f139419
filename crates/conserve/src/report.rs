//! Report of a run: a table for people, JSON for programs, and whether the run passed.

use std::fmt;

use serde_json::{Value, json};

use crate::driver::{End, Record, Tally};
use crate::nemesis::Fault;

/// Outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// Passed.
    Yes,
    /// Failed.
    No,
    /// Reported only, without effect on the verdict.
    Unrated,
}

impl Held {
    /// Passed if true, else failed.
    pub(crate) fn when(held: bool) -> Self {
        if held { Self::Yes } else { Self::No }
    }
}

/// Check of the report.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    /// Code in the specification: `C1` …
    pub(crate) code: &'static str,
    /// Subject of the check.
    pub(crate) what: String,
    /// Measured value.
    pub(crate) found: String,
    /// Allowed value.
    pub(crate) allowed: String,
    /// Outcome of the check.
    pub(crate) held: Held,
}

/// Report of a part of a run.
#[derive(Debug)]
pub(crate) struct Report {
    /// Name of the part.
    pub(crate) part: &'static str,
    /// Seed that repeats the run.
    pub(crate) seed: u64,
    /// Faults in the order of their strikes.
    pub(crate) faults: Vec<Fault>,
    /// Outcomes of the requests.
    pub(crate) record: Record,
    /// Lines of a table before the checks.
    pub(crate) table: Vec<String>,
    /// Checks in the order of the report.
    pub(crate) checks: Vec<Check>,
    /// Examples of violations.
    pub(crate) examples: Vec<String>,
    /// Duration of the run in seconds.
    pub(crate) seconds: f64,
}

impl Report {
    /// Returns true if no check failed.
    pub(crate) fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.held != Held::No)
    }

    /// Returns the report as JSON.
    pub(crate) fn json(&self) -> Value {
        let checks = self.checks.iter().map(|check| {
            json!({
                "code": check.code, "what": check.what, "found": check.found, "allowed": check.allowed,
                "held": match check.held { Held::Yes => json!(true), Held::No => json!(false), Held::Unrated => Value::Null },
            })
        });
        json!({
            "part": self.part,
            "seed": self.seed,
            "passed": self.passed(),
            "seconds": self.seconds,
            "faults": self.faults.iter().map(|fault| fault.name()).collect::<Vec<_>>(),
            "table": self.table,
            "checks": checks.collect::<Vec<_>>(),
            "examples": self.examples,
            "clicks": self.record.clicks.iter().map(tally_json).collect::<Vec<_>>(),
            "postbacks": self.record.postbacks.iter().map(tally_json).collect::<Vec<_>>(),
        })
    }
}

/// Outcomes of a request, in the order of the columns.
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
        writeln!(f, "\n{}", self.part)?;
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
        for line in &self.table {
            writeln!(f, "{line}")?;
        }
        for check in &self.checks {
            let mark = match check.held {
                Held::Yes => "ok  ",
                Held::No => "FAIL",
                Held::Unrated => "    ",
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
            part: "faults",
            seed: 1,
            faults: vec![Fault::TornTail],
            record: Record::default(),
            table: Vec::new(),
            checks: vec![check(Held::Yes), check(held)],
            examples: Vec::new(),
            seconds: 1.0,
        }
    }

    #[test]
    fn one_violation_fails_a_run_and_an_unrated_check_does_not() {
        assert!(report(Held::Unrated).passed());
        assert!(!report(Held::No).passed());
        assert_eq!(report(Held::No).json()["passed"], false);
        assert!(report(Held::No).to_string().contains("VIOLATED"));
    }
}
