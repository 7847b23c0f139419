//! Corrections of many conversions at once: by a list, a filter or a file. A preview is the correction itself, rolled back.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{ConversionId, Currency, Money, NetworkConn, conversion_changes, conversions};
use tenancy::table::{Column, Table};
use tenancy::{Author, ChangeError};
use uuid::Uuid;

use super::{Corrected, Correction, CorrectionDraft, CorrectionRequest, propose};
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
    /// These conversions.
    Ids(Vec<ConversionId>),
}

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
}

/// Corrections that are made one after the other.
struct Bulk<'a> {
    author: &'a Author,
    time_zone: Tz,
    now: DateTime<Utc>,
    report: BulkReport,
    money: BTreeMap<Currency, (i128, i128)>,
}

impl<'a> Bulk<'a> {
    fn new(author: &'a Author, time_zone: Tz, now: DateTime<Utc>) -> Self {
        Self {
            author,
            time_zone,
            now,
            report: BulkReport {
                batch: ConversionId::fresh(now).0,
                ..BulkReport::default()
            },
            money: BTreeMap::new(),
        }
    }

    /// Corrects a conversion; a refused correction leaves nothing behind.
    async fn correct(
        &mut self,
        conn: &mut NetworkConn,
        before: &Conversion,
        request: CorrectionRequest,
    ) -> Result<(), ChangeError> {
        let request = CorrectionRequest {
            batch: Some(self.report.batch),
            ..request
        };
        let (author, zone, now) = (self.author, self.time_zone, self.now);
        let corrected = conn
            .attempt(async |conn| propose(conn, author, zone, before.id, &request, now).await)
            .await;
        match corrected {
            Ok(Corrected::Waiting(_)) => self.report.waiting += 1,
            Ok(Corrected::Done(after)) if after.version == before.version => self.report.unchanged += 1,
            Ok(Corrected::Done(after)) => {
                self.report.changed += 1;
                let (was, is) = (before.worth(), after.worth());
                let (commission, revenue) = self.money.entry(after.currency).or_default();
                *commission += i128::from(is.0) - i128::from(was.0);
                *revenue += i128::from(is.1) - i128::from(was.1);
            }
            Err(ChangeError::Db(error)) => return Err(ChangeError::Db(error)),
            Err(error) => {
                let name = before.order_id.clone().unwrap_or_else(|| before.id.to_string());
                self.report.refused.push((name, error.to_string()));
            }
        }
        Ok(())
    }

    fn finish(mut self) -> BulkReport {
        let money = |micros: i128, currency| Money {
            micros: i64::try_from(micros).unwrap_or(i64::MAX),
            currency,
        };
        let sums = self.money.into_iter();
        self.report.money = sums
            .map(|(currency, (commission, revenue))| (money(commission, currency), money(revenue, currency)))
            .collect();
        self.report
    }
}

/// Corrects all conversions of a selection. To preview, do not commit the transaction.
///
/// The caller has checked the permission.
///
/// # Errors
/// [`ChangeError::Limit`] if more than [`MAX_BULK`] conversions are selected; when the database fails.
pub async fn correct_all(
    conn: &mut NetworkConn,
    author: &Author,
    time_zone: Tz,
    selection: &Selection,
    request: &CorrectionRequest,
    now: DateTime<Utc>,
) -> Result<BulkReport, ChangeError> {
    let mut bulk = Bulk::new(author, time_zone, now);
    let selected = match selection {
        Selection::Filter(filter) => {
            let limit = i64::try_from(MAX_BULK + 1).unwrap_or(i64::MAX);
            let found = list::list(conn, filter, limit).await?;
            found.into_iter().map(|named| named.conversion).collect()
        }
        Selection::Orders(orders) => {
            let mut found = Vec::new();
            for order in orders.iter().take(MAX_BULK + 1) {
                let of_order = of_order(conn, order).await?;
                if of_order.is_empty() {
                    bulk.report
                        .refused
                        .push((order.clone(), "No conversion has this order ID.".to_owned()));
                }
                found.extend(of_order);
            }
            found
        }
        Selection::Ids(ids) => {
            let mut found = Vec::new();
            for id in ids.iter().take(MAX_BULK + 1) {
                match list::find(conn, *id).await? {
                    Some(conversion) => found.push(conversion),
                    None => bulk
                        .report
                        .refused
                        .push((id.to_string(), "No conversion has this ID.".to_owned())),
                }
            }
            found
        }
    };
    if selected.len() > MAX_BULK {
        let message = format!("More than {MAX_BULK} conversions are selected. Narrow the selection.");
        return Err(ChangeError::Limit(message));
    }
    for conversion in &selected {
        bulk.correct(conn, conversion, request.clone()).await?;
    }
    Ok(bulk.finish())
}

/// Corrects the conversions of a CSV file, each row by its own action. To preview, do not commit the transaction.
///
/// The caller has checked the permission.
///
/// # Errors
/// [`ChangeError::Fields`] if the file is not valid, [`ChangeError::Limit`] if it has more than [`MAX_BULK`] rows; when the
/// database fails.
pub async fn correct_file(
    conn: &mut NetworkConn,
    author: &Author,
    time_zone: Tz,
    text: &str,
    now: DateTime<Utc>,
) -> Result<BulkReport, ChangeError> {
    let table = Table::read(text, &COLUMNS, &["action"])?;
    let mut bulk = Bulk::new(author, time_zone, now);
    let rows: Vec<_> = table.rows().collect();
    if rows.len() > MAX_BULK {
        let message = format!("The file has more than {MAX_BULK} rows. Split it.");
        return Err(ChangeError::Limit(message));
    }
    for row in rows {
        let (order, id) = (row.get("order_id"), row.get("id"));
        let named = if id.is_empty() { order } else { id };
        let found = match id.parse() {
            Ok(id) => list::find(conn, id).await?.into_iter().collect(),
            Err(_) if id.is_empty() && !order.is_empty() => of_order(conn, order).await?,
            Err(_) => Vec::new(),
        };
        if found.is_empty() {
            let message = "No conversion has this ID or order ID.".to_owned();
            bulk.report.refused.push((named.to_owned(), message));
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
            let request = match draft.check(conn, conversion.id).await {
                Ok(correction) => super::reason(row.get("reason_code"))
                    .and_then(|code| CorrectionRequest::of(correction, code, row.get("reason"))),
                Err(error) => Err(error),
            };
            match request {
                Ok(request) => bulk.correct(conn, &conversion, request).await?,
                Err(ChangeError::Db(error)) => return Err(ChangeError::Db(error)),
                Err(error) => bulk.report.refused.push((named.to_owned(), error.to_string())),
            }
        }
    }
    Ok(bulk.finish())
}

/// Undoes the corrections that were made together.
///
/// # Errors
/// [`ChangeError::NotFound`] if the network has no such corrections; when the database fails.
pub async fn undo_all(
    conn: &mut NetworkConn,
    author: &Author,
    time_zone: Tz,
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
    let mut bulk = Bulk::new(author, time_zone, now);
    for (id, change) in made {
        if let Some(conversion) = list::find(conn, id).await? {
            let request = CorrectionRequest::from(Correction::Undo(change));
            bulk.correct(conn, &conversion, request).await?;
        }
    }
    Ok(bulk.finish())
}

async fn of_order(conn: &mut NetworkConn, order: &str) -> QueryResult<Vec<Conversion>> {
    let network_id = conn.network_id();
    Conversion::query()
        .filter(conversions::network_id.eq(network_id))
        .filter(conversions::order_id.eq(order))
        .order(conversions::id)
        .load(&mut **conn)
        .await
}
