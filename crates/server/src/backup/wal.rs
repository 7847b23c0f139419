//! Copies of the changes of the private Postgres (its write-ahead log): received by `pg_receivewal` into the data directory,
//! and copied to the target segment by segment. The segment that is not full yet is copied again whenever it grows.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use diesel::sql_types::{Bool, Nullable, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tokio::task::block_in_place;

use super::BackupError;
use super::target::{Target, TargetError, file_error, hash_file};
use crate::postgres::tools::{Receiver, SLOT, ToolError, Tools};

/// Folder of the copies.
pub(super) const CHANGES: &str = "wal";
/// End of the name of a segment that is not full yet, as `pg_receivewal` writes it.
const PARTIAL: &str = ".partial";
/// End of the name of a compressed object.
const COMPRESSED: &str = ".gz";
/// Digits of the name of a segment: timeline, and position.
const NAME_DIGITS: usize = 24;
/// Segments of 16 MiB in the 4 GiB that share the first half of a position.
const SEGMENTS_OF_HIGH: u64 = 256;
/// Longest wait for the receiver to reach the present.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(10);
const RECEIVE_POLL_INTERVAL: Duration = Duration::from_millis(20);

#[derive(QueryableByName)]
struct One {
    #[diesel(sql_type = Nullable<Text>)]
    text: Option<String>,
}

#[derive(QueryableByName)]
struct Reached {
    #[diesel(sql_type = Nullable<Bool>)]
    reached: Option<bool>,
}

/// Receives the changes of the private Postgres and copies them.
pub(super) struct ChangeCopy {
    tools: Tools,
    url: String,
    folder: PathBuf,
    receiver: Option<Receiver>,
    copied: HashSet<String>,
    /// Name and checksum of the last copy of a segment that is not full.
    partial: Option<(String, String)>,
}

impl ChangeCopy {
    /// Continues the copy in a target.
    pub(super) async fn resume(
        target: &Target,
        tools: Tools,
        url: &str,
        folder: PathBuf,
    ) -> Result<Self, TargetError> {
        let copied = target.list(CHANGES).await?.into_iter().map(|(name, _)| name);
        block_in_place(|| fs::create_dir_all(&folder)).map_err(file_error(&folder))?;
        Ok(Self {
            tools,
            url: url.to_owned(),
            folder,
            receiver: None,
            copied: copied.filter(|name| !name.contains(PARTIAL)).collect(),
            partial: None,
        })
    }

    /// Copies all changes up to now. Returns false if some before now are lost, because Postgres could not keep them until
    /// they were copied: the database must be copied again.
    pub(super) async fn run(&mut self, target: &Target) -> Result<bool, BackupError> {
        let mut conn = schema::connect(&self.url).await?;
        let is_unbroken = self.keep_receiving(&mut conn).await?;
        self.wait_for_present(&mut conn).await?;
        self.copy(target).await?;
        Ok(is_unbroken)
    }

    /// Starts the receiver, unless it runs.
    async fn keep_receiving(&mut self, conn: &mut AsyncPgConnection) -> Result<bool, BackupError> {
        if self.receiver.as_ref().is_some_and(Receiver::is_running) {
            return Ok(true);
        }
        self.receiver = None;
        let status: Vec<One> =
            sql_query("SELECT wal_status AS text FROM pg_replication_slots WHERE slot_name = $1")
                .bind::<Text, _>(SLOT)
                .load(conn)
                .await?;
        let is_lost = status.iter().any(|slot| slot.text.as_deref() == Some("lost"));
        if is_lost {
            drop_slot(conn).await?;
            block_in_place(|| empty(&self.folder)).map_err(file_error(&self.folder))?;
        }
        let is_new = status.is_empty() || is_lost;
        if is_new {
            sql_query("SELECT pg_create_physical_replication_slot($1, true)")
                .bind::<Text, _>(SLOT)
                .execute(conn)
                .await?;
        }
        let log = self.folder.with_extension("log");
        self.receiver = Some(block_in_place(|| {
            self.tools.receive(&self.url, &self.folder, &log)
        })?);
        Ok(!is_new)
    }

    /// Waits until the receiver has synced everything that is committed now.
    async fn wait_for_present(&self, conn: &mut AsyncPgConnection) -> Result<(), BackupError> {
        let now: One = sql_query("SELECT pg_current_wal_flush_lsn()::text AS text")
            .get_result(conn)
            .await?;
        let began = Instant::now();
        loop {
            let found: Reached = sql_query(
                "SELECT bool_or(flush_lsn >= $1::pg_lsn) AS reached FROM pg_stat_replication
                 WHERE application_name = 'pg_receivewal'",
            )
            .bind::<Nullable<Text>, _>(&now.text)
            .get_result(conn)
            .await?;
            if found.reached == Some(true) {
                return Ok(());
            }
            if began.elapsed() > RECEIVE_TIMEOUT {
                let log = self.folder.with_extension("log");
                return Err(BackupError::NotReceived(
                    fs::read_to_string(log).unwrap_or_default().trim().to_owned(),
                ));
            }
            tokio::time::sleep(RECEIVE_POLL_INTERVAL).await;
        }
    }

