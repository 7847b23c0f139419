//! The API as programs use it: authentication, idempotency, errors, and its agreement with the OpenAPI document.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first unexpected result"
)]

#[path = "api/description.rs"]
mod description;
#[path = "api/files.rs"]
mod files;
#[path = "api/hostile.rs"]
mod hostile;
#[path = "api/keys.rs"]
mod keys;
#[path = "api/limits.rs"]
mod limits;
#[path = "api/lists.rs"]
mod lists;
#[path = "api/onboarding.rs"]
mod onboarding;
#[path = "api/page.rs"]
mod page;
#[path = "api/repeating.rs"]
mod repeating;
#[path = "api/setup.rs"]
mod setup;
#[path = "api/sheets.rs"]
mod sheets;
#[path = "api/spans.rs"]
mod spans;
#[path = "api/tokens.rs"]
mod tokens;
