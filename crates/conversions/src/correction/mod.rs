//! Corrections of conversions by users of the network: decisions, other amounts, other affiliates. Each is a change with an
//! author and a reason, based on the version that the user saw.

mod bulk;
mod second_user;

use campaigns::links;
use chrono::{DateTime, Utc};
use dialects::Amount;
use diesel::QueryResult;
use schema::{AffiliateId, ClickKey, ConversionId, LinkId, Money, NetworkConn};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tenancy::{Author, ChangeError, audit};
use uuid::Uuid;

pub use self::bulk::{
    BulkReport, MAX_BULK, Seen, SeenVersions, Selection, correct_all, correct_file, undo_all,
};
pub use self::second_user::{Corrected, WaitingCorrection, decide_waiting, propose, waiting};
use crate::changes::{self, Change, ReasonCode, Source};
use crate::conversion::{Conversion, ConversionStatus};
use crate::list;
use crate::revision::{self, Revision};

/// Maximum length of a reason, in characters.
const MAX_REASON: usize = 500;

/// Correction of a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Correction {
    /// Approves it; reinstates it if it was rejected or reversed.
    Approve,
    /// Rejects it; reverses it if it was approved.
    Reject,
    /// Puts it on hold: it is pending until a user decides.
    Hold,
    /// Gives the decision back to the advertiser and the goal's hold period.
    Release,
    /// Sets the order amount after refunds, in micro-units.
    Amount(i64),
    /// Sets the commission or the revenue, in micro-units.
    Money {
        /// Commission; `None` to leave it.
        commission: Option<i64>,
        /// Revenue; `None` to leave it.
        revenue: Option<i64>,
    },
    /// Undoes a correction: it does not count any more.
    Undo(Uuid),
    /// Moves it to another link of its campaign, and so to that link's affiliate.
    Move {
        /// The link's affiliate.
        affiliate_id: AffiliateId,
        /// The link.
        link_id: LinkId,
        /// A click of the link; `None` for none.
        click_id: Option<ClickKey>,
    },
}

impl Correction {
    /// Name for users.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Amount(_) | Self::Money { .. } => "adjust",
            Self::Undo(_) => "undo",
            Self::Move { .. } => "move",
        }
    }

    /// Action in the audit log.
    fn action(self) -> &'static str {
        match self {
            Self::Approve | Self::Reject => "conversion.decide",
            Self::Hold => "conversion.hold",
            Self::Release => "conversion.release",
            Self::Amount(_) | Self::Money { .. } => "conversion.adjust",
            Self::Move { .. } => "conversion.move",
            Self::Undo(_) => "conversion.undo",
        }
    }
}

/// Correction with its reason and the version that the user saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrectionRequest {
    /// The correction.
    pub correction: Correction,
    /// Reason; affiliates see it.
    pub reason_code: Option<ReasonCode>,
    /// Reason in words; affiliates see it.
    pub reason: Option<String>,
    /// Version of the conversion that the user saw; `None` for whatever it is.
    pub version: Option<i32>,
    /// Id of the corrections that are made together; `None` for a single one.
    pub batch: Option<Uuid>,
}

/// Correction as a form or program sends it, all texts.
#[derive(Debug, Clone, Default)]
pub struct CorrectionDraft {
    /// `approve`, `reject`, `hold`, `release`, `adjust` or `move`.
    pub action: String,
    /// Order amount after refunds; empty to leave it.
    pub amount: String,
    /// Commission; empty to leave it.
    pub commission: String,
    /// Revenue; empty to leave it.
    pub revenue: String,
    /// Link by its id or alias.
    pub link: String,
}

impl CorrectionDraft {
    /// Checks the draft for a conversion that the author may see.
    ///
    /// # Errors
    /// [`ChangeError::Fields`] with the invalid fields, [`ChangeError::NotFound`] if the network has no such conversion;
    /// when the database fails.
    pub async fn check(
        &self,
        conn: &mut NetworkConn,
        author: &Author,
        id: ConversionId,
    ) -> Result<Correction, ChangeError> {
        match self.action.as_str() {
            "adjust" => self.adjustment(),
            "move" => self.destination(conn, author, id).await,
            _ => self.decision(),
        }
    }

