//! How systems spell a postback. Pure: bytes in, a canonical [`Postback`] and perhaps a [`Problem`] out, and an
//! [`Answer`] back in the sender's own voice; and the other way round, the call that tells a system of a conversion.
//!
//! A dialect is data. To add a system:
//! 1. write its table in a file of `systems/`: endpoints, parameters with their meaning, what it requires;
//! 2. name it in the list of `systems/mod.rs`;
//! 3. put its documented call word for word into `tests/documented_calls/`;
//! 4. where its values have parts that no table can say, give it a basket (`basket.rs`) or a rule (`rules.rs`);
//! 5. run the tests: that what is built reads back, and that no bytes make it panic, is tested for all of them.

pub mod amount;
mod answer;
mod basket;
mod build;
mod call;
mod collect;
mod decode;
pub mod detect;
mod dialect;
mod field;
mod json;
mod lines;
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
pub use call::{OutgoingCall, RawCall};
pub use decode::decode_pairs;
pub use detect::{Detection, detect};
pub use dialect::{Confidence, Dialect, Kind};
pub use field::Field;
pub use parsed::{ParsedCall, parse_call};
pub use placeholder::is_placeholder;
pub use postback::{CLICK_LIMIT, CustomerType, ITEM_LIMIT, Intent, Item, Postback, State};
pub use problem::Problem;
pub use recognise::{is_postback_target, of_call, reserved_segments};
pub use render::PIXEL;
pub use senders::Sender;
pub use systems::{all, native, of_key};
pub use template::{Macro, Template, TemplateProblem};
