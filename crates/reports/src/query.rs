//! Query of a report: everything is in the URL, so that every view can be linked to.

use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use schema::{AffiliateId, CampaignId, clock, text_enum};

/// Longest period in days: two years and a leap day.
const MAX_DAYS: i64 = 731;

text_enum! {
    /// Dimension by which rows are grouped.
    pub enum Dimension {
        /// Day in the network's time zone.
        Day = "day",
        /// Campaign.
        Campaign = "campaign",
        /// Affiliate.
        Affiliate = "affiliate",
    }
}

/// Query of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportQuery {
    /// First day, in the network's time zone.
    pub from: NaiveDate,
    /// Last day, inclusive.
    pub to: NaiveDate,
    /// Campaign to filter by; none for all.
    pub campaign: Option<CampaignId>,
    /// Affiliate to filter by; none for all.
    pub affiliate: Option<AffiliateId>,
    /// Dimensions of the rows, outermost first; each at most once.
    pub group: Vec<Dimension>,
}

/// Invalid parameter, with a message for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryProblem {
    /// Name of the parameter.
    pub field: &'static str,
    /// Message for the user.
    pub message: String,
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
            campaign: None,
            affiliate: None,
            group,
        }
    }

    /// Parses `from`, `to`, `campaign`, `affiliate` and `group` from a query string. Missing or empty parameters take the
    /// default: the last 30 days by campaign and affiliate. Unknown parameters are ignored.
    ///
    /// # Errors
    /// Every invalid parameter.
    pub fn parse(query: &str, today: NaiveDate) -> Result<Self, Vec<QueryProblem>> {
        let mut parsed = Self::last_days(30, today, vec![Dimension::Campaign, Dimension::Affiliate]);
        let mut group = Vec::new();
        let mut problems = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            let outcome = match &*name {
                "from" => date(value)
                    .map(|date| parsed.from = date)
                    .map_err(|message| ("from", message)),
                "to" => date(value)
                    .map(|date| parsed.to = date)
                    .map_err(|message| ("to", message)),
                "campaign" => match value.parse() {
                    Ok(id) => {
                        parsed.campaign = Some(id);
                        Ok(())
                    }
                    Err(error) => Err(("campaign", format!("“{value}” is {error}."))),
                },
                "affiliate" => match value.parse() {
                    Ok(id) => {
                        parsed.affiliate = Some(id);
                        Ok(())
                    }
                    Err(error) => Err(("affiliate", format!("“{value}” is {error}."))),
                },
                "group" => dimensions(value, &mut group).map_err(|message| ("group", message)),
                _ => Ok(()),
            };
            if let Err((field, message)) = outcome {
                problems.push(QueryProblem { field, message });
            }
        }
        if !group.is_empty() {
            parsed.group = group;
        }
        if parsed.from > parsed.to {
            problems.push(QueryProblem {
                field: "to",
                message: "The last day is before the first.".into(),
            });
        } else if (parsed.to - parsed.from).num_days() >= MAX_DAYS {
            problems.push(QueryProblem {
                field: "from",
                message: "At most two years at a time.".into(),
            });
        }
        if problems.is_empty() {
            Ok(parsed)
        } else {
            Err(problems)
        }
    }

    /// Returns the query string that [`ReportQuery::parse`] parses back to this query.
    #[must_use]
    pub fn to_query_string(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("from", &self.from.to_string())
            .append_pair("to", &self.to.to_string());
        if let Some(id) = self.campaign {
            query.append_pair("campaign", &id.to_string());
        }
        if let Some(id) = self.affiliate {
            query.append_pair("affiliate", &id.to_string());
        }
        let group: Vec<_> = self.group.iter().map(|dimension| dimension.as_str()).collect();
        query.append_pair("group", &group.join(","));
        query.finish()
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

/// Parses `day,campaign`; several `group=` parameters add up.
fn dimensions(value: &str, group: &mut Vec<Dimension>) -> Result<(), String> {
    for word in value.split(',') {
        let dimension = word.parse()?;
        if !group.contains(&dimension) {
            group.push(dimension);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_query_is_parsed_back_from_its_text() {
        let query = ReportQuery {
            from: day("2026-11-01"),
            to: day("2026-11-20"),
            campaign: Some(CampaignId(7)),
            affiliate: Some(AffiliateId(9)),
            group: vec![Dimension::Affiliate, Dimension::Day],
        };
        assert_eq!(
            ReportQuery::parse(&query.to_query_string(), day("2026-11-21")),
            Ok(query)
        );
    }

    #[test]
    fn the_default_is_the_last_thirty_days() {
        let query = ReportQuery::parse("from=&group=", day("2026-11-21")).unwrap();
        assert_eq!((query.from, query.to), (day("2026-10-23"), day("2026-11-21")));
        assert_eq!(query.group, [Dimension::Campaign, Dimension::Affiliate]);
    }

    #[test]
    fn every_invalid_parameter_is_named() {
        let fields = |query| {
            let problems = ReportQuery::parse(query, day("2026-11-21")).unwrap_err();
            problems
                .into_iter()
                .map(|problem| problem.field)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            fields("from=yesterday&campaign=aff_1&affiliate=x&group=hour"),
            ["from", "campaign", "affiliate", "group"]
        );
        assert_eq!(fields("from=2026-11-21&to=2026-11-20"), ["to"]);
        assert_eq!(fields("from=2020-01-01"), ["from"]);
        assert_eq!(fields("from=0001-01-01"), ["from"]);
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
