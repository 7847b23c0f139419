//! Integrations: how an advertiser's server talks to us, and how it proves who it is.
//!
//! An advertiser has one, which decides for its campaigns. A campaign may have one of its own, which takes its place.

mod settings;
mod token;

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use ipnet::IpNet;
use schema::{AdvertiserId, BASE32, CampaignId, NetworkConn, integrations};
use serde_json::{Value, json};
use tenancy::audit::{self, Change};
use tenancy::{Author, Secret};

use self::settings::parse_network;
pub use self::settings::{
    AnswerFormat, IntegrationSettings, check_addresses, check_status_map, known_dialects,
};
pub use self::token::{Token, TokenHash};
use crate::campaigns::Campaign;

/// How many hours two tokens are taken beside each other at most.
pub const LONGEST_OVERLAP_HOURS: i64 = 30 * 24;

/// What the sealing of signing secrets is for.
const SEAL: &[u8] = b"signing secret of an integration";

/// Whose an integration is: an advertiser's, which decides for all its campaigns that have none of their own, or a
/// campaign's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, HasQuery)]
#[diesel(table_name = integrations)]
pub struct Holder {
    /// The advertiser whose server calls.
    pub advertiser_id: AdvertiserId,
    /// The campaign whose own it is.
    pub campaign_id: Option<CampaignId>,
}

impl From<AdvertiserId> for Holder {
    fn from(advertiser_id: AdvertiserId) -> Self {
        Self {
            advertiser_id,
            campaign_id: None,
        }
    }
}

impl From<&Campaign> for Holder {
    fn from(campaign: &Campaign) -> Self {
        Self {
            advertiser_id: campaign.advertiser_id,
            campaign_id: Some(campaign.id),
        }
    }
}

impl Holder {
    /// The id by which the audit log finds it.
    fn object(self) -> String {
        match self.campaign_id {
            Some(id) => id.to_string(),
            None => self.advertiser_id.to_string(),
        }
    }
}

/// An integration as stored, its secrets left out.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = integrations)]
pub struct Integration {
    /// The advertiser whose server calls.
    pub advertiser_id: AdvertiserId,
    /// The campaign whose own it is; none for the advertiser's.
    pub campaign_id: Option<CampaignId>,
    /// The last four characters of the token.
    pub token_hint: String,
    /// When the token was made.
    pub created_at: DateTime<Utc>,
    /// Until when the token before is still taken.
    pub previous_token_until: Option<DateTime<Utc>>,
    /// Until when the advertiser's token is taken for the campaign as well; none for the advertiser's own integration.
    pub advertiser_token_until: Option<DateTime<Utc>>,
    /// What may be set on it.
    #[diesel(embed)]
    pub settings: IntegrationSettings,
    /// The secret of the advertiser's signatures, sealed.
    signing_secret: Option<Vec<u8>>,
}

impl Integration {
    /// What an advertiser has that nobody set one up for: nothing is taken from it but what carries a token.
    #[must_use]
    pub fn unset(advertiser_id: AdvertiserId) -> Self {
        Self {
            advertiser_id,
            campaign_id: None,
            token_hint: String::new(),
            created_at: DateTime::UNIX_EPOCH,
            previous_token_until: None,
            advertiser_token_until: None,
            settings: IntegrationSettings::default(),
            signing_secret: None,
        }
    }

    /// Whether a call that came then could carry the advertiser's token: always with the advertiser's own integration, with
    /// a campaign's until its own took over.
    #[must_use]
    pub fn took_advertisers_token(&self, at: DateTime<Utc>) -> bool {
        self.advertiser_token_until.is_none_or(|until| at < until)
    }

    /// Whether it demands what a browser cannot give, which keeps no secret and comes from anywhere.
    #[must_use]
    pub fn refuses_browsers(&self) -> bool {
        let settings = &self.settings;
        let demands = settings.requires_token
            || settings.requires_signature
            || !settings.allowed_addresses.0.is_empty();
        demands && !settings.is_monitoring
    }

    /// Whether there is a secret to sign with.
    #[must_use]
    pub fn has_signing_secret(&self) -> bool {
        self.signing_secret.is_some()
    }

    /// The secret of the advertiser's signatures, opened.
    #[must_use]
    pub fn signing_secret(&self, secret: &Secret) -> Option<String> {
        let opened = secret.unseal(SEAL, self.signing_secret.as_deref()?)?;
        String::from_utf8(opened).ok()
    }

    /// Whether calls may come from this address. Entries that are none let nobody in.
    #[must_use]
    pub fn allows(&self, address: Option<IpNet>) -> bool {
        let allowed = &self.settings.allowed_addresses.0;
        let listed = |address: IpNet| {
            allowed
                .iter()
                .filter_map(|entry| parse_network(entry))
                .any(|network| network.contains(&address))
        };
        allowed.is_empty() || address.is_some_and(listed)
    }

    /// What a word for a status means, as the network set it: `pending`, `held`, `approved`, `rejected` or `ignored`.
    #[must_use]
    pub fn meaning_of(&self, status: &str) -> Option<&str> {
        self.settings.status_map.get(status).and_then(Value::as_str)
    }
}

