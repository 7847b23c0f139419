//! Filters of the report page: those of the query, each with a link without it, and the form that adds one.

use std::collections::HashMap;

use reports::{Dimension, Metric, ReportQuery, Test};
use tenancy::Actor;

use super::layout::Links;
use super::visible_dimensions;
use crate::forms::Choice;

/// Fields of the form that add a filter or a bound: the name of the parameter in one or two parts, and its value.
const ADDED: [(&[&str], &str); 2] = [
    (&["filter", "filter_test"], "filter_value"),
    (&["bound", "bound_end"], "bound_value"),
];

/// Tests of a filter: the end of its parameter, and its words.
const TESTS: [(&str, &str); 4] = [
    ("", "is"),
    (".not", "is not"),
    (".contains", "contains"),
    (".begins", "begins with"),
];

/// Ends of a bound.
const ENDS: [(&str, &str); 2] = [(".min", "at least"), (".max", "at most")];

/// URL of the report with what the form adds; `None` if it adds nothing.
pub(super) fn with_added(query: &str) -> Option<String> {
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let of = |wanted: &str| {
        let found = pairs.iter().find(|(name, _)| name == wanted);
        found.map_or("", |(_, value)| value.trim())
    };
    let is_added = |name: &str| {
        let mut fields = ADDED.iter();
        fields.any(|(names, value)| names.contains(&name) || *value == name)
    };
    if !pairs.iter().any(|(name, _)| is_added(name)) {
        return None;
    }
    let mut url = form_urlencoded::Serializer::new(String::new());
    url.extend_pairs(
        pairs
            .iter()
            .filter(|(name, value)| !is_added(name) && (!value.is_empty() || name == "open")),
    );
    for (names, value) in ADDED {
        let name: String = names.iter().map(|name| of(name)).collect();
        if !of(names.first()?).is_empty() && !of(value).is_empty() {
            url.append_pair(&name, of(value));
        }
    }
    Some(format!("/reports?{}", url.finish()))
}

/// Choices of the form that adds a filter or a bound.
pub(super) struct Added {
    pub(super) filters: Vec<Choice>,
    pub(super) tests: Vec<Choice>,
    pub(super) bounds: Vec<Choice>,
    pub(super) ends: Vec<Choice>,
}

impl Added {
    pub(super) fn new(actor: &Actor) -> Self {
        // Objects are filtered by clicking them, not by typing their IDs.
        let texts =
            visible_dimensions(actor).filter(|dimension| !dimension.is_time() && !dimension.is_object());
        let metrics = Metric::ALL.iter().filter(|metric| metric.is_visible_to(actor));
        Self {
            filters: Choice::list(texts.map(|one| (one.as_str(), one.label())), ""),
            tests: Choice::list(TESTS, ""),
            bounds: Choice::list(metrics.map(|metric| (metric.as_str(), metric.label())), ""),
            ends: Choice::list(ENDS, ""),
        }
    }
}

/// Filter or bound of the query.
pub(super) struct Chip {
    pub(super) words: String,
    /// URL of the report without it.
    pub(super) without: String,
}

/// Filters and bounds of a query in words. `names` are those of objects, by their public IDs.
pub(super) fn chips(query: &ReportQuery, links: &Links, names: &HashMap<String, String>) -> Vec<Chip> {
    let filters = query.filters.iter().map(|filter| {
        let mut without = query.clone();
        without.filters.retain(|other| other != filter);
        (in_words(filter.dimension, &filter.test, names), without)
    });
    let bounds = query.thresholds.iter().map(|threshold| {
        let mut without = query.clone();
        without.thresholds.retain(|other| other != threshold);
        let end = if threshold.is_least { "at least" } else { "at most" };
        let (_, bound) = threshold.to_pair();
        (format!("{} {end} {bound}", threshold.metric.label()), without)
    });
    filters
        .chain(bounds)
        .map(|(words, without)| Chip {
            words,
            without: links.narrowed(&without),
        })
        .collect()
}

fn in_words(dimension: Dimension, test: &Test, names: &HashMap<String, String>) -> String {
    let label = dimension.label();
    let listed = |values: &[String]| {
        let shown = values
            .iter()
            .map(|value| names.get(value).map_or(value.as_str(), String::as_str));
        shown.collect::<Vec<_>>().join(", ")
    };
    match test {
        Test::Is(values) => format!("{label}: {}", listed(values)),
        Test::IsNot(values) => format!("{label} is not {}", listed(values)),
        Test::Contains(text) => format!("{label} contains {text}"),
        Test::Begins(text) => format!("{label} begins with {text}"),
        Test::Empty(true) => format!("{label} is empty"),
        Test::Empty(false) => format!("{label} is not empty"),
    }
}
