//! Plan of a report: the fields that it needs, the values that its filters let through, and the keys of its groups.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Datelike, Days, Timelike, Utc};
use chrono_tz::Tz;

use crate::field::{Field, QUARTER};
use crate::keys::{GroupKey, Keys};
use crate::lookups::Lookups;
use crate::query::{Filter, Test};
use crate::{Dimension, ReportError, ReportQuery};

/// Field of a plan.
#[derive(Debug)]
pub(crate) struct PlannedField {
    pub(crate) field: Field,
    /// Dimensions of the rows that are made of it, with their positions in the key.
    groups: Vec<(usize, Dimension)>,
    /// Filters on dimensions that are made of it.
    filters: Vec<Filter>,
    /// Ids that the scope of the actor allows; `None` for all.
    allowed: Option<HashSet<i32>>,
    /// Ids that are in no figure.
    excluded: HashSet<i32>,
}

impl PlannedField {
    /// True if some of its values may be filtered out.
    pub(crate) fn is_filter(&self) -> bool {
        !self.filters.is_empty() || self.allowed.is_some() || !self.excluded.is_empty()
    }

    /// True if rows are grouped by it.
    pub(crate) fn is_group(&self) -> bool {
        !self.groups.is_empty()
    }
}

/// Plan of a report.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) fields: Vec<PlannedField>,
    pub(crate) zone: Tz,
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
    lookups: Arc<Lookups>,
}

impl Plan {
    pub(crate) fn new(query: &ReportQuery, zone: Tz, lookups: Arc<Lookups>) -> Self {
        let mut needed: Vec<Field> = query.dimensions().map(Dimension::field).collect();
        let scoped = [
            (Field::Affiliate, lookups.visible_affiliates.is_some()),
            (Field::Campaign, lookups.visible_campaigns.is_some()),
            (Field::Link, !lookups.test_links.is_empty()),
        ];
        needed.extend(
            scoped
                .into_iter()
                .filter(|(_, is_needed)| *is_needed)
                .map(|(field, _)| field),
        );
        needed.sort_unstable();
        needed.dedup();
        let planned = |field: Field| {
            let groups = query.group.iter().copied().enumerate();
            let groups = groups
                .filter(|(_, dimension)| dimension.field() == field)
                .collect();
            let filters = query.filters.iter();
            let filters = filters.filter(|filter| filter.dimension.field() == field);
            PlannedField {
                field,
                groups,
                filters: filters.map(stored).collect(),
                allowed: match field {
                    Field::Affiliate => lookups.visible_affiliates.clone(),
                    Field::Campaign => lookups.visible_campaigns.clone(),
                    _ => None,
                },
                excluded: match field {
                    Field::Link => lookups.test_links.clone(),
                    _ => HashSet::new(),
                },
            }
        };
        let (from, to) = query.bounds(zone);
        Self {
            fields: needed.into_iter().map(planned).collect(),
            zone,
            from,
            to,
            lookups,
        }
    }

    /// Affiliates that the scope of the actor allows; `None` for all.
    pub(crate) fn visible_affiliates(&self) -> Option<Vec<i32>> {
        self.lookups.visible_affiliates.as_ref().map(sorted)
    }

    /// Text of the scope and of the links that are left out, for the question of the sums that are kept.
    pub(crate) fn fixed(&self) -> String {
        let affiliates = self.visible_affiliates();
        let campaigns = self.lookups.visible_campaigns.as_ref().map(sorted);
        let lookups = &self.lookups;
        format!(
            "{:?} {campaigns:?} {affiliates:?} {:?}",
            sorted(&lookups.test_links),
            lookups.later_goals
        )
    }

    /// Fields that clicks have.
    pub(crate) fn click_fields(&self) -> impl Iterator<Item = &PlannedField> + Clone {
        self.fields
            .iter()
            .filter(|planned| !planned.field.is_of_conversion())
    }

    /// True if the filters on what clicks lack let clicks through. Clicks lead to every goal.
    pub(crate) fn counts_clicks(&self) -> bool {
        let mut of_conversions = self
            .fields
            .iter()
            .filter(|planned| planned.field.is_of_conversion());
        of_conversions.all(|planned| {
            let mut filters = planned.filters.iter();
            filters.all(|filter| match (filter.dimension, &filter.test) {
                (Dimension::Goal, Test::Is(_)) => true,
                (_, test) => passes(test, None),
            })
        })
    }

