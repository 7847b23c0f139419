//! Faults of a server that runs its private Postgres: the Postgres killed and left to the server, and the data directory
//! destroyed and restored from the continuous backup.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::Outcome;
use crate::cluster::children_of;
use crate::driver::{End, Record};
use crate::nemesis::Fault;
use crate::world::World;

/// Time between two copies of a continuous backup: the default of the server, which documents it, with the time of a copy, as
/// the most that is lost.
pub(crate) const BACKUP_INTERVAL: Duration = Duration::from_secs(10);
/// Tolerance of the time that a copy takes, which is the same as of the one before.
const COPY_TOLERANCE: Duration = Duration::from_secs(1);
/// Longest wait for a complete backup.
const BACKUP_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest wait for the end of killed processes.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// Kills the private Postgres with all its processes. The server must start it again, and acknowledge events meanwhile.
pub(crate) async fn private_postgres_killed(world: &mut World) -> Outcome<String> {
    // A copy of the database that is interrupted is tried again after five minutes, and a restore needs one.
    until_complete(&backup_place(&world.folder)?).await?;
    let before = acknowledged(&world.driver.record(), Fault::PrivatePostgresKilled);
    let postmaster = world.cluster.postmaster_pid();
    world.cluster.kill9();
    let began = Instant::now();
    while world
        .cluster
        .postmaster_pid()
        .is_some_and(|pid| Some(pid) == postmaster)
    {
        sleep(Duration::from_millis(10)).await;
    }
    world.cluster.start().await?;
    let took = began.elapsed();
    world.node.open().await?;
    world.pause(0.5, 2.0).await;
    let after = acknowledged(&world.driver.record(), Fault::PrivatePostgresKilled);
    for (kind, before, after) in [("click", before.0, after.0), ("postback", before.1, after.1)] {
        if after == before {
            world.complaints.push(format!(
                "no {kind} was acknowledged while the private Postgres was away"
            ));
        }
    }
    Ok(format!("back in {:.1} s", took.as_secs_f64()))
}

/// Returns the numbers of clicks and postbacks acknowledged during this fault.
fn acknowledged(record: &Record, fault: Fault) -> (u64, u64) {
    let [clicks, postbacks] = [&record.clicks, &record.postbacks].map(|tallies| {
        tallies
            .get(&Some(fault))
            .map_or(0, |tally| tally.count(End::Acked))
    });
    (clicks, postbacks)
}

/// Kills server and Postgres under load, destroys the data directory, restores it from the backup, and withdraws only the
/// acknowledgements that the restore does not promise.
pub(crate) async fn restore(world: &mut World) -> Outcome<String> {
    let place = backup_place(&world.folder)?;
    let manifest = until_complete(&place).await?;
    // What is new must be copied too: the copy of the database alone would restore almost as much.
    let copied_again = || Some(written_at(&place.join("state.json"))? > written_at(&manifest)?);
    until("copy of what is new", &place, || copied_again()?.then_some(())).await?;
    // Any point between two copies.
    world.pause(0.0, BACKUP_INTERVAL.as_secs_f64()).await;
    let destroyed = destroy(world).await?;
    world.load_off().await;

    let began = Instant::now();
    let until = run_restore(world, &place)?;
    let took = began.elapsed();
    let lag = destroyed.duration_since(until).unwrap_or_default();
    // A copy has what was acknowledged before it began. At worst, the next one was not quite complete, or began late
    // because this one took longer than the interval.
    let copied = written_at(&place.join("state.json")).ok_or("the backup has no state")?;
    let copy = copied.duration_since(until).unwrap_or_default();
    if lag > BACKUP_INTERVAL.max(copy) + copy + COPY_TOLERANCE {
        world.complaints.push(format!(
            "the backup ends {:.1} s before the disk failed; its interval is {BACKUP_INTERVAL:?}, and a copy takes {:.1} s",
            lag.as_secs_f64(),
            copy.as_secs_f64()
        ));
    }
    let withdrawn = world.oracle.withdraw_since(until);
    // The restored directory must not write to the place that it came from.
    world.node.set_options(backup_options(&next_place(&place)?)?);
    world.node.start().await?;
    world.node.open().await?;
    world.load_on();
    Ok(format!(
        "restored in {:.1} s to {:.1} s before the end, {withdrawn} acknowledgements are younger",
        took.as_secs_f64(),
        lag.as_secs_f64()
    ))
}

