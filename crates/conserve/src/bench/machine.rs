//! Machine and commit of the measurement.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::Outcome;

/// Machine and commit of the measurement.
pub(super) struct Machine {
    commit: String,
    cores: usize,
    memory_mib: u64,
    load_before: String,
}

impl Machine {
    /// Reads the data of this machine, and the commit of the checkout in which the server was built.
    pub(super) fn look(server: &Path) -> Outcome<Self> {
        let memory = fs::read_to_string("/proc/meminfo")?;
        let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kib: u64 = total
            .and_then(|total| total.trim().strip_suffix(" kB")?.trim().parse().ok())
            .ok_or("/proc/meminfo has no MemTotal")?;
        Ok(Self {
            commit: commit(server.parent().unwrap_or(Path::new("."))),
            cores: std::thread::available_parallelism()?.get(),
            memory_mib: kib >> 10,
            load_before: load()?,
        })
    }

    /// Returns the data as JSON.
    pub(super) fn json(&self) -> Value {
        json!({
            "commit": self.commit,
            "cores": self.cores,
            "memory_mib": self.memory_mib,
            "load_before": self.load_before,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            commit,
            cores,
            memory_mib,
            load_before,
        } = self;
        write!(
            f,
            "commit {commit}, {cores} cores, {memory_mib} MiB of memory\nload average before: {load_before}"
        )
    }
}

/// Returns the load averages of the last 1, 5 and 15 minutes.
pub(super) fn load() -> Outcome<String> {
    let load = fs::read_to_string("/proc/loadavg")?;
    Ok(load.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

fn commit(folder: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(arguments)
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "HEAD"]) else {
        return "unknown".to_owned();
    };
    match git(&["status", "--porcelain", "--untracked-files=no"]).as_deref() {
        Some("") => commit,
        _ => format!("{commit} with changes"),
    }
}
