//! Conversion of sums by the rates of a period: exact, and rounded once, by the caller.
//!
//! ```
//! use tenancy::exchange_rates::{RateSource, Rates, UsedRate};
//! let day = "2026-11-27".parse().unwrap();
//! let (eur, usd) = ("EUR".parse().unwrap(), "USD".parse().unwrap());
//! let rate = UsedRate {
//!     day,
//!     currency: usd,
//!     per_euro: "1.25".parse().unwrap(),
//!     source: RateSource::Ecb,
//!     is_reference: true,
//! };
//! let rates = Rates::of([rate]);
//! let converted = rates.convert(10_000_000, usd, eur, day).unwrap();
//! assert_eq!(converted.micros(), 8_000_000);
//! ```

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{Currency, NetworkConn, exchange_rates, reference_rates};

use super::per_euro::{PerEuro, RateSource};

/// Days after its first day on which a rate still holds, unless another rate of its currency replaces it.
pub const MAX_AGE_DAYS: u64 = 14;

/// Code of the base of all rates.
const BASE: &str = "EUR";

/// A rate by which a sum is converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsedRate {
    /// Currency of the rate.
    pub currency: Currency,
    /// First day of the rate, at most [`MAX_AGE_DAYS`] before the day of the sum.
    pub day: NaiveDate,
    /// Value of one euro.
    pub per_euro: PerEuro,
    /// Origin of the rate.
    pub source: RateSource,
    /// True for a rate of the installation, false for one that the network set.
    pub is_reference: bool,
}

/// Missing rate of a currency on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[error("no exchange rate of {currency} on {day}")]
pub struct NoRate {
    /// Currency without a rate.
    pub currency: Currency,
    /// Day without a rate.
    pub day: NaiveDate,
}

/// Rates of a period.
#[derive(Debug, Clone, Default)]
pub struct Rates {
    by_currency: BTreeMap<(Currency, NaiveDate), UsedRate>,
}

impl Rates {
    /// Loads the rates that hold on the days from `from` to `to`, both included. On a day with two rates of a currency,
    /// the network's replaces the installation's.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn load(conn: &mut NetworkConn, from: NaiveDate, to: NaiveDate) -> QueryResult<Self> {
        let first = first_day(from);
        let network_id = conn.network_id();
        let reference: Vec<(NaiveDate, Currency, i64, RateSource)> = reference_rates::table
            .filter(reference_rates::day.between(first, to))
            .select((
                reference_rates::day,
                reference_rates::currency,
                reference_rates::nanos_per_euro,
                reference_rates::source,
            ))
            .load(&mut **conn)
            .await?;
        let own: Vec<(NaiveDate, Currency, i64, RateSource)> = exchange_rates::table
            .filter(exchange_rates::network_id.eq(network_id))
            .filter(exchange_rates::day.between(first, to))
            .select((
                exchange_rates::day,
                exchange_rates::currency,
                exchange_rates::nanos_per_euro,
                exchange_rates::source,
            ))
            .load(&mut **conn)
            .await?;
        let used = |is_reference| {
            move |(day, currency, nanos, source)| UsedRate {
                currency,
                day,
                per_euro: PerEuro::of_nanos(nanos),
                source,
                is_reference,
            }
        };
        Ok(Self::of(
            reference
                .into_iter()
                .map(used(true))
                .chain(own.into_iter().map(used(false))),
        ))
    }

    /// Rates of a list, in any order.
    #[must_use]
    pub fn of(list: impl IntoIterator<Item = UsedRate>) -> Self {
        let mut by_currency: BTreeMap<_, UsedRate> = BTreeMap::new();
        for rate in list {
            let present = by_currency.entry((rate.currency, rate.day)).or_insert(rate);
            if present.is_reference {
                *present = rate;
            }
        }
        Self { by_currency }
    }

    /// Rate from one currency to another on a day, by way of the euro. A currency to itself needs no rate.
    ///
    /// # Errors
    /// [`NoRate`] names the currency that has no rate on the day.
    pub fn rate(&self, from: Currency, to: Currency, day: NaiveDate) -> Result<Rate, NoRate> {
        let unit = i128::from(PerEuro::UNIT);
        let nanos = |used: &Option<UsedRate>| used.map_or(unit, |used| used.per_euro.nanos().into());
        let used = if from == to {
            [None, None]
        } else {
            [self.holding(from, day)?, self.holding(to, day)?]
        };
        let [denominator, numerator] = used.each_ref().map(nanos);
        let divisor = greatest_common_divisor(numerator, denominator);
        Ok(Rate {
            currency: to,
            numerator: numerator / divisor,
            denominator: denominator / divisor,
            used,
        })
    }

    /// Converts a sum of micro-units by the rate of a day. [`Rate::convert`] does the same for several sums of the day.
    ///
    /// # Errors
    /// [`NoRate`] names the currency that has no rate on the day.
    pub fn convert(
        &self,
        micros: i128,
        from: Currency,
        to: Currency,
        day: NaiveDate,
    ) -> Result<Converted, NoRate> {
        Ok(self.rate(from, to, day)?.convert(micros))
    }

    /// Rate of a currency that holds on a day: the newest up to that day, unless it is too old. None for the euro.
    fn holding(&self, currency: Currency, day: NaiveDate) -> Result<Option<UsedRate>, NoRate> {
        if currency.code() == BASE {
            return Ok(None);
        }
        self.by_currency
            .range((currency, first_day(day))..=(currency, day))
            .next_back()
            .map(|(_, rate)| Some(*rate))
            .ok_or(NoRate { currency, day })
    }
}

