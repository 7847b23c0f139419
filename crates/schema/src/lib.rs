//! The ground floor: the generated tables, typed ids, money, and the tenant-scoped connection.
//!
//! Every other crate reads and writes Postgres through what is here. A table is written by exactly one crate above
//! (ARCHITECTURE.md says which); anyone above may read it.

pub mod clock;
mod db;
mod ids;
mod migrations;
mod money;
mod schema;
mod text_enum;

pub use db::{Db, DbError, NetworkConn, Transaction};
pub use ids::{
    AdvertiserId, AffiliateId, BASE32, CampaignId, ClickKey, ConversionId, GoalId, IdError, IntegrationId,
    LedgerEntryId, LinkId, MembershipId, NetworkId, PersonId, PostbackId,
};
pub use migrations::migrate;
pub use money::{Currency, Money, UnknownCurrency};
pub use schema::*;

#[doc(hidden)]
pub mod macro_support {
    pub use diesel;
}
