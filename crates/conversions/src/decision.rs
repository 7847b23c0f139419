//! Decisions of users on pending conversions.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use schema::{ConversionId, NetworkConn};
use serde_json::json;
use tenancy::{Author, ChangeError, audit};

use crate::changes::{self, Change, Source};
use crate::conversion::{Conversion, ConversionStatus};
use crate::list;
use crate::revision::{self, Revision};

/// Approves or rejects a pending conversion, and returns it as it is now. Repeating a decision changes nothing.
///
/// The caller has checked the permission.
///
/// # Errors
/// [`ChangeError::NotFound`] if the network has no such conversion, [`ChangeError::Conflict`] if it was decided otherwise;
/// when the database fails or the stored terms are unreadable.
#[tracing::instrument(skip_all, fields(network = %conn.network_id(), conversion = %id, approve))]
pub async fn decide(
    conn: &mut NetworkConn,
    author: &Author,
    time_zone: Tz,
    id: ConversionId,
    approve: bool,
    now: DateTime<Utc>,
) -> Result<Conversion, ChangeError> {
    let wanted = if approve {
        ConversionStatus::Approved
    } else {
        ConversionStatus::Rejected
    };
    let conversion = list::lock(conn, id).await?.ok_or(ChangeError::NotFound)?;
    if conversion.status == wanted {
        return Ok(conversion);
    }
    if conversion.status != ConversionStatus::Pending {
        let message = format!("This conversion is already {}.", conversion.status);
        return Err(ChangeError::Conflict(message));
    }
    let history = changes::history(conn, id).await?;
    let decision = Change {
        event_time: Some(now),
        ..Change::of(&conversion, Source::Person, now).with_status(wanted)
    };
    let unreadable = |error| diesel::result::Error::DeserializationError(Box::new(error));
    let mut revision = Revision::new(conversion, history).map_err(unreadable)?;
    // Every decision counts: a conversion that needs a second review is decided a second time.
    revision.add(decision.identified(&format!("person {now}")));
    let (before, after) = (revision.before().clone(), revision.after().clone());
    let events = revision::store(conn, vec![revision], |_| time_zone, now).await?;
    tracing::debug!(events = events.len(), status = %after.status, "conversion decided");
    let change = audit::Change::between(
        "conversion.decide",
        after.id,
        after.order_id.as_deref().unwrap_or_default(),
        described(&before),
        described(&after),
    );
    audit::record(conn, author, change, now).await?;
    Ok(after)
}

/// Status of a conversion and the money that it adds to accounts, for the audit log.
fn described(conversion: &Conversion) -> serde_json::Value {
    let (commission, revenue) = conversion.worth();
    let money = |micros| schema::Money {
        micros,
        currency: conversion.currency,
    };
    json!({
        "status": conversion.status.as_str(),
        "commission": money(commission).to_string(),
        "revenue": money(revenue).to_string(),
    })
}
