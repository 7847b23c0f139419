//! Query of a report: everything is in the URL, so that every view can be linked to.

use chrono::{DateTime, Days, Months, NaiveDate, Utc};
use chrono_tz::Tz;
use schema::{clock, text_enum};
use tenancy::Actor;

use crate::{Dimension, Metric, Threshold};

/// Longest period in days: two years and a leap day.
const MAX_DAYS: i64 = 731;
/// Maximum number of dimensions of the rows.
pub const MAX_DEPTH: usize = 5;
/// Maximum number of filters.
const MAX_FILTERS: usize = 20;
/// Maximum number of values of a filter.
const MAX_VALUES: usize = 200;
/// Maximum length of a value, in characters.
const MAX_LENGTH: usize = 256;

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
            Test::Is(values) => ("", values.join(",")),
            Test::IsNot(values) => (".not", values.join(",")),
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
    pub compare: Option<Comparison>,
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
        }
    }

    /// Parses the parameters of a query string; those in `others` belong to the caller. Missing or empty parameters take the
    /// default: the last 30 days by campaign and affiliate.
    ///
    /// A dimension is a filter: `campaign=cmp_a,cmp_b`, `sub1.not=x`, `sub1.contains=x`, `sub1.begins=x`, `sub1.empty=yes`; a
    /// metric is a bound: `clicks.min=100`, `conversion_rate.max=2 %`.
    ///
    /// # Errors
    /// Every unknown and every invalid parameter.
    pub fn parse(query: &str, others: &[&str], today: NaiveDate) -> Result<Self, Vec<QueryProblem>> {
        let mut parsed = Self::last_days(30, today, vec![Dimension::Campaign, Dimension::Affiliate]);
        let (mut group, mut metrics) = (Vec::new(), Vec::new());
        let mut problems = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.trim();
            if value.is_empty() || others.contains(&&*name) {
                continue;
            }
            let taken = match &*name {
                "from" => date(value).map(|date| parsed.from = date),
                "to" => date(value).map(|date| parsed.to = date),
                "tz" => zone(value).map(|zone| parsed.zone = Some(zone)),
                "by" => value.parse().map(|by| parsed.by = by),
                "compare" => value.parse().map(|compare| parsed.compare = Some(compare)),
                "group" => words(value, &mut group),
                "metrics" => words(value, &mut metrics),
                "sort" => sort(value).map(|sort| parsed.sort = Some(sort)),
                _ => match Threshold::parse(&name, value) {
                    Some(threshold) => threshold.map(|threshold| parsed.thresholds.push(threshold)),
                    None => filter(&name, value).map(|filter| parsed.filters.push(filter)),
                },
            };
            if let Err(message) = taken {
                problems.push(QueryProblem::new(&name, message));
            }
        }
        if !group.is_empty() {
            parsed.group = group;
        }
        if !metrics.is_empty() {
            parsed.metrics = Some(metrics);
        }
        problems.extend(parsed.problems());
        if problems.is_empty() {
            Ok(parsed)
        } else {
            Err(problems)
        }
    }

    /// Dimensions of the rows and of the filters.
    pub(crate) fn dimensions(&self) -> impl Iterator<Item = Dimension> {
        let filters = self.filters.iter().map(|filter| filter.dimension);
        self.group.iter().copied().chain(filters)
    }

    fn problems(&self) -> Vec<QueryProblem> {
        let mut problems = Vec::new();
        if self.from > self.to {
            problems.push(QueryProblem::new("to", "The last day is before the first."));
        } else if (self.to - self.from).num_days() >= MAX_DAYS {
            problems.push(QueryProblem::new("from", "At most two years at a time."));
        }
        if self.group.len() > MAX_DEPTH {
            let message = format!("Group by at most {MAX_DEPTH} dimensions.");
            problems.push(QueryProblem::new("group", message));
        }
        let too_many = format!("Use at most {MAX_FILTERS} filters.");
        if let Some(filter) = self.filters.get(MAX_FILTERS) {
            problems.push(QueryProblem::new(filter.dimension.as_str(), &*too_many));
        }
        if let Some(threshold) = self.thresholds.get(MAX_FILTERS) {
            problems.push(QueryProblem::new(threshold.metric.as_str(), &*too_many));
        }
        problems.extend(self.problem_of_postbacks());
        problems
    }

    /// Refuses numbers of postbacks beside dimensions that postbacks lack.
    fn problem_of_postbacks(&self) -> Option<QueryProblem> {
        let metric = self.used_metrics().find(|metric| metric.is_of_postbacks())?;
        let lacking = self
            .dimensions()
            .find(|dimension| !dimension.field().is_of_postback())?;
        Some(QueryProblem::new(
            "metrics",
            format!(
                "Postbacks have no {lacking}: use {metric} with time, advertiser, campaign and goal only."
            ),
        ))
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
            query.append_pair("compare", compare.as_str());
        }
        query.finish()
    }

    /// The same query of the period to compare with; none without one.
    #[must_use]
    pub fn compared(&self) -> Option<Self> {
        let compare = self.compare?;
        let back = |date: NaiveDate| match compare {
            Comparison::Previous => {
                let days = u64::try_from((self.to - self.from).num_days() + 1).ok()?;
                date.checked_sub_days(Days::new(days))
            }
            Comparison::Year => date.checked_sub_months(Months::new(12)),
            Comparison::YearWeekdays => date.checked_sub_days(Days::new(52 * 7)),
        };
        Some(Self {
            from: back(self.from)?,
            to: back(self.to)?,
            compare: None,
            ..self.clone()
        })
    }

    /// The query narrowed to one value of a dimension.
    #[must_use]
    pub fn narrowed(&self, dimension: Dimension, value: &str) -> Self {
        let mut narrowed = self.clone();
        match (dimension, value.parse::<NaiveDate>()) {
            (Dimension::Day, Ok(day)) => (narrowed.from, narrowed.to) = (day, day),
            _ if dimension.is_time() => {}
            _ => {
                let test = match value {
                    "" => Test::Empty(true),
                    value => Test::Is(vec![value.to_owned()]),
                };
                narrowed.filters.retain(|filter| filter.dimension != dimension);
                narrowed.filters.push(Filter { dimension, test });
            }
        }
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

fn date(value: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(value, "%Y-%m-%d")
        .ok()
        .filter(|date| (1990..2200).contains(&chrono::Datelike::year(date)))
        .ok_or_else(|| format!("“{value}” is not a date such as 2026-11-21."))
}

fn zone(value: &str) -> Result<Tz, String> {
    value
        .parse()
        .map_err(|_| format!("“{value}” is not a time zone such as Europe/Warsaw."))
}

/// Parses `day,campaign`; several parameters add up.
fn words<W: std::str::FromStr<Err = String> + PartialEq>(
    value: &str,
    words: &mut Vec<W>,
) -> Result<(), String> {
    for word in value.split(',').map(str::trim) {
        let word = word.parse()?;
        if !words.contains(&word) {
            words.push(word);
        }
    }
    Ok(())
}

fn sort(value: &str) -> Result<Sort, String> {
    let (is_descending, name) = match value.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, value),
    };
    let metric = match name {
        "name" => None,
        name => Some(name.parse()?),
    };
    Ok(Sort {
        metric,
        is_descending,
    })
}

