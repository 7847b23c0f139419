//! Whether an integration seems to have failed, from what was heard of it: pure.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How far back the sums are looked at: two weeks, so that a silent week has one before it.
pub(super) const LOOK_BACK: TimeDelta = TimeDelta::days(14);
/// What a silence is held against, and the longest that means anything: whoever is quiet for longer reports too little.
const WEEK: TimeDelta = TimeDelta::days(7);
/// So many conversions must be missing before silence means anything: were it chance, it would happen to one in twenty
/// thousand (e⁻¹⁰).
const MISSING: i64 = 10;
/// So many calls must have been rejected in a day, and so many in a hundred, and so many times the share before.
const REJECTED: i64 = 10;
const PERCENT: i64 = 20;
const TIMES: i64 = 3;
/// An alert of rejections is over when fewer in a hundred are rejected.
const OVER_PERCENT: i64 = 10;

/// What came in an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Hour {
    /// Valid clicks.
    pub(super) clicks: i64,
    /// Conversions, whatever became of them.
    pub(super) conversions: i64,
}

/// How many calls were rejected for a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rejected {
    pub(super) reason: String,
    /// In the last 24 hours.
    pub(super) lately: i64,
    /// In the seven days before that.
    pub(super) before: i64,
    /// When the first of those of the last 24 hours came.
    pub(super) since: Option<DateTime<Utc>>,
}

/// What was heard of an advertiser's server, tests left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Activity {
    /// When its last postback came, whatever became of it.
    pub(super) last: Option<DateTime<Utc>>,
    /// By the beginnings of the hours.
    pub(super) hours: BTreeMap<DateTime<Utc>, Hour>,
    pub(super) rejected: Vec<Rejected>,
}

/// What seems to have failed, with the figures that say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// Nothing comes although visitors do.
    Silent {
        /// Valid clicks since the last postback.
        clicks: i64,
        /// How many conversions as many clicks brought before.
        expected: i64,
    },
    /// Much more is rejected than before.
    Rejections {
        /// Calls rejected in the last 24 hours.
        rejected: i64,
        /// Those, and the conversions of the last 24 hours.
        calls: i64,
        /// How many in a hundred were rejected in the seven days before.
        percent_before: i64,
        /// The reason that most were rejected for.
        reason: String,
        /// How many of them.
        rejected_for_top_reason: i64,
    },
}

impl Activity {
    /// Whether nothing comes although something should: as many visitors brought at least ten conversions in the same
    /// hours a week before, and in those of the days before. Returns since when.
    ///
    /// A silence that lasts longer than a week before it is noticed is that of somebody who reports too little to tell.
    pub(super) fn silence(&self, now: DateTime<Utc>) -> Option<(DateTime<Utc>, Finding)> {
        let since = self.last?;
        let lasted = now - since;
        if lasted > WEEK {
            return None;
        }
        let first = *self.hours.keys().next()?;
        let days = TimeDelta::days(lasted.num_days() + 1);
        let clicks = self.within(since, now).clicks;
        // A time that nothing is known of says nothing: whoever began three days ago is held against yesterday alone.
        let known = [days, WEEK].into_iter().filter(|back| since - *back >= first);
        let expected = known
            .map(|back| {
                let then = self.within(since - back, now - back);
                then.conversions * clicks.min(then.clicks) / then.clicks.max(1)
            })
            .min()?;
        (expected >= MISSING).then_some((since, Finding::Silent { clicks, expected }))
    }

    /// Whether nothing has come since then, and visitors still go there.
    pub(super) fn is_silent_since(&self, since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        self.last.is_none_or(|last| last <= since) && self.within(now - TimeDelta::days(1), now).clicks > 0
    }

    /// Whether much more is rejected than before; for one that was found, whether it still is.
    pub(super) fn rejections(&self, was_found: bool, now: DateTime<Utc>) -> Option<(DateTime<Utc>, Finding)> {
        let day_ago = now - TimeDelta::days(1);
        let rejected: i64 = self.rejected.iter().map(|it| it.lately).sum();
        let calls = rejected + self.within(day_ago, now).conversions;
        let rejected_before: i64 = self.rejected.iter().map(|it| it.before).sum();
        let calls_before = rejected_before + self.within(day_ago - WEEK, day_ago).conversions;
        let is_so = match was_found {
            true => rejected > 0 && rejected * 100 >= OVER_PERCENT * calls,
            false => {
                let jumped = rejected * calls_before >= TIMES * rejected_before * calls;
                rejected >= REJECTED && rejected * 100 >= PERCENT * calls && jumped
            }
        };
        let most = self.rejected.iter().max_by_key(|it| it.lately)?;
        let since = self.rejected.iter().filter_map(|it| it.since).min()?;
        is_so.then(|| {
            let finding = Finding::Rejections {
                rejected,
                calls,
                percent_before: rejected_before * 100 / calls_before.max(1),
                reason: most.reason.clone(),
                rejected_for_top_reason: most.lately,
            };
            (since, finding)
        })
    }

    /// What came in the hours that began in this time.
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

    /// A shop with so many clicks and conversions an hour for two weeks, whose last call came so many hours ago.
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
        let some = |reason: &str, lately, before| Rejected {
            reason: reason.to_owned(),
            lately,
            before,
            since: Some(at(-3)),
        };
        vec![
            some("click_expired", 1, before),
            some("signature_invalid", lately - 1, 0),
        ]
    }

    #[test]
    fn a_shop_that_reports_often_is_missed_within_hours_and_a_quiet_one_within_days() {
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
    fn hours_in_which_nothing_came_a_week_ago_either_are_no_silence() {
        let mut nightly = shop(200, 4, 6);
        for (_, hour) in nightly.hours.range_mut(at(-7 * 24 - 6)..at(-7 * 24)) {
            hour.conversions = 0;
        }
        assert_eq!(nightly.silence(at(0)), None);
    }

    #[test]
    fn whoever_began_three_days_ago_is_held_against_yesterday_and_whoever_never_called_against_nothing() {
        let mut fresh = shop(200, 4, 6);
        fresh.hours = fresh.hours.split_off(&at(-72));
        assert!(fresh.silence(at(0)).is_some());
        fresh.hours = fresh.hours.split_off(&at(-12));
        assert_eq!(fresh.silence(at(0)), None);
        assert_eq!(Activity::default().silence(at(0)), None);
    }

    #[test]
    fn rejections_are_told_when_they_jump_and_until_they_are_few() {
        let mut heard = shop(200, 1, 0);
        heard.rejected = rejected(9, 0);
        assert_eq!(heard.rejections(false, at(0)), None);
        heard.rejected = rejected(24, 2);
        let (since, finding) = heard.rejections(false, at(0)).unwrap();
        assert_eq!(since, at(-3));
        let expected = Finding::Rejections {
            rejected: 24,
            calls: 48,
            percent_before: 1,
            reason: "signature_invalid".to_owned(),
            rejected_for_top_reason: 23,
        };
        assert_eq!(finding, expected);
        // As bad as ever is no jump, but what was told stays told.
        heard.rejected = rejected(24, 7 * 24);
        assert_eq!(heard.rejections(false, at(0)), None);
        assert!(heard.rejections(true, at(0)).is_some());
        heard.rejected = rejected(2, 7 * 24);
        assert_eq!(heard.rejections(true, at(0)), None);
    }
}
