//! CPU time of processes, from `/proc`.

use std::fs;

use nix::unistd::Pid;

/// Microseconds of a tick: the kernel reports times in hundredths of a second on every supported machine.
const TICK_US: f64 = 10_000.0;

/// Returns the CPU microseconds of a process itself; 0 if the process has ended.
pub(super) fn alone_us(pid: Pid) -> f64 {
    ticks(pid, 11)
}

/// Returns the CPU microseconds of the ended and reaped children of a process.
pub(super) fn reaped_us(pid: Pid) -> f64 {
    ticks(pid, 13)
}

/// Returns the sum of two consecutive fields, user's and system's, counted from the end of the name.
fn ticks(pid: Pid, first: usize) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // pid (name) state …, where the name may contain anything.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let fields = after.split_whitespace().skip(first).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() * TICK_US
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use super::*;

    #[test]
    fn work_is_counted_for_the_process_that_did_it() {
        let (own, childrens) = (alone_us(Pid::this()), reaped_us(Pid::this()));
        let began = Instant::now();
        while began.elapsed().as_millis() < 3000 && alone_us(Pid::this()) < own + 50_000.0 {}
        assert!(alone_us(Pid::this()) >= own + 50_000.0);
        let done = Command::new("sh")
            .args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"])
            .status();
        assert!(done.unwrap().success());
        assert!(reaped_us(Pid::this()) > childrens);
    }
}
