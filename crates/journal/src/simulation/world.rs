//! One seeded run of a journal: batches, a consumer that applies and releases, faults, kills and power cuts. Every
//! record that is read is compared with the acknowledged ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::disk::{FaultRates, SimulatedDisk};
use super::random::Random;
use crate::Seq;
use crate::cursor::{Cursor, View};
use crate::folder::JournalFolder;
use crate::format::Frame;
use crate::reader::{Damage, Records};
use crate::recovery;
use crate::settings::{Refused, Settings};
use crate::stats::Counters;
use crate::writer::{Moment, Writer};

const SEGMENT: u64 = 12 << 10;
const STEPS: u64 = 70;

/// Counts of events, so that a run without events does not pass.
#[derive(Debug, Default)]
pub(super) struct Tally {
    acked: u64,
    refused: u64,
    consumed: u64,
    kills: u64,
    power_cuts: u64,
    recovered_unacked: u64,
    soft_lost: u64,
    recycled: u64,
    skips: u64,
    torn: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Tally) {
        self.acked += other.acked;
        self.refused += other.refused;
        self.consumed += other.consumed;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        self.recovered_unacked += other.recovered_unacked;
        self.soft_lost += other.soft_lost;
        self.recycled += other.recycled;
        self.skips += other.skips;
        self.torn += other.torn;
    }

    pub(super) fn assert_everything_happened(&self) {
        let all = [
            self.acked,
            self.refused,
            self.consumed,
            self.kills,
            self.power_cuts,
            self.recovered_unacked,
            self.recycled,
            self.skips,
            self.torn,
        ];
        assert!(all.iter().all(|happened| *happened > 0), "{self:?}");
    }
}

/// A running process.
struct Node {
    folder: Arc<JournalFolder<SimulatedDisk>>,
    writer: Writer<SimulatedDisk>,
    reader: Cursor<SimulatedDisk>,
    next: Seq,
}

impl Node {
    fn view(&self) -> View {
        View {
            segments: self.folder.segments(),
            end: Some(self.next),
        }
    }
}

struct World {
    random: Random,
    disk: SimulatedDisk,
    settings: Settings,
    now_ms: u64,
    /// Records that readers got or will get: acknowledged, or found at a recovery.
    published: BTreeMap<Seq, Vec<u8>>,
    /// Records found at a recovery after a kill although a sync had failed: the kernel may have lied about them, and
    /// they were never acknowledged.
    soft: BTreeSet<Seq>,
    numbers: HashMap<Vec<u8>, Seq>,
    attempted: BTreeSet<Vec<u8>>,
    /// Position of the consumer, which is stored elsewhere and never lost.
    cursor: Seq,
    released: Seq,
    syncs_failed_before: u64,
    /// The quota, or the total at the start if a power cut restored removed files.
    allowance: u64,
    tally: Tally,
}

type Verdict<T> = Result<T, String>;

/// Runs one seed. The error names the broken guarantee.
pub(super) fn run(seed: u64) -> Verdict<Tally> {
    let mut random = Random::new(seed);
    let disk = SimulatedDisk::new(random.clone());
    let settings = Settings {
        segment_bytes: SEGMENT,
        quota_bytes: SEGMENT * (2 + random.below(5)),
        retention: Duration::from_millis(random.below(400)),
        ..Settings::in_folder(std::path::PathBuf::new())
    };
    let mut world = World {
        random,
        disk,
        settings,
        now_ms: 1_000_000,
        published: BTreeMap::new(),
        soft: BTreeSet::new(),
        numbers: HashMap::new(),
        attempted: BTreeSet::new(),
        cursor: 0,
        released: 0,
        syncs_failed_before: 0,
        allowance: 0,
        tally: Tally::default(),
    };
    let mut node = world.open(false)?;
    for _ in 0..STEPS {
        if world.random.chance(50) || world.disk.has_stopped() {
            node = world.crash(node)?;
        }
        world.step(&mut node)?;
        if world.disk.used() > world.allowance {
            return Err(format!("{} bytes on disk", world.disk.used()));
        }
    }
    node = world.crash(node)?;
    world.must_recover(&mut node)?;
    Ok(world.tally)
}

impl World {
    fn moment(&self) -> Moment {
        Moment {
            wall_ms: self.now_ms,
            steady: Duration::from_millis(self.now_ms),
        }
    }

