//! From judged postbacks to conversions, within one transaction: what else has happened is looked at here.
//!
//! In order: who is claimed for (customers), what is claimed (pure), what it is worth (rules, tiers, caps), conversions
//! without a parent, those with one, changes of conversions there are; and what comes too early is parked. Whatever
//! waited for one of the new conversions goes round again, in the same transaction.

mod amend;
mod book;
mod facts;
mod keep;
mod park;
mod price;
mod row;
mod test;

use std::collections::{HashMap, HashSet};

use campaigns::goals::UniqueBy;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use dialects::{AnswerFormat, Status};
use futures_util::try_join;
use schema::{ConversionId, Currency, GoalId, PostbackId, clock};
use tokio_postgres::{Client, Statement, Transaction};

pub(super) use amend::approve_held;
pub(super) use keep::ANONYMOUS_BODY;
pub(super) use park::{overdue, postpone, ready, take};

use super::ApplyError;
use super::session::is_poison;
use crate::conversions::Conversion;
use crate::decide::{Case, Claim, Wants, decide};
use crate::judge::{Judge, Judged, Sender, Stopped};
use crate::postback_record::PostbackRecord;
use crate::signature::Signed;
use crate::trace::Trace;
use crate::verdict::{Reason, Told, Verdict};
use facts::Facts;

/// How often what waited may release what waits for it in turn: longer chains are taken up by the next sweep.
const ROUNDS: usize = 6;

/// Where a postback comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It is new.
    Journal,
    /// It waited, and is looked at again.
    Parked,
    /// It waited as long as it may.
    Overdue,
    /// It was rejected, and is decided once more.
    Replay,
}

/// A postback to be decided.
pub(super) struct Candidate {
    pub(super) record: PostbackRecord,
    pub(super) origin: Origin,
    /// Whose call it was found to be when it came, for one that waited: tokens and secrets may have changed since.
    pub(super) sender: Option<Sender>,
}

/// The statements of a batch.
pub(crate) struct Statements {
    facts: facts::Statements,
    book: book::Statements,
    amend: amend::Statements,
    park: park::Statements,
    keep: keep::Statements,
    test: Statement,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, ApplyError> {
        Ok(Self {
            facts: facts::Statements::prepare(client).await?,
            book: book::Statements::prepare(client).await?,
            amend: amend::Statements::prepare(client).await?,
            park: park::Statements::prepare(client).await?,
            keep: keep::Statements::prepare(client).await?,
            test: client.prepare(test::ADD).await?,
        })
    }
}

/// A transaction with its statements.
#[derive(Clone, Copy)]
pub(in crate::ingest) struct Tx<'a> {
    pub(super) transaction: &'a Transaction<'a>,
    pub(super) statements: &'a Statements,
}

/// What became of a postback.
pub(super) struct Decided {
    judged: Judged,
    origin: Origin,
    ending: Ending,
    goal_id: Option<GoalId>,
    amount_micros: Option<i64>,
}

/// What became of a postback, for those who wait to hear of it.
pub(super) struct Outcome {
    pub(super) id: PostbackId,
    pub(super) told: Told,
    /// Commission, revenue and currency of the conversion that one which waited or was replayed has made.
    pub(super) made: Option<(i64, i64, Currency)>,
}

/// How a decision ends.
enum Ending {
    Verdict(Verdict),
    Park(park::Wait),
}

impl Decided {
    /// The verdict to tell and to keep.
    fn verdict(&self) -> Verdict {
        match &self.ending {
            Ending::Verdict(verdict) => verdict.clone(),
            Ending::Park(wait) => wait.verdict(),
        }
    }

    fn told(&self) -> Told {
        let format = self.judged.integration.as_ref();
        let format = format.map_or(AnswerFormat::Dialect, |it| match it.settings.answer_format {
            campaigns::integrations::AnswerFormat::Dialect => AnswerFormat::Dialect,
            campaigns::integrations::AnswerFormat::Ours => AnswerFormat::Ours,
            campaigns::integrations::AnswerFormat::AlwaysOk => AnswerFormat::AlwaysOk,
            campaigns::integrations::AnswerFormat::Gif => AnswerFormat::Gif,
        });
        Told {
            verdict: self.verdict(),
            is_test: self.judged.is_test(),
            format,
        }
    }
}

