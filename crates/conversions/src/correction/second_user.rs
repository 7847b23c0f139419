//! Corrections that move more money than a network lets one user move: a second user approves or declines them.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    ConversionId, NetworkConn, NetworkId, PersonId, WaitingCorrectionId, conversions, networks,
    waiting_corrections,
};
use serde_json::{Value, json};
use tenancy::affiliates::managed_by;
use tenancy::{Author, ChangeError, Scope, audit};
use uuid::Uuid;

use super::{Correction, CorrectionRequest, Prepared, ReasonCode, correct, make};
use crate::conversion::Conversion;
use crate::list;

/// Correction that waits for a second user.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery, Insertable)]
#[diesel(table_name = waiting_corrections)]
pub struct WaitingCorrection {
    /// Tenant.
    pub network_id: NetworkId,
    /// Identifier.
    pub id: WaitingCorrectionId,
    /// Conversion.
    pub conversion_id: ConversionId,
    /// Version of the conversion that the first user saw.
    pub version: i32,
    /// Time of the request.
    pub requested_at: DateTime<Utc>,
    /// The first user.
    pub requested_by: PersonId,
    /// Name of the first user.
    pub author: String,
    correction: Value,
    /// Effect in words: `commission -10.00 EUR, revenue -13.00 EUR`.
    pub effect: String,
    /// Reason.
    pub reason_code: Option<ReasonCode>,
    /// Reason in words.
    pub reason: Option<String>,
    batch: Option<Uuid>,
}

impl WaitingCorrection {
    /// Correction that is asked for; `None` if the stored one is unreadable.
    #[must_use]
    pub fn correction(&self) -> Option<Correction> {
        serde_json::from_value(self.correction.clone()).ok()
    }
}

/// Result of a correction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Corrected {
    /// The conversion as it is now.
    Done(Box<Conversion>),
    /// The correction waits for a second user.
    Waiting(Box<WaitingCorrection>),
}

/// Corrects a conversion; where it moves more commission or revenue than the network lets one user move, or makes more of
/// it payable, it waits for a second user instead.
///
/// The caller has checked the permission.
///
/// # Errors
/// The same as [`correct`]; [`ChangeError::Conflict`] if another correction of the conversion waits already.
pub async fn propose(
    conn: &mut NetworkConn,
    author: &Author,
    id: ConversionId,
    request: &CorrectionRequest,
    now: DateTime<Utc>,
) -> Result<Corrected, ChangeError> {
    let limit = Limit::of(conn, author).await?;
    let prepared = Prepared::locked(conn, author, id, request, now).await?;
    if let Some((person, effect)) = limit.exceeded(&prepared) {
        let waiting = store(conn, author, person, &prepared, effect, now).await?;
        return Ok(Corrected::Waiting(Box::new(waiting)));
    }
    let after = prepared.after.clone();
    make(conn, author, vec![prepared], now).await?;
    Ok(Corrected::Done(Box::new(after)))
}

/// Money that the network lets one user move.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    micros: Option<i64>,
    person: Option<PersonId>,
}

impl Limit {
    pub(super) async fn of(conn: &mut NetworkConn, author: &Author) -> QueryResult<Self> {
        let micros: Option<i64> = networks::table
            .find(conn.network_id())
            .select(networks::second_user_above_micros)
            .first(&mut **conn)
            .await?;
        Ok(Self {
            micros,
            person: author.person_id,
        })
    }

    /// The user and the effect in words, if the correction moves more.
    pub(super) fn exceeded(self, prepared: &Prepared) -> Option<(PersonId, String)> {
        let (limit, person) = (self.micros?, self.person?);
        let (before, after) = (prepared.before(), &prepared.after);
        let moved = |of: fn(&Conversion) -> (i64, i64)| {
            let (was, is) = (of(before), of(after));
            (is.0 - was.0, is.1 - was.1)
        };
        let (worth, payable) = (moved(Conversion::worth), moved(Conversion::payable));
        let changes_hands = before.affiliate_id != after.affiliate_id;
        let commission = after.worth().0;
        let sums = [worth.0, worth.1, payable.0, payable.1];
        let handed = changes_hands.then_some(commission);
        let most = sums.into_iter().chain(handed).map(i64::unsigned_abs).max()?;
        let money = |micros| schema::Money {
            micros,
            currency: before.currency,
        };
        (most > limit.unsigned_abs()).then(|| {
            let effect = if changes_hands {
                format!("commission {} to another affiliate", money(commission))
            } else if worth == (0, 0) {
                format!(
                    "payable commission {}, payable revenue {}",
                    money(payable.0),
                    money(payable.1)
                )
            } else {
                format!("commission {}, revenue {}", money(worth.0), money(worth.1))
            };
            (person, effect)
        })
    }
}

