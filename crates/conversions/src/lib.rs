//! Earnings: conversions with their changes, pricing, ledger entries and rollups.
//!
//! A conversion changes in one way, for a postback, a user and the end of its hold period alike: a [`Change`] is added
//! to its history, the pure fold of the history ([`outcome`], the rules of money) yields its state, and [`Effects`] yields
//! what follows from the step: ledger entries, rollup moves and an [`Event`]. A postback adds its changes through a
//! [`Revision`]; so does a user's correction ([`correct`]).

pub mod basket;
mod changes;
mod conversion;
mod correction;
mod effects;
mod events;
mod insert;
pub mod ledger;
mod list;
mod outcome;
pub mod pricing;
mod proof;
mod revision;
mod rollups;
mod statements;
mod undecided;
mod visits;

pub use changes::{Change, Novelty, ReasonCode, Source, history};
pub use conversion::{Conversion, ConversionStatus, ReviewBecause};
pub use correction::{
    BulkReport, Corrected, Correction, CorrectionDraft, CorrectionRequest, MAX_BULK, Seen, SeenVersions,
    Selection, WaitingCorrection, correct, correct_all, correct_file, decide_waiting, propose, reason,
    undo_all, waiting,
};
pub use effects::Effects;
pub use events::{Event, EventKind, StoredEvent, remove_old_events, take_new};
pub use insert::insert;
pub use list::{ConversionFilter, NamedConversion, list, postbacks_of_click};
pub use outcome::{Outcome, outcome};
pub use proof::{Proof, prove};
pub use revision::{
    ConversionKey, Revision, applier_statements, due, follow_parents, lock, store, store_changes,
};
pub use statements::{Statement, statements};
pub use undecided::{Undecided, undecided};
pub use visits::fill_visits;
