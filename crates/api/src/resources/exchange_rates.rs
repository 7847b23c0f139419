//! `/exchange-rates`: values of one euro in other currencies, by day.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use schema::{NetworkConn, clock};
use serde::{Deserialize, Serialize};
use tenancy::exchange_rates::{self, ListedRate, RateFilter, RateId, parse_day};
use tenancy::{Author, Draft, Permission, needs};
use utoipa::{IntoParams, ToSchema};

use super::parties::{self, ImportParams, ImportReport};
use super::{Answer, no_content};
use crate::auth::Allowed;
use crate::download;
use crate::error::ApiError;
use crate::extract::{Body, Csv, Id, Params};
use crate::idempotency::{Created, IdempotencyKey};
use crate::page::{self, Page, Window, items};
use crate::schemas;
use crate::state::Api;

/// Maximum number of rates of an export.
const MAX_EXPORT_ROWS: i64 = 100_000;

/// The value of one euro in another currency from a day on.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExchangeRate {
    #[schema(value_type = schemas::RateId)]
    id: String,
    #[schema(value_type = schemas::Currency)]
    currency: &'static str,
    /// First day of the rate. It holds until the next one of its currency, at most 14 days on.
    #[schema(value_type = schemas::Day)]
    day: String,
    #[schema(value_type = schemas::PerEuro)]
    rate: String,
    #[schema(value_type = schemas::RateSource)]
    source: &'static str,
    /// True for a rate of the installation, false for one that the network set.
    reference: bool,
    /// Time of the last change.
    set_at: DateTime<Utc>,
    /// Author of the last change; null for a rate of the installation, and for users of advertisers and affiliates.
    #[schema(required, value_type = Option<schemas::Text>)]
    set_by: Option<String>,
}

impl From<ListedRate> for ExchangeRate {
    fn from(rate: ListedRate) -> Self {
        Self {
            id: rate.id.to_string(),
            currency: rate.id.currency.code(),
            day: rate.id.day.to_string(),
            rate: rate.per_euro.to_string(),
            source: rate.source.as_str(),
            reference: rate.is_reference,
            set_at: rate.set_at,
            set_by: rate.set_by,
        }
    }
}

impl Created for ExchangeRate {
    const STATUS: StatusCode = StatusCode::OK;
}
items!(ExchangeRate);

/// An exchange rate to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "currency": "USD", "day": "2026-11-27", "rate": "1.0834" }))]
pub(crate) struct NewExchangeRate {
    /// Currency other than EUR.
    #[schema(value_type = schemas::Currency)]
    currency: String,
    /// First day of the rate, at most tomorrow.
    #[schema(value_type = schemas::Day)]
    day: String,
    #[schema(value_type = schemas::PerEuro)]
    rate: String,
}

/// Filters of the list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RateParams {
    /// Only rates of this currency.
    #[param(value_type = schemas::Currency, inline, required = false)]
    currency: Option<String>,
    /// Only rates of this day and later.
    #[param(value_type = schemas::Day, inline, required = false)]
    from: Option<String>,
    /// Only rates of this day and earlier.
    #[param(value_type = schemas::Day, inline, required = false)]
    to: Option<String>,
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::RateId, inline, required = false)]
    after: Option<String>,
}

/// Filters of the export.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RateExportParams {
    /// Only rates of this currency.
    #[param(value_type = schemas::Currency, inline, required = false)]
    currency: Option<String>,
    /// Only rates of this day and later.
    #[param(value_type = schemas::Day, inline, required = false)]
    from: Option<String>,
    /// Only rates of this day and earlier.
    #[param(value_type = schemas::Day, inline, required = false)]
    to: Option<String>,
    /// True for a byte-order mark in front, by which Excel recognises UTF-8.
    #[param(value_type = bool, required = false)]
    bom: Option<bool>,
}

fn filter(currency: Option<&str>, from: Option<&str>, to: Option<&str>) -> Result<RateFilter, ApiError> {
    let day = |name: &str, text: Option<&str>| {
        text.map(|text| parse_day(text).map_err(|message| ApiError::field(name, message)))
            .transpose()
    };
    Ok(RateFilter {
        currency: page::word("currency", currency)?,
        from: day("from", from)?,
        to: day("to", to)?,
        after: None,
    })
}