/// First day of a rate that still holds on this day.
fn first_day(day: NaiveDate) -> NaiveDate {
    day.checked_sub_days(Days::new(MAX_AGE_DAYS))
        .unwrap_or(NaiveDate::MIN)
}

fn greatest_common_divisor(mut a: i128, mut b: i128) -> i128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

/// Exact rate from one currency to another: a sum times `numerator` divided by `denominator`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    currency: Currency,
    numerator: i128,
    denominator: i128,
    used: [Option<UsedRate>; 2],
}

impl Rate {
    /// Numerator, from 1 to 10¹⁸.
    #[must_use]
    pub fn numerator(&self) -> i128 {
        self.numerator
    }

    /// Denominator, from 1 to 10¹⁸. It has no common divisor with the numerator.
    #[must_use]
    pub fn denominator(&self) -> i128 {
        self.denominator
    }

    /// Stored rates that this one is made of: none for a currency to itself, two between currencies other than the euro.
    pub fn used(&self) -> impl Iterator<Item = UsedRate> + use<> {
        self.used.into_iter().flatten()
    }

    /// Converts a sum of micro-units, exactly. Sums up to 10²⁵ micro-units cannot overflow; a result beyond 128 bits is
    /// the largest number.
    #[must_use]
    pub fn convert(&self, micros: i128) -> Converted {
        let (whole, rest) = (
            micros.div_euclid(self.denominator),
            micros.rem_euclid(self.denominator),
        );
        // Both factors are below 10¹⁸.
        let product = rest * self.numerator;
        Converted {
            currency: self.currency,
            whole: whole
                .saturating_mul(self.numerator)
                .saturating_add(product / self.denominator),
            rest: product % self.denominator,
            denominator: self.denominator,
        }
    }
}

/// Converted sum, exact: `whole` micro-units and the fraction `rest / denominator` of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Converted {
    currency: Currency,
    whole: i128,
    rest: i128,
    denominator: i128,
}

impl Converted {
    /// Currency of the result.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// Sum in micro-units, rounded half to even.
    #[must_use]
    pub fn micros(self) -> i128 {
        rounded(self.whole, self.rest, self.denominator)
    }

