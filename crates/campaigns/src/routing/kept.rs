//! Links that this node has redirected, kept in a file: after a restart they redirect although the database does not answer.
//! Only clicks use them. Decisions about postbacks wait for the database, so that no outdated term pays.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use schema::{AffiliateId, CampaignId, LandingPageId, LinkId, NetworkId, clock};
use serde::{Deserialize, Serialize};
use tenancy::networks::Network;

use super::Routing;
use super::memory::{AffiliateState, CachedLink, Memory};
use super::promotion::{Promotion, Weighted};
use crate::campaigns::Campaign;
use crate::caps::Cap;

/// Format of the file. A file of another format is not read: the next one replaces it.
const FORMAT: u32 = 1;
/// Most links that are kept, about 200 bytes each.
const MAX_LINKS: usize = 200_000;

/// Configuration of clicks that this node has used.
#[derive(Debug, Default)]
pub struct Kept {
    pub(super) hosts: HashMap<String, Arc<Network>>,
    pub(super) slugs: HashMap<String, Arc<Network>>,
    /// By network and alias.
    pub(super) links: HashMap<(NetworkId, Box<str>), CachedLink>,
    pub(super) promotions: HashMap<(NetworkId, CampaignId), Arc<Promotion>>,
    pub(super) affiliates: HashMap<(NetworkId, AffiliateId), AffiliateState>,
}

/// File of the kept configuration.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    hosts: Vec<(String, Network)>,
    slugs: Vec<(String, Network)>,
    links: Vec<(NetworkId, Box<str>, StoredLink)>,
    promotions: Vec<(NetworkId, ForClicks)>,
    affiliates: Vec<(NetworkId, AffiliateId, AffiliateState)>,
}

/// Link in the file.
#[derive(Serialize, Deserialize)]
struct StoredLink {
    link_id: LinkId,
    affiliate_id: AffiliateId,
    campaign_id: CampaignId,
    landing_page_id: Option<LandingPageId>,
    presets: Option<[Option<String>; 5]>,
    is_test: bool,
}

impl From<&CachedLink> for StoredLink {
    fn from(link: &CachedLink) -> Self {
        Self {
            link_id: link.link_id,
            affiliate_id: link.affiliate_id,
            campaign_id: link.campaign_id,
            landing_page_id: link.landing_page_id,
            presets: link.presets.as_deref().cloned(),
            is_test: link.is_test,
        }
    }
}

impl From<StoredLink> for CachedLink {
    fn from(link: StoredLink) -> Self {
        Self {
            link_id: link.link_id,
            affiliate_id: link.affiliate_id,
            campaign_id: link.campaign_id,
            landing_page_id: link.landing_page_id,
            presets: link.presets.map(Arc::new),
            is_test: link.is_test,
        }
    }
}

/// Configuration of a campaign that its clicks need, without goals and rules.
#[derive(Serialize, Deserialize)]
struct ForClicks {
    campaign: Campaign,
    paused_at: Option<DateTime<Utc>>,
    destinations: Vec<Weighted>,
    caps: Vec<Cap>,
}

impl From<&Promotion> for ForClicks {
    fn from(promotion: &Promotion) -> Self {
        Self {
            campaign: promotion.campaign.clone(),
            paused_at: promotion.paused_at,
            destinations: promotion.destinations.clone(),
            caps: promotion.caps.clone(),
        }
    }
}

impl From<ForClicks> for Promotion {
    fn from(kept: ForClicks) -> Self {
        Self {
            campaign: kept.campaign,
            paused_at: kept.paused_at,
            destinations: kept.destinations,
            goals: Vec::new(),
            former_terms: Vec::new(),
            rules: Vec::new(),
            rules_since: clock::now(),
            caps: kept.caps,
        }
    }
}

/// Reason why the kept configuration cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is damaged, or of another release.
    #[error("not a file of this release: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// The file has another format.
    #[error("format {0}, and this release reads format {FORMAT}")]
    Format(u32),
}

