//! Stage: Postgres, the server, ten networks with a hundred links, and their earlier clicks; testbed: a stage with tools.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use tokio_postgres::Client;

use super::acknowledgements::Acknowledgements;
use super::cpu::{self, Spent};
use super::pump::{Pump, Requests};
use super::tools::{Nginx, Wrk, WrkRun};
use super::traffic::{self, Connections, Preloaded};
use crate::Outcome;
use crate::cluster::Cluster;
use crate::node::{Logins, Node, NodeSettings};
use crate::scene::{self, Link};

/// Networks.
const NETWORKS: usize = 10;
/// Links of each network, every link with a separate campaign and affiliate.
const LINKS: usize = 10;

/// Postgres and the server, with networks, links and earlier clicks. Leaves no process when dropped.
pub(super) struct Stage {
    /// Server under test.
    pub(super) node: Node,
    /// Connection of a superuser.
    pub(super) client: Client,
    /// Postgres; outlives everything that is connected to it.
    pub(super) cluster: Cluster,
    /// Clicks from before the measurements.
    pub(super) preloaded: Preloaded,
}

impl Stage {
    /// Sets the stage in a folder that does not exist, with these settings of Postgres beside its usual ones.
    pub(super) async fn set(
        server: &Path,
        folder: &Path,
        preloaded: u64,
        settings: &[String],
    ) -> Outcome<Self> {
        std::fs::create_dir_all(folder)?;
        // Postgres runs as another user.
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
        let mut cluster = Cluster::create(folder.join("postgres")).await?;
        if !settings.is_empty() {
            cluster.set(settings).await?;
        }
        let mut node = Node::new(node_settings(server, &cluster, folder))?;
        node.start().await?;
        let client = cluster.client().await?;
        let links = set_scene(&client).await?;
        let preloaded = super::preload::clicks(&client, links, preloaded).await?;
        Ok(Self {
            node,
            client,
            cluster,
            preloaded,
        })
    }
}

/// Testbed of the benchmarks. Leaves no process when dropped.
pub(super) struct Testbed {
    /// Server under test.
    pub(super) node: Node,
    /// Bare nginx that answers every request.
    pub(super) nginx: Nginx,
    /// Sender of clicks on kept connections.
    pub(super) kept: Wrk,
    /// Sender of clicks on new connections.
    pub(super) fresh: Wrk,
    /// Connection of a superuser.
    pub(super) client: Client,
    /// Postgres; outlives everything that is connected to it.
    pub(super) cluster: Cluster,
    /// Clicks from before the measurements.
    pub(super) preloaded: Preloaded,
    /// Acknowledgements since the last comparison.
    pub(super) acknowledgements: Acknowledgements,
    /// Redirects per second on 64 kept connections, once measured.
    pub(super) capacity: Option<f64>,
    /// Folder of the run.
    pub(super) folder: PathBuf,
    /// Number of the next request of our generator.
    next: u64,
}

impl Testbed {
    /// Creates the testbed in a folder that does not exist, with these settings of Postgres beside its usual ones.
    pub(super) async fn set(
        server: &Path,
        folder: PathBuf,
        preloaded: u64,
        settings: &[String],
    ) -> Outcome<Self> {
        let Stage {
            node,
            client,
            cluster,
            preloaded,
        } = Stage::set(server, &folder, preloaded, settings).await?;
        let links = &preloaded.links;
        let networks = links.iter().map(|link| link.network).collect();
        let kept = Wrk::new(&folder, "kept", &traffic::assortment(links, Connections::Kept))?;
        let fresh = Wrk::new(&folder, "new", &traffic::assortment(links, Connections::New))?;
        let mut acknowledgements = Acknowledgements::begin(&client, networks).await?;
        let nginx = Nginx::start(&folder, &location(&node, links).await?).await?;
        acknowledgements.one_click();
        let mut testbed = Self {
            node,
            nginx,
            kept,
            fresh,
            client,
            cluster,
            preloaded,
            acknowledgements,
            capacity: None,
            folder,
            next: 0,
        };
        // Warms both up, so that the first measurement has no disadvantage.
        testbed.redirects(64, 1).await?;
        testbed.kept.run(testbed.nginx.address, 64, 1).await?;
        Ok(testbed)
    }

