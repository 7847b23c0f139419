//! Preparation of files, one at a time on each node.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel_async::SimpleAsyncConnection;
use schema::{DbError, NetworkId, clock};
use tenancy::networks::{self, Network};
use tenancy::work::Work;
use tenancy::{Actor, Delivery, Mail, Via, memberships, unscoped};

use super::store::{self, Part, ReportFile};
use crate::mails::{FileFormat, Sender};
use crate::{Metric, Report, ReportError, ReportQuery, csv, in_background, sentences, to_xlsx};

/// Interval of the look-ups of files that no node has announced here, such as those of a node that stopped.
const LOOK_UP_INTERVAL: Duration = Duration::from_secs(60);
/// Maximum number of files of one network in a round, so that the others have their turn.
const MAX_OF_ROUND: usize = 5;
/// Rows of a part.
const ROWS_OF_PART: usize = 10_000;
/// Bytes of a part of a workbook.
const BYTES_OF_PART: usize = 1 << 20;
/// Maximum size of a file, in bytes.
const MAX_BYTES: u64 = 1 << 30;
/// Longest statement, less than the claim of a node.
const STATEMENT_TIMEOUT: &str = "SET LOCAL statement_timeout = '4min'";

/// Prepares the files of every active network as soon as they are announced to the engine of this node, and others each
/// minute. Any number of nodes may do so.
pub async fn keep_preparing(sender: Sender) {
    loop {
        let announced = sender.reports.file_announced();
        let _ = tokio::time::timeout(LOOK_UP_INTERVAL, announced).await;
        let prepare = |network_id| {
            let sender = sender.clone();
            async move { prepare_due(&sender, network_id, clock::now()).await }
        };
        sender
            .works
            .run_everywhere(Work::Files, &sender.db, prepare)
            .await;
    }
}

/// Prepares the files that a network waits for, one after the other, removes those that have expired, and returns
/// the number of files. If a node stops in the middle, another one begins again when the claim is over.
///
/// # Errors
/// Returns an error if the database fails.
#[tracing::instrument(skip_all, fields(network = %network_id))]
pub async fn prepare_due(sender: &Sender, network_id: NetworkId, now: DateTime<Utc>) -> Result<u64, DbError> {
    let mut prepared = 0;
    let mut conn = sender.db.network(network_id).await?;
    store::remove_expired(&mut conn, now).await?;
    conn.commit().await?;
    for _ in 0..MAX_OF_ROUND {
        let mut conn = sender.db.network(network_id).await?;
        let claimed = store::claim(&mut conn, now).await?;
        let Some(file) = claimed else {
            conn.commit().await?;
            return Ok(prepared);
        };
        let network = networks::current(&mut conn).await?;
        conn.commit().await?;
        let preparation = Preparation {
            sender,
            network: &network,
            file: &file,
        };
        prepared += u64::from(preparation.run().await?);
    }
    Ok(prepared)
}

/// Attempt to prepare a file.
struct Preparation<'a> {
    sender: &'a Sender,
    network: &'a Network,
    file: &'a ReportFile,
}

