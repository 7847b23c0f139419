//! Export and erasure of all data of a network.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryResult, QueryableByName, sql_query};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use futures_util::{Stream, TryStreamExt, pin_mut};
use schema::{Db, DbError, NetworkConn, NetworkId};
use tokio::io::AsyncWriteExt;

use crate::author::Author;
use crate::{networks, operators};

/// Row of the export.
#[derive(Debug, QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    row_json: String,
}

/// Streams every row of this network as a line of JSON, `{"table":"clicks","row":{…}}`, from one snapshot and without
/// hashes. Statement timeouts are disabled for this transaction.
///
/// # Errors
/// When the database fails.
pub async fn export(
    conn: &mut NetworkConn,
) -> QueryResult<impl Stream<Item = QueryResult<String>> + use<'_>> {
    conn.batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
        .await?;
    let rows = sql_query("SELECT table_name, row_json FROM export_network()")
        .load_stream::<Row>(&mut **conn)
        .await?;
    Ok(rows.map_ok(|row| format!("{{\"table\":\"{}\",\"row\":{}}}\n", row.table_name, row.row_json)))
}

/// Deletes this transaction's network, which must be closed, with all its data; returns the number of rows deleted
/// besides the network's own.
///
/// # Errors
/// When the database fails, or the network is not closed.
#[tracing::instrument(skip_all, fields(network = %conn.network_id()))]
pub async fn erase(conn: &mut NetworkConn) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Removed {
        #[diesel(sql_type = BigInt)]
        rows: i64,
    }
    conn.batch_execute("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        .await?;
    let removed: Removed = sql_query("SELECT erase_network() AS rows")
        .get_result(&mut **conn)
        .await?;
    Ok(removed.rows)
}

/// Reason for not erasing a network.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The export file could not be written.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// Rows were added during the export.
    #[error(
        "rows were added to the network during the export: {exported} exported, {found} found. Try again"
    )]
    StillWritten {
        /// Number of exported rows.
        exported: i64,
        /// Number of rows found when erasing.
        found: i64,
    },
}

impl From<diesel::result::Error> for EraseError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Exports a closed network to a file in this folder, synced to disk before any row is deleted, then erases the
/// network. Returns the path of the file.
///
/// # Errors
/// [`EraseError`]; the network is unchanged.
#[tracing::instrument(skip_all, fields(network = %network_id))]
pub async fn export_and_erase(
    db: &Db,
    folder: &Path,
    network_id: NetworkId,
    author: &Author,
    now: DateTime<Utc>,
) -> Result<PathBuf, EraseError> {
    let path = folder.join(format!("{network_id}.ndjson"));
    let unfinished = folder.join(format!("{network_id}.unfinished"));
    let failed = |error| EraseError::File(path.clone(), error);
    let mut conn = db.network(network_id).await?;
    // Concurrent erasures of one network run one after the other; the second finds no network.
    conn.batch_execute("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0")
        .await?;
    sql_query("SELECT FROM networks WHERE id = current_network() FOR UPDATE")
        .execute(&mut *conn)
        .await?;
    let network = networks::current(&mut conn).await?;
    tokio::fs::create_dir_all(folder).await.map_err(failed)?;
    let mut options = tokio::fs::OpenOptions::new();
    // Readable by the server's user only: the file contains all data of the network.
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = tokio::io::BufWriter::new(options.open(&unfinished).await.map_err(failed)?);
    let mut lines: i64 = 0;
    {
        let rows = export(&mut conn).await?;
        pin_mut!(rows);
        while let Some(line) = rows.try_next().await? {
            file.write_all(line.as_bytes()).await.map_err(failed)?;
            lines += 1;
        }
    }
    file.flush().await.map_err(failed)?;
    file.get_ref().sync_all().await.map_err(failed)?;
    tokio::fs::rename(&unfinished, &path).await.map_err(failed)?;
    let directory = tokio::fs::File::open(folder).await.map_err(failed)?;
    directory.sync_all().await.map_err(failed)?;
    // Nothing is erased unless all of it was exported. The export contains the network's own row, `erase` does not
    // count it.
    let (exported, found) = (lines - 1, erase(&mut conn).await?);
    if found != exported {
        return Err(EraseError::StillWritten { exported, found });
    }
    conn.commit().await?;
    tracing::info!(network = %network_id, file = %path.display(), "network exported and erased");
    let detail = format!("exported to {}", path.display());
    let about = Some((network_id, network.name.as_str()));
    operators::record(
        &mut *db.unscoped().await?,
        author,
        "network.erase",
        about,
        &detail,
        now,
    )
    .await?;
    Ok(path)
}
