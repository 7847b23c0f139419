//! Visitors: attributes and history derived from an address, a User-Agent and a time.
//!
//! Four parts, each used once per click, none of which blocks while a click is served:
//!
//! - [`Agents`]: device, browser, operating system and bot detection by User-Agent;
//! - [`Places`]: country and autonomous system by address, from MaxMind or DB-IP files;
//! - [`VisitorKeys`]: address and User-Agent as a [`VisitorHash`], without meaning on the next day;
//! - [`Recent`]: uniqueness, repeats and rates by hash, in fixed memory.
//!
//! Independent of networks, campaigns, HTTP and SQL. Reads the database files and owns one file of keys.

mod agents;
mod hashing;
mod keys;
mod places;
mod recent;

pub use agents::{Agent, Agents, Device};
pub use keys::{VisitorHash, VisitorKeys};
pub use places::{Country, NotACountry, Place, Places, PlacesError};
pub use recent::Recent;

/// Maximum length of a User-Agent in bytes. Real ones are a third as long; longer ones are noise or an attack.
const USER_AGENT_BYTES: usize = 512;

/// Truncates a User-Agent to [`USER_AGENT_BYTES`] at a character boundary.
fn cut(user_agent: &str) -> &str {
    let end = user_agent.floor_char_boundary(USER_AGENT_BYTES);
    user_agent.get(..end).unwrap_or(user_agent)
}
