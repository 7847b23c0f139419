//! Appliers: copy the journals into Postgres, exactly once.
//!
//! One task per journal reads it in order. Each batch is one transaction that moves the journal's cursor behind the
//! batch and stores its records: if the cursor is elsewhere, nothing happens, and if the transaction fails, it is
//! retried from the cursor. A record that Postgres refuses is quarantined ([`session::Session::quarantine`]) so that
//! all others go on.

mod answers;
mod applier;
mod click_stream;
mod error;
mod postback_stream;
mod retention;
#[cfg(feature = "sabotage")]
mod sabotage;
mod session;
mod stream;
mod sweep;

pub(crate) use answers::{Answers, VERDICTS};
pub(crate) use applier::{Applier, Progress};
pub(crate) use click_stream::ClickStream;
pub(crate) use error::ApplyError;
pub(crate) use postback_stream::PostbackStream;
pub(crate) use retention::{Keep, remove_old};
pub(crate) use stream::Stream;
pub(crate) use sweep::sweep;
