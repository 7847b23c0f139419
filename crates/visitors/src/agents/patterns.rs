//! An ordered list of regular expressions, of which the first match yields a name, within a few microseconds for
//! hundreds of expressions and a few kilobytes each.
//!
//! Words that an expression requires are searched for all at once, and only expressions whose words were found are
//! tried, each by a bounded backtracker. Its memory is the plain automaton: the crate `regex` would add caches per
//! expression and thread, which grow with use. Measured with browsers and systems (563 expressions) over 16,000
//! User-Agents: `ua-parser` on `regex` 10 MiB, 15 MiB after the first thread, 27 MiB after five.

use std::error::Error;

use aho_corasick::AhoCorasick;
use regex_automata::Input;
use regex_automata::nfa::thompson;
use regex_automata::nfa::thompson::backtrack::BoundedBacktracker;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::util::syntax;
use regex_filtered::mapper::{self, Mapper};
use regex_filtered::model::Model;

use super::regexes::Rule;

/// Minimum length of a word to search for; shorter ones occur everywhere.
const WORD_BYTES: usize = 3;
/// Number of groups a name can refer to, the whole match included; uap-core uses up to `$4`, its specification `$9`.
const GROUPS: usize = 10;

type Slots = [Option<NonMaxUsize>; 2 * GROUPS];

/// A compiled list.
pub(super) struct Patterns {
    patterns: Vec<Pattern>,
    words: AhoCorasick,
    word_to_pattern: Mapper,
}

struct Pattern {
    matcher: BoundedBacktracker,
    name: Option<Box<str>>,
}

impl Patterns {
    /// Compiles the rules.
    ///
    /// # Errors
    /// Errors of expressions that do not compile.
    pub(super) fn new(rules: &[Rule]) -> Result<Self, Box<dyn Error>> {
        let mut words = mapper::Builder::new(WORD_BYTES);
        let mut patterns = Vec::with_capacity(rules.len());
        for rule in rules {
            let regex = unbounded(rule.regex);
            words.push(Model::new(
                &regex_syntax::ParserBuilder::new()
                    .case_insensitive(rule.ignore_case)
                    .build()
                    .parse(&regex)?,
            )?);
            patterns.push(Pattern {
                matcher: matcher(&regex, rule.ignore_case)?,
                name: rule.name.map(Into::into),
            });
        }
        let (word_to_pattern, words) = words.build();
        let words = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(aho_corasick::AhoCorasickKind::ContiguousNFA))
            .build(words)?;
        Ok(Self {
            patterns,
            words,
            word_to_pattern,
        })
    }

    /// Name of the first matching rule; `None` without a match or for an empty name.
    pub(super) fn name(&self, text: &str) -> Option<String> {
        let words = self
            .words
            .find_overlapping_iter(text)
            .map(|found| found.pattern().as_usize());
        let candidates = self.word_to_pattern.atom_to_re(words);
        let mut cache = self.patterns.first()?.matcher.create_cache();
        let mut slots: Slots = [None; 2 * GROUPS];
        for pattern in candidates
            .into_iter()
            .filter_map(|index| self.patterns.get(index))
        {
            cache.reset(&pattern.matcher);
            let found = pattern
                .matcher
                .try_search_slots(&mut cache, &Input::new(text), &mut slots);
            // The only error is a text too long for the automaton's table of visited states, which a test excludes.
            if matches!(found, Ok(Some(_))) {
                return pattern.name(text, &slots).filter(|name| !name.is_empty());
            }
        }
        None
    }
}

impl Pattern {
    fn name(&self, text: &str, slots: &Slots) -> Option<String> {
        let group = |number: usize| {
            let (start, end) = (
                slots.get(2 * number)?.as_ref()?,
                slots.get(2 * number + 1)?.as_ref()?,
            );
            text.get(start.get()..end.get())
        };
        let Some(template) = &self.name else {
            return group(1).map(|name| name.trim().to_owned());
        };
        let mut name = String::with_capacity(template.len());
        let mut parts = template.split('$');
        name.push_str(parts.next()?);
        for part in parts {
            let digit = part.chars().next().and_then(|c| c.to_digit(10));
            match digit {
                Some(number) => {
                    name.push_str(group(number as usize).unwrap_or_default());
                    name.push_str(part.get(1..).unwrap_or_default());
                }
                None => name.extend(["$", part]),
            }
        }
        Some(name.trim().to_owned())
    }
}