    /// Checks the draft of a decision, which needs no other fields.
    ///
    /// # Errors
    /// [`ChangeError::Fields`] if it is none.
    pub fn decision(&self) -> Result<Correction, ChangeError> {
        match self.action.as_str() {
            "approve" => Ok(Correction::Approve),
            "reject" => Ok(Correction::Reject),
            "hold" => Ok(Correction::Hold),
            "release" => Ok(Correction::Release),
            other => {
                let message = format!("“{other}” is not one of the corrections.");
                Err(ChangeError::field("action", message))
            }
        }
    }

    fn adjustment(&self) -> Result<Correction, ChangeError> {
        let sum = |field, text: &str| {
            let amount = (!text.is_empty()).then(|| Amount::parse(text)).transpose();
            let message = |problem| ChangeError::field(field, format!("“{text}” {problem}."));
            Ok::<_, ChangeError>(amount.map_err(message)?.map(|amount| amount.micros))
        };
        let amount = sum("amount", &self.amount)?;
        let (commission, revenue) = (
            sum("commission", &self.commission)?,
            sum("revenue", &self.revenue)?,
        );
        match (amount, commission.or(revenue)) {
            (Some(amount), None) => Ok(Correction::Amount(amount)),
            (None, Some(_)) => Ok(Correction::Money { commission, revenue }),
            (Some(_), Some(_)) => Err(ChangeError::field(
                "amount",
                "Set the amount, or commission and revenue, one after the other.",
            )),
            (None, None) => Err(ChangeError::field(
                "amount",
                "Enter an amount, a commission or a revenue.",
            )),
        }
    }

    async fn destination(
        &self,
        conn: &mut NetworkConn,
        author: &Author,
        id: ConversionId,
    ) -> Result<Correction, ChangeError> {
        let found = list::find(conn, author, id).await?;
        let conversion = found.ok_or(ChangeError::NotFound)?;
        let link = match links::known_as(conn, &self.link).await? {
            Some(link) if author.scope.includes_affiliate(conn, link.affiliate_id).await? => Some(link),
            _ => None,
        };
        let link = link
            .filter(|link| link.campaign_id == conversion.campaign_id && !link.is_test)
            .ok_or_else(|| {
                ChangeError::field(
                    "link",
                    "Choose a link of the conversion's campaign, by its ID or alias.",
                )
            })?;
        Ok(Correction::Move {
            affiliate_id: link.affiliate_id,
            link_id: link.id,
            click_id: conversion.click_id.filter(|_| link.id == conversion.link_id),
        })
    }
}

impl CorrectionRequest {
    /// Correction with a reason in words of at most 500 characters.
    ///
    /// # Errors
    /// [`ChangeError::Fields`] if the reason is too long or has control characters.
    pub fn of(
        correction: Correction,
        reason_code: Option<ReasonCode>,
        reason: &str,
    ) -> Result<Self, ChangeError> {
        let reason = reason.trim();
        if reason.chars().count() > MAX_REASON || reason.contains(char::is_control) {
            let message = format!("Use at most {MAX_REASON} characters, and no control characters.");
            return Err(ChangeError::field("reason", message));
        }
        Ok(Self {
            correction,
            reason_code,
            reason: Some(reason.to_owned()).filter(|reason| !reason.is_empty()),
            version: None,
            batch: None,
        })
    }
}

/// Reason of a word; none for an empty text.
///
/// # Errors
/// [`ChangeError::Fields`] if it is not one of the reasons.
pub fn reason(word: &str) -> Result<Option<ReasonCode>, ChangeError> {
    match word {
        "" => Ok(None),
        word => {
            let code = word.parse();
            code.map(Some)
                .map_err(|error: String| ChangeError::field("reason_code", error))
        }
    }
}

impl From<Correction> for CorrectionRequest {
    fn from(correction: Correction) -> Self {
        Self {
            correction,
            reason_code: None,
            reason: None,
            version: None,
            batch: None,
        }
    }
}

/// Corrects a conversion, and returns it as it is now. A user's decision that is in force already changes nothing.
///
/// The caller has checked the permission.
///
/// # Errors
/// [`ChangeError::NotFound`] if the network has no such conversion, [`ChangeError::Stale`] if it is not in the version that
/// the user saw, [`ChangeError::Conflict`] if the correction is impossible in its state, [`ChangeError::Fields`] if a sum
/// cannot be paid; when the database fails or the stored terms are unreadable.
#[tracing::instrument(skip_all, fields(network = %conn.network_id(), conversion = %id))]
pub async fn correct(
    conn: &mut NetworkConn,
    author: &Author,
    id: ConversionId,
    request: &CorrectionRequest,
    now: DateTime<Utc>,
) -> Result<Conversion, ChangeError> {
    let prepared = Prepared::locked(conn, author, id, request, now).await?;
    let after = prepared.after.clone();
    make(conn, author, vec![prepared], now).await?;
    Ok(after)
}