/// Kills the server and all of its processes at once and removes its data directory. Returns the time of the end.
async fn destroy(world: &mut World) -> Outcome<SystemTime> {
    let server = world.node.pid().ok_or("the server is not running")?;
    let mut processes = children_of(server);
    processes.extend(world.cluster.children());
    world.node.kill9();
    let destroyed = SystemTime::now();
    for pid in &processes {
        // A process that has ended already needs no signal.
        let _ = kill(*pid, Signal::SIGKILL);
    }
    let began = Instant::now();
    while processes.iter().any(|pid| runs(*pid)) {
        if began.elapsed() > END_TIMEOUT {
            return Err("the private Postgres does not end on SIGKILL".into());
        }
        sleep(Duration::from_millis(10)).await;
    }
    fs::remove_dir_all(world.node.data())?;
    Ok(destroyed)
}

/// Returns true until a process has ended, whether or not its parent has noticed.
fn runs(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(')')
        .and_then(|(_, after)| after.trim().chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// Runs `clickledger restore`. Returns the time up to which it promises all acknowledged events; a failed verification is
/// a complaint.
fn run_restore(world: &mut World, place: &Path) -> Outcome<SystemTime> {
    let output = Command::new(world.node.server())
        .args(["restore", "--json", "--from"])
        .arg(place)
        .arg("--data-dir")
        .arg(world.node.data())
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let failure = format!(
        "clickledger restore failed: {printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    if !output.status.success() {
        world.complaints.push(failure.clone());
    }
    promised(&printed).ok_or_else(|| failure.into())
}

/// Returns the time up to which a restore promises all acknowledged events, from its output.
fn promised(printed: &str) -> Option<SystemTime> {
    let values = printed
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut times = values.filter_map(|value| value.get("events_until")?.as_str()?.parse().ok());
    times.next().map(|time: DateTime<Utc>| time.into())
}

/// Creates a place of backups and returns the options of a server that copies what is new to it.
pub(crate) fn backup_options(place: &Path) -> Outcome<Vec<String>> {
    fs::create_dir_all(place)?;
    let place = place.to_str().ok_or("the folder's name is not Unicode")?;
    Ok(vec!["--backup-to".to_owned(), place.to_owned()])
}

/// Returns the place of the first backup of a world.
pub(crate) fn first_place(folder: &Path) -> PathBuf {
    folder.join("backup-1")
}

/// Returns the newest place of backups.
fn backup_place(folder: &Path) -> Outcome<PathBuf> {
    let mut place = first_place(folder);
    loop {
        let next = next_place(&place)?;
        if !next.exists() {
            return Ok(place);
        }
        place = next;
    }
}

fn next_place(place: &Path) -> Outcome<PathBuf> {
    let name = place.file_name().and_then(|name| name.to_str());
    let number: u32 = name
        .and_then(|name| name.strip_prefix("backup-")?.parse().ok())
        .ok_or("the place of the backups has no number")?;
    Ok(place.with_file_name(format!("backup-{}", number + 1)))
}

/// Waits until a place has a complete copy of the database; returns its manifest.
async fn until_complete(place: &Path) -> Outcome<PathBuf> {
    let manifest = || {
        let entries = fs::read_dir(place.join("backups")).ok()?.flatten();
        let mut manifests = entries.map(|entry| entry.path().join("manifest.json"));
        manifests.find(|manifest| manifest.exists())
    };
    until("complete copy of the database", place, manifest).await
}

/// Waits until something is found in a place of backups.
async fn until<T>(what: &str, place: &Path, find: impl Fn() -> Option<T>) -> Outcome<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = find() {
            return Ok(found);
        }
        if began.elapsed() > BACKUP_TIMEOUT {
            return Err(format!("{} has no {what} after {BACKUP_TIMEOUT:?}", place.display()).into());
        }
        sleep(Duration::from_millis(100)).await;
    }
}

fn written_at(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_promise_of_a_restore_is_read() {
        let printed = "{\"backup\":\"x\",\"events_until\":\"2026-12-24T18:00:00.250Z\"}\n{\"checks\":[]}\n";
        let since = promised(printed).unwrap().duration_since(SystemTime::UNIX_EPOCH);
        assert_eq!(since.unwrap(), Duration::from_millis(1_798_135_200_250));
        assert_eq!(promised("Restored.\n{\"events_until\":null}\n"), None);
    }

    #[test]
    fn every_backup_has_its_own_place() {
        let folder = std::env::temp_dir();
        let second = next_place(&first_place(&folder)).unwrap();
        assert_eq!(second, folder.join("backup-2"));
        assert!(next_place(&folder).is_err());
    }

    #[test]
    fn a_process_that_has_ended_does_not_run() {
        let mut child = Command::new("sleep").arg("5").spawn().unwrap();
        let pid = Pid::from_raw(child.id().try_into().unwrap());
        assert!(runs(pid));
        child.kill().unwrap();
        // Not waited for: a zombie.
        let began = std::time::Instant::now();
        while runs(pid) {
            assert!(began.elapsed() < END_TIMEOUT);
        }
        child.wait().unwrap();
    }
}
