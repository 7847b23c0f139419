//! CPU time of processes and their threads, from `/proc`.

use std::fmt;
use std::fs;
use std::ops::Sub;

use nix::unistd::Pid;

/// Microseconds of a tick: the kernel reports times in hundredths of a second on every supported machine.
const TICK_US: f64 = 10_000.0;

/// CPU microseconds of the parts of a server and its Postgres.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Spent {
    /// Threads that take the requests of tracking hosts.
    workers: f64,
    /// Threads that write the journals.
    journals: f64,
    /// All other threads of the server: appliers, pages, background work.
    others: f64,
    /// All processes of Postgres.
    postgres: f64,
}

impl Spent {
    /// Returns what the threads of a server and these processes of Postgres have spent so far. The threads that have ended
    /// are counted among the others.
    pub(super) fn by(server: Option<Pid>, postgres: f64) -> Self {
        let mut spent = Self {
            postgres,
            ..Self::default()
        };
        let Some(server) = server else { return spent };
        spent.others = alone_us(server);
        for thread in fs::read_dir(format!("/proc/{server}/task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            let name = stat.split_once('(').map_or("", |(_, name)| name);
            let part = match name {
                _ if name.starts_with("tracking") => &mut spent.workers,
                _ if name.starts_with("journal") => &mut spent.journals,
                _ => continue,
            };
            let us = ticks(&stat, 11);
            *part += us;
            spent.others -= us;
        }
        spent
    }

    /// Returns the sum of all parts.
    pub(super) fn all(self) -> f64 {
        self.workers + self.journals + self.others + self.postgres
    }

    /// Returns what an event took of what this number of events took.
    pub(super) fn each(self, events: f64) -> Self {
        let Self {
            workers,
            journals,
            others,
            postgres,
        } = self;
        Self {
            workers: workers / events,
            journals: journals / events,
            others: others / events,
            postgres: postgres / events,
        }
    }
}

impl Sub for Spent {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            workers: self.workers - earlier.workers,
            journals: self.journals - earlier.journals,
            others: self.others - earlier.others,
            postgres: self.postgres - earlier.postgres,
        }
    }
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            workers,
            journals,
            others,
            postgres,
        } = self;
        write!(
            f,
            "workers {workers:.1}, journals {journals:.1}, applier and others {others:.1}, Postgres {postgres:.1}"
        )
    }
}

/// Returns the CPU microseconds of a process itself; 0 if the process has ended.
pub(super) fn alone_us(pid: Pid) -> f64 {
    ticks(&of(pid), 11)
}

/// Returns the CPU microseconds of the ended and reaped children of a process.
pub(super) fn reaped_us(pid: Pid) -> f64 {
    ticks(&of(pid), 13)
}

fn of(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default()
}

/// Returns the sum of two consecutive fields, user's and system's, counted from the end of the name.
fn ticks(stat: &str, first: usize) -> f64 {
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

    #[test]
    fn threads_of_a_server_are_assigned_to_its_parts_by_name() {
        let busy = std::thread::Builder::new().name("tracking-0".into()).spawn(|| {
            let began = Instant::now();
            let mut spent = Spent::default();
            while began.elapsed().as_millis() < 3000 && spent.workers < 50_000.0 {
                spent = Spent::by(Some(Pid::this()), 5.0);
            }
            spent
        });
        let spent = busy.unwrap().join().unwrap();
        assert!(spent.workers >= 50_000.0, "{spent}");
        assert_eq!((spent.journals, spent.postgres), (0.0, 5.0));
        let each = (spent - Spent::default()).each(2.0);
        assert!((each.all() - spent.all() / 2.0).abs() < 1.0);
    }
}
