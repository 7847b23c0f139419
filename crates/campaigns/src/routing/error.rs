//! Errors of looking up configuration.

use schema::DbError;

use crate::DestinationError;

/// Error of looking up configuration.
#[derive(Debug, thiserror::Error)]
pub enum RoutingError {
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A stored destination does not pass the check that every saved one passed.
    #[error("stored destination: {0}")]
    Destination(#[from] DestinationError),
}

impl From<diesel::result::Error> for RoutingError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}
