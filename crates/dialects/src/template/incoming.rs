//! The URL that another system calls us at, with its own macros in it, whatever stands around them: `{sub1}`, `#tid#`.

use std::fmt;

use super::{TEMPLATE_LIMIT, TemplateProblem, host_end};
use crate::field::Field;
use crate::senders::sample;
use crate::{Dialect, RawCall, is_placeholder, native, of_call, wire};

/// A URL of ours with another system's macros in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    text: String,
    host_end: usize,
}

/// Why a text is no such URL, and the byte it is about, counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IncomingProblem {
    /// It does not begin with `http://` or `https://` and a host.
    NotAUrl,
    /// It is longer than [`TEMPLATE_LIMIT`].
    TooLong,
    /// A character that nobody can send: a space, a control character.
    NotSendable {
        /// Where.
        at: usize,
    },
    /// No parameter in it says anything of an order.
    NothingOfOurs,
}

impl fmt::Display for IncomingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAUrl => TemplateProblem::NotAUrl.fmt(f),
            Self::TooLong => TemplateProblem::TooLong.fmt(f),
            Self::NotSendable { at } => {
                write!(f, "At {at}: no space or control character may stand in a URL.")
            }
            Self::NothingOfOurs => {
                f.write_str("It has none of our parameters in its query, such as click_id={sub1}.")
            }
        }
    }
}

impl std::error::Error for IncomingProblem {}

impl Incoming {
    /// Reads such a URL. Its macros are not ours to know, so none of them is refused.
    ///
    /// ```
    /// use dialects::template::{Incoming, IncomingProblem};
    /// let url = Incoming::parse("https://t.example/postback?click_id=#s1#&order_id=#tid#").unwrap();
    /// assert_eq!(url.preview(), "https://t.example/postback?click_id=01j0sampleclick&order_id=A-1001");
    /// assert_eq!(Incoming::parse("https://t.example/?x=#s1#"), Err(IncomingProblem::NothingOfOurs));
    /// ```
    ///
    /// # Errors
    /// [`IncomingProblem`], which names what is wrong and its place.
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
        let says_something = read
            .pairs()
            .any(|(name, _)| says_something(dialect.meaning(name)));
        match says_something {
            true => Ok(read),
            false => Err(IncomingProblem::NothingOfOurs),
        }
    }

    /// The URL as it may arrive once every macro is replaced.
    #[must_use]
    pub fn preview(&self) -> String {
        let dialect = self.dialect();
        let filled = self.pairs().map(|(name, value)| match is_placeholder(value) {
            true => format!("{name}={}", wire::encoded(sample(dialect.meaning(name)))),
            false if value.is_empty() => name.to_owned(),
            false => format!("{name}={value}"),
        });
        let filled: Vec<String> = filled.collect();
        let (before, _) = self.text.split_once('?').unwrap_or((&self.text, ""));
        format!("{before}?{}", filled.join("&"))
    }

    /// The parameters of its query. A `#` ends none of them: some systems write it around their macros.
    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let (_, query) = self.text.split_once('?').unwrap_or_default();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    /// Whose parameters they are, by the path, which a network's slug may stand in front of; where it can be read in
    /// several ways, the one in which most of them say something.
    fn dialect(&self) -> &'static Dialect {
        let target = self.text.get(self.host_end..).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let behind_slug = path
            .strip_prefix('/')
            .and_then(|path| path.find('/'))
            .and_then(|at| target.get(at + 1..));
        let spoken = [behind_slug, Some(target)].into_iter().flatten();
        let known = spoken.filter_map(|target| of_call(&RawCall::get(target)));
        let said = |dialect: &&Dialect| {
            let names = self.pairs().map(|(name, _)| dialect.meaning(name));
            names.filter(|field| says_something(*field)).count()
        };
        known.max_by_key(said).unwrap_or(native())
    }
}

/// Whether a field is about an order, and not only about the call.
fn says_something(field: Field) -> bool {
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
    fn every_systems_own_url_is_one() {
        for sender in crate::senders::all() {
            for base in ["https://t.example", "http://t.example:81/orbit"] {
                let url = sender.url(base, Some("YOUR_TOKEN"));
                let read = Incoming::parse(&url).unwrap_or_else(|problem| panic!("{url}: {problem}"));
                assert!(read.preview().contains("click_id=01j0sampleclick"), "{url}");
            }
        }
    }

    #[test]
    fn the_spelling_of_another_system_is_read_by_its_path() {
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
    fn what_is_no_such_url_is_refused_with_its_place() {
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
        fn no_text_makes_it_panic(text in "(https://t\\.example)?.{0,80}") {
            if let Ok(read) = Incoming::parse(&text) {
                let _ = read.preview();
            }
        }
    }
}
