//! Detection of User-Agents that programs send.

use std::error::Error;

use super::patterns::Patterns;
use super::regexes::{Rule, rules};
use super::words::Words;

/// Our own list; its first lines describe the format.
const LIST: &str = include_str!("../../data/bots.txt");

/// The compiled lists.
pub(super) struct Bots {
    words: Words,
    people: Words,
    spiders: Patterns,
}

impl Bots {
    /// Compiles our list and the devices named "Spider" of uap-core.
    pub(super) fn new(yaml: &str) -> Result<Self, Box<dyn Error>> {
        let lines = || {
            LIST.lines()
                .map(str::trim)
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
        };
        let spiders: Vec<Rule> = rules(yaml, "device_parsers")
            .into_iter()
            .filter(|rule| rule.name == Some("Spider"))
            .collect();
        Ok(Self {
            words: Words::new(lines().filter(|line| !line.starts_with("- ")))?,
            people: Words::new(lines().filter_map(|line| line.strip_prefix("- ")))?,
            spiders: Patterns::new(&spiders)?,
        })
    }

    /// True if a program sent the User-Agent.
    pub(super) fn is_bot(&self, user_agent: &str) -> bool {
        self.words.any(user_agent)
            || (self.spiders.name(user_agent).is_some() && !self.people.any(user_agent))
    }
}
