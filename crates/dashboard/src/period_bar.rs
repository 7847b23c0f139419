//! Period of the pages with figures: chosen in the URL, remembered in a cookie from page to page, and the bar that changes
//! it.

use actix_web::HttpResponse;
use actix_web::cookie::{Cookie, SameSite, time};
use chrono::{Datelike, Days, Months, NaiveDate};
use reports::{Compared, Comparison, Period};

use crate::format;
use crate::page::PageRequest;
use crate::shell::set_cookie;

const COOKIE: &str = "period";
/// Parameters that a page takes from the bar.
const PARAMETERS: [&str; 4] = ["period", "from", "to", "compare"];

/// Relative periods to choose from.
const PRESETS: [Period; 9] = [
    Period::Today,
    Period::Yesterday,
    Period::Last7Days,
    Period::Last30Days,
    Period::Last90Days,
    Period::ThisWeek,
    Period::ThisMonth,
    Period::LastMonth,
    Period::ThisYear,
];

const COMPARISONS: [(Comparison, &str); 3] = [
    (Comparison::Previous, "Previous period"),
    (Comparison::YearWeekdays, "52 weeks before"),
    (Comparison::Year, "Year before"),
];

/// Days of a page, and the days that they are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PagePeriod {
    /// Period that the days follow from; `None` for fixed days.
    pub(crate) period: Option<Period>,
    pub(crate) from: NaiveDate,
    pub(crate) to: NaiveDate,
    pub(crate) compare: Option<Compared>,
}

impl PagePeriod {
    /// Returns the days of a relative period, compared with nothing.
    pub(crate) fn of(period: Period, today: NaiveDate) -> Self {
        let (from, to) = period.days(today);
        Self {
            period: Some(period),
            from,
            to,
            compare: None,
        }
    }

    /// Period that this browser chose last, if it has chosen one.
    pub(crate) fn remembered(request: &PageRequest, today: NaiveDate) -> Option<Self> {
        let cookie = request.http.cookie(COOKIE)?;
        Self::of_cookie(cookie.value(), today)
    }

    fn of_cookie(text: &str, today: NaiveDate) -> Option<Self> {
        let (days, compare) = text.rsplit_once('.')?;
        let mut chosen = match days.split_once('.') {
            Some((from, to)) => Self {
                period: None,
                from: from.parse().ok()?,
                to: to.parse().ok()?,
                compare: None,
            },
            None => Self::of(days.parse().ok()?, today),
        };
        chosen.compare = match compare {
            "none" => None,
            word => Some(Compared::With(word.parse().ok()?)),
        };
        let is_short = (0..731).contains(&(chosen.to - chosen.from).num_days());
        is_short.then_some(chosen)
    }

    fn to_cookie(self) -> String {
        let days = match self.period {
            Some(period) => period.to_string(),
            None => format!("{}.{}", self.from, self.to),
        };
        match self.compare {
            Some(Compared::With(comparison)) => format!("{days}.{comparison}"),
            _ => format!("{days}.none"),
        }
    }

    /// Leaves the period to the next pages of this browser. A page that refreshes itself leaves none, so that it does not
    /// change the period of another window.
    pub(crate) fn remember(self, request: &PageRequest, response: &mut HttpResponse) {
        let headers = request.http.headers();
        let is_refresh = headers.contains_key("HX-Request") && !headers.contains_key("HX-Boosted");
        let value = self.to_cookie();
        let known = request.http.cookie(COOKIE);
        if is_refresh || known.is_some_and(|cookie| cookie.value() == value) {
            return;
        }
        let cookie = Cookie::build(COOKIE, value)
            .path("/")
            .same_site(SameSite::Lax)
            .max_age(time::Duration::days(30))
            .finish();
        set_cookie(response, &cookie);
    }

    /// True if a query string chooses a period.
    pub(crate) fn is_chosen(query: &str) -> bool {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.any(|(name, value)| matches!(&*name, "period" | "from" | "to") && !value.is_empty())
    }

    /// Parameters of the period in a URL.
    pub(crate) fn pairs(self) -> Vec<(&'static str, String)> {
        let mut pairs = match self.period {
            Some(period) => vec![("period", period.to_string())],
            None => vec![("from", self.from.to_string()), ("to", self.to.to_string())],
        };
        pairs.extend(self.compare.map(|compare| ("compare", compare.to_string())));
        pairs
    }

