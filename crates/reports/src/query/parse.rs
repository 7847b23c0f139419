//! Parsing of a query string to a query, and the limits of a query.

use chrono::NaiveDate;
use chrono_tz::Tz;
use schema::Currency;

use super::{Compared, Filter, MAX_DEPTH, QueryProblem, ReportQuery, Sort, Test, separated};
use crate::{Dimension, Threshold};

/// Longest period in days: two years and a leap day.
const MAX_DAYS: i64 = 731;
/// Maximum number of filters.
const MAX_FILTERS: usize = 20;
/// Maximum number of values of a filter.
const MAX_VALUES: usize = 200;
/// Maximum length of a value, in characters.
const MAX_LENGTH: usize = 256;

impl ReportQuery {
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
                "compare" => compare(value).map(|compare| parsed.compare = Some(compare)),
                "convert" => currency(value).map(|currency| parsed.convert = Some(currency)),
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

fn currency(value: &str) -> Result<Currency, String> {
    value
        .parse()
        .map_err(|_| format!("“{value}” is not a currency such as EUR."))
}

fn compare(value: &str) -> Result<Compared, String> {
    match value.parse() {
        Ok(comparison) => Ok(Compared::With(comparison)),
        Err(message) => date(value)
            .map(Compared::From)
            .map_err(|_: String| format!("{message} Or name the first day of the other period.")),
    }
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
        let values = separated(value);
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

    use chrono_tz::Tz;

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
             &sub2.begins=x&country.empty=no&group=affiliate,week,sub1&metrics=clicks,margin&sort=-margin&compare=year&convert=PLN",
            CampaignId(7),
            CampaignId(8),
            AffiliateId(9)
        );
        let query = parse(&text).unwrap();
        assert_eq!((query.filters.len(), query.group.len()), (5, 3));
        assert_eq!(parse(&query.to_query_string()), Ok(query));
    }

    #[test]
    fn a_value_may_contain_a_comma() {
        let query = parse(r"sub1=a\,b,c\\d").unwrap();
        let Test::Is(values) = &query.filters[0].test else {
            panic!("values expected");
        };
        assert_eq!(values, &["a,b", r"c\d"]);
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
        assert_eq!(compared("2024-02-20"), days("2024-02-20", "2024-03-04"));
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
