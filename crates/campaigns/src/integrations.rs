//! Integrations: how an advertiser's server sends postbacks and how it authenticates.
//!
//! An advertiser has one integration for all its campaigns. A campaign may have its own, which replaces the
//! advertiser's.

mod example;
mod settings;
mod token;

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use ipnet::IpNet;
use schema::{AdvertiserId, BASE32, CampaignId, NetworkConn, Words, integrations};
use serde_json::json;
use tenancy::audit::{self, Change};
use tenancy::{Author, ChangeError, Draft, Secret, check_number};

pub use self::example::{ExampleValues, example_call, example_command};
pub use self::settings::{
    AnswerFormat, IntegrationSettings, check_addresses, check_status_map, known_dialects,
};
use self::settings::{check_dialect, parse_network};
pub use self::token::{Token, TokenHash};
use crate::campaigns::{self, Campaign};

/// Maximum hours for which the previous token stays valid.
pub const LONGEST_OVERLAP_HOURS: i64 = 30 * 24;

/// Purpose for which signing secrets are sealed.
const SEAL: &[u8] = b"signing secret of an integration";

/// Owner of an integration: an advertiser, for all its campaigns without their own, or a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, HasQuery)]
#[diesel(table_name = integrations)]
pub struct Holder {
    /// Advertiser whose server sends the postbacks.
    pub advertiser_id: AdvertiserId,
    /// Campaign that has its own integration; `None` for the advertiser's.
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
    /// Identifier of the audited object.
    fn object(self) -> String {
        match self.campaign_id {
            Some(id) => id.to_string(),
            None => self.advertiser_id.to_string(),
        }
    }
}

/// An integration as stored, without its secrets in the clear.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = integrations)]
pub struct Integration {
    /// Advertiser whose server sends the postbacks.
    pub advertiser_id: AdvertiserId,
    /// Campaign that has its own integration; `None` for the advertiser's.
    pub campaign_id: Option<CampaignId>,
    /// Last four characters of the token.
    pub token_hint: String,
    /// Creation time of the token.
    pub created_at: DateTime<Utc>,
    /// End of the previous token's validity; `None` if no previous token is valid.
    pub previous_token_until: Option<DateTime<Utc>>,
    /// End of the advertiser token's validity for the campaign; `None` for the advertiser's integration.
    pub advertiser_token_until: Option<DateTime<Utc>>,
    /// Settings of the integration.
    #[diesel(embed)]
    pub settings: IntegrationSettings,
    /// Sealed secret of the advertiser's signatures; `None` if not created.
    signing_secret: Option<Vec<u8>>,
}

impl Integration {
    /// Integration of an advertiser without one: only postbacks with a token would be accepted.
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

    /// True if a postback received at this time could carry the advertiser's token: always for the advertiser's
    /// integration, for a campaign's only until its own token took over.
    #[must_use]
    pub fn took_advertisers_token(&self, at: DateTime<Utc>) -> bool {
        self.advertiser_token_until.is_none_or(|until| at < until)
    }

    /// True if it requires what a browser cannot provide: a secret or a fixed address.
    #[must_use]
    pub fn refuses_browsers(&self) -> bool {
        let settings = &self.settings;
        let demands = settings.requires_token
            || settings.requires_signature
            || !settings.allowed_addresses.0.is_empty();
        demands && !settings.is_monitoring
    }

    /// True if a signing secret exists.
    #[must_use]
    pub fn has_signing_secret(&self) -> bool {
        self.signing_secret.is_some()
    }

    /// Secret of the advertiser's signatures, unsealed; `None` if it does not exist or was sealed with another secret.
    #[must_use]
    pub fn signing_secret(&self, secret: &Secret) -> Option<String> {
        let opened = secret.unseal(SEAL, self.signing_secret.as_deref()?)?;
        String::from_utf8(opened).ok()
    }

    /// True if postbacks may come from this address. An entry that is not a network allows no address.
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

    /// Meaning of a status in the network's status map: `pending`, `held`, `approved`, `rejected` or `ignored`.
    #[must_use]
    pub fn meaning_of(&self, status: &str) -> Option<&str> {
        let words = self.settings.status_map.as_object()?;
        let (_, meaning) = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(status))?;
        meaning.as_str()
    }
}

impl IntegrationSettings {
    /// Checks a draft for this integration and returns the settings, or `None` with the errors in the draft.
    pub fn check(draft: &mut Draft, known: &Integration) -> Option<Self> {
        let dialect = draft.take("dialect", check_dialect);
        let answer_format = draft.take("answer_format", str::parse);
        let signature_seconds = draft.take("signature_seconds", |text| {
            check_number(text, Some(300), 10..=86_400)
        });
        let allowed_addresses = draft.take("allowed_addresses", check_addresses);
        let status_map = draft.take("status_map", check_status_map);
        let requires_signature = draft.is_set("requires_signature");
        if requires_signature && !known.has_signing_secret() {
            let message = "Create a signing secret first and give it to the advertiser.";
            draft.errors.add("requires_signature", message);
            return None;
        }
        Some(Self {
            dialect: dialect?,
            requires_https: draft.is_set("requires_https"),
            requires_token: draft.is_set("requires_token"),
            requires_signature,
            signature_seconds: signature_seconds?,
            allowed_addresses: allowed_addresses?,
            is_monitoring: draft.is_set("is_monitoring"),
            answer_format: answer_format?,
            status_map: status_map?,
            takes_commission: draft.is_set("takes_commission"),
            counts_orders_once: draft.is_set("counts_orders_once"),
            ignores_letter_case: draft.is_set("ignores_letter_case"),
        })
    }
}

