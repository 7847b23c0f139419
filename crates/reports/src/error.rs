//! Reasons why a report has no result.

use std::error::Error;

use diesel::result::QueryResult;

use tenancy::exchange_rates::{MAX_AGE_DAYS, NoRate};

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
    /// A rate for the conversion of money is missing.
    #[error(transparent)]
    NoRate(#[from] NoRate),
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
            Self::NoRate(error) => Ok(QueryProblem::new(
                "convert",
                format!(
                    "The report has {error}, nor of the {MAX_AGE_DAYS} days before. Set one under Settings → Exchange rates, or \
                     leave the currencies as they are."
                ),
            )),
            Self::Failed(error) => Err(diesel::result::Error::QueryBuilderError(error)),
            Self::TooLarge => Ok(QueryProblem::new(
                "group",
                "The report has more than two million rows. Choose fewer dimensions, a shorter period, or a filter.",
            )),
        }
    }
}
