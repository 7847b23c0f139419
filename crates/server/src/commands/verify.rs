//! `clickledger verify`: the proof, network by network, with all the time it needs.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use schema::{Db, clock};
use tenancy::networks::{self, Network};
use tenancy::operators;
use tracking::verify::{self, Check, Period, Verification};

use super::{CommandError, journal_folder, open_or_use};
use crate::config::VerifyOptions;

/// How long a statement may run: nobody waits but whoever typed the command.
const LONGEST_STATEMENT: Duration = Duration::from_secs(3600);

/// Proves for one network or for all that what was acknowledged is stored, counted and booked, and prints what was
/// compared.
///
/// # Errors
/// When something differs, there is no such network, or database or journals cannot be read.
pub async fn verify(options: VerifyOptions) -> Result<(), CommandError> {
    let database = open_or_use(&options.store, "/settings/proof").await?;
    let db = Db::new(&database.url, 1, LONGEST_STATEMENT);
    let journals = options.journals.unwrap_or_else(|| journal_folder(&options.store));
    let asked = match options.network {
        Some(id) => {
            let mut conn = db.network(id).await?;
            let network = networks::current(&mut conn).await;
            vec![network.map_err(|_| "there is no such network")?]
        }
        None => all(&db).await?,
    };
    let (mut checks, mut failing) = (0, 0);
    for network in asked {
        let found = prove(&db, &network, &journals, options.days).await?;
        print(&mut io::stdout().lock(), &network, &found)?;
        checks += found.checks.len();
        failing += found.checks.iter().filter(|check| !check.holds()).count();
    }
    if failing > 0 {
        return Err(format!("{failing} of {checks} checks do not hold").into());
    }
    println!("All {checks} checks hold.");
    Ok(())
}

/// Every network, the newest first.
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

async fn prove(db: &Db, network: &Network, journals: &Path, days: u16) -> Result<Verification, CommandError> {
    let now = clock::now();
    let period = Period::last_days(days.into(), network.time_zone(), now);
    let mut conn = db.network(network.id).await?;
    let found = verify::verify(&mut conn, network, journals, period, now).await?;
    conn.commit().await?;
    Ok(found)
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