    /// Sum in micro-units, rounded half to even at the minor unit of the currency, such as a cent.
    #[must_use]
    pub fn at_minor_unit(self) -> i128 {
        let unit = i128::from(self.currency.minor_unit());
        let (units, micros) = (self.whole.div_euclid(unit), self.whole.rem_euclid(unit));
        let rest = micros * self.denominator + self.rest;
        rounded(units, rest, unit * self.denominator).saturating_mul(unit)
    }
}

/// `whole + rest / denominator`, rounded half to even, for `0 <= rest < denominator`.
fn rounded(whole: i128, rest: i128, denominator: i128) -> i128 {
    let rounds_up = rest * 2 > denominator || (rest * 2 == denominator && whole % 2 != 0);
    whole.saturating_add(i128::from(rounds_up))
}

/// Sum of conversions by rates of several days, in one currency. It keeps fifteen decimals of a unit, so that it can be
/// rounded once, at the end: the sum of a million conversions is exact to the ninth decimal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Total {
    /// Billionths of a micro-unit.
    fine: i128,
}

impl Total {
    /// Billionths of a micro-unit in one.
    const FINE: i128 = 1_000_000_000;

    /// Adds a converted sum.
    pub fn add(&mut self, converted: Converted) {
        let fraction = converted.rest * Self::FINE;
        let fraction = rounded(
            fraction / converted.denominator,
            fraction % converted.denominator,
            converted.denominator,
        );
        let whole = converted.whole.saturating_mul(Self::FINE);
        self.fine = self.fine.saturating_add(whole).saturating_add(fraction);
    }

    /// Sum in micro-units, rounded half to even.
    #[must_use]
    pub fn micros(self) -> i128 {
        rounded(
            self.fine.div_euclid(Self::FINE),
            self.fine.rem_euclid(Self::FINE),
            Self::FINE,
        )
    }

