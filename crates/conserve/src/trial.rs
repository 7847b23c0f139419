//! Trial from an empty folder to its report: warm up, strike, recover, drain, compare.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, Statement};

use crate::comparison;
use crate::driver::{End, Tally};
use crate::findings::{Findings, Rule};
use crate::nemesis::Fault;
use crate::report::{Check, Held, Report};
use crate::world::{PostgresKind, World, WorldSettings};
use crate::{Outcome, hand_over, with_causes};

/// Duration of the freeze of Postgres that builds the backlog for the recovery.
const BACKLOG_TIME: Duration = Duration::from_secs(5);
/// C7: longest time until a fresh event is visible.
const VISIBLE_TIMEOUT: Duration = Duration::from_secs(5);
/// C8: least speed of draining a backlog, in multiples of the offered rate.
const LEAST_DRAIN: f64 = 2.0;
/// C9: most memory in KiB, most files above the baseline, longest time until they are closed.
const MOST_KIB: u64 = 512 * 1024;
const MOST_FILES_ABOVE_BASELINE: usize = 10;
const FILES_TIMEOUT: Duration = Duration::from_secs(30);

/// Trial.
pub(crate) struct Trial {
    /// World at the end of the trial.
    pub(crate) world: World,
    faults: Vec<Fault>,
    began: Instant,
    baseline_files: usize,
    postgres: PostgresKind,
}

/// Recovery of the server after the last fault.
#[derive(Debug, Default)]
struct Recovery {
    visible: Option<Duration>,
    drain_per_second: Option<f64>,
}

/// State of the server after the load.
struct Rest {
    files: usize,
    drained: Duration,
}

impl Trial {
    /// Creates a world and warms it up.
    pub(crate) async fn begin(settings: WorldSettings) -> Outcome<Self> {
        let began = Instant::now();
        let (postgres, server) = (settings.postgres, settings.server.clone());
        let mut world = World::create(settings).await?;
        world.load_on();
        let mut faults = Vec::new();
        if world.other_server.is_some() {
            hand_over::upgrade(&mut world, &server).await?;
            faults.push(Fault::HandOver);
        }
        sleep(warm_up_time(postgres)).await;
        world.load_off().await;
        sleep(Duration::from_secs(1)).await;
        let baseline_files = world.node.open_files();
        world.load_on();
        Ok(Self {
            world,
            faults,
            began,
            baseline_files,
            postgres,
        })
    }

    /// Inflicts these faults, each after a random time of load.
    pub(crate) async fn strike(&mut self, faults: &[Fault]) -> Outcome {
        let world = &mut self.world;
        for (number, fault) in faults.iter().enumerate() {
            world.load_on();
            world.pause(0.2, 5.0).await;
            world.driver.during(Some(*fault));
            let began = Instant::now();
            let remark = fault
                .inflict(world)
                .await
                .map_err(|error| format!("{}: {}", fault.name(), with_causes(&*error)))?;
            eprintln!(
                "{:>4}/{} {:<20} {:>5.1} s  {remark}",
                number + 1,
                faults.len(),
                fault.name(),
                began.elapsed().as_secs_f64()
            );
            // Requests that were late because of the fault still count as its effect.
            sleep(Duration::from_millis(500)).await;
            world.driver.during(None);
            self.faults.push(*fault);
            if !world.node.is_running() {
                world
                    .complaints
                    .push(format!("the server ended by itself after {}", fault.name()));
                world.node.start().await?;
            }
        }
        Ok(())
    }

