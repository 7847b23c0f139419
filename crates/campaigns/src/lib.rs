//! What counts and what it pays: campaigns, goals, tracking links, integrations, and the in-memory [`Routing`].
//!
//! One module per table, each with its row, its insert and its queries. [`destination`] is pure.

pub mod audience;
pub mod campaigns;
pub mod destination;
pub mod goals;
pub mod integrations;
pub mod links;
mod routing;

pub use destination::{Destination, DestinationError, MacroValues};
pub use routing::{Promotion, Route, Routing, RoutingError};
