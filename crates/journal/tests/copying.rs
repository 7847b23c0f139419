//! Copies of a journal while it is written to: every acknowledged record is in the copy, and the copy is a journal.
#![expect(clippy::unwrap_used, reason = "a test fails on any error")]

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use journal::{IDENTITY_FILE, Journal, Reader, Seq, Settings, read_segment, segments};

const SEGMENT: u64 = 64 << 10;

fn small(folder: &Path) -> Settings {
    Settings {
        segment_bytes: SEGMENT,
        quota_bytes: 64 * SEGMENT,
        retention: Duration::from_secs(3600),
        ..Settings::in_folder(folder.to_owned())
    }
}

/// Adds to a copy what is new in a folder, in pieces of about `most` bytes.
fn copy(from: &Path, to: &Path, ends: &mut HashMap<Seq, u64>, most: usize) {
    fs::create_dir_all(to).unwrap();
    fs::copy(from.join(IDENTITY_FILE), to.join(IDENTITY_FILE)).unwrap();
    for segment in segments(from).unwrap() {
        let end = ends.entry(segment.first).or_default();
        while let Some(bytes) = read_segment(from, segment, *end, most).unwrap()
            && !bytes.is_empty()
        {
            let file = fs::OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(to.join(segment.file_name()))
                .unwrap();
            file.write_all_at(&bytes, *end).unwrap();
            *end += bytes.len() as u64;
        }
    }
}

fn read_all(folder: &Path) -> Vec<Vec<u8>> {
    let mut reader = Reader::open(folder, 0).unwrap();
    let mut all = Vec::new();
    loop {
        let records = reader.read(1000, 1 << 20).unwrap();
        assert!(records.damage.is_empty(), "{:?}", records.damage);
        if records.is_empty() {
            return all;
        }
        all.extend(records.iter().map(|(_, record)| record.to_vec()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_journal_in_use_has_every_acknowledged_record() {
    let folder = tempfile::tempdir().unwrap();
    let (original, copied) = (folder.path().join("original"), folder.path().join("copy"));
    let (journal, _) = Journal::open(small(&original)).unwrap();
    let (appender, wakeups) = journal.appender();
    tokio::spawn(wakeups);
    let mut ends = HashMap::new();
    let mut acknowledged = Vec::new();
    for round in 0..40_usize {
        for number in 0..20_usize {
            let record = vec![u8::try_from(round).unwrap(); 10 + number * 40];
            appender
                .append(|buffer| buffer.extend_from_slice(&record))
                .await
                .unwrap();
            acknowledged.push(record);
        }
        // Pieces that are smaller than a frame, and larger than a segment.
        copy(&original, &copied, &mut ends, [100, 4096, 1 << 20][round % 3]);
        assert_eq!(read_all(&copied).len(), acknowledged.len(), "in round {round}");
    }
    assert!(ends.len() > 3, "several segments");
    assert_eq!(read_all(&copied), acknowledged);

    // The copy goes on as a journal of the same identity, behind the last record.
    let (again, recovery) = Journal::open(small(&copied)).unwrap();
    assert_eq!(
        (again.identity(), recovery.next),
        (journal.identity(), journal.next())
    );
    assert_eq!((recovery.cut, recovery.damage), (None, Vec::new()));
    let (appender, wakeups) = again.appender();
    tokio::spawn(wakeups);
    appender.append(|buffer| buffer.push(1)).await.unwrap();
    drop(again);
    acknowledged.push(vec![1]);
    assert_eq!(read_all(&copied), acknowledged);
}
