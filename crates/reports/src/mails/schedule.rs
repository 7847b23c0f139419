//! Times at which a mail is due. Pure.

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use schema::text_enum;

/// Maximum number of days between two due times, and a margin for days that a time zone skips.
const MAX_DAYS: u64 = 40;

text_enum! {
    /// Rhythm of a mail.
    pub enum Rhythm {
        /// Every day.
        Daily = "daily",
        /// Once a week.
        Weekly = "weekly",
        /// Once a month.
        Monthly = "monthly",
    }
}

impl Rhythm {
    /// Label on pages.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Daily => "Daily",
            Self::Weekly => "Weekly",
            Self::Monthly => "Monthly",
        }
    }
}

/// Days and hour of a mail, in the time zone of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Rhythm.
    pub rhythm: Rhythm,
    /// Day of the week, 1 for Monday, or day of the month up to 28; `None` for every day.
    pub on_day: Option<i16>,
    /// Hour of the day, 0 to 23.
    pub at_hour: i16,
}

impl Schedule {
    /// Schedule in words: `weekly on Monday at 07:00`.
    #[must_use]
    pub fn in_words(&self) -> String {
        const WEEKDAYS: [&str; 7] = [
            "Monday",
            "Tuesday",
            "Wednesday",
            "Thursday",
            "Friday",
            "Saturday",
            "Sunday",
        ];
        let day = self.on_day.unwrap_or(1);
        let weekday = usize::try_from(day - 1).ok().and_then(|day| WEEKDAYS.get(day));
        let days = match self.rhythm {
            Rhythm::Daily => "daily".to_owned(),
            Rhythm::Weekly => format!("weekly on {}", weekday.unwrap_or(&"Monday")),
            Rhythm::Monthly => format!("monthly on day {day}"),
        };
        format!("{days} at {:02}:00", self.at_hour)
    }

    fn includes(&self, day: NaiveDate) -> bool {
        let number = match self.rhythm {
            Rhythm::Daily => return true,
            Rhythm::Weekly => day.weekday().number_from_monday(),
            Rhythm::Monthly => day.day(),
        };
        self.on_day.and_then(|day| u32::try_from(day).ok()) == Some(number)
    }

    /// Instant of the hour on a day: the first one if clocks go back over it, the first after the jump if they skip it.
    fn instant(&self, day: NaiveDate, zone: Tz) -> Option<DateTime<Utc>> {
        let hour = day.and_hms_opt(u32::try_from(self.at_hour).ok()?, 0, 0)?;
        let mut quarters = (0..12).map(|quarter| hour + TimeDelta::minutes(15 * quarter));
        quarters
            .find_map(|local| zone.from_local_datetime(&local).earliest())
            .map(|local| local.with_timezone(&Utc))
    }

    /// First due time after a time.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let today = after.with_timezone(&zone).date_naive();
        let days = (0..MAX_DAYS).filter_map(|days| today.checked_add_days(Days::new(days)));
        let mut times = days
            .filter(|day| self.includes(*day))
            .filter_map(|day| self.instant(day, zone));
        times
            .find(|time| *time > after)
            .unwrap_or(after + TimeDelta::days(31))
    }

    /// Last due time up to a time, `since` being one: after an outage, the mails in between are left out.
    #[must_use]
    pub fn last_until(&self, since: DateTime<Utc>, until: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        // A start far back is moved close to the end, so that the number of steps is bounded.
        let close = until - TimeDelta::days(70);
        let mut last = if since < close {
            self.next_after(close, zone)
        } else {
            since
        };
        loop {
            let next = self.next_after(last, zone);
            if next > until {
                return last;
            }
            last = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn due(rhythm: Rhythm, on_day: Option<i16>, at_hour: i16, after: &str) -> String {
        let schedule = Schedule {
            rhythm,
            on_day,
            at_hour,
        };
        let next = schedule.next_after(at(after), Tz::Europe__Warsaw);
        next.format("%Y-%m-%dT%H:%MZ").to_string()
    }

    #[test]
    fn the_next_due_time_has_the_day_and_the_hour() {
        assert_eq!(
            due(Rhythm::Daily, None, 7, "2026-11-30T05:59:00Z"),
            "2026-11-30T06:00Z"
        );
        assert_eq!(
            due(Rhythm::Daily, None, 7, "2026-11-30T06:00:00Z"),
            "2026-12-01T06:00Z"
        );
        assert_eq!(
            due(Rhythm::Weekly, Some(1), 0, "2026-11-30T12:00:00Z"),
            "2026-12-06T23:00Z"
        );
        assert_eq!(
            due(Rhythm::Monthly, Some(28), 9, "2027-02-28T08:00:00Z"),
            "2027-03-28T07:00Z"
        );
        let weekly = Schedule {
            rhythm: Rhythm::Weekly,
            on_day: Some(7),
            at_hour: 7,
        };
        assert_eq!(weekly.in_words(), "weekly on Sunday at 07:00");
    }

    #[test]
    fn an_hour_that_clocks_skip_or_repeat_is_due_once() {
        // Clocks in Warsaw jump from 02:00 to 03:00 on 29 March 2026.
        assert_eq!(
            due(Rhythm::Daily, None, 2, "2026-03-28T12:00:00Z"),
            "2026-03-29T01:00Z"
        );
        assert_eq!(
            due(Rhythm::Daily, None, 2, "2026-03-29T01:00:00Z"),
            "2026-03-30T00:00Z"
        );
        // They go back from 03:00 to 02:00 on 25 October 2026: the first 02:00 is at 00:00 UTC.
        assert_eq!(
            due(Rhythm::Daily, None, 2, "2026-10-24T12:00:00Z"),
            "2026-10-25T00:00Z"
        );
        assert_eq!(
            due(Rhythm::Daily, None, 2, "2026-10-25T00:00:00Z"),
            "2026-10-26T01:00Z"
        );
        // An hour after the change keeps its place on the clock.
        assert_eq!(
            due(Rhythm::Daily, None, 7, "2026-10-24T06:00:00Z"),
            "2026-10-25T06:00Z"
        );
    }

    #[test]
    fn after_an_outage_the_last_due_time_counts() {
        let daily = Schedule {
            rhythm: Rhythm::Daily,
            on_day: None,
            at_hour: 7,
        };
        let last = |since: &str, until: &str| daily.last_until(at(since), at(until), Tz::UTC);
        let seven = at("2026-11-30T07:00:00Z");
        assert_eq!(last("2026-11-30T07:00:00Z", "2026-11-30T07:00:30Z"), seven);
        assert_eq!(last("2026-11-20T07:00:00Z", "2026-12-01T06:59:00Z"), seven);
        assert_eq!(last("2020-11-20T07:00:00Z", "2026-12-01T06:59:00Z"), seven);
        let monthly = Schedule {
            rhythm: Rhythm::Monthly,
            on_day: Some(5),
            ..daily
        };
        let last = monthly.last_until(at("2020-01-05T07:00:00Z"), at("2026-12-01T00:00:00Z"), Tz::UTC);
        assert_eq!(last, at("2026-11-05T07:00:00Z"));
    }
}
