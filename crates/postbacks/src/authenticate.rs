//! Authenticates and attributes a journaled postback from its fields and the configuration alone; checks that need stored
//! state follow in [`crate::deciding`].
//!
//! The steps, in order: identify the sender, read the click, choose the integration, authenticate, attribute. Each may end
//! with a verdict; the findings so far are stored with it.

use std::sync::Arc;

use campaigns::campaigns::CampaignStatus;
use campaigns::click_id::{ClickId, ClickIdFlaw, ClickIds};
use campaigns::integrations::{Integration, Integrations};
use campaigns::{Route, Routing, RoutingError};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use dialects::{Intent, Postback};
use ipnet::IpNet;
use schema::{AdvertiserId, CampaignId, ClickKey, LinkId};
use tenancy::Secret;
use tenancy::networks::{Network, NetworkStatus};

use crate::attribution::{
    Attribution, Customers, EligibleCampaigns, WithoutClick, read_clicks, trace_click, without_click,
};
use crate::received::{KnownSender, Origin, Received};
use crate::record::PostbackRecord;
use crate::trace::{CheckResult, Trace};
use crate::verdict::{Reason, Verdict};

/// Authenticates and attributes postbacks. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    routing: Routing,
    click_ids: ClickIds,
    secret: Secret,
}

/// Scope of the token that was sent.
#[derive(Clone, Copy)]
struct TokenScope {
    /// Campaign for which alone the token is valid; `None` for the advertiser's.
    campaign_id: Option<CampaignId>,
    /// End of its overlap with the current token, if that is over.
    expired: Option<DateTime<Utc>>,
}

