//! Damage of a folder at rest: torn ends, zeros, flipped bits, any bytes.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails on any error"
)]

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use journal::{Cut, Journal, Reader, Recovery, Seq, Settings};
use proptest::prelude::*;

const HEADER: usize = 4096;

fn settings(folder: &Path) -> Settings {
    Settings {
        segment_bytes: 96 << 10,
        quota_bytes: 4 << 20,
        ..Settings::in_folder(folder.to_owned())
    }
}

/// A journal of one segment at rest, with the positions of its batches.
struct AtRest {
    folder: tempfile::TempDir,
    segment: PathBuf,
    bytes: Vec<u8>,
    records: Vec<Vec<u8>>,
    /// Position in the file and records of each batch.
    batches: Vec<(Range<usize>, Range<Seq>)>,
}

impl AtRest {
    /// Writes batches of 1 to 4 records until at least `payload` bytes are used. In memory, because it is opened many
    /// times.
    fn with_about(payload: usize) -> AtRest {
        let folder = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let (journal, _) = Journal::open(settings(folder.path())).unwrap();
        let (appender, wakeups) = journal.appender();
        drop(wakeups);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut records = Vec::new();
        let mut used = 0;
        while used < payload {
            let number = records.len();
            let record = vec![number as u8; 40 + number * 37 % 900];
            used += record.len() + 44;
            runtime
                .block_on(appender.append(|buffer| buffer.extend_from_slice(&record)))
                .unwrap();
            records.push(record);
        }
        journal.close();
        let segment = folder.path().join(format!("{:020}.journal", 0));
        let bytes = fs::read(&segment).unwrap();
        let batches = frames(&bytes);
        assert_eq!(batches.last().unwrap().1.end, records.len() as Seq);
        AtRest {
            folder,
            segment,
            bytes,
            records,
            batches,
        }
    }

    /// End of the last batch.
    fn end(&self) -> usize {
        self.batches.last().unwrap().0.end
    }

    /// Opens the folder with `bytes` as the segment, reads all records and checks each. Returns the number of lost
    /// batches, and true if the loss was reported.
    fn check(&self, bytes: &[u8]) -> (usize, bool) {
        fs::write(&self.segment, bytes).unwrap();
        let mut reader = Reader::open(self.folder.path(), 0).unwrap();
        let mut read = vec![false; self.records.len()];
        let mut reported = false;
        loop {
            let records = reader.read(1_000, 1 << 20).unwrap();
            for (seq, record) in records.iter() {
                assert_eq!(record, self.records[seq as usize], "record {seq}");
                assert!(
                    !std::mem::replace(&mut read[seq as usize], true),
                    "record {seq} twice"
                );
            }
            for damage in &records.damage {
                reported = true;
                assert!(
                    (damage.from..damage.to).all(|seq| !read[seq as usize]),
                    "{damage:?}"
                );
            }
            if records.is_empty() && records.damage.is_empty() {
                break;
            }
        }
        let is_gone = |records: &Range<Seq>| records.clone().any(|seq| !read[seq as usize]);
        let gone = self
            .batches
            .iter()
            .filter(|(_, records)| is_gone(records))
            .count();
        (gone, reported)
    }

    fn recover(&self) -> Recovery {
        let (journal, recovery) = Journal::open(settings(self.folder.path())).unwrap();
        drop(journal);
        recovery
    }
}

/// Frames of a segment, by the description of the format alone.
fn frames(bytes: &[u8]) -> Vec<(Range<usize>, Range<Seq>)> {
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let mut found = Vec::new();
    let mut at = HEADER;
    while at + 40 <= bytes.len() && &bytes[at..at + 4] == b"\xFFCL\xC1" {
        let end = at + (40 + u32_at(at + 4) as usize).next_multiple_of(8);
        found.push((
            at..end,
            u64_at(at + 16)..u64_at(at + 16) + u64::from(u32_at(at + 32)),
        ));
        at = end;
    }
    found
}

#[test]
fn a_tail_cut_at_any_byte_loses_only_the_cut_batches() {
    let journal = AtRest::with_about(64 << 10);
    let end = journal.end();
    // All 65,537 cuts in an optimised build; otherwise they would take two minutes.
    let step = if cfg!(debug_assertions) { 8 } else { 1 };
    for cut in (end - (64 << 10)..=end).step_by(step) {
        let (gone, reported) = journal.check(&journal.bytes[..cut]);
        // The padding is not part of a frame.
        let is_whole =
            |place: &Range<usize>| place.end <= cut + 7 && frame_bytes(&journal.bytes, place) <= cut;
        let whole = journal
            .batches
            .iter()
            .filter(|(place, _)| is_whole(place))
            .count();
        assert_eq!(
            (journal.batches.len() - gone, reported),
            (whole, false),
            "cut at {cut}"
        );
    }
}

