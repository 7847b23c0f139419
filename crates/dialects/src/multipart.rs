//! Parameters of a `multipart/form-data` body (RFC 7578): what PHP's curl sends for an array of fields.

use crate::Problem;
use crate::collect::Pair;
use crate::decode::Broken;

/// Passes name and value of each field to `sink`; values are not percent-encoded. An uploaded file is
/// [`Problem::Malformed`], a body that breaks the format [`Problem::Body`].
pub(crate) fn parameters(content_type: &str, text: &str, sink: &mut dyn FnMut(Pair)) {
    let broken = |detail: &str| {
        Err(Broken::from(Problem::Body {
            detail: detail.to_owned(),
        }))
    };
    let Some(boundary) = attribute(content_type, "boundary").filter(|boundary| !boundary.is_empty()) else {
        return sink(broken("its Content-Type names no boundary"));
    };
    let delimiter = format!("\r\n--{boundary}");
    // A line break precedes the first delimiter only after a preamble.
    let text = format!("\r\n{text}");
    let mut parts = text.split(&delimiter).skip(1).peekable();
    if parts.peek().is_none() {
        return sink(broken("it does not contain the boundary of its Content-Type"));
    }
    for part in parts {
        if part.starts_with("--") {
            return;
        }
        sink(match field(part) {
            Some(pair) => pair.map_err(Broken::from),
            None => broken("a part of it has no name"),
        });
    }
    sink(broken("it ends before its last boundary"));
}

/// Name and value of a part; `None` without a name.
fn field(part: &str) -> Option<Result<(String, String), Problem>> {
    let (headers, value) = part.split_once("\r\n\r\n")?;
    let disposition = headers.lines().find_map(|line| {
        let (header, value) = line.split_once(':')?;
        header
            .trim()
            .eq_ignore_ascii_case("content-disposition")
            .then_some(value)
    })?;
    let parameter = attribute(disposition, "name").filter(|name| !name.is_empty())?;
    if attribute(disposition, "filename").is_some() {
        let detail = "it is a file; send it as a field".to_owned();
        return Some(Err(Problem::Malformed { parameter, detail }));
    }
    if parameter.contains('\0') || value.contains('\0') {
        return Some(Err(Problem::Nul { parameter }));
    }
    Some(Ok((parameter, value.to_owned())))
}

/// Attribute of a header, such as `boundary` of a content type, with or without quotation marks.
fn attribute(header: &str, wanted: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted_value(quoted)?,
            None => {
                let (value, next) = after.split_once(';').unwrap_or((after, ""));
                (value.trim().to_owned(), next)
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = next.trim_start().trim_start_matches(';');
    }
}

/// Value up to its closing quotation mark, and the text behind it. Browsers write a quotation mark as `%22`, others as
/// `\"`.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value.replace("%22", "\""), text.get(at + 1..)?)),
            '\\' if matches!(text.get(at + 1..at + 2), Some("\"" | "\\")) => {
                value.push(characters.next()?.1);
            }
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(content_type: &str, body: &str) -> Vec<Result<(String, String), Problem>> {
        let mut read = Vec::new();
        parameters(content_type, body, &mut |pair| {
            read.push(pair.map_err(|broken| broken.problem));
        });
        read
    }

    fn body(fields: &[(&str, &str)]) -> String {
        let mut body = String::new();
        for (name, value) in fields {
            body.push_str("--B\r\nContent-Disposition: form-data; name=\"");
            body.push_str(name);
            body.push_str("\"\r\n\r\n");
            body.push_str(value);
            body.push_str("\r\n");
        }
        body + "--B--\r\n"
    }

    const TYPE: &str = "multipart/form-data; boundary=B";

    #[test]
    fn values_stand_as_they_are() {
        let fields = [
            ("click_id", "a%2Bb+c"),
            ("note", "two\r\nlines --B"),
            ("empty", ""),
        ];
        let expected = fields.map(|(name, value)| Ok((name.to_owned(), value.to_owned())));
        assert_eq!(read(TYPE, &body(&fields)), expected);
        let quoted = "multipart/form-data; charset=\"utf-8\"; Boundary=\"B\"";
        assert_eq!(read(quoted, &body(&fields)), expected);
    }

    #[test]
    fn other_headers_and_text_around_the_parts_are_skipped() {
        let sent = "preamble\r\n--B\r\ncontent-type: text/plain\r\nCONTENT-DISPOSITION: form-data; name=a\r\n\r\n1\r\n--B--epilogue";
        assert_eq!(read(TYPE, sent), [Ok(("a".to_owned(), "1".to_owned()))]);
    }

    #[test]
    fn what_is_not_a_form_of_fields_is_named() {
        let detail = |content_type, body: &str| match read(content_type, body).pop() {
            Some(Err(Problem::Body { detail })) => detail,
            other => panic!("{other:?}"),
        };
        let whole = body(&[("a", "1")]);
        assert_eq!(
            detail("multipart/form-data", &whole),
            "its Content-Type names no boundary"
        );
        assert_eq!(
            detail("multipart/form-data; boundary=C", &whole),
            "it does not contain the boundary of its Content-Type"
        );
        let cut = whole.replace("--B--", "");
        assert_eq!(detail(TYPE, &cut), "it ends before its last boundary");
        let nameless = "--B\r\nContent-Disposition: form-data\r\n\r\n1\r\n--B--";
        assert_eq!(detail(TYPE, nameless), "a part of it has no name");
        let file = "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.csv\"\r\n\r\n1\r\n--B--";
        assert!(matches!(
            read(TYPE, file).as_slice(),
            [Err(Problem::Malformed { parameter, .. })] if parameter == "f"
        ));
        assert!(matches!(
            read(TYPE, &body(&[("a", "1\0")])).as_slice(),
            [Err(Problem::Nul { .. })]
        ));
    }

    proptest! {
        #[test]
        fn fields_survive_a_round_trip(value in "[^\0]{0,40}") {
            prop_assume!(!format!("\r\n{value}\r\n").contains("\r\n--B"));
            let expected = vec![Ok(("v".to_owned(), value.clone()))];
            prop_assert_eq!(read(TYPE, &body(&[("v", &value)])), expected);
        }

        #[test]
        fn no_text_causes_a_panic(content_type in ".{0,60}", body in "(--B|\r\n|name=|\"|;|\\\\|.){0,60}") {
            read(&content_type, &body);
            read(&format!("{TYPE}{content_type}"), &body);
        }
    }
}
