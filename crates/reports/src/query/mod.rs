//! Query of a report: everything is in the URL, so that every view can be linked to.

mod parse;

use chrono::{DateTime, Days, Months, NaiveDate, Utc, Weekday};
use chrono_tz::Tz;
use schema::{Currency, clock, text_enum};
use tenancy::Actor;

use crate::{Dimension, Metric, Threshold};

/// Maximum number of dimensions of the rows.
pub const MAX_DEPTH: usize = 5;

text_enum! {
    /// Time by which conversions are counted.
    pub enum Basis {
        /// Time of the conversion.
        Conversion = "conversion",
        /// Time of its click; of a conversion without a click, its own.
        Click = "click",
    }
}

text_enum! {
    /// Period that a report is compared with.
    pub enum Comparison {
        /// The same number of days before.
        Previous = "previous",
        /// The same days a year before.
        Year = "year",
        /// The days 52 weeks before, so that the days of the week are the same.
        YearWeekdays = "year_weekdays",
    }
}

/// Choice of the period that a report is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// A period that follows from the first.
    With(Comparison),
    /// Period of as many days, from this day on.
    From(NaiveDate),
}

impl std::fmt::Display for Compared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::With(comparison) => comparison.fmt(f),
            Self::From(day) => day.fmt(f),
        }
    }
}

/// Test of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// The value is one of these.
    Is(Vec<String>),
    /// The value is none of these.
    IsNot(Vec<String>),
    /// The value contains this text, in any letter case.
    Contains(String),
    /// The value begins with this text, in any letter case.
    Begins(String),
    /// True for no value, false for any.
    Empty(bool),
}

/// Filter by a dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Dimension.
    pub dimension: Dimension,
    /// Test that its value passes.
    pub test: Test,
}

impl Filter {
    /// Name and value of the parameter that is parsed back to this filter.
    #[must_use]
    pub fn to_pair(&self) -> (String, String) {
        let (end, value) = match &self.test {
            Test::Is(values) => ("", joined(values)),
            Test::IsNot(values) => (".not", joined(values)),
            Test::Contains(text) => (".contains", text.clone()),
            Test::Begins(text) => (".begins", text.clone()),
            Test::Empty(is_empty) => (".empty", if *is_empty { "yes" } else { "no" }.to_owned()),
        };
        (format!("{}{end}", self.dimension), value)
    }
}

/// Order of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// Metric; `None` for the names of the rows.
    pub metric: Option<Metric>,
    /// True for the largest first.
    pub is_descending: bool,
}

/// Query of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportQuery {
    /// First day, in the time zone of the report.
    pub from: NaiveDate,
    /// Last day, inclusive.
    pub to: NaiveDate,
    /// Time zone; `None` for that of the network.
    pub zone: Option<Tz>,
    /// Time by which conversions are counted.
    pub by: Basis,
    /// Filters; every one must hold.
    pub filters: Vec<Filter>,
    /// Bounds that the metrics of a row keep to; other rows are in no sum either.
    pub thresholds: Vec<Threshold>,
    /// Dimensions of the rows, outermost first; each at most once.
    pub group: Vec<Dimension>,
    /// Metrics to show; `None` for the usual ones.
    pub metrics: Option<Vec<Metric>>,
    /// Order of the rows; `None` for spans of time newest first, and names alphabetically.
    pub sort: Option<Sort>,
    /// Period to compare with.
    pub compare: Option<Compared>,
    /// Currency that all money is converted to; `None` for the currencies of the conversions.
    pub convert: Option<Currency>,
}

/// Invalid parameter, with a message for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryProblem {
    /// Name of the parameter.
    pub field: String,
    /// Message for the user.
    pub message: String,
}

impl QueryProblem {
    pub(crate) fn new(field: &str, message: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            message: message.into(),
        }
    }
}

impl ReportQuery {
    /// Returns the query of the last `days` days up to and including `today`.
    #[must_use]
    pub fn last_days(days: u64, today: NaiveDate, group: Vec<Dimension>) -> Self {
        let from = today
            .checked_sub_days(Days::new(days.saturating_sub(1)))
            .unwrap_or(today);
        Self {
            from,
            to: today,
            zone: None,
            by: Basis::Conversion,
            filters: Vec::new(),
            thresholds: Vec::new(),
            group,
            metrics: None,
            sort: None,
            compare: None,
            convert: None,
        }
    }

    /// Dimensions of the rows and of the filters.
    pub(crate) fn dimensions(&self) -> impl Iterator<Item = Dimension> {
        let filters = self.filters.iter().map(|filter| filter.dimension);
        self.group.iter().copied().chain(filters)
    }

