//! Attribution: to a click, or else to a customer's earlier conversion, a coupon, or the affiliate that the sender names.

use std::collections::HashMap;

use campaigns::click_id::{ClickId, ClickIdFlaw, ClickIds, LENGTH};
use campaigns::integrations::Integrations;
use campaigns::{Route, Routing, RoutingError};
use chrono::{DateTime, Utc};
use conversions::AttributedBy;
use dialects::{Field, Postback};
use schema::clock::in_words;
use schema::{AdvertiserId, AffiliateId, CampaignId, ClickKey, LinkId, NetworkId};
use tenancy::networks::Network;

use crate::record::PostbackRecord;
use crate::trace::Trace;
use crate::verdict::{Reason, Verdict};

/// Latest conversions of each customer that the postbacks of a batch name without a click: one per campaign, the latest
/// first.
pub(crate) type Customers = HashMap<(NetworkId, AdvertiserId, String), Vec<Earlier>>;

/// Earlier conversion of a customer, to which the next one is attributed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Earlier {
    pub(crate) campaign_id: CampaignId,
    pub(crate) click: Option<ClickKey>,
    pub(crate) link_id: LinkId,
    pub(crate) converted_at: DateTime<Utc>,
}

/// Campaigns that a postback without a click may be attributed to.
#[derive(Clone, Copy)]
pub(crate) struct EligibleCampaigns<'a> {
    pub(crate) network: NetworkId,
    pub(crate) advertiser_id: AdvertiserId,
    pub(crate) integrations: &'a Integrations,
    /// Campaign whose own token was sent; `None` for the advertiser's token.
    pub(crate) campaign_id: Option<CampaignId>,
    /// Arrival of the postback.
    pub(crate) at: DateTime<Utc>,
}

impl EligibleCampaigns<'_> {
    /// True if the postback may be attributed to a campaign: with a campaign's own token to that one only.
    fn contains(&self, campaign: CampaignId) -> bool {
        self.campaign_id.is_none_or(|own| own == campaign)
    }

    /// True if an eligible campaign accepts the token. A campaign that does not is found only if no other is, so that the
    /// caller gets the reason.
    fn accepts_token(&self, campaign: CampaignId) -> bool {
        let own = self.integrations.own_of(campaign);
        self.campaign_id.is_some() || own.is_none_or(|own| own.took_advertisers_token(self.at))
    }

    /// First candidate of an eligible campaign; preferably of one that accepts the token.
    fn first<'t, T>(&self, found: &'t [T], campaign: impl Fn(&T) -> CampaignId) -> Option<&'t T> {
        let eligible = || {
            found
                .iter()
                .filter(|candidate| self.contains(campaign(candidate)))
        };
        eligible()
            .find(|candidate| self.accepts_token(campaign(candidate)))
            .or(eligible().next())
    }
}

/// Result of attribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attribution {
    pub(crate) by: AttributedBy,
    pub(crate) click: Option<ClickKey>,
    pub(crate) clicked_at: Option<DateTime<Utc>>,
    /// Time of the customer's conversion that attributes it; `None` for other proofs.
    pub(crate) customer_at: Option<DateTime<Utc>>,
    pub(crate) link_id: LinkId,
}

impl Attribution {
    pub(crate) fn of_click(click: ClickId) -> Self {
        Self {
            by: AttributedBy::Click,
            click: Some(click.key),
            clicked_at: Some(click.clicked_at()),
            customer_at: None,
            link_id: click.link_id(),
        }
    }
}