    /// True if the filters and the scope let a value of a field through.
    pub(crate) fn allows(&self, planned: &PlannedField, value: Option<&str>) -> bool {
        let id = || value.and_then(|value| value.parse::<i32>().ok());
        if let Some(allowed) = &planned.allowed
            && !id().is_some_and(|id| allowed.contains(&id))
        {
            return false;
        }
        if !planned.excluded.is_empty() && id().is_some_and(|id| planned.excluded.contains(&id)) {
            return false;
        }
        let mut filters = planned.filters.iter();
        filters.all(|filter| passes(&filter.test, self.derived(filter.dimension, value).as_deref()))
    }

    /// Part of the key that follows from the value of a field.
    ///
    /// # Errors
    /// [`ReportError::TooLarge`] if a dimension has too many values.
    pub(crate) fn part(
        &self,
        planned: &PlannedField,
        value: Option<&str>,
        keys: &Keys,
    ) -> Result<GroupKey, ReportError> {
        let mut part = 0;
        for (position, dimension) in &planned.groups {
            let derived = self.derived(*dimension, value);
            part |= keys
                .part(*position, derived.as_deref().unwrap_or_default())
                .ok_or(ReportError::TooLarge)?;
        }
        Ok(part)
    }

    /// Value of a dimension that follows from the value of its field.
    fn derived<'a>(&'a self, dimension: Dimension, value: Option<&'a str>) -> Option<Cow<'a, str>> {
        let value = value?;
        let looked_up = |found: &'a crate::lookups::Derived, at: usize| {
            let values = found.get(&value.parse().ok()?)?;
            values.get(at)?.as_deref().map(Cow::Borrowed)
        };
        match dimension {
            Dimension::Advertiser => looked_up(&self.lookups.campaigns, 0),
            Dimension::Categories => looked_up(&self.lookups.campaigns, 1),
            Dimension::Group => looked_up(&self.lookups.affiliates, 0),
            Dimension::Tags => looked_up(&self.lookups.affiliates, 1),
            Dimension::Manager => looked_up(&self.lookups.managers, 0),
            Dimension::WeeksSinceClick => Some(Cow::Owned((value.parse::<i64>().ok()? / 7).to_string())),
            _ if dimension.is_time() => self.span(dimension, value.parse().ok()?).map(Cow::Owned),
            _ => Some(Cow::Borrowed(value)),
        }
    }

    /// Span of time that contains a quarter of an hour, in the time zone of the report.
    fn span(&self, dimension: Dimension, quarter: i64) -> Option<String> {
        let at = DateTime::from_timestamp(quarter.checked_mul(QUARTER)?, 0)?.with_timezone(&self.zone);
        let date = at.date_naive();
        Some(match dimension {
            Dimension::Hour => format!("{date} {:02}:00", at.hour()),
            Dimension::Week => {
                let week = date.iso_week();
                format!("{:04}-W{:02}", week.year(), week.week())
            }
            Dimension::SundayWeek => {
                let back = date.weekday().num_days_from_sunday();
                date.checked_sub_days(Days::new(back.into()))?.to_string()
            }
            Dimension::Month => format!("{:04}-{:02}", date.year(), date.month()),
            Dimension::Quarter => format!("{:04}-Q{}", date.year(), date.month0() / 3 + 1),
            Dimension::HourOfDay => format!("{:02}", at.hour()),
            Dimension::Weekday => date.weekday().number_from_monday().to_string(),
            _ => date.to_string(),
        })
    }
}

fn sorted(ids: &HashSet<i32>) -> Vec<i32> {
    let mut ids: Vec<_> = ids.iter().copied().collect();
    ids.sort_unstable();
    ids
}

/// Filter with values as stored. A text is compared in lower case.
fn stored(filter: &Filter) -> Filter {
    let values = |values: &[String]| {
        let stored = values
            .iter()
            .filter_map(|value| filter.dimension.stored(value).ok());
        stored.collect()
    };
    let test = match &filter.test {
        Test::Is(wanted) => Test::Is(values(wanted)),
        Test::IsNot(unwanted) => Test::IsNot(values(unwanted)),
        Test::Contains(text) => Test::Contains(text.to_lowercase()),
        Test::Begins(text) => Test::Begins(text.to_lowercase()),
        Test::Empty(is_empty) => Test::Empty(*is_empty),
    };
    Filter {
        dimension: filter.dimension,
        test,
    }
}

fn passes(test: &Test, value: Option<&str>) -> bool {
    let is_one_of = |values: &[String]| value.is_some_and(|value| values.iter().any(|one| one == value));
    match test {
        Test::Is(values) => is_one_of(values),
        Test::IsNot(values) => !is_one_of(values),
        Test::Contains(text) => value.is_some_and(|value| value.to_lowercase().contains(text)),
        Test::Begins(text) => value.is_some_and(|value| value.to_lowercase().starts_with(text)),
        Test::Empty(is_empty) => value.unwrap_or_default().is_empty() == *is_empty,
    }
}
