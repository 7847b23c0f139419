//! Attribution: to a click, or else to a customer's earlier conversion, a coupon, or the affiliate that the sender names.

use std::collections::HashMap;

use campaigns::click_id::ClickId;
use campaigns::integrations::Integrations;
use campaigns::{AttributedBy, Route, Routing, RoutingError};
use chrono::{DateTime, Utc};
use dialects::Postback;
use schema::{AdvertiserId, AffiliateId, CampaignId, ClickKey, LinkId, NetworkId};

use crate::trace::Trace;
use crate::verdict::{Reason, Verdict};

/// Maximum number of coupons of one order that are looked up.
const MAX_COUPONS: usize = 10;

/// Earlier conversions by customer or by order: one per campaign, the latest first.
pub(crate) type ByText = HashMap<(NetworkId, AdvertiserId, String), Vec<Earlier>>;

/// Earlier conversions that the postbacks of a batch name without a click.
#[derive(Debug, Default)]
pub(crate) struct EarlierConversions {
    pub(crate) of_customers: ByText,
    pub(crate) of_orders: ByText,
}

/// Earlier conversion of a customer, to which the next one is attributed, or of the order that a postback changes.
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
    /// Only campaign that is asked; `None` for all.
    pub(crate) within: Option<CampaignId>,
    /// Arrival of the postback.
    pub(crate) at: DateTime<Utc>,
}

impl EligibleCampaigns<'_> {
    /// True if the postback may be attributed to a campaign: with a campaign's own token to that one only.
    fn contains(&self, campaign: CampaignId) -> bool {
        self.campaign_id.is_none_or(|own| own == campaign) && self.within.is_none_or(|only| only == campaign)
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
    /// True if nothing but the order that it changes leads to the link: it makes no conversion.
    pub(crate) is_by_order: bool,
    pub(crate) link_id: LinkId,
}

impl Attribution {
    pub(crate) fn of_click(click: ClickId) -> Self {
        Self {
            by: AttributedBy::Click,
            click: Some(click.key),
            clicked_at: Some(click.clicked_at()),
            customer_at: None,
            is_by_order: false,
            link_id: click.link_id(),
        }
    }
}

/// Result of attribution without a click.
pub(crate) enum WithoutClick {
    Found(Attribution),
    /// The customer has no conversion yet.
    WaitForCustomer(String),
    Rejected(Verdict),
}

/// Result of one proof.
enum Proof {
    Found(Attribution),
    /// The postback has none, or it shows nothing.
    None,
    Rejected(Verdict),
}

/// The postback to attribute, and everything to attribute it with.
#[derive(Clone, Copy)]
pub(crate) struct Attributing<'a> {
    pub(crate) routing: &'a Routing,
    pub(crate) earlier: &'a EarlierConversions,
    pub(crate) eligible: EligibleCampaigns<'a>,
    pub(crate) postback: &'a Postback,
}

