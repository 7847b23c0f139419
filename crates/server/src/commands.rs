//! What the command line does, command by command.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use demo::DemoAddresses;
use schema::{BASE32, Db, clock};
use tenancy::memberships::{self, Role};
use tenancy::networks::{self, NewNetwork};
use tenancy::{Passwords, people, unscoped};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{CreateNetworkOptions, DemoOptions, ServeOptions, StoreOptions, default_data_dir};
use crate::database::Database;
use crate::postgres;
use crate::serve::{self, ServeSettings, bind};

/// Why a command failed, in words for the person who typed it.
pub type CommandError = Box<dyn std::error::Error + Send + Sync>;

/// Serves until told to stop, then drains.
///
/// # Errors
/// When it cannot start.
pub async fn serve(options: ServeOptions) -> Result<(), CommandError> {
    let dashboard = bind(options.dashboard_listen)?;
    let tracking = bind(options.tracking_listen)?;
    let database = Database::open(&options.store).await?;
    let running = serve::start(ServeSettings {
        database_url: database.url.clone(),
        secret: database.secret.clone(),
        dashboard,
        tracking,
        dashboard_url: options.dashboard_url,
        tracking_url: options.tracking_url,
        trusted_proxies: options.trusted_proxies,
    })?;
    tracing::info!(
        dashboard = running.dashboard_url,
        tracking = running.tracking_url,
        "serving"
    );
    until_told_to_stop().await?;
    tracing::info!("stopping: requests in flight end first");
    running.stop().await;
    Ok(())
}

/// Serves the demo until told to stop.
///
/// # Errors
/// When it cannot start.
pub async fn demo(options: DemoOptions) -> Result<(), CommandError> {
    let data_dir = options
        .data_dir
        .clone()
        .unwrap_or_else(|| default_data_dir().join("demo"));
    let [dashboard, tracking, shop] = bind_demo(&options)?;
    let addresses = DemoAddresses {
        dashboard: demo_url(&dashboard)?,
        tracking: demo_url(&tracking)?,
        shop: demo_url(&shop)?,
    };
    let description = data_dir.join("demo.json");
    tokio::task::block_in_place(|| make_room(&data_dir, &description, options.reset))?;
    let store = StoreOptions {
        database_url: None,
        data_dir: Some(data_dir.clone()),
        pg_bin: options.pg_bin,
        secret: None,
    };
    eprintln!("Starting the demo's own Postgres …");
    let database = Database::open(&store).await?;
    let running = serve::start(ServeSettings {
        database_url: database.url.clone(),
        secret: database.secret.clone(),
        dashboard,
        tracking,
        dashboard_url: Some(addresses.dashboard.clone()),
        tracking_url: Some(addresses.tracking.clone()),
        trusted_proxies: Vec::new(),
    })?;
    let demo = demo::open(
        &running.db,
        &running.tracker,
        &addresses,
        &database.url,
        &description,
        show_progress,
    )
    .await?;
    fs::remove_file(data_dir.join(UNFINISHED)).or_else(ignore_missing)?;
    let shop = demo::shop::start(shop, demo.shop())?;
    println!("{}", demo.greeting(&description));
    until_told_to_stop().await?;
    eprintln!("Stopping …");
    shop.stop().await;
    running.stop().await;
    Ok(())
}

/// Marks a demo that is being made. Only what has this mark, or a whole demo's description, is ever removed.
const UNFINISHED: &str = "demo.unfinished";

/// Removes an old demo where that was asked for, and one whose making was interrupted; refuses to touch a database
/// that no demo made.
fn make_room(data_dir: &Path, description: &Path, reset: bool) -> Result<(), CommandError> {
    let (whole, unfinished) = (description.exists(), data_dir.join(UNFINISHED).exists());
    if !whole && !unfinished && data_dir.join("postgres").exists() {
        let sentence = "holds a database that no demo made. Choose another directory with --data-dir";
        return Err(format!("{} {sentence}", data_dir.display()).into());
    }
    if reset || !whole {
        postgres::remove_cluster(data_dir, &["demo.json", "secret.key"])?;
        fs::write(data_dir.join(UNFINISHED), "")?;
    }
    Ok(())
}

fn ignore_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

/// Creates a network with its owner and prints the owner's password.
///
/// # Errors
/// When the database cannot be opened, or the owner's address or a host is taken.
pub async fn create_network(options: CreateNetworkOptions) -> Result<(), CommandError> {
    let database = Database::open(&options.store).await.map_err(|error| {
        format!("{error}\n(While `clickledger serve` runs on a private Postgres, pass its address as DATABASE_URL.)")
    })?;
    let db = Db::new(&database.url, 2, Duration::from_secs(15));
    let now = clock::now();
    let password = BASE32.encode(&rand::random::<[u8; 15]>());
    let hash = Passwords::new().hash(&password).await?;
    let new = NewNetwork {
        name: &options.name,
        time_zone: options.time_zone,
        currency: options.currency,
    };
    let network_id = unscoped::new_network_id(&mut *db.unscoped().await?).await?;
    let mut conn = db.network(network_id).await?;
    let network = networks::create(&mut conn, &new, now).await?;
    networks::set_tracking_hosts(&mut conn, &options.tracking_hosts)
        .await
        .map_err(|error| taken(error, "one of these tracking hosts belongs to another network"))?;
    let name = options.owner_name.as_deref().unwrap_or(&options.owner_email);
    let owner = people::create(&mut conn, &options.owner_email, name, &hash, now)
        .await
        .map_err(|error| taken(error, "somebody signs in with this --owner-email already"))?;
    memberships::create(&mut conn, owner.id, Role::Owner, now).await?;
    conn.commit().await?;
    println!(
        "network   {} {}\nowner     {}\npassword  {password}",
        network.id, network.name, owner.email
    );
    Ok(())
}

/// A unique violation in words; any other error as it is.
fn taken(error: diesel::result::Error, sentence: &str) -> CommandError {
    use diesel::result::DatabaseErrorKind::UniqueViolation;
    match error {
        diesel::result::Error::DatabaseError(UniqueViolation, _) => sentence.into(),
        other => other.into(),
    }
}

fn bind_demo(options: &DemoOptions) -> Result<[TcpListener; 3], CommandError> {
    let port = |offset: u16| {
        options
            .port
            .checked_add(offset)
            .ok_or("--port is too high: three ports are needed")
    };
    let listen = |offset| -> Result<TcpListener, CommandError> {
        let address = SocketAddr::new(options.listen, port(offset)?);
        bind(address).map_err(|error| format!("{error}. Choose other ports with --port").into())
    };
    Ok([listen(0)?, listen(1)?, listen(2)?])
}

/// Where a browser on this machine reaches a listener; one on every address is reached on loopback.
fn demo_url(listener: &TcpListener) -> io::Result<String> {
    let mut address = listener.local_addr()?;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(format!("http://{address}"))
}

/// On a terminal one line that counts up; elsewhere nothing but the start and the end.
fn show_progress(what: &str, done: usize, of: usize) {
    let mut stderr = io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r{what}: {done} of {of}   ");
        if done == of {
            let _ = writeln!(stderr);
        }
    } else if done == of {
        eprintln!("{what}: {of}");
    }
}

async fn until_told_to_stop() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}
