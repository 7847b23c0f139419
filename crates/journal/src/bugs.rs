//! Mistakes the code can be told to make, in tests only: what the simulation must catch to be believed.

/// One mistake each, made where its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    AckBeforeSync,
    IgnoreFailedSync,
    RetrySyncOnSameFile,
    IgnoreShortWrite,
    NoFolderSyncAfterBegin,
    NoFolderSyncAfterRecycle,
    NoSyncAtRecovery,
    CutOneBatchTooMany,
    SkipChecksum,
    TrustStaleFrames,
    ReadPastNextSegment,
    RecycleUnreleased,
    RecycleCurrent,
    RewriteUnderNewNumbers,
    SkipWithoutSegment,
    IgnoreQuota,
}

/// Whether this mistake is to be made. Never outside tests: it compiles to `false`.
#[cfg(not(test))]
pub(crate) const fn on(_: Bug) -> bool {
    false
}

#[cfg(test)]
pub(crate) use seeded::{on, set};

#[cfg(test)]
mod seeded {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static CURRENT: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    pub(crate) fn set(bug: Option<Bug>) {
        CURRENT.set(bug);
    }

    pub(crate) fn on(bug: Bug) -> bool {
        CURRENT.get() == Some(bug)
    }
}
