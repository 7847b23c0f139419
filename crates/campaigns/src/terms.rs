//! Terms of a conversion: a fixed sum plus a share of the order amount, for the affiliate and from the advertiser.

use dialects::Amount;
use schema::{Currency, Money};

/// A fixed sum plus a share of the order amount; either may be zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pay {
    /// Micro-units of the campaign's currency.
    pub fixed_micros: i64,
    /// Parts per million of the order amount.
    pub rate_ppm: i32,
}

impl Pay {
    /// Payment for an amount, in the amount's currency.
    #[must_use]
    pub fn of(self, amount: Money) -> Money {
        Money {
            micros: self
                .fixed_micros
                .saturating_add(amount.share(self.rate_ppm).micros),
            currency: amount.currency,
        }
    }

    /// Parses `10 %`, `12.00`, or `1.00 + 5 %`. A fixed sum must be payable in the given currency, if known.
    ///
    /// # Errors
    /// Message to show beside the field.
    pub fn typed(text: &str, currency: Option<Currency>) -> Result<Self, String> {
        if text.is_empty() {
            return Err(
                "Enter a percentage such as 10 %, a fixed amount such as 12.00, or both: 1.00 + 5 %."
                    .to_owned(),
            );
        }
        let (mut fixed, mut share) = (None, None);
        for part in text.split('+').map(str::trim) {
            let (number, slot) = match part.strip_suffix('%') {
                Some(number) => (number.trim_end(), &mut share),
                None => (part, &mut fixed),
            };
            let micros = Amount::parse(number)
                .map_err(|problem| format!("“{number}” {problem}."))?
                .micros;
            if slot.replace(micros).is_some() {
                return Err("Enter at most one fixed amount and one percentage: 1.00 + 5 %.".to_owned());
            }
        }
        let (fixed_micros, share) = (fixed.unwrap_or(0), share.unwrap_or(0));
        let finer = |currency| {
            !Money {
                micros: fixed_micros,
                currency,
            }
            .can_be_paid()
        };
        if let Some(currency) = currency.filter(|currency| finer(*currency)) {
            return Err(format!(
                "A fixed amount in {currency} has at most {} decimals.",
                currency.decimals()
            ));
        }
        // 1 % is a million micro-units as a number, and ten thousand parts per million.
        match i32::try_from(share / 100) {
            Ok(rate_ppm @ ..=1_000_000) if share % 100 == 0 => Ok(Self {
                fixed_micros,
                rate_ppm,
            }),
            Ok(..=1_000_000) => Err("A percentage has at most four decimals.".to_owned()),
            _ => Err("A percentage is at most 100 %.".to_owned()),
        }
    }

    /// Text that [`Pay::typed`] parses to the same value.
    #[must_use]
    pub fn as_typed(self) -> String {
        let fixed = decimal(self.fixed_micros);
        match (self.fixed_micros, self.rate_ppm) {
            (_, 0) => fixed,
            (0, rate) => percent(rate),
            (_, rate) => format!("{fixed} + {}", percent(rate)),
        }
    }

    /// Text for users: `10 %`, `12.00 EUR`, `1.00 EUR + 5 %`.
    #[must_use]
    pub fn in_words(self, currency: Currency) -> String {
        let fixed = Money {
            micros: self.fixed_micros,
            currency,
        };
        match (self.fixed_micros, self.rate_ppm) {
            (_, 0) => fixed.to_string(),
            (0, rate) => percent(rate),
            (_, rate) => format!("{fixed} + {}", percent(rate)),
        }
    }
}

/// Micro-units as users type them, without trailing zeros: `12.5`.
#[must_use]
pub fn decimal(micros: i64) -> String {
    schema::decimal(micros.into(), 0)
}

/// Parts per million as users write them: `12.5 %`.
#[must_use]
pub fn percent(rate_ppm: i32) -> String {
    // A percentage has a hundred times as many millionths as its share.
    format!("{} %", decimal(i64::from(rate_ppm) * 100))
}

/// Error message for terms by which every conversion costs the network money.
pub const LOSES_MONEY: &str =
    "The affiliate would earn more than the advertiser pays: every conversion would cost the network money.";

/// Commission and revenue of a conversion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// Commission of the affiliate.
    pub commission: Pay,
    /// Revenue from the advertiser.
    pub revenue: Pay,
}

impl Terms {
    /// True if every conversion would cost the network money: the affiliate certainly earns more than the advertiser
    /// pays.
    #[must_use]
    pub fn lose_money(&self) -> bool {
        let (commission, revenue) = (self.commission, self.revenue);
        commission.fixed_micros > revenue.fixed_micros && revenue.rate_ppm == 0
            || commission.rate_ppm > revenue.rate_ppm && revenue.fixed_micros == 0
    }

    /// True if they depend on the order amount.
    #[must_use]
    pub fn need_amount(&self) -> bool {
        self.commission.rate_ppm > 0 || self.revenue.rate_ppm > 0
    }

    /// True if they include a fixed sum, which is in the campaign's currency and cannot be added to another one.
    #[must_use]
    pub fn have_fixed_sum(&self) -> bool {
        self.commission.fixed_micros > 0 || self.revenue.fixed_micros > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_sum_and_a_share_add_up() {
        let amount = Money {
            micros: 49_990_000,
            currency: "EUR".parse().unwrap(),
        };
        let pay = Pay {
            fixed_micros: 1_000_000,
            rate_ppm: 100_000,
        };
        assert_eq!(pay.of(amount).to_string(), "6.00 EUR");
    }

    #[test]
    fn terms_are_written_in_words() {
        let eur = "EUR".parse().unwrap();
        let words = |fixed_micros, rate_ppm| {
            Pay {
                fixed_micros,
                rate_ppm,
            }
            .in_words(eur)
        };
        assert_eq!(words(0, 100_000), "10 %");
        assert_eq!(words(0, 1_234), "0.1234 %");
        assert_eq!(words(12_000_000, 0), "12.00 EUR");
        assert_eq!(words(1_000_000, 50_000), "1.00 EUR + 5 %");
        assert_eq!(words(0, 0), "0.00 EUR");
    }

    #[test]
    fn terms_are_parsed_as_users_type_them() {
        let read =
            |text| Pay::typed(text, "EUR".parse().ok()).map(|terms| (terms.fixed_micros, terms.rate_ppm));
        assert_eq!(read("10 %"), Ok((0, 100_000)));
        assert_eq!(read("7.25%"), Ok((0, 72_500)));
        assert_eq!(read("12.00"), Ok((12_000_000, 0)));
        assert_eq!(read("1.00 + 5 %"), Ok((1_000_000, 50_000)));
        for text in [
            "1.00 + 2.00",
            "5 % + 3 %",
            "1.005",
            "",
            "ten",
            "101 %",
            "0.00001 %",
            "-5",
            "1,5",
            "5 % of",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn typed_terms_survive_a_round_trip() {
        let eur = "EUR".parse().ok();
        for text in ["10 %", "12.5", "1 + 5 %", "0.25 + 7.25 %", "0"] {
            assert_eq!(Pay::typed(text, eur).unwrap().as_typed(), text);
        }
    }
}
