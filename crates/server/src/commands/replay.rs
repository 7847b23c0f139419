//! `clickledger replay`: rejected postbacks decided again, after a dry run that shows what would change.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use postbacks::Reason;
use postbacks::replays::{self, BATCH_LIMIT, Decider, Replay, ReplayFilter};
use schema::{Db, Money, NetworkConn, PostbackId, clock};
use serde_json::{Value, json};
use tenancy::networks::Network;
use tenancy::{Author, advertisers, unscoped};
use uuid::Uuid;

use super::{CommandError, WrongUsage, open};
use crate::config::{ReplayOptions, Since};
use crate::output::Output;

/// Longest time Postgres may spend on a statement: only the user of the command waits.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(600);
/// Longest wait for postbacks that a serving node is deciding: a little longer than its transactions last.
const SERVING_NODE_TIMEOUT: Duration = Duration::from_secs(60);
/// Most postbacks shown one by one.
const MAX_SHOWN: usize = 20;

/// Shows the verdicts that rejected postbacks would get if they were decided again. With `--for-real`, makes the same dry
/// run first and then decides exactly its postbacks.
///
/// # Errors
/// [`WrongUsage`] for an unknown network, advertiser, reason or dry run; another error when no postback matches, some
/// could not be decided, or the database fails.
pub async fn replay(options: ReplayOptions, output: Output) -> Result<(), CommandError> {
    let database = open(&options.store).await?;
    let db = Db::new(&database.url, 2, STATEMENT_TIMEOUT);
    let network = unscoped::network_of_slug(&db, &options.network).await?;
    let network = network.ok_or_else(|| WrongUsage(format!("no network is called “{}”", options.network)))?;
    let mut conn = db.network(network.id).await?;
    let filter = filter_of(&mut conn, &network, &options).await?;
    conn.commit().await?;
    let decider = Decider::connect(db.clone(), &database.url, database.secret.clone()).await?;
    let mut run = Run {
        db,
        network,
        decider,
        output,
    };

    // The user has seen the dry run already.
    if options.looked_at.is_some() {
        let (number, decided) = run.decide(&filter, false).await?;
        return run.conclude(&filter, number, &decided);
    }
    let (dry_run, found) = run.decide(&filter, true).await?;
    if options.for_real {
        let of_dry_run = ReplayFilter {
            ids: found.iter().map(|replay| replay.postback_id).collect(),
            ..ReplayFilter::default()
        };
        let (number, decided) = run.decide(&of_dry_run, false).await?;
        return run.conclude(&filter, number, &decided);
    }
    run.print(dry_run, &found, true)?;
    output.note(format!(
        "\nNothing was changed. To do this and nothing else:\n  clickledger replay --network {} --looked-at {dry_run} --for-real",
        options.network
    ))?;
    check_complete(&filter, &found)
}

/// Replays of one network, with what decides them.
struct Run {
    db: Db,
    network: Network,
    decider: Decider,
    output: Output,
}

impl Run {
    /// Requests the matching postbacks and decides them. Returns the number of the batch and the replays.
    async fn decide(
        &mut self,
        filter: &ReplayFilter,
        is_dry: bool,
    ) -> Result<(Uuid, Vec<Replay>), CommandError> {
        let mut conn = self.db.network(self.network.id).await?;
        let author = Author::command_line();
        let (batch, requested) = replays::request(&mut conn, &author, filter, is_dry, clock::now()).await?;
        conn.commit().await?;
        if requested == 0 {
            return Err(format!("no rejected postback of {} matches", self.network.name).into());
        }
        let decided = self
            .decider
            .decide(self.network.id, batch, SERVING_NODE_TIMEOUT)
            .await;
        Ok((
            batch,
            decided.map_err(|error| still_requested(batch, is_dry, &error))?,
        ))
    }

    /// Prints the replays, and fails if some were not decided.
    fn conclude(&self, filter: &ReplayFilter, number: Uuid, decided: &[Replay]) -> Result<(), CommandError> {
        self.print(number, decided, false)?;
        check_complete(filter, decided)
    }

    fn print(&self, number: Uuid, found: &[Replay], is_dry: bool) -> io::Result<()> {
        match self.output {
            Output::Text => print(&mut io::stdout().lock(), &self.network.name, found, is_dry),
            Output::Json => self.output.print("", &self.described(number, found, is_dry)),
        }
    }

    /// Replays for programs.
    fn described(&self, number: Uuid, found: &[Replay], is_dry: bool) -> Value {
        let results = found.iter().map(|replay| {
            json!({
                "postback": replay.postback_id,
                "reason_before": replay.reason_before,
                "reason": replay.reason,
                "message": replay.message,
                "conversion": replay.conversion_id,
                "commission": replay.commission().map(|money| money.to_string()),
                "revenue": replay.revenue().map(|money| money.to_string()),
            })
        });
        json!({
            "number": number,
            "network": self.network.id,
            "dry_run": is_dry,
            "changed": found.iter().filter(|replay| replay.changes()).count(),
            "results": results.collect::<Vec<_>>(),
        })
    }
}

