//! Figures and their presentation: one per round, their median, and their reference.

use std::fmt;

use serde_json::{Value, json};

/// Target of a figure.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// Lower bound.
    Least(f64),
    /// Upper bound.
    Most(f64),
}

/// Line of the result. The target applies to the ratio if a reference exists, else to the median.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    what: String,
    unit: &'static str,
    figures: Vec<f64>,
    reference: Option<(String, Vec<f64>)>,
    target: Option<Target>,
    remark: Option<String>,
}

impl Line {
    /// Creates a line with one figure per round.
    pub(super) fn of(what: impl Into<String>, unit: &'static str, figures: Vec<f64>) -> Self {
        Self {
            what: what.into(),
            unit,
            figures,
            ..Self::default()
        }
    }

    /// Adds the figures of a reference in the same rounds.
    pub(super) fn against(mut self, reference: impl Into<String>, figures: &[f64]) -> Self {
        self.reference = Some((reference.into(), figures.to_vec()));
        self
    }

    /// Sets a lower bound.
    pub(super) fn at_least(mut self, least: f64) -> Self {
        self.target = Some(Target::Least(least));
        self
    }

    /// Sets an upper bound.
    pub(super) fn at_most(mut self, most: f64) -> Self {
        self.target = Some(Target::Most(most));
        self
    }

    /// Adds a remark for the reader.
    pub(super) fn remark(mut self, remark: impl Into<String>) -> Self {
        self.remark = Some(remark.into());
        self
    }

    /// Returns the median of the rounds' ratios: a disturbance of a round affects both figures.
    fn ratio(&self) -> Option<f64> {
        let (_, reference) = self.reference.as_ref()?;
        let ratios: Vec<_> = self.figures.iter().zip(reference).map(|(a, b)| a / b).collect();
        Some(median(&ratios))
    }

    fn is_reached(&self) -> Option<bool> {
        let figure = self.ratio().unwrap_or_else(|| median(&self.figures));
        Some(match self.target? {
            Target::Least(least) => figure >= least,
            Target::Most(most) => figure <= most,
        })
    }

    /// Returns the line as JSON.
    pub(super) fn json(&self) -> Value {
        json!({
            "what": self.what,
            "unit": self.unit,
            "median": median(&self.figures),
            "rounds": self.figures,
            "reference": self.reference.as_ref().map(|(name, figures)| json!({
                "what": name, "median": median(figures), "rounds": figures,
            })),
            "ratio": self.ratio(),
            "reach": self.target.map(|target| target.to_string()),
            "reached": self.is_reached(),
            "remark": self.remark,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Least(least) => write!(f, "≥ {least}"),
            Self::Most(most) => write!(f, "≤ {most}"),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = ends(&self.figures);
        let unit = self.unit;
        write!(
            f,
            "{:<44} {:>9} {unit:<11}",
            self.what,
            short(median(&self.figures))
        )?;
        write!(f, " ({} … {})", short(least), short(most))?;
        if let (Some((name, figures)), Some(ratio)) = (&self.reference, self.ratio()) {
            write!(f, "  ÷ {name} {} = {}", short(median(figures)), short(ratio))?;
        }
        if let (Some(target), Some(reached)) = (self.target, self.is_reached()) {
            write!(f, "  [{target}: {}]", if reached { "reached" } else { "MISSED" })?;
        }
        match &self.remark {
            Some(remark) => write!(f, "  {remark}"),
            None => Ok(()),
        }
    }
}

/// Returns the median; 0 without figures.
pub(super) fn median(figures: &[f64]) -> f64 {
    percentile(figures, 50.0)
}

/// Returns the percentile by nearest rank; 0 without figures.
pub(super) fn percentile(figures: &[f64], percent: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    // Between 0 and the length, which is exact as a float on every platform.
    let rank = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .or(sorted.last())
        .copied()
        .unwrap_or(0.0)
}

fn ends(figures: &[f64]) -> (f64, f64) {
    (percentile(figures, 0.0), percentile(figures, 100.0))
}

/// Formats a figure with three significant digits, and none after the point if more precede it.
fn short(figure: f64) -> String {
    let places = match figure.abs() {
        0.0 | 100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{figure:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let figures: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(median(&figures), 100.0);
        assert_eq!(percentile(&figures, 99.0), 198.0);
        assert_eq!(ends(&figures), (1.0, 200.0));
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn the_ratio_is_the_median_of_the_rounds() {
        let line = Line::of("x", "/s", vec![10.0, 20.0, 30.0]).against("y", &[10.0, 10.0, 100.0]);
        assert_eq!(line.ratio(), Some(1.0));
        assert_eq!(line.clone().at_least(1.0).is_reached(), Some(true));
        assert_eq!(line.at_most(0.9).is_reached(), Some(false));
    }

    #[test]
    fn a_line_shows_whether_it_reaches_its_target() {
        let line = Line::of("redirects", "/s", vec![50_000.0])
            .against("nginx", &[100_000.0])
            .at_least(0.65);
        let text = line.to_string();
        assert!(text.contains("50000 /s"), "{text}");
        assert!(
            text.ends_with("÷ nginx 100000 = 0.500  [≥ 0.65: MISSED]"),
            "{text}"
        );
        assert_eq!(line.json()["reached"], false);
    }
}
