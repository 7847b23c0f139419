//! Result of a report: its groups as rows, in the order of the query.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use diesel::prelude::*;
use diesel::sql_types::{Array, Integer, Text};
use diesel_async::RunQueryDsl;
use schema::NetworkConn;
use tenancy::exchange_rates::UsedRate;

use crate::background::in_background;
use crate::dimension::Object;
use crate::error::ReportError;
use crate::groups::{Clicks, Groups};
use crate::keys::{self, GroupKey, Keys, Texts};
use crate::query::{Sort, Test};
use crate::{Dimension, Figures, ReportQuery};

/// Groups from which on they are put in order on another thread.
const MANY_GROUPS: usize = 5_000;

/// Key of a row in one dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Value, as filters take it: an ID, a text, a span of time; empty for none.
    pub value: String,
    /// Name to show: of an ID the name of the object, otherwise the value.
    pub label: String,
}

/// Row of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Keys of the row: one per dimension of the query, in its order.
    pub keys: Vec<Key>,
    /// Figures of the row.
    pub figures: Figures,
    /// Figures of the same keys in the period that is compared; `None` if no period is compared or the rows are spans of
    /// time.
    pub before: Option<Figures>,
}

/// Result of a [`ReportQuery`].
#[derive(Debug)]
pub struct Report {
    /// Sums over all rows.
    pub total: Figures,
    /// Sums over all rows of the period that is compared; `None` if no period is compared.
    pub total_before: Option<Figures>,
    /// Exchange rates by which money was converted, in both periods.
    pub rates: BTreeSet<UsedRate>,
    group: Vec<Dimension>,
    sort: Option<Sort>,
    groups: Groups,
    before: Option<Groups>,
    labels: Labels,
    /// Value to sort by and key of each row.
    order: Vec<(f64, GroupKey)>,
    /// Number of rows at the front that are in order.
    sorted: usize,
    /// True if all groups are rows.
    is_whole: bool,
}

/// Values of the dimensions and names of the objects among them, by code.
#[derive(Debug)]
pub(crate) struct Labels {
    texts: Vec<Texts>,
    names: Vec<Names>,
    /// Position of the goal among the dimensions, and the part of the key of the goal before each, by code.
    steps: Option<(usize, HashMap<usize, GroupKey>)>,
}

impl Labels {
    /// Labels of the keys of a query. `parents` are the goals that follow another goal, and that goal.
    pub(crate) fn new(query: &ReportQuery, keys: &Keys, names: Vec<Names>, parents: &[(i32, i32)]) -> Self {
        let position = query
            .group
            .iter()
            .position(|dimension| *dimension == Dimension::Goal);
        let steps = position.map(|position| {
            let part = |goal: i32| keys.part(position, &goal.to_string());
            let step =
                |(goal, parent): &(i32, i32)| Some((keys::code(part(*goal)?, position), part(*parent)?));
            (position, parents.iter().filter_map(step).collect())
        });
        Self {
            texts: keys.texts(),
            names,
            steps,
        }
    }

    /// Key of the goal before that of a row, with the same other values. `None` for a row without a goal.
    fn step_before(&self, key: GroupKey) -> Option<Step> {
        let (position, parents) = self.steps.as_ref()?;
        match keys::code(key, *position) {
            0 => None,
            code => Some(match parents.get(&code) {
                Some(parent) => Step::Goal(Keys::replaced(key, *position, *parent)),
                None => Step::Click,
            }),
        }
    }

    fn text(&self, dimension: usize, key: GroupKey) -> &str {
        let texts = self.texts.get(dimension);
        let text = texts.and_then(|texts| texts.get(keys::code(key, dimension)));
        text.map_or("", |text| text)
    }

    fn label(&self, dimension: usize, key: GroupKey) -> &str {
        let names = self.names.get(dimension);
        let name = names.and_then(|names| names.get(&keys::code(key, dimension)));
        name.map_or_else(|| self.text(dimension, key), String::as_str)
    }
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Integer)]
    id: i32,
    #[diesel(sql_type = Text)]
    name: String,
}

