//! What the command line does, command by command.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use demo::DemoAddresses;
use futures_util::{TryStreamExt, pin_mut};
use listenfd::ListenFd;
use schema::{BASE32, Db, clock};
use tenancy::memberships::{self, Role};
use tenancy::networks::{self, Limits, NetworkStatus, NewNetwork, check_slug, slug_from};
use tenancy::people::{self, NewPerson};
use tenancy::{Author, Mailer, Passwords, erasure, operators, unscoped};
use tokio::signal::unix::{SignalKind, signal};
use tracking::{JournalSettings, WhenDiskFails};

use crate::config::{
    ChangeNetworkOptions, CreateNetworkOptions, DeleteNetworkOptions, DemoOptions, DiskFailure,
    ExportNetworkOptions, MailOptions, ReplaceClickKeyOptions, ServeOptions, StoreOptions, TrackingOptions,
    default_data_dir,
};
use crate::database::{Database, DatabaseError};
use crate::serve::{self, ServeSettings, bind};
use crate::{metrics, postgres};

mod replay;
mod verify;

pub use replay::replay;
pub use verify::verify;

/// Why a command failed, in words for the person who typed it.
pub type CommandError = Box<dyn std::error::Error + Send + Sync>;

/// What was typed names something that is not there, or does not go together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUsage(String);

impl WrongUsage {
    /// What the process ends with, as it does for options that cannot be read.
    pub const EXIT_CODE: u8 = 2;
}