/// Correction that was checked, and is not made yet.
struct Prepared {
    revision: Revision,
    request: CorrectionRequest,
    /// `None` if it changes nothing.
    change: Option<Change>,
    /// Conversion with the correction.
    after: Conversion,
}

impl Prepared {
    /// Checks a correction of a conversion, and locks the conversion until the end of the transaction.
    async fn locked(
        conn: &mut NetworkConn,
        author: &Author,
        id: ConversionId,
        request: &CorrectionRequest,
        now: DateTime<Utc>,
    ) -> Result<Self, ChangeError> {
        let conversion = list::lock(conn, id).await?;
        Self::of(conn, author, conversion, request, now).await
    }

    /// Checks a correction of a conversion without locking anything, to preview it.
    async fn unlocked(
        conn: &mut NetworkConn,
        author: &Author,
        id: ConversionId,
        request: &CorrectionRequest,
        now: DateTime<Utc>,
    ) -> Result<Self, ChangeError> {
        let conversion = list::find(conn, author, id).await?;
        Self::of(conn, author, conversion, request, now).await
    }

    async fn of(
        conn: &mut NetworkConn,
        author: &Author,
        conversion: Option<Conversion>,
        request: &CorrectionRequest,
        now: DateTime<Utc>,
    ) -> Result<Self, ChangeError> {
        let conversion = conversion.ok_or(ChangeError::NotFound)?;
        let affiliate_id = conversion.affiliate_id;
        if !author.scope.includes_affiliate(conn, affiliate_id).await? {
            return Err(ChangeError::NotFound);
        }
        if request.version.is_some_and(|seen| seen != conversion.version) {
            return Err(ChangeError::Stale);
        }
        let history = changes::history(conn, conversion.id).await?;
        let revision = revision(conversion, history)?;
        let change = change(&revision, author, request, now)?;
        let mut after = revision.after().clone();
        if let Some(change) = &change {
            let mut corrected = revision.clone();
            corrected.add(change.clone());
            after = corrected.after().clone();
        }
        Ok(Self {
            revision,
            request: request.clone(),
            change,
            after,
        })
    }

    fn before(&self) -> &Conversion {
        self.revision.before()
    }
}

/// Makes corrections of locked conversions, each of another one.
async fn make(
    conn: &mut NetworkConn,
    author: &Author,
    corrections: Vec<Prepared>,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let mut revisions: Vec<Revision> = Vec::with_capacity(corrections.len());
    for prepared in corrections {
        let Some(change) = prepared.change else { continue };
        let (mut revision, request, after) = (prepared.revision, prepared.request, prepared.after);
        revision.add(change);
        let entry = audit::Change::between(
            request.correction.action(),
            after.id,
            after.order_id.as_deref().unwrap_or_default(),
            described(revision.before(), None),
            described(&after, Some(&request)),
        );
        audit::record(conn, author, entry, now).await?;
        revisions.push(revision);
    }
    let parents: Vec<ConversionId> = revisions.iter().filter_map(Revision::moved_parent).collect();
    for child in list::lock_children(conn, &parents).await? {
        let history = changes::history(conn, child.id).await?;
        revision::follow(&mut revisions, self::revision(child, history)?, now);
    }
    let corrected = revisions.len();
    let events = revision::store(conn, revisions, now).await?;
    tracing::debug!(corrected, events = events.len(), "conversions corrected");
    Ok(())
}

fn revision(conversion: Conversion, history: Vec<Change>) -> QueryResult<Revision> {
    Revision::new(conversion, history)
        .map_err(|error| diesel::result::Error::DeserializationError(Box::new(error)))
}

