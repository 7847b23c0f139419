//! Columns: values of many rows, each column with a dictionary and a code per row, as bytes and back. Knows no domain.
//!
//! Format of a column: version · kind of dictionary · rows · entries · codes. Counts are varints (LEB128). Numbers are
//! stored as differences, texts as the length they share with the entry before and the rest. Codes are stored as runs or
//! packed to the width of the largest, whichever is shorter. Equal values that stand together cost nearly nothing, so
//! rows are worth sorting; Postgres compresses dictionaries further when it stores the bytes.

mod bytes;
mod codes;
mod column;
mod encoder;

pub use codes::{Code, Codes};
pub use column::{Column, Dictionary, Malformed, Texts};
pub use encoder::{NumberEncoder, TextEncoder};
