//! Development only: a real Postgres, the real server on port 0, actors that use its public HTTP, and a real Chromium.
//!
//! ```no_run
//! # #[tokio::main] async fn main() {
//! let app = testkit::TestApp::spawn().await;
//! let click = app.visitor().click("?sub1=newsletter").await;
//! let answer = app.advertiser().postback(&[("click_id", &click.id), ("order_id", "A-1"), ("amount", "10")]).await;
//! assert_eq!(answer.reason(), "accepted");
//! app.finish().await;
//! # }
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test code stops at the first surprise"
)]

mod actors;
mod api;
mod app;
pub mod browser;
mod configuring;
mod dns;
mod mail;
pub mod people;
mod postgres;
mod receiver;
mod scene;
pub mod site;

pub use actors::{AdvertiserServer, Answer, Click, Member, Page, Visitor, api_key};
pub use api::ApiClient;
pub use app::{TestApp, TestOptions};
pub use configuring::PAY;
pub use dns::DnsServer;
pub use mail::{MailSink, ReceivedMail};
pub use postgres::{TestDatabase, TestPostgres, bin_dir, free_port};
pub use receiver::{Behaviour, Received, Receiver};
pub use scene::{Scene, SignIn};
