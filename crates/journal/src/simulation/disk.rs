//! A disk in memory that loses unsynced data, in any subset of its sectors and names, and fails at random.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use super::random::Random;
use crate::disk::{Disk, DiskFile};
use crate::locked;

const SECTOR: usize = 512;

/// Probability of each fault, in thousandths.
#[derive(Clone, Default)]
pub(super) struct FaultRates {
    pub(super) write: u64,
    pub(super) short: u64,
    pub(super) sync: u64,
    pub(super) folder: u64,
    pub(super) other: u64,
    /// Capacity of the disk in bytes; `None` for no limit.
    pub(super) capacity: Option<u64>,
    /// True if the disk reports its free bytes.
    pub(super) honest: bool,
}

#[derive(Default, Clone)]
struct Inode {
    /// Contents as processes see them.
    cached: Vec<u8>,
    /// Contents that survive a power cut.
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
    cut: bool,
}

impl Inode {
    fn persist(&mut self, sector: usize) {
        let from = sector * SECTOR;
        let to = (from + SECTOR).min(self.cached.len());
        if from < to {
            self.durable.resize(self.durable.len().max(to), 0);
            self.durable[from..to].copy_from_slice(&self.cached[from..to]);
        }
    }

    /// Persists the sectors and the length for which `lot` returns true; the others become clean without being written.
    fn flush(&mut self, mut lot: impl FnMut() -> bool) {
        for sector in std::mem::take(&mut self.dirty) {
            if lot() {
                self.persist(sector);
            }
        }
        if std::mem::take(&mut self.cut) && lot() {
            self.durable.truncate(self.cached.len());
        }
    }
}

/// Names that change together.
type Change = Vec<(String, Option<usize>)>;

struct State {
    random: Random,
    fault_rates: FaultRates,
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    changes: Vec<Change>,
    /// Operations until the machine stops; `None` for no stop.
    fuse: Option<u64>,
    stopped: bool,
    syncs_failed: u64,
}

fn apply(names: &mut BTreeMap<String, usize>, change: &Change) {
    for (name, inode) in change {
        match inode {
            Some(inode) => names.insert(name.clone(), *inode),
            None => names.remove(name),
        };
    }
}

fn eio() -> io::Error {
    io::Error::other("simulated EIO")
}

impl State {
    /// Counts an operation; fails by chance or if the machine has stopped.
    fn operate(&mut self, permille: u64) -> io::Result<()> {
        match &mut self.fuse {
            Some(0) => self.stopped = true,
            Some(fuse) => *fuse -= 1,
            None => {}
        }
        if self.stopped || self.random.chance(permille) {
            Err(eio())
        } else {
            Ok(())
        }
    }

    fn used(&self) -> u64 {
        let inodes: BTreeSet<_> = self.names.values().collect();
        inodes
            .into_iter()
            .map(|inode| self.inodes[*inode].cached.len() as u64)
            .sum()
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.names, &change);
        self.changes.push(change);
    }

    fn inode(&self, name: &str) -> io::Result<usize> {
        self.names
            .get(name)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&mut self, inode: usize, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let failure = self.operate(self.fault_rates.write);
        let mut taken = bytes.len();
        if failure.is_err() || self.random.chance(self.fault_rates.short) {
            taken = self.random.below(bytes.len() as u64) as usize;
        }
        let from = offset as usize;
        let growth = (from + taken).saturating_sub(self.inodes[inode].cached.len()) as u64;
        let room = self
            .fault_rates
            .capacity
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()));
        taken -= (growth.saturating_sub(room) as usize).min(taken);
        // Even a failed write leaves a part behind, sometimes.
        let file = &mut self.inodes[inode];
        if taken > 0 {
            file.cached.resize(file.cached.len().max(from + taken), 0);
            file.cached[from..from + taken].copy_from_slice(&bytes[..taken]);
            file.dirty.extend(from / SECTOR..=(from + taken - 1) / SECTOR);
        }
        failure?;
        if taken == 0 && !bytes.is_empty() {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(taken)
        }
    }

    fn sync(&mut self, inode: usize) -> io::Result<()> {
        let failure = self.operate(self.fault_rates.sync);
        if self.stopped {
            return failure;
        }
        let random = &mut self.random;
        let file = &mut self.inodes[inode];
        match failure {
            Ok(()) => file.flush(|| true),
            // Unwritten data is dropped and the next sync succeeds, as on Linux.
            Err(_) => {
                self.syncs_failed += 1;
                file.flush(|| random.chance(500));
            }
        }
        failure
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        let failure = self.operate(self.fault_rates.folder);
        if self.stopped {
            return failure;
        }
        self.syncs_failed += u64::from(failure.is_err());
        for change in std::mem::take(&mut self.changes) {
            if failure.is_ok() || self.random.chance(500) {
                apply(&mut self.durable_names, &change);
            }
        }
        failure
    }
}

