//! Answers in the sender's voice, so that a system that was never told of us is satisfied.

use crate::answer::{Answer, AnswerFormat, Rendered, Wish};
use crate::dialect::{Dialect, Voice};

/// A transparent GIF of one pixel, 43 bytes.
pub const PIXEL: &[u8; 43] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00\x21\xF9\x04\x01\x00\x00\x00\x00\x2C\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3B";

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const XML: &str = "text/xml; charset=utf-8";

impl Dialect {
    /// The answer in the sender's voice. `plain_text` asks for one line instead of our JSON.
    ///
    /// A text that the sender wishes for is given only where its call succeeded: a rejection is never dressed up.
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
            _ => http_status,
        };
        let (content_type, body) = match (format, wish) {
            (AnswerFormat::Gif, _) | (_, Wish::Pixel) => ("image/gif", PIXEL.to_vec()),
            (_, Wish::Text(text)) if answer.status.is_success() => (TEXT, text.clone().into_bytes()),
            (AnswerFormat::Dialect, _) => self.speak(answer, plain_text),
            (AnswerFormat::Ours | AnswerFormat::AlwaysOk, _) => ours(answer, plain_text),
        };
        Rendered {
            http_status,
            content_type,
            body,
        }
    }

    fn speak(&self, answer: &Answer, plain_text: bool) -> (&'static str, Vec<u8>) {
        let success = answer.status.is_success();
        let (content_type, body) = match (self.voice, success) {
            (Voice::Ours, _) => return ours(answer, plain_text),
            (Voice::Tune, true) => (TEXT, "success=true;".to_owned()),
            (Voice::Tune, false) => (TEXT, format!("success=false; err_msg={};", answer.reason)),
            (Voice::Cake, _) => (XML, cake(answer)),
            (Voice::Ok, true) => (TEXT, "OK".to_owned()),
            (Voice::Ok, false) => (TEXT, line(answer)),
        };
        (content_type, body.into_bytes())
    }
}

fn ours(answer: &Answer, plain_text: bool) -> (&'static str, Vec<u8>) {
    match plain_text {
        true => (TEXT, line(answer).into_bytes()),
        // An Answer holds strings and numbers only; serialising those cannot fail.
        false => (JSON, serde_json::to_vec(answer).unwrap_or_default()),
    }
}

fn line(answer: &Answer) -> String {
    let id = answer.conversion_id.as_deref().unwrap_or(&answer.request_id);
    format!("{} {} {id}: {}\n", answer.status, answer.reason, answer.message)
}

/// CAKE answers in XML; this form of it is not in our reference and is to be confirmed by a real answer.
fn cake(answer: &Answer) -> String {
    let (code, text) = match answer.status.is_success() {
        true => (0, "SUCCESS".to_owned()),
        false => (1, format!("{}: {}", answer.reason, answer.message)),
    };
    let text = escaped(&text);
    format!(r#"<?xml version="1.0" encoding="utf-8"?><result code="{code}" msg="{text}" />"#)
}

/// Text for an attribute in XML 1.0, in which most control characters may not even be named.
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