impl Preparation<'_> {
    /// Returns true if the file is ready.
    async fn run(&self) -> Result<bool, DbError> {
        let is_ready = match self.report().await? {
            Ok((query, metrics, report)) => {
                let report = Arc::new(report);
                match self.file.format {
                    FileFormat::Csv => self.write_csv(&query, &metrics, &report).await?,
                    FileFormat::Xlsx => self.write_workbook(query, metrics, report).await?,
                }
            }
            Err(problem) => {
                self.fail(&problem).await?;
                false
            }
        };
        if is_ready {
            let mut conn = self.sender.db.network(self.network.id).await?;
            let is_ours = store::finish(&mut conn, self.file, clock::now()).await?;
            conn.commit().await?;
            if is_ours {
                self.notify_owner().await?;
            }
        }
        Ok(is_ready)
    }

    /// Runs the report as its owner may see it now; the problem for the owner if that is impossible.
    async fn report(&self) -> Result<Result<(ReportQuery, Vec<Metric>, Report), String>, DbError> {
        let Some(actor) = self.owner().await? else {
            return Ok(Err("Its owner is no longer a member.".to_owned()));
        };
        let now = clock::now();
        let today = now.with_timezone(&self.network.time_zone()).date_naive();
        let query = ReportQuery::parse(&self.file.query, &[], today);
        let query = match query.and_then(|query| query.check(&actor).map(|()| query)) {
            Ok(query) => query,
            Err(problems) => return Ok(Err(sentences(&problems))),
        };
        let mut conn = self.sender.db.network(self.network.id).await?;
        conn.batch_execute(STATEMENT_TIMEOUT).await?;
        let engine = &self.sender.reports;
        let scope = actor.scope();
        let report = engine
            .run(&mut conn, self.network, scope, &query, usize::MAX)
            .await;
        Ok(match report {
            Ok(report) => {
                conn.commit().await?;
                let metrics = query.metrics(&actor);
                Ok((query, metrics, report))
            }
            Err(error) => Err(error.into_problem()?.message),
        })
    }

    async fn owner(&self) -> Result<Option<Actor>, DbError> {
        let owner = self.file.owner_id;
        unscoped::actor(&self.sender.db, self.network.id, owner, Via::System, None).await
    }

    /// Writes the rows as CSV, some thousand at a time. Returns false if the file is not needed any more, or failed.
    async fn write_csv(
        &self,
        query: &ReportQuery,
        metrics: &[Metric],
        report: &Arc<Report>,
    ) -> Result<bool, DbError> {
        let rows_total = report.row_count();
        let mut size = 0;
        for (number, start) in (0..rows_total.max(1)).step_by(ROWS_OF_PART).enumerate() {
            let rows = start..(start + ROWS_OF_PART).min(rows_total);
            let (query, metrics, report) = (query.clone(), metrics.to_vec(), report.clone());
            let count = rows.len();
            let text = in_background(move || lines(&query, &metrics, &report, rows));
            let data = match text.await {
                Ok(text) => text.into_bytes(),
                Err(error) => return Ok(self.stop(&error)),
            };
            size += data.len() as u64;
            if size > MAX_BYTES {
                let problem = "The file has more than a gigabyte. Choose fewer dimensions, a shorter period, or a filter.";
                self.fail(problem).await?;
                return Ok(false);
            }
            if !self.write(number, count, rows_total, data).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn write_workbook(
        &self,
        query: ReportQuery,
        metrics: Vec<Metric>,
        report: Arc<Report>,
    ) -> Result<bool, DbError> {
        let rows_total = report.row_count();
        let workbook = in_background(move || to_xlsx(&query, &metrics, &report));
        let workbook = match workbook.await {
            Ok(Ok(workbook)) => workbook,
            Ok(Err(error)) => {
                self.fail(&error.to_string()).await?;
                return Ok(false);
            }
            Err(error) => return Ok(self.stop(&error)),
        };
        for (number, data) in workbook.chunks(BYTES_OF_PART).enumerate() {
            // All rows are written with the first part of a workbook.
            let rows = if number == 0 { rows_total } else { 0 };
            if !self.write(number, rows, rows_total, data.to_vec()).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn write(
        &self,
        number: usize,
        rows: usize,
        rows_total: usize,
        data: Vec<u8>,
    ) -> Result<bool, DbError> {
        let part = Part {
            number: i32::try_from(number).unwrap_or(i32::MAX),
            rows: i64::try_from(rows).unwrap_or(i64::MAX),
            rows_total: i64::try_from(rows_total).unwrap_or(i64::MAX),
            data,
        };
        let mut conn = self.sender.db.network(self.network.id).await?;
        let is_needed = store::write(&mut conn, self.file, &part, clock::now()).await?;
        conn.commit().await?;
        Ok(is_needed)
    }

    /// Ends an attempt that failed by our fault: another one begins when the claim is over.
    fn stop(&self, error: &ReportError) -> bool {
        tracing::error!(file = %self.file.id, %error, "report file not written");
        false
    }

    async fn fail(&self, problem: &str) -> Result<(), DbError> {
        let mut conn = self.sender.db.network(self.network.id).await?;
        store::fail(&mut conn, self.file, problem, clock::now()).await?;
        conn.commit().await
    }

    /// Mails the owner the address of the file. A mail that fails is not retried: the page has the file too.
    async fn notify_owner(&self) -> Result<(), DbError> {
        let mut conn = self.sender.db.network(self.network.id).await?;
        let owner = memberships::find(&mut conn, self.file.owner_id).await?;
        conn.commit().await?;
        let Some(owner) = owner else {
            return Ok(());
        };
        let (network, url) = (&self.network.name, &self.sender.dashboard_url);
        let expires = clock::now() + store::LIFETIME;
        let expires = expires
            .with_timezone(&self.network.time_zone())
            .format("%-d %B %Y");
        let mail = Mail {
            to: owner.email,
            subject: format!("{network}: your report is ready"),
            text: format!(
                "The file of your report ({network}) is ready. Download it until {expires}:\n{url}/reports/files\n\nThe \
                 report:\n{url}/reports?{}\n\nYou receive this mail because you asked for the file.\n",
                self.file.query
            ),
            ..Mail::default()
        };
        match self.sender.mailer.send(&mail).await {
            Delivery::Sent | Delivery::NotConfigured => {}
            Delivery::Failed(reason) => {
                tracing::warn!(file = %self.file.id, %reason, "mail about a report file not sent");
            }
        }
        Ok(())
    }
}

/// Lines of these rows, the first part with the header.
fn lines(query: &ReportQuery, metrics: &[Metric], report: &Report, rows: Range<usize>) -> String {
    let header = if rows.start == 0 {
        csv::header(query, metrics)
    } else {
        String::new()
    };
    header + &csv::lines(query, metrics, report, rows)
}
