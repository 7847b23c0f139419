//! What a dialect is: data that says how one system spells a postback and how it answers one.

use crate::basket::Basket;
use crate::field::Field;
use crate::postback::{Intent, State};
use crate::rules::Rule;

/// How sure it is that this is the system's spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confidence {
    /// The vendor's own document, or several independent programs agree.
    High,
    /// One credible third party.
    Medium,
    /// Reconstructed; to be confirmed by a real call.
    Low,
}

/// What kind of system it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Our own spelling.
    Own,
    /// An affiliate network or partner platform: receives conversions from advertisers.
    Network,
    /// An affiliate's tracker or traffic source: receives conversions from networks.
    Tracker,
}

/// How one system spells a postback. See the crate's page for how to add one.
#[derive(Debug)]
pub struct Dialect {
    /// The name in URLs and settings: `partnerize`.
    pub key: &'static str,
    /// The name for people: `Partnerize`.
    pub name: &'static str,
    /// How sure the spelling is.
    pub confidence: Confidence,
    /// What kind of system it is.
    pub kind: Kind,
    /// The parameter in which that system's landing pages expect the click id.
    pub click_parameter: Option<&'static str>,
    /// Hosts that are its alone, with all below them.
    pub hosts: &'static [&'static str],
    pub(crate) endpoints: &'static [Endpoint],
    pub(crate) parameters: &'static [Parameter],
    /// Parameters a call must have, by the system's own document; `a|b` where either will do.
    pub(crate) required: &'static [&'static str],
    /// Parameters that may come several times.
    pub(crate) repeatable: &'static [&'static str],
    pub(crate) states: &'static [(&'static str, State)],
    /// Whether the letter case of parameter names does not matter.
    pub(crate) fold_case: bool,
    pub(crate) money: Money,
    pub(crate) basket: Basket,
    /// Where the secret stands, if not in a parameter.
    pub(crate) auth: &'static [Auth],
    pub(crate) time: TimeStyle,
    /// How a new and a returning customer are called.
    pub(crate) customer_types: (&'static str, &'static str),
    pub(crate) rules: &'static [Rule],
    pub(crate) voice: Voice,
}

/// What most dialects have in common; each names what it does otherwise.
pub(crate) const BASE: Dialect = Dialect {
    key: "",
    name: "",
    confidence: Confidence::High,
    kind: Kind::Network,
    click_parameter: None,
    hosts: &[],
    endpoints: &[],
    parameters: &[],
    required: &[],
    repeatable: &[],
    states: &[],
    fold_case: false,
    money: Money::Major,
    basket: Basket::None,
    auth: &[],
    time: TimeStyle::Rfc3339,
    customer_types: ("new", "existing"),
    rules: &[],
    voice: Voice::Ours,
};

/// One address that a system takes postbacks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint {
    /// The path; `*` stands for one segment, `**` at the end for any number.
    pub(crate) path: &'static str,
    pub(crate) wire: Wire,
    pub(crate) intent: Intent,
    /// The goal that the address itself stands for.
    pub(crate) goal: Option<&'static str>,
    /// Parameters that always have this value and say nothing.
    pub(crate) fixed: &'static [(&'static str, &'static str)],
    /// Parameters that tell it from other systems that share its path: one of them suffices.
    pub(crate) marks: &'static [&'static str],
    /// Whether it is loaded by a browser, and so answered with an image.
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

    pub(crate) const fn pixel(mut self) -> Self {
        self.pixel = true;
        self
    }
}

/// How parameters travel to an endpoint. Read are all of them everywhere; this is how a call is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// After the `?`.
    Query,
    /// In the body, percent-encoded.
    Form,
    /// In the body as one JSON object; dotted names nest.
    Json,
    /// As `key:value` segments of the path.
    Path,
}

/// The names of one parameter, the one to send first, and what it means.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    pub(crate) names: &'static [&'static str],
    pub(crate) field: Field,
}

/// A parameter under its names, of which the first is sent and the first present is read.
pub(crate) const fn p(names: &'static [&'static str], field: Field) -> Parameter {
    Parameter { names, field }
}

/// How a system writes amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Money {
    /// In whole units with decimals.
    Major,
    /// The same, and in JSON as text.
    Quoted,
    /// The same, and a decimal comma is documented.
    Comma,
    /// In the currency's smallest coins.
    Minor,
}

/// A header that carries the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Auth {
    /// `Authorization: Bearer …`.
    Bearer,
    /// `Authorization: Basic …`: the whole `user:password`.
    Basic,
    /// `X-Api-Key: …`.
    ApiKey,
}

/// How a system writes a time.
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

/// The body that a system answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// As we do: JSON.
    Ours,
    /// `success=true;`, or `success=false; err_msg=…;`.
    Tune,
    /// An XML `result`.
    Cake,
    /// `OK`, or one line that says why not.
    Ok,
}

impl Dialect {
    /// The parameters a call must have by the system's own document; `a|b` where either will do.
    #[must_use]
    pub fn required(&self) -> &'static [&'static str] {
        self.required
    }

    /// The paths it is spoken at; `*` stands for one segment, `**` for any number.
    pub fn paths(&self) -> impl Iterator<Item = &'static str> {
        self.endpoints.iter().map(|endpoint| endpoint.path)
    }

    /// Its parameters: all names of each, and what it means.
    pub fn parameters(&self) -> impl Iterator<Item = (&'static [&'static str], Field)> {
        self.parameters
            .iter()
            .map(|parameter| (parameter.names, parameter.field))
    }

    /// The fields that its calls can say.
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

    /// The statuses it documents, and what becomes of a conversion by each.
    #[must_use]
    pub fn statuses(&self) -> &'static [(&'static str, State)] {
        self.states
    }

    /// This system's word for a state, ours where it documents none; what it has no hold for is pending to it.
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

    /// What a parameter's name means; [`Field::Extra`] where the system has none of that name.
    #[must_use]
    pub fn meaning(&self, name: &str) -> Field {
        if self.basket.claims(name).is_some() {
            return Field::Items;
        }
        let known = self
            .place_of(name)
            .and_then(|(place, _)| self.parameters.get(place));
        match known {
            Some(parameter) => parameter.field,
            None if is_personal(name) => Field::Personal,
            None => Field::Extra,
        }
    }

    /// Which of its parameters a name is, and how many names go before that one.
    pub(crate) fn place_of(&self, name: &str) -> Option<(usize, usize)> {
        self.parameters.iter().enumerate().find_map(|(place, parameter)| {
            let rank = parameter
                .names
                .iter()
                .position(|known| self.same_name(known, name))?;
            Some((place, rank))
        })
    }

    pub(crate) fn same_name(&self, known: &str, name: &str) -> bool {
        known == name || (self.fold_case && known.eq_ignore_ascii_case(name))
    }
}

/// Whether a parameter of this name is about a person in any system: it is never kept, documented or not.
fn is_personal(name: &str) -> bool {
    const NAMES: [&str; 12] = [
        "email",
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
