//! What advertisers and affiliates have in common: what is typed about them, how they are listed, and their import.

use schema::Words;

use crate::draft::Draft;
use crate::error::{check_name, check_text};

/// In which order parties are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartySort {
    /// By what.
    pub by: PartySortKey,
    /// Whether from the end.
    pub descending: bool,
}

schema::text_enum! {
    /// By what parties are sorted.
    pub enum PartySortKey {
        /// By name.
        Name = "name",
        /// By the time of their creation.
        Created = "created",
    }
}

impl Default for PartySort {
    fn default() -> Self {
        Self {
            by: PartySortKey::Name,
            descending: false,
        }
    }
}

impl std::str::FromStr for PartySort {
    type Err = String;

    /// `name`, `-name`, `created` or `-created`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (descending, word) = match text.strip_prefix('-') {
            Some(word) => (true, word),
            None => (false, text),
        };
        Ok(Self {
            by: word.parse()?,
            descending,
        })
    }
}

/// Which parties, and in which order. `S` is their status, `G` their group.
#[derive(Debug, Clone)]
pub struct PartyFilter<S, I> {
    /// Only those whose name, external id or tag contains this.
    pub search: Option<String>,
    /// Only those with this status; none leaves the archived ones out.
    pub status: Option<S>,
    /// Also the archived ones, when no status is asked for.
    pub archived_too: bool,
    /// In which order.
    pub sort: PartySort,
    /// Only those after this one, in that order.
    pub after: Option<I>,
}

impl<S, I> Default for PartyFilter<S, I> {
    fn default() -> Self {
        Self {
            search: None,
            status: None,
            archived_too: false,
            sort: PartySort::default(),
            after: None,
        }
    }
}

/// What is typed about any party.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartyDraft {
    /// As people see it.
    pub name: String,
    /// What another system calls it; empty for none.
    pub external_id: String,
    /// For the network's own people.
    pub notes: String,
    /// Words to find it by, with commas between.
    pub tags: String,
}

/// The same, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartyDetails {
    /// As people see it.
    pub name: String,
    /// What another system calls it.
    pub external_id: Option<String>,
    /// For the network's own people.
    pub notes: String,
    /// Words to find it by.
    pub tags: Words,
}

impl PartyDraft {
    /// The same input as the draft that settings are checked from.
    pub(crate) fn with_status(&self, status: &str) -> Draft {
        Draft::with([
            ("name", self.name.clone()),
            ("status", status.to_owned()),
            ("external_id", self.external_id.clone()),
            ("notes", self.notes.clone()),
            ("tags", self.tags.clone()),
        ])
    }
}

impl PartyDetails {
    /// Validated details of a draft; none if a field has an error.
    pub(crate) fn check(draft: &mut Draft) -> Option<Self> {
        let name = draft.take("name", check_name);
        let external_id = draft.take("external_id", |text| match text.trim() {
            "" => Ok(None),
            text => check_name(text).map(Some),
        });
        let notes = draft.take("notes", check_text);
        let tags = draft.take("tags", check_tags);
        Some(Self {
            name: name?,
            external_id: external_id?,
            notes: notes?,
            tags: tags?,
        })
    }
}

fn check_tags(text: &str) -> Result<Words, &'static str> {
    let tags = Words::typed(text);
    let is_invalid =
        |tag: &String| tag.chars().count() > 40 || tag.contains(|c: char| c == ';' || c.is_control());
    if tags.0.len() > 20 || tags.0.iter().any(is_invalid) {
        Err("Use at most 20 tags of at most 40 characters each, without semicolons.")
    } else {
        Ok(tags)
    }
}

pub(crate) const EXTERNAL_ID_TAKEN: &str = "Another one has this external id; it must be unique.";

/// The filters, the order and the edge of a list of parties, put on a boxed query of either table. A macro, because
/// what two tables have in common has no type.
macro_rules! narrowed {
    ($table:ident, $archived:path, $query:expr, $filter:expr, $last:expr) => {{
        let mut query = $query;
        if let Some(search) = &$filter.search {
            let pattern = format!("%{}%", $crate::audit::pattern(search));
            query = query.filter(
                $table::name
                    .ilike(pattern.clone())
                    .or($table::external_id.ilike(pattern).assume_not_null())
                    .or($table::tags.contains(schema::Words(vec![search.clone()]))),
            );
        }
        query = match $filter.status {
            Some(status) => query.filter($table::status.eq(status)),
            None if $filter.archived_too => query,
            None => query.filter($table::status.ne($archived)),
        };
        let (name, created, id) = ($table::name, $table::created_at, $table::id);
        query = match ($filter.sort.by, $filter.sort.descending) {
            ($crate::parties::PartySortKey::Name, false) => query.order((name.asc(), id.asc())),
            ($crate::parties::PartySortKey::Name, true) => query.order((name.desc(), id.desc())),
            ($crate::parties::PartySortKey::Created, false) => query.order((created.asc(), id.asc())),
            ($crate::parties::PartySortKey::Created, true) => query.order((created.desc(), id.desc())),
        };
        if let Some(edge) = $last {
            query = match ($filter.sort.by, $filter.sort.descending) {
                ($crate::parties::PartySortKey::Name, false) => query.filter(
                    name.gt(edge.name.clone())
                        .or(name.eq(edge.name).and(id.gt(edge.id))),
                ),
                ($crate::parties::PartySortKey::Name, true) => query.filter(
                    name.lt(edge.name.clone())
                        .or(name.eq(edge.name).and(id.lt(edge.id))),
                ),
                ($crate::parties::PartySortKey::Created, false) => query.filter(
                    created
                        .gt(edge.created_at)
                        .or(created.eq(edge.created_at).and(id.gt(edge.id))),
                ),
                ($crate::parties::PartySortKey::Created, true) => query.filter(
                    created
                        .lt(edge.created_at)
                        .or(created.eq(edge.created_at).and(id.lt(edge.id))),
                ),
            };
        }
        query
    }};
}

pub(crate) use narrowed;
