//! Charts as SVG: lines with their numbers as a table, and sparklines.

use askama::Template;

use crate::format;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 12.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 26.0;
/// Labels of spans below a chart, at most.
const MAX_LABELS: usize = 5;

/// Count of a span of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Point {
    /// Day or hour.
    pub(crate) label: String,
    pub(crate) count: i64,
    /// Count of the corresponding span of the period before. None if it is not compared.
    pub(crate) before: Option<i64>,
}

/// Line chart of one count, with the period before as a dashed line.
#[derive(Template)]
#[template(path = "chart.html")]
pub(crate) struct LineChart {
    /// Title above the chart.
    title: String,
    /// CSS class of the series.
    series: &'static str,
    /// Heading of the spans in the table.
    span: &'static str,
    /// Points of the line up to the last complete span.
    line: String,
    /// Points of the dotted line to the present span, which is incomplete.
    present: String,
    /// Points of the period before.
    before: String,
    /// End point of the line.
    end: (String, String),
    /// Horizontal grid lines with their labels: (y, y of the label, label).
    grid: Vec<(String, String, String)>,
    /// Labels below the axis: (x, anchor, label).
    labels: Vec<(String, &'static str, String)>,
    /// Areas to point at: (x, width, text).
    areas: Vec<(String, String, String)>,
    /// Rows of the table, newest first: (span, count, count before).
    rows: Vec<(String, String, Option<String>)>,
}

impl LineChart {
    /// Creates a chart of consecutive spans. `is_running` is true if the last one is not over.
    pub(crate) fn new(
        title: &str,
        series: &'static str,
        span: &'static str,
        points: &[Point],
        is_running: bool,
    ) -> Self {
        let counts = points
            .iter()
            .flat_map(|point| [point.count, point.before.unwrap_or(0)]);
        let top = scale_top(counts.max().unwrap_or(0));
        let last = points.len().saturating_sub(1);
        #[expect(clippy::cast_precision_loss, reason = "pixels")]
        let place = |index: usize, count: i64| {
            let steps = last.max(1) as f64;
            let x = LEFT + (WIDTH - LEFT - RIGHT) * index as f64 / steps;
            (x, level(count as f64 / top as f64))
        };
        let line: Vec<_> = points
            .iter()
            .enumerate()
            .map(|(index, point)| place(index, point.count))
            .collect();
        let before: Vec<_> = points
            .iter()
            .enumerate()
            .filter_map(|(index, point)| Some(place(index, point.before?)))
            .collect();
        // The line up to the last complete span, and from there on.
        let complete = if is_running { last } else { points.len() };
        let present = if is_running {
            last.saturating_sub(1)
        } else {
            points.len()
        };
        let grid = [0, top / 2, top].map(|count| {
            let (_, y) = place(0, count);
            (pixel(y), pixel(y - 4.0), format::count(count))
        });
        Self {
            title: title.to_owned(),
            series,
            span,
            line: polyline(line.get(..complete).unwrap_or_default()),
            present: polyline(line.get(present..).unwrap_or_default()),
            before: polyline(&before),
            end: line
                .last()
                .map_or_else(Default::default, |(x, y)| (pixel(*x), pixel(*y))),
            grid: grid.to_vec(),
            labels: labels(points, |index| pixel(place(index, 0).0)),
            areas: points
                .iter()
                .enumerate()
                .map(|(index, point)| area(place(index, 0).0, last, point))
                .collect(),
            rows: points
                .iter()
                .rev()
                .map(|point| {
                    (
                        point.label.clone(),
                        format::count(point.count),
                        point.before.map(format::count),
                    )
                })
                .collect(),
        }
    }

    fn view_box(&self) -> String {
        format!("0 0 {WIDTH} {HEIGHT}")
    }

