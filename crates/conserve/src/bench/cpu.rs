//! CPU time of processes, from `/proc`.

use std::fs;

use nix::unistd::Pid;

/// Microseconds of a tick: the kernel tells times to programs in hundredths of a second on every machine we run on.
const TICK_US: f64 = 10_000.0;

/// Microseconds that a process has taken itself; 0 if it is gone.
pub(super) fn alone_us(pid: Pid) -> f64 {
    ticks(pid, 11)
}

/// Microseconds that children took which have ended and been waited for.
pub(super) fn reaped_us(pid: Pid) -> f64 {
    ticks(pid, 13)
}

/// The sum of two fields that follow each other, user's and system's, counted from behind the name.
fn ticks(pid: Pid, first: usize) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // pid (name) state …, and a name may hold anything.
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
    fn work_is_seen_in_whoever_did_it() {
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