/// All integrations of an advertiser: the general one, and those of single campaigns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Integrations {
    general: Option<Arc<Integration>>,
    own: HashMap<CampaignId, Arc<Integration>>,
}

impl Integrations {
    /// Format of the integration that decides for a campaign, or for the advertiser's others; ours if it has none.
    #[must_use]
    pub fn dialect(&self, campaign_id: Option<CampaignId>) -> &'static dialects::Dialect {
        let integration = self.deciding(campaign_id);
        let key = integration.and_then(|integration| integration.settings.dialect.as_deref());
        key.and_then(dialects::of_key).unwrap_or(dialects::native())
    }

    /// Integration that applies to a campaign: its own, or else the advertiser's; the advertiser's if the campaign is
    /// unknown.
    #[must_use]
    pub fn deciding(&self, campaign: Option<CampaignId>) -> Option<&Arc<Integration>> {
        campaign.and_then(|id| self.own_of(id)).or(self.general.as_ref())
    }

    /// Integration that belongs to the campaign alone.
    #[must_use]
    pub fn own_of(&self, campaign: CampaignId) -> Option<&Arc<Integration>> {
        self.own.get(&campaign)
    }

    /// True if any of them accepts click ids in other letter case.
    #[must_use]
    pub fn ignore_letter_case(&self) -> bool {
        let mut all = self.general.iter().chain(self.own.values());
        all.any(|integration| integration.settings.ignores_letter_case)
    }
}

/// Creates a new token for an advertiser or a campaign. The previous token stays valid for `overlap`; with an overlap
/// of zero it ends with the commit.
///
/// The first token of a campaign creates its own integration, with the advertiser's settings. Its previous token is
/// then the advertiser's.
///
/// # Errors
/// Database errors, or an advertiser of another network (a foreign-key violation).
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
    let model = if is_first_of_campaign {
        find(conn, holder.advertiser_id).await?
    } else {
        None
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

/// Creates the integration of a campaign, with its advertiser's settings. Returns its token, to be shown once. The
/// advertiser's token stays valid for the campaign until the overlap ends.
///
/// # Errors
/// [`ChangeError::Conflict`] if the campaign has an integration; when the database fails.
pub async fn create_own(
    conn: &mut NetworkConn,
    author: &Author,
    campaign: &Campaign,
    overlap: TimeDelta,
    now: DateTime<Utc>,
) -> Result<Token, ChangeError> {
    // An absent row cannot be locked: the lock of the campaign makes the second of two requests wait for the first.
    campaigns::lock(conn, campaign.id).await?;
    if find(conn, campaign).await?.is_some() {
        let message = "The campaign already has an integration.";
        return Err(ChangeError::Conflict(message.to_owned()));
    }
    Ok(new_token(conn, author, campaign, overlap, now).await?)
}

/// Creates a new signing secret for an advertiser or a campaign. Returns the secret, to be shown once; `None` if there
/// was no integration.
///
/// # Errors
/// Database errors.
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

/// Changes the settings of an integration. Returns false if the holder has none.
///
/// # Errors
/// Database errors, or signatures required without a secret (a check violation).
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

/// Removes a campaign's own integration, so that the advertiser's applies again. Returns false if the campaign had
/// none.
///
/// # Errors
/// Database errors.
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

/// Finds the integration of an advertiser, which exists once it has a token, or a campaign's own.
///
/// # Errors
/// Database errors.
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

/// Finds an integration as [`find`] does and locks its row until the transaction ends.
///
/// # Errors
/// Database errors.
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
/// Database errors.
pub async fn of_advertiser(conn: &mut NetworkConn, advertiser_id: AdvertiserId) -> QueryResult<Integrations> {
    let network_id = conn.network_id();
    let rows: Vec<Integration> = Integration::query()
        .filter(integrations::network_id.eq(network_id))
        .filter(integrations::advertiser_id.eq(advertiser_id))
        .load(&mut **conn)
        .await?;
    let mut all = Integrations::default();
    for row in rows.into_iter().map(Arc::new) {
        if let Some(id) = row.campaign_id {
            all.own.insert(id, row);
        } else {
            all.general = Some(row);
        }
    }
    Ok(all)
}

/// Addresses that the integrations of a network allow, each with its advertiser.
///
/// # Errors
/// Database errors.
pub async fn allowed_addresses(conn: &mut NetworkConn) -> QueryResult<Vec<(IpNet, AdvertiserId)>> {
    let network_id = conn.network_id();
    let rows: Vec<(AdvertiserId, Words)> = integrations::table
        .filter(integrations::network_id.eq(network_id))
        .filter(integrations::allowed_addresses.ne(Words::default()))
        .select((integrations::advertiser_id, integrations::allowed_addresses))
        .load(&mut **conn)
        .await?;
    let nets = |(advertiser, words): (AdvertiserId, Words)| {
        let nets: Vec<IpNet> = words.0.iter().filter_map(|text| parse_network(text)).collect();
        nets.into_iter().map(move |net| (net, advertiser))
    };
    Ok(rows.into_iter().flat_map(nets).collect())
}

/// Owner of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenOwner {
    /// Advertiser, and the campaign if the token is valid for that one only.
    pub holder: Holder,
    /// End of the token's validity; `None` for a current token.
    pub until: Option<DateTime<Utc>>,
}

/// Finds the owner of the current or previous token with this hash.
///
/// # Errors
/// Database errors.
pub async fn owner_of_token(
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
