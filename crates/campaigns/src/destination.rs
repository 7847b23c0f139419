//! Destinations of clicks: URLs with macros, checked once when saved and expanded for every click.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schema::Words;
use url::Url;

use crate::sending::Sending;

/// Maximum length of a destination, in bytes.
const LIMIT: usize = 2048;

/// Everything but the unreserved characters of RFC 3986 is encoded, so that a value can neither end its parameter
/// nor start another, whether it stands in the path, the query or the fragment.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A macro of a destination.
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

/// Names of all macros for users: `{click_id}, {sub1}, …`.
#[must_use]
pub fn macro_names() -> String {
    MACROS.map(|(name, _)| format!("{{{name}}}")).join(", ")
}

/// Values of the macros for one click.
#[derive(Debug, Clone, Copy)]
pub struct MacroValues<'a> {
    /// `{click_id}`
    pub click_id: &'a str,
    /// `{sub1}` … `{sub5}`; empty for a sub id that is not set.
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

/// Reason a text cannot be a destination, with a message for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// The text is not an absolute http or https URL.
    #[error("Enter a full web address that starts with https:// or http://.")]
    NotAUrl,
    /// The text is too long.
    #[error("The address has {0} characters; at most {LIMIT} are allowed.")]
    TooLong(usize),
    /// The text has spaces, control characters or letters outside ASCII.
    #[error("“{0}” is not allowed in a web address; percent-encode it.")]
    BadCharacter(char),
    /// A macro that does not exist.
    #[error("{{{0}}} is not a macro. Use {known}.", known = macro_names())]
    UnknownMacro(String),
    /// A brace without a partner.
    #[error("A brace is unmatched; macros are written {{click_id}}. Write a literal brace as %7B or %7D.")]
    LoneBrace,
    /// A macro in the host, where a visitor's parameter could choose the site.
    #[error("Macros are allowed only after the host: in the path, the query or the fragment.")]
    MacroInHost,
    /// No `{click_id}`.
    #[error(
        "Put {{click_id}} into the address, such as ?click_id={{click_id}}; without it no conversion can be tracked."
    )]
    NoClickId,
    /// The host is not among the hosts the campaign allows.
    #[error("This campaign does not allow links to {0}. Use one of the hosts it allows.")]
    HostNotAllowed(String),
    /// The campaign's destinations have no click id parameter.
    #[error("This campaign has no click ID parameter, so links to other pages cannot be tracked.")]
    NoClickParameter,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Macro(Macro),
}

/// A checked destination, split into text and macros.
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
    /// [`DestinationError`], whose message names the correction.
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

    /// Checks a destination as completed by its campaign: with the click id parameter if the URL has no `{click_id}`,
    /// and with the extra parameters.
    ///
    /// ```
    /// use campaigns::Destination;
    /// use campaigns::campaigns::Sending;
    /// let sending = Sending { click_parameter: Some("clickref".into()), extra_parameters: "src=cl".into(), ..Sending::default() };
    /// let completed = Destination::completed("https://shop.example/p?a=1#top", &sending).unwrap();
    /// assert_eq!(completed, Destination::parse("https://shop.example/p?a=1&clickref={click_id}&src=cl#top").unwrap());
    /// ```
    ///
    /// # Errors
    /// The same as [`Destination::parse`].
    pub fn completed(text: &str, sending: &Sending) -> Result<Self, DestinationError> {
        let click = sending
            .click_parameter
            .as_ref()
            .filter(|_| !text.contains("{click_id}"))
            .map(|name| format!("{name}={{click_id}}"));
        let parameters = [click.as_deref().unwrap_or_default(), &sending.extra_parameters];
        Self::parse(&with_parameters(text, parameters))
    }

    /// Name of the query parameter whose whole value is the click id.
    #[must_use]
    pub fn click_parameter(&self) -> Option<&str> {
        let at = self
            .pieces
            .iter()
            .position(|piece| *piece == Piece::Macro(Macro::ClickId))?;
        let Some(Piece::Text(before)) = at.checked_sub(1).and_then(|at| self.pieces.get(at)) else {
            return None;
        };
        let ends = match self.pieces.get(at + 1) {
            Some(Piece::Text(after)) => after.is_empty() || after.starts_with(['&', '#']),
            _ => false,
        };
        let name = before.strip_suffix('=')?;
        let name = name.rsplit(['?', '&']).next()?;
        (ends && !name.is_empty() && !name.contains(['/', '#', '='])).then_some(name)
    }

    /// URL of a deep link: a page named by the visitor's link, on a host the campaign allows.
    ///
    /// # Errors
    /// [`DestinationError`] when the page is no web address, is on another host, or could not be tracked. Never an open
    /// redirect: anything a browser could read as another host is refused.
    pub fn deep(&self, page: &str, sending: &Sending) -> Result<Self, DestinationError> {
        let parameter = sending
            .click_parameter
            .as_deref()
            .or_else(|| self.click_parameter())
            .ok_or(DestinationError::NoClickParameter)?;
        if page.len() > LIMIT {
            return Err(DestinationError::TooLong(page.len()));
        }
        // Parsed as a browser parses it, and sent as parsed, so that the two cannot differ.
        let url = Url::parse(page).map_err(|_| DestinationError::NotAUrl)?;
        let is_plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.port().is_none();
        let host = url
            .host_str()
            .filter(|_| is_plain)
            .ok_or(DestinationError::NotAUrl)?;
        let allows =
            |named: &str| host == named || host.strip_suffix(named).is_some_and(|front| front.ends_with('.'));
        if !sending.deep_link_hosts.0.iter().any(|named| allows(named)) {
            return Err(DestinationError::HostNotAllowed(host.to_owned()));
        }
        // Braces of the page are literal, not macros.
        let literal = url.as_str().replace('{', "%7B").replace('}', "%7D");
        // A link that was copied from the address bar has the click ID of that visit.
        let literal = without_parameter(&literal, parameter);
        let click = format!("{parameter}={{click_id}}");
        Self::parse(&with_parameters(&literal, [&click, &sending.extra_parameters]))
    }

    /// URL for one click: every value percent-encoded once, everything else as saved.
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

