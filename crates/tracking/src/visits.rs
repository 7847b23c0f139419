//! Classification of visitors, before a click is journaled: full addresses and User-Agents are used here and never
//! stored.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use campaigns::{ClickFlag, Route};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use ipnet::IpNet;
use journal::Reader;
use schema::{Db, clock};
use tenancy::networks::Network;
use visitors::{Agents, Country, Places, PlacesError, Recent, VisitorHash, VisitorKeys};

use crate::caps::Caps;
use crate::click_record::{ClickRecord, day};
use crate::clicks::Visitor;

/// Maximum clicks of one visitor in a minute that are plausible for a human.
const MAX_CLICKS_PER_MINUTE: u32 = 20;
/// Interval at which `GeoIP` databases are checked for changes, and visitor keys for expiry.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
/// Age of the oldest click that is restored, in milliseconds: in no time zone did today begin earlier.
const LOOK_BACK_MILLIS: i64 = 26 * 3600 * 1000;
/// Index of the visitor's hash in the row of a click.
const VISITOR_FIELD: usize = 8;

/// Facts about the sender of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// Address; `None` for a simulated request.
    pub(crate) ip: Option<IpAddr>,
    /// Country as a trusted proxy reports it; `None` if none does.
    pub(crate) country: Option<Country>,
    /// `User-Agent`.
    pub(crate) user_agent: Option<&'a str>,
    /// True for a browser's prefetch and for a HEAD request.
    pub(crate) is_prefetch: bool,
}

/// Classifies visitors, and recognises them for a day.
pub(crate) struct Visits {
    agents: Agents,
    places: Places,
    keys: VisitorKeys,
    recent: Recent,
    caps: Caps,
}

/// Reason why visitors cannot be classified.
#[derive(Debug, thiserror::Error)]
pub enum VisitsError {
    /// A `GeoIP` database cannot be used.
    #[error(transparent)]
    Places(#[from] PlacesError),
    /// The file of visitor keys cannot be used.
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    Keys(PathBuf, std::io::Error),
}

impl Visits {
    pub(crate) fn open(places: &[PathBuf], keys: PathBuf, db: Db) -> Result<Self, VisitsError> {
        Ok(Self {
            agents: Agents::new(),
            places: if places.is_empty() {
                Places::none()
            } else {
                Places::open(places)?
            },
            keys: VisitorKeys::open(&keys).map_err(|error| VisitsError::Keys(keys, error))?,
            recent: Recent::new(),
            caps: Caps::new(db),
        })
    }

    /// Classifies the visitor behind a click, and counts the click towards uniqueness, rates and caps.
    pub(crate) fn classify(
        &self,
        facts: Facts<'_>,
        network: &Network,
        route: &Route,
        now: DateTime<Utc>,
    ) -> Visitor {
        let millis = now.timestamp_millis();
        let today = day(now, network.time_zone());
        let agent = self.agents.read(facts.user_agent);
        let place = facts.ip.map(|ip| self.places.find(ip)).unwrap_or_default();
        let hash = facts.ip.and_then(|ip| {
            let hash = self.keys.hash(ip, facts.user_agent, today);
            hash.inspect_err(|error| tracing::error!(network = %network.id, %error, "visitor not hashed"))
                .ok()
        });
        let scope = scope(network.id.0, route.campaign().id.0, route.affiliate_id.0);
        let is_blocked = is_blocked(network, facts.ip);
        let is_machine = facts.is_prefetch || agent.bot || is_blocked || place.data_center;
        // A prefetch, a preview or a robot comes before the person, and must not make that click a repetition.
        let counted = hash.filter(|_| !is_machine);
        // No check is skipped for a person, because each also counts the click.
        let is_unique = counted.is_some_and(|hash| self.recent.is_unique(scope, hash, today));
        let link = u64::from(route.link_id.0.unsigned_abs()) << 32 | u64::from(network.id.0.unsigned_abs());
        let is_repeat = counted.is_some_and(|hash| self.recent.is_repeat(link, hash, millis));
        let rate = counted.map_or(0, |hash| self.recent.rate(hash, millis));
        let country = facts.country.or(place.country);
        let audience = &route.campaign().audience;
        let is_not_targeted = !audience.wants(country.as_ref().map(Country::as_str), agent.device.as_str());
        let flags = [
            (facts.is_prefetch, ClickFlag::Prefetch),
            (agent.bot, ClickFlag::Bot),
            (is_blocked, ClickFlag::Blocked),
            (place.data_center, ClickFlag::DataCenter),
            (is_not_targeted, ClickFlag::NotTargeted),
            (rate > MAX_CLICKS_PER_MINUTE, ClickFlag::Velocity),
            (is_repeat, ClickFlag::Duplicate),
        ];
        let flag = flags
            .into_iter()
            .find_map(|(applies, flag)| applies.then_some(flag));
        // Last, because only valid clicks count towards a cap.
        let is_above_cap = || {
            let promotion = &route.promotion;
            !promotion.caps.is_empty() && self.caps.is_reached(network, promotion, route.affiliate_id, now)
        };
        Visitor {
            hash: hash.map(|VisitorHash(hash)| hash),
            is_unique,
            flag: flag.or_else(|| is_above_cap().then_some(ClickFlag::CapReached)),
            country,
            asn: place.asn,
            agent,
        }
    }

