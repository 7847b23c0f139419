//! Dialect: data that describes how one system sends postbacks and which response it expects.

use crate::basket::Basket;
use crate::field::Field;
use crate::postback::{Intent, State};
use crate::rules::Rule;

/// Kind of document that a dialect's table was made from, the most reliable first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The vendor's document or program.
    Vendor,
    /// Programs in public that call the system.
    Code,
    /// Documents of others.
    ThirdParty,
    /// None that shows the whole call.
    Unverified,
}

impl Evidence {
    /// Words for users.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Vendor => "vendor’s documentation",
            Self::Code => "public code",
            Self::ThirdParty => "third party",
            Self::Unverified => "not verified",
        }
    }
}

/// Source of a dialect's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Kind of the document.
    pub evidence: Evidence,
    /// Document, and its host.
    pub document: &'static str,
}

impl Source {
    pub(crate) const fn new(evidence: Evidence, document: &'static str) -> Self {
        Self { evidence, document }
    }
}

/// Kind of system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Our own dialect.
    Own,
    /// An affiliate network or partner platform: receives conversions from advertisers.
    Network,
    /// An affiliate's tracker or traffic source: receives conversions from networks.
    Tracker,
}

/// Postback format of one system. The crate's documentation describes how to add one.
#[derive(Debug)]
pub struct Dialect {
    /// Key in URLs and settings: `partnerize`.
    pub key: &'static str,
    /// Name shown to users: `Partnerize`.
    pub name: &'static str,
    /// Source of the table.
    pub source: Source,
    /// Kind of system.
    pub kind: Kind,
    /// Parameter in which the system's landing pages expect the click id; `None` if unknown.
    pub click_parameter: Option<&'static str>,
    /// Hosts used by this system alone, subdomains included.
    pub hosts: &'static [&'static str],
    pub(crate) endpoints: &'static [Endpoint],
    pub(crate) parameters: &'static [Parameter],
    /// Parameters that the system's document requires; `a|b` if either is enough.
    pub(crate) required: &'static [&'static str],
    /// Parameters that may be repeated.
    pub(crate) repeatable: &'static [&'static str],
    pub(crate) states: &'static [(&'static str, State)],
    pub(crate) money: Money,
    pub(crate) basket: Basket,
    /// Headers that carry the secret; empty if a parameter does.
    pub(crate) auth: &'static [Auth],
    pub(crate) time: TimeStyle,
    /// Values for a new and a returning customer.
    pub(crate) customer_types: (&'static str, &'static str),
    pub(crate) rules: &'static [Rule],
    pub(crate) response: ResponseStyle,
}

/// Defaults that most dialects share.
pub(crate) const BASE: Dialect = Dialect {
    key: "",
    name: "",
    source: Source::new(Evidence::Unverified, ""),
    kind: Kind::Network,
    click_parameter: None,
    hosts: &[],
    endpoints: &[],
    parameters: &[],
    required: &[],
    repeatable: &[],
    states: &[],
    money: Money::Major,
    basket: Basket::None,
    auth: &[],
    time: TimeStyle::Rfc3339,
    customer_types: ("new", "existing"),
    rules: &[],
    response: ResponseStyle::Ours,
};

/// A URL path at which a system receives postbacks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint {
    /// Path; `*` stands for one segment, `SP*` for one that begins so, a final `**` for any number.
    pub(crate) path: &'static str,
    pub(crate) wire: Wire,
    pub(crate) intent: Intent,
    /// Goal that the path implies; `None` for none.
    pub(crate) goal: Option<&'static str>,
    /// Parameters with a fixed value and no meaning to us.
    pub(crate) fixed: &'static [(&'static str, &'static str)],
    /// Parameters that distinguish the system from others with the same path; one of them is enough.
    pub(crate) marks: &'static [&'static str],
    /// True if the path is the system's only with a mark: it is so short that a link may have it.
    pub(crate) needs_mark: bool,
    /// True if browsers load the endpoint, so that the response is an image.
    pub(crate) pixel: bool,
}

impl Endpoint {
    const fn new(path: &'static str, wire: Wire) -> Self {
        Self {
            path,
            wire,
            intent: Intent::Report,
            goal: None,
            fixed: &[],
            marks: &[],
            needs_mark: false,
            pixel: false,
        }
    }

    pub(crate) const fn get(path: &'static str) -> Self {
        Self::new(path, Wire::Query)
    }

    pub(crate) const fn json(path: &'static str) -> Self {
        Self::new(path, Wire::Json)
    }

    pub(crate) const fn form(path: &'static str) -> Self {
        Self::new(path, Wire::Form)
    }

    pub(crate) const fn path(path: &'static str) -> Self {
        Self::new(path, Wire::Path)
    }

