//! The binary `clickledger`: configuration, wiring, the embedded Postgres, the command line.
//!
//! A library too, so that the tests start the very server that users start.

pub mod commands;
pub mod config;
mod database;
mod health;
mod metrics;
pub mod postgres;
mod punctual;
pub mod serve;
mod tracking_host;

pub use database::{Database, DatabaseError};
