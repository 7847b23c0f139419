//! Notice: a sentence about the action that a user just took, carried across one redirect to the page that shows it.

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse};
use data_encoding::BASE64URL_NOPAD;

use crate::auth::Cookies;

/// Maximum length of a sentence, in bytes.
const MAX_BYTES: usize = 600;

/// Sentence that a response leaves to the next page. The middleware of the pages puts it into a cookie.
pub(crate) struct Notice(String);

impl Notice {
    /// Leaves a sentence to the page that a response redirects to.
    pub(crate) fn attach(response: &mut HttpResponse, sentence: &str) {
        response.extensions_mut().insert(Self(sentence.to_owned()));
    }

    /// Value of the cookie.
    pub(crate) fn to_cookie(&self) -> String {
        let cut = self.0.floor_char_boundary(MAX_BYTES);
        BASE64URL_NOPAD.encode(self.0.get(..cut).unwrap_or_default().as_bytes())
    }
}

/// Sentence for the page of a request. None for the parts of a page that refresh themselves.
pub(crate) fn of_page(request: &HttpRequest, cookies: Cookies) -> Option<String> {
    if request.method() != Method::GET || request.headers().contains_key("HX-Request") {
        return None;
    }
    let value = cookies.notice_of(request)?;
    let bytes = BASE64URL_NOPAD.decode(value.as_bytes()).ok()?;
    let sentence = String::from_utf8(bytes).ok()?;
    Some(sentence).filter(|sentence| !sentence.is_empty() && sentence.len() <= MAX_BYTES)
}

#[cfg(test)]
mod tests {
    use actix_web::cookie::Cookie;
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_sentence_reaches_the_next_page_only() {
        for cookies in [Cookies::new(false), Cookies::new(true)] {
            let sentence = "Order “Ü-1” was approved: 8.90 EUR.";
            let carried = |sentence: &str| cookies.notice(&Notice(sentence.to_owned()));
            let page = |request: TestRequest| {
                let request = request.cookie(carried(sentence)).to_http_request();
                of_page(&request, cookies)
            };
            assert_eq!(page(TestRequest::get()).as_deref(), Some(sentence));
            assert_eq!(page(TestRequest::post()), None);
            assert_eq!(
                page(TestRequest::get().insert_header(("HX-Request", "true"))),
                None
            );
            let long = TestRequest::get().cookie(carried(&"é".repeat(MAX_BYTES)));
            let shown = of_page(&long.to_http_request(), cookies).unwrap();
            assert_eq!(shown.len(), MAX_BYTES);
            for foreign in [
                Cookie::new("notice", "not base64!"),
                Cookie::new("__Host-notice", ""),
            ] {
                let request = TestRequest::get().cookie(foreign).to_http_request();
                assert_eq!(of_page(&request, cookies), None);
            }
        }
    }
}