/// Names of the objects of a dimension, by code.
pub(crate) type Names = HashMap<usize, String>;

/// Step of a funnel before a goal.
enum Step {
    /// Click.
    Click,
    /// Goal that it follows, by the key of its row.
    Goal(GroupKey),
}

/// Makes the report of groups, with its first `sorted` rows in order.
pub(crate) async fn finish(
    query: &ReportQuery,
    groups: Groups,
    before: Option<Groups>,
    labels: Labels,
    sorted: usize,
) -> Result<Report, ReportError> {
    let query = query.clone();
    let size = groups.clicks.len() + groups.conversions.len();
    let make = move || Report::new(&query, groups, before, labels, sorted);
    if size < MANY_GROUPS {
        return Ok(make());
    }
    in_background(make).await
}

/// Names of the objects of every dimension of the rows. Affiliates may be hidden: their IDs are shown.
pub(crate) async fn names(
    conn: &mut NetworkConn,
    query: &ReportQuery,
    keys: &Keys,
    hides_affiliates: bool,
) -> QueryResult<Vec<Names>> {
    let mut names = Vec::with_capacity(query.group.len());
    for (dimension, texts) in query.group.iter().zip(keys.texts()) {
        let is_hidden = hides_affiliates && *dimension == Dimension::Affiliate;
        names.push(match dimension.object().filter(|_| !is_hidden) {
            Some(object) => names_of(conn, object, &texts).await?,
            None => Names::new(),
        });
    }
    Ok(names)
}

/// Names of the objects that filters name, by their public IDs. For actors who see the whole network.
///
/// # Errors
/// The error of the database.
pub async fn filter_names(
    conn: &mut NetworkConn,
    query: &ReportQuery,
) -> QueryResult<HashMap<String, String>> {
    let mut names = HashMap::new();
    for filter in &query.filters {
        let (Some(object), Test::Is(values) | Test::IsNot(values)) =
            (filter.dimension.object(), &filter.test)
        else {
            continue;
        };
        let stored = values
            .iter()
            .filter_map(|value| filter.dimension.stored(value).ok());
        let ids: Vec<i32> = stored.filter_map(|id| id.parse().ok()).collect();
        let found = load_names(conn, object, ids).await?;
        names.extend(
            found
                .into_iter()
                .map(|found| (object.public(found.id), found.name)),
        );
    }
    Ok(names)
}

async fn load_names(conn: &mut NetworkConn, object: Object, ids: Vec<i32>) -> QueryResult<Vec<Name>> {
    diesel::sql_query(object.names())
        .bind::<Integer, _>(conn.network_id())
        .bind::<Array<Integer>, _>(ids)
        .load(&mut **conn)
        .await
}

async fn names_of(conn: &mut NetworkConn, object: Object, texts: &Texts) -> QueryResult<Names> {
    let codes: HashMap<i32, usize> = texts
        .iter()
        .filter_map(|(code, text)| Some((text.parse().ok()?, code)))
        .collect();
    let ids: Vec<i32> = codes.keys().copied().collect();
    let found = load_names(conn, object, ids).await?;
    let named = |found: Name| Some((*codes.get(&found.id)?, found.name));
    Ok(found.into_iter().filter_map(named).collect())
}

