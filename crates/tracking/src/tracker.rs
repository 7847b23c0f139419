//! What the intake handlers share, and the decision and storing of a postback between its arrival and its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use campaigns::integrations::Token;
use campaigns::{Route, Routing, RoutingError};
use chrono::{DateTime, Utc};
use dialects::{Answer, Postback, RawCall, Status, native};
use ipnet::IpNet;
use schema::{AdvertiserId, ConversionId, Db, DbError, GoalId, Money, NetworkConn, NetworkId, PostbackId};
use tenancy::networks::{Network, NetworkStatus, host_of};
use tenancy::{RateLimit, Secret};

use crate::click_id::{ClickId, ClickIdFlaw, ClickIds, LENGTH};
use crate::click_writer::ClickWriter;
use crate::conversions::{self, Conversion, Recorded};
use crate::decide::{Case, Decision, decide};
use crate::postbacks::{self, PostbackStatus, StoredPostback};
use crate::redaction::{blank_text, blank_token, blank_tokens, is_secret};
use crate::verdict::{Reason, Verdict};

/// How long an advertiser's server is made to wait for the disk before being told to call again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What a tracker is made from.
pub struct TrackerSettings {
    /// The tracking paths' own pool, so that no page can take their connections.
    pub db: Db,
    /// The installation's secret, from which the keys of click ids are derived.
    pub secret: Secret,
    /// Where people look at postbacks and reasons, without a slash at the end.
    pub dashboard_url: String,
    /// Where visitors reach the host that all networks share: `/{network}/{alias}` works there.
    pub tracking_url: String,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// The tracking paths' shared parts. Cheap to clone.
#[derive(Clone)]
pub struct Tracker {
    pub(crate) routing: Routing,
    pub(crate) click_ids: ClickIds,
    pub(crate) clicks: ClickWriter,
    pub(crate) trusted_proxies: Arc<[IpNet]>,
    /// The host that all networks share.
    pub(crate) shared_host: Arc<str>,
    /// Postbacks per second and network.
    pub(crate) postback_rate: RateLimit<NetworkId>,
    db: Db,
    dashboard_url: Arc<str>,
}

/// A postback as it arrived.
#[derive(Debug, Clone)]
pub struct InboundCall {
    /// Its receipt.
    pub id: PostbackId,
    /// When it reached us.
    pub received_at: DateTime<Utc>,
    /// GET or POST.
    pub method: String,
    /// Request target as received.
    pub target: String,
    /// `Content-Type` header.
    pub content_type: Option<String>,
    /// Body as received.
    pub body: Vec<u8>,
    /// Address of the caller.
    pub remote_ip: Option<IpNet>,
    /// Why it could not even be received whole, if so.
    pub flaw: Option<Reason>,
}

/// Why a postback got no verdict: our own fault, whatever it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The configuration could not be had.
    #[error(transparent)]
    Routing(#[from] Arc<RoutingError>),
}

impl From<diesel::result::Error> for Fault {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// How judging can end early: with a verdict, or with a fault.
enum Stop {
    Verdict(Verdict),
    Fault(Fault),
}

impl From<Verdict> for Stop {
    fn from(verdict: Verdict) -> Self {
        Self::Verdict(verdict)
    }
}

impl From<Arc<RoutingError>> for Stop {
    fn from(error: Arc<RoutingError>) -> Self {
        Self::Fault(error.into())
    }
}

/// What was understood of a postback before its verdict; kept with it, also when it was rejected.
#[derive(Default)]
struct Understood {
    postback: Postback,
    advertiser_id: Option<AdvertiserId>,
    click: Option<ClickId>,
    route: Option<Arc<Route>>,
}

impl Tracker {
    /// Starts the tracking paths' background work on the current runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(settings: TrackerSettings) -> Self {
        Self {
            routing: Routing::new(settings.db.clone()),
            click_ids: ClickIds::new(settings.secret),
            clicks: ClickWriter::new(settings.db.clone()),
            trusted_proxies: settings.trusted_proxies.into(),
            shared_host: host_of(&settings.tracking_url).into(),
            postback_rate: RateLimit::new(Duration::from_secs(1)),
            db: settings.db,
            dashboard_url: settings.dashboard_url.into(),
        }
    }

    /// The click ids of this installation.
    #[must_use]
    pub fn click_ids(&self) -> &ClickIds {
        &self.click_ids
    }

    /// Takes a postback in: understands it, judges it, stores it with its verdict, and says what to answer.
    ///
    /// What is answered with anything but `unavailable` is committed.
    pub async fn receive(&self, network: &Network, call: InboundCall) -> Answer {
        let started = Instant::now();
        let id = call.id;
        match tokio::time::timeout(PATIENCE, self.decide_and_store(network, call, started)).await {
            Ok(Ok(verdict)) => return self.answer(id, &verdict),
            Ok(Err(fault)) => {
                tracing::error!(postback = %id, network = %network.id, %fault, "postback not stored");
            }
            Err(_) => {
                tracing::error!(postback = %id, network = %network.id, "postback not stored within 5 s")
            }
        }
        self.answer(id, &Verdict::of(Reason::Unavailable))
    }

