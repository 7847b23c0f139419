//! API keys, which programs authenticate with. A key has at most the permissions of the member who created it, limited
//! to its scopes.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    ApiKeyId, BASE32, Db, DbError, MembershipId, NetworkConn, NetworkId, Words, api_keys, memberships, people,
};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::actor::Actor;
use crate::audit::{self, Change};
use crate::author::Via;
use crate::error::{ChangeError, FieldErrors, check_name};
use crate::permissions::ApiScope;
use crate::{Permission, unscoped};

/// Prefix of every key, by which secret scanners and error messages recognise a leaked or misplaced one.
pub const PREFIX: &str = "clk_key_";
/// Maximum number of active keys per membership.
const MAX_ACTIVE_KEYS: i64 = 50;
/// Precision of the stored time of last use; limits updates to one per interval.
const LAST_USE_PRECISION: TimeDelta = TimeDelta::minutes(1);

/// An API key in plain text: exists from creation until it is shown, and in the caller's requests.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    fn fresh(network_id: NetworkId) -> Self {
        let random: [u8; 21] = rand::random();
        let bytes = [network_id.0.to_be_bytes().as_slice(), &random].concat();
        Self(format!("{PREFIX}{}", BASE32.encode(&bytes)))
    }

    /// Parses a key from a request and returns it with the network it is for; None if the text is not an API key of
    /// ours.
    #[must_use]
    pub fn from_call(text: &str) -> Option<(Self, NetworkId)> {
        let bytes = BASE32.decode(text.strip_prefix(PREFIX)?.as_bytes()).ok()?;
        let (network, random) = bytes.split_first_chunk::<4>()?;
        let number = i32::from_be_bytes(*network);
        (number > 0 && random.len() == 21).then(|| (Self(text.to_owned()), NetworkId(number)))
    }

    /// Full key text, shown once after creation.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn hint(&self) -> &str {
        #[expect(
            clippy::expect_used,
            reason = "a key is ASCII text of more than four characters"
        )]
        self.0
            .get(self.0.len() - 4..)
            .expect("a key is longer than its hint")
    }

    fn hash(&self) -> Vec<u8> {
        Sha256::digest(self.0.as_bytes()).to_vec()
    }
}

/// An API key in a list, without its secret part.
#[derive(Debug, Clone)]
pub struct ListedKey {
    /// API key ID.
    pub id: ApiKeyId,
    /// Name, such as the system that uses the key.
    pub name: String,
    /// Last four characters.
    pub hint: String,
    /// Scopes.
    pub scopes: Words,
    /// Name of the person who holds the membership.
    pub person: String,
    /// Membership whose role the key uses.
    pub membership_id: MembershipId,
    /// Time of creation.
    pub created_at: DateTime<Utc>,
    /// Time of expiry; None if the key does not expire.
    pub expires_at: Option<DateTime<Utc>>,
    /// Time of last use, precise to the minute; None if never used.
    pub used_at: Option<DateTime<Utc>>,
}

/// Input for a new key, unchecked.
#[derive(Debug, Clone, Default)]
pub struct KeyDraft {
    /// Name, such as the system that uses the key.
    pub name: String,
    /// Scopes, by their names.
    pub scopes: Vec<String>,
    /// Days until expiry; empty for no expiry.
    pub expires_in_days: String,
}

/// Scopes that the actor can give to a new key: those covering at least one of the actor's permissions.
#[must_use]
pub fn grantable(actor: &Actor) -> Vec<ApiScope> {
    ApiScope::ALL
        .iter()
        .copied()
        .filter(|scope| {
            let own = actor.scopes.as_ref().is_none_or(|scopes| scopes.contains(scope));
            own && Permission::ALL
                .iter()
                .any(|permission| permission.scope() == *scope && actor.may(*permission))
        })
        .collect()
}

