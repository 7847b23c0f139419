//! Earnings: conversions with their changes, pricing, ledger entries and rollups.
//!
//! A conversion changes in one way, for a postback, a user and the end of its hold period alike: a [`Change`] is added
//! to its history, the pure fold of the history ([`outcome`]) yields its state, and [`Effects`] yields what follows from
//! the step: ledger entries, rollup moves and an [`Event`]. A postback adds its changes through a [`Revision`]; so does a
//! user's decision ([`decide`]).

mod changes;
mod conversion;
mod decision;
mod effects;
mod events;
mod insert;
pub mod ledger;
mod list;
pub mod pricing;
mod revision;
mod rollups;

pub use changes::{Change, Outcome, Source, history, outcome};
pub use conversion::{AttributedBy, Conversion, ConversionStatus, ReviewBecause};
pub use decision::decide;
pub use effects::Effects;
pub use events::{Event, EventKind};
pub use insert::insert;
pub use list::{ConversionFilter, NamedConversion, list};
pub use revision::{ConversionKey, Revision, due, lock, store, store_changes};