/// Handle of the disk; clones share it.
#[derive(Clone)]
pub(super) struct SimulatedDisk(Arc<Mutex<State>>);

impl SimulatedDisk {
    pub(super) fn new(random: Random) -> Self {
        SimulatedDisk(Arc::new(Mutex::new(State {
            random,
            fault_rates: FaultRates::default(),
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            fuse: None,
            stopped: false,
            syncs_failed: 0,
        })))
    }

    pub(super) fn set_fault_rates(&self, fault_rates: FaultRates) {
        locked(&self.0).fault_rates = fault_rates;
    }

    pub(super) fn set_fuse(&self, operations: Option<u64>) {
        locked(&self.0).fuse = operations;
    }

    pub(super) fn has_stopped(&self) -> bool {
        locked(&self.0).stopped
    }

    pub(super) fn syncs_failed(&self) -> u64 {
        locked(&self.0).syncs_failed
    }

    /// Total length of all files except the identity.
    pub(super) fn used(&self) -> u64 {
        locked(&self.0).used().saturating_sub(40)
    }

    /// Ends the process; the machine continues and may write back cached data.
    pub(super) fn kill_process(&self) {
        let mut state = locked(&self.0);
        state.stopped = false;
        state.fuse = None;
    }

    /// Ends the machine with all data that was not durable.
    pub(super) fn cut_power(&self) {
        let mut guard = locked(&self.0);
        let state = &mut *guard;
        state.stopped = false;
        state.fuse = None;
        for change in std::mem::take(&mut state.changes) {
            if state.random.chance(500) {
                apply(&mut state.durable_names, &change);
            }
        }
        state.names = state.durable_names.clone();
        // Some power cuts report_damage nearly everything, some nearly nothing.
        let segment_file = state.random.below(1_001);
        for file in &mut state.inodes {
            file.flush(|| state.random.chance(segment_file));
            file.cached = file.durable.clone();
        }
    }
}

impl Disk for SimulatedDisk {
    type File = SimulatedFile;

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut state = locked(&self.0);
        let other = state.fault_rates.other;
        state.operate(other)?;
        let files = state.names.iter();
        Ok(files
            .map(|(name, inode)| (name.clone(), state.inodes[*inode].cached.len() as u64))
            .collect())
    }

    fn open(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut state = locked(&self.0);
        let other = state.fault_rates.other;
        state.operate(other)?;
        Ok(SimulatedFile {
            state: Arc::clone(&self.0),
            inode: state.inode(name)?,
        })
    }

    fn create(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut state = locked(&self.0);
        let other = state.fault_rates.other;
        state.operate(other)?;
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.change(vec![(name.to_owned(), Some(inode))]);
        Ok(SimulatedFile {
            state: Arc::clone(&self.0),
            inode,
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = locked(&self.0);
        let other = state.fault_rates.other;
        state.operate(other)?;
        let inode = state.inode(from)?;
        state.change(vec![(from.to_owned(), None), (to.to_owned(), Some(inode))]);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = locked(&self.0);
        let other = state.fault_rates.other;
        state.operate(other)?;
        state.inode(name)?;
        state.change(vec![(name.to_owned(), None)]);
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        locked(&self.0).sync_folder()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let state = locked(&self.0);
        let capacity = state.fault_rates.capacity.filter(|_| state.fault_rates.honest);
        Ok(capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used())))
    }
}

pub(super) struct SimulatedFile {
    state: Arc<Mutex<State>>,
    inode: usize,
}

impl DiskFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        let state = locked(&self.state);
        Ok(state.inodes[self.inode].cached.len() as u64)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = locked(&self.state);
        let other = state.fault_rates.other;
        state.operate(other)?;
        let cached = &state.inodes[self.inode].cached;
        let from = (offset as usize).min(cached.len());
        let read = bytes.len().min(cached.len() - from);
        bytes[..read].copy_from_slice(&cached[from..from + read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        locked(&self.state).write(self.inode, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        locked(&self.state).sync(self.inode)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut state = locked(&self.state);
        // Often impossible if the disk has just failed.
        let failing = if state.fault_rates.write + state.fault_rates.sync > 0 {
            500
        } else {
            0
        };
        state.operate(failing)?;
        let file = &mut state.inodes[self.inode];
        file.cached.truncate(len as usize);
        file.dirty.retain(|sector| sector * SECTOR < len as usize);
        file.cut = true;
        Ok(())
    }
}
