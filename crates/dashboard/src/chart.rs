//! Line charts as SVG, each with its numbers as a table.

use askama::Template;
use chrono::NaiveDate;

use crate::format;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 24.0;

/// Line chart of one count per day.
#[derive(Template)]
#[template(path = "chart.html")]
pub(crate) struct DayChart {
    /// Title above the chart.
    title: String,
    /// CSS class of the series.
    series: &'static str,
    /// Points of the line up to yesterday.
    line: String,
    /// Points of the dashed line from yesterday to today, which is incomplete.
    today: String,
    /// End point of the line.
    end: (String, String),
    /// Horizontal grid lines with their labels: (y, y of the label, label).
    grid: Vec<(String, String, String)>,
    /// Labels below the axis: (x, anchor, label).
    days: Vec<(String, &'static str, String)>,
    /// Rows of the table, newest first: (day, count).
    rows: Vec<(String, String)>,
}

impl DayChart {
    /// Creates a chart of the counts of consecutive days, the last of which is today.
    pub(crate) fn new(title: &str, series: &'static str, counts: &[(NaiveDate, i64)]) -> Self {
        let today = counts.last().map(|(day, _)| *day).unwrap_or_default();
        let top = scale_top(counts.iter().map(|(_, count)| *count).max().unwrap_or(0));
        #[expect(clippy::cast_precision_loss, reason = "pixels")]
        let point = |index: usize, count: i64| {
            let steps = counts.len().saturating_sub(1).max(1) as f64;
            let x = LEFT + (WIDTH - LEFT - RIGHT) * index as f64 / steps;
            (x, level(count as f64 / top as f64))
        };
        let points: Vec<_> = counts
            .iter()
            .enumerate()
            .map(|(index, (_, count))| point(index, *count))
            .collect();
        let over = points.len().saturating_sub(1);
        let last_two = points.len().saturating_sub(2);
        let grid = [0, top / 2, top].map(|count| {
            let (_, y) = point(0, count);
            (pixel(y), pixel(y - 3.0), format::count(count))
        });
        let label = |index: usize, anchor| {
            counts
                .get(index)
                .map(|(day, _)| (pixel(point(index, 0).0), anchor, format::day(*day, today)))
        };
        Self {
            title: title.to_owned(),
            series,
            line: polyline(points.get(..over).unwrap_or_default()),
            today: polyline(points.get(last_two..).unwrap_or_default()),
            end: points
                .last()
                .map_or_else(Default::default, |(x, y)| (pixel(*x), pixel(*y))),
            grid: grid.to_vec(),
            days: [
                label(0, "start"),
                label(counts.len() / 2, "middle"),
                label(over, "end"),
            ]
            .into_iter()
            .flatten()
            .collect(),
            rows: counts
                .iter()
                .rev()
                .map(|(day, count)| (format::day(*day, today), format::count(*count)))
                .collect(),
        }
    }

    fn view_box(&self) -> String {
        format!("0 0 {WIDTH} {HEIGHT}")
    }
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

/// Smallest of 2, 4, 10, 20, 40, 100 … that is not below the largest count: an even, round top line.
fn scale_top(largest: i64) -> i64 {
    let mut decade = 1_i64;
    loop {
        for step in [2, 4, 10] {
            let top = decade.saturating_mul(step);
            if top >= largest {
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
            (5, 10),
            (11, 20),
            (399, 400),
            (i64::MAX, i64::MAX),
        ] {
            assert_eq!(scale_top(largest), top);
        }
    }

    #[test]
    fn a_chart_of_any_length_can_be_drawn() {
        let day: NaiveDate = "2026-11-21".parse().unwrap();
        for length in [0, 1, 2, 30] {
            let counts: Vec<_> = day.iter_days().take(length).map(|day| (day, 7)).collect();
            let svg = DayChart::new("Clicks by day", "clicks", &counts)
                .render()
                .unwrap();
            assert!(!svg.contains("NaN") && svg.contains("View as table"));
        }
    }
}
