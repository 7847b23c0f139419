//! Threads of low priority, on which reports are computed, so that none slows a click.

use tokio::sync::oneshot;

use crate::ReportError;

/// Lowest priority.
const NICENESS: i32 = 19;

/// Lowers the priority of this thread for good: it must end with its work.
pub(crate) fn lower_priority() {
    // A thread without the right to do so counts as fast as any other.
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

/// Runs a computation on a thread of low priority.
///
/// # Errors
/// Returns an error if the computation panics or no thread can be started.
pub async fn in_background<T: Send + 'static>(
    compute: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ReportError> {
    let (sender, result) = oneshot::channel();
    std::thread::Builder::new()
        .name("report".to_owned())
        .spawn(move || {
            lower_priority();
            // Without a receiver, the request was given up.
            let _ = sender.send(compute());
        })
        .map_err(ReportError::failed)?;
    result.await.map_err(ReportError::failed)
}