/// Creates a key that acts under the actor's membership.
///
/// # Errors
/// [`ChangeError::Fields`], [`ChangeError::Limit`].
#[tracing::instrument(skip_all, fields(network = %conn.network_id(), person = %actor.person_id))]
pub async fn create(
    conn: &mut NetworkConn,
    actor: &Actor,
    draft: &KeyDraft,
    now: DateTime<Utc>,
) -> Result<(ApiKeyId, ApiKey), ChangeError> {
    let mut errors = FieldErrors::default();
    let name = errors.take("name", check_name(&draft.name));
    let offered = grantable(actor);
    let mut scopes: Vec<ApiScope> = Vec::new();
    for word in &draft.scopes {
        match word.parse::<ApiScope>() {
            Ok(scope) if offered.contains(&scope) => {
                if !scopes.contains(&scope) {
                    scopes.push(scope);
                }
            }
            Ok(scope) => errors.add("scopes", format!("Your role cannot grant the scope {scope}.")),
            Err(message) => errors.add("scopes", message),
        }
    }
    if draft.scopes.is_empty() {
        errors.add("scopes", "Select at least one scope.");
    }
    let days = match draft.expires_in_days.trim() {
        "" => Some(None),
        text => errors
            .take(
                "expires_in_days",
                text.parse::<i64>()
                    .ok()
                    .filter(|days| (1..=3650).contains(days))
                    .ok_or("Enter a number of days from 1 to 3650, or leave this empty."),
            )
            .map(Some),
    };
    let (name, days) = errors.or(name.zip(days))?;
    let network_id = conn.network_id();
    let held: i64 = api_keys::table
        .filter(api_keys::network_id.eq(network_id))
        .filter(api_keys::membership_id.eq(actor.membership_id))
        .filter(api_keys::ended_at.is_null())
        .count()
        .get_result(&mut **conn)
        .await?;
    if held >= MAX_ACTIVE_KEYS {
        return Err(ChangeError::Limit(format!(
            "You have {held} keys. Revoke one that is no longer used."
        )));
    }
    let key = ApiKey::fresh(network_id);
    let words = Words(scopes.iter().map(ToString::to_string).collect());
    let id = diesel::insert_into(api_keys::table)
        .values((
            api_keys::network_id.eq(network_id),
            api_keys::membership_id.eq(actor.membership_id),
            api_keys::name.eq(&name),
            api_keys::key_hash.eq(key.hash()),
            api_keys::key_hint.eq(key.hint()),
            api_keys::scopes.eq(&words),
            api_keys::created_at.eq(now),
            api_keys::expires_at.eq(days.map(|days| now + TimeDelta::days(days))),
        ))
        .returning(api_keys::id)
        .get_result(&mut **conn)
        .await?;
    let change = Change::created("api_key.create", id, &name, json!({ "scopes": words }));
    audit::record(conn, &actor.author(), change, now).await?;
    Ok((id, key))
}

/// Active keys of one membership, or of all if None; newest first, at most 1,000.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn list(
    conn: &mut NetworkConn,
    of: Option<MembershipId>,
    now: DateTime<Utc>,
) -> QueryResult<Vec<ListedKey>> {
    type Columns = (
        ApiKeyId,
        String,
        String,
        Words,
        String,
        MembershipId,
        DateTime<Utc>,
        Option<DateTime<Utc>>,
        Option<DateTime<Utc>>,
    );
    let network_id = conn.network_id();
    let mut query = api_keys::table
        .inner_join(
            memberships::table.on(memberships::network_id
                .eq(api_keys::network_id)
                .and(memberships::id.eq(api_keys::membership_id))),
        )
        .inner_join(people::table.on(people::id.eq(memberships::person_id)))
        .filter(api_keys::network_id.eq(network_id))
        .filter(api_keys::ended_at.is_null())
        .filter(memberships::ended_at.is_null())
        .filter(
            api_keys::expires_at
                .is_null()
                .or(api_keys::expires_at.gt(now).assume_not_null()),
        )
        .order((api_keys::created_at.desc(), api_keys::id))
        .limit(1000)
        .select((
            api_keys::id,
            api_keys::name,
            api_keys::key_hint,
            api_keys::scopes,
            people::name,
            api_keys::membership_id,
            api_keys::created_at,
            api_keys::expires_at,
            api_keys::used_at,
        ))
        .into_boxed();
    if let Some(membership_id) = of {
        query = query.filter(api_keys::membership_id.eq(membership_id));
    }
    let rows: Vec<Columns> = query.load(&mut **conn).await?;
    Ok(rows
        .into_iter()
        .map(
            |(id, name, hint, scopes, person, membership_id, created_at, expires_at, used_at)| ListedKey {
                id,
                name,
                hint,
                scopes,
                person,
                membership_id,
                created_at,
                expires_at,
                used_at,
            },
        )
        .collect())
}

