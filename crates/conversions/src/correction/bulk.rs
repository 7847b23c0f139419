//! Corrections of many conversions at once: by a list, a filter or a file. A preview computes the effect, and locks nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{ConversionId, Currency, Money, NetworkConn, PersonId, conversion_changes};
use tenancy::table::{Column, Table};
use tenancy::{Author, ChangeError};
use uuid::Uuid;

use super::second_user::{self, Limit};
use super::{Correction, CorrectionDraft, CorrectionRequest, Prepared, make};
use crate::conversion::Conversion;
use crate::list::{self, ConversionFilter};

/// Maximum number of conversions that are corrected at once.
pub const MAX_BULK: usize = 1_000;

/// Columns of a file of corrections.
const COLUMNS: [Column; 8] = [
    ("order_id", &["order", "order_number", "transaction_id"]),
    ("id", &["conversion_id", "conversion"]),
    ("action", &["status"]),
    ("amount", &[]),
    ("commission", &[]),
    ("revenue", &[]),
    ("reason_code", &[]),
    ("reason", &["note"]),
];

/// Conversions to correct.
#[derive(Debug, Clone)]
pub enum Selection {
    /// All conversions of a filter.
    Filter(Box<ConversionFilter>),
    /// All conversions of these orders.
    Orders(Vec<String>),
    /// These conversions, each in the version that the user saw; `None` for whatever it is.
    Ids(Vec<(ConversionId, Option<i32>)>),
}

/// Versions of conversions that a user saw in a preview.
pub type SeenVersions = HashMap<ConversionId, i32>;

/// Effect of corrections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BulkReport {
    /// Id by which the corrections can be undone together.
    pub batch: Uuid,
    /// Number of conversions that changed.
    pub changed: usize,
    /// Number of conversions that were in the wanted state already.
    pub unchanged: usize,
    /// Number of corrections that wait for a second user.
    pub waiting: usize,
    /// Orders or conversions that were not corrected, each with the reason.
    pub refused: Vec<(String, String)>,
    /// Commission and revenue that the corrections add, or take away, per currency.
    pub money: Vec<(Money, Money)>,
    /// Selected conversions that can be corrected, with their versions before.
    pub versions: Vec<(ConversionId, i32)>,
}

/// Corrections that are made together.
struct Bulk<'a> {
    author: &'a Author,
    now: DateTime<Utc>,
    is_preview: bool,
    limit: Limit,
    known: HashSet<ConversionId>,
    corrections: Vec<Prepared>,
    report: BulkReport,
    money: BTreeMap<Currency, (i128, i128)>,
}

impl<'a> Bulk<'a> {
    async fn new(
        conn: &mut NetworkConn,
        author: &'a Author,
        is_preview: bool,
        now: DateTime<Utc>,
    ) -> QueryResult<Self> {
        Ok(Self {
            author,
            now,
            is_preview,
            limit: Limit::of(conn, author).await?,
            known: HashSet::new(),
            corrections: Vec::new(),
            report: BulkReport {
                batch: ConversionId::fresh(now).0,
                ..BulkReport::default()
            },
            money: BTreeMap::new(),
        })
    }

    fn refuse(&mut self, name: &str, reason: impl ToString) {
        self.report.refused.push((name.to_owned(), reason.to_string()));
    }

