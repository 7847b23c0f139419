//! Integrations: how an advertiser's server talks to us, and how it proves who it is.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use ipnet::IpNet;
use schema::{AdvertiserId, BASE32, NetworkConn, Words, integrations, text_enum};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tenancy::audit::{self, Change};
use tenancy::{Author, Draft, Secret, check_number, yes_or_nothing};

/// How many hours two tokens are taken beside each other at most.
pub const LONGEST_OVERLAP_HOURS: i64 = 30 * 24;

/// What the sealing of signing secrets is for.
const SEAL: &[u8] = b"signing secret of an integration";

text_enum! {
    /// In whose voice a postback is answered.
    pub enum AnswerFormat {
        /// What the sender's own system would answer; our JSON to our own spelling.
        Dialect = "dialect",
        /// Our JSON, with the status that fits.
        Ours = "ours",
        /// Our JSON, always with 200: for senders that repeat everything else for ever.
        AlwaysOk = "always_ok",
        /// A picture of one pixel.
        Gif = "gif",
    }
}

/// A postback token in the clear: exists only between its making and its being shown, and in the advertiser's calls.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token as a caller sent it.
    #[must_use]
    pub fn from_call(text: &str) -> Self {
        Self(text.to_owned())
    }

    fn fresh() -> Self {
        Self(BASE32.encode(&rand::random::<[u8; 20]>()))
    }

    /// The text to show, once.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last four characters, by which people tell tokens apart.
    #[must_use]
    pub fn hint(&self) -> &str {
        let start = self.0.char_indices().rev().nth(3).map_or(0, |(start, _)| start);
        self.0.get(start..).unwrap_or_default()
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0.as_bytes()).into())
    }
}

/// SHA-256 of a token: what is stored and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// What a person may set on an integration, checked.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery, AsChangeset)]
#[diesel(table_name = integrations, treat_none_as_null = true)]
pub struct IntegrationSettings {
    /// Key of the system whose spelling the calls are in; each is recognised by itself if none.
    pub dialect: Option<String>,
    /// Whether a call must have come over https.
    pub requires_https: bool,
    /// Whether a call must carry the token.
    pub requires_token: bool,
    /// Whether a call must be signed.
    pub requires_signature: bool,
    /// How far the time of a signature may be from ours: 10 seconds to a day.
    pub signature_seconds: i32,
    /// Addresses and networks (CIDR) that calls may come from; none means anywhere.
    pub allowed_addresses: Words,
    /// Whether https, token, signature and address are only looked at.
    pub is_monitoring: bool,
    /// In whose voice it is answered.
    pub answer_format: AnswerFormat,
    /// What the advertiser's own words for statuses mean.
    pub status_map: Value,
    /// Whether a commission that the advertiser sends is paid where the goal's own is zero.
    pub takes_commission: bool,
    /// Whether a click id that differs in letter case only is taken.
    pub ignores_letter_case: bool,
}

impl Default for IntegrationSettings {
    fn default() -> Self {
        Self {
            dialect: None,
            requires_https: false,
            requires_token: true,
            requires_signature: false,
            signature_seconds: 300,
            allowed_addresses: Words::default(),
            is_monitoring: false,
            answer_format: AnswerFormat::Dialect,
            status_map: json!({}),
            takes_commission: false,
            ignores_letter_case: false,
        }
    }
}

impl IntegrationSettings {
    /// What may be said of an integration in a [`Draft`].
    pub const FIELDS: [&'static str; 10] = [
        "answer_format",
        "requires_https",
        "requires_token",
        "requires_signature",
        "signature_seconds",
        "allowed_addresses",
        "is_monitoring",
        "status_map",
        "takes_commission",
        "ignores_letter_case",
    ];

    /// The settings as [`IntegrationSettings::check`] reads them.
    #[must_use]
    pub fn draft(&self) -> Draft {
        let map = self.status_map.as_object();
        let lines = map
            .into_iter()
            .flatten()
            .map(|(word, meaning)| format!("{word} = {}", meaning.as_str().unwrap_or_default()));
        Draft::with([
            ("answer_format", self.answer_format.to_string()),
            ("requires_https", yes_or_nothing(self.requires_https)),
            ("requires_token", yes_or_nothing(self.requires_token)),
            ("requires_signature", yes_or_nothing(self.requires_signature)),
            ("signature_seconds", self.signature_seconds.to_string()),
            ("allowed_addresses", self.allowed_addresses.on_lines()),
            ("is_monitoring", yes_or_nothing(self.is_monitoring)),
            ("status_map", lines.collect::<Vec<_>>().join("\n")),
            ("takes_commission", yes_or_nothing(self.takes_commission)),
            ("ignores_letter_case", yes_or_nothing(self.ignores_letter_case)),
        ])
    }

