//! Templates of partner postbacks: the URL of an affiliate's tracker with our macros in it, `…?cid={aff_click_id}`.

use std::fmt;

use crate::{Confidence, Dialect, of_key, wire};

/// Longest template, in bytes.
pub const TEMPLATE_LIMIT: usize = 2048;

/// A value of a conversion that a template can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Macro {
    /// The affiliate's own click id.
    AffClickId,
    /// What the affiliate earns.
    Payout,
    /// Currency of the payout and the amount.
    Currency,
    /// Our id of the conversion.
    ConversionId,
    /// The goal's code.
    Event,
    /// The conversion's state, in the receiver's words.
    Status,
    /// The advertiser's order id.
    OrderId,
    /// The order's amount.
    Amount,
    /// Our click id.
    ClickId,
    /// The campaign's id.
    CampaignId,
    /// The affiliate's id.
    AffiliateId,
    /// The tracking link's id.
    LinkId,
    /// The coupon used.
    Coupon,
    /// The visitor's country.
    Country,
    /// When it happened, in seconds since 1970.
    Timestamp,
    /// The affiliate's first sub id.
    Sub1,
    /// The second.
    Sub2,
    /// The third.
    Sub3,
    /// The fourth.
    Sub4,
    /// The fifth.
    Sub5,
}

/// Every macro: its name, what it stands for, and a sample.
const MACROS: [(Macro, &str, &str, &str); 20] = [
    (
        Macro::AffClickId,
        "aff_click_id",
        "The affiliate's own click id, as it came with the click",
        "k7f2q9",
    ),
    (Macro::Payout, "payout", "What the affiliate earns", "12.50"),
    (
        Macro::Currency,
        "currency",
        "Currency of payout and amount, ISO 4217",
        "EUR",
    ),
    (
        Macro::ConversionId,
        "conversion_id",
        "Our id of the conversion",
        "cnv_01j0sample",
    ),
    (Macro::Event, "event", "Code of the goal reached", "sale"),
    (
        Macro::Status,
        "status",
        "State of the conversion, in the receiver's words",
        "approved",
    ),
    (Macro::OrderId, "order_id", "The advertiser's order id", "A-1001"),
    (Macro::Amount, "amount", "The order's amount", "99.90"),
    (Macro::ClickId, "click_id", "Our click id", "01j0sampleclick"),
    (
        Macro::CampaignId,
        "campaign_id",
        "The campaign's id",
        "cmp_01j0sample",
    ),
    (
        Macro::AffiliateId,
        "affiliate_id",
        "The affiliate's id",
        "aff_01j0sample",
    ),
    (
        Macro::LinkId,
        "link_id",
        "The tracking link's id",
        "lnk_01j0sample",
    ),
    (Macro::Coupon, "coupon", "The coupon used", "SPRING 20"),
    (
        Macro::Country,
        "country",
        "Country of the visitor, ISO 3166",
        "DE",
    ),
    (
        Macro::Timestamp,
        "timestamp",
        "When it happened, in seconds since 1970",
        "1777638600",
    ),
    (Macro::Sub1, "sub1", "The affiliate's first sub id", "newsletter"),
    (Macro::Sub2, "sub2", "The affiliate's second sub id", "summer"),
    (Macro::Sub3, "sub3", "The affiliate's third sub id", "banner 3"),
    (Macro::Sub4, "sub4", "The affiliate's fourth sub id", "d"),
    (Macro::Sub5, "sub5", "The affiliate's fifth sub id", "e"),
];

impl Macro {
    /// Every macro.
    pub fn all() -> impl Iterator<Item = Self> {
        MACROS.iter().map(|(one, ..)| *one)
    }

    /// The macro of a name, without braces.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        MACROS
            .iter()
            .find(|(_, known, ..)| *known == name)
            .map(|(one, ..)| *one)
    }

    fn row(self) -> Option<&'static (Self, &'static str, &'static str, &'static str)> {
        MACROS.iter().find(|(one, ..)| *one == self)
    }

    /// Its name, without braces.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().map_or("", |(_, name, ..)| name)
    }

    /// What it stands for.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.row().map_or("", |(_, _, meaning, _)| meaning)
    }

    /// A value it may have.
    #[must_use]
    pub fn sample(self) -> &'static str {
        self.row().map_or("", |(.., sample)| sample)
    }
}

