//! Text of one scrape, in the format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::catalog;
use crate::family::{Gauges, Metric, Totals, labels};
use crate::histogram::Histogram;

/// Media type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Scrape that collects values from where they are.
#[derive(Default)]
pub struct Scrape {
    /// Labels and values by name of the metric.
    samples: BTreeMap<&'static str, Vec<(String, String)>>,
}

impl Scrape {
    /// Adds a value of a gauge.
    pub fn gauge(&mut self, metric: &'static Gauges, values: &[&str], value: f64) {
        let sample = (labels(&metric.0, values), value.to_string());
        self.samples.entry(metric.0.name).or_default().push(sample);
    }

    /// Adds a value of a counter. A counter of durations is in seconds.
    pub fn total(&mut self, metric: &'static Totals, values: &[&str], value: f64) {
        let sample = (labels(&metric.0, values), value.to_string());
        self.samples.entry(metric.0.name).or_default().push(sample);
    }

    /// Text of all metrics of the catalog: those in memory, and those that were added.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(64 * 1024);
        for metric in catalog::ALL {
            let definition = metric.definition();
            let name = definition.name;
            // Writing to a String does not fail.
            let _ = writeln!(text, "# HELP {name} {}", definition.meaning);
            let _ = writeln!(text, "# TYPE {name} {}", metric.kind());
            match metric {
                Metric::Counters(metric) => {
                    for (labels, counter) in metric.0.series() {
                        line(&mut text, name, &labels, &counter.get().to_string());
                    }
                }
                Metric::Histograms(metric) => {
                    for (labels, histogram) in metric.family.series() {
                        histogram_lines(&mut text, name, &labels, &histogram);
                    }
                }
                Metric::Gauges(_) | Metric::Totals(_) => {
                    for (labels, value) in self.samples.get(name).into_iter().flatten() {
                        line(&mut text, name, labels, value);
                    }
                }
            }
        }
        text
    }
}

fn line(text: &mut String, name: &str, labels: &str, value: &str) {
    let _ = if labels.is_empty() {
        writeln!(text, "{name} {value}")
    } else {
        writeln!(text, "{name}{{{labels}}} {value}")
    };
}

fn histogram_lines(text: &mut String, name: &str, labels: &str, histogram: &Histogram) {
    let (buckets, sum) = histogram.read();
    let separator = if labels.is_empty() { "" } else { "," };
    let bounds = histogram.bounds().seconds().map(|bound| bound.to_string());
    for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&buckets) {
        let _ = writeln!(text, "{name}_bucket{{{labels}{separator}le=\"{bound}\"}} {count}");
    }
    let count = buckets.last().copied().unwrap_or_default();
    line(text, &format!("{name}_sum"), labels, &sum.to_string());
    line(text, &format!("{name}_count"), labels, &count.to_string());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn series_are_written_below_their_definitions() {
        catalog::CLICKS.with(&[]).add(3);
        catalog::MAIL_DURATION.record(&["sent"], Duration::from_millis(30));
        let mut scrape = Scrape::default();
        scrape.gauge(&catalog::BUILD_INFO, &["1.0", "a\"\\\nb"], 1.0);
        scrape.total(&catalog::PROCESS_CPU, &[], 2.5);
        let text = scrape.text();
        for lines in [
            "# TYPE clickledger_clicks_total counter\nclickledger_clicks_total 3\n",
            "clickledger_build_info{version=\"1.0\",commit=\"a\\\"\\\\\\nb\"} 1\n",
            "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 2.5\n",
            "clickledger_mail_duration_seconds_bucket{outcome=\"sent\",le=\"0.025\"} 0\n",
            "clickledger_mail_duration_seconds_bucket{outcome=\"sent\",le=\"0.1\"} 1\n",
            "clickledger_mail_duration_seconds_bucket{outcome=\"sent\",le=\"+Inf\"} 1\n",
            "clickledger_mail_duration_seconds_sum{outcome=\"sent\"} 0.03\n",
            "clickledger_mail_duration_seconds_count{outcome=\"sent\"} 1\n",
        ] {
            assert!(text.contains(lines), "{lines} is not in\n{text}");
        }
    }

    #[test]
    fn definitions_are_complete_and_unique() {
        let mut names = BTreeSet::new();
        for metric in catalog::ALL {
            let definition = metric.definition();
            assert!(names.insert(definition.name), "{} twice", definition.name);
            assert!(definition.meaning.ends_with('.'), "{}", definition.name);
            assert!(!definition.meaning.contains('\n'), "{}", definition.name);
            assert!(!definition.meaning.contains('\\'), "{}", definition.name);
        }
    }
}