/// Decides postbacks and stores all that follows; whatever waited for them too. Returns what became of them.
pub(super) async fn decide_all(
    tx: Tx<'_>,
    judge: &Judge,
    candidates: Vec<Candidate>,
) -> Result<Vec<Outcome>, ApplyError> {
    let (outcomes, mut released) = decide_and_keep(tx, judge, candidates).await?;
    for _ in 0..ROUNDS {
        if released.is_empty() {
            break;
        }
        let next = decide_and_keep(tx, judge, released).await.map(|(_, next)| next);
        released = unless_poison(tx, next).await?;
    }
    Ok(outcomes)
}

/// What waited must not stop what is new: if it cannot be decided, it waits on, for the next sweep.
async fn unless_poison(
    tx: Tx<'_>,
    released: Result<Vec<Candidate>, ApplyError>,
) -> Result<Vec<Candidate>, ApplyError> {
    match released {
        Err(error) if is_poison(&error) => {
            tracing::error!(%error, "postbacks that waited could not be decided");
            tx.transaction
                .batch_execute("ROLLBACK TO SAVEPOINT waited")
                .await?;
            Ok(Vec::new())
        }
        released => released,
    }
}

/// Decides these and stores what follows from it. Returns what became of them, and what waited for one of the conversions
/// that were made: taken out behind a savepoint, to which one can go back if it cannot be decided.
///
/// What is stored at the end depends on nothing that it stores: it is sent in one go, and while Postgres works on the
/// first of it, the rest is written down.
async fn decide_and_keep(
    tx: Tx<'_>,
    judge: &Judge,
    candidates: Vec<Candidate>,
) -> Result<(Vec<Outcome>, Vec<Candidate>), ApplyError> {
    let (decided, made) = decide_round(tx, judge, candidates).await?;
    let released = async {
        if made.is_empty() {
            return Ok(Vec::new());
        }
        let savepoint = async { Ok(tx.transaction.batch_execute("SAVEPOINT waited").await?) };
        let released = try_join!(savepoint, park::release(tx, &made));
        unless_poison(tx, released.map(|((), released)| released)).await
    };
    let ((), (), (), released) = try_join!(
        book::book_new(tx, &made),
        park::park(tx, &decided),
        keep::keep(tx, &decided),
        released
    )?;
    let made_of = |id: PostbackId| {
        let conversion = made
            .iter()
            .map(|it| &it.conversion)
            .find(|it| it.postback_id == id)?;
        Some((
            conversion.commission_micros,
            conversion.revenue_micros,
            conversion.currency,
        ))
    };
    let outcomes = decided.iter().map(|it| Outcome {
        id: it.judged.record.id,
        told: it.told(),
        made: match it.origin {
            // Nobody asks of new ones, of which there are many.
            Origin::Journal => None,
            Origin::Parked | Origin::Overdue | Origin::Replay => made_of(it.judged.record.id),
        },
    });
    Ok((outcomes.collect(), released))
}

/// A new conversion, with whose it is beside it.
pub(super) struct Made {
    network: i32,
    zone: Tz,
    conversion: Conversion,
}

async fn decide_round(
    tx: Tx<'_>,
    judge: &Judge,
    candidates: Vec<Candidate>,
) -> Result<(Vec<Decided>, Vec<Made>), ApplyError> {
    let now = clock::now();
    let customers = facts::customers(tx, &candidates).await?;
    let mut judged = Vec::with_capacity(candidates.len());
    let mut origins = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let one = judge
            .judge(&customers, candidate.record, candidate.sender)
            .await?;
        // What a network does not have any more, nobody can look at.
        if one.network.is_some() {
            judged.push(one);
            origins.push(candidate.origin);
        }
    }
    let mut traces: HashMap<usize, Trace> = judged
        .iter_mut()
        .enumerate()
        .map(|(at, it)| (at, std::mem::take(&mut it.trace)))
        .collect();
    let claims: Vec<Result<Claim<'_>, Ending>> = judged
        .iter()
        .zip(&origins)
        .enumerate()
        .map(|(at, (judged, origin))| claim(judged, *origin, traces.entry(at).or_default()))
        .collect();
    let mut round = Round {
        tx,
        now,
        judged: &judged,
        origins: &origins,
        traces: &mut traces,
        claims: &claims,
        endings: HashMap::new(),
        made: Vec::new(),
    };
    round.run().await?;
    let (mut endings, made) = (round.endings, round.made);
    let facts: Vec<_> = claims
        .into_iter()
        .enumerate()
        .map(|(at, claim)| match claim {
            Ok(claim) => (endings.remove(&at), Some(claim.goal.id), claim.sent_micros),
            Err(ending) => (Some(ending), None, None),
        })
        .collect();
    let traces: Vec<_> = (0..judged.len())
        .map(|at| traces.remove(&at).unwrap_or_default())
        .collect();
    let decided = judged.into_iter().zip(traces).zip(origins).zip(facts);
    let decided = decided.map(
        |(((mut judged, trace), origin), (ending, goal_id, amount_micros))| {
            judged.trace = trace;
            let missing = || ApplyError::Poison("a claim was left undecided".to_owned());
            Ok(Decided {
                judged,
                origin,
                ending: ending.ok_or_else(missing)?,
                goal_id,
                amount_micros,
            })
        },
    );
    Ok((decided.collect::<Result<_, ApplyError>>()?, made))
}