    fn step(&mut self, node: &mut Node) -> Verdict<()> {
        self.now_ms += self.random.below(60);
        match self.random.below(20) {
            0..=9 => self.commit(node).map(drop),
            10..=12 => self.consume(node),
            13..=14 => {
                let back = self.random.below(self.cursor.min(3) + 1);
                self.released = self.released.max(self.cursor - back);
                node.folder.release(self.released);
                Ok(())
            }
            15..=16 => {
                let before = node.folder.first();
                // Fails while faults are active; the next round retries.
                let _ = node.folder.maintain(self.now_ms);
                self.tally.recycled += u64::from(node.folder.first() > before);
                Ok(())
            }
            17..=18 => {
                self.change_fault_rates();
                Ok(())
            }
            19 if self.random.chance(300) => {
                let to = node.next + 1 + self.random.below(5);
                if let Ok(next) = node.writer.skip_to(to, self.moment()) {
                    self.tally.skips += 1;
                    node.next = next;
                }
                Ok(())
            }
            _ => {
                let fuse = self.random.below(12);
                self.disk.set_fuse(Some(fuse));
                Ok(())
            }
        }
    }

    fn change_fault_rates(&mut self) {
        let is_fine = self.random.chance(400);
        let bad = [0, 0, 100, 400, 1_000];
        let mut pick = || {
            if is_fine {
                0
            } else {
                bad[self.random.below(5) as usize]
            }
        };
        let mut fault_rates = FaultRates {
            write: pick(),
            short: pick(),
            sync: pick(),
            folder: pick(),
            ..FaultRates::default()
        };
        fault_rates.other = pick() / 20;
        if !is_fine && self.random.chance(200) {
            fault_rates.capacity = Some(SEGMENT * self.random.below(4) + self.random.below(SEGMENT));
            fault_rates.honest = self.random.chance(500);
        }
        self.disk.set_fault_rates(fault_rates);
    }

    fn commit(&mut self, node: &mut Node) -> Verdict<Result<Seq, Refused>> {
        let mut frame = Frame::default();
        frame.clear();
        let mut records = Vec::new();
        for _ in 0..=self.random.below(5) {
            let serial = self.attempted.len() as u64;
            let mut record = serial.to_le_bytes().to_vec();
            let length = self.random.below(1_200) as usize;
            record.resize(8 + length, self.random.below(256) as u8);
            let mut payload = (record.len() as u32).to_le_bytes().to_vec();
            payload.extend(&record);
            frame.extend(&payload, 1);
            self.attempted.insert(record.clone());
            records.push(record);
        }
        let outcome = node.writer.commit(&mut frame, self.moment());
        match outcome {
            Ok(next) => {
                self.tally.acked += records.len() as u64;
                let first = next - records.len() as u64;
                for (seq, record) in (first..).zip(records) {
                    self.soft.remove(&seq);
                    self.publish(seq, record)?;
                }
                node.next = next;
            }
            Err(_) => self.tally.refused += records.len() as u64,
        }
        Ok(outcome)
    }

    /// Publishes a record: its number is final.
    fn publish(&mut self, seq: Seq, record: Vec<u8>) -> Verdict<()> {
        if let Some(other) = self
            .numbers
            .insert(record.clone(), seq)
            .filter(|other| *other != seq)
        {
            return Err(format!("record {seq} was published before, as {other}"));
        }
        match self.published.insert(seq, record.clone()) {
            Some(other) if other != record => Err(format!("number {seq} was assigned twice")),
            _ => Ok(()),
        }
    }

    fn consume(&mut self, node: &mut Node) -> Verdict<()> {
        let most = 1 + self.random.below(12) as usize;
        let Ok(records) = node.reader.read(node.view(), most, 4_000) else {
            return Ok(());
        };
        self.check_damage(&records.damage)?;
        for (seq, record) in records.iter() {
            if self
                .published
                .get(&seq)
                .is_none_or(|published| published != record)
            {
                return Err(format!("the live reader returned another record as {seq}"));
            }
        }
        if self.cursor <= records.next {
            self.must_be_whole(self.cursor, records.next, &records)?;
        }
        self.tally.consumed += records.len() as u64;
        self.cursor = self.cursor.max(records.next);
        Ok(())
    }

    /// Checks that every published record between the two numbers is among the records.
    fn must_be_whole(&self, from: Seq, to: Seq, records: &Records) -> Verdict<()> {
        let read: BTreeSet<Seq> = records.iter().map(|(seq, _)| seq).collect();
        let missing = self.published.range(from..to).map(|(seq, _)| *seq);
        match missing
            .into_iter()
            .find(|seq| !read.contains(seq) && !self.soft.contains(seq))
        {
            Some(seq) => Err(format!("record {seq} is lost")),
            None => Ok(()),
        }
    }

    fn check_damage(&self, damage: &[Damage]) -> Verdict<()> {
        let is_unexplained = |damage: &&Damage| {
            (damage.from.max(self.released)..damage.to).any(|seq| !self.soft.contains(&seq))
        };
        damage
            .iter()
            .find(is_unexplained)
            .map_or(Ok(()), |damage| Err(format!("{damage:?}")))
    }