    /// Keeps the load on until this number of events is acknowledged.
    pub(crate) async fn until_acknowledged(&mut self, least: u64) {
        let counted = |world: &World| {
            let (clicks, calls) = world.oracle.counted();
            clicks + calls
        };
        while counted(&self.world) < least && self.world.node.is_running() {
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Stops the load, waits for the drain, and compares.
    pub(crate) async fn settle(&mut self) -> Outcome<Findings> {
        self.world.load_off().await;
        self.world.drain().await?;
        compare(&self.world).await
    }

    /// Ends the trial: one last fault to measure the recovery, unless Postgres is private, the drain, the comparison.
    pub(crate) async fn end(mut self) -> Outcome<Report> {
        let recovery = match self.postgres {
            PostgresKind::Separate => Some(self.recover().await?),
            PostgresKind::Private => None,
        };
        self.world.load_off().await;
        let rest = Rest {
            drained: self.world.drain().await?,
            files: self.files_at_rest().await,
        };
        if !self.world.node.is_running() {
            self.world
                .complaints
                .push("the server ended by itself".to_owned());
        }
        let findings = compare(&self.world).await?;
        let mut checks = conservation(&findings);
        checks.extend(recovery.iter().flat_map(|recovery| self.speed(recovery)));
        checks.extend(self.liveness(&rest));
        checks.extend(self.numbers(&findings));
        Ok(Report {
            part: match self.postgres {
                PostgresKind::Separate => "Faults of a server with a separate Postgres",
                PostgresKind::Private => "Faults of a server with its private Postgres",
            },
            seed: self.world.oracle.run.seed,
            record: self.world.driver.record(),
            faults: self.faults,
            table: Vec::new(),
            checks,
            examples: examples(&self.world, &findings),
            seconds: self.began.elapsed().as_secs_f64(),
        })
    }

    /// Builds a backlog behind a frozen Postgres, and measures under load how soon a fresh click and its postback are
    /// in the rollups, and how fast the backlog drains.
    async fn recover(&mut self) -> Outcome<Recovery> {
        let world = &mut self.world;
        world.load_on();
        // A link that this process has never looked up is refused while Postgres is frozen.
        world
            .driver
            .click(&mut None, world.oracle.next_probe(), Instant::now())
            .await;
        sleep(Duration::from_secs(2)).await;
        let client = world.cluster.client().await?;
        let query = client
            .prepare(
                "SELECT (SELECT coalesce(sum(clicks), 0)::bigint FROM click_rollups), \
                        (SELECT coalesce(sum(clicks), 0)::bigint FROM click_rollups WHERE link_id = $1), \
                        (SELECT coalesce(sum(conversions), 0)::bigint FROM conversion_rollups WHERE link_id = $1)",
            )
            .await?;
        let probes = Probes {
            link: world.scene.links.last().map(|link| link.id).unwrap_or_default(),
            client,
            query,
        };
        world.driver.during(Some(Fault::FreezePostgres));
        let before = probes.look().await?;
        world.cluster.freeze();
        sleep(BACKLOG_TIME).await;
        world.cluster.thaw();
        let thawed = Instant::now();
        let ((), recovery) = tokio::join!(probe(world, thawed), watch(world, &probes, before, thawed));
        world.driver.during(None);
        recovery
    }

    /// Returns the number of open files of the idle server, once it is near the baseline or the time is over.
    async fn files_at_rest(&self) -> usize {
        let began = Instant::now();
        loop {
            let files = self.world.node.open_files();
            if files.saturating_sub(self.baseline_files) <= MOST_FILES_ABOVE_BASELINE
                || began.elapsed() > FILES_TIMEOUT
            {
                return files;
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Returns the checks of the recovery after a freeze of Postgres.
    fn speed(&self, recovery: &Recovery) -> [Check; 2] {
        let drained = match recovery.drain_per_second.map(|rate| rate / self.world.offered()) {
            None => "never (!)".to_owned(),
            Some(drain) => format!("{drain:.1}{}", if drain < LEAST_DRAIN { " (!)" } else { "" }),
        };
        let visible = recovery
            .visible
            .map_or("never".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()));
        [
            check(
                "C7",
                "fresh click and postback visible after the last fault",
                visible,
                "<= 5 s",
                Held::when(recovery.visible.is_some_and(|time| time <= VISIBLE_TIMEOUT)),
            ),
            check(
                "C8",
                "backlog drained, times the offered rate",
                drained,
                ">= 2",
                Held::Unrated,
            ),
        ]
    }

    fn liveness(&self, rest: &Rest) -> Vec<Check> {
        let peaks = &self.world.node.peaks;
        let rss = peaks.rss_kib.load(Ordering::Relaxed);
        let record = self.world.driver.record();
        let disturbed: u64 = record
            .clicks
            .iter()
            .filter(|(fault, _)| fault.is_some_and(Fault::spares_the_server))
            .map(|(_, tally)| {
                tally.count(End::Refused) + tally.count(End::Failed) + tally.count(End::Unrecorded)
            })
            .sum();
        let rejected = self.world.oracle.testimony().rejected.len();
        let complaints = self.world.complaints.len();
        vec![
            check(
                "C9",
                "most memory",
                format!("{} MiB", rss / 1024),
                "<= 512 MiB",
                Held::when(rss <= MOST_KIB),
            ),
            check(
                "C9",
                "files open at rest, at the baseline",
                format!("{}, {}", rest.files, self.baseline_files),
                "<= +10 in 30 s",
                Held::when(rest.files.saturating_sub(self.baseline_files) <= MOST_FILES_ABOVE_BASELINE),
            ),
            check(
                "B",
                "clicks unrecorded or refused while only Postgres was hurt",
                disturbed.to_string(),
                "0",
                Held::when(disturbed == 0),
            ),
            check(
                "D",
                "genuine postbacks rejected",
                rejected.to_string(),
                "0",
                Held::when(rejected == 0),
            ),
            check(
                "F",
                "faults that went wrong",
                complaints.to_string(),
                "0",
                Held::when(complaints == 0),
            ),
            check(
                "A",
                "longest start until ready",
                format!("{:.1} s", peaks.ready_ms.load(Ordering::Relaxed) as f64 / 1000.0),
                "<= 3 s",
                Held::Unrated,
            ),
            check(
                "",
                "drained after the load",
                format!("{:.1} s", rest.drained.as_secs_f64()),
                "",
                Held::Unrated,
            ),
        ]
    }

    fn numbers(&self, findings: &Findings) -> Vec<Check> {
        let (clicks, calls) = self.world.oracle.counted();
        let record = self.world.driver.record();
        let all = |tallies: &std::collections::BTreeMap<_, Tally>, end| -> u64 {
            tallies.values().map(|tally| tally.count(end)).sum()
        };
        [
            (
                "clicks acknowledged, stored",
                format!("{clicks}, {}", findings.stored.0),
            ),
            (
                "postbacks acknowledged, stored",
                format!("{calls}, {}", findings.stored.1),
            ),
            ("stored without a received acknowledgement", {
                format!("{}, {}", findings.unacknowledged.0, findings.unacknowledged.1)
            }),
            ("conversions", findings.conversions.to_string()),
            ("records in quarantine", findings.quarantined.to_string()),
            (
                "clicks redirected unrecorded",
                all(&record.clicks, End::Unrecorded).to_string(),
            ),
        ]
        .map(|(what, found)| Check {
            code: "",
            what: what.to_owned(),
            found,
            allowed: String::new(),
            held: Held::Unrated,
        })
        .into()
    }
}

/// Returns the time of load before the first fault, in which caches and pools fill.
fn warm_up_time(postgres: PostgresKind) -> Duration {
    match postgres {
        PostgresKind::Separate => Duration::from_secs(4),
        // Its first fault waits for a backup, under load.
        PostgresKind::Private => Duration::from_secs(2),
    }
}

/// Compares the tables with the acknowledgements. The load must be off.
pub(crate) async fn compare(world: &World) -> Outcome<Findings> {
    let client = world.cluster.client().await?;
    client
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .await?;
    comparison::compare(&client, &world.oracle.testimony(), &world.scene).await
}

/// Returns examples of violations, for the report.
pub(crate) fn examples(world: &World, findings: &Findings) -> Vec<String> {
    let found = findings
        .examples()
        .map(|(rule, text)| format!("{rule:?}: {text}"));
    let rejected = world.oracle.testimony().rejected.into_iter().take(3);
    found
        .chain(world.complaints.iter().cloned())
        .chain(rejected)
        .collect()
}

/// Creates a check.
pub(crate) fn check(code: &'static str, what: &str, found: String, allowed: &str, held: Held) -> Check {
    Check {
        code,
        what: what.to_owned(),
        found,
        allowed: allowed.to_owned(),
        held,
    }
}

/// Returns the checks C1 to C6.
pub(crate) fn conservation(findings: &Findings) -> Vec<Check> {
    let check = |(rule, code, what): (Rule, &'static str, &str)| Check {
        code,
        what: what.to_owned(),
        found: findings.count(rule).to_string(),
        allowed: "0".to_owned(),
        held: Held::when(findings.count(rule) == 0),
    };
    Rule::ALL.into_iter().map(check).collect()
}

/// Sends a click and then its postback through the probes' link, retrying until each is acknowledged or ten seconds
/// have passed.
async fn probe(world: &World, since: Instant) {
    let in_time = || since.elapsed() < Duration::from_secs(10);
    let mut acked = None;
    while acked.is_none() && in_time() {
        let n = world.oracle.next_probe();
        acked = world.driver.click(&mut None, n, Instant::now()).await;
        sleep(Duration::from_millis(20)).await;
    }
    let Some(click) = acked else { return };
    let call = world.oracle.call_about(click);
    while !world.driver.postback(&mut None, call, Instant::now()).await && in_time() {
        sleep(Duration::from_millis(20)).await;
    }
}

/// Query for the probes in the rollups.
struct Probes {
    link: i32,
    client: Client,
    query: Statement,
}

impl Probes {
    async fn look(&self) -> Outcome<Applied> {
        let row = self.client.query_one(&self.query, &[&self.link]).await?;
        let [clicks, probes, conversions] = [0, 1, 2].map(|column| row.get::<_, i64>(column).unsigned_abs());
        Ok(Applied {
            clicks,
            probes,
            conversions,
        })
    }
}

/// Counts in the rollups: all clicks, clicks through the probes' link, and their conversions.
struct Applied {
    clicks: u64,
    probes: u64,
    conversions: u64,
}

/// Waits until the probes are visible and the backlog since `before` has drained.
async fn watch(world: &World, probes: &Probes, before: Applied, thawed: Instant) -> Outcome<Recovery> {
    let mut recovery = Recovery::default();
    while thawed.elapsed() < Duration::from_secs(60) {
        let applied = probes.look().await?;
        if applied.probes > before.probes && applied.conversions > before.conversions {
            recovery.visible.get_or_insert(thawed.elapsed());
        }
        // Less than a tenth of a second's clicks in flight is no backlog.
        let behind = world.oracle.counted().0.saturating_sub(applied.clicks);
        if behind as f64 <= world.offered() / 10.0 && recovery.drain_per_second.is_none() {
            let drained = applied.clicks.saturating_sub(before.clicks) as f64;
            recovery.drain_per_second = Some(drained / thawed.elapsed().as_secs_f64());
        }
        if recovery.visible.is_some() && recovery.drain_per_second.is_some() {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(recovery)
}
