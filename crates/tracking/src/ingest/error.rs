//! Errors of the appliers.

use std::time::Duration;

use postbacks::DecideError;
use schema::batch::BatchError;

/// Timeout of a batch; its connection is given up then.
pub(super) const BATCH_TIMEOUT: Duration = Duration::from_secs(60);

/// Reason why a batch was not applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// The records could not be stored or decided.
    #[error(transparent)]
    Decide(#[from] DecideError),
    /// The cursor is not where this process left it: another process applies this journal, or the database is another
    /// one.
    #[error("another process moved the cursor of the journal")]
    CursorMoved,
    /// The transaction took too long.
    #[error("Postgres did not answer within {} s", BATCH_TIMEOUT.as_secs())]
    Timeout,
}

impl ApplyError {
    /// True if a record itself is at fault, so that Postgres refuses it on every try.
    pub(super) fn is_invalid_data(&self) -> bool {
        matches!(self, Self::Decide(error) if error.is_invalid_data())
    }
}

impl From<BatchError> for ApplyError {
    fn from(error: BatchError) -> Self {
        Self::Decide(error.into())
    }
}

impl From<tokio_postgres::Error> for ApplyError {
    fn from(error: tokio_postgres::Error) -> Self {
        BatchError::from(error).into()
    }
}

impl From<campaigns::RoutingError> for ApplyError {
    fn from(error: campaigns::RoutingError) -> Self {
        Self::Decide(error.into())
    }
}