/// Serves until told to stop, then drains.
///
/// # Errors
/// When it cannot start.
pub async fn serve(options: ServeOptions) -> Result<(), CommandError> {
    let mut handed = Handed::over();
    let dashboard = handed.or_bind(options.dashboard_listen)?;
    let tracking = handed.or_bind(options.tracking_listen)?;
    let metrics = options.metrics_listen.map(bind).transpose()?;
    if metrics.is_some() {
        metrics::record()?;
    }
    let database = Database::open(&options.store).await?;
    let running = serve::start(ServeSettings {
        database_url: database.url.clone(),
        secret: database.secret.clone(),
        dashboard,
        tracking,
        metrics,
        hands_over: handed.some,
        drain: DRAIN,
        journal: journal(&options.store, &options.tracking),
        when_disk_fails: match options.tracking.when_disk_fails {
            DiskFailure::Redirect => WhenDiskFails::Redirect,
            DiskFailure::Refuse => WhenDiskFails::Refuse,
        },
        keep_clicks_months: options.tracking.keep_clicks_months,
        places: options.tracking.places,
        country_header: options.tracking.country_header,
        dashboard_url: options.dashboard_url,
        tracking_url: options.tracking_url,
        trusted_proxies: options.trusted_proxies,
        mailer: mailer(&options.mail)?,
        allow_sign_up: options.allow_signup,
        exports: exports(&options.store),
        api_calls_per_minute: options.api_calls_per_minute,
    })?;
    let mut conn = running.db.unscoped().await?;
    if let Some(token) = operators::setup_token(&mut conn).await? {
        // Printed, not only logged: without it nobody gets in.
        println!(
            "Nobody operates this installation yet. Become its operator: {}/setup/{}",
            running.dashboard_url,
            token.as_str()
        );
    }
    drop(conn);
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

/// For how long answers ask their connections to be closed before the server stops.
const DRAIN: Duration = Duration::from_secs(1);

/// Listeners that whoever started us hands over (systemd's socket activation): the dashboard's first, then that of
/// tracking. They are never closed, so no connection is refused while one process takes over from another.
struct Handed {
    listeners: ListenFd,
    next: usize,
    some: bool,
}

impl Handed {
    fn over() -> Self {
        let listeners = ListenFd::from_env();
        Self {
            some: listeners.len() > 0,
            listeners,
            next: 0,
        }
    }

    /// The next listener that was handed over, or one of our own where none was.
    fn or_bind(&mut self, address: SocketAddr) -> io::Result<TcpListener> {
        let handed = self.listeners.take_tcp_listener(self.next)?;
        self.next += 1;
        match handed {
            Some(listener) => Ok(listener),
            None if self.some => Err(io::Error::other(
                "two listeners must be handed over: the dashboard's, then that of tracking",
            )),
            None => bind(address),
        }
    }
}

/// How journals are kept, beside the database's data.
fn journal(store: &StoreOptions, options: &TrackingOptions) -> JournalSettings {
    const MIB: u64 = 1024 * 1024;
    JournalSettings {
        folder: journal_folder(store),
        segment_bytes: options.journal_segment_mib * MIB,
        quota_bytes: options.journal_quota_mib * MIB,
        retention: Duration::from_secs(options.journal_retention_hours * 3600),
    }
}

fn journal_folder(store: &StoreOptions) -> PathBuf {
    store
        .data_dir
        .clone()
        .unwrap_or_else(default_data_dir)
        .join("journal")
}

fn mailer(options: &MailOptions) -> Result<Mailer, CommandError> {
    match &options.smtp_url {
        Some(url) => Ok(Mailer::smtp(url, &options.mail_from)?),
        None => Ok(Mailer::default()),
    }
}

/// Where what networks owned is written before it is erased.
fn exports(store: &StoreOptions) -> PathBuf {
    store
        .data_dir
        .clone()
        .unwrap_or_else(default_data_dir)
        .join("exports")
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
        owner_database_url: None,
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
        metrics: None,
        hands_over: false,
        drain: Duration::ZERO,
        journal: JournalSettings::in_folder(journal_folder(&store)),
        when_disk_fails: WhenDiskFails::default(),
        keep_clicks_months: None,
        places: Vec::new(),
        country_header: None,
        dashboard_url: Some(addresses.dashboard.clone()),
        tracking_url: Some(addresses.tracking.clone()),
        trusted_proxies: Vec::new(),
        mailer: Mailer::default(),
        allow_sign_up: true,
        exports: exports(&store),
        api_calls_per_minute: api::CALLS_PER_MINUTE,
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
        // What was journaled belongs to the database that is gone.
        fs::remove_dir_all(data_dir.join("journal")).or_else(ignore_missing)?;
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
    let database = open(&options.store).await?;
    let db = Db::new(&database.url, 2, Duration::from_secs(15));
    let now = clock::now();
    let password = BASE32.encode(&rand::random::<[u8; 15]>());
    let hash = Passwords::new().hash(&password).await?;
    let slug = match options.slug {
        Some(slug) => slug,
        None => check_slug(&slug_from(&options.name))
            .map_err(|_| "no name in addresses can be made from this name; choose one with --slug")?,
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
    networks::set_tracking_hosts(&mut conn, &options.tracking_hosts).await?;
    let owner = NewPerson {
        email: &options.owner_email,
        name: options.owner_name.as_deref().unwrap_or(&options.owner_email),
        password: Some(&hash),
        is_operator: false,
    };
    let owner = people::create(&mut conn, &owner, now).await?;
    memberships::give(&mut conn, &author, owner.id, Role::Owner, now).await?;
    conn.commit().await?;
    println!(
        "network   {} {}\nslug      {slug}\nowner     {}\npassword  {password}",
        network.id, network.name, owner.email
    );
    Ok(())
}

/// The database, and what to do when a server is running on the private one.
async fn open(store: &StoreOptions) -> Result<Database, CommandError> {
    open_or_use(store, "/ops").await
}

/// The same, for what is done on this page then.
async fn open_or_use(store: &StoreOptions, page: &str) -> Result<Database, CommandError> {
    Database::open(store).await.map_err(|error| match error {
        DatabaseError::Postgres(in_use) => format!(
            "{in_use}\n(While `clickledger serve` runs on a private Postgres, do this on its pages at {page}.)"
        )
        .into(),
        other => other.into(),
    })
}

/// Lists every network with its id, status and name.
///
/// # Errors
/// When the database cannot be opened or read.
pub async fn list_networks(store: StoreOptions) -> Result<(), CommandError> {
    let database = open(&store).await?;
    let db = Db::new(&database.url, 2, Duration::from_secs(15));
    let mut before = None;
    loop {
        let page = operators::list_networks(&db, None, None, before, 100, clock::now()).await?;
        for listed in &page {
            println!(
                "{}  {:<10} {}",
                listed.network.id, listed.network.status, listed.network.name
            );
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
/// When there is no such network, or what is asked for cannot be.
pub async fn change_network(options: ChangeNetworkOptions) -> Result<(), CommandError> {
    let database = open(&options.store).await?;
    let db = Db::new(&database.url, 2, Duration::from_secs(15));
    let (author, now) = (Author::command_line(), clock::now());
    let mut conn = db.network(options.network).await?;
    let network = networks::current(&mut conn)
        .await
        .map_err(|_| "there is no such network")?;
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
    let network = networks::current(&mut conn).await?;
    conn.commit().await?;
    println!(
        "{} is {}; {} postbacks per second, {} seats, {} links",
        network.name, network.status, limits.max_postbacks_per_second, limits.max_seats, limits.max_links
    );
    Ok(())
}

/// Signs a network's click ids with its next key.
///
/// # Errors
/// When there is no such network, or it has used all its keys.
pub async fn replace_click_key(options: ReplaceClickKeyOptions) -> Result<(), CommandError> {
    let database = open_or_use(&options.store, "/settings").await?;
    let db = Db::new(&database.url, 1, Duration::from_secs(15));
    let mut conn = db.network(options.network).await?;
    let network = networks::current(&mut conn)
        .await
        .map_err(|_| "there is no such network")?;
    let key = networks::replace_click_key(&mut conn, &Author::command_line(), clock::now()).await?;
    conn.commit().await?;
    println!(
        "{} signs click ids with key number {} from {} on; earlier ids go on working",
        network.name,
        key.number,
        key.since.format("%F %T UTC")
    );
    Ok(())
}

/// Brings the database up to date.
///
/// # Errors
/// When it cannot be opened, or no owner's address is given for one that is not private.
pub async fn migrate(options: StoreOptions) -> Result<(), CommandError> {
    if options.database_url.is_some() && options.owner_database_url.is_none() {
        return Err("give the address of the database's owner as OWNER_DATABASE_URL".into());
    }
    Database::open(&options).await?;
    println!("The database is up to date.");
    Ok(())
}

/// Writes everything a network owns to standard output.
///
/// # Errors
/// When the database cannot be opened or read.
pub async fn export_network(options: ExportNetworkOptions) -> Result<(), CommandError> {
    let database = open(&options.store).await?;
    let db = Db::new(&database.url, 1, Duration::from_secs(15));
    let mut conn = db.network(options.network).await?;
    networks::current(&mut conn)
        .await
        .map_err(|_| "there is no such network")?;
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
/// When the name is not the network's, or the database or the file fails.
pub async fn delete_network(options: DeleteNetworkOptions) -> Result<(), CommandError> {
    let database = open(&options.store).await?;
    let db = Db::new(&database.url, 2, Duration::from_secs(15));
    let (author, now) = (Author::command_line(), clock::now());
    let mut conn = db.network(options.network).await?;
    let network = networks::current(&mut conn)
        .await
        .map_err(|_| "there is no such network")?;
    if network.name != options.name {
        return Err(format!("the network is called “{}”, not “{}”", network.name, options.name).into());
    }
    if network.status != NetworkStatus::Closed {
        let reason = "Deleted on the command line.";
        networks::set_status(&mut conn, &author, NetworkStatus::Closed, reason, now).await?;
    }
    conn.commit().await?;
    // Servers may believe for a second that the network is open.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let folder = options.exports.unwrap_or_else(|| exports(&options.store));
    let file = erasure::export_and_erase(&db, &folder, options.network, &author, now).await?;
    println!(
        "{} is erased. What it owned is in {}",
        network.name,
        file.display()
    );
    Ok(())
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
