//! Rendering of responses in the sender's format.

use crate::answer::{Answer, AnswerFormat, Rendered, Status, Wish};
use crate::dialect::{Dialect, ResponseStyle};

/// A 1×1 transparent GIF, 43 bytes.
pub const PIXEL: &[u8; 43] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00\x21\xF9\x04\x01\x00\x00\x00\x00\x2C\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3B";

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const XML: &str = "text/xml; charset=utf-8";

impl Dialect {
    /// Renders a response in the sender's format. `plain_text` selects one line of text instead of our JSON.
    ///
    /// A text that the sender requests is returned only if the postback succeeded, so that a rejection stays visible.
    #[must_use]
    pub fn render(
        &self,
        answer: &Answer,
        http_status: u16,
        format: AnswerFormat,
        wish: &Wish,
        plain_text: bool,
    ) -> Rendered {
        let http_status = match format {
            AnswerFormat::AlwaysOk => 200,
            AnswerFormat::Dialect => self.http_status(answer).unwrap_or(http_status),
            _ => http_status,
        };
        let (content_type, body) = match (format, wish) {
            // A response without content has no body; the headers name the reason.
            _ if http_status == 204 => (TEXT, Vec::new()),
            (AnswerFormat::Gif, _) | (_, Wish::Pixel) => ("image/gif", PIXEL.to_vec()),
            (_, Wish::Text(text)) if answer.status.is_success() => (TEXT, text.clone().into_bytes()),
            (AnswerFormat::Dialect, _) => self.in_dialect(answer, plain_text),
            (AnswerFormat::Ours | AnswerFormat::AlwaysOk, _) => ours(answer, plain_text),
        };
        Rendered {
            http_status,
            content_type,
            body,
        }
    }

    /// HTTP status that the system documents for this answer; `None` if it is ours.
    fn http_status(&self, answer: &Answer) -> Option<u16> {
        match (self.response, answer.status) {
            (ResponseStyle::FirstPromoter, Status::Duplicate) => Some(409),
            (ResponseStyle::FirstPromoter, Status::Rejected) if answer.reason == "click_id_missing" => {
                Some(204)
            }
            _ => None,
        }
    }

    fn in_dialect(&self, answer: &Answer, plain_text: bool) -> (&'static str, Vec<u8>) {
        let success = answer.status.is_success();
        let (content_type, body) = match (self.response, success) {
            (ResponseStyle::Ours | ResponseStyle::FirstPromoter, _) => return ours(answer, plain_text),
            (ResponseStyle::Tune, true) => (TEXT, "success=true;".to_owned()),
            (ResponseStyle::Tune, false) => (TEXT, format!("success=false; err_msg={};", answer.reason)),
            (ResponseStyle::Cake, _) => (XML, cake(answer)),
            (ResponseStyle::Ok, true) => (TEXT, "OK".to_owned()),
            (ResponseStyle::Ok, false) => (TEXT, line(answer)),
        };
        (content_type, body.into_bytes())
    }
}

fn ours(answer: &Answer, plain_text: bool) -> (&'static str, Vec<u8>) {
    if plain_text {
        return (TEXT, line(answer).into_bytes());
    }
    #[expect(
        clippy::expect_used,
        reason = "an answer has strings and numbers only, which always serialise"
    )]
    let body = serde_json::to_vec(answer).expect("an answer serialises");
    (JSON, body)
}

fn line(answer: &Answer) -> String {
    let id = answer.conversion_id.as_deref().unwrap_or(&answer.request_id);
    format!("{} {} {id}: {}\n", answer.status, answer.reason, answer.message)
}

/// CAKE responds in XML. This form is not in our reference and needs confirmation by a real response.
fn cake(answer: &Answer) -> String {
    let (code, text) = if answer.status.is_success() {
        (0, "SUCCESS".to_owned())
    } else {
        (1, format!("{}: {}", answer.reason, answer.message))
    };
    let text = escaped(&text);
    format!(r#"<?xml version="1.0" encoding="utf-8"?><result code="{code}" msg="{text}" />"#)
}

/// Text for an attribute in XML 1.0, which forbids most control characters even as references.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\u{0}'..='\u{1F}' | '\u{7F}' | '\u{FFFE}' | '\u{FFFF}' => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}