/// All integrations of an advertiser: the one that decides for its campaigns, and those that campaigns have of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Integrations {
    general: Option<Arc<Integration>>,
    own: HashMap<CampaignId, Arc<Integration>>,
}

impl Integrations {
    /// The integration that decides for a campaign: its own, or else the advertiser's. The advertiser's, too, where no
    /// campaign is known.
    #[must_use]
    pub fn deciding(&self, campaign: Option<CampaignId>) -> Option<&Arc<Integration>> {
        campaign.and_then(|id| self.own_of(id)).or(self.general.as_ref())
    }

    /// The integration that a campaign has of its own.
    #[must_use]
    pub fn own_of(&self, campaign: CampaignId) -> Option<&Arc<Integration>> {
        self.own.get(&campaign)
    }

    /// Whether any of them takes click ids in other letter case.
    #[must_use]
    pub fn ignore_letter_case(&self) -> bool {
        let mut all = self.general.iter().chain(self.own.values());
        all.any(|it| it.settings.ignores_letter_case)
    }
}

/// Gives an advertiser or a campaign a fresh token. The one that was taken before is taken for as long as `overlap` says;
/// not at all from the commit on where that is zero.
///
/// The first token of a campaign is what makes its own integration, with everything else as its advertiser has it. The
/// token that was taken before is the advertiser's then.
///
/// # Errors
/// When the database fails, or the advertiser is not of this network (a foreign-key violation).
pub async fn new_token(
    conn: &mut NetworkConn,
    author: &Author,
    holder: impl Into<Holder>,
    overlap: TimeDelta,
    now: DateTime<Utc>,
) -> QueryResult<Token> {
    let holder = holder.into();
    let token = Token::fresh();
    let network_id = conn.network_id();
    let secret = (
        integrations::token_hash.eq(token.hash().0.to_vec()),
        integrations::token_hint.eq(token.hint().to_owned()),
        integrations::created_at.eq(now),
    );
    let replaced: Option<Vec<u8>> = integrations::table
        .filter(integrations::network_id.eq(network_id))
        .filter(integrations::advertiser_id.eq(holder.advertiser_id))
        .filter(integrations::campaign_id.is_not_distinct_from(holder.campaign_id))
        .select(integrations::token_hash)
        .for_update()
        .first(&mut **conn)
        .await
        .optional()?;
    let is_first_of_campaign = replaced.is_none() && holder.campaign_id.is_some();
    let model = match is_first_of_campaign {
        true => find(conn, holder.advertiser_id).await?,
        false => None,
    };
    let model = model.unwrap_or_else(|| Integration::unset(holder.advertiser_id));
    let until = Some(now + overlap).filter(|until| *until > now);
    let previous = replaced.zip(until);
    diesel::insert_into(integrations::table)
        .values((
            integrations::network_id.eq(network_id),
            integrations::advertiser_id.eq(holder.advertiser_id),
            integrations::campaign_id.eq(holder.campaign_id),
            integrations::advertiser_token_until.eq(holder.campaign_id.map(|_| now + overlap)),
            integrations::signing_secret.eq(model.signing_secret),
            model.settings,
            secret.clone(),
        ))
        .on_conflict((
            integrations::network_id,
            integrations::advertiser_id,
            integrations::campaign_id,
        ))
        .do_update()
        .set((
            secret,
            integrations::previous_token_hash.eq(previous.as_ref().map(|(hash, _)| hash)),
            integrations::previous_token_until.eq(previous.as_ref().map(|(_, until)| *until)),
        ))
        .execute(&mut **conn)
        .await?;
    let after = json!({
        "ends_in": token.hint(),
        "previous_until": until.filter(|_| is_first_of_campaign || previous.is_some()),
    });
    let change = Change::created("integration.new_token", holder.object(), "postback token", after);
    audit::record(conn, author, change, now).await?;
    Ok(token)
}

/// Gives an advertiser or a campaign a fresh secret to sign calls with. Returns it, to be shown once; none where there is
/// no integration yet.
///
/// # Errors
/// When the database fails.
pub async fn new_signing_secret(
    conn: &mut NetworkConn,
    author: &Author,
    secret: &Secret,
    holder: impl Into<Holder>,
    now: DateTime<Utc>,
) -> QueryResult<Option<String>> {
    let holder = holder.into();
    let network_id = conn.network_id();
    let fresh = BASE32.encode(&rand::random::<[u8; 30]>());
    let changed = diesel::update(integrations::table)
        .filter(integrations::network_id.eq(network_id))
        .filter(integrations::advertiser_id.eq(holder.advertiser_id))
        .filter(integrations::campaign_id.is_not_distinct_from(holder.campaign_id))
        .set(integrations::signing_secret.eq(secret.seal(SEAL, fresh.as_bytes())))
        .execute(&mut **conn)
        .await?;
    if changed == 0 {
        return Ok(None);
    }
    let change = Change::created(
        "integration.new_signing_secret",
        holder.object(),
        "signing secret",
        json!({}),
    );
    audit::record(conn, author, change, now).await?;
    Ok(Some(fresh))
}

