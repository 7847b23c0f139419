//! Charts as SVG: lines with their numbers as a table, and sparklines.

use std::fmt::Write as _;

use askama::Template;

const LEFT: f64 = 12.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 26.0;
/// Labels of spans below a chart, at most.
const MAX_LABELS: usize = 5;

/// Value of a span of time, in whole units of the metric: events, micro-units of money, millionths of a share, seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Point {
    /// Day or hour.
    pub(crate) label: String,
    /// None for a gap, such as a rate without clicks.
    pub(crate) value: Option<i64>,
    /// Value of the corresponding span of the period before. None if it is not compared.
    pub(crate) before: Option<i64>,
}

/// Title and units of a chart.
pub(crate) struct Caption {
    /// Title above the chart.
    pub(crate) title: String,
    /// CSS class of the series.
    pub(crate) series: &'static str,
    /// Heading of the spans in the table.
    pub(crate) span: &'static str,
    /// True if the last span is not over.
    pub(crate) is_running: bool,
}

/// Line chart of one metric, with the period before as a dashed line.
#[derive(Template)]
#[template(path = "chart.html")]
pub(crate) struct LineChart {
    /// Title above the chart.
    title: String,
    /// CSS class of the series.
    series: &'static str,
    /// Heading of the spans in the table.
    span: &'static str,
    is_compared: bool,
    /// The same lines in one or two sizes, of which the style sheet shows the one that fits the window.
    drawings: Vec<Drawing>,
    /// Rows of the table, newest first: (span, value, value before).
    rows: Vec<(String, String, Option<String>)>,
}

/// Lines of a chart in one size.
struct Drawing {
    /// CSS class of the size.
    size: &'static str,
    width: f64,
    height: f64,
    /// Path of the line up to the last complete span.
    line: String,
    /// Path of the dotted line to the present span, which is incomplete.
    present: String,
    /// Path of the period before.
    before: String,
    /// End point of the line.
    end: (String, String),
    /// Horizontal grid lines with their labels: (y, y of the label, label).
    grid: Vec<(String, String, String)>,
    /// Labels below the axis: (x, anchor, label).
    labels: Vec<(String, &'static str, String)>,
    /// Areas to point at: (x, width, text).
    areas: Vec<(String, String, String)>,
}

impl LineChart {
    /// Creates a chart of consecutive spans. `shown` is the text of a value.
    pub(crate) fn new(caption: Caption, points: &[Point], shown: &dyn Fn(i64) -> String) -> Self {
        let sizes = [("", 640.0, 200.0)];
        Self::drawn(caption, points, shown, &sizes)
    }

    /// Creates a chart over the whole width of a page.
    pub(crate) fn wide(caption: Caption, points: &[Point], shown: &dyn Fn(i64) -> String) -> Self {
        let sizes = [(" wide-chart", 1200.0, 220.0), (" narrow-chart", 640.0, 320.0)];
        Self::drawn(caption, points, shown, &sizes)
    }

