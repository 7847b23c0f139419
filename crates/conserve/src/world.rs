//! All that a run consists of: Postgres, the server, the load, the oracle, and the folder they live in.

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
use crate::node::{Node, NodeSettings};
use crate::oracle::Oracle;
use crate::scene::{ALL_LINKS, Scene};

/// Size of a journal's segment: small, so that a run sees many of them begin and end.
const SEGMENT_MIB: u32 = 2;
/// Quota of the journals: more than a run writes.
const QUOTA_MIB: u32 = 4096;

/// What a world is made from.
#[derive(Debug, Clone)]
pub(crate) struct WorldSettings {
    /// The binary under test.
    pub(crate) server: PathBuf,
    /// Decides payloads and schedule.
    pub(crate) seed: u64,
    /// How much load.
    pub(crate) rates: Rates,
    /// Where everything lives; must not exist.
    pub(crate) folder: PathBuf,
    /// More environment for the server.
    pub(crate) environment: Vec<(String, String)>,
}

/// See the module. Dropped, it leaves no process and no mount behind; its folder stays.
pub(crate) struct World {
    /// What runs against the server now.
    load: Option<Load>,
    /// The server.
    pub(crate) node: Node,
    /// Postgres; outlives the server.
    pub(crate) cluster: Cluster,
    /// Knows what was given out and acknowledged.
    pub(crate) oracle: Arc<Oracle>,
    /// Sends it.
    pub(crate) driver: Arc<Driver>,
    /// Where it is sent to.
    pub(crate) scene: Scene,
    /// Where everything lives.
    pub(crate) folder: PathBuf,
    /// Of the nemesis.
    pub(crate) dice: StdRng,
    /// What went wrong with a fault itself, or with the server's own life.
    pub(crate) complaints: Vec<String>,
    rates: Rates,
}

impl World {
    /// Starts Postgres and the server, and sets the scene. No load yet.
    pub(crate) async fn create(settings: WorldSettings) -> Outcome<Self> {
        let folder = settings.folder;
        std::fs::create_dir_all(&folder)?;
        // Postgres runs as somebody else.
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755))?;
        let cluster = Cluster::create(folder.join("postgres")).await?;
        let mut node = Node::new(NodeSettings {
            server: settings.server,
            database_url: cluster.url("clickledger_app"),
            owner_database_url: cluster.url("clickledger_owner"),
            data: folder.join("data"),
            log: folder.join("server.log"),
            segment_mib: SEGMENT_MIB,
            quota_mib: QUOTA_MIB,
            environment: settings.environment,
        })?;
        node.start().await?;
        let scene = Scene::set(&cluster.client().await?).await?;
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
            rates: settings.rates,
        })
    }

    /// Starts the load, where it does not run.
    pub(crate) fn load_on(&mut self) {
        if self.load.is_none() {
            self.load = Some(self.driver.start(self.rates));
        }
    }

    /// Stops the load, and waits until all that is under way has ended.
    pub(crate) async fn load_off(&mut self) {
        if let Some(load) = self.load.take() {
            load.stop().await;
        }
    }

    /// Lets some time pass: at least and at most so many seconds.
    pub(crate) async fn pause(&mut self, least: f64, most: f64) {
        let seconds = self.dice.random_range(least..most);
        sleep(Duration::from_secs_f64(seconds)).await;
    }

    /// Clicks per second that are offered.
    pub(crate) fn offered(&self) -> f64 {
        self.rates.clicks
    }

    /// Waits until the tables hold all that was acknowledged and stop changing; gives up after a while, as what is
    /// lost never comes.
    pub(crate) async fn drain(&mut self) -> Outcome<Duration> {
        const PATIENCE: Duration = Duration::from_secs(90);
        let client = self.cluster.client().await?;
        let began = Instant::now();
        let (mut last, mut since) = ((0, 0), Instant::now());
        while began.elapsed() < PATIENCE {
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
            if still > Duration::from_secs(20) || (all_there && still > Duration::from_secs(2)) {
                break;
            }
            sleep(Duration::from_millis(200)).await;
        }
        Ok(began.elapsed())
    }
}
