//! Idempotency keys: an API request that carries one is executed once, however often it is sent.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::result::Error::DeserializationError;
use diesel_async::RunQueryDsl;
use schema::{MembershipId, NetworkConn, idempotency_keys};
use sha2::{Digest, Sha256};

/// Retention of stored responses.
const RETENTION: TimeDelta = TimeDelta::hours(24);

/// Result of claiming an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// First request with this key: execute it, then [`keep`] its response in the same transaction.
    First,
    /// Already executed; the stored response.
    Repeated {
        /// HTTP status.
        status: u16,
        /// Body.
        body: String,
    },
    /// The key was used for a different request.
    Mismatch,
}

/// Hash of a request, to recognise repetitions.
#[must_use]
pub fn fingerprint(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for part in [method.as_bytes(), path.as_bytes(), body] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().to_vec()
}

/// Claims a key for a request. Waits for a concurrent transaction that claims the same key.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn claim(
    conn: &mut NetworkConn,
    membership_id: MembershipId,
    key: &str,
    request: &[u8],
    now: DateTime<Utc>,
) -> QueryResult<Claim> {
    let network_id = conn.network_id();
    diesel::delete(
        idempotency_keys::table
            .filter(idempotency_keys::network_id.eq(network_id))
            .filter(idempotency_keys::created_at.lt(now - RETENTION)),
    )
    .execute(&mut **conn)
    .await?;
    let inserted = diesel::insert_into(idempotency_keys::table)
        .values((
            idempotency_keys::network_id.eq(network_id),
            idempotency_keys::membership_id.eq(membership_id),
            idempotency_keys::key.eq(key),
            idempotency_keys::request_hash.eq(request),
            idempotency_keys::status.eq(0),
            idempotency_keys::body.eq(""),
            idempotency_keys::created_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(&mut **conn)
        .await?;
    if inserted == 1 {
        return Ok(Claim::First);
    }
    let (known, status, body): (Vec<u8>, i32, String) = idempotency_keys::table
        .find((network_id, membership_id, key))
        .select((
            idempotency_keys::request_hash,
            idempotency_keys::status,
            idempotency_keys::body,
        ))
        .first(&mut **conn)
        .await?;
    Ok(if known == request {
        Claim::Repeated {
            status: u16::try_from(status).map_err(|error| DeserializationError(error.into()))?,
            body,
        }
    } else {
        Claim::Mismatch
    })
}

/// Stores the response of a claimed request.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn keep(
    conn: &mut NetworkConn,
    membership_id: MembershipId,
    key: &str,
    status: u16,
    body: &str,
) -> QueryResult<()> {
    let network_id = conn.network_id();
    diesel::update(idempotency_keys::table.find((network_id, membership_id, key)))
        .set((
            idempotency_keys::status.eq(i32::from(status)),
            idempotency_keys::body.eq(body),
        ))
        .execute(&mut **conn)
        .await?;
    Ok(())
}