    fn is_compared(&self) -> bool {
        !self.before.is_empty()
    }
}

/// Labels of the first, the last, and evenly spaced spans between them.
fn labels(points: &[Point], x: impl Fn(usize) -> String) -> Vec<(String, &'static str, String)> {
    let last = points.len().saturating_sub(1);
    let step = last.div_ceil(MAX_LABELS - 1).max(1);
    points
        .iter()
        .enumerate()
        .filter(|(index, _)| index.is_multiple_of(step) || *index == last)
        // No label so close to the last one that they overlap.
        .filter(|(index, _)| *index == last || last - index >= step.div_ceil(2).max(1))
        .map(|(index, point)| {
            let anchor = match index {
                0 => "start",
                index if index == last => "end",
                _ => "middle",
            };
            (x(index), anchor, point.label.clone())
        })
        .collect()
}

/// Area around a span that shows its numbers when it is pointed at.
fn area(x: f64, last: usize, point: &Point) -> (String, String, String) {
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let width = (WIDTH - LEFT - RIGHT) / last.max(1) as f64;
    let before = point.before.map_or_else(String::new, |before| {
        format!(", before {}", format::count(before))
    });
    let text = format!("{}: {}{before}", point.label, format::count(point.count));
    (pixel(x - width / 2.0), pixel(width), text)
}

/// Points of a sparkline of these values, in a view of 96 × 24. Empty for fewer than two values.
pub(crate) fn sparkline(values: &[f64]) -> String {
    let top = values.iter().copied().fold(0.0_f64, f64::max);
    if values.len() < 2 || top <= 0.0 {
        return String::new();
    }
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let steps = (values.len() - 1) as f64;
    let points: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(index, value)| {
            #[expect(clippy::cast_precision_loss, reason = "pixels")]
            let x = 1.0 + 94.0 * index as f64 / steps;
            (x, 22.0 - 20.0 * value.max(0.0) / top)
        })
        .collect();
    polyline(&points)
}

fn level(share: f64) -> f64 {
    TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - share)
}

fn pixel(value: f64) -> String {
    format!("{value:.1}")
}

fn polyline(points: &[(f64, f64)]) -> String {
    points
        .iter()
        .map(|(x, y)| format!("{},{}", pixel(*x), pixel(*y)))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Smallest of 2, 4, 6, 8, 10, 20, 40, 50, 60, 80, 100, 200 … that is not below the largest count: a round top line with a
/// whole middle.
fn scale_top(largest: i64) -> i64 {
    let mut decade = 1_i64;
    loop {
        for step in [2, 4, 5, 6, 8, 10] {
            let top = decade.saturating_mul(step);
            if top >= largest && top % 2 == 0 || top == i64::MAX {
                return top;
            }
        }
        decade = decade.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_line_is_round_and_not_below_the_largest_count() {
        for (largest, top) in [
            (0, 2),
            (2, 2),
            (3, 4),
            (5, 6),
            (11, 20),
            (45, 50),
            (399, 400),
            (i64::MAX, i64::MAX),
        ] {
            assert_eq!(scale_top(largest), top);
        }
    }

    #[test]
    fn a_chart_of_any_length_can_be_drawn() {
        for length in [0, 1, 2, 7, 30] {
            let points: Vec<_> = (0..length)
                .map(|day| Point {
                    label: format!("{day} Nov"),
                    count: 7,
                    before: (day % 2 == 0).then_some(3),
                })
                .collect();
            for is_running in [true, false] {
                let chart = LineChart::new("Clicks by day", "clicks", "Day", &points, is_running);
                assert!(chart.labels.len() <= MAX_LABELS + 1);
                let svg = chart.render().unwrap();
                assert!(!svg.contains("NaN") && svg.contains("View as table"));
            }
        }
    }

    #[test]
    fn a_sparkline_spans_its_view() {
        assert_eq!(sparkline(&[0.0, 5.0, 10.0]), "1.0,22.0 48.0,12.0 95.0,2.0");
        assert_eq!(sparkline(&[0.0, 0.0]), "");
        assert_eq!(sparkline(&[4.0]), "");
    }
}
