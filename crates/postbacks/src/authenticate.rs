//! From a journaled postback to its verdict, or to what it is entitled to as far as its own words and the configuration
//! say. What else has happened is looked at afterwards, in [`crate::ingest`].

use std::sync::Arc;

use campaigns::integrations::{Integration, Integrations};
use campaigns::{Route, Routing, RoutingError};
use chrono::{DateTime, Utc};
use dialects::{Intent, Postback};
use ipnet::IpNet;
use schema::{AdvertiserId, CampaignId, LinkId};
use tenancy::Secret;
use tenancy::networks::{Network, NetworkStatus};

use crate::attribution::{
    Attribution, Customers, Reach, WithoutClick, read_clicks, tell_click, without_click,
};
use crate::click_id::{ClickIdFlaw, ClickIds};
use crate::postback_record::PostbackRecord;
use crate::trace::{Found, Trace};
use crate::verdict::{Reason, Verdict};

/// What judging needs, besides the postback.
#[derive(Clone)]
pub(crate) struct Judge {
    pub(crate) routing: Routing,
    pub(crate) click_ids: ClickIds,
    pub(crate) secret: Secret,
}

/// A postback with what could be found out about it.
pub(crate) struct Judged {
    pub(crate) record: PostbackRecord,
    pub(crate) network: Option<Arc<Network>>,
    /// Whose call it is, when known.
    pub(crate) advertiser_id: Option<AdvertiserId>,
    /// Whether a token, a signature or its address proves that it is.
    pub(crate) is_proven: bool,
    /// How that advertiser's server talks to us: for the campaign, if that has an integration of its own.
    pub(crate) integration: Option<Arc<Integration>>,
    /// Whose conversion it is, when known.
    pub(crate) attribution: Option<Attribution>,
    /// The link, as configured now.
    pub(crate) route: Option<Route>,
    pub(crate) trace: Trace,
    /// Why the walk ended before a decision, if it did.
    pub(crate) stopped: Option<Stopped>,
}

/// Whose call a postback that waited was found to be when it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    pub(crate) advertiser_id: AdvertiserId,
    /// The campaign whose own integration it was checked by.
    pub(crate) campaign_id: Option<CampaignId>,
    pub(crate) is_proven: bool,
}

/// Whose token a call carries.
#[derive(Clone, Copy)]
struct Carried {
    /// The campaign for which alone it is good; none where it is the advertiser's.
    campaign_id: Option<CampaignId>,
    /// Since when it is not taken any more, if it is not.
    expired: Option<DateTime<Utc>>,
}

/// Why nothing is to be decided.
pub(crate) enum Stopped {
    Verdict(Verdict),
    /// It names a customer of whom nothing is known yet.
    WaitForCustomer(String),
}

impl Judged {
    /// The campaign whose own integration it was checked by.
    pub(crate) fn integration_campaign(&self) -> Option<CampaignId> {
        self.integration.as_ref().and_then(|it| it.campaign_id)
    }

    /// Whether it is a test, which is never paid.
    pub(crate) fn is_test(&self) -> bool {
        self.route.as_ref().is_some_and(|route| {
            route.is_test || route.campaign().status == campaigns::campaigns::CampaignStatus::Testing
        })
    }
}

/// How the walk can end early: with a verdict, or with a fault of ours.
enum Stop {
    Stopped(Stopped),
    Fault(RoutingError),
}

impl From<Verdict> for Stop {
    fn from(verdict: Verdict) -> Self {
        Self::Stopped(Stopped::Verdict(verdict))
    }
}

impl From<RoutingError> for Stop {
    fn from(error: RoutingError) -> Self {
        Self::Fault(error)
    }
}

impl Judge {
    /// Judges a postback.
    ///
    /// # Errors
    /// When the configuration cannot be had: it is to be judged again later.
    pub(crate) async fn judge(
        &self,
        customers: &Customers,
        record: PostbackRecord,
        sender: Option<Sender>,
    ) -> Result<Judged, RoutingError> {
        let mut judged = Judged {
            network: self.routing.network_of_id(record.network).await?,
            record,
            advertiser_id: None,
            is_proven: false,
            integration: None,
            attribution: None,
            route: None,
            trace: Trace::default(),
            stopped: None,
        };
        match self.walk(customers, &mut judged, sender).await {
            Ok(()) => {}
            Err(Stop::Stopped(stopped)) => judged.stopped = Some(stopped),
            Err(Stop::Fault(fault)) => return Err(fault),
        }
        Ok(judged)
    }