impl Report {
    fn new(
        query: &ReportQuery,
        groups: Groups,
        before: Option<Groups>,
        labels: Labels,
        sorted: usize,
    ) -> Self {
        let mut report = Self {
            total: Figures::default(),
            total_before: None,
            rates: groups
                .rates
                .iter()
                .chain(before.iter().flat_map(|before| &before.rates))
                .copied()
                .collect(),
            group: query.group.clone(),
            sort: query.sort,
            groups,
            before,
            labels,
            order: Vec::new(),
            sorted: 0,
            is_whole: query.thresholds.is_empty(),
        };
        let allows = |figures: &Figures| {
            let mut thresholds = query.thresholds.iter();
            thresholds.all(|threshold| threshold.allows(figures))
        };
        let metric = query.sort.and_then(|sort| sort.metric);
        let is_bounded = !report.is_whole;
        let mut keys: Vec<(GroupKey, Clicks)> = report.groups.all().collect();
        // Keys of the period before alone, which had figures then, are rows too. Spans of time have no counterparts.
        if let Some(before) = report.before.as_ref().filter(|_| !report.has_time()) {
            let missing = before.keys().filter(|key| !report.groups.has(*key));
            keys.extend(missing.map(|key| (key, Clicks::default())));
        }
        let mut order = Vec::with_capacity(keys.len());
        for (key, clicks) in keys {
            let value = if metric.is_some() || is_bounded {
                let figures = report.completed(report.groups.figures(key, clicks), &report.groups, key);
                if !allows(&figures) {
                    continue;
                }
                metric.map_or(0.0, |metric| figures.value(metric).sort_key())
            } else {
                0.0
            };
            order.push((value, key));
        }
        let of_rows = || order.iter().map(|(_, key)| *key);
        report.total = if is_bounded {
            report.groups.sum(of_rows())
        } else {
            report.groups.total()
        };
        report.total_before = report.before.as_ref().map(|before| {
            if is_bounded && report.has_time() {
                // Each period keeps to the bounds.
                let allowed = before.keys().filter(|key| allows(&report.figures(before, *key)));
                before.sum(allowed)
            } else if is_bounded {
                before.sum(of_rows())
            } else {
                before.total()
            }
        });
        report.order = order;
        report.sort(sorted);
        report
    }

    /// Puts the first `wanted` rows in order. Takes long for very many: not for an async thread.
    pub(crate) fn sort(&mut self, wanted: usize) {
        let wanted = wanted.min(self.order.len());
        let mut order = std::mem::take(&mut self.order);
        let compare = |one: &(f64, GroupKey), other: &(f64, GroupKey)| self.compare(*one, *other);
        if let Some(rest) = order.get_mut(self.sorted..).filter(|_| wanted > self.sorted) {
            let count = wanted - self.sorted;
            if count < rest.len() {
                rest.select_nth_unstable_by(count, compare);
            }
            if let Some(next) = rest.get_mut(..count) {
                next.sort_unstable_by(compare);
            }
        }
        self.order = order;
        self.sorted = self.sorted.max(wanted);
    }

    fn has_time(&self) -> bool {
        self.group.iter().any(|dimension| dimension.is_time())
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.order.len()
    }

