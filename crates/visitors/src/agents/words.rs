//! Lists of words, searched for all at once, in any letter case.

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};

/// A compiled list.
pub(super) struct Words(AhoCorasick);

impl Words {
    /// Compiles the list.
    ///
    /// # Errors
    /// Errors of the automaton if the list has millions of words.
    pub(super) fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, BuildError> {
        let kind = Some(AhoCorasickKind::ContiguousNFA);
        AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(kind)
            .build(words)
            .map(Self)
    }

    /// True if the text contains any of the words.
    pub(super) fn any(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// Numbers of the words in the text, in the order of their ends, overlapping ones included.
    pub(super) fn all<'a>(&'a self, text: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.0
            .find_overlapping_iter(text)
            .map(|found| found.pattern().as_usize())
    }
}