    pub(crate) const fn intent(mut self, intent: Intent) -> Self {
        self.intent = intent;
        self
    }

    pub(crate) const fn goal(mut self, goal: &'static str) -> Self {
        self.goal = Some(goal);
        self
    }

    pub(crate) const fn fixed(mut self, fixed: &'static [(&'static str, &'static str)]) -> Self {
        self.fixed = fixed;
        self
    }

    pub(crate) const fn marks(mut self, marks: &'static [&'static str]) -> Self {
        self.marks = marks;
        self
    }

    pub(crate) const fn only_with(mut self, marks: &'static [&'static str]) -> Self {
        self.marks = marks;
        self.needs_mark = true;
        self
    }

    pub(crate) const fn pixel(mut self) -> Self {
        self.pixel = true;
        self
    }
}

/// Place of the parameters in a built call. An incoming call may have them in any place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Query.
    Query,
    /// Body, percent-encoded.
    Form,
    /// Body as one JSON object; dotted names nest.
    Json,
    /// Path, in `key:value` segments.
    Path,
}

/// Names of a parameter, the one to send first, and its field.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    pub(crate) names: &'static [&'static str],
    pub(crate) field: Field,
}

/// Returns a parameter with its names: the first is sent, the first present is read.
pub(crate) const fn p(names: &'static [&'static str], field: Field) -> Parameter {
    Parameter { names, field }
}

/// Format of a system's amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Money {
    /// Whole units with decimals.
    Major,
    /// Whole units with decimals; a text in JSON.
    Quoted,
    /// Whole units with decimals; a decimal comma is documented.
    Comma,
    /// Minor units of the currency.
    Minor,
    /// Hundredths, and whole units of currencies without decimals; also of currencies with three decimals.
    Hundredths,
}

/// Header that carries the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Auth {
    /// `Authorization: Bearer …`.
    Bearer,
    /// `Authorization: Basic …`; the secret is the whole `user:password`.
    Basic,
    /// `X-Api-Key: …`.
    ApiKey,
}

/// Format of a system's times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeStyle {
    /// `2026-05-01T12:30:00Z`.
    Rfc3339,
    /// `2026-05-01 12:30:00`, in UTC.
    Spaced,
    /// `20260501_1230`, in UTC.
    Minutes,
    /// Milliseconds since 1970.
    UnixMillis,
}

/// Response body of a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseStyle {
    /// Our own JSON.
    Ours,
    /// `success=true;`, or `success=false; err_msg=…;`.
    Tune,
    /// An XML `result`.
    Cake,
    /// `OK`, or one line with the reason.
    Ok,
    /// Our own JSON, with 204 for a call that names no click, affiliate or known customer, and 409 for an order that
    /// is already counted.
    FirstPromoter,
}