/// The case of a judged postback, if it got that far.
fn case(judged: &Judged) -> Option<Case<'_>> {
    let attribution = judged.attribution?;
    Some(Case {
        said: &judged.record.said,
        postback_id: judged.record.id,
        advertiser_id: judged.advertiser_id?,
        integration: judged.integration.as_deref()?,
        attributed_by: attribution.by,
        click: attribution.click,
        clicked_at: attribution.clicked_at,
        route: judged.route.as_ref()?,
        received_at: judged.record.received_at,
        signature: judged.record.signed.as_ref().map(Signed::signature),
    })
}

/// What a postback claims; or how it ends.
fn claim<'a>(judged: &'a Judged, origin: Origin, trace: &mut Trace) -> Result<Claim<'a>, Ending> {
    match &judged.stopped {
        Some(Stopped::Verdict(verdict)) => return Err(Ending::Verdict(verdict.clone())),
        Some(Stopped::WaitForCustomer(_)) if origin == Origin::Overdue => {
            let message = "Nothing was heard of this customer in time.";
            return Err(Ending::Verdict(Verdict::saying(Reason::ParentMissing, message)));
        }
        Some(Stopped::WaitForCustomer(customer)) => {
            return Err(Ending::Park(park::Wait::for_customer(judged, customer)));
        }
        None => {}
    }
    let case = case(judged).ok_or_else(|| Ending::Verdict(Verdict::of(Reason::ClickNotFound)))?;
    let claim = decide(&case, trace).map_err(Ending::Verdict)?;
    let counts_every_fire = claim.goal.settings.unique_by == UniqueBy::Fire;
    if origin == Origin::Replay && counts_every_fire && case.said.order_id.is_none() {
        // Nothing tells it from the one that the sender may have sent again.
        let message =
            "The goal counts every call, and this one has no order id: it is not counted by a replay.";
        return Err(Ending::Verdict(Verdict::saying(Reason::OrderIdMissing, message)));
    }
    Ok(claim)
}

/// Claims that may make a conversion, that ask for a change, and that could not make one.
type Sorted<'a, 'c> = (Vec<Asking<'a, 'c>>, Vec<Asking<'a, 'c>>, Vec<Asking<'a, 'c>>);

/// One round of decisions.
struct Round<'a, 'c> {
    tx: Tx<'a>,
    now: DateTime<Utc>,
    judged: &'a [Judged],
    origins: &'a [Origin],
    traces: &'a mut HashMap<usize, Trace>,
    claims: &'a [Result<Claim<'c>, Ending>],
    endings: HashMap<usize, Ending>,
    made: Vec<Made>,
}

/// A claim that is being worked on: its place in the round.
#[derive(Clone, Copy)]
struct Asking<'a, 'c> {
    at: usize,
    origin: Origin,
    judged: &'a Judged,
    claim: &'a Claim<'c>,
}

impl Asking<'_, '_> {
    fn network(&self) -> i32 {
        self.judged.record.network.0
    }

    fn key(&self) -> UniqueKey {
        (
            self.network(),
            self.claim.goal.id.0,
            self.claim.unique_key.clone(),
        )
    }
}

/// Network, goal, and what its conversions are unique by.
type UniqueKey = (i32, i32, String);

