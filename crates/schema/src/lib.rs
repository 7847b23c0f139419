//! The ground floor: the generated tables, typed ids, money, and the tenant-scoped connection.
//!
//! Every other crate reads and writes Postgres through what is here. A table is written by exactly one crate above
//! (ARCHITECTURE.md says which); anyone above may read it.

pub mod batch;
pub mod changes;
pub mod clock;
mod db;
mod text_enum;

mod ids;
mod migrations;
mod money;
mod schema;
mod words;

pub use changes::Changes;
pub use db::{Db, DbError, NetworkConn, Transaction};
pub use ids::{
    AdvertiserId, AffiliateId, AlertId, ApiKeyId, ApplicationId, AuditId, BASE32, CampaignId, CapId,
    ClickKey, ConversionId, GoalId, GroupId, IdError, IntegrationId, InvitationId, LandingPageId,
    LedgerEntryId, LinkId, MembershipId, NetworkId, PersonId, PostbackId, RuleId, SessionId, UrlTemplateId,
};
pub use migrations::{migrate, migration_versions};
pub use money::{Currency, Money, UnknownCurrency};
pub use schema::*;
pub use words::Words;

#[doc(hidden)]
pub mod macro_support {
    pub use diesel;
    pub use tokio_postgres;
}
