//! Programs of Postgres that copy a database: `pg_basebackup`, `pg_receivewal`, `pg_dump` and `pg_restore`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::binaries::{Binaries, NoBinaries};
use super::child::{self, Child};
use super::{PostgresError, cluster_version, doing};

/// Replication slot that keeps changes until they are copied.
pub(crate) const SLOT: &str = "clickledger_backup";
/// Variables of the environment that would change the connections of these programs.
const CONNECTION_VARIABLES: [&str; 8] = [
    "PGHOST",
    "PGHOSTADDR",
    "PGPORT",
    "PGDATABASE",
    "PGUSER",
    "PGPASSWORD",
    "PGSERVICE",
    "PGOPTIONS",
];

/// Reason why a program of Postgres failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    /// No usable binaries on the machine.
    #[error(transparent)]
    NoBinaries(#[from] NoBinaries),
    /// The program is not installed.
    #[error(
        "{0} is not installed; it is part of the client programs of PostgreSQL (package postgresql-client)"
    )]
    Missing(String),
    /// The program failed.
    #[error("{program}: {message}")]
    Failed {
        /// Name of the program.
        program: &'static str,
        /// Text that it printed.
        message: String,
    },
    /// The program was not started.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
}

/// Programs of one version.
#[derive(Debug, Clone)]
pub(crate) struct Tools(PathBuf);

/// Running `pg_receivewal`, which is stopped when dropped.
#[derive(Debug)]
pub(crate) struct Receiver(Child);

impl Receiver {
    pub(crate) fn is_running(&self) -> bool {
        self.0.is_running()
    }
}

impl Tools {
    /// Programs of the version of the cluster of a data directory, or the newest.
    pub(crate) fn find(data_dir: &Path, bin_dir: Option<&Path>) -> Result<Self, ToolError> {
        let version = cluster_version(&data_dir.join("postgres"));
        Ok(Self(Binaries::find(bin_dir, version)?.directory().to_owned()))
    }

    /// Copies the files of a cluster and the changes that make them consistent to a folder, compressed.
    pub(crate) fn base_backup(&self, url: &str, folder: &Path, label: &str) -> Result<(), ToolError> {
        let mut command = self.command("pg_basebackup")?;
        command.arg("-D").arg(folder);
        command.args([
            "-F", "tar", "-Z", "gzip:1", "-X", "stream", "-c", "fast", "-l", label,
        ]);
        command.args(["--no-password", "-d", url]);
        run("pg_basebackup", command)
    }

    /// Starts to receive the changes of a cluster into a folder, from the slot on.
    pub(crate) fn receive(&self, url: &str, folder: &Path, log: &Path) -> Result<Receiver, ToolError> {
        let mut command = self.command("pg_receivewal")?;
        command.arg("-D").arg(folder);
        command.args(["-S", SLOT, "--synchronous", "-s", "1", "--no-password", "-d", url]);
        let log_file = doing(format!("opening {}", log.display()), std::fs::File::create(log))?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log_file);
        let child = child::spawn(command, None);
        Ok(Receiver(doing("starting pg_receivewal", child)?))
    }

    /// Writes the contents of a database to a file.
    pub(crate) fn dump(&self, url: &str, file: &Path) -> Result<(), ToolError> {
        let mut command = self.command("pg_dump")?;
        command.arg("-f").arg(file);
        command.args(["-F", "custom", "-Z", "1", "--no-password", "-d", url]);
        run("pg_dump", command)
    }

    /// Writes the contents of a file to an empty database, whose login becomes the owner of all.
    pub(crate) fn restore(&self, url: &str, file: &Path) -> Result<(), ToolError> {
        let mut command = self.command("pg_restore")?;
        command.args([
            "--no-owner",
            "--exit-on-error",
            "--single-transaction",
            "--no-password",
            "-d",
            url,
        ]);
        command.arg(file);
        run("pg_restore", command)
    }

    fn command(&self, program: &'static str) -> Result<Command, ToolError> {
        let path = self.0.join(program);
        if !path.exists() {
            return Err(ToolError::Missing(path.display().to_string()));
        }
        let mut command = Command::new(path);
        for name in CONNECTION_VARIABLES {
            command.env_remove(name);
        }
        Ok(command)
    }
}

fn run(program: &'static str, command: Command) -> Result<(), ToolError> {
    let output = doing(format!("running {program}"), child::output(command, None))?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(ToolError::Failed { program, message })
}
