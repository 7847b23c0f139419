//! Postbacks of a journal: decided in order, many in one transaction, each with its conversion, its money and its verdict;
//! and those that waited, when their time has come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use journal::Journal;
use schema::{NetworkId, PostbackId, clock};
use tokio_postgres::{Client, Transaction};
use uuid::Uuid;

use super::deciding::{self, Candidate, Origin, Statements, Tx, approve_held, decide_all};
use super::replaying::replay;
use super::{ApplyError, Load, Progress, Record, session};
use crate::judge::Judge;
use crate::postback_record::PostbackRecord;
use crate::verdict::Told;
use crate::waiting::Waiting;

/// How often those that wait are looked at.
const SWEEP: Duration = Duration::from_secs(2);
/// How many are looked at at once: where there were as many, there may be more.
const MANY: usize = 500;
/// How long nothing is given up after Postgres was away: what is waited for may lie in the journal.
const CATCHING_UP: Duration = Duration::from_secs(60);
/// How long those wait on among whom one could not be decided.
const POSTPONED: TimeDelta = TimeDelta::minutes(10);

/// Decides postbacks and stores them.
pub(crate) struct PostbackLoad {
    pub(crate) judge: Judge,
    /// Who waits for a verdict.
    pub(crate) waiting: Waiting,
}

impl Load for PostbackLoad {
    const STREAM: &'static str = "postbacks";
    // What was told to be decided stays decided as it was told.
    const SYNCHRONOUS: bool = true;
    const BATCH: usize = 500;
    // Somebody waits for each; those who come meanwhile share the next transaction.
    const COLLECT: Duration = Duration::ZERO;
    type Prepared = Statements;
    type Done = Vec<(PostbackId, Told)>;

    fn network(record: &[u8]) -> Option<NetworkId> {
        PostbackRecord::read(record).ok().map(|record| record.network)
    }

    async fn prepare(&self, client: &Client) -> Result<Statements, ApplyError> {
        Statements::prepare(client).await
    }

    async fn make_room(&self, _: &Client, _: &[Record<'_>]) -> Result<(), ApplyError> {
        Ok(())
    }

    async fn store(
        &self,
        transaction: &Transaction<'_>,
        statements: &Statements,
        records: &[Record<'_>],
    ) -> Result<Self::Done, ApplyError> {
        let read = records.iter().map(|record| {
            Ok(Candidate {
                record: PostbackRecord::read(record.bytes).map_err(ApplyError::Poison)?,
                origin: Origin::Journal,
                sender: None,
            })
        });
        let candidates = read.collect::<Result<_, ApplyError>>()?;
        let tx = Tx {
            transaction,
            statements,
        };
        let outcomes = decide_all(tx, &self.judge, candidates).await?;
        Ok(outcomes.into_iter().map(|it| (it.id, it.told)).collect())
    }

    fn committed(&self, done: Self::Done) {
        self.waiting.tell(done);
    }
}

/// Looks after those that wait, for as long as the process runs: what need not wait any more, what has waited long
/// enough, and conversions whose hold is over. Any number of nodes may do so at once.
pub(crate) async fn sweep(url: Arc<str>, judge: Judge, progress: Arc<Progress>, journal: Journal) {
    loop {
        if let Err(error) = sweep_until_it_fails(&url, &judge, &progress, &journal).await {
            tracing::warn!(%error, "postbacks that wait are not looked at; trying again");
            tokio::time::sleep(SWEEP).await;
        }
    }
}

async fn sweep_until_it_fails(
    url: &str,
    judge: &Judge,
    progress: &Progress,
    journal: &Journal,
) -> Result<(), ApplyError> {
    let mut client = session::connect(url).await?;
    let statements = Statements::prepare(&client).await?;
    let mut failed_at: Option<Instant> = None;
    loop {
        tokio::time::sleep(SWEEP).await;
        if progress.is_failing() {
            failed_at = Some(Instant::now());
            continue;
        }
        // What it waits for may lie in the journal, ours or another node's that could not be applied for a while.
        let is_recent = failed_at.is_some_and(|at| at.elapsed() < CATCHING_UP);
        let is_behind = progress.applied() < journal.next();
        let mut jobs = vec![Job::Ready];
        if !is_recent && !is_behind {
            jobs.push(Job::Overdue);
        }
        for job in jobs {
            while sweep_once(&mut client, &statements, judge, job).await? >= MANY {}
        }
        while replay(&mut client, &statements, judge, clock::now()).await? > 0 {}
        let transaction = client.transaction().await?;
        let tx = Tx {
            transaction: &transaction,
            statements: &statements,
        };
        approve_held(tx, judge, clock::now()).await?;
        transaction.commit().await?;
    }
}

/// What is looked for among those that wait.
#[derive(Debug, Clone, Copy)]
enum Job {
    Ready,
    Overdue,
}

/// Decides those that are ready or overdue, in one transaction; if one of them is poison, each in its own, and that one waits on. Returns how
/// many there were.
async fn sweep_once(
    client: &mut Client,
    statements: &Statements,
    judge: &Judge,
    job: Job,
) -> Result<usize, ApplyError> {
    let now = clock::now();
    let transaction = client.transaction().await?;
    let tx = Tx {
        transaction: &transaction,
        statements,
    };
    let candidates = match job {
        Job::Ready => deciding::ready(tx, now).await?,
        Job::Overdue => deciding::overdue(tx, now).await?,
    };
    let found = candidates.len();
    let waiting: Vec<_> = candidates
        .iter()
        .map(|it| (it.record.network.0, it.record.id.0))
        .collect();
    match decide_all(tx, judge, candidates).await {
        Ok(_) => {
            transaction.commit().await?;
            if found > 0 {
                tracing::info!(found, ?job, "postbacks that waited are decided");
            }
            Ok(found)
        }
        Err(error) if session::is_poison(&error) => {
            tracing::error!(%error, "a postback that waited cannot be decided; each is tried alone");
            transaction.rollback().await?;
            for one in waiting {
                decide_alone(client, statements, judge, job, one).await?;
            }
            Ok(0)
        }
        Err(error) => Err(error),
    }
}

/// Decides one that waits, in a transaction of its own; if it is poison, it waits on.
async fn decide_alone(
    client: &mut Client,
    statements: &Statements,
    judge: &Judge,
    job: Job,
    one: (i32, Uuid),
) -> Result<(), ApplyError> {
    let transaction = client.transaction().await?;
    let tx = Tx {
        transaction: &transaction,
        statements,
    };
    let origin = match job {
        Job::Ready => Origin::Parked,
        Job::Overdue => Origin::Overdue,
    };
    let taken = deciding::take(tx, one, origin).await?;
    match decide_all(tx, judge, taken).await {
        Ok(_) => Ok(transaction.commit().await?),
        Err(error) if session::is_poison(&error) => {
            transaction.rollback().await?;
            let transaction = client.transaction().await?;
            let tx = Tx {
                transaction: &transaction,
                statements,
            };
            deciding::postpone(tx, one, clock::now() + POSTPONED).await?;
            Ok(transaction.commit().await?)
        }
        Err(error) => Err(error),
    }
}