impl Attributing<'_> {
    /// Attributes without the click: by the first proof that holds, in the order of the campaign that it leads to.
    pub(crate) async fn without_click(self, trace: &mut Trace) -> Result<WithoutClick, RoutingError> {
        let mut last = None;
        for by in AttributedBy::DEFAULT_ORDER {
            match self.prove(by).await? {
                Proof::Found(found) => {
                    let Some(route) = self.route(found.link_id).await? else {
                        continue;
                    };
                    let order = route.campaign().proofs();
                    if let Some(found) = self.first_in(&order, route.campaign().id).await? {
                        self.trace(found.by, trace);
                        return Ok(WithoutClick::Found(found));
                    }
                    let message = format!(
                        "The campaign {} does not attribute by {by}.",
                        route.campaign().name
                    );
                    last = last.or(Some(Verdict::with_message(rejected_as(by), message)));
                }
                Proof::None => {}
                Proof::Rejected(verdict) => last = last.or(Some(verdict)),
            }
        }
        if let Some(found) = self.by_order() {
            trace.pass("click", "none was sent; the order exists");
            return Ok(WithoutClick::Found(found));
        }
        if let Some(verdict) = last {
            return Ok(WithoutClick::Rejected(verdict));
        }
        Ok(match (&self.postback.customer_id, &self.postback.coupon) {
            (Some(customer), _) => WithoutClick::WaitForCustomer(customer.clone()),
            (None, Some(code)) => WithoutClick::Rejected(Verdict::with_message(
                Reason::CouponUnknown,
                format!("No affiliate with a link has the coupon {code}, and the postback has no click ID."),
            )),
            (None, None) => WithoutClick::Rejected(Verdict::of(Reason::ClickIdMissing)),
        })
    }

    /// Proof that the campaign of a genuine click accepts before the click: `None` if the click decides.
    ///
    /// # Errors
    /// Inside: the verdict, if the campaign does not attribute by click and no other proof holds.
    pub(crate) async fn before_click(
        self,
        route: &Route,
        trace: &mut Trace,
    ) -> Result<Result<Option<Attribution>, Verdict>, RoutingError> {
        let order = route.campaign().proofs();
        if order.first() == Some(&AttributedBy::Click) {
            return Ok(Ok(None));
        }
        let at = order.iter().position(|by| *by == AttributedBy::Click);
        let before = order.get(..at.unwrap_or(order.len())).unwrap_or_default();
        let found = self.first_in(before, route.campaign().id).await?;
        if let Some(found) = found {
            self.trace(found.by, trace);
        }
        if found.is_none() && at.is_none() {
            let message = format!(
                "The campaign {} does not attribute by click.",
                route.campaign().name
            );
            return Ok(Err(Verdict::with_message(Reason::ClickIdMissing, message)
                .with_hint(
                    "Send a proof that it accepts; the network sets the order of proofs.",
                )));
        }
        Ok(Ok(found))
    }

    /// First of these proofs that leads to the campaign.
    async fn first_in(
        self,
        order: &[AttributedBy],
        campaign: CampaignId,
    ) -> Result<Option<Attribution>, RoutingError> {
        let within = Self {
            eligible: EligibleCampaigns {
                within: Some(campaign),
                ..self.eligible
            },
            ..self
        };
        for by in order {
            if let Proof::Found(found) = within.prove(*by).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn prove(self, by: AttributedBy) -> Result<Proof, RoutingError> {
        match by {
            AttributedBy::Click => Ok(Proof::None),
            AttributedBy::Customer => Ok(self.by_customer()),
            AttributedBy::Coupon => self.by_coupon().await,
            AttributedBy::Affiliate => self.by_key().await,
        }
    }

    fn by_customer(self) -> Proof {
        let Some(customer) = &self.postback.customer_id else {
            return Proof::None;
        };
        let key = (
            self.eligible.network,
            self.eligible.advertiser_id,
            customer.clone(),
        );
        let earlier = self.earlier.of_customers.get(&key);
        let earlier = earlier.map_or(&[][..], Vec::as_slice);
        match self.eligible.first(earlier, |earlier| earlier.campaign_id) {
            Some(earlier) => Proof::Found(Attribution {
                by: AttributedBy::Customer,
                click: earlier.click,
                clicked_at: None,
                customer_at: Some(earlier.converted_at),
                is_by_order: false,
                link_id: earlier.link_id,
            }),
            None => Proof::None,
        }
    }

    /// Conversion of the order that the postback changes.
    fn by_order(self) -> Option<Attribution> {
        let order_id = self.postback.order_id.clone()?;
        let key = (self.eligible.network, self.eligible.advertiser_id, order_id);
        let earlier = self.earlier.of_orders.get(&key)?;
        let earlier = self.eligible.first(earlier, |earlier| earlier.campaign_id)?;
        Some(Attribution {
            by: AttributedBy::Click,
            click: earlier.click,
            clicked_at: None,
            customer_at: None,
            is_by_order: true,
            link_id: earlier.link_id,
        })
    }

    async fn by_coupon(self) -> Result<Proof, RoutingError> {
        let Some(code) = &self.postback.coupon else {
            return Ok(Proof::None);
        };
        let (routing, eligible) = (self.routing, self.eligible);
        let (network, advertiser_id) = (eligible.network, eligible.advertiser_id);
        // A cart may have several coupons: the first that belongs to an affiliate counts.
        let mut coupons = Default::default();
        for code in code.split([',', ';', '|']).map(str::trim).take(MAX_COUPONS) {
            coupons = routing.coupons(network, advertiser_id, code).await?;
            if !coupons.is_empty() {
                break;
            }
        }
        let campaigns = routing.campaigns_of(network, advertiser_id).await?;
        let reference = self.postback.reference.as_deref();
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
        let Some(coupon) = coupon else {
            return Ok(Proof::None);
        };
        let link = routing
            .oldest_link(network, coupon.affiliate_id, coupon.campaign_id)
            .await?;
        Ok(link.map_or(Proof::None, |link_id| found(AttributedBy::Coupon, link_id)))
    }

    /// Affiliate that the sender names, in the campaign that it names, or else in the advertiser's only campaign that the
    /// affiliate promotes.
    async fn by_key(self) -> Result<Proof, RoutingError> {
        let Some(key) = &self.postback.affiliate_key else {
            return Ok(Proof::None);
        };
        let unknown =
            |message: String| Proof::Rejected(Verdict::with_message(Reason::AffiliateUnknown, message));
        let (routing, eligible) = (self.routing, self.eligible);
        let Some(affiliate_id) = routing.affiliate_of_key(eligible.network, key).await? else {
            return Ok(unknown(format!("No affiliate has the key {key}.")));
        };
        let links = links(
            routing,
            eligible,
            affiliate_id,
            self.postback.reference.as_deref(),
        )
        .await?;
        Ok(match links.as_slice() {
            [] => unknown(format!("The affiliate {key} has no link to your campaign.")),
            [link_id] => found(AttributedBy::Affiliate, *link_id),
            _ => {
                let message = format!(
                    "The affiliate {key} promotes several of your campaigns, and the postback names none."
                );
                Proof::Rejected(
                    Verdict::with_message(Reason::AffiliateUnknown, message)
                        .with_hint("Send the campaign ID as campaign."),
                )
            }
        })
    }

    async fn route(self, link_id: LinkId) -> Result<Option<Route>, RoutingError> {
        self.routing.route(self.eligible.network, link_id).await
    }

    /// Adds the proof to the trace, and those that it comes before.
    fn trace(self, by: AttributedBy, trace: &mut Trace) {
        let Postback {
            customer_id,
            coupon,
            affiliate_key,
            ..
        } = self.postback;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let words = match by {
            AttributedBy::Click => return,
            AttributedBy::Customer => format!("customer {} has an earlier conversion", text(customer_id)),
            AttributedBy::Coupon => format!("coupon {} belongs to the affiliate", text(coupon)),
            AttributedBy::Affiliate => format!("the sender names the affiliate {}", text(affiliate_key)),
        };
        let has_click = !self.postback.click_ids.is_empty();
        let before = if has_click {
            "does not decide"
        } else {
            "none was sent"
        };
        trace.pass("click", format!("{before}; {words}"));
        let others = [
            ("coupon", AttributedBy::Coupon, coupon),
            ("partner_key", AttributedBy::Affiliate, affiliate_key),
        ];
        for (name, other, value) in others {
            if let Some(value) = value.as_ref().filter(|_| other != by) {
                trace.unused(name, format!("{value} does not decide: attributed by {by}"));
            }
        }
    }
}

/// Reason of a rejection for a proof that the campaign does not accept.
fn rejected_as(by: AttributedBy) -> Reason {
    match by {
        AttributedBy::Click | AttributedBy::Customer => Reason::ClickIdMissing,
        AttributedBy::Coupon => Reason::CouponUnknown,
        AttributedBy::Affiliate => Reason::AffiliateUnknown,
    }
}

fn found(by: AttributedBy, link_id: LinkId) -> Proof {
    Proof::Found(Attribution {
        by,
        click: None,
        clicked_at: None,
        customer_at: None,
        is_by_order: false,
        link_id,
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
