//! Periods that are relative to the day on which a report runs, and queries as they are stored with one.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, Utc};
use chrono_tz::Tz;
use schema::text_enum;
use tenancy::{Actor, ChangeError, Draft};

use crate::{QueryProblem, ReportQuery};

/// Maximum length of a stored query, in bytes; also a CHECK of the tables.
const MAX_LENGTH: usize = 8_000;

text_enum! {
    /// Period relative to the day on which a report runs.
    pub enum Period {
        /// This day.
        Today = "today",
        /// The day before.
        Yesterday = "yesterday",
        /// Seven days up to and including today.
        Last7Days = "last_7_days",
        /// Thirty days up to and including today.
        Last30Days = "last_30_days",
        /// Ninety days up to and including today.
        Last90Days = "last_90_days",
        /// This week from Monday to today.
        ThisWeek = "this_week",
        /// The whole week before, from Monday to Sunday.
        LastWeek = "last_week",
        /// This month up to and including today.
        ThisMonth = "this_month",
        /// The whole month before.
        LastMonth = "last_month",
        /// This year up to and including today.
        ThisYear = "this_year",
    }
}

impl Period {
    /// Label on pages.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Today => "Today",
            Self::Yesterday => "Yesterday",
            Self::Last7Days => "Last 7 days",
            Self::Last30Days => "Last 30 days",
            Self::Last90Days => "Last 90 days",
            Self::ThisWeek => "This week",
            Self::LastWeek => "Last week",
            Self::ThisMonth => "This month",
            Self::LastMonth => "Last month",
            Self::ThisYear => "This year",
        }
    }

    /// First and last day of the period.
    #[must_use]
    pub fn days(self, today: NaiveDate) -> (NaiveDate, NaiveDate) {
        let back = |from: NaiveDate, days: u64| from.checked_sub_days(Days::new(days)).unwrap_or(from);
        let monday = back(today, today.weekday().num_days_from_monday().into());
        let first = today.with_day(1).unwrap_or(today);
        match self {
            Self::Today => (today, today),
            Self::Yesterday => (back(today, 1), back(today, 1)),
            Self::Last7Days => (back(today, 6), today),
            Self::Last30Days => (back(today, 29), today),
            Self::Last90Days => (back(today, 89), today),
            Self::ThisWeek => (monday, today),
            Self::LastWeek => (back(monday, 7), back(monday, 1)),
            Self::ThisMonth => (first, today),
            Self::LastMonth => {
                let before = first.checked_sub_months(Months::new(1)).unwrap_or(first);
                (before, back(first, 1))
            }
            Self::ThisYear => (first.with_month(1).unwrap_or(first), today),
        }
    }

    /// First period with these days, for the form that saves a report; `None` if no period has them.
    #[must_use]
    pub fn of_days(from: NaiveDate, to: NaiveDate, today: NaiveDate) -> Option<Self> {
        let mut periods = Self::ALL.iter().copied();
        periods.find(|period| period.days(today) == (from, to))
    }
}

/// Query of a report as it is stored: its period apart from the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredQuery {
    /// Relative period; `None` for the days in the text.
    pub period: Option<Period>,
    /// Query string; without days if the period is relative.
    pub text: String,
}

impl StoredQuery {
    /// Parses a query string in which `period=last_7_days` may replace the days; parameters in `others` belong to the
    /// caller. Without any days, the period is the default of [`ReportQuery::parse`].
    ///
    /// # Errors
    /// Every invalid parameter.
    pub fn parse(
        query: &str,
        others: &[&str],
        now: DateTime<Utc>,
        zone: Tz,
    ) -> Result<(ReportQuery, Option<Period>), Vec<QueryProblem>> {
        let mut period = None;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if name == "period" && !value.is_empty() {
                let parsed: Result<Period, String> = value.parse();
                period = Some(parsed.map_err(|message| vec![QueryProblem::new("period", message)])?);
            }
        }
        let others = [others, &["period"]].concat();
        let mut parsed = ReportQuery::parse(query, &others, now.with_timezone(&zone).date_naive())?;
        if let Some(period) = period {
            set_days(&mut parsed, period, now, zone);
        }
        Ok((parsed, period))
    }

    /// Query to store for an actor: checked, and written in one way.
    ///
    /// # Errors
    /// Error at the field `query` for invalid parameters, and for those that the actor may not use; at `period` for an
    /// unknown one.
    pub fn checked(
        period: &str,
        query: &str,
        actor: &Actor,
        now: DateTime<Utc>,
        zone: Tz,
    ) -> Result<Self, ChangeError> {
        let refused = |problems: Vec<QueryProblem>| ChangeError::field("query", sentences(&problems));
        let period: Option<Period> = match period {
            "" | "fixed" => None,
            word => Some(
                word.parse()
                    .map_err(|message: String| ChangeError::field("period", message))?,
            ),
        };
        let (parsed, in_query) = Self::parse(query, &[], now, zone).map_err(refused)?;
        parsed.check(actor).map_err(refused)?;
        let has_days = form_urlencoded::parse(query.as_bytes())
            .any(|(name, value)| matches!(&*name, "from" | "to") && !value.is_empty());
        let period = period.or(in_query).or((!has_days).then_some(Period::Last30Days));
        let stored = Self::of(&parsed, period);
        if stored.text.len() > MAX_LENGTH {
            return Err(ChangeError::field(
                "query",
                "The report has too many filters to be stored.",
            ));
        }
        Ok(stored)
    }

    /// Query to store of the fields `period` and `query` of a draft, or `None` with the errors in the draft.
    pub(crate) fn of_draft(draft: &mut Draft, actor: &Actor, now: DateTime<Utc>, zone: Tz) -> Option<Self> {
        match Self::checked(draft.of("period"), draft.of("query"), actor, now, zone) {
            Ok(query) => Some(query),
            Err(ChangeError::Fields(errors)) => {
                for (field, message) in errors.iter() {
                    draft.errors.add(field, message);
                }
                None
            }
            Err(error) => {
                draft.errors.add("query", error.to_string());
                None
            }
        }
    }

    /// Query to store with this period; with the days of the query if `None`.
    #[must_use]
    pub fn of(query: &ReportQuery, period: Option<Period>) -> Self {
        let text = query.to_query_string();
        let pairs = form_urlencoded::parse(text.as_bytes());
        let kept = pairs.filter(|(name, _)| period.is_none() || !matches!(&**name, "from" | "to"));
        Self {
            period,
            text: form_urlencoded::Serializer::new(String::new())
                .extend_pairs(kept)
                .finish(),
        }
    }

    /// The query at a time: its days follow from the day in the time zone of the report, or else of the network.
    ///
    /// # Errors
    /// Every parameter that is no longer valid.
    pub fn at(&self, now: DateTime<Utc>, zone: Tz) -> Result<ReportQuery, Vec<QueryProblem>> {
        let mut query = ReportQuery::parse(&self.text, &[], now.with_timezone(&zone).date_naive())?;
        if let Some(period) = self.period {
            set_days(&mut query, period, now, zone);
        }
        Ok(query)
    }

    /// Query string with the period as a parameter.
    #[must_use]
    pub fn to_query_string(&self) -> String {
        match self.period {
            Some(period) if self.text.is_empty() => format!("period={period}"),
            Some(period) => format!("period={period}&{}", self.text),
            None => self.text.clone(),
        }
    }
}

