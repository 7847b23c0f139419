//! Copies of journals: each segment in pieces, which are only ever added. A piece is named by its offset and its checksum, so
//! that a copy resumes where the last one ended, and a damaged piece is noticed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use journal::{IDENTITY_FILE, Segment, read_segment, segments};
use tokio::task::block_in_place;

use super::manifest::CopiedSegment;
use super::target::{Target, TargetError, file_error, hash};

/// Folder of the copies.
pub(super) const JOURNALS: &str = "journal";
/// Most bytes of a piece, unless a frame is larger.
const PIECE_BYTES: usize = 8 * 1024 * 1024;
/// Digits of the checksum in the name of a piece.
const CHECKSUM_DIGITS: usize = 16;
/// Pieces that are read at a time.
const READS_IN_FLIGHT: usize = 16;

/// Reason why journals were not copied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    /// The place of the backups failed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A journal cannot be read.
    #[error("{folder}: {source}")]
    Journal {
        /// Folder of the journal.
        folder: String,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The place has a journal of the same slot of another data directory.
    #[error(
        "{place} has a copy of another journal under the name {journal}: each data directory needs a place of its kind. \
         Choose another folder or prefix"
    )]
    OtherJournal {
        /// Place of the backups.
        place: String,
        /// Folder of the journal.
        journal: String,
    },
}

/// Piece of a segment, as its name describes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Piece {
    /// Folder of the journal: `0/clicks`.
    pub(super) journal: String,
    /// Number of the first record of the segment.
    pub(super) first: u64,
    pub(super) offset: u64,
    pub(super) checksum: String,
}

impl Piece {
    fn of(journal: &str, first: u64, offset: u64, bytes: &[u8]) -> Self {
        Self {
            journal: journal.to_owned(),
            first,
            offset,
            checksum: hash(bytes).chars().take(CHECKSUM_DIGITS).collect(),
        }
    }

    fn name(&self) -> String {
        let Self {
            journal,
            first,
            offset,
            checksum,
        } = self;
        format!("{JOURNALS}/{journal}/{first:020}/{offset:012}-{checksum}")
    }

    /// Piece with this name; `None` for other objects.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let rest = name.strip_prefix(JOURNALS)?.strip_prefix('/')?;
        let (folder, piece) = rest.rsplit_once('/')?;
        let (journal, first) = folder.rsplit_once('/')?;
        let (offset, checksum) = piece.split_once('-')?;
        Some(Self {
            journal: journal.to_owned(),
            first: first.parse().ok()?,
            offset: offset.parse().ok()?,
            checksum: checksum.to_owned(),
        })
    }

    fn matches(&self, bytes: &[u8]) -> bool {
        hash(bytes).starts_with(&self.checksum)
    }
}

/// Copies the journals of a data directory.
pub(super) struct JournalCopy {
    folder: PathBuf,
    /// End of the copy of each segment, by journal and first record.
    copied: BTreeMap<(String, u64), u64>,
    /// Closed segments of which nothing is missing.
    done: HashSet<(String, u64)>,
    identities: HashSet<String>,
}

impl JournalCopy {
    /// Continues the copy in a target.
    pub(super) async fn resume(target: &Target, folder: PathBuf) -> Result<Self, CopyError> {
        let mut copied = BTreeMap::new();
        for (name, size) in target.list(JOURNALS).await? {
            if let Some(piece) = Piece::parse(&name) {
                let end = copied.entry((piece.journal, piece.first)).or_insert(0);
                *end = piece.offset.saturating_add(size).max(*end);
            }
        }
        Ok(Self {
            folder,
            copied,
            done: HashSet::new(),
            identities: HashSet::new(),
        })
    }

    /// Copies what is new in all journals. Returns the number of bytes.
    pub(super) async fn run(&mut self, target: &Target) -> Result<u64, CopyError> {
        let mut bytes = 0;
        for journal in block_in_place(|| journals_in(&self.folder))? {
            let folder = self.folder.join(&journal);
            if !self.copy_identity(target, &journal, &folder).await? {
                continue;
            }
            let found = block_in_place(|| segments(&folder)).map_err(failed(&folder))?;
            for segment in found {
                bytes += self.copy_segment(target, &journal, &folder, segment).await?;
            }
        }
        Ok(bytes)
    }

    /// Segments that are copied, and up to where.
    pub(super) fn segments(&self) -> Vec<CopiedSegment> {
        let copied = self.copied.iter();
        copied
            .map(|((journal, first), bytes)| CopiedSegment {
                journal: journal.clone(),
                first: *first,
                bytes: *bytes,
            })
            .collect()
    }

