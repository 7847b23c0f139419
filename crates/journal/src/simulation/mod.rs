//! The journal on a simulated disk with injected faults: seeded, single-threaded, compared with the acknowledged
//! records.
//!
//! `JOURNAL_SEEDS=100000 cargo nextest run --release -p journal simulation` runs longer.

mod disk;
mod random;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::bugs::{self, Bug};

/// Maximum number of seeds to catch an injected fault.
const MAX_SEEDS: u64 = 1_000;

const BUGS: [Bug; 16] = [
    Bug::AckBeforeSync,
    Bug::IgnoreFailedSync,
    Bug::RetrySyncOnSameFile,
    Bug::IgnoreShortWrite,
    Bug::NoFolderSyncAfterBegin,
    Bug::TruncateTooMuch,
    Bug::NoSyncAtRecovery,
    Bug::CutOneBatchTooMany,
    Bug::SkipChecksum,
    Bug::TrustStaleFrames,
    Bug::ReadPastNextSegment,
    Bug::RecycleUnreleased,
    Bug::RecycleCurrent,
    Bug::RewriteUnderNewNumbers,
    Bug::SkipWithoutSegment,
    Bug::IgnoreQuota,
];

#[expect(
    clippy::disallowed_methods,
    reason = "the user chooses the length of a long run"
)]
fn seeds() -> u64 {
    std::env::var("JOURNAL_SEEDS").map_or(1_000, |seeds| seeds.parse().unwrap())
}

#[test]
fn acknowledged_records_survive_all_disk_faults() {
    let mut survived = world::Tally::default();
    for seed in 0..seeds() {
        match world::run(seed) {
            Ok(tally) => survived.add(&tally),
            Err(violation) => panic!("seed {seed}: {violation}"),
        }
    }
    println!("{survived:?}");
    survived.assert_everything_happened();
}

#[test]
fn every_injected_fault_is_caught() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    for bug in BUGS {
        bugs::set(Some(bug));
        // A fault may also trip an assertion or an overflow, which counts as caught.
        let caught = (0..MAX_SEEDS).find_map(|seed| {
            let outcome = catch_unwind(AssertUnwindSafe(|| world::run(seed)));
            outcome
                .unwrap_or_else(|_| Err("the journal panicked".to_owned()))
                .err()
                .map(|violation| (seed, violation))
        });
        bugs::set(None);
        match caught {
            Some((seed, violation)) => println!("{bug:?}: seed {seed}: {violation}"),
            None => missed.push(bug),
        }
    }
    let _ = std::panic::take_hook();
    assert!(
        missed.is_empty(),
        "not caught within {MAX_SEEDS} seeds: {missed:?}"
    );
}
