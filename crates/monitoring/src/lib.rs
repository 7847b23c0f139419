//! Monitoring: alerts about integrations, the consistency check, and the quarantine.

pub mod alerts;
pub mod quarantine;
pub mod verify;