    /// The steps from a call to whose conversion it is; each may end the walk. What is found on the way is noted, so that
    /// a rejected call is shown to whoever sent it too.
    async fn walk(
        &self,
        customers: &Customers,
        judged: &mut Judged,
        sender: Option<Sender>,
    ) -> Result<(), Stop> {
        let Some(network) = judged.network.clone() else {
            return Err(Verdict::of(Reason::UnknownHost).into());
        };
        let (record, trace) = (&judged.record, &mut judged.trace);
        trace.good("dialect", record.dialect().name);
        let owner = match record.token() {
            Some(token) => self.routing.token_owner(network.id, token).await?,
            None => None,
        };
        judged.advertiser_id = sender
            .map(|sender| sender.advertiser_id)
            .or(owner.map(|owner| owner.holder.advertiser_id));
        let carried = Carried {
            campaign_id: match sender {
                Some(sender) => sender.campaign_id,
                None => owner.and_then(|owner| owner.holder.campaign_id),
            },
            expired: owner
                .and_then(|owner| owner.until)
                .filter(|until| *until <= record.received_at),
        };
        // With the leave of whoever decides for the click's campaign, and only where the token says who is calling.
        let known = match judged.advertiser_id {
            Some(id) => Some(self.routing.integrations(network.id, id).await?),
            None => None,
        };
        let lenient = match &known {
            Some(integrations) => self.links_in_any_case(&network, record, integrations).await?,
            None => Vec::new(),
        };
        let click = read_clicks(&self.click_ids, &network, &record.said, &lenient);
        if let Ok(click) = click {
            judged.attribution = Some(Attribution::of_click(click));
            judged.route = self.routing.route(network.id, click.link_id()).await?;
        }
        if network.status != NetworkStatus::Active {
            return Err(Verdict::of(Reason::NetworkSuspended).into());
        }
        if let Some(verdict) = record.flaw() {
            return Err(verdict.into());
        }
        // Without a token, the click says whose call it is: we signed it.
        if judged.advertiser_id.is_none() && record.token().is_none() {
            judged.advertiser_id = judged.route.as_ref().map(|route| route.campaign().advertiser_id);
        }
        let Some(advertiser_id) = judged.advertiser_id else {
            return Err(match (record.token(), click) {
                (Some(_), _) => Verdict::of(Reason::TokenInvalid),
                (None, Err(verdict)) if !record.said.click_ids.is_empty() => verdict,
                (None, _) => Verdict::of(Reason::TokenMissing),
            }
            .into());
        };
        let integrations = match known {
            Some(integrations) => integrations,
            None => self.routing.integrations(network.id, advertiser_id).await?,
        };
        // A campaign's own token says for which campaign it calls; with any other, the click does.
        let is_own = |route: &&Route| route.campaign().advertiser_id == advertiser_id;
        let clicked = judged.route.as_ref().filter(is_own);
        let meant = carried.campaign_id.or(clicked.map(|route| route.campaign().id));
        let integration = integrations.deciding(meant).cloned();
        let integration = integration.unwrap_or_else(|| Arc::new(Integration::unset(advertiser_id)));
        judged.integration = Some(integration.clone());
        judged.is_proven = match sender {
            Some(sender) => {
                trace.good("sender", "was checked when the call came");
                sender.is_proven
            }
            None => self.authenticate(record, &integration, carried, trace)?,
        };
        if record.said.is_from_browser && !judged.is_proven {
            check_browser(&record.said, trace)?;
        }
        if let Some(route) = &judged.route {
            if route.campaign().advertiser_id != advertiser_id {
                // Whose click it is, is nobody else's business.
                (judged.route, judged.attribution) = (None, None);
                return Err(Verdict::of(Reason::WrongCampaign).into());
            }
            if carried.campaign_id.is_some_and(|id| id != route.campaign().id) {
                let message =
                    "The click belongs to another campaign than the one whose token the call carries.";
                return Err(Verdict::saying(Reason::WrongCampaign, message)
                    .advising("Send the token of the campaign that the visitor came for.")
                    .into());
            }
        }
        match click {
            Ok(click) => {
                let route = judged
                    .route
                    .as_ref()
                    .ok_or_else(|| Verdict::of(Reason::ClickNotFound))?;
                tell_click(
                    trace,
                    click,
                    route,
                    record.received_at,
                    record.said.click_ids.len(),
                );
                Ok(())
            }
            Err(verdict) if !record.said.click_ids.is_empty() => Err(verdict.into()),
            Err(missing) => {
                let reach = Reach {
                    network: network.id,
                    advertiser_id,
                    integrations: &integrations,
                    campaign_id: carried.campaign_id,
                    at: record.received_at,
                };
                let attributed = without_click(&self.routing, customers, reach, &record.said, trace);
                match attributed.await? {
                    WithoutClick::Found(attribution) => {
                        judged.route = self.routing.route(network.id, attribution.link_id).await?;
                        judged.attribution = Some(attribution);
                        let campaign = judged.route.as_ref().map(|route| route.campaign().id);
                        let campaign = campaign.ok_or_else(|| Verdict::of(Reason::ClickNotFound))?;
                        // Only now is it known which campaign it is, and what that demands.
                        let own = integrations.own_of(campaign);
                        let Some(own) = own.filter(|own| own.campaign_id != integration.campaign_id) else {
                            return Ok(());
                        };
                        judged.integration = Some(own.clone());
                        judged.is_proven = match sender {
                            Some(sender) => {
                                tell_own(own, trace);
                                let is_good = demand(own, trace, "token", token(record, own, carried))?;
                                sender.is_proven && is_good
                            }
                            None => self.authenticate(record, own, carried, trace)?,
                        };
                        Ok(())
                    }
                    WithoutClick::WaitForCustomer(customer) => {
                        Err(Stop::Stopped(Stopped::WaitForCustomer(customer)))
                    }
                    WithoutClick::Rejected(verdict) if verdict.reason == Reason::ClickIdMissing => {
                        Err(missing.into())
                    }
                    WithoutClick::Rejected(verdict) => Err(verdict.into()),
                }
            }
        }
    }