    fn drawn(
        caption: Caption,
        points: &[Point],
        shown: &dyn Fn(i64) -> String,
        sizes: &[(&'static str, f64, f64)],
    ) -> Self {
        let dash = || "—".to_owned();
        let row = |point: &Point| {
            (
                point.label.clone(),
                point.value.map_or_else(dash, shown),
                point.before.map(shown),
            )
        };
        let draw = |(size, width, height): &(&'static str, f64, f64)| {
            Drawing::new((size, *width, *height), points, caption.is_running, shown)
        };
        Self {
            title: caption.title,
            series: caption.series,
            span: caption.span,
            is_compared: points.iter().any(|point| point.before.is_some()),
            drawings: sizes.iter().map(draw).collect(),
            rows: points.iter().rev().map(row).collect(),
        }
    }
}

impl Drawing {
    fn new(
        (size, width, height): (&'static str, f64, f64),
        points: &[Point],
        is_running: bool,
        shown: &dyn Fn(i64) -> String,
    ) -> Self {
        let values = points.iter().flat_map(|point| [point.value, point.before]);
        let top = scale_top(values.flatten().max().unwrap_or(0));
        let last = points.len().saturating_sub(1);
        #[expect(clippy::cast_precision_loss, reason = "pixels")]
        let place = |index: usize, value: i64| {
            let x = LEFT + (width - LEFT - RIGHT) * index as f64 / last.max(1) as f64;
            let share = value as f64 / top as f64;
            (x, TOP + (height - TOP - BOTTOM) * (1.0 - share.max(0.0)))
        };
        let places = |value: fn(&Point) -> Option<i64>| -> Vec<Option<(f64, f64)>> {
            let points = points.iter().enumerate();
            points
                .map(|(index, point)| value(point).map(|value| place(index, value)))
                .collect()
        };
        let line = places(|point| point.value);
        // The line up to the last complete span, and from there on.
        let (complete, present) = if is_running {
            (last, last.saturating_sub(1))
        } else {
            (points.len(), points.len())
        };
        let grid = [0, top / 2, top].map(|value| {
            let (_, y) = place(0, value);
            (pixel(y), pixel(y - 4.0), shown(value))
        });
        let end = line.iter().rev().flatten().next();
        Self {
            size,
            width,
            height,
            line: path(line.get(..complete).unwrap_or_default()),
            present: path(line.get(present..).unwrap_or_default()),
            before: path(&places(|point| point.before)),
            end: end.map_or_else(Default::default, |(x, y)| (pixel(*x), pixel(*y))),
            grid: grid.to_vec(),
            labels: labels(points, |index| pixel(place(index, 0).0)),
            areas: points
                .iter()
                .enumerate()
                .map(|(index, point)| area(place(index, 0).0, width, last, point, shown))
                .collect(),
        }
    }

    fn view_box(&self) -> String {
        format!("0 0 {} {}", self.width, self.height)
    }

    fn right(&self) -> f64 {
        self.width - RIGHT
    }

    /// Height of the labels of the spans.
    fn foot(&self) -> f64 {
        self.height - 6.0
    }

    /// Height of the plot.
    fn plot(&self) -> f64 {
        self.height - BOTTOM
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
        .filter(|(index, _)| *index == last || last - index >= (step * 3).div_ceil(4).max(1))
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
fn area(
    x: f64,
    width: f64,
    last: usize,
    point: &Point,
    shown: &dyn Fn(i64) -> String,
) -> (String, String, String) {
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let width = (width - LEFT - RIGHT) / last.max(1) as f64;
    let before = point
        .before
        .map_or_else(String::new, |before| format!(", before {}", shown(before)));
    let value = point.value.map_or_else(|| "—".to_owned(), shown);
    let text = format!("{}: {value}{before}", point.label);
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

/// Path through places, interrupted where one is missing. A place without neighbours is a dot.
fn path(places: &[Option<(f64, f64)>]) -> String {
    let mut path = String::new();
    let mut is_drawing = false;
    for place in places {
        if let Some((x, y)) = place {
            let (command, dot) = if is_drawing { ("L", "") } else { ("M", "h0") };
            let _ = write!(path, "{command}{},{}{dot}", pixel(*x), pixel(*y));
        }
        is_drawing = place.is_some();
    }
    path
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
    use crate::format;

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

    fn caption(is_running: bool) -> Caption {
        Caption {
            title: "Clicks by day".to_owned(),
            series: "clicks",
            span: "Day",
            is_running,
        }
    }

    #[test]
    fn a_chart_of_any_length_can_be_drawn() {
        for length in [0, 1, 2, 7, 30] {
            let points: Vec<_> = (0..length)
                .map(|day| Point {
                    label: format!("{day} Nov"),
                    value: Some(7),
                    before: (day % 2 == 0).then_some(3),
                })
                .collect();
            for is_running in [true, false] {
                let chart = LineChart::wide(caption(is_running), &points, &format::count);
                for drawing in &chart.drawings {
                    assert!(drawing.labels.len() <= MAX_LABELS + 1);
                }
                let svg = chart.render().unwrap();
                assert!(!svg.contains("NaN") && svg.contains("View as table"));
            }
        }
    }

    #[test]
    fn a_missing_value_is_a_gap_and_no_zero() {
        let point = |value| Point {
            label: "1 Nov".to_owned(),
            value,
            before: None,
        };
        let points = [Some(2), None, Some(1), Some(2)].map(point);
        let chart = LineChart::new(caption(false), &points, &|value| value.to_string());
        let line = &chart.drawings[0].line;
        assert_eq!(line, "M12.0,22.0h0M422.7,98.0h0L628.0,22.0");
        assert_eq!(chart.rows[2].1, "—");
    }

    #[test]
    fn a_sparkline_spans_its_view() {
        assert_eq!(sparkline(&[0.0, 5.0, 10.0]), "1.0,22.0 48.0,12.0 95.0,2.0");
        assert_eq!(sparkline(&[0.0, 0.0]), "");
        assert_eq!(sparkline(&[4.0]), "");
    }
}
