//! Amounts of money: parsed exactly, or refused with a named problem.

use std::fmt;

use iso_currency::Currency;
use serde::{Deserialize, Serialize};

/// Largest accepted amount, in whole units: a million million, which is a plausible order in the currencies with the
/// smallest units. Limits by currency are the caller's.
const MAX_UNITS: i64 = 1_000_000_000_000;
/// Decimals of a micro-unit.
const MAX_DECIMALS: usize = 6;

/// An amount of money in micro-units, without its currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount {
    /// Millionths of the unit: `12.50` is 12 500 000. Negative for the line of a discount only.
    pub micros: i64,
}

/// Reason a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmountProblem {
    /// The text has a minus sign.
    Negative,
    /// The text has a comma.
    Comma,
    /// The text has an exponent.
    Exponent,
    /// The text has more than six decimals.
    TooPrecise,
    /// The amount exceeds a million million.
    TooLarge,
    /// Any other text: letters, spaces, digits other than 0-9, a missing part.
    NotANumber,
}

impl AmountProblem {
    /// Correction the sender can make.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::Negative => {
                "Send a positive amount. What is taken off an order is a refund; a whole order is rejected by its status."
            }
            Self::Comma => "Write the decimals after a point and group nothing: 1234.50.",
            Self::Exponent => "Write all digits: 100000 instead of 1e5.",
            Self::TooPrecise => "Round the amount to at most six decimals.",
            Self::TooLarge => "Check the unit: amounts are whole units with decimals, not cents.",
            Self::NotANumber => "Send digits with at most one decimal point: 12.50.",
        }
    }
}

impl fmt::Display for AmountProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Negative => "is negative",
            Self::Comma => "has a comma",
            Self::Exponent => "has an exponent",
            Self::TooPrecise => "has more than six decimals",
            Self::TooLarge => "is more than 1000000000000",
            Self::NotANumber => "is not a decimal number",
        })
    }
}

impl Amount {
    /// Returns an amount of micro-units; `None` if negative or too large.
    #[must_use]
    pub fn from_micros(micros: i64) -> Option<Self> {
        (0..=MAX_UNITS * 1_000_000)
            .contains(&micros)
            .then_some(Self { micros })
    }

    /// Parses digits with at most one decimal point. More than six decimals are rounded to six.
    ///
    /// ```
    /// use dialects::Amount;
    /// assert_eq!(Amount::parse("12.50").map(|amount| amount.micros), Ok(12_500_000));
    /// assert_eq!(Amount::parse("0").map(|amount| amount.micros), Ok(0));
    /// assert!(Amount::parse("1,5").is_err());
    /// ```
    ///
    /// # Errors
    /// [`AmountProblem`] for any other text.
    pub fn parse(text: &str) -> Result<Self, AmountProblem> {
        Self::from_wide(micros(text)?)
    }

    /// Parses the amount of a line of an order with `parse`; a minus in front makes it a discount.
    ///
    /// # Errors
    /// The same as `parse`.
    pub(crate) fn of_line(
        text: &str,
        parse: impl Fn(&str) -> Result<Self, AmountProblem>,
    ) -> Result<Self, AmountProblem> {
        match text.strip_prefix('-') {
            Some(discount) if !discount.starts_with('-') => parse(discount).map(|amount| Self {
                micros: -amount.micros,
            }),
            _ => parse(text),
        }
    }

    /// Parses an amount with a decimal point or a decimal comma, for dialects that document the comma.
    ///
    /// A comma before three digits is refused: `1,234` could be a thousand or one and a fraction.
    ///
    /// ```
    /// use dialects::Amount;
    /// assert_eq!(Amount::parse_with_comma("12,50"), Amount::parse("12.50"));
    /// assert!(Amount::parse_with_comma("1,234").is_err());
    /// ```
    ///
    /// # Errors
    /// The same as [`Amount::parse`].
    pub fn parse_with_comma(text: &str) -> Result<Self, AmountProblem> {
        match text.split_once(',') {
            Some((whole, decimals)) if decimals.len() < 3 && !whole.contains('.') => {
                Self::parse(&format!("{whole}.{decimals}"))
            }
            _ => Self::parse(text),
        }
    }

