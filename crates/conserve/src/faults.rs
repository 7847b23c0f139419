//! Execution of each fault: inflicted under load, then repaired.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::RngExt;
use tokio::time::{Instant, sleep};

use crate::Outcome;
use crate::driver::End;
use crate::ground::Ground;
use crate::nemesis::{Fault, faketime};
use crate::torn::{self, Snapshot};
use crate::world::World;
use crate::{hand_over, private};

/// Duration of a freeze of Postgres.
const FREEZE_TIME: Duration = Duration::from_secs(10);

impl Fault {
    /// Inflicts the fault; afterwards the server and Postgres run as before. Returns a remark for the report.
    pub(crate) async fn inflict(self, world: &mut World) -> Outcome<String> {
        match self {
            Self::Kill9Server => kill9_server(world).await,
            Self::Kill9Applying => kill9_applying(world).await,
            Self::Kill9Postgres => kill9_postgres(world).await,
            Self::DatabaseAwayAtStart => database_away_at_start(world).await,
            Self::FreezePostgres => freeze_postgres(world).await,
            Self::FullJournal => full_journal(world).await,
            Self::TornTail => torn_tail(world).await,
            Self::TermRestart => term_restart(world).await,
            Self::PowerCut => power_cut(world).await,
            Self::Eio => eio(world).await,
            Self::ClockJump => clock_jump(world).await,
            Self::DatabaseDiskFull => database_disk_full(world).await,
            Self::TerminateBackends => terminate_backends(world).await,
            Self::HandOver => hand_over::hand_over(world).await,
            Self::PrivatePostgresKilled => private::private_postgres_killed(world).await,
            Self::Restore => private::restore(world).await,
        }
    }
}

async fn kill9_server(world: &mut World) -> Outcome<String> {
    world.node.kill9();
    world.node.start().await?;
    Ok(String::new())
}

/// Makes the applier's transaction wait for one of its tables and kills the server there: rows and cursor must not have
/// been committed apart.
async fn kill9_applying(world: &mut World) -> Outcome<String> {
    let client = world.cluster.client().await?;
    let tables = ["ingest_cursors", "click_rollups", "clicks", "postbacks"];
    let table = tables
        .get(world.dice.random_range(0..tables.len()))
        .copied()
        .unwrap_or("clicks");
    client
        .batch_execute(&format!("BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE"))
        .await?;
    world.pause(0.2, 1.0).await;
    world.node.kill9();
    // A waiting statement of a dead server would still be executed once the lock is released.
    client.batch_execute(END_BACKENDS).await?;
    client.batch_execute("ROLLBACK").await?;
    world.node.start().await?;
    Ok(format!("waiting for {table}"))
}

const END_BACKENDS: &str =
    "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE usename = 'clickledger_app'";

async fn kill9_postgres(world: &mut World) -> Outcome<String> {
    world.cluster.kill9();
    world.pause(1.0, 5.0).await;
    world.cluster.start().await?;
    Ok(String::new())
}

/// The links that the server redirected before go on redirecting, and their clicks are acknowledged.
async fn database_away_at_start(world: &mut World) -> Outcome<String> {
    world.node.kill9();
    world.cluster.kill9();
    let acknowledged = |world: &World| {
        let record = world.driver.record();
        let clicks = record.clicks.get(&Some(Fault::DatabaseAwayAtStart));
        clicks.map_or(0, |clicks| clicks.count(End::Acked))
    };
    let before = acknowledged(world);
    let began = Instant::now();
    world.node.start().await?;
    let took = began.elapsed();
    world.pause(2.0, 5.0).await;
    let meanwhile = acknowledged(world) - before;
    if meanwhile == 0 {
        world
            .complaints
            .push("no click was acknowledged while the database was away at the start".to_owned());
    }
    world.cluster.start().await?;
    world.node.open().await?;
    Ok(format!(
        "ready in {} ms, {meanwhile} clicks acknowledged without the database",
        took.as_millis()
    ))
}

async fn freeze_postgres(world: &mut World) -> Outcome<String> {
    world.cluster.freeze();
    sleep(FREEZE_TIME).await;
    world.cluster.thaw();
    Ok(String::new())
}

