//! From a journaled postback to its verdict, or to the conversion it is entitled to.

use std::sync::Arc;

use campaigns::{Route, Routing, RoutingError};
use schema::{AdvertiserId, ClickKey, ConversionId, Currency, Money};
use tenancy::networks::{Network, NetworkStatus};

use crate::click_id::{ClickId, ClickIdFlaw, ClickIds, LENGTH};
use crate::conversions::Conversion;
use crate::decide::{Case, Decision, decide};
use crate::postback_record::PostbackRecord;
use crate::verdict::{Reason, Verdict};

/// A postback with what became of it, as far as can be told without its twins.
pub(crate) struct Judged {
    pub(crate) record: PostbackRecord,
    pub(crate) network: Option<Arc<Network>>,
    /// Whose token it carried, when known.
    pub(crate) advertiser_id: Option<AdvertiserId>,
    /// The click, when its id is genuine.
    pub(crate) click: Option<ClickId>,
    /// The link of the click, as configured now.
    pub(crate) route: Option<Route>,
    /// The conversion it asks for and is entitled to, unless that was made before; or why there is none.
    pub(crate) outcome: Result<Box<Conversion>, Verdict>,
}

/// Judges a postback.
///
/// # Errors
/// When the configuration cannot be had: it is to be judged again later.
pub(crate) async fn judge(
    routing: &Routing,
    click_ids: &ClickIds,
    record: PostbackRecord,
) -> Result<Judged, RoutingError> {
    let mut judged = Judged {
        network: routing.network_of_id(record.network).await?,
        record,
        advertiser_id: None,
        click: None,
        route: None,
        outcome: Err(Verdict::of(Reason::UnknownHost)),
    };
    judged.outcome = match walk(routing, click_ids, &mut judged).await {
        Ok(conversion) => Ok(Box::new(conversion)),
        Err(Stop::Verdict(verdict)) => Err(verdict),
        Err(Stop::Fault(fault)) => return Err(fault),
    };
    Ok(judged)
}

/// How the walk can end early: with a verdict, or with a fault of ours.
enum Stop {
    Verdict(Verdict),
    Fault(RoutingError),
}

impl From<Verdict> for Stop {
    fn from(verdict: Verdict) -> Self {
        Self::Verdict(verdict)
    }
}

impl From<RoutingError> for Stop {
    fn from(error: RoutingError) -> Self {
        Self::Fault(error)
    }
}

/// The steps from a call to the conversion it is entitled to; each may end the walk with its verdict. What is found on
/// the way is noted, so that a rejected call is shown to whoever sent it too.
async fn walk(routing: &Routing, click_ids: &ClickIds, judged: &mut Judged) -> Result<Conversion, Stop> {
    let Some(network) = judged.network.clone() else {
        return Err(Verdict::of(Reason::UnknownHost).into());
    };
    let record = &judged.record;
    if let Some(token) = record.token() {
        judged.advertiser_id = routing.advertiser(network.id, token).await?;
    }
    let click = read_click_id(click_ids, &network, record.click_id.as_deref());
    judged.click = click.as_ref().ok().copied();
    if network.status != NetworkStatus::Active {
        return Err(Verdict::of(Reason::NetworkSuspended).into());
    }
    if let Some(verdict) = record.flaw() {
        return Err(verdict.into());
    }
    let advertiser_id = judged.advertiser_id.ok_or_else(|| match record.token() {
        Some(_) => Verdict::of(Reason::TokenInvalid),
        None => Verdict::of(Reason::TokenMissing),
    })?;
    let click = click?;
    let route = routing.route(network.id, click.link_id()).await?;
    let route = route.ok_or_else(|| Verdict::of(Reason::ClickNotFound))?;
    let route = judged.route.insert(route);
    let case = Case {
        postback: &record.postback(),
        advertiser_id,
        click,
        route,
        received_at: record.received_at,
    };
    let decision = decide(&case)?;
    Ok(conversion(record, &case, decision))
}

fn read_click_id(click_ids: &ClickIds, network: &Network, text: Option<&str>) -> Result<ClickId, Verdict> {
    let text = text.ok_or_else(|| Verdict::of(Reason::ClickIdMissing))?;
    click_ids
        .read(text, network.id, network.click_key)
        .map_err(|flaw| explain_click_id(text, &flaw))
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

fn conversion(record: &PostbackRecord, case: &Case<'_>, decision: Decision<'_>) -> Conversion {
    Conversion {
        // A postback makes one conversion at most, which has its number: decided once more, it is the same one.
        id: ConversionId(record.id.0),
        converted_at: record.received_at,
        advertiser_id: case.advertiser_id,
        campaign_id: case.route.campaign().id,
        goal_id: decision.goal.id,
        affiliate_id: case.route.affiliate_id,
        link_id: case.route.link_id,
        click_id: case.click.key,
        postback_id: record.id,
        unique_key: decision.unique_key,
        order_id: record.order_id.clone(),
        amount_micros: decision.amount_micros,
        currency: decision.currency,
        commission_micros: decision.commission.micros,
        revenue_micros: decision.revenue.micros,
        status: decision.status,
    }
}

/// What must be known of the conversion that was there first.
pub(crate) struct First {
    pub(crate) id: ConversionId,
    pub(crate) amount: Option<Money>,
    pub(crate) currency: Currency,
    pub(crate) click_id: ClickKey,
}

/// The verdict on a conversion that was made before, from how this call differs from the first.
pub(crate) fn repeated(first: &First, conversion: &Conversion) -> Verdict {
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
    } else if first.amount != conversion.amount() || first.currency != conversion.currency {
        Verdict::saying(
            Reason::DuplicateConflict,
            differs(first.amount, conversion.amount()),
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
    verdict.about(first.id)
}
