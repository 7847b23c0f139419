//! Postbacks: what advertisers' servers report. Redacted, authenticated, attributed, decided, stored with verdict and
//! trace; held where they arrive before what they depend on; replayed where they were rejected.
//!
//! A postback goes through phases in types: [`InboundRequest`] → [`PostbackRecord`] (journaled) → [`Received`] →
//! `Attributed` → `Claimed` → `Decided`. Only the last can be stored, and only ending the one before makes it.

mod answered;
mod attributed;
mod attribution;
mod authenticate;
mod click_reading;
pub mod contradictions;
mod decide;
mod deciding;
pub mod feed;
mod inbound;
mod quarantined;
mod received;
mod record;
mod redaction;
pub mod replays;
mod sender;
mod sent;
pub mod signature;
mod stored;
mod target;
pub mod test_progress;
pub mod trace;
pub mod verdict;

pub use answered::AnsweredVerdict;
pub use authenticate::Authenticator;
pub use deciding::{DecideError, Outcome, Sweeper, applier_statements, decide_all};
pub use dialects::{Item, Status as VerdictStatus};
pub use inbound::InboundRequest;
pub use received::Received;
pub use record::PostbackRecord;
pub use sent::SentValues;
pub use stored::{Incomplete, PostbackFilter, PostbackStatus, PostbackSummary, StoredPostback, find, list};
pub use target::Target;
pub use verdict::{Reason, Reply, Verdict};
