//! Files as stored: requested, claimed by a node, written in parts, finished, removed.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{MembershipId, NetworkConn, ReportFileId, report_file_parts, report_files, text_enum};
use tenancy::{Actor, ChangeError};

use crate::ReportQuery;
use crate::mails::FileFormat;

/// Maximum number of files of one member at a time.
const MAX_OF_OWNER: i64 = 20;
/// Maximum number of files that a network waits for at a time.
const MAX_WAITING: i64 = 20;
/// Time after which a file is removed.
pub(super) const LIFETIME: TimeDelta = TimeDelta::days(7);
/// Time for which a node claims a file, renewed with each part. After a crash, another node begins again then.
const CLAIM_TIME: TimeDelta = TimeDelta::minutes(5);
/// Attempts to prepare a file.
const MAX_ATTEMPTS: i32 = 3;
/// Maximum length of a stored problem, in characters.
const MAX_PROBLEM: usize = 500;

text_enum! {
    /// Status of a file.
    pub enum FileStatus {
        /// No node has begun to prepare it.
        Waiting = "waiting",
        /// A node prepares it.
        Running = "running",
        /// It can be downloaded.
        Ready = "ready",
        /// It could not be prepared.
        Failed = "failed",
    }
}

/// File as stored, without its content.
#[derive(Debug, Clone, HasQuery)]
#[diesel(table_name = report_files)]
pub struct ReportFile {
    /// Identifier.
    pub id: ReportFileId,
    /// Membership of the user who asked for it.
    pub owner_id: MembershipId,
    /// Query string of the report, with fixed days.
    pub query: String,
    /// Format.
    pub format: FileFormat,
    /// Status.
    pub status: FileStatus,
    /// Reason why it failed; `None` otherwise.
    pub problem: Option<String>,
    /// Number of rows of the report; `None` until it is computed.
    pub rows_total: Option<i64>,
    /// Number of rows that are written.
    pub rows_written: i64,
    /// Size of what is written, in bytes.
    pub bytes: i64,
    /// Number of times that a node began to prepare it.
    pub(super) attempts: i32,
    /// Time of the request.
    pub created_at: DateTime<Utc>,
    /// Time at which it was ready or failed; `None` until then.
    pub finished_at: Option<DateTime<Utc>>,
    /// Time at which it is removed.
    pub expires_at: DateTime<Utc>,
}

/// Asks for a file of a report. The caller wakes the nodes once this is committed.
///
/// # Errors
/// [`ChangeError::Limit`] if the actor has too many files, or the network waits for too many.
pub async fn create(
    conn: &mut NetworkConn,
    actor: &Actor,
    query: &ReportQuery,
    format: FileFormat,
    now: DateTime<Utc>,
) -> Result<ReportFile, ChangeError> {
    let network_id = conn.network_id();
    let of_owner: i64 = report_files::table
        .filter(report_files::network_id.eq(network_id))
        .filter(report_files::owner_id.eq(actor.membership_id))
        .filter(report_files::expires_at.gt(now))
        .select(count_star())
        .first(&mut **conn)
        .await?;
    if of_owner >= MAX_OF_OWNER {
        let message = format!("You have {MAX_OF_OWNER} files. Remove one first.");
        return Err(ChangeError::Limit(message));
    }
    let waiting: i64 = report_files::table
        .filter(report_files::network_id.eq(network_id))
        .filter(report_files::status.eq_any([FileStatus::Waiting, FileStatus::Running]))
        .select(count_star())
        .first(&mut **conn)
        .await?;
    if waiting >= MAX_WAITING {
        let message =
            format!("{MAX_WAITING} files of the network are being prepared. Try again when one is ready.");
        return Err(ChangeError::Limit(message));
    }
    let created = diesel::insert_into(report_files::table)
        .values((
            report_files::network_id.eq(network_id),
            report_files::owner_id.eq(actor.membership_id),
            report_files::query.eq(query.to_query_string()),
            report_files::format.eq(format),
            report_files::status.eq(FileStatus::Waiting),
            report_files::created_at.eq(now),
            report_files::expires_at.eq(now + LIFETIME),
        ))
        .returning(ReportFile::as_select())
        .get_result(&mut **conn)
        .await?;
    Ok(created)
}

/// Files of an actor that have not expired, the newest first.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn list(conn: &mut NetworkConn, actor: &Actor, now: DateTime<Utc>) -> QueryResult<Vec<ReportFile>> {
    let network_id = conn.network_id();
    ReportFile::query()
        .filter(report_files::network_id.eq(network_id))
        .filter(report_files::owner_id.eq(actor.membership_id))
        .filter(report_files::expires_at.gt(now))
        .order((report_files::created_at.desc(), report_files::id))
        .load(&mut **conn)
        .await
}

/// File of an actor with this id, unless it has expired.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn find(
    conn: &mut NetworkConn,
    actor: &Actor,
    id: ReportFileId,
    now: DateTime<Utc>,
) -> QueryResult<Option<ReportFile>> {
    let network_id = conn.network_id();
    ReportFile::query()
        .filter(report_files::network_id.eq(network_id))
        .filter(report_files::id.eq(id))
        .filter(report_files::owner_id.eq(actor.membership_id))
        .filter(report_files::expires_at.gt(now))
        .first(&mut **conn)
        .await
        .optional()
}

/// Removes a file of an actor. A node that prepares it stops at its next part.
///
/// # Errors
/// [`ChangeError::NotFound`].
pub async fn remove(conn: &mut NetworkConn, actor: &Actor, id: ReportFileId) -> Result<(), ChangeError> {
    let network_id = conn.network_id();
    let removed = diesel::delete(report_files::table.find((network_id, id)))
        .filter(report_files::owner_id.eq(actor.membership_id))
        .execute(&mut **conn)
        .await?;
    if removed == 0 {
        return Err(ChangeError::NotFound);
    }
    Ok(())
}