/// Most recent of the clicks that a postback names. IDs of clicks through the links in `lenient` may differ in letter
/// case.
///
/// # Errors
/// The verdict when none of them is genuine; it explains the first one.
pub(crate) fn read_clicks(
    click_ids: &ClickIds,
    network: &Network,
    record: &PostbackRecord,
    lenient: &[LinkId],
) -> Result<ClickId, Verdict> {
    let postback = &record.postback;
    let own = record.dialect().name_of(Field::ClickId).unwrap_or("click_id");
    let read = |text: &str| match click_ids.read(text, network.id, network.click_key) {
        Err(ClickIdFlaw::LetterCase { correct }) if !lenient.is_empty() => {
            let click = click_ids.read(&correct, network.id, network.click_key)?;
            if lenient.contains(&click.link_id()) {
                Ok(click)
            } else {
                Err(ClickIdFlaw::LetterCase { correct })
            }
        }
        other => other,
    };
    let genuine = postback.click_ids.iter().filter_map(|text| read(text).ok());
    if let Some(click) = genuine.max_by_key(|click| click.clicked_at()) {
        return Ok(click);
    }
    let elsewhere = || find_elsewhere(postback, |text| read(text).is_ok());
    match postback.click_ids.first() {
        None => Err(match elsewhere() {
            Some(name) => {
                let message = format!("{own} is missing, but {name} holds one of our click IDs.");
                Verdict::with_message(Reason::ClickIdMissing, message)
                    .with_hint(format!(
                        "This format calls it {own}: send the value of {name} as {own}."
                    ))
                    .with_their_names()
            }
            None if postback.is_click_empty => {
                let message = format!("{own} is empty.");
                Verdict::with_message(Reason::ClickIdMissing, message)
            }
            None => Verdict::of(Reason::ClickIdMissing),
        }),
        Some(text) => Err(match elsewhere() {
            Some(name) => {
                let message = format!("No click has the ID {text}, but {name} holds one of our click IDs.");
                Verdict::with_message(Reason::ClickNotFound, message)
                    .with_hint(format!("Send the value of {name} as {own}."))
                    .with_their_names()
            }
            None => match read(text) {
                Ok(_) => Verdict::of(Reason::ClickNotFound),
                Err(flaw) => explain(text, &flaw, |text| read(text).is_ok()),
            },
        }),
    }
}

/// Name of another parameter that holds a genuine click ID.
fn find_elsewhere(postback: &Postback, is_genuine: impl Fn(&str) -> bool) -> Option<String> {
    let subs = postback.subs.iter().enumerate();
    let subs = subs.filter_map(|(at, sub)| Some((format!("sub{}", at + 1), sub.as_deref()?)));
    let fields = [
        ("order_id", &postback.order_id),
        ("customer_id", &postback.customer_id),
        ("campaign", &postback.reference),
        ("partner_key", &postback.affiliate_key),
        ("coupon", &postback.coupon),
        ("goal", &postback.goal),
    ];
    let fields = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.as_deref()?)));
    let extra = postback
        .extra
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str()));
    fields
        .chain(subs)
        .chain(extra)
        .find(|(_, value)| value.len() == LENGTH && is_genuine(value))
        .map(|(name, _)| name)
}

/// Verdict with the most specific explanation of an invalid click ID. An ID of another network is explained like one that
/// does not exist, so that networks stay hidden from each other.
fn explain(text: &str, flaw: &ClickIdFlaw, is_genuine: impl Fn(&str) -> bool) -> Verdict {
    let bare = text.trim_matches(|c: char| c.is_ascii_punctuation());
    if bare != text && is_genuine(bare) {
        let message = "No click has this ID as sent: it has brackets or quotes around it.";
        return Verdict::with_message(Reason::ClickNotFound, message)
            .with_hint("Send the value alone. A common cause is a macro whose brackets were left in place.");
    }
    if let Some(decoded) = decoded_again(text).filter(|decoded| is_genuine(decoded)) {
        let message =
            format!("No click has this ID as sent: it was percent-encoded twice. Decoded, it is {decoded}.");
        return Verdict::with_message(Reason::ClickNotFound, message)
            .with_hint("Encode each value once. A common cause is encoding a whole URL after its values.");
    }
    let (message, hint) = match flaw {
        ClickIdFlaw::LetterCase { correct } => (
            format!(
                "No click has the ID {text}. The click {correct} exists: the IDs differ only in letter case."
            ),
            "Send the value exactly as received. A common cause is toUpperCase() or a case-insensitive column.",
        ),
        ClickIdFlaw::Padded => (
            "No click has this ID as sent: it has spaces or quotes around it.".to_owned(),
            "Send the value alone, without spaces or quotes.",
        ),
        ClickIdFlaw::Length(length) if *length < LENGTH => (
            format!(
                "No click has this ID: it has {length} characters instead of {LENGTH}, so it was truncated."
            ),
            "Use a longer column to store it: one of 32 or 40 characters truncates it.",
        ),
        ClickIdFlaw::Length(length) => (
            format!("No click has this ID: it has {length} characters instead of {LENGTH}."),
            "Check that your systems append nothing to it.",
        ),
        ClickIdFlaw::NotGenuine | ClickIdFlaw::OtherNetwork => (
            "No click has this ID: its format is right, but this network did not issue it.".to_owned(),
            Reason::ClickNotFound.fix(),
        ),
        ClickIdFlaw::NotOurs => (
            "No click has this ID, and it is not in our format.".to_owned(),
            "Check that click_id has the value of the landing page's click_id parameter, not an ID of your system.",
        ),
    };
    Verdict::with_message(Reason::ClickNotFound, message).with_hint(hint)
}

