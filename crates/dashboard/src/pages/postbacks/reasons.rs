//! Documentation of each reason of a verdict: what happened, common causes, and fixes.
//!
//! The texts are in `templates/postbacks/reasons/reasons.md`, one `## code` each, with the same parts in the same order.

use std::collections::HashMap;
use std::sync::LazyLock;

use actix_web::web;
use askama::Template;
use postbacks::Reason;

use crate::error::PageError;
use crate::page::PageRequest;
use crate::shell::{PageResult, Shell, html};

static TEXTS: LazyLock<HashMap<&'static str, Text>> = LazyLock::new(|| {
    include_str!("../../../../../templates/postbacks/reasons/reasons.md")
        .split("\n## ")
        .skip(1)
        .filter_map(Text::read)
        .collect()
});

/// Documentation of one reason.
#[derive(Debug, Default, Clone)]
struct Text {
    title: &'static str,
    happened: &'static str,
    causes: Vec<&'static str>,
    fixes: Vec<&'static str>,
    meanwhile: &'static str,
    again: &'static str,
}

impl Text {
    fn read(entry: &'static str) -> Option<(&'static str, Self)> {
        let (code, rest) = entry.split_once('\n')?;
        let mut text = Self::default();
        for line in rest.lines() {
            let number = line
                .split_once(". ")
                .filter(|(number, _)| number.parse::<u8>().is_ok());
            match (line.split_once(": "), line.strip_prefix("- "), number) {
                (_, Some(cause), _) => text.causes.push(cause),
                (_, _, Some((_, fix))) => text.fixes.push(fix),
                (Some(("Title", title)), ..) => text.title = title,
                (Some(("What happened", happened)), ..) => text.happened = happened,
                (Some(("Meanwhile", meanwhile)), ..) => text.meanwhile = meanwhile,
                (Some(("Retry or replay", again)), ..) => text.again = again,
                _ => {}
            }
        }
        Some((code.trim(), text))
    }
}

/// `GET /docs/reasons/{code}`: public, because a developer who receives a response may have no account.
pub(super) async fn show(request: PageRequest, path: web::Path<String>) -> PageResult {
    let reason = Reason::of_code(&path).ok_or(PageError::NotFound)?;
    let text = TEXTS.get(reason.code()).cloned().ok_or(PageError::NotFound)?;
    html(&Show {
        shell: Shell::of_docs(&request, text.title).await?,
        code: reason.code(),
        status: reason.status().to_string(),
        http_status: reason.http_status(),
        text,
    })
}

#[derive(Template)]
#[template(path = "postbacks/reasons/show.html")]
struct Show {
    shell: Shell,
    code: &'static str,
    status: String,
    http_status: u16,
    text: Text,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_page_and_every_page_its_reason() {
        for reason in Reason::ALL {
            let code = reason.code();
            let text = TEXTS.get(code).unwrap_or_else(|| panic!("{code} has no text"));
            let parts = [text.title, text.happened, text.meanwhile, text.again];
            assert!(parts.iter().all(|part| !part.is_empty()), "{code}: {text:?}");
            assert!(
                !text.causes.is_empty() && !text.fixes.is_empty(),
                "{code}: {text:?}"
            );
        }
        for code in TEXTS.keys() {
            assert!(Reason::of_code(code).is_some(), "{code} is not a reason");
        }
    }
}
