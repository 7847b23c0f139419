//! Cost of a durable record: appends by waiting tasks, beside a plain write and fdatasync for each, and reading.
//! Criterion prints the time per record; the plain write is the reference of the same run.
#![expect(clippy::unwrap_used, reason = "a benchmark fails on any error")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use journal::{Appender, Journal, Settings};
use tokio::runtime::Runtime;

/// Size of a click record.
const RECORD: [u8; 160] = [7; 160];

fn open(folder: &std::path::Path) -> Journal {
    let settings = Settings {
        quota_bytes: 1 << 30,
        ..Settings::in_folder(folder.to_owned())
    };
    Journal::open(settings).unwrap().0
}

/// Appends `count` records in `tasks` tasks; each task waits for every record.
async fn append(appender: Arc<Appender>, tasks: u64, count: u64) -> Duration {
    let start = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let appender = Arc::clone(&appender);
            tokio::spawn(async move {
                for _ in 0..count / tasks + u64::from(task < count % tasks) {
                    appender
                        .append(|buffer| buffer.extend_from_slice(&RECORD))
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for task in running {
        task.await.unwrap();
    }
    start.elapsed()
}

fn appends(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    group.sample_size(20).throughput(Throughput::Elements(1));
    let plain = tempfile::tempdir_in(".").unwrap();
    let file = File::create(plain.path().join("plain")).unwrap();
    file.write_all_at(&vec![0; 64 << 20], 0).unwrap();
    file.sync_all().unwrap();
    let mut offset = 0;
    group.bench_function("write and fdatasync each", |bencher| {
        bencher.iter(|| {
            file.write_all_at(&RECORD, offset).unwrap();
            file.sync_data().unwrap();
            offset = (offset + RECORD.len() as u64) % (63 << 20);
        });
    });
    for tasks in [1, 8, 64, 256] {
        let folder = tempfile::tempdir_in(".").unwrap();
        let journal = open(folder.path());
        // Each worker of a server has its own runtime.
        let runtime: Runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (appender, wakeups) = journal.appender();
        let appender = Arc::new(appender);
        runtime.spawn(wakeups);
        runtime.block_on(append(Arc::clone(&appender), 1, 1));
        // The next file is filled ahead first, which is not measured.
        while journal.stats().bytes_on_disk < 128 << 20 {
            std::thread::sleep(Duration::from_millis(10));
        }
        group.bench_function(format!("{tasks} waiting tasks"), |bencher| {
            bencher.iter_custom(|count| {
                let took = runtime.block_on(append(Arc::clone(&appender), tasks, count));
                journal.release(journal.next());
                took
            });
        });
    }
    group.finish();
}

fn reads(criterion: &mut Criterion) {
    const RECORDS: u64 = 200_000;
    let folder = tempfile::tempdir_in(".").unwrap();
    let journal = open(folder.path());
    let runtime: Runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (appender, wakeups) = journal.appender();
    runtime.spawn(wakeups);
    runtime.block_on(append(Arc::new(appender), 256, RECORDS));
    let mut group = criterion.benchmark_group("read");
    group.sample_size(20).throughput(Throughput::Elements(RECORDS));
    group.bench_function("200,000 records in batches of 5,000", |bencher| {
        bencher.iter(|| {
            let mut reader = journal.reader(0);
            let mut bytes = 0;
            while reader.next() < RECORDS {
                let records = reader.read(5_000, 4 << 20).unwrap();
                bytes += records.iter().map(|(_, record)| record.len()).sum::<usize>();
            }
            assert_eq!(bytes as u64, RECORDS * RECORD.len() as u64);
        });
    });
    group.finish();
}

criterion_group!(benches, appends, reads);
criterion_main!(benches);
