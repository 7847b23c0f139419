//! Lists of words, all searched for at once, in any letter case.

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};

/// A compiled list.
pub(super) struct Words(AhoCorasick);

impl Words {
    /// Compiles the list.
    ///
    /// # Errors
    /// More words than fit in the automaton, which needs millions.
    pub(super) fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, BuildError> {
        let kind = Some(AhoCorasickKind::ContiguousNFA);
        AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(kind)
            .build(words)
            .map(Self)
    }

    /// Whether any of the words is in the text.
    pub(super) fn any(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The numbers of the words that are in the text, in the order of their ends, overlapping ones too.
    pub(super) fn all<'a>(&'a self, text: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.0
            .find_overlapping_iter(text)
            .map(|found| found.pattern().as_usize())
    }
}
