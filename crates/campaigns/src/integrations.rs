//! Integrations: how an advertiser's server proves who it is.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AdvertiserId, BASE32, NetworkConn, integrations};
use serde_json::json;
use sha2::{Digest, Sha256};
use tenancy::Author;
use tenancy::audit::{self, Change};

/// A postback token in the clear: exists only between its making and its being shown, and in the advertiser's calls.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token as a caller sent it.
    #[must_use]
    pub fn from_call(text: &str) -> Self {
        Self(text.to_owned())
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

/// Gives an advertiser a fresh token. The one it had stops working with the commit.
///
/// # Errors
/// When the database fails, or the advertiser is not of this network (a foreign-key violation).
pub async fn new_token(
    conn: &mut NetworkConn,
    author: &Author,
    advertiser_id: AdvertiserId,
    now: DateTime<Utc>,
) -> QueryResult<Token> {
    let token = Token(BASE32.encode(&rand::random::<[u8; 20]>()));
    let network_id = conn.network_id();
    let secret = (
        integrations::token_hash.eq(token.hash().0.to_vec()),
        integrations::token_hint.eq(token.hint().to_owned()),
        integrations::created_at.eq(now),
    );
    diesel::insert_into(integrations::table)
        .values((
            integrations::network_id.eq(network_id),
            integrations::advertiser_id.eq(advertiser_id),
            secret.clone(),
        ))
        .on_conflict((integrations::network_id, integrations::advertiser_id))
        .do_update()
        .set(secret)
        .execute(&mut **conn)
        .await?;
    let after = json!({ "ends_in": token.hint() });
    let change = Change::created("integration.new_token", advertiser_id, "postback token", after);
    audit::record(conn, author, change, now).await?;
    Ok(token)
}

/// The last four characters of an advertiser's token, and when it was made.
///
/// # Errors
/// When the database fails.
pub async fn token_hint(
    conn: &mut NetworkConn,
    advertiser_id: AdvertiserId,
) -> QueryResult<Option<(String, DateTime<Utc>)>> {
    let network_id = conn.network_id();
    integrations::table
        .filter(
            integrations::network_id
                .eq(network_id)
                .and(integrations::advertiser_id.eq(advertiser_id)),
        )
        .select((integrations::token_hint, integrations::created_at))
        .first(&mut **conn)
        .await
        .optional()
}

/// The advertiser whose token hashes to this.
pub(crate) async fn advertiser_of_token(
    conn: &mut NetworkConn,
    token_hash: &TokenHash,
) -> QueryResult<Option<AdvertiserId>> {
    let network_id = conn.network_id();
    integrations::table
        .filter(
            integrations::network_id
                .eq(network_id)
                .and(integrations::token_hash.eq(&token_hash.0[..])),
        )
        .select(integrations::advertiser_id)
        .first(&mut **conn)
        .await
        .optional()
}
