//! Removal of old backups, and of what only they needed.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use super::journals::{JOURNALS, Piece};
use super::manifest::{self, BACKUPS, Image, Manifest};
use super::target::{Target, TargetError};
use super::wal::{self, CHANGES};
use crate::config::Retention;

/// Age after which a backup without a manifest is taken to be abandoned.
const ABANDONED_AFTER: TimeDelta = TimeDelta::hours(48);

/// Removes backups that are not kept, incomplete ones that are old, and changes and journals older than the oldest that is
/// kept. Returns the names of the removed backups.
pub(crate) async fn prune(
    target: &Target,
    retention: Retention,
    now: DateTime<Utc>,
) -> Result<Vec<String>, TargetError> {
    let manifests = manifest::manifests(target).await?;
    let kept = kept(&manifests, retention, now);
    let Some(oldest) = kept.first() else {
        return Ok(Vec::new());
    };
    let mut removed = BTreeSet::new();
    let mut objects = target.list(BACKUPS).await?;
    // The manifest first, so that a backup is never incomplete with one.
    objects.sort_by_key(|(name, _)| !name.ends_with(".json"));
    for (object, _) in objects {
        let Some(name) = backup_of(&object) else { continue };
        let is_kept = kept.iter().any(|manifest| manifest.name == name);
        let is_complete = manifests.iter().any(|manifest| manifest.name == name);
        if !is_kept && (is_complete || is_abandoned(name, now)) {
            target.delete(&object).await?;
            removed.insert(name.to_owned());
        }
    }
    for (object, _) in target.list(CHANGES).await? {
        if is_older_change(&object, &kept) {
            target.delete(&object).await?;
        }
    }
    let firsts = first_segments(oldest);
    for (object, _) in target.list(JOURNALS).await? {
        let piece = Piece::parse(&object);
        let is_old = piece.is_some_and(|piece| {
            firsts
                .get(piece.journal.as_str())
                .is_some_and(|first| piece.first < *first)
        });
        if is_old {
            target.delete(&object).await?;
        }
    }
    Ok(removed.into_iter().collect())
}

/// Backups that are kept, the oldest first: always the newest one.
fn kept(manifests: &[Manifest], retention: Retention, now: DateTime<Utc>) -> Vec<&Manifest> {
    let count = manifests.len();
    let newest = retention
        .newest
        .map_or(0, |newest| usize::try_from(newest).unwrap_or(usize::MAX));
    let is_young = |manifest: &Manifest| {
        let days = retention.days.map(i64::from);
        days.is_some_and(|days| now - manifest.finished_at <= TimeDelta::days(days))
    };
    manifests
        .iter()
        .enumerate()
        .filter(|(index, manifest)| index + newest.max(1) >= count || is_young(manifest))
        .map(|(_, manifest)| manifest)
        .collect()
}

/// Name of the backup of an object.
fn backup_of(object: &str) -> Option<&str> {
    let rest = object.strip_prefix(BACKUPS)?.strip_prefix('/')?;
    rest.split_once('/').map(|(name, _)| name)
}

fn is_abandoned(name: &str, now: DateTime<Utc>) -> bool {
    name < manifest::name_at(now - ABANDONED_AFTER).as_str()
}

/// True for a segment of changes that no kept copy of the database needs.
fn is_older_change(object: &str, kept: &[&Manifest]) -> bool {
    let oldest = kept.iter().find_map(|manifest| match &manifest.image {
        Image::Base { timeline, start, .. } => wal::segment_at(*timeline, start),
        Image::Dump => None,
    });
    oldest
        .zip(wal::segment_of(object))
        .is_some_and(|(oldest, segment)| segment < oldest.as_str())
}

