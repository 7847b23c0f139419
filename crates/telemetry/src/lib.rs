//! Metrics of the process: the table of their definitions, their values in memory, and the text that Prometheus reads.
//!
//! A metric exists only as a line of [`catalog`], so that code, documentation, dashboard and rules cannot name different
//! ones. Labels take values from a fixed set, never from a request: a label of a caller's text could fill the memory and
//! reveal data of a network.

pub mod catalog;
mod counter;
mod definition;
mod family;
mod histogram;
mod scrape;

pub use counter::Counter;
pub use definition::{Definition, Kind, Label, Subject};
pub use family::{Counters, Gauges, Histograms, Metric, Totals};
pub use histogram::{Bounds, Histogram};
pub use scrape::{CONTENT_TYPE, Scrape};
