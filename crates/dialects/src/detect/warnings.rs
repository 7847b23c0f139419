//! What is wrong with a pasted call, and what to do about it.

use std::collections::BTreeMap;

use crate::collect::pairs;
use crate::detect::candidates::missing;
use crate::detect::{Meaning, PASTE_LIMIT, PastedCall};
use crate::field::Field;
use crate::values::Money;
use crate::{Dialect, Problem, is_placeholder};

/// Most warnings given.
const MOST: usize = 50;

/// What a warning is about, stable for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WarningCode {
    /// A macro was never replaced.
    MacroUnreplaced,
    /// A click id stands in another parameter.
    ClickIdMisplaced,
    /// The call is not encrypted.
    NotHttps,
    /// A secret stands in the URL.
    SecretInUrl,
    /// A parameter the system requires is missing.
    RequiredMissing,
    /// An amount cannot be read.
    AmountUnreadable,
    /// A value was percent-encoded twice.
    DoubleEncoded,
    /// A parameter was sent twice.
    Repeated,
    /// Something else of the call cannot be read.
    Unreadable,
    /// The pasted text is too long to look at.
    TooLarge,
}

impl WarningCode {
    /// Its name for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::MacroUnreplaced => "macro_unreplaced",
            Self::ClickIdMisplaced => "click_id_misplaced",
            Self::NotHttps => "not_https",
            Self::SecretInUrl => "secret_in_url",
            Self::RequiredMissing => "required_missing",
            Self::AmountUnreadable => "amount_unreadable",
            Self::DoubleEncoded => "double_encoded",
            Self::Repeated => "repeated",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
        }
    }
}

/// Something that is wrong with a call, or about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What it is about.
    pub code: WarningCode,
    /// The parameter it is about, if it is about one.
    pub parameter: Option<String>,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to do about it.
    pub advice: String,
}

pub(crate) fn too_large() -> Warning {
    Warning {
        code: WarningCode::TooLarge,
        parameter: None,
        message: format!("The text has more than {PASTE_LIMIT} bytes."),
        advice: "Paste one call.".to_owned(),
    }
}

