//! Commands about one network, and the list of all.

use std::io::{self, Write as _};
use std::time::Duration;

use futures_util::{TryStreamExt, pin_mut};
use schema::{BASE32, NetworkId, clock};
use serde_json::json;
use tenancy::host_checks::HostChecker;
use tenancy::memberships::{self, Role};
use tenancy::networks::{
    self, ClaimedHost, HostState, Limits, NetworkStatus, NewNetwork, check_slug, slug_from,
};
use tenancy::people::{self, NewPerson};
use tenancy::{Author, Passwords, Urls, erasure, operators, unscoped};

use super::{CommandError, current, open, pool};
use crate::config::{
    ChangeNetworkOptions, CheckHostOptions, CreateNetworkOptions, DeleteNetworkOptions, ExportNetworkOptions,
    ReplaceClickKeyOptions, StoreOptions,
};
use crate::output::Output;

/// Page of the operator, for when a server runs on the private Postgres.
/// Networks read at once.
const PAGE_SIZE: i64 = 100;

/// Creates a network with its owner and prints the owner's password.
///
/// # Errors
/// Returns an error if the database cannot be opened, or the owner's address or a host is taken.
pub async fn create_network(options: CreateNetworkOptions, output: Output) -> Result<(), CommandError> {
    let database = open(&options.store).await?;
    let db = pool(&database, 2);
    let now = clock::now();
    let password = BASE32.encode(&rand::random::<[u8; 15]>());
    let hash = Passwords::new().hash(&password).await?;
    let slug = match options.slug {
        Some(slug) => slug,
        None => check_slug(&slug_from(&options.name))
            .map_err(|_| "no slug can be made from this name; choose one with --slug")?,
    };
    let author = Author::command_line();
    let new = NewNetwork {
        name: &options.name,
        slug: &slug,
        time_zone: options.time_zone,
        currency: options.currency,
    };
    let network_id = unscoped::new_network_id(&mut *db.unscoped().await?).await?;
    let mut conn = db.network(network_id).await?;
    let network = networks::create(&mut conn, &author, &new, now).await?;
    networks::set_tracking_hosts(&mut conn, &options.tracking_hosts, now).await?;
    let owner = NewPerson {
        email: &options.owner_email,
        name: options.owner_name.as_deref().unwrap_or(&options.owner_email),
        password: Some(&hash),
        is_operator: false,
    };
    let owner = people::create(&mut conn, &owner, now).await?;
    memberships::give(&mut conn, &author, owner.id, Role::Owner, now).await?;
    conn.commit().await?;
    let text = format!(
        "network   {} {}\nslug      {slug}\nowner     {}\npassword  {password}",
        network.id, network.name, owner.email
    );
    let created = json!({
        "network": network.id, "name": network.name, "slug": slug, "owner": owner.email, "password": password,
    });
    Ok(output.print(text, &created)?)
}

/// Lists every network with its id, status and name.
///
/// # Errors
/// Returns an error if the database cannot be opened or read.
pub async fn list_networks(store: StoreOptions, output: Output) -> Result<(), CommandError> {
    let database = open(&store).await?;
    let db = pool(&database, 2);
    let mut before = None;
    loop {
        let page = operators::list_networks(&db, None, None, before, PAGE_SIZE, clock::now()).await?;
        for listed in &page {
            let network = &listed.network;
            let text = format!("{}  {:<10} {}", network.id, network.status, network.name);
            let described = json!({
                "network": network.id, "name": network.name, "status": network.status.as_str(),
            });
            output.print(text, &described)?;
        }
        before = page.last().map(|listed| listed.network.id);
        if before.is_none() {
            return Ok(());
        }
    }
}

/// Suspends or resumes a network, or sets its limits.
///
/// # Errors
/// Returns an error if no network has the id, or the change is not allowed.
pub async fn change_network(options: ChangeNetworkOptions, output: Output) -> Result<(), CommandError> {
    let database = open(&options.store).await?;
    let db = pool(&database, 2);
    let (author, now) = (Author::command_line(), clock::now());
    let mut conn = db.network(options.network).await?;
    let network = current(&mut conn).await?;
    let about = Some((network.id, network.name.as_str()));
    if let Some(reason) = &options.suspend {
        networks::set_status(&mut conn, &author, NetworkStatus::Suspended, reason, now).await?;
        operators::record(&mut conn, &author, "network.suspend", about, reason, now).await?;
    }
    if options.resume {
        networks::set_status(&mut conn, &author, NetworkStatus::Active, "", now).await?;
        operators::record(&mut conn, &author, "network.resume", about, "", now).await?;
    }
    let limits = Limits {
        max_postbacks_per_second: options
            .max_postbacks_per_second
            .unwrap_or(network.limits.max_postbacks_per_second),
        max_seats: options.max_seats.unwrap_or(network.limits.max_seats),
        max_links: options.max_links.unwrap_or(network.limits.max_links),
    };
    if limits != network.limits {
        networks::set_limits(&mut conn, &author, limits, now).await?;
        operators::record(&mut conn, &author, "network.set_limits", about, "", now).await?;
    }
    let network = current(&mut conn).await?;
    conn.commit().await?;
    let text = format!(
        "{} is {}; {} postbacks per second, {} seats, {} links",
        network.name, network.status, limits.max_postbacks_per_second, limits.max_seats, limits.max_links
    );
    let changed = json!({
        "network": network.id,
        "name": network.name,
        "status": network.status.as_str(),
        "max_postbacks_per_second": limits.max_postbacks_per_second,
        "max_seats": limits.max_seats,
        "max_links": limits.max_links,
    });
    Ok(output.print(text, &changed)?)
}

