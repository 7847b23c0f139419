//! Error of a decision.

use campaigns::RoutingError;
use schema::batch::BatchError;

/// Reason why a batch was not decided; its transaction must be rolled back.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// Postgres failed or refused the batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The configuration could not be read.
    #[error(transparent)]
    Routing(#[from] RoutingError),
}

impl DecideError {
    /// True if the data itself is at fault, so that every try fails.
    #[must_use]
    pub fn is_invalid_data(&self) -> bool {
        match self {
            Self::Batch(error) => error.is_invalid_data(),
            Self::Routing(error) => matches!(error, RoutingError::Destination(_)),
        }
    }
}
