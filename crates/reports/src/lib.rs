//! Reports: one [`ReportQuery`] in, rows out. Pages and CSV are the same query, read from the rollups.

mod csv;
mod figures;
mod query;
mod report;

pub use crate::csv::to_csv;
pub use figures::{Figures, Metric, Sums};
pub use query::{Dimension, QueryProblem, ReportQuery};
pub use report::{Key, Report, Row, run};