/// Signs a network's click ids with its next key.
///
/// # Errors
/// Returns an error if no network has the id, or the network has used all its keys.
pub async fn replace_click_key(options: ReplaceClickKeyOptions, output: Output) -> Result<(), CommandError> {
    let database = open(&options.store).await?;
    let db = pool(&database, 1);
    let mut conn = db.network(options.network).await?;
    let network = current(&mut conn).await?;
    let key = networks::replace_click_key(&mut conn, &Author::command_line(), clock::now()).await?;
    conn.commit().await?;
    let text = format!(
        "{} signs click ids with key number {} from {} on; earlier ids stay valid",
        network.name,
        key.number,
        key.since.format("%F %T UTC")
    );
    let replaced =
        json!({ "network": network.id, "name": network.name, "key": key.number, "since": key.since });
    Ok(output.print(text, &replaced)?)
}

/// Checks tracking hosts, of every network that has entered them, and applies the results.
///
/// # Errors
/// Returns an error if the database cannot be opened, or no network has entered a host that is named.
pub async fn check_host(options: CheckHostOptions, output: Output) -> Result<(), CommandError> {
    let database = open(&options.store).await?;
    let db = pool(&database, 2);
    let urls = Urls::new("", options.tracking_url.as_deref().unwrap_or_default());
    let checker = HostChecker::new(options.dns.dns(), &urls);
    let mut unknown = options.hosts.clone();
    for network_id in networks::active(&db).await? {
        let mut conn = db.network(network_id).await?;
        let claimed = networks::claimed_hosts(&mut conn).await?;
        conn.commit().await?;
        let wanted = claimed.into_iter().filter(|claimed| match claimed.state {
            HostState::Lost => false,
            _ if !options.hosts.is_empty() => options.hosts.contains(&claimed.host),
            HostState::Proven => false,
            _ => claimed.challenge(checker.own_host()).is_possible(),
        });
        for claimed in wanted {
            unknown.retain(|host| *host != claimed.host);
            let (author, now) = (Author::command_line(), clock::now());
            let checked = checker
                .check(&db, network_id, &author, &claimed.host, now)
                .await?;
            print_host(&checker, network_id, &checked, &output)?;
        }
    }
    match unknown.as_slice() {
        [] => Ok(()),
        unknown => Err(format!("no active network has entered {}", unknown.join(", ")).into()),
    }
}

fn print_host(
    checker: &HostChecker,
    network_id: NetworkId,
    checked: &ClaimedHost,
    output: &Output,
) -> io::Result<()> {
    let challenge = checked.challenge(checker.own_host());
    let sentences = checked
        .checked
        .as_ref()
        .map(|(_, answers)| challenge.sentences(answers));
    let lines = sentences.clone().unwrap_or_default().join("\n  ");
    let text = format!("{network_id}  {}  {}\n  {lines}", checked.state, checked.host);
    let described = json!({
        "network": network_id, "host": checked.host, "state": checked.state.as_str(),
        "proven_at": checked.proven.map(|(at, _)| at),
        "proven_by": checked.proven.map(|(_, proof)| proof.as_str()),
        "txt_name": challenge.txt_name, "txt_value": challenge.txt_value, "cname_target": challenge.cname_target,
        "findings": sentences,
    });
    output.print(text, &described)
}

/// Writes everything a network owns to standard output.
///
/// # Errors
/// Returns an error if the database cannot be opened or read.
pub async fn export_network(options: ExportNetworkOptions) -> Result<(), CommandError> {
    let database = open(&options.store).await?;
    let db = pool(&database, 1);
    let mut conn = db.network(options.network).await?;
    current(&mut conn).await?;
    let rows = erasure::export(&mut conn).await?;
    pin_mut!(rows);
    let mut stdout = io::stdout().lock();
    while let Some(line) = rows.try_next().await? {
        stdout.write_all(line.as_bytes())?;
    }
    Ok(stdout.flush()?)
}

/// Closes a network, writes everything it owns to a file, and erases it.
///
/// # Errors
/// Returns an error if the name is not the network's, or the database or the file fails.
pub async fn delete_network(options: DeleteNetworkOptions, output: Output) -> Result<(), CommandError> {
    let database = open(&options.store).await?;
    let db = pool(&database, 2);
    let (author, now) = (Author::command_line(), clock::now());
    let mut conn = db.network(options.network).await?;
    let network = current(&mut conn).await?;
    if network.name != options.name {
        return Err(format!("the network is called “{}”, not “{}”", network.name, options.name).into());
    }
    if network.status != NetworkStatus::Closed {
        let reason = "Deleted on the command line.";
        networks::set_status(&mut conn, &author, NetworkStatus::Closed, reason, now).await?;
    }
    conn.commit().await?;
    // Servers may take the network for open during a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let folder = options.exports.unwrap_or_else(|| options.store.exports());
    let file = erasure::export_and_erase(&db, &folder, options.network, &author, now).await?;
    let text = format!("{} is erased. Its export is in {}", network.name, file.display());
    let erased = json!({ "network": network.id, "name": network.name, "export": file.display().to_string() });
    Ok(output.print(text, &erased)?)
}