/// Value that was percent-encoded twice, decoded once more; `None` if it was not.
fn decoded_again(text: &str) -> Option<String> {
    let encoded = text.contains('%').then(|| format!("v={text}"))?;
    let (_, value) = dialects::decode_pairs(&encoded).next()?.ok()?;
    Some(
        value
            .trim_matches(|c: char| c.is_whitespace() || c == '"')
            .to_owned(),
    )
}

/// Result of attribution without a click.
pub(crate) enum WithoutClick {
    Found(Attribution),
    /// The customer has no conversion yet.
    WaitForCustomer(String),
    Rejected(Verdict),
}

/// Attributes a postback without a click: to the customer's earlier conversion, or else to a coupon's affiliate, or else
/// to the affiliate that the sender names.
pub(crate) async fn without_click(
    routing: &Routing,
    customers: &Customers,
    eligible: EligibleCampaigns<'_>,
    postback: &Postback,
    trace: &mut Trace,
) -> Result<WithoutClick, RoutingError> {
    let (network, advertiser_id) = (eligible.network, eligible.advertiser_id);
    if let Some(customer) = &postback.customer_id {
        let key = (network, advertiser_id, customer.clone());
        let earlier = customers.get(&key).map_or(&[][..], Vec::as_slice);
        if let Some(earlier) = eligible.first(earlier, |earlier| earlier.campaign_id) {
            trace.pass(
                "click",
                format!("none was sent; customer {customer} has an earlier conversion"),
            );
            if let Some(coupon) = &postback.coupon {
                let words =
                    format!("{coupon} is not used: the earlier conversion of the customer comes first");
                trace.note("coupon", words);
            }
            return Ok(WithoutClick::Found(Attribution {
                by: AttributedBy::Customer,
                click: earlier.click,
                clicked_at: None,
                customer_at: Some(earlier.converted_at),
                link_id: earlier.link_id,
            }));
        }
    }
    if let Some(code) = &postback.coupon {
        let coupons = routing.coupons(network, advertiser_id, code).await?;
        let campaigns = routing.campaigns_of(network, advertiser_id).await?;
        let reference = postback.reference.as_deref();
        let named = |id: CampaignId| {
            reference.is_some()
                && campaigns
                    .iter()
                    .any(|campaign| campaign.id == id && campaign.external_id.as_deref() == reference)
        };
        let coupon = coupons
            .iter()
            .find(|coupon| eligible.contains(coupon.campaign_id) && named(coupon.campaign_id))
            .or(eligible.first(&coupons, |coupon| coupon.campaign_id));
        if let Some(coupon) = coupon {
            let link = routing
                .oldest_link(network, coupon.affiliate_id, coupon.campaign_id)
                .await?;
            if let Some(link_id) = link {
                trace.pass(
                    "click",
                    format!("none was sent; coupon {} belongs to the affiliate", coupon.code),
                );
                return Ok(found(AttributedBy::Coupon, link_id));
            }
        }
    }
    if let Some(key) = &postback.affiliate_key {
        return by_key(routing, eligible, postback, key, trace).await;
    }
    Ok(match (&postback.customer_id, &postback.coupon) {
        (Some(customer), _) => WithoutClick::WaitForCustomer(customer.clone()),
        (None, Some(code)) => WithoutClick::Rejected(Verdict::with_message(
            Reason::CouponUnknown,
            format!("No affiliate with a link has the coupon {code}, and the postback has no click ID."),
        )),
        (None, None) => WithoutClick::Rejected(Verdict::of(Reason::ClickIdMissing)),
    })
}

