//! Mistakes the code can be told to make, in tests only: what the simulation must catch to be believed.

/// One mistake each, made where its name says.
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

/// Whether this mistake is to be made. Never outside tests and sabotage: it compiles to `false`.
#[cfg(not(any(test, feature = "sabotage")))]
pub(crate) const fn on(_: Bug) -> bool {
    false
}

/// Whether this is the mistake that the environment asks for.
#[cfg(all(feature = "sabotage", not(test)))]
pub(crate) fn on(bug: Bug) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<Bug>> = std::sync::OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "sabotage reaches in past every setting")]
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