    fn crash(&mut self, node: Node) -> Verdict<Node> {
        drop(node);
        let is_kill = self.random.chance(400);
        if is_kill {
            self.tally.kills += 1;
            self.disk.kill_process();
        } else {
            self.tally.power_cuts += 1;
            self.disk.cut_power();
        }
        self.disk.set_fault_rates(FaultRates::default());
        if self.random.chance(200) {
            // The machine may stop again before the journal is open.
            self.disk.set_fuse(Some(self.random.below(30)));
            let again = self.start();
            drop(again);
            self.disk.cut_power();
            return self.open(false);
        }
        self.open(is_kill)
    }

    fn start(&self) -> Result<(Node, recovery::Recovery), crate::OpenError> {
        let disk = Arc::new(self.disk.clone());
        let identity =
            recovery::settle_identity(&*disk, [7; 16]).map_err(crate::OpenError::io("identify"))?;
        let found = recovery::survey(&*disk, &self.settings, identity)?;
        let segments = found.segments.keys().copied().collect();
        let (recovery, ended) = recovery::recover(&disk, &identity, segments)?;
        let folder = Arc::new(JournalFolder::new(
            Arc::clone(&disk),
            self.settings.clone(),
            identity,
            found.segments,
            found.spare,
        ));
        let writer = Writer::new(
            Arc::clone(&folder),
            Arc::new(Counters::default()),
            recovery.next,
            ended,
        );
        let reader = Cursor::new(disk, &identity, self.cursor);
        Ok((
            Node {
                folder,
                writer,
                reader,
                next: recovery.next,
            },
            recovery,
        ))
    }

    /// Starts the process again and compares all stored records with the published ones.
    fn open(&mut self, is_kill: bool) -> Verdict<Node> {
        let (mut node, recovery) = self.start().map_err(|error| format!("not opened: {error:?}"))?;
        self.allowance = self.settings.quota_bytes.max(self.disk.used());
        self.tally.torn += u64::from(recovery.cut.is_some());
        let may_be_lost = is_kill && self.disk.syncs_failed() > self.syncs_failed_before;
        if !is_kill {
            self.syncs_failed_before = self.disk.syncs_failed();
        }
        self.check_damage(&recovery.damage)?;
        let mut all = Cursor::new(Arc::new(self.disk.clone()), &node.folder.identity, self.released);
        let records = all
            .read(node.view(), usize::MAX, usize::MAX)
            .map_err(|error| error.to_string())?;
        self.check_damage(&records.damage)?;
        self.must_be_whole(self.released, Seq::MAX, &records)?;
        self.forget_lost(&records);
        for (seq, record) in records.iter() {
            self.check_recovered(seq, record, may_be_lost)?;
        }
        if self.cursor > node.next {
            self.released = self.cursor;
            node.folder.release(self.released);
            let Ok(next) = node.writer.skip_to(self.cursor, self.moment()) else {
                return Err("numbers could not be skipped without faults".to_owned());
            };
            self.tally.skips += 1;
            node.next = next;
        }
        Ok(node)
    }

    fn check_recovered(&mut self, seq: Seq, record: &[u8], may_be_lost: bool) -> Verdict<()> {
        match self.published.get(&seq) {
            Some(published) if published == record => Ok(()),
            Some(_) => Err(format!("record {seq} was altered")),
            None if !self.attempted.contains(record) => Err(format!("record {seq} was invented")),
            None => {
                self.tally.recovered_unacked += 1;
                if may_be_lost {
                    self.soft.insert(seq);
                }
                self.publish(seq, record.to_vec())
            }
        }
    }

    fn forget_lost(&mut self, records: &Records) {
        let read: BTreeSet<Seq> = records.iter().map(|(seq, _)| seq).collect();
        let gone: Vec<Seq> = self
            .soft
            .iter()
            .copied()
            .filter(|seq| !read.contains(seq))
            .collect();
        for seq in gone {
            if seq >= self.released
                && let Some(record) = self.published.remove(&seq)
            {
                self.numbers.remove(&record);
                self.tally.soft_lost += 1;
            }
        }
    }

    /// Checks that without faults, with all records applied, records are accepted again within half a second.
    fn must_recover(&mut self, node: &mut Node) -> Verdict<()> {
        self.disk.set_fault_rates(FaultRates::default());
        while self.cursor < node.next {
            let before = self.cursor;
            self.consume(node)?;
            if self.cursor == before {
                return Err(format!("the reader is stuck at {before}"));
            }
        }
        self.released = self.cursor;
        node.folder.release(self.released);
        for _ in 0..5 {
            if self.commit(node)?.is_ok() {
                return self.consume(node);
            }
            self.now_ms += 100;
        }
        Err("the journal does not recover".to_owned())
    }
}