async fn term_restart(world: &mut World) -> Outcome<String> {
    let took = terminate(world).await;
    world.node.start().await?;
    Ok(took)
}

/// Stops the server in order; counts it as a complaint if that takes too long.
pub(crate) async fn terminate(world: &mut World) -> String {
    match world.node.terminate().await {
        Some(took) => format!("drained in {:.1} s", took.as_secs_f64()),
        None => {
            world
                .complaints
                .push("the server did not stop on SIGTERM".to_owned());
            "killed".to_owned()
        }
    }
}

/// Freezes Postgres while the disk fills up, because a journal may drop applied records to free space.
async fn full_journal(world: &mut World) -> Outcome<String> {
    const DISK_MIB: u64 = 512;
    let journal = world.node.journal();
    world.load_off().await;
    world.drain().await?;
    terminate(world).await;
    remove_applied(&journal)?;
    let ground = Ground::tmpfs(&journal, DISK_MIB)?;
    world.node.start().await?;
    world.load_on();
    sleep(Duration::from_secs(1)).await;
    world.cluster.freeze();
    ground.resize(ground.used_mib()? + 1)?;
    let full = || {
        let record = world.driver.record();
        let clicks = record
            .clicks
            .get(&Some(Fault::FullJournal))
            .cloned()
            .unwrap_or_default();
        clicks.count(End::Unrecorded) + clicks.count(End::Refused)
    };
    let (began, before) = (Instant::now(), full());
    while full() == before && began.elapsed() < Duration::from_secs(40) {
        sleep(Duration::from_millis(100)).await;
    }
    let (took, filled) = (began.elapsed(), full() > before);
    sleep(Duration::from_secs(3)).await;
    ground.resize(DISK_MIB)?;
    sleep(Duration::from_secs(2)).await;
    let late = full();
    sleep(Duration::from_secs(1)).await;
    if full() > late {
        world
            .complaints
            .push("clicks are still not recorded 2 s after the disk has free space again".to_owned());
    }
    if !filled {
        world
            .complaints
            .push("the journal's disk was never full: the fault did not happen".to_owned());
    }
    world.cluster.thaw();
    terminate(world).await;
    ground.clear()?;
    world.node.start().await?;
    Ok(format!("full after {:.1} s", took.as_secs_f64()))
}

/// Removes all but the newest segments of a journal that is idle and applied: missing old segments are normal.
fn remove_applied(journal: &Path) -> Outcome {
    let newest: Vec<_> = torn::tails(journal)?.into_iter().map(|(_, path)| path).collect();
    for path in torn::segments(journal)? {
        if !newest.contains(&path) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Kills the server at its first write to an idle journal, before it can acknowledge the write; then leaves only a part
/// of the write, as a power failure does. Postgres is frozen meanwhile, so that nothing of the write can have been
/// applied.
async fn torn_tail(world: &mut World) -> Outcome<String> {
    world.load_off().await;
    world.cluster.freeze();
    let before = Snapshot::take(&world.node.journal())?;
    let received = world.oracle.received();
    world.load_on();
    before.until_written(Duration::from_secs(2)).await;
    if world.dice.random_bool(0.3) {
        // Sometimes later, with more records: if some of them are acknowledged, nothing is torn.
        world.pause(0.0, 0.005).await;
    }
    world.node.kill9();
    world.load_off().await;
    world.cluster.thaw_without_the_server();
    let unacknowledged = world.oracle.received() == received;
    let damage = torn::damage(&world.node.journal(), &before, unacknowledged, &mut world.dice)?;
    world.load_on();
    world.node.start().await?;
    Ok(damage.to_string())
}

async fn power_cut(world: &mut World) -> Outcome<String> {
    const DISK_MIB: u64 = 1024;
    let (journal, image) = (world.node.journal(), world.folder.join("journal.img"));
    terminate(world).await;
    let mut ground = Ground::ext4(&journal, DISK_MIB, image)?;
    world.node.start().await?;
    world.pause(1.0, 4.0).await;
    // Events acknowledged now are in the journal and nowhere else.
    world.cluster.freeze();
    world.pause(0.5, 3.0).await;
    world.node.kill9();
    ground.cut_power()?;
    world.cluster.thaw_without_the_server();
    world.node.start().await?;
    world.pause(0.5, 1.5).await;
    terminate(world).await;
    ground.clear()?;
    world.node.start().await?;
    Ok(String::new())
}

async fn eio(world: &mut World) -> Outcome<String> {
    let pid = world.node.pid().ok_or("the server is not running")?;
    let inject = "inject=fdatasync,fsync:error=EIO:when=1+50";
    let log = world.folder.join("strace");
    let mut strace = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-e",
            "trace=fdatasync,fsync",
            "-e",
            inject,
            "-p",
            &pid.to_string(),
            "-o",
        ])
        .arg(&log)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    sleep(Duration::from_secs(5)).await;
    end(&mut strace)?;
    let failed = fs::read_to_string(&log)?.matches("(INJECTED)").count();
    if failed == 0 {
        world
            .complaints
            .push("no sync failed: the fault did not happen".to_owned());
    }
    Ok(format!("{failed} syncs failed"))
}

