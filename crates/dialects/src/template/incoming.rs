//! URLs at which another system calls us, with that system's macros in any delimiters: `{sub1}`, `#tid#`.

use std::fmt;

use super::{TEMPLATE_LIMIT, TemplateProblem, host_end};
use crate::field::Field;
use crate::senders::sample;
use crate::{Dialect, RawCall, is_placeholder, native, of_call, wire};

/// A URL of ours with the macros of another system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    text: String,
    host_end: usize,
}

/// Reason a text is no such URL, with the byte offset counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IncomingProblem {
    /// The text does not begin with `http://` or `https://` and a host.
    NotAUrl,
    /// The text is longer than [`TEMPLATE_LIMIT`].
    TooLong,
    /// A character that cannot be sent: a space, a control character.
    NotSendable {
        /// Byte offset of the character.
        at: usize,
    },
    /// No parameter of the URL describes an order.
    NothingOfOurs,
}

impl fmt::Display for IncomingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAUrl => TemplateProblem::NotAUrl.fmt(f),
            Self::TooLong => TemplateProblem::TooLong.fmt(f),
            Self::NotSendable { at } => {
                write!(
                    f,
                    "At {at}: a space or control character is not allowed in a URL."
                )
            }
            Self::NothingOfOurs => {
                f.write_str("The query has none of our parameters, such as click_id={sub1}.")
            }
        }
    }
}

impl std::error::Error for IncomingProblem {}

impl Incoming {
    /// Parses such a URL. The macros are the other system's, so any name is accepted.
    ///
    /// ```
    /// use dialects::template::{Incoming, IncomingProblem};
    /// let url = Incoming::parse("https://t.example/postback?click_id=#s1#&order_id=#tid#").unwrap();
    /// assert_eq!(url.preview(), "https://t.example/postback?click_id=01j0sampleclick&order_id=A-1001");
    /// assert_eq!(Incoming::parse("https://t.example/?x=#s1#"), Err(IncomingProblem::NothingOfOurs));
    /// ```
    ///
    /// # Errors
    /// [`IncomingProblem`], which names the problem and its offset.
    pub fn parse(text: &str) -> Result<Self, IncomingProblem> {
        if text.len() > TEMPLATE_LIMIT {
            return Err(IncomingProblem::TooLong);
        }
        let host_end = host_end(text).map_err(|_| IncomingProblem::NotAUrl)?;
        let unsendable = |(_, character): &(usize, char)| character.is_whitespace() || character.is_control();
        if let Some((at, _)) = text.char_indices().find(unsendable) {
            return Err(IncomingProblem::NotSendable { at });
        }
        let read = Self {
            text: text.to_owned(),
            host_end,
        };
        let dialect = read.dialect();
        let has_order_fields = read.pairs().any(|(name, _)| is_of_order(dialect.meaning(name)));
        if has_order_fields {
            Ok(read)
        } else {
            Err(IncomingProblem::NothingOfOurs)
        }
    }

    /// URL with a sample in place of every macro.
    #[must_use]
    pub fn preview(&self) -> String {
        let dialect = self.dialect();
        let filled = self.pairs().map(|(name, value)| {
            if is_placeholder(value) {
                format!("{name}={}", wire::encoded(sample(dialect.meaning(name))))
            } else if value.is_empty() {
                name.to_owned()
            } else {
                format!("{name}={value}")
            }
        });
        let filled: Vec<String> = filled.collect();
        let (before, _) = self.text.split_once('?').unwrap_or((&self.text, ""));
        format!("{before}?{}", filled.join("&"))
    }

    /// Parameters of the query. A `#` does not end the query: some systems delimit macros with it.
    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let (_, query) = self.text.split_once('?').unwrap_or_default();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    /// Dialect of the URL by its path, with or without a network's slug; if both readings are possible, the one in
    /// which more parameters describe the order.
    fn dialect(&self) -> &'static Dialect {
        let target = self.text.get(self.host_end..).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let behind_slug = path
            .strip_prefix('/')
            .and_then(|path| path.find('/'))
            .and_then(|at| target.get(at + 1..));
        let targets = [behind_slug, Some(target)].into_iter().flatten();
        let known = targets.filter_map(|target| of_call(&RawCall::get(target)));
        let order_fields = |dialect: &&Dialect| {
            let names = self.pairs().map(|(name, _)| dialect.meaning(name));
            names.filter(|field| is_of_order(*field)).count()
        };
        known.max_by_key(order_fields).unwrap_or(native())
    }
}

/// True for a field that describes the order, not only the call.
fn is_of_order(field: Field) -> bool {
    !matches!(
        field,
        Field::Extra
            | Field::Personal
            | Field::Token
            | Field::Signature
            | Field::Timestamp
            | Field::Return
            | Field::Pixel
            | Field::Test
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_url_of_every_sender_is_valid() {
        for sender in crate::senders::all() {
            for base in ["https://t.example", "http://t.example:81/orbit"] {
                let url = sender.url(base, Some("YOUR_TOKEN"));
                let read = Incoming::parse(&url).unwrap_or_else(|problem| panic!("{url}: {problem}"));
                assert!(read.preview().contains("click_id=01j0sampleclick"), "{url}");
            }
        }
    }

    #[test]
    fn the_dialect_of_another_system_is_recognised_by_its_path() {
        for base in ["https://t.example", "https://t.example/orbit"] {
            let url = format!("{base}/postback/affise?clickid={{sub1}}&sum={{payout}}");
            let preview = Incoming::parse(&url).unwrap().preview();
            assert_eq!(
                preview,
                format!("{base}/postback/affise?clickid=01j0sampleclick&sum=99.90")
            );
        }
    }

    #[test]
    fn an_invalid_url_is_refused_with_its_offset() {
        let problem = |text: &str| Incoming::parse(text).unwrap_err();
        for text in [
            "",
            "postback?click_id={a}",
            "ftp://t.example/?click_id={a}",
            "https://?click_id={a}",
        ] {
            assert_eq!(problem(text), IncomingProblem::NotAUrl, "{text}");
        }
        let spaced = "https://t.example/postback?click_id={a b}";
        assert_eq!(problem(spaced), IncomingProblem::NotSendable { at: 38 });
        let long = format!(
            "https://t.example/postback?click_id={}",
            "a".repeat(TEMPLATE_LIMIT)
        );
        assert_eq!(problem(&long), IncomingProblem::TooLong);
        for text in [
            "https://t.example/postback",
            "https://t.example/postback?token=t&colour={c}",
        ] {
            assert_eq!(problem(text), IncomingProblem::NothingOfOurs, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_causes_a_panic(text in "(https://t\\.example)?.{0,80}") {
            if let Ok(read) = Incoming::parse(&text) {
                let _ = read.preview();
            }
        }
    }
}