/// First segment of each journal in a backup.
fn first_segments(manifest: &Manifest) -> HashMap<&str, u64> {
    let mut firsts = HashMap::new();
    for segment in &manifest.journals {
        let first = firsts.entry(segment.journal.as_str()).or_insert(segment.first);
        *first = segment.first.min(*first);
    }
    firsts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::manifest::{CopiedSegment, Facts, object};
    use crate::backup::test_target;

    fn manifest(name: &str, start: &str, first: u64) -> Manifest {
        let at = chrono::NaiveDateTime::parse_from_str(name, "%Y%m%dT%H%M%S%3fZ")
            .unwrap()
            .and_utc();
        Manifest::new(Facts {
            name: name.to_owned(),
            schema: String::new(),
            postgres: String::new(),
            started_at: at,
            finished_at: at,
            image: Image::Base {
                timeline: 1,
                start: start.to_owned(),
                end: start.to_owned(),
            },
            files: Vec::new(),
            journals: vec![CopiedSegment {
                journal: "0/clicks".to_owned(),
                first,
                bytes: 1,
            }],
        })
    }

    fn days(count: i64) -> Vec<Manifest> {
        let day = |day| manifest(&format!("202612{day:02}T000000000Z"), "0/2000028", 0);
        (1..=count).map(day).collect()
    }

    #[test]
    fn the_newest_are_kept_and_the_young_and_always_one() {
        let now = "2026-12-10T12:00:00Z".parse().unwrap();
        let manifests = days(9);
        let count = |newest, days| kept(&manifests, Retention { newest, days }, now).len();
        assert_eq!(count(Some(3), None), 3);
        assert_eq!(count(Some(30), None), 9);
        assert_eq!(count(None, Some(4)), 3);
        assert_eq!(count(Some(2), Some(4)), 3);
        assert_eq!(count(Some(5), Some(4)), 5);
        let later = "2027-12-10T12:00:00Z".parse().unwrap();
        let retention = Retention {
            newest: None,
            days: Some(1),
        };
        let kept = kept(&manifests, retention, later);
        assert_eq!(kept, [manifests.last().unwrap()]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_only_removed_backups_needed_is_removed_with_them() {
        let (_folder, target) = test_target();
        let put = async |name: &str| {
            target.put(name, vec![1]).await.unwrap();
        };
        for (name, start, first) in [
            ("20261201T000000000Z", "0/2000028", 0),
            ("20261202T000000000Z", "0/5000028", 700),
            ("20261203T000000000Z", "0/9000028", 900),
        ] {
            put(&object(name, "base.tar.gz")).await;
            manifest(name, start, first).write(&target).await.unwrap();
        }
        put(&object("20261130T000000000Z", "base.tar.gz")).await;
        put(&object("20261204T110000000Z", "base.tar.gz")).await;
        for segment in [4, 5, 9] {
            put(&format!("{CHANGES}/0000000100000000{segment:08X}.gz")).await;
        }
        for first in [0, 700, 900] {
            put(&format!("{JOURNALS}/0/clicks/{first:020}/000000000000-abc")).await;
        }
        put(&format!("{JOURNALS}/0/clicks/identity")).await;
        put(&format!("{JOURNALS}/1/clicks/{:020}/000000000000-abc", 0)).await;
        let retention = Retention {
            newest: Some(2),
            days: None,
        };
        let now = "2026-12-04T12:00:00Z".parse().unwrap();
        let removed = prune(&target, retention, now).await.unwrap();
        assert_eq!(removed, ["20261130T000000000Z", "20261201T000000000Z"]);
        let listed = target.list("").await.unwrap();
        let names: Vec<_> = listed.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "backups/20261202T000000000Z/base.tar.gz",
                "backups/20261202T000000000Z/manifest.json",
                "backups/20261203T000000000Z/base.tar.gz",
                "backups/20261203T000000000Z/manifest.json",
                "backups/20261204T110000000Z/base.tar.gz",
                "journal/0/clicks/00000000000000000700/000000000000-abc",
                "journal/0/clicks/00000000000000000900/000000000000-abc",
                "journal/0/clicks/identity",
                "journal/1/clicks/00000000000000000000/000000000000-abc",
                "wal/000000010000000000000005.gz",
                "wal/000000010000000000000009.gz",
            ]
        );
    }
}