    /// Checks a correction of a conversion, and adds it to those that are made together.
    async fn add(
        &mut self,
        conn: &mut NetworkConn,
        conversion: &Conversion,
        request: CorrectionRequest,
    ) -> Result<(), ChangeError> {
        let id = conversion.id;
        let name = conversion.order_id.clone().unwrap_or_else(|| id.to_string());
        if !self.known.insert(id) {
            self.refuse(&name, "This conversion is named twice. Correct it once.");
            return Ok(());
        }
        let request = CorrectionRequest {
            batch: Some(self.report.batch),
            ..request
        };
        let prepared = if self.is_preview {
            Prepared::unlocked(conn, self.author, id, &request, self.now).await
        } else {
            Prepared::locked(conn, self.author, id, &request, self.now).await
        };
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(ChangeError::Db(error)) => return Err(ChangeError::Db(error)),
            Err(error) => {
                self.refuse(&name, error);
                return Ok(());
            }
        };
        if prepared.change.is_none() {
            self.report.unchanged += 1;
            return Ok(());
        }
        self.report.versions.push((id, prepared.before().version));
        if let Some((person, effect)) = self.limit.exceeded(&prepared) {
            self.wait(conn, person, &prepared, effect, &name).await?;
            return Ok(());
        }
        self.report.changed += 1;
        let (was, is) = (prepared.before().worth(), prepared.after.worth());
        let (commission, revenue) = self.money.entry(prepared.after.currency).or_default();
        *commission += i128::from(is.0) - i128::from(was.0);
        *revenue += i128::from(is.1) - i128::from(was.1);
        self.corrections.push(prepared);
        Ok(())
    }

    /// Lets a correction wait for a second user.
    async fn wait(
        &mut self,
        conn: &mut NetworkConn,
        person: PersonId,
        prepared: &Prepared,
        effect: String,
        name: &str,
    ) -> Result<(), ChangeError> {
        if !self.is_preview {
            match second_user::store(conn, self.author, person, prepared, effect, self.now).await {
                Ok(_) => {}
                Err(ChangeError::Conflict(message)) => {
                    self.refuse(name, message);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.report.waiting += 1;
        Ok(())
    }

    /// Makes the corrections, unless it is a preview.
    async fn finish(mut self, conn: &mut NetworkConn) -> Result<BulkReport, ChangeError> {
        if !self.is_preview {
            make(conn, self.author, self.corrections, self.now).await?;
        }
        let money = |micros: i128, currency| Money {
            micros: i64::try_from(micros).unwrap_or(i64::MAX),
            currency,
        };
        let sums = self.money.into_iter();
        self.report.money = sums
            .map(|(currency, (commission, revenue))| (money(commission, currency), money(revenue, currency)))
            .collect();
        Ok(self.report)
    }
}

/// Corrects all conversions of a selection, or previews it.
///
/// The caller has checked the permission.
///
/// # Errors
/// [`ChangeError::Limit`] if more than [`MAX_BULK`] conversions are selected; when the database fails.
pub async fn correct_all(
    conn: &mut NetworkConn,
    author: &Author,
    selection: &Selection,
    request: &CorrectionRequest,
    is_preview: bool,
    now: DateTime<Utc>,
) -> Result<BulkReport, ChangeError> {
    let mut bulk = Bulk::new(conn, author, is_preview, now).await?;
    let mut selected: Vec<(Conversion, Option<i32>)> = Vec::new();
    match selection {
        Selection::Filter(filter) => {
            let limit = i64::try_from(MAX_BULK + 1).unwrap_or(i64::MAX);
            let found = list::list(conn, filter, limit).await?;
            selected.extend(found.into_iter().map(|named| (named.conversion, None)));
        }
        Selection::Orders(orders) => {
            let orders: BTreeSet<&String> = orders.iter().collect();
            for order in orders.into_iter().take(MAX_BULK + 1) {
                let found = list::of_order(conn, order).await?;
                if found.is_empty() {
                    bulk.refuse(order, "No conversion has this order ID.");
                }
                selected.extend(found.into_iter().map(|conversion| (conversion, None)));
            }
        }
        Selection::Ids(ids) => {
            for (id, version) in ids.iter().take(MAX_BULK + 1) {
                match list::find(conn, author, *id).await? {
                    Some(conversion) => selected.push((conversion, *version)),
                    None => bulk.refuse(&id.to_string(), "No conversion has this ID."),
                }
            }
        }
    }
    check_number(selected.len())?;
    selected.sort_by_key(|(conversion, _)| conversion.id);
    for (conversion, version) in &selected {
        let request = CorrectionRequest {
            version: *version,
            ..request.clone()
        };
        bulk.add(conn, conversion, request).await?;
    }
    bulk.finish(conn).await
}

fn check_number(selected: usize) -> Result<(), ChangeError> {
    if selected <= MAX_BULK {
        return Ok(());
    }
    let message = format!("More than {MAX_BULK} conversions are selected. Narrow the selection.");
    Err(ChangeError::Limit(message))
}

/// Corrects the conversions of a CSV file, each row by its own action, or previews it. Conversions that were not in the
/// preview are refused.
///
/// The caller has checked the permission.
///
/// # Errors
/// [`ChangeError::Fields`] if the file is not valid, [`ChangeError::Limit`] if it has more than [`MAX_BULK`] rows or
/// conversions; when the database fails.
pub async fn correct_file(
    conn: &mut NetworkConn,
    author: &Author,
    text: &str,
    seen: Seen<'_>,
    now: DateTime<Utc>,
) -> Result<BulkReport, ChangeError> {
    let table = Table::read(text, &COLUMNS, &["action"])?;
    let is_preview = matches!(seen, Seen::Preview);
    let mut bulk = Bulk::new(conn, author, is_preview, now).await?;
    let rows: Vec<_> = table.rows().collect();
    if rows.len() > MAX_BULK {
        let message = format!("The file has more than {MAX_BULK} rows. Split it.");
        return Err(ChangeError::Limit(message));
    }
    let mut selected: Vec<(Conversion, CorrectionRequest)> = Vec::new();
    for row in rows {
        let (order, id) = (row.get("order_id"), row.get("id"));
        let named = if id.is_empty() { order } else { id };
        let found: Vec<Conversion> = match id.parse() {
            Ok(id) => list::find(conn, author, id).await?.into_iter().collect(),
            Err(_) if id.is_empty() && !order.is_empty() => list::of_order(conn, order).await?,
            Err(_) => Vec::new(),
        };
        if found.is_empty() {
            bulk.refuse(named, "No conversion has this ID or order ID.");
        }
        let text = |column: &str| row.get(column).to_owned();
        let draft = CorrectionDraft {
            action: match row.get("action") {
                "approved" => "approve".to_owned(),
                "rejected" | "reversed" => "reject".to_owned(),
                "" => "adjust".to_owned(),
                action => action.to_owned(),
            },
            amount: text("amount"),
            commission: text("commission"),
            revenue: text("revenue"),
            link: String::new(),
        };
        for conversion in found {
            let request = match draft.check(conn, author, conversion.id).await {
                Ok(correction) => super::reason(row.get("reason_code"))
                    .and_then(|code| CorrectionRequest::of(correction, code, row.get("reason"))),
                Err(error) => Err(error),
            };
            match (request, seen.version(conversion.id)) {
                (Ok(request), Ok(version)) => {
                    let request = CorrectionRequest { version, ..request };
                    selected.push((conversion, request));
                }
                (Err(ChangeError::Db(error)), _) => return Err(ChangeError::Db(error)),
                (Err(error), _) => bulk.refuse(named, error),
                (Ok(_), Err(reason)) => bulk.refuse(named, reason),
            }
        }
    }
    check_number(selected.len())?;
    // In the order of ids, as the appliers lock them.
    selected.sort_by_key(|(conversion, _)| conversion.id);
    for (conversion, request) in selected {
        bulk.add(conn, &conversion, request).await?;
    }
    bulk.finish(conn).await
}

/// Preview of a file that its corrections are based on.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// Nothing: the file is to be previewed.
    Preview,
    /// Nothing: the file is to be corrected at once, whatever the conversions are.
    Nothing,
    /// The preview with these versions.
    Versions(&'a SeenVersions),
}

impl Seen<'_> {
    fn version(self, id: ConversionId) -> Result<Option<i32>, &'static str> {
        match self {
            Self::Preview | Self::Nothing => Ok(None),
            Self::Versions(versions) => {
                let version = versions.get(&id).copied();
                version.map(Some).ok_or("It was not in the preview.")
            }
        }
    }
}

/// Undoes the corrections that were made together.
///
/// # Errors
/// [`ChangeError::NotFound`] if the network has no such corrections; when the database fails.
pub async fn undo_all(
    conn: &mut NetworkConn,
    author: &Author,
    batch: Uuid,
    now: DateTime<Utc>,
) -> Result<BulkReport, ChangeError> {
    let network_id = conn.network_id();
    let made: Vec<(ConversionId, Uuid)> = conversion_changes::table
        .filter(conversion_changes::network_id.eq(network_id))
        .filter(conversion_changes::batch.eq(batch))
        .filter(conversion_changes::undoes.is_null())
        .order(conversion_changes::conversion_id)
        .select((conversion_changes::conversion_id, conversion_changes::id))
        .load(&mut **conn)
        .await?;
    if made.is_empty() {
        return Err(ChangeError::NotFound);
    }
    let mut bulk = Bulk::new(conn, author, false, now).await?;
    for (id, change) in made {
        if let Some(conversion) = list::find(conn, author, id).await? {
            let request = CorrectionRequest::from(Correction::Undo(change));
            bulk.add(conn, &conversion, request).await?;
        }
    }
    bulk.finish(conn).await
}