fn filter(name: &str, value: &str) -> Result<Filter, String> {
    let (name, test) = name.split_once('.').unwrap_or((name, ""));
    let dimension: Dimension = name
        .parse()
        .map_err(|_| format!("“{name}” is neither a parameter of reports nor a dimension."))?;
    if dimension.is_time() {
        return Err("Choose the period with from and to.".to_owned());
    }
    if value.chars().any(char::is_control) {
        return Err("Use no control characters.".to_owned());
    }
    let text = || {
        if dimension.object().is_some() {
            return Err("IDs are filtered by whole values.".to_owned());
        }
        if value.chars().count() > MAX_LENGTH {
            return Err(format!("Use at most {MAX_LENGTH} characters."));
        }
        Ok(value.to_owned())
    };
    let values = || {
        let values: Vec<String> = value.split(',').map(|value| value.trim().to_owned()).collect();
        if values.len() > MAX_VALUES || values.iter().any(|value| value.chars().count() > MAX_LENGTH) {
            return Err(format!(
                "Use at most {MAX_VALUES} values of at most {MAX_LENGTH} characters."
            ));
        }
        values
            .iter()
            .try_for_each(|value| dimension.stored(value).map(|_| ()))?;
        Ok(values)
    };
    let test = match test {
        "" => Test::Is(values()?),
        "not" => Test::IsNot(values()?),
        "contains" => Test::Contains(text()?),
        "begins" => Test::Begins(text()?),
        "empty" => Test::Empty(match value {
            "yes" | "true" => true,
            "no" | "false" => false,
            _ => return Err("Send yes or no.".to_owned()),
        }),
        other => {
            return Err(format!(
                "“{other}” is not a test. Use not, contains, begins or empty."
            ));
        }
    };
    Ok(Filter { dimension, test })
}