/// URL without a parameter of its query.
fn without_parameter(text: &str, parameter: &str) -> String {
    let (address, fragment) = text.split_once('#').map_or((text, None), |(a, f)| (a, Some(f)));
    let Some((page, query)) = address.split_once('?') else {
        return text.to_owned();
    };
    let is_other = |pair: &&str| pair.split('=').next() != Some(parameter);
    let left: Vec<&str> = query.split('&').filter(is_other).collect();
    let mut url = page.to_owned();
    if !left.is_empty() {
        url.push('?');
        url.push_str(&left.join("&"));
    }
    if let Some(fragment) = fragment {
        url.push('#');
        url.push_str(fragment);
    }
    url
}

/// Appends parameters to the query of a URL; empty ones are skipped.
fn with_parameters(text: &str, parameters: [&str; 2]) -> String {
    let (address, fragment) = match text.split_once('#') {
        Some((address, fragment)) => (address, Some(fragment)),
        None => (text, None),
    };
    let mut completed = address.to_owned();
    for parameters in parameters.into_iter().filter(|parameters| !parameters.is_empty()) {
        if !completed.ends_with(['?', '&']) {
            completed.push(if completed.contains('?') { '&' } else { '?' });
        }
        completed.push_str(parameters);
    }
    if let Some(fragment) = fragment {
        completed.push('#');
        completed.push_str(fragment);
    }
    completed
}

