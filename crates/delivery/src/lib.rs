//! Delivery: events of conversions to trackers of affiliates (partner postbacks) and to systems of networks (webhooks), at
//! least once, in order per destination and conversion, with a row for each attempt; and the [`stream`] that programs fetch.
//!
//! The events are stored by the transaction that changes a conversion ([`conversions::StoredEvent`]). The [`Engine`] of
//! each node queues a delivery for each destination that an event concerns, and sends it.

mod connector;
pub mod consumers;
mod content;
pub mod deliveries;
pub mod destinations;
mod engine;
mod facts;
mod format;
mod grant;
mod guard;
mod message;
mod notices;
mod platform;
mod retention;
mod schedule;
mod send;
mod signature;
pub mod stream;
mod tester;
mod value_maps;

pub use content::{Content, DeliveryEvent, NetworkFacts};
pub use engine::{Engine, EngineSettings, Lateness, SetAlarm};
pub use facts::{Facts, SCHEMA_VERSION, example};
pub use format::BodyFormat;
pub use grant::Grant;
pub use guard::{Allowed, Guard, Refused};
pub use message::{Target, Writer};
pub use notices::notify;
pub use platform::platform_url;
pub use retention::remove_old;
pub use send::{Call, CallMethod, Caller, Outcome};
pub use signature::SigningSecret;
pub use tester::{TestError, Tested, Tester};
pub use value_maps::ValueMaps;