impl<'a, 'c> Round<'a, 'c> {
    async fn run(&mut self) -> Result<(), ApplyError> {
        let asking: Vec<Asking<'a, 'c>> = self
            .claims
            .iter()
            .zip(self.judged)
            .enumerate()
            .filter_map(|(at, (claim, judged))| {
                let claim = claim.as_ref().ok()?;
                Some(Asking {
                    at,
                    origin: *self.origins.get(at)?,
                    judged,
                    claim,
                })
            })
            .collect();
        if asking.is_empty() {
            return Ok(());
        }
        let (tests, real): (Vec<_>, Vec<_>) = asking.into_iter().partition(|it| it.judged.is_test());
        self.run_tests(&tests).await?;
        let is_new =
            |it: &Asking<'_, '_>| matches!(it.claim.wants, Wants::New(_) | Wants::NewOrChanged { .. });
        let (new, changes): (Vec<_>, Vec<_>) = real.into_iter().partition(is_new);
        let (new, mut changed, late) = self.settle_known(new).await?;
        let mut facts = Facts::gather(self.tx, &new).await?;
        let has_parent = |it: &Asking<'_, '_>| it.claim.goal.settings.chain.parent_goal_id.is_some();
        let (later, first): (Vec<_>, Vec<_>) = new.into_iter().partition(has_parent);
        changed.extend(self.make(&mut facts, first, &HashMap::new()).await?);
        let (ready, parents) = self.find_parents(later).await?;
        changed.extend(self.make(&mut facts, ready, &parents).await?);
        changed.extend(self.settle_late(late).await?);
        changed.extend(changes);
        changed.sort_by_key(|it| it.at);
        self.amend(changed).await
    }

    /// Sorts out those of whom it matters first whether there is a conversion already: those that come after a parent, and
    /// those that could not make a new one. Returns the others with those that can still make one, those that ask for a
    /// change, and those that could not make one.
    async fn settle_known(&mut self, asking: Vec<Asking<'a, 'c>>) -> Result<Sorted<'a, 'c>, ApplyError> {
        let matters = |it: &Asking<'_, '_>| {
            it.claim.unless_there.is_some() || it.claim.goal.settings.chain.parent_goal_id.is_some()
        };
        let (unsure, mut new): (Vec<_>, Vec<_>) = asking.into_iter().partition(matters);
        let keys: Vec<_> = unsure.iter().map(Asking::key).collect();
        let known = facts::firsts(self.tx, &keys).await?;
        let (mut changes, mut late) = (Vec::new(), Vec::new());
        for it in unsure {
            match (known.get(&it.key()), &it.claim.unless_there, it.claim.wants) {
                (Some(_), _, Wants::NewOrChanged { .. }) => changes.push(it),
                (Some(first), ..) => self.end(it.at, first.repeated(&it)),
                (None, Some(_), _) => late.push(it),
                (None, None, _) => new.push(it),
            }
        }
        new.sort_by_key(|it| it.at);
        Ok((new, changes, late))
    }

    /// Those that could not make a conversion may be about one that was made in this round. Returns those that ask for a
    /// change of it.
    async fn settle_late(&mut self, late: Vec<Asking<'a, 'c>>) -> Result<Vec<Asking<'a, 'c>>, ApplyError> {
        let keys: Vec<_> = late.iter().map(Asking::key).collect();
        let known = facts::firsts(self.tx, &keys).await?;
        let mut changes = Vec::new();
        for it in late {
            match (known.get(&it.key()), &it.claim.unless_there, it.claim.wants) {
                (Some(_), _, Wants::NewOrChanged { .. }) => changes.push(it),
                (Some(first), ..) => self.end(it.at, first.repeated(&it)),
                (None, Some(verdict), _) => self.end(it.at, verdict.clone()),
                (None, None, _) => self.end(it.at, Verdict::of(Reason::ConversionNotFound)),
            }
        }
        Ok(changes)
    }

