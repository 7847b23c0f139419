//! Restore of an installation into an empty data directory.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use diesel::sql_types::Bool;
use diesel::{QueryableByName, sql_query};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use tokio::task::block_in_place;

use super::journals;
use super::manifest::{self, CopiedSegment, Image, LATEST_SECRET, Manifest, State};
use super::take::{BASE, BASE_CHANGES, DUMP, SECRET, size, size_of};
use super::target::{Stored, Target, TargetError, file_error};
use super::wal;
use crate::config::RestoreOptions;
use crate::database::{DatabaseError, UNFINISHED_RESTORE, secret_path};
use crate::postgres::recovery::{self, Recovery};
use crate::postgres::tools::{ToolError, Tools};
use crate::postgres::{Postgres, PostgresError, PostgresSettings, create_data_dir};

/// Reason why an installation was not restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    /// The place of the backups failed, or a backup is damaged.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The data directory is in use.
    #[error(
        "{0} is not empty. A restore never writes over data: choose another --data-dir, or move this one away"
    )]
    NotEmpty(String),
    /// No complete backup in the place.
    #[error("{0} has no complete backup")]
    NoBackup(String),
    /// The time is before the first backup.
    #[error("the oldest backup in {place} is of {oldest}; choose that time or a later one")]
    TooEarly {
        /// Place of the backups.
        place: String,
        /// Time of the oldest backup.
        oldest: String,
    },
    /// The time is after the last change that was copied.
    #[error(
        "{place} has the changes of the database up to {latest} only; choose that time or an earlier one, or leave out --to to \
         restore all of them"
    )]
    TooLate {
        /// Place of the backups.
        place: String,
        /// Time of the latest change.
        latest: String,
    },
    /// Changes are missing between others.
    #[error(
        "{place} has no copy of the changes {segment}, although it has later ones: the changes behind it cannot be applied. Give \
         --to with a time before them"
    )]
    MissingChanges {
        /// Place of the backups.
        place: String,
        /// Name of the first missing segment.
        segment: String,
    },
    /// A dump has no changes.
    #[error(
        "the backup {0} is a dump, which can be restored to its own time only. Leave out --to; a backup with --method base and \
         a server with --backup-to can be restored to any time"
    )]
    NoTimes(String),
    /// The backup lacks a file.
    #[error("the manifest of the backup {backup} names no {file}")]
    NoFile {
        /// Name of the backup.
        backup: String,
        /// Name of the file.
        file: &'static str,
    },
    /// Files of a private Postgres for another one.
    #[error(
        "the backup {0} has the files of a private Postgres, which cannot be restored into the database of DATABASE_URL. Restore \
         without DATABASE_URL, or make a backup with --method dump"
    )]
    OnlyPrivate(String),
    /// The database has tables.
    #[error("the database of OWNER_DATABASE_URL is not empty; create another one for the restore")]
    DatabaseInUse,
    /// Journals alone for a private Postgres.
    #[error("--journals-only is for a database that was restored by its own means: name it in DATABASE_URL")]
    NoDatabase,
    /// No login that may create tables.
    #[error(
        "give the address of the database's owner as OWNER_DATABASE_URL: only the owner can create its tables"
    )]
    NoOwner,
    /// The private Postgres was not restored.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// A program of Postgres failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The database does not answer.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl From<diesel::ConnectionError> for RestoreError {
    fn from(error: diesel::ConnectionError) -> Self {
        Self::Database(error.into())
    }
}

impl From<diesel::result::Error> for RestoreError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Files and database of a restored installation, before its journals are applied.
pub(crate) struct Restored {
    /// Manifest of the backup; `None` for journals only.
    pub(crate) manifest: Option<Manifest>,
    /// Time up to which everything that was acknowledged is in the copies of the journals; `None` if unknown, and for
    /// journals that survived.
    pub(crate) events_until: Option<DateTime<Utc>>,
}