/// A URL with macros, every one of which is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Macro(Macro),
}

/// Why a text is not a template, and the byte it is about, counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateProblem {
    /// It does not begin with `http://` or `https://` and a host.
    NotAUrl,
    /// It is longer than [`TEMPLATE_LIMIT`].
    TooLong,
    /// A macro stands in scheme, host or port, so that a value could send the call elsewhere.
    MacroInHost {
        /// Where.
        at: usize,
    },
    /// There is no such macro.
    Unknown {
        /// Its name, at most 64 characters of it.
        name: String,
        /// Where.
        at: usize,
    },
    /// A brace that opens is never closed.
    Unclosed {
        /// Where.
        at: usize,
    },
    /// A brace closes what was not opened.
    Stray {
        /// Where.
        at: usize,
    },
    /// A character that no URL may have.
    NotInUrls {
        /// Where.
        at: usize,
    },
}

impl fmt::Display for TemplateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAUrl => f.write_str("It must begin with https:// and a host."),
            Self::TooLong => write!(f, "It has more than {TEMPLATE_LIMIT} bytes."),
            Self::MacroInHost { at } => write!(f, "At {at}: a macro may not stand in the host."),
            Self::Unknown { name, at } => write!(f, "At {at}: there is no macro {{{name}}}."),
            Self::Unclosed { at } => write!(f, "At {at}: this {{ is never closed."),
            Self::Stray { at } => write!(f, "At {at}: this }} closes nothing; write %7D for a brace."),
            Self::NotInUrls { at } => write!(f, "At {at}: this character must be percent-encoded in a URL."),
        }
    }
}

impl std::error::Error for TemplateProblem {}

impl Template {
    /// Reads a template.
    ///
    /// ```
    /// use dialects::{Template, TemplateProblem};
    /// let template = Template::parse("https://t.example/postback?cid={aff_click_id}").unwrap();
    /// assert_eq!(template.expand(&|_| Some("a b".into())), "https://t.example/postback?cid=a%20b");
    /// let wrong = Template::parse("https://t.example/?x={nothing}");
    /// assert_eq!(wrong, Err(TemplateProblem::Unknown { name: "nothing".into(), at: 21 }));
    /// ```
    ///
    /// # Errors
    /// [`TemplateProblem`], which names what is wrong and its place.
    pub fn parse(text: &str) -> Result<Self, TemplateProblem> {
        if text.len() > TEMPLATE_LIMIT {
            return Err(TemplateProblem::TooLong);
        }
        let host_end = host_end(text)?;
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            match rest.find(['{', '}']) {
                None => {
                    parts.push(literal(rest, at)?);
                    break;
                }
                Some(0) => {
                    let (one, length) = read_macro(rest, at)?;
                    if at < host_end {
                        return Err(TemplateProblem::MacroInHost { at });
                    }
                    parts.push(Part::Macro(one));
                    at += length;
                }
                Some(length) => {
                    parts.push(literal(rest.get(..length).unwrap_or_default(), at)?);
                    at += length;
                }
            }
        }
        Ok(Self { parts })
    }

    /// The macros in it, in order, as often as they stand there.
    pub fn macros(&self) -> impl Iterator<Item = Macro> {
        self.parts.iter().filter_map(|part| match part {
            Part::Macro(one) => Some(*one),
            Part::Text(_) => None,
        })
    }

    /// The URL with every macro's value in place, percent-encoded; nothing where there is no value.
    #[must_use]
    pub fn expand(&self, value: &dyn Fn(Macro) -> Option<String>) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Macro(one) => wire::encoded(&value(*one).unwrap_or_default()),
        };
        self.parts.iter().map(text).collect()
    }

    /// The URL with a sample for every macro.
    #[must_use]
    pub fn preview(&self) -> String {
        self.expand(&|one| Some(one.sample().to_owned()))
    }
}

/// The text it was read from.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Macro(one) => write!(f, "{{{}}}", one.name()),
        })
    }
}