    /// True for whole months, and for a month up to today. The last 30 days are none, even if they are a month.
    fn is_months(self, today: NaiveDate) -> bool {
        let period = self.period.or_else(|| Period::of_days(self.from, self.to, today));
        if matches!(period, Some(Period::Last30Days | Period::Last90Days)) {
            return false;
        }
        let ends = self.to.succ_opt().is_some_and(|next| next.day() == 1);
        let is_this_month =
            self.to == today && (self.from.year(), self.from.month()) == (today.year(), today.month());
        self.from < self.to && self.from.day() == 1 && (ends || is_this_month)
    }

    /// The period as long before this one, or after it if `is_later`. None after today.
    fn moved(self, is_later: bool, today: NaiveDate) -> Option<Self> {
        let walks_months = self.is_months(today);
        let (from, to) = if walks_months {
            let months = (self.to.year() - self.from.year()) * 12 + self.to.month0().cast_signed()
                - self.from.month0().cast_signed()
                + 1;
            let months = Months::new(months.unsigned_abs());
            let from = if is_later {
                self.from.checked_add_months(months)?
            } else {
                self.from.checked_sub_months(months)?
            };
            (from, from.checked_add_months(months)?.pred_opt()?)
        } else {
            let days = Days::new(((self.to - self.from).num_days() + 1).unsigned_abs());
            if is_later {
                (self.from.checked_add_days(days)?, self.to.checked_add_days(days)?)
            } else {
                (self.from.checked_sub_days(days)?, self.to.checked_sub_days(days)?)
            }
        };
        let to = to.min(today);
        (from <= today).then_some(Self {
            period: Period::of_days(from, to, today).filter(|_| walks_months),
            from,
            to,
            ..self
        })
    }

    /// Days in words: `14 Nov – 20 Nov`.
    pub(crate) fn in_words(self, today: NaiveDate) -> String {
        if self.from == self.to {
            format::day(self.from, today)
        } else {
            let (from, to) = (format::day(self.from, today), format::day(self.to, today));
            format!("{from} – {to}")
        }
    }
}

