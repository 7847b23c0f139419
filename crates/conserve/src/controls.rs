//! Negative controls: a judge who never says no proves nothing. Each control breaks a promise, in the server or in
//! the tables, and must be seen.

use std::fs;

use tokio_postgres::Client;

use crate::Outcome;
use crate::findings::{Findings, Rule};
use crate::judge;
use crate::nemesis::Fault;
use crate::trial::Trial;
use crate::world::{World, WorldSettings};

/// How a server is sabotaged (`CLICKLEDGER_SABOTAGE`), by which fault that must be seen, and in how many strikes.
const SABOTAGE: [(&str, Fault, usize); 3] = [
    ("no-sync", Fault::PowerCut, 3),
    ("early-ack", Fault::Kill9Server, 25),
    ("loose-cursor", Fault::Kill9Applying, 12),
];

/// The faults of all controls: what they need must be there.
pub(crate) const FAULTS: [Fault; 3] = [Fault::PowerCut, Fault::Kill9Server, Fault::Kill9Applying];

/// Tampering with the tables, by SQL, and the rule that must be seen violated.
const TAMPERING: [(&str, Rule); 13] = [
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
        "UPDATE ledger_entries SET amount_micros = amount_micros + 1
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

/// Runs all controls; returns what stayed green and should not have, or the other way round.
pub(crate) async fn run(settings: &WorldSettings) -> Outcome<Vec<String>> {
    let mut blind = Vec::new();
    // The same build, faults and judge without any sabotage must be green, or red means nothing.
    let (honest, world) = trial(settings, None, &FAULTS.repeat(2)).await?;
    tell("no sabotage", &honest);
    if !honest.is_clean() {
        blind.push("a server without sabotage is red".to_owned());
        for (rule, example) in honest.examples() {
            eprintln!("     {rule:?}: {example}");
        }
    }
    blind.extend(tamper(&world).await?);
    let folder = world.folder.clone();
    drop(world);
    if blind.is_empty() {
        fs::remove_dir_all(folder)?;
    }
    for (sabotage, fault, strikes) in SABOTAGE {
        let (findings, world) = trial(settings, Some(sabotage), &vec![fault; strikes]).await?;
        tell(sabotage, &findings);
        let folder = world.folder.clone();
        drop(world);
        if findings.is_clean() {
            blind.push(format!(
                "{sabotage} was not seen in {strikes} strikes of {}",
                fault.name()
            ));
        } else {
            // Seen, as it should be: nobody needs to look, and the next control needs the room.
            fs::remove_dir_all(folder)?;
        }
    }
    Ok(blind)
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
        .extend(sabotage.map(|it| ("CLICKLEDGER_SABOTAGE".to_owned(), it.to_owned())));
    eprintln!("control: {name}");
    let mut trial = Trial::begin(settings).await?;
    trial.strike(faults).await?;
    let findings = trial.settle().await?;
    for complaint in &trial.world.complaints {
        eprintln!("     {complaint}");
    }
    Ok((findings, trial.world))
}

fn tell(name: &str, findings: &Findings) {
    let seen: Vec<_> = Rule::ALL
        .into_iter()
        .filter(|(rule, ..)| findings.count(*rule) > 0)
        .map(|(rule, code, what)| format!("{code} {what}: {}", findings.count(rule)))
        .collect();
    let seen = if seen.is_empty() {
        "green".to_owned()
    } else {
        format!("RED: {}", seen.join("; "))
    };
    eprintln!("control: {name}: {seen}");
}

/// Tampers with the tables in transactions that are rolled back, and has each judged.
async fn tamper(world: &World) -> Outcome<Vec<String>> {
    let client = world.cluster.client().await?;
    let mut blind = Vec::new();
    for (sql, rule) in TAMPERING {
        client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            .await?;
        client
            .batch_execute(sql)
            .await
            .map_err(|error| format!("{sql}: {error:?}"))?;
        let seen = judge_tampered(&client, world).await?.count(rule) > 0;
        client.batch_execute("ROLLBACK").await?;
        if !seen {
            blind.push(format!("{rule:?} was not seen after: {sql}"));
        }
    }
    eprintln!(
        "control: tampering: {} of {} seen",
        TAMPERING.len() - blind.len(),
        TAMPERING.len()
    );
    Ok(blind)
}

async fn judge_tampered(client: &Client, world: &World) -> Outcome<Findings> {
    judge::judge(client, &world.oracle.testimony(), &world.scene).await
}
