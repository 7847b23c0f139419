//! Daily keys of visitor hashes: visits of the same day are comparable, visits of different days are not.
//!
//! A day is a number in the caller's time zone, counted from any epoch: around the world up to three days exist at
//! once.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::cut;

/// Number of days before and after a new key's day whose keys are retained.
const RETAINED_DAYS: i32 = 2;
const OWNER_ONLY: u32 = 0o600;

/// A visitor on one day: address and User-Agent hashed with the key of the day. Without the key, the hash reveals
/// neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VisitorHash(pub u64);

/// Keys of the days that are current anywhere or were yesterday, in a file that only its owner can read. Older keys are
/// destroyed, so that hashes of the same visitor on two days have nothing in common, for the operator either.
///
/// Destroyed keys are gone from the file and from memory; disk blocks retain them until reused. One process writes the
/// file: nodes without a shared file count a visitor once each.
pub struct VisitorKeys {
    path: PathBuf,
    keys: ArcSwap<Vec<DayKey>>,
    /// Locked during changes of the file.
    changing: Mutex<()>,
}

#[derive(Clone)]
struct DayKey {
    /// Number of the day.
    day: i32,
    key: [u8; 32],
    /// Keyed state, so that a hash need not start from the key.
    mac: Hmac<Sha256>,
}

impl VisitorKeys {
    /// Reads the file, if it exists; the first hash creates it. Restricts an existing file to its owner, and removes
    /// what a crash left half-written.
    ///
    /// # Errors
    /// I/O errors, or a file in another format.
    pub fn open(path: &Path) -> io::Result<Self> {
        match fs::remove_file(unfinished(path)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let keys = match fs::read_to_string(path) {
            Ok(text) => {
                fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY))?;
                parse(&text).ok_or_else(|| malformed(path))?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(Self {
            path: path.to_owned(),
            keys: ArcSwap::from_pointee(keys),
            changing: Mutex::new(()),
        })
    }

    /// Hash of a visitor on this day: HMAC-SHA-256 of the address and the first 512 bytes of the User-Agent, truncated
    /// to 64 bits. Of an IPv6 address only the /64 counts, which one subscriber has.
    ///
    /// The first call of a day creates its key, writes the file and waits for the disk; concurrent calls wait for the
    /// first. No other call waits.
    ///
    /// # Errors
    /// Errors of writing the file. The next call retries.
    pub fn hash(&self, ip: IpAddr, user_agent: Option<&str>, day: i32) -> io::Result<VisitorHash> {
        if let Some(key) = self.keys.load().iter().find(|key| key.day == day) {
            return Ok(key.hash(ip, user_agent));
        }
        Ok(self.begin(day)?.hash(ip, user_agent))
    }

    /// Destroys the keys of days that are over everywhere at this UTC day, which otherwise happens with the first
    /// visitor of a day: for servers without visitors. Returns true if any were destroyed.
    ///
    /// # Errors
    /// Errors of writing the file.
    pub fn forget_old(&self, day: i32) -> io::Result<bool> {
        let _guard = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.keys.load_full();
        let after: Vec<_> = before
            .iter()
            .filter(|key| key.day >= day - RETAINED_DAYS)
            .cloned()
            .collect();
        let any = after.len() < before.len();
        if any {
            self.replace(after)?;
        }
        Ok(any)
    }

    /// Creates the key of a day unless another thread just did. Only keys of neighbouring days are retained, so that a
    /// clock that was wrong leaves no key of future days behind.
    fn begin(&self, day: i32) -> io::Result<DayKey> {
        let _guard = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.keys.load_full();
        if let Some(key) = before.iter().find(|key| key.day == day) {
            return Ok(key.clone());
        }
        let fresh = DayKey::new(day, rand::random());
        let near = before
            .iter()
            .filter(|key| key.day.abs_diff(day) <= RETAINED_DAYS.unsigned_abs());
        let mut after: Vec<_> = near.cloned().chain([fresh.clone()]).collect();
        after.sort_by_key(|key| key.day);
        self.replace(after)?;
        Ok(fresh)
    }

    /// Disk first: a hash must not be issued under a key that a crash would lose.
    fn replace(&self, keys: Vec<DayKey>) -> io::Result<()> {
        write(&self.path, &keys)?;
        self.keys.store(Arc::new(keys));
        Ok(())
    }
}

impl DayKey {
    fn new(day: i32, key: [u8; 32]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mac = Hmac::new_from_slice(&key).expect("HMAC takes any key");
        Self { day, key, mac }
    }

    fn hash(&self, ip: IpAddr, user_agent: Option<&str>) -> VisitorHash {
        let mut mac = self.mac.clone();
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                mac.update(b"4");
                mac.update(&ip.octets());
            }
            IpAddr::V6(ip) => {
                mac.update(b"6");
                mac.update(&(ip.to_bits() >> 64).to_be_bytes());
            }
        }
        mac.update(cut(user_agent.unwrap_or_default().trim()).as_bytes());
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = mac.finalize().into_bytes().into();
        VisitorHash(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Replaces the file atomically, also across a crash: writes a new file, syncs, renames, and syncs the directory.
fn write(path: &Path, keys: &[DayKey]) -> io::Result<()> {
    let beside = unfinished(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(OWNER_ONLY)
        .open(&beside)?;
    for key in keys {
        writeln!(file, "{} {}", key.day, HEXLOWER.encode(&key.key))?;
    }
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

fn parse(text: &str) -> Option<Vec<DayKey>> {
    let key = |line: &str| {
        let (day, key) = line.split_once(' ')?;
        let key = HEXLOWER.decode(key.as_bytes()).ok()?.try_into().ok()?;
        Some(DayKey::new(day.parse().ok()?, key))
    };
    text.lines().map(key).collect()
}

fn malformed(path: &Path) -> io::Error {
    let text = format!(
        "{} is not a file of visitor keys; remove it to start with new keys",
        path.display()
    );
    io::Error::new(ErrorKind::InvalidData, text)
}
