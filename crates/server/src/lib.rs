//! The binary `clickledger`: configuration, wiring, the embedded Postgres, the command line.
//!
//! A library too, so that the tests start the very server that users start.

pub mod commands;
pub mod config;
mod database;
mod metrics;
pub mod postgres;
pub mod serve;

pub use database::{Database, DatabaseError};
