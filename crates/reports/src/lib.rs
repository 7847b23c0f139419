//! Reports over the rollups: one [`ReportQuery`] in, rows out, for pages and CSV alike.

mod csv;
mod figures;
mod query;
mod report;

pub use crate::csv::to_csv;
pub use figures::{Figures, Metric, Sums};
pub use query::{Dimension, QueryProblem, ReportQuery};
pub use report::{Key, Report, Row, run};