/// Adds to an error that the requested replays are not lost.
fn still_requested(batch: Uuid, is_dry: bool, error: &replays::DecideError) -> String {
    if is_dry {
        error.to_string()
    } else {
        format!(
            "{error}\n(The postbacks stay requested: a serving node decides them, or this command when it is run again. \
             Their new verdicts are on the page /replays/{batch}.)"
        )
    }
}

/// Returns the filter that the options describe.
async fn filter_of(
    conn: &mut NetworkConn,
    network: &Network,
    options: &ReplayOptions,
) -> Result<ReplayFilter, CommandError> {
    if let Some(batch) = options.looked_at {
        let of_dry_run = replays::of_batch(conn, batch, BATCH_LIMIT).await?;
        if of_dry_run.is_empty() {
            return Err(WrongUsage(format!("{} has no dry run numbered {batch}", network.name)).into());
        }
        return Ok(ReplayFilter {
            ids: of_dry_run.into_iter().map(|replay| replay.postback_id).collect(),
            ..ReplayFilter::default()
        });
    }
    if let Some(reason) = options
        .reason
        .as_deref()
        .filter(|code| Reason::of_code(code).is_none())
    {
        return Err(WrongUsage(format!(
            "unknown reason “{reason}”; /docs/postback lists all reasons"
        ))
        .into());
    }
    let advertiser_id = match &options.advertiser {
        None => None,
        Some(named) => {
            let found = advertisers::known_as(conn, named.trim()).await?;
            let unknown = || WrongUsage(format!("{} has no advertiser “{named}”", network.name));
            Some(found.ok_or_else(unknown)?.id)
        }
    };
    Ok(ReplayFilter {
        ids: options.receipts.clone(),
        reason: options.reason.clone(),
        advertiser_id,
        since: options.since.map(|since| match since {
            Since::Day(day) => clock::start_of_day(day, network.time_zone()),
            Since::Moment(moment) => moment,
        }),
    })
}

/// Fails if a postback of the filter was not decided.
fn check_complete(filter: &ReplayFilter, decided: &[Replay]) -> Result<(), CommandError> {
    let is_among = |id: &PostbackId| decided.iter().any(|replay| replay.postback_id == *id);
    let left_out = filter.ids.iter().filter(|id| !is_among(id)).count();
    let undecided = decided.iter().filter(|replay| replay.reason.is_none()).count();
    match (left_out, undecided) {
        (0, 0) => Ok(()),
        (0, _) => Err(format!("{undecided} of {} could not be decided", decided.len()).into()),
        _ => Err(format!(
            "{left_out} of the {} named postbacks do not match or are not rejected; {undecided} could not be decided",
            filter.ids.len()
        )
        .into()),
    }
}

fn print(out: &mut impl Write, network: &str, found: &[Replay], is_dry: bool) -> io::Result<()> {
    let (would, were) = if is_dry {
        ("would change", "checked")
    } else {
        ("changed", "decided again")
    };
    let changing = found.iter().filter(|replay| replay.changes()).count();
    writeln!(
        out,
        "{network}: {} {were}, {changing} {would}",
        postbacks(found.len())
    )?;
    if i64::try_from(found.len()).is_ok_and(|found| found >= BATCH_LIMIT) {
        writeln!(
            out,
            "These are the oldest {BATCH_LIMIT}, the most in one run; more may match."
        )?;
    }
    writeln!(out)?;
    let mut transitions: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut sums: BTreeMap<_, (usize, Money, Money)> = BTreeMap::new();
    for replay in found {
        *transitions
            .entry((&replay.reason_before, reason_now(replay)))
            .or_default() += 1;
        if let (Some(commission), Some(revenue)) = (replay.commission(), replay.revenue()) {
            let none = Money {
                micros: 0,
                ..commission
            };
            let sum = sums.entry(commission.currency).or_insert((0, none, none));
            sum.0 += 1;
            sum.1.micros = sum.1.micros.saturating_add(commission.micros);
            sum.2.micros = sum.2.micros.saturating_add(revenue.micros);
        }
    }
    for ((before, after), count) in transitions {
        writeln!(out, "{count:>8}  {before} → {after}")?;
    }
    for (count, commission, revenue) in sums.into_values() {
        let conversions = if count == 1 { "conversion" } else { "conversions" };
        writeln!(
            out,
            "{count:>8}  {conversions}: {commission} commission, {revenue} revenue"
        )?;
    }
    writeln!(out)?;
    for replay in found.iter().take(MAX_SHOWN) {
        let (id, before, message) = (
            replay.postback_id,
            &replay.reason_before,
            replay.message.as_deref(),
        );
        writeln!(
            out,
            "{id}  {before} → {}  {}",
            reason_now(replay),
            message.unwrap_or_default()
        )?;
    }
    if found.len() > MAX_SHOWN {
        writeln!(out, "… and {} more", found.len() - MAX_SHOWN)?;
    }
    Ok(())
}

/// Returns the reason a postback has or would have now.
fn reason_now(replay: &Replay) -> &str {
    replay.reason.as_deref().unwrap_or("not decided")
}

fn postbacks(count: usize) -> String {
    match count {
        1 => "1 postback".to_owned(),
        _ => format!("{count} postbacks"),
    }
}
