//! The journal on a real disk: appending from many tasks, reopening, retention, quota.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails on any error"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use journal::{Append, Appender, Journal, OpenError, Reader, Refused, Seq, Settings};
use tokio::task::JoinSet;

const SEGMENT: u64 = 64 << 10;

fn small(folder: &Path) -> Settings {
    Settings {
        segment_bytes: SEGMENT,
        quota_bytes: 16 * SEGMENT,
        ..Settings::in_folder(folder.to_owned())
    }
}

fn put(appender: &Appender, record: &[u8]) -> Append {
    appender.append(|buffer| buffer.extend_from_slice(record))
}

/// Creates an appender whose wake-ups run on the current runtime.
fn appender(journal: &Journal) -> Appender {
    let (appender, wakeups) = journal.appender();
    tokio::spawn(wakeups);
    appender
}

fn read_all(mut reader: Reader) -> Vec<(Seq, Vec<u8>)> {
    let mut all = Vec::new();
    loop {
        let records = reader.read(1000, 1 << 20).unwrap();
        assert!(records.damage.is_empty(), "{:?}", records.damage);
        if records.is_empty() {
            return all;
        }
        all.extend(records.iter().map(|(seq, record)| (seq, record.to_vec())));
        assert_eq!(records.next, all.len() as Seq + all[0].0);
    }
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|end| end == "journal"))
        .collect();
    files.sort();
    files
}

fn bytes_in(folder: &Path) -> u64 {
    let files = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().metadata().ok());
    files.map(|file| file.len()).filter(|len| *len >= 4096).sum()
}

/// Waits for a result of the helper thread.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(10), "not in 10 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Appends 200 records in each of 64 tasks; each task waits for every record.
async fn append_from_many_tasks(journal: &Journal, worker: usize) {
    let appender = std::sync::Arc::new(appender(journal));
    let mut tasks = JoinSet::new();
    for task in 0..64 {
        let appender = std::sync::Arc::clone(&appender);
        tasks.spawn(async move {
            for number in 0..200 {
                put(&appender, format!("{worker}/{task}/{number}").as_bytes())
                    .await
                    .unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

fn assert_each_once_and_each_task_in_order(records: &[(Seq, Vec<u8>)], workers: usize) {
    let texts: Vec<_> = records
        .iter()
        .map(|(_, record)| String::from_utf8(record.clone()).unwrap())
        .collect();
    assert_eq!(texts.len(), workers * 64 * 200);
    assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), texts.len());
    let mut reached = std::collections::HashMap::new();
    for text in &texts {
        let (task, number) = text.rsplit_once('/').unwrap();
        let number: i32 = number.parse().unwrap();
        assert_eq!(reached.insert(task, number).unwrap_or(-1), number - 1, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_of_one_runtime_find_all_their_records_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        quota_bytes: 4 << 20,
        ..small(folder.path())
    };
    let (journal, recovery) = Journal::open(settings.clone()).unwrap();
    assert_eq!((recovery.next, recovery.segments), (0, 0));
    append_from_many_tasks(&journal, 0).await;
    let stats = journal.stats();
    assert_eq!(
        (stats.next, stats.appended_records, stats.refused),
        (12_800, 12_800, 0)
    );
    assert!(stats.syncs < 12_800 / 4, "no groups: {} syncs", stats.syncs);
    assert!(stats.sync_p50 > Duration::ZERO && stats.sync_p50 <= stats.sync_p99);
    assert_each_once_and_each_task_in_order(&read_all(journal.reader(0)), 1);
    journal.close();

    let (journal, recovery) = Journal::open(settings).unwrap();
    assert_eq!(
        (recovery.next, recovery.cut, recovery.damage.len()),
        (12_800, None, 0)
    );
    assert_each_once_and_each_task_in_order(&read_all(journal.reader(0)), 1);
    assert_each_once_and_each_task_in_order(&read_all(Reader::open(folder.path(), 0).unwrap()), 1);
    assert_eq!(read_all(journal.reader(12_790)).len(), 10);
}

#[test]
fn several_single_threaded_runtimes_share_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(Settings {
        quota_bytes: 4 << 20,
        ..small(folder.path())
    })
    .unwrap();
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let journal = &journal;
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .unwrap();
                runtime.block_on(append_from_many_tasks(journal, worker));
            });
        }
    });
    assert_each_once_and_each_task_in_order(&read_all(journal.reader(0)), 3);
}