    /// The answer that tells a verdict.
    #[must_use]
    pub fn answer(&self, id: PostbackId, verdict: &Verdict) -> Answer {
        let (reason, dashboard) = (verdict.reason, &self.dashboard_url);
        Answer {
            status: reason.status(),
            reason: reason.code().to_owned(),
            message: verdict.message.clone(),
            hint: verdict.hint.clone(),
            request_id: id.to_string(),
            conversion_id: verdict.conversion_id.map(|id| id.to_string()),
            mode: "live",
            docs: format!("{dashboard}/docs/postback#{}", reason.code()),
            inspect: reason.is_kept().then(|| format!("{dashboard}/postbacks/{id}")),
        }
    }

    async fn decide_and_store(
        &self,
        network: &Network,
        call: InboundCall,
        started: Instant,
    ) -> Result<Verdict, Fault> {
        let mut understood = Understood::default();
        let judged = match self.judge(network, &call, &mut understood).await {
            Ok(conversion) => Ok(conversion),
            Err(Stop::Verdict(verdict)) => Err(verdict),
            Err(Stop::Fault(fault)) => return Err(fault),
        };
        let mut conn = self.db.network(network.id).await?;
        let goal_id = judged.as_ref().ok().map(|conversion| conversion.goal_id);
        let verdict = match judged {
            Ok(conversion) => make_conversion(&mut conn, network, &conversion).await?,
            Err(verdict) => verdict,
        };
        let stored = stored_postback(call, understood, &verdict, goal_id, started);
        postbacks::store(&mut conn, &stored).await?;
        conn.commit().await?;
        Ok(verdict)
    }

    /// The steps from a raw call to the conversion it is entitled to; each may end the walk with its verdict.
    async fn judge(
        &self,
        network: &Network,
        call: &InboundCall,
        understood: &mut Understood,
    ) -> Result<Conversion, Stop> {
        let (postback, flaw) = understand(call);
        understood.postback = postback;
        let postback = &understood.postback;
        // Whose it is and about which click is looked up first, so that a rejected call is shown to its sender too.
        understood.advertiser_id = self.advertiser(network, postback).await?;
        let click = self.read_click_id(network, postback);
        understood.click = click.as_ref().ok().copied();
        if network.status != NetworkStatus::Active {
            return Err(Verdict::of(Reason::NetworkSuspended).into());
        }
        if let Some(verdict) = flaw {
            return Err(verdict.into());
        }
        let advertiser_id = understood.advertiser_id.ok_or_else(|| match postback.token {
            Some(_) => Verdict::of(Reason::TokenInvalid),
            None => Verdict::of(Reason::TokenMissing),
        })?;
        let click = click?;
        let route = self.routing.route(network.id, click.link_id()).await?;
        let route = route.ok_or_else(|| Verdict::of(Reason::ClickNotFound))?;
        let route = understood.route.insert(route);
        let case = Case {
            postback: &understood.postback,
            advertiser_id,
            click,
            route,
            received_at: call.received_at,
        };
        let decision = decide(&case)?;
        Ok(new_conversion(call, &case, decision))
    }

    /// The advertiser whose token the postback carries, if it is one.
    async fn advertiser(&self, network: &Network, postback: &Postback) -> Result<Option<AdvertiserId>, Stop> {
        match &postback.token {
            Some(token) => Ok(self
                .routing
                .advertiser(network.id, &Token::from_call(token))
                .await?),
            None => Ok(None),
        }
    }

