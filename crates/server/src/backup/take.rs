//! One backup: the database first, then the journals, then the manifest.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use diesel::sql_types::Text;
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl as _;
use schema::clock;
use serde::Deserialize;
use tenancy::Secret;
use tokio::task::block_in_place;

use super::BackupError;
use super::journals::JournalCopy;
use super::manifest::{self, Facts, Image, Manifest, State};
use super::target::{Stored, Target, TargetError, file_error};
use crate::config::BackupMethod;
use crate::postgres::tools::{ToolError, Tools};

/// File with the identity of a data directory, in its folder `backup`.
const IDENTITY: &str = "identity";
/// Files of a copy by `pg_basebackup`.
pub(super) const BASE: &str = "base.tar.gz";
pub(super) const BASE_CHANGES: &str = "pg_wal.tar.gz";
const BASE_MANIFEST: &str = "backup_manifest";
/// File of a copy by `pg_dump`.
pub(super) const DUMP: &str = "database.dump";
/// File of the secret.
pub(super) const SECRET: &str = "secret.key";

/// Installation to back up.
pub(crate) struct Source {
    pub(crate) data_dir: PathBuf,
    pub(crate) journals: PathBuf,
    /// Address with rights to copy the whole database.
    pub(crate) url: String,
    pub(crate) secret: Secret,
    /// Folder of the programs of Postgres; searched if none.
    pub(crate) bin_dir: Option<PathBuf>,
    pub(crate) method: BackupMethod,
}

impl Source {
    /// Programs that copy its database.
    pub(crate) fn tools(&self) -> Result<Tools, ToolError> {
        Tools::find(&self.data_dir, self.bin_dir.as_deref())
    }

    /// Folder for files on their way to the target.
    pub(crate) fn folder(&self) -> PathBuf {
        self.data_dir.join("backup")
    }
}

/// Part of the file that `pg_basebackup` writes about its copy.
#[derive(Deserialize)]
struct BaseManifest {
    #[serde(rename = "WAL-Ranges")]
    ranges: Vec<Range>,
}

#[derive(Deserialize)]
struct Range {
    #[serde(rename = "Timeline")]
    timeline: u32,
    #[serde(rename = "Start-LSN")]
    start: String,
    #[serde(rename = "End-LSN")]
    end: String,
}

#[derive(QueryableByName)]
struct Versions {
    #[diesel(sql_type = Text)]
    postgres: String,
    #[diesel(sql_type = Text)]
    schema: String,
}

/// Makes a backup. `progress` is called with a sentence before each step.
#[tracing::instrument(name = "take_backup", skip_all, fields(to = target.place()))]
pub(crate) async fn take(
    source: &Source,
    target: &Target,
    progress: &(dyn Fn(String) + Sync),
) -> Result<Manifest, BackupError> {
    check_owner(source, target).await?;
    let started_at = clock::now();
    let name = manifest::name_at(started_at);
    let versions = versions(&source.url).await?;
    let staging = Staging::create(&source.folder())?;
    let (image, local) = match source.method {
        BackupMethod::Base => {
            progress("Copying the files of the database …".to_owned());
            block_in_place(|| {
                source
                    .tools()?
                    .base_backup(&source.url, &staging.0, "clickledger")
            })?;
            let files = vec![BASE, BASE_CHANGES, BASE_MANIFEST];
            (read_range(&staging.0.join(BASE_MANIFEST))?, files)
        }
        BackupMethod::Dump => {
            progress("Dumping the database …".to_owned());
            dump(source, &staging.0.join(DUMP))?;
            (Image::Dump, vec![DUMP])
        }
    };
    let finished_at = clock::now();
    let mut files = Vec::new();
    for file in local {
        let path = staging.0.join(file);
        let bytes = path.metadata().map_err(file_error(&path))?.len();
        progress(format!("Storing {file}, {} …", size(bytes)));
        files.push(target.put_file(&manifest::object(&name, file), &path).await?);
    }
    let (object, secret) = (manifest::object(&name, SECRET), source.secret.to_text());
    files.push(target.put(&object, format!("{secret}\n").into_bytes()).await?);
    progress("Copying the journals …".to_owned());
    let journals = copy_journals(source, target).await?;
    let manifest = Manifest::new(Facts {
        name,
        schema: versions.schema,
        postgres: versions.postgres,
        started_at,
        finished_at,
        image,
        files,
        journals: journals.segments(),
    });
    manifest.write(target).await?;
    Ok(manifest)
}

