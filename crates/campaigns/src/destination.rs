//! Destinations of clicks: URLs with macros, checked once when saved and expanded for every click.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schema::Words;
use serde::{Deserialize, Serialize};
use tenancy::networks::ascii_host;
use url::Url;

use crate::sending::Sending;

/// Maximum length of a destination, in bytes.
const LIMIT: usize = 2048;

/// Everything but the unreserved characters of RFC 3986 is encoded, so that a value can neither end its parameter
/// nor start another, whether it stands in the path, the query or the fragment.
pub(crate) const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A macro of a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Macro {
    ClickId,
    Sub(usize),
    AffiliateId,
    CampaignId,
    LinkId,
    /// Parameter of the visitor's URL.
    Query(String),
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

/// Start of a macro of a parameter of the visitor's URL: `{query:gclid}`.
const QUERY: &str = "query:";

/// Names of all macros for users: `{click_id}, {sub1}, …`.
#[must_use]
pub fn macro_names() -> String {
    let names = MACROS.map(|(name, _)| format!("{{{name}}}")).join(", ");
    format!("{names}, or {{{QUERY}gclid}} for the parameter gclid of the visitor's URL")
}

/// Macro of this name.
fn macro_of(name: &str) -> Option<Macro> {
    if let Some(parameter) = name.strip_prefix(QUERY) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let is_name = (1..=64).contains(&parameter.len()) && parameter.bytes().all(is_plain);
        return is_name.then(|| Macro::Query(parameter.to_owned()));
    }
    let known = MACROS.iter().find(|(known, _)| *known == name);
    known.map(|(_, known)| known.clone())
}

/// Text with macros as we write them: as other systems write them, or encoded by a program, they mean the same.
/// `[s2sidentifier]`, `[clickref]`, `[[refid]]` and `[xid]` are the click IDs of ClickMeter, Partnerize, FlexOffers and
/// PartnerStack.
fn in_our_spelling(text: &str) -> Cow<'_, str> {
    let mut ours = Cow::Borrowed(text);
    let mut replace = |theirs: String, name: &str| {
        if ours.contains(&theirs) {
            ours = Cow::Owned(ours.replace(&theirs, &format!("{{{name}}}")));
        }
    };
    if !text.contains(['[', '%', '$']) && !text.contains("{{") {
        return ours;
    }
    for theirs in ["[s2sidentifier]", "[clickref]", "[[refid]]", "[xid]"] {
        replace(theirs.to_owned(), "click_id");
    }
    for (name, _) in &MACROS {
        for theirs in [
            format!("%7B{name}%7D"),
            format!("%7b{name}%7d"),
            format!("{{{{{name}}}}}"),
            format!("${{{name}}}"),
            format!("[{name}]"),
        ] {
            replace(theirs, name);
        }
    }
    ours
}

/// URL without letters outside ASCII, as browsers send it: the host as Punycode, the rest percent-encoded. What is no
/// URL stays as it is.
fn in_ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let after_scheme = text.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = text.split_at(after_scheme);
    let (authority, page) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = ascii_host(authority.to_owned());
    let page = utf8_percent_encode(page, &AsciiSet::EMPTY);
    Cow::Owned(format!("{scheme}{host}{page}"))
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
    /// Query of the visitor's URL, for `{query:…}`.
    pub query: &'a str,
}

impl<'a> MacroValues<'a> {
    fn get(&self, wanted: &Macro) -> Cow<'a, str> {
        Cow::Borrowed(match wanted {
            Macro::ClickId => self.click_id,
            Macro::Sub(index) => self.subs.get(*index).copied().unwrap_or_default(),
            Macro::AffiliateId => self.affiliate_id,
            Macro::CampaignId => self.campaign_id,
            Macro::LinkId => self.link_id,
            Macro::Query(name) => return Cow::Owned(self.parameter(name)),
        })
    }

    fn parameter(&self, name: &str) -> String {
        let mut pairs = self.query.split('&');
        let pair = pairs.find(|pair| pair.split('=').next() == Some(name));
        let value = pair.and_then(|pair| dialects::decode_lossy(pair).next());
        value.map(|(_, value)| value).unwrap_or_default()
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
    /// The text has spaces or control characters.
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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
///     click_id: "abc", subs: ["a&b", "", "", "", ""], affiliate_id: "aff_1", campaign_id: "cmp_1", link_id: "lnk_1", query: "",
/// };
/// assert_eq!(destination.expand(&values), "https://shop.example/p?id=abc&s=a%26b#top");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    pieces: Vec<Piece>,
}

impl Destination {
    /// Checks a destination as it is saved.
    ///
    /// # Errors
    /// [`DestinationError`], whose message names the correction.
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        Self::exactly(&in_ascii(&in_our_spelling(text)))
    }

    fn exactly(text: &str) -> Result<Self, DestinationError> {
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
        let text = &*in_our_spelling(text);
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

    /// Host that visitors are sent to.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        let Some(Piece::Text(start)) = self.pieces.first() else {
            return None;
        };
        Url::parse(start).ok()?.host_str().map(str::to_owned)
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
        Self::exactly(&with_parameters(
            &literal,
            [&click, &in_our_spelling(&sending.extra_parameters)],
        ))
    }

    /// URL for one click: every value percent-encoded once, everything else as saved.
    #[must_use]
    pub fn expand(&self, values: &MacroValues<'_>) -> String {
        let mut address = String::with_capacity(256);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => address.push_str(text),
                Piece::Macro(wanted) => address.extend(utf8_percent_encode(&values.get(wanted), VALUE)),
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
        let known = macro_of(name).ok_or_else(|| DestinationError::UnknownMacro(name.to_owned()))?;
        pieces.push(Piece::Text(before.to_owned()));
        pieces.push(Piece::Macro(known));
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
mod tests;