    fn read_click_id(&self, network: &Network, postback: &Postback) -> Result<ClickId, Verdict> {
        let text = postback
            .click_id
            .as_deref()
            .ok_or_else(|| Verdict::of(Reason::ClickIdMissing))?;
        self.click_ids
            .read(text, network.id)
            .map_err(|flaw| explain_click_id(text, &flaw))
    }
}

/// What a call says, and the verdict on how it says it, if that is bad enough.
fn understand(call: &InboundCall) -> (Postback, Option<Verdict>) {
    let raw = RawCall {
        query: call.target.split_once('?').map_or("", |(_, query)| query),
        content_type: call.content_type.as_deref(),
        body: &call.body,
    };
    let (postback, problem) = native::parse(raw);
    let flaw = call.flaw.map(Verdict::of).or(problem.map(Verdict::from));
    (postback, flaw)
}

/// The most telling thing about a click id that we did not give out like this. An id of another network is told like
/// one that does not exist: whose it is is nobody else's business.
fn explain_click_id(text: &str, flaw: &ClickIdFlaw) -> Verdict {
    let (message, hint) = match flaw {
        ClickIdFlaw::LetterCase { correct } => (
            format!(
                "No click has the id {text}. The click {correct} exists: the ids differ only in letter case."
            ),
            "Send the value exactly as received. Most often a toUpperCase() or a case-insensitive column changed it.",
        ),
        ClickIdFlaw::Padded => (
            "No click has this id as sent: there are spaces or quotes around it.".to_owned(),
            "Send the value alone, without spaces or quotes.",
        ),
        ClickIdFlaw::Length(length) => (
            format!("No click has this id: it has {length} characters instead of {LENGTH}."),
            "Check that the field it is kept in is long enough and that nothing is added to it.",
        ),
        ClickIdFlaw::NotGenuine | ClickIdFlaw::OtherNetwork => (
            "No click has this id: it looks like one, but this network never gave it out.".to_owned(),
            Reason::ClickNotFound.fix(),
        ),
        ClickIdFlaw::NotOurs => (
            "No click has this id, and it does not look like one of ours.".to_owned(),
            "Check that click_id carries the click_id parameter of the landing page, not an id of your own.",
        ),
    };
    Verdict::saying(Reason::ClickNotFound, message).advising(hint)
}

fn new_conversion(call: &InboundCall, case: &Case<'_>, decision: Decision<'_>) -> Conversion {
    Conversion {
        id: ConversionId::fresh(call.received_at),
        converted_at: call.received_at,
        advertiser_id: case.advertiser_id,
        campaign_id: case.route.campaign.id,
        goal_id: decision.goal.id,
        affiliate_id: case.route.affiliate_id,
        link_id: case.route.link_id,
        click_id: case.click.key,
        postback_id: call.id,
        unique_key: decision.unique_key,
        order_id: case.postback.order_id.clone(),
        amount_micros: decision.amount_micros,
        currency: decision.currency,
        commission_micros: decision.commission.micros,
        revenue_micros: decision.revenue.micros,
        status: decision.status,
    }
}

/// Stores the conversion, or finds the one that was there first and says how this call differs from it.
async fn make_conversion(
    conn: &mut NetworkConn,
    network: &Network,
    conversion: &Conversion,
) -> Result<Verdict, Fault> {
    let first = match conversions::record(conn, network.time_zone(), conversion).await? {
        Recorded::New => return Ok(Verdict::of(Reason::Accepted).about(conversion.id)),
        Recorded::Existing(first) => first,
    };
    let what = match &conversion.order_id {
        Some(order_id) if *order_id == conversion.unique_key => format!("Order {order_id}"),
        _ => "This click".to_owned(),
    };
    let differs = |then: Option<Money>, now: Option<Money>| {
        let said = |amount: Option<Money>| amount.map_or("no amount".to_owned(), |amount| amount.to_string());
        format!(
            "{what} was recorded before with {}; this call says {}. The first one stands.",
            said(then),
            said(now)
        )
    };
    let verdict = if what == "This click" {
        Verdict::of(Reason::GoalOnce)
    } else if first.amount() != conversion.amount() || first.currency != conversion.currency {
        Verdict::saying(
            Reason::DuplicateConflict,
            differs(first.amount(), conversion.amount()),
        )
        .advising(Reason::DuplicateConflict.fix())
    } else if first.click_id != conversion.click_id {
        Verdict::saying(
            Reason::DuplicateConflict,
            format!("{what} was recorded before for another click."),
        )
        .advising(Reason::DuplicateConflict.fix())
    } else {
        Verdict::saying(
            Reason::DuplicateOrder,
            format!("{what} was recorded before, with the same values."),
        )
    };
    Ok(verdict.about(first.id))
}

/// How much of the body of a call is kept when nobody's token came with it: anyone can send such calls.
const ANONYMOUS_BODY: usize = 2 * 1024;

fn stored_postback(
    call: InboundCall,
    understood: Understood,
    verdict: &Verdict,
    goal_id: Option<GoalId>,
    started: Instant,
) -> StoredPostback {
    let Understood {
        postback,
        advertiser_id,
        click,
        route,
    } = understood;
    let token = postback.token.as_deref();
    let mut body = blank_tokens(&call.body, token);
    if advertiser_id.is_none() {
        body.truncate(ANONYMOUS_BODY);
    }
    let extra = postback
        .extra
        .iter()
        .filter(|_| advertiser_id.is_some())
        .map(|(name, value)| {
            let kept = if is_secret(name) {
                blank_token(value)
            } else {
                blank_text(value, token)
            };
            (name.clone(), kept.into())
        });
    StoredPostback {
        id: call.id,
        received_at: call.received_at,
        method: call.method,
        target: blank_text(&call.target, token),
        content_type: call.content_type,
        body,
        remote_ip: call.remote_ip,
        status: match verdict.reason.status() {
            Status::Accepted => PostbackStatus::Accepted,
            Status::Duplicate => PostbackStatus::Duplicate,
            Status::Rejected | Status::Unavailable => PostbackStatus::Rejected,
        },
        reason: verdict.reason.code().to_owned(),
        http_status: verdict.reason.http_status().into(),
        message: blank_text(&verdict.message, token),
        hint: verdict.hint.clone(),
        took_us: i32::try_from(started.elapsed().as_micros()).unwrap_or(i32::MAX),
        advertiser_id,
        campaign_id: route.map(|route| route.campaign.id),
        goal_id,
        click_id: click.map(|click| click.key),
        conversion_id: verdict.conversion_id,
        extra: serde_json::Value::Object(extra.collect()),
        order_id: postback.order_id,
        amount_micros: postback.amount.map(|amount| amount.micros),
        currency: postback.currency,
    }
}