    async fn copy(&mut self, target: &Target) -> Result<(), TargetError> {
        let names = block_in_place(|| names_in(&self.folder)).map_err(file_error(&self.folder))?;
        let (partial, full): (Vec<_>, Vec<_>) = names.iter().partition(|name| name.ends_with(PARTIAL));
        for name in &full {
            let object = format!("{CHANGES}/{name}{COMPRESSED}");
            if !self.copied.contains(&object) {
                let path = self.folder.join(name);
                let packed = block_in_place(|| pack(&path)).map_err(file_error(&path))?;
                target.put(&object, packed).await?;
                target
                    .delete(&format!("{CHANGES}/{name}{PARTIAL}{COMPRESSED}"))
                    .await?;
                self.copied.insert(object);
            }
        }
        for name in partial {
            let mut path = self.folder.join(name);
            let hashed = match block_in_place(|| hash_file(&path)) {
                // It has just become full, and the next run copies it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    path = self.folder.join(name.trim_end_matches(PARTIAL));
                    block_in_place(|| hash_file(&path))
                }
                hashed => hashed,
            };
            let copy = (name.clone(), hashed.map_err(file_error(&path))?);
            if self.partial.as_ref() != Some(&copy) {
                let packed = match block_in_place(|| pack(&path)) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    packed => packed.map_err(file_error(&path))?,
                };
                target
                    .put(&format!("{CHANGES}/{name}{COMPRESSED}"), packed)
                    .await?;
                self.partial = Some(copy);
            }
        }
        // The receiver continues behind the newest file that it finds.
        let segments = full.iter().filter(|name| is_segment(name));
        let old = segments.rev().skip(1);
        for name in old {
            let path = self.folder.join(name);
            block_in_place(|| fs::remove_file(&path)).map_err(file_error(&path))?;
        }
        Ok(())
    }
}

/// Lets Postgres forget changes that no one copies any more.
pub(crate) async fn stop_keeping_changes(url: &str) -> Result<(), diesel::result::Error> {
    let Ok(mut conn) = schema::connect(url).await else {
        return Ok(());
    };
    drop_slot(&mut conn).await
}

async fn drop_slot(conn: &mut AsyncPgConnection) -> Result<(), diesel::result::Error> {
    sql_query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active")
        .bind::<Text, _>(SLOT)
        .execute(conn)
        .await?;
    Ok(())
}

fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(folder)?.flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| is_segment(name) || name.ends_with(PARTIAL) || name.ends_with(".history"))
        .collect();
    names.sort();
    Ok(names)
}

fn empty(folder: &Path) -> io::Result<()> {
    for name in names_in(folder)? {
        fs::remove_file(folder.join(name))?;
    }
    Ok(())
}

