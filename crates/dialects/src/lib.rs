//! Dialects: the postback formats of other systems. No I/O: an incoming request becomes a canonical [`Postback`] and,
//! if not all of it is valid, a [`Problem`]; an [`Answer`] becomes a response in the sender's format; and a conversion
//! becomes an outgoing call.
//!
//! A dialect is data. To add a dialect:
//! 1. write its table in a file of `systems/`: endpoints, parameters with their meaning, required parameters;
//! 2. name it in the list of `systems/mod.rs`;
//! 3. put its documented call word for word into `tests/documented_calls/`;
//! 4. for values with parts that a table cannot describe, add a basket (`basket.rs`) or a rule (`rules.rs`);
//! 5. run the tests, which check every dialect: a built call parses to the same postback, and no bytes cause a panic.

pub mod amount;
mod answer;
mod basket;
mod build;
mod bulk;
mod call;
mod collect;
mod decode;
pub mod detect;
mod dialect;
mod field;
mod json;
mod lines;
mod multipart;
mod parsed;
mod path;
mod placeholder;
mod postback;
mod problem;
mod read;
mod recognise;
mod render;
mod rules;
pub mod senders;
mod systems;
pub mod template;
mod time;
mod values;
mod wire;

pub use amount::Amount;
pub use answer::{Answer, AnswerFormat, Rendered, Status, Wish};
pub use bulk::single_orders;
pub use call::{OutgoingCall, RawCall};
pub use decode::{decode_lossy, decode_pairs};
pub use detect::{Detection, detect};
pub use dialect::{Dialect, Evidence, Kind, Source};
pub use field::Field;
pub use parsed::{ParsedCall, parse_call};
pub use placeholder::is_placeholder;
pub use postback::{CLICK_LIMIT, CustomerType, ITEM_LIMIT, Intent, Item, Postback, State};
pub use problem::Problem;
pub use recognise::{is_postback_target, marked_prefixes, of_call, reserved_segments};
pub use render::PIXEL;
pub use senders::Sender;
pub use systems::{all, native, of_key};
pub use template::{Macro, Template, TemplateProblem};
