//! Decisions on postbacks that need stored state, each batch in one transaction.
//!
//! In order ([`batch`]): attribute, claim (pure), look up what the claims depend on, create conversions without a parent
//! goal and then those with one, update existing conversions, hold what arrived too early, store every postback with its
//! verdict. Postbacks that waited for a new conversion are decided in the same transaction.

mod batch;
mod claimed;
mod contradicted;
mod create;
mod error;
mod held;
mod hold;
mod lookups;
mod price;
mod replay;
mod store;
mod sums;
mod sweep;
mod test_conversions;
mod update;

pub use batch::{Outcome, decide_all};
pub use error::DecideError;
pub use lookups::applier_statements;
pub(crate) use replay::Replayer;
pub use sweep::Sweeper;