/// Findings about a postback, stored with it whatever its verdict.
pub(crate) struct Findings {
    pub(crate) record: PostbackRecord,
    pub(crate) origin: Origin,
    pub(crate) network: Arc<Network>,
    sender: Option<KnownSender>,
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
    fn new(received: Received, network: Arc<Network>) -> Self {
        Self {
            record: received.record,
            origin: received.origin,
            network,
            sender: received.sender,
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
        self.route.as_ref().is_some_and(is_test)
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
        is_test(&self.route)
    }

    pub(crate) fn time_zone(&self) -> Tz {
        self.network.time_zone()
    }
}

fn is_test(route: &Route) -> bool {
    route.is_test || route.campaign().status == CampaignStatus::Testing
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

    /// Authenticates and attributes a postback; `None` if its network does not exist any more.
    ///
    /// # Errors
    /// When the configuration cannot be read; the postback is to be decided later.
    pub(crate) async fn attribute(
        &self,
        customers: &Customers,
        received: Received,
    ) -> Result<Option<Attempt>, RoutingError> {
        let Some(network) = self.routing.network_of_id(received.record.network).await? else {
            return Ok(None);
        };
        let mut findings = Box::new(Findings::new(received, network));
        match self.take_steps(customers, &mut findings).await {
            Ok((sender, integration, attribution, route)) => {
                Ok(Some(Attempt::Attributed(Box::new(Attributed {
                    advertiser_id: sender.advertiser_id,
                    is_authenticated: findings.is_authenticated,
                    integration,
                    attribution,
                    route,
                    record: findings.record,
                    origin: findings.origin,
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
        customers: &Customers,
        findings: &mut Findings,
    ) -> Result<(Sender, Arc<Integration>, Attribution, Route), Stop> {
        findings.trace.pass("dialect", findings.record.dialect().name);
        let token = self.identify_sender(findings).await?;
        let (click, integrations) = self.read_click(findings).await?;
        check_acceptable(findings)?;
        let sender = self.require_sender(findings, token, integrations, &click).await?;
        let integration = choose_integration(findings, &sender);
        self.authenticate(findings, &integration, sender.token)?;
        check_campaign(findings, &sender)?;
        let (attribution, route, integration) = self
            .attribute_to(customers, findings, &sender, integration, click)
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
        // Case-insensitive click IDs are accepted only if the campaign's integration allows it and the token identified
        // the advertiser.
        let lenient = match &integrations {
            Some(integrations) => self.links_in_any_case(findings, integrations).await?,
            None => Vec::new(),
        };
        let click = read_clicks(&self.click_ids, network, &findings.record.postback, &lenient);
        if let Ok(click) = click {
            findings.route = self.routing.route(network.id, click.link_id()).await?;
            findings.attribution = Some(Attribution::of_click(click));
        }
        Ok((click, integrations))
    }

    /// Identifies the sender by the click if no token was sent: the network signed the click's ID.
    async fn require_sender(
        &self,
        findings: &mut Findings,
        token: TokenScope,
        integrations: Option<Arc<Integrations>>,
        click: &Result<ClickId, Verdict>,
    ) -> Result<Sender, Stop> {
        let record = &findings.record;
        if findings.advertiser_id.is_none() && record.token().is_none() {
            findings.advertiser_id = findings
                .route
                .as_ref()
                .map(|route| route.campaign().advertiser_id);
        }
        let Some(advertiser_id) = findings.advertiser_id else {
            return Err(match (record.token(), click) {
                (Some(_), _) => Verdict::of(Reason::TokenInvalid),
                (None, Err(verdict)) if !record.postback.click_ids.is_empty() => verdict.clone(),
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
        integrations: &Integrations,
    ) -> Result<Vec<LinkId>, RoutingError> {
        let mut links = Vec::new();
        // Most advertisers do not allow it, and their IDs need no second reading.
        if !integrations.ignore_letter_case() {
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
            let campaign = route.map(|route| route.campaign().id);
            let deciding = integrations.deciding(campaign);
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
                trace.pass("sender", "was authenticated on arrival");
                sender.is_authenticated
            }
            None => self.check_sender(record, integration, token, trace)?,
        };
        if record.postback.is_from_browser && !findings.is_authenticated {
            check_browser(&record.postback, trace)?;
        }
        Ok(())
    }

    /// Returns true if a check proves the sender.
    fn check_sender(
        &self,
        record: &PostbackRecord,
        integration: &Integration,
        scope: TokenScope,
        trace: &mut Trace,
    ) -> Result<bool, Verdict> {
        trace_integration(integration, trace);
        trace_dialect_mismatch(integration, record, trace);
        let settings = &integration.settings;
        if record.has_public_token() {
            trace.note(
                "token",
                "a browser sent it, so it is public and proves nothing; create a new one",
            );
        }
        if settings.requires_https {
            // It proves no sender.
            enforce(integration, trace, "https", check_https(record))?;
        }
        let token = check_token(record, integration, scope);
        let is_valid = enforce(integration, trace, "token", token)?;
        let mut is_authenticated = is_valid && record.token().is_some();
        if settings.requires_signature || record.signed.is_some() && integration.has_signing_secret() {
            let signature = self.check_signature(record, integration);
            is_authenticated |= enforce(integration, trace, "signature", signature)?;
        }
        if !settings.allowed_addresses.0.is_empty() {
            let is_allowed = enforce(integration, trace, "address", check_address(record, integration))?;
            // The address of a browser is the visitor's.
            is_authenticated |= is_allowed && !record.postback.is_from_browser;
        }
        Ok(is_authenticated)
    }

    fn check_signature(&self, record: &PostbackRecord, integration: &Integration) -> Result<String, Verdict> {
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
        Ok(format!("matches {}", signed.signed_string()))
    }

    /// Attributes to the click, or else by the other proofs; then the campaign is known, and its own integration decides.
    async fn attribute_to(
        &self,
        customers: &Customers,
        findings: &mut Findings,
        sender: &Sender,
        integration: Arc<Integration>,
        click: Result<ClickId, Verdict>,
    ) -> Result<(Attribution, Route, Arc<Integration>), Stop> {
        let record = &findings.record;
        let missing = match click {
            Ok(click) => {
                let route = findings.route.clone();
                let route = route.ok_or_else(|| Verdict::of(Reason::ClickNotFound))?;
                let sent = record.postback.click_ids.len();
                trace_click(&mut findings.trace, click, &route, record.received_at, sent);
                return Ok((Attribution::of_click(click), route, integration));
            }
            Err(verdict) if !record.postback.click_ids.is_empty() => return Err(verdict.into()),
            Err(missing) => missing,
        };
        let eligible = EligibleCampaigns {
            network: record.network,
            advertiser_id: sender.advertiser_id,
            integrations: &sender.integrations,
            campaign_id: sender.token.campaign_id,
            at: record.received_at,
        };
        let found = without_click(
            &self.routing,
            customers,
            eligible,
            &record.postback,
            &mut findings.trace,
        );
        let attribution = match found.await? {
            WithoutClick::Found(attribution) => attribution,
            WithoutClick::WaitForCustomer(customer) => {
                return Err(Stop::Stopped(Stopped::WaitForCustomer(customer)));
            }
            WithoutClick::Rejected(verdict) if verdict.reason == Reason::ClickIdMissing => {
                return Err(missing.into());
            }
            WithoutClick::Rejected(verdict) => return Err(verdict.into()),
        };
        let route = self.routing.route(record.network, attribution.link_id).await?;
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
            Some(known) => {
                trace_integration(own, trace);
                let is_valid = enforce(own, trace, "token", check_token(record, own, sender.token))?;
                known.is_authenticated && is_valid
            }
            None => self.check_sender(record, own, sender.token, trace)?,
        };
        Ok(own.clone())
    }
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

fn check_https(record: &PostbackRecord) -> Result<String, Verdict> {
    match record.over_https {
        Some(true) => Ok("the postback was sent over it".to_owned()),
        Some(false) => Err(Verdict::of(Reason::HttpsRequired)),
        None => Ok("not checked: it is unknown how the postback was sent".to_owned()),
    }
}

fn check_address(record: &PostbackRecord, integration: &Integration) -> Result<String, Verdict> {
    let address: Option<IpNet> = record.remote_ip.as_deref().and_then(|ip| ip.parse().ok());
    let seen = record.remote_ip.as_deref().unwrap_or("an unknown address");
    let seen = seen.trim_end_matches("/32").trim_end_matches("/128");
    if integration.allows(address) {
        Ok(format!("{seen} is allowed"))
    } else {
        Err(Verdict::with_message(
            Reason::IpNotAllowed,
            format!("The postback came from {seen}, which is not an allowed address."),
        ))
    }
}

/// Checks that the token is the one that the integration requires. The advertiser is known.
fn check_token(
    record: &PostbackRecord,
    integration: &Integration,
    scope: TokenScope,
) -> Result<String, Verdict> {
    if record.token().is_none() {
        if !integration.settings.requires_token {
            return Ok("none sent and none required: the click identifies the advertiser".to_owned());
        }
        if record.postback.is_from_browser {
            let message = "A token is required, and a token from a browser is not secret.";
            let hint = "Report the order from your server, or ask the network to require no token.";
            return Err(Verdict::with_message(Reason::TokenMissing, message).with_hint(hint));
        }
        return Err(Verdict::of(Reason::TokenMissing));
    }
    if let Some(until) = scope.expired {
        let message = format!(
            "This token was replaced, and was valid until {}.",
            until.format("%F %R UTC")
        );
        return Err(Verdict::with_message(Reason::TokenExpired, message));
    }
    match (integration.campaign_id, scope.campaign_id) {
        (Some(_), Some(_)) => Ok("that of the campaign".to_owned()),
        (Some(_), None) if integration.took_advertisers_token(record.received_at) => {
            Ok("that of the advertiser, which was still valid for this campaign".to_owned())
        }
        (Some(_), None) => {
            let message =
                "The campaign has its own token, and the postback was sent with that of the advertiser.";
            Err(Verdict::with_message(Reason::TokenInvalid, message)
                .with_hint("Send the token of the campaign; the campaign page creates a new one."))
        }
        (None, _) => Ok("that of the advertiser".to_owned()),
    }
}

/// Refuses more than an order report from a browser: every visitor with the click could have sent it.
fn check_browser(postback: &Postback, trace: &mut Trace) -> Result<(), Verdict> {
    let has_commission = postback.commission.is_some() || postback.commission_rate_ppm.is_some();
    let forbidden = [
        ("action or refund", postback.intent != Intent::Report),
        ("status", postback.status.is_some()),
        ("commission", has_commission),
        ("revenue", postback.revenue.is_some()),
    ];
    if let Some((name, _)) = forbidden.iter().find(|(_, is_sent)| *is_sent) {
        let message =
            format!("A browser may report an order and nothing else, but this postback has {name}.");
        return Err(Verdict::with_message(Reason::ReportOnly, message));
    }
    trace.note(
        "browser",
        "a browser sent it: every visitor with the click could have",
    );
    Ok(())
}

/// Adds to the trace that the campaign's own integration decides.
fn trace_integration(integration: &Integration, trace: &mut Trace) {
    if integration.campaign_id.is_some() {
        trace.pass(
            "integration",
            "that of the campaign, in place of the advertiser's",
        );
    }
}

/// Adds to the trace that the postback is in another dialect than the integration's. It is accepted all the same.
fn trace_dialect_mismatch(integration: &Integration, record: &PostbackRecord, trace: &mut Trace) {
    let expected = integration.settings.dialect.as_deref().and_then(dialects::of_key);
    if let Some(expected) = expected.filter(|expected| expected.key != record.dialect().key) {
        let words = format!(
            "the integration uses the format of {}, this postback another one",
            expected.name
        );
        trace.note("format", words);
    }
}

/// Adds a check of the sender to the trace. Returns true if it passed; a failed one ends the steps, unless the integration
/// only monitors.
fn enforce(
    integration: &Integration,
    trace: &mut Trace,
    check: &str,
    result: Result<String, Verdict>,
) -> Result<bool, Verdict> {
    match result {
        Ok(words) => {
            trace.pass(check, words);
            Ok(true)
        }
        Err(verdict) if integration.settings.is_monitoring => {
            let words = format!(
                "{}: {} Accepted, because the integration only monitors.",
                verdict.reason.code(),
                verdict.message
            );
            trace.add(check, CheckResult::Tolerated, words);
            Ok(false)
        }
        Err(verdict) => Err(verdict),
    }
}
