//! Monitoring: alerts about integrations, consistency check, and quarantine.

pub mod alerts;
pub mod quarantine;
pub mod verify;
