//! `clickledger verify`: the consistency check, network by network.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use monitoring::verify::{self, Check, Period, Verification};
use schema::{Db, NetworkId, clock};
use serde_json::{Value, json};
use tenancy::networks::Network;
use tenancy::operators;
use tracing::{Instrument as _, info_span};

use super::{CommandError, current, open};
use crate::config::VerifyOptions;
use crate::output::Output;

/// Longest time Postgres may spend on a statement: only the user of the command waits.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(3600);

/// Verifies for one network or for all that every acknowledged event is stored, summed and booked, and prints each check.
///
/// # Errors
/// Returns an error if a check fails, no network has the id, or database or journals cannot be read.
pub async fn verify(options: VerifyOptions, output: Output) -> Result<(), CommandError> {
    let database = open(&options.store).await?;
    let db = Db::new(&database.url, 1, STATEMENT_TIMEOUT);
    let journals = options.journals.unwrap_or_else(|| options.store.journal_folder());
    verify_all(&db, options.network, &journals, options.days, output).await
}

/// Verifies one network, or all, and prints each check.
///
/// # Errors
/// The same as [`verify`].
pub(super) async fn verify_all(
    db: &Db,
    network: Option<NetworkId>,
    journals: &Path,
    days: u16,
    output: Output,
) -> Result<(), CommandError> {
    let networks = match network {
        Some(id) => vec![current(&mut db.network(id).await?).await?],
        None => all(db).await?,
    };
    let (mut checks, mut failing) = (0, 0);
    for network in networks {
        let span = info_span!("network", id = %network.id);
        let checking = verify_network(db, &network, journals, days);
        let found = checking.instrument(span).await?;
        match output {
            Output::Text => print(&mut io::stdout().lock(), &network, &found)?,
            Output::Json => output.print("", &described(&network, &found))?,
        }
        checks += found.checks.len();
        failing += found.checks.iter().filter(|check| !check.holds()).count();
    }
    if failing > 0 {
        return Err(format!("{failing} of {checks} checks do not hold").into());
    }
    Ok(output.note(format!("All {checks} checks hold."))?)
}

/// Returns every network, the newest first.
async fn all(db: &Db) -> Result<Vec<Network>, CommandError> {
    let mut networks: Vec<Network> = Vec::new();
    loop {
        let before = networks.last().map(|network| network.id);
        let page = operators::list_networks(db, None, None, before, 100, clock::now()).await?;
        if page.is_empty() {
            return Ok(networks);
        }
        networks.extend(page.into_iter().map(|listed| listed.network));
    }
}

async fn verify_network(
    db: &Db,
    network: &Network,
    journals: &Path,
    days: u16,
) -> Result<Verification, CommandError> {
    let now = clock::now();
    let period = Period::last_days(days.into(), network.time_zone(), now);
    let mut conn = db.network(network.id).await?;
    let found = verify::verify(&mut conn, network, journals, period, now).await?;
    conn.commit().await?;
    Ok(found)
}

/// Checks of a network for programs.
fn described(network: &Network, found: &Verification) -> Value {
    let checks = found.checks.iter().map(|check| {
        json!({
            "claim": check.claim, "holds": check.holds(), "expected": check.expected, "found": check.found,
            "differing": check.differing, "examples": check.examples,
        })
    });
    json!({
        "network": network.id, "name": network.name, "from": found.period.from, "to": found.period.to,
        "checks": checks.collect::<Vec<_>>(),
    })
}

fn print(out: &mut impl Write, network: &Network, found: &Verification) -> io::Result<()> {
    let zone = network.time_zone();
    let [from, to] =
        [found.period.from, found.period.to].map(|at| at.with_timezone(&zone).format("%Y-%m-%d %H:%M"));
    writeln!(out, "{} {}, {from} to {to} ({zone})", network.id, network.name)?;
    for check in &found.checks {
        print_check(out, check)?;
    }
    writeln!(out)
}

fn print_check(out: &mut impl Write, check: &Check) -> io::Result<()> {
    let verdict = if check.holds() { "holds  " } else { "DIFFERS" };
    let Check {
        claim,
        expected,
        found,
        differing,
        examples,
    } = check;
    writeln!(
        out,
        "  {verdict}  {claim}: {expected} expected, {found} found, {differing} differing"
    )?;
    for example in examples {
        writeln!(out, "             {example}")?;
    }
    Ok(())
}
