//! Authenticates and attributes a journaled postback from its fields and the configuration alone; checks that need stored
//! state follow in [`crate::deciding`].
//!
//! The steps, in order: identify the sender, read the click, choose the integration, authenticate, attribute. Each may end
//! with a verdict; the findings so far are stored with it.

use std::sync::Arc;

use campaigns::click_id::{ClickId, ClickIdFlaw, ClickIds};
use campaigns::integrations::{Integration, Integrations};
use campaigns::{AttributedBy, Route, Routing, RoutingError};
use chrono::{DateTime, TimeDelta, Utc};
use schema::{AdvertiserId, LinkId};
use tenancy::Secret;
use tenancy::networks::NetworkStatus;

use crate::attributed::{Attempt, Attributed, Findings, Stopped};
use crate::attribution::{Attributing, Attribution, EarlierConversions, EligibleCampaigns, WithoutClick};
use crate::click_reading::{read_clicks, trace_click};
use crate::received::Received;
use crate::sender::{TokenScope, check_browser, check_sender, check_token, enforce, trace_integration};
use crate::verdict::{Reason, Verdict};

/// Authenticates and attributes postbacks. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    routing: Routing,
    click_ids: ClickIds,
    secret: Secret,
}

/// Known parts of a postback whose sender is identified.
struct Sender {
    advertiser_id: AdvertiserId,
    token: TokenScope,
    integrations: Arc<Integrations>,
}

/// Early end of the steps: a verdict or a hold, or a failure of ours.
enum Stop {
    Stopped(Stopped),
    Failed(RoutingError),
}

impl From<Verdict> for Stop {
    fn from(verdict: Verdict) -> Self {
        Self::Stopped(Stopped::Verdict(verdict))
    }
}

impl From<RoutingError> for Stop {
    fn from(error: RoutingError) -> Self {
        Self::Failed(error)
    }
}

impl Authenticator {
    /// Uses this configuration, these click IDs, and the installation's secret for the signing secrets.
    #[must_use]
    pub fn new(routing: Routing, click_ids: ClickIds, secret: Secret) -> Self {
        Self {
            routing,
            click_ids,
            secret,
        }
    }

    /// Configuration in memory.
    #[must_use]
    pub fn routing(&self) -> &Routing {
        &self.routing
    }

    /// True if a postback may be attributed by its customer: it names one, and no click of ours that is young enough, or the
    /// campaign asks for the customer first.
    pub(crate) async fn asks_for_customer(&self, received: &Received) -> Result<bool, RoutingError> {
        let record = &received.record;
        if record.postback.customer_id.is_none() {
            return Ok(false);
        }
        if record.postback.click_ids.is_empty() {
            return Ok(true);
        }
        let Some(network) = self.routing.network_of_id(record.network).await? else {
            return Ok(false);
        };
        let Ok(click) = read_clicks(&self.click_ids, &network, record, &[]) else {
            return Ok(true);
        };
        let route = self.routing.route(network.id, click.link_id()).await?;
        Ok(route.is_none_or(|route| {
            is_expired(click, &route, record.received_at)
                || route.campaign().comes_before_click(AttributedBy::Customer)
        }))
    }