    /// Sum in micro-units, rounded half to even at the minor unit of its currency.
    #[must_use]
    pub fn at_minor_unit(self, currency: Currency) -> i128 {
        let unit = i128::from(currency.minor_unit());
        let fine = unit * Self::FINE;
        rounded(self.fine.div_euclid(fine), self.fine.rem_euclid(fine), fine).saturating_mul(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    fn reference(code: &str, on: &str, per_euro: &str) -> UsedRate {
        UsedRate {
            currency: currency(code),
            day: day(on),
            per_euro: per_euro.parse().unwrap(),
            source: RateSource::Ecb,
            is_reference: true,
        }
    }

    fn own(code: &str, on: &str, per_euro: &str) -> UsedRate {
        UsedRate {
            source: RateSource::User,
            is_reference: false,
            ..reference(code, on, per_euro)
        }
    }

    fn micros(rates: &Rates, amount: i128, from: &str, to: &str, on: &str) -> i128 {
        rates
            .convert(amount, currency(from), currency(to), day(on))
            .unwrap()
            .micros()
    }

    #[test]
    fn a_rate_holds_until_the_next_one_and_at_most_fourteen_days_on() {
        let rates = Rates::of([
            reference("USD", "2026-11-02", "1.25"),
            reference("USD", "2026-11-05", "2"),
        ]);
        for (on, converted) in [
            ("2026-11-02", 800),
            ("2026-11-04", 800),
            ("2026-11-05", 500),
            ("2026-11-19", 500),
        ] {
            assert_eq!(micros(&rates, 1000, "USD", "EUR", on), converted, "{on}");
        }
        for on in ["2026-11-01", "2026-11-20"] {
            let missing = rates.rate(currency("USD"), currency("EUR"), day(on)).unwrap_err();
            assert_eq!(missing.to_string(), format!("no exchange rate of USD on {on}"));
        }
    }

    #[test]
    fn the_networks_rate_of_a_day_replaces_the_installations() {
        let list = [
            own("USD", "2026-11-03", "2"),
            reference("USD", "2026-11-03", "1.25"),
            reference("USD", "2026-11-04", "1.25"),
        ];
        for rates in [Rates::of(list), Rates::of(list.into_iter().rev())] {
            assert_eq!(micros(&rates, 1000, "USD", "EUR", "2026-11-03"), 500);
            assert_eq!(micros(&rates, 1000, "USD", "EUR", "2026-11-04"), 800);
        }
    }

    #[test]
    fn currencies_are_converted_by_way_of_the_euro_and_name_the_rates() {
        let rates = Rates::of([
            reference("USD", "2026-11-02", "1.1"),
            own("JPY", "2026-11-03", "165"),
        ]);
        let rate = rates
            .rate(currency("USD"), currency("JPY"), day("2026-11-04"))
            .unwrap();
        assert_eq!((rate.numerator(), rate.denominator()), (150, 1));
        let used: Vec<_> = rate.used().collect();
        assert_eq!(
            used,
            [
                reference("USD", "2026-11-02", "1.1"),
                own("JPY", "2026-11-03", "165")
            ]
        );
        assert_eq!(micros(&rates, 1_000_000, "EUR", "USD", "2026-11-04"), 1_100_000);
        let missing = rates
            .rate(currency("JPY"), currency("CHF"), day("2026-11-04"))
            .unwrap_err();
        assert_eq!(
            missing,
            NoRate {
                currency: currency("CHF"),
                day: day("2026-11-04")
            }
        );
    }

    #[test]
    fn a_currency_to_itself_needs_no_rate() {
        let rates = Rates::default();
        for code in ["EUR", "CHF"] {
            let rate = rates
                .rate(currency(code), currency(code), day("2026-11-04"))
                .unwrap();
            assert_eq!(
                (rate.numerator(), rate.denominator(), rate.used().count()),
                (1, 1, 0)
            );
            assert_eq!(rate.convert(-7).micros(), -7);
        }
    }

    #[test]
    fn a_conversion_is_exact_and_rounded_half_to_even_once() {
        let rates = Rates::of([
            reference("USD", "2026-11-02", "2"),
            reference("JPY", "2026-11-02", "3"),
        ]);
        for (amount, euros) in [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2), (-5, -2)] {
            assert_eq!(
                micros(&rates, amount, "USD", "EUR", "2026-11-02"),
                euros,
                "{amount}"
            );
        }
        // A third of a micro-unit, three times.
        let third = rates
            .convert(1, currency("JPY"), currency("EUR"), day("2026-11-02"))
            .unwrap();
        let mut total = Total::default();
        for _ in 0..3 {
            total.add(third);
        }
        assert_eq!((third.micros(), total.micros()), (0, 1));
        // Half a cent goes to the even cent.
        for (cents, rounded) in [(1, 0), (3, 20_000), (5, 20_000), (-3, -20_000)] {
            let half = rates
                .convert(
                    cents * 10_000,
                    currency("USD"),
                    currency("EUR"),
                    day("2026-11-02"),
                )
                .unwrap();
            assert_eq!(half.at_minor_unit(), rounded, "{cents}");
            let mut total = Total::default();
            total.add(half);
            assert_eq!(total.at_minor_unit(currency("EUR")), rounded, "{cents}");
        }
    }

    #[test]
    fn sums_beyond_64_bits_do_not_overflow() {
        let rates = Rates::of([
            reference("KWD", "2026-11-02", "0.000100003"),
            reference("IRR", "2026-11-02", "999999999.999999999"),
        ]);
        let sum = 10_i128.pow(25);
        let there = rates
            .rate(currency("KWD"), currency("IRR"), day("2026-11-02"))
            .unwrap();
        let back = rates
            .rate(currency("IRR"), currency("KWD"), day("2026-11-02"))
            .unwrap();
        let large = there.convert(sum).micros();
        assert!(large > 10_i128.pow(37) && large < i128::MAX);
        assert_eq!(back.convert(large).micros(), sum);
        assert_eq!(there.convert(i128::MAX).micros(), i128::MAX);
        assert!(there.convert(i128::MIN).micros() < -10_i128.pow(38));
    }
}
