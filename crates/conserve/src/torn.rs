//! Tail of a journal after a crash of the machine, without knowledge of the journal's format: bytes written since the
//! last acknowledgement, of which none was acknowledged, may be on disk or not.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rand::{Rng, RngExt};

/// Bytes that a disk writes atomically.
const SECTOR: usize = 512;
/// Zeros after the last other byte of a file that may still belong to a record.
const RECORD_MARGIN: usize = 64;

/// Newest files of each folder of a journal at a moment without writes.
pub(crate) struct Snapshot {
    taken_at: SystemTime,
    journal: PathBuf,
    files: BTreeMap<PathBuf, Vec<u8>>,
}

/// Numbers of damaged tails.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    torn: usize,
    garbage: usize,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} torn in the middle of a write, {} followed by garbage",
            self.torn, self.garbage
        )
    }
}

impl Snapshot {
    /// Reads the files.
    pub(crate) fn take(journal: &Path) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for (_, path) in tails(journal)? {
            files.insert(path.clone(), fs::read(&path)?);
        }
        Ok(Self {
            taken_at: SystemTime::now(),
            journal: journal.to_owned(),
            files,
        })
    }

    /// Waits for a write since the snapshot, at most so long. Polls without a pause: a millisecond later the write may
    /// be acknowledged.
    pub(crate) async fn until_written(&self, most: Duration) {
        let began = Instant::now();
        let written =
            || tails(&self.journal).is_ok_and(|files| files.iter().any(|(at, _)| *at > self.taken_at));
        while !written() && began.elapsed() < most {
            tokio::task::yield_now().await;
        }
    }
}

/// Damages the tails of a dead server's journal. `unacknowledged`: true if no event was acknowledged since `before`.
pub(crate) fn damage(
    journal: &Path,
    before: &Snapshot,
    unacknowledged: bool,
    dice: &mut impl Rng,
) -> io::Result<Damage> {
    let mut damage = Damage::default();
    for (_, path) in tails(journal)? {
        let now = fs::read(&path)?;
        let old = before.files.get(&path).filter(|_| unacknowledged);
        let bytes = match old.and_then(|old| tear(old, &now, dice)) {
            Some(torn) => {
                damage.torn += 1;
                torn
            }
            None => {
                damage.garbage += 1;
                add_garbage(now, dice)
            }
        };
        fs::write(&path, bytes)?;
    }
    Ok(damage)
}

/// Returns the file with only some sectors of the last writes. `None` if nothing was written.
fn tear(old: &[u8], now: &[u8], dice: &mut impl Rng) -> Option<Vec<u8>> {
    let was = |index: usize| old.get(index).copied().unwrap_or(0);
    let changed = |index: usize| now.get(index).copied().unwrap_or(0) != was(index);
    let first = (0..now.len()).find(|index| changed(*index))?;
    let last = (0..now.len()).rfind(|index| changed(*index))?;
    let cut = dice.random_range(first..=last);
    // Either a clean cut, or holes before the cut too.
    let holes = dice.random_bool(0.5);
    let mut torn = now.to_vec();
    for (number, sector) in torn.chunks_mut(SECTOR).enumerate() {
        let arrived = !(holes && dice.random_bool(0.3));
        for (offset, byte) in sector.iter_mut().enumerate() {
            let index = number * SECTOR + offset;
            if index >= cut || !arrived {
                *byte = was(index);
            }
        }
    }
    Some(torn)
}

/// Adds garbage after the last write: in the zeros at the end of a file, or after its end.
fn add_garbage(mut bytes: Vec<u8>, dice: &mut impl Rng) -> Vec<u8> {
    let written = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1 + RECORD_MARGIN);
    let garbage: Vec<u8> = (0..dice.random_range(1..=4096)).map(|_| dice.random()).collect();
    match bytes
        .get_mut(written..)
        .and_then(|rest| rest.get_mut(..garbage.len()))
    {
        Some(room) if dice.random_bool(0.7) => room.copy_from_slice(&garbage),
        _ => bytes.extend(garbage),
    }
    bytes
}

/// Returns the two newest segments of each folder with the times of their last writes: the active one, and perhaps the
/// one before.
pub(crate) fn tails(journal: &Path) -> io::Result<Vec<(SystemTime, PathBuf)>> {
    let mut folders: BTreeMap<PathBuf, Vec<_>> = BTreeMap::new();
    for path in segments(journal)? {
        let written_at = fs::metadata(&path)?.modified()?;
        let folder = path.parent().unwrap_or(journal).to_owned();
        folders.entry(folder).or_default().push((written_at, path));
    }
    folders.values_mut().for_each(|files| files.sort());
    Ok(folders
        .into_values()
        .flat_map(|files| files.into_iter().rev().take(2))
        .collect())
}

/// Returns all segments of a journal's folders.
pub(crate) fn segments(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(segments(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "journal") {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_torn_write_keeps_the_old_bytes_and_a_part_of_the_new() {
        let (mut old, mut new) = (vec![7; 1000], vec![7; 1000]);
        old.extend([0; 3000]);
        new.extend([9; 2000]);
        new.extend([0; 1000]);
        for seed in 0..200 {
            let torn = tear(&old, &new, &mut StdRng::seed_from_u64(seed)).unwrap();
            assert_eq!(torn[..1000], old[..1000]);
            assert_eq!(torn.len(), new.len());
            assert_ne!(torn, new, "the last byte written never arrives");
            assert!(torn[1000..].iter().all(|byte| *byte == 0 || *byte == 9));
        }
        assert_eq!(tear(&old, &old, &mut StdRng::seed_from_u64(0)), None);
    }

    #[test]
    fn garbage_overwrites_no_written_byte() {
        let mut file = vec![5; 100];
        file.extend([0; 8000]);
        let mut longer = 0;
        for seed in 0..200 {
            let littered = add_garbage(file.clone(), &mut StdRng::seed_from_u64(seed));
            assert_eq!(littered[..100 + RECORD_MARGIN], file[..100 + RECORD_MARGIN]);
            assert_ne!(littered, file);
            longer += usize::from(littered.len() > file.len());
        }
        assert!((1..200).contains(&longer));
    }
}
