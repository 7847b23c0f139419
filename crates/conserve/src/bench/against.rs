//! Two builds of the server beside each other: each with a separate Postgres, and both stand still while the other build is
//! measured.

use super::Effort;
use super::cost::Load;
use super::figures::Line;
use super::testbed::Testbed;
use crate::Outcome;

/// Figures of one build under one load.
#[derive(Default)]
struct Figures {
    rates: Vec<f64>,
    costs: Vec<f64>,
}

impl Figures {
    /// Measures a build while the other stands still.
    async fn measure(
        &mut self,
        load: Load,
        measured: &mut Testbed,
        still: &Testbed,
        seconds: u64,
    ) -> Outcome {
        still.freeze();
        let run = load.run(measured, seconds).await;
        still.thaw();
        let (rate, spent) = run?;
        self.rates.push(rate);
        self.costs.push(spent.all());
        Ok(())
    }
}

/// Measures rate and CPU time of every load, ours and the other build in alternation.
pub(super) async fn compare(ours: &mut Testbed, other: &mut Testbed, effort: Effort) -> Outcome<Vec<Line>> {
    let mut lines = Vec::new();
    for load in Load::ALL {
        let (mut our, mut others) = (Figures::default(), Figures::default());
        for round in 0..effort.rounds {
            // Each goes first in every second round, so that neither always follows the other.
            if round % 2 == 0 {
                our.measure(load, ours, other, effort.seconds).await?;
                others.measure(load, other, ours, effort.seconds).await?;
            } else {
                others.measure(load, other, ours, effort.seconds).await?;
                our.measure(load, ours, other, effort.seconds).await?;
            }
        }
        lines.push(Line::of(load.to_string(), "/s", our.rates).against("other", &others.rates));
        lines.push(Line::of(format!("CPU per {load}"), "µs", our.costs).against("other", &others.costs));
    }
    Ok(lines)
}
