//! Money as integer micro-units of a currency, never a float.

use std::fmt;
use std::str::FromStr;

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Currency of ISO 4217 that people pay with, stored as its three-letter code. Metals, funds and test codes such as `XAU`
/// or `XXX` have no minor unit, and are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
pub struct Currency(iso_currency::Currency);

/// A text that is no currency code of ISO 4217.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is not a currency code of ISO 4217, such as EUR")]
pub struct UnknownCurrency(pub String);

impl Currency {
    /// Returns the three-letter code, such as `EUR`.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Returns the number of decimals of the minor unit: 2 for EUR, 0 for JPY.
    #[must_use]
    pub fn decimals(self) -> usize {
        self.0.exponent().map_or(2, usize::from)
    }

    /// Returns the largest amount of one order, in micro-units: a thousand million units, or a million million of the
    /// currencies of which a thousand are worth less than a few dollars.
    #[must_use]
    pub fn largest_amount(self) -> i64 {
        const SMALL: [&str; 24] = [
            "BIF", "COP", "GNF", "IDR", "IQD", "IRR", "KHR", "KMF", "KRW", "LAK", "LBP", "MGA", "MMK", "MNT",
            "MWK", "NGN", "PYG", "RWF", "STN", "SYP", "TZS", "UGX", "UZS", "VND",
        ];
        let units = if SMALL.contains(&self.code()) {
            1_000_000_000_000
        } else {
            1_000_000_000
        };
        units * Money::UNIT
    }

    /// Returns the micro-units of the minor unit: 10 000 for a cent. The SQL function `minor_unit` says the same.
    #[must_use]
    pub fn minor_unit(self) -> i64 {
        10_i64.pow(6_u32.saturating_sub(self.decimals().try_into().unwrap_or(6)))
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(code: &str) -> Result<Self, UnknownCurrency> {
        iso_currency::Currency::from_code(code)
            .filter(|currency| currency.exponent().is_some())
            .map(Self)
            .ok_or_else(|| UnknownCurrency(code.to_owned()))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        code.parse().map_err(serde::de::Error::custom)
    }
}

impl PartialOrd for Currency {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Currency {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.code().cmp(other.code())
    }
}

impl ToSql<Text, Pg> for Currency {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <str as ToSql<Text, Pg>>::to_sql(self.code(), out)
    }
}

impl FromSql<Text, Pg> for Currency {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(<String as FromSql<Text, Pg>>::from_sql(value)?.parse()?)
    }
}

crate::delegate_sql!(Currency, &str, |currency| currency.code(), |code: &str| code
    .parse::<Currency>(
));
crate::column_type!(Currency, "text[]", Text);

/// Amount of one currency in micro-units: `Money { micros: 12_500_000, currency: EUR }` is 12.50 EUR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// Millionths of the currency's unit.
    pub micros: i64,
    /// The currency.
    pub currency: Currency,
}

impl Money {
    /// Micro-units in one unit.
    pub const UNIT: i64 = 1_000_000;

    /// Returns a share of this amount, rounded.
    #[must_use]
    pub fn share(self, parts_per_million: i32) -> Money {
        let product = i128::from(self.micros) * i128::from(parts_per_million);
        Self::rounded(product, 1_000_000, self.currency)
    }

    /// Returns `micros / divisor`, rounded half to even at the currency's minor unit, so that the amount can be paid: the
    /// only rounding rule of the product. The divisor is positive.
    #[must_use]
    pub fn rounded(micros: i128, divisor: i128, currency: Currency) -> Money {
        let minor_unit = i128::from(currency.minor_unit());
        let divisor = divisor * minor_unit;
        let (whole, rest) = (micros.div_euclid(divisor), micros.rem_euclid(divisor));
        let round_up = rest * 2 > divisor || (rest * 2 == divisor && whole % 2 != 0);
        let micros = (whole + i128::from(round_up)) * minor_unit;
        Money {
            micros: i64::try_from(micros).unwrap_or(i64::MAX),
            currency,
        }
    }
}

impl Money {
    /// True if the amount is a whole number of the currency's minor units.
    #[must_use]
    pub fn can_be_paid(self) -> bool {
        self.micros % self.currency.minor_unit() == 0
    }
}

/// Writes `12.50 EUR`: with the decimals of the currency, or more if the amount has more, so that displayed parts add up
/// to the displayed total. Machine-readable; pages group the digits (`dashboard::format`).
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

impl Money {
    /// Returns the amount without the currency, as `Display` writes it: `12.50`.
    #[must_use]
    pub fn decimal(self) -> String {
        self.currency.decimal(self.micros.into())
    }
}

impl Currency {
    /// Returns a sum of micro-units, which may exceed 64 bits, with the decimals of the currency: `12.50`.
    #[must_use]
    pub fn decimal(self, micros: i128) -> String {
        decimal(micros, self.decimals())
    }
}

/// Returns a number of millionths with at least this many decimals, and no more zeros at its end: `12.50`, `12.5`.
#[must_use]
pub fn decimal(micros: i128, least_decimals: usize) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let magnitude = micros.unsigned_abs();
    let (units, micros) = (magnitude / 1_000_000, magnitude % 1_000_000);
    let mut fraction = format!("{micros:06}");
    while fraction.len() > least_decimals && fraction.ends_with('0') {
        fraction.pop();
    }
    if fraction.is_empty() {
        format!("{sign}{units}")
    } else {
        format!("{sign}{units}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(micros: i64, currency: &str) -> Money {
        Money {
            micros,
            currency: currency.parse().unwrap(),
        }
    }

    #[test]
    fn money_is_written_with_the_decimals_of_its_currency_and_never_rounded() {
        for (micros, currency, text) in [
            (12_500_000, "EUR", "12.50 EUR"),
            (0, "EUR", "0.00 EUR"),
            (-1, "EUR", "-0.000001 EUR"),
            (3_500, "USD", "0.0035 USD"),
            (1_205_000_000, "JPY", "1205 JPY"),
            (1_205_500_000, "JPY", "1205.5 JPY"),
            (1_234_000, "KWD", "1.234 KWD"),
            (i64::MIN, "EUR", "-9223372036854.775808 EUR"),
        ] {
            assert_eq!(money(micros, currency).to_string(), text);
        }
    }

    #[test]
    fn a_share_is_rounded_half_to_even_at_the_minor_unit() {
        for (micros, currency, parts_per_million, share) in [
            (100_000_000, "EUR", 100_000, "10.00 EUR"),
            (222_970_000, "EUR", 100_000, "22.30 EUR"),
            (50_000, "EUR", 100_000, "0.00 EUR"),
            (150_000, "EUR", 100_000, "0.02 EUR"),
            (250_000, "EUR", 100_000, "0.02 EUR"),
            (1_205_000_000, "JPY", 100_000, "120 JPY"),
            (1_234_000, "KWD", 500_000, "0.617 KWD"),
            (
                1_000_000_000_000_000_000,
                "EUR",
                1_000_000,
                "1000000000000.00 EUR",
            ),
        ] {
            assert_eq!(
                money(micros, currency).share(parts_per_million).to_string(),
                share
            );
        }
    }

    #[test]
    fn a_code_that_iso_4217_does_not_list_is_refused() {
        for code in ["", "eur", "EURO", "ZZZ", "€", "XXX", "XAU"] {
            assert_eq!(code.parse::<Currency>(), Err(UnknownCurrency(code.to_owned())));
        }
    }
}