    /// Restores today's visitors from a journal of clicks.
    pub(crate) fn restore(&self, mut clicks: Reader, now: DateTime<Utc>) {
        let since = (now.timestamp_millis() - LOOK_BACK_MILLIS) * 1000;
        loop {
            let read = match clicks.read(10_000, 4 * 1024 * 1024) {
                Ok(read) => read,
                Err(error) => {
                    tracing::warn!(%error, "visitors not restored from a journal; some count as unique again");
                    return;
                }
            };
            let is_end = read.is_empty() && read.damage.is_empty();
            for (_, record) in read.iter() {
                let Some(click) = ClickRecord::read(record).filter(|click| click.clicked_at >= since) else {
                    continue;
                };
                // Machines are not counted as visitors.
                if click.is_flagged && !click.is_unique {
                    continue;
                }
                if let Some(hash) = click.field(VISITOR_FIELD).and_then(|field| field.try_into().ok()) {
                    let scope = scope(click.network_id.0, click.campaign_id.0, click.affiliate_id.0);
                    self.recent
                        .learn(scope, VisitorHash(u64::from_be_bytes(hash)), click.day);
                }
            }
            if is_end {
                return;
            }
        }
    }

    /// Destroys expired visitor keys and reloads changed `GeoIP` databases, for as long as the process runs.
    pub(crate) async fn refresh(&self) {
        loop {
            tokio::time::sleep(REFRESH_INTERVAL).await;
            if let Err(error) = self.keys.forget_old(day(clock::now(), Tz::UTC)) {
                tracing::error!(%error, "expired visitor keys not destroyed");
            }
            match self.places.reload_if_changed() {
                Ok(true) => tracing::info!("GeoIP databases reloaded"),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(%error, "GeoIP databases not reloaded; the previous ones stay in use")
                }
            }
        }
    }
}

/// Hash of the scope of uniqueness. IDs have 31 bits, so the scopes of two networks rarely collide.
fn scope(network_id: i32, campaign_id: i32, affiliate_id: i32) -> u64 {
    let [network, campaign, affiliate] =
        [network_id, campaign_id, affiliate_id].map(|id| u64::from(id.unsigned_abs()));
    (campaign << 32 | affiliate) ^ network.rotate_left(17)
}

fn is_blocked(network: &Network, ip: Option<IpAddr>) -> bool {
    let Some(ip) = ip else { return false };
    let blocks = |text: &String| {
        let net = text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        net.is_ok_and(|net| net.contains(&ip))
    };
    network.blocked_addresses.0.iter().any(blocks)
}
