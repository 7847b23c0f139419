//! Reports: one [`ReportQuery`] in, rows out, for pages, CSV, workbooks and the API alike.
//!
//! [`Engine::run`] reads top to bottom: a `Plan` names the fields that the query needs and translates their values to
//! groups; blocks of clicks (`tracking/src/blocks`) are summed in columns, the clicks between and behind them are read
//! from Postgres, and so are the conversions; [`Report`] puts the groups in order.

mod background;
mod blocks;
mod click_groups;
mod csv;
mod dimension;
mod engine;
mod error;
mod events;
mod field;
mod figures;
pub mod files;
mod groups;
mod kept;
mod keys;
pub mod links;
mod lookups;
pub mod mails;
mod metric;
mod period;
mod plan;
mod query;
mod report;
pub mod saved;
mod threshold;
mod xlsx;

pub use crate::csv::to_csv;
pub use background::in_background;
pub use dimension::Dimension;
pub use engine::Engine;
pub use error::ReportError;
pub use figures::{Figures, Postbacks, Sums, Value};
pub use kept::{Expired, KeptReport};
pub use metric::Metric;
pub use period::{Period, StoredQuery, sentences};
pub use query::{
    Basis, Compared, Comparison, Filter, MAX_DEPTH, QueryProblem, ReportQuery, Sort, Test, joined, separated,
};
pub use report::{Key, Report, Row, filter_names};
pub use threshold::Threshold;
pub use xlsx::{XLSX_TYPE, XlsxError, to_xlsx};