/// Parses hosts of deep links separated by spaces, commas or line breaks.
///
/// # Errors
/// Message to show beside the field.
pub fn check_hosts(text: &str) -> Result<Words, String> {
    let entries = text.split(|c: char| c.is_whitespace() || c == ',' || c == ';');
    let mut hosts: Vec<String> = Vec::new();
    for entry in entries.filter(|entry| !entry.is_empty()) {
        let host = Url::parse(&format!("https://{entry}/"))
            .ok()
            .filter(|url| url.port().is_none() && url.path() == "/" && url.query().is_none())
            .and_then(|url| url.host_str().map(str::to_owned))
            .filter(|host| host.contains('.') && !host.starts_with('.') && !host.contains('*'))
            .ok_or_else(|| {
                format!("“{entry}” is not a host such as shop.example; subdomains are included.")
            })?;
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    if hosts.len() > 100 {
        return Err("Name at most 100 hosts.".to_owned());
    }
    Ok(Words(hosts))
}

/// Checks extra parameters: `a=b&c={sub1}`, empty for none.
///
/// # Errors
/// Message to show beside the field.
pub fn check_parameters(text: &str) -> Result<String, String> {
    let text = text.trim().trim_start_matches(['?', '&']);
    if text.contains('#') {
        return Err("Write # as %23; a plain # would end the parameters.".to_owned());
    }
    Destination::parse(&format!("https://shop.example/?c={{click_id}}&{text}"))
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

/// Parses the name of the click id parameter; empty for none.
///
/// # Errors
/// Message to show beside the field.
pub fn check_click_parameter(text: &str) -> Result<Option<String>, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    match text.trim() {
        "" => Ok(None),
        name if name.len() <= 64 && name.bytes().all(plain) => Ok(Some(name.to_owned())),
        _ => Err("Use letters, digits, _ . and -, such as clickref."),
    }
}

/// Checks a plain URL such as a fallback; empty for none.
///
/// # Errors
/// Message to show beside the field.
pub fn check_address(text: &str) -> Result<Option<String>, DestinationError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let probe = with_parameters(text, ["c={click_id}", ""]);
    Destination::parse(&probe).map(|_| Some(text.to_owned()))
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

/// Checks that the URL is a web address and that its first macro comes after the whole host.
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
    fn every_macro_is_replaced_and_the_rest_is_unchanged() {
        let text = "https://shop.example/a%20b/{link_id}?x=1&c={click_id}&s={sub1}-{sub5}&a={affiliate_id}&k={campaign_id}#f={sub2}";
        let destination = Destination::parse(text).unwrap();
        assert_eq!(
            destination.expand(&values(["one", "two", "", "", "fünf"])),
            "https://shop.example/a%20b/lnk_1?x=1&c=k1&s=one-f%C3%BCnf&a=aff_1&k=cmp_1#f=two"
        );
    }

    #[test]
    fn an_invalid_destination_is_refused_with_the_reason() {
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

    fn sending(hosts: &[&str]) -> Sending {
        Sending {
            click_parameter: Some("clickref".into()),
            deep_link_hosts: Words(hosts.iter().map(|host| (*host).to_owned()).collect()),
            ..Sending::default()
        }
    }

    #[test]
    fn a_deep_link_leads_to_allowed_hosts_only_and_carries_the_click() {
        let home = Destination::parse("https://shop.example/?c={click_id}").unwrap();
        let sending = sending(&["shop.example"]);
        let deep = |page: &str| {
            home.deep(page, &sending)
                .map(|target| target.expand(&values([""; 5])))
        };
        for (page, address) in [
            ("https://shop.example/p/1", "https://shop.example/p/1?clickref=k1"),
            (
                "https://www.shop.example/p?a=1#x",
                "https://www.shop.example/p?a=1&clickref=k1#x",
            ),
            (
                "https://SHOP.example/p/{sub1}",
                "https://shop.example/p/%7Bsub1%7D?clickref=k1",
            ),
            ("https:\\\\shop.example\\p", "https://shop.example/p?clickref=k1"),
            // The click of an earlier visit is replaced.
            (
                "https://shop.example/p?clickref=old&a=1#x",
                "https://shop.example/p?a=1&clickref=k1#x",
            ),
        ] {
            assert_eq!(deep(page).as_deref(), Ok(address), "{page}");
        }
        for page in [
            "https://evil.example/",
            "https://shop.example.evil.example/",
            "https://evilshop.example/",
            "https://shop.example@evil.example/",
            "https://evil.example#@shop.example/",
            "https://evil.example\\@shop.example/",
            "//shop.example/",
            "/p",
            "javascript:alert(1)//shop.example",
            "https://user:pass@shop.example/",
            "https://shop.example:8443/",
            "ftp://shop.example/",
            "",
        ] {
            assert!(deep(page).is_err(), "{page}: {:?}", deep(page));
        }
        let nowhere = Sending::default();
        assert!(matches!(
            home.deep("https://shop.example/", &nowhere),
            Err(DestinationError::HostNotAllowed(_))
        ));
    }

    #[test]
    fn the_click_id_parameter_is_found_in_the_url() {
        let name = |text: &str| {
            Destination::parse(text)
                .unwrap()
                .click_parameter()
                .map(str::to_owned)
        };
        assert_eq!(
            name("https://s.example/?a=1&cid={click_id}&b=2"),
            Some("cid".into())
        );
        assert_eq!(name("https://s.example/?cid={click_id}#x"), Some("cid".into()));
        assert_eq!(name("https://s.example/{click_id}/?a=1"), None);
        assert_eq!(name("https://s.example/?cid=x-{click_id}"), None);
        assert_eq!(name("https://s.example/?cid={click_id}-{sub1}"), None);
    }

    #[test]
    fn hosts_and_parameters_are_checked() {
        assert_eq!(
            check_hosts("Shop.example, www.x.example").unwrap().0,
            ["shop.example", "www.x.example"]
        );
        for wrong in [
            "https://shop.example",
            "shop.example/p",
            "localhost",
            "*.shop.example",
            "a b:1",
        ] {
            assert!(check_hosts(wrong).is_err(), "{wrong}");
        }
        assert_eq!(check_parameters("?a=b&c={sub1}").as_deref(), Ok("a=b&c={sub1}"));
        assert!(check_parameters("a=#").is_err() && check_parameters("a={sub9}").is_err());
        assert_eq!(check_click_parameter(" s1 "), Ok(Some("s1".into())));
        assert!(check_click_parameter("a=b").is_err());
        assert_eq!(check_address(""), Ok(None));
        assert!(check_address("javascript:x").is_err());
    }

    proptest! {
        /// A value cannot change the host, add a parameter or break a header.
        #[test]
        fn a_value_is_expanded_unchanged_and_changes_nothing_else(value in "\\PC{0,60}") {
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
        fn no_text_causes_a_panic(text in ".{0,120}") {
            let _ = Destination::parse(&text);
        }
    }
}