    /// The settings that a draft says for this integration, if all can be accepted.
    pub fn check(draft: &mut Draft, known: &Integration) -> Option<Self> {
        let answer_format = draft.take("answer_format", str::parse);
        let signature_seconds = draft.take("signature_seconds", |text| {
            check_number(text, Some(300), 10..=86_400)
        });
        let allowed_addresses = draft.take("allowed_addresses", check_addresses);
        let status_map = draft.take("status_map", check_status_map);
        let requires_signature = draft.says_yes("requires_signature");
        if requires_signature && !known.has_signing_secret() {
            let message = "Make a signing secret first, and give it to the advertiser.";
            draft.errors.add("requires_signature", message);
            return None;
        }
        Some(Self {
            dialect: known.settings.dialect.clone(),
            requires_https: draft.says_yes("requires_https"),
            requires_token: draft.says_yes("requires_token"),
            requires_signature,
            signature_seconds: signature_seconds?,
            allowed_addresses: allowed_addresses?,
            is_monitoring: draft.says_yes("is_monitoring"),
            answer_format: answer_format?,
            status_map: status_map?,
            takes_commission: draft.says_yes("takes_commission"),
            ignores_letter_case: draft.says_yes("ignores_letter_case"),
        })
    }

    fn to_json(&self) -> Value {
        json!({
            "dialect": self.dialect,
            "requires_https": self.requires_https,
            "requires_token": self.requires_token,
            "requires_signature": self.requires_signature,
            "signature_seconds": self.signature_seconds,
            "allowed_addresses": self.allowed_addresses,
            "is_monitoring": self.is_monitoring,
            "answer_format": self.answer_format.as_str(),
            "status_map": self.status_map,
            "takes_commission": self.takes_commission,
            "ignores_letter_case": self.ignores_letter_case,
        })
    }
}

/// An integration as stored, its secrets left out.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery)]
#[diesel(table_name = integrations)]
pub struct Integration {
    /// The advertiser whose server calls.
    pub advertiser_id: AdvertiserId,
    /// The last four characters of the token.
    pub token_hint: String,
    /// When the token was made.
    pub created_at: DateTime<Utc>,
    /// Until when the token before is still taken.
    pub previous_token_until: Option<DateTime<Utc>>,
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
            token_hint: String::new(),
            created_at: DateTime::UNIX_EPOCH,
            previous_token_until: None,
            settings: IntegrationSettings::default(),
            signing_secret: None,
        }
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

/// An address or network as typed.
fn parse_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| {
        text.parse()
            .ok()
            .map(|address: std::net::IpAddr| IpNet::from(address))
    })
}

/// Addresses and networks as typed, with spaces, commas or line breaks between.
///
/// # Errors
/// A sentence for the person who typed them.
pub fn check_addresses(text: &str) -> Result<Words, String> {
    let entries = text.split(|c: char| c.is_whitespace() || c == ',' || c == ';');
    let mut addresses = Vec::new();
    for entry in entries.filter(|entry| !entry.is_empty()) {
        if parse_network(entry).is_none() {
            return Err(format!(
                "“{entry}” is neither an address such as 203.0.113.7 nor a network such as 203.0.113.0/24."
            ));
        }
        addresses.push(entry.to_owned());
    }
    match addresses.len() > 200 {
        true => Err("Enter at most 200 addresses; name networks instead.".to_owned()),
        false => Ok(Words(addresses)),
    }
}

/// What statuses mean, as typed: one `word = meaning` per line.
///
/// # Errors
/// A sentence for the person who typed it.
pub fn check_status_map(text: &str) -> Result<Value, String> {
    const MEANINGS: [&str; 5] = ["pending", "held", "approved", "rejected", "ignored"];
    let mut map = serde_json::Map::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (word, meaning) = line
            .split_once('=')
            .map(|(word, meaning)| (word.trim(), meaning.trim()))
            .ok_or_else(|| format!("“{line}” has no =. Write one “word = meaning” per line."))?;
        if word.is_empty() || !MEANINGS.contains(&meaning) {
            return Err(format!(
                "“{line}”: a word on the left, and one of {} on the right.",
                MEANINGS.join(", ")
            ));
        }
        map.insert(word.to_owned(), meaning.into());
    }
    match map.len() > 100 {
        true => Err("Enter at most 100 words.".to_owned()),
        false => Ok(Value::Object(map)),
    }
}

/// Gives an advertiser a fresh token. The one it had is taken for as long as `overlap` says; not at all from the commit
/// on where that is zero.
///
/// # Errors
/// When the database fails, or the advertiser is not of this network (a foreign-key violation).
pub async fn new_token(
    conn: &mut NetworkConn,
    author: &Author,
    advertiser_id: AdvertiserId,
    overlap: TimeDelta,
    now: DateTime<Utc>,
) -> QueryResult<Token> {
    let token = Token::fresh();
    let network_id = conn.network_id();
    let secret = (
        integrations::token_hash.eq(token.hash().0.to_vec()),
        integrations::token_hint.eq(token.hint().to_owned()),
        integrations::created_at.eq(now),
    );
    let replaced: Option<Vec<u8>> = integrations::table
        .filter(integrations::network_id.eq(network_id))
        .filter(integrations::advertiser_id.eq(advertiser_id))
        .select(integrations::token_hash)
        .for_update()
        .first(&mut **conn)
        .await
        .optional()?;
    let previous = replaced
        .filter(|_| overlap > TimeDelta::zero())
        .map(|hash| (hash, now + overlap));
    diesel::insert_into(integrations::table)
        .values((
            integrations::network_id.eq(network_id),
            integrations::advertiser_id.eq(advertiser_id),
            secret.clone(),
        ))
        .on_conflict((integrations::network_id, integrations::advertiser_id))
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
        "previous_until": previous.map(|(_, until)| until),
    });
    let change = Change::created("integration.new_token", advertiser_id, "postback token", after);
    audit::record(conn, author, change, now).await?;
    Ok(token)
}