/// Restores files and database into an empty data directory. `progress` is called with a sentence before each step.
#[tracing::instrument(name = "restore_backup", skip_all, fields(from = target.place()))]
pub(crate) async fn restore(
    options: &RestoreOptions,
    target: &Target,
    progress: &(dyn Fn(String) + Sync),
) -> Result<Restored, RestoreError> {
    let data_dir = options.store.data_dir();
    refuse_in_use(&data_dir)?;
    let state = State::read(target).await?;
    if options.journals_only {
        return restore_only_journals(options, target, state, progress).await;
    }
    let manifest = choose(target, state.as_ref(), options.to).await?;
    let (owner, is_base) = (
        options.store.owner_database(),
        matches!(manifest.image, Image::Base { .. }),
    );
    let owner = owner.map_err(DatabaseError::from)?;
    if options.store.database_url.is_some() {
        if is_base {
            return Err(RestoreError::OnlyPrivate(manifest.name));
        }
        refuse_filled(owner.as_deref().ok_or(RestoreError::NoOwner)?).await?;
    }
    let (data_dir, unfinished) = begin(&data_dir)?;
    progress(format!(
        "Backup {} of release {}, PostgreSQL {}, {}.",
        manifest.name,
        manifest.release,
        manifest.postgres,
        size_of(&manifest.files)
    ));
    let fetched = Fetched::create(&data_dir)?;
    for file in &manifest.files {
        fetched.get(target, file).await?;
    }
    let secret = fetched.path(&manifest, SECRET)?;
    restore_secret(&data_dir, &fs::read(&secret).map_err(file_error(&secret))?)?;
    restore_journals(options, target, &data_dir, &manifest.journals, progress).await?;
    progress("Restoring the database …".to_owned());
    match &manifest.image {
        Image::Base { timeline, start, end } => {
            let (changes, missing) = fetched.changes(target, *timeline, start, end).await?;
            if options.to.is_none()
                && let Some(segment) = missing.clone()
            {
                return Err(RestoreError::MissingChanges {
                    place: target.place().to_owned(),
                    segment,
                });
            }
            let recovery = Recovery {
                base: &fetched.path(&manifest, BASE)?,
                base_changes: &fetched.path(&manifest, BASE_CHANGES)?,
                changes: changes.as_deref(),
                to: options.to.filter(|_| changes.is_some()),
                is_complete: missing.is_none(),
            };
            let bin_dir = options.store.pg_bin.as_deref();
            block_in_place(|| recovery::recover(&data_dir, bin_dir, &recovery))?;
        }
        Image::Dump => {
            restore_dump(options, &data_dir, owner, &fetched.path(&manifest, DUMP)?).await?;
        }
    }
    drop(fetched);
    fs::remove_file(&unfinished).map_err(file_error(&unfinished))?;
    Ok(Restored {
        events_until: state
            .filter(|_| options.journals.is_none())
            .map(|state| state.events_until),
        manifest: Some(manifest),
    })
}

/// Restores journals and secret, for a database that was restored by its own means.
async fn restore_only_journals(
    options: &RestoreOptions,
    target: &Target,
    state: Option<State>,
    progress: &(dyn Fn(String) + Sync),
) -> Result<Restored, RestoreError> {
    if options.store.database_url.is_none() {
        return Err(RestoreError::NoDatabase);
    }
    let state = state.ok_or_else(|| RestoreError::NoBackup(target.place().to_owned()))?;
    let secret = target.read(LATEST_SECRET).await?;
    let (data_dir, unfinished) = begin(&options.store.data_dir())?;
    restore_secret(&data_dir, &secret)?;
    restore_journals(options, target, &data_dir, &[], progress).await?;
    fs::remove_file(&unfinished).map_err(file_error(&unfinished))?;
    Ok(Restored {
        manifest: None,
        events_until: Some(state.events_until).filter(|_| options.journals.is_none()),
    })
}

/// Creates the data directory, which does not start before the file that is returned with it is removed.
fn begin(data_dir: &Path) -> Result<(PathBuf, PathBuf), RestoreError> {
    let data_dir = create_data_dir(data_dir)?;
    let unfinished = data_dir.join(UNFINISHED_RESTORE);
    fs::write(&unfinished, "").map_err(file_error(&unfinished))?;
    Ok((data_dir, unfinished))
}

