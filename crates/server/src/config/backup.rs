//! Options of backups: their place, what is kept of them, and the restore.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};

use super::StoreOptions;
use super::store::{OptionError, read_secret};

/// Guide at the end of the help of `backup`.
pub(super) const BACKUP_HELP: &str = include_str!("backup_help.txt");
/// Guide at the end of the help of `restore`.
pub(super) const RESTORE_HELP: &str = include_str!("restore_help.txt");

/// Folder, or prefix of a bucket, that holds backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Folder on this machine, or mounted on it.
    Folder(PathBuf),
    /// Bucket of S3-compatible storage.
    Bucket {
        /// Name.
        bucket: String,
        /// Prefix of all names, without slashes at its ends; may be empty.
        prefix: String,
    },
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// Parses a place.
fn place(text: &str) -> Result<Place, String> {
    let Some(rest) = text.strip_prefix("s3://") else {
        let is_path = !text.is_empty() && !text.contains("://");
        return is_path
            .then(|| Place::Folder(PathBuf::from(text)))
            .ok_or_else(|| "write a folder, or a bucket as s3://bucket/prefix".to_owned());
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err("the name of the bucket is missing: s3://bucket/prefix".to_owned());
    }
    Ok(Place::Bucket {
        bucket: bucket.to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
    })
}

/// Access to S3-compatible storage.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "S3-compatible storage")]
pub struct S3Options {
    /// URL of the storage, such as `https://s3.example.com` [default: Amazon S3 in the region].
    #[arg(long, env = "CLICKLEDGER_S3_ENDPOINT", value_name = "URL")]
    pub s3_endpoint: Option<String>,
    /// Region of the bucket.
    #[arg(long, env = "AWS_REGION", default_value = "us-east-1")]
    pub s3_region: String,
    /// Access key [default: the role of the machine, on Amazon EC2].
    #[arg(long, env = "AWS_ACCESS_KEY_ID", value_name = "KEY")]
    pub s3_access_key_id: Option<String>,
    /// Secret of the access key.
    #[arg(
        long,
        env = "AWS_SECRET_ACCESS_KEY",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    pub s3_secret_access_key: Option<String>,
    /// File with the secret of the access key, in place of --s3-secret-access-key.
    #[arg(long, env = "CLICKLEDGER_S3_SECRET_ACCESS_KEY_FILE", value_name = "FILE")]
    pub s3_secret_access_key_file: Option<PathBuf>,
}

impl S3Options {
    /// Secret of the access key; `None` if none is given.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn secret_access_key(&self) -> Result<Option<String>, OptionError> {
        let file = self.s3_secret_access_key_file.as_deref();
        match (&self.s3_secret_access_key, file) {
            (Some(secret), None) => Ok(Some(secret.clone())),
            (_, Some(path)) => read_secret("s3-secret-access-key-file", path).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// Backups that are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Number of the newest ones; `None` for no such limit.
    pub newest: Option<u32>,
    /// Days for which each is kept; `None` for no such limit.
    pub days: Option<u32>,
}

/// Backups that the server makes itself.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Backups")]
pub struct ServeBackupOptions {
    /// Folder or s3://bucket/prefix to which journals and the changes of the private Postgres are copied continuously, and
    /// all of it once a day. Without it, nothing is copied.
    #[arg(long, env = "CLICKLEDGER_BACKUP_TO", value_name = "PLACE", value_parser = place)]
    pub backup_to: Option<Place>,
    /// Seconds between two copies of what is new: with the time of a copy, the most that is lost with the disk of this
    /// machine.
    #[arg(long, env = "CLICKLEDGER_BACKUP_INTERVAL_SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub backup_interval_seconds: u64,
    /// Hours between two copies of the whole database.
    #[arg(long, env = "CLICKLEDGER_BACKUP_EVERY_HOURS", default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=720))]
    pub backup_every_hours: u64,
    /// Number of the copies of the database that are kept, with everything that is newer than the oldest of them.
    #[arg(long, env = "CLICKLEDGER_KEEP_BACKUPS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_backups: u32,
    /// Access to S3-compatible storage.
    #[command(flatten)]
    pub s3: S3Options,
}

/// Way to copy the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BackupMethod {
    /// Files of the private Postgres, while it runs. Can be restored to any time from then on, with the changes that a
    /// server copies (--backup-to).
    Base,
    /// Contents of any Postgres, by `pg_dump`. Can be restored to the time of the dump only, also into a newer Postgres.
    Dump,
}

