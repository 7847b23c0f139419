//! Layout of the report page: the parameters of the URL that choose no figures, and the URLs of its links.

use chrono::NaiveDate;
use reports::{Dimension, Metric, Period, QueryProblem, ReportQuery, StoredQuery, joined, separated};

/// Parameters of the layout.
pub(super) const NAMES: [&str; 5] = ["view", "rows", "open", "chart", "each"];
/// Maximum number of rows that are open at once.
const MAX_OPEN: usize = 12;
/// Rows that are open until the user opens or closes one.
const OPEN_AT_FIRST: usize = 3;

/// Spans of time of a chart.
pub(super) const SPANS: [Dimension; 4] = [Dimension::Hour, Dimension::Day, Dimension::Week, Dimension::Month];

/// Keys of a row, outermost first.
pub(super) type Path = Vec<String>;

/// Layout of the page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// Saved view that the URL names.
    pub(super) view: Option<String>,
    /// True for one row per combination of the dimensions, instead of rows that open.
    pub(super) is_flat: bool,
    /// Rows that are open; `None` for the first ones.
    pub(super) open: Option<Vec<Path>>,
    /// Metric of the chart.
    pub(super) chart: Option<Metric>,
    /// Spans of time of the chart.
    pub(super) each: Option<Dimension>,
}

impl Layout {
    /// Parses the parameters of the layout; ignores the others.
    pub(super) fn parse(query: &str) -> Result<Self, Vec<QueryProblem>> {
        let mut layout = Self::default();
        let mut problems = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let taken = match (&*name, &*value) {
                ("open", value) => {
                    let open = layout.open.get_or_insert_default();
                    if !value.is_empty() && open.len() < MAX_OPEN {
                        open.push(path(value));
                    }
                    Ok(())
                }
                (_, "") => Ok(()),
                ("view", id) => {
                    layout.view = Some(id.to_owned());
                    Ok(())
                }
                ("rows", "flat") => {
                    layout.is_flat = true;
                    Ok(())
                }
                ("rows", "grouped") => Ok(()),
                ("rows", _) => Err("Send flat or grouped.".to_owned()),
                ("chart", metric) => metric.parse().map(|metric| layout.chart = Some(metric)),
                ("each", span) => span
                    .parse()
                    .ok()
                    .filter(|span| SPANS.contains(span))
                    .map(|span| layout.each = Some(span))
                    .ok_or_else(|| "Send hour, day, week or month.".to_owned()),
                _ => Ok(()),
            };
            if let Err(message) = taken {
                problems.push(QueryProblem {
                    field: name.into_owned(),
                    message,
                });
            }
        }
        if problems.is_empty() {
            Ok(layout)
        } else {
            Err(problems)
        }
    }

    /// True if the row with these keys is open. `index` is its place among the rows of its level.
    pub(super) fn is_open(&self, keys: &[String], index: usize) -> bool {
        match &self.open {
            Some(open) => open.iter().any(|path| path == keys),
            None => keys.len() == 1 && index < OPEN_AT_FIRST,
        }
    }

    /// The layout with a row opened or closed. `shown` are the rows that are open.
    pub(super) fn toggled(&self, shown: &[Path], keys: &[String]) -> Self {
        let mut open = shown.to_vec();
        if shown.iter().any(|path| path == keys) {
            open.retain(|path| !path.starts_with(keys));
        } else {
            open.push(keys.to_vec());
        }
        Self {
            open: Some(open),
            ..self.clone()
        }
    }

    fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        pairs.extend(self.view.iter().map(|view| ("view", view.clone())));
        if self.is_flat {
            pairs.push(("rows", "flat".to_owned()));
        }
        pairs.extend(self.chart.map(|metric| ("chart", metric.to_string())));
        pairs.extend(self.each.map(|span| ("each", span.to_string())));
        match &self.open {
            None => {}
            Some(open) if open.is_empty() => pairs.push(("open", String::new())),
            Some(open) => pairs.extend(open.iter().map(|path| ("open", text(path)))),
        }
        pairs
    }
}

/// Keys of a row as a parameter: a comma after each, so that one empty key is no empty text.
fn text(path: &[String]) -> String {
    format!("{},", joined(path))
}

