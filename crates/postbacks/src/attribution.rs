//! Whose conversion it is: of a click, of a customer's earlier conversion, of a coupon, or of the affiliate that the
//! sender names.

use std::collections::HashMap;

use campaigns::integrations::Integrations;
use campaigns::{Route, Routing, RoutingError};
use chrono::{DateTime, Utc};
use dialects::Postback;
use schema::{AdvertiserId, AffiliateId, CampaignId, ClickKey, LinkId, NetworkId};
use tenancy::networks::Network;

use crate::click_id::{ClickId, ClickIdFlaw, ClickIds, LENGTH};
use crate::conversions::AttributedBy;
use crate::decide::in_words;
use crate::trace::Trace;
use crate::verdict::{Reason, Verdict};

/// The last conversions of each customer that the postbacks of a batch name without a click: one of each campaign, the
/// latest first.
pub(crate) type Customers = HashMap<(NetworkId, AdvertiserId, String), Vec<Earlier>>;

/// A conversion of a customer, as far as it says whose the next one is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Earlier {
    pub(crate) campaign_id: CampaignId,
    pub(crate) click: Option<ClickKey>,
    pub(crate) link_id: LinkId,
}

/// Which campaigns a call may be about that names no click.
#[derive(Clone, Copy)]
pub(crate) struct Reach<'a> {
    pub(crate) network: NetworkId,
    pub(crate) advertiser_id: AdvertiserId,
    pub(crate) integrations: &'a Integrations,
    /// The campaign whose own token it carries.
    pub(crate) campaign_id: Option<CampaignId>,
    /// When it came.
    pub(crate) at: DateTime<Utc>,
}

impl Reach<'_> {
    /// Whether it may be about a campaign: with a campaign's own token about that one only.
    fn may(&self, campaign: CampaignId) -> bool {
        self.campaign_id.is_none_or(|own| own == campaign)
    }

    /// Whether its token is good for a campaign that it may be about. One for which it is not is found all the same where
    /// there is no other, so that the caller is told why it is refused.
    fn is_good(&self, campaign: CampaignId) -> bool {
        let own = self.integrations.own_of(campaign);
        self.campaign_id.is_some() || own.is_none_or(|own| own.took_advertisers_token(self.at))
    }

    /// The first thing of a campaign that it may be about.
    fn first<'t, T>(&self, found: &'t [T], campaign: impl Fn(&T) -> CampaignId) -> Option<&'t T> {
        let may = || found.iter().filter(|it| self.may(campaign(it)));
        may().find(|it| self.is_good(campaign(it))).or(may().next())
    }
}

/// Whose conversion it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attribution {
    pub(crate) by: AttributedBy,
    pub(crate) click: Option<ClickKey>,
    pub(crate) clicked_at: Option<DateTime<Utc>>,
    pub(crate) link_id: LinkId,
}

impl Attribution {
    pub(crate) fn of_click(click: ClickId) -> Self {
        Self {
            by: AttributedBy::Click,
            click: Some(click.key),
            clicked_at: Some(click.clicked_at()),
            link_id: click.link_id(),
        }
    }
}

/// The most recent of the clicks that a postback names. Ids of clicks through the links in `lenient` may differ in letter
/// case.
///
/// # Errors
/// The verdict when none of them is ours; the first one is explained.
pub(crate) fn read_clicks(
    click_ids: &ClickIds,
    network: &Network,
    said: &Postback,
    lenient: &[LinkId],
) -> Result<ClickId, Verdict> {
    let read = |text: &str| match click_ids.read(text, network.id, network.click_key) {
        Err(ClickIdFlaw::LetterCase { correct }) if !lenient.is_empty() => {
            let click = click_ids.read(&correct, network.id, network.click_key)?;
            match lenient.contains(&click.link_id()) {
                true => Ok(click),
                false => Err(ClickIdFlaw::LetterCase { correct }),
            }
        }
        other => other,
    };
    let genuine = said.click_ids.iter().filter_map(|text| read(text).ok());
    if let Some(click) = genuine.max_by_key(|click| click.clicked_at()) {
        return Ok(click);
    }
    let elsewhere = || find_elsewhere(said, |text| read(text).is_ok());
    match said.click_ids.first() {
        None => Err(elsewhere().map_or_else(
            || Verdict::of(Reason::ClickIdMissing),
            |name| {
                let message =
                    format!("There is no click id where one belongs, but {name} holds one of ours.");
                Verdict::saying(Reason::ClickIdMissing, message)
                    .advising(format!("Send the value of {name} as click_id."))
            },
        )),
        Some(text) => Err(match elsewhere() {
            Some(name) => {
                let message = format!("No click has the id {text}, but {name} holds one of ours.");
                Verdict::saying(Reason::ClickNotFound, message)
                    .advising(format!("Send the value of {name} as click_id."))
            }
            None => match read(text) {
                Ok(_) => Verdict::of(Reason::ClickNotFound),
                Err(flaw) => explain(text, &flaw, |text| read(text).is_ok()),
            },
        }),
    }
}