    /// The links of clicks that the call names in other letter case, where whoever decides for their campaigns takes them.
    async fn links_in_any_case(
        &self,
        network: &Network,
        record: &PostbackRecord,
        integrations: &Integrations,
    ) -> Result<Vec<LinkId>, RoutingError> {
        let mut links = Vec::new();
        // Most advertisers need no leave, and none of their ids has to be read twice.
        if !integrations.ignore_letter_case() {
            return Ok(links);
        }
        for text in &record.said.click_ids {
            let read = |text: &str| self.click_ids.read(text, network.id, network.click_key);
            let Err(ClickIdFlaw::LetterCase { correct }) = read(text) else {
                continue;
            };
            let Ok(click) = read(&correct) else { continue };
            let route = self.routing.route(network.id, click.link_id()).await?;
            let campaign = route.map(|route| route.campaign().id);
            let deciding = integrations.deciding(campaign);
            links.extend(
                deciding
                    .filter(|it| it.settings.ignores_letter_case)
                    .map(|_| click.link_id()),
            );
        }
        Ok(links)
    }

    /// Https, token, signature and address, as the integration demands them. Returns whether any of them proves the sender.
    fn authenticate(
        &self,
        record: &PostbackRecord,
        integration: &Integration,
        carried: Carried,
        trace: &mut Trace,
    ) -> Result<bool, Verdict> {
        tell_own(integration, trace);
        tell_spelling(integration, record, trace);
        let settings = &integration.settings;
        if record.gives_its_token_away() {
            trace.note(
                "token",
                "one was sent by a browser, for everybody to read: it proves nothing; make a new one",
            );
        }
        if settings.requires_https {
            // It proves nobody.
            demand(integration, trace, "https", https(record))?;
        }
        let is_good = demand(integration, trace, "token", token(record, integration, carried))?;
        let mut is_proven = is_good && record.token().is_some();
        if settings.requires_signature || record.signed.is_some() && integration.has_signing_secret() {
            let found = self.signature(record, integration);
            is_proven |= demand(integration, trace, "signature", found)?;
        }
        let address: Option<IpNet> = record.remote_ip.as_deref().and_then(|ip| ip.parse().ok());
        if !settings.allowed_addresses.0.is_empty() {
            let seen = record.remote_ip.as_deref().unwrap_or("an unknown address");
            let seen = seen.trim_end_matches("/32").trim_end_matches("/128");
            let found = match integration.allows(address) {
                true => Ok(format!("{seen} is allowed")),
                false => Err(Verdict::saying(
                    Reason::IpNotAllowed,
                    format!("The call came from {seen}, which is not among the addresses allowed."),
                )),
            };
            // Of a browser it is the visitor's own.
            is_proven |= demand(integration, trace, "address", found)? && !record.said.is_from_browser;
        }
        Ok(is_proven)
    }

