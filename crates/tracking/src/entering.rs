//! Conversions that users of a network enter by hand: orders whose postback never arrived. Each becomes a postback of the
//! advertiser, so that it is journaled, decided and explained like every other.

use ::campaigns::campaigns::{self, Campaign};
use postbacks::{InboundRequest, Verdict, VerdictStatus};
use schema::{AdvertiserId, ClickKey, NetworkConn, PostbackId, clock};
use serde_json::json;
use tenancy::audit::{self, Change};
use tenancy::networks::Network;
use tenancy::{Author, ChangeError, Draft, Scope, affiliates};

use crate::clicks;
use crate::tracker::Tracker;

/// Maximum length of a reason, in characters.
const MAX_REASON: usize = 500;

/// Message where neither a click nor an affiliate is named.
const WITHOUT_PROOF: &str = "Enter a click ID, or a campaign and an affiliate.";

/// A conversion to enter, checked.
#[derive(Debug)]
pub struct Entry {
    advertiser_id: AdvertiserId,
    reason: String,
    order_id: String,
    parameters: Vec<(&'static str, String)>,
}

/// A conversion that was entered.
#[derive(Debug)]
pub struct Entered {
    /// Postback that stands for it.
    pub postback: PostbackId,
    /// Verdict on it.
    pub verdict: Verdict,
}

impl Entry {
    /// Fields of the draft of an entry.
    pub const FIELDS: [&'static str; 11] = [
        "click",
        "campaign",
        "affiliate",
        "goal",
        "order_id",
        "amount",
        "currency",
        "customer_id",
        "coupon",
        "status",
        "reason",
    ];

    /// Fields that go into the postback as they are.
    const PLAIN: [&'static str; 7] = [
        "goal",
        "order_id",
        "amount",
        "currency",
        "customer_id",
        "coupon",
        "status",
    ];

    /// Checks a draft for a click or an affiliate in scope. Campaign and affiliate are named by ID, external ID or name.
    ///
    /// # Errors
    /// [`ChangeError::Fields`] with the field; when the database fails.
    pub async fn check(
        conn: &mut NetworkConn,
        tracker: &Tracker,
        network: &Network,
        scope: Scope,
        draft: &Draft,
    ) -> Result<Self, ChangeError> {
        let reason = draft.of("reason").trim();
        if reason.is_empty() || reason.chars().count() > MAX_REASON {
            let message = format!("Enter a reason of at most {MAX_REASON} characters.");
            return Err(ChangeError::field("reason", message));
        }
        let (campaign, proof) = match draft.of("click") {
            "" => by_affiliate(conn, scope, draft).await?,
            text => {
                let read = tracker.click_ids().read(text, network.id, network.click_key);
                let unknown = || ChangeError::field("click", "No click has this ID.");
                let key = read.map(|id| id.key).map_err(|_| unknown())?;
                let campaign = of_click(conn, scope, key).await?.ok_or_else(unknown)?;
                (campaign, ("click_id", text.to_owned()))
            }
        };
        let plain = Self::PLAIN.map(|field| (field, draft.of(field).to_owned()));
        let plain = plain.into_iter().filter(|(_, value)| !value.is_empty());
        let named = [proof, ("campaign", campaign.id.to_string())];
        Ok(Self {
            advertiser_id: campaign.advertiser_id,
            reason: reason.to_owned(),
            order_id: draft.of("order_id").to_owned(),
            parameters: named.into_iter().chain(plain).collect(),
        })
    }

    /// Journals the postback and waits for its verdict. To be called without an open transaction, for which it could wait.
    pub async fn record(&self, tracker: &Tracker, network: &Network) -> Entered {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.parameters)
            .finish();
        let inbound = InboundRequest {
            entered_for: Some(self.advertiser_id),
            ..InboundRequest::get(&format!("/postback?{query}"), clock::now(), None)
        };
        let (postback, parsed) = (inbound.id, inbound.parse());
        let reply = tracker.intake().receive(network, inbound, parsed).await;
        Entered {
            postback,
            verdict: reply.verdict,
        }
    }

    /// Records a new conversion and the reason for it in the audit log.
    ///
    /// # Errors
    /// Database errors.
    pub async fn note(
        &self,
        conn: &mut NetworkConn,
        author: &Author,
        entered: &Entered,
    ) -> Result<(), ChangeError> {
        let verdict = &entered.verdict;
        let (Some(id), VerdictStatus::Accepted) = (verdict.conversion_id, verdict.reason.status()) else {
            return Ok(());
        };
        let details = json!({ "order_id": self.order_id, "reason": self.reason });
        let change = Change::created("conversion.create", id, &self.order_id, details);
        Ok(audit::record(conn, author, change, clock::now()).await?)
    }
}

async fn of_click(
    conn: &mut NetworkConn,
    scope: Scope,
    key: ClickKey,
) -> Result<Option<Campaign>, ChangeError> {
    match clicks::find(conn, scope, key).await? {
        Some(click) => Ok(campaigns::find(conn, click.campaign_id).await?),
        None => Ok(None),
    }
}

async fn by_affiliate(
    conn: &mut NetworkConn,
    scope: Scope,
    draft: &Draft,
) -> Result<(Campaign, (&'static str, String)), ChangeError> {
    let (campaign, affiliate) = (draft.of("campaign"), draft.of("affiliate"));
    for (field, value) in [("campaign", campaign), ("affiliate", affiliate)] {
        if value.is_empty() {
            return Err(ChangeError::field(field, WITHOUT_PROOF));
        }
    }
    let campaign = campaigns::known_as(conn, campaign).await?;
    let campaign = campaign.ok_or_else(|| ChangeError::field("campaign", "Unknown campaign."))?;
    let affiliate = match affiliates::known_as(conn, affiliate).await? {
        Some(known) if scope.includes_affiliate(conn, known.id).await? => known,
        _ => return Err(ChangeError::field("affiliate", "Unknown affiliate.")),
    };
    Ok((campaign, ("partner_key", affiliate.id.to_string())))
}
