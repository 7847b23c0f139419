//! Reasons why a report has no result.

use std::error::Error;

use diesel::result::QueryResult;

use crate::groups::MAX_GROUPS;
use crate::query::QueryProblem;

/// Reason why a report has no result.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The database fails.
    #[error(transparent)]
    Db(#[from] diesel::result::Error),
    /// The report is too large.
    #[error("the report has more than {MAX_GROUPS} rows")]
    TooLarge,
    /// A part of ours fails.
    #[error("the report failed: {0}")]
    Failed(Box<dyn Error + Send + Sync>),
}

impl ReportError {
    pub(crate) fn failed(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Failed(Box::new(error))
    }

    /// The problem, for the user who asked; the error itself if it is ours.
    ///
    /// # Errors
    /// The error of the database.
    pub fn into_problem(self) -> QueryResult<QueryProblem> {
        match self {
            Self::Db(error) if error.to_string().contains("statement timeout") => Ok(QueryProblem::new(
                "from",
                "The report took too long and was stopped. Choose a shorter period, fewer dimensions, or a campaign.",
            )),
            Self::Db(error) => Err(error),
            Self::Failed(error) => Err(diesel::result::Error::QueryBuilderError(error)),
            Self::TooLarge => Ok(QueryProblem::new(
                "group",
                "The report has more than two million rows. Choose fewer dimensions, a shorter period, or a filter.",
            )),
        }
    }
}
