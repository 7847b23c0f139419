//! Where a click is sent: a URL with macros, checked once when it is saved and filled in for every click.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

/// Longest destination taken, in bytes.
const LIMIT: usize = 2048;

/// Everything but the unreserved characters of RFC 3986 is encoded, so that a value can neither end its parameter
/// nor start another, whether it stands in the path, the query or the fragment.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A macro that may stand in a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Macro {
    ClickId,
    Sub(usize),
    AffiliateId,
    CampaignId,
    LinkId,
}

/// The macros by name, in the order they are offered.
const MACROS: [(&str, Macro); 9] = [
    ("click_id", Macro::ClickId),
    ("sub1", Macro::Sub(0)),
    ("sub2", Macro::Sub(1)),
    ("sub3", Macro::Sub(2)),
    ("sub4", Macro::Sub(3)),
    ("sub5", Macro::Sub(4)),
    ("affiliate_id", Macro::AffiliateId),
    ("campaign_id", Macro::CampaignId),
    ("link_id", Macro::LinkId),
];

/// The names of all macros, for people: `{click_id}, {sub1}, …`.
#[must_use]
pub fn macro_names() -> String {
    MACROS.map(|(name, _)| format!("{{{name}}}")).join(", ")
}

/// What the macros of one click stand for.
#[derive(Debug, Clone, Copy)]
pub struct MacroValues<'a> {
    /// `{click_id}`
    pub click_id: &'a str,
    /// `{sub1}` … `{sub5}`; empty where the link had none.
    pub subs: [&'a str; 5],
    /// `{affiliate_id}`
    pub affiliate_id: &'a str,
    /// `{campaign_id}`
    pub campaign_id: &'a str,
    /// `{link_id}`
    pub link_id: &'a str,
}

impl<'a> MacroValues<'a> {
    fn get(&self, wanted: Macro) -> &'a str {
        match wanted {
            Macro::ClickId => self.click_id,
            Macro::Sub(index) => self.subs.get(index).copied().unwrap_or_default(),
            Macro::AffiliateId => self.affiliate_id,
            Macro::CampaignId => self.campaign_id,
            Macro::LinkId => self.link_id,
        }
    }
}

/// Why a text cannot be a destination, in words for the person who typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// It is not an absolute http or https URL.
    #[error("Enter a full web address that starts with https:// or http://.")]
    NotAUrl,
    /// It is too long.
    #[error("The address has {0} characters; at most {LIMIT} are taken.")]
    TooLong(usize),
    /// It has spaces, control characters or letters outside ASCII.
    #[error("“{0}” cannot stand in a web address as it is; percent-encode it.")]
    BadCharacter(char),
    /// A macro that does not exist.
    #[error("There is no macro {{{0}}}. Use {known}.", known = macro_names())]
    UnknownMacro(String),
    /// A brace without its partner.
    #[error("A brace has no partner; macros are written {{click_id}}. Write a literal brace as %7B or %7D.")]
    LoneBrace,
    /// A macro in the host, where a visitor's parameter could choose the site.
    #[error("Macros may stand after the host only: in the path, the query or the fragment.")]
    MacroInHost,
    /// No `{click_id}`.
    #[error(
        "Put {{click_id}} into the address, such as ?click_id={{click_id}}; without it no conversion can be tracked."
    )]
    NoClickId,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Macro(Macro),
}

/// A checked destination, cut into text and macros.
///
/// ```
/// use campaigns::{Destination, MacroValues};
/// let destination = Destination::parse("https://shop.example/p?id={click_id}&s={sub1}#top").unwrap();
/// let values = MacroValues {
///     click_id: "abc", subs: ["a&b", "", "", "", ""], affiliate_id: "aff_1", campaign_id: "cmp_1", link_id: "lnk_1",
/// };
/// assert_eq!(destination.expand(&values), "https://shop.example/p?id=abc&s=a%26b#top");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pieces: Vec<Piece>,
}

impl Destination {
    /// Checks a destination as it is saved.
    ///
    /// # Errors
    /// [`DestinationError`], whose text says what to change.
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        if text.len() > LIMIT {
            return Err(DestinationError::TooLong(text.len()));
        }
        if let Some(bad) = text
            .chars()
            .find(|c| !c.is_ascii_graphic() || matches!(c, '"' | '<' | '>' | '\\' | '`'))
        {
            return Err(DestinationError::BadCharacter(bad));
        }
        let pieces = cut(text)?;
        check_url(&pieces)?;
        if !pieces.contains(&Piece::Macro(Macro::ClickId)) {
            return Err(DestinationError::NoClickId);
        }
        Ok(Self { pieces })
    }

    /// The address for one click: every value percent-encoded once, everything else as it was saved.
    #[must_use]
    pub fn expand(&self, values: &MacroValues<'_>) -> String {
        let mut address = String::with_capacity(256);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => address.push_str(text),
                Piece::Macro(wanted) => address.extend(utf8_percent_encode(values.get(*wanted), VALUE)),
            }
        }
        address
    }
}

