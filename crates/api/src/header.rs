//! Header values from text that this crate formats.

use actix_web::http::header::HeaderValue;

/// Header value of a text that contains visible ASCII and spaces only.
#[expect(
    clippy::expect_used,
    reason = "callers format digits, base32 and the names of methods"
)]
pub(crate) fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("the text is visible ASCII")
}