/// The name of another parameter that holds a genuine click id.
fn find_elsewhere(said: &Postback, is_genuine: impl Fn(&str) -> bool) -> Option<String> {
    let subs = said.subs.iter().enumerate();
    let subs = subs.filter_map(|(at, sub)| Some((format!("sub{}", at + 1), sub.as_deref()?)));
    let fields = [
        ("order_id", &said.order_id),
        ("customer_id", &said.customer_id),
        ("campaign", &said.reference),
        ("partner_key", &said.affiliate_key),
        ("coupon", &said.coupon),
        ("goal", &said.goal),
    ];
    let fields = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.as_deref()?)));
    let extra = said
        .extra
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str()));
    fields
        .chain(subs)
        .chain(extra)
        .find(|(_, value)| value.len() == LENGTH && is_genuine(value))
        .map(|(name, _)| name)
}

/// The most telling thing about a click id that we did not give out like this. An id of another network is told like one
/// that does not exist: whose it is is nobody else's business.
fn explain(text: &str, flaw: &ClickIdFlaw, is_genuine: impl Fn(&str) -> bool) -> Verdict {
    if let Some(decoded) = decoded_again(text).filter(|decoded| is_genuine(decoded)) {
        let message =
            format!("No click has this id as sent: it was percent-encoded twice. Decoded, it is {decoded}.");
        return Verdict::saying(Reason::ClickNotFound, message)
            .advising("Encode each value once; most often a whole URL was encoded after its values were.");
    }
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
        ClickIdFlaw::Length(length) if *length < LENGTH => (
            format!(
                "No click has this id: it has {length} characters instead of {LENGTH}, so it was cut off."
            ),
            "Make the field it is kept in longer: a column of 32 or 40 characters cuts it.",
        ),
        ClickIdFlaw::Length(length) => (
            format!("No click has this id: it has {length} characters instead of {LENGTH}."),
            "Check that nothing is added to it on the way.",
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

/// A value that was percent-encoded twice, decoded once more; none if it does not look so.
fn decoded_again(text: &str) -> Option<String> {
    let encoded = text.contains('%').then(|| format!("v={text}"))?;
    let (_, value) = dialects::decode_pairs(&encoded).next()?.ok()?;
    Some(
        value
            .trim_matches(|c: char| c.is_whitespace() || c == '"')
            .to_owned(),
    )
}

/// What to do with a postback that names no click.
pub(crate) enum WithoutClick {
    Found(Attribution),
    /// Nothing is known of its customer yet.
    WaitForCustomer(String),
    Rejected(Verdict),
}

/// Whose conversion it is where no click is named: the customer's earlier conversion says so, or a coupon, or the
/// sender itself.
pub(crate) async fn without_click(
    routing: &Routing,
    customers: &Customers,
    reach: Reach<'_>,
    said: &Postback,
    trace: &mut Trace,
) -> Result<WithoutClick, RoutingError> {
    let (network, advertiser_id) = (reach.network, reach.advertiser_id);
    if let Some(customer) = &said.customer_id {
        let key = (network, advertiser_id, customer.clone());
        let earlier = customers.get(&key).map_or(&[][..], Vec::as_slice);
        if let Some(earlier) = reach.first(earlier, |it| it.campaign_id) {
            trace.good(
                "click",
                format!("none was sent; customer {customer} came through one before"),
            );
            return Ok(WithoutClick::Found(Attribution {
                by: AttributedBy::Customer,
                click: earlier.click,
                clicked_at: None,
                link_id: earlier.link_id,
            }));
        }
    }
    if let Some(code) = &said.coupon {
        let coupons = routing.coupons(network, advertiser_id, code).await?;
        let campaigns = routing.campaigns_of(network, advertiser_id).await?;
        let meant = said.reference.as_deref();
        let named = |id: CampaignId| {
            campaigns
                .iter()
                .any(|it| it.id == id && meant.is_some() && it.external_id.as_deref() == meant)
        };
        let coupon = coupons
            .iter()
            .find(|coupon| reach.may(coupon.campaign_id) && named(coupon.campaign_id))
            .or(reach.first(&coupons, |it| it.campaign_id));
        if let Some(coupon) = coupon {
            let link = routing
                .oldest_link(network, coupon.affiliate_id, coupon.campaign_id)
                .await?;
            if let Some(link_id) = link {
                trace.good(
                    "click",
                    format!("none was sent; coupon {} is the affiliate's", coupon.code),
                );
                return Ok(found(AttributedBy::Coupon, link_id));
            }
        }
    }
    if let Some(key) = &said.affiliate_key {
        return by_key(routing, reach, said, key, trace).await;
    }
    Ok(match (&said.customer_id, &said.coupon) {
        (Some(customer), _) => WithoutClick::WaitForCustomer(customer.clone()),
        (None, Some(code)) => WithoutClick::Rejected(Verdict::saying(
            Reason::CouponUnknown,
            format!("No affiliate with a link has the coupon {code}, and the call names no click."),
        )),
        (None, None) => WithoutClick::Rejected(Verdict::of(Reason::ClickIdMissing)),
    })
}

fn found(by: AttributedBy, link_id: LinkId) -> WithoutClick {
    WithoutClick::Found(Attribution {
        by,
        click: None,
        clicked_at: None,
        link_id,
    })
}

/// The affiliate that the sender names, in the campaign it names, or the only one of the advertiser that they promote.
async fn by_key(
    routing: &Routing,
    reach: Reach<'_>,
    said: &Postback,
    key: &str,
    trace: &mut Trace,
) -> Result<WithoutClick, RoutingError> {
    let unknown =
        |message: String| WithoutClick::Rejected(Verdict::saying(Reason::AffiliateUnknown, message));
    let Some(affiliate_id) = routing.affiliate_of_key(reach.network, key).await? else {
        return Ok(unknown(format!("No affiliate is called {key}.")));
    };
    let links = links(routing, reach, affiliate_id, said.reference.as_deref()).await?;
    Ok(match links.as_slice() {
        [] => unknown(format!("The affiliate {key} has no link to your campaign.")),
        [link_id] => {
            trace.good("click", format!("none was sent; the sender says it is {key}'s"));
            found(AttributedBy::Affiliate, *link_id)
        }
        _ => {
            let message =
                format!("The affiliate {key} promotes several of your campaigns, and the call names none.");
            WithoutClick::Rejected(
                Verdict::saying(Reason::AffiliateUnknown, message)
                    .advising("Send the campaign's id as campaign."),
            )
        }
    })
}

/// An affiliate's links to the campaigns that the call may be about, one each; only to the one that is named, if one is,
/// and only to those for which its token is good, if there are any.
async fn links(
    routing: &Routing,
    reach: Reach<'_>,
    affiliate_id: AffiliateId,
    reference: Option<&str>,
) -> Result<Vec<LinkId>, RoutingError> {
    let campaigns = routing.campaigns_of(reach.network, reach.advertiser_id).await?;
    let campaigns: Vec<_> = campaigns.iter().filter(|it| reach.may(it.id)).collect();
    let named = |it: &campaigns::Named| {
        it.external_id.as_deref() == reference || Some(it.id.to_string()).as_deref() == reference
    };
    let is_named = reference.is_some() && campaigns.iter().any(|it| named(it));
    let mut links = Vec::new();
    for campaign in campaigns.iter().filter(|it| !is_named || named(it)) {
        let link = routing
            .oldest_link(reach.network, affiliate_id, campaign.id)
            .await?;
        links.extend(link.map(|link_id| (campaign.id, link_id)));
    }
    if links.iter().any(|(campaign, _)| reach.is_good(*campaign)) {
        links.retain(|(campaign, _)| reach.is_good(*campaign));
    }
    Ok(links.into_iter().map(|(_, link_id)| link_id).collect())
}

/// Says in the trace which click it was, as its link is configured now.
pub(crate) fn tell_click(
    trace: &mut Trace,
    click: ClickId,
    route: &Route,
    received_at: DateTime<Utc>,
    others: usize,
) {
    let age = in_words(received_at - click.clicked_at());
    let several = match others {
        0 | 1 => String::new(),
        sent => format!("; the most recent of {sent} that were sent"),
    };
    trace.good(
        "click",
        format!(
            "genuine, {age} old, through link {} of {}{several}",
            route.link_id, route.affiliate_id
        ),
    );
}