/// Gives an advertiser a fresh secret to sign calls with. Returns it, to be shown once; none when the advertiser has no
/// integration yet.
///
/// # Errors
/// When the database fails.
pub async fn new_signing_secret(
    conn: &mut NetworkConn,
    author: &Author,
    secret: &Secret,
    advertiser_id: AdvertiserId,
    now: DateTime<Utc>,
) -> QueryResult<Option<String>> {
    let network_id = conn.network_id();
    let fresh = BASE32.encode(&rand::random::<[u8; 30]>());
    let changed = diesel::update(integrations::table)
        .filter(integrations::network_id.eq(network_id))
        .filter(integrations::advertiser_id.eq(advertiser_id))
        .set(integrations::signing_secret.eq(secret.seal(SEAL, fresh.as_bytes())))
        .execute(&mut **conn)
        .await?;
    if changed == 0 {
        return Ok(None);
    }
    let change = Change::created(
        "integration.new_signing_secret",
        advertiser_id,
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
    advertiser_id: AdvertiserId,
    settings: &IntegrationSettings,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let Some(old) = of_advertiser(conn, advertiser_id).await? else {
        return Ok(false);
    };
    if old.settings == *settings {
        return Ok(true);
    }
    let network_id = conn.network_id();
    diesel::update(integrations::table)
        .filter(integrations::network_id.eq(network_id))
        .filter(integrations::advertiser_id.eq(advertiser_id))
        .set(settings)
        .execute(&mut **conn)
        .await?;
    let (before, after) = (old.settings.to_json(), settings.to_json());
    let change = Change::between("integration.update", advertiser_id, "integration", before, after);
    audit::record(conn, author, change, now).await?;
    Ok(true)
}

/// How an advertiser's server talks to us; none as long as it has no token.
///
/// # Errors
/// When the database fails.
pub async fn of_advertiser(
    conn: &mut NetworkConn,
    advertiser_id: AdvertiserId,
) -> QueryResult<Option<Integration>> {
    let network_id = conn.network_id();
    Integration::query()
        .filter(
            integrations::network_id
                .eq(network_id)
                .and(integrations::advertiser_id.eq(advertiser_id)),
        )
        .first(&mut **conn)
        .await
        .optional()
}

/// How an advertiser's server talks to us; nobody else changes it until the transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn lock(conn: &mut NetworkConn, advertiser_id: AdvertiserId) -> QueryResult<Option<Integration>> {
    let network_id = conn.network_id();
    integrations::table
        .filter(integrations::network_id.eq(network_id))
        .filter(integrations::advertiser_id.eq(advertiser_id))
        .select(Integration::as_select())
        .for_update()
        .first(&mut **conn)
        .await
        .optional()
}

/// Whose token this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenOwner {
    /// The advertiser.
    pub advertiser_id: AdvertiserId,
    /// Until when it is taken; for good if none.
    pub until: Option<DateTime<Utc>>,
}

/// The advertiser whose token, or the one before it, hashes to this.
pub(crate) async fn owner_of_token(
    conn: &mut NetworkConn,
    token_hash: &TokenHash,
) -> QueryResult<Option<TokenOwner>> {
    let network_id = conn.network_id();
    let hash = &token_hash.0[..];
    let found: Option<(AdvertiserId, bool, Option<DateTime<Utc>>)> = integrations::table
        .filter(integrations::network_id.eq(network_id))
        .filter(
            integrations::token_hash
                .eq(hash)
                .or(integrations::previous_token_hash.eq(hash)),
        )
        .select((
            integrations::advertiser_id,
            integrations::token_hash.eq(hash),
            integrations::previous_token_until,
        ))
        .first(&mut **conn)
        .await
        .optional()?;
    Ok(found.map(|(advertiser_id, is_current, until)| TokenOwner {
        advertiser_id,
        until: until.filter(|_| !is_current),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_one_by_one() {
        let words = check_addresses("203.0.113.7, 198.51.100.0/24\n2001:db8::/32").unwrap();
        assert_eq!(words.0, ["203.0.113.7", "198.51.100.0/24", "2001:db8::/32"]);
        assert!(check_addresses("203.0.113").unwrap_err().contains("“203.0.113”"));
    }

    #[test]
    fn a_status_map_names_what_each_word_means() {
        let map = check_status_map("2 = approved\n\n 7=ignored ").unwrap();
        assert_eq!(map, json!({ "2": "approved", "7": "ignored" }));
        assert!(check_status_map("2 approved").unwrap_err().contains("no ="));
        assert!(check_status_map("2 = paid").unwrap_err().contains("approved"));
    }
}
