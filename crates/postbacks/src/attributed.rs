//! Phases of a postback before its claim: its findings, and the attributed postback.

use std::sync::Arc;

use campaigns::campaigns::CampaignStatus;
use campaigns::integrations::Integration;
use campaigns::{AttributedBy, Route};
use chrono_tz::Tz;
use schema::{AdvertiserId, CampaignId, ClickKey};
use tenancy::networks::Network;

use crate::answered::AnsweredVerdict;
use crate::attribution::Attribution;
use crate::received::{KnownSender, Origin, Received};
use crate::record::PostbackRecord;
use crate::trace::Trace;
use crate::verdict::Verdict;

/// Findings about a postback, stored with it whatever its verdict.
pub(crate) struct Findings {
    pub(crate) record: PostbackRecord,
    pub(crate) origin: Origin,
    pub(crate) network: Arc<Network>,
    pub(crate) sender: Option<KnownSender>,
    /// Verdict that its sender received before the database was restored.
    pub(crate) answered: Option<Box<AnsweredVerdict>>,
    pub(crate) advertiser_id: Option<AdvertiserId>,
    /// True if a token, a signature or an allowed address identified the sender.
    pub(crate) is_authenticated: bool,
    pub(crate) integration: Option<Arc<Integration>>,
    pub(crate) attribution: Option<Attribution>,
    /// Link with its current configuration.
    pub(crate) route: Option<Route>,
    pub(crate) trace: Trace,
}

/// An authenticated and attributed postback: everything that a decision needs is known.
pub(crate) struct Attributed {
    pub(crate) record: PostbackRecord,
    pub(crate) origin: Origin,
    pub(crate) answered: Option<Box<AnsweredVerdict>>,
    pub(crate) network: Arc<Network>,
    pub(crate) advertiser_id: AdvertiserId,
    pub(crate) is_authenticated: bool,
    pub(crate) integration: Arc<Integration>,
    pub(crate) attribution: Attribution,
    pub(crate) route: Route,
    pub(crate) trace: Trace,
}

/// End of the steps.
pub(crate) enum Attempt {
    Attributed(Box<Attributed>),
    Stopped(Box<Findings>, Stopped),
}

/// Reason for ending the steps early.
pub(crate) enum Stopped {
    Verdict(Verdict),
    /// The customer that it names has no conversion yet.
    WaitForCustomer(String),
}

impl Findings {
    pub(crate) fn new(received: Received, network: Arc<Network>) -> Self {
        Self {
            record: received.record,
            origin: received.origin,
            network,
            sender: received.sender,
            answered: received.answered,
            advertiser_id: None,
            is_authenticated: false,
            integration: None,
            attribution: None,
            route: None,
            trace: Trace::default(),
        }
    }

    /// Campaign whose own integration authenticated it.
    pub(crate) fn integration_campaign(&self) -> Option<CampaignId> {
        self.integration
            .as_ref()
            .and_then(|integration| integration.campaign_id)
    }

    /// Campaign of the link.
    pub(crate) fn campaign_id(&self) -> Option<CampaignId> {
        self.route.as_ref().map(|route| route.campaign().id)
    }

    /// Click that it is attributed to.
    pub(crate) fn click_id(&self) -> Option<ClickKey> {
        self.attribution.and_then(|attribution| attribution.click)
    }

    /// True for a test, which never pays.
    pub(crate) fn is_test(&self) -> bool {
        let by = self.attribution.map(|attribution| attribution.by);
        self.route.as_ref().is_some_and(|route| is_test(route, by))
    }
}

impl Attributed {
    /// The same as findings, to be stored.
    pub(crate) fn into_findings(self) -> Findings {
        Findings {
            record: self.record,
            origin: self.origin,
            network: self.network,
            sender: None,
            answered: self.answered,
            advertiser_id: Some(self.advertiser_id),
            is_authenticated: self.is_authenticated,
            integration: Some(self.integration),
            attribution: Some(self.attribution),
            route: Some(self.route),
            trace: self.trace,
        }
    }

    /// True for a test, which never pays.
    pub(crate) fn is_test(&self) -> bool {
        is_test(&self.route, Some(self.attribution.by))
    }

    pub(crate) fn time_zone(&self) -> Tz {
        self.network.time_zone()
    }
}

/// True for a test: through a test link, or without click and customer while the campaign is tested. A click through any
/// other link, and a customer, are from a time when the campaign was live.
pub(crate) fn is_test(route: &Route, by: Option<AttributedBy>) -> bool {
    let is_earlier = matches!(by, Some(AttributedBy::Click | AttributedBy::Customer));
    route.is_test || !is_earlier && route.campaign().status == CampaignStatus::Testing
}