/// Copies what is new in the journals, and notes the time up to which events are copied.
async fn copy_journals(source: &Source, target: &Target) -> Result<JournalCopy, BackupError> {
    let mut journals = JournalCopy::resume(target, source.journals.clone()).await?;
    let now = clock::now();
    journals.run(target).await?;
    let mut state = check_owner(source, target).await?;
    state.events_until = now.max(state.events_until);
    state.write(target).await?;
    Ok(journals)
}

/// Refuses a place with the backups of another data directory. Returns its state.
pub(crate) async fn check_owner(source: &Source, target: &Target) -> Result<State, BackupError> {
    let identity = block_in_place(|| data_directory(&source.folder()))?;
    match State::read(target).await? {
        Some(state) if state.data_directory == identity => Ok(state),
        Some(_) => Err(BackupError::OtherDirectory(target.place().to_owned())),
        None => Ok(State::new(&identity, DateTime::<Utc>::UNIX_EPOCH)),
    }
}

/// Identity of a data directory; a restored one has another.
fn data_directory(folder: &Path) -> Result<String, TargetError> {
    private_folder(folder)?;
    let path = folder.join(IDENTITY);
    match fs::read_to_string(&path) {
        Ok(identity) => return Ok(identity.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(file_error(&path)(error)),
    }
    let identity = HEXLOWER.encode(&rand::random::<[u8; 16]>());
    let write = || {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        writeln!(file, "{identity}")?;
        file.sync_all()
    };
    write().map_err(file_error(&path))?;
    Ok(identity)
}

fn private_folder(folder: &Path) -> Result<(), TargetError> {
    use std::os::unix::fs::DirBuilderExt as _;

    let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    created.map_err(file_error(folder))
}

/// Folder of files on their way to the target; removed when dropped.
struct Staging(PathBuf);

impl Staging {
    fn create(folder: &Path) -> Result<Self, TargetError> {
        let staging = folder.join("staging");
        // Of a backup that was interrupted.
        match fs::remove_dir_all(&staging) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file_error(&staging)(error)),
            _ => {}
        }
        private_folder(&staging)?;
        Ok(Self(staging))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "files of the backup not removed");
        }
    }
}

fn read_range(path: &Path) -> Result<Image, BackupError> {
    let text = fs::read(path).map_err(file_error(path))?;
    let manifest: BaseManifest =
        serde_json::from_slice(&text).map_err(|error| BackupError::NoManifest(error.to_string()))?;
    let range = manifest.ranges.into_iter().next_back();
    let range = range.ok_or_else(|| BackupError::NoManifest("it names no changes".to_owned()))?;
    Ok(Image::Base {
        timeline: range.timeline,
        start: range.start,
        end: range.end,
    })
}

fn dump(source: &Source, file: &Path) -> Result<(), BackupError> {
    let dumped = block_in_place(|| source.tools()?.dump(&source.url, file));
    dumped.map_err(|error| match error {
        ToolError::Failed { message, .. }
            if message.contains("row-level security") || message.contains("permission denied") =>
        {
            BackupError::RestrictedLogin(message)
        }
        error => BackupError::Tool(error),
    })
}

async fn versions(url: &str) -> Result<Versions, BackupError> {
    let mut conn = schema::connect(url).await?;
    let versions = sql_query(
        "SELECT current_setting('server_version') AS postgres,
                coalesce((SELECT max(version) FROM __diesel_schema_migrations), '')::text AS schema",
    );
    Ok(versions.get_result(&mut conn).await?)
}

/// Size for people.
pub(crate) fn size(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    if bytes >= 10 * MIB {
        format!("{} MiB", bytes / MIB)
    } else {
        format!("{} KiB", bytes.div_ceil(1024))
    }
}

/// Bytes of files, for people.
pub(crate) fn size_of(files: &[Stored]) -> String {
    size(files.iter().map(|file| file.size).sum())
}
