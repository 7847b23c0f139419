//! Warnings about a pasted call, each with advice.

use std::collections::BTreeMap;

use crate::collect::pairs;
use crate::detect::candidates::missing;
use crate::detect::{Meaning, PASTE_LIMIT, PastedCall};
use crate::field::Field;
use crate::values::Money;
use crate::{Dialect, Problem, is_placeholder};

/// Maximum number of warnings.
const MAX_WARNINGS: usize = 50;

/// Code of a warning, stable for programs.
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
    /// Another part of the call cannot be parsed.
    Unreadable,
    /// The pasted text is too long.
    TooLarge,
}

impl WarningCode {
    /// Code as programs see it.
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

/// A problem of a call, current or likely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Code of the warning.
    pub code: WarningCode,
    /// Parameter with the problem; `None` for the whole call.
    pub parameter: Option<String>,
    /// Description, one sentence.
    pub message: String,
    /// Correction, one sentence.
    pub advice: String,
}

pub(crate) fn too_large() -> Warning {
    Warning {
        code: WarningCode::TooLarge,
        parameter: None,
        message: format!("The text has more than {PASTE_LIMIT} bytes."),
        advice: "Paste one request.".to_owned(),
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
    warnings.truncate(MAX_WARNINGS);
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
            format!("Insert the value before you send the request, or use your system's macro for {name}."),
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
            format!("Encode {name} once, either in the template or in the program."),
        )
    })
}

/// True if a decoded value still contains a percent-encoded printable character.
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
        message: "The request uses http, so it can be read and changed in transit.".to_owned(),
        advice: "Use https.".to_owned(),
    }
}

fn secret(parameter: &str) -> Warning {
    about(
        WarningCode::SecretInUrl,
        parameter,
        format!("{} is a secret in the URL, where logs store it.", short(parameter)),
        "Send the secret as a header (Authorization: Bearer …) if your system can, or restrict postbacks to your servers' addresses.".to_owned(),
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
            "{} contains a click ID, but is not the click ID parameter.",
            short(parameter)
        ),
        match right {
            Some(name) => format!("Send it as {name}."),
            None => format!(
                "{} has no click ID parameter; use another postback format.",
                dialect.name
            ),
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
        format!("Add {either} to the request."),
    )
}

/// Warns of parameters that were sent more than once.
fn repeated(dialect: &Dialect, call: &PastedCall) -> Vec<Warning> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (name, _) in pairs(&call.raw()).into_iter().flatten() {
        if !dialect.is_repeatable(&name) {
            let key = Dialect::name_key(&name, dialect.place_of(&name));
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

/// Problem of parsing the call, unless a more specific warning describes the problem.
fn unreadable(dialect: &Dialect, call: &PastedCall) -> Option<Warning> {
    let problem = dialect.parse(&call.raw()).1?;
    let is_described = matches!(
        problem,
        Problem::Amount { .. } | Problem::MacroUnreplaced { .. } | Problem::Repeated { .. }
    );
    (!is_described).then(|| Warning {
        code: WarningCode::Unreadable,
        parameter: None,
        message: problem.message(),
        advice: problem.hint(),
    })
}
