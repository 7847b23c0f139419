//! Public endpoints of the tracking hosts: `/{alias}` and `/postback`. The only module of this crate with HTTP.
//!
//! It takes requests from the HTTP layer below actix-web: router and extractors were the most expensive part of a
//! click.

mod clicks;
mod dispatch;
mod pages;
mod postbacks;
mod request;
mod simulation;

pub use dispatch::answer;
pub use request::client_ip;
pub use simulation::simulate;
