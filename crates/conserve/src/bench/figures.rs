//! Figures and how they are told: one per round, their median, and the reference they are held against.

use std::fmt;

use serde_json::{Value, json};

/// What a figure should reach.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reach {
    /// At least this.
    Least(f64),
    /// At most this.
    Most(f64),
}

/// One line of the result. What is to be reached is the ratio where there is a reference, else the median.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    what: String,
    unit: &'static str,
    figures: Vec<f64>,
    reference: Option<(String, Vec<f64>)>,
    reach: Option<Reach>,
    remark: Option<String>,
}

impl Line {
    /// Figures of one thing, one a round.
    pub(super) fn of(what: impl Into<String>, unit: &'static str, figures: Vec<f64>) -> Self {
        Self {
            what: what.into(),
            unit,
            figures,
            ..Self::default()
        }
    }

    /// Held against these figures of the same rounds.
    pub(super) fn against(mut self, reference: impl Into<String>, figures: &[f64]) -> Self {
        self.reference = Some((reference.into(), figures.to_vec()));
        self
    }

    /// Should be at least this.
    pub(super) fn at_least(mut self, least: f64) -> Self {
        self.reach = Some(Reach::Least(least));
        self
    }

    /// Should be at most this.
    pub(super) fn at_most(mut self, most: f64) -> Self {
        self.reach = Some(Reach::Most(most));
        self
    }

    /// With something a reader must know.
    pub(super) fn remark(mut self, remark: impl Into<String>) -> Self {
        self.remark = Some(remark.into());
        self
    }

    /// The median of the rounds' ratios: what disturbed a round disturbed both.
    fn ratio(&self) -> Option<f64> {
        let (_, reference) = self.reference.as_ref()?;
        let ratios: Vec<_> = self.figures.iter().zip(reference).map(|(a, b)| a / b).collect();
        Some(median(&ratios))
    }

    fn is_reached(&self) -> Option<bool> {
        let figure = self.ratio().unwrap_or_else(|| median(&self.figures));
        Some(match self.reach? {
            Reach::Least(least) => figure >= least,
            Reach::Most(most) => figure <= most,
        })
    }

    /// For programs.
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
            "reach": self.reach.map(|reach| reach.to_string()),
            "reached": self.is_reached(),
            "remark": self.remark,
        })
    }
}

impl fmt::Display for Reach {
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
        if let (Some(reach), Some(reached)) = (self.reach, self.is_reached()) {
            write!(f, "  [{reach}: {}]", if reached { "reached" } else { "MISSED" })?;
        }
        match &self.remark {
            Some(remark) => write!(f, "  {remark}"),
            None => Ok(()),
        }
    }
}

/// The middle one; 0 of none.
pub(super) fn median(figures: &[f64]) -> f64 {
    percentile(figures, 50.0)
}

/// So many per cent are at most this (nearest rank); 0 of none.
pub(super) fn percentile(figures: &[f64], percent: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    // Of a number between 0 and the length, which no platform's memory makes inexact.
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

/// Three digits that count; none behind the point where there are more in front of it.
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
    fn a_line_says_whether_it_reaches_what_it_should() {
        let line = Line::of("redirects", "/s", vec![50_000.0])
            .against("nginx", &[100_000.0])
            .at_least(0.65);
        let said = line.to_string();
        assert!(said.contains("50000 /s"), "{said}");
        assert!(
            said.ends_with("÷ nginx 100000 = 0.500  [≥ 0.65: MISSED]"),
            "{said}"
        );
        assert_eq!(line.json()["reached"], false);
    }
}