    /// Authenticates and attributes a postback; `None` if its network does not exist any more.
    ///
    /// # Errors
    /// Returns an error if the configuration cannot be read; the postback is to be decided later.
    pub(crate) async fn attribute(
        &self,
        earlier: &EarlierConversions,
        received: Received,
    ) -> Result<Option<Attempt>, RoutingError> {
        let Some(network) = self.routing.network_of_id(received.record.network).await? else {
            return Ok(None);
        };
        let mut findings = Box::new(Findings::new(received, network));
        match self.take_steps(earlier, &mut findings).await {
            Ok((sender, integration, attribution, route)) => {
                let decimals = route.campaign().currency.decimals();
                findings.record.postback.with_decimals(decimals);
                Ok(Some(Attempt::Attributed(Box::new(Attributed {
                    advertiser_id: sender.advertiser_id,
                    is_authenticated: findings.is_authenticated,
                    integration,
                    attribution,
                    route,
                    record: findings.record,
                    origin: findings.origin,
                    answered: findings.answered,
                    network: findings.network,
                    trace: findings.trace,
                }))))
            }
            Err(Stop::Stopped(stopped)) => Ok(Some(Attempt::Stopped(findings, stopped))),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    async fn take_steps(
        &self,
        earlier: &EarlierConversions,
        findings: &mut Findings,
    ) -> Result<(Sender, Arc<Integration>, Attribution, Route), Stop> {
        findings.trace.pass("dialect", findings.record.dialect().name);
        if findings.record.postback.is_rounded {
            let words = "sent with more than six decimals, as programs write binary fractions, and rounded";
            findings.trace.note("amount", words);
        }
        let token = self.identify_sender(findings).await?;
        let (mut click, integrations) = self.read_click(findings).await?;
        self.find_advertiser(findings).await?;
        check_acceptable(findings)?;
        let sender = self.require_sender(findings, token, integrations, &click).await?;
        let integration = choose_integration(findings, &sender);
        self.authenticate(findings, &integration, sender.token)?;
        if let Err(verdict) = check_campaign(findings, &sender) {
            click = Err(verdict);
        }
        let (attribution, route, integration) = self
            .attribute_to(earlier, findings, &sender, integration, click)
            .await?;
        Ok((sender, integration, attribution, route))
    }

    /// Finds the advertiser whose token was sent; a held or replayed postback was identified when it arrived.
    async fn identify_sender(&self, findings: &mut Findings) -> Result<TokenScope, Stop> {
        let record = &findings.record;
        let owner = match record.token() {
            Some(token) => self.routing.token_owner(record.network, token).await?,
            None => None,
        };
        let sender = findings.sender;
        findings.advertiser_id = sender
            .map(|sender| sender.advertiser_id)
            .or(owner.map(|owner| owner.holder.advertiser_id));
        Ok(TokenScope {
            campaign_id: match sender {
                Some(sender) => sender.campaign_id,
                None => owner.and_then(|owner| owner.holder.campaign_id),
            },
            expired: owner
                .and_then(|owner| owner.until)
                .filter(|until| *until <= record.received_at),
        })
    }

    /// Reads the click ID and looks up its link. Returns the sender's integrations too, if they were needed.
    async fn read_click(
        &self,
        findings: &mut Findings,
    ) -> Result<(Result<ClickId, Verdict>, Option<Arc<Integrations>>), Stop> {
        let network = &findings.network;
        let integrations = match findings.advertiser_id {
            Some(id) => Some(self.routing.integrations(network.id, id).await?),
            None => None,
        };
        // Case-insensitive click IDs are accepted only if the campaign's integration allows it.
        let lenient = self.links_in_any_case(findings, integrations.as_deref()).await?;
        let click = read_clicks(&self.click_ids, network, &findings.record, &lenient);
        if let Ok(click) = click {
            findings.route = self.routing.route(network.id, click.link_id()).await?;
            findings.attribution = Some(Attribution::of_click(click));
        }
        Ok((click, integrations))
    }

    /// Finds the advertiser by the click, whose ID the network signed, or else by the reference, or else by the address it
    /// came from, if no token was sent.
    async fn find_advertiser(&self, findings: &mut Findings) -> Result<(), RoutingError> {
        let record = &findings.record;
        if findings.advertiser_id.is_some() || record.token().is_some() {
            return Ok(());
        }
        if let Some(route) = &findings.route {
            findings.advertiser_id = Some(route.campaign().advertiser_id);
            return Ok(());
        }
        if let Some(reference) = &record.postback.reference {
            let routing = &self.routing;
            findings.advertiser_id = routing.advertiser_of_reference(record.network, reference).await?;
        }
        // The address of a browser is the visitor's.
        let address = record.address().filter(|_| !record.postback.is_from_browser);
        if let (None, Some(address)) = (findings.advertiser_id, address) {
            let routing = &self.routing;
            findings.advertiser_id = routing.advertiser_of_address(record.network, address).await?;
        }
        Ok(())
    }

    /// Refuses a sender of whom no advertiser is known.
    async fn require_sender(
        &self,
        findings: &Findings,
        token: TokenScope,
        integrations: Option<Arc<Integrations>>,
        click: &Result<ClickId, Verdict>,
    ) -> Result<Sender, Stop> {
        let record = &findings.record;
        let Some(advertiser_id) = findings.advertiser_id else {
            return Err(match (record.token(), click) {
                (Some(_), _) => Verdict::of(Reason::TokenInvalid),
                // A format without a place for a token leaves the click to identify the sender.
                (None, Err(verdict))
                    if !record.postback.click_ids.is_empty()
                        || verdict.names_are_theirs
                        || !record.dialect().has_token() =>
                {
                    verdict.clone()
                }
                (None, _) => Verdict::of(Reason::TokenMissing),
            }
            .into());
        };
        let integrations = match integrations {
            Some(integrations) => integrations,
            None => self.routing.integrations(record.network, advertiser_id).await?,
        };
        Ok(Sender {
            advertiser_id,
            token,
            integrations,
        })
    }

    /// Links of clicks that the postback names in other letter case, as far as the integrations of their campaigns accept
    /// that.
    async fn links_in_any_case(
        &self,
        findings: &Findings,
        integrations: Option<&Integrations>,
    ) -> Result<Vec<LinkId>, RoutingError> {
        let mut links = Vec::new();
        // Most advertisers do not allow it, and their IDs need no second reading.
        if integrations.is_some_and(|integrations| !integrations.ignore_letter_case()) {
            return Ok(links);
        }
        let network = &findings.network;
        let read = |text: &str| self.click_ids.read(text, network.id, network.click_key);
        for text in &findings.record.postback.click_ids {
            let Err(ClickIdFlaw::LetterCase { correct }) = read(text) else {
                continue;
            };
            let Ok(click) = read(&correct) else { continue };
            let route = self.routing.route(network.id, click.link_id()).await?;
            let Some(route) = route else { continue };
            // Without a token, the click identifies the advertiser: its signature holds in either letter case.
            let clicked;
            let integrations = match integrations {
                Some(integrations) => integrations,
                None => {
                    let advertiser = route.campaign().advertiser_id;
                    clicked = self.routing.integrations(network.id, advertiser).await?;
                    &*clicked
                }
            };
            let deciding = integrations.deciding(Some(route.campaign().id));
            if deciding.is_some_and(|integration| integration.settings.ignores_letter_case) {
                links.push(click.link_id());
            }
        }
        Ok(links)
    }

    /// Checks HTTPS, token, signature and address as the integration requires them.
    fn authenticate(
        &self,
        findings: &mut Findings,
        integration: &Arc<Integration>,
        token: TokenScope,
    ) -> Result<(), Stop> {
        findings.integration = Some(integration.clone());
        let Findings { record, trace, .. } = findings;
        findings.is_authenticated = match findings.sender {
            Some(sender) => {
                trace.pass(
                    "sender",
                    match record.entered_for {
                        Some(_) if record.is_simulated => "the network simulated it",
                        Some(_) => "a user of the network entered it",
                        None => "was authenticated on arrival",
                    },
                );
                sender.is_authenticated
            }
            None => check_sender(&self.secret, record, integration, token, trace)?,
        };
        if record.postback.is_from_browser && !findings.is_authenticated {
            check_browser(&record.postback, trace)?;
        }
        Ok(())
    }

    /// Attributes to the click, or else by the other proofs; then the campaign is known, and its own integration decides.
    async fn attribute_to(
        &self,
        earlier: &EarlierConversions,
        findings: &mut Findings,
        sender: &Sender,
        integration: Arc<Integration>,
        click: Result<ClickId, Verdict>,
    ) -> Result<(Attribution, Route, Arc<Integration>), Stop> {
        let record = &findings.record;
        let has_other_proof = record.postback.customer_id.is_some()
            || record.postback.coupon.is_some()
            || record.postback.affiliate_key.is_some();
        let attributing = Attributing {
            routing: &self.routing,
            earlier,
            eligible: EligibleCampaigns {
                network: record.network,
                advertiser_id: sender.advertiser_id,
                integrations: &sender.integrations,
                campaign_id: sender.token.campaign_id,
                within: None,
                at: record.received_at,
            },
            postback: &record.postback,
        };
        let sent_click = !record.postback.click_ids.is_empty();
        let useless = match click {
            Ok(click) => {
                let route = findings.route.clone();
                let route = route.ok_or_else(|| Verdict::of(Reason::ClickNotFound))?;
                if !(has_other_proof && is_expired(click, &route, record.received_at)) {
                    let before = attributing.before_click(&route, &mut findings.trace).await??;
                    let Some(attribution) = before else {
                        let sent = record.postback.click_ids.len();
                        trace_click(&mut findings.trace, click, &route, record.received_at, sent);
                        return Ok((Attribution::of_click(click), route, integration));
                    };
                    let words = format!("the campaign attributes by {} first", attribution.by);
                    findings.trace.unused("click_id", words);
                    return self.attributed(findings, sender, integration, attribution).await;
                }
                let message = "The click is older than the campaign's attribution window.";
                Verdict::with_message(Reason::ClickExpired, message)
            }
            Err(useless) => useless,
        };
        let record_needs_click = record.dialect().needs_click();
        if sent_click && !has_other_proof {
            return Err(useless.into());
        }
        let found = attributing.without_click(&mut findings.trace).await?;
        if sent_click {
            // The click is what the sender meant: its fault is the reason, unless another proof stands in.
            let WithoutClick::Found(_) = found else {
                return Err(useless.into());
            };
            findings.trace.unused("click_id", useless.message.clone());
        }
        let attribution = match found {
            WithoutClick::Found(attribution) => attribution,
            // The first event of a customer names the click itself: waiting cannot help.
            WithoutClick::WaitForCustomer(_) if record_needs_click => return Err(useless.into()),
            WithoutClick::WaitForCustomer(customer) => {
                return Err(Stop::Stopped(Stopped::WaitForCustomer(customer)));
            }
            WithoutClick::Rejected(verdict) if verdict.reason == Reason::ClickIdMissing => {
                return Err(useless.into());
            }
            WithoutClick::Rejected(verdict) => return Err(verdict.into()),
        };
        self.attributed(findings, sender, integration, attribution).await
    }

    /// Looks up the link, whose campaign may have an integration.
    async fn attributed(
        &self,
        findings: &mut Findings,
        sender: &Sender,
        integration: Arc<Integration>,
        attribution: Attribution,
    ) -> Result<(Attribution, Route, Arc<Integration>), Stop> {
        let network = findings.record.network;
        let route = self.routing.route(network, attribution.link_id).await?;
        findings.attribution = Some(attribution);
        findings.route.clone_from(&route);
        let route = route.ok_or_else(|| Verdict::of(Reason::ClickNotFound))?;
        let integration = self.choose_again(findings, sender, integration, &route)?;
        Ok((attribution, route, integration))
    }

    /// Authenticates by the campaign's own integration, if attribution found a campaign with one.
    fn choose_again(
        &self,
        findings: &mut Findings,
        sender: &Sender,
        integration: Arc<Integration>,
        route: &Route,
    ) -> Result<Arc<Integration>, Verdict> {
        let own = sender.integrations.own_of(route.campaign().id);
        let Some(own) = own.filter(|own| own.campaign_id != integration.campaign_id) else {
            return Ok(integration);
        };
        findings.integration = Some(own.clone());
        let Findings { record, trace, .. } = findings;
        findings.is_authenticated = match findings.sender {
            // A user of the network needs no token.
            Some(known) if record.entered_for.is_some() => {
                trace_integration(own, trace);
                known.is_authenticated
            }
            Some(known) => {
                trace_integration(own, trace);
                let is_valid = enforce(own, trace, "token", check_token(record, own, sender.token))?;
                known.is_authenticated && is_valid
            }
            None => check_sender(&self.secret, record, own, sender.token, trace)?,
        };
        Ok(own.clone())
    }
}

/// True if a click is older than the attribution window of its campaign.
fn is_expired(click: ClickId, route: &Route, at: DateTime<Utc>) -> bool {
    at - click.clicked_at() > TimeDelta::days(route.campaign().attribution_days.into())
}

/// Refuses postbacks of suspended networks, and requests that could not be read.
fn check_acceptable(findings: &Findings) -> Result<(), Verdict> {
    if findings.network.status != NetworkStatus::Active {
        return Err(Verdict::of(Reason::NetworkSuspended));
    }
    findings.record.problem().map_or(Ok(()), Err)
}

/// Integration for the postback: that of the campaign whose token was sent, or else of the click's campaign, or else the
/// advertiser's.
fn choose_integration(findings: &Findings, sender: &Sender) -> Arc<Integration> {
    let is_own = |route: &&Route| route.campaign().advertiser_id == sender.advertiser_id;
    let clicked = findings.route.as_ref().filter(is_own);
    let campaign = sender
        .token
        .campaign_id
        .or(clicked.map(|route| route.campaign().id));
    let integration = sender.integrations.deciding(campaign).cloned();
    integration.unwrap_or_else(|| Arc::new(Integration::unset(sender.advertiser_id)))
}

/// Refuses a click of another advertiser's campaign, or of another campaign than that of the token.
fn check_campaign(findings: &mut Findings, sender: &Sender) -> Result<(), Verdict> {
    let Some(route) = &findings.route else {
        return Ok(());
    };
    if route.campaign().advertiser_id != sender.advertiser_id {
        // The sender must not learn about the click of another advertiser.
        (findings.route, findings.attribution) = (None, None);
        return Err(Verdict::of(Reason::WrongCampaign));
    }
    if sender
        .token
        .campaign_id
        .is_some_and(|id| id != route.campaign().id)
    {
        let message = "The click belongs to another campaign than the token.";
        return Err(Verdict::with_message(Reason::WrongCampaign, message)
            .with_hint("Send the token of the campaign that the visitor clicked."));
    }
    Ok(())
}
