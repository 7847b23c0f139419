//! Value of one euro in another currency, as an exact decimal.

use std::fmt;
use std::str::FromStr;

use schema::text_enum;

text_enum! {
    /// Origin of an exchange rate.
    pub enum RateSource {
        /// Set by hand, or by the API.
        User = "user",
        /// Imported from a CSV file.
        Csv = "csv",
        /// From a file of the European Central Bank.
        Ecb = "ecb",
    }
}

/// Value of one euro in another currency, exact to nine decimals: `1.0834` for 1 EUR = 1.0834 USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PerEuro(i64);

impl PerEuro {
    /// Billionths in one unit of a currency.
    pub const UNIT: i64 = 1_000_000_000;
    /// Decimals that are stored.
    const DECIMALS: usize = 9;
    /// Least rate, 0.0001: no currency is worth ten thousand euros.
    const LEAST: i64 = 100_000;
    /// Largest rate, a thousand million.
    const LARGEST: i64 = 1_000_000_000 * Self::UNIT;

    /// Value in billionths of a unit of the currency, always positive.
    #[must_use]
    pub fn nanos(self) -> i64 {
        self.0
    }

    /// Rate as stored.
    pub(super) fn of_nanos(nanos: i64) -> Self {
        Self(nanos.max(1))
    }
}

/// Reads a decimal number with a point: `1.0834`. The error is a message for users.
impl FromStr for PerEuro {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "Enter the value of one euro with a decimal point, such as 1.0834.";
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) || text.ends_with('.') {
            return Err(FORM);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > Self::DECIMALS {
            return Err("Use at most nine decimals.");
        }
        let digits = format!("{whole}{fraction:0<width$}", width = Self::DECIMALS);
        match digits.parse::<i64>() {
            Ok(0) => Err("Enter a rate above 0."),
            Ok(nanos) if (Self::LEAST..=Self::LARGEST).contains(&nanos) => Ok(Self(nanos)),
            _ => Err("Enter a rate from 0.0001 to 1000000000."),
        }
    }
}

/// Writes the decimal number without zeros at its end: `1.0834`, `161`.
impl fmt::Display for PerEuro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / Self::UNIT, self.0 % Self::UNIT);
        let fraction = format!("{fraction:0width$}", width = Self::DECIMALS);
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            fraction => write!(f, "{whole}.{fraction}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_exactly_and_written_as_read() {
        for (text, nanos, written) in [
            ("1.0834", 1_083_400_000, "1.0834"),
            ("161.50", 161_500_000_000, "161.5"),
            ("17000", 17_000_000_000_000, "17000"),
            ("0.000100000000", 100_000, "0.0001"),
            ("0.123456789", 123_456_789, "0.123456789"),
            ("1000000000", i64::pow(10, 18), "1000000000"),
        ] {
            let rate: PerEuro = text.parse().unwrap();
            assert_eq!(
                (rate.nanos(), rate.to_string().as_str()),
                (nanos, written),
                "{text}"
            );
        }
    }

    #[test]
    fn another_text_is_no_rate() {
        for (text, message) in [
            ("", "decimal point"),
            ("1,0834", "decimal point"),
            ("1.", "decimal point"),
            (".5", "decimal point"),
            ("-1", "decimal point"),
            ("1e3", "decimal point"),
            ("１", "decimal point"),
            ("0", "above 0"),
            ("0.000000000", "above 0"),
            ("0.0000999", "0.0001"),
            ("1000000000.1", "1000000000"),
            ("99999999999999999999", "1000000000"),
            ("1.0123456789", "nine decimals"),
        ] {
            let error = text.parse::<PerEuro>().unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
