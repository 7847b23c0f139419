//! Rules that find failing integrations in the activity of an advertiser; no I/O.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// Period of the rollups that are read: two weeks, so that a silent week can be compared with the one before.
pub(super) const LOOK_BACK: TimeDelta = TimeDelta::days(14);
/// Age of the period with which a silence is compared, and the longest silence that opens an alert: advertisers with
/// longer ones report too rarely to be monitored.
const WEEK: TimeDelta = TimeDelta::days(7);
/// Minimum number of expected conversions for an alert of silence: by chance none of them arrives in one of twenty
/// thousand cases (e⁻¹⁰).
const MIN_EXPECTED: i64 = 10;
/// Minimum number of rejected postbacks in 24 hours for an alert of rejections.
const MIN_REJECTED: i64 = 10;
/// Minimum percentage of rejected postbacks for an alert of rejections.
const MIN_PERCENT: i64 = 20;
/// Minimum ratio of the share of rejected postbacks to the share before, for an alert of rejections.
const MIN_RATIO: i64 = 3;
/// Percentage of rejected postbacks below which an alert of rejections is over.
const OVER_PERCENT: i64 = 10;

/// Events of an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hour {
    /// Valid clicks.
    pub(super) clicks: i64,
    /// Conversions of any status.
    pub(super) conversions: i64,
}

/// Number of postbacks that were rejected for a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejected {
    pub(super) reason: String,
    /// In the last 24 hours.
    pub(super) lately: i64,
    /// In the seven days before that.
    pub(super) before: i64,
    /// Arrival of the first one in the last 24 hours; `None` if none arrived.
    pub(super) since: Option<DateTime<Utc>>,
}

/// Activity of an advertiser, test postbacks left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Activity {
    /// Arrival of the last postback, with any verdict; `None` if none arrived.
    pub(super) last: Option<DateTime<Utc>>,
    /// Events by the start of their hour.
    pub(super) hours: BTreeMap<DateTime<Utc>, Hour>,
    pub(super) rejected: Vec<Rejected>,
}

/// Apparent failure of an integration, with its figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// No postbacks arrive although visitors click.
    Silent {
        /// Valid clicks since the last postback.
        clicks: i64,
        /// Number of conversions that the same number of clicks had before.
        expected: i64,
    },
    /// Many more postbacks are rejected than before.
    Rejections {
        /// Number of postbacks rejected in the last 24 hours.
        rejected: i64,
        /// Number of rejected postbacks and conversions in the last 24 hours.
        calls: i64,
        /// Percentage that was rejected in the seven days before.
        percent_before: i64,
        /// Most frequent reason of the rejections.
        reason: String,
        /// Number of postbacks rejected for that reason.
        rejected_for_top_reason: i64,
    },
}

impl Activity {
    /// Start and figures of a silence: no postbacks, although the same number of clicks had at least [`MIN_EXPECTED`]
    /// conversions in the same hours a week before, and in the same hours of the days before.
    ///
    /// `None` for a silence of more than a week: the advertiser reports too rarely to be monitored. `None` also for a last
    /// postback in the future, which a clock that was set back leaves.
    pub(super) fn silence(&self, now: DateTime<Utc>) -> Option<(DateTime<Utc>, Finding)> {
        let since = self.last?;
        let lasted = now - since;
        if lasted > WEEK || lasted < TimeDelta::zero() {
            return None;
        }
        let first = *self.hours.keys().next()?;
        let days = TimeDelta::days(lasted.num_days() + 1);
        let clicks = self.within(since, now).clicks;
        // Only periods with data are compared: three days after the first event, that is the day before alone.
        let comparable = [days, WEEK].into_iter().filter(|back| since - *back >= first);
        let expected = comparable
            .map(|back| {
                let then = self.within(since - back, now - back);
                then.conversions * clicks.min(then.clicks) / then.clicks.max(1)
            })
            .min()?;
        (expected >= MIN_EXPECTED).then_some((since, Finding::Silent { clicks, expected }))
    }

    /// True if no postback arrived since then, and visitors clicked within the last 24 hours.
    pub(super) fn is_silent_since(&self, since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        self.last.is_none_or(|last| last <= since) && self.within(now - TimeDelta::days(1), now).clicks > 0
    }

    /// Start and figures of rejections that are many more than before; with an open alert, of rejections that are not
    /// yet few again.
    pub(super) fn rejections(&self, is_open: bool, now: DateTime<Utc>) -> Option<(DateTime<Utc>, Finding)> {
        let day_ago = now - TimeDelta::days(1);
        let rejected: i64 = self.rejected.iter().map(|rejected| rejected.lately).sum();
        let calls = rejected + self.within(day_ago, now).conversions;
        let rejected_before: i64 = self.rejected.iter().map(|rejected| rejected.before).sum();
        let calls_before = rejected_before + self.within(day_ago - WEEK, day_ago).conversions;
        let is_failing = if is_open {
            rejected > 0 && rejected * 100 >= OVER_PERCENT * calls
        } else {
            let has_jumped = rejected * calls_before >= MIN_RATIO * rejected_before * calls;
            rejected >= MIN_REJECTED && rejected * 100 >= MIN_PERCENT * calls && has_jumped
        };
        let top = self.rejected.iter().max_by_key(|rejected| rejected.lately)?;
        let since = self.rejected.iter().filter_map(|rejected| rejected.since).min()?;
        is_failing.then(|| {
            let finding = Finding::Rejections {
                rejected,
                calls,
                percent_before: rejected_before * 100 / calls_before.max(1),
                reason: top.reason.clone(),
                rejected_for_top_reason: top.lately,
            };
            (since, finding)
        })
    }

