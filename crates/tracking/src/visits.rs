//! What a click says about the visitor, worked out before anything is written: addresses and User-Agents end here.

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

/// Clicks of one visitor in a minute that people still make.
const PLAUSIBLE_A_MINUTE: u32 = 20;
/// How often files of places are looked at for changes.
const RELOAD: Duration = Duration::from_secs(60);
/// How far back the journal is read for who was here today, in milliseconds: a day begins at most that long ago
/// anywhere.
const A_DAY: i64 = 26 * 3600 * 1000;
/// Place of the visitor's hash in a click's row.
const VISITOR_FIELD: usize = 8;

/// What a request says about who sent it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// The visitor's address.
    pub(crate) ip: Option<IpAddr>,
    /// The country, where a proxy that is trusted says so.
    pub(crate) country: Option<Country>,
    /// `User-Agent`.
    pub(crate) user_agent: Option<&'a str>,
    /// A browser fetches in advance, or only asks for the headers.
    pub(crate) is_prefetch: bool,
}

/// Knows visitors again, for a day.
pub(crate) struct Visits {
    agents: Agents,
    places: Places,
    keys: VisitorKeys,
    recent: Recent,
    caps: Caps,
}

/// Why visitors cannot be told apart.
#[derive(Debug, thiserror::Error)]
pub enum VisitsError {
    /// A file of places cannot be used.
    #[error(transparent)]
    Places(#[from] PlacesError),
    /// The file of keys cannot be used.
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

    /// Everything there is to know of a visitor.
    pub(crate) fn know(
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
            hash.inspect_err(|error| tracing::error!(%error, "visitors cannot be told apart"))
                .ok()
        });
        let scope = scope(network.id.0, route.campaign().id.0, route.affiliate_id.0);
        // All are asked, so that each knows of every click.
        let is_unique = hash.is_some_and(|hash| self.recent.is_unique(scope, hash, today));
        let link = u64::from(route.link_id.0.unsigned_abs()) << 32 | u64::from(network.id.0.unsigned_abs());
        let is_repeat = hash.is_some_and(|hash| self.recent.is_repeat(link, hash, millis));
        let rate = hash.map_or(0, |hash| self.recent.rate(hash, millis));
        let country = facts.country.or(place.country);
        let audience = &route.campaign().audience;
        let is_unwanted = !audience.wants(country.as_ref().map(Country::as_str), agent.device.as_str());
        let flags = [
            (facts.is_prefetch, ClickFlag::Prefetch),
            (agent.bot, ClickFlag::Bot),
            (is_blocked(network, facts.ip), ClickFlag::Blocked),
            (place.data_center, ClickFlag::DataCenter),
            (is_unwanted, ClickFlag::NotTargeted),
            (rate > PLAUSIBLE_A_MINUTE, ClickFlag::Velocity),
            (is_repeat, ClickFlag::Duplicate),
        ];
        let flag = flags
            .into_iter()
            .find_map(|(applies, flag)| applies.then_some(flag));
        // Last, because only what is otherwise valid counts towards a cap.
        let is_beyond = || {
            let promotion = &route.promotion;
            !promotion.caps.is_empty() && self.caps.is_reached(network, promotion, route.affiliate_id, now)
        };
        Visitor {
            hash: hash.map(|VisitorHash(hash)| hash),
            is_unique,
            flag: flag.or_else(|| is_beyond().then_some(ClickFlag::CapReached)),
            country,
            asn: place.asn,
            agent,
        }
    }

    /// Learns from the journal who has been here today.
    pub(crate) fn learn(&self, mut clicks: Reader, now: DateTime<Utc>) {
        let since = (now.timestamp_millis() - A_DAY) * 1000;
        while let Ok(read) = clicks.read(10_000, 4 * 1024 * 1024) {
            let mut some = !read.damage.is_empty();
            for (_, record) in read.iter() {
                some = true;
                let Some(click) = ClickRecord::read(record).filter(|click| click.clicked_at >= since) else {
                    continue;
                };
                if let Some(hash) = click.field(VISITOR_FIELD).and_then(|field| field.try_into().ok()) {
                    let scope = scope(click.network_id.0, click.campaign_id.0, click.affiliate_id.0);
                    self.recent
                        .learn(scope, VisitorHash(u64::from_be_bytes(hash)), click.day);
                }
            }
            if !some {
                return;
            }
        }
    }

    /// Looks now and then whether a file of places was replaced or a key of visitors is to be destroyed.
    pub(crate) async fn keep_fresh(&self) {
        loop {
            tokio::time::sleep(RELOAD).await;
            if let Err(error) = self.keys.forget_old(day(clock::now(), Tz::UTC)) {
                tracing::error!(%error, "old keys of visitors not destroyed");
            }
            match self.places.reload_if_changed() {
                Ok(true) => tracing::info!("places loaded anew"),
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "places not loaded anew; the last ones stay in use"),
            }
        }
    }
}

/// One number for what uniqueness is about: ids are 31 bits, so no two networks' pairs need ever meet often.
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