/// Revokes a key. Members revoke their own keys; with [`Permission::ManageMembers`], any key of the network.
///
/// # Errors
/// [`ChangeError::NotFound`] if no such key is active, or it belongs to another member and the actor may not manage
/// members.
#[tracing::instrument(skip_all, fields(network = %conn.network_id(), key = %id))]
pub async fn revoke(
    conn: &mut NetworkConn,
    actor: &Actor,
    id: ApiKeyId,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let network_id = conn.network_id();
    let mut query = diesel::update(api_keys::table)
        .filter(api_keys::network_id.eq(network_id))
        .filter(api_keys::id.eq(id))
        .filter(api_keys::ended_at.is_null())
        .set(api_keys::ended_at.eq(Some(now)))
        .into_boxed();
    if !actor.may(Permission::ManageMembers) {
        query = query.filter(api_keys::membership_id.eq(actor.membership_id));
    }
    let name: Option<String> = query
        .returning(api_keys::name)
        .get_result(&mut **conn)
        .await
        .optional()?;
    let name = name.ok_or(ChangeError::NotFound)?;
    let change = Change::noted("api_key.revoke", id, &name);
    audit::record(conn, &actor.author(), change, now).await?;
    Ok(())
}

/// Authenticates an API key: its ID and the actor it stands for, or None if the key is unknown, revoked or expired.
/// Updates the time of last use.
///
/// # Errors
/// Returns an error if the database fails.
#[tracing::instrument(skip_all, fields(network = %network_id))]
pub async fn actor(
    db: &Db,
    key: &ApiKey,
    network_id: NetworkId,
    address: Option<IpAddr>,
    now: DateTime<Utc>,
) -> Result<Option<(ApiKeyId, Actor)>, DbError> {
    type Columns = (
        ApiKeyId,
        MembershipId,
        Words,
        Option<DateTime<Utc>>,
        Option<DateTime<Utc>>,
    );
    let mut conn = db.network(network_id).await?;
    let found: Option<Columns> = api_keys::table
        .filter(api_keys::network_id.eq(network_id))
        .filter(api_keys::key_hash.eq(key.hash()))
        .filter(api_keys::ended_at.is_null())
        .select((
            api_keys::id,
            api_keys::membership_id,
            api_keys::scopes,
            api_keys::expires_at,
            api_keys::used_at,
        ))
        .first(&mut *conn)
        .await
        .optional()?;
    let Some((id, membership_id, scopes, expires_at, used_at)) = found else {
        return Ok(None);
    };
    if expires_at.is_some_and(|at| at <= now) {
        return Ok(None);
    }
    if used_at.is_none_or(|at| at < now - LAST_USE_PRECISION) {
        diesel::update(api_keys::table.find((network_id, id)))
            .set(api_keys::used_at.eq(Some(now)))
            .execute(&mut *conn)
            .await?;
    }
    conn.commit().await?;
    let found = unscoped::actor(db, network_id, membership_id, Via::Api, address).await?;
    Ok(found.map(|mut actor| {
        actor.scopes = Some(known_scopes(&scopes));
        (id, actor)
    }))
}

/// Scopes of a member's API key; None if it is revoked or expired. For tokens that were issued for the key.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn scopes(
    conn: &mut NetworkConn,
    id: ApiKeyId,
    membership_id: MembershipId,
    now: DateTime<Utc>,
) -> QueryResult<Option<Vec<ApiScope>>> {
    let network_id = conn.network_id();
    let found: Option<Words> = api_keys::table
        .find((network_id, id))
        .filter(api_keys::membership_id.eq(membership_id))
        .filter(api_keys::ended_at.is_null())
        .filter(
            api_keys::expires_at
                .is_null()
                .or(api_keys::expires_at.gt(now).assume_not_null()),
        )
        .select(api_keys::scopes)
        .first(&mut **conn)
        .await
        .optional()?;
    Ok(found.map(|words| known_scopes(&words)))
}

/// Parses stored scopes; ignores a scope that this version does not define, so that it grants nothing.
fn known_scopes(words: &Words) -> Vec<ApiScope> {
    words.0.iter().filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_carries_its_network_and_other_texts_are_rejected() {
        let key = ApiKey::fresh(NetworkId(7));
        assert_eq!(
            ApiKey::from_call(key.as_str()).map(|(_, id)| id),
            Some(NetworkId(7))
        );
        assert!(key.as_str().ends_with(key.hint()) && key.hint().len() == 4);
        for other in [
            "",
            "clk_key_",
            "clk_key_0000",
            &key.as_str()[1..],
            &format!("{}0", key.as_str()),
        ] {
            assert!(ApiKey::from_call(other).is_none(), "{other}");
        }
    }
}