/// Sets the days of a query to those of a period in the time zone of the report, or else of the network.
fn set_days(query: &mut ReportQuery, period: Period, now: DateTime<Utc>, zone: Tz) {
    let today = now.with_timezone(&query.zone.unwrap_or(zone)).date_naive();
    (query.from, query.to) = period.days(today);
}

/// Problems as one text for the user.
#[must_use]
pub fn sentences(problems: &[QueryProblem]) -> String {
    let sentences = problems.iter().map(|problem| problem.message.as_str());
    sentences.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_period_follows_the_day() {
        let days = |period: Period, today: &str| {
            let (from, to) = period.days(day(today));
            format!("{from} {to}")
        };
        assert_eq!(days(Period::Today, "2026-03-01"), "2026-03-01 2026-03-01");
        assert_eq!(days(Period::Yesterday, "2026-03-01"), "2026-02-28 2026-02-28");
        assert_eq!(days(Period::Last7Days, "2026-03-03"), "2026-02-25 2026-03-03");
        assert_eq!(days(Period::ThisWeek, "2026-11-29"), "2026-11-23 2026-11-29");
        assert_eq!(days(Period::LastWeek, "2026-11-30"), "2026-11-23 2026-11-29");
        assert_eq!(days(Period::LastMonth, "2026-03-31"), "2026-02-01 2026-02-28");
        assert_eq!(days(Period::ThisYear, "2026-03-31"), "2026-01-01 2026-03-31");
        let found = Period::of_days(day("2026-11-24"), day("2026-11-30"), day("2026-11-30"));
        assert_eq!(found, Some(Period::Last7Days));
        assert_eq!(
            Period::of_days(day("2026-11-24"), day("2026-11-29"), day("2026-11-30")),
            None
        );
    }

    #[test]
    fn the_day_is_that_of_the_time_zone_even_when_clocks_change() {
        let stored = StoredQuery {
            period: Some(Period::Yesterday),
            text: "group=day".to_owned(),
        };
        let from = |now: &str, zone: Tz| stored.at(at(now), zone).unwrap().from.to_string();
        // Clocks in Warsaw go back on 25 October 2026 at 01:00 UTC: the day has 25 hours.
        assert_eq!(from("2026-10-25T22:59:00Z", Tz::Europe__Warsaw), "2026-10-24");
        assert_eq!(from("2026-10-25T23:01:00Z", Tz::Europe__Warsaw), "2026-10-25");
        assert_eq!(from("2026-10-25T23:01:00Z", Tz::America__New_York), "2026-10-24");
        let of_report = StoredQuery {
            text: "group=day&tz=Asia/Tokyo".to_owned(),
            ..stored.clone()
        };
        let query = of_report
            .at(at("2026-10-25T15:01:00Z"), Tz::Europe__Warsaw)
            .unwrap();
        assert_eq!(query.from, day("2026-10-25"));
    }

    #[test]
    fn a_relative_period_replaces_the_days() {
        let now = at("2026-11-30T12:00:00Z");
        let (query, period) =
            StoredQuery::parse("period=last_month&from=2026-01-01&group=day", &[], now, Tz::UTC).unwrap();
        assert_eq!((query.from, query.to), (day("2026-10-01"), day("2026-10-31")));
        let stored = StoredQuery::of(&query, period);
        assert_eq!(stored.to_query_string(), "period=last_month&group=day");
        assert_eq!(stored.at(now, Tz::UTC), Ok(query.clone()));
        let fixed = StoredQuery::of(&query, None);
        assert_eq!(fixed.to_query_string(), "from=2026-10-01&to=2026-10-31&group=day");
        assert!(StoredQuery::parse("period=never", &[], now, Tz::UTC).is_err());
    }
}
