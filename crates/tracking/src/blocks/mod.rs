//! Blocks: the clicks of closed spans as columns, from which reports are computed (`reports/src/blocks`).
//!
//! Clicks belong to a block by their time. One node closes spans and builds their columns (`keeper`); the appliers of
//! every node mark a block that gets a late click (`arrivals`), and it is built again. Blocks are derived, so each of
//! their parts may fail at any time: a block without exact columns is read from the clicks.
//!
//! A network has an advisory lock: appliers share it while they store its clicks, and the keeper holds it alone for the
//! moment in which it closes or replaces blocks. So no applier can miss a block that was closed meanwhile.

mod arrivals;
mod columns;
mod keeper;
mod proof;
mod sealing;
mod spans;

pub(crate) use arrivals::Arrivals;
pub(crate) use keeper::keep;
pub use proof::{BlockProof, prove};
pub(crate) use sealing::seal;

/// Space of the advisory locks of networks, above their ids.
const LOCKS: i64 = 5_275_737 << 32;