/// `clickledger backup`
#[derive(Debug, Clone, Args)]
pub struct BackupOptions {
    /// Database and secret of the installation.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Folder or s3://bucket/prefix of the backups.
    #[arg(long, env = "CLICKLEDGER_BACKUP_TO", value_name = "PLACE", value_parser = place)]
    pub to: Place,
    /// Way to copy the database [default: base for the private Postgres, dump for another].
    #[arg(long, value_enum)]
    pub method: Option<BackupMethod>,
    /// Afterwards, remove all but this number of the newest backups.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
    /// Afterwards, remove backups that are older; with --keep, those that neither option keeps.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_days: Option<u32>,
    /// Access to S3-compatible storage.
    #[command(flatten)]
    pub s3: S3Options,
}

impl BackupOptions {
    /// Backups to keep; `None` for all.
    #[must_use]
    pub fn retention(&self) -> Option<Retention> {
        let retention = Retention {
            newest: self.keep,
            days: self.keep_days,
        };
        (retention != Retention::default()).then_some(retention)
    }
}

/// `clickledger restore`
#[derive(Debug, Clone, Args)]
pub struct RestoreOptions {
    /// Database and secret of the restored installation; its data directory must be empty.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Folder or s3://bucket/prefix of the backups.
    #[arg(long, env = "CLICKLEDGER_BACKUP_TO", value_name = "PLACE", value_parser = place)]
    pub from: Place,
    /// Time of the database, such as 2026-12-24T18:00:00Z [default: the latest that was copied]. Clicks and postbacks that
    /// were acknowledged later are restored too.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<DateTime<Utc>>,
    /// Folder of journals that survived, which replace the copies: they may reach further.
    #[arg(long, value_name = "DIR")]
    pub journals: Option<PathBuf>,
    /// Restore journals and secret only, for a database of DATABASE_URL that was restored by its own means.
    #[arg(long, conflicts_with = "to")]
    pub journals_only: bool,
    /// Days that the verification at the end looks back.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=3660))]
    pub days: u16,
    /// Access to S3-compatible storage.
    #[command(flatten)]
    pub s3: S3Options,
}

impl RestoreOptions {
    /// Folder of journals that survived.
    #[must_use]
    pub fn surviving_journals(&self) -> Option<&Path> {
        self.journals.as_deref()
    }
}

/// Parses a time with its offset.
fn time(text: &str) -> Result<DateTime<Utc>, String> {
    text.parse().map_err(|_: chrono::ParseError| {
        "write a time with its offset, such as 2026-12-24T18:00:00Z".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_folders_and_buckets() {
        assert_eq!(place("/mnt/backups"), Ok(Place::Folder("/mnt/backups".into())));
        assert_eq!(place("backups"), Ok(Place::Folder("backups".into())));
        let bucket = |text: &str| place(text).unwrap().to_string();
        assert_eq!(bucket("s3://bucket/one/two/"), "s3://bucket/one/two");
        assert_eq!(bucket("s3://bucket"), "s3://bucket/");
        for wrong in [
            "",
            "s3://",
            "s3:///prefix",
            "https://bucket/prefix",
            "gs://bucket",
        ] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_needs_its_offset() {
        assert!(time("2026-12-24T18:00:00+01:00").is_ok());
        assert!(time("2026-12-24T18:00:00").is_err());
        assert!(time("2026-12-24").is_err());
    }
}
