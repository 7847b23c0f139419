//! `clickledger replay`: rejected postbacks decided once more, after a look at what would change.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use schema::{Db, Money, NetworkConn, PostbackId, clock};
use tenancy::networks::Network;
use tenancy::{Author, advertisers, unscoped};
use tracking::Reason;
use tracking::replays::{self, Decider, MOST, Replay, ReplayFilter};
use uuid::Uuid;

use super::{CommandError, WrongUsage, open_or_use};
use crate::config::{ReplayOptions, Since};

/// How long a statement may run: nobody waits but whoever typed the command.
const LONGEST_STATEMENT: Duration = Duration::from_secs(600);
/// How long postbacks are waited for that a node which serves has taken up: a little longer than its transactions last.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many postbacks are shown one by one.
const SHOWN: usize = 20;

/// Shows what rejected postbacks would become if they were decided once more; told to do it for real, looks first and
/// then does exactly what it looked at.
///
/// # Errors
/// [`WrongUsage`] when there is no such network, advertiser, reason or look; when no postback fits, some could not be
/// decided, or the database fails.
pub async fn replay(options: ReplayOptions) -> Result<(), CommandError> {
    let database = open_or_use(&options.store, "/postbacks").await?;
    let db = Db::new(&database.url, 2, LONGEST_STATEMENT);
    let network = unscoped::network_of_slug(&db, &options.network).await?;
    let network = network.ok_or_else(|| WrongUsage(format!("no network is called “{}”", options.network)))?;
    let mut conn = db.network(network.id).await?;
    let filter = wanted(&mut conn, &network, &options).await?;
    conn.commit().await?;
    let decider = Decider::connect(db.clone(), &database.url, database.secret.clone()).await?;
    let mut run = Run { db, network, decider };

    // What an earlier look showed needs no other one.
    if options.looked_at.is_some() {
        let done = run.decide(&filter, false).await?;
        return run.conclude(&filter, &done.1);
    }
    let (look, found) = run.decide(&filter, true).await?;
    if options.for_real {
        let looked_at = ReplayFilter {
            ids: found.iter().map(|replay| replay.postback_id).collect(),
            ..ReplayFilter::default()
        };
        let done = run.decide(&looked_at, false).await?;
        return run.conclude(&filter, &done.1);
    }
    run.tell(&found, true)?;
    println!(
        "\nNothing was changed. To do this and nothing else:\n  clickledger replay --network {} --looked-at {look} --for-real",
        options.network
    );
    complain(&filter, &found)
}

/// A network's replays on their way from the question to what came of it.
struct Run {
    db: Db,
    network: Network,
    decider: Decider,
}

impl Run {
    /// Asks for the postbacks that fit, and has them decided. Returns the number of the batch and what came of it.
    async fn decide(
        &mut self,
        filter: &ReplayFilter,
        is_dry: bool,
    ) -> Result<(Uuid, Vec<Replay>), CommandError> {
        let mut conn = self.db.network(self.network.id).await?;
        let author = Author::command_line();
        let (batch, asked) = replays::ask(&mut conn, &author, filter, is_dry, clock::now()).await?;
        conn.commit().await?;
        if asked == 0 {
            return Err(format!("no rejected postback of {} is like that", self.network.name).into());
        }
        let decided = self.decider.decide(self.network.id, batch, PATIENCE).await;
        Ok((batch, decided.map_err(|error| stays(batch, is_dry, &error))?))
    }

    /// Prints what came of it, and fails where not everything was decided.
    fn conclude(&self, filter: &ReplayFilter, done: &[Replay]) -> Result<(), CommandError> {
        self.tell(done, false)?;
        complain(filter, done)
    }

    fn tell(&self, found: &[Replay], is_dry: bool) -> io::Result<()> {
        print(&mut io::stdout().lock(), &self.network.name, found, is_dry)
    }
}

/// Says that what was asked for is not forgotten.
fn stays(batch: Uuid, is_dry: bool, error: &replays::DecideError) -> String {
    match is_dry {
        true => error.to_string(),
        false => format!(
            "{error}\n(They stay asked for: a node that serves decides them, or this command when it is run again. What \
             came of them is on the page /replays/{batch}.)"
        ),
    }
}

/// Which postbacks the options name.
async fn wanted(
    conn: &mut NetworkConn,
    network: &Network,
    options: &ReplayOptions,
) -> Result<ReplayFilter, CommandError> {
    if let Some(look) = options.looked_at {
        let looked_at = replays::of_batch(conn, look, MOST).await?;
        if looked_at.is_empty() {
            return Err(WrongUsage(format!("{} has no look numbered {look}", network.name)).into());
        }
        return Ok(ReplayFilter {
            ids: looked_at.into_iter().map(|replay| replay.postback_id).collect(),
            ..ReplayFilter::default()
        });
    }
    if let Some(reason) = options
        .reason
        .as_deref()
        .filter(|code| Reason::of_code(code).is_none())
    {
        return Err(WrongUsage(format!(
            "there is no reason “{reason}”; /docs/postback lists them all"
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

/// Fails where something that was asked for by name was not decided.
fn complain(filter: &ReplayFilter, decided: &[Replay]) -> Result<(), CommandError> {
    let is_among = |id: &PostbackId| decided.iter().any(|replay| replay.postback_id == *id);
    let left_out = filter.ids.iter().filter(|id| !is_among(id)).count();
    let undecided = decided.iter().filter(|replay| replay.reason.is_none()).count();
    match (left_out, undecided) {
        (0, 0) => Ok(()),
        (0, _) => Err(format!("{undecided} of {} could not be decided", decided.len()).into()),
        _ => Err(format!(
            "{left_out} of {} that were named are no rejected postbacks like that; {undecided} could not be decided",
            filter.ids.len()
        )
        .into()),
    }
}

fn print(out: &mut impl Write, network: &str, found: &[Replay], is_dry: bool) -> io::Result<()> {
    let (would, were) = match is_dry {
        true => ("would change", "looked at"),
        false => ("changed", "decided once more"),
    };
    let changing = found.iter().filter(|replay| replay.changes()).count();
    writeln!(
        out,
        "{network}: {} {were}, {changing} {would}",
        postbacks(found.len())
    )?;
    if i64::try_from(found.len()).is_ok_and(|found| found >= MOST) {
        writeln!(
            out,
            "These are the oldest {MOST}, as many as are taken at once; there may be more."
        )?;
    }
    writeln!(out)?;
    let mut ways: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut sums: BTreeMap<_, (usize, Money, Money)> = BTreeMap::new();
    for replay in found {
        *ways.entry((&replay.reason_before, now(replay))).or_default() += 1;
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
    for ((before, after), count) in ways {
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
    for replay in found.iter().take(SHOWN) {
        let (id, before, message) = (
            replay.postback_id,
            &replay.reason_before,
            replay.message.as_deref(),
        );
        writeln!(
            out,
            "{id}  {before} → {}  {}",
            now(replay),
            message.unwrap_or_default()
        )?;
    }
    if found.len() > SHOWN {
        writeln!(out, "… and {} more", found.len() - SHOWN)?;
    }
    Ok(())
}

/// The reason a postback has or would have now.
fn now(replay: &Replay) -> &str {
    replay.reason.as_deref().unwrap_or("not decided")
}

fn postbacks(count: usize) -> String {
    match count {
        1 => "1 postback".to_owned(),
        _ => format!("{count} postbacks"),
    }
}