/// Changes how an advertiser's server talks to us. Returns whether there is an integration.
///
/// # Errors
/// When the database fails, or signatures are required and there is no secret (a check violation).
pub async fn update(
    conn: &mut NetworkConn,
    author: &Author,
    holder: impl Into<Holder>,
    settings: &IntegrationSettings,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let holder = holder.into();
    let Some(old) = find(conn, holder).await? else {
        return Ok(false);
    };
    if old.settings == *settings {
        return Ok(true);
    }
    let network_id = conn.network_id();
    diesel::update(integrations::table)
        .filter(integrations::network_id.eq(network_id))
        .filter(integrations::advertiser_id.eq(holder.advertiser_id))
        .filter(integrations::campaign_id.is_not_distinct_from(holder.campaign_id))
        .set(settings)
        .execute(&mut **conn)
        .await?;
    let (before, after) = (old.settings.to_json(), settings.to_json());
    let change = Change::between(
        "integration.update",
        holder.object(),
        "integration",
        before,
        after,
    );
    audit::record(conn, author, change, now).await?;
    Ok(true)
}

/// Takes a campaign's own integration away, so that its advertiser's decides again. Returns whether it had one.
///
/// # Errors
/// When the database fails.
pub async fn remove_own(
    conn: &mut NetworkConn,
    author: &Author,
    campaign: &Campaign,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let network_id = conn.network_id();
    let removed: Option<String> = diesel::delete(integrations::table)
        .filter(integrations::network_id.eq(network_id))
        .filter(integrations::advertiser_id.eq(campaign.advertiser_id))
        .filter(integrations::campaign_id.eq(campaign.id))
        .returning(integrations::token_hint)
        .get_result(&mut **conn)
        .await
        .optional()?;
    let Some(hint) = removed else { return Ok(false) };
    let (before, after) = (json!({ "ends_in": hint }), json!({ "ends_in": null }));
    let change = Change::between("integration.remove", campaign.id, "integration", before, after);
    audit::record(conn, author, change, now).await?;
    Ok(true)
}

/// The integration of an advertiser, none as long as it has no token; or the one that a campaign has of its own.
///
/// # Errors
/// When the database fails.
pub async fn find(conn: &mut NetworkConn, holder: impl Into<Holder>) -> QueryResult<Option<Integration>> {
    let (network_id, holder) = (conn.network_id(), holder.into());
    Integration::query()
        .filter(integrations::network_id.eq(network_id))
        .filter(integrations::advertiser_id.eq(holder.advertiser_id))
        .filter(integrations::campaign_id.is_not_distinct_from(holder.campaign_id))
        .first(&mut **conn)
        .await
        .optional()
}

/// As [`find`]; nobody else changes it until the transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn lock(conn: &mut NetworkConn, holder: impl Into<Holder>) -> QueryResult<Option<Integration>> {
    let (network_id, holder) = (conn.network_id(), holder.into());
    integrations::table
        .filter(integrations::network_id.eq(network_id))
        .filter(integrations::advertiser_id.eq(holder.advertiser_id))
        .filter(integrations::campaign_id.is_not_distinct_from(holder.campaign_id))
        .select(Integration::as_select())
        .for_update()
        .first(&mut **conn)
        .await
        .optional()
}

/// All integrations of an advertiser.
///
/// # Errors
/// When the database fails.
pub async fn of_advertiser(conn: &mut NetworkConn, advertiser_id: AdvertiserId) -> QueryResult<Integrations> {
    let network_id = conn.network_id();
    let rows: Vec<Integration> = Integration::query()
        .filter(integrations::network_id.eq(network_id))
        .filter(integrations::advertiser_id.eq(advertiser_id))
        .load(&mut **conn)
        .await?;
    let mut all = Integrations::default();
    for row in rows.into_iter().map(Arc::new) {
        match row.campaign_id {
            Some(id) => drop(all.own.insert(id, row)),
            None => all.general = Some(row),
        }
    }
    Ok(all)
}

/// Whose token this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenOwner {
    /// The advertiser, and the campaign for which alone it is good.
    pub holder: Holder,
    /// Until when it is taken; for good if none.
    pub until: Option<DateTime<Utc>>,
}

/// Whose token, or the one before it, hashes to this.
pub(crate) async fn owner_of_token(
    conn: &mut NetworkConn,
    token_hash: &TokenHash,
) -> QueryResult<Option<TokenOwner>> {
    let network_id = conn.network_id();
    let hash = &token_hash.0[..];
    let found: Option<(Holder, bool, Option<DateTime<Utc>>)> = integrations::table
        .filter(integrations::network_id.eq(network_id))
        .filter(
            integrations::token_hash
                .eq(hash)
                .or(integrations::previous_token_hash.eq(hash)),
        )
        .select((
            Holder::as_select(),
            integrations::token_hash.eq(hash),
            integrations::previous_token_until,
        ))
        .first(&mut **conn)
        .await
        .optional()?;
    Ok(found.map(|(holder, is_current, until)| TokenOwner {
        holder,
        until: until.filter(|_| !is_current),
    }))
}