fn found(by: AttributedBy, link_id: LinkId) -> WithoutClick {
    WithoutClick::Found(Attribution {
        by,
        click: None,
        clicked_at: None,
        customer_at: None,
        link_id,
    })
}

/// Attributes to the affiliate that the sender names, in the campaign that it names, or else in the advertiser's only
/// campaign that the affiliate promotes.
async fn by_key(
    routing: &Routing,
    eligible: EligibleCampaigns<'_>,
    postback: &Postback,
    key: &str,
    trace: &mut Trace,
) -> Result<WithoutClick, RoutingError> {
    let unknown =
        |message: String| WithoutClick::Rejected(Verdict::with_message(Reason::AffiliateUnknown, message));
    let Some(affiliate_id) = routing.affiliate_of_key(eligible.network, key).await? else {
        return Ok(unknown(format!("No affiliate has the key {key}.")));
    };
    let links = links(routing, eligible, affiliate_id, postback.reference.as_deref()).await?;
    Ok(match links.as_slice() {
        [] => unknown(format!("The affiliate {key} has no link to your campaign.")),
        [link_id] => {
            trace.pass(
                "click",
                format!("none was sent; the sender names the affiliate {key}"),
            );
            found(AttributedBy::Affiliate, *link_id)
        }
        _ => {
            let message = format!(
                "The affiliate {key} promotes several of your campaigns, and the postback names none."
            );
            WithoutClick::Rejected(
                Verdict::with_message(Reason::AffiliateUnknown, message)
                    .with_hint("Send the campaign ID as campaign."),
            )
        }
    })
}

/// Links of an affiliate to the eligible campaigns, one each; only to the named one, if one is named, and only to those
/// that accept the token, if any does.
async fn links(
    routing: &Routing,
    eligible: EligibleCampaigns<'_>,
    affiliate_id: AffiliateId,
    reference: Option<&str>,
) -> Result<Vec<LinkId>, RoutingError> {
    let campaigns = routing
        .campaigns_of(eligible.network, eligible.advertiser_id)
        .await?;
    let campaigns: Vec<_> = campaigns
        .iter()
        .filter(|campaign| eligible.contains(campaign.id))
        .collect();
    let named = |campaign: &campaigns::Named| {
        campaign.external_id.as_deref() == reference || Some(campaign.id.to_string()).as_deref() == reference
    };
    let is_named = reference.is_some() && campaigns.iter().any(|campaign| named(campaign));
    let mut links = Vec::new();
    for campaign in campaigns.iter().filter(|campaign| !is_named || named(campaign)) {
        let link = routing
            .oldest_link(eligible.network, affiliate_id, campaign.id)
            .await?;
        links.extend(link.map(|link_id| (campaign.id, link_id)));
    }
    if links
        .iter()
        .any(|(campaign, _)| eligible.accepts_token(*campaign))
    {
        links.retain(|(campaign, _)| eligible.accepts_token(*campaign));
    }
    Ok(links.into_iter().map(|(_, link_id)| link_id).collect())
}

/// Adds the click to the trace.
pub(crate) fn trace_click(
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
    trace.pass(
        "click",
        format!(
            "genuine, {age} old, through link {} of {}{several}",
            route.link_id, route.affiliate_id
        ),
    );
}
