//! User-Agent → device, browser, system, bot or not.

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

/// uap-core's rules; `data/NOTICE.md` says which edition.
const REGEXES: &str = include_str!("../../data/regexes.yaml");
/// What the cache may hold, in bytes: some ten thousand User-Agents of today's length.
const CACHE_BYTES: u64 = 3 << 20;
/// What an entry costs beside the text of its key: the entry, two short names, the share of the tables.
const ENTRY_BYTES: usize = 160;
/// A name longer than this is not one.
const NAME_BYTES: usize = 64;

/// What a User-Agent says. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// The kind of device it claims to run on, which a bot claims too.
    pub device: Device,
    /// Family of the browser, app or bot in uap-core's words, like `Chrome Mobile`; none when it is not known.
    pub browser: Option<Arc<str>>,
    /// Family of the operating system in uap-core's words, like `Mac OS X`; none when it is not known.
    pub os: Option<Arc<str>>,
    /// Whether a program sent it: a crawler, a link preview, a monitor, an HTTP library, a browser without a screen.
    /// Whoever sends no User-Agent or an empty one is a bot: every browser sends one.
    pub bot: bool,
}

/// Reads User-Agents: some 50 ns for one of the last ten thousand, some microseconds for a new one.
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
    /// Compiles the rules, which takes some milliseconds: make one and share it.
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
            bots: Bots::new(yaml)?,
            cache: Cache::with_weighter(items, CACHE_BYTES, ByBytes),
        })
    }

    /// What a User-Agent says. Of longer ones, the first 512 bytes do.
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

/// Names come out of what visitors send, and go into reports.
fn presentable(name: String) -> Option<Arc<str>> {
    (name.len() <= NAME_BYTES && !name.contains(char::is_control)).then(|| name.into())
}
