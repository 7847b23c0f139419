//! The postmaster as a child process: another user where we are root, a process group of its own, and gone when we
//! are, also when we are killed.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, getppid, setgid, setpgid, setuid};

/// A running postmaster. Dropping it stops it: fast shutdown first, then at once.
#[derive(Debug)]
pub(super) struct Child {
    process: Mutex<std::process::Child>,
    pid: Pid,
}

/// Starts the postmaster from a thread that lives as long as we do: the kernel's "tell me when my parent dies"
/// follows the thread that started the child, not the process.
pub(super) fn spawn(mut command: Command, user: Option<User>) -> io::Result<Child> {
    prepare(&mut command, user, true);
    let (report, started) = mpsc::channel();
    std::thread::Builder::new()
        .name("postgres-parent".into())
        .spawn(move || {
            let _ = report.send(command.spawn());
            loop {
                std::thread::park();
            }
        })?;
    let process = started.recv().map_err(io::Error::other)??;
    let pid = Pid::from_raw(i32::try_from(process.id()).map_err(io::Error::other)?);
    Ok(Child {
        process: Mutex::new(process),
        pid,
    })
}

/// Runs a command as the database's user and waits for its end.
pub(super) fn output(mut command: Command, user: Option<&User>) -> io::Result<Output> {
    prepare(&mut command, user.cloned(), false);
    command.output()
}

fn prepare(command: &mut Command, user: Option<User>, own_group: bool) {
    // The child may not be allowed into the folder we were started in.
    command.current_dir("/");
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
            // Ctrl-C is for us: we drain first and stop the database last.
            setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            // After setuid, which clears it. SIGINT is Postgres's fast, clean shutdown.
            #[cfg(target_os = "linux")]
            nix::sys::prctl::set_pdeathsig(Signal::SIGINT)?;
            if getppid() != parent {
                return Err(io::Error::other(
                    "the parent died while the database was starting",
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
    /// Whether the postmaster is alive.
    pub(super) fn is_running(&self) -> bool {
        self.process
            .lock()
            .is_ok_and(|mut process| matches!(process.try_wait(), Ok(None)))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        for (signal, patience) in [(Signal::SIGINT, 30), (Signal::SIGQUIT, 5), (Signal::SIGKILL, 5)] {
            if !self.is_running() || kill(self.pid, signal).is_err() {
                return;
            }
            let give_up = Instant::now() + Duration::from_secs(patience);
            while self.is_running() && Instant::now() < give_up {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}
