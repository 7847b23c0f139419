//! Who came: what an address, a User-Agent and a moment say about a visitor.
//!
//! Four things, each asked once per click, none of which waits for anything while a click is served:
//!
//! - [`Agents`]: device, browser, system, bot or not, from the User-Agent;
//! - [`Places`]: country and network from the address, by MaxMind or DB-IP files;
//! - [`VisitorKeys`]: address and User-Agent as a [`VisitorHash`] that means nothing the day after;
//! - [`Recent`]: whether this hash was here before, in fixed memory.
//!
//! Knows no network, campaign, HTTP or SQL. Reads those database files and keeps one file of keys; nothing else leaves it.

mod agents;
mod hashing;
mod keys;
mod places;
mod recent;

pub use agents::{Agent, Agents, Device};
pub use keys::{VisitorHash, VisitorKeys};
pub use places::{Country, NotACountry, Place, Places, PlacesError};
pub use recent::Recent;

/// How many bytes of a User-Agent are looked at. Real ones are a third of it; what is longer is noise or an attack.
const USER_AGENT_BYTES: usize = 512;

/// A User-Agent without what is beyond [`USER_AGENT_BYTES`], cut where a character ends.
fn cut(user_agent: &str) -> &str {
    let end = user_agent.floor_char_boundary(USER_AGENT_BYTES);
    user_agent.get(..end).unwrap_or(user_agent)
}
