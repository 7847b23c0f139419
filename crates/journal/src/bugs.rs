//! Faults that tests can inject, to prove that the simulation catches them.

/// An injected fault; each is injected where its name suggests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    AckBeforeSync,
    IgnoreFailedSync,
    RetrySyncOnSameFile,
    IgnoreShortWrite,
    NoFolderSyncAfterBegin,
    TruncateTooMuch,
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
    /// `no-sync`
    NoSync,
    /// `early-ack`
    EarlyAck,
}

/// True if this fault is injected. Always false outside tests and sabotage builds.
#[cfg(not(any(test, feature = "sabotage")))]
pub(crate) const fn on(_: Bug) -> bool {
    false
}

/// True if the environment selects this fault.
#[cfg(all(feature = "sabotage", not(test)))]
pub(crate) fn on(bug: Bug) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<Bug>> = std::sync::OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "sabotage bypasses the settings")]
    let chosen = CHOSEN.get_or_init(|| match std::env::var("CLICKLEDGER_SABOTAGE").as_deref() {
        Ok("no-sync") => Some(Bug::NoSync),
        Ok("early-ack") => Some(Bug::EarlyAck),
        _ => None,
    });
    *chosen == Some(bug)
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