fn is_segment(name: &str) -> bool {
    name.len() == NAME_DIGITS && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Name of the segment in an object's name; `None` for other objects.
pub(super) fn segment_of(object: &str) -> Option<&str> {
    let name = object
        .strip_prefix(CHANGES)?
        .strip_prefix('/')?
        .strip_suffix(COMPRESSED)?;
    let name = name.strip_suffix(PARTIAL).unwrap_or(name);
    is_segment(name).then_some(name)
}

/// Name of the segment with a position such as `0/2000028`, in segments of the default size of 16 MiB.
pub(super) fn segment_at(timeline: u32, position: &str) -> Option<String> {
    let (high, low) = position.split_once('/')?;
    let (high, low) = (
        u32::from_str_radix(high, 16).ok()?,
        u32::from_str_radix(low, 16).ok()?,
    );
    Some(format!("{timeline:08X}{high:08X}{:08X}", low >> 24))
}

/// Changes that were copied after a copy of the database.
pub(super) struct Fetched {
    /// Number of files.
    pub(super) count: u64,
    /// First segment that is missing although later ones exist: nothing behind it can be applied.
    pub(super) missing: Option<String>,
}

/// Writes the changes from one segment on to a folder; those from `end` on, in which the copy of the database ends, are
/// complete if none is missing.
pub(super) async fn fetch(
    target: &Target,
    from: &str,
    end: &str,
    folder: &Path,
) -> Result<Fetched, TargetError> {
    let listed = target.list(CHANGES).await?;
    let mut segments: Vec<&str> = listed
        .iter()
        .filter_map(|(object, _)| segment_of(object))
        .collect();
    segments.retain(|name| *name >= end);
    let missing = first_missing(&segments, end);
    let mut count = 0;
    for (object, _) in &listed {
        let name = match segment_of(object) {
            Some(name) if name < from => continue,
            // The full one replaces it.
            Some(name) if object.contains(PARTIAL) => {
                let full = format!("{CHANGES}/{name}{COMPRESSED}");
                if listed.iter().any(|(other, _)| *other == full) {
                    continue;
                }
                name
            }
            Some(name) => name,
            None => {
                let history = object
                    .strip_prefix(CHANGES)
                    .and_then(|name| name.strip_suffix(COMPRESSED));
                let Some(name) = history else { continue };
                name.trim_start_matches('/')
            }
        };
        let packed = target.read(object).await?;
        let path = folder.join(name);
        let unpacked = block_in_place(|| unpack(&packed, &path));
        if let Err(error) = unpacked {
            return target.is_damaged(object, error.to_string());
        }
        count += 1;
    }
    Ok(Fetched { count, missing })
}

/// First segment from `end` on that is not among these, which are in order, although later ones are.
fn first_missing(segments: &[&str], end: &str) -> Option<String> {
    let mut expected = end.to_owned();
    for segment in segments {
        // A segment is listed twice while its beginning is replaced by the full one.
        if *segment > expected.as_str() {
            return Some(expected);
        }
        expected = next_segment(segment)?;
    }
    None
}

/// Name of the segment behind another one of the same timeline.
fn next_segment(name: &str) -> Option<String> {
    let (timeline, position) = name.split_at_checked(8)?;
    let (high, low) = position.split_at_checked(8)?;
    let (high, low) = (
        u64::from_str_radix(high, 16).ok()?,
        u64::from_str_radix(low, 16).ok()?,
    );
    let next = high * SEGMENTS_OF_HIGH + low + 1;
    Some(format!(
        "{timeline}{:08X}{:08X}",
        next / SEGMENTS_OF_HIGH,
        next % SEGMENTS_OF_HIGH
    ))
}

/// Compresses a file, which is not read whole: a segment has 16 MiB.
fn pack(path: &Path) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    io::copy(&mut File::open(path)?, &mut encoder)?;
    encoder.finish()
}

fn unpack(packed: &[u8], path: &Path) -> io::Result<()> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut bytes)?;
    let mut file = File::create(path)?;
    file.write_all(&bytes)
}

impl From<ToolError> for BackupError {
    fn from(error: ToolError) -> Self {
        Self::Tool(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::test_target;

    #[test]
    fn positions_name_their_segment() {
        let segment = |position: &str| segment_at(1, position).unwrap();
        assert_eq!(segment("0/2000028"), "000000010000000000000002");
        assert_eq!(segment("1A/FF000100"), "000000010000001A000000FF");
        assert_eq!(segment_at(1, "2000028"), None);
    }

    #[test]
    fn a_missing_segment_is_noticed() {
        let name = |number: u64| format!("00000001{:08X}{:08X}", number / 256, number % 256);
        let missing = |numbers: &[u64]| {
            let names: Vec<_> = numbers.iter().map(|number| name(*number)).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            first_missing(&names, &name(254))
        };
        assert_eq!(missing(&[254, 255, 255, 256, 257]), None);
        assert_eq!(missing(&[]), None);
        assert_eq!(missing(&[254, 256]), Some(name(255)));
        assert_eq!(missing(&[255]), Some(name(254)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_segment_replaces_its_beginning() {
        let (_folder, target) = test_target();
        let restored = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("000000010000000000000001.gz", "too old"),
            ("000000010000000000000002.gz", "full"),
            ("000000010000000000000002.partial.gz", "beginning"),
            ("000000010000000000000003.partial.gz", "last"),
        ] {
            let segment = restored.path().join("packed");
            fs::write(&segment, text).unwrap();
            let packed = pack(&segment).unwrap();
            target.put(&format!("{CHANGES}/{name}"), packed).await.unwrap();
        }
        let from = "000000010000000000000002";
        let fetched = fetch(&target, from, from, restored.path()).await.unwrap();
        assert_eq!((fetched.count, fetched.missing), (2, None));
        let text = |name: &str| fs::read_to_string(restored.path().join(name)).unwrap();
        assert_eq!(text("000000010000000000000002"), "full");
        assert_eq!(text("000000010000000000000003"), "last");
        target
            .put(&format!("{CHANGES}/000000010000000000000004.gz"), vec![1, 2, 3])
            .await
            .unwrap();
        let refused = fetch(&target, from, from, restored.path()).await.err().unwrap();
        assert!(refused.to_string().contains("is damaged"), "{refused}");
    }
}