    /// Sends clicks of wrk on kept connections for these seconds, and waits until the tables contain them.
    pub(super) async fn redirects(
        &mut self,
        connections: usize,
        seconds: u64,
    ) -> Outcome<(WrkRun, Duration)> {
        let run = self.kept.run(self.node.tracking, connections, seconds).await?;
        self.acknowledgements.wrk(&run, connections);
        let lag = self.settle().await?;
        Ok((run, lag))
    }

    /// Waits until the tables contain every acknowledged event; returns the time it took.
    pub(super) async fn settle(&self) -> Outcome<Duration> {
        self.acknowledgements.settle(&self.client).await
    }

    /// Returns our generator for the server, with request numbers that no other run has.
    pub(super) fn pump(&mut self, connections: usize, requests: Requests) -> Pump {
        let first = self.next;
        // More than any run sends.
        self.next += 10_000_000;
        Pump {
            address: self.node.tracking,
            connections,
            requests,
            first,
        }
    }

    /// Returns the CPU time of the server and Postgres so far.
    pub(super) fn spent(&self) -> Spent {
        let postmaster = self.cluster.postmaster_pid();
        let reaped = postmaster.map_or(0.0, cpu::reaped_us);
        let postgres = postmaster.into_iter().chain(self.cluster.children());
        Spent::by(self.node.pid(), reaped + postgres.map(cpu::alone_us).sum::<f64>())
    }

    /// Suspends the server and Postgres, so that they disturb no other testbed.
    pub(super) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        self.cluster.freeze();
    }

    /// Resumes them.
    pub(super) fn thaw(&self) {
        self.cluster.thaw();
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.node.pid() {
            // A process that has ended already is found out by its next request.
            let _ = kill(pid, signal);
        }
    }

    /// Stops the server in order and starts it again.
    pub(super) async fn restart(&mut self) -> Outcome {
        self.node
            .terminate()
            .await
            .ok_or("the server did not stop by itself")?;
        self.node.start().await
    }
}

fn node_settings(server: &Path, cluster: &Cluster, folder: &Path) -> NodeSettings {
    NodeSettings {
        server: server.to_owned(),
        logins: Some(Logins {
            serving: cluster.url("clickledger_app"),
            owner: cluster.url("clickledger_owner"),
        }),
        data: folder.join("data"),
        log: folder.join("server.log"),
        // Defaults of the server.
        segment_mib: 64,
        quota_mib: 8192,
        // Deliveries go to a receiver of this machine.
        options: vec!["--delivery-allow".to_owned(), "127.0.0.0/8".to_owned()],
        environment: vec![("CLICKLEDGER_SECRET".to_owned(), traffic::secret_text())],
    }
}

async fn set_scene(client: &Client) -> Outcome<Vec<Link>> {
    let mut links = Vec::new();
    for number in 0..NETWORKS {
        let name = format!("bench-{number}");
        let network = scene::set_network(client, &name, "Europe/Warsaw").await?;
        for number in 0..LINKS {
            links.push(scene::set_link(client, network, &name, number).await?);
        }
    }
    Ok(links)
}

/// Returns the server's destination of a visitor, which nginx answers too.
async fn location(node: &Node, links: &[Link]) -> Outcome<String> {
    let clicks = traffic::assortment(links, Connections::Kept);
    let mut connection = crate::http::Connection::open(node.tracking).await?;
    let answer = connection.send(clicks.first().ok_or("no links")?).await?;
    let location = answer.header("location").filter(|_| answer.status == 302);
    Ok(location
        .ok_or_else(|| format!("the server does not redirect: {}", answer.status))?
        .to_owned())
}
