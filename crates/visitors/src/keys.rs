//! The daily keys of visitor hashes: what makes two visits of a day comparable, and visits of two days not.
//!
//! A day is one on the clock of whoever asks, as its number counted from anywhere: around the world there are up to three
//! at a time.

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

/// Days on either side of one whose key is made that keep theirs.
const NEAR: i32 = 2;
const FOR_US_ALONE: u32 = 0o600;

/// One visitor on one day: address and User-Agent under the key of the day. Whoever has no key learns neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VisitorHash(pub u64);

/// The keys of the days that are somewhere today or were yesterday, in a file that only its owner can read. Older keys
/// are destroyed, so that hashes of the same visitor on two days have nothing in common, for us either.
///
/// Destroyed means gone from the file and from memory; the blocks of a disk keep what they keep until they are reused.
/// One process writes the file: nodes that share no file count a visitor once each.
pub struct VisitorKeys {
    path: PathBuf,
    keys: ArcSwap<Vec<DayKey>>,
    /// One change of the file at a time.
    changing: Mutex<()>,
}

#[derive(Clone)]
struct DayKey {
    /// Its number.
    day: i32,
    key: [u8; 32],
    /// The key in place, so that a hash need not begin with it.
    mac: Hmac<Sha256>,
}

impl VisitorKeys {
    /// Reads the file, or begins without one; it is written with the first hash. Others' permissions to an existing
    /// file are taken away, and what a crash left half-written is removed.
    ///
    /// # Errors
    /// The file cannot be read, or is not what this wrote.
    pub fn open(path: &Path) -> io::Result<Self> {
        match fs::remove_file(unfinished(path)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let keys = match fs::read_to_string(path) {
            Ok(text) => {
                fs::set_permissions(path, Permissions::from_mode(FOR_US_ALONE))?;
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

    /// The hash of a visitor on this day: HMAC-SHA-256 of the address and the first 512 bytes of the User-Agent, cut to
    /// 64 bits. Of an IPv6 address the /64 counts, which is what one subscriber has.
    ///
    /// The first call of a day makes its key, writes the file and waits for the disk; those who come meanwhile
    /// wait for it. No other call waits.
    ///
    /// # Errors
    /// The file cannot be written. The next call tries again.
    pub fn hash(&self, ip: IpAddr, user_agent: Option<&str>, day: i32) -> io::Result<VisitorHash> {
        if let Some(key) = self.keys.load().iter().find(|key| key.day == day) {
            return Ok(key.hash(ip, user_agent));
        }
        Ok(self.begin(day)?.hash(ip, user_agent))
    }

    /// Destroys the keys of days that are over everywhere when it is this day in UTC, which otherwise happens with the
    /// first visitor of a day: for a server that nobody visits. Says whether there were any.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn forget_old(&self, day: i32) -> io::Result<bool> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.keys.load_full();
        let after: Vec<_> = before
            .iter()
            .filter(|key| key.day >= day - NEAR)
            .cloned()
            .collect();
        let any = after.len() < before.len();
        if any {
            self.replace(after)?;
        }
        Ok(any)
    }

    /// Makes the key of a day unless another thread just has. Beside it only those of the days around it stay, so a clock
    /// that was wrong and is set back leaves no key behind of days that are not yet.
    fn begin(&self, day: i32) -> io::Result<DayKey> {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.keys.load_full();
        if let Some(key) = before.iter().find(|key| key.day == day) {
            return Ok(key.clone());
        }
        let fresh = DayKey::new(day, rand::random());
        let near = before
            .iter()
            .filter(|key| key.day.abs_diff(day) <= NEAR.unsigned_abs());
        let mut after: Vec<_> = near.cloned().chain([fresh.clone()]).collect();
        after.sort_by_key(|key| key.day);
        self.replace(after)?;
        Ok(fresh)
    }

    /// Disk first: a hash must not be given under a key that a crash would lose.
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

/// Whole or not at all, also through a crash: written beside, synced, renamed over, and the directory synced.
fn write(path: &Path, keys: &[DayKey]) -> io::Result<()> {
    let beside = unfinished(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FOR_US_ALONE)
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
        "{} is not a file of visitor keys; remove it to begin anew",
        path.display()
    );
    io::Error::new(ErrorKind::InvalidData, text)
}
