//! World of a run: Postgres, the server, the load, the oracle, and their folder.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep};

use crate::Outcome;
use crate::cluster::Cluster;
use crate::driver::{Driver, Load, Rates};
use crate::events::Run;
use crate::node::{Logins, Node, NodeSettings};
use crate::oracle::Oracle;
use crate::scene::{ALL_LINKS, Scene};

/// Size of a journal's segment: small, so that a run begins and ends many of them.
const SEGMENT_MIB: u32 = 2;
/// Quota of the journals: more than a run writes.
const QUOTA_MIB: u32 = 4096;

/// Settings of a world.
#[derive(Debug, Clone)]
pub(crate) struct WorldSettings {
    /// Binary under test.
    pub(crate) server: PathBuf,
    /// Binary of another release, which serves first and takes over in between.
    pub(crate) other_server: Option<PathBuf>,
    /// Postgres of the server.
    pub(crate) postgres: PostgresKind,
    /// Seed of payloads and schedule.
    pub(crate) seed: u64,
    /// Rates of the load.
    pub(crate) rates: Rates,
    /// Number of visitors, who click in turn.
    pub(crate) visitors: u64,
    /// Folder of the run; must not exist.
    pub(crate) folder: PathBuf,
    /// Additional options for the server.
    pub(crate) options: Vec<String>,
    /// Additional environment for the server.
    pub(crate) environment: Vec<(String, String)>,
}

/// Postgres of a server under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PostgresKind {
    /// Started here, as in production.
    Separate,
    /// Started by the server itself, in its data directory.
    Private,
}

/// World of a run. Leaves no process and no mount when dropped; the folder stays.
pub(crate) struct World {
    /// Load that is running; none while it is off.
    load: Option<Load>,
    /// Server under test.
    pub(crate) node: Node,
    /// Postgres; outlives the server.
    pub(crate) cluster: Cluster,
    /// Record of the events given out and acknowledged.
    pub(crate) oracle: Arc<Oracle>,
    /// Sender of the load.
    pub(crate) driver: Arc<Driver>,
    /// Networks and links that receive the load.
    pub(crate) scene: Scene,
    /// Folder of the run.
    pub(crate) folder: PathBuf,
    /// Random numbers of the faults.
    pub(crate) dice: StdRng,
    /// Faults that went wrong, and unexpected ends of the server.
    pub(crate) complaints: Vec<String>,
    /// Binary of another release; none if all are of the same.
    pub(crate) other_server: Option<PathBuf>,
    rates: Rates,
}

impl World {
    /// Starts Postgres and the server, and inserts the scene, without load.
    pub(crate) async fn create(settings: WorldSettings) -> Outcome<Self> {
        std::fs::create_dir_all(&settings.folder)?;
        let folder = settings.folder.canonicalize()?;
        // Postgres runs as another user.
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755))?;
        let separate = match settings.postgres {
            PostgresKind::Separate => Some(Cluster::create(folder.join("postgres")).await?),
            PostgresKind::Private => None,
        };
        let logins = separate.as_ref().map(|cluster| Logins {
            serving: cluster.url("clickledger_app"),
            owner: cluster.url("clickledger_owner"),
        });
        let mut node = Node::new(NodeSettings {
            // The other release first, so that the one under test finds tables that it must migrate.
            server: settings.other_server.clone().unwrap_or(settings.server),
            logins,
            data: folder.join("data"),
            log: folder.join("server.log"),
            segment_mib: SEGMENT_MIB,
            quota_mib: QUOTA_MIB,
            options: settings.options,
            environment: settings.environment,
        })?;
        node.start().await?;
        node.open().await?;
        let cluster = match separate {
            Some(cluster) => cluster,
            None => Cluster::private(&node.data())?,
        };
        let scene = Scene::set(&cluster.client().await?, settings.visitors).await?;
        let run = Run {
            seed: settings.seed,
            links: ALL_LINKS,
        };
        let oracle = Arc::new(Oracle::new(run, &folder.join("acknowledged"))?);
        let driver = Driver::new(node.tracking, Arc::clone(&oracle), scene.clone());
        Ok(Self {
            load: None,
            node,
            cluster,
            oracle,
            driver,
            scene,
            folder,
            dice: StdRng::seed_from_u64(settings.seed),
            complaints: Vec::new(),
            other_server: settings.other_server,
            rates: settings.rates,
        })
    }

    /// Starts the load unless it is running.
    pub(crate) fn load_on(&mut self) {
        if self.load.is_none() {
            self.load = Some(self.driver.start(self.rates));
        }
    }

    /// Changes the rates of the load, which must be off.
    pub(crate) fn set_rates(&mut self, rates: Rates) {
        self.rates = rates;
    }

    /// Stops the load and waits for the requests in flight.
    pub(crate) async fn load_off(&mut self) {
        if let Some(load) = self.load.take() {
            load.stop().await;
        }
    }

    /// Waits a random time between these bounds, in seconds.
    pub(crate) async fn pause(&mut self, least: f64, most: f64) {
        let seconds = self.dice.random_range(least..most);
        sleep(Duration::from_secs_f64(seconds)).await;
    }

    /// Returns the offered clicks per second.
    pub(crate) fn offered(&self) -> f64 {
        self.rates.clicks
    }

    /// Waits until the tables contain every acknowledged event and stop changing; gives up after a while, because lost
    /// events never arrive.
    pub(crate) async fn drain(&mut self) -> Outcome<Duration> {
        self.drain_within(Duration::from_secs(90), Duration::from_secs(20))
            .await
    }

    /// Does the same with another timeout, and another time without a change after which it gives up.
    pub(crate) async fn drain_within(&mut self, timeout: Duration, stillness: Duration) -> Outcome<Duration> {
        let client = self.cluster.client().await?;
        let began = Instant::now();
        let (mut last, mut since) = ((0, 0), Instant::now());
        while began.elapsed() < timeout {
            let row = client
                .query_one(
                    "SELECT (SELECT coalesce(sum(clicks), 0)::bigint FROM click_rollups), \
                            (SELECT count(*) FROM postbacks)",
                    &[],
                )
                .await?;
            let now: (i64, i64) = (row.get(0), row.get(1));
            if now != last {
                (last, since) = (now, Instant::now());
            }
            let (clicks, calls) = self.oracle.counted();
            let all_there = now.0.unsigned_abs() >= clicks && now.1.unsigned_abs() >= calls;
            let still = since.elapsed();
            if still > stillness || (all_there && still > Duration::from_secs(2)) {
                break;
            }
            sleep(Duration::from_millis(200)).await;
        }
        Ok(began.elapsed())
    }
}