    /// Rows in this range, among those that are in order.
    pub fn rows(&self, range: Range<usize>) -> impl Iterator<Item = Row> + '_ {
        let end = range.end.min(self.order.len());
        let keys = self.order.get(range.start.min(end)..end).unwrap_or_default();
        keys.iter().map(|(_, key)| self.row(*key))
    }

    /// Sums over the rows that are not in this range.
    #[must_use]
    pub fn others(&self, range: Range<usize>) -> Figures {
        let end = range.end.min(self.order.len());
        let start = range.start.min(end);
        let shown = self.order.get(start..end).unwrap_or_default();
        let shown = shown.iter().map(|(_, key)| *key);
        if self.is_whole && shown.len() < self.order.len() / 2 {
            return self.groups.without(&shown.collect());
        }
        let before = self.order.get(..start).unwrap_or_default();
        let behind = self.order.get(end..).unwrap_or_default();
        self.groups.sum(before.iter().chain(behind).map(|(_, key)| *key))
    }

    fn row(&self, key: GroupKey) -> Row {
        let key_of = |(position, dimension): (usize, &Dimension)| {
            let text = self.labels.text(position, key);
            let label = self.labels.label(position, key);
            let id = dimension
                .object()
                .and_then(|object| Some((object, text.parse::<i32>().ok()?)));
            match id {
                Some((object, id)) => {
                    let value = object.public(id);
                    // An object without a name is shown by its id.
                    let label = if label == text {
                        value.clone()
                    } else {
                        label.to_owned()
                    };
                    Key { value, label }
                }
                None => Key {
                    value: text.to_owned(),
                    label: text.to_owned(),
                },
            }
        };
        let before = self.before.as_ref().filter(|_| !self.has_time());
        Row {
            keys: self.group.iter().enumerate().map(key_of).collect(),
            figures: self.figures(&self.groups, key),
            before: before.map(|before| self.figures(before, key)),
        }
    }

    /// Figures of a row.
    fn figures(&self, groups: &Groups, key: GroupKey) -> Figures {
        let clicks = groups.clicks.get(key).unwrap_or_default();
        self.completed(groups.figures(key, clicks), groups, key)
    }

    /// Figures of a row, with the basis of its rates.
    fn completed(&self, mut figures: Figures, groups: &Groups, key: GroupKey) -> Figures {
        // In rows by dimensions that clicks lack, rates divide by the clicks with the other keys.
        let mut lacking = self.group.iter().map(|dimension| dimension.is_of_conversion());
        if lacking.any(|is_lacking| is_lacking) {
            let lacking = self.group.iter().map(|dimension| dimension.is_of_conversion());
            let base = groups.clicks.get(Keys::without(key, lacking));
            figures.base_clicks = Some(base.map_or(0, |clicks| clicks.clicks - clicks.invalid));
        }
        figures.is_of_one_goal = self.group.contains(&Dimension::Goal);
        figures.base_step = self.labels.step_before(key).map(|step| match step {
            Step::Click => figures.base_clicks.unwrap_or_default(),
            Step::Goal(before) => groups.conversions.get(&before).map_or(0, Figures::conversions),
        });
        figures
    }

    /// Order of two rows: by the metric that is sorted by, then by the keys: spans of time newest first, names
    /// alphabetically.
    fn compare(&self, (value, key): (f64, GroupKey), (other_value, other): (f64, GroupKey)) -> Ordering {
        let directed = |compared: Ordering, is_descending: bool| {
            if is_descending {
                compared.reverse()
            } else {
                compared
            }
        };
        match self.sort {
            None => self.compare_keys(key, other, true),
            Some(Sort {
                metric: None,
                is_descending,
            }) => directed(self.compare_keys(key, other, false), is_descending),
            Some(Sort {
                metric: Some(_),
                is_descending,
            }) => directed(value.total_cmp(&other_value), is_descending)
                .then_with(|| self.compare_keys(key, other, true)),
        }
    }

    fn compare_keys(&self, one: GroupKey, other: GroupKey, newest_first: bool) -> Ordering {
        let labels = &self.labels;
        for (position, dimension) in self.group.iter().enumerate() {
            if keys::code(one, position) == keys::code(other, position) {
                continue;
            }
            let (text, other_text) = (labels.text(position, one), labels.text(position, other));
            let compared = if dimension.is_time() && newest_first {
                other_text.cmp(text)
            } else if dimension.is_number() {
                (text.len(), text).cmp(&(other_text.len(), other_text))
            } else {
                let label = labels.label(position, one).cmp(labels.label(position, other));
                label.then_with(|| text.cmp(other_text))
            };
            if compared != Ordering::Equal {
                return compared;
            }
        }
        Ordering::Equal
    }
}

#[cfg(test)]
impl Report {
    /// Report with these rows, in the order of the query.
    pub(crate) fn of_rows(query: &ReportQuery, rows: &[(&[Key], Figures)]) -> Self {
        let keys = Keys::new(query.group.len());
        let mut groups = Groups::default();
        let mut names = vec![HashMap::new(); query.group.len()];
        for (row, figures) in rows {
            let mut group = 0;
            for (position, (dimension, key)) in query.group.iter().zip(*row).enumerate() {
                let stored = dimension.stored(&key.value).unwrap();
                let part = keys.part(position, &stored).unwrap();
                if let Some(names) = names.get_mut(position) {
                    names.insert(keys::code(part, position), key.label.clone());
                }
                group |= part;
            }
            groups.add_clicks(
                group,
                Clicks {
                    clicks: figures.clicks,
                    unique: figures.unique_clicks,
                    invalid: figures.invalid_clicks,
                },
            );
            groups.conversions.insert(group, figures.clone());
        }
        let labels = Labels::new(query, &keys, names, &[]);
        Self::new(query, groups, None, labels, usize::MAX)
    }
}
