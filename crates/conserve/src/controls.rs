//! Negative controls: a check that never fails proves nothing. Each control breaks a promise, in the server or in the
//! tables, and must be detected.

use std::fs;

use tokio_postgres::Client;

use crate::Outcome;
use crate::comparison::compare;
use crate::findings::{Findings, Rule};
use crate::nemesis::Fault;
use crate::trial::Trial;
use crate::world::{World, WorldSettings};

/// Kinds of sabotage (`CLICKLEDGER_SABOTAGE`), each with the fault that must reveal it and the number of strikes.
const SABOTAGE: [(&str, Fault, usize); 3] = [
    ("no-sync", Fault::PowerCut, 3),
    ("early-ack", Fault::Kill9Server, 25),
    ("loose-cursor", Fault::Kill9Applying, 12),
];

/// Faults of all controls, all of which must be possible on the machine.
pub(crate) const FAULTS: [Fault; 3] = [Fault::PowerCut, Fault::Kill9Server, Fault::Kill9Applying];

/// Tampering with the tables by SQL, and the rule that must be found violated.
const TAMPERING: [(&str, Rule); 15] = [
    ("DELETE FROM clicks WHERE id = (SELECT id FROM clicks LIMIT 1)", Rule::LostClicks),
    ("DELETE FROM postbacks WHERE id = (SELECT id FROM postbacks LIMIT 1)", Rule::LostPostbacks),
    ("UPDATE postbacks SET status = 'rejected' WHERE id = (SELECT id FROM postbacks LIMIT 1)", Rule::LostPostbacks),
    (
        "DELETE FROM ledger_entries WHERE conversion_id = (SELECT min(id::text)::uuid FROM conversions);
         DELETE FROM conversions WHERE id = (SELECT min(id::text)::uuid FROM conversions)",
        Rule::LostConversions,
    ),
    (
        "CREATE TEMP TABLE twin ON COMMIT DROP AS SELECT * FROM clicks LIMIT 1;
         UPDATE twin SET id = (left(id::text, 34) || CASE right(id::text, 2) WHEN '00' THEN '01' ELSE '00' END)::uuid;
         INSERT INTO clicks TABLE twin",
        Rule::Duplicates,
    ),
    ("UPDATE click_rollups SET clicks = clicks + 1 WHERE ctid = (SELECT min(ctid) FROM click_rollups)", Rule::Sums),
    (
        "UPDATE conversion_rollups SET revenue_micros = revenue_micros + 1
         WHERE ctid = (SELECT min(ctid) FROM conversion_rollups)",
        Rule::Sums,
    ),
    ("UPDATE clicks SET sub1 = 'stranger' WHERE id = (SELECT id FROM clicks LIMIT 1)", Rule::Phantoms),
    ("UPDATE clicks SET sub2 = sub2 || 'x' WHERE id = (SELECT id FROM clicks LIMIT 1)", Rule::Altered),
    (
        "UPDATE postbacks SET amount_micros = amount_micros + 1 WHERE id = (SELECT id FROM postbacks LIMIT 1)",
        Rule::Altered,
    ),
    (
        "UPDATE conversions SET status = 'approved' WHERE id = (SELECT id FROM conversions WHERE status = 'rejected' LIMIT 1)",
        Rule::Altered,
    ),
    (
        "UPDATE conversions SET amount_micros = amount_micros + minor_unit(currency)
         WHERE id = (SELECT id FROM conversions LIMIT 1)",
        Rule::Altered,
    ),
    (
        "UPDATE ledger_entries SET commission_pending_micros = commission_pending_micros + minor_unit(currency)
         WHERE id = (SELECT id FROM ledger_entries LIMIT 1)",
        Rule::Money,
    ),
    ("DELETE FROM ledger_entries WHERE id = (SELECT id FROM ledger_entries LIMIT 1)", Rule::Unbalanced),
    (
        "UPDATE clicks c SET network_id = (SELECT id FROM networks n WHERE n.id <> c.network_id LIMIT 1)
         WHERE id = (SELECT id FROM clicks LIMIT 1)",
        Rule::Leaks,
    ),
];

/// Runs all controls; returns the sabotage that was not detected, and an honest server that failed.
pub(crate) async fn run(settings: &WorldSettings) -> Outcome<Vec<String>> {
    let mut undetected = Vec::new();
    // Without sabotage the same build and faults must pass, or failures mean nothing.
    let (honest, world) = trial(settings, None, &FAULTS.repeat(2)).await?;
    print_result("no sabotage", &honest);
    if !honest.is_clean() {
        undetected.push("a server without sabotage failed".to_owned());
        for (rule, example) in honest.examples() {
            eprintln!("     {rule:?}: {example}");
        }
    }
    undetected.extend(tamper(&world).await?);
    let folder = world.folder.clone();
    drop(world);
    if undetected.is_empty() {
        fs::remove_dir_all(folder)?;
    }
    for (sabotage, fault, strikes) in SABOTAGE {
        let (findings, world) = trial(settings, Some(sabotage), &vec![fault; strikes]).await?;
        print_result(sabotage, &findings);
        let folder = world.folder.clone();
        drop(world);
        if findings.is_clean() {
            undetected.push(format!(
                "{sabotage} was not detected in {strikes} strikes of {}",
                fault.name()
            ));
        } else {
            // Detected, as expected: the folder is of no use, and the next control needs the disk space.
            fs::remove_dir_all(folder)?;
        }
    }
    Ok(undetected)
}

async fn trial(
    settings: &WorldSettings,
    sabotage: Option<&str>,
    faults: &[Fault],
) -> Outcome<(Findings, World)> {
    let name = sabotage.unwrap_or("honest");
    let mut settings = settings.clone();
    settings.folder = settings.folder.join(name);
    settings
        .environment
        .extend(sabotage.map(|kind| ("CLICKLEDGER_SABOTAGE".to_owned(), kind.to_owned())));
    eprintln!("control: {name}");
    let mut trial = Trial::begin(settings).await?;
    trial.strike(faults).await?;
    let findings = trial.settle().await?;
    for complaint in &trial.world.complaints {
        eprintln!("     {complaint}");
    }
    Ok((findings, trial.world))
}

fn print_result(name: &str, findings: &Findings) {
    let violated: Vec<_> = Rule::ALL
        .into_iter()
        .filter(|(rule, ..)| findings.count(*rule) > 0)
        .map(|(rule, code, what)| format!("{code} {what}: {}", findings.count(rule)))
        .collect();
    let result = if violated.is_empty() {
        "passed".to_owned()
    } else {
        format!("FAILED: {}", violated.join("; "))
    };
    eprintln!("control: {name}: {result}");
}

/// Tampers with the tables in transactions that are rolled back, and runs the comparison in each.
async fn tamper(world: &World) -> Outcome<Vec<String>> {
    let client = world.cluster.client().await?;
    let mut undetected = Vec::new();
    for (sql, rule) in TAMPERING {
        client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            .await?;
        client
            .batch_execute(sql)
            .await
            .map_err(|error| format!("{sql}: {error:?}"))?;
        let is_detected = compare_tampered(&client, world).await?.count(rule) > 0;
        client.batch_execute("ROLLBACK").await?;
        if !is_detected {
            undetected.push(format!("{rule:?} was not detected after: {sql}"));
        }
    }
    eprintln!(
        "control: tampering: {} of {} detected",
        TAMPERING.len() - undetected.len(),
        TAMPERING.len()
    );
    Ok(undetected)
}

async fn compare_tampered(client: &Client, world: &World) -> Outcome<Findings> {
    compare(client, &world.oracle.testimony(), &world.scene).await
}
