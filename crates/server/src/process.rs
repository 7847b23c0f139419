//! Figures of this process: processor time, memory, file descriptors, threads.

use std::fs;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeVal;
use telemetry::{Scrape, catalog};

/// Adds the figures that the system has. Those of `/proc` exist on Linux only.
#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in floats")]
pub(crate) fn add(scrape: &mut Scrape) {
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        let spent = seconds(usage.user_time()) + seconds(usage.system_time());
        scrape.total(&catalog::PROCESS_CPU, &[], spent);
    }
    if let Ok((limit, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
        scrape.gauge(&catalog::PROCESS_MAX_FDS, &[], limit as f64);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // Without the one that reads the folder.
        let count = open.count().saturating_sub(1);
        scrape.gauge(&catalog::PROCESS_OPEN_FDS, &[], count as f64);
    }
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        if let Some(kib) = number(&status, "VmRSS:") {
            scrape.gauge(&catalog::PROCESS_MEMORY, &[], kib as f64 * 1024.0);
        }
        if let Some(threads) = number(&status, "Threads:") {
            scrape.gauge(&catalog::PROCESS_THREADS, &[], threads as f64);
        }
    }
}

/// Number of a line of `/proc/self/status`.
fn number(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_status_are_found() {
        let status = "Name:\tclickledger\nVmRSS:\t   123456 kB\nThreads:\t12\n";
        assert_eq!(number(status, "VmRSS:"), Some(123_456));
        assert_eq!(number(status, "Threads:"), Some(12));
        assert_eq!(number(status, "VmSwap:"), None);
    }
}
