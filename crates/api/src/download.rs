//! Files to download.

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::Deserialize;
use tenancy::csv_export::BYTE_ORDER_MARK;
use utoipa::IntoParams;

/// Media type of a CSV file.
pub(crate) const CSV_TYPE: &str = "text/csv; charset=utf-8";

/// Options of a CSV file.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CsvParams {
    /// True for a byte-order mark in front, by which Excel recognises UTF-8.
    #[param(value_type = bool, required = false)]
    bom: Option<bool>,
}

impl CsvParams {
    /// CSV file with this name.
    pub(crate) fn file(&self, name: &str, text: String) -> HttpResponse {
        csv(name, text, self.bom.unwrap_or(false))
    }
}

/// CSV file, with a byte-order mark if wanted.
pub(crate) fn csv(name: &str, text: String, has_mark: bool) -> HttpResponse {
    file(CSV_TYPE, name, csv_bytes(text, has_mark))
}

/// Content of a CSV file, with a byte-order mark if wanted.
pub(crate) fn csv_bytes(mut text: String, has_mark: bool) -> Vec<u8> {
    if has_mark {
        text.insert_str(0, BYTE_ORDER_MARK);
    }
    text.into_bytes()
}

/// File with this media type and name. `name` holds letters, digits, `-`, `_` and dots only.
pub(crate) fn file(media_type: &str, name: &str, content: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, media_type))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .body(content)
}