/// List exchange rates
///
/// Newest day first, then by currency: the rates that the network set, and reference rates of the installation on days
/// for which the network set none.
#[utoipa::path(get, path = "/exchange-rates", tag = "Reports", params(RateParams), responses((status = 200, body = Page<ExchangeRate>)))]
pub(crate) async fn list(
    access: Allowed<needs::SeeReports>,
    api: Data<Api>,
    Params(params): Params<RateParams>,
) -> Answer<Page<ExchangeRate>> {
    let window = Window::<RateId>::of(params.limit, params.after.as_deref())?;
    let filter = RateFilter {
        after: window.after,
        ..filter(
            params.currency.as_deref(),
            params.from.as_deref(),
            params.to.as_deref(),
        )?
    };
    let mut conn = access.network(&api.db).await?;
    let mut rows = exchange_rates::list(&mut conn, &filter, window.rows()).await?;
    conn.commit().await?;
    if !access.may(Permission::SeeNetwork) {
        rows.iter_mut().for_each(|row| row.set_by = None);
    }
    Ok(Json(window.page(rows)))
}

/// Set an exchange rate
///
/// Adds the network's rate of the day, or replaces it.
#[utoipa::path(post, path = "/exchange-rates", tag = "Reports", params(IdempotencyKey), request_body = NewExchangeRate, responses((status = 200, body = ExchangeRate)))]
pub(crate) async fn set(
    access: Allowed<needs::Configure>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewExchangeRate>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let draft = Draft::with([
            ("currency", body.value.currency.clone()),
            ("day", body.value.day.clone()),
            ("rate", body.value.rate.clone()),
        ]);
        let set = exchange_rates::set(conn, &access.author(), draft, clock::now()).await?;
        Ok(ExchangeRate::from(set))
    });
    Ok(outcome.await?.response())
}

/// Delete an exchange rate
///
/// Reference rates of the installation cannot be deleted.
#[utoipa::path(
    delete, path = "/exchange-rates/{id}", tag = "Reports",
    params(("id" = inline(schemas::RateId), Path)),
    responses((status = 204))
)]
pub(crate) async fn remove(
    access: Allowed<needs::Configure>,
    Id(id): Id<RateId>,
    api: Data<Api>,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    exchange_rates::remove(&mut conn, &access.author(), id, clock::now()).await?;
    conn.commit().await?;
    no_content()
}

/// Import exchange rates from CSV
///
/// The first line contains the column names: `currency`, `day`, `rate`. A row adds the network's rate of its day, or
/// replaces it. The file is imported as a whole: with an invalid row, nothing is changed.
#[utoipa::path(
    post, path = "/exchange-rates/import", tag = "Reports",
    params(ImportParams, IdempotencyKey),
    request_body(content = String, content_type = "text/csv", example = "currency,day,rate\nUSD,2026-11-27,1.0834\n"),
    responses((status = 200, body = ImportReport))
)]
pub(crate) async fn import(
    access: Allowed<needs::Configure>,
    api: Data<Api>,
    Params(params): Params<ImportParams>,
    key: IdempotencyKey,
    Csv(text): Csv,
) -> Result<HttpResponse, ApiError> {
    let run = async |conn: &mut NetworkConn, author: &Author| {
        exchange_rates::import(conn, author, &text, clock::now()).await
    };
    parties::import(&access, &api, &key, &params, &text, run).await
}

/// Export exchange rates to CSV
///
/// The rates of the list, at most 100,000. The import accepts this file.
#[utoipa::path(
    get, path = "/exchange-rates/export", tag = "Reports", params(RateExportParams),
    responses((status = 200, body = String, content_type = "text/csv"))
)]
pub(crate) async fn export(
    access: Allowed<needs::SeeReports>,
    api: Data<Api>,
    Params(params): Params<RateExportParams>,
) -> Result<HttpResponse, ApiError> {
    let filter = filter(
        params.currency.as_deref(),
        params.from.as_deref(),
        params.to.as_deref(),
    )?;
    let mut conn = access.network(&api.db).await?;
    let rows = exchange_rates::list(&mut conn, &filter, MAX_EXPORT_ROWS).await?;
    conn.commit().await?;
    let text = exchange_rates::to_csv(&rows);
    Ok(download::csv(
        "exchange_rates.csv",
        text,
        params.bom.unwrap_or(false),
    ))
}
