//! What a conversion pays: a fixed sum plus a share of the order amount, to the affiliate and from the advertiser.

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
    /// What it comes to for an amount, in the amount's currency.
    #[must_use]
    pub fn of(self, amount: Money) -> Money {
        Money {
            micros: self
                .fixed_micros
                .saturating_add(amount.share(self.rate_ppm).micros),
            currency: amount.currency,
        }
    }

    /// In words: `10 %`, `12.00 EUR`, `1.00 EUR + 5 %`.
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

/// Parts per million as people write them: `12.5 %`.
#[must_use]
pub fn percent(rate_ppm: i32) -> String {
    let text = format!("{}.{:04}", rate_ppm / 10_000, rate_ppm % 10_000);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// What a conversion pays on both sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// What the affiliate earns.
    pub commission: Pay,
    /// What the advertiser owes.
    pub revenue: Pay,
}

impl Terms {
    /// Whether they depend on the order amount.
    #[must_use]
    pub fn need_amount(&self) -> bool {
        self.commission.rate_ppm > 0 || self.revenue.rate_ppm > 0
    }

    /// Whether they hold a fixed sum, which is of the campaign's currency and cannot be added to another one.
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
    fn terms_are_told_in_words() {
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
}
