//! Stored API keys: a TOML file with one profile per server and key, which only its owner may read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Bits of the mode that give access to others than the owner.
const OTHERS: u32 = 0o077;

/// Server with an API key.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// URL of the dashboard.
    pub url: String,
    /// API key.
    pub api_key: String,
}

/// Stored profiles by name.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Profiles.
    #[serde(default)]
    pub profiles: BTreeMap<String, Profile>,
}

/// Reason why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read or written.
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    File(PathBuf, #[source] io::Error),
    /// The file is no such TOML.
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    Invalid(PathBuf, String),
    /// Others may read the file.
    #[error("{path} can be read by other users: run `chmod 600 {path}`", path = .0.display())]
    Exposed(PathBuf),
}

/// Checks the name of a profile.
///
/// # Errors
/// Returns a text for the user of the command line.
pub fn check_profile(name: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=40).contains(&name.len()) && name.chars().all(is_plain) {
        Ok(name.to_owned())
    } else {
        Err("use 1 to 40 letters, digits, - and _".to_owned())
    }
}

impl Credentials {
    /// Reads the file; without it, no profile is stored.
    ///
    /// # Errors
    /// [`CredentialsError`]
    pub fn read(path: &Path) -> Result<Self, CredentialsError> {
        let failed = |error| CredentialsError::File(path.to_owned(), error);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(error)),
        };
        let mode = file.metadata().map_err(failed)?.permissions().mode();
        if mode & OTHERS != 0 {
            return Err(CredentialsError::Exposed(path.to_owned()));
        }
        let text = io::read_to_string(file).map_err(failed)?;
        toml::from_str(&text)
            .map_err(|error| CredentialsError::Invalid(path.to_owned(), error.message().to_owned()))
    }

    /// Replaces the file at once, with mode 0600; its folder is created with mode 0700.
    ///
    /// # Errors
    /// [`CredentialsError::File`]
    pub fn write(&self, path: &Path) -> Result<(), CredentialsError> {
        self.replace(path)
            .map_err(|error| CredentialsError::File(path.to_owned(), error))
    }

    fn replace(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let new = path.with_extension("toml.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        // A file that an interrupted run left behind keeps its mode.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(self.to_text().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(new, path)
    }

    fn to_text(&self) -> String {
        let mut text = "# API keys of `clickledger login`.\n".to_owned();
        for (name, profile) in &self.profiles {
            let (url, key) = (quoted(&profile.url), quoted(&profile.api_key));
            let _ = write!(text, "\n[profiles.{name}]\nurl = {url}\napi_key = {key}\n");
        }
        text
    }
}

/// Basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_survive_the_file_which_only_the_owner_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clickledger/credentials.toml");
        assert!(Credentials::read(&path).unwrap().profiles.is_empty());
        let mut stored = Credentials::default();
        for (name, key) in [("default", "clk_key_1"), ("odd-one", "a\"b\\c\n\u{7f}")] {
            let profile = Profile {
                url: "https://app.example/".to_owned(),
                api_key: key.to_owned(),
            };
            stored.profiles.insert(name.to_owned(), profile);
        }
        stored.write(&path).unwrap();
        stored.write(&path).unwrap();
        assert!(Credentials::read(&path).unwrap() == stored);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let refused = Credentials::read(&path).err().unwrap().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }

    #[test]
    fn names_of_profiles_need_no_quotes() {
        assert!(check_profile("acme-2_eu").is_ok());
        for odd in ["", "a b", "a.b", "é", &"x".repeat(41)] {
            assert!(check_profile(odd).is_err(), "{odd}");
        }
    }
}
