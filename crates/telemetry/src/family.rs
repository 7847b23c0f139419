//! Metrics with their series, one per combination of label values.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::counter::Counter;
use crate::definition::{Definition, Kind};
use crate::histogram::{Bounds, Histogram};

/// Metric of the catalog.
#[derive(Clone, Copy)]
pub enum Metric {
    /// Counters in memory.
    Counters(&'static Counters),
    /// Histograms in memory.
    Histograms(&'static Histograms),
    /// Gauges that a scrape reads where the values are.
    Gauges(&'static Gauges),
    /// Counters that a scrape reads where the values are.
    Totals(&'static Totals),
}

impl Metric {
    /// Definition.
    #[must_use]
    pub fn definition(&self) -> &'static Definition {
        match self {
            Self::Counters(metric) => &metric.0.definition,
            Self::Histograms(metric) => &metric.family.definition,
            Self::Gauges(metric) => &metric.0,
            Self::Totals(metric) => &metric.0,
        }
    }

    /// Type.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Counters(_) | Self::Totals(_) => Kind::Counter,
            Self::Histograms(_) => Kind::Histogram,
            Self::Gauges(_) => Kind::Gauge,
        }
    }
}

/// Series of a metric by their labels, which are stored as they are written.
pub(crate) struct Family<M: 'static> {
    pub(crate) definition: Definition,
    series: RwLock<BTreeMap<String, Arc<M>>>,
}

impl<M> Family<M> {
    const fn new(definition: Definition) -> Self {
        Self {
            definition,
            series: RwLock::new(BTreeMap::new()),
        }
    }

    fn with(&self, values: &[&str], create: impl FnOnce() -> M) -> Arc<M> {
        let labels = labels(&self.definition, values);
        let known = {
            let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
            series.get(&labels).cloned()
        };
        known.unwrap_or_else(|| {
            let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
            series.entry(labels).or_insert_with(|| Arc::new(create())).clone()
        })
    }

    /// Labels and value of every series.
    pub(crate) fn series(&self) -> Vec<(String, Arc<M>)> {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        series
            .iter()
            .map(|(labels, value)| (labels.clone(), value.clone()))
            .collect()
    }
}

/// Counters in memory. A value from outside of a fixed set must not become a label.
pub struct Counters(pub(crate) Family<Counter>);

impl Counters {
    pub(crate) const fn new(definition: Definition) -> Self {
        Self(Family::new(definition))
    }

    /// Counter with these values of the labels, which begins at 0.
    pub fn with(&self, values: &[&str]) -> Arc<Counter> {
        self.0.with(values, Counter::default)
    }
}

/// Histograms in memory. A value from outside of a fixed set must not become a label.
pub struct Histograms {
    pub(crate) family: Family<Histogram>,
    bounds: Bounds,
}

impl Histograms {
    pub(crate) const fn new(definition: Definition, bounds: Bounds) -> Self {
        Self {
            family: Family::new(definition),
            bounds,
        }
    }

    /// Histogram with these values of the labels, which begins empty.
    pub fn with(&self, values: &[&str]) -> Arc<Histogram> {
        self.family.with(values, || Histogram::new(self.bounds))
    }

    /// Records a duration. Where this happens often, take the histogram once with [`Histograms::with`].
    pub fn record(&self, values: &[&str], time: Duration) {
        self.with(values).record(time);
    }
}

/// Gauges that a scrape reads where the values are.
pub struct Gauges(pub(crate) Definition);

impl Gauges {
    pub(crate) const fn new(definition: Definition) -> Self {
        Self(definition)
    }
}

/// Counters that a scrape reads where the values are.
pub struct Totals(pub(crate) Definition);

impl Totals {
    pub(crate) const fn new(definition: Definition) -> Self {
        Self(definition)
    }
}

/// Labels as Prometheus reads them, without the braces.
pub(crate) fn labels(definition: &Definition, values: &[&str]) -> String {
    debug_assert_eq!(definition.labels.len(), values.len(), "{}", definition.name);
    let mut text = String::new();
    for (label, value) in definition.labels.iter().zip(values) {
        let separator = if text.is_empty() { "" } else { "," };
        // Writing to a String does not fail.
        let _ = write!(text, "{separator}{}=\"", label.name);
        for c in value.chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                c => text.push(c),
            }
        }
        text.push('"');
    }
    text
}
