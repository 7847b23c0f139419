//! Reports: one [`ReportQuery`] in, rows out, for pages, CSV and the API alike.
//!
//! Dimensions that the sums per hour have are read from them; others from the single clicks and conversions.

mod csv;
mod dimension;
mod figures;
pub mod links;
pub mod mails;
mod period;
mod query;
mod report;
pub mod saved;
mod statement;
mod threshold;
mod xlsx;

pub use crate::csv::to_csv;
pub use dimension::Dimension;
pub use figures::{Figures, Metric, Sums, Value};
pub use period::{Period, StoredQuery, sentences};
pub use query::{Basis, Comparison, Filter, MAX_DEPTH, QueryProblem, ReportQuery, Sort, Test};
pub use report::{Key, Report, ReportError, Row, run};
pub use threshold::Threshold;
pub use xlsx::{XLSX_TYPE, XlsxError, to_xlsx};
