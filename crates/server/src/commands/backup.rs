//! `clickledger backup`, and the backups of `clickledger serve`.

use std::io::{self, Write as _};
use std::time::Duration;

use chrono::TimeDelta;
use schema::clock;
use serde_json::json;
use tenancy::Secret;
use tracking::Tracker;

use super::{CommandError, WrongUsage};
use crate::backup::keep::{KeepSettings, Keeper};
use crate::backup::restore::time;
use crate::backup::target::Target;
use crate::backup::{Source, prune, stop_keeping_changes, take};
use crate::config::{BackupMethod, BackupOptions, Retention, ServeBackupOptions, StoreOptions};
use crate::database::{Database, secret_path};
use crate::output::Output;

/// Makes a backup, beside a running server or without one.
///
/// # Errors
/// [`WrongUsage`] for a method that the database does not allow; another error if the database or the place fails.
pub async fn backup(options: BackupOptions, output: Output) -> Result<(), CommandError> {
    let target = Target::open(&options.to, &options.s3)?;
    let is_private = options.store.database_url.is_none();
    let method = match (options.method, is_private) {
        (Some(BackupMethod::Base), false) => {
            return Err(WrongUsage(
                "--method base copies the private Postgres only. For the database of DATABASE_URL, use --method dump, which \
                 can be restored to the time of the dump, or the backups of that Postgres itself, which can be restored to \
                 any time; the journals belong to either"
                    .to_owned(),
            )
            .into());
        }
        (Some(method), _) => method,
        (None, true) => BackupMethod::Base,
        (None, false) => BackupMethod::Dump,
    };
    let (url, _database) = open(&options.store).await?;
    let source = source(&options.store, url, existing_secret(&options.store)?, method)?;
    let progress = |step: String| note(output, &step);
    let manifest = take(&source, &target, &progress).await?;
    let removed = match options.retention() {
        Some(retention) => prune(&target, retention, clock::now()).await?,
        None => Vec::new(),
    };
    for name in &removed {
        note(output, &format!("Removed the old backup {name}."));
    }
    let text = format!(
        "Backup {} is complete: the database as of {}, and all events until then.",
        manifest.name,
        time(manifest.finished_at)
    );
    let value = json!({
        "backup": manifest.name, "place": target.place(), "finished_at": manifest.finished_at, "bytes": manifest.bytes(),
        "image": manifest.image, "removed": removed,
    });
    Ok(output.print(text, &value)?)
}

/// Prints progress, which is on standard error for programs that read JSON.
pub(super) fn note(output: Output, text: &str) {
    let printed = match output {
        Output::Text => output.note(text),
        Output::Json => writeln!(io::stderr(), "{text}"),
    };
    if let Err(error) = printed {
        tracing::debug!(%error, "progress not printed");
    }
}

/// Returns the address from which the database can be copied, with the database if it was opened for that.
async fn open(store: &StoreOptions) -> Result<(String, Option<Database>), CommandError> {
    if let Some(url) = store.database()? {
        return Ok((store.owner_database()?.unwrap_or(url), None));
    }
    if !store.data_dir().join("postgres").exists() {
        return Err(WrongUsage(format!(
            "{} has no private Postgres: name the data directory of the server with --data-dir, or its database with \
             DATABASE_URL",
            store.data_dir().display()
        ))
        .into());
    }
    let database = super::open(store).await?;
    Ok((database.url.clone(), Some(database)))
}

/// Secret of the options or of the data directory; never a new one.
fn existing_secret(store: &StoreOptions) -> Result<Secret, CommandError> {
    let text = match store.secret_text()? {
        Some(text) => text,
        None => {
            let path = secret_path(&store.data_dir());
            std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?
        }
    };
    Ok(Secret::from_text(&text)?)
}

fn source(store: &StoreOptions, url: String, secret: Secret, method: BackupMethod) -> io::Result<Source> {
    // Programs of Postgres run in another folder.
    let data_dir = store.data_dir();
    std::fs::create_dir_all(&data_dir)?;
    Ok(Source {
        bin_dir: store.pg_bin.clone(),
        journals: store.journal_folder(),
        data_dir: data_dir.canonicalize()?,
        url,
        secret,
        method,
    })
}

/// Starts the backups of a server, if it is to make some; lets the private Postgres forget what none copies.
///
/// # Errors
/// Returns an error if the private Postgres does not answer.
pub(super) async fn keep(
    options: &ServeBackupOptions,
    store: &StoreOptions,
    database: &Database,
    tracker: &Tracker,
) -> Result<Option<Keeper>, CommandError> {
    let is_private = database.postgres.is_some();
    let Some(place) = &options.backup_to else {
        if is_private {
            stop_keeping_changes(&database.url).await?;
        }
        return Ok(None);
    };
    let source = source(
        store,
        database.url.clone(),
        database.secret.clone(),
        KeepSettings::METHOD,
    )?;
    if !is_private {
        tracing::warn!(
            "only journals are backed up: the database is not private. Back it up by its own means, or with `clickledger backup`"
        );
    }
    Ok(Some(Keeper::start(KeepSettings {
        source,
        place: place.clone(),
        s3: options.s3.clone(),
        is_private,
        interval: Duration::from_secs(options.backup_interval_seconds),
        every: TimeDelta::hours(i64::try_from(options.backup_every_hours).unwrap_or(i64::MAX)),
        retention: Retention {
            newest: Some(options.keep_backups),
            days: None,
        },
        tracker: tracker.clone(),
    })))
}