/// Matches bytes instead of characters: `\d` and `\w` are ASCII, as in uap-core's reference, without Unicode tables.
fn matcher(regex: &str, ignore_case: bool) -> Result<BoundedBacktracker, Box<dyn Error>> {
    Ok(BoundedBacktracker::builder()
        .syntax(
            syntax::Config::new()
                .unicode(false)
                .utf8(false)
                .case_insensitive(ignore_case),
        )
        .thompson(thompson::Config::new().utf8(false))
        .build(regex)?)
}

/// Replaces `{0,100}` by `*` and `{1,100}` by `+`, for any number of three digits. uap-core limits repetitions for
/// engines that backtrack without bound; ours is bounded, and a hundred copies of a state cost memory.
fn unbounded(regex: &str) -> String {
    let mut out = String::with_capacity(regex.len());
    let mut rest = regex;
    while let Some(at) = rest.find(['{']) {
        let (before, counted) = rest.split_at(at);
        out.push_str(before);
        let (count, after) = counted
            .find('}')
            .map_or((counted, ""), |end| counted.split_at(end + 1));
        let many = |from: &str| {
            let digits = count.strip_prefix(from).and_then(|upper| upper.strip_suffix('}'));
            digits.is_some_and(|digits| digits.len() > 2 && digits.bytes().all(|b| b.is_ascii_digit()))
        };
        out.push_str(if many("{0,") {
            "*"
        } else if many("{1,") {
            "+"
        } else {
            count
        });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::super::regexes::rules;
    use super::*;
    use crate::USER_AGENT_BYTES;

    const FILE: &str = include_str!("../../data/regexes.yaml");

    fn patterns(rules: &[(&str, Option<&str>)]) -> Patterns {
        let rules: Vec<_> = rules
            .iter()
            .map(|&(regex, name)| Rule {
                regex,
                name,
                ignore_case: false,
            })
            .collect();
        Patterns::new(&rules).unwrap()
    }

    #[test]
    fn the_first_matching_rule_yields_the_name() {
        let list = patterns(&[
            (r"(Fox)/\d+ Pro", None),
            (r"(Fox)/(\d)", Some("$1 $2 of $9$x")),
            ("Bird", None),
            (r"(\d+)", None),
        ]);
        assert_eq!(list.name("Fox/12 Pro").as_deref(), Some("Fox"));
        assert_eq!(list.name("Fox/12").as_deref(), Some("Fox 1 of $x"));
        assert_eq!(
            list.name("Bird 7"),
            None,
            "a rule without a group and a name matches, but yields no name"
        );
        assert_eq!(
            list.name("a 42").as_deref(),
            Some("42"),
            "a rule without words is always tried"
        );
        assert_eq!(list.name(""), None);
        assert_eq!(list.name("٣"), None, "digits are ASCII");
    }

    #[test]
    fn large_counts_become_unbounded_and_small_ones_remain() {
        assert_eq!(
            unbounded(r"a{0,100}b{1,200}?c{0,2}d{2,300}e\{f"),
            r"a*b+?c{0,2}d{2,300}e\{f"
        );
    }

    #[test]
    fn no_automaton_is_too_large_for_the_longest_text() {
        for section in ["user_agent_parsers", "os_parsers", "device_parsers"] {
            for rule in rules(FILE, section) {
                let matcher = matcher(&unbounded(rule.regex), rule.ignore_case).unwrap();
                assert!(matcher.max_haystack_len() >= USER_AGENT_BYTES, "{}", rule.regex);
            }
        }
    }

    #[test]
    fn the_search_for_words_misses_no_match() {
        let rules = rules(FILE, "user_agent_parsers");
        let list = Patterns::new(&rules).unwrap();
        let texts = include_str!("../../tests/user_agents.txt")
            .lines()
            .filter_map(|line| line.splitn(5, '|').nth(4));
        for text in texts.map(str::trim) {
            let slow = list.patterns.iter().find_map(|pattern| {
                let mut slots: Slots = [None; 2 * GROUPS];
                let mut cache = pattern.matcher.create_cache();
                let found = pattern
                    .matcher
                    .try_search_slots(&mut cache, &Input::new(text), &mut slots);
                found.unwrap().map(|_| pattern.name(text, &slots))
            });
            assert_eq!(list.name(text), slow.flatten(), "{text}");
        }
    }
}
