//! Manifest of a backup, and the state of what is copied continuously. A backup without a manifest is incomplete: the
//! manifest is written last.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::target::{Stored, Target, TargetError};

/// Format of both.
const FORMAT: u32 = 1;
/// Folder of all backups.
pub(super) const BACKUPS: &str = "backups";
/// Name of a manifest.
const MANIFEST: &str = "manifest.json";
/// Secret beside what is copied continuously.
pub(super) const LATEST_SECRET: &str = "secret.key";
/// Name of the state of what is copied continuously.
const STATE: &str = "state.json";

/// Copy of the database in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub(crate) enum Image {
    /// Files of a cluster, consistent once its changes up to `end` are applied.
    Base {
        /// Timeline of the changes.
        timeline: u32,
        /// First byte of the changes that the files need.
        start: String,
        /// Last one.
        end: String,
    },
    /// Contents, by `pg_dump`.
    Dump,
}

/// Part of a segment of a journal that was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CopiedSegment {
    /// Folder of the journal: `0/clicks`.
    pub journal: String,
    /// Number of its first record.
    pub first: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Manifest of a complete backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: u32,
    /// Name of the backup: its start.
    pub name: String,
    /// Release of the program that made it.
    pub release: String,
    /// Latest migration of the database.
    pub schema: String,
    /// Version of Postgres.
    pub postgres: String,
    /// Start of the backup.
    pub started_at: DateTime<Utc>,
    /// Time from which on its copy of the database is consistent.
    pub finished_at: DateTime<Utc>,
    /// Copy of the database.
    pub image: Image,
    /// Files, with their checksums.
    pub files: Vec<Stored>,
    /// Segments of the journals, up to where they were copied.
    pub journals: Vec<CopiedSegment>,
}

/// Facts of a backup, for its manifest.
pub(super) struct Facts {
    pub(super) name: String,
    pub(super) schema: String,
    pub(super) postgres: String,
    pub(super) started_at: DateTime<Utc>,
    pub(super) finished_at: DateTime<Utc>,
    pub(super) image: Image,
    pub(super) files: Vec<Stored>,
    pub(super) journals: Vec<CopiedSegment>,
}

impl Manifest {
    pub(super) fn new(facts: Facts) -> Self {
        Self {
            format: FORMAT,
            name: facts.name,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            schema: facts.schema,
            postgres: facts.postgres,
            started_at: facts.started_at,
            finished_at: facts.finished_at,
            image: facts.image,
            files: facts.files,
            journals: facts.journals,
        }
    }

    /// File of the backup.
    pub(super) fn file(&self, name: &str) -> Option<&Stored> {
        let name = object(&self.name, name);
        self.files.iter().find(|file| file.name == name)
    }

    /// Bytes of its files.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Writes it, which completes the backup.
    pub(super) async fn write(&self, target: &Target) -> Result<(), TargetError> {
        target.put(&object(&self.name, MANIFEST), json(self)).await?;
        Ok(())
    }
}

/// Name of an object of a backup.
pub(super) fn object(backup: &str, file: &str) -> String {
    format!("{BACKUPS}/{backup}/{file}")
}

/// Name of a new backup.
pub(super) fn name_at(now: DateTime<Utc>) -> String {
    now.format("%Y%m%dT%H%M%S%3fZ").to_string()
}

/// Complete backups, the oldest first.
pub(super) async fn manifests(target: &Target) -> Result<Vec<Manifest>, TargetError> {
    let mut manifests = Vec::new();
    for (name, _) in target.list(BACKUPS).await? {
        if name.ends_with(&format!("/{MANIFEST}")) {
            manifests.push(read(target, &name, |manifest: &Manifest| manifest.format).await?);
        }
    }
    manifests.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(manifests)
}

/// State of what is copied continuously.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    format: u32,
    /// Data directory that is copied here; another one is refused, because its journals would mix with these.
    pub(crate) data_directory: String,
    /// Time up to which everything that was acknowledged is copied.
    pub(super) events_until: DateTime<Utc>,
    /// Time up to which all changes of the private Postgres are copied; `None` without them.
    pub(super) changes_until: Option<DateTime<Utc>>,
}

impl State {
    pub(super) fn new(data_directory: &str, events_until: DateTime<Utc>) -> Self {
        Self {
            format: FORMAT,
            data_directory: data_directory.to_owned(),
            events_until,
            changes_until: None,
        }
    }

    pub(super) async fn read(target: &Target) -> Result<Option<Self>, TargetError> {
        if target.get(STATE).await?.is_none() {
            return Ok(None);
        }
        read(target, STATE, |state: &Self| state.format).await.map(Some)
    }

    pub(super) async fn write(&self, target: &Target) -> Result<(), TargetError> {
        target.put(STATE, json(self)).await?;
        Ok(())
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "strings, numbers and times always serialize")]
    serde_json::to_vec_pretty(value).expect("strings and numbers serialize")
}

async fn read<T: serde::de::DeserializeOwned>(
    target: &Target,
    name: &str,
    format: impl Fn(&T) -> u32,
) -> Result<T, TargetError> {
    let bytes = target.read(name).await?;
    match serde_json::from_slice(&bytes) {
        Ok(read) if format(&read) <= FORMAT => Ok(read),
        Ok(_) => target.is_damaged(name, "a later release made it; use that release"),
        Err(error) => target.is_damaged(name, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::test_target;

    fn facts(name: &str) -> Facts {
        let now = "2026-12-24T18:00:00Z".parse().unwrap();
        Facts {
            name: name.to_owned(),
            schema: "20261130".to_owned(),
            postgres: "17.2".to_owned(),
            started_at: now,
            finished_at: now,
            image: Image::Dump,
            files: Vec::new(),
            journals: Vec::new(),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_backup_without_a_manifest_is_not_listed() {
        let (_folder, target) = test_target();
        target
            .put(&object("20261224T000000000Z", "database.dump"), vec![1])
            .await
            .unwrap();
        assert_eq!(manifests(&target).await.unwrap(), []);
        let manifest = Manifest::new(facts("20261224T000000000Z"));
        manifest.write(&target).await.unwrap();
        let earlier = Manifest::new(facts("20261223T000000000Z"));
        earlier.write(&target).await.unwrap();
        assert_eq!(manifests(&target).await.unwrap(), [earlier, manifest]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_manifest_of_a_later_release_and_a_damaged_one_are_refused() {
        let (_folder, target) = test_target();
        let mut later = Manifest::new(facts("20261224T000000000Z"));
        later.format += 1;
        later.write(&target).await.unwrap();
        let refused = manifests(&target).await.unwrap_err().to_string();
        assert!(refused.contains("a later release made it"), "{refused}");
        let name = object("20261224T000000000Z", MANIFEST);
        target.put(&name, b"{".to_vec()).await.unwrap();
        let refused = manifests(&target).await.unwrap_err().to_string();
        assert!(refused.contains("manifest.json is damaged"), "{refused}");
    }
}