    fn signature(&self, record: &PostbackRecord, integration: &Integration) -> Result<String, Verdict> {
        let signed = record
            .signed
            .as_ref()
            .ok_or_else(|| Verdict::of(Reason::SignatureMissing))?;
        let secret = integration
            .signing_secret(&self.secret)
            .ok_or_else(|| Verdict::of(Reason::SignatureInvalid))?;
        signed.check(
            &secret,
            integration.settings.signature_seconds,
            record.received_at,
        )?;
        Ok(format!("fits {}", signed.signed_string()))
    }
}

fn https(record: &PostbackRecord) -> Result<String, Verdict> {
    match record.over_https {
        Some(true) => Ok("the call came over it".to_owned()),
        Some(false) => Err(Verdict::of(Reason::HttpsRequired)),
        None => Ok("nothing is known of how the call came, so it is not demanded".to_owned()),
    }
}

/// Says in the trace that not the advertiser's integration decides, if it does not.
fn tell_own(integration: &Integration, trace: &mut Trace) {
    if integration.campaign_id.is_some() {
        trace.good("integration", "the campaign's own, in place of the advertiser's");
    }
}

/// Says in the trace that a call is in another spelling than the integration says. It is understood all the same.
fn tell_spelling(integration: &Integration, record: &PostbackRecord, trace: &mut Trace) {
    let said = integration.settings.dialect.as_deref().and_then(dialects::of_key);
    let Some(said) = said.filter(|said| said.key != record.dialect().key) else {
        return;
    };
    let words = format!(
        "the integration says {}, and this call is in another one",
        said.name
    );
    trace.note("spelling", words);
}

/// Notes what a check of the sender found. Returns whether it is as it should be; what is not ends the walk, unless the
/// integration only looks.
fn demand(
    integration: &Integration,
    trace: &mut Trace,
    check: &str,
    found: Result<String, Verdict>,
) -> Result<bool, Verdict> {
    match found {
        Ok(words) => {
            trace.good(check, words);
            Ok(true)
        }
        Err(verdict) if integration.settings.is_monitoring => {
            let words = format!(
                "{}: {} It is only looked at.",
                verdict.reason.code(),
                verdict.message
            );
            trace.add(check, Found::Tolerated, words);
            Ok(false)
        }
        Err(verdict) => Err(verdict),
    }
}

/// Whether the token of a call is the one that the integration demands. Whose advertiser's it is, is known.
fn token(record: &PostbackRecord, integration: &Integration, carried: Carried) -> Result<String, Verdict> {
    if record.token().is_none() {
        return match integration.settings.requires_token {
            true if record.said.is_from_browser => {
                let message = "A token is demanded, and what a browser sends is no secret.";
                let advice =
                    "Report the order from your server, or ask the network to demand no token of you.";
                Err(Verdict::saying(Reason::TokenMissing, message).advising(advice))
            }
            true => Err(Verdict::of(Reason::TokenMissing)),
            false => Ok("none, and none is demanded: the click says whose call it is".to_owned()),
        };
    }
    if let Some(until) = carried.expired {
        let message = format!(
            "This token was replaced, and was taken until {}.",
            until.format("%F %R UTC")
        );
        return Err(Verdict::saying(Reason::TokenExpired, message));
    }
    match (integration.campaign_id, carried.campaign_id) {
        (Some(_), Some(_)) => Ok("the campaign's own".to_owned()),
        (Some(_), None) if integration.took_advertisers_token(record.received_at) => {
            Ok("the advertiser's, which was still taken for this campaign".to_owned())
        }
        (Some(_), None) => {
            let message = "The campaign has a token of its own, and the call carries the advertiser's.";
            Err(Verdict::saying(Reason::TokenInvalid, message)
                .advising("Send the campaign's own token; a new one can be made on the campaign's page."))
        }
        (None, _) => Ok("the advertiser's own".to_owned()),
    }
}

/// Whoever has the click could have sent what a browser sends: it is believed that there was an order, and no more.
fn check_browser(said: &Postback, trace: &mut Trace) -> Result<(), Verdict> {
    let is_change = said.intent != Intent::Report;
    let too_much = [
        ("action or refund", is_change),
        ("status", said.status.is_some()),
        (
            "commission",
            said.commission.is_some() || said.commission_rate_ppm.is_some(),
        ),
        ("revenue", said.revenue.is_some()),
    ];
    match too_much.iter().find(|(_, is_said)| *is_said) {
        Some((name, _)) => {
            let message =
                format!("A browser may report an order and nothing else, and this call says {name}.");
            Err(Verdict::saying(Reason::ReportOnly, message))
        }
        None => {
            trace.note(
                "browser",
                "it came from a browser: whoever has the click could have sent it",
            );
            Ok(())
        }
    }
}
