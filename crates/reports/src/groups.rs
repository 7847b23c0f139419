//! Groups of a report, while events are added to them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::AddAssign;

use hashbrown::HashMap as FastMap;
use schema::Currency;
use tenancy::exchange_rates::UsedRate;

use crate::click_groups::ClickGroups;
use crate::keys::{GroupKey, Keys};
use crate::plan::Plan;
use crate::{Figures, Postbacks, ReportError, Sums};

/// Maximum number of groups. A report with more is refused: it must ask for less.
pub(crate) const MAX_GROUPS: usize = 2_000_000;

/// Numbers of clicks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Clicks {
    pub(crate) clicks: i64,
    pub(crate) unique: i64,
    pub(crate) invalid: i64,
}

impl Clicks {
    /// Figures of the conversions of the same groups, with these clicks.
    fn with(self, of_conversions: Figures) -> Figures {
        Figures {
            clicks: self.clicks,
            unique_clicks: self.unique,
            invalid_clicks: self.invalid,
            ..of_conversions
        }
    }
}

impl AddAssign for Clicks {
    fn add_assign(&mut self, other: Self) {
        self.clicks += other.clicks;
        self.unique += other.unique;
        self.invalid += other.invalid;
    }
}

/// Conversions of a group with one currency and status.
#[derive(Debug, Clone)]
pub(crate) struct Conversions {
    pub(crate) currency: Currency,
    pub(crate) status: String,
    pub(crate) conversions: i64,
    pub(crate) later_steps: i64,
    pub(crate) sums: Sums,
    /// Seconds from the click, of those that have one.
    pub(crate) times: Vec<i32>,
    /// Seconds from the conversion or click before.
    pub(crate) step_times: Vec<i32>,
}

/// Clicks and conversions of each group.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    pub(crate) clicks: ClickGroups,
    /// Figures of the conversions and postbacks alone.
    pub(crate) conversions: FastMap<GroupKey, Figures>,
    /// Exchange rates by which money was converted.
    pub(crate) rates: BTreeSet<UsedRate>,
}

impl Groups {
    /// Adds the clicks of a group.
    pub(crate) fn add_clicks(&mut self, key: GroupKey, clicks: Clicks) {
        self.clicks.add(key, clicks);
    }

    /// Adds conversions of a group.
    pub(crate) fn add_conversions(&mut self, key: GroupKey, added: &Conversions) {
        let figures = self.conversions.entry(key).or_default();
        match added.status.as_str() {
            "pending" => figures.pending += added.conversions,
            "approved" => figures.approved += added.conversions,
            _ => {
                figures.rejected += added.conversions;
                return;
            }
        }
        figures.later_steps += added.later_steps;
        figures.times.extend(&added.times);
        figures.step_times.extend(&added.step_times);
        *figures.money.entry(added.currency).or_default() += added.sums;
    }

    /// Adds postbacks of a group.
    pub(crate) fn add_postbacks(&mut self, key: GroupKey, added: Postbacks) {
        self.conversions.entry(key).or_default().postbacks += added;
    }

    /// Figures of a group with these clicks.
    pub(crate) fn figures(&self, key: GroupKey, clicks: Clicks) -> Figures {
        clicks.with(self.conversions.get(&key).cloned().unwrap_or_default())
    }

    /// Sums over all groups.
    pub(crate) fn total(&self) -> Figures {
        let clicks = self.total_clicks();
        let mut total = Figures::default();
        for figures in self.conversions.values() {
            total += figures;
        }
        clicks.with(total)
    }

    fn total_clicks(&self) -> Clicks {
        let mut total = Clicks::default();
        for (_, clicks) in self.clicks.iter() {
            total += clicks;
        }
        total
    }

    /// Keys of all groups, with their clicks.
    pub(crate) fn all(&self) -> impl Iterator<Item = (GroupKey, Clicks)> + '_ {
        let others = self
            .conversions
            .keys()
            .filter(|key| self.clicks.get(**key).is_none());
        self.clicks
            .iter()
            .chain(others.map(|key| (*key, Clicks::default())))
    }

    /// True if a group with this key exists.
    pub(crate) fn has(&self, key: GroupKey) -> bool {
        self.clicks.get(key).is_some() || self.conversions.contains_key(&key)
    }

    /// Keys of all groups.
    pub(crate) fn keys(&self) -> impl Iterator<Item = GroupKey> + '_ {
        self.all().map(|(key, _)| key)
    }

    /// Sums over the groups with these keys.
    pub(crate) fn sum(&self, keys: impl Iterator<Item = GroupKey>) -> Figures {
        let mut clicks = Clicks::default();
        let mut sum = Figures::default();
        for key in keys {
            clicks += self.clicks.get(key).unwrap_or_default();
            if let Some(figures) = self.conversions.get(&key) {
                sum += figures;
            }
        }
        clicks.with(sum)
    }

    /// Sums over all groups but these.
    pub(crate) fn without(&self, keys: &HashSet<GroupKey>) -> Figures {
        let mut clicks = self.total_clicks();
        for key in keys {
            let left_out = self.clicks.get(*key).unwrap_or_default();
            clicks.clicks -= left_out.clicks;
            clicks.unique -= left_out.unique;
            clicks.invalid -= left_out.invalid;
        }
        let mut sum = Figures::default();
        for (_, figures) in self.conversions.iter().filter(|(key, _)| !keys.contains(*key)) {
            sum += figures;
        }
        clicks.with(sum)
    }

    /// Refuses more groups than a report may have.
    pub(crate) fn check_size(&self) -> Result<(), ReportError> {
        if self.clicks.len().max(self.conversions.len()) > MAX_GROUPS {
            return Err(ReportError::TooLarge);
        }
        Ok(())
    }
}

/// Translator of the values of rows to keys, for rows that Postgres has summed.
pub(crate) struct Translator<'a> {
    plan: &'a Plan,
    keys: &'a Keys,
    /// Parts of the key by field and value; `None` for what is filtered out.
    known: Vec<HashMap<Option<String>, Option<GroupKey>>>,
}

impl<'a> Translator<'a> {
    pub(crate) fn new(plan: &'a Plan, keys: &'a Keys) -> Self {
        Self {
            plan,
            keys,
            known: vec![HashMap::new(); plan.fields.len()],
        }
    }

    /// Key of a row with these values of the plan's fields, or of the first of them; `None` if it is filtered out.
    pub(crate) fn key(&mut self, values: &[Option<String>]) -> Result<Option<GroupKey>, ReportError> {
        let mut key = 0;
        for ((planned, known), value) in self.plan.fields.iter().zip(&mut self.known).zip(values) {
            let part = match known.get(value) {
                Some(part) => *part,
                None => {
                    let part = if self.plan.allows(planned, value.as_deref()) {
                        Some(self.plan.part(planned, value.as_deref(), self.keys)?)
                    } else {
                        None
                    };
                    known.insert(value.clone(), part);
                    part
                }
            };
            match part {
                Some(part) => key |= part,
                None => return Ok(None),
            }
        }
        Ok(Some(key))
    }
}