fn about(code: WarningCode, parameter: &str, message: String, advice: String) -> Warning {
    Warning {
        code,
        parameter: Some(short(parameter)),
        message,
        advice,
    }
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

pub(crate) fn of(
    dialect: &Dialect,
    call: &PastedCall,
    parameters: &[Meaning],
    looks_like_click_id: &dyn Fn(&str) -> bool,
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if call.https == Some(false) {
        warnings.push(not_https());
    }
    warnings.extend(repeated(dialect, call));
    let currency = parameters
        .iter()
        .find(|one| one.field == Some(Field::Currency))
        .map(|one| one.value.as_str());
    let money = Money::of(dialect, currency);
    let query = call.raw().query();
    for one in parameters {
        warnings.extend(of_value(one, &money));
        if one.field != Some(Field::ClickId) && !one.value.is_empty() && looks_like_click_id(&one.value) {
            warnings.push(misplaced(dialect, &one.parameter));
        }
        if is_secret(one) && query_has(query, &one.parameter) {
            warnings.push(secret(&one.parameter));
        }
    }
    warnings.extend(
        missing(dialect, call)
            .into_iter()
            .map(|names| required(dialect, names)),
    );
    warnings.extend(unreadable(dialect, call));
    warnings.truncate(MOST);
    warnings
}

fn of_value(one: &Meaning, money: &Money<'_>) -> Option<Warning> {
    let name = short(&one.parameter);
    if one.value.is_empty() {
        return None;
    }
    if is_placeholder(&one.value) {
        let shown = if is_secret(one) {
            "a placeholder".to_owned()
        } else {
            format!("“{}”", short(&one.value))
        };
        return Some(about(
            WarningCode::MacroUnreplaced,
            &name,
            format!("{name} is {shown}: a macro that was never replaced."),
            format!(
                "Put the value in before the call is sent, or use the macro that your system has for {name}."
            ),
        ));
    }
    let field = one.field?;
    let reads = |text: &str| money.read(&name, text).err();
    if field.is_money()
        && !(field == Field::Refund && one.value == "all")
        && let Some(problem) = reads(&one.value)
    {
        return Some(about(
            WarningCode::AmountUnreadable,
            &name,
            problem.message(),
            problem.hint(),
        ));
    }
    is_encoded(&one.value).then(|| {
        about(
            WarningCode::DoubleEncoded,
            &name,
            format!("{name} is still percent-encoded after it was decoded once."),
            format!("Encode {name} once: not in the template and by the program too."),
        )
    })
}

/// Whether a decoded value has another `%2F` in it that stands for a character nobody needs to write so.
fn is_encoded(value: &str) -> bool {
    let hex = |digits: &str| {
        u8::from_str_radix(digits, 16)
            .ok()
            .filter(|_| !digits.starts_with('+'))
    };
    let mut codes = value
        .match_indices('%')
        .filter_map(|(at, _)| hex(value.get(at + 1..at + 3)?));
    codes.any(|code| !code.is_ascii_control())
}

fn is_secret(one: &Meaning) -> bool {
    const NAMES: [&str; 9] = [
        "token",
        "secret",
        "password",
        "api_key",
        "apikey",
        "api-key",
        "security_token",
        "auth",
        "secure",
    ];
    let name = one.parameter.to_ascii_lowercase();
    one.field == Some(Field::Token) || NAMES.contains(&name.as_str())
}

fn query_has(query: &str, parameter: &str) -> bool {
    crate::decode_pairs(query)
        .flatten()
        .any(|(name, value)| name == parameter && !value.is_empty())
}

fn not_https() -> Warning {
    Warning {
        code: WarningCode::NotHttps,
        parameter: None,
        message: "The call is sent over http, so anyone on the way can read and change it.".to_owned(),
        advice: "Call the same address with https.".to_owned(),
    }
}

fn secret(parameter: &str) -> Warning {
    about(
        WarningCode::SecretInUrl,
        parameter,
        format!("{} is a secret and stands in the URL, where logs keep it.", short(parameter)),
        "Send it as a header (Authorization: Bearer …) where your system can, or restrict the calls to your servers' addresses.".to_owned(),
    )
}

fn misplaced(dialect: &Dialect, parameter: &str) -> Warning {
    let right = dialect
        .parameters()
        .find(|(_, field)| matches!(field, Field::ClickId | Field::ClickList))
        .and_then(|(names, _)| names.first().copied());
    about(
        WarningCode::ClickIdMisplaced,
        parameter,
        format!(
            "{} holds a click id, but that is not where it is looked for.",
            short(parameter)
        ),
        match right {
            Some(name) => format!("Send it as {name}."),
            None => format!("{} takes none; use another spelling.", dialect.name),
        },
    )
}

fn required(dialect: &Dialect, names: &str) -> Warning {
    let either = names.replace('|', " or ");
    let first = names.split('|').next().unwrap_or(names);
    about(
        WarningCode::RequiredMissing,
        first,
        format!("{} requires {either}, and it is missing or empty.", dialect.name),
        format!("Add {either} to the call."),
    )
}

/// Parameters that were sent more than once.
fn repeated(dialect: &Dialect, call: &PastedCall) -> Vec<Warning> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (name, _) in pairs(&call.raw()).into_iter().flatten() {
        if !dialect.repeatable.contains(&name.as_str()) {
            let key = if dialect.fold_case {
                name.to_ascii_lowercase()
            } else {
                name
            };
            *counts.entry(key).or_default() += 1;
        }
    }
    let twice = counts.into_iter().filter(|(_, count)| *count > 1);
    twice
        .map(|(name, count)| {
            let name = short(&name);
            let message = format!("{name} is sent {count} times.");
            about(
                WarningCode::Repeated,
                &name,
                message,
                format!("Send {name} once."),
            )
        })
        .collect()
}

/// What reading it would end with, unless a warning of its own says so.
fn unreadable(dialect: &Dialect, call: &PastedCall) -> Option<Warning> {
    let problem = dialect.parse(&call.raw()).1?;
    let told = matches!(
        problem,
        Problem::Amount { .. } | Problem::MacroUnreplaced { .. } | Problem::Repeated { .. }
    );
    (!told).then(|| Warning {
        code: WarningCode::Unreadable,
        parameter: None,
        message: problem.message(),
        advice: problem.hint(),
    })
}
