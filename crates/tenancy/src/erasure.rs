//! Export of all rows of a network, and their erasure.

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

/// Returns every row of this network as a line of JSON, `{"table":"clicks","row":{…}}`, without hashes, from one
/// snapshot. Disables the statement timeout of this transaction.
///
/// # Errors
/// Returns an error if the database fails.
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

/// Deletes the network of this transaction, which must be closed, with all its rows; returns the number of exported rows
/// among them.
///
/// # Errors
/// Returns an error if the database fails, or the network is not closed.
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

/// Reason a network was not erased.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The export file could not be written.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// Rows were written between export and erasure.
    #[error(
        "the network still receives rows: {exported} rows were exported and {found} found afterwards. Try again"
    )]
    StillWritten {
        /// Number of rows in the file.
        exported: i64,
        /// Number of rows at the erasure.
        found: i64,
    },
}

impl From<diesel::result::Error> for EraseError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Exports all rows of a closed network to a file in this folder, syncs the file to disk, and then erases the network.
/// Returns the path of the file.
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
    // Serializes concurrent erasures of the network; the second finds no row.
    conn.batch_execute("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0")
        .await?;
    sql_query("SELECT FROM networks WHERE id = current_network() FOR UPDATE")
        .execute(&mut *conn)
        .await?;
    let network = networks::current(&mut conn).await?;
    tokio::fs::create_dir_all(folder).await.map_err(failed)?;
    let mut options = tokio::fs::OpenOptions::new();
    // Readable by the own user only, because the file has all data of the network.
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
    // Rows missing in the export are not erased. The row of the network is a line, too, and not part of the other count.
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