/// End of a frame without its padding.
fn frame_bytes(bytes: &[u8], place: &Range<usize>) -> usize {
    let payload: [u8; 4] = bytes[place.start + 4..place.start + 8].try_into().unwrap();
    place.start + 40 + u32::from_le_bytes(payload) as usize
}

#[test]
fn recovery_continues_after_the_last_whole_batch_and_reports_the_cut() {
    let journal = AtRest::with_about(8 << 10);
    let (last, records) = journal.batches.last().unwrap().clone();
    for cut in last.start..last.end - 8 {
        for entry in fs::read_dir(journal.folder.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        let mut torn = journal.bytes.clone();
        torn[cut..].fill(0);
        fs::write(&journal.segment, &torn).unwrap();
        let recovery = journal.recover();
        assert_eq!(
            (recovery.next, recovery.damage.len()),
            (records.start, 0),
            "cut at {cut}"
        );
        if cut >= last.start + 24 {
            let bytes = last.len() as u64;
            assert_eq!(
                recovery.cut.unwrap(),
                Cut {
                    segment: 0,
                    offset: last.start as u64,
                    bytes
                }
            );
        }
    }
}

#[test]
fn each_of_ten_thousand_flipped_bits_loses_one_batch_and_is_reported() {
    let journal = AtRest::with_about(12 << 10);
    let mut bytes = journal.bytes.clone();
    let last = journal.batches.last().unwrap().0.clone();
    let mut state = 1_u64;
    let mut lost = 0;
    for _ in 0..10_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let bit = (state >> 20) as usize % (journal.end() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (gone, reported) = journal.check(&bytes);
        assert!(gone <= 1, "bit {bit}: {gone} batches");
        if gone == 1 && last.contains(&(bit / 8)) {
            // At the end it looks like a torn batch, which opening reports.
            assert!(journal.recover().cut.is_some(), "bit {bit}");
        } else {
            assert_eq!(reported, gone == 1, "bit {bit}");
        }
        lost += gone;
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(lost > 6_000, "the flips missed the batches: {lost}");
}

#[test]
fn a_page_of_zeros_loses_only_the_touched_batches_and_is_reported() {
    let journal = AtRest::with_about(64 << 10);
    for start in (HEADER..journal.end() - HEADER).step_by(1_021) {
        let mut bytes = journal.bytes.clone();
        bytes[start..start + 4096].fill(0);
        let touched =
            |place: &Range<usize>| place.start < start + 4096 && start < frame_bytes(&journal.bytes, place);
        let expected = journal.batches.iter().filter(|(place, _)| touched(place)).count();
        let (gone, reported) = journal.check(&bytes);
        let is_at_end = start + 4096 > journal.batches.last().unwrap().0.start;
        assert_eq!(
            (gone, reported || is_at_end),
            (expected, true),
            "zeros at {start}"
        );
    }
}

#[test]
fn a_damaged_header_page_loses_no_record() {
    let journal = AtRest::with_about(8 << 10);
    let mut bytes = journal.bytes.clone();
    bytes[..HEADER].fill(0xA5);
    assert_eq!(journal.check(&bytes), (0, false));
    assert_eq!(journal.recover().next, journal.records.len() as Seq);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_after_the_end_change_nothing(rubbish in prop::collection::vec(any::<u8>(), 0..5_000)) {
        let journal = AtRest::with_about(2 << 10);
        let mut bytes = journal.bytes[..journal.end()].to_vec();
        bytes.extend(rubbish);
        prop_assert_eq!(journal.check(&bytes), (0, false));
    }

    #[test]
    fn any_bytes_at_all_are_read_without_a_panic_or_an_invented_record(
        start in 0_usize..12_000,
        rubbish in prop::collection::vec(any::<u8>(), 1..9_000),
    ) {
        let journal = AtRest::with_about(8 << 10);
        let mut bytes = journal.bytes.clone();
        bytes.splice(start..start + rubbish.len(), rubbish);
        let (gone, _) = journal.check(&bytes);
        prop_assert!(gone <= journal.batches.len());
        prop_assert!(journal.recover().next <= journal.records.len() as Seq);
    }
}