    /// Sum of the hours that began in this period.
    fn within(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Hour {
        let hours = self.hours.range(from..to);
        hours.fold(Hour::default(), |sum, (_, hour)| Hour {
            clicks: sum.clicks + hour.clicks,
            conversions: sum.conversions + hour.conversions,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_760_000_400 / 3600 * 3600, 0).unwrap() + TimeDelta::hours(hours)
    }

    /// Shop with this many clicks and conversions an hour for two weeks, and no postbacks in the last `silent` hours.
    fn shop(clicks: i64, conversions: i64, silent: i64) -> Activity {
        let hours = (-14 * 24..0).map(|hour| {
            let conversions = if hour < -silent { conversions } else { 0 };
            (at(hour), Hour { clicks, conversions })
        });
        Activity {
            last: Some(at(-silent) - TimeDelta::minutes(1)),
            hours: hours.collect(),
            rejected: Vec::new(),
        }
    }

    fn rejected(lately: i64, before: i64) -> Vec<Rejected> {
        let of_reason = |reason: &str, lately, before| Rejected {
            reason: reason.to_owned(),
            lately,
            before,
            since: Some(at(-3)),
        };
        vec![
            of_reason("click_expired", 1, before),
            of_reason("signature_invalid", lately - 1, 0),
        ]
    }

    #[test]
    fn silence_of_a_busy_shop_is_found_within_hours_and_of_a_quiet_one_within_days() {
        assert_eq!(shop(200, 4, 2).silence(at(0)), None);
        let (since, finding) = shop(200, 4, 3).silence(at(0)).unwrap();
        assert_eq!(since, at(-3) - TimeDelta::minutes(1));
        let expected = Finding::Silent {
            clicks: 600,
            expected: 12,
        };
        assert_eq!(finding, expected);
        // One conversion every five hours.
        let mut quiet = shop(10, 0, 72);
        for (at, hour) in &mut quiet.hours {
            hour.conversions = i64::from(at.timestamp() / 3600 % 5 == 0 && *at < self::at(-72));
        }
        assert!(quiet.silence(at(-40)).is_none());
        assert!(quiet.silence(at(0)).is_some());
    }

    #[test]
    fn a_clock_that_was_set_back_is_no_silence() {
        let shop = shop(200, 4, 0);
        assert_eq!(shop.silence(at(-1)), None);
        assert_eq!(shop.silence(at(-24 * 400)), None);
        assert_eq!(shop.rejections(false, at(-24 * 400)), None);
    }

    #[test]
    fn no_visitors_no_alert() {
        let mut paused = shop(200, 4, 12);
        for (_, hour) in paused.hours.range_mut(at(-12)..) {
            hour.clicks = 0;
        }
        assert_eq!(paused.silence(at(0)), None);
        let since = shop(200, 4, 12).last.unwrap();
        assert!(paused.is_silent_since(since, at(0)) && !paused.is_silent_since(since, at(24)));
        assert!(!paused.is_silent_since(since - TimeDelta::hours(1), at(0)));
    }

    #[test]
    fn hours_without_conversions_a_week_ago_are_no_silence() {
        let mut nightly = shop(200, 4, 6);
        for (_, hour) in nightly.hours.range_mut(at(-7 * 24 - 6)..at(-7 * 24)) {
            hour.conversions = 0;
        }
        assert_eq!(nightly.silence(at(0)), None);
    }

    #[test]
    fn a_new_advertiser_is_compared_with_the_day_before_and_one_without_postbacks_with_nothing() {
        let mut fresh = shop(200, 4, 6);
        fresh.hours = fresh.hours.split_off(&at(-72));
        assert!(fresh.silence(at(0)).is_some());
        fresh.hours = fresh.hours.split_off(&at(-12));
        assert_eq!(fresh.silence(at(0)), None);
        assert_eq!(Activity::default().silence(at(0)), None);
    }

    #[test]
    fn rejections_are_found_when_they_jump_and_until_they_are_few() {
        let mut activity = shop(200, 1, 0);
        activity.rejected = rejected(9, 0);
        assert_eq!(activity.rejections(false, at(0)), None);
        activity.rejected = rejected(24, 2);
        let (since, finding) = activity.rejections(false, at(0)).unwrap();
        assert_eq!(since, at(-3));
        let expected = Finding::Rejections {
            rejected: 24,
            calls: 48,
            percent_before: 1,
            reason: "signature_invalid".to_owned(),
            rejected_for_top_reason: 23,
        };
        assert_eq!(finding, expected);
        // An unchanged share is no jump, but an open alert stays open.
        activity.rejected = rejected(24, 7 * 24);
        assert_eq!(activity.rejections(false, at(0)), None);
        assert!(activity.rejections(true, at(0)).is_some());
        activity.rejected = rejected(2, 7 * 24);
        assert_eq!(activity.rejections(true, at(0)), None);
    }
}