impl Dialect {
    /// Parameters that the system's document requires; `a|b` if either is enough.
    #[must_use]
    pub fn required(&self) -> &'static [&'static str] {
        self.required
    }

    /// Paths of its endpoints; `*` stands for one segment, `**` for any number.
    pub fn paths(&self) -> impl Iterator<Item = &'static str> {
        self.endpoints.iter().map(|endpoint| endpoint.path)
    }

    /// Its parameters: all names of each, and its field.
    pub fn parameters(&self) -> impl Iterator<Item = (&'static [&'static str], Field)> {
        self.parameters
            .iter()
            .map(|parameter| (parameter.names, parameter.field))
    }

    /// Fields that its calls can carry.
    pub fn carries(&self) -> impl Iterator<Item = Field> {
        let basket = (self.basket != Basket::None).then_some(Field::Items);
        let token = (!self.auth.is_empty()).then_some(Field::Token);
        let summed = self
            .rules
            .contains(&Rule::AmountFromItems)
            .then_some(Field::Amount);
        let written = self.parameters.iter().map(|parameter| parameter.field);
        written.chain(basket).chain(token).chain(summed)
    }

    /// Statuses it documents, with the state each stands for.
    #[must_use]
    pub fn statuses(&self) -> &'static [(&'static str, State)] {
        self.states
    }

    /// Word of this system for a state, or ours if it documents none. A system without a hold gets its word for
    /// pending.
    #[must_use]
    pub fn word_for(&self, state: State) -> &'static str {
        let word = |state| {
            self.states
                .iter()
                .find_map(|(word, known)| (*known == state).then_some(*word))
        };
        word(state)
            .or_else(|| word(State::Pending).filter(|_| state == State::Held))
            .unwrap_or_else(|| state.code())
    }

    /// Field of a parameter; [`Field::Extra`] if the dialect has no such name.
    #[must_use]
    pub fn meaning(&self, name: &str) -> Field {
        if self.basket.claims(name).is_some() {
            return Field::Items;
        }
        match self.field_at(self.place_of(name)) {
            Some(field) => field,
            None if is_personal(name) => Field::Personal,
            // A system without a parameter for a secret or a goal takes ours.
            None if name.eq_ignore_ascii_case("token") && !self.has(Field::Token) => Field::Token,
            None if name.eq_ignore_ascii_case("goal") && !self.has(Field::Goal) => Field::Goal,
            None => Field::Extra,
        }
    }

    /// True if the system has a place for a secret token.
    #[must_use]
    pub fn has_token(&self) -> bool {
        !self.auth.is_empty() || self.has(Field::Token)
    }

    /// True if its calls are the first event of a customer, so that each must name a click.
    #[must_use]
    pub fn needs_click(&self) -> bool {
        self.rules.contains(&Rule::NeedsClick)
    }

    /// True if the sender's ID of the campaign or goal must be one that we know.
    #[must_use]
    pub fn reference_decides(&self) -> bool {
        self.rules.contains(&Rule::ReferenceDecides)
    }

    /// True if amounts are counted in the smallest coin of their currency.
    #[must_use]
    pub fn counts_coins(&self) -> bool {
        matches!(self.money, Money::Minor | Money::Hundredths)
    }

    /// Name that the dialect sends for a field; `None` if it has none.
    #[must_use]
    pub fn name_of(&self, field: Field) -> Option<&'static str> {
        let known = self
            .parameters
            .iter()
            .find(|parameter| parameter.field == field)?;
        known.names.first().copied()
    }

    /// A sentence for the sender in which our names of parameters are replaced by the dialect's own: those with an
    /// underscore wherever they stand, others as the first word.
    #[must_use]
    pub fn in_its_words(&self, sentence: &str) -> String {
        const FIELDS: [Field; 14] = [
            Field::ClickId,
            Field::AffiliateKey,
            Field::OrderId,
            Field::CustomerId,
            Field::EventTime,
            Field::EventId,
            Field::CustomerType,
            Field::Amount,
            Field::Currency,
            Field::Goal,
            Field::Token,
            Field::Status,
            Field::Commission,
            Field::Discount,
        ];
        let translated = |word: &str, is_first: bool| {
            let field = FIELDS.into_iter().find(|field| field.label() == word)?;
            (is_first || word.contains('_'))
                .then(|| self.name_of(field))
                .flatten()
        };
        let mut words = String::with_capacity(sentence.len());
        for (at, word) in sentence.split(' ').enumerate() {
            if at > 0 {
                words.push(' ');
            }
            let name = word.trim_end_matches(|c: char| c.is_ascii_punctuation() && c != '_');
            match translated(name, at == 0) {
                Some(own) => {
                    words.push_str(own);
                    words.push_str(word.get(name.len()..).unwrap_or_default());
                }
                None => words.push_str(word),
            }
        }
        words
    }

    /// Position of a name among the parameters, and among the names of that parameter. A name in other letter case is the
    /// same, unless it is another parameter: `Amount` or `Status` must not be lost.
    pub(crate) fn place_of(&self, name: &str) -> Option<(usize, usize)> {
        let find = |is_same: &dyn Fn(&str) -> bool| {
            self.parameters.iter().enumerate().find_map(|(place, parameter)| {
                let rank = parameter.names.iter().position(|known| is_same(known))?;
                Some((place, rank))
            })
        };
        find(&|known| known == name).or_else(|| find(&|known| known.eq_ignore_ascii_case(name)))
    }

    /// Field of the parameter at a place.
    pub(crate) fn field_at(&self, place: Option<(usize, usize)>) -> Option<Field> {
        let (place, _) = place?;
        Some(self.parameters.get(place)?.field)
    }

    /// True if a parameter may be sent more than once.
    pub(crate) fn is_repeatable(&self, name: &str) -> bool {
        self.repeatable
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Name by which a repetition of a parameter is found, by its place: the letter case of known names does not matter.
    pub(crate) fn name_key(name: &str, place: Option<(usize, usize)>) -> String {
        match place {
            Some(_) => name.to_ascii_lowercase(),
            None => name.to_owned(),
        }
    }
}

/// True if a parameter of this name is personal data in any system; such values are never stored.
fn is_personal(name: &str) -> bool {
    const NAMES: [&str; 17] = [
        "promoter_email",
        "email",
        "mail",
        "eml",
        "customermail",
        "emailaddress",
        "e-mail",
        "e_mail",
        "customer_email",
        "customeremail",
        "user_email",
        "phone",
        "ip",
        "ip_address",
        "ipaddress",
        "user_agent",
        "useragent",
    ];
    let member = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
    NAMES.contains(&member.as_str())
}
