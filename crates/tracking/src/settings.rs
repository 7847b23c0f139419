//! Settings of the tracking hosts, in the groups that other crates share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use journal::Settings;
use schema::{Db, Opening};
use tenancy::{Secret, Urls};

use crate::counts;

/// Settings of a [`crate::Tracker`].
pub struct TrackerSettings {
    /// Pool of the tracking paths alone, so that no page can take their connections.
    pub db: Db,
    /// Address of the same database, for the connections of the appliers.
    pub database_url: String,
    /// Opening of the database: until then, the journals are not applied.
    pub opening: Opening,
    /// Longest time that a postback waits for its verdict from a database that does not answer.
    pub patience: Duration,
    /// Secret of the installation, from which the keys of click ids are derived.
    pub secret: Secret,
    /// Public base URLs.
    pub urls: Urls,
    /// Proxies in front of the listeners.
    pub proxies: Proxies,
    /// Files of the node, and retention of clicks.
    pub storage: StorageSettings,
    /// Databases of country and autonomous system by address (MaxMind or DB-IP).
    pub places: Vec<PathBuf>,
}

/// Proxies in front of the listeners. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// Addresses whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted: Arc<[IpNet]>,
    /// Header in which a trusted proxy names the visitor's country; none if no proxy does.
    pub country_header: Option<Arc<str>>,
}

/// Files of a node, and retention of clicks.
#[derive(Debug, Clone)]
pub struct StorageSettings {
    /// Journals of clicks and postbacks.
    pub journal: JournalSettings,
    /// Folder for the export that is written before a network is erased.
    pub exports: PathBuf,
    /// Response to a click that cannot be journaled.
    pub when_disk_fails: WhenDiskFails,
    /// Months after which clicks are dropped; their rollups stay. None keeps all clicks.
    pub keep_clicks_months: Option<u32>,
    /// Days after which requests of accepted and duplicate postbacks are removed. None keeps all requests.
    pub keep_accepted_calls_days: Option<u32>,
    /// Days after which requests of rejected postbacks are removed. None keeps all requests.
    pub keep_rejected_calls_days: Option<u32>,
    /// Days after which rejected postbacks of no advertiser are removed.
    pub keep_unattributed_days: u32,
}

/// Size and retention of the journals.
#[derive(Debug, Clone)]
pub struct JournalSettings {
    /// Folder of all slots.
    pub folder: PathBuf,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Most bytes of each of the three journals on disk.
    pub quota_bytes: u64,
    /// Time that applied records are kept, so that a restored older copy of the database can be brought up to date.
    pub retention: Duration,
}

impl JournalSettings {
    /// Default size and retention in this folder.
    #[must_use]
    pub fn in_folder(folder: PathBuf) -> Self {
        let default = Settings::in_folder(folder);
        Self {
            folder: default.folder,
            segment_bytes: default.segment_bytes,
            quota_bytes: default.quota_bytes,
            retention: default.retention,
        }
    }

    pub(crate) fn of_stream(&self, slot: u32, stream: &str) -> Settings {
        Settings {
            segment_bytes: self.segment_bytes,
            quota_bytes: self.quota_bytes,
            retention: self.retention,
            on_sync: counts::syncs(stream),
            ..Settings::in_folder(self.folder.join(slot.to_string()).join(stream))
        }
    }
}

/// Response to a click that cannot be journaled; never the 302 that acknowledges a click.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenDiskFails {
    /// 307 to the destination, with a click id to which conversions can still be attributed. The click itself is in no
    /// report.
    #[default]
    Redirect,
    /// 503 with a page that asks the visitor to try again.
    Refuse,
}