fn cut(text: &str) -> Result<Vec<Piece>, DestinationError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        if before.contains('}') {
            return Err(DestinationError::LoneBrace);
        }
        let (name, next) = after.split_once('}').ok_or(DestinationError::LoneBrace)?;
        let (_, known) = MACROS
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| DestinationError::UnknownMacro(name.to_owned()))?;
        pieces.push(Piece::Text(before.to_owned()));
        pieces.push(Piece::Macro(*known));
        rest = next;
    }
    if rest.contains('}') {
        return Err(DestinationError::LoneBrace);
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

/// The address must be a web address, and what comes before its first macro must already hold the whole host.
fn check_url(pieces: &[Piece]) -> Result<(), DestinationError> {
    let sample: String = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Macro(_) => "x",
        })
        .collect();
    let url = Url::parse(&sample).map_err(|_| DestinationError::NotAUrl)?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(DestinationError::NotAUrl);
    }
    let Some(Piece::Text(first)) = pieces.first() else {
        return Err(DestinationError::NotAUrl);
    };
    let after_scheme = first.split_once("://").map_or("", |(_, rest)| rest);
    // Browsers skip surplus slashes: in https:///{sub1}/ the macro is the host.
    let whole_host = after_scheme.find(['/', '?', '#']).is_some_and(|end| end > 0);
    if pieces.len() > 1 && !whole_host {
        return Err(DestinationError::MacroInHost);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values<'a>(subs: [&'a str; 5]) -> MacroValues<'a> {
        MacroValues {
            click_id: "k1",
            subs,
            affiliate_id: "aff_1",
            campaign_id: "cmp_1",
            link_id: "lnk_1",
        }
    }

    #[test]
    fn every_macro_is_replaced_and_the_rest_is_left_alone() {
        let text = "https://shop.example/a%20b/{link_id}?x=1&c={click_id}&s={sub1}-{sub5}&a={affiliate_id}&k={campaign_id}#f={sub2}";
        let destination = Destination::parse(text).unwrap();
        assert_eq!(
            destination.expand(&values(["one", "two", "", "", "fünf"])),
            "https://shop.example/a%20b/lnk_1?x=1&c=k1&s=one-f%C3%BCnf&a=aff_1&k=cmp_1#f=two"
        );
    }

    #[test]
    fn a_destination_that_cannot_work_is_refused_with_the_reason() {
        use DestinationError::*;
        for (text, error) in [
            ("", NotAUrl),
            ("shop.example/?c={click_id}", NotAUrl),
            ("javascript:alert({click_id})", NotAUrl),
            ("ftp://shop.example/{click_id}", NotAUrl),
            (
                "https://shop.example/?c={clickid}",
                UnknownMacro("clickid".into()),
            ),
            (
                "https://shop.example/?c={CLICK_ID}",
                UnknownMacro("CLICK_ID".into()),
            ),
            ("https://shop.example/?c={}", UnknownMacro(String::new())),
            ("https://shop.example/?c={click_id", LoneBrace),
            ("https://shop.example/?c=click_id}", LoneBrace),
            ("https://shop.example/?c={click_id}}", LoneBrace),
            ("https://{sub1}/?c={click_id}", MacroInHost),
            ("https://shop.example{sub1}/?c={click_id}", MacroInHost),
            ("https://{sub1}@shop.example/?c={click_id}", MacroInHost),
            ("https:///{sub1}/?c={click_id}", MacroInHost),
            ("https:///shop{sub1}.example/?c={click_id}", MacroInHost),
            ("https://shop.example/", NoClickId),
            ("https://shop.example/ ?c={click_id}", BadCharacter(' ')),
            ("https://shop.example/\r\nX: 1?c={click_id}", BadCharacter('\r')),
            ("https://shöp.example/?c={click_id}", BadCharacter('ö')),
        ] {
            assert_eq!(Destination::parse(text), Err(error), "{text}");
        }
        let long = format!("https://shop.example/?c={{click_id}}&x={}", "y".repeat(2048));
        assert!(matches!(Destination::parse(&long), Err(TooLong(_))));
    }

    proptest! {
        /// No value can change the host, add a parameter or break a header.
        #[test]
        fn a_value_arrives_as_it_was_sent_and_changes_nothing_else(value in "\\PC{0,60}") {
            let destination = Destination::parse("https://shop.example/p?c={click_id}&s={sub1}&z=1#end").unwrap();
            let address = destination.expand(&values([&value, "", "", "", ""]));
            prop_assert!(address.bytes().all(|byte| byte.is_ascii_graphic()));
            let url = Url::parse(&address).unwrap();
            prop_assert_eq!(url.host_str(), Some("shop.example"));
            prop_assert_eq!(url.fragment(), Some("end"));
            let pairs: Vec<_> = url.query_pairs().into_owned().collect();
            prop_assert_eq!(pairs, vec![
                ("c".to_owned(), "k1".to_owned()), ("s".to_owned(), value), ("z".to_owned(), "1".to_owned()),
            ]);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,120}") {
            let _ = Destination::parse(&text);
        }
    }
}
