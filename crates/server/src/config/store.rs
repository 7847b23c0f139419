//! Options of the database, the secret and the mail server, and the files that hold their secrets.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use schema::AddressError;
use tenancy::MailSettings;
use url::Url;

use super::default_data_dir;

/// Database and secret of the installation.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Database and secret")]
pub struct StoreOptions {
    /// Address of a Postgres of version 15 or newer, with a login that owns nothing there, such as
    /// `postgres://clickledger_app@db.example/clickledger?sslmode=verify-full`. Without it, a private one is started in the
    /// data directory.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// File with the password of that login, for an address without it.
    #[arg(long, env = "CLICKLEDGER_DATABASE_PASSWORD_FILE", value_name = "FILE")]
    pub database_password_file: Option<PathBuf>,
    /// Address of the same database with the login that owns its tables: with it, the database is migrated at the start.
    #[arg(long, env = "OWNER_DATABASE_URL", hide_env_values = true)]
    pub owner_database_url: Option<String>,
    /// File with the password of the owner's login, for an address without it.
    #[arg(long, env = "CLICKLEDGER_OWNER_DATABASE_PASSWORD_FILE", value_name = "FILE")]
    pub owner_database_password_file: Option<PathBuf>,
    /// Directory of the private Postgres, the secret, the journals and the exports [default: /var/lib/clickledger for
    /// root, else $XDG_DATA_HOME/clickledger].
    #[arg(long, env = "CLICKLEDGER_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Folder of postgres and initdb [default: searched in the usual places].
    #[arg(long, env = "CLICKLEDGER_PG_BIN")]
    pub pg_bin: Option<PathBuf>,
    /// Secret of the installation, the same on every node [default: the file secret.key in the data directory, created
    /// on the first start].
    #[arg(long, env = "CLICKLEDGER_SECRET", hide_env_values = true)]
    pub secret: Option<String>,
    /// File with the secret of the installation, in place of --secret.
    #[arg(long, env = "CLICKLEDGER_SECRET_FILE", value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
}

/// Options that cannot be used together, or a file of theirs that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OptionError {
    /// Malformed address of a database.
    #[error("--{option}: {error}")]
    Address {
        /// Long name of the option.
        option: &'static str,
        /// Error of the address.
        error: AddressError,
    },
    /// File with a secret that cannot be read.
    #[error("--{option} {}: {error}", path.display())]
    File {
        /// Long name of the option.
        option: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        error: io::Error,
    },
    /// Options that contradict each other, with the remedy.
    #[error("{0}")]
    Contradiction(&'static str),
}

impl StoreOptions {
    /// Data directory, given or default.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(default_data_dir)
    }

    /// Folder of the journals.
    #[must_use]
    pub fn journal_folder(&self) -> PathBuf {
        self.data_dir().join("journal")
    }

    /// Folder of the exports of erased networks.
    #[must_use]
    pub fn exports(&self) -> PathBuf {
        self.data_dir().join("exports")
    }

    /// Address of the database with its password; None for the private Postgres.
    ///
    /// # Errors
    /// Returns an error if the file with the password cannot be read, or the address is malformed.
    pub fn database(&self) -> Result<Option<String>, OptionError> {
        complete(
            "database-url",
            self.database_url.as_deref(),
            "database-password-file",
            self.database_password_file.as_deref(),
        )
    }

    /// Address of the database with the login and the password of its owner; None without that login.
    ///
    /// # Errors
    /// The same as [`StoreOptions::database`].
    pub fn owner_database(&self) -> Result<Option<String>, OptionError> {
        complete(
            "owner-database-url",
            self.owner_database_url.as_deref(),
            "owner-database-password-file",
            self.owner_database_password_file.as_deref(),
        )
    }

    /// Text of the secret; None for the file of the data directory.
    ///
    /// # Errors
    /// Returns an error if the secret is given twice, or its file cannot be read.
    pub fn secret_text(&self) -> Result<Option<String>, OptionError> {
        match (&self.secret, &self.secret_file) {
            (Some(_), Some(_)) => Err(OptionError::Contradiction(
                "the secret is given as text (--secret, CLICKLEDGER_SECRET) and as a file (--secret-file, \
                 CLICKLEDGER_SECRET_FILE, or the credential secret): remove one of them",
            )),
            (Some(text), None) => Ok(Some(text.clone())),
            (None, Some(path)) => read_secret("secret-file", path).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// Address with the password of its file.
fn complete(
    option: &'static str,
    address: Option<&str>,
    file_option: &'static str,
    file: Option<&Path>,
) -> Result<Option<String>, OptionError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let checked = match file {
        Some(path) => schema::with_password(address, &read_secret(file_option, path)?),
        None => address.parse::<schema::Address>().map(|_| address.to_owned()),
    };
    checked
        .map(Some)
        .map_err(|error| OptionError::Address { option, error })
}

/// Text of a file with a secret, without the line break at its end.
pub(super) fn read_secret(option: &'static str, path: &Path) -> Result<String, OptionError> {
    let failed = |error| OptionError::File {
        option,
        path: path.to_owned(),
        error,
    };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    match text.trim_end_matches(['\n', '\r']) {
        "" => Err(failed(io::Error::other("the file is empty"))),
        secret => Ok(secret.to_owned()),
    }
}

/// Mail server.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Mail")]
pub struct MailOptions {
    /// Mail server: `smtp://host:25`, `smtp://user:password@host:587?tls=required` or `smtps://user:password@host:465`.
    /// Without it, links are shown to the user who would have sent the mail, and logged.
    #[arg(long, env = "CLICKLEDGER_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// File with the password of the mail server, for an address with a user and without a password.
    #[arg(long, env = "CLICKLEDGER_SMTP_PASSWORD_FILE", value_name = "FILE")]
    pub smtp_password_file: Option<PathBuf>,
    /// Sender of mails.
    #[arg(
        long,
        env = "CLICKLEDGER_MAIL_FROM",
        default_value = "Clickledger <no-reply@localhost.localdomain>"
    )]
    pub mail_from: String,
}