#[tokio::test]
async fn a_second_journal_in_the_folder_is_refused_until_the_first_closes() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(small(folder.path())).unwrap();
    assert!(matches!(
        Journal::open(small(folder.path())),
        Err(OpenError::InUse)
    ));
    journal.close();
    assert!(Journal::open(small(folder.path())).is_ok());
}

#[tokio::test]
async fn the_identity_survives_the_loss_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(small(folder.path())).unwrap();
    let identity = journal.identity();
    put(&appender(&journal), b"one").await.unwrap();
    drop(journal);
    fs::write(folder.path().join("identity"), b"rubbish").unwrap();
    let (journal, recovery) = Journal::open(small(folder.path())).unwrap();
    assert_eq!((journal.identity(), recovery.next), (identity, 1));
    drop(journal);
    let other = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(small(other.path())).unwrap();
    assert_ne!(journal.identity(), identity);
    drop(journal);
    let segment = &segments(folder.path())[0];
    fs::copy(segment, other.path().join(segment.file_name().unwrap())).unwrap();
    assert!(matches!(
        Journal::open(small(other.path())),
        Err(OpenError::Foreign { segment: 0 })
    ));
}

#[tokio::test]
async fn closing_writes_buffered_records_and_refuses_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(small(folder.path())).unwrap();
    let (appender, wakeups) = journal.appender();
    let wakeups = tokio::spawn(wakeups);
    let buffered: Vec<_> = (0..10).map(|number| put(&appender, &[number])).collect();
    journal.close();
    for append in buffered {
        assert_eq!(append.await, Ok(()));
    }
    assert_eq!(put(&appender, b"late").await, Err(Refused::Closed));
    assert_eq!(journal.skip_to(99), Err(Refused::Closed));
    wakeups.await.unwrap();
    let (late, wakeups) = journal.appender();
    wakeups.await;
    assert_eq!(put(&late, b"late").await, Err(Refused::Closed));
    assert_eq!(read_all(Reader::open(folder.path(), 0).unwrap()).len(), 10);
}

#[tokio::test]
async fn wake_ups_end_with_their_appender_and_are_not_needed_once_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(small(folder.path())).unwrap();
    let (first, wakeups) = journal.appender();
    let wakeups = tokio::spawn(wakeups);
    let append = put(&first, b"last words");
    drop(first);
    append.await.unwrap();
    wakeups.await.unwrap();
    let (second, wakeups) = journal.appender();
    drop(wakeups);
    put(&second, b"no wake-ups").await.unwrap();
    assert_eq!(journal.next(), 2);
}

#[tokio::test]
async fn an_oversized_record_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(small(folder.path())).unwrap();
    let appender = appender(&journal);
    let before = put(&appender, b"before");
    let giant = put(&appender, &vec![7; SEGMENT as usize]);
    let after = put(&appender, b"after");
    assert_eq!(
        (before.await, giant.await, after.await),
        (Ok(()), Err(Refused::TooLarge), Ok(()))
    );
    let read: Vec<_> = read_all(journal.reader(0))
        .into_iter()
        .map(|(_, record)| record)
        .collect();
    assert_eq!(read, [b"before".to_vec(), b"after".to_vec()]);
}

#[tokio::test]
async fn a_closure_that_panics_or_misbehaves_corrupts_no_other_record() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(small(folder.path())).unwrap();
    let appender = appender(&journal);
    let before = put(&appender, b"before");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        drop(appender.append(|buffer| {
            buffer.extend_from_slice(b"half a rec");
            panic!("the test's own");
        }));
    }));
    assert!(panicked.is_err());
    let cheat = appender.append(|buffer| *buffer = b"cheat".to_vec());
    assert_eq!((before.await, cheat.await), (Ok(()), Ok(())));
    let read: Vec<_> = read_all(journal.reader(0))
        .into_iter()
        .map(|(_, record)| record)
        .collect();
    assert_eq!(read, [b"before".to_vec(), b"cheat".to_vec()]);
}

#[tokio::test]
async fn a_reader_stops_within_a_batch_and_continues_there() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(small(folder.path())).unwrap();
    let appender = appender(&journal);
    let appends: Vec<_> = (0..100_u8).map(|number| put(&appender, &[number; 10])).collect();
    for append in appends {
        append.await.unwrap();
    }
    let mut reader = journal.reader(5);
    let mut expected = 5;
    while expected < 100 {
        let records = reader.read(7, usize::MAX).unwrap();
        assert_eq!(records.len() as u64, 7.min(100 - expected));
        for (seq, record) in records.iter() {
            assert_eq!((seq, record), (expected, &[expected as u8; 10][..]));
            expected += 1;
        }
        assert_eq!((records.next, reader.next()), (expected, expected));
    }
    assert!(reader.read(7, usize::MAX).unwrap().is_empty());
}