/// Where scheme, host and port end.
fn host_end(text: &str) -> Result<usize, TemplateProblem> {
    let scheme = ["https://", "http://"]
        .iter()
        .find(|scheme| {
            text.get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        })
        .ok_or(TemplateProblem::NotAUrl)?;
    let rest = text.get(scheme.len()..).unwrap_or_default();
    // A backslash ends the host too, for those who read URLs as browsers do.
    match rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()) {
        0 => Err(TemplateProblem::NotAUrl),
        length => Ok(scheme.len() + length),
    }
}

fn literal(text: &str, at: usize) -> Result<Part, TemplateProblem> {
    let wrong = |(_, character): &(usize, char)| {
        !character.is_ascii_graphic() || matches!(character, '"' | '<' | '>' | '\\' | '^' | '`' | '|')
    };
    match text.char_indices().find(wrong) {
        Some((offset, _)) => Err(TemplateProblem::NotInUrls { at: at + offset }),
        None => Ok(Part::Text(text.to_owned())),
    }
}

/// The macro that a text begins with, and its length with braces.
fn read_macro(text: &str, at: usize) -> Result<(Macro, usize), TemplateProblem> {
    let inner = text.strip_prefix('{').ok_or(TemplateProblem::Stray { at })?;
    let name = match inner.find(['{', '}']) {
        Some(end) if inner.get(end..).is_some_and(|rest| rest.starts_with('}')) => {
            inner.get(..end).unwrap_or_default()
        }
        _ => return Err(TemplateProblem::Unclosed { at }),
    };
    let unknown = || TemplateProblem::Unknown {
        name: name.chars().take(64).collect(),
        at,
    };
    Ok((Macro::of_name(name).ok_or_else(unknown)?, name.len() + 2))
}

/// What a tracker is told, in our macros: everything behind its address.
const OUTGOING: [(&str, &str); 12] = [
    (
        "voluum",
        "/postback?cid={aff_click_id}&payout={payout}&txid={conversion_id}&currency={currency}&et={event}",
    ),
    (
        "keitaro",
        "/postback?subid={aff_click_id}&status={status}&payout={payout}&currency={currency}&tid={conversion_id}",
    ),
    (
        "binom_v1",
        "/click.php?cnv_id={aff_click_id}&payout={payout}&cnv_status={status}&cnv_currency={currency}",
    ),
    (
        "binom_v2",
        "/click?cnv_id={aff_click_id}&payout={payout}&cnv_status={status}",
    ),
    (
        "bemob",
        "/postback?cid={aff_click_id}&payout={payout}&txid={conversion_id}&status={status}",
    ),
    (
        "redtrack",
        "/postback?clickid={aff_click_id}&sum={payout}&type={event}&rdtk_event_id={conversion_id}",
    ),
    (
        "peerclick",
        "/postback?cid={aff_click_id}&payout={payout}&status={status}&txid={conversion_id}&currency={currency}",
    ),
    (
        "prosper202",
        "/tracking202/static/gpb.php?amount={payout}&subid={aff_click_id}&txid={conversion_id}",
    ),
    ("evoclick", "/api/postback?pid={aff_click_id}&payout={payout}"),
    ("funnelflux", "/postback?tid={aff_click_id}&payout={payout}"),
    ("skro", "/postback?clickid={aff_click_id}&payout={payout}"),
    (
        "affise",
        "/postback?clickid={aff_click_id}&action_id={conversion_id}&sum={payout}&status={status}",
    ),
];

/// A template that a tracker's user begins with.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing {
    /// The tracker; its words for states are [`Dialect::word_for`].
    pub dialect: &'static Dialect,
    /// Everything behind the tracker's address, macros in place. Keitaro's address ends with its postback key.
    pub path: &'static str,
}

impl Outgoing {
    /// The template for a tracker at an address, `https://tracker.example`.
    #[must_use]
    pub fn at(&self, base_url: &str) -> String {
        format!("{}{}", base_url.trim_end_matches('/'), self.path)
    }

    /// Whether the user must confirm it, since its source is none of the vendor's.
    #[must_use]
    pub fn to_confirm(&self) -> bool {
        self.dialect.confidence != Confidence::High
    }
}

/// The templates of all trackers.
pub fn outgoing() -> impl Iterator<Item = Outgoing> {
    OUTGOING.iter().filter_map(|(key, path)| {
        Some(Outgoing {
            dialect: of_key(key)?,
            path,
        })
    })
}