fn refuse_in_use(data_dir: &Path) -> Result<(), RestoreError> {
    match fs::read_dir(data_dir) {
        Ok(mut entries) => entries.next().map_or(Ok(()), |_| {
            Err(RestoreError::NotEmpty(data_dir.display().to_string()))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(file_error(data_dir)(error).into()),
    }
}

/// Chooses the newest backup, or the newest from before a time.
async fn choose(
    target: &Target,
    state: Option<&State>,
    to: Option<DateTime<Utc>>,
) -> Result<Manifest, RestoreError> {
    let place = || target.place().to_owned();
    let mut manifests = manifest::manifests(target).await?;
    let Some(oldest) = manifests.as_slice().first().map(|manifest| manifest.finished_at) else {
        return Err(RestoreError::NoBackup(place()));
    };
    manifests.retain(|manifest| to.is_none_or(|to| manifest.finished_at <= to));
    let Some(chosen) = manifests.pop() else {
        return Err(RestoreError::TooEarly {
            place: place(),
            oldest: time(oldest),
        });
    };
    let Some(to) = to else { return Ok(chosen) };
    if chosen.image == Image::Dump {
        return Err(RestoreError::NoTimes(chosen.name));
    }
    let latest = state
        .and_then(|state| state.changes_until)
        .unwrap_or(chosen.finished_at);
    if to > latest.max(chosen.finished_at) {
        return Err(RestoreError::TooLate {
            place: place(),
            latest: time(latest),
        });
    }
    Ok(chosen)
}

/// Time for people, which `--to` accepts.
pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Files of the backup on this machine; removed when dropped.
struct Fetched(PathBuf);

impl Fetched {
    fn create(data_dir: &Path) -> Result<Self, TargetError> {
        let folder = data_dir.join("restore");
        fs::create_dir(&folder).map_err(file_error(&folder))?;
        Ok(Self(folder))
    }

    async fn get(&self, target: &Target, file: &Stored) -> Result<(), TargetError> {
        let (_, name) = file.name.rsplit_once('/').unwrap_or(("", &file.name));
        target.get_file(file, &self.0.join(name)).await
    }

    fn path(&self, manifest: &Manifest, file: &'static str) -> Result<PathBuf, RestoreError> {
        match manifest.file(file) {
            Some(_) => Ok(self.0.join(file)),
            None => Err(RestoreError::NoFile {
                backup: manifest.name.clone(),
                file,
            }),
        }
    }

    /// Folder of the changes from a position on, `None` if none were copied, and the first segment that is missing.
    async fn changes(
        &self,
        target: &Target,
        timeline: u32,
        start: &str,
        end: &str,
    ) -> Result<(Option<PathBuf>, Option<String>), RestoreError> {
        let folder = self.0.join("wal");
        fs::create_dir(&folder).map_err(file_error(&folder))?;
        let segment = |position| wal::segment_at(timeline, position).unwrap_or_default();
        let changes = wal::fetch(target, &segment(start), &segment(end), &folder).await?;
        Ok(((changes.count > 0).then_some(folder), changes.missing))
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "files of the restore not removed");
        }
    }
}

fn restore_secret(data_dir: &Path, secret: &[u8]) -> Result<(), TargetError> {
    let path = secret_path(data_dir);
    let write = || {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(secret)?;
        file.sync_all()
    };
    write().map_err(file_error(&path))
}

async fn restore_journals(
    options: &RestoreOptions,
    target: &Target,
    data_dir: &Path,
    expected: &[CopiedSegment],
    progress: &(dyn Fn(String) + Sync),
) -> Result<(), TargetError> {
    let folder = data_dir.join("journal");
    fs::create_dir(&folder).map_err(file_error(&folder))?;
    if let Some(surviving) = options.surviving_journals() {
        progress(format!("Copying the journals in {} …", surviving.display()));
        return block_in_place(|| copy_folder(surviving, &folder)).map_err(file_error(surviving));
    }
    let bytes = journals::fetch(target, &folder, expected).await?;
    progress(format!("Restored the journals, {}.", size(bytes)));
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let copy = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&copy)?;
            copy_folder(&entry.path(), &copy)?;
        } else {
            fs::copy(entry.path(), &copy)?;
        }
    }
    Ok(())
}

async fn refuse_filled(owner: &str) -> Result<(), RestoreError> {
    #[derive(QueryableByName)]
    struct Filled {
        #[diesel(sql_type = Bool)]
        filled: bool,
    }
    let mut conn = schema::connect(owner).await?;
    let found: Filled = sql_query(
        "SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace) AS filled",
    )
    .get_result(&mut conn)
    .await?;
    if found.filled {
        return Err(RestoreError::DatabaseInUse);
    }
    Ok(())
}

/// Roles that a dump grants rights to, and does not contain.
const CREATE_ROLES: &str = "DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'clickledger_web') THEN
        CREATE ROLE clickledger_web NOLOGIN; END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'clickledger_ingest') THEN
        CREATE ROLE clickledger_ingest NOLOGIN; END IF; END $$";

async fn restore_dump(
    options: &RestoreOptions,
    data_dir: &Path,
    owner: Option<String>,
    dump: &Path,
) -> Result<(), RestoreError> {
    let bin_dir = options.store.pg_bin.clone();
    let (url, postgres) = match owner.filter(|_| options.store.database_url.is_some()) {
        Some(url) => (url, None),
        None => {
            let settings = PostgresSettings {
                data_dir: data_dir.to_owned(),
                bin_dir: bin_dir.clone(),
                options: Vec::new(),
            };
            let postgres = block_in_place(|| Postgres::start(&settings))?;
            postgres.create_database().await?;
            (postgres.url().to_owned(), Some(postgres))
        }
    };
    schema::connect(&url).await?.batch_execute(CREATE_ROLES).await?;
    let tools = Tools::find(data_dir, bin_dir.as_deref())?;
    block_in_place(|| tools.restore(&url, dump))?;
    block_in_place(|| drop(postgres));
    Ok(())
}
