//! Binary `clickledger`: configuration, wiring, the embedded Postgres, the command line.
//!
//! Also a library, so that tests start the same server as users.

mod backup;
pub mod client;
pub mod commands;
pub mod config;
mod database;
mod download;
mod health;
mod idle_timeout;
pub mod logging;
mod metrics;
mod outgoing;
pub mod output;
pub mod postgres;
mod process;
pub mod reference_rates;
mod request_span;
mod request_target;
pub mod serve;
mod tls_ask;
pub mod traces;
mod tracking_host;

pub use database::{Database, DatabaseError};