impl MailOptions {
    /// Settings of the mailer.
    ///
    /// # Errors
    /// Returns an error if the file with the password cannot be read, or the address has no user for it.
    pub fn settings(&self) -> Result<MailSettings, OptionError> {
        Ok(MailSettings {
            smtp_url: self.address()?,
            sender: self.mail_from.clone(),
        })
    }

    /// Address of the mail server with its password.
    fn address(&self) -> Result<Option<String>, OptionError> {
        let (Some(address), Some(path)) = (&self.smtp_url, &self.smtp_password_file) else {
            return Ok(self.smtp_url.clone());
        };
        let password = read_secret("smtp-password-file", path)?;
        let parsed = Url::parse(address).ok().filter(|url| !url.username().is_empty());
        let mut url = parsed.ok_or(OptionError::Contradiction(
            "--smtp-password-file needs a mail server with a user: smtp://user@host:587?tls=required or \
             smtps://user@host:465",
        ))?;
        if url.password().is_some() {
            return Err(OptionError::Contradiction(
                "the address of the mail server contains a password, and a file with the password is given as well: remove \
                 one of them",
            ));
        }
        url.set_password(Some(&password)).map_err(|()| {
            OptionError::Contradiction("the address of the mail server cannot have a password")
        })?;
        Ok(Some(url.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn passwords_of_files_become_part_of_their_addresses() {
        let password = file("p/w @1\n");
        let store = StoreOptions {
            database_url: Some("postgres://app@db/click?sslmode=require".into()),
            database_password_file: Some(password.path().to_owned()),
            owner_database_url: Some("postgres://owner:inline@db/click".into()),
            ..StoreOptions::default()
        };
        assert_eq!(
            store.database().unwrap().unwrap(),
            "postgres://app@db/click?sslmode=require&password=p%2Fw%20%401"
        );
        assert_eq!(
            store.owner_database().unwrap(),
            store.owner_database_url,
            "an address may contain its password"
        );
        let mail = MailOptions {
            smtp_url: Some("smtp://mailer@mail.example:587?tls=required".into()),
            smtp_password_file: Some(password.path().to_owned()),
            mail_from: "a@b.example".into(),
        };
        assert_eq!(
            mail.settings().unwrap().smtp_url.unwrap(),
            "smtp://mailer:p%2Fw%20%401@mail.example:587?tls=required"
        );
    }

    #[test]
    fn a_secret_is_given_once_and_not_empty() {
        let (secret, empty) = (file("abc\r\n"), file("\n"));
        let mut store = StoreOptions {
            secret_file: Some(secret.path().to_owned()),
            ..StoreOptions::default()
        };
        assert_eq!(store.secret_text().unwrap().unwrap(), "abc");
        store.secret = Some("def".into());
        assert!(
            store
                .secret_text()
                .unwrap_err()
                .to_string()
                .contains("remove one")
        );
        store.secret = None;
        store.secret_file = Some(empty.path().to_owned());
        let refused = store.secret_text().unwrap_err().to_string();
        assert!(refused.starts_with("--secret-file /"), "{refused}");
        assert!(refused.ends_with("the file is empty"), "{refused}");
    }

    #[test]
    fn a_password_is_given_once() {
        let password = file("p");
        let store = StoreOptions {
            database_url: Some("postgres://app:inline@db/click".into()),
            database_password_file: Some(password.path().to_owned()),
            ..StoreOptions::default()
        };
        let refused = store.database().unwrap_err().to_string();
        assert!(
            refused.starts_with("--database-url: the address contains a password"),
            "{refused}"
        );
        assert!(!refused.contains("inline"), "{refused}");
    }
}
