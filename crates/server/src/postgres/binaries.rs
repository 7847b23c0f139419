//! Search for the machine's Postgres binaries, and the command that installs them.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Oldest supported major version.
const OLDEST: u32 = 15;

/// Folder with `postgres` and `initdb` of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    directory: PathBuf,
    version: u32,
}

/// Error of a machine without usable binaries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoBinaries {
    /// Version of an existing cluster, which no other version can open; none without a cluster.
    needed: Option<u32>,
    /// Unusable binaries: folder and version.
    found: Vec<(PathBuf, u32)>,
    platform: String,
}

impl fmt::Display for NoBinaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.needed {
            Some(version) => write!(
                f,
                "the data directory holds a cluster of PostgreSQL {version}, and this machine has no PostgreSQL {version}"
            )?,
            None => write!(f, "this machine has no PostgreSQL {OLDEST} or newer")?,
        }
        for (directory, version) in &self.found {
            write!(f, " (found {version} in {})", directory.display())?;
        }
        write!(
            f,
            ".\nInstall it:\n\n    {}\n\nor point CLICKLEDGER_PG_BIN at the folder that holds postgres and initdb, or DATABASE_URL at a \
             PostgreSQL server",
            install_command(&self.platform)
        )
    }
}

impl std::error::Error for NoBinaries {}

/// Returns the command that installs Postgres, by the `ID` and `ID_LIKE` of /etc/os-release (or `macos`).
#[must_use]
pub fn install_command(platform: &str) -> &'static str {
    let is = |names: &[&str]| platform.split_whitespace().any(|word| names.contains(&word));
    if is(&["debian", "ubuntu"]) {
        "sudo apt-get install postgresql"
    } else if is(&["fedora", "rhel", "centos"]) {
        "sudo dnf install postgresql-server"
    } else if is(&["arch"]) {
        "sudo pacman -S postgresql"
    } else if is(&["alpine"]) {
        "sudo apk add postgresql"
    } else if is(&["suse", "opensuse"]) {
        "sudo zypper install postgresql-server"
    } else if is(&["macos"]) {
        "brew install postgresql@17"
    } else {
        "(the package of your system that holds the PostgreSQL server)"
    }
}

fn platform() -> String {
    if cfg!(target_os = "macos") {
        return "macos".to_owned();
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let values = release.lines().filter_map(|line| {
        line.strip_prefix("ID=")
            .or_else(|| line.strip_prefix("ID_LIKE="))
            .map(|value| value.replace('"', ""))
    });
    values.collect::<Vec<_>>().join(" ")
}

impl Binaries {
    /// Returns the binaries to use: those in `only` if given, those of the cluster's version if a cluster exists, else the
    /// newest.
    pub(super) fn find(only: Option<&Path>, cluster: Option<u32>) -> Result<Self, NoBinaries> {
        let candidates = match only {
            Some(directory) => vec![directory.to_owned()],
            None => candidates(),
        };
        let found: Vec<_> = candidates
            .iter()
            .filter_map(|directory| Self::at(directory))
            .collect();
        let usable = found.iter().filter(|binaries| match cluster {
            Some(version) => binaries.version == version,
            None => binaries.version >= OLDEST,
        });
        usable
            .max_by_key(|binaries| binaries.version)
            .cloned()
            .ok_or_else(|| {
                let mut found: Vec<_> = found
                    .into_iter()
                    .map(|binaries| (binaries.directory, binaries.version))
                    .collect();
                found.sort();
                found.dedup();
                NoBinaries {
                    needed: cluster,
                    found,
                    platform: platform(),
                }
            })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.directory.join("postgres")
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.directory.join("initdb")
    }

    /// Returns the binaries in a folder, after following the link that a `postgres` on the PATH may be.
    fn at(directory: &Path) -> Option<Self> {
        let postgres = directory.join("postgres").canonicalize().ok()?;
        let directory = postgres.parent()?.to_owned();
        if !directory.join("initdb").exists() {
            return None;
        }
        let output = Command::new(&postgres).arg("--version").output().ok()?;
        let version = parse_version(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { directory, version })
    }
}

/// Reads 15 from `postgres (PostgreSQL) 15.18 (Debian …)`.
fn parse_version(text: &str) -> Option<u32> {
    let number = text.split_once("(PostgreSQL) ")?.1;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn candidates() -> Vec<PathBuf> {
    let mut directories = Vec::new();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        directories.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    directories.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    // Debian and Ubuntu; Fedora's and PGDG's packages for Red Hat; Homebrew on both processors; SUSE; Alpine.
    for (parent, prefix) in [
        ("/usr/lib/postgresql", ""),
        ("/usr", "pgsql-"),
        ("/opt/homebrew/opt", "postgresql@"),
        ("/usr/local/opt", "postgresql@"),
        ("/usr/lib", "postgresql"),
        ("/usr/libexec", "postgresql"),
    ] {
        let Ok(entries) = fs::read_dir(parent) else {
            continue;
        };
        let matching = entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
            .map(|entry| entry.path());
        for directory in matching {
            directories.push(directory.join("bin"));
            directories.push(directory);
        }
    }
    directories
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_output_of_postgres() {
        assert_eq!(
            parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(parse_version("postgres (PostgreSQL) 17beta1\n"), Some(17));
        assert_eq!(parse_version("psql 15"), None);
    }

    #[test]
    fn the_error_without_binaries_names_the_command_of_the_platform() {
        let nowhere = tempfile::tempdir().unwrap();
        let refusal = Binaries::find(Some(nowhere.path()), None).unwrap_err();
        assert!(
            refusal.to_string().contains("no PostgreSQL 15 or newer"),
            "{refusal}"
        );
        assert_eq!(
            install_command("ubuntu debian"),
            "sudo apt-get install postgresql"
        );
        assert_eq!(
            install_command("rocky rhel centos fedora"),
            "sudo dnf install postgresql-server"
        );
        assert_eq!(install_command("macos"), "brew install postgresql@17");
    }

    #[test]
    fn a_cluster_is_opened_by_the_version_that_created_it_only() {
        let refusal = Binaries::find(None, Some(9)).unwrap_err();
        assert!(
            refusal.to_string().contains("cluster of PostgreSQL 9"),
            "{refusal}"
        );
    }
}
