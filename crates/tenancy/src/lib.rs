//! Who may act: networks, advertisers, affiliates, people, memberships and sessions.
//!
//! One module per table, each with its row, its insert and its queries. Queries on a tenant's table take a
//! [`schema::NetworkConn`]; the few that must work before a network is known are in [`unscoped`].

pub mod advertisers;
pub mod affiliates;
pub mod memberships;
pub mod networks;
mod passwords;
pub mod people;
mod permissions;
mod secret;
pub mod sessions;
mod throttle;
pub mod unscoped;

pub use memberships::Role;
pub use passwords::{PasswordHash, Passwords, TooBusy};
pub use permissions::{Permission, Scope};
pub use secret::{Secret, SecretError};
pub use sessions::Actor;
pub use throttle::{SignInThrottle, TooManyTries, WINDOW as THROTTLE_WINDOW};
