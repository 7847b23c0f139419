//! Lowest layer: the generated tables, typed ids, money, sessions, and the transaction scoped to a network.
//!
//! All other crates access Postgres through this one. A table is written by exactly one crate above (see
//! ARCHITECTURE.md); all crates above that one may read it.

mod address;
pub mod batch;
pub mod changes;
pub mod clock;
mod db;
mod text_enum;

mod ids;
mod migrations;
mod money;
mod numeric;
mod opening;
mod schema;
mod session;
mod tls;
mod words;

pub use address::{Address, AddressError, Verification, with_password};
pub use changes::Changes;
pub use db::{Db, DbError, NetworkConn, Transaction};
pub use ids::{
    AdvertiserId, AffiliateId, AlertId, ApiKeyId, ApplicationId, AuditId, BASE32, CampaignId, CapId,
    ClickKey, ConversionId, DeliveryId, DestinationId, GoalId, GroupId, IdError, IntegrationId, InvitationId,
    LandingPageId, LedgerEntryId, LinkId, MembershipId, NetworkEventId, NetworkId, PersonId, PostbackId,
    ReportFileId, ReportLinkId, ReportMailId, RuleId, SavedReportId, SessionId, UrlTemplateId,
    WaitingCorrectionId,
};
pub use migrations::{MigrateError, NewerDatabase, migrate, migrate_one, migration_versions};
pub use money::{Currency, Money, UnknownCurrency, decimal};
pub use numeric::WideNumber;
pub use opening::Opening;
pub use schema::*;
pub use session::{ConnectError, Driver, are_sessions_shared, connect, connect_client};
pub use tls::{Stream, TlsError};
pub use words::Words;

#[doc(hidden)]
pub mod macro_support {
    pub use diesel;
    pub use serde;
    pub use tokio_postgres;
}