impl Kept {
    /// Reads the file; nothing if it does not exist.
    ///
    /// # Errors
    /// [`KeptError`].
    pub fn read(path: &Path) -> Result<Self, KeptError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error.into()),
        };
        let stored: Stored = serde_json::from_slice(&text)?;
        if stored.format != FORMAT {
            return Err(KeptError::Format(stored.format));
        }
        let shared = |(name, network): (String, Network)| (name, Arc::new(network));
        Ok(Self {
            hosts: stored.hosts.into_iter().map(shared).collect(),
            slugs: stored.slugs.into_iter().map(shared).collect(),
            links: stored
                .links
                .into_iter()
                .map(|(network_id, alias, link)| ((network_id, alias), link.into()))
                .collect(),
            promotions: stored
                .promotions
                .into_iter()
                .map(|(network_id, kept)| ((network_id, kept.campaign.id), Arc::new(kept.into())))
                .collect(),
            affiliates: stored
                .affiliates
                .into_iter()
                .map(|(network_id, id, state)| ((network_id, id), state))
                .collect(),
        })
    }

    /// Text of the file, in one order, so that equal configuration has equal texts.
    fn text(&self) -> Result<Vec<u8>, serde_json::Error> {
        let named = |networks: &HashMap<String, Arc<Network>>| {
            let mut named: Vec<_> = networks
                .iter()
                .map(|(name, network)| (name.clone(), Network::clone(network)))
                .collect();
            named.sort_by(|(one, _), (other, _)| one.cmp(other));
            named
        };
        let mut links: Vec<_> = self
            .links
            .iter()
            .map(|((network_id, alias), link)| (*network_id, alias.clone(), StoredLink::from(link)))
            .collect();
        links.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        let mut promotions: Vec<_> = self.promotions.iter().collect();
        promotions.sort_by_key(|(key, _)| **key);
        let mut affiliates: Vec<_> = self.affiliates.iter().collect();
        affiliates.sort_by_key(|(key, _)| **key);
        serde_json::to_vec(&Stored {
            format: FORMAT,
            hosts: named(&self.hosts),
            slugs: named(&self.slugs),
            links,
            promotions: promotions
                .into_iter()
                .map(|((network_id, _), promotion)| (*network_id, ForClicks::from(&**promotion)))
                .collect(),
            affiliates: affiliates
                .into_iter()
                .map(|((network_id, id), state)| (*network_id, *id, *state))
                .collect(),
        })
    }

    /// Configuration that was kept before, with that in memory now, and without what is known to be gone.
    fn with(before: &Self, memory: &Memory) -> Self {
        let mut links = before.links.clone();
        for (key, _) in memory.unknown_aliases.iter() {
            links.remove(&(key.network_id, key.alias));
        }
        for (key, link) in memory.aliases.iter() {
            if links.len() >= MAX_LINKS {
                break;
            }
            links.insert((key.network_id, key.alias), link);
        }
        Self {
            hosts: merged(&before.hosts, memory.hosts.loaded()),
            slugs: merged(&before.slugs, memory.slugs.loaded()),
            links,
            promotions: merged(&before.promotions, memory.promotions.loaded()),
            affiliates: merged(&before.affiliates, memory.affiliates.loaded()),
        }
    }
}

/// Values of before and those that were loaded since; `None` removes one.
fn merged<K, V>(before: &HashMap<K, V>, loaded: impl Iterator<Item = (K, Option<V>)>) -> HashMap<K, V>
where
    K: Clone + Eq + std::hash::Hash,
    V: Clone,
{
    let mut merged = before.clone();
    for (key, value) in loaded {
        match value {
            Some(value) => drop(merged.insert(key, value)),
            None => drop(merged.remove(&key)),
        }
    }
    merged
}

/// Writer of the kept configuration.
pub struct Keeper {
    routing: Routing,
    /// Number of loads up to which the file is complete.
    loads: u64,
    /// Text of the file; empty before the first.
    written: Vec<u8>,
}

impl Routing {
    /// Writer of the configuration that this node keeps for clicks.
    #[must_use]
    pub fn keeper(&self) -> Keeper {
        Keeper {
            routing: self.clone(),
            loads: 0,
            written: Vec::new(),
        }
    }
}

impl Keeper {
    /// Keeps the configuration that is in memory now: replaces the file, unless it has the same. Blocks on the disk.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written; the one before stays.
    pub fn write(&mut self, path: &Path) -> io::Result<()> {
        let memory = &self.routing.memory;
        let loads = memory.loads.count();
        if loads == self.loads {
            return Ok(());
        }
        let kept = Kept::with(&memory.kept(), memory);
        let text = kept.text()?;
        if text == self.written {
            self.loads = loads;
            return Ok(());
        }
        // Two processes share the file while one takes over from the other.
        let unfinished = path.with_extension(format!("{}.unfinished", std::process::id()));
        let mut file = fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        memory.keep(Arc::new(kept));
        self.written = text;
        self.loads = loads;
        Ok(())
    }
}
