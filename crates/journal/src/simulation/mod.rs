//! The journal on a simulated, treacherous disk: seeded, single-threaded, and compared with what was acknowledged.
//!
//! `JOURNAL_SEEDS=100000 cargo nextest run --release -p journal simulation` is the long run.

mod disk;
mod random;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::bugs::{self, Bug};

/// Seeds within which every seeded mistake has to show.
const PATIENCE: u64 = 1_000;

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
    reason = "the length of the long run is for whoever starts it to say"
)]
fn seeds() -> u64 {
    std::env::var("JOURNAL_SEEDS").map_or(1_000, |seeds| seeds.parse().unwrap())
}

#[test]
fn what_was_acknowledged_survives_whatever_the_disk_does() {
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
fn every_seeded_mistake_is_caught() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut blind = Vec::new();
    for bug in BUGS {
        bugs::set(Some(bug));
        // A mistake may also trip an assertion or an overflow: that is caught, too.
        let caught = (0..PATIENCE).find_map(|seed| {
            let outcome = catch_unwind(AssertUnwindSafe(|| world::run(seed)));
            outcome
                .unwrap_or_else(|_| Err("it panicked".to_owned()))
                .err()
                .map(|violation| (seed, violation))
        });
        bugs::set(None);
        match caught {
            Some((seed, violation)) => println!("{bug:?}: seed {seed}: {violation}"),
            None => blind.push(bug),
        }
    }
    let _ = std::panic::take_hook();
    assert!(blind.is_empty(), "not caught within {PATIENCE} seeds: {blind:?}");
}