    /// Metrics that the report uses: shown, sorted by, or bounded.
    pub(crate) fn used_metrics(&self) -> impl Iterator<Item = Metric> {
        let sorted = self.sort.and_then(|sort| sort.metric);
        let bounded = self.thresholds.iter().map(|threshold| threshold.metric);
        self.metrics
            .iter()
            .flatten()
            .copied()
            .chain(sorted)
            .chain(bounded)
    }

    /// Refuses what the actor may not see: a dimension, as group or filter, and a metric, as column or order.
    ///
    /// # Errors
    /// Every such parameter.
    pub fn check(&self, actor: &Actor) -> Result<(), Vec<QueryProblem>> {
        let hidden = |dimension: Dimension| !dimension.is_visible_to(actor);
        let refused =
            |field: &str, name: &str| QueryProblem::new(field, format!("Your role does not see “{name}”."));
        let groups = self.group.iter().filter(|dimension| hidden(**dimension));
        let groups = groups.map(|dimension| refused("group", dimension.as_str()));
        let filters = self.filters.iter().map(|filter| filter.dimension);
        let filters = filters.filter(|dimension| hidden(*dimension));
        let filters = filters.map(|dimension| refused(dimension.as_str(), dimension.as_str()));
        let metrics = self
            .metrics
            .iter()
            .flatten()
            .filter(|metric| !metric.is_visible_to(actor));
        let metrics = metrics.map(|metric| refused("metrics", metric.as_str()));
        let sort = self.sort.and_then(|sort| sort.metric);
        let sort = sort.filter(|metric| !metric.is_visible_to(actor));
        let sort = sort.map(|metric| refused("sort", metric.as_str()));
        let thresholds = self.thresholds.iter().map(|threshold| threshold.metric);
        let thresholds = thresholds.filter(|metric| !metric.is_visible_to(actor));
        let thresholds = thresholds.map(|metric| refused(metric.as_str(), metric.as_str()));
        let problems: Vec<_> = groups
            .chain(filters)
            .chain(metrics)
            .chain(sort)
            .chain(thresholds)
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }

    /// Metrics to show to an actor, in the order of the columns.
    #[must_use]
    pub fn metrics(&self, actor: &Actor) -> Vec<Metric> {
        let wanted = self.metrics.clone().unwrap_or_else(|| Metric::USUAL.to_vec());
        wanted
            .into_iter()
            .filter(|metric| metric.is_visible_to(actor))
            .collect()
    }

    /// Returns the query string that [`ReportQuery::parse`] parses back to this query.
    #[must_use]
    pub fn to_query_string(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("from", &self.from.to_string())
            .append_pair("to", &self.to.to_string());
        if let Some(zone) = self.zone {
            query.append_pair("tz", zone.name());
        }
        if self.by != Basis::Conversion {
            query.append_pair("by", self.by.as_str());
        }
        let filters = self.filters.iter().map(Filter::to_pair);
        query.extend_pairs(filters.chain(self.thresholds.iter().map(|threshold| threshold.to_pair())));
        let join = |words: Vec<&str>| words.join(",");
        let group = self.group.iter().map(|dimension| dimension.as_str()).collect();
        query.append_pair("group", &join(group));
        if let Some(metrics) = &self.metrics {
            query.append_pair(
                "metrics",
                &join(metrics.iter().map(|metric| metric.as_str()).collect()),
            );
        }
        if let Some(sort) = self.sort {
            let minus = if sort.is_descending { "-" } else { "" };
            let name = sort.metric.map_or("name", Metric::as_str);
            query.append_pair("sort", &format!("{minus}{name}"));
        }
        if let Some(compare) = self.compare {
            query.append_pair("compare", &compare.to_string());
        }
        if let Some(currency) = self.convert {
            query.append_pair("convert", currency.code());
        }
        query.finish()
    }

    /// The same query of the period to compare with; none without one.
    #[must_use]
    pub fn compared(&self) -> Option<Self> {
        let length = (self.to - self.from).num_days();
        let moved = |date: NaiveDate| match self.compare? {
            Compared::With(Comparison::Previous) => date.checked_sub_days(days(length + 1)?),
            Compared::With(Comparison::Year) => date.checked_sub_months(Months::new(12)),
            Compared::With(Comparison::YearWeekdays) => date.checked_sub_days(Days::new(52 * 7)),
            Compared::From(day) => day.checked_add_days(days((date - self.from).num_days())?),
        };
        Some(Self {
            from: moved(self.from)?,
            to: moved(self.to)?,
            compare: None,
            ..self.clone()
        })
    }

