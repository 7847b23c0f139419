//! Common parts of advertisers and affiliates: drafts, lists, import.

use schema::Words;

use crate::draft::Draft;
use crate::error::{check_name, check_text};

/// Sort order of a list of parties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartySort {
    /// Sort key.
    pub by: PartySortKey,
    /// True for descending order.
    pub descending: bool,
}

schema::text_enum! {
    /// Sort key of a list of parties.
    pub enum PartySortKey {
        /// Name.
        Name = "name",
        /// Time of creation.
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

    /// Parses `name`, `-name`, `created` or `-created`.
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

/// Filter and order of a list of parties. `S` is the type of status, `I` the type of ID.
#[derive(Debug, Clone)]
pub struct PartyFilter<S, I> {
    /// Text contained in the name or external ID, or equal to a tag; None for any.
    pub search: Option<String>,
    /// Status; None for all but archived.
    pub status: Option<S>,
    /// True to include archived parties if `status` is None.
    pub include_archived: bool,
    /// Sort order.
    pub sort: PartySort,
    /// Party to start after, in that order.
    pub after: Option<I>,
}

impl<S, I> Default for PartyFilter<S, I> {
    fn default() -> Self {
        Self {
            search: None,
            status: None,
            include_archived: false,
            sort: PartySort::default(),
            after: None,
        }
    }
}

/// Unvalidated input common to both kinds of party.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartyDraft {
    /// Display name.
    pub name: String,
    /// Identifier in another system; empty for none.
    pub external_id: String,
    /// Notes for the network's staff.
    pub notes: String,
    /// Search tags, separated by commas.
    pub tags: String,
}

/// Validated input common to both kinds of party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartyDetails {
    /// Display name.
    pub name: String,
    /// Identifier in another system; None if not set.
    pub external_id: Option<String>,
    /// Notes for the network's staff.
    pub notes: String,
    /// Search tags.
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

/// Applies filter, order and start of a list of parties to a boxed query of either table. A macro, because the two
/// tables share no type.
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
            None if $filter.include_archived => query,
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