    /// Parses an amount in the currency's minor unit: `1250` is 12.50 EUR and 1250 JPY.
    ///
    /// ```
    /// use dialects::Amount;
    /// assert_eq!(Amount::parse_minor("1250", Some("EUR")), Amount::parse("12.50"));
    /// assert_eq!(Amount::parse_minor("1250", Some("JPY")), Amount::parse("1250"));
    /// ```
    ///
    /// # Errors
    /// The same as [`Amount::parse`].
    pub fn parse_minor(text: &str, currency: Option<&str>) -> Result<Self, AmountProblem> {
        let scale = minor_scale(currency);
        let wide = micros(text)?;
        if wide % scale != 0 && !is_rounded(text) {
            return Err(AmountProblem::TooPrecise);
        }
        Self::from_wide((wide + scale / 2) / scale)
    }

    /// Parses an amount in hundredths, or in whole units of a currency without decimals.
    pub(crate) fn parse_hundredths(text: &str, currency: Option<&str>) -> Result<Self, AmountProblem> {
        let coins = currency.filter(|_| minor_scale(currency) < 100);
        Self::parse_minor(text, coins.or(Some("EUR")))
    }

    /// Amount in the currency's minor unit, rounded down.
    ///
    /// ```
    /// let amount = dialects::Amount { micros: 12_500_000 };
    /// assert_eq!((amount.to_minor(Some("EUR")), amount.to_minor(Some("JPY"))), ("1250".into(), "12".into()));
    /// ```
    #[must_use]
    pub fn to_minor(self, currency: Option<&str>) -> String {
        let coins = i128::from(self.micros) * minor_scale(currency);
        (coins / 1_000_000).to_string()
    }

    /// Amount in hundredths, or in whole units of a currency without decimals, rounded down.
    pub(crate) fn to_hundredths(self, currency: Option<&str>) -> String {
        let coins = currency.filter(|_| minor_scale(currency) < 100);
        self.to_minor(coins.or(Some("EUR")))
    }

    fn from_wide(micros: i128) -> Result<Self, AmountProblem> {
        i64::try_from(micros)
            .ok()
            .and_then(Self::from_micros)
            .ok_or(AmountProblem::TooLarge)
    }

    /// Most specific problem of a text with characters other than digits and points.
    fn problem_of(text: &str) -> AmountProblem {
        let digits = |rest: &str| {
            !rest.is_empty()
                && rest
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || b".,eE+-".contains(&byte))
        };
        match text.strip_prefix('-') {
            Some(rest) if digits(rest) => AmountProblem::Negative,
            _ if digits(text) && text.contains(',') => AmountProblem::Comma,
            _ if digits(text)
                && text.contains(['e', 'E'])
                && text.starts_with(|c: char| c.is_ascii_digit()) =>
            {
                AmountProblem::Exponent
            }
            _ => AmountProblem::NotANumber,
        }
    }
}

/// Two decimals, and up to six if needed: `12.50`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.micros < 0 { "-" } else { "" };
        let (units, fraction) = (
            self.micros.unsigned_abs() / 1_000_000,
            self.micros.unsigned_abs() % 1_000_000,
        );
        let decimals = format!("{fraction:06}");
        let (cents, finer) = decimals.split_at_checked(2).unwrap_or((&decimals, ""));
        write!(f, "{sign}{units}.{cents}{}", finer.trim_end_matches('0'))
    }
}

/// Number of minor units in one unit; a hundred if the currency is unknown.
fn minor_scale(currency: Option<&str>) -> i128 {
    let exponent = currency
        .and_then(|code| Currency::from_code(&code.to_ascii_uppercase()))
        .map_or(2, |currency| u32::from(currency.exponent().unwrap_or(2)));
    10_i128.pow(exponent.min(6))
}

