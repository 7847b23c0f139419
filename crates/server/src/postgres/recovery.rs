//! Restore of the private Postgres from the files of `pg_basebackup` and the changes after them.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use flate2::read::MultiGzDecoder;
use nix::unistd::User;

use super::binaries::Binaries;
use super::cluster::Cluster;
use super::{
    PostgresError, check_reachable, cluster_version, doing, lock, private_dir, socket_dir, unprivileged_user,
};

/// Longest time to apply the changes of a backup.
const RECOVERY_TIMEOUT: Duration = Duration::from_hours(48);
/// Text of Postgres for a time after which nothing was committed.
const NOTHING_LATER: &str = "recovery ended before configured recovery target was reached";

/// Files of a cluster to restore.
pub(crate) struct Recovery<'a> {
    /// Compressed archive of the cluster.
    pub(crate) base: &'a Path,
    /// Compressed archive of the changes that it needs.
    pub(crate) base_changes: &'a Path,
    /// Folder of the changes after it; none without any.
    pub(crate) changes: Option<&'a Path>,
    /// Time of the restored database; the latest if none.
    pub(crate) to: Option<DateTime<Utc>>,
    /// True if no change is missing between others.
    pub(crate) is_complete: bool,
}

/// Restores the cluster of a data directory, which has none, and stops it again.
pub(crate) fn recover(
    data_dir: &Path,
    bin_dir: Option<&Path>,
    recovery: &Recovery<'_>,
) -> Result<(), PostgresError> {
    let data_dir = doing(
        format!("resolving {}", data_dir.display()),
        data_dir.canonicalize(),
    )?;
    let _lock = lock(&data_dir)?;
    let user = unprivileged_user()?;
    if let Some(user) = &user {
        check_reachable(&data_dir, user)?;
    }
    let path = data_dir.join("postgres");
    private_dir(&path, user.as_ref())?;
    unpack(recovery.base, &path)?;
    unpack(recovery.base_changes, &path.join("pg_wal"))?;
    let binaries = Binaries::find(bin_dir, cluster_version(&path))?;
    let mut options = vec!["hot_standby=off".to_owned()];
    if let Some(changes) = recovery.changes {
        let signal = path.join("recovery.signal");
        doing(format!("creating {}", signal.display()), File::create(&signal))?;
        options.push(format!("restore_command={}", copy_command(changes)));
        options.push("recovery_target_action=promote".to_owned());
        give(changes, user.as_ref())?;
    }
    give(&path, user.as_ref())?;
    let mut cluster = Cluster {
        binaries,
        sockets: socket_dir(&data_dir, user.as_ref())?,
        path,
        log: data_dir.join("postgres.log"),
        options: options.clone(),
        user,
        ready_timeout: RECOVERY_TIMEOUT,
    };
    if let Some(to) = recovery.to {
        let to = to.format("%Y-%m-%d %H:%M:%S%.6f+00");
        cluster.options.push(format!("recovery_target_time={to}"));
    }
    match cluster.start() {
        // The changes end before the time, so their end is the state at that time.
        Err(PostgresError::NotReady { tail, .. }) if recovery.is_complete && tail.contains(NOTHING_LATER) => {
            cluster.options = options;
            cluster.start().map(drop)
        }
        started => started.map(drop),
    }
}

/// Command with which Postgres reads a segment of changes.
fn copy_command(changes: &Path) -> String {
    let folder = changes.display().to_string();
    let folder = folder.replace('%', "%%").replace('\'', r"'\''");
    format!("cp '{folder}/%f' \"%p\"")
}

fn unpack(archive: &Path, folder: &Path) -> Result<(), PostgresError> {
    let operation = || format!("unpacking {}", archive.display());
    let file = doing(operation(), File::open(archive))?;
    // pg_basebackup compresses each part of an archive apart.
    let mut files = tar::Archive::new(MultiGzDecoder::new(io::BufReader::new(file)));
    files.set_preserve_permissions(true);
    doing(operation(), files.unpack(folder))
}

/// Makes a user the owner of a file, or of a folder with everything in it.
fn give(path: &Path, user: Option<&User>) -> Result<(), PostgresError> {
    let Some(user) = user else { return Ok(()) };
    let operation = || format!("changing the owner of {}", path.display());
    doing(
        operation(),
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())),
    )?;
    if !doing(operation(), fs::symlink_metadata(path))?.is_dir() {
        return Ok(());
    }
    doing(
        operation(),
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)),
    )?;
    for entry in doing(operation(), fs::read_dir(path))? {
        give(&doing(operation(), entry)?.path(), Some(user))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_survives_any_folder() {
        assert_eq!(
            copy_command(Path::new("/a b/it's 5%")),
            r#"cp '/a b/it'\''s 5%%/%f' "%p""#
        );
    }
}
