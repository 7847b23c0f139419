//! `clickledger restore`.

use schema::Db;
use serde_json::json;
use tracking::{JournalSettings, apply_journals};

use super::CommandError;
use super::backup::note;
use super::verify::{STATEMENT_TIMEOUT, verify_all};
use crate::backup::restore::{Restored, restore as restore_files, time};
use crate::backup::target::Target;
use crate::config::RestoreOptions;
use crate::database::Database;
use crate::output::Output;

/// Connections for the journals that are applied.
const CONNECTIONS: usize = 4;

/// Restores an installation into an empty data directory, applies its journals, and verifies it.
///
/// # Errors
/// Returns an error if the data directory is not empty, the backup is damaged, the database is not restored, or a check does
/// not hold.
pub async fn restore(options: RestoreOptions, output: Output) -> Result<(), CommandError> {
    let target = Target::open(&options.from, &options.s3)?;
    let progress = |step: String| note(output, &step);
    let restored = restore_files(&options, &target, &progress).await;
    let restored = restored.map_err(|error| with_advice(&error.to_string(), &options))?;
    note(output, "Opening the database …");
    let database = Database::open(&options.store).await?;
    note(output, "Applying the journals …");
    let db = Db::new(&database.url, CONNECTIONS, STATEMENT_TIMEOUT);
    let settings = JournalSettings::in_folder(options.store.journal_folder());
    apply_journals(settings, db.clone(), &database.url, database.secret.clone()).await?;
    describe(&options, &restored, output)?;
    verify_all(&db, None, &options.store.journal_folder(), options.days, output).await
}

/// Adds what to do with a data directory that the restore did not finish.
fn with_advice(error: &str, options: &RestoreOptions) -> CommandError {
    let data_dir = options.store.data_dir();
    let is_unfinished = data_dir.join(crate::database::UNFINISHED_RESTORE).exists();
    if is_unfinished {
        let remove = format!("Remove {} before another attempt.", data_dir.display());
        return format!("{error}\n{remove}").into();
    }
    error.to_owned().into()
}

fn describe(options: &RestoreOptions, restored: &Restored, output: Output) -> Result<(), CommandError> {
    let database = match options.to {
        None if options.journals_only => "as it was".to_owned(),
        Some(to) => format!("as of {}", time(to)),
        None => "with the latest changes that were copied".to_owned(),
    };
    let events = match restored.events_until {
        Some(until) => format!("all events that were acknowledged until {}", time(until)),
        None => "all events of the journals".to_owned(),
    };
    let text = format!(
        "Restored {}: the database {database}, and {events}.",
        options.store.data_dir().display()
    );
    let value = json!({
        "backup": restored.manifest.as_ref().map(|manifest| &manifest.name), "to": options.to, "events_until": restored.events_until,
        "data_dir": options.store.data_dir(),
    });
    Ok(output.print(text, &value)?)
}