#[tokio::test]
async fn a_waiting_reader_is_woken_by_new_records_and_by_closing() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(small(folder.path())).unwrap();
    let waiting = tokio::spawn({
        let journal = journal.clone();
        async move {
            journal.wait_beyond(0).await;
            let seen = journal.next();
            journal.wait_beyond(1_000).await;
            seen
        }
    });
    put(&appender(&journal), b"one").await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!waiting.is_finished());
    journal.close();
    assert_eq!(waiting.await.unwrap(), 1);
}

#[tokio::test]
async fn skipped_numbers_have_no_records() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(small(folder.path())).unwrap();
    put(&appender(&journal), b"zero").await.unwrap();
    assert_eq!(journal.skip_to(1_000), Ok(1_000));
    assert_eq!(journal.skip_to(10), Ok(1_000));
    assert_eq!(journal.next(), 1_000);
    drop(journal);
    let (journal, recovery) = Journal::open(small(folder.path())).unwrap();
    assert_eq!(recovery.next, 1_000);
    put(&appender(&journal), b"thousand").await.unwrap();
    let records = journal.reader(0).read(10, 1000).unwrap();
    let read: Vec<_> = records.iter().collect();
    assert_eq!(read, [(0, &b"zero"[..]), (1_000, &b"thousand"[..])]);
    assert!(records.damage.is_empty());
}

#[tokio::test]
async fn the_oldest_unreleased_batch_has_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(small(folder.path())).unwrap();
    assert_eq!(journal.stats().oldest_unreleased_at, None);
    let appender = appender(&journal);
    let mut times = Vec::new();
    for _ in 0..3 {
        times.push(SystemTime::now());
        put(&appender, b"x").await.unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    for (released, appended) in times.into_iter().enumerate() {
        journal.release(released as Seq);
        let reported = journal.stats().oldest_unreleased_at.unwrap();
        let off = reported
            .duration_since(appended)
            .unwrap_or_else(|error| error.duration());
        assert!(off < Duration::from_millis(50), "{off:?}");
    }
    journal.release(3);
    assert_eq!(journal.stats().oldest_unreleased_at, None);
}

#[tokio::test]
async fn released_segments_are_removed_after_retention_and_unreleased_ones_never() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        retention: Duration::ZERO,
        ..small(folder.path())
    };
    let (journal, _) = Journal::open(settings).unwrap();
    let appender = appender(&journal);
    for _ in 0..60 {
        put(&appender, &[1; 8_000]).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!((journal.first(), read_all(journal.reader(0)).len()), (0, 60));
    journal.release(30);
    // Seven records fit into a segment, and the helper removes one segment after the other.
    eventually("whole released segments are gone", || journal.first() == 28).await;
    assert_eq!(read_all(journal.reader(30)).len(), 30);
    let damage = journal.reader(3).read(100, 1 << 20).unwrap().damage;
    assert_eq!((damage[0].from, damage[0].to), (3, journal.first()));
    assert_eq!(journal.stats().damaged, 1);
}

#[tokio::test]
async fn the_quota_is_never_exceeded_and_released_space_is_reused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        quota_bytes: 4 * SEGMENT,
        ..small(folder.path())
    };
    let (journal, _) = Journal::open(settings.clone()).unwrap();
    let appender = appender(&journal);
    let mut taken = 0;
    let refused = loop {
        match put(&appender, &[1; 8_000]).await {
            Ok(()) => taken += 1,
            Err(reason) => break reason,
        }
        assert!(bytes_in(folder.path()) <= settings.quota_bytes);
    };
    assert_eq!(refused, Refused::Full);
    assert_eq!(taken, 4 * 7, "every segment is used before it refuses");
    assert!(journal.stats().failing && journal.stats().free < 0.01);
    assert_eq!(read_all(journal.reader(0)).len(), taken);

    journal.release(14);
    let start = Instant::now();
    while put(&appender, &[2; 8_000]).await.is_err() {
        assert!(start.elapsed() < Duration::from_millis(500));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!journal.stats().failing);
    assert!(bytes_in(folder.path()) <= settings.quota_bytes);
    let left: Vec<_> = read_all(journal.reader(14));
    assert_eq!((left.len(), left[0].0), (15, 14));
}