/// Lets strace detach.
fn end(strace: &mut Child) -> Outcome {
    // A process that has ended already needs no signal.
    let _ = kill(Pid::from_raw(i32::try_from(strace.id())?), Signal::SIGINT);
    strace.wait()?;
    Ok(())
}

/// Jumps nine years, not ten: the scene's clicks convert for ten, and a click of that age would rightly be too old.
async fn clock_jump(world: &mut World) -> Outcome<String> {
    let library = faketime().ok_or("libfaketime is missing")?;
    let file = world.folder.join("clock");
    fs::write(&file, "+0")?;
    let environment = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("NO_FAKE_STAT", "1".to_owned()),
    ];
    terminate(world).await;
    world.node.start_with(&environment).await?;
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_millis();
    let long_ago = now.saturating_sub(8 * 365 * 86_400_000);
    let mut went_back = false;
    for jump in ["-1h", "+1h", "-9y", "+0"] {
        // Renamed into place, so that a partial file is never read.
        let next = file.with_extension("next");
        fs::write(&next, jump)?;
        fs::rename(&next, &file)?;
        sleep(Duration::from_secs(2)).await;
        went_back |= world.oracle.newest_click_ms().is_some_and(|made| made < long_ago);
    }
    if !went_back {
        world
            .complaints
            .push("no click has a time nine years ago: the fault did not happen".to_owned());
    }
    terminate(world).await;
    world.node.start().await?;
    Ok(String::new())
}

async fn database_disk_full(world: &mut World) -> Outcome<String> {
    let wal = world.cluster.wal();
    world.cluster.stop();
    let ground = Ground::tmpfs(&wal, 1024)?;
    world.cluster.start().await?;
    ground.resize(ground.used_mib()? + 1)?;
    // The load alone would take long to fill the rest of the disk.
    let client = world.cluster.client().await?;
    let began = Instant::now();
    let filler =
        "CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 20000); DROP TABLE filler";
    while client.batch_execute(filler).await.is_ok() && began.elapsed() < Duration::from_secs(60) {}
    let filled = began.elapsed() < Duration::from_secs(60);
    sleep(Duration::from_secs(3)).await;
    ground.resize(1024)?;
    world.cluster.start().await?;
    sleep(Duration::from_secs(2)).await;
    world.cluster.stop();
    ground.clear()?;
    world.cluster.start().await?;
    if !filled {
        world
            .complaints
            .push("the database's disk was never full: the fault did not happen".to_owned());
    }
    Ok(String::new())
}

async fn terminate_backends(world: &mut World) -> Outcome<String> {
    let client = world.cluster.client().await?;
    let until = Instant::now() + Duration::from_secs(6);
    let mut ended = 0;
    while Instant::now() < until {
        ended += client.query(END_BACKENDS, &[]).await?.len();
        sleep(Duration::from_millis(200)).await;
    }
    Ok(format!("{ended} ended"))
}
