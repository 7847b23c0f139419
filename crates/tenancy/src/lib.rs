//! Tenants and access: networks, advertisers and affiliates, people and their roles, sessions, API keys, audit log.
//!
//! One module per table, with its row, its insert and its queries; every change adds an audit log entry in its
//! transaction. Queries on a tenant's table take a [`schema::NetworkConn`]; the few reads that must work before the
//! network is known are in [`unscoped`].

mod actor;
pub mod advertisers;
pub mod affiliates;
pub mod api_keys;
pub mod api_tokens;
pub mod applications;
pub mod audit;
mod author;
pub mod csv_export;
mod draft;
pub mod erasure;
mod error;
pub mod exchange_rates;
pub mod groups;
pub mod host_checks;
pub mod idempotency;
pub mod impersonation;
pub mod import;
pub mod invitations;
mod mail;
pub mod mail_templates;
pub mod mailed_links;
pub mod memberships;
pub mod network_events;
pub mod networks;
mod one_time;
pub mod operators;
pub mod parties;
mod passwords;
pub mod people;
mod permissions;
mod rate;
mod reference;
mod roles;
mod secret;
pub mod sessions;
pub mod table;
mod throttle;
pub mod two_factor;
pub mod unscoped;
mod urls;
pub mod work;

pub use actor::{Access, Actor, Impersonation};
pub use author::{Author, Via};
pub use draft::{Draft, check_number, yes_or_empty};
pub use error::{ChangeError, FieldErrors, check_email, check_name, check_text, taken};
pub use mail::{Attachment, Delivery, Mail, MailError, MailSettings, Mailer};
pub use one_time::OneTimeToken;
pub use passwords::{PasswordHash, Passwords, TooBusy, check_password};
pub use permissions::{ApiScope, Need, NotPermitted, Permission, Scope, needs};
pub use rate::{Quota, RateLimit};
pub use reference::resolve_reference;
pub use roles::{Role, RoleKind};
pub use secret::{Secret, SecretError};
pub use throttle::{SignInThrottle, TooManyAttempts, WINDOW as THROTTLE_WINDOW};
pub use urls::Urls;
