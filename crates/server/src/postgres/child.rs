//! Postmaster as a child process: under another user if we are root, in a separate process group, and stopped when this
//! process ends, even when it is killed.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, getppid, setgid, setpgid, setuid};
use tracing::info_span;

/// Ways to stop the postmaster, from the cleanest on, each with the longest wait for its end.
const STOP_TIMEOUTS: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(30)),
    (Signal::SIGQUIT, Duration::from_secs(5)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];
/// Time between looks at a process that is stopping.
const STOP_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Running postmaster. Dropping it stops it: fast shutdown first, then immediate.
#[derive(Debug)]
pub(super) struct Child {
    process: Mutex<std::process::Child>,
    pid: Pid,
    /// Ends the thread that started it.
    _parent: mpsc::Sender<()>,
}

/// Starts the postmaster from a thread that lives as long as the child: the kernel's parent-death signal follows the thread
/// that started it, not the process.
pub(super) fn spawn(mut command: Command, user: Option<User>) -> io::Result<Child> {
    prepare(&mut command, user, true);
    let (report, started) = mpsc::channel();
    let (parent, dropped) = mpsc::channel();
    std::thread::Builder::new()
        .name("postgres-parent".into())
        .spawn(move || {
            // The receiver waits below.
            let _ = report.send(command.spawn());
            // Closed when the child is dropped.
            let _ = dropped.recv();
        })?;
    let process = started.recv().map_err(io::Error::other)??;
    let pid = Pid::from_raw(i32::try_from(process.id()).map_err(io::Error::other)?);
    Ok(Child {
        process: Mutex::new(process),
        pid,
        _parent: parent,
    })
}

/// Runs a command as the database's user to its end.
pub(super) fn output(mut command: Command, user: Option<&User>) -> io::Result<Output> {
    prepare(&mut command, user.cloned(), false);
    command.output()
}

fn prepare(command: &mut Command, user: Option<User>, own_group: bool) {
    // The child's user may have no access to the present folder.
    command.current_dir("/");
    // Debian's Postgres notifies systemd too, which waits for this process.
    command.env_remove("NOTIFY_SOCKET");
    let parent = nix::unistd::getpid();
    let become_child = move || -> io::Result<()> {
        if let Some(user) = &user {
            #[cfg(not(target_os = "macos"))]
            nix::unistd::setgroups(&[user.gid])?;
            setgid(user.gid)?;
            setuid(user.uid)?;
        }
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
        if own_group {
            // Ctrl-C must reach this process only, which drains first and stops the database last.
            setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            // After setuid, which clears it. SIGINT is Postgres's fast, clean shutdown.
            #[cfg(target_os = "linux")]
            nix::sys::prctl::set_pdeathsig(Signal::SIGINT)?;
            if getppid() != parent {
                return Err(io::Error::other(
                    "the parent process ended while the database was starting",
                ));
            }
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe system calls may run. These are setgroups, setgid,
    // setuid, umask, setpgid, prctl and getppid on values captured before the fork; nothing allocates but the one
    // error path, which ends the child.
    #[expect(
        unsafe_code,
        reason = "std offers no safe way to change user and death signal before exec"
    )]
    unsafe {
        command.pre_exec(become_child);
    }
}

impl Child {
    /// Returns true while the postmaster runs.
    pub(super) fn is_running(&self) -> bool {
        self.process
            .lock()
            .is_ok_and(|mut process| matches!(process.try_wait(), Ok(None)))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _span = info_span!("stop_postgres", pid = self.pid.as_raw()).entered();
        for (signal, timeout) in STOP_TIMEOUTS {
            if !self.is_running() {
                return;
            }
            if let Err(error) = kill(self.pid, signal) {
                tracing::error!(%signal, %error, "signal not sent");
                return;
            }
            let deadline = Instant::now() + timeout;
            while self.is_running() && Instant::now() < deadline {
                std::thread::sleep(STOP_POLL_INTERVAL);
            }
            if self.is_running() {
                tracing::warn!(%signal, ?timeout, "still running");
            }
        }
    }
}
