//! Backups and restores with the real binary and its private Postgres: a data directory that is destroyed under load comes
//! back with everything that was acknowledged, configured and decided.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first unexpected result"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use campaigns::campaigns::CampaignStatus;
use chrono::{DateTime, SecondsFormat, Utc};
use schema::clock;
use serde_json::Value;

#[path = "restore/installation.rs"]
mod installation;
#[path = "restore/storage.rs"]
mod storage;

use testkit::Member;
use testkit::people::see_other;

use installation::{Load, Server, TIMEOUT, Traffic, folder, run, text};

/// Time in the form of `--to`.
fn to(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Times in the state of a backup.
fn state(place: &Path, member: &str) -> Option<DateTime<Utc>> {
    let text = std::fs::read(place.join("state.json")).ok()?;
    let state: Value = serde_json::from_slice(&text).ok()?;
    state[member].as_str()?.parse().ok()
}

fn backups(place: &Path) -> usize {
    let entries = std::fs::read_dir(place.join("backups"))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .filter(|entry| entry.path().join("manifest.json").exists())
        .count()
}

async fn eventually(what: &str, server: &Server, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < TIMEOUT, "{what}\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until everything up to now is in the backup of a server.
async fn copied(place: &Path, server: &Server) -> DateTime<Utc> {
    let now = clock::now();
    eventually("everything is copied", server, || {
        state(place, "events_until") > Some(now) && state(place, "changes_until") > Some(now)
    })
    .await;
    now
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_data_directory_comes_back_from_a_backup() {
    let (one, two, place) = (folder(), folder(), folder());
    let data_dir = one.path().join("data");
    let arguments = [
        "--backup-to",
        text(place.path()),
        "--backup-interval-seconds",
        "1",
    ];
    let server = Server::start(&data_dir, &arguments).await;
    let traffic = Arc::new(Traffic::of(&server).await);
    let load = Load::start(&traffic);
    eventually("a backup is complete", &server, || backups(place.path()) == 1).await;
    copied(place.path(), &server).await;

    // Configured and decided after the copy of the database.
    let before = clock::now();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    traffic.add_goal(&server, "late").await;
    let order = traffic.order_of_new_goal("late", "late-1").await;
    assert_eq!(order.reason, "accepted");
    traffic
        .approve(&server, order.conversion.as_deref().unwrap())
        .await;
    let health = server.health().await;
    let names: Vec<_> = health["alarms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|alarm| &alarm["name"])
        .collect();
    assert!(!names.iter().any(|name| *name == "backup_failing"), "{health}");
    let until = copied(place.path(), &server).await;
    let orders = load.orders();
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.destroy();
    load.end().await;
    let orders: Vec<_> = orders
        .into_iter()
        .filter(|order| order.at < until)
        .chain([order])
        .collect();
    assert!(orders.len() > 50, "{}", orders.len());

    let restored = two.path().join("restored");
    let from = ["restore", "--from", text(place.path())];
    let (ok, output) = run(&from, &restored);
    assert!(ok, "{output}");
    assert!(output.contains("checks hold."), "{output}");
    let secret = std::fs::metadata(restored.join("secret.key")).unwrap();
    assert_eq!(secret.permissions().mode() & 0o777, 0o600);
    let (again, output) = run(&from, &restored);
    assert!(!again && output.contains("is not empty"), "{output}");

    // A restored data directory does not write to the place that it came from.
    let (refused, output) = run(&["backup", "--to", text(place.path())], &restored);
    assert!(!refused && output.contains("another data directory"), "{output}");

    let server = Server::start(&restored, &[]).await;
    traffic.all_stand(&server, &orders).await;
    assert_eq!(
        traffic
            .read(
                &server,
                "SELECT status FROM conversions WHERE unique_key LIKE '%late-1'"
            )
            .await,
        "approved"
    );
    assert_eq!(
        traffic
            .read(&server, "SELECT count(*) FROM contradicted_verdicts")
            .await,
        "0"
    );
    server.stop();

    // The database as of an earlier time, with all events: the goal did not exist then.
    let earlier = two.path().join("earlier");
    let (ok, output) = run(&[&from[..], &["--to", &to(before)]].concat(), &earlier);
    assert!(!ok, "{output}");
    let listed = format!(
        "{}: its sender was answered accepted, it is goal_unknown since a restore",
        orders.last().unwrap().receipt
    );
    assert!(output.contains(&listed), "{output}");
    let server = Server::start(&earlier, &[]).await;
    assert_eq!(
        traffic
            .read(&server, "SELECT count(*) FROM goals WHERE code = 'late'")
            .await,
        "0"
    );
    let (_, all_others) = orders.split_last().unwrap();
    traffic.all_stand(&server, all_others).await;
    server.stop();

    for (time, expected) in [
        ("2020-01-01T00:00:00Z", "the oldest backup in"),
        ("2100-01-01T00:00:00Z", "up to"),
    ] {
        let (ok, output) = run(&[&from[..], &["--to", time]].concat(), &two.path().join("never"));
        assert!(!ok && output.contains(expected), "{output}");
    }
    damaged_backups_are_refused(place.path(), two.path());
}

/// Changes one byte of each kind of file in turn.
fn damaged_backups_are_refused(place: &Path, folder: &Path) {
    let mut files = Vec::new();
    let mut folders = vec![place.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    for part in ["base.tar.gz", "Z/secret.key", "/0/clicks/", "/0/postbacks/"] {
        let file = files.iter().find(|path| {
            // The name of the place itself may end with a Z.
            let within = path.strip_prefix(place).unwrap();
            text(within).contains(part) && !text(path).ends_with("identity")
        });
        let file = file.unwrap();
        let bytes = std::fs::read(file).unwrap();
        let mut changed = bytes.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        std::fs::write(file, changed).unwrap();
        let target = folder.join("damaged");
        let (ok, output) = run(&["restore", "--from", text(place)], &target);
        assert!(!ok && output.contains("is damaged"), "{part}: {output}");
        assert!(output.contains("before another attempt"), "{part}: {output}");
        let (serves, output) = run(&["list-networks"], &target);
        assert!(!serves && output.contains("did not finish"), "{part}: {output}");
        std::fs::remove_dir_all(&target).unwrap();
        std::fs::write(file, bytes).unwrap();
    }
}

/// Accepts the verdict of a postback whose sender was answered otherwise.
async fn settle_on_the_page(owner: &Member, receipt: &str) {
    let list = owner.get("/postbacks").await;
    let listed = list.html.contains("one postback was decided otherwise");
    assert!(listed && list.html.contains(receipt), "{}", list.html);
    let page = format!("/postbacks/{receipt}");
    let body = owner.get(&page).await.html;
    assert!(
        body.contains("<code>accepted</code>") && body.contains("as <code>goal_unknown</code>"),
        "{body}"
    );
    let action = format!("{page}/settle");
    let settled = owner.submit(&page, &action, &[]).await;
    assert_eq!(see_other(&settled), page);
    assert!(!owner.get(&page).await.html.contains(&action));
    assert!(!owner.get("/postbacks").await.html.contains("decided otherwise"));
    let again = owner.submit("/postbacks", &action, &[]).await;
    assert!(again.html.contains("no open difference"), "{}", again.html);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_senders_were_answered_stands_or_is_listed() {
    let (one, two, place) = (folder(), folder(), folder());
    let data_dir = one.path().join("data");
    let server = Server::start(&data_dir, &[]).await;
    let traffic = Arc::new(Traffic::of(&server).await);
    let first = traffic.order("sale", "first").await.unwrap();
    let (ok, output) = run(&["backup", "--to", text(place.path()), "--keep", "2"], &data_dir);
    assert!(ok && output.contains("is complete"), "{output}");

    // Neither change is in the backup.
    traffic.add_goal(&server, "late").await;
    let late = traffic.order_of_new_goal("late", "late-1").await;
    assert_eq!(late.reason, "accepted");
    let later = traffic.order_of_new_goal("late", "late-2").await;
    let click = traffic.click().await.unwrap();
    traffic.set_status(&server, CampaignStatus::Ended).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let ended = traffic.order_of(&click, "sale", "ended-1").await.unwrap();
    assert_eq!(ended.reason, "campaign_inactive");
    let journals = two.path().join("journals");
    let copy = Command::new("cp")
        .arg("-a")
        .arg(data_dir.join("journal"))
        .arg(&journals)
        .status();
    assert!(copy.unwrap().success());
    server.destroy();

    let restored = two.path().join("restored");
    let surviving = ["--journals", text(&journals)];
    let (ok, output) = run(
        &[&["restore", "--from", text(place.path())], &surviving[..]].concat(),
        &restored,
    );
    assert!(!ok && output.contains("do not hold"), "{output}");
    let listed = format!(
        "{}: its sender was answered accepted, it is goal_unknown since a restore",
        late.receipt
    );
    assert!(output.contains(&listed), "{output}");

    let server = Server::start(&restored, &[]).await;
    traffic.all_stand(&server, &[first, ended]).await;
    let (ok, output) = run(&["verify"], &restored);
    assert!(!ok, "in use: {output}");
    let began = Instant::now();
    while !server
        .health()
        .await
        .to_string()
        .contains("verdicts_contradicted")
    {
        assert!(began.elapsed() < TIMEOUT, "{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let network = traffic.scene.network.id.to_string();
    let settle = [
        "settle-verdict",
        "--network",
        &network,
        "--receipt",
        &late.receipt,
    ];
    let (ok, output) = run(&settle, &restored);
    assert!(ok, "{output}");
    let (again, output) = run(&settle, &restored);
    assert!(!again && output.contains("no open difference"), "{output}");
    settle_on_the_page(&traffic.owner(&server).await, &later.receipt).await;
    server.stop();
    let (ok, output) = run(&["verify"], &restored);
    assert!(ok, "{output}");
}