/// Choice of a menu: URL, label, and true for the present one.
type Item = (String, &'static str, bool);

/// Bar that changes the period of a page.
pub(crate) struct PeriodBar {
    pub(crate) path: &'static str,
    /// Parameters of the page besides the period.
    pub(crate) kept: Vec<(String, String)>,
    pub(crate) label: &'static str,
    pub(crate) days: String,
    pub(crate) presets: Vec<Item>,
    pub(crate) earlier: Option<String>,
    pub(crate) later: Option<String>,
    pub(crate) from: NaiveDate,
    pub(crate) to: NaiveDate,
    /// Last day that can be chosen.
    pub(crate) today: NaiveDate,
    pub(crate) compared: String,
    pub(crate) compare: String,
    pub(crate) comparisons: Vec<Item>,
}

impl PeriodBar {
    /// Bar of the page at `path` with the query string `query`. A page that always compares is no page to compare with
    /// nothing.
    pub(crate) fn new(
        path: &'static str,
        query: &str,
        chosen: PagePeriod,
        today: NaiveDate,
        always_compares: bool,
    ) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
        let kept: Vec<_> = pairs
            .filter(|(name, _)| !PARAMETERS.contains(&name.as_str()))
            .collect();
        let url = |period: PagePeriod| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(period.pairs()).extend_pairs(&kept);
            format!("{path}?{}", query.finish())
        };
        let present = chosen
            .period
            .or_else(|| Period::of_days(chosen.from, chosen.to, today));
        let preset = |period: Period| {
            let compare = chosen.compare;
            let chosen = PagePeriod {
                compare,
                ..PagePeriod::of(period, today)
            };
            (url(chosen), period.label(), present == Some(period))
        };
        let compare = |compare, label| {
            let other = PagePeriod { compare, ..chosen };
            (url(other), label, chosen.compare == compare)
        };
        let nothing = (!always_compares).then(|| compare(None, "No comparison"));
        let compared = COMPARISONS
            .iter()
            .find(|(comparison, _)| chosen.compare == Some(Compared::With(*comparison)));
        Self {
            path,
            label: present.map_or("Custom", Period::label),
            days: chosen.in_words(today),
            presets: PRESETS.into_iter().map(preset).collect(),
            earlier: chosen.moved(false, today).map(url),
            later: chosen.moved(true, today).map(url),
            from: chosen.from,
            to: chosen.to,
            today,
            compared: match (chosen.compare, compared) {
                (None, _) if always_compares => "vs previous period".to_owned(),
                (None, _) => "Compare".to_owned(),
                (Some(_), Some((_, label))) => format!("vs {}", label.to_lowercase()),
                (Some(_), None) => "vs other days".to_owned(),
            },
            compare: chosen
                .compare
                .map_or(String::new(), |compare| compare.to_string()),
            comparisons: nothing
                .into_iter()
                .chain(
                    COMPARISONS.map(|(comparison, label)| compare(Some(Compared::With(comparison)), label)),
                )
                .collect(),
            kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_chosen_period_is_read_back_from_its_cookie_and_anything_else_is_none() {
        let today = day("2026-11-21");
        let relative = PagePeriod::of(Period::Last7Days, today);
        let fixed = PagePeriod {
            period: None,
            from: day("2026-10-02"),
            to: day("2026-10-03"),
            compare: Some(Compared::With(Comparison::Year)),
        };
        for period in [relative, fixed] {
            assert_eq!(PagePeriod::of_cookie(&period.to_cookie(), today), Some(period));
        }
        // A relative period follows the day.
        let later = PagePeriod::of_cookie(&relative.to_cookie(), day("2026-11-25")).unwrap();
        assert_eq!(later.to, day("2026-11-25"));
        for text in [
            "",
            "never.none",
            "today",
            "2026-10-03.2026-10-02.none",
            "2020-01-01.2026-10-02.none",
            "today.x",
        ] {
            assert_eq!(PagePeriod::of_cookie(text, today), None, "{text}");
        }
    }

    #[test]
    fn the_arrows_walk_by_the_length_of_the_period_and_by_whole_months() {
        let today = day("2026-11-21");
        let moved = |from: &str, to: &str, is_later| {
            let period = PagePeriod {
                period: None,
                from: day(from),
                to: day(to),
                compare: None,
            };
            let moved = period.moved(is_later, today);
            moved.map(|moved| format!("{} {}", moved.from, moved.to))
        };
        for (from, to, earlier, later) in [
            ("2026-11-15", "2026-11-21", "2026-11-08 2026-11-14", None),
            (
                "2026-11-08",
                "2026-11-14",
                "2026-11-01 2026-11-07",
                Some("2026-11-15 2026-11-21"),
            ),
            ("2026-11-01", "2026-11-21", "2026-10-01 2026-10-31", None),
            (
                "2026-10-01",
                "2026-10-31",
                "2026-09-01 2026-09-30",
                Some("2026-11-01 2026-11-21"),
            ),
            (
                "2026-02-01",
                "2026-03-31",
                "2025-12-01 2026-01-31",
                Some("2026-04-01 2026-05-31"),
            ),
        ] {
            assert_eq!(moved(from, to, false).as_deref(), Some(earlier));
            assert_eq!(moved(from, to, true).as_deref(), later);
        }
    }

    #[test]
    fn the_bar_keeps_the_other_parameters_of_the_page() {
        let today = day("2026-11-21");
        let chosen = PagePeriod {
            compare: Some(Compared::With(Comparison::Previous)),
            ..PagePeriod::of(Period::Last7Days, today)
        };
        let query = "period=last_7_days&compare=previous&group=sub1&sub1=a%26b";
        let bar = PeriodBar::new("/reports", query, chosen, today, false);
        assert_eq!(
            bar.presets[0].0,
            "/reports?period=today&compare=previous&group=sub1&sub1=a%26b"
        );
        assert_eq!(
            bar.comparisons[0],
            (
                "/reports?period=last_7_days&group=sub1&sub1=a%26b".to_owned(),
                "No comparison",
                false
            )
        );
        assert_eq!((bar.label, bar.days.as_str()), ("Last 7 days", "15 Nov – 21 Nov"));
        assert_eq!(bar.later, None);
    }
}