/// Change that a correction makes; `None` if it changes nothing.
fn change(
    revision: &Revision,
    author: &Author,
    request: &CorrectionRequest,
    now: DateTime<Utc>,
) -> Result<Option<Change>, ChangeError> {
    let conversion = revision.after();
    let by_users = revision
        .history()
        .iter()
        .filter(|known| known.source == Source::Person);
    if by_users.count() >= changes::MAX_CHANGES {
        let message = format!(
            "A conversion can have at most {} corrections.",
            changes::MAX_CHANGES
        );
        return Err(ChangeError::Conflict(message));
    }
    let mut change = Change {
        author: Some(author.name.clone()),
        reason_code: request.reason_code,
        reason: request.reason.clone(),
        batch: request.batch,
        ..Change::of(conversion, Source::Person, revision.next_moment(now))
    };
    let decided = revision.decision_of_user();
    match request.correction {
        Correction::Approve => {
            let is_approved = conversion.status == ConversionStatus::Approved;
            if is_approved && decided == Some(ConversionStatus::Approved) {
                return Ok(None);
            }
            change.status = Some(ConversionStatus::Approved);
        }
        Correction::Reject => {
            if decided == Some(ConversionStatus::Rejected) {
                return Ok(None);
            }
            change.status = Some(ConversionStatus::Rejected);
        }
        Correction::Undo(id) => change.undoes = Some(undoable(revision, id)?),
        Correction::Hold => change.status = Some(ConversionStatus::Pending),
        Correction::Release => change.is_released = true,
        Correction::Amount(micros) => change.remaining_micros = Some(payable(conversion, "amount", micros)?),
        Correction::Money { commission, revenue } => {
            let checked = |field, micros: Option<i64>| {
                micros
                    .map(|micros| payable(conversion, field, micros))
                    .transpose()
            };
            change.commission_micros = checked("commission", commission)?;
            change.revenue_micros = checked("revenue", revenue)?;
        }
        Correction::Move {
            affiliate_id,
            link_id,
            click_id,
        } => {
            change.affiliate_id = Some(affiliate_id);
            change.link_id = Some(link_id);
            change.click_id = click_id;
        }
    }
    // These follow from sums that the user wants and sees, so they are a review of them.
    if matches!(
        request.correction,
        Correction::Approve | Correction::Amount(_) | Correction::Money { .. }
    ) {
        change.seen_amount_micros = conversion.amount_micros;
        let outcome = revision.with(&change);
        change.seen_amount_micros = outcome.amount_micros;
        change.seen_commission_micros = Some(outcome.commission_micros);
    }
    let outcome = revision.with(&change);
    if request.correction == Correction::Approve && !outcome.status.counts() {
        let message = "This conversion was refunded in full. Set its amount to reinstate it.".to_owned();
        return Err(ChangeError::Conflict(message));
    }
    Ok(Some(change))
}

/// Id of a user's correction, if it can be undone.
fn undoable(revision: &Revision, id: Uuid) -> Result<Uuid, ChangeError> {
    let history = revision.history();
    let is_undone = history.iter().any(|known| known.undoes == Some(id));
    let is_correction = |known: &Change| known.source == Source::Person && known.undoes.is_none();
    if !is_undone && history.iter().any(|known| known.id == id && is_correction(known)) {
        return Ok(id);
    }
    let message = "Only a correction by a user can be undone, and only once.".to_owned();
    Err(ChangeError::Conflict(message))
}

/// Sum that can be paid in the conversion's currency.
fn payable(conversion: &Conversion, field: &'static str, micros: i64) -> Result<i64, ChangeError> {
    let currency = conversion.currency;
    if micros >= 0 && (Money { micros, currency }).can_be_paid() {
        return Ok(micros);
    }
    let message = format!(
        "Enter an amount of at least 0, with at most {} decimals in {currency}.",
        currency.decimals()
    );
    Err(ChangeError::field(field, message))
}

/// Status of a conversion and the money that it adds to accounts, for the audit log.
fn described(conversion: &Conversion, request: Option<&CorrectionRequest>) -> serde_json::Value {
    let (commission, revenue) = conversion.worth();
    let money = |micros| {
        Money {
            micros,
            currency: conversion.currency,
        }
        .to_string()
    };
    let mut described = json!({
        "status": conversion.status.as_str(),
        "commission": money(commission),
        "revenue": money(revenue),
    });
    let mut set = |name: &str, value: Option<String>| {
        if let (Some(fields), Some(value)) = (described.as_object_mut(), value) {
            fields.insert(name.to_owned(), value.into());
        }
    };
    set("amount", conversion.amount().map(|amount| amount.to_string()));
    set("affiliate", Some(conversion.affiliate_id.to_string()));
    set(
        "reason_code",
        request.and_then(|request| Some(request.reason_code?.to_string())),
    );
    set("reason", request.and_then(|request| request.reason.clone()));
    described
}