    /// Makes the conversions that are claimed, each once. Returns the claims on conversions there are already, which ask
    /// for them to be changed.
    async fn make(
        &mut self,
        facts: &mut Facts,
        asking: Vec<Asking<'a, 'c>>,
        parents: &HashMap<usize, ConversionId>,
    ) -> Result<Vec<Asking<'a, 'c>>, ApplyError> {
        let mut wanted = Vec::with_capacity(asking.len());
        for it in asking {
            let parent = parents.get(&it.at).copied();
            let now = self.now;
            match price::conversion(&it, facts, parent, now, self.trace(it.at)) {
                Ok(conversion) => wanted.push((it, conversion)),
                Err(price::NotPriced::Verdict(verdict)) => self.end(it.at, verdict),
                Err(price::NotPriced::WaitForClick) => self.wait(&it, park::Wait::for_click(&it, self.now)),
            }
        }
        // Sorted, so that two nodes wait for each other in the same order; the earlier of twins stays the first of them.
        wanted.sort_by_key(|(it, _)| it.key());
        let mut made = book::add(self.tx, &wanted).await?;
        // Each is one claim's: the same postback twice is not two conversions.
        let (new, repeats): (Vec<_>, Vec<_>) = wanted
            .into_iter()
            .partition(|(_, conversion)| made.remove(&conversion.id));
        let repeats = repeats.into_iter().map(|(it, _)| it).collect();
        let repeats_of = self.settle_repeats(repeats).await?;
        let statuses: Vec<_> = new
            .iter()
            .filter_map(|(it, conversion)| Some((*it, conversion.id, price::to_note(it, conversion)?)))
            .collect();
        amend::note_made_with(self.tx, &statuses).await?;
        let mut fresh = Vec::with_capacity(new.len());
        for (it, conversion) in new {
            self.end(it.at, price::verdict(&it, facts, &conversion));
            let zone = it
                .judged
                .network
                .as_ref()
                .map_or(Tz::UTC, |network| network.time_zone());
            fresh.push(Made {
                network: it.network(),
                zone,
                conversion,
            });
        }
        self.made.extend(fresh);
        Ok(repeats_of)
    }

    /// Tells those whose conversion was made before that it was; returns those who want it changed.
    async fn settle_repeats(
        &mut self,
        repeats: Vec<Asking<'a, 'c>>,
    ) -> Result<Vec<Asking<'a, 'c>>, ApplyError> {
        let wants_change = |it: &Asking<'_, '_>| matches!(it.claim.wants, Wants::NewOrChanged { .. });
        let (changes, plain): (Vec<_>, Vec<_>) = repeats.into_iter().partition(wants_change);
        let keys: Vec<_> = plain.iter().map(Asking::key).collect();
        let firsts = facts::firsts(self.tx, &keys).await?;
        for it in plain {
            let first = firsts.get(&it.key()).ok_or_else(|| {
                ApplyError::Poison("the conversion that was there first is gone".to_owned())
            })?;
            self.end(it.at, first.repeated(&it));
        }
        Ok(changes)
    }

    /// The parents of claims that need one. Those without wait, or have waited long enough.
    async fn find_parents(
        &mut self,
        asking: Vec<Asking<'a, 'c>>,
    ) -> Result<(Vec<Asking<'a, 'c>>, HashMap<usize, ConversionId>), ApplyError> {
        let mut parents = facts::parents(self.tx, &asking).await?;
        let exhausted = facts::exhausted(self.tx, &asking, &parents).await?;
        let mut ready = Vec::with_capacity(asking.len());
        for it in asking {
            let Some(parent) = parents.get(&it.at).copied() else {
                let ending = match it.origin {
                    Origin::Overdue => Ending::Verdict(Verdict::of(Reason::ParentMissing)),
                    Origin::Journal | Origin::Parked | Origin::Replay => {
                        Ending::Park(park::Wait::for_parent(&it))
                    }
                };
                self.endings.insert(it.at, ending);
                continue;
            };
            if exhausted.contains(&it.at) {
                parents.remove(&it.at);
                self.end(it.at, Verdict::of(Reason::ParentExhausted).about(parent));
                continue;
            }
            self.trace(it.at).good("parent", format!("{parent} came before"));
            ready.push(it);
        }
        Ok((ready, parents))
    }

    /// Lets a claim wait; one that has waited long enough ends.
    fn wait(&mut self, it: &Asking<'_, '_>, wait: park::Wait) {
        self.endings.insert(it.at, Ending::Park(wait));
    }

    fn trace(&mut self, at: usize) -> &mut Trace {
        self.traces.entry(at).or_default()
    }

    fn end(&mut self, at: usize, verdict: Verdict) {
        self.endings.insert(at, Ending::Verdict(verdict));
    }
}

fn column<'a, R, T>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

/// What a stored postback's status is.
fn stored_status(verdict: &Verdict) -> crate::postbacks::PostbackStatus {
    use crate::postbacks::PostbackStatus;
    match verdict.reason.status() {
        Status::Accepted => PostbackStatus::Accepted,
        Status::Duplicate => PostbackStatus::Duplicate,
        Status::Held => PostbackStatus::Held,
        Status::Rejected | Status::Queued | Status::Unavailable => PostbackStatus::Rejected,
    }
}

/// Ids that were made.
type MadeIds = HashSet<ConversionId>;