#[cfg(test)]
mod tests {
    use schema::{AffiliateId, CampaignId};

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn parse(query: &str) -> Result<ReportQuery, Vec<QueryProblem>> {
        ReportQuery::parse(query, &[], day("2026-11-21"))
    }

    #[test]
    fn a_query_is_parsed_back_from_its_text() {
        let text = format!(
            "from=2026-11-01&to=2026-11-20&tz=Asia/Kathmandu&by=click&campaign={},{}&affiliate.not={}&sub1.contains=a%26b\
             &sub2.begins=x&country.empty=no&group=affiliate,week,sub1&metrics=clicks,margin&sort=-margin&compare=year",
            CampaignId(7),
            CampaignId(8),
            AffiliateId(9)
        );
        let query = parse(&text).unwrap();
        assert_eq!((query.filters.len(), query.group.len()), (5, 3));
        assert_eq!(parse(&query.to_query_string()), Ok(query));
    }

    #[test]
    fn the_default_is_the_last_thirty_days() {
        let query = parse("from=&group=").unwrap();
        assert_eq!((query.from, query.to), (day("2026-10-23"), day("2026-11-21")));
        assert_eq!(query.group, [Dimension::Campaign, Dimension::Affiliate]);
    }

    #[test]
    fn every_invalid_parameter_is_named() {
        let fields = |query| {
            let problems = parse(query).unwrap_err();
            let fields = problems.into_iter().map(|problem| problem.field);
            fields.collect::<Vec<_>>()
        };
        assert_eq!(
            fields(
                "from=yesterday&campaign=aff_1&affiliate=x&group=hours&colour=red&tz=Mars&by=x&compare=y&sort=-z"
            ),
            [
                "from",
                "campaign",
                "affiliate",
                "group",
                "colour",
                "tz",
                "by",
                "compare",
                "sort"
            ]
        );
        assert_eq!(fields("from=2026-11-21&to=2026-11-20"), ["to"]);
        assert_eq!(fields("from=2020-01-01"), ["from"]);
        assert_eq!(fields("from=0001-01-01"), ["from"]);
        assert_eq!(
            fields("day=2026-11-01&sub1.like=x&campaign.contains=a"),
            ["day", "sub1.like", "campaign.contains"]
        );
        assert_eq!(fields("group=day,campaign,affiliate,sub1,sub2,sub3"), ["group"]);
        assert_eq!(
            ReportQuery::parse("limit=5", &["limit"], day("2026-11-21")).map(|_| ()),
            Ok(())
        );
    }

    #[test]
    fn a_period_is_compared_with_the_days_before_it() {
        let compared = |compare: &str| {
            let query = parse(&format!("from=2026-11-02&to=2026-11-15&compare={compare}")).unwrap();
            let compared = query.compared().unwrap();
            (compared.from.to_string(), compared.to.to_string())
        };
        let days = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(compared("previous"), days("2026-10-19", "2026-11-01"));
        assert_eq!(compared("year"), days("2025-11-02", "2025-11-15"));
        assert_eq!(compared("year_weekdays"), days("2025-11-03", "2025-11-16"));
    }

    #[test]
    fn a_day_has_the_hours_of_its_time_zone() {
        let hours = |date: &str, zone: Tz| {
            let query = ReportQuery {
                from: day(date),
                to: day(date),
                ..ReportQuery::last_days(1, day(date), vec![])
            };
            let (start, end) = query.bounds(zone);
            (end - start).num_hours()
        };
        assert_eq!(hours("2026-11-21", Tz::Europe__Warsaw), 24);
        assert_eq!(hours("2026-03-29", Tz::Europe__Warsaw), 23);
        assert_eq!(hours("2026-10-25", Tz::Europe__Warsaw), 25);
        // Midnight does not exist on this day in Beirut.
        assert_eq!(hours("2026-03-29", Tz::Asia__Beirut), 23);
    }
}