pub(super) async fn store(
    conn: &mut NetworkConn,
    author: &Author,
    person: PersonId,
    prepared: &Prepared,
    effect: String,
    now: DateTime<Utc>,
) -> Result<WaitingCorrection, ChangeError> {
    let (conversion, request) = (prepared.before(), &prepared.request);
    #[expect(clippy::expect_used, reason = "numbers and words always serialize")]
    let correction = serde_json::to_value(request.correction).expect("numbers and words serialize");
    let waiting = WaitingCorrection {
        network_id: conversion.network_id,
        id: WaitingCorrectionId::fresh(now),
        conversion_id: conversion.id,
        version: conversion.version,
        requested_at: now,
        requested_by: person,
        author: author.name.clone(),
        correction,
        effect,
        reason_code: request.reason_code,
        reason: request.reason.clone(),
        batch: request.batch,
    };
    let stored = diesel::insert_into(waiting_corrections::table)
        .values(&waiting)
        .on_conflict_do_nothing()
        .execute(&mut **conn)
        .await?;
    if stored == 0 {
        let message = "Another correction of this conversion waits for a second user.".to_owned();
        return Err(ChangeError::Conflict(message));
    }
    let change = audit::Change::created(
        "conversion.ask",
        conversion.id,
        conversion.order_id.as_deref().unwrap_or_default(),
        json!({ "effect": waiting.effect, "correction": waiting.correction }),
    );
    audit::record(conn, author, change, now).await?;
    Ok(waiting)
}

/// Corrections in scope that wait for a second user, oldest first; of one conversion if given.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn waiting(
    conn: &mut NetworkConn,
    scope: Scope,
    conversion: Option<ConversionId>,
    limit: i64,
) -> QueryResult<Vec<WaitingCorrection>> {
    let network_id = conn.network_id();
    let mut query = WaitingCorrection::query()
        .filter(waiting_corrections::network_id.eq(network_id))
        .order(waiting_corrections::id)
        .limit(limit)
        .into_boxed();
    if let Some(id) = conversion {
        query = query.filter(waiting_corrections::conversion_id.eq(id));
    }
    if let Some(manager) = scope.manager {
        let managed = conversions::table
            .filter(conversions::network_id.eq(network_id))
            .filter(conversions::affiliate_id.eq_any(managed_by(network_id, manager)))
            .select(conversions::id);
        query = query.filter(waiting_corrections::conversion_id.eq_any(managed));
    }
    query.load(&mut **conn).await
}

/// Approves or declines a correction as the second user; returns the conversion if it was corrected.
///
/// The caller has checked the permission.
///
/// # Errors
/// [`ChangeError::NotFound`] if no such correction waits, [`ChangeError::Conflict`] if the same user asked for it and
/// approves it, [`ChangeError::Stale`] if the conversion has changed since; when the database fails.
pub async fn decide_waiting(
    conn: &mut NetworkConn,
    author: &Author,
    id: WaitingCorrectionId,
    approve: bool,
    now: DateTime<Utc>,
) -> Result<Option<Conversion>, ChangeError> {
    let network_id = conn.network_id();
    let found: Option<WaitingCorrection> = diesel::delete(waiting_corrections::table.find((network_id, id)))
        .returning(WaitingCorrection::as_returning())
        .get_result(&mut **conn)
        .await
        .optional()?;
    let waiting = found.ok_or(ChangeError::NotFound)?;
    let conversion = list::find(conn, author, waiting.conversion_id).await?;
    conversion.ok_or(ChangeError::NotFound)?;
    if approve && author.person_id == Some(waiting.requested_by) {
        let message = "You asked for this correction: another user has to approve it.".to_owned();
        return Err(ChangeError::Conflict(message));
    }
    let change = audit::Change::created(
        if approve {
            "conversion.second"
        } else {
            "conversion.decline"
        },
        waiting.conversion_id,
        "",
        json!({ "effect": waiting.effect, "asked_by": waiting.author }),
    );
    audit::record(conn, author, change, now).await?;
    if !approve {
        return Ok(None);
    }
    let correction = waiting.correction().ok_or_else(|| {
        ChangeError::Conflict("The stored correction is unreadable. Decline it.".to_owned())
    })?;
    let request = CorrectionRequest {
        correction,
        reason_code: waiting.reason_code,
        reason: waiting.reason,
        version: Some(waiting.version),
        batch: waiting.batch,
    };
    let both = Author {
        name: format!("{}, approved by {}", waiting.author, author.name),
        ..author.clone()
    };
    let corrected = correct(conn, &both, waiting.conversion_id, &request, now).await?;
    Ok(Some(corrected))
}
