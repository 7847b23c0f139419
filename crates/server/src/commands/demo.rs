//! `clickledger demo`.

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use delivery::{Allowed, Guard};
use demo::DemoAddresses;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use schema::Opening;
use tenancy::Mailer;
use tenancy::host_checks::Dns;
use tenancy::networks::ServedHosts;
use tracing::{Instrument as _, info_span};
use tracking::{JournalSettings, Proxies, StorageSettings, WhenDiskFails};

use super::{CommandError, stop_signal};
use crate::config::{DemoOptions, StoreOptions, UrlOptions, default_data_dir};
use crate::database::Database;
use crate::postgres;
use crate::serve::{self, Listeners, ServeSettings, bind};

const LOOPBACK_V4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
const LOOPBACK_V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128);

/// Marks a demo that is incomplete. Only a directory with this mark or a complete demo's description is ever erased.
const UNFINISHED: &str = "demo.unfinished";

/// Serves the demo until a signal to stop.
///
/// # Errors
/// Returns an error if the demo cannot start.
pub async fn demo(options: DemoOptions) -> Result<(), CommandError> {
    let data_dir = options
        .data_dir
        .clone()
        .unwrap_or_else(|| default_data_dir().join("demo"));
    let [dashboard, tracking, shop] = bind_listeners(&options)?;
    let addresses = DemoAddresses {
        dashboard: browser_url(&dashboard)?,
        tracking: browser_url(&tracking)?,
        shop: browser_url(&shop)?,
    };
    let description = data_dir.join("demo.json");
    tokio::task::block_in_place(|| erase_old(&data_dir, &description, options.reset))?;
    let store = StoreOptions {
        data_dir: Some(data_dir.clone()),
        pg_bin: options.pg_bin,
        ..StoreOptions::default()
    };
    eprintln!("Starting the demo's own Postgres …");
    let opening = Database::open(&store).instrument(info_span!("open_database"));
    let database = opening.await?;
    let running = serve::start(ServeSettings {
        database_url: database.url.clone(),
        opening: Opening::default(),
        patience: serve::SILENCE_TIMEOUT,
        secret: database.secret.clone(),
        listeners: Listeners {
            dashboard,
            tracking,
            metrics: None,
            are_shared: false,
        },
        urls: UrlOptions {
            dashboard_url: Some(addresses.dashboard.clone()),
            tracking_url: Some(addresses.tracking.clone()),
        },
        served_hosts: ServedHosts::All,
        dns: Dns::default(),
        // A proxy or tunnel on this machine, through which a visitor tries the demo.
        proxies: Proxies {
            trusted: Arc::new([IpNet::from(LOOPBACK_V4), IpNet::from(LOOPBACK_V6)]),
            country_header: None,
        },
        storage: StorageSettings {
            journal: JournalSettings::in_folder(store.journal_folder()),
            exports: store.exports(),
            when_disk_fails: WhenDiskFails::default(),
            keep_clicks_months: None,
            keep_accepted_calls_days: None,
            keep_rejected_calls_days: None,
            keep_unattributed_days: 30,
        },
        places: Vec::new(),
        ecb_rates: None,
        // The demo's own receiver, in its shop.
        guard: Guard::new(vec![
            Allowed::Net(LOOPBACK_V4.into()),
            Allowed::Net(LOOPBACK_V6.into()),
        ]),
        mailer: Mailer::default(),
        allow_sign_up: true,
        limits: api::Limits::default(),
        drain: Duration::ZERO,
    })?;
    let opening = demo::open(
        &running.db,
        &running.tracker,
        &addresses,
        &database.url,
        &description,
        show_progress,
    );
    let demo = opening.instrument(info_span!("open_demo")).await?;
    fs::remove_file(data_dir.join(UNFINISHED)).or_else(ignore_missing)?;
    let shop = demo::shop::start(shop, demo.shop())?;
    demo.deliver(&running.db, &database.secret).await?;
    println!("{}", demo.greeting(&description));
    stop_signal()?.await;
    eprintln!("Stopping …");
    shop.stop().await;
    running.stop().await;
    Ok(())
}

/// Erases an old demo on `--reset`, and an incomplete one always; refuses a database that no demo created.
fn erase_old(data_dir: &Path, description: &Path, reset: bool) -> Result<(), CommandError> {
    let (is_complete, is_unfinished) = (description.exists(), data_dir.join(UNFINISHED).exists());
    if !is_complete && !is_unfinished && data_dir.join("postgres").exists() {
        let sentence = "holds a database that no demo created. Choose another directory with --data-dir";
        return Err(format!("{} {sentence}", data_dir.display()).into());
    }
    if reset || !is_complete {
        postgres::remove_cluster(data_dir, &["demo.json", "secret.key"])?;
        // The journals belong to the erased database.
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

fn bind_listeners(options: &DemoOptions) -> Result<[TcpListener; 3], CommandError> {
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

/// Returns the URL of a listener for a browser on this machine; a listener on every address is reached on loopback.
fn browser_url(listener: &TcpListener) -> io::Result<String> {
    let mut address = listener.local_addr()?;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(format!("http://{address}"))
}

/// Shows one line that counts up on a terminal; elsewhere a line per completed step.
fn show_progress(step: &str, done: usize, total: usize) {
    let mut stderr = io::stderr();
    // Progress that cannot be shown does not stop the demo.
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r{step}: {done} of {total}   ");
        if done == total {
            let _ = writeln!(stderr);
        }
    } else if done == total {
        eprintln!("{step}: {total}");
    }
}
