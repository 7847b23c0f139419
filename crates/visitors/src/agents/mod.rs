//! Parsing of User-Agents: device, browser, operating system, bot.

mod bots;
mod device;
mod patterns;
mod regexes;
mod words;

use std::error::Error;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

pub use self::device::Device;

use self::bots::Bots;
use self::device::Devices;
use self::patterns::Patterns;
use self::regexes::rules;
use crate::cut;

/// Rules of uap-core; `data/NOTICE.md` names the edition.
const REGEXES: &str = include_str!("../../data/regexes.yaml");
/// Size of the cache in bytes: about ten thousand User-Agents of current length.
const CACHE_BYTES: u64 = 3 << 20;
/// Size of a cache entry besides its key: the entry, two short names, its share of the tables.
const ENTRY_BYTES: usize = 160;
/// Maximum length of a name in bytes.
const NAME_BYTES: usize = 64;

/// Parsed User-Agent. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Kind of device it claims to run on; bots claim one too.
    pub device: Device,
    /// Family of the browser, app or bot as uap-core names it, like `Chrome Mobile`; `None` if unknown.
    pub browser: Option<Arc<str>>,
    /// Family of the operating system as uap-core names it, like `Mac OS X`; `None` if unknown.
    pub os: Option<Arc<str>>,
    /// True if a program sent it: a crawler, a link preview, a monitor, an HTTP library, a headless browser, or an
    /// unknown one that names no browser. A missing or empty User-Agent counts as a bot, because every browser sends
    /// one.
    pub bot: bool,
}

/// Parser of User-Agents: about 50 ns for one of the last ten thousand, some microseconds for a new one.
pub struct Agents {
    browsers: Patterns,
    systems: Patterns,
    devices: Devices,
    bots: Bots,
    cache: Cache<Box<str>, Agent, ByBytes>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Box<str>, Agent> for ByBytes {
    fn weight(&self, user_agent: &Box<str>, _: &Agent) -> u64 {
        (user_agent.len() + ENTRY_BYTES) as u64
    }
}

impl Agents {
    /// Compiles the rules, which takes some milliseconds: create one parser and share it.
    #[must_use]
    pub fn new() -> Self {
        #[expect(
            clippy::expect_used,
            reason = "the rules are part of the program; every test of this module compiles them"
        )]
        Self::compiled(REGEXES).expect("the vendored rules compile")
    }

    fn compiled(yaml: &str) -> Result<Self, Box<dyn Error>> {
        let items = CACHE_BYTES as usize / (ENTRY_BYTES + 140);
        Ok(Self {
            browsers: Patterns::new(&rules(yaml, "user_agent_parsers"))?,
            systems: Patterns::new(&rules(yaml, "os_parsers"))?,
            devices: Devices::new()?,
            bots: Bots::new()?,
            cache: Cache::with_weighter(items, CACHE_BYTES, ByBytes),
        })
    }

    /// Parses a User-Agent, up to 512 bytes.
    pub fn read(&self, user_agent: Option<&str>) -> Agent {
        let user_agent = cut(user_agent.unwrap_or_default().trim());
        if let Some(known) = self.cache.get(user_agent) {
            return known;
        }
        let agent = self.parse(user_agent);
        self.cache.insert(user_agent.into(), agent.clone());
        agent
    }

    fn parse(&self, user_agent: &str) -> Agent {
        Agent {
            device: self.devices.device(user_agent),
            browser: self.browsers.name(user_agent).and_then(presentable),
            os: self.systems.name(user_agent).and_then(presentable),
            bot: user_agent.is_empty() || self.bots.is_bot(user_agent),
        }
    }
}

impl Default for Agents {
    fn default() -> Self {
        Self::new()
    }
}

/// Rejects names unfit for reports, because names come from text that visitors send.
fn presentable(name: String) -> Option<Arc<str>> {
    (name.len() <= NAME_BYTES && !name.contains(char::is_control)).then(|| name.into())
}