/// Millionths of a text that may exceed the largest amount.
fn micros(text: &str) -> Result<i128, AmountProblem> {
    if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(Amount::problem_of(text));
    }
    let (whole, decimals) = match text.split_once('.') {
        Some((_, "")) => return Err(AmountProblem::NotANumber),
        Some((whole, decimals)) => (whole, decimals),
        None => (text, ""),
    };
    if whole.is_empty() || decimals.contains('.') {
        return Err(AmountProblem::NotANumber);
    }
    if let Some((kept, rest)) = decimals.split_at_checked(MAX_DECIMALS)
        && !rest.is_empty()
    {
        let up = i128::from(rest.starts_with(|first| first >= '5'));
        return Ok(micros(&format!("{whole}.{kept}"))? + up);
    }
    // Only digits are left, so parsing fails only if they are too many.
    let units: i64 = whole.parse().map_err(|_| AmountProblem::TooLarge)?;
    let fraction: i64 = format!("{decimals:0<6}")
        .parse()
        .map_err(|_| AmountProblem::NotANumber)?;
    Ok(i128::from(units) * 1_000_000 + i128::from(fraction))
}

/// True if a number has more decimals than a micro-unit, as programs write binary fractions: `19.990000000000002`. It is
/// read as the nearest amount.
pub(crate) fn is_rounded(text: &str) -> bool {
    text.split_once('.')
        .is_some_and(|(_, decimals)| decimals.len() > MAX_DECIMALS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_binary_fraction_is_the_nearest_amount() {
        for (text, micros) in [
            ("19.990000000000002", 19_990_000),
            ("33.333333333333336", 33_333_333),
            ("0.0000001", 0),
            ("1.2345675", 1_234_568),
            ("1998.9999999999998", 1_999_000_000),
            ("0.30000000000000004", 300_000),
            ("0.99999999999999", 1_000_000),
        ] {
            assert_eq!(Amount::parse(text), Ok(Amount { micros }), "{text}");
        }
        assert_eq!(
            Amount::parse_minor("1998.9999999999998", Some("USD")),
            Amount::parse("19.99")
        );
    }

    #[test]
    fn plain_decimals_are_read_exactly() {
        for (text, micros) in [
            ("0", 0),
            ("0.00", 0),
            ("12.5", 12_500_000),
            ("12.50", 12_500_000),
            ("0012", 12_000_000),
            ("0.000001", 1),
            ("999999999999.999999", 999_999_999_999_999_999),
            ("1000000000000", 1_000_000_000_000_000_000),
        ] {
            assert_eq!(Amount::parse(text), Ok(Amount { micros }), "{text}");
        }
    }

    #[test]
    fn any_other_text_is_refused_with_a_named_problem() {
        use AmountProblem::{Comma, Exponent, Negative, NotANumber, TooLarge};
        for (text, problem) in [
            ("NaN", NotANumber),
            ("Infinity", NotANumber),
            ("-0", Negative),
            ("-1", Negative),
            ("-", NotANumber),
            ("1e5", Exponent),
            ("1E308", Exponent),
            ("1e-9", Exponent),
            ("0x10", NotANumber),
            ("٣.٥", NotANumber),
            ("1,5", Comma),
            ("1.234,50", Comma),
            ("1.2.3", NotANumber),
            ("", NotANumber),
            (".", NotANumber),
            (".5", NotANumber),
            ("5.", NotANumber),
            ("+5", NotANumber),
            (" 5", NotANumber),
            ("5 EUR", NotANumber),
            ("1000000000000.000001", TooLarge),
            ("1000000000000.0000009", TooLarge),
            ("99999999999999999999", TooLarge),
        ] {
            assert_eq!(Amount::parse(text), Err(problem), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_amount_with_six_decimals_survives_a_round_trip(micros in 0..=MAX_UNITS * 1_000_000) {
            let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
            prop_assert_eq!(Amount::parse(&text), Ok(Amount { micros }));
        }

        #[test]
        fn no_text_causes_a_panic(text in ".{0,40}") {
            let _ = Amount::parse(&text);
        }
    }
}
