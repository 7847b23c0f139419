//! The systems themselves: one constant table for each.

mod native;

use crate::dialect::Dialect;

/// Every dialect, our own first. Where two systems could both have sent a call, the earlier is taken.
static ALL: [&Dialect; 1] = [&native::NATIVE];

/// Every dialect, our own first.
#[must_use]
pub fn all() -> &'static [&'static Dialect] {
    &ALL
}

/// The dialect of a key.
///
/// ```
/// assert_eq!(dialects::of_key("clickledger").map(|dialect| dialect.name), Some("Clickledger"));
/// ```
#[must_use]
pub fn of_key(key: &str) -> Option<&'static Dialect> {
    ALL.iter().copied().find(|dialect| dialect.key == key)
}

/// Our own spelling.
#[must_use]
pub fn native() -> &'static Dialect {
    &native::NATIVE
}