    /// The query narrowed to one value of a dimension; to the days of a span of time.
    #[must_use]
    pub fn narrowed(&self, dimension: Dimension, value: &str) -> Self {
        let mut narrowed = self.clone();
        if dimension.is_time() {
            if let Some((from, to)) = days_of(dimension, value) {
                (narrowed.from, narrowed.to) = (from.max(self.from), to.min(self.to));
            }
            return narrowed;
        }
        let test = match value {
            "" => Test::Empty(true),
            value => Test::Is(vec![value.to_owned()]),
        };
        narrowed.filters.retain(|filter| filter.dimension != dimension);
        narrowed.filters.push(Filter { dimension, test });
        narrowed
    }

    /// Value that a dimension is filtered to, if it is one; empty otherwise.
    #[must_use]
    pub fn only(&self, dimension: Dimension) -> &str {
        let filter = self.filters.iter().find(|filter| filter.dimension == dimension);
        match filter.map(|filter| &filter.test) {
            Some(Test::Is(values)) => values.first().map_or("", String::as_str),
            _ => "",
        }
    }

    /// Returns the first instant of the period and the first instant after it.
    #[must_use]
    pub fn bounds(&self, time_zone: Tz) -> (DateTime<Utc>, DateTime<Utc>) {
        let after = self.to.checked_add_days(Days::new(1)).unwrap_or(self.to);
        (
            clock::start_of_day(self.from, time_zone),
            clock::start_of_day(after, time_zone),
        )
    }
}

/// First and last day of a span of time; none for hours and days of the week.
fn days_of(dimension: Dimension, value: &str) -> Option<(NaiveDate, NaiveDate)> {
    let week = |first: NaiveDate| Some((first, first.checked_add_days(Days::new(6))?));
    let months = |year: &str, month: u32, count: u32| {
        let first = NaiveDate::from_ymd_opt(year.parse().ok()?, month, 1)?;
        Some((first, first.checked_add_months(Months::new(count))?.pred_opt()?))
    };
    match dimension {
        Dimension::Day => value.parse().ok().map(|day| (day, day)),
        Dimension::SundayWeek => week(value.parse().ok()?),
        Dimension::Week => {
            let (year, number) = value.split_once("-W")?;
            week(NaiveDate::from_isoywd_opt(
                year.parse().ok()?,
                number.parse().ok()?,
                Weekday::Mon,
            )?)
        }
        Dimension::Month => {
            let (year, month) = value.split_once('-')?;
            months(year, month.parse().ok()?, 1)
        }
        Dimension::Quarter => {
            let (year, quarter) = value.split_once("-Q")?;
            let quarter: u32 = quarter.parse().ok()?;
            months(year, (quarter.checked_sub(1)?).checked_mul(3)? + 1, 3)
        }
        _ => None,
    }
}

fn days(count: i64) -> Option<Days> {
    u64::try_from(count).ok().map(Days::new)
}

/// Values of a parameter with commas between them; a comma of a value has a backslash in front.
#[must_use]
pub fn joined(values: &[String]) -> String {
    let escaped = values
        .iter()
        .map(|value| value.replace('\\', "\\\\").replace(',', "\\,"));
    escaped.collect::<Vec<_>>().join(",")
}

/// Values of a parameter that [`joined`] wrote.
#[must_use]
pub fn separated(text: &str) -> Vec<String> {
    let (mut values, mut value) = (Vec::new(), String::new());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => value.extend(letters.next()),
            ',' => values.push(std::mem::take(&mut value).trim().to_owned()),
            other => value.push(other),
        }
    }
    values.push(value.trim().to_owned());
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_of_time_narrows_to_its_days_within_the_period() {
        let query = ReportQuery {
            from: "2026-11-04".parse().unwrap(),
            to: "2026-12-01".parse().unwrap(),
            ..ReportQuery::last_days(1, NaiveDate::MIN, vec![Dimension::Week])
        };
        for (dimension, value, days) in [
            (Dimension::Day, "2026-11-21", "2026-11-21 2026-11-21"),
            (Dimension::Week, "2026-W47", "2026-11-16 2026-11-22"),
            (Dimension::SundayWeek, "2026-11-15", "2026-11-15 2026-11-21"),
            (Dimension::Month, "2026-11", "2026-11-04 2026-11-30"),
            (Dimension::Quarter, "2026-Q4", "2026-11-04 2026-12-01"),
            (Dimension::Hour, "2026-11-21 14:00", "2026-11-04 2026-12-01"),
            (Dimension::Quarter, "2026-Q0", "2026-11-04 2026-12-01"),
        ] {
            let narrowed = query.narrowed(dimension, value);
            assert_eq!(format!("{} {}", narrowed.from, narrowed.to), days, "{value}");
            assert!(narrowed.filters.is_empty());
        }
    }
}