/// Removes expired files of a network.
pub(super) async fn remove_expired(conn: &mut NetworkConn, now: DateTime<Utc>) -> QueryResult<()> {
    let network_id = conn.network_id();
    diesel::delete(report_files::table)
        .filter(report_files::network_id.eq(network_id))
        .filter(report_files::expires_at.le(now))
        .execute(&mut **conn)
        .await?;
    Ok(())
}

/// Claims the file that was asked for first, unless other nodes have claimed all. One that failed too often is finished.
pub(super) async fn claim(conn: &mut NetworkConn, now: DateTime<Utc>) -> QueryResult<Option<ReportFile>> {
    let network_id = conn.network_id();
    let is_free = report_files::claimed_until
        .is_null()
        .or(report_files::claimed_until.le(now).assume_not_null());
    let found: Option<ReportFile> = ReportFile::query()
        .filter(report_files::network_id.eq(network_id))
        .filter(report_files::status.eq_any([FileStatus::Waiting, FileStatus::Running]))
        .filter(is_free)
        .order((report_files::created_at, report_files::id))
        .for_update()
        .skip_locked()
        .first(&mut **conn)
        .await
        .optional()?;
    let Some(file) = found else {
        return Ok(None);
    };
    if file.attempts >= MAX_ATTEMPTS {
        let problem = format!(
            "It could not be prepared in {MAX_ATTEMPTS} attempts. The log of the server has the reason."
        );
        fail(conn, &file, &problem, now).await?;
        return Ok(None);
    }
    diesel::delete(report_file_parts::table)
        .filter(report_file_parts::network_id.eq(network_id))
        .filter(report_file_parts::file_id.eq(file.id))
        .execute(&mut **conn)
        .await?;
    let claimed = diesel::update(report_files::table.find((network_id, file.id)))
        .set((
            report_files::status.eq(FileStatus::Running),
            report_files::claimed_until.eq(now + CLAIM_TIME),
            report_files::attempts.eq(file.attempts + 1),
            report_files::rows_total.eq(None::<i64>),
            report_files::rows_written.eq(0),
            report_files::bytes.eq(0),
        ))
        .returning(ReportFile::as_select())
        .get_result(&mut **conn)
        .await?;
    Ok(Some(claimed))
}

/// Content of a file that is written next.
pub(super) struct Part {
    /// Number, from 0.
    pub(super) number: i32,
    /// Rows that it adds to those written.
    pub(super) rows: i64,
    /// Rows of the report.
    pub(super) rows_total: i64,
    /// Bytes.
    pub(super) data: Vec<u8>,
}

/// Writes a part and renews the claim. Returns false if the file was removed, or another node has begun again.
pub(super) async fn write(
    conn: &mut NetworkConn,
    file: &ReportFile,
    part: &Part,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let network_id = conn.network_id();
    let bytes = i64::try_from(part.data.len()).unwrap_or(i64::MAX);
    let updated = diesel::update(report_files::table.find((network_id, file.id)))
        .filter(report_files::status.eq(FileStatus::Running))
        .filter(report_files::attempts.eq(file.attempts))
        .set((
            report_files::rows_total.eq(part.rows_total),
            report_files::rows_written.eq(report_files::rows_written + part.rows),
            report_files::bytes.eq(report_files::bytes + bytes),
            report_files::claimed_until.eq(now + CLAIM_TIME),
        ))
        .execute(&mut **conn)
        .await?;
    if updated == 0 {
        return Ok(false);
    }
    diesel::insert_into(report_file_parts::table)
        .values((
            report_file_parts::network_id.eq(network_id),
            report_file_parts::file_id.eq(file.id),
            report_file_parts::part.eq(part.number),
            report_file_parts::data.eq(&part.data),
        ))
        .execute(&mut **conn)
        .await?;
    Ok(true)
}

/// Records that a file is ready. Returns false if it was removed, or another node has begun again.
pub(super) async fn finish(
    conn: &mut NetworkConn,
    file: &ReportFile,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let network_id = conn.network_id();
    let updated = diesel::update(report_files::table.find((network_id, file.id)))
        .filter(report_files::status.eq(FileStatus::Running))
        .filter(report_files::attempts.eq(file.attempts))
        .set((
            report_files::status.eq(FileStatus::Ready),
            report_files::finished_at.eq(now),
            report_files::claimed_until.eq(None::<DateTime<Utc>>),
            report_files::expires_at.eq(now + LIFETIME),
        ))
        .execute(&mut **conn)
        .await?;
    Ok(updated == 1)
}

/// Records that a file cannot be prepared. Its parts are removed.
pub(super) async fn fail(
    conn: &mut NetworkConn,
    file: &ReportFile,
    problem: &str,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let network_id = conn.network_id();
    let problem: String = problem.chars().take(MAX_PROBLEM).collect();
    diesel::update(report_files::table.find((network_id, file.id)))
        .set((
            report_files::status.eq(FileStatus::Failed),
            report_files::problem.eq(problem),
            report_files::finished_at.eq(now),
            report_files::claimed_until.eq(None::<DateTime<Utc>>),
        ))
        .execute(&mut **conn)
        .await?;
    diesel::delete(report_file_parts::table)
        .filter(report_file_parts::network_id.eq(network_id))
        .filter(report_file_parts::file_id.eq(file.id))
        .execute(&mut **conn)
        .await?;
    Ok(())
}