fn path(text: &str) -> Path {
    separated(text.strip_suffix(',').unwrap_or(text))
}

/// Links of the page, which keep its layout and its relative period.
pub(in crate::pages::figures) struct Links {
    pub(super) layout: Layout,
    period: Option<Period>,
    days: (NaiveDate, NaiveDate),
}

impl Links {
    pub(super) fn new(layout: Layout, query: &ReportQuery, period: Option<Period>) -> Self {
        Self {
            layout,
            period,
            days: (query.from, query.to),
        }
    }

    /// Query string of a report with this layout. A report of other days has no relative period.
    fn text(&self, query: &ReportQuery, layout: &Layout) -> String {
        let period = self.period.filter(|_| (query.from, query.to) == self.days);
        let text = StoredQuery::of(query, period).to_query_string();
        let mut all = form_urlencoded::Serializer::new(text);
        all.extend_pairs(layout.pairs()).finish()
    }

    /// URL of a report on this page.
    pub(super) fn url(&self, query: &ReportQuery) -> String {
        format!("/reports?{}", self.query_string(query))
    }

    /// Query string of a report on this page.
    pub(super) fn query_string(&self, query: &ReportQuery) -> String {
        self.text(query, &self.layout)
    }

    /// URL of a report with other rows: none is open.
    pub(in crate::pages::figures) fn narrowed(&self, query: &ReportQuery) -> String {
        let layout = Layout {
            open: None,
            ..self.layout.clone()
        };
        self.with(query, &layout)
    }

    /// URL of a report with another layout.
    pub(super) fn with(&self, query: &ReportQuery, layout: &Layout) -> String {
        format!("/reports?{}", self.text(query, layout))
    }

    /// Parameters of the page, without those that a form has fields for.
    pub(super) fn kept(&self, query: &ReportQuery, fields: &[&str]) -> Vec<(String, String)> {
        let text = self.query_string(query);
        let pairs = form_urlencoded::parse(text.as_bytes()).into_owned();
        pairs
            .filter(|(name, _)| !fields.contains(&name.as_str()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_rows_are_read_back_from_the_url() {
        let query = ReportQuery::last_days(1, "2026-11-21".parse().unwrap(), vec![Dimension::Sub1]);
        let path = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Path>();
        for open in [
            vec![],
            vec![path(&[""])],
            vec![path(&["a,b", ""]), path(&["c\\"])],
        ] {
            let layout = Layout {
                open: Some(open),
                chart: Some(Metric::Clicks),
                each: Some(Dimension::Week),
                is_flat: true,
                view: Some("view_1".to_owned()),
            };
            let links = Links::new(layout.clone(), &query, Some(Period::Today));
            let text = links.query_string(&query);
            assert!(text.starts_with("period=today&group=sub1&view=view_1"), "{text}");
            assert_eq!(Layout::parse(&text), Ok(layout), "{text}");
        }
        let names = |text| {
            let problems = Layout::parse(text).unwrap_err();
            problems
                .into_iter()
                .map(|problem| problem.field)
                .collect::<Vec<_>>()
        };
        assert_eq!(names("rows=x&chart=y&each=campaign"), ["rows", "chart", "each"]);
    }

    #[test]
    fn closing_a_row_closes_those_inside_it() {
        let path = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Path>();
        let layout = Layout::default();
        let shown = [path(&["a"]), path(&["a", "b"]), path(&["c"])];
        let closed = layout.toggled(&shown, &path(&["a"]));
        assert!(closed.is_open(&path(&["c"]), 9));
        assert!(!closed.is_open(&path(&["a"]), 0) && !closed.is_open(&path(&["a", "b"]), 0));
        let opened = closed.toggled(&[path(&["c"])], &path(&["d"]));
        assert!(opened.is_open(&path(&["d"]), 9) && opened.is_open(&path(&["c"]), 9));
        // Until then, the first rows are open.
        assert!(layout.is_open(&path(&["z"]), 0) && !layout.is_open(&path(&["z"]), OPEN_AT_FIRST));
        assert!(!layout.is_open(&path(&["z", "y"]), 0));
    }
}