    /// Copies the identity of a journal, or compares it with the copy. False for a journal that is just being created.
    async fn copy_identity(
        &mut self,
        target: &Target,
        journal: &str,
        folder: &Path,
    ) -> Result<bool, CopyError> {
        if self.identities.contains(journal) {
            return Ok(true);
        }
        let path = folder.join(IDENTITY_FILE);
        let identity = match block_in_place(|| fs::read(&path)) {
            Ok(identity) => identity,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(folder)(error)),
        };
        let name = format!("{JOURNALS}/{journal}/{IDENTITY_FILE}");
        match target.get(&name).await? {
            Some(copy) if copy == identity => {}
            Some(_) => {
                return Err(CopyError::OtherJournal {
                    place: target.place().to_owned(),
                    journal: journal.to_owned(),
                });
            }
            None => {
                target.put(&name, identity).await?;
            }
        }
        self.identities.insert(journal.to_owned());
        Ok(true)
    }

    async fn copy_segment(
        &mut self,
        target: &Target,
        journal: &str,
        folder: &Path,
        segment: Segment,
    ) -> Result<u64, CopyError> {
        let key = (journal.to_owned(), segment.first);
        let mut total = 0;
        while !self.done.contains(&key) {
            let offset = self.copied.get(&key).copied().unwrap_or(0);
            let read = block_in_place(|| read_segment(folder, segment, offset, PIECE_BYTES));
            let Some(bytes) = read.map_err(failed(folder))? else {
                break;
            };
            if bytes.is_empty() {
                if segment.is_closed {
                    self.done.insert(key);
                }
                break;
            }
            let piece = Piece::of(journal, segment.first, offset, &bytes);
            let length = bytes.len() as u64;
            target.put(&piece.name(), bytes).await?;
            self.copied.insert(key.clone(), offset + length);
            total += length;
        }
        Ok(total)
    }
}

/// Folders of journals below a folder: `0/clicks`, `0/postbacks` …
fn journals_in(folder: &Path) -> Result<Vec<String>, CopyError> {
    let mut journals = BTreeSet::new();
    let list = |folder: &Path| match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().filter(|entry| entry.path().is_dir()).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(failed(folder)(error)),
    };
    for slot in list(folder)? {
        let number = slot.file_name().to_string_lossy().into_owned();
        if number.parse::<u32>().is_err() {
            continue;
        }
        for stream in list(&slot.path())? {
            journals.insert(format!("{number}/{}", stream.file_name().to_string_lossy()));
        }
    }
    Ok(journals.into_iter().collect())
}

fn failed(folder: &Path) -> impl FnOnce(io::Error) -> CopyError {
    let folder = folder.display().to_string();
    move |source| CopyError::Journal { folder, source }
}

/// Writes the copies of all journals to a folder, as they were up to their last whole frame. Returns the number of bytes.
pub(super) async fn fetch(
    target: &Target,
    folder: &Path,
    expected: &[CopiedSegment],
) -> Result<u64, TargetError> {
    let (mut pieces, mut identities) = (Vec::new(), Vec::new());
    for (name, _) in target.list(JOURNALS).await? {
        match Piece::parse(&name) {
            Some(piece) => pieces.push((name, piece)),
            None if name.ends_with(&format!("/{IDENTITY_FILE}")) => identities.push(name),
            None => {}
        }
    }
    for name in identities {
        let bytes = target.read(&name).await?;
        let journal = name.trim_start_matches(JOURNALS).trim_start_matches('/');
        let path = folder.join(journal);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(file_error(parent))?;
        fs::write(&path, bytes).map_err(file_error(&path))?;
    }
    // Two processes may have copied the same bytes in pieces of different lengths.
    pieces.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut ends: HashMap<(String, u64), u64> = HashMap::new();
    let mut total = 0;
    let mut reads = stream::iter(pieces.into_iter().map(|(name, piece)| async move {
        let bytes = target.read(&name).await?;
        if piece.matches(&bytes) {
            Ok((name, piece, bytes))
        } else {
            target.is_damaged(&name, "it differs from its checksum")
        }
    }))
    .buffered(READS_IN_FLIGHT);
    while let Some((name, piece, bytes)) = reads.try_next().await? {
        let end = ends.entry((piece.journal.clone(), piece.first)).or_insert(0);
        if piece.offset > *end {
            return target.is_damaged(
                &name,
                format!("the copy of the journal has no bytes from {end} to it"),
            );
        }
        let segment = Segment {
            first: piece.first,
            is_closed: true,
        };
        let path = folder.join(&piece.journal).join(segment.file_name());
        block_in_place(|| write_at(&path, &bytes, piece.offset)).map_err(file_error(&path))?;
        *end = (*end).max(piece.offset + bytes.len() as u64);
        total += bytes.len() as u64;
    }
    for segment in expected {
        let found = ends.get(&(segment.journal.clone(), segment.first)).copied();
        if found.unwrap_or(0) < segment.bytes {
            let name = format!("{JOURNALS}/{}/{:020}", segment.journal, segment.first);
            return target.is_damaged(
                &name,
                format!("it has {} of {} bytes", found.unwrap_or(0), segment.bytes),
            );
        }
    }
    Ok(total)
}

fn write_at(path: &Path, bytes: &[u8], offset: u64) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)?;
    file.write_all_at(bytes, offset)?;
    file.sync_all()
}
