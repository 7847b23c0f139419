//! Backups: copies of the database, of all journals and of the secret, in a folder or in a bucket of S3-compatible storage.
//!
//! | name | contents |
//! |---|---|
//! | `backups/{start}/…` | one copy of the database, the secret, and `manifest.json`, which is written last |
//! | `journal/{slot}/{stream}/{segment}/{offset}-{checksum}` | pieces of the journals, shared by all backups |
//! | `wal/…` | changes of the private Postgres, copied by a server |
//! | `state.json` | time up to which everything is copied, and whose data directory it is |
//!
//! The database is copied before the journals, so the journals always reach further: what they have beyond the database is
//! applied after a restore.

mod http;
mod journals;
pub(crate) mod keep;
pub(crate) mod manifest;
mod prune;
pub(crate) mod restore;
mod take;
pub(crate) mod target;
mod wal;

pub(crate) use journals::CopyError;
pub(crate) use prune::prune;
pub(crate) use take::{Source, check_owner, take};
pub(crate) use target::TargetError;
pub(crate) use wal::stop_keeping_changes;

use crate::postgres::tools::ToolError;

/// Reason why a backup was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    /// The place of the backups failed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Journals were not copied.
    #[error(transparent)]
    Journals(#[from] CopyError),
    /// A program of Postgres failed.
    #[error(transparent)]
    Tool(ToolError),
    /// The database does not answer.
    #[error("cannot connect to the database: {0}")]
    Connect(#[from] diesel::ConnectionError),
    /// A statement failed.
    #[error("database: {0}")]
    Query(#[from] diesel::result::Error),
    /// The receiver of changes is behind, or does not run.
    #[error("pg_receivewal has not received the latest changes of the database within 10 s. It printed: {0}")]
    NotReceived(String),
    /// The place belongs to another data directory.
    #[error(
        "{0} holds the backups of another data directory. Each data directory needs a place of its kind, also a restored one: \
         choose another folder or prefix"
    )]
    OtherDirectory(String),
    /// The place has lost what this process wrote.
    #[error(
        "{0} no longer has the backups that this server wrote. Mount its disk again; if its contents were removed, restart the \
         server to begin anew"
    )]
    Emptied(String),
    /// `pg_basebackup` wrote no list of its files.
    #[error("pg_basebackup wrote no usable backup_manifest: {0}")]
    NoManifest(String),
    /// `pg_dump` with a login that row-level security restricts.
    #[error(
        "pg_dump needs a login that row-level security does not restrict: a superuser, or a login with BYPASSRLS that may read \
         all tables. Name it in OWNER_DATABASE_URL for this command. pg_dump printed: {0}"
    )]
    RestrictedLogin(String),
}

/// Target in a temporary folder.
#[cfg(test)]
fn test_target() -> (tempfile::TempDir, target::Target) {
    use crate::config::{Place, S3Options};

    let folder = tempfile::tempdir().unwrap();
    let place = Place::Folder(folder.path().to_owned());
    let target = target::Target::open(&place, &S3Options::default()).unwrap();
    (folder, target)
}
